/* SPDX-License-Identifier: MIT */
#ifndef TB_DUMP_INDEX_H
#define TB_DUMP_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TB_DUMP_BLOCK_SIZE 4096u	/* bytes of bitmap that are held at one time */
#define TB_DUMP_WINDOW_SIZE 32768u

/* A part of a file that was read last, for short reads of what follows. */
struct tb_dump_window {
	uint64_t offset;
	size_t size;
	uint8_t bytes[TB_DUMP_WINDOW_SIZE];
};

enum tb_dump_compression {
	TB_DUMP_STORED = 0,
	TB_DUMP_ZLIB = 1,
	TB_DUMP_LZO = 2,
	TB_DUMP_SNAPPY = 4,
	TB_DUMP_ZSTD = 0x20,
};

/* A page in the file. */
struct tb_dump_page {
	uint64_t offset;
	uint32_t size;				/* 1 ... page_size */
	uint32_t compression;			/* enum tb_dump_compression, or none of it */
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
/* Where frame's page lies in the file, within its bounds; false: it is not in the dump, or what is told is impossible. */
bool tb_dump_index_find(struct tb_dump_index *index, uint64_t frame, struct tb_dump_page *ret_page);
/* Its size bytes as they are in the file. 0, -ENODATA, -errno. */
int tb_dump_index_read(struct tb_dump_index *index, const struct tb_dump_page *page, void *to);

#endif
