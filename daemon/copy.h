/* SPDX-License-Identifier: MIT */
#ifndef TB_COPY_H
#define TB_COPY_H

#include "drain.h"

/* A sub-buffer as a packet of its own, checked event by event: nobody else can change it any more. */
struct tb_copy {
	struct tb_staging *staging;
	struct tracebuf_packet packet;		/* its head, as it also stands in the copy */
	uint64_t size;				/* bytes to write, a multiple of 4096 */
	uint64_t content_size;			/* bytes, packet header included */
	uint64_t time_end, discarded;
	bool closed;
	uint64_t ring_size;			/* bytes of the sub-buffer that went into it */
};

/*
 * First step: copies a finished sub-buffer (content_size 0), or the unfinished one of which content_size bytes are valid.
 * 0, -ESTALE (an overwrite ring's writer was there meanwhile), -EBADMSG (no right head), -EFAULT (file cut short),
 * -ENOMEM.
 */
int tb_copy_take(struct tb_drain *drain, uint64_t seq, uint64_t content_size, struct tb_copy *ret_copy);
/*
 * Second step: checks every event and makes a packet of it; of a sub-buffer that a rotation has split, of its second
 * part. 0, or the copy is freed: -ENODATA (no event in it), -EBADMSG (damaged).
 */
int tb_copy_complete(struct tb_drain *drain, struct tb_copy *copy);
/* Both. */
int tb_copy_make(struct tb_drain *drain, uint64_t seq, uint64_t content_size, struct tb_copy *ret_copy);
void tb_copy_free(struct tb_drain *drain, struct tb_copy *copy);

/* Is this what a packet that follows *expect may say? Moves *expect behind it if so. 0 or -EBADMSG. Pure. */
int tb_expect_packet(struct tb_expect *expect, const struct tracebuf_packet *packet);

#endif
