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

/* Two lanes: as wide as every machine's vectors. */
typedef uint64_t pair __attribute__((vector_size(16)));

static inline pair load(const char *at)
{
	pair words;

	memcpy(&words, at, sizeof(words));
	return words;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 32;
}

uint32_t tb_content_sum(const void *content, size_t size)
{
	const char *at = content, *end = at + size / BLOCK_SIZE * BLOCK_SIZE;
	/* Eight variables, not an array: gcc 12 would keep that in memory. */
	pair a0 = { 0 }, a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
	char rest[BLOCK_SIZE] = { 0 };
	uint64_t hash = size;

	memcpy(rest, end, size % BLOCK_SIZE);
	for (;; at += BLOCK_SIZE) {
		const char *block = at < end ? at : rest;

		b0 += a0 += load(block);
		b1 += a1 += load(block + 16);
		b2 += a2 += load(block + 32);
		b3 += a3 += load(block + 48);
		if (block == rest)
			break;
	}
	for (int i = 0; i < 2; i++) {
		hash = mix(mix(hash, a0[i]), b0[i]);
		hash = mix(mix(hash, a1[i]), b1[i]);
		hash = mix(mix(hash, a2[i]), b2[i]);
		hash = mix(mix(hash, a3[i]), b3[i]);
	}
	return (uint32_t) hash ? (uint32_t) hash : 1;
}
