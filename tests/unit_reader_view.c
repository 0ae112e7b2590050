/* SPDX-License-Identifier: MIT */
/* Lines of the viewer: numbers, strings and whole lines, as text and as JSON. */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../tools/view_line.h"
#include "harness.h"
#include "unit_reader_maker.h"

static char buffer[65536];

/* What was put, as a string. */
static const char *text_of(struct tb_output *output)
{
	*output->at = 0;
	return buffer;
}

static void begin(struct tb_output *output)
{
	tb_output_init(output, -1, buffer, sizeof(buffer));
}

static void test_integers(void)
{
	static const uint64_t numbers[] = { 0, 1, 9, 10, 99, 100, 101, 12345, 999999999, 1000000000,
					    9999999999999999999ull, UINT64_MAX, 1ull << 63 };
	struct tb_output output;
	char expected[64];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		begin(&output);
		tb_output_unsigned(&output, numbers[i]);
		snprintf(expected, sizeof(expected), "%llu", (unsigned long long) numbers[i]);
		CU_ASSERT_STRING_EQUAL(text_of(&output), expected);
		begin(&output);
		tb_output_signed(&output, (int64_t) -numbers[i]);
		snprintf(expected, sizeof(expected), "%lld", (long long) -numbers[i]);
		CU_ASSERT_STRING_EQUAL(text_of(&output), expected);
		begin(&output);
		tb_output_hex(&output, numbers[i]);
		snprintf(expected, sizeof(expected), "0x%llx", (unsigned long long) numbers[i]);
		CU_ASSERT_STRING_EQUAL(text_of(&output), expected);
		begin(&output);
		tb_output_nine(&output, numbers[i] % 1000000000);
		snprintf(expected, sizeof(expected), "%09u", (unsigned int) (numbers[i] % 1000000000));
		CU_ASSERT_STRING_EQUAL(text_of(&output), expected);
	}
}

static void test_floats(void)
{
	static const struct {
		double number;
		const char *text;
	} rows[] = { { 0, "0" }, { 1, "1" }, { -2.5, "-2.5" }, { 9.9, "9.9" }, { 0.1, "0.1" }, { 1e-6, "0.000001" },
		     { 1234567.125, "1234567.125" }, { 1e300, "1e+300" }, { 1e-7, "1e-07" }, { INFINITY, "inf" },
		     { -INFINITY, "-inf" }, { NAN, "nan" }, { 1.0 / 3, "0.3333333333333333" },
		     { 0.999999, "0.999999" } };
	struct tb_output output;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(&output);
		tb_output_float(&output, rows[i].number, false);
		CU_ASSERT_STRING_EQUAL(text_of(&output), rows[i].text);
	}
	begin(&output);
	tb_output_float(&output, 0.1f, true);
	CU_ASSERT_STRING_EQUAL(text_of(&output), "0.1");
	for (unsigned int round = 0; round < 100000; round++) {
		uint64_t word = tb_random();
		double number;

		memcpy(&number, &word, sizeof(number));
		if (round % 2)
			number = (double) (int32_t) word / 1000;
		if (isnan(number))
			continue;
		begin(&output);
		tb_output_float(&output, number, false);
		CU_ASSERT(strtod(text_of(&output), NULL) == number);
		CU_ASSERT(output.at - output.begin < TB_OUTPUT_NUMBER_SIZE);
	}
}

static void check_string(const char *bytes, size_t size, const char *text, const char *json)
{
	struct tb_output output;

	begin(&output);
	tb_output_string(&output, bytes, size, false);
	CU_ASSERT_STRING_EQUAL(text_of(&output), text);
	begin(&output);
	tb_output_string(&output, bytes, size, true);
	CU_ASSERT_STRING_EQUAL(text_of(&output), json);
}

#define STRING(bytes, text, json) check_string(bytes, sizeof(bytes) - 1, text, json)

