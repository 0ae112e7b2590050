/* SPDX-License-Identifier: MIT */
/*
 * Many of each: thousands of short-lived processes in one trace, sixteen traces at once (and no seventeenth), programs
 * older than the daemon, traces that come and go while programs run.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts.h"
#include "ledger.h"
#include "worker.h"

#define NR_PROCESSES ((unsigned int) tb_scaled(5000))
#define NR_EVENTS 10
#define ALIVE 8
#define NR_TRACES 16

/* Each program lives for ten events. */
static void run_short_lives(struct fixture *fixture, unsigned int nr)
{
	pid_t pids[ALIVE];
	unsigned int i, j, nr_failed = 0;

	for (i = 0; i < nr; i += ALIVE) {
		for (j = 0; j < ALIVE && i + j < nr; j++)
			pids[j] = worker_act(fixture, "write", i + j, NR_EVENTS);
		while (j)
			nr_failed += await(pids[--j]) != 0;
	}
	TB_ASSERT_EQUAL(nr_failed, 0);
}

static void check_short_lives(struct fixture *fixture, unsigned int nr)
{
	char path[96], processes[128], *text;
	unsigned int i, nr_incomplete = 0;
	struct outcome outcome;
	char *view[] = { (char *) build_path("tracebuf"), "view", path, NULL };
	struct ledger ledger;
	const char *at;

	snprintf(path, sizeof(path), "%s/t", fixture->dir);
	if (!ledger_read(&ledger, path, nr))
		return;
	ledger_assert_sound(&ledger);
	for (i = 0; i < nr; i++)
		nr_incomplete += !ledger_has_all(&ledger.writer[i], 0, NR_EVENTS);
	TB_ASSERT_EQUAL(nr_incomplete, 0);
	TB_ASSERT_EQUAL(ledger.nr_events, (uint64_t) nr * NR_EVENTS);
	ledger_free(&ledger);
	TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), (uint64_t) nr * NR_EVENTS);
	if (run(&outcome, view, NULL)) {
		TB_ASSERT_EQUAL(outcome.status, 0);
		for (i = 0, at = outcome.out; (at = strchr(at, '\n')); at++)
			i++;
		TB_ASSERT_EQUAL(i, nr * NR_EVENTS);
		outcome_free(&outcome);
	}
	snprintf(processes, sizeof(processes), "%s/.processes", path);
	text = read_file(processes);
	for (i = 0, at = text; at && (at = strchr(at, '\n')); at++)
		i++;
	TB_ASSERT_EQUAL(i, nr);
	free(text);
}

static void short_lives(void)
{
	struct fixture fixture;
	const char *at;
	unsigned int nr = 0;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "discard", 4096, 2, false))
		return;
	worker_shared(&fixture);
	run_short_lives(&fixture, NR_PROCESSES);
	fixture_ok(&fixture, "stop", "trace=t", NULL);
	if (fixture_ok(&fixture, "status", "trace=t", "json=1", NULL)) {
		for (at = fixture.reply.text; (at = strstr(at, "\"pid\":")); at++)
			nr++;
		TB_ASSERT_EQUAL(nr, NR_PROCESSES);
		TB_ASSERT_EQUAL(json_last(fixture.reply.text, "recorded"), NR_PROCESSES * NR_EVENTS);
	}
	if (fixture_destroy(&fixture, "t"))
		check_short_lives(&fixture, NR_PROCESSES);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

