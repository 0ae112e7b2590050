/* SPDX-License-Identifier: MIT */
#ifndef TB_MEMORY_IMAGE_H
#define TB_MEMORY_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_PAGE 4096u

/* What a page of an image holds. */
enum image_part {
	IMAGE_NOTHING,			/* bytes of no file */
	IMAGE_HEADER,			/* first page: superblock, header */
	IMAGE_PRODUCER,
	IMAGE_DATA,			/* sub-buffers */
	IMAGE_DESCRIPTIONS,
	IMAGE_OTHER,			/* of a process file: what recovery does not need */
	IMAGE_LIST,			/* a node of a page list */
};

struct image_page {
	enum image_part part;
	int file;			/* index of its ring or process */
	uint64_t offset;		/* in that file */
};

/*
 * Memory of a machine in which the kernel kept the files of a run directory: each page somewhere, found by page lists.
 */
struct memory_image {
	uint8_t *bytes;
	size_t size;
	uint64_t base;			/* physical address of bytes[0] */
	struct image_page *page;	/* one for each IMAGE_PAGE bytes */
	int nr_files;
};

/*
 * Of the run directory path, with RAM from base on, of at least min_size bytes. The order of pages comes from
 * tb_random(). false: it could not be made. image_free() in any case.
 */
bool image_make(struct memory_image *image, const char *rundir, uint64_t base, size_t min_size);
void image_free(struct memory_image *image);

#endif
