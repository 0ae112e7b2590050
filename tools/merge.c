/* SPDX-License-Identifier: MIT */
/*
 * Joining what is on disk of a trace and what memory held of it.
 *
 * A ring numbers its events; a packet tells the number of its first one and how many it has. So what the disk has of a
 * ring is a list of runs of numbers, and of a packet in memory only the events outside of them are written.
 * Invariant: a packet counts as on disk only if it was read to its last event, and only such packets are copied; the
 * trace on disk is not changed.
 */
#define _GNU_SOURCE
#include "merge.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../daemon/outfile.h"
#include "../reader/extent.h"
#include "../reader/held_packet.h"
#include "../reader/statedump_stream.h"
#include "../reader/tsdl.h"
#include "recovered_state.h"

/* Deeper than "archives/<rotation>". */
#define MAX_DEPTH 4
#define MAX_METADATA_SIZE (256u << 20)

/* Events begin ... end - 1 of a ring are on disk. */
struct run {
	uint64_t instance, begin, end;
};

struct merge {
	struct tb_metadata *metadata;	/* of the trace */
	struct run *run;		/* sorted once all are there: by instance, then begin */
	size_t nr_runs;
	char *message;
	size_t message_size;
};

static int fail(struct merge *merge, const char *path, int error, const char *what)
{
	snprintf(merge->message, merge->message_size, "%s: %s", path, what ? what : strerror(-error));
	return error;
}

