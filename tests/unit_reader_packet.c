/* SPDX-License-Identifier: MIT */
/* Packets: heads, and the decoder of events on right, cut and spoilt bytes. */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../libtracebuf/content_sum.h"
#include "../libtracebuf/crc32c.h"
#include "../reader/packet.h"
#include "harness.h"
#include "unit_reader_maker.h"

static const uint64_t begin = (1ull << 40) - 5;

/* Every form of header, every kind of field. Returns the content's size. */
static size_t make_packet(struct packet_maker *maker, const struct tb_stream_class *class)
{
	static const uint8_t uuid[16] = { 1 };
	uint64_t two[2] = { (uint64_t) -3, 5 };
	uint8_t payload[512], byte = 200;
	size_t content_size;

	packet_begin(maker, uuid, class, 4, 100, begin);
	packet_event(maker, class, 4, 0, begin, two, 16);
	packet_event(maker, class, 4, 1, begin + 7, payload, make_payload(payload, "some text", 3));
	packet_event(maker, class, 4, 29, begin + 7, &byte, 1);
	packet_event(maker, class, 6, 30, begin + (1u << 27) - 1, &byte, 1);
	packet_event(maker, class, 6, 40, begin + (1u << 27) + 1, &byte, 1);
	packet_event(maker, class, 13, 500, begin + (1ull << 33), NULL, 0);
	packet_event(maker, class, 6, 500, begin + (1ull << 33) + 1, NULL, 0);
	packet_event(maker, class, 13, 0, begin + (1ull << 33) + 1, two, 16);
	packet_event(maker, class, 4, 1, begin + (1ull << 33) + 2, payload, make_payload(payload, "", 0));
	content_size = maker->size;
	packet_end(maker, 4096, 3);
	return content_size;
}

static void test_walk(void)
{
	struct tb_stream_class class;
	struct packet_maker maker;
	struct tb_packet_walk walk;
	size_t size;

	make_class(&class, 5, TRACEBUF_CONTEXT_VTID);
	size = make_packet(&maker, &class);
	TB_ASSERT_EQUAL(tb_packet_walk(maker.bytes, size, &class, UINT64_MAX, &walk), 0);
	TB_ASSERT_EQUAL(walk.nr_events, 9);
	TB_ASSERT_EQUAL(walk.first_time, begin);
	TB_ASSERT_EQUAL(walk.last_time, begin + (1ull << 33) + 2);
	TB_ASSERT_EQUAL(walk.valid_size, size);
	TB_ASSERT_EQUAL(tb_packet_walk(maker.bytes, size, &class, begin + (1ull << 33) + 1, &walk), -EBADMSG);
	TB_ASSERT_EQUAL(walk.nr_events, 8);
	packet_free(&maker);
	tb_events_free(&class.events);
}

static void test_events(void)
{
	static const struct {
		uint32_t id;
		uint64_t after;
		size_t size;
	} rows[] = { { 0, 0, 16 }, { 1, 7, 1 + 8 + 4 + 8 + 10 + 4 + 6 }, { 29, 7, 1 }, { 30, (1u << 27) - 1, 1 },
		     { 40, (1u << 27) + 1, 1 }, { 500, 1ull << 33, 0 }, { 500, (1ull << 33) + 1, 0 },
		     { 0, (1ull << 33) + 1, 16 }, { 1, (1ull << 33) + 2, 1 + 8 + 4 + 8 + 1 + 4 } };
	struct tb_stream_class class;
	struct tb_event_iter iter;
	struct packet_maker maker;
	struct tb_event event;
	size_t size;

	make_class(&class, 5, TRACEBUF_CONTEXT_VTID | TRACEBUF_CONTEXT_PROCNAME | TRACEBUF_CONTEXT_IP);
	size = make_packet(&maker, &class);
	tb_event_iter_init(&iter, &class, maker.bytes + 136, size - 136, begin, UINT64_MAX);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CU_ASSERT_FATAL(tb_event_iter_next(&iter, &event) == 1);
		TB_ASSERT_EQUAL(event.class->id, rows[i].id);
		TB_ASSERT_EQUAL(event.time - begin, rows[i].after);
		TB_ASSERT_EQUAL(event.payload_size, rows[i].size);
		TB_ASSERT_EQUAL(event.payload - event.context, 4 + 8 + 17);
	}
	TB_ASSERT_EQUAL(tb_event_iter_next(&iter, &event), 0);
	TB_ASSERT_EQUAL(iter.nr_events, sizeof(rows) / sizeof(rows[0]));
	packet_free(&maker);
	tb_events_free(&class.events);
}

