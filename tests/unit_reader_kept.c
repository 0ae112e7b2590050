/* SPDX-License-Identifier: MIT */
/*
 * What an earlier boot left in a region, whole and spoilt: each damage costs what it hits, nothing outside is read (the
 * half stands between pages that nobody may touch), and the steps are bounded.
 */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../reader/kept.h"
#include "../reader/packet_head.h"
#include "../libtracebuf/superblock.h"
#include "harness.h"
#include "kept_half.h"
#include "kept_pause.h"

#define PHYSICAL 0x18000000ull
#define SIZE (1u << 20)
#define NR_RINGS 3

unsigned long kept_nr_pauses;

/* A half with a process and three rings: small sub-buffers, some of several pages, large ones without sums. */
struct made {
	struct kept_half half;
	struct kept_made process, ring[NR_RINGS];
};

static const struct kept_ring wanted[NR_RINGS] = {
	{ .pid = 100, .incarnation = 7, .generation = 1, .cpu = 0, .instance = 0,
	  .subbuf_size = 4096, .nr_subbufs = 4, .nr_entered = 7, .mode = TRACEBUF_MODE_OVERWRITE },
	{ .pid = 100, .incarnation = 7, .generation = 1, .cpu = 1, .instance = 1,
	  .subbuf_size = 16384, .nr_subbufs = 2, .nr_entered = 2 },
	{ .pid = 100, .incarnation = 7, .generation = 1, .cpu = 2, .instance = 2,
	  .subbuf_size = 131072, .nr_subbufs = 2, .nr_entered = 2 },
};
/* In all: of the overwritten ring the newest four. */
#define NR_GOOD (4 + 2 + 2)

static void make_with(struct made *made, uint32_t page_size)
{
	kept_half_make(&made->half, PHYSICAL, SIZE, page_size, 3, tb_random() | 1);
	CU_ASSERT_FATAL(!kept_half_add_process(&made->half, 100, 7, true, &made->process));
	for (int i = 0; i < NR_RINGS; i++)
		CU_ASSERT_FATAL(!kept_half_add_ring(&made->half, &wanted[i], &made->ring[i]));
}

static void make(struct made *made)
{
	make_with(made, 4096);
}

/* What is found, each file told. */
struct found {
	uint32_t nr;
	struct tb_kept_file file[8];
};

static int note(void *data, const struct tb_kept_file *file)
{
	struct found *found = data;

	CU_ASSERT_FATAL(found->nr < 8);
	found->file[found->nr++] = *file;
	return 0;
}

static struct tb_kept_report check(const struct made *made, struct found *found)
{
	struct tb_kept half = kept_half_seen(&made->half);
	struct tb_kept_report report = { 0 };

	*found = (struct found) { 0 };
	TB_ASSERT_EQUAL(tb_kept_check(&half, note, found, &report), 0);
	return report;
}

/* Of the ring: -1: it was not found. */
static int nr_bad(const struct found *found, const struct kept_made *ring)
{
	for (uint32_t i = 0; i < found->nr; i++)
		if (found->file[i].offset == ring->offset)
			return found->file[i].nr_bad;
	return -1;
}

static void test_whole(void)
{
	for (uint32_t page_size = 4096; page_size <= 16384; page_size *= 4) {
		struct tb_kept_report report;
		struct tb_kept half;
		struct made made;
		struct found found;

		make_with(&made, page_size);
		half = kept_half_seen(&made.half);
		report = check(&made, &found);
		TB_ASSERT_EQUAL(report.nr_processes, 1);
		TB_ASSERT_EQUAL(report.nr_rings, NR_RINGS);
		TB_ASSERT_EQUAL(report.nr_damaged, 0);
		TB_ASSERT_EQUAL(report.nr_good, NR_GOOD);
		TB_ASSERT_EQUAL(report.nr_bad, 0);
		TB_ASSERT_EQUAL(found.nr, 1 + NR_RINGS);
		for (uint32_t i = 0; i < found.nr; i++) {
			const struct tb_kept_file *file = &found.file[i];
			uint64_t hole = TRACEBUF_PROCESS_ACCOUNT_OFFSET + 65536 - page_size;

			CU_ASSERT(tb_kept_page(&half, file, 0) == half.bytes + file->offset);
			CU_ASSERT_PTR_NULL(tb_kept_page(&half, file, file->size));
			CU_ASSERT_PTR_NULL(tb_kept_page(&half, file, UINT64_MAX));
			CU_ASSERT_PTR_NULL(tb_kept_page(&half, file, hole));
			TB_ASSERT_EQUAL(file->page_size, page_size);
		}
		kept_half_free(&made.half);
	}
}

