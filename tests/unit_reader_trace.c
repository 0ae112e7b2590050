/* SPDX-License-Identifier: MIT */
/* Trace directories: merged in order, damage told and leapt over, sub-directories, filters. */
#define _GNU_SOURCE
#include <CUnit/CUnit.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../reader/trace.h"
#include "harness.h"
#include "unit_reader_maker.h"

static char dir[] = "/tmp/unit_reader_trace.XXXXXX";
static struct tb_stream_class class;
static struct tb_trace_info info;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st, (void) type, (void) ftw;
	return remove(path);
}

static void begin(void)
{
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(dir) != NULL);
	make_info(&info);
	make_class(&class, 5, TRACEBUF_CONTEXT_VTID);
}

static void end(void)
{
	tb_events_free(&class.events);
	TB_ASSERT_EQUAL(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void write_file(const char *name, const void *bytes, size_t size)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	CU_ASSERT_FATAL(file && fwrite(bytes, 1, size, file) == size);
	fclose(file);
}

static void make_directory(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	TB_ASSERT_EQUAL(mkdir(path, 0700), 0);
}

static void write_metadata(const char *name)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CU_ASSERT(!tb_metadata_write_header(out, &info) && !tb_metadata_write_class(out, &class));
	fclose(out);
	write_file(name, text, size);
	free(text);
}

/* nr_packets packets of nr events, one each step ticks from time on. free() the bytes. */
static uint8_t *make_stream(unsigned int nr_packets, unsigned int nr, uint64_t time, uint64_t step, size_t *ret_size)
{
	uint8_t *bytes = NULL;
	uint64_t count = 0;

	*ret_size = 0;
	for (unsigned int i = 0; i < nr_packets; i++) {
		struct packet_maker maker;

		packet_begin(&maker, info.uuid, &class, i, count, time);
		for (unsigned int j = 0; j < nr; j++, count++, time += step) {
			uint64_t two[2] = { count, time };

			packet_event(&maker, &class, 13, 0, time, two, 16);
		}
		packet_end(&maker, (maker.size + 4095) / 4096 * 4096, 7);
		bytes = realloc(bytes, *ret_size + maker.size);
		memcpy(bytes + *ret_size, maker.bytes, maker.size);
		*ret_size += maker.size;
		packet_free(&maker);
	}
	return bytes;
}

static void write_stream(const char *name, unsigned int nr_packets, unsigned int nr, uint64_t time, uint64_t step)
{
	size_t size;
	uint8_t *bytes = make_stream(nr_packets, nr, time, step, &size);

	write_file(name, bytes, size);
	free(bytes);
}

struct seen {
	uint64_t nr, nr_reports, sum;
	char report[512];
	struct tb_trace_totals totals;
};

static void on_report(void *data, const char *message)
{
	struct seen *seen = data;

	seen->nr_reports++;
	snprintf(seen->report, sizeof(seen->report), "%s", message);
	CU_ASSERT(!strchr(message, '\n'));
}

/* Reads the whole trace; asserts that time does not go back. Returns what tb_trace_open() did. */
static int read_trace(struct seen *seen, int64_t from_ns, int64_t to_ns)
{
	const struct tb_trace_options options = { .report = on_report, .data = seen };
	const struct tb_trace_event *event;
	struct tb_trace *trace;
	char message[512];
	int64_t last = INT64_MIN;
	int err;

	memset(seen, 0, sizeof(*seen));
	err = tb_trace_open(dir, &options, &trace, message, sizeof(message));
	if (err) {
		CU_ASSERT(strstr(message, dir) && !strchr(message, '\n'));
		return err;
	}
	tb_trace_set_range(trace, from_ns, to_ns);
	while (tb_trace_next(trace, &event) > 0) {
		int64_t ns = tb_trace_info_ns(event->info, event->event.time);

		CU_ASSERT(ns >= last && ns >= from_ns && ns <= to_ns);
		last = ns;
		seen->nr++;
		seen->sum += event->event.payload[0];
	}
	tb_trace_totals(trace, &seen->totals);
	tb_trace_close(trace);
	return 0;
}

static int read_all(struct seen *seen)
{
	return read_trace(seen, INT64_MIN, INT64_MAX);
}

