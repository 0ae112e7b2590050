/* SPDX-License-Identifier: MIT */
/*
 * The region: who may place a trace there, that its pages are its own and come back, what happens when there are none
 * left. Run with the module loaded with region=...; its halves, and what an earlier boot left, are test_halves.c's, what
 * a crash leaves tests/kernel/crash's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_region"
#define USER 1000
#define MADV_POPULATE_WRITE_ 23

static struct control control;

static uint64_t used(void)
{
	return control_status(&control, TRACEBUF_A_NR_REGION_PAGES);
}

static uint64_t all(void)
{
	return control_status(&control, TRACEBUF_A_MAX_REGION_PAGES);
}

static bool is_missing(void)
{
	if (device_is_missing())
		return true;
	return !CHECK(all() > 1);
}

/* All that was taken of the region but its header page. */
static void check_back(void)
{
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	CHECK(control_settles(&control, TRACEBUF_A_NR_REGION_PAGES, 1));
}

static int make_persistent(const struct tracebuf_channel *channel, struct control_trace *trace)
{
	int result;

	control_placement = CONTROL_PERSISTENT;
	result = control_make(&control, "kept", DOMAIN, channel, trace);
	control_placement = CONTROL_NORMAL;
	return result;
}

/* ---- Who may ---- */

static int create_persistent(struct control *asker)
{
	struct control_trace trace;
	int result;

	control_placement = CONTROL_PERSISTENT;
	result = control_create(asker, "other", DOMAIN, &trace);
	control_placement = CONTROL_NORMAL;
	return result;
}

static void be_user(struct child *self, void *arg)
{
	struct control own;

	(void) self, (void) arg;
	become(USER);
	CHECK_IS(control_open(&own), 0);
	CHECK_IS(create_persistent(&own), -EPERM);
	CHECK_IS(device_call(device_open(), TRACEBUF_IOC_PREVIOUS, NULL), -EPERM);
}

/* Root in a namespace of its own is nobody here. */
static void be_root_below(struct child *self, void *arg)
{
	struct control own;

	(void) self, (void) arg;
	become(USER);
	if (unshare(CLONE_NEWUSER)) {
		tb_note("  no user namespaces: %d", errno);
		CHECK(true);
		return;
	}
	CHECK_IS(control_open(&own), 0);
	CHECK_IS(create_persistent(&own), -EPERM);
}

/* A socket that root opened, in the hands of a user. */
static void use_borrowed(struct child *self, void *arg)
{
	(void) self;
	become(USER);
	CHECK_IS(create_persistent(arg), -EPERM);
}

static void test_permissions(void)
{
	struct control_trace trace;

	if (is_missing())
		return;
	child_run(be_user, NULL);
	child_run(be_root_below, NULL);
	child_run(use_borrowed, &control);
	if (!CHECK_IS(make_persistent(&control_channel, &trace), 0))
		return;
	CHECK_IS(create_persistent(&control), -EADDRINUSE);
	CHECK_IS(control_destroy(&control, &trace), 0);
	check_back();
}

/* PERSISTENT is there, and 1, or is not there. */
static void test_attribute(void)
{
	for (uint32_t value = 0; value <= 2; value += 2) {
		struct control_request request;
		uint64_t uuid[2] = { tb_random(), tb_random() };

		if (device_is_missing())
			return;
		control_begin(&request, TRACEBUF_CMD_TRACE_CREATE);
		control_put_text(&request, TRACEBUF_A_NAME, "wrong");
		control_put(&request, TRACEBUF_A_UUID, uuid, sizeof(uuid));
		control_put_u32(&request, TRACEBUF_A_CLOCK, TRACEBUF_CLOCK_MONOTONIC);
		control_put_u64(&request, TRACEBUF_A_FREQUENCY, 1000000000);
		control_put_u32(&request, TRACEBUF_A_RSEQ_WORKS, 1);
		control_put_u32(&request, TRACEBUF_A_PERSISTENT, value);
		CHECK_IS(control_send(&control, &request, NULL), -ERANGE);
	}
}

/* ---- Pages ---- */

struct writing {
	struct control_trace trace;
	uint32_t persistent_in_facts;
};

/* A ring fills up, page by page: all its pages are the region's, and other limits know nothing of them. */
static void fill(struct child *self, void *arg)
{
	struct writing *writing = arg;
	struct writer_ring ring;
	struct writer writer;
	uint64_t pages, before, size;

	(void) self;
	if (!writer_start(&writer, DOMAIN, &writing->trace, &ring))
		return;
	pages = control_status(&control, TRACEBUF_A_NR_PAGES);
	before = used();
	CHECK(before > 1);
	size = ring.subbuf_size * ring.nr_subbufs;
	memset(ring.data, 0x5e, size);
	CHECK(used() >= before + size / page_size());
	CHECK_IS(control_status(&control, TRACEBUF_A_NR_PAGES), pages);
	for (uint64_t at = 0; at < size; at++)
		if (ring.data[at] != 0x5e)
			CHECK_IS(at, -1);
	CHECK(writer_is_superblock(ring.header, TRACEBUF_KIND_RING));
	CHECK(ring.header->boot.series && ring.header->boot.number);
	CHECK_IS(memcmp(&ring.header->boot, &writer.header->boot, sizeof(struct tracebuf_boot)), 0);
}

