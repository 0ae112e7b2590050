/* SPDX-License-Identifier: MIT */
/*
 * The pages of this process: who it is, what it can record, and by which it is told what to record.
 *
 * Invariant: they are published only when they are whole, and then only grow; what is enabled by an addition is mapped
 * after the rings have been told of it. A forked child goes on reading its parent's pages, which stay as long as anybody
 * maps them, until it traces for the first time or registers something; what it loses meanwhile is counted there.
 */
#define _GNU_SOURCE
#include "process.h"
#include "control.h"
#include "descriptions.h"
#include "home.h"
#include "raw.h"
#include "ring.h"
#include "rundir.h"
#include "table.h"
#include <stdlib.h>
#include <string.h>

static struct {
	char rundir[TB_RUNDIR_SIZE];
	struct tracebuf_process *page;		/* this process's or its parent's, NULL without one */
	struct tracebuf_process_account *account;	/* beside it */
	struct tb_descriptions described;	/* those that this process's own pages have */
	uint64_t enable_size;			/* bytes of enable area that they have */
	int pid;
	int state;				/* 0 not looked yet, 1 can trace, -1 cannot */
	bool has_rundir;
} self;

static bool is_switched_off(void)
{
	const char *value = secure_getenv("TRACEBUF");

	return value && !strcmp(value, "0");
}

bool tb_process_can_trace(void)
{
	if (self.state)
		return self.state > 0;
	if (is_switched_off()) {
		self.state = -1;
		return false;
	}
	self.has_rundir = !tb_rundir_path(self.rundir);
	self.state = self.has_rundir || tb_home() == &tb_home_kernel ? 1 : -1;
	return self.state > 0;
}

const char *tb_process_rundir(void)
{
	return self.has_rundir ? self.rundir : NULL;
}

int tb_process_pid(void)
{
	return self.pid;
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

static int map_unit(int fd, const struct tb_unit *unit)
{
	if (!unit->address)
		return 0;
	return tb_raw_mmap(unit->address, unit->size, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
			   TRACEBUF_ENABLE_OFFSET + unit->offset) ? 0 : -ENOMEM;
}

/* The kernel will not have this process: what its parent's pages enable must not be tried again and again. */
static void switch_off(const struct tb_unit *units)
{
	self.state = -1;
	for (const struct tb_unit *unit = units; unit; unit = unit->next)
		if (unit->address)
			tb_raw_mmap(unit->address, unit->size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static int describe(int fd, struct tb_descriptions now)
{
	int result = tb_home()->describe(fd, self.described, now);

	if (!result)
		self.described = now;
	return result;
}

static uint32_t nr_records(const struct tb_unit *unit)
{
	return unit->size / sizeof(*unit->records);
}

/* The pages have now and enable_size. What can be enabled by that is mapped after this. */
static void account_for(struct tb_descriptions now, uint64_t enable_size)
{
	self.enable_size = enable_size;
	tb_descriptions_set_filed(now);
	tb_ring_retire_outdated();
}

/* Fills the new pages that fd is of, and publishes them. units: all that they shall have. */
static int fill_pages(int fd, const struct tb_unit *units)
{
	struct tb_descriptions now = tb_descriptions_now();
	struct tracebuf_process *page;
	uint64_t enable_size = 0;
	int result;

	self.described = (struct tb_descriptions) { .bytes = now.bytes };
	result = describe(fd, now);
	for (const struct tb_unit *unit = units; unit && !result; unit = unit->next) {
		result = tb_home()->enable(fd, unit, 0, nr_records(unit), now);
		if (unit->offset + unit->size > enable_size)
			enable_size = unit->offset + unit->size;
	}
	if (!result)
		result = tb_home()->process_publish(fd, now, enable_size, &page);
	if (result) {
		tb_home()->process_abandon();
		return result;
	}
	self.account = (void *) ((char *) page + TRACEBUF_PROCESS_ACCOUNT_OFFSET);
	self.page = page;
	account_for(now, enable_size);
	return 0;
}

/* Makes the pages of this process with units in them, and maps each over its object. */
static int make_pages(const struct tb_unit *units)
{
	int fd, result;

	self.pid = tb_raw_getpid();
	fd = tb_home_create_process();
	result = fd;
	if (fd >= 0) {
		result = fill_pages(fd, units);
		if (!result) {
			for (const struct tb_unit *unit = units; unit && !result; unit = unit->next)
				result = map_unit(fd, unit);
			tb_table_claim();
		}
		tb_raw_close(fd);
	}
	if (result != -EUSERS)
		return result;
	switch_off(units);
	return -ENOENT;
}

/* Adds to the pages that there are. */
static int extend_pages(const struct tb_unit *unit)
{
	struct tb_descriptions now = tb_descriptions_now();
	uint64_t end = unit ? unit->offset + unit->size : 0, enable_size = self.enable_size;
	int fd = tb_home()->process_reopen(O_RDWR), result;

	if (fd < 0)
		return fd;
	result = describe(fd, now);
	if (!result && end > enable_size) {
		result = tb_home()->enable(fd, unit, 0, nr_records(unit), now);
		enable_size = end;
	}
	if (!result) {
		tb_home()->process_announce(fd, self.page, now, enable_size);
		account_for(now, enable_size);
		result = unit ? map_unit(fd, unit) : 0;
	}
	tb_raw_close(fd);
	return result;
}

int tb_process_publish(const struct tb_unit *all, const struct tb_unit *fresh)
{
	if (self.state < 0)
		return -ENOENT;
	return tb_process_is_ours() ? extend_pages(fresh) : make_pages(all);
}

/* Stores one record in the pages that there are. */
static int store_record(const struct tb_unit *unit, uint32_t index)
{
	struct tb_descriptions now = tb_descriptions_now();
	int fd = tb_home()->process_reopen(O_RDWR), result;

	if (fd < 0)
		return fd;
	result = describe(fd, now);
	result = result ? result : tb_home()->enable(fd, unit, index, 1, now);
	if (!result) {
		tb_home()->process_announce(fd, self.page, now, self.enable_size);
		account_for(now, self.enable_size);
	}
	tb_raw_close(fd);
	return result;
}

int tb_process_update_record(const struct tb_unit *all, const struct tb_unit *unit, uint32_t index)
{
	if (self.state < 0)
		return -ENOENT;
	return tb_process_is_ours() ? store_record(unit, index) : make_pages(all);
}

struct tracebuf_process *tb_process_map(void)
{
	struct tracebuf_process *map;
	int fd = tb_process_is_ours() ? tb_home()->process_reopen(O_RDONLY) : -ENOENT;

	if (fd < 0)
		return NULL;
	map = tb_raw_mmap(NULL, TRACEBUF_PROCESS_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	tb_raw_close(fd);
	return map;
}

void tb_process_end(bool nobody_else)
{
	/* What was lost for want of a ring is in no other file: the daemon must read it first. */
	if (nobody_else && tb_process_is_ours() && !tracebuf__load(&self.account->discarded))
		tb_home()->process_remove();
}