static void test_merged(void)
{
	struct seen seen;

	begin();
	write_metadata("metadata");
	write_stream("a_1-1_0_0", 5, 300, 1000, 7);
	write_stream("b_1-1_1_0", 3, 200, 1003, 11);
	write_stream("c_1-1_1_0", 1, 1, 5000, 11);
	write_file("empty_1-1_1_0", "", 0);
	write_file(".processes", "{}", 2);
	make_directory("index");
	write_file("index/a_1-1_0_0.idx", "xxxxxxxx", 8);
	TB_ASSERT_EQUAL(read_all(&seen), 0);
	TB_ASSERT_EQUAL(seen.nr, 1500 + 600 + 1);
	TB_ASSERT_EQUAL(seen.nr_reports, 0);
	TB_ASSERT_EQUAL(seen.totals.nr_damaged, 0);
	TB_ASSERT_EQUAL(seen.totals.nr_missing, 0);
	/* All streams of the test say that they are instance 9: one ring. */
	TB_ASSERT_EQUAL(seen.totals.nr_discarded, 7);
	end();
}

static void test_range(void)
{
	struct seen seen;

	begin();
	write_metadata("metadata");
	write_stream("a", 10, 100, 0, 10);
	TB_ASSERT_EQUAL(read_trace(&seen, 1700000000000002500, 1700000000000007490), 0);
	TB_ASSERT_EQUAL(seen.nr, 500);
	TB_ASSERT_EQUAL(read_trace(&seen, 1700000000000010000, INT64_MAX), 0);
	TB_ASSERT_EQUAL(seen.nr, 0);
	end();
}

/* Cut at every 64th byte: whole packets before are there, one line names file and offset. */
static void test_cut(void)
{
	uint8_t *bytes;
	size_t size;

	begin();
	write_metadata("metadata");
	bytes = make_stream(4, 50, 1000, 5, &size);
	TB_ASSERT_EQUAL(size, 4 * 4096);
	for (size_t cut = 0; cut <= size; cut += 64) {
		/* Cut in the padding: the events are all there. */
		size_t whole = cut / 4096 + (cut % 4096 >= 136 + 50 * 33);
		struct seen seen;
		char offset[64];

		write_file("a_1", bytes, cut);
		TB_ASSERT_EQUAL(read_all(&seen), 0);
		TB_ASSERT_EQUAL(seen.nr, 50 * whole);
		TB_ASSERT_EQUAL(seen.nr_reports, cut % 4096 ? 1 : 0);
		TB_ASSERT_EQUAL(seen.totals.nr_damaged, seen.nr_reports);
		snprintf(offset, sizeof(offset), "/a_1: offset %zu:", cut / 4096 * 4096);
		CU_ASSERT(!seen.nr_reports || strstr(seen.report, offset));
	}
	free(bytes);
	end();
}

static void test_damage(void)
{
	struct seen seen;
	uint8_t *bytes;
	size_t size;

	begin();
	write_metadata("metadata");
	bytes = make_stream(4, 50, 1000, 5, &size);
	/* An event's id: the rest of its packet is lost. */
	bytes[4096 + 136 + 10 * 33 + 1] = 99;
	write_file("a", bytes, size);
	TB_ASSERT_EQUAL(read_all(&seen), 0);
	TB_ASSERT_EQUAL(seen.nr, 160);
	TB_ASSERT_EQUAL(seen.nr_reports, 1);
	CU_ASSERT(strstr(seen.report, "offset 4562:") != NULL);
	/* And a packet's head: that packet is lost. */
	bytes[2 * 4096 + 60] ^= 1;
	write_file("a", bytes, size);
	TB_ASSERT_EQUAL(read_all(&seen), 0);
	TB_ASSERT_EQUAL(seen.nr, 110);
	TB_ASSERT_EQUAL(seen.nr_reports, 2);
	TB_ASSERT_EQUAL(seen.totals.nr_missing, 50);
	/* And all that can be noise is. */
	for (unsigned int round = 0; round < 200; round++) {
		for (unsigned int i = 0; i < 20; i++)
			bytes[tb_random_below(size)] = tb_random();
		write_file("a", bytes, size);
		TB_ASSERT_EQUAL(read_all(&seen), 0);
		CU_ASSERT(seen.nr <= 200 && seen.nr_reports > 0);
	}
	free(bytes);
	end();
}