static void note_persistent(const struct control_facts *facts, void *arg)
{
	struct writing *writing = arg;

	if (facts->number[TRACEBUF_A_GENERATION] == writing->trace.generation)
		writing->persistent_in_facts = (uint32_t) facts->number[TRACEBUF_A_PERSISTENT];
}

static void test_pages(void)
{
	struct writing writing = { .persistent_in_facts = 0 };

	if (is_missing() || !CHECK_IS(make_persistent(&control_channel, &writing.trace), 0))
		return;
	CHECK(control_dump(&control, TRACEBUF_CMD_TRACE_GET, NULL, note_persistent, &writing) > 0);
	CHECK_IS(writing.persistent_in_facts, 1);
	child_run(fill, &writing);
	CHECK_IS(control_destroy(&control, &writing.trace), 0);
	check_back();
}

/* What a process describes later goes there, too. */
static void describe_more(struct child *self, void *arg)
{
	struct writing *writing = arg;
	struct writer_ring ring;
	struct writer writer;
	char name[64];
	uint64_t before;

	(void) self;
	if (!writer_start(&writer, DOMAIN, &writing->trace, &ring))
		return;
	before = used();
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "test:described_later_%d", i);
		CHECK_IS(writer_event(&writer, name, NULL), 0);
	}
	CHECK(used() > before);
}

static void test_descriptions(void)
{
	struct writing writing;

	if (is_missing() || !CHECK_IS(make_persistent(&control_channel, &writing.trace), 0))
		return;
	child_run(describe_more, &writing);
	CHECK_IS(control_destroy(&control, &writing.trace), 0);
	check_back();
}

/* More than there is: an error for who writes, a count, and nothing else. The next trace has all of it. */
static void exhaust(struct child *self, void *arg)
{
	struct writing *writing = arg;
	uint64_t refused = control_status(&control, TRACEBUF_A_DISCARDED);
	struct writer_ring ring, other;
	struct writer writer;

	(void) self;
	if (!writer_start(&writer, DOMAIN, &writing->trace, &ring))
		return;
	CHECK(madvise(ring.data, ring.subbuf_size * ring.nr_subbufs, MADV_POPULATE_WRITE_) < 0 && errno == EFAULT);
	CHECK_IS(used(), all());
	CHECK(control_status(&control, TRACEBUF_A_DISCARDED) > refused);
	CHECK(store_signal(ring.data + ring.subbuf_size * ring.nr_subbufs - 1));
	CHECK_IS(writer_ring(&writer, writing->trace.generation, TRACEBUF_RING_SET(writing->trace.slot, 0), 1, &other),
		 -ENOSPC);
	/* Of what is described now no ring could tell after a reboot; but the process goes on. */
	for (int i = 0; i < 100; i++) {
		char name[64];

		snprintf(name, sizeof(name), "test:when_full_%d", i);
		CHECK_IS(writer_event(&writer, name, NULL), 0);
	}
}

static void test_exhaustion(void)
{
	struct tracebuf_channel channel = control_channel;
	struct writing writing;

	channel.subbuf_size = 1 << 20;
	channel.nr_subbufs = 1024;
	for (int i = 0; i < 2; i++) {
		if (is_missing() || !CHECK_IS(make_persistent(&channel, &writing.trace), 0))
			return;
		child_run(exhaust, &writing);
		CHECK_IS(control_destroy(&control, &writing.trace), 0);
		check_back();
	}
}

/* ---- Pins ---- */

struct pin {
	struct control_trace trace;
	int pipe[2];
};

static void pin_a_page(struct child *self, void *arg)
{
	struct pin *pin = arg;
	struct writer_ring ring;
	struct writer writer;
	struct iovec piece;

	(void) self;
	if (!writer_start(&writer, DOMAIN, &pin->trace, &ring))
		return;
	memset(ring.data, 0x77, page_size());
	piece = (struct iovec) { ring.data, page_size() };
	CHECK_IS(vmsplice(pin->pipe[1], &piece, 1, 0), page_size());
}

