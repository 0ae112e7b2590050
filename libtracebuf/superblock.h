/* SPDX-License-Identifier: MIT */
#ifndef TB_SUPERBLOCK_H
#define TB_SUPERBLOCK_H

#include <stdint.h>
#include <tracebuf/abi.h>

/* Fills a superblock, but for what only a kernel home has. header_crc is left 0: see tb_superblock_seal(). Any context. */
void tb_superblock_fill(struct tracebuf_superblock *sb, enum tracebuf_kind kind, uint32_t header_size,
			uint64_t total_size);

/* Sets header_crc; sb is the first thing in a header of header_size bytes that are complete. Any context. */
void tb_superblock_seal(struct tracebuf_superblock *sb);

#endif
