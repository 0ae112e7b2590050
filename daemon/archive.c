/* SPDX-License-Identifier: MIT */
/*
 * Traces cut off from a running one: by rotation, which takes its files away, and by snapshot, which copies.
 *
 * A rotation writes all up to date, then rings/<generation>/.archived: where it cut each ring, what the archive has of
 * it, and the archive's path; then it moves the files; then it marks .archived as done. Invariant: until that mark
 * nothing new is written to the trace directory, so that a daemon that finds no mark may simply move what is there.
 */
#define _GNU_SOURCE
#include "archive.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "discovery.h"
#include "metadata_file.h"
#include "output.h"
#include "statedump.h"
#include "tape.h"

#define MAX_ARCHIVED_SIZE (64u << 20)
#define DONE "done\n"

static void format_time(uint64_t realtime_ns, char text[32])
{
	time_t seconds = realtime_ns / 1000000000ull;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, 32, "%Y%m%dT%H%M%S+0000", &tm);
}

/* Makes the directory, named by prefix and the first number that is free, with an index/. A descriptor or -errno. */
static int make_numbered(const char *prefix, char *path, size_t size)
{
	for (unsigned int nr = 1; nr < 1000000; nr++) {
		int fd;

		if ((size_t) snprintf(path, size, "%s%u", prefix, nr) >= size)
			return -ENAMETOOLONG;
		if (mkdir(path, 0755)) {
			if (errno == EEXIST)
				continue;
			return -errno;
		}
		fd = tb_output_open(path);
		if (fd >= 0 && mkdirat(fd, "index", 0755)) {
			close(fd);
			return -errno;
		}
		return fd;
	}
	return -EEXIST;
}

static int copy_file(struct tb_recording *recording, int dir, const char *name)
{
	char *text;
	size_t size;
	int ret = tb_file_read(recording->output_fd, name, 1u << 30, &text, &size);

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	ret = tb_file_replace(dir, name, text, size, recording->sync);
	free(text);
	return ret;
}

/* What is said of processes holds for this part of the trace, too. */
static int copy_processes(struct tb_recording *recording, int dir)
{
	int ret = copy_file(recording, dir, ".processes");

	return ret ? ret : copy_file(recording, dir, ".statedump");
}

struct move {
	int from, to;
};

static void move_file(void *data, const char *name)
{
	const struct move *move = data;

	if (strcmp(name, "metadata") && strcmp(name, "index") && strcmp(name, "archives") &&
	    renameat(move->from, name, move->to, name))
		tb_say("%s: cannot be moved: %s", name, strerror(errno));
}

