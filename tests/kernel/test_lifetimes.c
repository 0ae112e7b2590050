/* SPDX-License-Identifier: MIT */
/*
 * A thousand processes, each of which lives for a few events, recorded by the daemon with the module: nothing is lost.
 * Once as root, whose daemon finds rings in debugfs, and once as a user, whose daemon has netlink and the device only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/accounts.h"
#include "tests/fixture.h"
#include "tests/ledger.h"
#include "tests/worker.h"

#define USER 1000
#define NR_EVENTS 20
#define ALIVE 4			/* at a time */

static struct control control;

/* For now; back as root. */
static bool be_user(void)
{
	return CHECK_IS(setgroups(0, NULL) || setresgid(USER, USER, 0) || setresuid(USER, USER, 0), 0);
}

static void be_root(void)
{
	CHECK_IS(setresuid(0, 0, 0) || setresgid(0, 0, 0), 0);
}

static pid_t start_lives(struct fixture *fixture, unsigned int first, unsigned int nr)
{
	char shared[96], first_text[16], nr_text[16], events_text[16];
	char *argv[] = { (char *) build_path("tests/kernel/lives"), shared, first_text, nr_text, events_text, NULL };

	snprintf(shared, sizeof(shared), "%s/shared", fixture->dir);
	snprintf(first_text, sizeof(first_text), "%u", first);
	snprintf(nr_text, sizeof(nr_text), "%u", nr);
	snprintf(events_text, sizeof(events_text), "%u", NR_EVENTS);
	return spawn(argv, NULL);
}

/*
 * Lets the daemon fall behind: it misses notifications, is told so, lists all there is, and while it does so has missed
 * more. Until all of pid[] have ended.
 */
static void hold_daemon(const struct fixture *fixture, const pid_t pid[ALIVE])
{
	siginfo_t info;

	for (unsigned int i = 0; i < ALIVE; ) {
		kill(fixture->daemon, SIGSTOP);
		sleep_ms(500);
		kill(fixture->daemon, SIGCONT);
		sleep_ms(20);
		info.si_pid = 0;
		while (i < ALIVE && !waitid(P_PID, (id_t) pid[i], &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid) {
			info.si_pid = 0;
			i++;
		}
	}
}

/* Each tenth is a program of its own, the others are forked. */
static void run_lives(struct fixture *fixture, unsigned int nr, bool hold)
{
	uint64_t begin = now_ms();
	unsigned int nr_programs = nr / 10, share = (nr - nr_programs) / ALIVE, i;
	pid_t pid[ALIVE];

	for (i = 0; i < ALIVE; i++)
		pid[i] = start_lives(fixture, i * share, i < ALIVE - 1 ? share : nr - nr_programs - i * share);
	if (hold)
		hold_daemon(fixture, pid);
	for (i = nr - nr_programs; i < nr; i++)
		TB_ASSERT_EQUAL(await(worker_act(fixture, "write", i, NR_EVENTS)), 0);
	for (i = 0; i < ALIVE; i++)
		TB_ASSERT_EQUAL(await(pid[i]), 0);
	tb_note("%u processes in %llu ms", nr, (unsigned long long) (now_ms() - begin));
}

static void check_trace(const char *path, const struct tick_shared *shared, unsigned int nr)
{
	unsigned int nr_incomplete = 0;
	struct accounts accounts;
	struct ledger ledger;

	if (ledger_read(&ledger, path, nr)) {
		ledger_assert_sound(&ledger);
		for (unsigned int i = 0; i < nr; i++) {
			if (ledger_has_all(&ledger.writer[i], 0, NR_EVENTS))
				continue;
			nr_incomplete++;
			tb_note("writer %u, process %llu: %llu events", i, (unsigned long long) shared->writer[i].pid,
				(unsigned long long) ledger.writer[i].nr);
		}
		TB_ASSERT_EQUAL(nr_incomplete, 0);
		TB_ASSERT_EQUAL(ledger.nr_events, (uint64_t) nr * NR_EVENTS);
	}
	ledger_free(&ledger);
	if (CHECK(accounts_read(&accounts, path))) {
		accounts_assert_sound(&accounts);
		TB_ASSERT_EQUAL(accounts.total.recorded, (uint64_t) nr * NR_EVENTS);
		TB_ASSERT_EQUAL(accounts.total.discarded, 0);
	}
	accounts_free(&accounts);
	if (access("/usr/bin/babeltrace2", X_OK) == 0)
		TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), (uint64_t) nr * NR_EVENTS);
}

static void check_status(struct fixture *fixture, unsigned int nr)
{
	if (!fixture_ok(fixture, "status", "json=1", NULL))
		return;
	if (!CHECK(strstr(fixture->reply.text, "\"kernel\"") != NULL))
		tb_note("%.300s", fixture->reply.text);
	if (fixture_ok(fixture, "status", "trace=t", "json=1", NULL)) {
		TB_ASSERT_EQUAL(json_last(fixture->reply.text, "recorded"), (uint64_t) nr * NR_EVENTS);
		TB_ASSERT_EQUAL(json_last(fixture->reply.text, "discarded"), 0);
	}
}

static void record(struct fixture *fixture, unsigned int nr, bool hold)
{
	struct tick_shared *shared;
	char path[96];

	snprintf(path, sizeof(path), "%s/t", fixture->dir);
	if (!fixture_start(fixture) || !fixture_trace(fixture, "t", "discard", 4096, 2, false))
		return;
	shared = worker_shared(fixture);
	run_lives(fixture, nr, hold);
	fixture_ok(fixture, "stop", "trace=t", NULL);
	check_status(fixture, nr);
	if (fixture_destroy(fixture, "t"))
		check_trace(path, shared, nr);
	fixture_stop(fixture);
}

static void check_lives(unsigned int nr, bool hold)
{
	struct fixture fixture;

	if (!fixture_open(&fixture))
		return;
	setenv("TRACEBUF_HOME", "kernel", 1);
	record(&fixture, nr, hold);
	fixture_close(&fixture);
}

static void check_nothing_left(uint64_t pages)
{
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	CHECK_IS(control_status(&control, TRACEBUF_A_NR_RINGS), 0);
	CHECK(control_settles(&control, TRACEBUF_A_NR_PAGES, pages));
}

static void test_root(void)
{
	uint64_t pages;

	if (device_is_missing())
		return;
	pages = control_status(&control, TRACEBUF_A_NR_PAGES);
	check_lives((unsigned int) tb_scaled(1000), false);
	check_nothing_left(pages);
}

static void run_as_user(unsigned int nr, bool hold)
{
	uint64_t pages;

	if (device_is_missing())
		return;
	device_open_to_all();
	pages = control_status(&control, TRACEBUF_A_NR_PAGES);
	if (be_user())
		check_lives(nr, hold);
	be_root();
	check_nothing_left(pages);
}

static void test_user(void)
{
	run_as_user((unsigned int) tb_scaled(100), false);
}

static void test_held(void)
{
	run_as_user(400, true);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "root, debugfs", test_root },
		{ "user, device", test_user },
		{ "user, device, a daemon that does not keep up", test_held },
		CU_TEST_INFO_NULL,
	};

	if (access(TRACEBUF_DEVICE, F_OK) == 0 && control_open(&control))
		return 1;
	return tb_run_suite("test_lifetimes", tests);
}
