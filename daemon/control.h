/* SPDX-License-Identifier: MIT */
#ifndef TB_DAEMON_CONTROL_H
#define TB_DAEMON_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>
#include "clock.h"

/* The control page: what is shown to processes, and the private copy that it is written from. */
struct tb_control {
	int fd;
	struct tracebuf_control page;			/* as it is in the file */
	char *rules[TRACEBUF_NR_SLOTS];			/* rules_size bytes of each slot, malloc()ed */
	uint64_t freed_ns[TRACEBUF_NR_SLOTS];		/* CLOCK_MONOTONIC at which the slot was last given up */
	bool was_cut;					/* a killed daemon was writing */
	bool was_stopped[TRACEBUF_NR_SLOTS];		/* a killed daemon left it in use and not active */
};

/*
 * Opens the control file of directory dir, or makes one with this clock (published by rename). What a killed daemon
 * left is taken over: its clock, its numbers; its slots are cleared once tb_control_set_slot() says so.
 * 0, -EPROTONOSUPPORT (made by another version), -errno. *ret_found: it was there before.
 */
int tb_control_open(struct tb_control *control, int dir, enum tracebuf_clock clock, bool *ret_found);
void tb_control_close(struct tb_control *control);

/* Stores what is measured at start, unless a daemon before this one has done so since the machine was started. */
int tb_control_set_clock(struct tb_control *control, const struct tb_clock *clock, bool rseq_works);

/* A slot that is out of quarantine: its number, -EUSERS (all taken), -EAGAIN (the free ones are still too young). */
int tb_control_find_slot(const struct tb_control *control, uint64_t quarantine_ns);

/* The private copy alone: a slot and its rules. 0, -ENOSPC, -ENOMEM. */
int tb_control_keep(struct tb_control *control, unsigned int number, const struct tracebuf_slot *slot,
		    const void *rules, size_t rules_size);
/* Shows processes a slot and its rules, if that is anything new. slot NULL: nothing is there any more, and its
   quarantine begins. */
int tb_control_set_slot(struct tb_control *control, unsigned int number, const struct tracebuf_slot *slot,
			const void *rules, size_t rules_size);

/* A number that no trace of this directory has had. */
uint64_t tb_control_new_generation(struct tb_control *control);

#endif
