/* SPDX-License-Identifier: MIT */
/*
 * The sum over a packet's content: what tells damaged bytes of a page that survived a crash from what was written.
 *
 * After J. G. Fletcher, "An arithmetic checksum for serial transmissions" (1982), on 64-bit words in 8 lanes: word i
 * goes to lane i % 8 of two rows, a += word, b += a; the last 64 bytes are filled up with zeroes. So any one word that
 * differs is seen, and so are blocks that changed places; a checksum that takes a table or a multiplication for each
 * word costs the writer several times as much, at every sub-buffer's end.
 */
#include "content_sum.h"
#include <string.h>

#define NR_LANES 8
#define BLOCK_SIZE (NR_LANES * sizeof(uint64_t))

/* Two lanes: as wide as every machine's vectors. Where there are none (a kernel) the compiler makes words of it. */
typedef uint64_t pair __attribute__((vector_size(16)));

/* size bytes, whole blocks. The rows are eight variables, not arrays: gcc 12 would keep those in memory. */
static void add_blocks(struct tb_content_sum *sum, const void *blocks, size_t size)
{
	const char *at = blocks, *end = at + size;
	pair a0, a1, a2, a3, b0, b1, b2, b3, words[4];

	memcpy(&a0, &sum->a[0], sizeof(a0));
	memcpy(&a1, &sum->a[2], sizeof(a1));
	memcpy(&a2, &sum->a[4], sizeof(a2));
	memcpy(&a3, &sum->a[6], sizeof(a3));
	memcpy(&b0, &sum->b[0], sizeof(b0));
	memcpy(&b1, &sum->b[2], sizeof(b1));
	memcpy(&b2, &sum->b[4], sizeof(b2));
	memcpy(&b3, &sum->b[6], sizeof(b3));
	for (; at < end; at += BLOCK_SIZE) {
		memcpy(words, at, sizeof(words));
		b0 += a0 += words[0];
		b1 += a1 += words[1];
		b2 += a2 += words[2];
		b3 += a3 += words[3];
	}
	memcpy(&sum->a[0], &a0, sizeof(a0));
	memcpy(&sum->a[2], &a1, sizeof(a1));
	memcpy(&sum->a[4], &a2, sizeof(a2));
	memcpy(&sum->a[6], &a3, sizeof(a3));
	memcpy(&sum->b[0], &b0, sizeof(b0));
	memcpy(&sum->b[2], &b1, sizeof(b1));
	memcpy(&sum->b[4], &b2, sizeof(b2));
	memcpy(&sum->b[6], &b3, sizeof(b3));
}

void tb_content_sum_add(struct tb_content_sum *sum, const void *piece, size_t size)
{
	size_t within = sum->size % BLOCK_SIZE, part = BLOCK_SIZE - within;
	const char *at = piece;

	sum->size += size;
	if (within) {
		part = part < size ? part : size;
		memcpy(sum->rest + within, at, part);
		if (within + part < BLOCK_SIZE)
			return;
		add_blocks(sum, sum->rest, BLOCK_SIZE);
		at += part;
		size -= part;
	}
	add_blocks(sum, at, size / BLOCK_SIZE * BLOCK_SIZE);
	memcpy(sum->rest, at + size / BLOCK_SIZE * BLOCK_SIZE, size % BLOCK_SIZE);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 32;
}

uint32_t tb_content_sum_end(struct tb_content_sum *sum)
{
	uint64_t hash = sum->size;

	memset(sum->rest + sum->size % BLOCK_SIZE, 0, BLOCK_SIZE - sum->size % BLOCK_SIZE);
	add_blocks(sum, sum->rest, BLOCK_SIZE);
	for (int i = 0; i < 2; i++)
		for (int j = i; j < NR_LANES; j += 2)
			hash = mix(mix(hash, sum->a[j]), sum->b[j]);
	return (uint32_t) hash ? (uint32_t) hash : 1;
}

uint32_t tb_content_sum(const void *content, size_t size)
{
	struct tb_content_sum sum = { .size = 0 };

	tb_content_sum_add(&sum, content, size);
	return tb_content_sum_end(&sum);
}
