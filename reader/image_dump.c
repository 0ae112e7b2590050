/* SPDX-License-Identifier: MIT */
/*
 * Dumps in makedumpfile's format: which pages there are and where, by dump_index.c; their bytes by decompress.c, the last
 * ones kept.
 *
 * Invariant: pages that the dump left out, and those that cannot be decompressed, are absent.
 */
#include "image_dump.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "decompress.h"
#include "dump_index.h"

/* Pages that are kept, each in the place that its number says. */
#define NR_KEPT 64
#define SMALLEST_PAGE 4096
/* Pages that are asked at the beginning how they are compressed. */
#define NR_ASKED 4096

struct tb_dump {
	struct tb_dump_index index;
	struct tb_decompress *decompress;
	uint64_t kept[NR_KEPT];			/* frame + 1; 0: none */
	char *pages;				/* NR_KEPT of them, and one as it is in the file */
};

/* The first want bytes of frame, to room for a page. */
static int read_frame(struct tb_dump *dump, uint64_t frame, void *to, size_t want)
{
	char *raw = dump->pages + NR_KEPT * (size_t) dump->index.page_size;
	struct tb_dump_page page;

	if (!tb_dump_index_find(&dump->index, frame, &page) || tb_dump_index_read(&dump->index, &page, raw))
		return -ENODATA;
	return tb_decompress_page(dump->decompress, page.compression, raw, page.size, to, dump->index.page_size, want) ?
		       0 : -ENODATA;
}

/* What is wrong if there is a page that no library of this build decompresses; NULL: nothing is. */
static const char *look_for_refusal(struct tb_dump *dump)
{
	struct tb_dump_index *index = &dump->index;
	uint64_t frame = tb_dump_index_next(index, index->first_frame);
	const char *refusal = NULL;
	struct tb_dump_page page;

	for (int i = 0; i < NR_ASKED && frame < index->end_frame && !refusal; i++) {
		if (tb_dump_index_find(index, frame, &page))
			refusal = tb_decompress_refusal(page.compression);
		frame = tb_dump_index_next(index, frame + 1);
	}
	return refusal;
}

int tb_dump_open(int fd, uint64_t file_size, struct tb_dump **ret_dump, const char **ret_what)
{
	struct tb_dump *dump = calloc(1, sizeof(*dump));
	const char *refusal;
	int ret;

	if (!dump)
		return -ENOMEM;
	ret = tb_dump_index_open(fd, file_size, &dump->index, ret_what);
	if (!ret) {
		dump->decompress = tb_decompress_new();
		dump->pages = malloc((NR_KEPT + 1) * (size_t) dump->index.page_size);
		ret = dump->decompress && dump->pages ? 0 : -ENOMEM;
	}
	refusal = ret ? NULL : look_for_refusal(dump);
	if (refusal) {
		*ret_what = refusal;
		ret = -ENOSYS;
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
	tb_dump_index_close(&dump->index);
	tb_decompress_free(dump->decompress);
	free(dump->pages);
	free(dump);
}

uint64_t tb_dump_size(const struct tb_dump *dump)
{
	return dump->index.end_frame * dump->index.page_size;
}

/* The page of frame, kept until another takes its place; NULL: it is absent. */
static const char *get_page(struct tb_dump *dump, uint64_t frame)
{
	size_t place = frame % NR_KEPT;
	char *page = dump->pages + place * dump->index.page_size;

	if (dump->kept[place] == frame + 1)
		return page;
	dump->kept[place] = 0;
	if (read_frame(dump, frame, page, dump->index.page_size))
		return NULL;
	dump->kept[place] = frame + 1;
	return page;
}

int tb_dump_read(struct tb_dump *dump, uint64_t address, void *to, size_t size)
{
	uint32_t page_size = dump->index.page_size;
	char *at = to;

	while (size) {
		uint64_t rest = page_size - address % page_size, part = size < rest ? size : rest;
		const char *page = get_page(dump, address / page_size);

		if (!page)
			return -ENODATA;
		memcpy(at, page + address % page_size, part);
		address += part;
		at += part;
		size -= part;
	}
	return 0;
}

/*
 * The heads of all pages that frame consists of: the kernel's may be smaller than the dump's, as in QEMU's dumps of arm64.
 * head: room for a page of the dump.
 */
static int look_at(struct tb_dump *dump, uint64_t frame, char *head,
		   int (*each)(void *data, const struct tb_found *found), void *data)
{
	uint32_t page_size = dump->index.page_size;
	int ret = 0;

	if (read_frame(dump, frame, head,
		       page_size == SMALLEST_PAGE ? sizeof(struct tracebuf_superblock) : page_size))
		return 0;
	for (uint32_t at = 0; at < page_size && !ret; at += SMALLEST_PAGE)
		ret = tb_page_look(head + at, frame * page_size + at, each, data);
	return ret;
}

int tb_dump_scan(struct tb_dump *dump, int (*each)(void *data, const struct tb_found *found),
		 void (*progress)(void *data, uint64_t done), void *data)
{
	struct tb_dump_index *index = &dump->index;
	uint64_t frame = tb_dump_index_next(index, index->first_frame);
	char *head = malloc(index->page_size);
	int ret = head ? 0 : -ENOMEM;

	for (; frame < index->end_frame && !ret; frame = tb_dump_index_next(index, frame + 1)) {
		ret = look_at(dump, frame, head, each, data);
		if (progress && frame % 4096 == 0)
			progress(data, frame * index->page_size);
	}
	free(head);
	return ret;
}
