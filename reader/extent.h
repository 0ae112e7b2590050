/* SPDX-License-Identifier: MIT */
#ifndef TB_EXTENT_H
#define TB_EXTENT_H

#include <stddef.h>
#include <stdint.h>

/* All of size bytes at offset of a file. 0, -ENODATA (it ends before), -errno; then what is at to means nothing. */
int tb_extent_read(int fd, uint64_t offset, void *to, size_t size);

#endif