static void flip(void *bytes, size_t bit)
{
	((uint8_t *) bytes)[bit / 8] ^= 1u << bit % 8;
}

/* Each bit of the half's header counts, and each of what it says of start and stop. */
static void test_header(void)
{
	const uint8_t boot_id[16] = { 9 };
	struct tb_kept half;
	struct made made;
	struct tracebuf_region *header;

	make(&made);
	half = kept_half_seen(&made.half);
	header = (void *) made.half.bytes;
	CU_ASSERT(tb_kept_header(&half) == header);
	CU_ASSERT(!tb_kept_has_start(header) && !tb_kept_has_stop(header));
	kept_half_start(&made.half, "kept", 1, boot_id);
	kept_half_stop(&made.half, TRACEBUF_STOP_PANIC);
	CU_ASSERT(tb_kept_has_start(header) && tb_kept_has_stop(header));
	for (size_t bit = 0; bit < TRACEBUF_REGION_HEADER_SIZE * 8; bit++) {
		flip(header, bit);
		CU_ASSERT_PTR_NULL(tb_kept_header(&half));
		flip(header, bit);
	}
	for (size_t bit = 0; bit < sizeof(header->start) * 8; bit++) {
		flip(&header->start, bit);
		CU_ASSERT(!tb_kept_has_start(header) && tb_kept_has_stop(header));
		flip(&header->start, bit);
	}
	for (size_t bit = 0; bit < sizeof(header->stop) * 8; bit++) {
		flip(&header->stop, bit);
		CU_ASSERT(tb_kept_has_start(header) && !tb_kept_has_stop(header));
		flip(&header->stop, bit);
	}
	CU_ASSERT(tb_kept_header(&half) == header);
	kept_half_free(&made.half);
}

#define REFUSED(statement) \
	do { \
		struct tracebuf_region kept = *header; \
		statement; \
		tb_superblock_seal(&header->sb); \
		CU_ASSERT_PTR_NULL(tb_kept_header(&half)); \
		*header = kept; \
	} while (0)

/* Headers whose checksum is right and that say what cannot be. */
static void test_header_lies(void)
{
	struct tracebuf_region *header;
	struct tb_kept half, other;
	struct made made;

	make(&made);
	half = kept_half_seen(&made.half);
	header = (void *) made.half.bytes;
	REFUSED(header->sb.total_size--);
	REFUSED(header->sb.total_size /= 2);
	REFUSED(header->sb.physical_address += 4096);
	REFUSED(header->sb.page_list = PHYSICAL + 4096);
	REFUSED(header->sb.page_list_levels = 1);
	REFUSED(header->sb.page_size = 0);
	REFUSED(header->sb.page_size = 2048);
	REFUSED(header->sb.page_size = 12288);
	REFUSED(header->sb.page_size = 131072);
	REFUSED(header->sb.kind = TRACEBUF_KIND_RING);
	REFUSED(header->sb.abi_version = 2);
	REFUSED(header->number = 0);
	REFUSED(header->number = UINT64_MAX);
	REFUSED(header->nr_cpus = 0);
	REFUSED(memset(header->release, 'x', sizeof(header->release)));
	CU_ASSERT(tb_kept_header(&half) == header);
	other = half;
	other.physical += 4096;
	CU_ASSERT_PTR_NULL(tb_kept_header(&other));
	TB_ASSERT_EQUAL(tb_kept_check(&other, NULL, NULL, NULL), -EINVAL);
	other = half;
	other.size /= 2;
	CU_ASSERT_PTR_NULL(tb_kept_header(&other));
	other.size = 100;
	CU_ASSERT_PTR_NULL(tb_kept_header(&other));
	kept_half_free(&made.half);
}

/* What each says ends it. */
static int stop_at_second(void *data, const struct tb_kept_file *file)
{
	(void) file;
	return ++*(int *) data == 2 ? -EINTR : 1;
}

