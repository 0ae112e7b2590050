/* SPDX-License-Identifier: MIT */
/*
 * The crash guarantee. Programs count in a shared file each event whose call returned, and are killed with SIGKILL at
 * random moments: every counted event is in the trace (or accounted for as discarded or overwritten), what is in the
 * trace was written by its writer, and the next program notices nothing. Then the same with the daemon killed.
 *
 * A kill can fall between the commit and the count: of each thread one event more than counted may be there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tracebuf/abi.h>

#include "accounts.h"
#include "fixture.h"
#include "ledger.h"
#include "worker.h"

#define MAX_THREADS 4
#define KILL_BATCH 4			/* programs alive at one time */
#define KILL_WITHIN_US 1500		/* unless $TB_KILL_WITHIN_US says otherwise: emulators begin late */
#define DAEMON_KILLS 100

struct victim {
	pid_t pid;
	uint32_t writer;
	unsigned int nr_threads;
};

struct kill_plan {
	const char *mode, *kind;
	uint64_t subbuf_size;
	unsigned int nr_subbufs, nr_kills;
	const char *context;		/* of struct fixture */
};

static bool start_victim(struct fixture *fixture, struct victim *victim, uint32_t writer, unsigned int nr_threads,
			 const char *kind)
{
	victim->writer = writer;
	victim->nr_threads = nr_threads;
	victim->pid = worker_start(fixture, "traced", writer, nr_threads, 0, kind);
	return victim->pid > 0;
}

/* Until each thread has counted an event. */
static void await_writing(const struct tick_shared *shared, const struct victim *victim)
{
	unsigned int i;

	for (i = 0; i < victim->nr_threads; i++)
		worker_await_returned(shared, victim->writer + i, 1);
}

/*
 * Starts a few, kills them one after another: one at a random moment of its life, start-up included, the next at some
 * moment after it has written.
 */
static void kill_batch(struct fixture *fixture, const struct kill_plan *plan, const struct tick_shared *shared,
		       struct victim *victims, uint32_t first, unsigned int nr)
{
	const char *within = getenv("TB_KILL_WITHIN_US");
	uint64_t within_us = within ? strtoull(within, NULL, 0) : KILL_WITHIN_US;
	unsigned int i, nr_killed = 0;
	int status;

	for (i = 0; i < nr; i++)
		if (!start_victim(fixture, &victims[i], (first + i) * MAX_THREADS,
				  1 + (unsigned int) tb_random_below(MAX_THREADS), plan->kind))
			return;
	for (i = 0; i < nr; i++) {
		if ((first + i) % 2 == 0)
			await_writing(shared, &victims[i]);
		usleep((useconds_t) tb_random_below(within_us));
		kill(victims[i].pid, SIGKILL);
		status = await(victims[i].pid);
		nr_killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	}
	TB_ASSERT_EQUAL(nr_killed, nr);
}

/* What the trace holds of one victim, against what it counted. Returns what is wrong, or NULL. */
static const char *judge(const struct kill_plan *plan, const struct victim *victim, const struct tick_shared *shared,
			 const struct ledger *ledger, const struct accounts *accounts)
{
	struct account account = accounts_of_pid(accounts, victim->pid);
	uint64_t counted = 0, held = 0;
	unsigned int i;

	for (i = 0; i < victim->nr_threads; i++) {
		const struct ledger_writer *writer = &ledger->writer[victim->writer + i];
		uint64_t returned = shared->writer[victim->writer + i].returned;

		counted += returned;
		held += writer->nr;
		if (writer->nr && (writer->pid != victim->pid || writer->several_pids || writer->several_tids))
			return "an event stands under the wrong process";
		if (writer->nr && writer->last > returned)
			return "an event that was never written";
		if (strcmp(plan->mode, "block") == 0 && !ledger_has_all(writer, 0, returned))
			return "a counted event is missing";
	}
	if (counted && !held)
		return "events were counted, and the trace has none";
	if (account.recorded + account.discarded < counted)
		return "recorded + discarded < counted";
	if (account.recorded + account.discarded > counted + victim->nr_threads)
		return "recorded + discarded > counted + threads";
	if (held != account.nr_events || held + account.overwritten != account.recorded)
		return "held + overwritten != recorded";
	if (strcmp(plan->mode, "overwrite") != 0 && account.overwritten)
		return "overwritten in another mode";
	if (strcmp(plan->mode, "discard") != 0 && account.discarded)
		return "discarded in another mode";
	return NULL;
}

/* What is known of a victim that was judged wrong. */
static void explain(const struct victim *victim, const char *wrong, const struct tick_shared *shared,
		    const struct ledger *ledger, const struct accounts *accounts)
{
	struct account account = accounts_of_pid(accounts, victim->pid);
	unsigned int i;

	tb_note("pid %d, %u threads: %s", (int) victim->pid, victim->nr_threads, wrong);
	tb_note("  recorded %" PRIu64 ", discarded %" PRIu64 ", overwritten %" PRIu64 ", in the file %" PRIu64,
		account.recorded, account.discarded, account.overwritten, account.nr_events);
	for (i = 0; i < victim->nr_threads; i++) {
		const struct ledger_writer *writer = &ledger->writer[victim->writer + i];

		tb_note("  thread %u: counted %" PRIu64 ", held %" PRIu64 ", numbers %" PRIu64 " to %" PRIu64, i,
			shared->writer[victim->writer + i].returned, writer->nr, writer->first, writer->last);
	}
}