/* The page that hangs in a pipe is nobody else's, and keeps the module, until it is read. */
static void test_pinned(void)
{
	struct pin pin;
	char *bytes = malloc(page_size());
	size_t nr_right = 0;

	if (is_missing() || !CHECK_IS(make_persistent(&control_channel, &pin.trace), 0))
		return;
	CHECK_IS(pipe2(pin.pipe, O_CLOEXEC), 0);
	child_run(pin_a_page, &pin);
	CHECK_IS(control_destroy(&control, &pin.trace), 0);
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	CHECK(control_settles(&control, TRACEBUF_A_NR_REGION_PAGES, 2));
	sleep_ms(600);
	CHECK_IS(used(), 2);
	CHECK_IS(device_unload_module(), -EWOULDBLOCK);
	CHECK_IS(read(pin.pipe[0], bytes, page_size()), page_size());
	while (nr_right < page_size() && bytes[nr_right] == 0x77)
		nr_right++;
	CHECK_IS(nr_right, page_size());
	close(pin.pipe[0]);
	close(pin.pipe[1]);
	free(bytes);
	check_back();
}

/* ---- Other ways to its bytes ---- */

#define CORE "/tmp/core.region"
#define PATTERN_SIZE 5000		/* more than the smallest page */

static unsigned char pattern_at(size_t i)
{
	return (unsigned char) (i * 31 % 251);
}

/* Tells where the pattern is, waits, and dumps core. */
static void write_pattern(struct child *self, void *arg)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	struct writing *writing = arg;
	struct writer_ring ring;
	struct writer writer;
	uint64_t number;

	if (!writer_start(&writer, DOMAIN, &writing->trace, &ring))
		return;
	for (size_t i = 0; i < PATTERN_SIZE; i++)
		ring.data[i] = pattern_at(i);
	child_tell(self, (uintptr_t) ring.data);
	child_hear(self, &number);
	setrlimit(RLIMIT_CORE, &limit);
	prctl(PR_SET_DUMPABLE, 1);
	abort();
}

static bool is_pattern(const unsigned char *bytes)
{
	for (size_t i = 0; i < PATTERN_SIZE; i++)
		if (bytes[i] != pattern_at(i))
			return false;
	return true;
}

static void check_core(void)
{
	int fd = open(CORE, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	const unsigned char *bytes = size > 0 ? mmap(NULL, (size_t) size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	bool is_there = false;

	if (!CHECK(bytes != MAP_FAILED))
		return;
	for (off_t at = 0; !is_there && at + PATTERN_SIZE <= size; at += 4096)
		is_there = is_pattern(bytes + at);
	CHECK(is_there);
	munmap((void *) bytes, (size_t) size);
	close(fd);
	unlink(CORE);
}

static void test_other_ways(void)
{
	static unsigned char bytes[PATTERN_SIZE];
	struct iovec to = { bytes, sizeof(bytes) }, from = { NULL, sizeof(bytes) };
	struct writing writing;
	struct child child;
	char before[256] = "";
	uint64_t number = 0;
	FILE *file;

	if (is_missing() || !CHECK_IS(make_persistent(&control_channel, &writing.trace), 0))
		return;
	file = fopen("/proc/sys/kernel/core_pattern", "re");
	if (CHECK(file && fgets(before, sizeof(before), file)))
		fclose(file);
	CHECK_IS(file_write("/proc/sys/kernel/core_pattern", CORE), 0);
	if (child_start(&child, write_pattern, &writing) && CHECK(child_hear(&child, &number))) {
		from.iov_base = (void *) (uintptr_t) number;
		CHECK_IS(process_vm_readv(child.pid, &to, 1, &from, 1, 0), sizeof(bytes));
		CHECK(is_pattern(bytes));
		child_tell(&child, 1);
		child_kill(&child, 0);
		check_core();
	}
	CHECK_IS(file_write("/proc/sys/kernel/core_pattern", before), 0);
	CHECK_IS(control_destroy(&control, &writing.trace), 0);
	check_back();
}

static void begin(void)
{
	if (device_is_missing() || !CHECK_IS(control_open(&control), 0))
		return;
	control_placement = CONTROL_NORMAL;
	device_open_to_all();
	if (!all())
		CHECK_IS(create_persistent(&control), -ENXIO);
	else
		CHECK_IS(used(), 1);
}

static void end(void)
{
	if (!is_missing())
		check_back();
}

/* Without a region nothing can be placed in one, and that is all. */
static const CU_TestInfo tests_without[] = {
	{ "no region", begin },
	{ "the attribute", test_attribute },
	CU_TEST_INFO_NULL,
};

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "begin", begin },
		{ "who may", test_permissions },
		{ "the attribute", test_attribute },
		{ "pages of its own", test_pages },
		{ "descriptions", test_descriptions },
		{ "more than there is", test_exhaustion },
		{ "a page that is pinned", test_pinned },
		{ "process_vm_readv, core dump", test_other_ways },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};
	char region[DEVICE_REGION_SIZE];

	return tb_run_suite("test_region", device_has_region(region) ? tests : tests_without);
}
