/* SPDX-License-Identifier: MIT */
#ifndef TB_KEPT_HALF_H
#define TB_KEPT_HALF_H

#include <stddef.h>
#include <stdint.h>

#include "../reader/kept.h"

/*
 * A half of a region as a kernel leaves it, made by hand from the layout: its header, processes and their rings, whose
 * pages lie in a shuffled order. Around it is memory that nobody may touch. Each event is "test:two" of two longs: the
 * event's number in its ring, and that number's complement.
 */
struct kept_half {
	uint8_t *bytes;
	uint64_t physical, size;
	uint32_t page_size;
	struct tracebuf_boot boot;	/* what files that are added say */
	uint32_t *order;		/* pages that are free, from nr_used on */
	uint32_t nr_pages, nr_used;
	void *mapping;
	size_t mapping_size;
};

/* A file in it. */
struct kept_made {
	uint64_t offset, root;		/* of its first page, of its page list's root: in the half */
	uint64_t size;
	uint32_t levels;
};

/* What a ring shall be. */
struct kept_ring {
	int32_t pid;
	uint64_t incarnation, generation;
	uint8_t boot_id[16];
	uint8_t uuid;			/* each byte of it; 0: as make_ring() says */
	uint32_t cpu, instance;
	uint64_t subbuf_size;
	uint32_t nr_subbufs, mode;
	uint64_t nr_entered;		/* sub-buffers entered: all but the last are closed */
	uint32_t nr_events;		/* of each sub-buffer; 0: as many as it can hold. The last has half of them */
};

#define KEPT_SERIES 0x5e1e5

/* random: a seed; 0: pages in their order. number: the region header's, of the series KEPT_SERIES. */
void kept_half_make(struct kept_half *half, uint64_t physical, uint64_t size, uint32_t page_size, uint64_t number,
		    uint64_t random);
void kept_half_free(struct kept_half *half);
struct tb_kept kept_half_seen(const struct kept_half *half);
/* start, stop (0: none has been said) and their checksums. */
void kept_half_start(struct kept_half *half, const char *name, uint64_t generation, const uint8_t boot_id[16]);
void kept_half_stop(struct kept_half *half, enum tracebuf_stop reason);

/* 0, -1: the half is full (what the file has so far stays, without a superblock). described: has it told its event? */
int kept_half_add_process(struct kept_half *half, int32_t pid, uint64_t incarnation, bool described,
			  struct kept_made *ret_made);
int kept_half_add_ring(struct kept_half *half, const struct kept_ring *ring, struct kept_made *ret_made);

/* The page of a file; made if there is none. NULL: the half is full. */
uint8_t *kept_half_page(struct kept_half *half, const struct kept_made *file, uint64_t offset);
/* The node of its list that names it; and the word in it. */
uint64_t *kept_half_word(struct kept_half *half, const struct kept_made *file, uint64_t offset);

#endif
