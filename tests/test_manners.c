/* SPDX-License-Identifier: MIT */
/*
 * The guest's manners: what the library does to the process that it is in. No descriptor, thread or signal handler,
 * errno kept, little memory; nothing at all where it was told so; no death where memory runs out.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accounts.h"
#include "guest.h"
#include "ledger.h"
#include "worker.h"

#define NOBODY "65534"

/*
 * What a process has resident that is not the text or data of an object: KiB. Of the run directory's files only what
 * the process alone holds: the pages of the daemon's control file, which all processes map, cost nothing more.
 */
static unsigned long own_rss(pid_t pid, const char *rundir)
{
	char path[64], line[512], access[8];
	unsigned long total = 0, kib, begin, end;
	bool counts = false;
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int) pid);
	smaps = fopen(path, "r");
	while (smaps && fgets(line, sizeof(line), smaps)) {
		const char *name = strchr(line, '/');

		if (sscanf(line, "%lx-%lx %7s", &begin, &end, access) == 3)
			counts = !name || (strncmp(name, rundir, strlen(rundir)) == 0 && !strstr(name, "/control"));
		else if (counts && sscanf(line, "Rss: %lu kB", &kib) == 1)
			total += kib;
	}
	if (smaps)
		fclose(smaps);
	return total;
}

static void leaves_no_trace_of_itself(void)
{
	struct guest plain = { 0 }, linked = { 0 };
	struct fixture fixture;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "discard", 4096, 2, false))
		return;
	CU_ASSERT(guest_start(&plain, build_path("tests/manners_plain"), "100000"));
	CU_ASSERT(guest_start(&linked, build_path("tests/manners"), "100000"));
	CU_ASSERT_STRING_EQUAL(linked.line, plain.line);
	guest_stop(&plain);
	guest_stop(&linked);
	fixture_ok(&fixture, "stop", "trace=t", NULL);
	fixture_ok(&fixture, "status", "trace=t", "json=1", NULL);
	TB_ASSERT_EQUAL(json_last(fixture.reply.text, "recorded") + json_last(fixture.reply.text, "discarded"), 100000);
	fixture_destroy(&fixture, "t");
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static void idle_memory(void)
{
	struct guest plain = { 0 }, linked = { 0 };
	unsigned long plain_kib, linked_kib;
	struct fixture fixture;

	if (tb_skip_sanitized(NULL, "a sanitizer's own memory grows with each library"))
		return;
	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	CU_ASSERT(guest_start(&plain, build_path("tests/manners_plain"), "100"));
	CU_ASSERT(guest_start(&linked, build_path("tests/manners"), "100"));
	plain_kib = own_rss(plain.pid, fixture.rundir);
	linked_kib = own_rss(linked.pid, fixture.rundir);
	tb_note("resident without objects: %lu KiB, linked %lu KiB", plain_kib, linked_kib);
	CU_ASSERT(plain_kib > 0);
	CU_ASSERT(linked_kib <= plain_kib + 64);
	guest_stop(&plain);
	guest_stop(&linked);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static unsigned int count_processes(const struct fixture *fixture)
{
	char path[96];
	struct dirent *entry;
	unsigned int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/procs", fixture_has_kernel_home() ? "/sys/kernel/debug/tracebuf" : fixture->rundir);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		nr += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	if (dir)
		closedir(dir);
	return nr;
}

/* With TRACEBUF=0 there is no process file even while it runs, and nothing is recorded. */
static void inert(void)
{
	struct guest guest = { 0 };
	struct fixture fixture;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "discard", 4096, 2, false))
		return;
	CU_ASSERT(guest_start(&guest, build_path("tests/manners"), "1000"));
	TB_ASSERT_EQUAL(count_processes(&fixture), 1);
	guest_stop(&guest);
	setenv("TRACEBUF", "0", 1);
	fixture_destroy(&fixture, "t");
	fixture_trace(&fixture, "u", "discard", 4096, 2, false);
	CU_ASSERT(guest_start(&guest, build_path("tests/manners"), "1000"));
	TB_ASSERT_EQUAL(count_processes(&fixture), 0);
	guest_stop(&guest);
	unsetenv("TRACEBUF");
	fixture_ok(&fixture, "status", "trace=u", "json=1", NULL);
	TB_ASSERT_EQUAL(json_last(fixture.reply.text, "recorded") + json_last(fixture.reply.text, "discarded"), 0);
	fixture_destroy(&fixture, "u");
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

/* Without a daemon, without a run directory that could be made: a program runs as if nothing were linked. */
static void without_daemon(void)
{
	static const char *const nowhere[] = { "TRACEBUF_RUNDIR=/proc/nowhere", NULL };
	char *argv[] = { (char *) build_path("tests/manners"), "1000", NULL };
	struct outcome outcome;

	if (!run(&outcome, argv, nowhere))
		return;
	TB_ASSERT_EQUAL(outcome.status, 0);
	CU_ASSERT(outcome.err[0] == 0);
	CU_ASSERT(strstr(outcome.out, "errno 0") != NULL);
	outcome_free(&outcome);
}

static bool has_traced_static(void)
{
	if (access(build_path("tests/traced_static"), X_OK) == 0)
		return true;
	tb_skip("tests/traced_static is not built (static libraries are disabled)");
	return false;
}