static void test_strings(void)
{
	STRING("plain", "plain", "plain");
	STRING("\"\\\n\t\r", "\\\"\\\\\\n\\t\\r", "\\\"\\\\\\n\\t\\r");
	STRING("\x01\x1b[0m\x7f", "\\x01\\x1b[0m\\x7f", "\\u0001\\u001b[0m\\u007f");
	STRING("\0x", "\\x00x", "\\u0000x");
	STRING("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
	       "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	/* A lone byte, a cut sequence, one too long, a surrogate, a C1 control, beyond Unicode. */
	STRING("\x80", "\\x80", "\xef\xbf\xbd");
	STRING("\xe2\x82", "\\xe2\\x82", "\xef\xbf\xbd\xef\xbf\xbd");
	STRING("\xc0\xaf", "\\xc0\\xaf", "\xef\xbf\xbd\xef\xbf\xbd");
	STRING("\xe0\x80\xaf", "\\xe0\\x80\\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	STRING("\xed\xa0\x80", "\\xed\\xa0\\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	STRING("\xc2\x9b", "\\xc2\\x9b", "\xef\xbf\xbd\xef\xbf\xbd");
	STRING("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static bool want_each(void *data, const char *name)
{
	(void) data;
	return !strcmp(name, "test:each") || !strcmp(name, "test:nothing") || !strcmp(name, "test:two");
}

/* Of every address that ends in 8 a symbol is known, of one that ends in f the file. */
static bool find_some(void *data, const struct tb_trace_event *event, uint64_t address, struct tb_line_place *ret_place)
{
	static const struct tb_line_place symbol = { "a \"b\".so", "run", 0x12 }, file = { "c", NULL, 0xfed };

	(void) data, (void) event;
	*ret_place = address % 16 == 8 ? symbol : file;
	return address % 16 == 8 || address % 16 == 15;
}

static bool (*finder)(void *data, const struct tb_trace_event *event, uint64_t address, struct tb_line_place *ret_place);

/* The line on an event of class id with this payload. */
static const char *line_of(bool json, const struct tb_stream_class *class, uint32_t id, const uint8_t *payload,
			   size_t size, const uint8_t *context)
{
	struct tracebuf_packet packet = { .cpu_id = 3, .pid = 1000, .procname = "a \"b\"" };
	struct tb_line_maker maker = { .json = json, .want_event = want_each };
	struct tb_trace_info info;
	struct tb_output output;
	struct tb_trace_event event = { .event = { tb_events_find(&class->events, id), 1234567, context, payload,
						   size },
					.context = class->context, .packet = &packet, .info = &info };

	begin(&output);
	maker.output = &output;
	make_info(&info);
	maker.find_place = finder;
	TB_ASSERT_EQUAL(tb_line_maker_init(&maker, 1), 0);
	TB_ASSERT_EQUAL(tb_line_put(&maker, &event), 0);
	tb_line_maker_free(&maker);
	return text_of(&output);
}

static void test_lines(void)
{
	static const uint8_t context[33] = "\xe9\x03\0\0\xe8\x03\0\0\x88\x77\x66\x55\x44\x33\x22\x11worker";
	static const int64_t two[2] = { -5, 6 };
	struct tb_stream_class class;
	uint8_t payload[256];
	size_t size = make_payload(payload, "x\ny", 3);

	setenv("TZ", "UTC", 1);
	tzset();
	make_class(&class, 5, TRACEBUF_CONTEXT_VTID);
	CU_ASSERT_STRING_EQUAL(line_of(false, &class, 1, payload, size, context),
			       "[22:13:20.001234567] cpu=3 a \\\"b\\\"/1000/1001 test:each: { small = -7, "
			       "ptr = 0x7f00deadbeef, single = -0.5, number = 9.9, text = \"x\\ny\", "
			       "list = [ 0, -1, -2 ] }\n");
	CU_ASSERT_STRING_EQUAL(line_of(true, &class, 1, payload, size, context),
			       "{\"time\":1700000000001234567,\"cpu\":3,\"process\":\"a \\\"b\\\"\",\"pid\":1000,"
			       "\"tid\":1001,\"event\":\"test:each\",\"fields\":{\"small\":-7,\"ptr\":139641712656111,"
			       "\"single\":-0.5,\"number\":9.9,\"text\":\"x\\ny\",\"list\":[0,-1,-2]}}\n");
	CU_ASSERT_STRING_EQUAL(line_of(false, &class, 500, payload, 0, context),
			       "[22:13:20.001234567] cpu=3 a \\\"b\\\"/1000/1001 test:nothing: { }\n");
	CU_ASSERT_STRING_EQUAL(line_of(true, &class, 500, payload, 0, context),
			       "{\"time\":1700000000001234567,\"cpu\":3,\"process\":\"a \\\"b\\\"\",\"pid\":1000,"
			       "\"tid\":1001,\"event\":\"test:nothing\",\"fields\":{}}\n");
	/* One that is not wanted. */
	CU_ASSERT_STRING_EQUAL(line_of(false, &class, 29, payload, 1, context), "");
	class.context = 15;
	CU_ASSERT_STRING_EQUAL(line_of(false, &class, 0, (const uint8_t *) two, 16, context),
			       "[22:13:20.001234567] cpu=3 a \\\"b\\\"/1000/1001 vpid=1000 ip=0x1122334455667788 "
			       "thread=\"worker\" test:two: { a = -5, b = 6 }\n");
	CU_ASSERT_STRING_EQUAL(line_of(true, &class, 0, (const uint8_t *) two, 16, context),
			       "{\"time\":1700000000001234567,\"cpu\":3,\"process\":\"a \\\"b\\\"\",\"pid\":1000,"
			       "\"tid\":1001,\"vpid\":1000,\"ip\":1234605616436508552,\"thread\":\"worker\","
			       "\"event\":\"test:two\",\"fields\":{\"a\":-5,\"b\":6}}\n");
	tb_events_free(&class.events);
}

/* Pointers and the context's ip are named, nothing else is, and not what nobody knows. */
static void test_places(void)
{
	static const struct tb_field fields[] = {
		{ TRACEBUF_FIELD_INTEGER, 8, TRACEBUF_FIELD_HEX, "p" }, { TRACEBUF_FIELD_STRING, 0, 0, "s" },
		{ TRACEBUF_FIELD_SEQUENCE, 8, TRACEBUF_FIELD_HEX, "stack" }, { TRACEBUF_FIELD_INTEGER, 8, 0, "n" },
		{ TRACEBUF_FIELD_INTEGER, 4, TRACEBUF_FIELD_HEX, "h" }, { TRACEBUF_FIELD_INTEGER, 8, TRACEBUF_FIELD_HEX, "q" },
	};
	static const uint8_t context[] = "\xe9\x03\0\0\xe8\x03\0\0\x88\x77\x66\x55\x44\x33\x22\x11";
	static const uint8_t payload[] = "\x1f\0\0\0\0\0\0\0" "x\0" "\2\0\0\0" "\x11\0\0\0\0\0\0\0" "\x18\0\0\0\0\0\0\0"
					 "\x28\0\0\0\0\0\0\0" "\x38\0\0\0" "\x41\0\0\0\0\0\0";
	struct tb_stream_class class = { .context = TRACEBUF_CONTEXT_VTID | TRACEBUF_CONTEXT_VPID | TRACEBUF_CONTEXT_IP };
	struct tb_event_class *event;

	TB_ASSERT_EQUAL(tb_event_class_make(0, 13, "test:two", fields, 6, &event), 0);
	TB_ASSERT_EQUAL(tb_events_add(&class.events, event), 0);
	finder = find_some;
	CU_ASSERT_STRING_EQUAL(line_of(false, &class, 0, payload, sizeof(payload), context),
			       "[22:13:20.001234567] cpu=3 a \\\"b\\\"/1000/1001 vpid=1000 "
			       "ip=0x1122334455667788 (a \\\"b\\\".so!run+0x12) test:two: { p = 0x1f (c+0xfed), s = \"x\", "
			       "stack = [ 0x11, 0x18 (a \\\"b\\\".so!run+0x12) ], n = 40, h = 0x38, q = 0x41 }\n");
	CU_ASSERT_STRING_EQUAL(line_of(true, &class, 0, payload, sizeof(payload), context),
			       "{\"time\":1700000000001234567,\"cpu\":3,\"process\":\"a \\\"b\\\"\",\"pid\":1000,"
			       "\"tid\":1001,\"vpid\":1000,\"ip\":1234605616436508552,\"event\":\"test:two\",\"fields\":{"
			       "\"p\":31,\"s\":\"x\",\"stack\":[17,24],\"n\":40,\"h\":56,\"q\":65},\"symbols\":{"
			       "\"ip\":\"a \\\"b\\\".so!run+0x12\",\"p\":\"c+0xfed\","
			       "\"stack\":[null,\"a \\\"b\\\".so!run+0x12\"]}}\n");
	finder = NULL;
	CU_ASSERT(!strstr(line_of(true, &class, 0, payload, sizeof(payload), context), "symbols"));
	tb_events_free(&class.events);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "integers", test_integers }, { "floats", test_floats }, { "strings", test_strings },
		{ "lines", test_lines }, { "places", test_places },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_reader_view", tests);
}
