/* SPDX-License-Identifier: MIT */
/*
 * `tracebuf record`, from end to end, as a user runs it: a private daemon, a program and all that it forks, the
 * accounts, the exit status handed on, the trace read by babeltrace2 and by `tracebuf view`.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ledger.h"
#include "worker.h"

static unsigned int count_lines(const char *text, const char *with)
{
	unsigned int nr = 0;
	const char *end;

	for (; (end = strchr(text, '\n')); text = end + 1)
		nr += memmem(text, (size_t) (end - text), with, strlen(with)) != NULL;
	return nr;
}

/* record into DIR/t: argv from the mode on. The status; asserts that the trace reads well. */
static int record(struct fixture *fixture, const char *mode, const char *with, char *const *command,
		  struct outcome *ret_outcome)
{
	char output[96];
	char *argv[24] = { (char *) build_path("tracebuf"), "record", "-o", output, "--mode", (char *) mode };
	int nr = 6, i;

	snprintf(output, sizeof(output), "%s/t", fixture->dir);
	if (with) {
		argv[nr++] = "--with";
		argv[nr++] = (char *) with;
	}
	argv[nr++] = "--";
	for (i = 0; command[i]; i++)
		argv[nr++] = command[i];
	return run(ret_outcome, argv, NULL) ? ret_outcome->status : -1;
}

static uint64_t view_lines(const char *path, const char *option, const char *with)
{
	char *argv[] = { (char *) build_path("tracebuf"), "view", (char *) path, (char *) option, NULL };
	struct outcome outcome;
	uint64_t nr;

	if (!run(&outcome, argv, NULL))
		return 0;
	TB_ASSERT_EQUAL(outcome.status, 0);
	CU_ASSERT(outcome.err[0] == 0);
	nr = count_lines(outcome.out, with);
	outcome_free(&outcome);
	return nr;
}

static void record_forks(const char *mode)
{
	char shared[96], path[96];
	char *command[] = { (char *) build_path("tests/traced"), shared, "doublefork", "0", "1000", NULL };
	struct outcome outcome;
	struct fixture fixture;
	struct ledger ledger;
	unsigned int i;

	if (!fixture_open(&fixture))
		return;
	worker_shared(&fixture);
	snprintf(shared, sizeof(shared), "%s/shared", fixture.dir);
	snprintf(path, sizeof(path), "%s/t", fixture.dir);
	TB_ASSERT_EQUAL(record(&fixture, mode, NULL, command, &outcome), 0);
	tb_note("%.300s%.300s", outcome.out, outcome.err);
	CU_ASSERT(strstr(outcome.out, "4000") || strstr(outcome.err, "4000"));
	outcome_free(&outcome);
	if (ledger_read(&ledger, path, 3)) {
		ledger_assert_sound(&ledger);
		for (i = 0; i < 3; i++)
			CU_ASSERT(ledger_has_all(&ledger.writer[i], 0, i == 1 ? 2000 : 1000));
		TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), 4000);
		TB_ASSERT_EQUAL(view_lines(path, NULL, "test:tick"), 4000);
		TB_ASSERT_EQUAL(view_lines(path, "--json", "\"test:tick\""), 4000);
	}
	ledger_free(&ledger);
	fixture_close(&fixture);
}

static void record_discard(void)
{
	record_forks("discard");
}

static void record_overwrite(void)
{
	record_forks("overwrite");
}

static void record_block(void)
{
	record_forks("block");
}

/* A program of the system, by the libc helper. */
static void record_libc(void)
{
	char *command[] = { "sh", "-c", "seq 20000 | sort -n | tail -n 1", NULL };
	struct outcome outcome;
	struct fixture fixture;
	char path[96];
	uint64_t nr;

	if (tb_skip_sanitized(NULL, "a library with a sanitizer cannot be preloaded"))
		return;
	if (!fixture_open(&fixture))
		return;
	snprintf(path, sizeof(path), "%s/t", fixture.dir);
	TB_ASSERT_EQUAL(record(&fixture, "discard", "libc", command, &outcome), 0);
	CU_ASSERT(strstr(outcome.out, "20000\n") != NULL);
	outcome_free(&outcome);
	nr = referee(path, REFEREE_SILENT, NULL);
	CU_ASSERT(nr > 100);
	TB_ASSERT_EQUAL(view_lines(path, NULL, "lttng_ust_libc:"), nr);
	fixture_close(&fixture);
}

static void record_status(void)
{
	char *exits[] = { "sh", "-c", "exit 7", NULL }, *dies[] = { "sh", "-c", "kill -9 $$", NULL };
	char *missing[] = { "/nonexistent/program", NULL };
	struct outcome outcome;
	struct fixture fixture;
	char path[96];

	if (!fixture_open(&fixture))
		return;
	snprintf(path, sizeof(path), "%s/t", fixture.dir);
	TB_ASSERT_EQUAL(WEXITSTATUS(record(&fixture, "discard", NULL, exits, &outcome)), 7);
	outcome_free(&outcome);
	remove_tree(path);
	TB_ASSERT_EQUAL(WEXITSTATUS(record(&fixture, "discard", NULL, dies, &outcome)), 128 + 9);
	outcome_free(&outcome);
	remove_tree(path);
	CU_ASSERT(WEXITSTATUS(record(&fixture, "discard", NULL, missing, &outcome)) != 0);
	CU_ASSERT(outcome.err[0] != 0);
	outcome_free(&outcome);
	fixture_close(&fixture);
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "record_discard", record_discard }, { "record_overwrite", record_overwrite },
		{ "record_block", record_block }, { "record_libc", record_libc }, { "record_status", record_status },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("record", cases);
}
