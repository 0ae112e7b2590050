/* SPDX-License-Identifier: MIT */
/*
 * What traced test programs and the tests that check them agree on: events whose payload proves itself - who wrote it,
 * its number in that writer's sequence, and a sum that nobody else would have written - and the shared file in which a
 * writer counts each event whose call returned, so that the count outlives it.
 */
#ifndef TB_TICK_H
#define TB_TICK_H

#include <stddef.h>
#include <stdint.h>

#define MAX_WRITERS 32768
#define BLOB_MAX_WORDS 16384

struct tick_writer {
	uint64_t returned;		/* events whose call returned; numbers 0 ... returned - 1 */
	uint64_t pid, tid;		/* of who writes */
};

struct tick_shared {
	uint32_t stop;			/* 1: writers end in order */
	uint32_t nr_ready;		/* atomic: programs that have begun */
	uint64_t reserved[7];
	struct tick_writer writer[MAX_WRITERS];
};

static inline uint64_t tick_mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline uint64_t tick_sum(uint32_t writer, uint64_t seq)
{
	return tick_mix(((uint64_t) writer << 40) + seq + 1);
}

/* Words of blob number seq: now and then 12,500, which are 100,000 bytes, else anything below 250. */
static inline uint32_t blob_length(uint32_t writer, uint64_t seq)
{
	uint64_t sum = tick_sum(writer, seq) >> 7;

	return sum % 4 == 0 ? 12500 : (uint32_t) (sum % 250);
}

/* Word i of the blob with this sum. */
static inline uint64_t blob_word(uint64_t sum, uint32_t i)
{
	return sum + i * 0x9e3779b97f4a7c15ull;
}

#endif
