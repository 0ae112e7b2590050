/* SPDX-License-Identifier: MIT */
#ifndef TB_LEDGER_H
#define TB_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a trace holds of one writer. */
struct ledger_writer {
	uint64_t nr;			/* different events */
	uint64_t first, last;		/* lowest and highest number */
	int32_t pid, tid;		/* of the last event: packet's pid, context's vtid (0: no such context) */
	bool several_pids, several_tids;
	uint8_t *seen;			/* a bit for each number from base on */
	uint64_t base;			/* a little below the first event read: streams overlap */
	size_t seen_size;
};

struct ledger {
	struct ledger_writer *writer;
	uint32_t nr_writers;
	uint64_t nr_events;		/* of all kinds */
	uint64_t nr_foreign;		/* events that are not the traced program's */
	uint64_t nr_wrong;		/* events whose sum or data is not what their writer wrote */
	uint64_t nr_duplicate;
	uint64_t nr_backwards;		/* events earlier than the one before in the merged order */
	uint64_t nr_damaged, nr_discarded, nr_missing;	/* what the reader says */
};

/*
 * Reads the trace in directory path with the reader library and books each event of writers 0 ... nr_writers - 1;
 * events of others are wrong. Asserts that it can be read. ledger_free() it in any case.
 */
bool ledger_read(struct ledger *ledger, const char *path, uint32_t nr_writers);
void ledger_free(struct ledger *ledger);

/* Asserts what holds of every trace: nothing wrong, damaged, twice or back in time. */
void ledger_assert_sound(const struct ledger *ledger);

/* Have the writer's events from ... to - 1 all been seen? */
bool ledger_has_all(const struct ledger_writer *writer, uint64_t from, uint64_t to);

#endif
