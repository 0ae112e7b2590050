/* SPDX-License-Identifier: MIT */
/*
 * Pages of a ring come when they are first written, in whatever way, and not before; until then all see zeroes, and
 * afterwards all see what was written. Each is counted, those of the page list too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "balance.h"
#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_demand"
#define MADV_POPULATE_WRITE_ 23

static struct control control;
static struct control_trace trace;

/* Pages of the list's own that a page at index is the first to need, if nothing but the first two are there. */
static uint64_t new_nodes(const struct tracebuf_superblock *sb, uint64_t index)
{
	uint64_t words = page_size() / 8, nodes = 0, below = 1;

	for (unsigned int level = 1; level < sb->page_list_levels; level++) {
		below *= words;
		nodes += index / below != 0;
	}
	return nodes;
}

static uint64_t nr_pages(void)
{
	return control_status(&control, TRACEBUF_A_NR_PAGES) + control_status(&control, TRACEBUF_A_NR_REGION_PAGES);
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Reads show zeroes and take nothing; each first write, in whatever way, takes a page. */
static void check_demand(struct child *self, void *arg)
{
	struct writer_ring ring;
	struct writer writer;
	size_t size = 4 * 65536, page = page_size();
	uint64_t before, last = (TRACEBUF_RING_DATA_OFFSET + size) / page - 1;
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC), zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	(void) self, (void) arg;
	if (!writer_start(&writer, DOMAIN, &trace, &ring))
		return;
	CHECK_IS(control_flush(&control, &trace), 0);
	before = nr_pages();
	CHECK(is_zero(ring.data, size));
	CHECK_IS(nr_pages(), before);
	CHECK_IS(store_signal(ring.data + size - 1), 0);
	CHECK_IS(nr_pages(), before + 1 + new_nodes(&ring.header->sb, last));
	before = nr_pages();
	CHECK_IS(store_signal(ring.data + size - page), 0);
	CHECK_IS(load_signal(ring.data), 0);
	CHECK_IS(nr_pages(), before);
	CHECK_IS(ring.data[size - 1], 0x5e);
	CHECK(is_zero(ring.data, size - page));
	CHECK_IS(pwrite(mem, "m", 1, (off_t) (uintptr_t) ring.data), 1);
	CHECK_IS(read(zero, ring.data + page, 1), 1);
	CHECK_IS(nr_pages(), before + 2);
	CHECK_IS(ring.data[0], 'm');
	CHECK_IS(madvise(ring.data, 4 * page, MADV_POPULATE_WRITE_), 0);
	CHECK_IS(nr_pages(), before + 4);
	/* What is there stays, whatever is advised. */
	madvise(ring.data, page, MADV_DONTNEED);
	CHECK(madvise(ring.data, page, MADV_REMOVE) != 0);
	CHECK_IS(ring.data[0], 'm');
	CHECK_IS(mlock(ring.data, 2 * page), 0);
	CHECK_IS(nr_pages(), before + 4);
}

static void test_demand(void)
{
	if (!device_is_missing())
		child_run(check_demand, NULL);
}

/* A ring of several levels of page list, its ends and middle written. */
static void check_levels(struct child *self, void *arg)
{
	struct tracebuf_channel large = control_channel;
	struct control_trace own;
	struct writer_ring ring;
	struct writer writer;
	uint64_t before, last;

	(void) self, (void) arg;
	large.subbuf_size = 1 << 20;
	large.nr_subbufs = 4096;
	if (!CHECK_IS(control_make(&control, "levels", DOMAIN, &large, &own), 0))
		return;
	if (writer_start(&writer, DOMAIN, &own, &ring)) {
		last = writer_ring_size(&ring) / page_size() - 1;
		CHECK(ring.header->sb.page_list_levels >= 2);
		CHECK_IS(control_flush(&control, &own), 0);
		before = nr_pages();
		CHECK_IS(store_signal(ring.data + (4ull << 30) - 1), 0);
		CHECK_IS(nr_pages(), before + 1 + new_nodes(&ring.header->sb, last));
		CHECK_IS(store_signal(ring.data), 0);
		CHECK_IS(store_signal(ring.data + (2ull << 30)), 0);
		CHECK_IS(ring.data[(2ull << 30) + 1], 0);
		CHECK_IS(ring.data[(4ull << 30) - 1], 0x5e);
	}
	CHECK_IS(control_destroy(&control, &own), 0);
}

static void test_levels(void)
{
	if (!device_is_missing())
		child_run(check_levels, NULL);
}

/* Whoever has seen the page of zeroes sees what is written afterwards. */
static void check_views(struct child *self, void *arg)
{
	unsigned char *again, *at_reader;
	struct writer_ring ring;
	struct writer writer;
	int reader;

	(void) self, (void) arg;
	if (!writer_start(&writer, DOMAIN, &trace, &ring))
		return;
	reader = device_open_ring(trace.generation, ring.name);
	CHECK(reader >= 0);
	CHECK_IS(device_map(ring.fd, TRACEBUF_RING_DATA_OFFSET, 65536, PROT_READ | PROT_WRITE, &again), 0);
	CHECK_IS(device_map(reader, TRACEBUF_RING_DATA_OFFSET, 65536, PROT_READ, &at_reader), 0);
	CHECK(is_zero(again, 65536) && is_zero(at_reader, 65536));
	ring.data[10] = 'a';
	CHECK_IS(again[10], 'a');
	CHECK_IS(at_reader[10], 'a');
	again[page_size()] = 'b';
	CHECK_IS(ring.data[page_size()], 'b');
	CHECK_IS(at_reader[page_size()], 'b');
	CHECK_IS(at_reader[2 * page_size()], 0);
}

static void test_views(void)
{
	if (!device_is_missing())
		child_run(check_views, NULL);
}

static void begin(void)
{
	balance_begin_with(&control, "demand", DOMAIN, &trace);
}

static void end(void)
{
	balance_end_with(&control, &trace);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "begin", begin },
		{ "pages on demand", test_demand },
		{ "page list of several levels", test_levels },
		{ "all see the first write", test_views },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_demand", tests);
}