static void test_each(void)
{
	struct tb_kept_report report = { .nr_rings = 77 };
	struct tb_kept half;
	struct made made;
	int nr = 0;

	make(&made);
	half = kept_half_seen(&made.half);
	TB_ASSERT_EQUAL(tb_kept_check(&half, stop_at_second, &nr, &report), -EINTR);
	TB_ASSERT_EQUAL(nr, 2);
	TB_ASSERT_EQUAL(report.nr_rings, 77);
	TB_ASSERT_EQUAL(tb_kept_check(&half, NULL, NULL, &report), 0);
	TB_ASSERT_EQUAL(report.nr_rings, NR_RINGS);
	kept_half_free(&made.half);
}

/* Each bit of a file's header costs that file, and no other. */
static void test_files(void)
{
	struct tb_kept_report report;
	struct made made;
	struct found found;

	make(&made);
	for (size_t bit = 0; bit < TRACEBUF_RING_HEADER_SIZE * 8; bit++) {
		flip(made.half.bytes + made.ring[0].offset, bit);
		report = check(&made, &found);
		CU_ASSERT(report.nr_rings == NR_RINGS - 1 && report.nr_damaged == (bit >= 128) && report.nr_good == 4);
		flip(made.half.bytes + made.ring[0].offset, bit);
	}
	for (size_t bit = 0; bit < TRACEBUF_PROCESS_HEADER_SIZE * 8; bit++) {
		flip(made.half.bytes + made.process.offset, bit);
		report = check(&made, &found);
		CU_ASSERT(!report.nr_processes && report.nr_damaged == (bit >= 128) && report.nr_good == NR_GOOD);
		flip(made.half.bytes + made.process.offset, bit);
	}
	/* A ring that was destroyed. */
	memset(made.half.bytes + made.ring[0].offset, 0, 64);
	report = check(&made, &found);
	CU_ASSERT(report.nr_rings == NR_RINGS - 1 && !report.nr_damaged && !report.nr_bad);
	kept_half_free(&made.half);
}

#define LEFT_OUT(statement) \
	do { \
		struct tracebuf_superblock kept = *sb; \
		statement; \
		tb_superblock_seal(sb); \
		report = check(&made, &found); \
		CU_ASSERT(report.nr_rings == NR_RINGS - 1 && report.nr_damaged == 1); \
		*sb = kept; \
	} while (0)

/* Headers whose checksum is right and whose page list cannot be. */
static void test_list_lies(void)
{
	struct tb_kept_report report;
	struct tracebuf_superblock *sb;
	struct made made;
	struct found found;

	make(&made);
	sb = (void *) (made.half.bytes + made.ring[1].offset);
	LEFT_OUT(sb->page_list = 0);
	LEFT_OUT(sb->page_list = PHYSICAL);
	LEFT_OUT(sb->page_list = PHYSICAL - 4096);
	LEFT_OUT(sb->page_list = PHYSICAL + SIZE);
	LEFT_OUT(sb->page_list = UINT64_MAX & ~4095ull);
	LEFT_OUT(sb->page_list += 8);
	LEFT_OUT(sb->page_list = sb->physical_address);
	LEFT_OUT(sb->page_list_levels = 0);
	LEFT_OUT(sb->page_list_levels = 2);
	LEFT_OUT(sb->page_list_levels = 5);
	LEFT_OUT(sb->page_list_levels = UINT32_MAX);
	LEFT_OUT(sb->page_size = 8192);
	LEFT_OUT(sb->page_size = 0);
	LEFT_OUT(sb->total_size = UINT64_MAX);
	LEFT_OUT(sb->total_size = 0);
	LEFT_OUT(sb->physical_address += 4096);
	LEFT_OUT(sb->kind = TRACEBUF_KIND_REGION);
	LEFT_OUT(sb->kind = 77);
	report = check(&made, &found);
	TB_ASSERT_EQUAL(report.nr_rings, NR_RINGS);
	kept_half_free(&made.half);
}

