/* SPDX-License-Identifier: MIT */
/*
 * The process file: who this process is, what it can record, and the pages by which it is told what to record.
 *
 * Invariant: a process file is published (renamed) only when it is whole, and then only grows; its counts are raised
 * (release) after what they count is written. All writing goes by pwrite(), so a full tmpfs is an error code. No
 * descriptor stays open. A forked child goes on reading its parent's pages, which stay as long as anybody maps them
 * (the daemon asks the kernel with a lease), until it traces for the first time or registers something.
 */
#define _GNU_SOURCE
#include "process.h"
#include "control.h"
#include "descriptions.h"
#include "pattern.h"
#include "raw.h"
#include "ring.h"
#include "rundir.h"
#include "superblock.h"
#include "table.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#define PATH_SIZE (TB_RUNDIR_SIZE + 64)
/* One process in so many looks for files of dead ones: start-up shall be short, and one look finds many. */
#define REAPER 8

static struct {
	char rundir[TB_RUNDIR_SIZE];
	char path[PATH_SIZE];
	char procname[TRACEBUF_PROCNAME_SIZE];
	struct tracebuf_process *page;		/* of the process file, NULL without one */
	struct tracebuf_process_account *account;	/* beside it */
	uint64_t incarnation;
	uint64_t rules_generation;		/* of the rules that the latest records went by */
	uint32_t descriptions_size;		/* bytes of them that the file has */
	int pid;
	int state;				/* 0 not looked yet, 1 can trace, -1 cannot */
} self;

