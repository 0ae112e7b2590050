/* SPDX-License-Identifier: MIT */
/*
 * Fuzzers against the device and the netlink family, as root and as nobody, all at once; and a process that scribbles
 * over all that it may write while a reader reads it. What they must not find, the kernel's log says; here it is
 * checked that the module is as it was afterwards, and that what it tells a reader keeps within bounds. $TB_SECONDS:
 * how long, in all (10).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "balance.h"
#include "check.h"
#include "control.h"
#include "device.h"
#include "fuzz.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "fuzz"
#define NOBODY 65534
#define MAX_ROUNDS 10

static struct control control;

static unsigned int seconds(void)
{
	const char *text = getenv("TB_SECONDS");
	int number = text ? atoi(text) : 10;

	return number > 1 ? (unsigned int) number : 2;
}

/* ---- Fuzzers ---- */

struct fuzz {
	uint64_t end_ms, state;
	void (*run)(uint64_t end_ms, uint64_t state);
	uid_t uid;
};

static void run_fuzz(struct child *self, void *arg)
{
	const struct fuzz *fuzz = arg;

	(void) self;
	if (fuzz->uid)
		become(fuzz->uid);
	/* Short lives, so that there are many registrations and deaths. */
	for (uint64_t i = 0; now_ms() < fuzz->end_ms; i++) {
		uint64_t end = now_ms() + 500;
		pid_t pid = fork();

		if (!pid) {
			fuzz->run(end < fuzz->end_ms ? end : fuzz->end_ms, fuzz->state + i);
			_exit(0);
		}
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

static void find_one(const struct control_facts *facts, void *arg)
{
	*(uint64_t *) arg = facts->number[TRACEBUF_A_GENERATION];
}

static void destroy_all(void)
{
	uint64_t generation;

	do {
		generation = 0;
		CHECK(control_dump(&control, TRACEBUF_CMD_TRACE_GET, NULL, find_one, &generation) >= 0);
		if (generation)
			CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_DESTROY, generation), 0);
	} while (generation);
}

/* Has every kind of call succeeded? A fuzzer that never gets past the first check finds nothing. */
static bool is_enough(const struct fuzz_counts *counts)
{
	static const unsigned int must[] = { 1, 2, 3, 4, 5, 6, 7, 8, 11 };

	for (unsigned int i = 0; i < sizeof(must) / sizeof(must[0]); i++)
		if (!counts->call[must[i]])
			return false;
	return counts->map && counts->message;
}

static void note_counts(const struct fuzz_counts *counts)
{
	char text[256] = "";

	for (unsigned int i = 1; i < 13; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %llu",
			 (unsigned long long) counts->call[i]);
	tb_note("calls that succeeded, by number:%s; mappings: %llu; messages: %llu", text,
		(unsigned long long) counts->map, (unsigned long long) counts->message);
}

/* All fuzzers side by side, once. */
static void run_round(void)
{
	struct fuzz fuzz[] = {
		{ .run = fuzz_device }, { .run = fuzz_device, .uid = NOBODY },
		{ .run = fuzz_netlink }, { .run = fuzz_netlink, .uid = NOBODY },
	};
	const unsigned int nr = sizeof(fuzz) / sizeof(fuzz[0]);
	struct child child[sizeof(fuzz) / sizeof(fuzz[0])];

	for (unsigned int i = 0; i < nr; i++) {
		fuzz[i].end_ms = now_ms() + seconds() * 800;
		fuzz[i].state = tb_random();
		CHECK(child_start(&child[i], run_fuzz, &fuzz[i]));
	}
	for (unsigned int i = 0; i < nr; i++)
		child_end(&child[i]);
}

/* On a slow machine one round may be too short. */
static void test_fuzzers(void)
{
	struct fuzz_counts *counts = fuzz_count();
	struct control_trace trace;
	unsigned int nr = 0;

	if (device_is_missing() || !CHECK(counts != NULL) ||
	    !CHECK_IS(control_make(&control, "fuzz", DOMAIN, &control_channel, &trace), 0))
		return;
	do
		run_round();
	while (!is_enough(counts) && ++nr < MAX_ROUNDS);
	note_counts(counts);
	CHECK(is_enough(counts));
	destroy_all();
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	CHECK_IS(control_status(&control, TRACEBUF_A_NR_RINGS), 0);
}

