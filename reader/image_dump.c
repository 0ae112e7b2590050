/* SPDX-License-Identifier: MIT */
/*
 * Dumps in makedumpfile's format: which pages there are, and whether they can be, by dump_index.c; their bytes by
 * libkdumpfile.
 *
 * Invariant: pages that the dump left out, and those that cannot be decompressed, are absent. The library is asked for
 * no page whose descriptor was not checked, and reads nothing of the file but header, bitmap, descriptors and pages.
 */
#define _GNU_SOURCE
#include "image_dump.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "dump_index.h"

#ifdef HAVE_LIBKDUMPFILE
#include <libkdumpfile/kdumpfile.h>
#include <stdlib.h>

/* By the library, which would hold 1024, of up to 64 KiB each. */
#define NR_CACHED_PAGES 64
#define SMALLEST_PAGE 4096

struct tb_dump {
	kdump_ctx_t *context;
	int empty;			/* see open_context() */
	struct tb_dump_index index;
};

/*
 * The library takes what a set of files has in common from the first, and notes from where the last one says: both are
 * the empty one, so that it sees of the dump its bitmap and its pages, and nothing else.
 */
static int open_context(struct tb_dump *dump)
{
	int set[] = { dump->empty, dump->index.fd, dump->empty };

	dump->context = kdump_new();
	if (!dump->context)
		return -ENOMEM;
	/* Mapped, the whole file would come to be this process's memory. */
	if (kdump_set_number_attr(dump->context, "cache.size", NR_CACHED_PAGES) == KDUMP_OK &&
	    kdump_set_number_attr(dump->context, "file.mmap_policy", KDUMP_MMAP_NEVER) == KDUMP_OK &&
	    kdump_open_fdset(dump->context, 3, set) == KDUMP_OK)
		return 0;
	/* Of what it could not open, libkdumpfile 0.5.1 frees something twice: it is left. */
	dump->context = NULL;
	return -EBADMSG;
}

int tb_dump_open(int fd, uint64_t file_size, struct tb_dump **ret_dump, const char **ret_what)
{
	struct tb_dump *dump = calloc(1, sizeof(*dump));
	int ret;

	if (!dump)
		return -ENOMEM;
	dump->empty = -1;
	ret = tb_dump_index_open(fd, file_size, &dump->index, ret_what);
	if (!ret) {
		dump->empty = tb_dump_index_make_empty(&dump->index);
		ret = dump->empty < 0 ? dump->empty : 0;
	}
	if (!ret) {
		*ret_what = "a kdump-compressed dump that libkdumpfile cannot read";
		ret = open_context(dump);
	}
	if (ret) {
		tb_dump_close(dump);
		return ret;
	}
	*ret_what = "kdump-compressed dump";
	*ret_dump = dump;
	return 0;
}

void tb_dump_close(struct tb_dump *dump)
{
	if (!dump)
		return;
	if (dump->context)
		kdump_free(dump->context);
	if (dump->empty >= 0)
		close(dump->empty);
	tb_dump_index_close(&dump->index);
	free(dump);
}

uint64_t tb_dump_size(const struct tb_dump *dump)
{
	return dump->index.end_frame * dump->index.page_size;
}

static int read_page(struct tb_dump *dump, uint64_t address, void *to, size_t size)
{
	size_t got = size;

	if (!tb_dump_index_has(&dump->index, address / dump->index.page_size))
		return -ENODATA;
	if (!dump->context && open_context(dump))
		return -ENODATA;
	if (kdump_read(dump->context, KDUMP_MACHPHYSADDR, address, to, &got) == KDUMP_OK && got == size)
		return 0;
	/* A page that could not be had leaves libkdumpfile 0.5.1 a cache with entries that have no room: begin anew. */
	kdump_free(dump->context);
	dump->context = NULL;
	return -ENODATA;
}

int tb_dump_read(struct tb_dump *dump, uint64_t address, void *to, size_t size)
{
	uint32_t page_size = dump->index.page_size;
	char *at = to;

	while (size) {
		uint64_t rest = page_size - address % page_size, part = size < rest ? size : rest;
		int ret = read_page(dump, address, at, part);

		if (ret)
			return ret;
		address += part;
		at += part;
		size -= part;
	}
	return 0;
}

int tb_dump_scan(struct tb_dump *dump, int (*each)(void *data, const struct tb_found *found),
		 void (*progress)(void *data, uint64_t done), void *data)
{
	struct tb_dump_index *index = &dump->index;
	uint64_t frame = tb_dump_index_next(index, index->first_frame);
	char head[sizeof(struct tracebuf_superblock)];
	int ret = 0;

	for (; frame < index->end_frame && !ret; frame = tb_dump_index_next(index, frame + 1)) {
		uint64_t address = frame * index->page_size;

		/* The kernel's pages may be smaller: QEMU's dumps of arm64 have pages of 64 KiB. */
		for (uint64_t at = 0; at < index->page_size && !ret; at += SMALLEST_PAGE)
			if (!read_page(dump, address + at, head, sizeof(head)))
				ret = tb_page_look(head, address + at, each, data);
		if (progress && frame % 4096 == 0)
			progress(data, address);
	}
	return ret;
}

#else

int tb_dump_open(int fd, uint64_t file_size, struct tb_dump **ret_dump, const char **ret_what)
{
	struct tb_dump_index index;
	int ret = tb_dump_index_open(fd, file_size, &index, ret_what);

	(void) ret_dump;
	if (ret)
		return ret;
	tb_dump_index_close(&index);
	*ret_what = "a kdump-compressed dump, which this build cannot read";
	return -ENOSYS;
}

void tb_dump_close(struct tb_dump *dump)
{
	(void) dump;
}

uint64_t tb_dump_size(const struct tb_dump *dump)
{
	(void) dump;
	return 0;
}

int tb_dump_read(struct tb_dump *dump, uint64_t address, void *to, size_t size)
{
	(void) dump;
	(void) address;
	(void) to;
	(void) size;
	return -ENODATA;
}

int tb_dump_scan(struct tb_dump *dump, int (*each)(void *data, const struct tb_found *found),
		 void (*progress)(void *data, uint64_t done), void *data)
{
	(void) dump;
	(void) each;
	(void) progress;
	(void) data;
	return 0;
}

#endif
