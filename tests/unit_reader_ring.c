/* SPDX-License-Identifier: MIT */
/* Ring and process headers, and what a position says. */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "../reader/ring.h"
#include "harness.h"
#include "unit_reader_maker.h"

static void test_right(void)
{
	struct tracebuf_ring ring;
	struct tb_ring_info info;

	make_ring(&ring);
	TB_ASSERT_EQUAL(tb_ring_check(&ring, ring.sb.total_size, &info), 0);
	TB_ASSERT_EQUAL(tb_ring_check(&ring, 0, &info), 0);
	TB_ASSERT_EQUAL(info.subbuf_size, 8192);
	TB_ASSERT_EQUAL(info.nr_subbufs, 4);
	TB_ASSERT_EQUAL(info.pid, 1000);
	TB_ASSERT_EQUAL(info.cpu, 1);
	TB_ASSERT_EQUAL(info.context, TRACEBUF_CONTEXT_VTID);
	CU_ASSERT_STRING_EQUAL(info.procname, "exactly16 bytes!");
	CU_ASSERT_STRING_EQUAL(info.channel_name, "channel0");
	TB_ASSERT_EQUAL(tb_ring_check(&ring, ring.sb.total_size - 1, &info), -EBADMSG);
}

/* Each bit of the header counts. */
static void test_flipped(void)
{
	struct tracebuf_ring ring;
	struct tb_ring_info info;

	for (size_t bit = 0; bit < TRACEBUF_RING_HEADER_SIZE * 8; bit++) {
		int err;

		make_ring(&ring);
		((uint8_t *) &ring)[bit / 8] ^= 1u << bit % 8;
		err = tb_ring_check(&ring, 0, &info);
		CU_ASSERT(err == (bit < 128 ? -ENOENT : bit < 160 ? -EPROTONOSUPPORT : -EBADMSG));
	}
}

#define REFUSED(statement) \
	do { \
		make_ring(&ring); \
		statement; \
		seal_ring(&ring); \
		TB_ASSERT_EQUAL(tb_ring_check(&ring, 0, &info), -EBADMSG); \
	} while (0)

static void test_lies(void)
{
	struct tracebuf_ring ring;
	struct tb_ring_info info;

	REFUSED(ring.config.subbuf_size = 0);
	REFUSED(ring.config.subbuf_size = 2048);
	REFUSED(ring.config.subbuf_size = 12288);
	REFUSED(ring.config.subbuf_size = 1ull << 31);
	REFUSED(ring.config.subbuf_size = 1ull << 63);
	REFUSED(ring.config.nr_subbufs = 0);
	REFUSED(ring.config.nr_subbufs = 1);
	REFUSED(ring.config.nr_subbufs = 3);
	REFUSED(ring.config.nr_subbufs = 8192);
	REFUSED(ring.config.nr_subbufs = 8);
	REFUSED((ring.config.subbuf_size = 1 << 30, ring.config.nr_subbufs = 4096, ring.sb.total_size = UINT64_MAX));
	REFUSED(ring.config.mode = 3);
	REFUSED(ring.config.context = 16);
	REFUSED(ring.config.name[0] = 0);
	REFUSED(strcpy(ring.config.name, "../../etc"));
	REFUSED(strcpy(ring.config.name, "a/b"));
	REFUSED(memset(ring.config.name, 'a', sizeof(ring.config.name)));
	REFUSED(ring.pid = 0);
	REFUSED(ring.pid = -1);
	REFUSED(ring.slot = TRACEBUF_NR_SLOTS);
	REFUSED(ring.channel = TRACEBUF_NR_CHANNELS);
	REFUSED(ring.nr_descriptions = TRACEBUF_MAX_EVENTS + 1);
	REFUSED(ring.stream_id = 1ull << 48);
	REFUSED(ring.clock = 0);
	REFUSED(ring.clock = 4);
	REFUSED(ring.sb.kind = TRACEBUF_KIND_PROCESS);
	REFUSED(ring.sb.header_size = 440);
	REFUSED(ring.sb.total_size = TRACEBUF_RING_DATA_OFFSET);
}

static void test_process(void)
{
	struct tracebuf_process process;
	struct tb_process_info info;

	make_process(&process);
	TB_ASSERT_EQUAL(tb_process_check(&process, TRACEBUF_PROCESS_SIZE, &info), 0);
	TB_ASSERT_EQUAL(info.incarnation, 77);
	TB_ASSERT_EQUAL(strlen(info.executable), 256);
	TB_ASSERT_EQUAL(tb_process_check(&process, TRACEBUF_PROCESS_SIZE - 1, &info), -EBADMSG);
	process.pid = -5;
	TB_ASSERT_EQUAL(tb_process_check(&process, 0, &info), -EBADMSG);
	seal_process(&process);
	TB_ASSERT_EQUAL(tb_process_check(&process, 0, &info), -EBADMSG);
	make_process(&process);
	process.sb.total_size = 4096;
	seal_process(&process);
	TB_ASSERT_EQUAL(tb_process_check(&process, 0, &info), -EBADMSG);
}

static void test_place(void)
{
	static const struct {
		uint64_t position, first, current, content_size;
	} rows[] = {
		{ 0, 0, 0, 0 },
		{ 1, 0, 0, 0 },
		{ 135, 0, 0, 0 },
		{ 136, 0, 0, 136 },
		{ 8191, 0, 0, 8191 },
		{ 8192, 0, 1, 0 },
		{ 8192 + 136, 0, 1, 136 },
		{ 3 * 8192 + 500, 0, 3, 500 },
		{ 4 * 8192, 1, 4, 0 },
		{ 4 * 8192 + 200, 1, 4, 200 },
		{ 1000 * 8192 + 200, 997, 1000, 200 },
		{ UINT64_MAX, (UINT64_MAX >> 13) - 3, UINT64_MAX >> 13, 8191 },
	};
	struct tb_ring_info ring = { .subbuf_size = 8192, .nr_subbufs = 4 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tb_ring_place place = tb_ring_place(&ring, rows[i].position);

		TB_ASSERT_EQUAL(place.first, rows[i].first);
		TB_ASSERT_EQUAL(place.current, rows[i].current);
		TB_ASSERT_EQUAL(place.content_size, rows[i].content_size);
		for (uint64_t seq = place.first; seq <= place.current && seq >= place.first; seq++) {
			CU_ASSERT(tb_ring_holds(&ring, rows[i].position, seq));
			TB_ASSERT_EQUAL(tb_ring_offset(&ring, seq), TRACEBUF_RING_DATA_OFFSET + seq % 4 * 8192);
		}
		CU_ASSERT(!tb_ring_holds(&ring, rows[i].position, place.current + 1) || !(place.current + 1));
		CU_ASSERT(!place.first || !tb_ring_holds(&ring, rows[i].position, place.first - 1));
	}
}

static void test_tally(void)
{
	const uint64_t position = 0x1234500000088ull;

	TB_ASSERT_EQUAL(tb_ring_tally(position, (uint64_t) (uint32_t) position << 32 | 17), 17);
	TB_ASSERT_EQUAL(tb_ring_tally(position, (uint64_t) (uint32_t) (position + 20) << 32 | 18), 17);
	TB_ASSERT_EQUAL(tb_ring_tally(position, 0), 0);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "right", test_right }, { "flipped", test_flipped }, { "lies", test_lies },
		{ "process", test_process }, { "place", test_place }, { "tally", test_tally },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_reader_ring", tests);
}
