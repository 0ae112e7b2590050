/* SPDX-License-Identifier: MIT */
/*
 * The run directory as the home of the pages: files on a tmpfs.
 *
 * Invariant: a file is published (renamed) only when it is whole. A process file then only grows; its counts are raised
 * (release) after what they count is written. All writing goes by pwrite(), so a full tmpfs is an error code. The
 * doorbell, and the news that a process file has grown, are the times of the files.
 */
#define _GNU_SOURCE
#include "home.h"
#include "pattern.h"
#include "raw.h"
#include "rundir.h"
#include "statedump.h"
#include "stream_id.h"
#include "superblock.h"
#include "table.h"
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PATH_SIZE (TB_RUNDIR_SIZE + 64)
/* One process in so many looks for files of dead ones: start-up shall be short, and one look finds many. */
#define REAPER 8
/* What rings leave of the run directory's file system, to processes that come later and to the daemon's own files: a
 * sixteenth, and not more than this. */
#define MAX_HEADROOM (1u << 20)

/* The process file. */
static struct {
	char path[PATH_SIZE];
	char procname[TRACEBUF_PROCNAME_SIZE];
	uint64_t incarnation;
	uint64_t rules_generation;		/* of the rules that the latest records went by */
	uint32_t statedump;			/* sequence of what it has */
	size_t statedump_size;
} self;

