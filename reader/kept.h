/* SPDX-License-Identifier: MIT */
/*
 * One half of a region (abi.h), as an earlier boot left it: which files it holds, and which of their sub-buffers are
 * whole. Shared by the kernel module, which looks at load before it writes anything, and by what measures and tests it.
 */
#ifndef TB_KEPT_H
#define TB_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

/* A half, in one piece in memory. Nobody writes to it while it is looked at; no byte of it is trusted. */
struct tb_kept {
	const unsigned char *bytes;
	uint64_t physical;		/* address of the first byte */
	uint64_t size;
};

/* A file whose header is right and whose page list lies in the half. */
struct tb_kept_file {
	uint64_t offset;		/* of its first page, in the half */
	uint64_t page_list;		/* of the root, in the half */
	uint64_t size;			/* bytes of the file */
	uint32_t kind;			/* TRACEBUF_KIND_PROCESS, TRACEBUF_KIND_RING */
	uint32_t page_size, levels;
	uint32_t nr_good, nr_bad;	/* sub-buffers that hold something, by their heads and sums: of a ring */
};

/* What was found. */
struct tb_kept_report {
	uint32_t nr_processes, nr_rings;
	uint32_t nr_damaged;		/* superblocks whose header or page list is wrong: such files are left out */
	uint64_t nr_good, nr_bad;	/* sub-buffers of all rings */
};

/* The half's own header; NULL: it is not right, and then nothing in the half counts. Any context. */
const struct tracebuf_region *tb_kept_header(const struct tb_kept *half);
/* May what the header says of start and stop be used? */
bool tb_kept_has_start(const struct tracebuf_region *header);
bool tb_kept_has_stop(const struct tracebuf_region *header);

/*
 * Looks through a half whose header is right. each: a negative value ends it, and is returned. Time: linear in size.
 * No memory is taken; stack below 1 KiB. Kernel: may be given to cond_resched() by TB_KEPT_PAUSE() between pages.
 */
int tb_kept_check(const struct tb_kept *half, int (*each)(void *data, const struct tb_kept_file *file), void *data,
		  struct tb_kept_report *ret_report);

/* The page of a file that has its byte at offset, or NULL: it has none (reads as zeroes), or what says so is wrong. */
const void *tb_kept_page(const struct tb_kept *half, const struct tb_kept_file *file, uint64_t offset);

#endif
