/* SPDX-License-Identifier: MIT */
#ifndef TB_CONTENT_SUM_H
#define TB_CONTENT_SUM_H

#include <stddef.h>
#include <stdint.h>

/* tracebuf_packet.content_sum of size bytes of content, never 0. About 50 GB/s. Any context. */
uint32_t tb_content_sum(const void *content, size_t size);

/* The same of content that lies in pieces: zeroed, then tb_content_sum_add() of each in order, then the end. */
struct tb_content_sum {
	uint64_t a[8], b[8];
	uint64_t size;			/* bytes so far */
	unsigned char rest[64];		/* the last size % 64 of them */
};
void tb_content_sum_add(struct tb_content_sum *sum, const void *piece, size_t size);
uint32_t tb_content_sum_end(struct tb_content_sum *sum);

#endif
