/* SPDX-License-Identifier: MIT */
/* Description records: what is right is understood, what is wrong is refused, nothing outside is read. */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../libtracebuf/stream_id.h"
#include "../reader/description.h"
#include "harness.h"
#include "unit_reader_maker.h"

static const struct tb_field fields[] = {
	{ TRACEBUF_FIELD_INTEGER, 4, TRACEBUF_FIELD_SIGNED, "count" },
	{ TRACEBUF_FIELD_STRING, 0, 0, "text" },
	{ TRACEBUF_FIELD_SEQUENCE, 8, TRACEBUF_FIELD_HEX, "list" },
	{ TRACEBUF_FIELD_FLOAT, 8, 0, "ratio" },
};

static uint8_t bytes[65536] __attribute__((aligned(8)));

static size_t make_three(void)
{
	size_t size = 0;

	make_description(bytes, &size, 0, "shop:order", fields, 4);
	make_description(bytes, &size, 1, "shop:nothing", NULL, 0);
	make_description(bytes, &size, 2, "lttng_ust_libc:malloc", fields, 1);
	return size;
}

static void test_right(void)
{
	size_t size = make_three(), part = 0;
	const struct tb_event_class *class;
	struct tb_events events;

	TB_ASSERT_EQUAL(tb_descriptions_parse(bytes, size, 3, &events), 0);
	TB_ASSERT_EQUAL(events.nr, 3);
	class = tb_events_find(&events, 0);
	CU_ASSERT_STRING_EQUAL(class->name, "shop:order");
	TB_ASSERT_EQUAL(class->nr_fields, 4);
	TB_ASSERT_EQUAL(class->min_size, 4 + 1 + 4 + 8);
	CU_ASSERT(!class->fixed);
	for (unsigned int i = 0; i < 4; i++) {
		CU_ASSERT_STRING_EQUAL(class->field[i].name, fields[i].name);
		CU_ASSERT(class->field[i].type == fields[i].type && class->field[i].size == fields[i].size &&
			  class->field[i].flags == fields[i].flags);
	}
	CU_ASSERT(tb_events_find(&events, 1)->fixed);
	TB_ASSERT_EQUAL(tb_events_find(&events, 1)->min_size, 0);
	TB_ASSERT_EQUAL(tb_events_find(&events, 2)->min_size, 4);
	CU_ASSERT(!tb_events_find(&events, 3));
	tb_events_free(&events);
	TB_ASSERT_EQUAL(tb_descriptions_size(bytes, size, 2, &part), 0);
	CU_ASSERT(part < size);
	TB_ASSERT_EQUAL(tb_descriptions_parse(bytes, part, 2, &events), 0);
	tb_events_free(&events);
}

/* Cut after each byte, at a guard page: refused, and nothing behind the cut is read. */
static void test_cut(void)
{
	size_t size = make_three(), part;
	struct guarded guarded;
	struct tb_events events;

	for (size_t cut = 0; cut < size; cut++) {
		guarded_make(&guarded, bytes, cut);
		TB_ASSERT_EQUAL(tb_descriptions_parse(guarded.bytes, cut, 3, &events), -EBADMSG);
		TB_ASSERT_EQUAL(tb_descriptions_size(guarded.bytes, cut, 3, &part), -EBADMSG);
		guarded_free(&guarded);
	}
}

/* Every bit counts. */
static void test_flipped(void)
{
	size_t size = make_three();
	struct guarded guarded;
	struct tb_events events;

	guarded_make(&guarded, bytes, size);
	for (size_t bit = 0; bit < size * 8; bit++) {
		guarded.bytes[bit / 8] ^= 1u << bit % 8;
		TB_ASSERT_EQUAL(tb_descriptions_parse(guarded.bytes, size, 3, &events), -EBADMSG);
		guarded.bytes[bit / 8] ^= 1u << bit % 8;
	}
	guarded_free(&guarded);
}

/* A process that lies gets its checksums right. */
static void test_lies(void)
{
	struct tb_events events;
	unsigned int nr_taken = 0;

	for (size_t at = 4; at < 24 + 4 * 4 + 11; at++) {
		for (unsigned int value = 0; value < 256; value++) {
			struct guarded guarded;
			uint32_t size;

			make_three();
			if (at >= 4 && at < 8)
				continue;
			bytes[at] = value;
			memcpy(&size, bytes, 4);
			seal_description(bytes);
			guarded_make(&guarded, bytes, size);
			if (!tb_descriptions_parse(guarded.bytes, size, 1, &events)) {
				nr_taken++;
				tb_events_free(&events);
			}
			guarded_free(&guarded);
		}
	}
	CU_ASSERT(nr_taken > 0);
}

