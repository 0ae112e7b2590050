/* SPDX-License-Identifier: MIT */
/*
 * The disk's end: full, gone, or never there. The daemon says so on one line, goes on, counts what it had to drop;
 * traces elsewhere notice nothing, and what was written can be read. And its caches: who asks for it gets past them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts.h"
#include "ledger.h"
#include "worker.h"

static bool mount_tmpfs(const char *path, const char *options)
{
	mkdir(path, 0700);
	if (mount("tmpfs", path, "tmpfs", 0, options) == 0)
		return true;
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && mount("tmpfs", path, "tmpfs", 0, options) == 0;
}

static bool create_with(struct fixture *fixture, const char *name, const char *path, const char *option)
{
	char create[64], output[128], trace[64];

	snprintf(create, sizeof(create), "name=%s", name);
	snprintf(output, sizeof(output), "output=%s", path);
	snprintf(trace, sizeof(trace), "trace=%s", name);
	return fixture_ok(fixture, "create", create, output, option, NULL) &&
	       fixture_ok(fixture, "enable-channel", trace, "channel=channel0", "mode=discard", "subbuf-size=65536",
			  "num-subbuf=16", NULL) &&
	       fixture_ok(fixture, "enable-event", trace, "pattern=*", NULL) && fixture_ok(fixture, "start", trace, NULL);
}

static bool create_at(struct fixture *fixture, const char *name, const char *path)
{
	return create_with(fixture, name, path, NULL);
}

static void expect_complaint(struct fixture *fixture)
{
	char *text = fixture_complaints(fixture);

	CU_ASSERT(text && strchr(text, '\n'));
	if (text)
		tb_note("tracebufd: %.200s", text);
	free(text);
}

/* The honest half of a test: trace "good" has all that was not discarded, accounted for to the event. */
static void check_good(const char *path, uint64_t attempted)
{
	struct accounts accounts;
	struct ledger ledger;

	if (!ledger_read(&ledger, path, 4) || !accounts_read(&accounts, path))
		return;
	ledger_assert_sound(&ledger);
	accounts_assert_sound(&accounts);
	TB_ASSERT_EQUAL(accounts.total.recorded + accounts.total.discarded, attempted);
	TB_ASSERT_EQUAL(accounts.total.nr_events, ledger.nr_events);
	TB_ASSERT_EQUAL(referee(path, REFEREE_DISCARDS, NULL), ledger.nr_events);
	ledger_free(&ledger);
	accounts_free(&accounts);
}

/* Of each of two threads: more than a disk of 1 MiB holds, however small the load. */
#define MIN_FULL 30000

static void disk_full(void)
{
	uint64_t scaled = tb_scaled(300000), nr = scaled < MIN_FULL ? MIN_FULL : scaled;
	char small[96], full[128], good[96];
	struct accounts accounts;
	struct fixture fixture;
	int code;

	if (!fixture_open(&fixture))
		return;
	snprintf(small, sizeof(small), "%s/small", fixture.dir);
	snprintf(full, sizeof(full), "%s/full", small);
	snprintf(good, sizeof(good), "%s/good", fixture.dir);
	if (!mount_tmpfs(small, "size=1m,mode=0700")) {
		tb_skip("needs CAP_SYS_ADMIN or user namespaces, to mount a small tmpfs");
		fixture_close(&fixture);
		return;
	}
	fixture.loud = true;
	worker_shared(&fixture);
	if (fixture_start(&fixture) && create_at(&fixture, "full", full) && create_at(&fixture, "good", good)) {
		TB_ASSERT_EQUAL(await(worker_start(&fixture, "traced", 0, 2, nr, "tick")), 0);
		code = fixture_request(&fixture, "destroy", "trace=full", NULL);
		CU_ASSERT(code == 0 || code == 1 || code == 4);
		tb_note("destroy: %d %s", code, fixture.reply.message);
		expect_complaint(&fixture);
		fixture_destroy(&fixture, "good");
		if (accounts_read(&accounts, full)) {
			TB_ASSERT_EQUAL(accounts.total.nr_bad, 0);	/* what was dropped are gaps */
			TB_ASSERT_EQUAL(referee(full, REFEREE_DISCARDS, NULL), accounts.total.nr_events);
		}
		accounts_free(&accounts);
		check_good(good, 2 * nr);
	}
	fixture_stop(&fixture);
	umount2(small, MNT_DETACH);
	fixture_close(&fixture);
}

