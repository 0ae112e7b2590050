/* SPDX-License-Identifier: MIT */
#ifndef TB_DUMP_INDEX_H
#define TB_DUMP_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TB_DUMP_BLOCK_SIZE 4096u	/* bytes of bitmap that are held at one time */
#define TB_DUMP_WINDOW_SIZE 8192u

/* A part of a file that was read last, for short reads of what follows. */
struct tb_dump_window {
	uint64_t offset;
	size_t size;
	uint8_t bytes[TB_DUMP_WINDOW_SIZE];
};

/* Where the pages of a dump in makedumpfile's format lie in its file. */
struct tb_dump_index {
	int fd;
	uint64_t file_size;
	uint32_t version, page_size;
	uint32_t sub_header_blocks, bitmap_blocks;	/* as the header says */
	uint64_t max_mapnr;
	uint64_t first_frame, end_frame;	/* frames that this file is about: of a split dump, not all */
	uint64_t bitmap, descriptors;		/* offsets in the file */
	uint64_t bitmap_size;
	uint64_t *before;			/* pages in the dump before each block of the bitmap */
	uint64_t block;				/* number of the one held; UINT64_MAX: none is */
	uint8_t bits[TB_DUMP_BLOCK_SIZE];
	uint16_t before_line[TB_DUMP_BLOCK_SIZE / 64];	/* pages before each 64 bytes of it */
	struct tb_dump_window descriptor, data;
};

/* 0; -ENOEXEC: no such dump; -EBADMSG: *ret_what says what is wrong with it; -ENOMEM, -errno. fd stays the caller's. */
int tb_dump_index_open(int fd, uint64_t file_size, struct tb_dump_index *index, const char **ret_what);
void tb_dump_index_close(struct tb_dump_index *index);

/* The first frame from frame on that is in the dump; end_frame: none is. */
uint64_t tb_dump_index_next(struct tb_dump_index *index, uint64_t frame);
/* Is frame in the dump, and what is told of where it lies possible? */
bool tb_dump_index_has(struct tb_dump_index *index, uint64_t frame);

/* A dump of the same geometry that holds no page and tells nothing else, in a new file: its descriptor, or -errno. */
int tb_dump_index_make_empty(const struct tb_dump_index *index);

#endif
