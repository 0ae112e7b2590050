/* SPDX-License-Identifier: MIT */
#ifndef TB_SOURCE_H
#define TB_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

/*
 * The bytes of one shared file (a ring, a process file), wherever they lie: in a file of a run directory, at an address
 * of a core file, in physical pages of a dump. offset: as in abi.h.
 */
struct tb_source {
	/* 0, -ENODATA (some of it is not there), -errno of what it is read from. Never a part. */
	int (*read)(void *data, uint64_t offset, void *to, size_t size);
	void *data;
	uint64_t size;			/* bytes, if known, else UINT64_MAX */
};

static inline int tb_source_read(const struct tb_source *source, uint64_t offset, void *to, size_t size)
{
	return source->read(source->data, offset, to, size);
}

#endif
