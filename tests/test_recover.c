/* SPDX-License-Identifier: MIT */
/*
 * `tracebuf recover` from a run directory whose daemon and programs were killed: alone, and joined to what the daemon
 * had written. Every event whose call returned is there once: between what was written and what was recovered there is
 * neither a gap nor an event twice; damaged sub-buffers cost themselves and nothing else.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tracebuf/abi.h>

#include "accounts.h"
#include "ledger.h"
#include "worker.h"

#define NR_PROGRAMS 2
#define THREADS 2
#define NR_ROUNDS ((unsigned int) tb_scaled(20))

static int recover(const struct fixture *fixture, const char *output, const char *merge, struct outcome *ret_outcome)
{
	char tool[512], rundir[96];
	char *argv[] = { tool, "recover", "--rundir", rundir, "-o", (char *) output, merge ? "--merge" : NULL,
			 (char *) merge, NULL };

	snprintf(tool, sizeof(tool), "%s", build_path("tracebuf"));
	snprintf(rundir, sizeof(rundir), "%s", fixture->rundir);
	if (!run(ret_outcome, argv, NULL))
		return -1;
	if (!WIFEXITED(ret_outcome->status) || (WEXITSTATUS(ret_outcome->status) && ret_outcome->err[0]))
		tb_note("%s", ret_outcome->err);
	return WIFEXITED(ret_outcome->status) ? WEXITSTATUS(ret_outcome->status) : -1;
}

/* Programs at full speed, the daemon killed once each thread has written nr events, then they are. */
static bool crash_sized(struct fixture *fixture, const char *mode, bool snapshot, uint64_t nr, const char *kind,
			uint64_t subbuf_size, unsigned int nr_subbufs)
{
	struct tick_shared *shared;
	pid_t pids[NR_PROGRAMS];
	unsigned int i;

	if (!fixture_open(fixture) || !fixture_start(fixture) ||
	    !fixture_trace(fixture, "t", mode, subbuf_size, nr_subbufs, snapshot))
		return false;
	shared = worker_shared(fixture);
	for (i = 0; i < NR_PROGRAMS; i++)
		pids[i] = worker_start(fixture, "traced", i * THREADS, THREADS, 0, kind);
	for (i = 0; i < NR_PROGRAMS * THREADS; i++)
		worker_await_returned(shared, i, nr);
	usleep((useconds_t) tb_random_below(30000));
	fixture_kill(fixture);
	usleep((useconds_t) tb_random_below(3000));
	for (i = 0; i < NR_PROGRAMS; i++) {
		kill(pids[i], SIGKILL);
		await(pids[i]);
	}
	return true;
}

static bool crash(struct fixture *fixture, const char *mode, bool snapshot, uint64_t nr)
{
	return crash_sized(fixture, mode, snapshot, nr, "mixed", 16384, 8);
}

/* What every writer counted is in the trace or, where there was no room, discarded. */
static void judge(struct fixture *fixture, const char *path, bool complete)
{
	const struct tick_shared *shared = worker_shared(fixture);
	uint64_t counted = 0;
	struct ledger ledger;
	unsigned int i;

	if (!ledger_read(&ledger, path, NR_PROGRAMS * THREADS))
		return;
	ledger_assert_sound(&ledger);
	CU_ASSERT(ledger.nr_events > 0);
	for (i = 0; i < NR_PROGRAMS * THREADS; i++) {
		const struct ledger_writer *writer = &ledger.writer[i];

		counted += shared->writer[i].returned;
		CU_ASSERT(!writer->nr || writer->last <= shared->writer[i].returned);
		if (complete)
			CU_ASSERT(ledger_has_all(writer, 0, shared->writer[i].returned));
	}
	if (complete)
		CU_ASSERT(ledger.nr_events <= counted + NR_PROGRAMS * THREADS);
	TB_ASSERT_EQUAL(ledger.nr_missing, 0);
	TB_ASSERT_EQUAL(referee(path, complete ? REFEREE_SILENT : REFEREE_DISCARDS, NULL), ledger.nr_events);
	ledger_free(&ledger);
}

