/* SPDX-License-Identifier: MIT */
#ifndef TB_REMAINS_H
#define TB_REMAINS_H

#include "../reader/image.h"
#include "../reader/ring.h"
#include "../reader/source.h"
#include "boots.h"

/* A ring or a process file that was found, its header checked. */
struct tb_remains_ring {
	struct tb_source source;
	struct tb_ring_info info;
	char trace_name[TRACEBUF_NAME_SIZE];	/* NUL-terminated, fit for a file name, or "" */
	uint64_t clock_frequency, clock_ticks, clock_realtime_ns;
	uint8_t boot_id[16];
	struct tracebuf_boot boot;
};
struct tb_remains_process {
	struct tb_source source;
	struct tb_process_info info;
};

/* The header of a half of a region that keeps its content over a reboot: what a boot told of itself. Checked. */
struct tb_remains_region {
	struct tracebuf_region header;
	bool has_start, has_stop;		/* header.start, header.stop may be used */
};

/* Where a thing is in an array, by what names it: a hash table of index + 1, half full at most. */
struct tb_remains_table {
	uint32_t *slot;
	size_t size;				/* a power of two, or 0 */
};

/* What is left of traces: in a run directory, or in an image of memory. Zero-initialised is empty. */
struct tb_remains {
	struct tb_remains_ring *ring;
	size_t nr_rings;
	struct tb_remains_table rings;
	struct tb_remains_process *process;
	size_t nr_processes;
	struct tb_remains_table processes;	/* of one name, in the order found */
	struct tb_remains_region *region;	/* those of two boots, in an image of all memory */
	size_t nr_regions;
	size_t nr_damaged;			/* superblocks whose header was wrong, or all of whose pages were not there */
	size_t nr_earlier;			/* such ones of an earlier boot than some ring is of; not in nr_damaged */
	struct tb_boots boots;
	struct tb_image *image;
	char format[64];			/* where from, for people */
};

/* 0 or -errno, then message says what is wrong. progress: see tb_image_scan(). */
int tb_remains_of_image(const char *path, void (*progress)(void *data, uint64_t done), void *data,
			struct tb_remains *remains, char *message, size_t size);
/* The same of an open file, which is closed in the end; path: for the message. */
int tb_remains_of_fd(int fd, const char *path, void (*progress)(void *data, uint64_t done), void *data,
		     struct tb_remains *remains, char *message, size_t size);
/* As above; -EBUSY: a daemon lives there. */
int tb_remains_of_rundir(const char *path, struct tb_remains *remains, char *message, size_t size);
void tb_remains_free(struct tb_remains *remains);

/*
 * The process file that tells what a ring's events are; NULL. There may be more of the same process: one that it maps,
 * and the copy of it that a region keeps, made earlier or later. last: the one before; NULL: the first.
 */
const struct tb_remains_process *tb_remains_next_process_of(const struct tb_remains *remains,
							    const struct tb_remains_ring *ring,
							    const struct tb_remains_process *last);
static inline const struct tb_remains_process *tb_remains_process_of(const struct tb_remains *remains,
								     const struct tb_remains_ring *ring)
{
	return tb_remains_next_process_of(remains, ring, NULL);
}

#endif
