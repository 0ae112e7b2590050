/* SPDX-License-Identifier: MIT */
#ifndef TB_WRITER_RING_H
#define TB_WRITER_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <tracebuf/abi.h>

/* A ring as its process knows it. All but users, lock, has_rung and next is constant from publication to unmapping. */
struct tb_ring {
	struct tracebuf_ring *map;	/* the shared pages; valid while pinned */
	struct tracebuf_producer *producer;
	const struct tracebuf_consumer *consumer;
	char *data;
	uint64_t generation;
	uint64_t ring_size, subbuf_size;	/* bytes */
	uint32_t nr_subbufs;
	uint32_t slot, ring_set, row;
	uint32_t mode, context, clock;
	uint32_t block_timeout_ms;
	uint32_t nr_descriptions;
	bool locked;			/* written under lock, not by restartable sequences */
	bool slow_only;			/* no short way may write it: limit stays 0 */
	uint32_t lock;
	uint32_t instance;		/* by which the kernel knows it, where that is its home */
	bool has_rung;			/* ... and was told of it */
	char path[160];			/* of its file, in a run directory */
	/* From here on kept when the object is used again: users may be touched by who comes too late. */
	uint32_t users;			/* threads (and handlers in them) that use it outside of a sequence */
	struct tb_ring *next;		/* of those retired or spare */
	struct tb_ring *older;		/* of all that were ever allocated */
};

/* Does a context keep events from the fast path, which knows only the thread's id? */
static inline bool tb_ring_is_slow_context(uint32_t context)
{
	return context & ~(uint32_t) TRACEBUF_CONTEXT_VTID;
}

/*
 * The ring of a row and ring set, able to hold the event of the index-th description, made if it is not there; pinned
 * until tb_ring_unpin(). 0 or -EBUSY (being made by another thread or by what this handler interrupted), -ESTALE (no
 * such trace any more), -ENOSPC and what else making files says. Any context; does not block.
 */
int tb_ring_pin(uint32_t row, uint32_t ring_set, uint32_t index, struct tb_ring **ret_ring);
/* An entry of the table that somebody is filling or emptying. */
#define TB_RING_CLAIMED 1
/* What a table's entry holds, to be looked at only, as it may be given up at any time; NULL: nothing yet. */
struct tb_ring *tb_ring_in(struct tb_ring *const *entry);
int tb_ring_pin_existing(uint32_t row, uint32_t ring_set, struct tb_ring **ret_ring);	/* else -ENOENT */
void tb_ring_unpin(struct tb_ring *ring);

/*
 * Gives up the rings that cannot hold every event that is in the process file. Called when descriptions have been added
 * there, before any of those events can be enabled: the fast path does not look at ids.
 */
void tb_ring_retire_outdated(void);

/* Have rings been made in this process? */
bool tb_ring_any(void);

/* Makes sure that pages back [0, end) of the ring's data, as far as it reaches. 0 or -ENOSPC. */
int tb_ring_populate(struct tb_ring *ring, uint64_t end);

#endif
