/* SPDX-License-Identifier: MIT */
/* Metadata: what is written is read back the same; what a later version adds is passed over; noise is survived. */
#define _GNU_SOURCE
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../reader/tsdl.h"
#include "harness.h"
#include "unit_reader_maker.h"

/* Metadata of two stream classes. free() it. */
static char *make_text(size_t *size)
{
	struct tb_stream_class a, b;
	struct tb_trace_info info;
	char *text;
	FILE *out = open_memstream(&text, size);

	make_info(&info);
	make_class(&a, 0xfedcba987654ull, 0);
	make_class(&b, 5, TRACEBUF_CONTEXT_VTID | TRACEBUF_CONTEXT_VPID | TRACEBUF_CONTEXT_IP |
		   TRACEBUF_CONTEXT_PROCNAME);
	TB_ASSERT_EQUAL(tb_metadata_write_header(out, &info), 0);
	TB_ASSERT_EQUAL(tb_metadata_write_class(out, &a), 0);
	TB_ASSERT_EQUAL(tb_metadata_write_class(out, &b), 0);
	fclose(out);
	tb_events_free(&a.events);
	tb_events_free(&b.events);
	return text;
}

static bool same_class(const struct tb_stream_class *a, const struct tb_stream_class *b)
{
	if (!a || a->id != b->id || a->context != b->context || a->events.nr != b->events.nr)
		return false;
	for (uint32_t id = 0; id < a->events.nr; id++) {
		const struct tb_event_class *x = a->events.class[id], *y = b->events.class[id];

		if (!x || !y) {
			if (x || y)
				return false;
			continue;
		}
		if (strcmp(x->name, y->name) || x->nr_fields != y->nr_fields || x->min_size != y->min_size ||
		    x->fixed != y->fixed || x->loglevel != y->loglevel)
			return false;
		for (unsigned int i = 0; i < x->nr_fields; i++)
			if (x->field[i].type != y->field[i].type || x->field[i].size != y->field[i].size ||
			    x->field[i].flags != y->field[i].flags || strcmp(x->field[i].name, y->field[i].name))
				return false;
	}
	return true;
}

static void check_same(const struct tb_metadata *metadata)
{
	struct tb_stream_class class;
	struct tb_trace_info info;

	make_info(&info);
	CU_ASSERT(!memcmp(metadata->info.uuid, info.uuid, 16) && !memcmp(metadata->info.boot_id, info.boot_id, 16));
	TB_ASSERT_EQUAL(metadata->info.clock_frequency, info.clock_frequency);
	TB_ASSERT_EQUAL(metadata->info.clock_offset, info.clock_offset);
	TB_ASSERT_EQUAL(metadata->info.clock_offset_s, info.clock_offset_s);
	TB_ASSERT_EQUAL(metadata->info.creation_s, info.creation_s);
	CU_ASSERT_STRING_EQUAL(metadata->info.name, "a _name__");
	CU_ASSERT_STRING_EQUAL(metadata->info.hostname, "host");
	TB_ASSERT_EQUAL(metadata->packet_header_size, sizeof(struct tracebuf_packet));
	TB_ASSERT_EQUAL(metadata->nr_stream_classes, 2);
	make_class(&class, 5, 15);
	CU_ASSERT(same_class(tb_metadata_find(metadata, 5), &class));
	tb_events_free(&class.events);
	make_class(&class, 0xfedcba987654ull, 0);
	CU_ASSERT(same_class(tb_metadata_find(metadata, class.id), &class));
	tb_events_free(&class.events);
	CU_ASSERT(!tb_metadata_find(metadata, 6));
}

static void test_round_trip(void)
{
	struct tb_metadata *metadata;
	char message[256];
	size_t size;
	char *text = make_text(&size);

	TB_ASSERT_EQUAL(tb_tsdl_parse(text, size, &metadata, message, sizeof(message)), 0);
	check_same(metadata);
	tb_metadata_free(metadata);
	free(text);
}