static void judge_all(const struct kill_plan *plan, const struct victim *victims, const struct tick_shared *shared,
		      const char *path)
{
	enum referee expect = strcmp(plan->mode, "discard") == 0 ? REFEREE_DISCARDS : REFEREE_SILENT;
	unsigned int i, nr_wrong = 0;
	struct accounts accounts;
	struct ledger ledger;
	const char *wrong;

	if (!ledger_read(&ledger, path, plan->nr_kills * MAX_THREADS) || !accounts_read(&accounts, path))
		return;
	ledger_assert_sound(&ledger);
	accounts_assert_sound(&accounts);
	TB_ASSERT_EQUAL(accounts.total.nr_events, ledger.nr_events);
	TB_ASSERT_EQUAL(referee(path, expect, NULL), ledger.nr_events);
	for (i = 0; i < plan->nr_kills; i++) {
		wrong = judge(plan, &victims[i], shared, &ledger, &accounts);
		if (wrong && nr_wrong++ < 5)
			explain(&victims[i], wrong, shared, &ledger, &accounts);
	}
	TB_ASSERT_EQUAL(nr_wrong, 0);
	/* One in two was killed only when it had written. */
	CU_ASSERT(ledger.nr_events >= (plan->nr_kills + 1) / 2);
	tb_note("%s, %s: %u kills, %" PRIu64 " recorded, %" PRIu64 " held, %" PRIu64 " discarded, %" PRIu64 " overwritten",
		plan->mode, plan->kind, plan->nr_kills, accounts.total.recorded, ledger.nr_events,
		accounts.total.discarded, accounts.total.overwritten);
	ledger_free(&ledger);
	accounts_free(&accounts);
}

static void kill_programs(struct kill_plan *plan)
{
	static struct victim victims[1000];
	struct tick_shared *shared;
	struct fixture fixture;
	unsigned int i, nr;
	char path[96];

	plan->nr_kills = (unsigned int) tb_scaled(plan->nr_kills);
	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	shared = worker_shared(&fixture);
	fixture.context = plan->context;
	if (fixture_trace(&fixture, "t", plan->mode, plan->subbuf_size, plan->nr_subbufs, false)) {
		for (i = 0; i < plan->nr_kills; i += nr) {
			nr = plan->nr_kills - i < KILL_BATCH ? plan->nr_kills - i : KILL_BATCH;
			kill_batch(&fixture, plan, shared, &victims[i], i, nr);
		}
		fixture_destroy(&fixture, "t");
		snprintf(path, sizeof(path), "%s/t", fixture.dir);
		judge_all(plan, victims, shared, path);
	}
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static void kill_discard(void)
{
	kill_programs(&(struct kill_plan) { "discard", "tick", 4096, 4, 250, NULL });
}

static void kill_overwrite(void)
{
	kill_programs(&(struct kill_plan) { "overwrite", "tick", 4096, 4, 250, NULL });
}

static void kill_block(void)
{
	kill_programs(&(struct kill_plan) { "block", "tick", 4096, 4, 250, NULL });
}

/* By the library's own sequence, not the program's. */
static void kill_overwrite_context(void)
{
	kill_programs(&(struct kill_plan) { "overwrite", "mixed", 65536, 4, 150, "context=vtid,vpid" });
}

static void kill_block_context(void)
{
	kill_programs(&(struct kill_plan) { "block", "tick", 4096, 4, 150, "context=vpid,procname" });
}

static void kill_discard_large(void)
{
	kill_programs(&(struct kill_plan) { "discard", "blob", 262144, 4, 84, NULL });
}

static void kill_overwrite_large(void)
{
	kill_programs(&(struct kill_plan) { "overwrite", "blob", 262144, 2, 84, NULL });
}

static void kill_block_large(void)
{
	kill_programs(&(struct kill_plan) { "block", "blob", 131072, 2, 84, NULL });
}

/*
 * Kills the daemon and starts another one. The dead one stays a zombie until then: writers in block mode, which lose an
 * event when there has been no daemon for ten seconds, take it for living, however slow this machine is.
 */
static bool replace_daemon(struct fixture *fixture)
{
	pid_t dead = fixture->daemon;
	siginfo_t info;
	bool started;

	kill(dead, SIGKILL);
	TB_ASSERT_EQUAL(waitid(P_PID, (id_t) dead, &info, WEXITED | WNOWAIT), 0);
	usleep((useconds_t) tb_random_below(2000));
	started = fixture_start(fixture);
	await(dead);
	return started;
}

/* Kills and restarts the daemon, once while programs begin, then while they write; then lets them end in order. */
static void kill_daemons(struct fixture *fixture, struct tick_shared *shared, const struct victim *victims,
			 unsigned int nr)
{
	unsigned int i, at;

	for (i = 0; i < tb_scaled(DAEMON_KILLS); i++) {
		usleep((useconds_t) tb_random_below(6000));
		if (!replace_daemon(fixture))
			break;
		for (at = 0; i == 0 && at < nr; at++)
			await_writing(shared, &victims[at]);
	}
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < nr; i++)
		TB_ASSERT_EQUAL(await(victims[i].pid), 0);
}

