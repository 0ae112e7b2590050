/* SPDX-License-Identifier: MIT */
/* What lay where: lines of .statedump looked up by address, and lines that are none. */
#define _GNU_SOURCE
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../libtracebuf/crc32c.h"
#include "../reader/places.h"
#include "../reader/statedump_line.h"
#include "../reader/statedump_stream.h"
#include "harness.h"

#define LINE(pid, ticks, maps) "{\"pid\":" #pid ",\"incarnation\":7,\"time\":1.000000000,\"ticks\":" #ticks \
	",\"left_out\":0,\"executable\":\"/bin/a\",\"thread\":[],\"map\":[" maps "]}\n"
#define MAP(start, end, offset, path, id) "{\"start\":" #start ",\"end\":" #end ",\"offset\":" #offset \
	",\"flags\":\"rx\",\"path\":\"" path "\",\"build_id\":\"" id "\"}"

static void add(struct tb_places *places, const char *text)
{
	TB_ASSERT_EQUAL(tb_places_add(places, text, strlen(text)), 0);
	tb_places_sort(places);
}

/* The path and the offset in the file of what is found; "" if nothing is. */
static const char *found(const struct tb_places *places, int32_t pid, size_t at, uint64_t address)
{
	static char text[128];
	const struct tb_object *object;
	size_t nr;
	struct tb_moment *moment = tb_places_of(places, pid, 7, &nr);

	object = moment ? tb_places_find(moment, nr, at, address) : NULL;
	text[0] = '\0';
	if (object)
		snprintf(text, sizeof(text), "%s+%llu", object->path, (unsigned long long) (address - object->base));
	return text;
}

/* What is to be found at an address, for process pid in the at-th moment of it. */
struct expectation {
	int32_t pid;
	size_t at;
	uint64_t address;
	const char *text;
};

static void expect(const struct tb_places *places, const struct expectation *expectation, size_t nr)
{
	for (size_t i = 0; i < nr; i++, expectation++)
		CU_ASSERT_STRING_EQUAL(found(places, expectation->pid, expectation->at, expectation->address),
				       expectation->text);
}
#define EXPECT(places, table) expect(places, table, sizeof(table) / sizeof((table)[0]))

/* The kernel's maps of a file are one object; a file between them, and another build, is another. */
static void test_maps(void)
{
	static const struct expectation expectations[] = {
		{ 1, 0, 4096, "/bin/a+0" }, { 1, 0, 24575, "/bin/a+20479" }, { 1, 0, 24576, "" }, { 1, 0, 4095, "" },
		{ 1, 0, 40961, "/bin/a+1" }, { 1, 0, 49152, "/lib/b+4096" }, { 2, 0, 4096, "" },
	};
	struct tb_places places = { 0 };

	add(&places, LINE(1, 5, MAP(4096, 8192, 0, "/bin/a", "0102") "," MAP(8192, 12288, 4096, "/bin/a", "0102") ","
			  MAP(20480, 24576, 12288, "/bin/a", "0102") "," MAP(40960, 45056, 0, "/bin/a", "0102") ","
			  MAP(49152, 53248, 4096, "/lib/b", "")));
	EXPECT(&places, expectations);
	TB_ASSERT_EQUAL(places.nr_moments, 1);
	TB_ASSERT_EQUAL(places.moment[0].nr_objects, 3);
	TB_ASSERT_EQUAL(places.moment[0].object[0].build_id_size, 2);
	TB_ASSERT_EQUAL(places.moment[0].object[0].build_id[1], 2);
	TB_ASSERT_EQUAL(places.moment[0].object[2].build_id_size, 0);
	CU_ASSERT_STRING_EQUAL(places.moment[0].executable, "/bin/a");
	tb_places_free(&places);
}

/* The moment itself first, then what comes, then what was. */
static void test_moments(void)
{
	static const struct expectation expectations[] = {
		{ 1, 0, 4096, "/a+0" }, { 1, 1, 4096, "/c+0" }, { 1, 2, 4096, "/c+0" }, { 1, 2, 12288, "/old+0" },
		{ 1, 0, 20480, "/b+0" }, { 2, 0, 4096, "" },
	};
	struct tb_places places = { 0 };

	add(&places, LINE(1, 30, MAP(4096, 8192, 0, "/c", "")) LINE(1, 10, MAP(4096, 8192, 0, "/a", "") ","
			  MAP(12288, 16384, 0, "/old", "")) LINE(2, 1, "") LINE(1, 20, MAP(20480, 24576, 0, "/b", "")));
	EXPECT(&places, expectations);
	tb_places_free(&places);
}