static int make(const char *name, const struct tb_field *list, unsigned int nr)
{
	struct tb_event_class *class;
	int err = tb_event_class_make(0, 13, name, list, nr, &class);

	if (!err)
		free(class);
	return err;
}

static void test_names(void)
{
	static const char *const bad_events[] = { "", "a b", "a\"b", "a\\b", "a\nb", "a'b", "\xc3\xa4", "a\x7f" };
	static const char *const bad_fields[] = { "", "1a", "a-b", "a b", "a\"", "\xc3\xa4" };
	struct tb_field field = fields[0];

	for (size_t i = 0; i < sizeof(bad_events) / sizeof(bad_events[0]); i++)
		TB_ASSERT_EQUAL(make(bad_events[i], fields, 4), -EBADMSG);
	for (size_t i = 0; i < sizeof(bad_fields) / sizeof(bad_fields[0]); i++) {
		field.name = bad_fields[i];
		TB_ASSERT_EQUAL(make("p:e", &field, 1), -EBADMSG);
	}
	TB_ASSERT_EQUAL(make("p:e<int>", fields, 4), 0);
}

static void test_types(void)
{
	static const struct tb_field bad[] = {
		{ 0, 4, 0, "a" }, { 5, 4, 0, "a" }, { TRACEBUF_FIELD_INTEGER, 3, 0, "a" },
		{ TRACEBUF_FIELD_INTEGER, 0, 0, "a" }, { TRACEBUF_FIELD_INTEGER, 16, 0, "a" },
		{ TRACEBUF_FIELD_FLOAT, 2, 0, "a" }, { TRACEBUF_FIELD_STRING, 1, 0, "a" },
		{ TRACEBUF_FIELD_SEQUENCE, 0, 0, "a" }, { TRACEBUF_FIELD_INTEGER, 4, 4, "a" } };
	struct tb_field many[TRACEBUF_MAX_FIELDS + 1];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		TB_ASSERT_EQUAL(make("p:e", &bad[i], 1), -EBADMSG);
	for (size_t i = 0; i < TRACEBUF_MAX_FIELDS + 1; i++)
		many[i] = fields[0];
	TB_ASSERT_EQUAL(make("p:e", many, TRACEBUF_MAX_FIELDS + 1), -EBADMSG);
}

/* Members that would have one name in the metadata would make the whole trace unreadable. */
static void test_clashes(void)
{
	struct tb_field pair[2] = { { TRACEBUF_FIELD_INTEGER, 4, 0, "x" }, { TRACEBUF_FIELD_STRING, 0, 0, "x" } };

	TB_ASSERT_EQUAL(make("p:e", pair, 2), -EBADMSG);
	pair[1] = (struct tb_field) { TRACEBUF_FIELD_SEQUENCE, 4, 0, "s" };
	pair[0].name = "_s_length";
	TB_ASSERT_EQUAL(make("p:e", pair, 2), -EBADMSG);
	pair[0].name = "s_length";
	TB_ASSERT_EQUAL(make("p:e", pair, 2), 0);
}

static void test_table(void)
{
	struct tb_events events = { 0 };
	struct tb_event_class *class;

	for (uint32_t id = 0; id < TRACEBUF_MAX_EVENT_ID + 1; id += 1024) {
		TB_ASSERT_EQUAL(tb_event_class_make(id, 13, "p:e", NULL, 0, &class), 0);
		if (tb_events_add(&events, class)) {
			TB_ASSERT_EQUAL(id, TRACEBUF_MAX_EVENT_ID);
			free(class);
		}
	}
	TB_ASSERT_EQUAL(tb_event_class_make(1024, 13, "p:e", NULL, 0, &class), 0);
	TB_ASSERT_EQUAL(tb_events_add(&events, class), -EEXIST);
	free(class);
	CU_ASSERT(!tb_events_find(&events, 1));
	TB_ASSERT_EQUAL(tb_events_find(&events, 2048)->id, 2048);
	tb_events_free(&events);
	TB_ASSERT_EQUAL(events.nr, 0);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "right", test_right }, { "cut", test_cut }, { "flipped", test_flipped }, { "lies", test_lies },
		{ "names", test_names }, { "types", test_types }, { "clashes", test_clashes }, { "table", test_table },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_reader_description", tests);
}
