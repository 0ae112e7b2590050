/* SPDX-License-Identifier: MIT */
#ifndef TB_DECOMPRESS_H
#define TB_DECOMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decompresses pages of dumps, one after another. */
struct tb_decompress;

struct tb_decompress *tb_decompress_new(void);	/* NULL: out of memory */
void tb_decompress_free(struct tb_decompress *decompress);	/* NULL is fine */

/* What to say of a dump compressed so (enum tb_dump_compression) if this build cannot decompress it, else NULL. */
const char *tb_decompress_refusal(uint32_t compression);

/*
 * The first want bytes of a page of page_size bytes, from the size bytes of it in the file. to: room for page_size. False:
 * they do not decompress to so many, or not by what this build has.
 */
bool tb_decompress_page(struct tb_decompress *decompress, uint32_t compression, const void *from, size_t size, void *to,
			size_t page_size, size_t want);

#endif
