/* SPDX-License-Identifier: MIT */
#ifndef TB_DUMP_FILE_H
#define TB_DUMP_FILE_H

#include "memory_image.h"

enum dump_format {
	DUMP_RAW,
	DUMP_ELF,			/* as /proc/vmcore, and QEMU's dump-guest-memory */
	DUMP_STORED,			/* makedumpfile's format, not compressed; -c, -l, -z */
	DUMP_ZLIB,
	DUMP_LZO,
	DUMP_ZSTD,
	DUMP_NR_FORMATS,
};
const char *dump_format_name(enum dump_format format);
/* Was this built with what compresses it? */
bool dump_can_write(enum dump_format format);

/* Where a page lies in a dump; size 0: it was left out. */
struct dump_page {
	uint64_t offset;
	uint32_t size;
	uint64_t descriptor;		/* makedumpfile's format: offset of it */
};

/*
 * Writes the image as a dump file: with all pages, or without those of somebody else's (as makedumpfile -d 31 does; a
 * raw image has all). ret_page: NULL, or room for one of each page of the image. false: an error of the file.
 */
bool dump_write(int fd, const struct memory_image *image, enum dump_format format, bool all,
		struct dump_page *ret_page);

/* Writes the file from, flattened: in pieces, in another order (tb_random()). */
bool dump_flatten(int from, int to);

/* Compresses the whole file by zstd, as systemd-coredump does. false: this build has no zstd, or an error. */
bool dump_squeeze(int from, int to);

#endif
