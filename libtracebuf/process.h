/* SPDX-License-Identifier: MIT */
#ifndef TB_PROCESS_H
#define TB_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

/*
 * The enable records of one page array of one loaded object, and where they lie in the process file. records: used and
 * index of each; the home numbers them. address: where the object has them, NULL while no object does.
 */
struct tb_unit {
	struct tb_unit *next;
	void *address;
	struct tracebuf_enable *records;
	size_t size;			/* bytes, whole pages */
	uint64_t offset;		/* in the process file's enable area */
	bool run_time;			/* holds events described at run time: no object, never unloaded */
};

/* Is tracing possible at all: not switched off, and with a home? Any context. */
bool tb_process_can_trace(void);

/* The run directory of this process, whatever home its pages have; NULL: it has none. Any context. */
const char *tb_process_rundir(void);

/* This process as it sees itself, known from when it makes its pages. Any context. */
int tb_process_pid(void);

/*
 * Brings the process file up to date with the descriptions and with fresh (NULL: none), one of all, and maps fresh's
 * records over its address. A process that has no file, or still its parent's, makes its own, with all of them.
 * The caller holds the registry's lock. Signal-safe where a daemon is there. -errno: nothing is mapped, the object
 * stays disabled; -ENOENT: for good.
 */
int tb_process_publish(const struct tb_unit *all, const struct tb_unit *fresh);

/* Brings the index-th record of unit, one of all and published, into the process file. As tb_process_publish(). */
int tb_process_update_record(const struct tb_unit *all, const struct tb_unit *unit, uint32_t index);

/* The whole process file, read-only, for the caller to unmap (TRACEBUF_PROCESS_SIZE); NULL if there is none. */
struct tracebuf_process *tb_process_map(void);

/* Is the process file that there is this process's own? Any context. */
bool tb_process_is_ours(void);

/* An event is lost for which there is no ring to count it in. Any context. */
void tb_process_discard(void);

/* The process ends in order: its file goes if nobody else can need it. */
void tb_process_end(bool nobody_else);

#endif
