/* SPDX-License-Identifier: MIT */
/*
 * Finding what is left of traces.
 *
 * Invariant: a ring or process is taken only if its header is right to its checksum, and once: of two that say that
 * they are the same, the first. Files of a run directory are opened when they are read, one at a time, so that a
 * directory of thousands needs one descriptor.
 */
#define _GNU_SOURCE
#include "remains.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../reader/extent.h"
#include "../reader/kept.h"
#include "../reader/salvage.h"

/* A file of a run directory. */
struct file {
	char *path;
	int fd;
};

static struct file *open_file;		/* the one that has a descriptor */

static int read_file(void *data, uint64_t offset, void *to, size_t size)
{
	struct file *file = data;

	if (open_file != file) {
		if (open_file) {
			close(open_file->fd);
			open_file = NULL;
		}
		file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (file->fd < 0)
			return -errno;
		open_file = file;
	}
	return tb_extent_read(file->fd, offset, to, size);
}

static void free_file(struct file *file)
{
	if (open_file == file) {
		close(file->fd);
		open_file = NULL;
	}
	free(file->path);
	free(file);
}

static void *grow(void *array, size_t nr, size_t size)
{
	/* Full at each power of two. */
	return nr & (nr - 1) ? array : reallocarray(array, nr ? 2 * nr : 1, size);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

static uint64_t process_hash(int32_t pid, uint64_t incarnation)
{
	return mix(mix(1, (uint32_t) pid), incarnation);
}

static uint64_t ring_hash(const struct tb_ring_info *info)
{
	uint64_t uuid[2];

	memcpy(uuid, info->uuid, sizeof(uuid));
	return mix(mix(mix(mix(process_hash(info->pid, info->incarnation), uuid[0]), uuid[1]),
		   info->stream_instance_id), info->instance);
}

static bool is_same_ring(const struct tb_ring_info *a, const struct tb_ring_info *b)
{
	return a->stream_instance_id == b->stream_instance_id && a->pid == b->pid && a->incarnation == b->incarnation &&
	       a->instance == b->instance && !memcmp(a->uuid, b->uuid, sizeof(a->uuid));
}

static void enter(struct tb_remains_table *table, uint64_t hash, uint32_t index)
{
	while (table->slot[hash & (table->size - 1)])
		hash++;
	table->slot[hash & (table->size - 1)] = index + 1;
}

/* Makes room for one more than nr. */
static int grow_table(struct tb_remains_table *table, size_t nr)
{
	uint32_t *slot;

	if (2 * (nr + 1) <= table->size)
		return 0;
	table->size = table->size ? 4 * table->size : 64;
	slot = calloc(table->size, sizeof(*slot));
	free(table->slot);
	table->slot = slot;
	if (slot)
		return 1;
	table->size = 0;
	return -ENOMEM;
}

static int enter_ring(struct tb_remains *remains, const struct tb_ring_info *info)
{
	int grown = grow_table(&remains->rings, remains->nr_rings);

	for (size_t i = 0; grown > 0 && i < remains->nr_rings; i++)
		enter(&remains->rings, ring_hash(&remains->ring[i].info), i);
	if (grown >= 0)
		enter(&remains->rings, ring_hash(info), remains->nr_rings);
	return grown < 0 ? grown : 0;
}

static int enter_process(struct tb_remains *remains, const struct tb_process_info *info)
{
	int grown = grow_table(&remains->processes, remains->nr_processes);

	for (size_t i = 0; grown > 0 && i < remains->nr_processes; i++)
		enter(&remains->processes, process_hash(remains->process[i].info.pid, remains->process[i].info.incarnation),
		      i);
	if (grown >= 0)
		enter(&remains->processes, process_hash(info->pid, info->incarnation), remains->nr_processes);
	return grown < 0 ? grown : 0;
}

static bool has_ring(const struct tb_remains *remains, const struct tb_ring_info *info)
{
	const struct tb_remains_table *table = &remains->rings;
	uint32_t number;

	if (!table->size)
		return false;
	for (uint64_t at = ring_hash(info); (number = table->slot[at & (table->size - 1)]); at++)
		if (is_same_ring(&remains->ring[number - 1].info, info))
			return true;
	return false;
}

static void take_name(char to[TRACEBUF_NAME_SIZE], const char from[TRACEBUF_NAME_SIZE])
{
	memcpy(to, from, TRACEBUF_NAME_SIZE);
	to[TRACEBUF_NAME_SIZE - 1] = '\0';
	for (char *at = to; *at; at++)
		if (*at <= ' ' || *at > '~' || *at == '/')
			*at = '_';
	if (to[0] == '.')
		to[0] = '_';
}

/* 0, -EEXIST (not taken), or what reading its header says. */
static int add_ring(struct tb_remains *remains, struct tb_source source)
{
	struct tb_remains_ring ring = { .source = source }, *more;
	struct tracebuf_ring header;
	int ret = tb_salvage_ring_header(&source, &header, &ring.info);

	if (!ret && has_ring(remains, &ring.info))
		ret = -EEXIST;
	if (ret)
		return ret;
	take_name(ring.trace_name, header.trace_name);
	ring.clock_frequency = header.clock_frequency;
	ring.clock_ticks = header.clock_ticks;
	ring.clock_realtime_ns = header.clock_realtime_ns;
	memcpy(ring.boot_id, header.boot_id, sizeof(ring.boot_id));
	ring.boot = header.boot;
	more = grow(remains->ring, remains->nr_rings, sizeof(*more));
	if (!more)
		return -ENOMEM;
	remains->ring = more;
	ret = enter_ring(remains, &ring.info);
	if (ret)
		return ret;
	more[remains->nr_rings++] = ring;
	tb_boots_add_ring(&remains->boots, &ring.boot);
	return 0;
}

static int add_process(struct tb_remains *remains, struct tb_source source)
{
	struct tb_remains_process process = { .source = source }, *more;
	struct tracebuf_process header;
	int ret = tb_salvage_process_header(&source, &header, &process.info);

	if (ret)
		return ret;
	more = grow(remains->process, remains->nr_processes, sizeof(*more));
	if (!more)
		return -ENOMEM;
	remains->process = more;
	ret = enter_process(remains, &process.info);
	if (!ret)
		more[remains->nr_processes++] = process;
	return ret;
}

const struct tb_remains_process *tb_remains_next_process_of(const struct tb_remains *remains,
							    const struct tb_remains_ring *ring,
							    const struct tb_remains_process *last)
{
	const struct tb_remains_table *table = &remains->processes;
	size_t first = last ? last - remains->process + 1 : 0;
	uint32_t number;

	if (!table->size)
		return NULL;
	for (uint64_t at = process_hash(ring->info.pid, ring->info.incarnation);
	     (number = table->slot[at & (table->size - 1)]); at++)
		if (number > first && remains->process[number - 1].info.pid == ring->info.pid &&
		    remains->process[number - 1].info.incarnation == ring->info.incarnation)
			return &remains->process[number - 1];
	return NULL;
}

/* A scan of an image, and whom it reports to. */
struct scan {
	struct tb_remains *remains;
	void (*progress)(void *data, uint64_t done);
	void *data;
};

/* What is no right header is no harm: a half that was wiped, or lay elsewhere. */
static int add_region(struct tb_remains *remains, const struct tb_found *found)
{
	static union {
		struct tracebuf_region region;
		unsigned char bytes[4096];
	} page;
	struct tb_kept half = { page.bytes, found->address, found->sb.total_size };
	struct tb_remains_region *more;

	if (tb_image_read(remains->image, found->address, &page.region, sizeof(page.region)) || !tb_kept_header(&half))
		return 0;
	more = grow(remains->region, remains->nr_regions, sizeof(*more));
	if (!more)
		return -ENOMEM;
	remains->region = more;
	more[remains->nr_regions++] = (struct tb_remains_region) {
		page.region, tb_kept_has_start(&page.region), tb_kept_has_stop(&page.region) };
	return 0;
}

/* Which boot a superblock's page is of: zeroes if its header is not right, wherever its page list leads. */
static struct tracebuf_boot boot_of_page(struct tb_remains *remains, const struct tb_found *found)
{
	union {
		struct tracebuf_ring ring;
		struct tracebuf_process process;
	} header;
	struct tb_process_info process;
	struct tb_ring_info ring;

	if (!tb_image_read(remains->image, found->address, &header, sizeof(header))) {
		if (!tb_ring_check(&header.ring, 0, &ring))
			return header.ring.boot;
		if (!tb_process_check(&header.process, 0, &process))
			return header.process.boot;
	}
	return (struct tracebuf_boot) { 0 };
}

/* What a page is the superblock of is not to be had. Whether that is damage is known once all rings are. */
static void note_damage(struct tb_remains *remains, const struct tb_found *found)
{
	struct tracebuf_boot boot = boot_of_page(remains, found);

	if (!boot.series || !tb_boots_add_damaged(&remains->boots, &boot))
		remains->nr_damaged++;
}

static int superblock_found(void *data, const struct tb_found *found)
{
	struct scan *scan = data;
	struct tb_source source;
	int ret;

	if (found->sb.kind == TRACEBUF_KIND_REGION)
		return add_region(scan->remains, found);
	if (found->sb.kind != TRACEBUF_KIND_RING && found->sb.kind != TRACEBUF_KIND_PROCESS)
		return 0;
	ret = tb_image_source(scan->remains->image, found, &source);
	/* A stale copy, or a page of a tmpfs. */
	if (ret == -ENOMEM || ret == -ENOENT)
		return ret == -ENOMEM ? ret : 0;
	if (!ret) {
		ret = found->sb.kind == TRACEBUF_KIND_RING ? add_ring(scan->remains, source) :
		      add_process(scan->remains, source);
		if (ret)
			tb_image_source_end(&source);
	}
	if (ret && ret != -EEXIST && ret != -ENOMEM)
		note_damage(scan->remains, found);
	return ret == -ENOMEM ? ret : 0;
}

static void tell_progress(void *data, uint64_t done)
{
	struct scan *scan = data;

	scan->progress(scan->data, done);
}

/* All that is in remains->image. */
static int look_through(const char *path, void (*progress)(void *data, uint64_t done), void *data,
			struct tb_remains *remains, char *message, size_t size)
{
	struct scan scan = { remains, progress, data };
	int ret;

	snprintf(remains->format, sizeof(remains->format), "%s", tb_image_format(remains->image));
	ret = tb_image_scan(remains->image, superblock_found, progress ? tell_progress : NULL, &scan);
	remains->nr_damaged += tb_boots_nr_damaged(&remains->boots, false);
	remains->nr_earlier = tb_boots_nr_damaged(&remains->boots, true);
	if (ret)
		snprintf(message, size, "%s: %s", path, strerror(-ret));
	return ret;
}

int tb_remains_of_image(const char *path, void (*progress)(void *data, uint64_t done), void *data,
			struct tb_remains *remains, char *message, size_t size)
{
	int ret = tb_image_open(path, &remains->image, message, size);

	return ret ? ret : look_through(path, progress, data, remains, message, size);
}

int tb_remains_of_fd(int fd, const char *path, void (*progress)(void *data, uint64_t done), void *data,
		     struct tb_remains *remains, char *message, size_t size)
{
	int ret = tb_image_open_fd(fd, path, &remains->image, message, size);

	return ret ? ret : look_through(path, progress, data, remains, message, size);
}

/* One file of a run directory: procs/NAME, rings/GENERATION/NAME. */
static int file_found(struct tb_remains *remains, const char *dir, const char *name, bool is_ring)
{
	struct file *file = calloc(1, sizeof(*file));
	struct tb_source source = { .read = read_file, .data = file };
	struct stat stat;
	int ret = -ENOMEM;

	if (!file || asprintf(&file->path, "%s/%s", dir, name) < 0) {
		free(file);
		return -ENOMEM;
	}
	if (lstat(file->path, &stat) || !S_ISREG(stat.st_mode)) {
		free_file(file);
		return 0;
	}
	source.size = stat.st_size;
	ret = is_ring ? add_ring(remains, source) : add_process(remains, source);
	if (ret)
		free_file(file);
	if (ret && ret != -EEXIST && ret != -ENOMEM)
		remains->nr_damaged++;
	return ret == -ENOMEM ? ret : 0;
}

static int each_file(struct tb_remains *remains, const char *path, bool is_ring)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int ret = dir ? 0 : -errno;

	while (!ret && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			ret = file_found(remains, path, entry->d_name, is_ring);
	if (dir)
		closedir(dir);
	return ret;
}

static int each_ring_directory(struct tb_remains *remains, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char below[4096];
	int ret = dir ? 0 : -errno;

	while (!ret && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
		    (size_t) snprintf(below, sizeof(below), "%s/%s", path, entry->d_name) < sizeof(below)) {
			ret = each_file(remains, below, true);
			ret = ret == -ENOTDIR ? 0 : ret;
		}
	if (dir)
		closedir(dir);
	return ret;
}

/* A living daemon has what is in its directory, and takes it. */
static int check_daemon(const char *path, char *message, size_t size)
{
	char lock[4096], pid[16] = "";
	int fd, ret = 0;

	snprintf(lock, sizeof(lock), "%s/lock", path);
	fd = open(lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB)) {
		if (read(fd, pid, sizeof(pid) - 1) > 0)
			pid[strcspn(pid, "\n")] = '\0';
		snprintf(message, size, "%s: a daemon (pid %s) runs there: it has all that is in it", path, pid);
		ret = -EBUSY;
	}
	close(fd);
	return ret;
}