/* ---- A hostile writer ---- */

struct hostile {
	uint64_t end_ms, state;
	const struct control_trace *trace;
};

static void scribble(struct child *self, void *arg)
{
	struct hostile *hostile = arg;
	struct writer_ring ring;
	struct writer writer;

	if (!CHECK_IS(writer_open(&writer, DOMAIN), 0) || !CHECK_IS(writer_event(&writer, "fuzz:hostile", NULL), 0) ||
	    !CHECK_IS(writer_ring(&writer, hostile->trace->generation, TRACEBUF_RING_SET(hostile->trace->slot, 0), 0,
				  &ring), 0))
		return;
	child_tell(self, writer.id.incarnation);
	while (now_ms() < hostile->end_ms) {
		for (int i = 0; i < 64; i++) {
			fuzz_mutate(&hostile->state, ring.producer, i % 2 ? 128 : 4096);
			fuzz_mutate(&hostile->state, writer.account, 4096);
			fuzz_mutate(&hostile->state, ring.data, 4 * 65536);
			ring.producer->position = fuzz_evil(&hostile->state);
		}
		CHECK_IS(device_switch(ring.arg.instance), 0);
		device_wait(ring.arg.instance, fuzz_evil(&hostile->state), 1);
		CHECK_IS(writer_enable(&writer, 0, 1), 0);
	}
}

/* What the kernel says keeps within the ring, whatever the process says. */
static void check_answers(int reader, uint64_t *consumed)
{
	struct pollfd ready = { .fd = reader, .events = POLLIN };
	struct tracebuf_ioc_get got;
	int result = device_get(reader, &got);

	CHECK(result == 0 || result == -EAGAIN);
	CHECK_IS(got.offset, TRACEBUF_RING_DATA_OFFSET + got.seq % 4 * 65536);
	if (result == 0) {
		CHECK_IS(got.seq, *consumed);
		CHECK(got.seq < got.position / 65536);
		if (device_put(reader, got.seq + 1) == 0)
			*consumed = got.seq + 1;
	}
	/* Back never works; ahead only as far as the position of the moment. */
	if (*consumed)
		CHECK_IS(device_put(reader, *consumed - 1), -EINVAL);
	CHECK_IS(device_put(reader, 1ull << 60), -EINVAL);
	CHECK(poll(&ready, 1, 0) >= 0);
}

static void test_hostile(void)
{
	struct tracebuf_ioc_register id = { .size = 0 };
	struct tracebuf_ioc_ring of_ring = { .ring_set = 0 };
	struct hostile hostile;
	struct control_trace trace;
	struct child child;
	char name[96];
	uint64_t incarnation = 0, consumed = 0, nr = 0;
	int reader;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "hostile", DOMAIN, &control_channel, &trace), 0))
		return;
	hostile = (struct hostile) { .end_ms = now_ms() + seconds() * 200, .state = tb_random(), .trace = &trace };
	if (!child_start(&child, scribble, &hostile) || !CHECK(child_hear(&child, &incarnation)))
		return;
	id.pid = child.pid;
	id.incarnation = incarnation;
	device_ring_name(name, &id, &of_ring);
	reader = device_open_ring(trace.generation, name);
	CHECK(reader >= 0);
	for (; now_ms() < hostile.end_ms; nr++)
		check_answers(reader, &consumed);
	tb_note("%llu times read, %llu sub-buffers consumed", (unsigned long long) nr, (unsigned long long) consumed);
	child_end(&child);
	CHECK_IS(device_release(reader), 0);
	close(reader);
	CHECK_IS(control_destroy(&control, &trace), 0);
}

static void begin(void)
{
	if (balance_begin(&control))
		device_open_to_all();
}

static void end(void)
{
	if (!device_is_missing())
		balance_check(&control);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "begin", begin },
		{ "fuzzers", test_fuzzers },
		{ "hostile process", test_hostile },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_fuzz", tests);
}
