/* SPDX-License-Identifier: MIT */
/*
 * Up to 16 traces that come, change and go at random, while 50 processes write through the library, some of which are
 * killed, and their rings are read. Afterwards there must be nothing left of any of them. $TB_SECONDS: how long (10).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/fixture.h"
#include "tests/worker.h"

#define NR_WORKERS 50
#define MAX_EXTRA_MS 100000

static struct control control;

struct churn {
	struct fixture fixture;
	struct tick_shared *shared;
	pid_t worker[NR_WORKERS];
	struct control_trace trace[TRACEBUF_NR_SLOTS];
	uint64_t nr_made, nr_destroyed, nr_changed, nr_killed, nr_read, nr_released, max_rings;
};

static bool start_worker(struct churn *churn, unsigned int i)
{
	churn->worker[i] = worker_start(&churn->fixture, "traced", i, 1, 0, "tick");
	if (churn->worker[i] <= 0)
		return false;
	/* The test itself must get on. */
	setpriority(PRIO_PROCESS, (id_t) churn->worker[i], 10);
	return true;
}

static void make_trace(struct churn *churn, struct control_trace *trace)
{
	struct tracebuf_channel channel = control_channel;
	char name[32];

	channel.subbuf_size = 4096ull << tb_random_below(2);
	channel.nr_subbufs = 2;
	channel.mode = (uint32_t) tb_random_below(2);
	channel.context = (uint32_t) tb_random_below(3);
	snprintf(name, sizeof(name), "churn%u", (unsigned int) tb_random_below(8));
	if (CHECK_IS(control_make(&control, name, churn->fixture.rundir, &channel, trace), 0))
		churn->nr_made++;
}

static void destroy_trace(struct churn *churn, struct control_trace *trace)
{
	CHECK_IS(control_destroy(&control, trace), 0);
	memset(trace, 0, sizeof(*trace));
	churn->nr_destroyed++;
}

static void change_trace(struct churn *churn, const struct control_trace *trace)
{
	static const char *const patterns[] = { "*", "test:tick", "nothing:*", "test:t*" };
	struct control_request request;

	control_begin(&request, TRACEBUF_CMD_RULES_SET);
	control_put_u64(&request, TRACEBUF_A_GENERATION, trace->generation);
	control_put_rule(&request, 0, true, patterns[tb_random_below(4)]);
	CHECK_IS(control_send(&control, &request, NULL), 0);
	if (tb_random_below(3) == 0) {
		CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_STOP, trace->generation), 0);
		CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_START, trace->generation), 0);
	}
	if (tb_random_below(3) == 0)
		CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_SHOW, trace->generation), 0);
	churn->nr_changed++;
}

static void replace_worker(struct churn *churn)
{
	unsigned int i = (unsigned int) tb_random_below(NR_WORKERS);

	kill(churn->worker[i], SIGKILL);
	await(churn->worker[i]);
	start_worker(churn, i);
	churn->nr_killed++;
}

/* One of the rings, reservoir sampled. */
struct choice {
	uint64_t nr, generation;
	char name[96];
};

static void choose_ring(const struct control_facts *facts, void *arg)
{
	struct choice *choice = arg;

	if (tb_random_below(++choice->nr))
		return;
	choice->generation = facts->number[TRACEBUF_A_GENERATION];
	snprintf(choice->name, sizeof(choice->name), "%.95s", facts->text[TRACEBUF_A_FILE_NAME]);
}

static void read_ring(struct churn *churn)
{
	struct choice choice = { .nr = 0 };
	struct tracebuf_ioc_get got;
	int fd;

	CHECK(control_dump(&control, TRACEBUF_CMD_RING_GET, NULL, choose_ring, &choice) >= 0);
	if (choice.nr > churn->max_rings)
		churn->max_rings = choice.nr;
	if (!choice.nr)
		return;
	fd = device_open_ring(choice.generation, choice.name);
	if (fd < 0) {
		CHECK_IS(fd, -ENOENT);	/* it has gone meanwhile */
		return;
	}
	for (int i = 0; i < 4 && device_get(fd, &got) == 0; i++) {
		CHECK_IS(device_put(fd, got.seq + 1), 0);
		churn->nr_read++;
	}
	if (got.flags & TRACEBUF_RING_IS_COMPLETE) {
		CHECK_IS(device_release(fd), 0);
		churn->nr_released++;
	}
	close(fd);
}

static void act(struct churn *churn)
{
	struct control_trace *trace = &churn->trace[tb_random_below(TRACEBUF_NR_SLOTS)];

	switch (tb_random_below(8)) {
	case 0:
		if (trace->generation)
			destroy_trace(churn, trace);
		break;
	case 1:
	case 2:
		if (!trace->generation)
			make_trace(churn, trace);
		break;
	case 3:
		replace_worker(churn);
		break;
	case 4:
	case 5:
		if (trace->generation)
			change_trace(churn, trace);
		break;
	default:
		read_ring(churn);
	}
}

static void run_churn(struct churn *churn)
{
	const char *text = getenv("TB_SECONDS");
	uint64_t end = now_ms() + (text ? strtoull(text, NULL, 0) : 10) * 1000;

	for (unsigned int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		make_trace(churn, &churn->trace[i]);
	/* On a slow machine it takes longer until there is a ring at all. */
	while (now_ms() < end || (!churn->max_rings && now_ms() < end + MAX_EXTRA_MS))
		act(churn);
	__atomic_store_n(&churn->shared->stop, 1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < NR_WORKERS; i++)
		TB_ASSERT_EQUAL(await(churn->worker[i]), 0);
	for (unsigned int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (churn->trace[i].generation)
			destroy_trace(churn, &churn->trace[i]);
}

static void test_churn(void)
{
	static struct churn churn;
	uint64_t pages;
	unsigned int nr = 0;

	if (device_is_missing() || !CHECK_IS(control_open(&control), 0) || !fixture_open(&churn.fixture))
		return;
	setenv("TRACEBUF_HOME", "kernel", 1);
	setpriority(PRIO_PROCESS, 0, -10);
	pages = control_status(&control, TRACEBUF_A_NR_PAGES);
	churn.shared = worker_shared(&churn.fixture);
	while (churn.shared && nr < NR_WORKERS && start_worker(&churn, nr))
		nr++;
	if (CHECK_IS(nr, NR_WORKERS)) {
		run_churn(&churn);
		tb_note("traces: %llu made, %llu destroyed, %llu changes; %llu processes killed; at most %llu rings",
			(unsigned long long) churn.nr_made, (unsigned long long) churn.nr_destroyed,
			(unsigned long long) churn.nr_changed, (unsigned long long) churn.nr_killed,
			(unsigned long long) churn.max_rings);
		tb_note("%llu sub-buffers read, %llu rings released", (unsigned long long) churn.nr_read,
			(unsigned long long) churn.nr_released);
		CHECK(churn.max_rings > 0);
		TB_ASSERT_EQUAL(churn.nr_made, churn.nr_destroyed);
	}
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	CHECK_IS(control_status(&control, TRACEBUF_A_NR_RINGS), 0);
	CHECK(control_settles(&control, TRACEBUF_A_NR_PAGES, pages));
	setpriority(PRIO_PROCESS, 0, 0);
	fixture_close(&churn.fixture);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "16 traces, 50 processes", test_churn },
		CU_TEST_INFO_NULL,
	};

	control_clock = TRACEBUF_CLOCK_TSC;
	return tb_run_suite("test_churn", tests);
}