/* Words of a page list that name what is no page of the half cost the file; a page of another file, a sub-buffer. */
static void test_words(void)
{
	const uint64_t wrong[] = { PHYSICAL, PHYSICAL - 4096, PHYSICAL + SIZE, PHYSICAL + 4096 + 8, 1, 4096,
				   UINT64_MAX, UINT64_MAX & ~4095ull };
	struct tb_kept_report report;
	uint64_t *word, right;
	struct made made;
	struct found found;

	make(&made);
	word = kept_half_word(&made.half, &made.ring[0], TRACEBUF_RING_DATA_OFFSET + 4096);
	right = *word;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		*word = wrong[i];
		report = check(&made, &found);
		CU_ASSERT(report.nr_rings == NR_RINGS - 1 && report.nr_damaged == 1 && !report.nr_bad);
	}
	*word = *kept_half_word(&made.half, &made.ring[1], TRACEBUF_RING_DATA_OFFSET);
	check(&made, &found);
	TB_ASSERT_EQUAL(nr_bad(&found, &made.ring[0]), 1);
	*word = 0;
	report = check(&made, &found);
	TB_ASSERT_EQUAL(nr_bad(&found, &made.ring[0]), 1);
	TB_ASSERT_EQUAL(report.nr_good, NR_GOOD - 1);
	*word = right;
	/* Its first page is not what it names as such. */
	*kept_half_word(&made.half, &made.ring[0], 0) = right;
	report = check(&made, &found);
	CU_ASSERT(report.nr_rings == NR_RINGS - 1 && report.nr_damaged == 1);
	kept_half_free(&made.half);
}

/* The bytes of a ring at offset, spoilt one at a time: how many sub-buffers each costs. */
static void spoil(struct made *made, int ring, uint64_t offset, size_t size, int cost)
{
	uint8_t *page = kept_half_page(&made->half, &made->ring[ring], offset) + offset % made->half.page_size;
	struct found found;

	for (size_t i = 0; i < size; i++) {
		page[i] ^= 0x40;
		check(made, &found);
		TB_ASSERT_EQUAL(nr_bad(&found, &made->ring[ring]), cost);
		page[i] ^= 0x40;
	}
}

static void test_subbufs(void)
{
	const uint64_t data = TRACEBUF_RING_DATA_OFFSET, head = sizeof(struct tracebuf_packet);
	struct made made;
	struct found found;
	uint64_t *word, page;

	make(&made);
	/* Sub-buffer 4 of 0 ... 6, closed: head and content. */
	spoil(&made, 0, data, 200, 1);
	/* 6, the current one, open: of its head, what was written when it was opened; its content has no sum. */
	spoil(&made, 0, data + 2 * 4096, 40, 1);
	spoil(&made, 0, data + 2 * 4096 + head, 40, 0);
	/* One of several pages: in the last of them, across the pages' seam. */
	spoil(&made, 1, data + 8192 - 4, 4, 1);
	spoil(&made, 1, data + 8192, 20, 1);
	/* Large ones have no sum, but their pages must be there. */
	spoil(&made, 2, data + 65536, 20, 0);
	word = kept_half_word(&made.half, &made.ring[2], data + 65536);
	page = *word;
	*word = 0;
	check(&made, &found);
	TB_ASSERT_EQUAL(nr_bad(&found, &made.ring[2]), 1);
	*word = page;
	word = kept_half_word(&made.half, &made.ring[0], TRACEBUF_RING_PRODUCER_OFFSET);
	*word = 0;
	CU_ASSERT(check(&made, &found).nr_good == 4 && !nr_bad(&found, &made.ring[0]));
	kept_half_free(&made.half);
}

/* Heads that are right for themselves, and say that time or the number of events went back. */
static void test_order(void)
{
	struct tracebuf_packet *head, kept;
	struct made made;
	struct found found;

	make(&made);
	/* Sub-buffer 5 of 3 ... 6. */
	head = (void *) kept_half_page(&made.half, &made.ring[0], TRACEBUF_RING_DATA_OFFSET + 4096);
	kept = *head;
	for (int i = 0; i < 2; i++) {
		*(i ? &head->timestamp_begin : &head->event_seq) = 1;
		head->open_crc = tb_packet_open_crc(head);
		head->close_crc = tb_packet_close_crc(head);
		check(&made, &found);
		TB_ASSERT_EQUAL(nr_bad(&found, &made.ring[0]), 1);
		*head = kept;
	}
	check(&made, &found);
	TB_ASSERT_EQUAL(nr_bad(&found, &made.ring[0]), 0);
	kept_half_free(&made.half);
}

