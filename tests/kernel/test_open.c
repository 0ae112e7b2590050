/* SPDX-License-Identifier: MIT */
/*
 * Readers' calls with each of their words wrong in turn, who may make which call, and the 32-bit entry.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "balance.h"
#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_open"
#define NOBODY 65534

static struct control control;
static struct control_trace trace;

/* ---- OPEN ---- */

static int try_open(uint32_t kind, uint64_t generation, const char *name)
{
	struct tracebuf_ioc_open arg = { .size = sizeof(arg), .kind = kind, .generation = generation };
	int fd = device_open(), result;

	memcpy(arg.name, name, strnlen(name, sizeof(arg.name)));
	result = device_call(fd, TRACEBUF_IOC_OPEN, &arg);
	close(fd);
	return result;
}

static void check_open(struct child *self, void *arg)
{
	struct writer_ring ring;
	struct writer writer;
	char name[128];

	(void) self, (void) arg;
	if (!writer_start(&writer, DOMAIN, &trace, &ring))
		return;
	CHECK_IS(try_open(TRACEBUF_KIND_PROCESS, 0, writer.name), 0);
	CHECK_IS(try_open(TRACEBUF_KIND_RING, trace.generation, ring.name), 0);
	for (uint32_t kind = 0; kind < 6; kind++)
		if (kind != TRACEBUF_KIND_PROCESS && kind != TRACEBUF_KIND_RING)
			CHECK_IS(try_open(kind, 0, writer.name), -EINVAL);
	CHECK_IS(try_open(TRACEBUF_KIND_PROCESS, trace.generation, writer.name), -EINVAL);
	CHECK_IS(try_open(TRACEBUF_KIND_RING, 0, ring.name), -ENOENT);
	CHECK_IS(try_open(TRACEBUF_KIND_RING, trace.generation + 1, ring.name), -ENOENT);
	CHECK_IS(try_open(TRACEBUF_KIND_RING, trace.generation, writer.name), -ENOENT);
	CHECK_IS(try_open(TRACEBUF_KIND_PROCESS, 0, ring.name), -ENOENT);
	CHECK_IS(try_open(TRACEBUF_KIND_PROCESS, 0, ""), -ENOENT);
	snprintf(name, sizeof(name), "0%s", ring.name);
	CHECK_IS(try_open(TRACEBUF_KIND_RING, trace.generation, name), -ENOENT);
	snprintf(name, sizeof(name), "%s ", ring.name);
	CHECK_IS(try_open(TRACEBUF_KIND_RING, trace.generation, name), -ENOENT);
	snprintf(name, sizeof(name), "../%s", writer.name);
	CHECK_IS(try_open(TRACEBUF_KIND_PROCESS, 0, name), -ENOENT);
	memset(name, 'x', sizeof(name));
	CHECK_IS(try_open(TRACEBUF_KIND_PROCESS, 0, name), -EINVAL);
	CHECK_IS(try_open(TRACEBUF_KIND_RING, trace.generation, "%s%s%n%n"), -ENOENT);
}

static void test_open(void)
{
	if (!device_is_missing())
		child_run(check_open, NULL);
}

/* ---- GET, PUT, RELEASE, poll ---- */

static short events_of(int fd, int ms)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, ms) < 0 ? -1 : ready.revents;
}

static void check_got(int reader, uint64_t seq, uint64_t position)
{
	struct tracebuf_ioc_get got;

	CHECK_IS(device_get(reader, &got), 0);
	CHECK_IS(got.seq, seq);
	CHECK_IS(got.offset, TRACEBUF_RING_DATA_OFFSET + seq % 4 * 65536);
	CHECK_IS(got.position, position);
	CHECK_IS(got.flags, 0);
}

static void check_reading(struct child *self, void *arg)
{
	struct tracebuf_ioc_put put = { .size = sizeof(put), .reserved = 1 };
	struct tracebuf_ioc_get got;
	struct writer_ring ring;
	struct writer writer;
	int reader;

	(void) self, (void) arg;
	if (!writer_start(&writer, DOMAIN, &trace, &ring))
		return;
	reader = device_open_ring(trace.generation, ring.name);
	CHECK_IS(events_of(reader, 0), 0);
	CHECK_IS(device_get(reader, &got), -EAGAIN);
	CHECK_IS(got.position, 0);
	CHECK_IS(device_put(reader, 1), -EINVAL);
	CHECK_IS(writer_fill(&ring), 0);
	CHECK_IS(events_of(reader, 1000), POLLIN);
	ring.producer->position += 100;
	check_got(reader, 0, 65536 + 100);
	CHECK_IS(device_call(reader, TRACEBUF_IOC_PUT, &put), -EINVAL);
	CHECK_IS(device_put(reader, 2), -EINVAL);
	CHECK_IS(device_put(reader, UINT64_MAX), -EINVAL);
	CHECK_IS(ring.header->consumer.consumed, 0);
	CHECK_IS(device_put(reader, 1), 0);
	CHECK_IS(ring.header->consumer.consumed, 1);
	CHECK_IS(device_put(reader, 1), 0);
	CHECK_IS(device_put(reader, 0), -EINVAL);
	CHECK_IS(events_of(reader, 0), 0);
	CHECK_IS(device_get(reader, &got), -EAGAIN);
	ring.producer->position = 5 * 65536;
	check_got(reader, 1, 5 * 65536);
	CHECK_IS(device_put(reader, 5), 0);
	CHECK_IS(device_call(reader, TRACEBUF_IOC_RELEASE, &put), -EINVAL);
	CHECK_IS(device_release(reader), 0);
	/* Released, it stays for as long as the process has it. */
	CHECK_IS(try_open(TRACEBUF_KIND_RING, trace.generation, ring.name), 0);
	CHECK_IS(events_of(reader, 0), 0);
	writer_unmap(&ring);
	CHECK_IS(events_of(reader, 10000) & POLLHUP, POLLHUP);
	CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_SHOW, trace.generation), 0);
	CHECK_IS(try_open(TRACEBUF_KIND_RING, trace.generation, ring.name), -ENOENT);
	CHECK_IS(device_get(reader, &got), -EAGAIN);
	CHECK_IS(got.flags, TRACEBUF_RING_IS_COMPLETE);
}

