/* SPDX-License-Identifier: MIT */
/*
 * The region: who may place a trace there, that its pages are its own and come back, what happens when there are none
 * left, what is shown of an earlier boot, and that no memory is taken that was not reserved. Run with the module loaded
 * with region=...; what a crash leaves is for tests/kernel/crash.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_region"
#define USER 1000
#define PREVIOUS "/sys/kernel/debug/tracebuf/previous"
#define MADV_POPULATE_WRITE_ 23
#define MEMORY_OFFSET 4096

static struct control control;
static char region[64];			/* the parameter */

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

static bool start(const struct control_trace *trace, struct writer *writer, struct writer_ring *ring)
{
	return CHECK_IS(writer_open(writer, DOMAIN), 0) && CHECK_IS(writer_event(writer, "test:kept", NULL), 0) &&
	       CHECK_IS(writer_ring(writer, trace->generation, TRACEBUF_RING_SET(trace->slot, 0), 0, ring), 0);
}

/* A ring fills up, page by page: all its pages are the region's, and other limits know nothing of them. */
static void fill(struct child *self, void *arg)
{
	struct writing *writing = arg;
	struct writer_ring ring;
	struct writer writer;
	uint64_t pages, before, size;

	(void) self;
	if (!start(&writing->trace, &writer, &ring))
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
	if (!start(&writing->trace, &writer, &ring))
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
	if (!start(&writing->trace, &writer, &ring))
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
	if (!start(&pin->trace, &writer, &ring))
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

	if (!start(&writing->trace, &writer, &ring))
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

/* ---- What an earlier boot left ---- */

/* The value of a line "key: value" of previous/info. */
static int64_t info(const char *key)
{
	char line[256], wanted[64];
	int64_t value = -ENOENT;
	FILE *file = fopen(PREVIOUS "/info", "re");

	if (!file)
		return -errno;
	snprintf(wanted, sizeof(wanted), "%s: ", key);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, wanted, strlen(wanted)))
			value = (int64_t) strtoull(line + strlen(wanted), NULL, 0);
	fclose(file);
	return value;
}

static void check_file(const char *path)
{
	struct stat about;

	CHECK_IS(stat(path, &about), 0);
	CHECK_IS(about.st_mode & 07777, 0400);
	CHECK_IS(about.st_uid, 0);
}

/* One PT_LOAD of the half, and behind it what the device tells, too. */
static void check_memory(int fd, int device)
{
	struct {
		Elf64_Ehdr elf;
		Elf64_Phdr segment;
	} head;
	struct tracebuf_region one, other;
	char byte;

	CHECK_IS(pread(fd, &head, sizeof(head), 0), sizeof(head));
	CHECK_IS(memcmp(head.elf.e_ident, ELFMAG, SELFMAG), 0);
	CHECK_IS(head.elf.e_type, ET_CORE);
	CHECK_IS(head.elf.e_phnum, 1);
	CHECK_IS(head.segment.p_type, PT_LOAD);
	CHECK_IS(head.segment.p_offset, MEMORY_OFFSET);
	CHECK_IS(head.segment.p_paddr, info("physical"));
	CHECK_IS(head.segment.p_filesz, info("size"));
	CHECK_IS(pread(fd, &one, sizeof(one), MEMORY_OFFSET), sizeof(one));
	CHECK_IS(one.sb.kind, TRACEBUF_KIND_REGION);
	CHECK_IS(one.sb.physical_address, head.segment.p_paddr);
	CHECK_IS(one.number, info("number"));
	CHECK_IS(pread(fd, &byte, 1, (off_t) (MEMORY_OFFSET + head.segment.p_filesz)), 0);
	CHECK_IS(lseek(device, 0, SEEK_END), MEMORY_OFFSET + head.segment.p_filesz);
	CHECK_IS(pread(device, &other, sizeof(other), MEMORY_OFFSET), sizeof(other));
	CHECK_IS(memcmp(&one, &other, sizeof(one)), 0);
}

/* Bound for good, and to nothing that can be mapped or written. */
static void check_device(int fd)
{
	struct tracebuf_ioc_register about = { .size = sizeof(about), .writer = TRACEBUF_WRITER_RSEQ };
	void *address;

	CHECK_IS(device_call(fd, TRACEBUF_IOC_PREVIOUS, NULL), -EBUSY);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_REGISTER, &about), -EBUSY);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_RELEASE, NULL), -EINVAL);
	CHECK(device_map(fd, 0, page_size(), PROT_READ, &address) < 0);
	CHECK(write(fd, "x", 1) < 0 && errno == EINVAL);
}