static bool is_usable(const char *rundir)
{
	struct stat st;

	return !stat(rundir, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

static void fill_header(struct tracebuf_process *header)
{
	/* As it was executed: no system call, and /proc may not be there. */
	const char *executable = (const char *) getauxval(AT_EXECFN);

	tb_superblock_fill(&header->sb, TRACEBUF_KIND_PROCESS, TRACEBUF_PROCESS_HEADER_SIZE, TRACEBUF_PROCESS_SIZE);
	header->pid = tb_process_pid();
	header->parent_pid = getppid();
	header->incarnation = self.incarnation;
	header->writer = tb_table_uses_rseq() ? TRACEBUF_WRITER_RSEQ : TRACEBUF_WRITER_FALLBACK;
	header->uid = geteuid();
	header->realtime_ns = tb_raw_clock_ns(CLOCK_REALTIME);
	strncpy(header->procname, program_invocation_short_name, sizeof(header->procname) - 1);
	memcpy(self.procname, header->procname, sizeof(self.procname));
	if (executable)
		strncpy(header->executable, executable, sizeof(header->executable) - 1);
	tb_superblock_seal(&header->sb);
}

/* Writes what the file does not have yet of the descriptions. A number is an index. */
static int describe(int fd, struct tb_descriptions have, struct tb_descriptions now)
{
	tb_descriptions_number(have, now);
	if (now.size == have.size)
		return 0;
	return tb_raw_pwrite(fd, now.bytes + have.size, now.size - have.size,
			     TRACEBUF_DESCRIPTIONS_OFFSET + have.size);
}

static void number(struct tracebuf_enable *record)
{
	uint32_t id = record->index;
	bool wide = id >= TRACEBUF_ID_WIDE;

	record->ring = TRACEBUF_RING_SEVERAL;
	record->id = id;
	record->header_id = wide ? TRACEBUF_ID_WIDE : id;
	record->prefix_id = wide ? id : 0;
	record->prefix_size = wide ? 2 : 0;
	record->prefix_factor = wide ? 65536 : 1;
}

/* What the rules of all active traces say of one record. rules: TRACEBUF_RULES_SIZE bytes of slot's. */
static void evaluate(struct tracebuf_enable *record, unsigned int slot, const void *rules,
		     const struct tb_control_rules *about, struct tb_descriptions now)
{
	const char *name = tb_descriptions_name(now, record->index);
	uint16_t channels = name ? tb_rules_evaluate(rules, about->size, about->nr_channels, name) : 0;

	record->channels[slot] = channels;
	if (!channels)
		return;
	record->ring = !record->enabled && !(channels & (channels - 1)) ?
		       TRACEBUF_RING_SET(slot, __builtin_ctz(channels)) : TRACEBUF_RING_SEVERAL;
	record->enabled |= 1u << slot;
}

/* Sets what is enabled in nr records by the control page, if there is one, without asking anybody. */
static void evaluate_rules(struct tracebuf_enable *records, size_t nr, struct tb_descriptions now)
{
	struct tb_control_rules about;
	void *rules;

	if (!tb_control())
		return;
	rules = tb_raw_mmap(NULL, TRACEBUF_RULES_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (unsigned int slot = 0; rules && slot < TRACEBUF_NR_SLOTS; slot++) {
		if (!tb_control_rules(slot, rules, &about))
			continue;
		self.rules_generation = about.rules_generation;
		for (size_t i = 0; about.size && i < nr; i++)
			if (records[i].used)
				evaluate(&records[i], slot, rules, &about, now);
	}
	if (rules)
		munmap(rules, TRACEBUF_RULES_SIZE);
}

/* Writes unit's records into the file, enabled as the rules say. */
static int enable(int fd, const struct tb_unit *unit, uint32_t first, uint32_t nr, struct tb_descriptions now)
{
	size_t size = nr * sizeof(struct tracebuf_enable);
	uint64_t offset = TRACEBUF_ENABLE_OFFSET + unit->offset + first * sizeof(struct tracebuf_enable);
	struct tracebuf_enable *records = unit->records + first, *copy, one;
	uint64_t idle = tb_control_idle();
	int result;

	for (uint32_t i = 0; i < nr; i++)
		if (records[i].used)
			number(&records[i]);
	if (idle)
		self.rules_generation = idle;
	if (idle || !tb_control())
		return tb_raw_pwrite(fd, records, size, offset);
	copy = nr == 1 ? &one : tb_raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, records, size);
	evaluate_rules(copy, nr, now);
	result = tb_raw_pwrite(fd, copy, size, offset);
	if (copy != &one)
		munmap(copy, size);
	return result;
}

/* A directory entry as getdents64(2) gives it. */
struct entry {
	uint64_t inode;
	int64_t next;
	unsigned short size;
	unsigned char type;
	char name[];
};

/* Removes the file of a process that is dead. */
static void reap_stranger(const char *name)
{
	char path[PATH_SIZE + NAME_MAX];
	long pid = strtol(name + (name[0] == '.'), NULL, 10);

	if (pid <= 0 || tb_raw_result(syscall(SYS_kill, pid, 0)) != -ESRCH)
		return;
	snprintf(path, sizeof(path), "%s/procs/%.*s", tb_process_rundir(), NAME_MAX, name);
	tb_raw_unlink(path);
}

/* Removes files of dead processes, a few, where no daemon does it: else they would pile up. */
static void reap_strangers(void)
{
	char path[PATH_SIZE], entries[2048] __attribute__((aligned(8)));
	long size;
	int fd;

	if (tb_control() || tb_process_pid() % REAPER)
		return;
	snprintf(path, sizeof(path), "%s/procs", tb_process_rundir());
	fd = tb_raw_open(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return;
	size = tb_raw_result(syscall(SYS_getdents64, fd, entries, sizeof(entries)));
	for (long at = 0; at < size; at += ((struct entry *) (entries + at))->size)
		reap_stranger(((struct entry *) (entries + at))->name);
	tb_raw_close(fd);
}

/* Makes the run directory as far as it is missing. */
static void make_rundir(void)
{
	char path[PATH_SIZE];

	tb_raw_mkdir(tb_process_rundir());
	if (!is_usable(tb_process_rundir()))
		return;
	snprintf(path, sizeof(path), "%s/procs", tb_process_rundir());
	tb_raw_mkdir(path);
}

static void name_file(bool hidden, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/procs/%s%d-%llx", tb_process_rundir(), hidden ? "." : "", tb_process_pid(),
		 (unsigned long long) self.incarnation);
}

static int process_open(void)
{
	const char *rundir = tb_process_rundir();
	char hidden[PATH_SIZE];
	int fd;

	if (!rundir)
		return -ENOENT;
	self.incarnation = tb_raw_clock_ns(CLOCK_BOOTTIME);
	name_file(true, hidden);
	if (!is_usable(rundir)) {
		make_rundir();
		if (!is_usable(rundir))
			return -EACCES;
	}
	fd = tb_raw_open(hidden, O_RDWR | O_CREAT | O_EXCL);
	if (fd != -ENOENT)
		return fd;
	make_rundir();
	return tb_raw_open(hidden, O_RDWR | O_CREAT | O_EXCL);
}

static int process_create(int fd)
{
	static const struct tracebuf_process_account nothing;
	struct tracebuf_process header = { 0 };
	int result;

	tb_control_map();
	reap_strangers();
	result = tb_raw_truncate(fd, TRACEBUF_PROCESS_SIZE);
	fill_header(&header);
	result = result ? result : tb_raw_pwrite(fd, &header, sizeof(header), 0);
	result = result ? result : tb_raw_pwrite(fd, &nothing, sizeof(nothing), TRACEBUF_PROCESS_ACCOUNT_OFFSET);
	if (!result)
		self.statedump_size = tb_statedump_file(fd, true, &self.statedump);
	return result;
}

static int process_reopen(int access)
{
	return tb_raw_open(self.path, access);
}

/* From here on the daemon can know what now and enable_size count. What is enabled by them comes after this. */
static void store_counts(struct tracebuf_process *page, struct tb_descriptions now, uint64_t enable_size)
{
	typedef uint64_t __attribute__((may_alias)) both;

	tracebuf__store_release((both *) &page->nr_descriptions, now.nr | (uint64_t) now.size << 32);
	tracebuf__store(&page->rules_generation, self.rules_generation);
	tracebuf__store_release(&page->enable_size, enable_size);
}

static size_t in_pages(size_t size)
{
	size_t page_size = getauxval(AT_PAGESZ);

	return (size + page_size - 1) & ~(page_size - 1);
}

/* A core file gets the descriptions and the statedump that there are, and not the holes behind them. */
static void set_dumped(struct tracebuf_process *page, struct tb_descriptions now, bool is_new)
{
	size_t used = in_pages(now.size), dumped = in_pages(self.statedump_size);
	char *descriptions = (char *) page + TRACEBUF_DESCRIPTIONS_OFFSET;
	char *statedump = (char *) page + TRACEBUF_STATEDUMP_OFFSET;

	if (!is_new) {
		madvise(descriptions, used, MADV_DODUMP);
		madvise(statedump, dumped, MADV_DODUMP);
	}
	madvise(descriptions + used, statedump - (descriptions + used), MADV_DONTDUMP);
	madvise(statedump + dumped, TRACEBUF_STATEDUMP_SIZE - dumped, MADV_DONTDUMP);
}

/* Header and account to write, descriptions and statedump to read: for those who read a core file. */
static void *map_process(int fd)
{
	char *map = tb_raw_mmap(NULL, TRACEBUF_PROCESS_SIZE, PROT_READ, MAP_SHARED, fd, 0);

	if (!map || tb_raw_mmap(map, TRACEBUF_PROCESS_ACCOUNT_OFFSET + getauxval(AT_PAGESZ), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, fd, 0))
		return map;
	munmap(map, TRACEBUF_PROCESS_SIZE);
	return NULL;
}

static int process_publish(int fd, struct tb_descriptions now, uint64_t enable_size, struct tracebuf_process **ret_page)
{
	struct tracebuf_process *page = map_process(fd);
	char hidden[PATH_SIZE];
	int result;

	if (!page)
		return -ENOMEM;
	set_dumped(page, now, true);
	store_counts(page, now, enable_size);
	name_file(true, hidden);
	name_file(false, self.path);
	result = tb_raw_rename(hidden, self.path);
	if (result)
		munmap(page, TRACEBUF_PROCESS_SIZE);
	else
		*ret_page = page;
	return result;
}

static void process_abandon(void)
{
	char hidden[PATH_SIZE];

	name_file(true, hidden);
	tb_raw_unlink(hidden);
}

/* The daemon looks again at what has grown when the file's times change. */
static void process_announce(int fd, struct tracebuf_process *page, struct tb_descriptions now, uint64_t enable_size)
{
	self.statedump_size = tb_statedump_file(fd, false, &self.statedump);
	set_dumped(page, now, false);
	store_counts(page, now, enable_size);
	syscall(SYS_utimensat, fd, NULL, NULL, 0);
}

static void process_remove(void)
{
	tb_raw_unlink(self.path);
}

static int control_open(uint64_t *ret_identity)
{
	const char *rundir = tb_process_rundir();
	char path[TB_RUNDIR_SIZE + 16];
	struct stat st;
	int fd;

	if (!rundir)
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/control", rundir);
	fd = tb_raw_open(path, O_RDONLY);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) ||
	    st.st_size < TRACEBUF_CONTROL_SIZE) {
		tb_raw_close(fd);
		return -EPERM;
	}
	*ret_identity = st.st_ino;
	return fd;
}

