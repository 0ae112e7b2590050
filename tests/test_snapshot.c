/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of overwrite rings while writers run at full speed, without stopping them: each is readable, its rings
 * hold what was last written without a gap, time only goes forward. And rotation: the chunks together are the trace.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts.h"
#include "ledger.h"
#include "worker.h"

#define NR_SNAPSHOTS ((unsigned int) tb_scaled(20))
#define NR_PROGRAMS 2
#define THREADS 2

/* Calls visit for each directory at or below path that has a metadata file; how many there are. */
static unsigned int visit_traces(const char *path, void (*visit)(const char *path, void *data), void *data)
{
	char below[512];
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int nr = 0;

	snprintf(below, sizeof(below), "%s/metadata", path);
	if (access(below, R_OK) == 0) {
		visit(path, data);
		nr++;
	}
	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		nr += visit_traces(below, visit, data);
	}
	if (dir)
		closedir(dir);
	return nr;
}

static void check_snapshot(const char *path, void *data)
{
	struct accounts accounts;
	struct ledger ledger;
	uint64_t *total = data;

	if (!ledger_read(&ledger, path, NR_PROGRAMS * THREADS) || !accounts_read(&accounts, path))
		return;
	ledger_assert_sound(&ledger);
	accounts_assert_sound(&accounts);
	TB_ASSERT_EQUAL(accounts.total.nr_events, ledger.nr_events);
	TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), ledger.nr_events);
	CU_ASSERT(ledger.nr_events > 0);
	*total += ledger.nr_events;
	ledger_free(&ledger);
	accounts_free(&accounts);
}

static void snapshot_running(void)
{
	uint64_t total = 0;
	struct tick_shared *shared;
	struct fixture fixture;
	pid_t pids[NR_PROGRAMS];
	char path[128], output[160];
	unsigned int i, nr = 0;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "overwrite", 65536, 8, true))
		return;
	shared = worker_shared(&fixture);
	for (i = 0; i < NR_PROGRAMS; i++)
		pids[i] = worker_start(&fixture, "traced", i * THREADS, THREADS, 0, "mixed");
	worker_await_ready(shared, NR_PROGRAMS * THREADS);
	for (i = 0; i < NR_SNAPSHOTS; i++) {
		snprintf(path, sizeof(path), "%s/snapshot-%u", fixture.dir, i);
		snprintf(output, sizeof(output), "output=%s", path);
		fixture_ok(&fixture, "snapshot", "trace=t", output, NULL);
		nr += visit_traces(path, check_snapshot, &total);
		remove_tree(path);
	}
	TB_ASSERT_EQUAL(nr, NR_SNAPSHOTS);
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < NR_PROGRAMS; i++)
		TB_ASSERT_EQUAL(await(pids[i]), 0);
	tb_note("%u snapshots, %" PRIu64 " events in them", nr, total);
	fixture_destroy(&fixture, "t");
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

struct chunks {
	uint64_t nr_events, nr_unsound;
};

static void add_chunk(const char *path, void *data)
{
	struct chunks *chunks = data;
	struct accounts accounts;

	if (!accounts_read(&accounts, path))
		return;
	chunks->nr_events += accounts.total.nr_events;
	chunks->nr_unsound += accounts.total.nr_bad + accounts.total.nr_gaps;
	TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), accounts.total.nr_events);
	accounts_free(&accounts);
}

/* Rotations while programs write: the chunks hold each event once. */
static void rotate_running(void)
{
	struct chunks chunks = { 0, 0 };
	uint64_t attempted = 0;
	struct tick_shared *shared;
	struct fixture fixture;
	pid_t pids[NR_PROGRAMS];
	unsigned int i, nr;
	char path[96];

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "block", 65536, 4, false))
		return;
	shared = worker_shared(&fixture);
	for (i = 0; i < NR_PROGRAMS; i++)
		pids[i] = worker_start(&fixture, "traced", i, 1, 500000, "tick");
	worker_await_ready(shared, NR_PROGRAMS);
	for (i = 0; i < 5; i++) {
		usleep(2000);
		fixture_ok(&fixture, "rotate", "trace=t", NULL);
	}
	for (i = 0; i < NR_PROGRAMS; i++) {
		TB_ASSERT_EQUAL(await(pids[i]), 0);
		attempted += shared->writer[i].returned;
	}
	fixture_destroy(&fixture, "t");
	snprintf(path, sizeof(path), "%s/t", fixture.dir);
	nr = visit_traces(path, add_chunk, &chunks);
	CU_ASSERT(nr >= 6);
	TB_ASSERT_EQUAL(chunks.nr_unsound, 0);
	TB_ASSERT_EQUAL(chunks.nr_events, attempted);
	tb_note("%u chunks, %" PRIu64 " events", nr, attempted);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static bool has_files(const struct fixture *fixture, const char *name)
{
	char path[128];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", fixture->rundir, name);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		found |= entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return found;
}

/* What the dead have left is in the run directory, and all that it takes to read that. */
static void check_remains(const struct fixture *fixture, uint64_t expected)
{
	char tool[512], rundir[96], path[128];
	char *argv[] = { tool, "recover", "--rundir", rundir, "-o", path, NULL };
	struct outcome outcome;

	snprintf(tool, sizeof(tool), "%s", build_path("tracebuf"));
	snprintf(rundir, sizeof(rundir), "%s", fixture->rundir);
	snprintf(path, sizeof(path), "%s/recovered", fixture->dir);
	if (!run(&outcome, argv, NULL))
		return;
	TB_ASSERT_EQUAL(outcome.status, 0);
	outcome_free(&outcome);
	TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), expected);
}

/* One program dies while a daemon lives, which is killed then, and one while none does: the next daemon has both. */
static void snapshot_taken_over(void)
{
	struct fixture fixture;
	char output[160], path[128];
	uint64_t total = 0;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "overwrite", 65536, 8, true))
		return;
	TB_ASSERT_EQUAL(await(worker_start(&fixture, "traced", 0, 1, 500, "tick")), 0);
	while (fixture_ok(&fixture, "status", NULL) && !strstr(fixture.reply.text, "(ended)"))
		usleep(1000);
	fixture_kill(&fixture);
	if (!fixture_has_kernel_home())
		check_remains(&fixture, 500);
	TB_ASSERT_EQUAL(await(worker_start(&fixture, "traced", 1, 1, 500, "tick")), 0);
	if (!fixture_start(&fixture))
		return;
	fixture_ok(&fixture, "status", NULL);
	CU_ASSERT_PTR_NULL(strstr(fixture.reply.text, "rings refused"));
	snprintf(path, sizeof(path), "%s/snapshot", fixture.dir);
	snprintf(output, sizeof(output), "output=%s", path);
	fixture_ok(&fixture, "snapshot", "trace=t", output, NULL);
	TB_ASSERT_EQUAL(visit_traces(path, check_snapshot, &total), 1);
	TB_ASSERT_EQUAL(total, 1000);
	/* With the trace go the files of the dead. */
	CU_ASSERT(fixture_has_kernel_home() || has_files(&fixture, "procs"));
	fixture_destroy(&fixture, "t");
	while (has_files(&fixture, "procs"))
		usleep(1000);
	fixture_stop(&fixture);
	CU_ASSERT(!has_files(&fixture, "rings"));
	fixture_close(&fixture);
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "snapshot_running", snapshot_running }, { "rotate_running", rotate_running },
		{ "snapshot_taken_over", snapshot_taken_over }, CU_TEST_INFO_NULL,
	};

	return tb_run_suite("snapshot", cases);
}