int tb_remains_of_rundir(const char *path, struct tb_remains *remains, char *message, size_t size)
{
	char below[4096];
	int ret = check_daemon(path, message, size);

	if (ret)
		return ret;
	snprintf(remains->format, sizeof(remains->format), "run directory");
	if ((size_t) snprintf(below, sizeof(below), "%s/procs", path) >= sizeof(below))
		ret = -ENAMETOOLONG;
	if (!ret)
		ret = each_file(remains, below, false);
	if (!ret) {
		snprintf(below, sizeof(below), "%s/rings", path);
		ret = each_ring_directory(remains, below);
		/* A daemon that ended in order took it away. */
		ret = ret == -ENOENT ? 0 : ret;
	}
	if (ret)
		snprintf(message, size, "%s: %s", below, strerror(-ret));
	return ret;
}

static void end_source(const struct tb_remains *remains, struct tb_source *source)
{
	if (remains->image)
		tb_image_source_end(source);
	else
		free_file(source->data);
}

void tb_remains_free(struct tb_remains *remains)
{
	for (size_t i = 0; i < remains->nr_rings; i++)
		end_source(remains, &remains->ring[i].source);
	for (size_t i = 0; i < remains->nr_processes; i++)
		end_source(remains, &remains->process[i].source);
	free(remains->ring);
	free(remains->rings.slot);
	free(remains->process);
	free(remains->region);
	free(remains->processes.slot);
	tb_image_close(remains->image);
	memset(remains, 0, sizeof(*remains));
}
