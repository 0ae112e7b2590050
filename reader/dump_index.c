/* SPDX-License-Identifier: MIT */
/*
 * The frame of a dump in makedumpfile's format (its IMPLEMENTATION file, diskdump_mod.h): one block of header, the sub
 * header, two bitmaps of which the second says which frames are in the dump, then a descriptor for each of these, in
 * the order of the frames, then the pages.
 *
 * Invariant: every size and offset that leaves this file was checked against the file's size, and no allocation is
 * larger than a small part of what the file really has of bitmap.
 */
#define _GNU_SOURCE
#include "dump_index.h"
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "extent.h"

#define LINE 64u
#define BITS_PER_BLOCK (8ull * TB_DUMP_BLOCK_SIZE)
/* More than makedumpfile's sub header and notes take, by far. */
#define MAX_SUB_HEADER_BLOCKS 65536u
/* The sub header of older ones does not tell where its end is, or has its notes read at once. */
#define OLDEST_VERSION 4
/* 64 TiB of memory in pages of 4 KiB. */
#define MAX_BITMAPS_SIZE (4ull << 30)

/* A 64-bit little-endian machine's; all words little-endian. */
struct header {
	char signature[8];
	uint32_t version;
	char utsname[6][65];
	char pad[6];
	uint64_t time[2];
	uint32_t status, block_size, sub_header_blocks, bitmap_blocks, max_mapnr;
	uint32_t total_ram_blocks, device_blocks, written_blocks, current_cpu, nr_cpus;
} __attribute__((packed));

struct sub_header {
	uint64_t phys_base;
	uint32_t dump_level, split;
	uint64_t start_pfn, end_pfn;
	uint64_t vmcoreinfo[2], note[2], eraseinfo[2];
	uint64_t start_pfn_64, end_pfn_64, max_mapnr_64;	/* from version 6 on */
} __attribute__((packed));

struct descriptor {
	uint64_t offset;
	uint32_t size, flags;
	uint64_t page_flags;
};

_Static_assert(sizeof(struct header) == 464 && sizeof(struct sub_header) == 104, "makedumpfile's layout");

static int read_whole(const struct tb_dump_index *index, uint64_t offset, void *to, size_t size)
{
	if (offset > index->file_size || size > index->file_size - offset)
		return -ENODATA;
	return tb_extent_read(index->fd, offset, to, size);
}

/* The same, of what is short and follows what was read last. */
static int read_window(const struct tb_dump_index *index, struct tb_dump_window *window, uint64_t offset, void *to,
		       size_t size)
{
	if (offset > index->file_size || size > index->file_size - offset)
		return -ENODATA;
	if (offset < window->offset || offset + size > window->offset + window->size) {
		uint64_t rest = index->file_size - offset;
		size_t part = rest < TB_DUMP_WINDOW_SIZE ? rest : TB_DUMP_WINDOW_SIZE;
		int ret;

		window->size = 0;
		ret = read_whole(index, offset, window->bytes, part);
		if (ret)
			return ret;
		window->offset = offset;
		window->size = part;
	}
	memcpy(to, window->bytes + (offset - window->offset), size);
	return 0;
}

static const char *take_header(struct tb_dump_index *index, const struct header *header)
{
	index->version = le32toh(header->version);
	index->page_size = le32toh(header->block_size);
	index->sub_header_blocks = le32toh(header->sub_header_blocks);
	index->bitmap_blocks = le32toh(header->bitmap_blocks);
	index->max_mapnr = le32toh(header->max_mapnr);
	if (index->page_size < 4096 || index->page_size > 65536 || index->page_size & (index->page_size - 1))
		return "a kdump-compressed dump of no 64-bit little-endian machine, or its header is damaged";
	if (index->version < OLDEST_VERSION || index->version > 255)
		return "a kdump-compressed dump of a version that is not supported";
	if (!index->sub_header_blocks || index->sub_header_blocks > MAX_SUB_HEADER_BLOCKS)
		return "a kdump-compressed dump whose header is damaged (size of its sub header)";
	if ((uint64_t) index->bitmap_blocks * index->page_size > MAX_BITMAPS_SIZE)
		return "a kdump-compressed dump of more than 64 TiB of memory, or its header is damaged";
	/* Later replaced by the sub header's. */
	if (index->max_mapnr > 8ull * index->bitmap_blocks * index->page_size)
		return "a kdump-compressed dump whose header is damaged (number of its pages)";
	return NULL;
}

