/* SPDX-License-Identifier: MIT */
#ifndef TB_IMAGE_H
#define TB_IMAGE_H

#include "source.h"

/*
 * An image of memory: an ELF core file of a process, of a kernel (/proc/vmcore, QEMU's dump-guest-memory), a
 * kdump-compressed dump, or raw memory from address 0 on. No byte of it is trusted, and it may be cut short anywhere.
 */
struct tb_image;

/* 0 or -errno, then message (size bytes) says what is wrong with path. */
int tb_image_open(const char *path, struct tb_image **ret_image, char *message, size_t size);
/* The same of a descriptor that can be sought, also a device's; it is the image's from now on. path: for messages. */
int tb_image_open_fd(int fd, const char *path, struct tb_image **ret_image, char *message, size_t size);
void tb_image_close(struct tb_image *image);	/* NULL is fine */

/* "ELF core", "raw memory" ... */
const char *tb_image_format(const struct tb_image *image);
/* Bytes of memory in it. */
uint64_t tb_image_size(const struct tb_image *image);

/*
 * Addresses are physical, but in a program's core file. 0, -ENODATA (not all of it is in the image), -errno of the
 * file.
 */
int tb_image_read(struct tb_image *image, uint64_t address, void *to, size_t size);

/* A superblock found: a page whose first bytes are the magic. What it says has not been checked. */
struct tb_found {
	uint64_t address;		/* of the page */
	struct tracebuf_superblock sb;
};
/*
 * Looks at the first bytes of every page of the image (4096 bytes, the smallest). each: a negative value ends the scan.
 * progress: may be NULL; bytes looked at so far. 0, what each returned, -errno.
 */
int tb_image_scan(struct tb_image *image, int (*each)(void *data, const struct tb_found *found),
		  void (*progress)(void *data, uint64_t done), void *data);

/*
 * The file that found is the first page of, to be read from the image: by its page list, or, in a program's core file,
 * as it was mapped. -ENOENT: a copy of a page whose place was elsewhere, or one of a tmpfs home, whose other pages
 * nobody can tell; -EBADMSG: its words make no sense; -ENOMEM. For tb_image_source_end().
 */
int tb_image_source(struct tb_image *image, const struct tb_found *found, struct tb_source *ret_source);
void tb_image_source_end(struct tb_source *source);

#endif