static void directory_removed(void)
{
	uint64_t nr = tb_scaled(300000);
	char gone[96], good[96];
	struct fixture fixture;
	int code;

	if (!fixture_open(&fixture))
		return;
	fixture.loud = true;
	snprintf(gone, sizeof(gone), "%s/gone", fixture.dir);
	snprintf(good, sizeof(good), "%s/good", fixture.dir);
	worker_shared(&fixture);
	if (fixture_start(&fixture) && create_at(&fixture, "gone", gone) && create_at(&fixture, "good", good)) {
		TB_ASSERT_EQUAL(await(worker_start(&fixture, "traced", 0, 1, nr, "tick")), 0);
		remove_tree(gone);
		TB_ASSERT_EQUAL(await(worker_start(&fixture, "traced", 1, 1, nr, "tick")), 0);
		code = fixture_request(&fixture, "destroy", "trace=gone", NULL);
		CU_ASSERT(code == 0 || code == 1 || code == 4);
		tb_note("destroy: %d %s", code, fixture.reply.message);
		fixture_destroy(&fixture, "good");
		check_good(good, 2 * nr);
	}
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

/* Does each write to this open file reach the disk before it returns? */
static bool is_synced(pid_t pid, const char *fd)
{
	char path[96], *text, *flags;
	bool synced;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", (int) pid, fd);
	text = read_file(path);
	flags = text ? strstr(text, "flags:") : NULL;
	synced = flags && (strtoul(flags + strlen("flags:"), NULL, 8) & O_DSYNC);
	free(text);
	return synced;
}

/* The stream files in dir that the daemon has open: how many are synced, and how many are not. */
static void count_open(const struct fixture *fixture, const char *dir, unsigned int nr[2])
{
	char path[64], target[256], prefix[128];
	struct dirent *entry;
	DIR *fds;

	nr[false] = nr[true] = 0;
	snprintf(prefix, sizeof(prefix), "%s/channel0_", dir);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int) fixture->daemon);
	fds = opendir(path);
	while (fds && (entry = readdir(fds))) {
		ssize_t size = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

		target[size > 0 ? size : 0] = '\0';
		if (!strncmp(target, prefix, strlen(prefix)))
			nr[is_synced(fixture->daemon, entry->d_name)]++;
	}
	if (fds)
		closedir(fds);
}

/* Until the daemon has been seen writing both traces. */
static void check_open(const struct fixture *fixture, const char *fast, const char *safe)
{
	unsigned int nr_fast[2] = { 0, 0 }, nr_safe[2] = { 0, 0 };

	for (int i = 0; i < 6000 && !(nr_fast[false] && nr_safe[true]); i++) {
		usleep(10000);
		count_open(fixture, fast, nr_fast);
		count_open(fixture, safe, nr_safe);
		TB_ASSERT_EQUAL(nr_fast[true], 0);
		TB_ASSERT_EQUAL(nr_safe[false], 0);
	}
	CU_ASSERT(nr_fast[false] && nr_safe[true]);
}

/* A trace made with --sync, also by the daemon that takes over. */
static void synced(void)
{
	char fast[96], safe[96];
	struct tick_shared *shared;
	struct fixture fixture;
	pid_t writer;

	if (!fixture_open(&fixture))
		return;
	snprintf(fast, sizeof(fast), "%s/fast", fixture.dir);
	snprintf(safe, sizeof(safe), "%s/safe", fixture.dir);
	shared = worker_shared(&fixture);
	if (fixture_start(&fixture) && create_with(&fixture, "fast", fast, NULL) &&
	    create_with(&fixture, "safe", safe, "sync=1")) {
		writer = worker_start(&fixture, "traced", 0, 1, 0, "tick");
		worker_await_returned(shared, 0, 10000);
		check_open(&fixture, fast, safe);
		fixture_kill(&fixture);
		if (fixture_start(&fixture))
			check_open(&fixture, fast, safe);
		shared->stop = 1;
		TB_ASSERT_EQUAL(await(writer), 0);
		fixture_destroy(&fixture, "fast");
		fixture_destroy(&fixture, "safe");
		referee(safe, REFEREE_DISCARDS, NULL);
	}
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

/* Where the trace directory was when the daemon was killed, there is something else now; then it is back. */
static void output_away(void)
{
	uint64_t nr = tb_scaled(1000);
	char output[96], away[96];
	struct fixture fixture;
	struct ledger ledger;

	if (!fixture_open(&fixture))
		return;
	fixture.loud = true;
	snprintf(output, sizeof(output), "%s/t", fixture.dir);
	snprintf(away, sizeof(away), "%s/away", fixture.dir);
	worker_shared(&fixture);
	if (fixture_start(&fixture) && create_at(&fixture, "t", output)) {
		TB_ASSERT_EQUAL(await(worker_start(&fixture, "traced", 0, 1, nr, "tick")), 0);
		fixture_kill(&fixture);
		TB_ASSERT_EQUAL(await(worker_start(&fixture, "traced", 1, 1, nr, "tick")), 0);
		TB_ASSERT_EQUAL(rename(output, away), 0);
		TB_ASSERT_EQUAL(symlink("/dev/null", output), 0);
		CU_ASSERT(fixture_start(&fixture));
		expect_complaint(&fixture);
		CU_ASSERT(fixture_trace(&fixture, "other", "discard", 65536, 16, false));
		TB_ASSERT_EQUAL(await(worker_start(&fixture, "traced", 2, 1, nr, "tick")), 0);
		fixture_destroy(&fixture, "other");
		fixture_stop(&fixture);
		TB_ASSERT_EQUAL(unlink(output), 0);
		TB_ASSERT_EQUAL(rename(away, output), 0);
		if (fixture_start(&fixture) && fixture_destroy(&fixture, "t") && ledger_read(&ledger, output, 3)) {
			ledger_assert_sound(&ledger);
			for (unsigned int i = 0; i < 2; i++)
				TB_ASSERT_EQUAL(ledger.writer[i].nr, nr);
			ledger_free(&ledger);
			referee(output, REFEREE_SILENT, NULL);
		}
	}
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "disk_full", disk_full }, { "directory_removed", directory_removed }, { "synced", synced },
		{ "output_away", output_away },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("disk", cases);
}
