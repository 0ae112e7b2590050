/* SPDX-License-Identifier: MIT */
/*
 * Dumps in makedumpfile's format, by libkdumpfile.
 *
 * Invariant: pages that the dump left out, and those that cannot be decompressed, are absent.
 */
#define _GNU_SOURCE
#include "image_dump.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define KDUMP_MAGIC "KDUMP   "
#define DISKDUMP_MAGIC "DISKDUMP"

static bool begins_with(int fd, const char *magic)
{
	char bytes[16];

	return pread(fd, bytes, sizeof(bytes), 0) == sizeof(bytes) && !memcmp(bytes, magic, strlen(magic));
}

#ifdef HAVE_LIBKDUMPFILE
#include <libkdumpfile/kdumpfile.h>
#include <stdlib.h>

struct tb_dump {
	kdump_ctx_t *context;
	kdump_bmp_t *pages;		/* that are in the dump; NULL: not known */
	uint64_t nr_frames, page_size;
};

static int open_context(struct tb_dump *dump, int fd)
{
	kdump_num_t page_size, max_pfn;
	kdump_attr_t attribute = { .type = KDUMP_BITMAP };

	dump->context = kdump_new();
	if (!dump->context)
		return -ENOMEM;
	if (kdump_open_fd(dump->context, fd) != KDUMP_OK ||
	    kdump_get_number_attr(dump->context, KDUMP_ATTR_PAGE_SIZE, &page_size) != KDUMP_OK ||
	    kdump_get_number_attr(dump->context, "max_pfn", &max_pfn) != KDUMP_OK)
		return -EBADMSG;
	if (page_size < 4096 || page_size > 65536 || page_size & (page_size - 1))
		return -EBADMSG;
	dump->page_size = page_size;
	dump->nr_frames = max_pfn;
	if (kdump_get_attr(dump->context, KDUMP_ATTR_FILE_PAGEMAP, &attribute) == KDUMP_OK &&
	    attribute.type == KDUMP_BITMAP)
		dump->pages = attribute.val.bitmap;
	return 0;
}

int tb_dump_open(int fd, struct tb_dump **ret_dump, const char **ret_format)
{
	struct tb_dump *dump;
	int ret;

	if (!begins_with(fd, KDUMP_MAGIC) && !begins_with(fd, DISKDUMP_MAGIC))
		return -ENOEXEC;
	dump = calloc(1, sizeof(*dump));
	if (!dump)
		return -ENOMEM;
	ret = open_context(dump, fd);
	if (ret) {
		tb_dump_close(dump);
		return ret;
	}
	*ret_format = "kdump-compressed dump";
	*ret_dump = dump;
	return 0;
}

void tb_dump_close(struct tb_dump *dump)
{
	if (!dump)
		return;
	if (dump->context)
		kdump_free(dump->context);
	free(dump);
}

uint64_t tb_dump_size(const struct tb_dump *dump)
{
	return dump->nr_frames * dump->page_size;
}

int tb_dump_read(struct tb_dump *dump, uint64_t address, void *to, size_t size)
{
	size_t got = size;

	if (kdump_read(dump->context, KDUMP_MACHPHYSADDR, address, to, &got) == KDUMP_OK && got == size)
		return 0;
	kdump_clear_err(dump->context);
	return -ENODATA;
}

/* The next frame from frame on that is in the dump. */
static uint64_t next_frame(const struct tb_dump *dump, uint64_t frame)
{
	kdump_addr_t index = frame;

	if (!dump->pages)
		return frame;
	return kdump_bmp_find_set(dump->pages, &index) == KDUMP_OK ? index : dump->nr_frames;
}

int tb_dump_scan(struct tb_dump *dump, int (*each)(void *data, const struct tb_found *found),
		 void (*progress)(void *data, uint64_t done), void *data)
{
	char head[sizeof(struct tracebuf_superblock)];
	int ret = 0;

	for (uint64_t frame = next_frame(dump, 0); frame < dump->nr_frames && !ret; frame = next_frame(dump, frame + 1)) {
		uint64_t address = frame * dump->page_size;

		if (!tb_dump_read(dump, address, head, sizeof(head)))
			ret = tb_page_look(head, address, each, data);
		if (progress && frame % 4096 == 0)
			progress(data, address);
	}
	return ret;
}

#else

int tb_dump_open(int fd, struct tb_dump **ret_dump, const char **ret_format)
{
	(void) ret_dump;
	(void) ret_format;
	return begins_with(fd, KDUMP_MAGIC) || begins_with(fd, DISKDUMP_MAGIC) ? -ENOSYS : -ENOEXEC;
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