/* With its gaps filled, a class has an event of each number up to its highest, 500, for babeltrace2; for us the same. */
static void test_gaps(void)
{
	struct tb_metadata *metadata;
	struct tb_stream_class class;
	char message[256], *filled = NULL;
	size_t size, filled_size = 0;
	char *text = make_text(&size);
	FILE *out = open_memstream(&filled, &filled_size);
	unsigned int nr = 0;

	make_class(&class, 5, 15);
	fwrite(text, 1, size, out);
	TB_ASSERT_EQUAL(tb_metadata_write_gaps(out, &class), 0);
	fclose(out);
	for (const char *at = filled; (at = strstr(at, "event {")); at++)
		nr++;
	TB_ASSERT_EQUAL(nr, 501 + 6);
	TB_ASSERT_EQUAL(tb_tsdl_parse(filled, filled_size, &metadata, message, sizeof(message)), 0);
	check_same(metadata);
	CU_ASSERT(tb_metadata_find(metadata, 5)->gaps_filled && !tb_metadata_find(metadata, 0xfedcba987654ull)->gaps_filled);
	tb_metadata_free(metadata);
	tb_events_free(&class.events);
	free(filled);
	free(text);
}

/* text with the first what replaced by with. */
static char *replace(const char *text, const char *what, const char *with)
{
	const char *at = strstr(text, what);
	char *changed;

	CU_ASSERT_FATAL(at != NULL);
	CU_ASSERT_FATAL(asprintf(&changed, "%.*s%s%s", (int) (at - text), text, with, at + strlen(what)) > 0);
	return changed;
}

static int parse_changed(const char *text, const char *what, const char *with, size_t *ret_header_size)
{
	char *changed = replace(text, what, with), message[256];
	struct tb_metadata *metadata;
	int err = tb_tsdl_parse(changed, strlen(changed), &metadata, message, sizeof(message));

	if (!err) {
		*ret_header_size = metadata->packet_header_size;
		check_same(metadata);
		tb_metadata_free(metadata);
	} else {
		CU_ASSERT(strstr(message, "line ") != NULL && !strchr(message, '\n'));
	}
	free(changed);
	return err;
}

static void test_later(void)
{
	static const char *const additions[][2] = {
		{ "trace {", "callsite { name = \"x\"; func = \"{\"; };\n/* } */ // }\ntrace {" },
		{ "\tmajor = 1;", "\tmajor = 1;\n\tfuture.thing = 7;" },
		{ "\tdomain = \"ust\";", "\tdomain = \"ust\"; more = -5; word = other;" },
		{ "\tfreq = ", "\tprecision = 100; absolute = TRUE;\n\tfreq = " },
		{ "stream {\n",
		  "struct thing { uint8_t x; variant <x> { int8_t a; } b; } align(8);\nstream {\n\tnew = 1;\n" },
		{ "\tloglevel = 13;", "\tloglevel = 13; model.emf.uri = \"http://x\";" },
		{ "typealias integer", "typealias struct { int x; } := unknown;\ntypealias integer" },
		{ "uint32_t __list_length", "integer { size = 32; align = 8; signed = 0; } __list_length" },
		{ "string _text", "string { encoding = UTF8; } _text" },
	};
	size_t header_size = 0, size;
	char *text = make_text(&size);

	for (size_t i = 0; i < sizeof(additions) / sizeof(additions[0]); i++)
		TB_ASSERT_EQUAL(parse_changed(text, additions[i][0], additions[i][1], &header_size), 0);
	free(text);
}

/* A longer packet head is known by its length. */
static void test_longer_head(void)
{
	struct tb_metadata *metadata;
	char message[256], *changed;
	size_t size;
	char *text = make_text(&size);

	changed = replace(text, "\tchar8_t procname[16];\n",
			  "\tchar8_t procname[16];\n\tuint64_t more;\n\tuint8_t x;\n");
	TB_ASSERT_EQUAL(tb_tsdl_parse(changed, strlen(changed), &metadata, message, sizeof(message)), 0);
	TB_ASSERT_EQUAL(metadata->packet_header_size, 136 + 9);
	tb_metadata_free(metadata);
	free(changed);
	free(text);
}

