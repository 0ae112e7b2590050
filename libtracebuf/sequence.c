/* SPDX-License-Identifier: MIT */
/*
 * Commits of any size: the restartable sequences of the slow path, and what stands for them under a lock.
 *
 * Invariant, as in arch/x86_64.h: the store of position is the last thing; whatever was copied before it is invalid if
 * it does not happen. Position only grows, so "position is still expected" means that nothing was committed between the
 * caller's preparations (room, time, header) and the copy.
 */
#include "sequence.h"
#include <errno.h>
#include <string.h>
#include <sys/rseq.h>
#include "ring.h"

#if defined(__x86_64__)
#include "sequence_x86_64.h"
#elif defined(__aarch64__)
#include "sequence_aarch64.h"
#else
#include "sequence_generic.h"
#endif

int tb_sequence_commit_locked(struct tracebuf_producer *producer, const struct tb_commit *commit,
			      const struct tb_copy *copies, size_t nr)
{
	if (tracebuf__load(&producer->position) != commit->expected)
		return -EAGAIN;
	for (size_t i = 0; i < nr; i++) {
		memcpy(copies[i].to, copies[i].from, copies[i].size);
		if (copies[i].is_text && memchr(copies[i].to, 0, copies[i].size))
			return -EILSEQ;
	}
	tracebuf__store_release(&producer->tally, commit->tally);
	tracebuf__store_release(&producer->position, commit->position);
	return 0;
}