static void test_previous(void)
{
	int fd, device;

	if (is_missing())
		return;
	device = device_open();
	CHECK_IS(device_call(device, TRACEBUF_IOC_PREVIOUS, (void *) 1), -EINVAL);
	if (access(PREVIOUS, F_OK)) {
		CHECK_IS(device_call(device, TRACEBUF_IOC_PREVIOUS, NULL), -ENXIO);
		close(device);
		tb_note("  nothing from before");
		return;
	}
	CHECK_IS(device_call(device, TRACEBUF_IOC_PREVIOUS, NULL), 0);
	check_file(PREVIOUS "/info");
	check_file(PREVIOUS "/memory");
	fd = open(PREVIOUS "/memory", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(mmap(NULL, page_size(), PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
	check_memory(fd, device);
	check_device(device);
	close(fd);
	close(device);
}

/* ---- Loading ---- */

static void check_refused(void)
{
	static const char *const texts[] = {
		"region=32M@", "region=@0x18000000", "region=32M@0x18000000x", "region=32M@@0x18000000",
		"region=x@0x18000000", "region=0@0x18000000", "region=1@0x18000000",
		/* Used by the kernel; no memory; half of it; beyond. */
		"region=32M@0x2000000", "region=2M@0", "region=32M@0x100000", "region=32M@0xfe000000",
		"region=32M@0xfec00000", "region=2M@0xfee00000", "region=34M@0x18000000", "region=32M@0x18200000",
		"region=32M@0x17e00000", "region=32M@0x7ffffffe00000000", "region=32M@0xffffffffffe00000",
		"region=0xffffffffffe00000@0x18000000", "region=64G@0x18000000", "region=1T@0x18000000",
		/* Not whole. */
		"region=1M@0x18000000", "region=3M@0x18000000", "region=4M@0x18001000", "region=4M@0x18000001",
		"region=2097153@0x18000000",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!CHECK_IS(device_load_module(texts[i]), -EINVAL)) {
			tb_note("  %s", texts[i]);
			device_unload_module();
		}
	CHECK(device_load_module("region=nosuchname") < 0);
}

/* The halves take turns, and nothing is left of what was destroyed. */
static void check_turns(const char *parameter)
{
	int64_t number = -1, physical = -1;

	for (int i = 0; i < 4; i++) {
		if (!CHECK_IS(device_load_module(parameter), 0))
			return;
		CHECK_IS(info("rings"), 0);
		CHECK_IS(info("processes"), 0);
		CHECK_IS(info("damaged"), 0);
		if (number >= 0) {
			CHECK_IS(info("number"), number + 1);
			CHECK(info("physical") != physical);
		}
		number = info("number");
		physical = info("physical");
		CHECK_IS(device_unload_module(), 0);
	}
}

static void test_loading(void)
{
	char parameter[80];
	struct stat device;

	if (is_missing())
		return;
	if (access(DEVICE_MODULE, R_OK)) {
		tb_skip("no " DEVICE_MODULE " to load again");
		return;
	}
	snprintf(parameter, sizeof(parameter), "region=%s", region);
	CHECK_IS(stat(TRACEBUF_DEVICE, &device), 0);
	control_close(&control);
	if (CHECK_IS(device_unload_module(), 0)) {
		check_refused();
		check_turns(parameter);
		CHECK_IS(device_load_module(parameter), 0);
		CHECK_IS(chown(TRACEBUF_DEVICE, device.st_uid, device.st_gid), 0);
		CHECK_IS(chmod(TRACEBUF_DEVICE, device.st_mode & 07777), 0);
	}
	CHECK_IS(control_open(&control), 0);
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

static bool has_region(void)
{
	FILE *file = fopen("/sys/module/tracebuf/parameters/region", "re");

	if (file && fgets(region, sizeof(region), file))
		region[strcspn(region, "\n")] = '\0';
	if (file)
		fclose(file);
	return *region && strcmp(region, "(null)");
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
		{ "loading: what is refused, turns", test_loading },
		{ "what an earlier boot left", test_previous },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_region", has_region() ? tests : tests_without);
}