static void fill_ring_header(struct tracebuf_ring *header, const struct tb_ring *ring,
			     const struct tb_control_slot *about, uint32_t nr)
{
	struct tb_descriptions now = tb_descriptions_filed();
	uint64_t unique[3];
	unsigned int cpu = 0;

	syscall(SYS_getcpu, &cpu, NULL, NULL);
	memcpy(header->uuid, about->slot.uuid, sizeof(header->uuid));
	header->generation = ring->generation;
	header->stream_id = tb_stream_id(ring->context, now.bytes, now.size);
	header->incarnation = self.incarnation;
	header->pid = tb_process_pid();
	header->cpu = ring->locked ? cpu : ring->row;
	header->slot = ring->slot;
	header->channel = ring->ring_set % 16;
	header->instance = nr;
	unique[0] = tb_process_pid();
	unique[1] = self.incarnation;
	unique[2] = header->instance;
	header->stream_instance_id = tb_stream_id(0, unique, sizeof(unique));
	header->nr_descriptions = now.nr;
	header->clock = ring->clock;
	header->writer = ring->locked ? TRACEBUF_WRITER_FALLBACK : TRACEBUF_WRITER_RSEQ;
	header->config = about->slot.channel[header->channel];
	memcpy(header->procname, self.procname, sizeof(header->procname));
	tb_control_origin(header);
	memcpy(header->trace_name, about->slot.name, sizeof(header->trace_name));
	tb_superblock_fill(&header->sb, TRACEBUF_KIND_RING, TRACEBUF_RING_HEADER_SIZE,
			   TRACEBUF_RING_DATA_OFFSET + ring->ring_size);
	tb_superblock_seal(&header->sb);
}