/* Who recorded is told as the daemon tells it, a line for each. */
static void check_processes(const char *path)
{
	char file[128], *text;
	unsigned int nr = 0;

	snprintf(file, sizeof(file), "%s/.processes", path);
	text = read_file(file);
	CU_ASSERT(text != NULL);
	for (const char *at = text; at && (at = strstr(at, "\"procname\":\"traced\",\"executable\":\"/")); at++)
		nr++;
	TB_ASSERT_EQUAL(nr, NR_PROGRAMS);
	free(text);
}

/* An overwrite ring of which nothing is on disk: its last events, in one piece. */
static void recover_alone(void)
{
	unsigned int round;

	for (round = 0; round < NR_ROUNDS; round++) {
		struct fixture fixture;
		struct outcome outcome;
		char path[96];

		if (!crash(&fixture, "overwrite", true, 1))
			return;
		snprintf(path, sizeof(path), "%s/out", fixture.dir);
		TB_ASSERT_EQUAL(recover(&fixture, path, NULL, &outcome), 0);
		outcome_free(&outcome);
		judge(&fixture, path, false);
		check_processes(path);
		fixture_close(&fixture);
	}
}

/* Sub-buffers that are too large to be held in memory are put through a file; of these, more than one piece. */
static void recover_large(void)
{
	struct fixture fixture;
	struct outcome outcome;
	char path[96];

	if (!crash_sized(&fixture, "overwrite", true, 20000, "mixed", 16u << 20, 2))
		return;
	snprintf(path, sizeof(path), "%s/out", fixture.dir);
	TB_ASSERT_EQUAL(recover(&fixture, path, NULL, &outcome), 0);
	outcome_free(&outcome);
	judge(&fixture, path, false);
	fixture_close(&fixture);
}

/* Writers that wait for room: nothing may be missing of what is on disk and in memory together. */
static void recover_merge(void)
{
	unsigned int round;

	for (round = 0; round < NR_ROUNDS; round++) {
		char path[96], disk[96];
		struct fixture fixture;
		struct outcome outcome;

		if (!crash(&fixture, "block", false, 1))
			return;
		snprintf(path, sizeof(path), "%s/out", fixture.dir);
		snprintf(disk, sizeof(disk), "%s/t", fixture.dir);
		TB_ASSERT_EQUAL(recover(&fixture, path, disk, &outcome), 0);
		outcome_free(&outcome);
		judge(&fixture, path, true);
		fixture_close(&fixture);
	}
}

/* All that the test starts from now on has two CPUs: so a program has two rings of a channel. */
static void use_two_cpus(void)
{
	cpu_set_t all, two;
	int nr = 0;

	CU_ASSERT(sched_getaffinity(0, sizeof(all), &all) == 0);
	CPU_ZERO(&two);
	for (int cpu = 0; cpu < CPU_SETSIZE && nr < 2; cpu++)
		if (CPU_ISSET(cpu, &all)) {
			CPU_SET(cpu, &two);
			nr++;
		}
	CU_ASSERT(sched_setaffinity(0, sizeof(two), &two) == 0);
}