/* Cut after each byte, a guard page behind: events before the cut are there, the one on it is not. */
static void test_cut(void)
{
	struct tb_stream_class class;
	struct packet_maker maker;
	struct tb_packet_walk walk;
	unsigned int nr_right = 0;
	uint64_t nr_last = 0;
	size_t size;

	make_class(&class, 5, TRACEBUF_CONTEXT_VTID);
	size = make_packet(&maker, &class);
	for (size_t cut = 0; cut <= size; cut++) {
		struct guarded guarded;
		int err;

		guarded_make(&guarded, maker.bytes, cut);
		err = tb_packet_walk(guarded.bytes, cut, &class, UINT64_MAX, &walk);
		CU_ASSERT(walk.valid_size <= cut && walk.nr_events >= nr_last);
		CU_ASSERT(err == (walk.valid_size == cut && cut >= 136 ? 0 : -EBADMSG));
		nr_right += !err;
		nr_last = walk.nr_events;
		guarded_free(&guarded);
	}
	TB_ASSERT_EQUAL(nr_right, 10);
	packet_free(&maker);
	tb_events_free(&class.events);
}

/* The bytes come in pieces of any size: the events are the same. */
static void test_pieces(void)
{
	struct tb_stream_class class;
	struct packet_maker maker;
	size_t size;

	make_class(&class, 5, TRACEBUF_CONTEXT_VTID);
	size = make_packet(&maker, &class);
	for (size_t piece = 1; piece < 64; piece++) {
		struct tb_event_iter iter;
		struct tb_event event;
		uint64_t sum = 0;
		int more;

		tb_event_iter_init(&iter, &class, maker.bytes + 136, 0, begin, UINT64_MAX);
		iter.more = true;
		while ((more = tb_event_iter_next(&iter, &event)) != 0) {
			if (more == -EAGAIN) {
				size_t left = maker.bytes + size - iter.end;

				iter.end += left < piece ? left : piece;
				iter.more = left > piece;
			} else {
				CU_ASSERT_FATAL(more == 1);
				sum += event.class->id + event.payload_size;
			}
		}
		TB_ASSERT_EQUAL(iter.nr_events, 9);
		TB_ASSERT_EQUAL(sum, (1 + 29 + 30 + 40 + 500 + 500 + 1) + (16 + 41 + 3 + 16 + 26));
	}
	packet_free(&maker);
	tb_events_free(&class.events);
}

/* Each bit of the content flipped, then noise: nothing outside is read, times never go back. */
static void test_spoilt(void)
{
	struct tb_stream_class class;
	struct packet_maker maker;
	struct guarded guarded;
	struct tb_packet_walk walk;
	size_t size;

	make_class(&class, 5, TRACEBUF_CONTEXT_VTID);
	size = make_packet(&maker, &class);
	guarded_make(&guarded, maker.bytes, size);
	for (size_t bit = 136 * 8; bit < size * 8; bit++) {
		guarded.bytes[bit / 8] ^= 1u << bit % 8;
		tb_packet_walk(guarded.bytes, size, &class, UINT64_MAX, &walk);
		CU_ASSERT(walk.valid_size <= size && walk.last_time >= walk.first_time && walk.first_time >= begin);
		guarded.bytes[bit / 8] ^= 1u << bit % 8;
	}
	for (unsigned int round = 0; round < 20000; round++) {
		for (size_t i = 136; i < size; i++)
			guarded.bytes[i] = tb_random();
		tb_packet_walk(guarded.bytes, size, &class, UINT64_MAX, &walk);
		CU_ASSERT(walk.valid_size <= size && walk.last_time >= walk.first_time);
	}
	guarded_free(&guarded);
	packet_free(&maker);
	tb_events_free(&class.events);
}