/* Maps the new file fd, filled with header, into ring. */
static int map_ring(struct tb_ring *ring, int fd, const struct tracebuf_ring *header)
{
	const struct tracebuf_producer producer = {
		.mask = ring->ring_size - 1,
		.context_size = ring->context == TRACEBUF_CONTEXT_VTID ? 4 : 0,
	};
	size_t size = TRACEBUF_RING_DATA_OFFSET + ring->ring_size;
	int result = tb_raw_truncate(fd, size);

	result = result ? result : tb_raw_pwrite(fd, header, sizeof(*header), 0);
	result = result ? result : tb_raw_pwrite(fd, &producer, sizeof(producer), TRACEBUF_RING_PRODUCER_OFFSET);
	if (result)
		return result;
	ring->map = tb_raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!ring->map)
		return -ENOMEM;
	madvise(ring->map, size, MADV_DONTFORK);
	mprotect(ring->map, TRACEBUF_RING_PRODUCER_OFFSET, PROT_READ);
	ring->nr_descriptions = header->nr_descriptions;
	return 0;
}

/* Writes the paths of the ring's file: ring->path, and hidden, under which it is made. */
static void name_ring(struct tb_ring *ring, const struct tracebuf_ring *header, char hidden[sizeof(ring->path)])
{
	const char *rundir = tb_process_rundir();
	char name[80];

	snprintf(name, sizeof(name), "%d-%llx-%u-%u-%u", tb_process_pid(), (unsigned long long) self.incarnation,
		 header->channel, header->cpu, header->instance);
	snprintf(ring->path, sizeof(ring->path), "%s/rings/%llu/%s", rundir,
		 (unsigned long long) ring->generation, name);
	snprintf(hidden, sizeof(ring->path), "%s/rings/%llu/.%s", rundir, (unsigned long long) ring->generation,
		 name);
}

