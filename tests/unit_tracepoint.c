/* SPDX-License-Identifier: MIT */
/*
 * tracepoint.h as C: what each type becomes on the wire, where a payload passes from one form to the next, and what
 * the statement does and does not evaluate. The library's place is taken by the sink.
 */
#define _GNU_SOURCE
#include "harness.h"
#include "unit_tracepoint_shared.h"
#include "unit_tracepoint_sink.h"
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum colour { RED, GREEN = 7 };
enum offset { BACK = -3, FORTH = 3 };
typedef const char *label;

TRACEBUF_EVENT(types, integers, (int8_t, a), (uint8_t, b), (int16_t, c), (uint16_t, d), (int32_t, e), (uint32_t, f),
	       (int64_t, g), (uint64_t, h));
TRACEBUF_EVENT(types, c_integers, (signed char, a), (unsigned char, b), (short, c), (unsigned short, d), (int, e),
	       (unsigned int, f), (long, g), (unsigned long, h), (long long, i), (unsigned long long, j), (char, k));
TRACEBUF_EVENT(types, others, (bool, yes), (enum colour, colour), (enum offset, offset), (size_t, size), (pid_t, pid),
	       (float, f), (double, d), (const int, constant));
TRACEBUF_EVENT(types, pointers, (void *, a), (const int *, b), (struct sink *, c), (unsigned char *, d),
	       (void *const, e));
TRACEBUF_EVENT(types, strings, (const char *, a), (char *, b), (label, c), (const char *const, d));
TRACEBUF_EVENT(types, words, (int, default), (int, class), (int, this), (int, while));
TRACEBUF_EVENT(types, nothing);
TRACEBUF_EVENT(types, sixteen, (uint8_t, a), (uint16_t, b), (uint32_t, c), (uint64_t, d), (int8_t, e), (int16_t, f),
	       (int32_t, g), (int64_t, h), (uint8_t, i), (uint64_t, j), (uint8_t, k), (double, l), (uint8_t, m),
	       (float, n), (uint8_t, o), (void *, p));
TRACEBUF_EVENT(types, sixteen_mixed, (uint8_t, a), (const char *, b), (uint32_t, c), (const int8_t *, d, nr_d),
	       (int8_t, e), (const char *, f), (int32_t, g), (const uint64_t *, h, nr_h), (uint8_t, i), (uint64_t, j),
	       (uint8_t, k), (double, l), (uint8_t, m), (float, n), (uint8_t, o), (const char *, p));
TRACEBUF_EVENT(sequences, narrow, (const uint8_t *, u8, n8), (const int8_t *, i8, m8), (const uint16_t *, u16, n16),
	       (const int16_t *, i16, m16), (const char *, text, length), (const bool *, flags, nr_flags));
TRACEBUF_EVENT(sequences, wide, (const uint32_t *, u32, n32), (const int32_t *, i32, m32), (const uint64_t *, u64, n64),
	       (int64_t *, i64, m64), (const enum offset *, offsets, nr_offsets));
TRACEBUF_EVENT(sequences, bytes, (const uint8_t *, data, length));
TRACEBUF_EVENT(sequences, longs, (const uint64_t *, data, length));
TRACEBUF_EVENT(text, one, (const char *, s));
TRACEBUF_EVENT(text, behind, (uint8_t, a), (const char *, s), (uint32_t, b));

#define CHECK_TEXT(expected) check_text(expected, __LINE__)

static void check_text(const char *expected, unsigned int line)
{
	const char *text = sink_text();

	if (strcmp(text, expected))
		tb_note("%s\n# instead of %s", text, expected);
	CU_assertImplementation(!strcmp(text, expected), line, expected, __FILE__, "", CU_FALSE);
}

static void enable(const char *name)
{
	sink_reset();
	CU_ASSERT_TRUE_FATAL(sink_enable(name, 1) > 0);
}

static void test_integers(void)
{
	enable("types:integers");
	tracebuf_event(types, integers, INT8_MIN, UINT8_MAX, INT16_MIN, UINT16_MAX, INT32_MIN, UINT32_MAX, INT64_MIN,
		       UINT64_MAX);
	CHECK_TEXT("types:integers { a = -128, b = 255, c = -32768, d = 65535, e = -2147483648, f = 4294967295, "
		   "g = -9223372036854775808, h = 18446744073709551615 }");
	TB_ASSERT_EQUAL(sink.size, 30);
	tracebuf_event(types, integers, 1, 2, 3, 4, 5, 6, 7, 8);
	CHECK_TEXT("types:integers { a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8 }");
	enable("types:c_integers");
	tracebuf_event(types, c_integers, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, 'x');
	CHECK_TEXT("types:c_integers { a = -1, b = 1, c = -2, d = 2, e = -3, f = 3, g = -4, h = 4, i = -5, j = 5, k = 120 }");
}