static int add_run(struct merge *merge, const struct tracebuf_packet *head)
{
	struct run *more = merge->run;

	if (!(merge->nr_runs & (merge->nr_runs - 1)))
		more = reallocarray(merge->run, merge->nr_runs ? 2 * merge->nr_runs : 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	merge->run = more;
	more[merge->nr_runs++] = (struct run) {
		head->stream_instance_id, head->event_seq, head->event_seq + head->nr_events,
	};
	return 0;
}

static int compare_runs(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->instance != y->instance)
		return x->instance < y->instance ? -1 : 1;
	return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* The index of the first run of instance. */
static size_t first_run(const struct merge *merge, uint64_t instance)
{
	size_t low = 0, high = merge->nr_runs;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (merge->run[middle].instance < instance)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void find_missing(void *data, const struct tb_remains_ring *ring, uint64_t *begin, uint64_t *end)
{
	const struct merge *merge = data;
	uint64_t instance = ring->info.stream_instance_id;

	for (size_t i = first_run(merge, instance); i < merge->nr_runs && merge->run[i].instance == instance; i++) {
		const struct run *run = &merge->run[i];

		if (run->end <= *begin)
			continue;
		if (run->begin > *begin) {
			*end = run->begin < *end ? run->begin : *end;
			break;
		}
		*begin = run->end < *end ? run->end : *end;
	}
}

/* A stream file being copied. */
struct copy {
	struct merge *merge;
	int from;
	uint64_t size;			/* of the file */
	struct tb_held_packet held;	/* the packet that is looked at, of at most room bytes */
	size_t room;
	struct tb_outfile out;
};

static int read_stream(void *data, uint64_t offset, void *to, size_t size)
{
	const struct copy *copy = data;

	return tb_extent_read(copy->from, offset, to, size);
}

/* All of the packet at offset, whose head is head. 0, -ENODATA (not all there), -ENOMEM, -errno of a scratch file. */
static int hold(struct copy *copy, uint64_t offset, const struct tracebuf_packet *head)
{
	const struct tb_source source = { read_stream, copy, copy->size };
	size_t size = head->packet_size / 8;
	int ret = 0;

	if (size > copy->room) {
		tb_held_packet_end(&copy->held);
		copy->room = 0;
		ret = tb_held_packet_make(size, &copy->held);
		copy->room = ret ? 0 : size;
	}
	if (!ret)
		ret = tb_scratch_store(&copy->held.scratch, 0, head, sizeof(*head));
	return ret ? ret : tb_held_packet_read(&copy->held, &source, offset, sizeof(*head), size);
}

/* The packet at offset into copy->held, checked to its last event. 0, -EBADMSG, and as hold(). */
static int take_packet(struct copy *copy, uint64_t offset, struct tracebuf_packet *ret_head)
{
	const struct tb_metadata *metadata = copy->merge->metadata;
	const struct tb_stream_class *class;
	struct tb_packet_walk walk;
	int ret;

	if (copy->size - offset < sizeof(*ret_head) || tb_extent_read(copy->from, offset, ret_head, sizeof(*ret_head)))
		return -ENODATA;
	if (tb_packet_check_file(ret_head, metadata->info.uuid, sizeof(*ret_head)))
		return -EBADMSG;
	class = tb_metadata_find(metadata, ret_head->stream_id);
	if (!class || ret_head->packet_size / 8 > copy->size - offset)
		return class ? -ENODATA : -EBADMSG;
	ret = hold(copy, offset, ret_head);
	if (ret)
		return ret;
	if (!tb_held_packet_sum_is_right(&copy->held, ret_head->packet_size / 8))
		return -EBADMSG;
	return tb_held_packet_walk(&copy->held, ret_head->content_size / 8, class, ret_head->timestamp_end, &walk) ||
	       walk.nr_events != ret_head->nr_events ? -EBADMSG : 0;
}

static int put_packet(struct copy *copy, const struct tracebuf_packet *head)
{
	int fd = tb_outfile_fd(&copy->out), ret = fd;

	if (fd >= 0)
		ret = tb_scratch_write(&copy->held.scratch, head->packet_size / 8, fd, copy->out.end);
	if (ret)
		return ret;
	tb_outfile_add(&copy->out, head, true);
	return add_run(copy->merge, head);
}

/* Copies the packets that are whole, up to the first of which nothing more can be told. */
static int copy_packets(struct copy *copy)
{
	struct tracebuf_packet head;
	uint64_t offset = 0;
	int ret = 0;

	while (offset < copy->size) {
		ret = take_packet(copy, offset, &head);
		if (!ret)
			ret = put_packet(copy, &head);
		if (ret && ret != -EBADMSG)
			break;
		/* Of a damaged packet, the next one is looked for where packets can begin. */
		offset += ret ? 4096 - offset % 4096 : head.packet_size / 8;
	}
	return ret == -ENODATA || ret == -EBADMSG ? 0 : ret;
}

static int copy_stream(struct merge *merge, int from_dir, int to_dir, const char *name)
{
	struct copy copy = { .merge = merge };
	struct stat stat;
	int ret;

	copy.from = openat(from_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (copy.from < 0)
		return -errno;
	ret = fstat(copy.from, &stat) ? -errno : 0;
	copy.size = ret ? 0 : stat.st_size;
	tb_outfile_init(&copy.out, to_dir, name);
	if (!ret)
		ret = copy_packets(&copy);
	close(copy.from);
	tb_held_packet_end(&copy.held);
	if (copy.out.fd >= 0 || copy.out.end) {
		int finished = tb_outfile_finish(&copy.out, 0);

		ret = ret ? ret : finished;
	}
	return ret;
}

static int copy_plain(int from_dir, int to_dir, const char *name)
{
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int to = from < 0 ? -1 : openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int ret = from < 0 || to < 0 ? -errno : 0;
	char buffer[65536];
	ssize_t got = 0;

	while (!ret && (got = read(from, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, got) != got)
			ret = -ENOSPC;
	if (got < 0)
		ret = -errno;
	if (to >= 0)
		close(to);
	if (from >= 0)
		close(from);
	return ret;
}

static int copy_directory(struct merge *merge, int from, int to, unsigned int depth);

static int copy_below(struct merge *merge, int from_dir, int to_dir, const char *name, unsigned int depth)
{
	int from, to, ret;

	if (!strcmp(name, "index") || depth == MAX_DEPTH)
		return 0;
	from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	to = mkdirat(to_dir, name, 0755) ? -1 : openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = from < 0 || to < 0 ? -errno : copy_directory(merge, from, to, depth + 1);
	if (to >= 0)
		close(to);
	if (from >= 0)
		close(from);
	return ret;
}

static int copy_entry(struct merge *merge, int from, int to, const char *name, unsigned int depth)
{
	struct stat stat;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;
	if (fstatat(from, name, &stat, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (S_ISDIR(stat.st_mode))
		return copy_below(merge, from, to, name, depth);
	/* The stream of statedumps is made anew, by what is known in the end. */
	if (!S_ISREG(stat.st_mode) || (!depth && !strcmp(name, TB_STATEDUMP_STREAM)))
		return 0;
	return name[0] == '.' || !strcmp(name, "metadata") ? copy_plain(from, to, name) :
	       copy_stream(merge, from, to, name);
}

static int copy_directory(struct merge *merge, int from, int to, unsigned int depth)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int ret = dir ? 0 : -errno;

	if (!ret && faccessat(from, "metadata", F_OK, 0) == 0 && mkdirat(to, "index", 0755))
		ret = -errno;
	while (!ret && (entry = readdir(dir)))
		ret = copy_entry(merge, from, to, entry->d_name, depth);
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return ret;
}

static int read_metadata(struct merge *merge, const char *trace)
{
	char path[4096], why[512] = "", *text = NULL;
	struct stat stat;
	int fd, ret;

	snprintf(path, sizeof(path), "%s/metadata", trace);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &stat)) {
		ret = fail(merge, path, -errno, NULL);
	} else if (!S_ISREG(stat.st_mode) || stat.st_size > MAX_METADATA_SIZE) {
		ret = fail(merge, path, -EINVAL, "no metadata of a trace");
	} else {
		text = malloc(stat.st_size + 1);
		ret = text ? tb_extent_read(fd, 0, text, stat.st_size) : -ENOMEM;
		if (!ret)
			ret = tb_tsdl_parse(text, stat.st_size, &merge->metadata, why, sizeof(why));
		if (ret)
			fail(merge, path, ret, why[0] ? why : NULL);
	}
	free(text);
	if (fd >= 0)
		close(fd);
	return ret;
}

static bool has_trace(const struct tb_remains *remains, const uint8_t uuid[16])
{
	for (size_t i = 0; i < remains->nr_rings; i++)
		if (!memcmp(remains->ring[i].info.uuid, uuid, 16))
			return true;
	return false;
}

static int copy_trace(struct merge *merge, const char *trace, const char *path)
{
	int from = open(trace, O_RDONLY | O_DIRECTORY | O_CLOEXEC), to, ret;

	if (from < 0)
		return fail(merge, trace, -errno, NULL);
	to = mkdir(path, 0755) ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = to < 0 ? -errno : copy_directory(merge, from, to, 0);
	if (ret)
		fail(merge, path, ret, NULL);
	if (to >= 0)
		close(to);
	close(from);
	return ret;
}

/* A link in the trace's directory to each stream file below crash/. */
static int link_streams(const struct tb_recovery *recovery, int dir)
{
	char name[sizeof(recovery->ring->name) + 8], target[sizeof(recovery->ring->name) + 8];

	for (size_t i = 0; i < recovery->nr_rings; i++) {
		snprintf(target, sizeof(target), "crash/%s", recovery->ring[i].name);
		snprintf(name, sizeof(name), "crash.%s", recovery->ring[i].name);
		if (!faccessat(dir, target, F_OK, 0) && symlinkat(target, dir, name))
			return -errno;
	}
	return 0;
}

/* What memory has, below the copy of the trace. */
static int add_memory(struct merge *merge, const struct tb_remains *remains, const char *path,
		      struct tb_recovery *recovery)
{
	char crash[4096];
	int dir, ret;

	if (merge->nr_runs)
		qsort(merge->run, merge->nr_runs, sizeof(*merge->run), compare_runs);
	snprintf(crash, sizeof(crash), "%s/crash", path);
	ret = tb_recovery_write(remains, merge->metadata->info.uuid, crash, find_missing, merge, recovery, merge->message,
				merge->message_size);
	if (ret)
		return ret;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = dir < 0 ? -errno : tb_recovery_add_classes(recovery, dir, merge->metadata);
	if (!ret)
		ret = tb_recovered_state_merge(recovery, merge->metadata, dir, "crash");
	if (!ret)
		ret = link_streams(recovery, dir);
	if (dir >= 0)
		close(dir);
	return ret ? fail(merge, path, ret, NULL) : 0;
}

int tb_merge(const struct tb_remains *remains, const char *trace, const char *path, struct tb_recovery *recovery,
	     char *message, size_t size)
{
	struct merge merge = { .message = message, .message_size = size };
	int ret;

	memset(recovery, 0, sizeof(*recovery));
	ret = read_metadata(&merge, trace);
	if (!ret && !has_trace(remains, merge.metadata->info.uuid))
		ret = fail(&merge, trace, -ENOENT, "nothing of this trace was found in memory");
	if (!ret)
		ret = copy_trace(&merge, trace, path);
	if (!ret)
		ret = add_memory(&merge, remains, path, recovery);
	tb_metadata_free(merge.metadata);
	free(merge.run);
	return ret;
}