/* Moves stream files and their indexes. */
static void move_files(int from, int to)
{
	struct move move = { .from = from, .to = to };

	tb_dir_each(from, ".", move_file, &move);
	move.from = openat(from, "index", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	move.to = openat(to, "index", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (move.from >= 0 && move.to >= 0)
		tb_dir_each(move.from, ".", move_file, &move);
	if (move.from >= 0)
		close(move.from);
	if (move.to >= 0)
		close(move.to);
}

static void print_cut(FILE *out, const struct tb_drain *drain)
{
	fprintf(out, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		" %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", drain->name, drain->tape.next_seq, drain->tape.expect.event_seq,
		drain->tape.expect.time, drain->tape.expect.discarded, drain->tape.overwritten, drain->split.seq,
		drain->split.size, drain->split.time, drain->split.nr_events, drain->archived_events,
		drain->archived_size);
}

static int save_cuts(struct tb_recording *recording, const char *path, const char *mark)
{
	struct tb_drain *drain;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int ret;

	if (!out)
		return -ENOMEM;
	fprintf(out, "%s\n%s", path, mark);
	cds_list_for_each_entry(drain, &recording->drains, of_recording)
		print_cut(out, drain);
	ret = tb_text_close(out, &text);
	if (!ret)
		ret = tb_file_replace(recording->rings_fd, ".archived", text, size, false);
	free(text);
	return ret;
}

static int make_archive(struct tb_recording *recording, char *path, size_t size)
{
	struct tb_clock_sample now = tb_clock_sample(&recording->daemon->clock);
	char prefix[PATH_MAX], begin[32], end[32];

	if ((size_t) snprintf(prefix, sizeof(prefix), "%s/archives", recording->output) >= sizeof(prefix))
		return -ENAMETOOLONG;
	if (mkdir(prefix, 0755) && errno != EEXIST)
		return -errno;
	format_time(recording->archive_begin_ns ? recording->archive_begin_ns : recording->start.realtime_ns, begin);
	format_time(now.realtime_ns, end);
	recording->archive_begin_ns = now.realtime_ns;
	if ((size_t) snprintf(prefix, sizeof(prefix), "%s/archives/%s-%s-", recording->output, begin, end) >=
	    sizeof(prefix))
		return -ENAMETOOLONG;
	return make_numbered(prefix, path, size);
}

int tb_archive_rotate(struct tb_recording *recording, char *path, size_t size, struct tb_message *message)
{
	struct tb_drain *drain;
	int dir, ret;

	if (recording->snapshot)
		return tb_fail(message, -EINVAL, "trace %s is a snapshot trace: it has no files to rotate",
			       recording->slot.name);
	tb_discovery_settle(recording->daemon);
	dir = make_archive(recording, path, size);
	if (dir < 0)
		return tb_fail(message, dir, "output %s: %s", recording->output, strerror(-dir));
	ret = tb_metadata_replace(recording, dir);
	if (!ret)
		ret = copy_processes(recording, dir);
	if (ret) {
		close(dir);
		return tb_fail(message, ret, "archive %s: %s", path, strerror(-ret));
	}
	recording->paused = true;
	cds_list_for_each_entry(drain, &recording->drains, of_recording)
		tb_drain_rotate(drain);
	/* Classes that were found meanwhile. */
	ret = tb_metadata_replace(recording, dir);
	if (!ret)
		ret = save_cuts(recording, path, "");
	move_files(recording->output_fd, dir);
	tb_statedump_publish(recording, dir);
	if (!ret && recording->sync && syncfs(dir))
		ret = -errno;
	if (!ret)
		ret = save_cuts(recording, path, DONE);
	recording->paused = false;
	close(dir);
	return ret ? tb_fail(message, ret, "archive %s: %s", path, strerror(-ret)) : 0;
}

int tb_archive_snapshot(struct tb_recording *recording, const char *output, char *path, size_t size,
			struct tb_message *message)
{
	char prefix[PATH_MAX];
	struct tb_drain *drain;
	int dir, ret;

	if (!recording->snapshot)
		return tb_fail(message, -EINVAL, "trace %s was not created with --snapshot: it writes to %s all the time",
			       recording->slot.name, recording->output);
	if (output[0] != '/' || (size_t) snprintf(prefix, sizeof(prefix), "%s/snapshot-", output) >= sizeof(prefix))
		return tb_fail(message, -EINVAL, "output '%s': must be an absolute path", output);
	tb_statedump_request(recording);
	tb_discovery_settle(recording->daemon);
	if (mkdir(output, 0755) && errno != EEXIST)
		return tb_fail(message, -errno, "output %s: %s", output, strerror(errno));
	dir = make_numbered(prefix, path, size);
	if (dir < 0)
		return tb_fail(message, dir, "output %s: %s", output, strerror(-dir));
	ret = tb_metadata_replace(recording, dir);
	if (!ret)
		ret = copy_processes(recording, dir);
	cds_list_for_each_entry(drain, &recording->drains, of_recording)
		if (!ret)
			tb_drain_snapshot(drain, dir);
	if (!ret)
		tb_statedump_publish(recording, dir);
	close(dir);
	if (!ret && recording->trouble)
		ret = -recording->trouble;
	return ret ? tb_fail(message, ret, "snapshot %s: %s", path, strerror(-ret)) : 0;
}

void tb_archive_complete(struct tb_recording *recording)
{
	size_t size;
	char *end;
	int dir;

	if (tb_file_read(recording->rings_fd, ".archived", MAX_ARCHIVED_SIZE, &recording->cuts, &size))
		return;
	end = strchr(recording->cuts, '\n');
	if (!end || !strncmp(end + 1, DONE, strlen(DONE)))
		return;
	*end = '\0';
	dir = tb_output_open(recording->cuts);
	*end = '\n';
	if (dir < 0)
		return;
	move_files(recording->output_fd, dir);
	close(dir);
}

void tb_archive_forget(struct tb_recording *recording)
{
	free(recording->cuts);
	recording->cuts = NULL;
}

void tb_archive_adopt(struct tb_drain *drain)
{
	struct tb_tape *tape = &drain->tape;
	struct tb_split *split = &drain->split;
	char key[TB_FILE_NAME_SIZE + 2];
	const char *line;

	if (!drain->recording->cuts)
		return;
	snprintf(key, sizeof(key), "\n%s ", drain->name);
	line = strstr(drain->recording->cuts, key);
	if (line)
		sscanf(line + strlen(key), "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		       " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &tape->next_seq, &tape->expect.event_seq,
		       &tape->expect.time, &tape->expect.discarded, &tape->overwritten, &split->seq, &split->size,
		       &split->time, &split->nr_events, &drain->archived_events, &drain->archived_size);
}