static void test_wrong_events(void)
{
	static const uint8_t uuid[16];
	uint8_t payload[512];
	struct tb_stream_class class;
	struct packet_maker maker;
	struct tb_packet_walk walk;
	uint32_t huge = 0x80000000;
	size_t size;

	make_class(&class, 5, 0);
	packet_begin(&maker, uuid, &class, 0, 0, begin);
	packet_event(&maker, &class, 13, 500, begin - 1, NULL, 0);
	TB_ASSERT_EQUAL(tb_packet_walk(maker.bytes, maker.size, &class, UINT64_MAX, &walk), -EBADMSG);
	packet_free(&maker);
	packet_begin(&maker, uuid, &class, 0, 0, begin);
	packet_event(&maker, &class, 13, 501, begin, NULL, 0);
	TB_ASSERT_EQUAL(tb_packet_walk(maker.bytes, maker.size, &class, UINT64_MAX, &walk), -EBADMSG);
	packet_free(&maker);
	packet_begin(&maker, uuid, &class, 0, 0, begin);
	size = make_payload(payload, "abc", 2);
	memcpy(payload + size - 8, &huge, 4);
	packet_event(&maker, &class, 4, 1, begin, payload, size);
	TB_ASSERT_EQUAL(tb_packet_walk(maker.bytes, maker.size, &class, UINT64_MAX, &walk), -EBADMSG);
	TB_ASSERT_EQUAL(walk.valid_size, 136);
	packet_free(&maker);
	/* The end of time: 27 bits more must not wrap. */
	packet_begin(&maker, uuid, &class, 0, 0, UINT64_MAX);
	packet_event(&maker, &class, 6, 500, 5, NULL, 0);
	TB_ASSERT_EQUAL(tb_packet_walk(maker.bytes, maker.size, &class, UINT64_MAX, &walk), -EBADMSG);
	packet_free(&maker);
	tb_events_free(&class.events);
}

static void make_head(struct tracebuf_packet *head, struct tb_ring_info *ring)
{
	struct tracebuf_ring bytes;

	make_ring(&bytes);
	tb_ring_check(&bytes, 0, ring);
	memset(head, 0, sizeof(*head));
	head->magic = TRACEBUF_CTF_MAGIC;
	memcpy(head->uuid, ring->uuid, 16);
	head->stream_id = ring->stream_id;
	head->stream_instance_id = ring->stream_instance_id;
	head->timestamp_begin = 1000;
	head->packet_seq_num = 7;
	head->cpu_id = ring->cpu;
	head->pid = ring->pid;
	tb_packet_finish(head, 2000, 1136, 8192, 50, 3);
}

static void test_head(void)
{
	struct tracebuf_packet head;
	struct tb_ring_info ring;

	make_head(&head, &ring);
	TB_ASSERT_EQUAL(tb_packet_check(&head, &ring, 7, true), 0);
	TB_ASSERT_EQUAL(tb_packet_check(&head, &ring, 8, true), -EBADMSG);
	TB_ASSERT_EQUAL(tb_packet_check_file(&head, ring.uuid, sizeof(head)), 0);
	for (size_t bit = 0; bit < sizeof(head) * 8; bit++) {
		size_t at = bit / 8;
		bool of_close = (at >= 48 && at < 64) || (at >= 72 && at < 88) || (at >= 104 && at < 112);

		((uint8_t *) &head)[at] ^= 1u << bit % 8;
		TB_ASSERT_EQUAL(tb_packet_check(&head, &ring, 7, true), -EBADMSG);
		TB_ASSERT_EQUAL(tb_packet_check(&head, &ring, 7, false), of_close ? 0 : -EBADMSG);
		TB_ASSERT_EQUAL(tb_packet_check_file(&head, ring.uuid, sizeof(head)), at < 20 ? -ENOENT : -EBADMSG);
		((uint8_t *) &head)[at] ^= 1u << bit % 8;
	}
}