/* May rings take size bytes more of the file system that the run directory is on? */
static int check_room(uint64_t size)
{
	struct statfs fs;
	uint64_t total, headroom;
	int result = tb_raw_result(syscall(SYS_statfs, tb_process_rundir(), &fs));

	if (result)
		return result;
	total = (uint64_t) fs.f_blocks * fs.f_bsize;
	headroom = total / 16 < MAX_HEADROOM ? total / 16 : MAX_HEADROOM;
	/* A tmpfs without a limit says that it has no blocks. */
	return !total || (uint64_t) fs.f_bavail * fs.f_bsize >= size + headroom ? 0 : -ENOSPC;
}

static int ring_make(struct tb_ring *ring, const struct tb_control_slot *about, uint32_t nr)
{
	struct tracebuf_ring header = { 0 };
	char hidden[sizeof(ring->path)];
	int result = check_room(0), fd;

	if (result)
		return result;
	fill_ring_header(&header, ring, about, nr);
	name_ring(ring, &header, hidden);
	fd = tb_raw_open(hidden, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return fd;
	result = map_ring(ring, fd, &header);
	tb_raw_close(fd);
	if (!result)
		result = tb_raw_rename(hidden, ring->path);
	if (result) {
		tb_raw_unlink(hidden);
		if (ring->map)
			munmap(ring->map, TRACEBUF_RING_DATA_OFFSET + ring->ring_size);
	}
	return result;
}

/* Where the kernel cannot populate (before 5.14): the file system backs the range. */
static int allocate(const struct tb_ring *ring, uint64_t from, uint64_t size)
{
	int fd = tb_raw_open(ring->path, O_RDWR), result;

	if (fd < 0)
		return fd;
	result = tb_raw_result(syscall(SYS_fallocate, fd, 0, TRACEBUF_RING_DATA_OFFSET + from, size));
	tb_raw_close(fd);
	return result;
}

static int ring_back(const struct tb_ring *ring, uint64_t from, uint64_t size)
{
	int result = check_room(size);

	if (result)
		return result;
	if (!madvise(ring->data + from, size, MADV_POPULATE_WRITE))
		return 0;
	return errno == EINVAL ? allocate(ring, from, size) : -ENOSPC;
}

static void ring_bell(struct tb_ring *ring)
{
	if (ring->mode != TRACEBUF_MODE_OVERWRITE)
		syscall(SYS_utimensat, AT_FDCWD, ring->path, NULL, 0);
}

static bool daemon_is_alive(void)
{
	const struct tracebuf_control *control = tb_control();
	int32_t pid = control ? tracebuf__load(&control->daemon_pid) : 0;

	return pid > 0 && tb_raw_result(syscall(SYS_kill, pid, 0)) != -ESRCH;
}

static bool ring_wait(struct tb_ring *ring, uint64_t seq, uint32_t wake)
{
	const struct timespec timeout = { 0, TB_RING_WAIT_MS * 1000000 };

	(void) seq;
	syscall(SYS_futex, &ring->consumer->wake, FUTEX_WAIT, wake, &timeout, NULL, 0);
	return daemon_is_alive();
}

const struct tb_home tb_home_rundir = {
	.process_open = process_open,
	.process_create = process_create,
	.process_reopen = process_reopen,
	.describe = describe,
	.enable = enable,
	.process_publish = process_publish,
	.process_abandon = process_abandon,
	.process_announce = process_announce,
	.process_remove = process_remove,
	.control_open = control_open,
	.control_size = TRACEBUF_CONTROL_SIZE,
	.ring_make = ring_make,
	.ring_back = ring_back,
	.ring_bell = ring_bell,
	.ring_wait = ring_wait,
};
