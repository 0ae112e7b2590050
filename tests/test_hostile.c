/* SPDX-License-Identifier: MIT */
/*
 * A hostile process (hostile.c) beside an honest one: whatever it does to its own files, the daemon lives, opens and
 * holds no more than before, and the honest one's events are all in a trace that can be read.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ledger.h"
#include "worker.h"

#define NR_LIVES ((unsigned int) tb_scaled(12))
#define NR_ROUNDS "300"
#define MORE_FDS 32
#define MORE_KIB 65536

static unsigned int count_fds(pid_t pid)
{
	char path[64];
	unsigned int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int) pid);
	dir = opendir(path);
	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr;
}

static unsigned long resident_kib(pid_t pid)
{
	unsigned long kib = 0;
	char path[64], *text, *at;

	snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
	text = read_file(path);
	at = text ? strstr(text, "RssAnon:") : NULL;
	if (at)
		kib = strtoul(at + 8, NULL, 10);
	free(text);
	return kib;
}

static void attack(struct fixture *fixture, const char *action)
{
	char shared[96], seed[24];
	char *argv[] = { (char *) build_path("tests/hostile"), shared, (char *) action, seed, NR_ROUNDS, NULL };
	unsigned int i;

	snprintf(shared, sizeof(shared), "%s/shared", fixture->dir);
	for (i = 0; i < NR_LIVES; i++) {
		snprintf(seed, sizeof(seed), "%" PRIu64, tb_random());
		await(spawn(argv, NULL));
	}
}

static void check_trace(struct fixture *fixture, const struct tick_shared *shared)
{
	struct ledger ledger;
	char path[96];

	snprintf(path, sizeof(path), "%s/t", fixture->dir);
	if (!ledger_read(&ledger, path, 1))
		return;
	TB_ASSERT_EQUAL(ledger.nr_wrong, 0);
	TB_ASSERT_EQUAL(ledger.nr_duplicate, 0);
	TB_ASSERT_EQUAL(ledger.writer[0].nr, shared->writer[0].returned);
	CU_ASSERT(ledger_has_all(&ledger.writer[0], 0, shared->writer[0].returned));
	tb_note("honest events %" PRIu64 ", others %" PRIu64 ", damaged %" PRIu64, ledger.writer[0].nr,
		ledger.nr_foreign, ledger.nr_damaged);
	referee(path, REFEREE_DISCARDS, NULL);
	ledger_free(&ledger);
}

static void survive(const char *action)
{
	unsigned int fds_before, fds_after;
	unsigned long kib_before, kib_after;
	struct tick_shared *shared;
	struct fixture fixture;
	pid_t pid;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "block", 16384, 4, false))
		return;
	fixture.loud = true;
	shared = worker_shared(&fixture);
	pid = worker_start(&fixture, "traced", 0, 1, 0, "tick");
	worker_await_ready(shared, 1);
	fds_before = count_fds(fixture.daemon);
	kib_before = resident_kib(fixture.daemon);
	attack(&fixture, action);
	fixture_ok(&fixture, "status", "trace=t", "json=1", NULL);
	TB_ASSERT_EQUAL(kill(fixture.daemon, 0), 0);
	fds_after = count_fds(fixture.daemon);
	kib_after = resident_kib(fixture.daemon);
	tb_note("%s: descriptors %u, then %u; anonymous memory %lu, then %lu KiB", action, fds_before, fds_after,
		kib_before, kib_after);
	CU_ASSERT(fds_after <= fds_before + MORE_FDS);
	CU_ASSERT(kib_after <= kib_before + MORE_KIB);
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	TB_ASSERT_EQUAL(await(pid), 0);
	if (fixture_destroy(&fixture, "t"))
		check_trace(&fixture, shared);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static void scribbles(void)
{
	survive("scribble");
}

static void lies(void)
{
	survive("lie");
}

static void truncates(void)
{
	survive("truncate");
}

static void replaces(void)
{
	survive("replace");
}

static void litters(void)
{
	survive("litter");
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "scribble", scribbles }, { "lie", lies }, { "truncate", truncates }, { "replace", replaces },
		{ "litter", litters }, CU_TEST_INFO_NULL,
	};

	return tb_run_suite("hostile", cases);
}
