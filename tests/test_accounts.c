/* SPDX-License-Identifier: MIT */
/*
 * Conservation without crashes: more programs than CPUs write a million events each; what was recorded, discarded and
 * overwritten adds up to what was attempted, exactly, per ring and in total, in the daemon's answer and in the trace;
 * the numbers show no duplicate and no hole that is not accounted for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts.h"
#include "ledger.h"
#include "worker.h"

#define MAX_PROGRAMS 64

static unsigned int nr_programs;
static uint64_t nr_events;

/* The daemon's own accounts, of all processes and in total. */
static void check_status(struct fixture *fixture, uint64_t attempted)
{
	const char *text;

	if (!fixture_ok(fixture, "status", "trace=t", "json=1", NULL))
		return;
	text = fixture->reply.text;
	TB_ASSERT_EQUAL(json_last(text, "recorded") + json_last(text, "discarded") + json_last(text, "overwritten"),
			attempted);
	TB_ASSERT_EQUAL(json_sum_but_last(text, "recorded"), json_last(text, "recorded"));
	TB_ASSERT_EQUAL(json_sum_but_last(text, "discarded"), json_last(text, "discarded"));
	TB_ASSERT_EQUAL(json_sum_but_last(text, "overwritten"), json_last(text, "overwritten"));
}

static void check_program(const struct ledger *ledger, const struct accounts *accounts, uint32_t writer, pid_t pid)
{
	const struct ledger_writer *held = &ledger->writer[writer];
	struct account account = accounts_of_pid(accounts, pid);

	TB_ASSERT_EQUAL(account.recorded + account.discarded, nr_events);
	TB_ASSERT_EQUAL(account.nr_events + account.overwritten, account.recorded);
	TB_ASSERT_EQUAL(held->nr, account.nr_events);
	CU_ASSERT(!held->nr || (held->pid == pid && held->tid == pid && !held->several_pids && !held->several_tids));
	CU_ASSERT(held->last < nr_events);
}

static void check_trace(const char *path, const char *mode, const pid_t *pids)
{
	bool discards = strcmp(mode, "discard") == 0;
	struct accounts accounts;
	uint64_t reported = 0;
	struct ledger ledger;
	unsigned int i;

	if (!ledger_read(&ledger, path, nr_programs) || !accounts_read(&accounts, path))
		return;
	ledger_assert_sound(&ledger);
	accounts_assert_sound(&accounts);
	for (i = 0; i < nr_programs; i++)
		check_program(&ledger, &accounts, i, pids[i]);
	TB_ASSERT_EQUAL(ledger.nr_events, accounts.total.nr_events);
	TB_ASSERT_EQUAL(referee(path, discards ? REFEREE_DISCARDS : REFEREE_SILENT, &reported), ledger.nr_events);
	TB_ASSERT_EQUAL(accounts.total.recorded + accounts.total.discarded, (uint64_t) nr_programs * nr_events);
	if (!discards)
		TB_ASSERT_EQUAL(accounts.total.discarded, 0);
	if (strcmp(mode, "overwrite") != 0)
		TB_ASSERT_EQUAL(accounts.total.overwritten, 0);
	tb_note("%s: %u programs, %" PRIu64 " held, %" PRIu64 " discarded (babeltrace2 says %" PRIu64 "), %" PRIu64
		" overwritten", mode, nr_programs, ledger.nr_events, accounts.total.discarded, reported,
		accounts.total.overwritten);
	ledger_free(&ledger);
	accounts_free(&accounts);
}

static void account_for(const char *mode, uint64_t subbuf_size, unsigned int nr_subbufs, const char *context)
{
	pid_t pids[MAX_PROGRAMS];
	struct fixture fixture;
	unsigned int i;
	char path[96];

	nr_events = tb_scaled(1000000);
	nr_programs = 2 * (unsigned int) sysconf(_SC_NPROCESSORS_ONLN);
	if (nr_programs > MAX_PROGRAMS)
		nr_programs = MAX_PROGRAMS;
	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	fixture.context = context;
	if (!fixture_trace(&fixture, "t", mode, subbuf_size, nr_subbufs, false))
		return;
	for (i = 0; i < nr_programs; i++)
		pids[i] = worker_start(&fixture, "traced", i, 1, nr_events, "tick");
	for (i = 0; i < nr_programs; i++)
		TB_ASSERT_EQUAL(await(pids[i]), 0);
	fixture_ok(&fixture, "stop", "trace=t", NULL);
	check_status(&fixture, (uint64_t) nr_programs * nr_events);
	if (fixture_destroy(&fixture, "t")) {
		snprintf(path, sizeof(path), "%s/t", fixture.dir);
		check_trace(path, mode, pids);
	}
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static void account_discard(void)
{
	account_for("discard", 16384, 2, NULL);
}

static void account_overwrite(void)
{
	account_for("overwrite", 65536, 8, NULL);
}

static void account_block(void)
{
	account_for("block", 262144, 4, NULL);
}

static void account_context(void)
{
	account_for("overwrite", 65536, 8, "context=vtid,vpid");
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "account_discard", account_discard },
		{ "account_overwrite", account_overwrite },
		{ "account_block", account_block },
		{ "account_context", account_context },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("accounts", cases);
}
