/* SPDX-License-Identifier: MIT */
/*
 * The calls by which a traced process makes rings, tells of them and waits for room, with each word wrong in turn; and
 * waiting itself: for the reader, with a time limit, and when nobody will ever read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "balance.h"
#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_rings"

static struct control control;
static struct control_trace trace;

static void check_ring(struct child *self, void *arg)
{
	struct tracebuf_ioc_ring right = {
		.size = sizeof(right), .ring_set = TRACEBUF_RING_SET(trace.slot, 0), .generation = trace.generation,
		.writer = TRACEBUF_WRITER_RSEQ,
	}, wrong;
	struct writer writer;
	int fd = device_open();

	(void) self, (void) arg;
	if (!CHECK_IS(writer_open(&writer, DOMAIN), 0))
		return;
#define CHECK_WRONG(word, value, expected) \
	(wrong = right, wrong.word = (value), CHECK_IS(device_call(fd, TRACEBUF_IOC_RING, &wrong), expected))
	CHECK_WRONG(ring_set, 256, -EINVAL);
	CHECK_WRONG(ring_set, UINT32_MAX, -EINVAL);
	CHECK_WRONG(ring_set, TRACEBUF_RING_SET(trace.slot, 1), -EINVAL);
	CHECK_WRONG(ring_set, TRACEBUF_RING_SET(trace.slot, 15), -EINVAL);
	CHECK_WRONG(ring_set, TRACEBUF_RING_SET((trace.slot + 1) % 16, 0), -ESTALE);
	CHECK_WRONG(generation, 0, -ESTALE);
	CHECK_WRONG(generation, trace.generation - 1, -ESTALE);
	CHECK_WRONG(cpu, 100000, -EINVAL);
	CHECK_WRONG(cpu, UINT32_MAX, -EINVAL);
	CHECK_WRONG(writer, 0, -EINVAL);
	CHECK_WRONG(writer, 3, -EINVAL);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_RING, &right), 0);
	CHECK_IS(right.instance, 0);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_RING, &right), -EBUSY);
	CHECK_IS(device_switch(1), -ESRCH);
	CHECK_IS(device_switch(UINT32_MAX), -ESRCH);
	CHECK_IS(device_wait(1, 0, 0), -ESRCH);
	close(fd);
}

static void check_strange_ring(struct child *self, void *arg)
{
	struct tracebuf_ioc_ring of_ring;
	struct writer writer;

	(void) self, (void) arg;
	CHECK_IS(writer_open(&writer, "another domain"), 0);
	CHECK_IS(device_ring(trace.generation, TRACEBUF_RING_SET(trace.slot, 0), 0, &of_ring), -EPERM);
}

static void test_ring(void)
{
	if (device_is_missing())
		return;
	child_run(check_ring, NULL);
	child_run(check_strange_ring, NULL);
}

static void put_later(struct child *self, void *arg)
{
	const int *reader = arg;
	uint64_t number;

	child_hear(self, &number);
	sleep_ms(100);
	CHECK_IS(device_put(*reader, 1), 0);
}

static void on_alarm(int signal)
{
	(void) signal;
}

static void check_wait(struct child *self, void *arg)
{
	struct tracebuf_ioc_wait call = { .size = sizeof(call), .reserved = 1 };
	struct sigaction action = { .sa_handler = on_alarm };
	int fresh = device_open(), reader;
	struct writer_ring ring;
	struct writer writer;
	struct child child;

	(void) self, (void) arg;
	if (!writer_start(&writer, DOMAIN, &trace, &ring))
		return;
	CHECK_IS(device_call(fresh, TRACEBUF_IOC_WAIT, &call), -EINVAL);
	CHECK_IS(device_wait(0, 3, 1000), 0);
	CHECK_IS(device_wait(0, 4, 100), -ETIMEDOUT);
	CHECK_IS(device_wait(0, UINT64_MAX, 0), -ETIMEDOUT);
	sigaction(SIGALRM, &action, NULL);
	/* Again and again: the first one may come before the wait begins. */
	ualarm(50000, 50000);
	CHECK_IS(device_wait(0, 4, 20000), -EINTR);
	ualarm(0, 0);
	for (int i = 0; i < 4; i++)
		CHECK_IS(writer_fill(&ring), 0);
	reader = device_open_ring(trace.generation, ring.name);
	if (!child_start(&child, put_later, &reader))
		return;
	child_tell(&child, 1);
	CHECK_IS(device_wait(0, 4, 20000), 0);
	child_end(&child);
	CHECK_IS(ring.header->consumer.consumed, 1);
	CHECK(ring.header->consumer.wake > 0);
}

static void make_and_leave(struct child *self, void *arg)
{
	(void) self;
	CHECK_IS(control_open(&control), 0);
	CHECK_IS(control_make(&control, "orphan", DOMAIN, &control_channel, arg), 0);
	child_tell(self, ((struct control_trace *) arg)->generation);
	child_tell(self, ((struct control_trace *) arg)->slot);
}

/* Who made the trace has ended: nobody consumes. */
static void check_orphan(struct child *self, void *arg)
{
	struct control_trace orphan = { 0 };
	struct writer_ring ring;
	struct writer writer;
	struct child child;
	uint64_t slot = 0;

	(void) self, (void) arg;
	if (!child_start(&child, make_and_leave, &orphan))
		return;
	child_hear(&child, &orphan.generation);
	child_hear(&child, &slot);
	child_end(&child);
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	CHECK_IS(writer_ring(&writer, orphan.generation, TRACEBUF_RING_SET((unsigned int) slot, 0), 0, &ring), 0);
	CHECK_IS(device_wait(ring.arg.instance, 4, 20000), -EPIPE);
	CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_ADOPT, orphan.generation), 0);
	CHECK_IS(device_wait(ring.arg.instance, 4, 50), -ETIMEDOUT);
	CHECK_IS(control_destroy(&control, &orphan), 0);
	CHECK_IS(device_wait(ring.arg.instance, 4, 50), -ESRCH);
}

static void test_wait(void)
{
	if (device_is_missing())
		return;
	child_run(check_wait, NULL);
	child_run(check_orphan, NULL);
}

static void begin(void)
{
	balance_begin_with(&control, "rings", DOMAIN, &trace);
}

static void end(void)
{
	balance_end_with(&control, &trace);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "begin", begin },
		{ "RING, SWITCH", test_ring },
		{ "WAIT", test_wait },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_rings", tests);
}
