/* SPDX-License-Identifier: MIT */
#ifndef TB_IMAGE_DUMP_H
#define TB_IMAGE_DUMP_H

#include "image.h"

/* A dump in makedumpfile's format, not flattened, 64-bit and little-endian: physical memory only. */
struct tb_dump;

/*
 * 0, then *ret_what names the format; -ENOEXEC: no such dump; -EBADMSG, -ENOSYS (this build cannot decompress it):
 * *ret_what is what is wrong; -errno. fd stays the caller's, and open.
 */
int tb_dump_open(int fd, uint64_t file_size, struct tb_dump **ret_dump, const char **ret_what);
void tb_dump_close(struct tb_dump *dump);	/* NULL is fine */
uint64_t tb_dump_size(const struct tb_dump *dump);
int tb_dump_read(struct tb_dump *dump, uint64_t address, void *to, size_t size);
int tb_dump_scan(struct tb_dump *dump, int (*each)(void *data, const struct tb_found *found),
		 void (*progress)(void *data, uint64_t done), void *data);

/* image.c: one page's first bytes, looked at. */
int tb_page_look(const char *page, uint64_t address, int (*each)(void *data, const struct tb_found *found), void *data);

#endif