static const char *take_sub_header(struct tb_dump_index *index, const struct sub_header *sub)
{
	bool wide = index->version >= 6;

	if (wide)
		index->max_mapnr = le64toh(sub->max_mapnr_64);
	index->end_frame = UINT64_MAX;
	if (sub->split) {
		index->first_frame = le64toh(wide ? sub->start_pfn_64 : sub->start_pfn);
		index->end_frame = le64toh(wide ? sub->end_pfn_64 : sub->end_pfn);
	}
	return index->first_frame > index->end_frame ? "a kdump-compressed dump whose sub header is damaged" : NULL;
}

/* A file that was cut short in its descriptors or pages is good for what is before; one cut in its bitmaps is not. */
static const char *place_bitmap(struct tb_dump_index *index)
{
	uint64_t begin = (1ull + index->sub_header_blocks) * index->page_size;
	uint64_t size = (uint64_t) index->bitmap_blocks * index->page_size;

	index->bitmap = begin;
	index->descriptors = begin + size;
	if (index->descriptors > index->file_size)
		return "a kdump-compressed dump that was cut short in its bitmap, or whose header is damaged";
	if (index->max_mapnr <= size * 4) {
		size = index->bitmap_blocks / 2 * (uint64_t) index->page_size;
		index->bitmap += size;
	}
	index->bitmap_size = size;
	if (!size || index->max_mapnr > size * 8)
		return "a kdump-compressed dump whose header is damaged (size of its bitmap)";
	if (index->end_frame > index->max_mapnr)
		index->end_frame = index->max_mapnr;
	if (index->first_frame > index->end_frame)
		index->first_frame = index->end_frame;
	return NULL;
}

static uint64_t count_bits(const uint8_t *bits, size_t nr)
{
	uint64_t word, count = 0;
	size_t i;

	for (i = 0; i + 64 <= nr; i += 64) {
		memcpy(&word, bits + i / 8, sizeof(word));
		count += __builtin_popcountll(word);
	}
	for (; i < nr; i++)
		count += bits[i / 8] >> i % 8 & 1;
	return count;
}

static void clear_bits(uint8_t *bits, uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		bits[from / 8] &= ~(1u << from % 8);
}

/* 0, or what reading it says. Bits of frames that are none of this file's are cleared. */
static int hold_block(struct tb_dump_index *index, uint64_t block)
{
	uint64_t first = block * BITS_PER_BLOCK, end = first + BITS_PER_BLOCK, at = block * TB_DUMP_BLOCK_SIZE;
	size_t size = index->bitmap_size - at < TB_DUMP_BLOCK_SIZE ? index->bitmap_size - at : TB_DUMP_BLOCK_SIZE;
	int ret;

	if (index->block == block)
		return 0;
	index->block = UINT64_MAX;
	ret = read_whole(index, index->bitmap + at, index->bits, size);
	if (ret)
		return ret;
	memset(index->bits + size, 0, TB_DUMP_BLOCK_SIZE - size);
	if (index->first_frame > first)
		clear_bits(index->bits, 0, (index->first_frame < end ? index->first_frame : end) - first);
	if (index->end_frame < end)
		clear_bits(index->bits, index->end_frame > first ? index->end_frame - first : 0, BITS_PER_BLOCK);
	for (size_t i = 0, nr = 0; i < TB_DUMP_BLOCK_SIZE / LINE; i++) {
		index->before_line[i] = nr;
		nr += count_bits(index->bits + i * LINE, 8 * LINE);
	}
	index->block = block;
	return 0;
}

/* Pages of the block that is held before its bit at. */
static uint64_t count_before(const struct tb_dump_index *index, uint64_t at)
{
	uint64_t line = at / (8 * LINE);

	return index->before_line[line] + count_bits(index->bits + line * LINE, at % (8 * LINE));
}