/* A setuid program of root's, run by nobody: it could use the run directory named by the environment, and must not. */
static void setuid_ignores_environment(void)
{
	char path[96], shared[96];
	char *copy[] = { "cp", (char *) build_path("tests/traced_static"), path, NULL };
	char *argv[] = { "setpriv", "--reuid=" NOBODY, "--regid=" NOBODY, "--clear-groups", path, shared, "write", "0",
			 "100", NULL };
	bool had_default = access("/run/tracebuf", F_OK) == 0;
	struct fixture fixture;
	struct outcome outcome;

	if (geteuid() != 0) {
		tb_skip("needs root, to make a setuid program");
		return;
	}
	if (!has_traced_static())
		return;
	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "discard", 4096, 2, false))
		return;
	worker_shared(&fixture);
	snprintf(path, sizeof(path), "%s/setuid", fixture.dir);
	snprintf(shared, sizeof(shared), "%s/shared", fixture.dir);
	CU_ASSERT(run(&outcome, copy, NULL));
	outcome_free(&outcome);
	chmod(fixture.dir, 0755);
	chmod(path, 04755);
	CU_ASSERT(run(&outcome, argv, NULL));
	TB_ASSERT_EQUAL(outcome.status, 0);
	outcome_free(&outcome);
	fixture_ok(&fixture, "status", "trace=t", "json=1", NULL);
	TB_ASSERT_EQUAL(json_last(fixture.reply.text, "recorded"), 0);
	if (!had_default) {
		rmdir("/run/tracebuf/procs");
		rmdir("/run/tracebuf");
	}
	TB_ASSERT_EQUAL(await(worker_act(&fixture, "write", 0, 100)), 0);
	fixture_ok(&fixture, "status", "trace=t", "json=1", NULL);
	TB_ASSERT_EQUAL(json_last(fixture.reply.text, "recorded"), 100);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static void static_program(void)
{
	struct fixture fixture;
	struct ledger ledger;
	char path[96];

	if (!has_traced_static())
		return;
	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "block", 65536, 4, false))
		return;
	worker_shared(&fixture);
	TB_ASSERT_EQUAL(await(worker_start(&fixture, "traced_static", 0, 2, 20000, "mixed")), 0);
	fixture_destroy(&fixture, "t");
	snprintf(path, sizeof(path), "%s/t", fixture.dir);
	if (ledger_read(&ledger, path, 2)) {
		ledger_assert_sound(&ledger);
		CU_ASSERT(ledger_has_all(&ledger.writer[0], 0, 20000) && ledger_has_all(&ledger.writer[1], 0, 20000));
		TB_ASSERT_EQUAL(referee(path, REFEREE_SILENT, NULL), 40000);
	}
	ledger_free(&ledger);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static bool mount_small(const char *path)
{
	char options[64];

	snprintf(options, sizeof(options), "size=%ldk,mode=0700", sysconf(_SC_NPROCESSORS_CONF) * 2048 + 256);
	mkdir(path, 0700);
	if (mount("tmpfs", path, "tmpfs", 0, options) == 0)
		return true;
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && mount("tmpfs", path, "tmpfs", 0, options) == 0;
}

/*
 * Three programs with rings of 2 MiB a CPU on a tmpfs that has room for one: what has no page is discarded and
 * counted, and nobody gets a SIGBUS.
 */
static void fill_tmpfs(const char *mode)
{
	struct accounts accounts;
	struct fixture fixture;
	char path[96];
	uint64_t counted;
	pid_t pids[3];
	uint32_t i;

	if (!fixture_open(&fixture))
		return;
	if (!mount_small(fixture.rundir)) {
		tb_skip("needs CAP_SYS_ADMIN or user namespaces, to mount a small tmpfs");
		fixture_close(&fixture);
		return;
	}
	setenv("TRACEBUF_HOME", "tmpfs", 1);
	fixture.loud = true;
	worker_shared(&fixture);
	if (fixture_start(&fixture) && fixture_trace(&fixture, "t", mode, 524288, 4, false)) {
		for (i = 0; i < 3; i++)
			pids[i] = worker_start(&fixture, "traced", i * 4, 4, 250000, "mixed");
		for (i = 0; i < 3; i++)
			TB_ASSERT_EQUAL(await(pids[i]), 0);
		fixture_ok(&fixture, "stop", "trace=t", NULL);
		fixture_ok(&fixture, "status", "trace=t", "json=1", NULL);
		counted = json_last(fixture.reply.text, "recorded") + json_last(fixture.reply.text, "discarded") +
			  json_last(fixture.reply.text, "overwritten");
		TB_ASSERT_EQUAL(counted, 3000000);
		CU_ASSERT(json_last(fixture.reply.text, "discarded") > 0);
		CU_ASSERT(json_last(fixture.reply.text, "recorded") > 0);
		fixture_destroy(&fixture, "t");
		snprintf(path, sizeof(path), "%s/t", fixture.dir);
		if (accounts_read(&accounts, path)) {
			accounts_assert_sound(&accounts);
			TB_ASSERT_EQUAL(referee(path, REFEREE_DISCARDS, NULL), accounts.total.nr_events);
		}
		accounts_free(&accounts);
	}
	fixture_stop(&fixture);
	umount2(fixture.rundir, MNT_DETACH);
	unsetenv("TRACEBUF_HOME");
	fixture_close(&fixture);
}

static void full_tmpfs_discard(void)
{
	fill_tmpfs("discard");
}

static void full_tmpfs_overwrite(void)
{
	fill_tmpfs("overwrite");
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "leaves_no_trace_of_itself", leaves_no_trace_of_itself }, { "idle_memory", idle_memory },
		{ "inert", inert }, { "without_daemon", without_daemon },
		{ "setuid_ignores_environment", setuid_ignores_environment }, { "static_program", static_program },
		{ "full_tmpfs_discard", full_tmpfs_discard }, { "full_tmpfs_overwrite", full_tmpfs_overwrite },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("manners", cases);
}