static void kill_daemon(const char *mode, uint64_t subbuf_size)
{
	struct kill_plan plan = { mode, "tick", subbuf_size, 4, 2, NULL };
	struct victim victims[2];
	struct tick_shared *shared;
	struct fixture fixture;
	unsigned int i;
	char path[96];

	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	shared = worker_shared(&fixture);
	if (fixture_trace(&fixture, "t", mode, subbuf_size, 4, false)) {
		for (i = 0; i < 2; i++)
			start_victim(&fixture, &victims[i], i * MAX_THREADS, 2, "tick");
		kill_daemons(&fixture, shared, victims, 2);
		fixture_destroy(&fixture, "t");
		snprintf(path, sizeof(path), "%s/t", fixture.dir);
		judge_all(&plan, victims, shared, path);
	}
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

/* A daemon killed while it wrote to the control page: its sequence is odd until the next one comes. */
static void cut_control(const struct fixture *fixture)
{
	const off_t offset = offsetof(struct tracebuf_control, sequence);
	uint32_t sequence = 0;
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/control", fixture->rundir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	TB_ASSERT_EQUAL(pread(fd, &sequence, sizeof(sequence), offset), sizeof(sequence));
	sequence |= 1;
	TB_ASSERT_EQUAL(pwrite(fd, &sequence, sizeof(sequence), offset), sizeof(sequence));
	close(fd);
}

/* The n-th of the CPUs in from, alone. */
static bool pick_cpu(cpu_set_t *ret_cpu, const cpu_set_t *from, int n)
{
	int cpu;

	CPU_ZERO(ret_cpu);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, from) && n-- == 0)
			CPU_SET(cpu, ret_cpu);
	return CPU_COUNT(ret_cpu) == 1;
}

/* Two threads that have written on one CPU only must go on on another, where they have no ring yet. */
static void move_while_cut(struct fixture *fixture, struct tick_shared *shared, struct victim *victim,
			   const cpu_set_t *all)
{
	cpu_set_t cpu;
	unsigned int i;

	pick_cpu(&cpu, all, 0);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	start_victim(fixture, victim, 0, 2, "tick");
	sched_setaffinity(0, sizeof(*all), all);
	await_writing(shared, victim);
	fixture_kill(fixture);
	cut_control(fixture);
	pick_cpu(&cpu, all, 1);
	for (i = 0; i < victim->nr_threads; i++) {
		TB_ASSERT_EQUAL(sched_setaffinity((pid_t) shared->writer[i].tid, sizeof(cpu), &cpu), 0);
		worker_await_returned(shared, i, worker_returned(shared, i) + 100);
	}
	fixture_start(fixture);
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	TB_ASSERT_EQUAL(await(victim->pid), 0);
}

static void kill_daemon_changing(void)
{
	struct kill_plan plan = { "overwrite", "tick", 65536, 4, 1, NULL };
	struct tick_shared *shared;
	struct victim victim;
	struct fixture fixture;
	cpu_set_t all, second;
	char path[96];

	if (fixture_has_kernel_home()) {
		tb_skip("the kernel writes the control page, and nobody kills it there");
		return;
	}
	sched_getaffinity(0, sizeof(all), &all);
	if (!pick_cpu(&second, &all, 1)) {
		tb_skip("this machine has one CPU only");
		return;
	}
	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	shared = worker_shared(&fixture);
	if (fixture_trace(&fixture, "t", plan.mode, plan.subbuf_size, plan.nr_subbufs, false)) {
		move_while_cut(&fixture, shared, &victim, &all);
		fixture_destroy(&fixture, "t");
		snprintf(path, sizeof(path), "%s/t", fixture.dir);
		judge_all(&plan, &victim, shared, path);
	}
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static void kill_daemon_discard(void)
{
	kill_daemon("discard", 65536);
}

static void kill_daemon_overwrite(void)
{
	kill_daemon("overwrite", 65536);
}

static void kill_daemon_block(void)
{
	kill_daemon("block", 65536);
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "kill_discard", kill_discard },
		{ "kill_overwrite", kill_overwrite },
		{ "kill_block", kill_block },
		{ "kill_overwrite_context", kill_overwrite_context },
		{ "kill_block_context", kill_block_context },
		{ "kill_discard_large", kill_discard_large },
		{ "kill_overwrite_large", kill_overwrite_large },
		{ "kill_block_large", kill_block_large },
		{ "kill_daemon_discard", kill_daemon_discard },
		{ "kill_daemon_overwrite", kill_daemon_overwrite },
		{ "kill_daemon_block", kill_daemon_block },
		{ "kill_daemon_changing", kill_daemon_changing },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("kill", cases);
}