/* Heads whose checksums are right and whose numbers are not. */
static void test_head_lies(void)
{
	struct tracebuf_packet head;
	struct tb_ring_info ring;

	make_head(&head, &ring);
	tb_packet_finish(&head, 999, 1136, 8192, 50, 3);
	TB_ASSERT_EQUAL(tb_packet_check(&head, &ring, 7, true), -EBADMSG);
	tb_packet_finish(&head, 2000, 135, 8192, 0, 3);
	TB_ASSERT_EQUAL(tb_packet_check(&head, &ring, 7, true), -EBADMSG);
	tb_packet_finish(&head, 2000, 8193, 8192, 50, 3);
	TB_ASSERT_EQUAL(tb_packet_check(&head, &ring, 7, true), -EBADMSG);
	TB_ASSERT_EQUAL(tb_packet_check_file(&head, ring.uuid, sizeof(head)), -EBADMSG);
	tb_packet_finish(&head, 2000, 1136, 16384, 50, 3);
	TB_ASSERT_EQUAL(tb_packet_check(&head, &ring, 7, true), -EBADMSG);
	TB_ASSERT_EQUAL(tb_packet_check_file(&head, ring.uuid, sizeof(head)), 0);
	tb_packet_finish(&head, 2000, 1136, 8192, 5000, 3);
	TB_ASSERT_EQUAL(tb_packet_check(&head, &ring, 7, true), -EBADMSG);
	tb_packet_finish(&head, 2000, 1136, TRACEBUF_MAX_SUBBUF_SIZE + 8, 50, 3);
	TB_ASSERT_EQUAL(tb_packet_check_file(&head, ring.uuid, sizeof(head)), -EBADMSG);
}

/* Any one bit of the content, and any two blocks that changed places, are seen; no sum is no complaint. */
static void test_content_sum(void)
{
	uint8_t packet[sizeof(struct tracebuf_packet) + 1000];
	struct tracebuf_packet *head = (void *) packet;
	const size_t size = sizeof(packet), begin = sizeof(*head);

	for (size_t i = 0; i < size; i++)
		packet[i] = (uint8_t) tb_random();
	head->content_size = size * 8;
	head->content_sum = tb_content_sum(packet + begin, size - begin);
	CU_ASSERT(head->content_sum != 0 && tb_packet_sum_is_right(packet, size));
	CU_ASSERT(!tb_packet_sum_is_right(packet, size - 1));
	for (size_t bit = begin * 8; bit < size * 8; bit++) {
		packet[bit / 8] ^= (uint8_t) (1u << bit % 8);
		CU_ASSERT(!tb_packet_sum_is_right(packet, size));
		packet[bit / 8] ^= (uint8_t) (1u << bit % 8);
	}
	for (size_t i = 0; i < 64; i++) {
		uint8_t byte = packet[begin + 64 + i];

		packet[begin + 64 + i] = packet[begin + 256 + i];
		packet[begin + 256 + i] = byte;
	}
	CU_ASSERT(!tb_packet_sum_is_right(packet, size));
	head->content_sum = 0;
	CU_ASSERT(tb_packet_sum_is_right(packet, size));
	head->content_sum = 1;
	head->content_size = 8;
	CU_ASSERT(!tb_packet_sum_is_right(packet, size));
}

/* Checksums have known answers, and the same for every division into pieces. */
static void test_sums(void)
{
	uint8_t bytes[300];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t) i;
	TB_ASSERT_EQUAL(tb_crc32c(0, "123456789", 9), 0xe3069283);
	TB_ASSERT_EQUAL(tb_crc32c(0, bytes, 32), 0x46dd794e);
	TB_ASSERT_EQUAL(tb_content_sum(bytes, 0), 1);
	TB_ASSERT_EQUAL(tb_content_sum(bytes, 200), 0xd0b41d0e);
	for (size_t size = 0; size <= sizeof(bytes); size++) {
		for (size_t cut = 0; cut <= size; cut++) {
			struct tb_content_sum sum = { .size = 0 };

			tb_content_sum_add(&sum, bytes, cut);
			tb_content_sum_add(&sum, bytes + cut, (size - cut) / 2);
			tb_content_sum_add(&sum, bytes + cut + (size - cut) / 2, size - cut - (size - cut) / 2);
			CU_ASSERT(tb_content_sum_end(&sum) == tb_content_sum(bytes, size));
			CU_ASSERT(tb_crc32c(tb_crc32c(0, bytes, cut), bytes + cut, size - cut) ==
				  tb_crc32c(0, bytes, size));
		}
	}
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "walk", test_walk }, { "events", test_events }, { "cut", test_cut }, { "pieces", test_pieces },
		{ "spoilt", test_spoilt }, { "wrong events", test_wrong_events }, { "head", test_head },
		{ "head that lies", test_head_lies }, { "content sum", test_content_sum },
		{ "sums", test_sums },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_reader_packet", tests);
}
