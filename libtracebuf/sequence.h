/* SPDX-License-Identifier: MIT */
#ifndef TB_SEQUENCE_H
#define TB_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>
#include <tracebuf/write.h>

struct tb_ring;

/* One copy into a ring. is_text: the bytes must not hold a NUL once they are there. */
struct tb_copy {
	void *to;
	const void *from;
	size_t size;
	size_t is_text;
};

/* What a commit changes: valid only if the ring's position is still expected. */
struct tb_commit {
	uint64_t expected;
	uint64_t position;
	uint64_t tally;
};

/*
 * If this thread runs on cpu and producer's position is as expected: makes the nr copies and then stores position and
 * tally, all or nothing. 0, -EAGAIN (not so, or interrupted), -EILSEQ (a text was changed while it was copied).
 * Where rseq is registered for this thread; any context.
 */
int tb_sequence_commit(struct tracebuf_producer *producer, uint32_t cpu, const struct tb_commit *commit,
		       const struct tb_copy *copies, size_t nr);

/* The same under the ring's lock, on any CPU. */
int tb_sequence_commit_locked(struct tracebuf_producer *producer, const struct tb_commit *commit,
			      const struct tb_copy *copies, size_t nr);

/* tracebuf__commit_short() for a payload whose size is known at run time. 1: committed, 0: take the slow path. */
int tb_sequence_staged(const struct tracebuf_enable *enable, const void *payload, size_t size);

/*
 * The same for a ring that the fast path does not see, since its events have more contexts than the thread's id:
 * payload begins with them. entry: the ring's in the library's table, in the row of cpu. 0 also if there is no ring of
 * this context then.
 */
int tb_sequence_with_context(const struct tracebuf_enable *enable, struct tb_ring *const *entry, uint32_t cpu,
			     uint32_t context, const void *payload, size_t size);

/* The CPU of this thread by its rseq area, negative where rseq is not registered. */
int32_t tb_sequence_cpu(void);

/* Makes the kernel forget the last sequence: the object that held it may be unloaded. */
void tb_sequence_forget(void);

#endif