/* What overlaps, goes backwards or is no line costs itself alone. */
static void test_nonsense(void)
{
	static const char *const lines[] = {
		"\n", "{}\n", "[]\n", "{\"pid\":1}\n", "no JSON\n", "{\"pid\":1,\"incarnation\":7,\"map\":3}\n",
		LINE(1, 1, "1,[],{},null"), LINE(1, 1, MAP(8192, 4096, 0, "/x", "")), LINE(1, 1, MAP(1, 4096, 2, "/x", "")),
		LINE(1, 1, "{\"start\":1,\"end\":2,\"offset\":0,\"path\":5}"), LINE(1, 1, "{\"start\":1,\"end\":2}"),
		"{\"pid\":1,\"incarnation\":7,\"map\":[",
	};
	static const char right[] = LINE(1, 2, MAP(4096, 8192, 0, "/a", "0g") "," MAP(6000, 9000, 0, "/b", "012")),
			  unfinished[] = "{\"pid\":1,\"incarnation\":7,\"map\":[]}";
	struct tb_places places = { 0 };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		add(&places, lines[i]);
	add(&places, right);
	add(&places, unfinished);
	CU_ASSERT_STRING_EQUAL(found(&places, 1, 0, 4096), "/a+0");
	CU_ASSERT_STRING_EQUAL(found(&places, 1, 0, 8500), "");
	for (size_t i = 0; i < places.nr_moments; i++)
		for (size_t j = 0; j < places.moment[i].nr_objects; j++)
			TB_ASSERT_EQUAL(places.moment[i].object[j].build_id_size, 0);
	tb_places_free(&places);
}

/* What is printed comes back, whatever bytes a path has. */
static void test_round_trip(void)
{
	static const char path[] = "/a \"b\"\\\n\xc3\xa9\xff";
	struct { struct tracebuf_statedump head; union { char bytes[128]; struct tracebuf_state state; } records; } dump;
	const struct tb_process_info process = { .pid = 3, .incarnation = 7 };
	struct tb_places places = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	memset(&dump, 0, sizeof(dump));
	dump.records.state = (struct tracebuf_state) { .size = 80, .kind = TRACEBUF_STATE_MAP, .build_id_size = 20,
		.flags = TRACEBUF_STATE_EXEC, .start = 0x7fffffff0000, .end = 0x7fffffff1000, .build_id = { 0xff, 0 } };
	memcpy(dump.records.bytes + offsetof(struct tracebuf_state, path), path, sizeof(path));
	dump.head.sequence = 2;
	dump.head.size = 80;
	dump.head.crc = tb_crc32c(0, dump.records.bytes, 80);
	TB_ASSERT_EQUAL(tb_statedump_check(&dump.head, dump.records.bytes, 80), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	tb_statedump_line(out, &process, &dump.head, dump.records.bytes, UINT64_MAX);
	fclose(out);
	add(&places, text);
	TB_ASSERT_EQUAL(places.nr_moments, 1);
	TB_ASSERT_EQUAL(places.moment[0].ticks, UINT64_MAX);
	TB_ASSERT_EQUAL(places.moment[0].nr_objects, 1);
	CU_ASSERT_STRING_EQUAL(places.moment[0].object[0].path, path);
	TB_ASSERT_EQUAL(places.moment[0].object[0].start, 0x7fffffff0000);
	TB_ASSERT_EQUAL(places.moment[0].object[0].build_id[0], 0xff);
	tb_places_free(&places);
	free(text);
}

/* A map of a file's end would stand for what lies where its beginning would be: other readers are not told of it. */
static void test_stream(void)
{
	static const uint8_t uuid[16];
	struct tb_places places = { 0 };
	char *bytes;
	size_t size;

	add(&places, LINE(1, 5, MAP(16384, 20480, 0, "/bin/a", "0102") "," MAP(24576, 28672, 16384, "buffer", "") ","
			  MAP(32768, 36864, 0, "/data", "")));
	TB_ASSERT_EQUAL(tb_statedump_stream_make(&places, uuid, &bytes, &size), 0);
	CU_ASSERT(memmem(bytes, size, "/bin/a", 7) && memmem(bytes, size, "/data", 6) && !memmem(bytes, size, "buffer", 7));
	free(bytes);
	tb_places_free(&places);
}

/* Every byte changed in every way that matters: nothing is read outside, nothing is out of order. */
static void test_damage(void)
{
	static const char right[] = LINE(1, 2, MAP(4096, 8192, 0, "/a\\u0041", "01") "," MAP(8192, 9000, 4096, "/b", ""));
	static const char bytes[] = "\"\\{}[],:u0a\n\xff";

	for (size_t i = 0; i < sizeof(right) - 1; i++) {
		for (size_t j = 0; j < sizeof(bytes); j++) {
			char *copy = malloc(sizeof(right) - 1);
			struct tb_places places = { 0 };

			memcpy(copy, right, sizeof(right) - 1);
			copy[i] = bytes[j];
			TB_ASSERT_EQUAL(tb_places_add(&places, copy, sizeof(right) - 1), 0);
			tb_places_sort(&places);
			free(copy);
			found(&places, 1, 0, 8192);
			tb_places_free(&places);
		}
	}
	CU_PASS("read to the end");
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "maps", test_maps }, { "moments", test_moments }, { "nonsense", test_nonsense },
		{ "round_trip", test_round_trip }, { "stream", test_stream }, { "damage", test_damage },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_reader_places", tests);
}