/* A program that runs before there is a daemon, and before there is a trace, is picked up. */
static void older_than_daemon(void)
{
	struct tick_shared *shared;
	struct fixture fixture;
	struct ledger ledger;
	char path[96];
	pid_t pid;

	if (!fixture_open(&fixture))
		return;
	shared = worker_shared(&fixture);
	pid = worker_start(&fixture, "traced", 0, 1, 0, "tick");
	worker_await_ready(shared, 1);
	if (!fixture_start(&fixture) || !fixture_trace(&fixture, "t", "block", 65536, 4, false))
		return;
	worker_await_returned(shared, 0, worker_returned(shared, 0) + 100000);
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	TB_ASSERT_EQUAL(await(pid), 0);
	fixture_destroy(&fixture, "t");
	snprintf(path, sizeof(path), "%s/t", fixture.dir);
	if (ledger_read(&ledger, path, 1)) {
		const struct ledger_writer *held = &ledger.writer[0];

		ledger_assert_sound(&ledger);
		CU_ASSERT(held->nr > 0 && held->first > 0);
		CU_ASSERT(ledger_has_all(held, held->first, shared->writer[0].returned));
		TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), ledger.nr_events);
	}
	ledger_free(&ledger);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

/* In a trace that was started and stopped while its writer ran, the writer's events are one run without a hole. */
static void check_run(struct fixture *fixture, const char *name, const struct tick_shared *shared)
{
	struct ledger ledger;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fixture->dir, name);
	if (ledger_read(&ledger, path, 1)) {
		const struct ledger_writer *held = &ledger.writer[0];

		ledger_assert_sound(&ledger);
		CU_ASSERT(held->nr > 0);
		TB_ASSERT_EQUAL(held->nr, held->last - held->first + 1);
		CU_ASSERT(held->last < shared->writer[0].returned + 1);
		TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), ledger.nr_events);
	}
	ledger_free(&ledger);
}

static void sixteen_traces(void)
{
	struct tick_shared *shared;
	struct fixture fixture;
	char name[16], output[128];
	unsigned int i;
	pid_t pid;

	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	shared = worker_shared(&fixture);
	pid = worker_start(&fixture, "traced", 0, 1, 0, "tick");
	worker_await_ready(shared, 1);
	for (i = 0; i < NR_TRACES; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		fixture_trace(&fixture, name, "block", 65536, 4, false);
	}
	snprintf(output, sizeof(output), "output=%s/t16", fixture.dir);
	TB_ASSERT_EQUAL(fixture_request(&fixture, "create", "name=t16", output, NULL), 1);
	CU_ASSERT(strstr(fixture.reply.message, "16") != NULL);
	CU_ASSERT(access(output + 7, F_OK) != 0);
	worker_await_returned(shared, 0, worker_returned(shared, 0) + 1000);
	for (i = 0; i < NR_TRACES; i++) {
		snprintf(name, sizeof(name), "t%u", (i * 7) % NR_TRACES);
		fixture_destroy(&fixture, name);
	}
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	TB_ASSERT_EQUAL(await(pid), 0);
	for (i = 0; i < NR_TRACES; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		check_run(&fixture, name, shared);
	}
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

/* Traces are made, started, stopped, started again and destroyed for as long as a program writes; slots are reused. */
static void come_and_go(void)
{
	struct tick_shared *shared;
	struct fixture fixture;
	char name[16], trace[32];
	unsigned int i;
	pid_t pid;

	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	shared = worker_shared(&fixture);
	pid = worker_start(&fixture, "traced", 0, 1, 0, "tick");
	worker_await_ready(shared, 1);
	for (i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		snprintf(trace, sizeof(trace), "trace=%s", name);
		fixture_trace(&fixture, name, "block", 16384, 4, false);
		worker_await_returned(shared, 0, worker_returned(shared, 0) + 1000);
		if (i % 2)
			fixture_ok(&fixture, "stop", trace, NULL);
		fixture_destroy(&fixture, name);
		check_run(&fixture, name, shared);
	}
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	TB_ASSERT_EQUAL(await(pid), 0);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "short_lives", short_lives }, { "older_than_daemon", older_than_daemon },
		{ "sixteen_traces", sixteen_traces }, { "come_and_go", come_and_go }, CU_TEST_INFO_NULL,
	};

	return tb_run_suite("many", cases);
}
