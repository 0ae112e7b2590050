/* SPDX-License-Identifier: MIT */
/*
 * Out of memory: the n-th allocation fails, for every n. The answer is then -ENOMEM or the whole trace, never a part of
 * it; that nothing leaks is what the run under AddressSanitizer shows.
 */
#define _GNU_SOURCE
#include <CUnit/CUnit.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../reader/trace.h"
#include "../tools/view_line.h"
#include "harness.h"
#include "unit_reader_maker.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *pointer, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *pointer, size_t size);

/* Allocations until the one that fails; 0: none does. */
static unsigned int left;
static bool failed;

static bool fails(void)
{
	failed |= left == 1;
	return left && !--left;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return fails() ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *pointer, size_t size)
{
	return fails() ? NULL : __real_realloc(pointer, size);
}

static char dir[] = "/tmp/unit_reader_memory.XXXXXX";
static char buffer[1 << 20];

static void write_file(const char *name, const void *bytes, size_t size)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	CU_ASSERT_FATAL(file && fwrite(bytes, 1, size, file) == size);
	fclose(file);
}

static void make_trace(void)
{
	struct tb_stream_class class;
	struct tb_trace_info info;
	uint8_t *payload = calloc(1, 1 << 20);
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CU_ASSERT_FATAL(mkdtemp(dir) && out && payload);
	make_info(&info);
	make_class(&class, 5, TRACEBUF_CONTEXT_VTID);
	CU_ASSERT(!tb_metadata_write_header(out, &info) && !tb_metadata_write_class(out, &class));
	fclose(out);
	write_file("metadata", text, size);
	for (unsigned int i = 0; i < 3; i++) {
		char name[16];
		struct packet_maker maker;

		snprintf(name, sizeof(name), "stream%u", i);
		packet_begin(&maker, info.uuid, &class, 0, 0, 1000);
		packet_event(&maker, &class, 4, 0, 1001, payload, 16);
		packet_event(&maker, &class, 4, 1, 1002, payload, make_payload(payload, "x", 200000));
		packet_end(&maker, 1 << 20, 5);
		write_file(name, maker.bytes, maker.size);
		packet_free(&maker);
	}
	tb_events_free(&class.events);
	free(payload);
	free(text);
}

/* Events of the trace, or -errno. */
static int read_trace(struct tb_trace *trace)
{
	const struct tb_trace_event *event;
	struct tb_trace_totals totals;
	struct tb_line_maker maker = { .json = true };
	struct tb_output output;
	int err, more, nr = 0;

	tb_output_init(&output, open("/dev/null", O_WRONLY | O_CLOEXEC), buffer, sizeof(buffer));
	maker.output = &output;
	tb_trace_totals(trace, &totals);
	TB_ASSERT_EQUAL(totals.nr_streams, 3);
	err = tb_line_maker_init(&maker, totals.nr_streams);
	while (!err && (more = tb_trace_next(trace, &event)) != 0) {
		err = more < 0 ? more : tb_line_put(&maker, event);
		nr++;
	}
	tb_trace_totals(trace, &totals);
	CU_ASSERT(err || (totals.nr_discarded == 5 && !totals.nr_damaged));
	tb_line_maker_free(&maker);
	close(output.fd);
	return err ? err : nr;
}

static void test_nth(void)
{
	const struct tb_trace_options options = { NULL, NULL, NULL };
	unsigned int n = 0;
	char command[64];

	make_trace();
	do {
		struct tb_trace *trace;
		char message[256];
		int result;

		failed = false;
		left = ++n;
		result = tb_trace_open(dir, &options, &trace, message, sizeof(message));
		if (!result) {
			result = read_trace(trace);
			tb_trace_close(trace);
		}
		left = 0;
		CU_ASSERT(result == (failed ? -ENOMEM : 6));
	} while (failed && n < 1000);
	CU_ASSERT(n > 20 && n < 1000);
	tb_note("%u allocations", n - 1);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	TB_ASSERT_EQUAL(system(command), 0);
}

static void test_descriptions(void)
{
	static const struct tb_field field = { TRACEBUF_FIELD_INTEGER, 4, 0, "a" };
	static uint8_t bytes[8192];
	struct tb_events events;
	unsigned int n = 0;
	size_t size = 0;

	for (uint32_t id = 0; id < 40; id++)
		make_description(bytes, &size, id, "p:e", &field, 1);
	do {
		int err;

		failed = false;
		left = ++n;
		err = tb_descriptions_parse(bytes, size, 40, &events);
		left = 0;
		TB_ASSERT_EQUAL(err, failed ? -ENOMEM : 0);
		if (!err)
			tb_events_free(&events);
	} while (failed && n < 1000);
	CU_ASSERT(n > 40 && n < 1000);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "every allocation of a reader", test_nth }, { "every allocation of descriptions", test_descriptions },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_reader_memory", tests);
}
