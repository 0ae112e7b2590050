/* SPDX-License-Identifier: MIT */
#ifndef TB_SYMBOLS_H
#define TB_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

/* Where programs are looked for. */
struct tb_symbols_options {
	const char *sysroot;		/* stands before each path; "" or NULL: nothing */
	const char *debug_dir;		/* with .build-id/xx/yyyy.debug below; NULL: /usr/lib/debug */
};

/* The functions and variables of one program or shared object. */
struct tb_symbols;

/*
 * Reads the symbols of the build build_id of the object path: its own table, else that of its file of debugging
 * information, else those that it exports. NULL: that build is not found here, or it has none.
 */
struct tb_symbols *tb_symbols_read(const char *path, const uint8_t *build_id, size_t build_id_size,
				   const struct tb_symbols_options *options);
void tb_symbols_free(struct tb_symbols *symbols);

/*
 * The symbol that the byte at offset belongs to, counted from where the first byte of the object's file lies in memory;
 * *ret_offset is where in the symbol. NULL: none.
 */
const char *tb_symbols_find(const struct tb_symbols *symbols, uint64_t offset, uint64_t *ret_offset);

#endif