/* The exit status of recover --merge; the most memory that it had, in KiB. */
static int merge_measured(const struct fixture *fixture, const char *output, const char *disk, long *ret_memory)
{
	char command[1024];
	char *argv[] = { "sh", "-c", command, NULL };
	struct rusage usage;
	int status = -1;
	pid_t pid;

	snprintf(command, sizeof(command), "exec %s recover --rundir %s -o %s --merge %s >/dev/null", build_path("tracebuf"),
		 fixture->rundir, output, disk);
	pid = spawn(argv, NULL);
	CU_ASSERT(pid > 0 && wait4(pid, &status, 0, &usage) == pid);
	*ret_memory = usage.ru_maxrss;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define MERGE_SUBBUF_SIZE (32u << 20)

/* Packets on disk and in memory that are larger than what may be held of them. */
static void recover_merge_large(void)
{
	cpu_set_t before;
	struct fixture fixture;
	char path[96], disk[96];
	long memory;

	CU_ASSERT(sched_getaffinity(0, sizeof(before), &before) == 0);
	use_two_cpus();
	/* 25 KB each: so of four rings at least one has left its first sub-buffer. */
	if (!crash_sized(&fixture, "block", false, 2000, "blob", MERGE_SUBBUF_SIZE, 2))
		return;
	snprintf(path, sizeof(path), "%s/out", fixture.dir);
	snprintf(disk, sizeof(disk), "%s/t", fixture.dir);
	TB_ASSERT_EQUAL(merge_measured(&fixture, path, disk, &memory), 0);
	tb_note("%ld KiB of memory for packets of %u", memory, MERGE_SUBBUF_SIZE >> 10);
	if (!tb_skip_sanitized(NULL, "a sanitizer has memory of its own"))
		CU_ASSERT(memory < (long) (MERGE_SUBBUF_SIZE >> 10));
	judge(&fixture, path, true);
	fixture_close(&fixture);
	CU_ASSERT(sched_setaffinity(0, sizeof(before), &before) == 0);
}

/* Do core files of programs that end here go to a file "core" or "core.PID" in their directory? */
static bool cores_are_files(void)
{
	char *pattern = read_file("/proc/sys/kernel/core_pattern");
	bool right = pattern && !strcmp(pattern, "core\n");

	free(pattern);
	return right;
}

/* Where children put their core files, shared mappings of files in them: here, from now on. */
static void prepare_cores(const struct fixture *fixture)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	char build[PATH_MAX];
	int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);

	CU_ASSERT(fd >= 0 && write(fd, "0x3b\n", 5) == 5);
	close(fd);
	CU_ASSERT(setrlimit(RLIMIT_CORE, &all) == 0);
	CU_ASSERT_FATAL(realpath(build_path("."), build) != NULL);
	setenv("TB_BUILD", build, 1);
	CU_ASSERT(chdir(fixture->dir) == 0);
}

static bool find_core(const struct fixture *fixture, pid_t pid, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/core", fixture->dir);
	if (access(ret_path, R_OK) == 0)
		return true;
	snprintf(ret_path, size, "%s/core.%d", fixture->dir, (int) pid);
	return access(ret_path, R_OK) == 0;
}

/* The only thing that is left of a program: its core file. */
static void recover_core(void)
{
	char tool[PATH_MAX], path[96], core[96];
	char *argv[] = { tool, "recover", "--core", core, "-o", path, NULL };
	struct fixture fixture;
	struct outcome outcome;
	pid_t pid;
	int status;

	if (tb_skip_sanitized(NULL, "a sanitizer's program has terabytes of address space, and no core file"))
		return;
	if (!cores_are_files()) {
		tb_skip("core files of this machine go elsewhere (/proc/sys/kernel/core_pattern)");
		return;
	}
	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "overwrite", 16384, 8, true))
		return;
	prepare_cores(&fixture);
	pid = worker_start(&fixture, "traced", 0, THREADS, 0, "mixed");
	worker_await_ready(worker_shared(&fixture), THREADS);
	while (!worker_shared(&fixture)->writer[0].returned)
		usleep(1000);
	kill(pid, SIGQUIT);
	status = await(pid);
	CU_ASSERT(WIFSIGNALED(status) && WCOREDUMP(status));
	snprintf(path, sizeof(path), "%s/out", fixture.dir);
	snprintf(tool, sizeof(tool), "%s", build_path("tracebuf"));
	CU_ASSERT_FATAL(find_core(&fixture, pid, core, sizeof(core)));
	if (run(&outcome, argv, NULL)) {
		CU_ASSERT(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 0);
		outcome_free(&outcome);
		judge(&fixture, path, false);
	}
	CU_ASSERT(chdir("/") == 0);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static uint64_t position_of(const char *path)
{
	struct tracebuf_producer producer = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	TB_ASSERT_EQUAL(pread(fd, &producer, sizeof(producer), TRACEBUF_RING_PRODUCER_OFFSET), sizeof(producer));
	close(fd);
	return producer.position;
}