/* A packet that the disk lacks, in the middle: missing, unless memory had it. */
static void test_completed(void)
{
	struct seen seen;
	uint8_t *bytes;
	size_t size;

	begin();
	write_metadata("metadata");
	bytes = make_stream(4, 50, 1000, 5, &size);
	make_directory("crash");
	write_file("crash/a", bytes + 2 * 4096, 4096);
	memmove(bytes + 2 * 4096, bytes + 3 * 4096, 4096);
	write_file("a", bytes, 3 * 4096);
	TB_ASSERT_EQUAL(read_all(&seen), 0);
	TB_ASSERT_EQUAL(seen.nr, 200);
	TB_ASSERT_EQUAL(seen.totals.nr_missing, 0);
	write_file("crash/a", "", 0);
	TB_ASSERT_EQUAL(read_all(&seen), 0);
	TB_ASSERT_EQUAL(seen.nr, 150);
	TB_ASSERT_EQUAL(seen.totals.nr_missing, 50);
	free(bytes);
	end();
}

/* An event larger than what is read at a time, and more packets than one. */
static void test_large(void)
{
	struct packet_maker maker;
	uint8_t *payload = calloc(1, 3 << 20);
	struct seen seen;
	size_t size;

	begin();
	write_metadata("metadata");
	size = make_payload(payload, "text", 1000000);
	packet_begin(&maker, info.uuid, &class, 0, 0, 1000);
	packet_event(&maker, &class, 4, 1, 1001, payload, size);
	packet_event(&maker, &class, 6, 500, 1002, NULL, 0);
	packet_end(&maker, 4 << 20, 0);
	write_file("a", maker.bytes, maker.size);
	packet_free(&maker);
	TB_ASSERT_EQUAL(read_all(&seen), 0);
	TB_ASSERT_EQUAL(seen.nr, 2);
	TB_ASSERT_EQUAL(seen.nr_reports, 0);
	free(payload);
	end();
}

static void test_directories(void)
{
	struct seen seen;

	begin();
	make_directory("snapshot-1");
	write_metadata("snapshot-1/metadata");
	write_stream("snapshot-1/a", 2, 10, 1000, 10);
	make_directory("snapshot-1/crash");
	write_stream("snapshot-1/crash/a", 1, 10, 1200, 10);
	TB_ASSERT_EQUAL(read_all(&seen), 0);
	TB_ASSERT_EQUAL(seen.nr, 30);
	make_directory("archives");
	make_directory("archives/1");
	/* Another clock: the order is that of UNIX time. */
	tb_trace_info_set_clock(&info, 10000000, 0, 1700000000000000000);
	write_metadata("archives/1/metadata");
	write_stream("archives/1/a", 1, 10, 100, 1);
	TB_ASSERT_EQUAL(read_all(&seen), 0);
	TB_ASSERT_EQUAL(seen.nr, 40);
	/* Its metadata damaged: said, the others stand. */
	write_file("archives/1/metadata", "/* CTF 1.8 */ trace {", 21);
	TB_ASSERT_EQUAL(read_all(&seen), 0);
	TB_ASSERT_EQUAL(seen.nr, 30);
	TB_ASSERT_EQUAL(seen.nr_reports, 1);
	end();
}

static void test_none(void)
{
	char path[300];
	struct seen seen;

	begin();
	TB_ASSERT_EQUAL(read_all(&seen), -ENODATA);
	write_file("metadata", "", 0);
	TB_ASSERT_EQUAL(read_all(&seen), -EBADMSG);
	write_file("metadata", "CTF", 3);
	TB_ASSERT_EQUAL(read_all(&seen), -EBADMSG);
	snprintf(path, sizeof(path), "%s/metadata", dir);
	unlink(path);
	/* A FIFO in a file's place must not make us wait. */
	TB_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	CU_ASSERT(read_all(&seen) < 0);
	unlink(path);
	write_metadata("metadata");
	TB_ASSERT_EQUAL(read_all(&seen), 0);
	TB_ASSERT_EQUAL(seen.nr, 0);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	TB_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	TB_ASSERT_EQUAL(read_all(&seen), 0);
	TB_ASSERT_EQUAL(seen.nr_reports, 1);
	end();
	TB_ASSERT_EQUAL(read_all(&seen), -ENOENT);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "merged", test_merged }, { "range", test_range }, { "cut", test_cut }, { "damage", test_damage },
		{ "completed", test_completed }, { "large", test_large }, { "directories", test_directories }, { "none", test_none },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_reader_trace", tests);
}