static void test_wrong(void)
{
	static const char *const changes[][2] = {
		{ "byte_order = le", "byte_order = be" },
		{ "major = 1", "major = 2" },
		{ "uuid = \"5c", "uuid = \"5" },
		{ "wide = 30", "wide = 29" },
		{ "uint64_aligned_t stream_id;", "uint64_t stream_id;" },
		{ "uint64_t packet_size;", "uint32_t packet_size;" },
		{ "align(512)", "align(64)" },
		{ "align(512)", "align(0)" },
		{ "freq = 1000000000", "freq = 0" },
		{ "freq = 1000000000", "freq = 99999999999999999999" },
		{ "int32_t _vtid;", "int64_t _vtid;" },
		{ "int32_t _vpid;", "int32_t _other;" },
		{ "stream_id = 5;", "stream_id = 6;" },
		{ "id = 500;", "id = 40;" },
		{ "id = 500;", "id = 5000000000;" },
		{ "string _text;", "unknown_t _text;" },
		{ "\tint64_t _a;", "\tint64_t _a[3];" },
		{ "\tint64_t _a;", "\tint64_t _b;" },
		{ "[ __list_length ]", "[ __other_length ]" },
		{ "uint32_t __list_length", "uint64_t __list_length" },
		{ "test:two", "test\\\"two" },
		{ "test:two\"", "test:two" },
		{ "stream {\n\tid = 5;", "stream {\n\tid = 0xfedcba987654;" },
		{ "clock {", "clok {" },
		{ "event {", "} event {" },
	};
	size_t header_size, size;
	char *text = make_text(&size);

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		TB_ASSERT_EQUAL(parse_changed(text, changes[i][0], changes[i][1], &header_size), -EBADMSG);
	free(text);
}

static void parse_and_free(const char *text, size_t size)
{
	struct tb_metadata *metadata;
	char message[256];
	int err = tb_tsdl_parse(text, size, &metadata, message, sizeof(message));

	CU_ASSERT(!err || err == -EBADMSG);
	if (!err)
		tb_metadata_free(metadata);
}

/* Cut anywhere at a guard page, then with bytes changed at random. */
static void test_spoilt(void)
{
	static const char alphabet[] = "{}[];:=\".,<>-_/*\n 0aZ\\\xff";
	struct guarded guarded;
	size_t size;
	char *text = make_text(&size);

	for (size_t cut = 0; cut < size; cut += 1 + cut / 256) {
		guarded_make(&guarded, text, cut);
		parse_and_free((char *) guarded.bytes, cut);
		guarded_free(&guarded);
	}
	guarded_make(&guarded, text, size);
	for (unsigned int round = 0; round < 4000; round++) {
		size_t at = tb_random_below(size);
		uint8_t before = guarded.bytes[at];

		guarded.bytes[at] = round % 2 ? (uint8_t) alphabet[tb_random_below(sizeof(alphabet) - 1)] :
							  (uint8_t) tb_random();
		parse_and_free((char *) guarded.bytes, size);
		if (round % 5)
			guarded.bytes[at] = before;
		if (round % 100 == 0)
			memcpy(guarded.bytes, text, size);
	}
	guarded_free(&guarded);
	free(text);
}

static void test_clock(void)
{
	static const struct {
		uint64_t frequency, ticks, realtime_ns;
	} rows[] = { { 1000000000, 12345, 1700000000123456789 }, { 2099997433, 987654321987654, 1700000000999999999 },
		     { 24000000, UINT64_MAX / 2, 1700000000000000001 }, { 1, 5, 1700000000000000000 } };
	struct tb_trace_info info;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t ns, tolerance = 1 + 1000000000 / (int64_t) rows[i].frequency;

		make_info(&info);
		TB_ASSERT_EQUAL(tb_trace_info_set_clock(&info, rows[i].frequency, rows[i].ticks,
							rows[i].realtime_ns), 0);
		CU_ASSERT(info.clock_offset < info.clock_frequency);
		ns = tb_trace_info_ns(&info, rows[i].ticks);
		CU_ASSERT(ns <= (int64_t) rows[i].realtime_ns && ns >= (int64_t) rows[i].realtime_ns - tolerance);
		ns = tb_trace_info_ns(&info, rows[i].ticks + rows[i].frequency) - ns;
		TB_ASSERT_EQUAL(ns, 1000000000);
	}
	TB_ASSERT_EQUAL(tb_trace_info_set_clock(&info, 0, 0, 0), -EINVAL);
	TB_ASSERT_EQUAL(tb_trace_info_set_clock(&info, TB_MAX_CLOCK_FREQUENCY + 1, 0, 0), -EINVAL);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "round trip", test_round_trip }, { "gaps", test_gaps }, { "later versions", test_later },
		{ "longer head", test_longer_head }, { "wrong", test_wrong }, { "spoilt", test_spoilt },
		{ "clock", test_clock },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_reader_tsdl", tests);
}