static void check_overwrite(struct child *self, void *arg)
{
	struct tracebuf_channel channel = control_channel;
	struct tracebuf_ioc_get got;
	struct control_trace own;
	struct writer_ring ring;
	struct writer writer;
	int reader;

	(void) self, (void) arg;
	channel.mode = TRACEBUF_MODE_OVERWRITE;
	if (!CHECK_IS(control_make(&control, "overwrite", DOMAIN, &channel, &own), 0))
		return;
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	CHECK_IS(writer_ring(&writer, own.generation, TRACEBUF_RING_SET(own.slot, 0), 0, &ring), 0);
	for (int i = 0; i < 6; i++)
		CHECK_IS(writer_fill(&ring), 0);
	reader = device_open_ring(own.generation, ring.name);
	CHECK_IS(device_get(reader, &got), -EINVAL);
	CHECK_IS(events_of(reader, 0), 0);
	CHECK_IS(control_destroy(&control, &own), 0);
	CHECK_IS(events_of(reader, 0) & POLLHUP, POLLHUP);
	CHECK_IS(writer_fill(&ring), -ESRCH);
}

static void test_reading(void)
{
	if (device_is_missing())
		return;
	child_run(check_reading, NULL);
	child_run(check_overwrite, NULL);
}

/* ---- Who may ---- */

static void be_root_process(struct child *self, void *arg)
{
	struct writer_ring *ring = arg;
	struct writer writer;
	uint64_t number;

	if (!writer_start(&writer, DOMAIN, &trace, ring))
		return;
	child_tell(self, (uint64_t) writer.id.pid);
	child_tell(self, writer.id.incarnation);
	child_hear(self, &number);
}

static void check_nobody(struct child *self, void *arg)
{
	struct tracebuf_ioc_register *other = arg;
	struct tracebuf_ioc_ring of_ring = { .ring_set = 0 };
	struct writer_ring ring;
	struct writer writer;
	char name[96];

	(void) self;
	become(NOBODY);
	device_process_name(name, other);
	CHECK_IS(try_open(TRACEBUF_KIND_PROCESS, 0, name), -EACCES);
	device_ring_name(name, other, &of_ring);
	CHECK_IS(try_open(TRACEBUF_KIND_RING, trace.generation, name), -EACCES);
	CHECK(access("/sys/kernel/debug/tracebuf", F_OK) != 0);
	/* Its own are its own, in whosever trace. */
	if (!writer_start(&writer, DOMAIN, &trace, &ring))
		return;
	CHECK_IS(writer.header->uid, NOBODY);
	CHECK_IS(try_open(TRACEBUF_KIND_PROCESS, 0, writer.name), 0);
	CHECK_IS(try_open(TRACEBUF_KIND_RING, trace.generation, ring.name), 0);
}

static void test_permissions(void)
{
	struct tracebuf_ioc_register other = { .size = 0 };
	struct writer_ring ring;
	struct child root;
	uint64_t pid = 0;

	if (device_is_missing() || !child_start(&root, be_root_process, &ring))
		return;
	device_open_to_all();
	CHECK(child_hear(&root, &pid) && child_hear(&root, (uint64_t *) &other.incarnation));
	other.pid = (int32_t) pid;
	child_run(check_nobody, &other);
	child_tell(&root, 1);
	child_end(&root);
}

/* A trace that an unprivileged user made does not apply to root's processes, nor does it let him read them. */
static void make_own_trace(struct child *self, void *arg)
{
	struct control_trace *own = arg;
	struct writer_ring ring;
	struct writer writer;
	uint64_t number;

	become(NOBODY);
	CHECK_IS(control_open(&control), 0);
	if (!CHECK_IS(control_make(&control, "nobodys", DOMAIN, &control_channel, own), 0))
		return;
	child_tell(self, own->generation);
	child_tell(self, own->slot);
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	CHECK_IS(writer_ring(&writer, own->generation, TRACEBUF_RING_SET(own->slot, 0), 0, &ring), 0);
	child_hear(self, &number);
	CHECK_IS(control_destroy(&control, own), 0);
}

