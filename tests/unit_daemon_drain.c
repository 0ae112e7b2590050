/* SPDX-License-Identifier: MIT */
/* The daemon's decisions on rings, packets in order, index entries, placement: pure functions, by tables. */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <string.h>
#include "../daemon/copy.h"
#include "../daemon/drain.h"
#include "../daemon/enable.h"
#include "../daemon/outfile.h"
#include "../daemon/placement.h"
#include "harness.h"

/* What one look at a discard or block ring of 4 sub-buffers leads to. */
static void test_decide(void)
{
	static const struct {
		uint64_t current, next_seq, consumed;
		unsigned int nr_transfers;
		bool failed, room;
		enum tb_drain_step step;
	} cases[] = {
		{ 0, 0, 0, 0, false, true, TB_DRAIN_REST },
		{ 1, 0, 0, 0, false, true, TB_DRAIN_WRITE },
		{ 1, 1, 0, 1, false, true, TB_DRAIN_REST },
		{ 3, 1, 0, 1, false, true, TB_DRAIN_WRITE },
		{ 3, 2, 0, 2, false, true, TB_DRAIN_WAIT },
		{ 3, 1, 0, 1, true, true, TB_DRAIN_WAIT },
		{ 3, 1, 0, 1, false, false, TB_DRAIN_HUNGRY },
		{ 4, 0, 0, 0, false, true, TB_DRAIN_WRITE },
		{ 5, 0, 0, 0, false, true, TB_DRAIN_BROKEN },
		{ 2, 3, 3, 0, false, true, TB_DRAIN_BROKEN },
		{ UINT64_MAX, 3, 3, 0, false, true, TB_DRAIN_BROKEN },
		{ 7, 7, 7, 0, true, false, TB_DRAIN_REST },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tb_drain_view view = {
			.place = { .current = cases[i].current },
			.next_seq = cases[i].next_seq,
			.consumed = cases[i].consumed,
			.nr_subbufs = 4,
			.nr_transfers = cases[i].nr_transfers,
			.max_transfers = 2,
			.failed = cases[i].failed,
			.room = cases[i].room,
		};

		TB_ASSERT_EQUAL(tb_drain_decide(&view), cases[i].step);
	}
}

static void test_expect(void)
{
	struct tb_expect expect = { 10, 100, 3 };
	struct tracebuf_packet packet = { .event_seq = 12, .nr_events = 5, .timestamp_begin = 100, .timestamp_end = 120,
					  .events_discarded = 3 };

	TB_ASSERT_EQUAL(tb_expect_packet(&expect, &packet), 0);
	TB_ASSERT_EQUAL(expect.event_seq, 17);
	TB_ASSERT_EQUAL(expect.time, 120);
	packet.event_seq = 17;
	TB_ASSERT_EQUAL(tb_expect_packet(&expect, &packet), -EBADMSG);
	packet.timestamp_begin = 120;
	packet.timestamp_end = 130;
	packet.events_discarded = 2;
	TB_ASSERT_EQUAL(tb_expect_packet(&expect, &packet), -EBADMSG);
	packet.events_discarded = 3;
	packet.event_seq = 16;
	TB_ASSERT_EQUAL(tb_expect_packet(&expect, &packet), -EBADMSG);
	/* Nothing has moved by what was refused. */
	TB_ASSERT_EQUAL(expect.event_seq, 17);
	packet.event_seq = 17;
	TB_ASSERT_EQUAL(tb_expect_packet(&expect, &packet), 0);
	TB_ASSERT_EQUAL(expect.event_seq, 22);
}

static void test_enable(void)
{
	struct tracebuf_enable record = { .used = 1, .id = 7, .header_id = 7, .enabled = 0xffff };
	uint16_t channels[TRACEBUF_NR_SLOTS] = { 0 };

	tb_enable_decide(&record, channels);
	TB_ASSERT_EQUAL(record.enabled, 0);
	TB_ASSERT_EQUAL(record.ring, TRACEBUF_RING_SEVERAL);
	channels[3] = 1 << 5;
	tb_enable_decide(&record, channels);
	TB_ASSERT_EQUAL(record.enabled, 1 << 3);
	TB_ASSERT_EQUAL(record.ring, TRACEBUF_RING_SET(3, 5));
	TB_ASSERT_EQUAL(record.channels[3], 1 << 5);
	channels[3] = 1 << 5 | 1;
	tb_enable_decide(&record, channels);
	TB_ASSERT_EQUAL(record.ring, TRACEBUF_RING_SEVERAL);
	channels[3] = 1;
	channels[15] = 1;
	tb_enable_decide(&record, channels);
	TB_ASSERT_EQUAL(record.enabled, 1 << 3 | 1 << 15);
	TB_ASSERT_EQUAL(record.ring, TRACEBUF_RING_SEVERAL);
	/* What the process wrote stays. */
	TB_ASSERT_EQUAL(record.id, 7);
	TB_ASSERT_EQUAL(record.header_id, 7);
}