/* Any ring of the trace that got beyond position: its path. */
static bool find_ring(const struct fixture *fixture, uint64_t position, char *ret_path, size_t size)
{
	char below[160];
	struct dirent *entry, *ring;
	bool found = false;
	DIR *dir, *rings;

	snprintf(below, sizeof(below), "%s/rings", fixture->rundir);
	dir = opendir(below);
	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/rings/%.60s", fixture->rundir, entry->d_name);
		rings = opendir(below);
		while (rings && !found && (ring = readdir(rings)))
			if (ring->d_name[0] != '.') {
				snprintf(ret_path, size, "%s/%.100s", below, ring->d_name);
				found = position_of(ret_path) > position;
			}
		if (rings)
			closedir(rings);
	}
	if (dir)
		closedir(dir);
	CU_ASSERT(found);
	return found;
}

/* One byte of one finished sub-buffer's head: that sub-buffer goes, and is counted; all else stays. */
static void recover_damaged(void)
{
	char path[96], ring[320];
	struct fixture fixture;
	struct outcome outcome;
	uint64_t seq;
	uint8_t byte;
	int fd;

	if (!crash(&fixture, "overwrite", true, 20000) || !find_ring(&fixture, 2 * 16384, ring, sizeof(ring)))
		return;
	fd = open(ring, O_RDWR | O_CLOEXEC);
	seq = position_of(ring) / 16384 - 1;
	TB_ASSERT_EQUAL(pread(fd, &byte, 1, TRACEBUF_RING_DATA_OFFSET + seq % 8 * 16384 + 40), 1);
	byte ^= 0x10;
	TB_ASSERT_EQUAL(pwrite(fd, &byte, 1, TRACEBUF_RING_DATA_OFFSET + seq % 8 * 16384 + 40), 1);
	close(fd);
	snprintf(path, sizeof(path), "%s/out", fixture.dir);
	TB_ASSERT_EQUAL(recover(&fixture, path, NULL, &outcome), 4);
	CU_ASSERT(strstr(outcome.out, "1 sub-buffers dropped (head damaged: 1)") != NULL);
	outcome_free(&outcome);
	fixture_close(&fixture);
}

/* Refusals: one line each, and nothing is made. */
static void refusals(void)
{
	char path[96], empty[96];
	struct fixture fixture;
	struct outcome outcome;

	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	snprintf(path, sizeof(path), "%s/out", fixture.dir);
	TB_ASSERT_EQUAL(recover(&fixture, path, NULL, &outcome), 1);
	CU_ASSERT(strstr(outcome.err, "a daemon (pid ") != NULL);
	outcome_free(&outcome);
	fixture_stop(&fixture);
	TB_ASSERT_EQUAL(recover(&fixture, path, NULL, &outcome), 1);
	outcome_free(&outcome);
	CU_ASSERT(access(path, F_OK) != 0);
	snprintf(empty, sizeof(empty), "%s/empty", fixture.dir);
	close(open(empty, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	{
		static const char *const files[] = { "/dev/zero", "/tmp", "/nonexistent", NULL };
		char tool[512];
		unsigned int i;

		snprintf(tool, sizeof(tool), "%s", build_path("tracebuf"));
		for (i = 0; i < 4; i++) {
			char *argv[] = { tool, "recover", "--vmcore", (char *) (files[i] ? files[i] : empty), "-o", path,
					 NULL };

			if (!run(&outcome, argv, NULL))
				return;
			CU_ASSERT(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 1);
			CU_ASSERT(strchr(outcome.err, '\n') == outcome.err + strlen(outcome.err) - 1);
			CU_ASSERT(outcome.out[0] == '\0' && access(path, F_OK) != 0);
			outcome_free(&outcome);
		}
	}
	fixture_close(&fixture);
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "recover_alone", recover_alone },
		{ "recover_large", recover_large },
		{ "recover_merge", recover_merge },
		{ "recover_merge_large", recover_merge_large },
		{ "recover_core", recover_core },
		{ "recover_damaged", recover_damaged },
		{ "refusals", refusals },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("recover", cases);
}