static void test_others(void)
{
	enable("types:others");
	tracebuf_event(types, others, true, GREEN, BACK, (size_t) 1 << 40, -1, 1.5f, -0.25, 12);
	CHECK_TEXT("types:others { yes = 1, colour = 7, offset = -3, size = 1099511627776, pid = -1, f = 1.5, d = -0.25, "
		   "constant = 12 }");
	tracebuf_event(types, others, 2, RED, FORTH, 0, 0, 0, 0, -1);
	CHECK_TEXT("types:others { yes = 1, colour = 0, offset = 3, size = 0, pid = 0, f = 0, d = 0, constant = -1 }");
}

static void test_pointers(void)
{
	enable("types:pointers");
	tracebuf_event(types, pointers, NULL, (const int *) 0x1234, (struct sink *) UINTPTR_MAX, (unsigned char *) 1,
		       (void *) 0x7fffffffffff);
	CHECK_TEXT("types:pointers { a = 0x0, b = 0x1234, c = 0xffffffffffffffff, d = 0x1, e = 0x7fffffffffff }");
}

static void test_strings(void)
{
	char mine[] = "mine";

	enable("types:strings");
	tracebuf_event(types, strings, "one", mine, "", "four");
	CHECK_TEXT("types:strings { a = \"one\", b = \"mine\", c = \"\", d = \"four\" }");
	tracebuf_event(types, strings, NULL, NULL, NULL, NULL);
	CHECK_TEXT("types:strings { a = \"(null)\", b = \"(null)\", c = \"(null)\", d = \"(null)\" }");
	CU_ASSERT_TRUE(sink.is_staged);
}

static void test_number_of_fields(void)
{
	const int8_t small[] = { -1, 2 };
	const uint64_t large[] = { UINT64_MAX };

	enable("types:nothing");
	tracebuf_event(types, nothing);
	CHECK_TEXT("types:nothing { }");
	enable("types:words");
	tracebuf_event(types, words, 1, 2, 3, 4);
	CHECK_TEXT("types:words { default = 1, class = 2, this = 3, while = 4 }");
	enable("types:sixteen");
	tracebuf_event(types, sixteen, 1, 2, 3, 4, -5, -6, -7, -8, 9, 10, 11, 12.5, 13, 14.5f, 15, (void *) 16);
	CHECK_TEXT("types:sixteen { a = 1, b = 2, c = 3, d = 4, e = -5, f = -6, g = -7, h = -8, i = 9, j = 10, k = 11, "
		   "l = 12.5, m = 13, n = 14.5, o = 15, p = 0x10 }");
	enable("types:sixteen_mixed");
	tracebuf_event(types, sixteen_mixed, 1, "two", 3, small, 2, -5, NULL, -7, large, 1, 9, 10, 11, 12.5, 13, 14.5f, 15,
		       "sixteen");
	CHECK_TEXT("types:sixteen_mixed { a = 1, b = \"two\", c = 3, d = [-1, 2], e = -5, f = \"(null)\", g = -7, "
		   "h = [18446744073709551615], i = 9, j = 10, k = 11, l = 12.5, m = 13, n = 14.5, o = 15, "
		   "p = \"sixteen\" }");
}

static void test_sequences(void)
{
	const uint8_t u8[] = { 0, 255 };
	const int8_t i8[] = { -128, 127 };
	const uint16_t u16[] = { 65535 };
	const int16_t i16[] = { -2, 2, -3 };
	const uint32_t u32[] = { UINT32_MAX };
	const int32_t i32[] = { -1 };
	const uint64_t u64[] = { UINT64_MAX, 0 };
	int64_t i64[] = { INT64_MIN };
	const enum offset offsets[] = { BACK, FORTH };
	const bool flags[] = { true, false };

	enable("sequences:narrow");
	tracebuf_event(sequences, narrow, u8, 2, i8, 2, u16, 1, i16, 3, "AB", 2, flags, 2);
	CHECK_TEXT("sequences:narrow { u8 = [0, 255], i8 = [-128, 127], u16 = [65535], i16 = [-2, 2, -3], text = [65, 66], "
		   "flags = [1, 0] }");
	tracebuf_event(sequences, narrow, NULL, 7, i8, 0, NULL, 0, NULL, SIZE_MAX, "", 0, NULL, 1);
	CHECK_TEXT("sequences:narrow { u8 = [], i8 = [], u16 = [], i16 = [], text = [], flags = [] }");
	enable("sequences:wide");
	tracebuf_event(sequences, wide, u32, 1, i32, 1, u64, 2, i64, 1, offsets, 2);
	CHECK_TEXT("sequences:wide { u32 = [4294967295], i32 = [-1], u64 = [18446744073709551615, 0], "
		   "i64 = [-9223372036854775808], offsets = [-3, 3] }");
}