static void test_index(void)
{
	const struct tracebuf_packet packet = {
		.packet_size = 0x10000, .content_size = 0x8001, .timestamp_begin = 0x0102030405060708, .timestamp_end = 2,
		.events_discarded = 3, .stream_id = 4, .stream_instance_id = 5, .packet_seq_num = 6,
	};
	static const unsigned char begin[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	unsigned char entry[TB_INDEX_ENTRY_SIZE];

	tb_index_encode(entry, &packet, 0x1234);
	TB_ASSERT_EQUAL(entry[6] << 8 | entry[7], 0x1234);
	TB_ASSERT_EQUAL(entry[13] << 16 | entry[14] << 8 | entry[15], 0x10000);
	CU_ASSERT(!memcmp(entry + 24, begin, sizeof(begin)));
	TB_ASSERT_EQUAL(entry[39], 2);
	TB_ASSERT_EQUAL(entry[47], 3);
	TB_ASSERT_EQUAL(entry[71], 6);
}

/* A machine of two nodes: even CPUs on the one, odd ones on the other. */
struct machine {
	unsigned int nr_preferred[2];
};

static int two_nodes(void *data)
{
	(void) data;
	return 2;
}

static int node_of(void *data, int cpu)
{
	(void) data;
	return cpu < 8 ? cpu % 2 : -1;
}

static int prefer(void *data, void *memory, size_t size, int node)
{
	struct machine *machine = data;

	memset(memory, 0x5a, size);
	machine->nr_preferred[node]++;
	return 0;
}

static void test_placement(void)
{
	struct machine machine = { { 0 } };
	const struct tb_topology topology = { two_nodes, node_of, prefer, &machine };
	struct tb_placement placement;
	struct tb_staging *even, *odd, *again;

	tb_placement_init(&placement, &topology);
	TB_ASSERT_EQUAL(tb_placement_node(&placement, 3), 1);
	TB_ASSERT_EQUAL(tb_placement_node(&placement, 4), 0);
	TB_ASSERT_EQUAL(tb_placement_node(&placement, 100), 0);
	TB_ASSERT_EQUAL(tb_placement_node(&placement, UINT32_MAX), 0);
	even = tb_staging_get(&placement, 2, 5000);
	odd = tb_staging_get(&placement, 5, 20000);
	CU_ASSERT_FATAL(even && odd);
	TB_ASSERT_EQUAL(even->size, 8192);
	TB_ASSERT_EQUAL(odd->size, 20480);
	TB_ASSERT_EQUAL(odd->node, 1);
	TB_ASSERT_EQUAL(machine.nr_preferred[0], 1);
	TB_ASSERT_EQUAL(machine.nr_preferred[1], 1);
	tb_staging_put(&placement, even);
	tb_staging_put(&placement, odd);
	/* Kept memory goes to the node that it lies on, and not to requests that are far smaller. */
	again = tb_staging_get(&placement, 7, 12000);
	CU_ASSERT(again == odd);
	tb_staging_put(&placement, again);
	again = tb_staging_get(&placement, 7, 100);
	CU_ASSERT(again != odd);
	tb_staging_put(&placement, again);
	tb_placement_destroy(&placement);
	TB_ASSERT_EQUAL(placement.kept_size, 0);
	tb_staging_put(&placement, NULL);
}

static void test_placement_bounds(void)
{
	struct machine machine = { { 0 } };
	const struct tb_topology topology = { two_nodes, node_of, prefer, &machine };
	struct tb_staging *staging[6];
	struct tb_placement placement;

	tb_placement_init(&placement, &topology);
	for (int i = 0; i < 6; i++) {
		staging[i] = tb_staging_get(&placement, 0, TB_PLACEMENT_KEPT_SIZE / 4);
		CU_ASSERT_FATAL(staging[i] != NULL);
	}
	for (int i = 0; i < 6; i++)
		tb_staging_put(&placement, staging[i]);
	CU_ASSERT(placement.kept_size <= TB_PLACEMENT_KEPT_SIZE);
	TB_ASSERT_EQUAL(placement.kept_size, TB_PLACEMENT_KEPT_SIZE);
	tb_placement_destroy(&placement);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "decide", test_decide },
		{ "expect", test_expect },
		{ "enable", test_enable },
		{ "index", test_index },
		{ "placement", test_placement },
		{ "placement_bounds", test_placement_bounds },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_daemon_drain", tests);
}
