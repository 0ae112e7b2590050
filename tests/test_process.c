/* SPDX-License-Identifier: MIT */
/*
 * What a process may do under a tracer inside it: a 10 kHz timer whose handler traces in a thread that traces, each
 * way to make a process, exec, threads by the thousand, being moved between CPUs all the time. Every event must be
 * there once, under the right process and thread; the block mode leaves no excuse.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accounts.h"
#include "ledger.h"
#include "worker.h"

#define NR_WRITERS 4096

struct scene {
	struct fixture fixture;
	struct tick_shared *shared;
	struct ledger ledger;
	int status;
};

static const char *context;		/* of struct fixture */

/* Runs an action of tests/traced in a trace, and opens the books. */
static bool play(struct scene *scene, const char *action, uint64_t nr)
{
	struct fixture *fixture = &scene->fixture;
	struct accounts accounts;
	char path[96];

	memset(scene, 0, sizeof(*scene));
	if (!fixture_open(fixture) || !fixture_start(fixture))
		return false;
	fixture->context = context;
	if (!fixture_trace(fixture, "t", "block", 65536, 4, false))
		return false;
	scene->shared = worker_shared(fixture);
	scene->status = await(worker_act(fixture, action, 0, nr));
	fixture_destroy(fixture, "t");
	snprintf(path, sizeof(path), "%s/t", fixture->dir);
	if (!ledger_read(&scene->ledger, path, NR_WRITERS) || !accounts_read(&accounts, path))
		return false;
	ledger_assert_sound(&scene->ledger);
	accounts_assert_sound(&accounts);
	TB_ASSERT_EQUAL(accounts.total.discarded, 0);
	TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), scene->ledger.nr_events);
	accounts_free(&accounts);
	return true;
}

/* All events of the first nr writers are there, under the process and thread that wrote them. */
static void check_writers(const struct scene *scene, uint32_t nr)
{
	uint64_t nr_missing = 0, nr_misplaced = 0, total = 0;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		const struct ledger_writer *held = &scene->ledger.writer[i];
		const struct tick_writer *writer = &scene->shared->writer[i];

		total += writer->returned;
		nr_missing += !ledger_has_all(held, 0, writer->returned) || !writer->returned;
		nr_misplaced += held->pid != (int32_t) writer->pid || held->tid != (int32_t) writer->tid ||
				held->several_pids || held->several_tids;
	}
	TB_ASSERT_EQUAL(scene->status, 0);
	TB_ASSERT_EQUAL(nr_missing, 0);
	TB_ASSERT_EQUAL(nr_misplaced, 0);
	TB_ASSERT_EQUAL(scene->ledger.nr_events, total);
}

static void leave(struct scene *scene)
{
	ledger_free(&scene->ledger);
	fixture_stop(&scene->fixture);
	fixture_close(&scene->fixture);
}

static void check_action(const char *action, uint64_t nr, uint32_t nr_writers)
{
	struct scene scene;

	if (play(&scene, action, tb_scaled(nr))) {
		if (WIFEXITED(scene.status) && WEXITSTATUS(scene.status) == TB_EXIT_SKIP)
			tb_skip("the kernel does not have this system call");
		else
			check_writers(&scene, nr_writers);
	}
	leave(&scene);
}

static void signals(void)
{
	check_action("signals", 5000, 2);
}

static void forks(void)
{
	check_action("fork", 5000, 2);
}

static void double_fork(void)
{
	check_action("doublefork", 5000, 3);
}

static void vforks(void)
{
	if (!tb_skip_sanitized("thread", "ThreadSanitizer makes vfork() a fork()"))
		check_action("vfork", 5000, 1);
}

static void clone3s(void)
{
	check_action("clone3", 5000, 2);
}

static void spawns(void)
{
	check_action("spawn", 5000, 2);
}

/* The process keeps its pid over exec and is two incarnations. */
static void execs(void)
{
	check_action("exec", 5000, 2);
}

static void threads(void)
{
	check_action("threads", 4000, (uint32_t) tb_scaled(4000));
}

static void affinity(void)
{
	check_action("affinity", 1000000, 1);
}

/* The same where the library's own sequence writes, which knows the process's and the thread's id by itself. */
static void contexts(void)
{
	context = "context=vtid,vpid";
	signals();
	forks();
	double_fork();
	threads();
	affinity();
	context = NULL;
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "signals", signals }, { "fork", forks }, { "double_fork", double_fork }, { "vfork", vforks },
		{ "clone3", clone3s }, { "posix_spawn", spawns }, { "exec", execs }, { "threads", threads },
		{ "affinity", affinity }, { "contexts", contexts }, CU_TEST_INFO_NULL,
	};

	return tb_run_suite("process", cases);
}