/* Each length around the end of the stage, then large ones: all of the data, in the right place. */
static void test_sequence_lengths(void)
{
	static uint8_t data[1 << 20];
	uint32_t nr;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t) tb_random();
	enable("sequences:bytes");
	for (size_t length = 0; length <= sizeof(data); length += length < 300 ? 1 : length / 2) {
		tracebuf_event(sequences, bytes, data, length);
		memcpy(&nr, sink.payload, sizeof(nr));
		TB_ASSERT_EQUAL(nr, length);
		TB_ASSERT_EQUAL(sink.size, sizeof(nr) + length);
		TB_ASSERT_EQUAL(sink.is_staged, length + sizeof(nr) <= 256);
		CU_ASSERT_TRUE(!memcmp(sink.payload + sizeof(nr), data, length));
	}
}

/* Lengths that no buffer has are handed on as an event that is too large, whatever their product would wrap to. */
static void test_absurd_lengths(void)
{
	uint64_t one = 1;

	enable("sequences:longs");
	tracebuf_event(sequences, longs, &one, SIZE_MAX);
	CU_ASSERT_TRUE(sink.is_oversize);
	tracebuf_event(sequences, longs, &one, SIZE_MAX / 8 + 2);
	CU_ASSERT_TRUE(sink.is_oversize);
	tracebuf_event(sequences, longs, &one, (size_t) -1);
	CU_ASSERT_TRUE(sink.is_oversize);
	tracebuf_event(sequences, longs, &one, 1);
	CHECK_TEXT("sequences:longs { data = [1] }");
}

/* Strings of every short length, each ending where the readable memory does. */
static void test_string_ends(void)
{
	long page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t b = 0;

	CU_ASSERT_TRUE_FATAL(map != MAP_FAILED && !mprotect(map + page, page, PROT_NONE));
	enable("text:behind");
	for (size_t length = 0; length < 320; length++) {
		char *s = map + page - length - 1;

		memset(s, 'a' + length % 26, length);
		s[length] = 0;
		tracebuf_event(text, behind, 7, s, 0x01020304);
		TB_ASSERT_EQUAL(sink.size, 1 + length + 1 + 4);
		TB_ASSERT_EQUAL(sink.payload[0], 7);
		CU_ASSERT_TRUE(!memcmp(sink.payload + 1, s, length + 1));
		memcpy(&b, sink.payload + 1 + length + 1, sizeof(b));
		TB_ASSERT_EQUAL(b, 0x01020304);
		TB_ASSERT_EQUAL(sink.is_staged, 1 + length + 1 + 4 <= 256);
	}
	munmap(map, 2 * page);
}

/* Of 65536 bytes with the NUL, a string is whole; of one more it is cut, between characters, and says so. */
static void test_long_strings(void)
{
	const size_t max = 65536;
	char *s = calloc(3, max);

	CU_ASSERT_TRUE_FATAL(s != NULL);
	enable("text:one");
	memset(s, 'x', max - 1);
	tracebuf_event(text, one, s);
	TB_ASSERT_EQUAL(sink.size, max);
	CU_ASSERT_TRUE(!strcmp((const char *) sink.payload, s));
	memset(s, 'x', 2 * max);
	tracebuf_event(text, one, s);
	TB_ASSERT_EQUAL(sink.size, max);
	TB_ASSERT_EQUAL(strlen((const char *) sink.payload), max - 1);
	CU_ASSERT_TRUE(!memcmp(sink.payload + max - 5, "x\xe2\x80\xa6", 5));
	memcpy(s + max - 6, "\xf0\x9f\x90\xa7", 4);
	tracebuf_event(text, one, s);
	TB_ASSERT_EQUAL(sink.size, max - 2);
	TB_ASSERT_EQUAL(strlen((const char *) sink.payload), max - 3);
	CU_ASSERT_TRUE(!memcmp(sink.payload + max - 7, "x\xe2\x80\xa6", 5));
	free(s);
}

static bool flicker_ends;

/* Puts a NUL into the string and takes it out again, everywhere, each time for about as long as a copy takes. */
static void *flicker(void *string)
{
	char *s = string;

	for (unsigned int i = 0; !tracebuf__load(&flicker_ends); i++) {
		tracebuf__store(&s[i * 7 % 200], 0);
		for (unsigned int wait = i % 64; wait; wait--)
			__asm__ volatile("");
		tracebuf__store(&s[i * 7 % 200], 'y');
	}
	return NULL;
}