/* Any position: some sub-buffers then have other numbers than their heads say; no more are looked at than there are. */
static void test_positions(void)
{
	struct tracebuf_producer *producer;
	struct tb_kept_report report;
	struct made made;
	struct found found;

	make(&made);
	producer = (void *) kept_half_page(&made.half, &made.ring[0], TRACEBUF_RING_PRODUCER_OFFSET);
	for (unsigned int bit = 0; bit < 64; bit++) {
		producer->position ^= 1ull << bit;
		report = check(&made, &found);
		CU_ASSERT(report.nr_rings == NR_RINGS && report.nr_good <= NR_GOOD && report.nr_bad <= 4);
		producer->position ^= 1ull << bit;
	}
	producer->position = UINT64_MAX;
	report = check(&made, &found);
	CU_ASSERT(report.nr_good == 4 && report.nr_bad == 4);
	/* Entered, and not opened; opened, and empty. */
	producer->position = 6 * 4096;
	CU_ASSERT(check(&made, &found).nr_good == NR_GOOD - 1 && !nr_bad(&found, &made.ring[0]));
	producer->position += sizeof(struct tracebuf_packet);
	CU_ASSERT(check(&made, &found).nr_good == NR_GOOD - 1 && !nr_bad(&found, &made.ring[0]));
	kept_half_free(&made.half);
}

/*
 * Lists that name the same nodes again and again: no file is walked further than the half has pages, and all of them
 * together no more than a fixed number of times that.
 */
static void test_steps(void)
{
	const uint64_t nr_pages = SIZE / 4096;
	struct kept_ring ring = wanted[0];
	unsigned int nr = 0;
	struct kept_made made;
	struct tb_kept seen;
	struct tb_kept_report report;
	struct kept_half half;

	ring.nr_entered = 0;
	ring.nr_subbufs = TRACEBUF_MAX_SUBBUFS;
	ring.subbuf_size = 1 << 20;
	kept_half_make(&half, PHYSICAL, SIZE, 4096, 1, tb_random() | 1);
	while (!kept_half_add_ring(&half, &ring, &made)) {
		uint64_t *root = (uint64_t *) (half.bytes + made.root);
		uint64_t *below = (uint64_t *) (half.bytes + (root[0] - PHYSICAL));

		/* All nodes below are the first. */
		for (int word = 1; word < 512; word++) {
			root[word] = root[0];
			below[word] = below[0];
		}
		ring.instance++;
		nr++;
	}
	CU_ASSERT(nr > 20);
	seen = kept_half_seen(&half);
	kept_nr_pauses = 0;
	TB_ASSERT_EQUAL(tb_kept_check(&seen, NULL, NULL, &report), 0);
	CU_ASSERT(!report.nr_rings && report.nr_damaged == nr);
	CU_ASSERT(kept_nr_pauses < 20 * nr_pages);
	kept_half_free(&half);
}

/* Random damage, much of it: as many sub-buffers as there were, at most. */
static void test_random(void)
{
	uint64_t nr = tb_scaled(3000);

	for (uint64_t i = 0; i < nr; i++) {
		struct tb_kept_report report;
		struct made made;
		struct found found;
		uint64_t nr_spoilt = 1 + tb_random_below(40);

		make(&made);
		kept_nr_pauses = 0;
		for (uint64_t j = 0; j < nr_spoilt; j++) {
			uint64_t at = 4096 + tb_random_below(made.half.nr_used * 4096ull), page = at / 4096 * 4096;
			uint64_t other = 4096 + tb_random_below(SIZE / 4096 - 1) * 4096;

			if (at >= SIZE)
				continue;
			switch (tb_random_below(4)) {
			case 0:
				made.half.bytes[at] ^= 1u << tb_random_below(8);
				break;
			case 1:
				memset(made.half.bytes + page, (int) tb_random(), 4096);
				break;
			case 2:
				memcpy(made.half.bytes + page, made.half.bytes + other, 4096);
				break;
			default:
				((uint64_t *) made.half.bytes)[at / 8] = PHYSICAL + other;
			}
		}
		report = check(&made, &found);
		CU_ASSERT(report.nr_rings <= NR_RINGS && report.nr_processes <= 1 && report.nr_good <= NR_GOOD);
		CU_ASSERT(kept_nr_pauses < 20 * SIZE / 4096);
		kept_half_free(&made.half);
	}
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "a whole half", test_whole },
		{ "each bit of the half's header", test_header },
		{ "a header that lies", test_header_lies },
		{ "the callback ends it", test_each },
		{ "each bit of a file's header", test_files },
		{ "a page list that lies", test_list_lies },
		{ "each word of a page list", test_words },
		{ "sub-buffers", test_subbufs },
		{ "order", test_order },
		{ "any position", test_positions },
		{ "steps are bounded", test_steps },
		{ "random damage", test_random },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_reader_kept", tests);
}