static void check_roots_process(struct child *self, void *arg)
{
	const struct tracebuf_enable *records;
	struct control_trace *own = arg;
	struct tracebuf_ioc_ring of_ring;
	struct writer writer;

	(void) self;
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	CHECK_IS(writer_event(&writer, "test:open", NULL), 0);
	CHECK_IS(writer_map_enable(&writer, 1, &records), 0);
	CHECK_IS(records[0].enabled, 1 << trace.slot);
	CHECK_IS(device_ring(own->generation, TRACEBUF_RING_SET(own->slot, 0), 0, &of_ring), -EPERM);
}

static void test_users_trace(void)
{
	struct control_trace own = { 0 };
	struct child nobody;
	uint64_t slot = 0;

	if (device_is_missing() || !child_start(&nobody, make_own_trace, &own))
		return;
	if (CHECK(child_hear(&nobody, &own.generation) && child_hear(&nobody, &slot))) {
		own.slot = (uint32_t) slot;
		child_run(check_roots_process, &own);
		child_tell(&nobody, 1);
	}
	child_end(&nobody);
}

/* ---- The 32-bit entry ---- */

#ifdef __x86_64__
static sigjmp_buf no_entry;

static void on_fault(int signal)
{
	siglongjmp(no_entry, signal);
}

/* ioctl(2) as a 32-bit program calls it; arguments lie below 4 GiB. */
static int call_32(int fd, unsigned int number, void *arg)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a" (result)
			 : "0" (54l), "b" ((long) fd), "c" ((long) number), "d" ((long) (uintptr_t) arg)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int) result;
}

static bool has_32(void)
{
	struct sigaction action = { .sa_handler = on_fault }, before;
	bool has = false;

	sigaction(SIGSEGV, &action, &before);
	if (!sigsetjmp(no_entry, 1))
		has = call_32(-1, 0, NULL) == -EBADF;
	sigaction(SIGSEGV, &before, NULL);
	return has;
}

static void check_32(struct child *self, void *arg)
{
	unsigned char *low = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	struct tracebuf_ioc_register *process = (void *) low;
	struct tracebuf_ioc_describe *describe = (void *) (low + 128);
	struct tracebuf_ioc_ring *ring = (void *) (low + 256);
	int fd = device_open(), ring_fd = device_open();

	(void) self, (void) arg;
	*process = (struct tracebuf_ioc_register) {
		.size = sizeof(*process), .writer = TRACEBUF_WRITER_FALLBACK, .domain = (uintptr_t) low + 1024,
		.domain_size = sizeof(DOMAIN) - 1,
	};
	memcpy(low + 1024, DOMAIN, sizeof(DOMAIN));
	CHECK_IS(call_32(fd, 0, NULL), -ENOTTY);
	CHECK_IS(call_32(fd, TRACEBUF_IOC_REGISTER, low + page_size() - 8), -EINVAL);
	CHECK_IS(call_32(fd, TRACEBUF_IOC_REGISTER, process), 0);
	CHECK_IS(process->pid, getpid());
	*describe = (struct tracebuf_ioc_describe) {
		.size = sizeof(*describe), .nr = 1, .descriptions = (uintptr_t) low + 512,
		.descriptions_size = (uint32_t) writer_describe(low + 512, "test:open", "value"),
	};
	CHECK_IS(call_32(fd, TRACEBUF_IOC_DESCRIBE, describe), 0);
	CHECK_IS(describe->nr_descriptions, 1);
	*ring = (struct tracebuf_ioc_ring) {
		.size = sizeof(*ring), .ring_set = TRACEBUF_RING_SET(trace.slot, 0), .generation = trace.generation,
		.writer = TRACEBUF_WRITER_FALLBACK,
	};
	CHECK_IS(call_32(ring_fd, TRACEBUF_IOC_RING, ring), 0);
	CHECK_IS(ring->total_size, TRACEBUF_RING_DATA_OFFSET + 4 * 65536);
}

static void test_32(void)
{
	if (device_is_missing())
		return;
	if (!has_32())
		tb_skip("this kernel has no 32-bit entry");
	else
		child_run(check_32, NULL);
}
#else
static void test_32(void)
{
	tb_skip("32-bit programs are tried on x86 only");
}
#endif

static void begin(void)
{
	balance_begin_with(&control, "open", DOMAIN, &trace);
}

static void end(void)
{
	balance_end_with(&control, &trace);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "begin", begin },
		{ "OPEN", test_open },
		{ "GET, PUT, RELEASE, poll", test_reading },
		{ "permissions", test_permissions },
		{ "a user's own trace", test_users_trace },
		{ "the 32-bit entry", test_32 },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_open", tests);
}
