/* SPDX-License-Identifier: MIT */
/*
 * Objects with events come and go, in a loop, in several threads, under load: every event is there, of each object,
 * and the process does not pile up descriptions or rings. Without a daemon, and with nothing enabled, the same loop
 * must simply run. An object that a thread with a ring loads describes events that the ring was not made for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "accounts.h"
#include "ledger.h"
#include "worker.h"

#define NR_OBJECTS 3
#define NR_ROUNDS tb_scaled(1000)

/* Copies, since the dynamic linker knows an object by its inode. */
static bool copy_objects(const struct fixture *fixture, char paths[NR_OBJECTS][96])
{
	struct outcome outcome;
	unsigned int i;

	for (i = 0; i < NR_OBJECTS; i++) {
		char *argv[] = { "cp", (char *) build_path("tests/.libs/plugin.so"), paths[i], NULL };

		snprintf(paths[i], sizeof(paths[i]), "%s/plugin%u.so", fixture->dir, i);
		if (!run(&outcome, argv, NULL))
			return false;
		TB_ASSERT_EQUAL(outcome.status, 0);
		outcome_free(&outcome);
	}
	return true;
}

static void load_objects(struct fixture *fixture)
{
	char paths[NR_OBJECTS][96], shared_path[96], rounds[24];
	char *argv[] = { (char *) build_path("tests/loader"), shared_path, rounds, paths[0], paths[1], paths[2], NULL };
	static const char *const environment[] = { "TRACEBUF_ALLOW_BLOCKING=1", NULL };

	snprintf(shared_path, sizeof(shared_path), "%s/shared", fixture->dir);
	snprintf(rounds, sizeof(rounds), "%" PRIu64, NR_ROUNDS);
	if (copy_objects(fixture, paths))
		TB_ASSERT_EQUAL(await(spawn(argv, environment)), 0);
}

static void check_trace(struct fixture *fixture, const struct tick_shared *shared)
{
	struct accounts accounts;
	struct ledger ledger;
	char path[96];
	unsigned int i;

	snprintf(path, sizeof(path), "%s/t", fixture->dir);
	if (!ledger_read(&ledger, path, NR_OBJECTS + 1) || !accounts_read(&accounts, path))
		return;
	ledger_assert_sound(&ledger);
	accounts_assert_sound(&accounts);
	TB_ASSERT_EQUAL(accounts.total.discarded, 0);
	for (i = 0; i <= NR_OBJECTS; i++) {
		CU_ASSERT(ledger_has_all(&ledger.writer[i], 0, shared->writer[i].returned));
		CU_ASSERT(ledger.writer[i].tid == (int32_t) shared->writer[i].tid);
		if (i)
			TB_ASSERT_EQUAL(ledger.writer[i].nr, NR_ROUNDS * 10);
	}
	CU_ASSERT(accounts.nr <= 4 * sysconf(_SC_NPROCESSORS_ONLN));
	TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), ledger.nr_events);
	ledger_free(&ledger);
	accounts_free(&accounts);
}

static void objects_enabled(void)
{
	struct tick_shared *shared;
	struct fixture fixture;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "block", 65536, 4, false))
		return;
	shared = worker_shared(&fixture);
	load_objects(&fixture);
	fixture_destroy(&fixture, "t");
	check_trace(&fixture, shared);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static void object_after_ring(void)
{
	char shared_path[96], path[96];
	char *argv[] = { (char *) build_path("tests/latecomer"), shared_path, NULL, NULL };
	struct tick_shared *shared;
	struct fixture fixture;
	struct ledger ledger;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "discard", 65536, 4, false))
		return;
	argv[2] = (char *) build_path("tests/.libs/plugin.so");
	shared = worker_shared(&fixture);
	snprintf(shared_path, sizeof(shared_path), "%s/shared", fixture.dir);
	TB_ASSERT_EQUAL(await(spawn(argv, NULL)), 0);
	fixture_destroy(&fixture, "t");
	snprintf(path, sizeof(path), "%s/t", fixture.dir);
	if (ledger_read(&ledger, path, 1)) {
		ledger_assert_sound(&ledger);
		CU_ASSERT(ledger_has_all(&ledger.writer[0], 0, shared->writer[0].returned));
		TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), 200);
		ledger_free(&ledger);
	}
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static void objects_without_daemon(void)
{
	struct tick_shared *shared;
	struct fixture fixture;
	unsigned int i;

	if (!fixture_open(&fixture))
		return;
	shared = worker_shared(&fixture);
	load_objects(&fixture);
	for (i = 1; i <= NR_OBJECTS; i++)
		TB_ASSERT_EQUAL(shared->writer[i].returned, NR_ROUNDS * 10);
	fixture_close(&fixture);
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "objects_enabled", objects_enabled }, { "object_after_ring", object_after_ring },
		{ "objects_without_daemon", objects_without_daemon },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("objects", cases);
}