static int count_blocks(struct tb_dump_index *index)
{
	uint64_t nr = (index->bitmap_size + TB_DUMP_BLOCK_SIZE - 1) / TB_DUMP_BLOCK_SIZE, count = 0;

	index->block = UINT64_MAX;
	index->before = malloc(nr * sizeof(*index->before));
	if (!index->before)
		return -ENOMEM;
	for (uint64_t i = 0; i < nr; i++) {
		int ret = hold_block(index, i);

		if (ret)
			return ret;
		index->before[i] = count;
		count += count_before(index, BITS_PER_BLOCK - 1) + (index->bits[TB_DUMP_BLOCK_SIZE - 1] >> 7);
	}
	return 0;
}

int tb_dump_index_open(int fd, uint64_t file_size, struct tb_dump_index *index, const char **ret_what)
{
	struct sub_header sub;
	struct header header;
	int ret;

	memset(index, 0, sizeof(*index));
	index->fd = fd;
	index->file_size = file_size;
	if (read_whole(index, 0, &header.signature, sizeof(header.signature)) ||
	    (memcmp(header.signature, "KDUMP   ", 8) && memcmp(header.signature, "DISKDUMP", 8)))
		return -ENOEXEC;
	*ret_what = "a kdump-compressed dump that was cut short in its header";
	if (read_whole(index, 0, &header, sizeof(header)))
		return -EBADMSG;
	*ret_what = take_header(index, &header);
	if (*ret_what)
		return -EBADMSG;
	*ret_what = "a kdump-compressed dump that was cut short in its sub header";
	if (read_whole(index, index->page_size, &sub, sizeof(sub)))
		return -EBADMSG;
	*ret_what = take_sub_header(index, &sub);
	if (!*ret_what)
		*ret_what = place_bitmap(index);
	if (*ret_what)
		return -EBADMSG;
	ret = count_blocks(index);
	if (ret)
		tb_dump_index_close(index);
	return ret;
}

void tb_dump_index_close(struct tb_dump_index *index)
{
	free(index->before);
	index->before = NULL;
}

uint64_t tb_dump_index_next(struct tb_dump_index *index, uint64_t frame)
{
	while (frame < index->end_frame) {
		uint64_t at = frame % BITS_PER_BLOCK;

		if (hold_block(index, frame / BITS_PER_BLOCK) || !(index->bits[at / 8] >> at % 8)) {
			frame += index->block == frame / BITS_PER_BLOCK ? 8 - at % 8 : BITS_PER_BLOCK - at;
			continue;
		}
		return frame + __builtin_ctz(index->bits[at / 8] >> at % 8);
	}
	return index->end_frame;
}

/* Pages are compressed to less than themselves, or stored as they are. */
bool tb_dump_index_find(struct tb_dump_index *index, uint64_t frame, struct tb_dump_page *ret_page)
{
	uint64_t at = frame % BITS_PER_BLOCK, nr;
	struct descriptor descriptor;

	if (frame < index->first_frame || frame >= index->end_frame || hold_block(index, frame / BITS_PER_BLOCK) ||
	    !(index->bits[at / 8] >> at % 8 & 1))
		return false;
	nr = index->before[frame / BITS_PER_BLOCK] + count_before(index, at);
	if (read_window(index, &index->descriptor, index->descriptors + nr * sizeof(descriptor), &descriptor,
			sizeof(descriptor)))
		return false;
	ret_page->offset = le64toh(descriptor.offset);
	ret_page->size = le32toh(descriptor.size);
	ret_page->compression = le32toh(descriptor.flags);
	return ret_page->size && ret_page->size <= index->page_size && ret_page->offset <= index->file_size &&
	       ret_page->size <= index->file_size - ret_page->offset;
}

int tb_dump_index_read(struct tb_dump_index *index, const struct tb_dump_page *page, void *to)
{
	if (page->size > TB_DUMP_WINDOW_SIZE)
		return read_whole(index, page->offset, to, page->size);
	return read_window(index, &index->data, page->offset, to, page->size);
}
