/* SPDX-License-Identifier: MIT */
/*
 * What an earlier boot left in its half of a region, every byte of it the fuzzer's. Input: a byte of choices, then the
 * half, whose size is the input's, down to whole pages. Choices: put the checksums of headers right (1), those of
 * sub-buffers' heads (2), content sums (4). The half ends where the sanitizer's guard begins.
 */
#include <stdlib.h>
#include <string.h>

#include "libtracebuf/content_sum.h"
#include "libtracebuf/crc32c.h"
#include "libtracebuf/superblock.h"
#include "reader/kept.h"
#include "reader/packet_head.h"

#define PAGE 4096u
#define PHYSICAL 0x18000000ull

enum choices { SEAL_HEADERS = 1, SEAL_HEADS = 2, SEAL_SUMS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal_region(struct tracebuf_region *region, size_t size)
{
	tb_superblock_fill(&region->sb, TRACEBUF_KIND_REGION, TRACEBUF_REGION_HEADER_SIZE, size);
	region->sb.physical_address = PHYSICAL;
	region->sb.page_size = PAGE;
	region->release[sizeof(region->release) - 1] = '\0';
	tb_superblock_seal(&region->sb);
	region->start.crc = 0;
	region->start.crc = tb_crc32c(0, &region->start, sizeof(region->start));
	region->stop.crc = 0;
	region->stop.crc = tb_crc32c(0, &region->stop, sizeof(region->stop));
}

static void seal_head(struct tracebuf_packet *head, enum choices choices)
{
	size_t size = head->content_size / 8;

	if (choices & SEAL_SUMS && size >= sizeof(*head) && size <= PAGE)
		head->content_sum = tb_content_sum(head + 1, size - sizeof(*head));
	head->open_crc = tb_packet_open_crc(head);
	head->close_crc = tb_packet_close_crc(head);
}

/* A page that begins as a superblock or a head does. */
static void seal_page(uint8_t *page, uint64_t offset, enum choices choices)
{
	static const uint8_t masked[16] = TRACEBUF_MAGIC_MASKED;
	struct tracebuf_superblock *sb = (void *) page;
	struct tracebuf_packet *head = (void *) page;

	if (head->magic == TRACEBUF_CTF_MAGIC && choices & SEAL_HEADS)
		seal_head(head, choices);
	if (!(choices & SEAL_HEADERS))
		return;
	for (int i = 0; i < 16; i++)
		if (sb->magic[i] != (masked[i] ^ TRACEBUF_MAGIC_MASK))
			return;
	sb->abi_version = TRACEBUF_ABI_VERSION;
	sb->header_size = sb->kind == TRACEBUF_KIND_RING ? TRACEBUF_RING_HEADER_SIZE : TRACEBUF_PROCESS_HEADER_SIZE;
	sb->physical_address = PHYSICAL + offset;
	sb->page_size = PAGE;
	tb_superblock_seal(sb);
}

/* Whatever the file says, its pages are pages of the half, and not the first. */
static int look(void *data, const struct tb_kept_file *file)
{
	const struct tb_kept *half = data;

	if (file->nr_good > TRACEBUF_MAX_SUBBUFS || file->nr_bad > TRACEBUF_MAX_SUBBUFS - file->nr_good)
		abort();
	for (uint64_t offset = 0, next; offset < file->size; offset = next) {
		const uint8_t *page = tb_kept_page(half, file, offset);
		uint64_t at = page ? (uint64_t) (page - half->bytes) : PAGE;

		if (at < PAGE || at % PAGE || at > half->size - PAGE)
			abort();
		next = offset + offset / 8 / PAGE * PAGE + PAGE;
		if (next < offset)
			break;
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t half_size = size ? (size - 1) / PAGE * PAGE : 0;
	struct tb_kept half = { .physical = PHYSICAL, .size = half_size };
	struct tb_kept_report report;
	uint8_t *bytes;

	if (!half_size || posix_memalign((void **) &bytes, PAGE, half_size))
		return 0;
	memcpy(bytes, data + 1, half_size);
	for (size_t at = PAGE; at < half_size; at += PAGE)
		seal_page(bytes + at, at, data[0]);
	if (data[0] & SEAL_HEADERS)
		seal_region((void *) bytes, half_size);
	half.bytes = bytes;
	if (!tb_kept_check(&half, look, &half, &report)) {
		const struct tracebuf_region *header = tb_kept_header(&half);

		if (tb_kept_has_start(header) && !memchr(header->start.trace_name, 0, TRACEBUF_NAME_SIZE))
			abort();
		if (report.nr_rings + report.nr_processes + report.nr_damaged > half_size / PAGE)
			abort();
	}
	free(bytes);
	return 0;
}