/* However a string changes meanwhile, what was staged of it ends at its first NUL. */
static void test_flickering_string(void)
{
	char s[208];
	pthread_t thread;
	size_t nr_bad = 0;

	memset(s, 'x', sizeof(s) - 1);
	s[sizeof(s) - 1] = 0;
	flicker_ends = false;
	CU_ASSERT_TRUE_FATAL(!pthread_create(&thread, NULL, flicker, s));
	enable("text:one");
	for (int i = 0; i < 300000; i++) {
		tracebuf_event(text, one, s);
		nr_bad += strnlen((const char *) sink.payload, sink.size) + 1 != sink.size;
	}
	tracebuf__store(&flicker_ends, true);
	pthread_join(thread, NULL);
	TB_ASSERT_EQUAL(nr_bad, 0);
	TB_ASSERT_EQUAL(sink.nr_events, 300000);
}

static int nr_evaluated;

static int evaluate(int value)
{
	nr_evaluated++;
	return value;
}

static void test_statement(void)
{
	bool reached = false;

	sink_reset();
	sink_enable("types:words", 0);
	tracebuf_event(types, words, evaluate(1), evaluate(2), evaluate(3), evaluate(4));
	TB_ASSERT_EQUAL(nr_evaluated, 0);
	TB_ASSERT_EQUAL(sink.nr_events, 0);
	CU_ASSERT_FALSE(tracebuf_event_enabled(types, words));
	sink_enable("types:words", 1);
	CU_ASSERT_TRUE(tracebuf_event_enabled(types, words));
	tracebuf_event(types, words, evaluate(1), (evaluate(0), evaluate(2)), evaluate(3), 4);
	TB_ASSERT_EQUAL(nr_evaluated, 4);
	CHECK_TEXT("types:words { default = 1, class = 2, this = 3, while = 4 }");
	if (nr_evaluated == 0)
		tracebuf_event(types, words, 0, 0, 0, 0);
	else
		reached = true;
	CU_ASSERT_TRUE(reached);
	TB_ASSERT_EQUAL(sink.nr_events, 1);
}

/* Two sources, one object: one registration, and each source's record of the event can be switched. */
static void test_registration(void)
{
	TB_ASSERT_EQUAL(sink_nr_registered, 1);
	TB_ASSERT_EQUAL(sink_enable("shared:both", 1), 2);
	sink_reset();
	tracebuf_event(shared, both, 1, "here");
	CHECK_TEXT("shared:both { from = 1, class = \"here\" }");
	unit_tracepoint_other();
	CHECK_TEXT("shared:both { from = 2, class = \"other\" }");
	TB_ASSERT_EQUAL(sink_enable("other:own", 1), 1);
	unit_tracepoint_other();
	CHECK_TEXT("other:own { }");
	TB_ASSERT_EQUAL(sink.nr_events, 4);
}

static void test_descriptions(void)
{
	enable("types:nothing");
	tracebuf_event(types, nothing);
	TB_ASSERT_EQUAL(sizeof(*sink.event), 64);
	TB_ASSERT_EQUAL((uintptr_t) sink.event % 64, 0);
	TB_ASSERT_EQUAL(sink.event->abi_version, TRACEBUF_ABI_VERSION);
	TB_ASSERT_EQUAL(sink.event->loglevel, 13);
	TB_ASSERT_EQUAL((uintptr_t) sink.event->enable_page % (uintptr_t) sysconf(_SC_PAGESIZE), 0);
	TB_ASSERT_EQUAL(sink.event->enable_page_size, 65536);
	CU_ASSERT_TRUE(sink.event->enable >= sink.event->enable_page);
	CU_ASSERT_TRUE(sink.event->enable < sink.event->enable_page + 1024);
#ifdef __OPTIMIZE__
	TB_ASSERT_EQUAL(sink_enable("shared:nobody", 1), 0);
#endif
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "integers", test_integers },
		{ "others", test_others },
		{ "pointers", test_pointers },
		{ "strings", test_strings },
		{ "number of fields", test_number_of_fields },
		{ "sequences", test_sequences },
		{ "sequence lengths", test_sequence_lengths },
		{ "absurd lengths", test_absurd_lengths },
		{ "string ends", test_string_ends },
		{ "long strings", test_long_strings },
		{ "flickering string", test_flickering_string },
		{ "statement", test_statement },
		{ "registration", test_registration },
		{ "descriptions", test_descriptions },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_tracepoint", tests);
}
