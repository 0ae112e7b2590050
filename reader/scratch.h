/* SPDX-License-Identifier: MIT */
#ifndef TB_SCRATCH_H
#define TB_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

/* A new file without a name, in $TMPDIR, else /var/tmp, else /tmp. Its descriptor, or -errno. */
int tb_scratch_open(void);

/* Bytes to work on: in memory or, if there are many, in a file, of which only what is being used is in memory. */
struct tb_scratch {
	char *bytes;			/* zeroed */
	size_t size;
	int fd;				/* -1: memory */
};

/* 0, -ENOMEM, -errno of the file. */
int tb_scratch_make(size_t size, struct tb_scratch *ret_scratch);
void tb_scratch_end(struct tb_scratch *scratch);	/* zero-initialised is fine */
/* Stores size bytes at offset, both within it. 0 or -errno (of a file: no space). */
int tb_scratch_store(struct tb_scratch *scratch, size_t offset, const void *from, size_t size);
/* Writes the first size bytes to offset of a file. 0 or -errno. */
int tb_scratch_write(const struct tb_scratch *scratch, size_t size, int fd, uint64_t offset);
/* The bytes before offset are not used for now; what they hold stays. */
void tb_scratch_forget(const struct tb_scratch *scratch, size_t offset);

#endif