static bool is_usable(const char *rundir)
{
	struct stat st;

	return !stat(rundir, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

bool tb_process_can_trace(void)
{
	const char *off = secure_getenv("TRACEBUF");

	if (self.state == 0)
		self.state = (off && !strcmp(off, "0")) || tb_rundir_path(self.rundir) ? -1 : 1;
	return self.state > 0;
}

struct tb_process_identity tb_process_identity(void)
{
	return (struct tb_process_identity) {
		.rundir = self.rundir,
		.procname = self.procname,
		.incarnation = self.incarnation,
		.pid = self.pid,
	};
}

bool tb_process_is_ours(void)
{
	return self.page && tb_table_is_ours();
}

void tb_process_discard(void)
{
	if (self.page)
		tracebuf__add(&self.account->discarded, 1);
}

static void fill_header(struct tracebuf_process *header)
{
	/* As it was executed: no system call, and /proc may not be there. */
	const char *executable = (const char *) getauxval(AT_EXECFN);

	tb_superblock_fill(&header->sb, TRACEBUF_KIND_PROCESS, TRACEBUF_PROCESS_HEADER_SIZE, TRACEBUF_PROCESS_SIZE);
	header->pid = self.pid;
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

/* Writes what the file does not have yet of the descriptions. */
static int write_descriptions(int fd, struct tb_descriptions now)
{
	uint32_t have = self.descriptions_size;
	int result = 0;

	if (now.size > have)
		result = tb_raw_pwrite(fd, now.bytes + have, now.size - have, TRACEBUF_DESCRIPTIONS_OFFSET + have);
	if (!result)
		self.descriptions_size = now.size;
	return result;
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
static int write_unit(int fd, const struct tb_unit *unit, struct tb_descriptions now)
{
	uint64_t offset = TRACEBUF_ENABLE_OFFSET + unit->offset;
	struct tracebuf_enable *records;
	int result;

	if (!tb_control())
		return tb_raw_pwrite(fd, unit->records, unit->size, offset);
	records = tb_raw_mmap(NULL, unit->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!records)
		return -ENOMEM;
	memcpy(records, unit->records, unit->size);
	evaluate_rules(records, unit->size / sizeof(*records), now);
	result = tb_raw_pwrite(fd, records, unit->size, offset);
	munmap(records, unit->size);
	return result;
}

static int map_unit(int fd, const struct tb_unit *unit)
{
	if (!unit->address)
		return 0;
	return tb_raw_mmap(unit->address, unit->size, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
			   TRACEBUF_ENABLE_OFFSET + unit->offset) ? 0 : -ENOMEM;
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
	snprintf(path, sizeof(path), "%s/procs/%.*s", self.rundir, NAME_MAX, name);
	tb_raw_unlink(path);
}

/* Removes files of dead processes, a few, where no daemon does it: else they would pile up. */
static void reap_strangers(void)
{
	char path[PATH_SIZE], entries[2048] __attribute__((aligned(8)));
	long size;
	int fd;

	if (tb_control() || self.pid % REAPER)
		return;
	snprintf(path, sizeof(path), "%s/procs", self.rundir);
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

	tb_raw_mkdir(self.rundir);
	if (!is_usable(self.rundir))
		return;
	snprintf(path, sizeof(path), "%s/procs", self.rundir);
	tb_raw_mkdir(path);
}

static void name_file(bool hidden, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/procs/%s%d-%llx", self.rundir, hidden ? "." : "", self.pid,
		 (unsigned long long) self.incarnation);
}

/* From here on the daemon can know what now and enable_size count. What is enabled by them comes after this. */
static void publish_counts(struct tracebuf_process *page, struct tb_descriptions now, uint64_t enable_size)
{
	tracebuf__store(&page->nr_descriptions, now.nr);
	tracebuf__store(&page->descriptions_size, now.size);
	tracebuf__store(&page->rules_generation, self.rules_generation);
	tracebuf__store_release(&page->enable_size, enable_size);
	tb_descriptions_set_filed(now);
	tb_ring_retire_outdated();
}

/* Fills the new file fd and publishes it under its name. units: all that it shall have. */
static int fill_file(int fd, struct tb_unit *units, const char *hidden)
{
	struct tb_descriptions now = tb_descriptions_now();
	static const struct tracebuf_process_account nothing;
	struct tracebuf_process header = { 0 }, *page;
	size_t mapped = TRACEBUF_PROCESS_ACCOUNT_OFFSET + getauxval(AT_PAGESZ);
	uint64_t enable_size = 0;
	int result = tb_raw_truncate(fd, TRACEBUF_PROCESS_SIZE);

	fill_header(&header);
	self.descriptions_size = 0;
	result = result ? result : tb_raw_pwrite(fd, &header, sizeof(header), 0);
	result = result ? result : tb_raw_pwrite(fd, &nothing, sizeof(nothing), TRACEBUF_PROCESS_ACCOUNT_OFFSET);
	result = result ? result : write_descriptions(fd, now);
	for (struct tb_unit *unit = units; unit && !result; unit = unit->next) {
		result = write_unit(fd, unit, now);
		if (unit->offset + unit->size > enable_size)
			enable_size = unit->offset + unit->size;
	}
	if (result)
		return result;
	page = tb_raw_mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!page)
		return -ENOMEM;
	publish_counts(page, now, enable_size);
	name_file(false, self.path);
	result = tb_raw_rename(hidden, self.path);
	if (result) {
		munmap(page, mapped);
		return result;
	}
	self.account = (void *) ((char *) page + TRACEBUF_PROCESS_ACCOUNT_OFFSET);
	self.page = page;
	return 0;
}

/* Creates the file of this process under a hidden name, and the run directory with it if need be. Descriptor or -errno. */
static int create_file(char hidden[PATH_SIZE])
{
	int fd;

	self.pid = tb_raw_getpid();
	self.incarnation = tb_raw_clock_ns(CLOCK_BOOTTIME);
	name_file(true, hidden);
	if (!is_usable(self.rundir)) {
		make_rundir();
		if (!is_usable(self.rundir))
			return -EACCES;
	}
	fd = tb_raw_open(hidden, O_RDWR | O_CREAT | O_EXCL);
	if (fd != -ENOENT)
		return fd;
	make_rundir();
	return tb_raw_open(hidden, O_RDWR | O_CREAT | O_EXCL);
}

/* Makes the file of this process with units in it, and maps each over its object. */
static int make_file(struct tb_unit *units)
{
	char hidden[PATH_SIZE];
	int fd = create_file(hidden), result;

	if (fd < 0)
		return fd;
	tb_control_map(self.rundir);
	reap_strangers();
	self.page = NULL;
	result = fill_file(fd, units, hidden);
	if (result)
		tb_raw_unlink(hidden);
	for (struct tb_unit *unit = units; unit && !result; unit = unit->next)
		result = map_unit(fd, unit);
	tb_raw_close(fd);
	if (self.page)
		tb_table_claim();
	return result;
}

/* Adds to the file that there is. */
static int extend_file(struct tb_unit *unit)
{
	struct tb_descriptions now = tb_descriptions_now();
	uint64_t end = unit ? unit->offset + unit->size : 0, enable_size = tracebuf__load(&self.page->enable_size);
	int fd = tb_raw_open(self.path, O_RDWR), result;

	if (fd < 0)
		return fd;
	result = write_descriptions(fd, now);
	if (!result && end > enable_size)
		result = write_unit(fd, unit, now);
	if (!result) {
		publish_counts(self.page, now, end > enable_size ? end : enable_size);
		result = unit ? map_unit(fd, unit) : 0;
	}
	/* The daemon looks again at what has grown when the file's times change. */
	syscall(SYS_utimensat, fd, NULL, NULL, 0);
	tb_raw_close(fd);
	return result;
}

int tb_process_publish(struct tb_unit *all, struct tb_unit *fresh)
{
	return tb_process_is_ours() ? extend_file(fresh) : make_file(all);
}

/* Writes one record into the file that there is, and tells the daemon. */
static int write_record(const struct tb_unit *unit, uint32_t index)
{
	struct tb_descriptions now = tb_descriptions_now();
	struct tracebuf_enable record = unit->records[index];
	int fd = tb_raw_open(self.path, O_RDWR), result;

	if (fd < 0)
		return fd;
	evaluate_rules(&record, 1, now);
	result = write_descriptions(fd, now);
	result = result ? result : tb_raw_pwrite(fd, &record, sizeof(record), TRACEBUF_ENABLE_OFFSET + unit->offset +
						 index * sizeof(record));
	if (!result)
		publish_counts(self.page, now, tracebuf__load(&self.page->enable_size));
	syscall(SYS_utimensat, fd, NULL, NULL, 0);
	tb_raw_close(fd);
	return result;
}

int tb_process_update_record(struct tb_unit *all, struct tb_unit *unit, uint32_t index)
{
	return tb_process_is_ours() ? write_record(unit, index) : make_file(all);
}

struct tracebuf_process *tb_process_map(void)
{
	struct tracebuf_process *map;
	int fd = tb_process_is_ours() ? tb_raw_open(self.path, O_RDONLY) : -ENOENT;

	if (fd < 0)
		return NULL;
	map = tb_raw_mmap(NULL, TRACEBUF_PROCESS_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	tb_raw_close(fd);
	return map;
}

void tb_process_end(bool nobody_else)
{
	/* What was lost for want of a ring is in no other file: the daemon must read it first. */
	if (nobody_else && self.page && tb_process_is_ours() && !tracebuf__load(&self.account->discarded))
		tb_raw_unlink(self.path);
}
