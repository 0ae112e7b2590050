/* SPDX-License-Identifier: MIT */
/*
 * Error paths: each call that can fail fails once. In the traced process: the program ends as it would untraced, and
 * each event is recorded or counted as discarded - or, where not even the process file could be made, the program is
 * not traced. In the daemon: it lives, or did not start and said why on one line; what it answers is true.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accounts.h"
#include "nth_call.h"
#include "worker.h"

#define NR_EVENTS 1000
#define MAX_CALLS 5000
#define STATUS_TRIES 1200		/* times 50 ms: for a daemon that tries again what failed, on a slow machine */
#define DEATH_TRIES 20			/* times 5 ms, for a daemon to know of a death, if no event was lost or recorded */
#define LONG_DEATH_TRIES 12000		/* if some were: sooner or later it knows of all */

static uint64_t attempted_so_far(struct fixture *fixture)
{
	if (!fixture_ok(fixture, "status", "trace=t", "json=1", NULL))
		return 0;
	return json_last(fixture->reply.text, "recorded") + json_last(fixture->reply.text, "discarded");
}

/* One life with the n-th call failing; false: there is no n-th call. */
static bool fail_in_process(struct fixture *fixture, char *const *argv, unsigned int n, int error)
{
	uint64_t before = attempted_so_far(fixture), counted;
	unsigned int nr_calls, tries;
	int status = nth_call_run(argv, n, error, &nr_calls);
	bool good;

	if (nr_calls < n)
		return false;
	counted = attempted_so_far(fixture) - before;
	for (tries = 0; counted != NR_EVENTS && tries < (counted ? LONG_DEATH_TRIES : DEATH_TRIES); tries++) {
		usleep(5000);
		counted = attempted_so_far(fixture) - before;
	}
	good = WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3) &&
	       (counted == NR_EVENTS || counted == 0);
	if (!good)
		tb_note("call %u, %s: status %x, %" PRIu64 " events accounted for", n, strerror(error),
			(unsigned int) status, counted);
	CU_ASSERT(good);
	return true;
}

static void process_calls(void)
{
	static const int errors[] = { ENOMEM, ENOSPC, EPERM };
	char shared[96], nr_text[24];
	char *argv[] = { (char *) build_path("tests/traced_static"), shared, "write", "0", nr_text, NULL };
	unsigned int n = 0, nr_calls, i;
	struct fixture fixture;

	if (access(argv[0], X_OK) != 0 || nth_call_run(argv, 0, 0, &nr_calls) < 0) {
		tb_skip("needs tests/traced_static and ptrace on x86-64");
		return;
	}
	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "discard", 4096, 4, false))
		return;
	worker_shared(&fixture);
	snprintf(shared, sizeof(shared), "%s/shared", fixture.dir);
	snprintf(nr_text, sizeof(nr_text), "%d", NR_EVENTS);
	for (i = 0; i < 3; i++)
		for (n = 1; n < MAX_CALLS && fail_in_process(&fixture, argv, n, errors[i]); n++)
			;
	tb_note("%u calls failed, 3 ways", n - 1);
	CU_ASSERT(n > 10);
	fixture_destroy(&fixture, "t");
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static bool is_lines(const char *text)
{
	return !text[0] || (text[0] != '\n' && !strstr(text, "\n\n") && text[strlen(text) - 1] == '\n');
}

/*
 * Requests, a traced program, requests. What could not be opened once may be found a little later. Returns whether all was
 * answered with 0.
 */
static bool use_daemon(struct fixture *fixture)
{
	unsigned int i;
	uint64_t sum = 0;
	char output[128];
	int worst = 0;

	snprintf(output, sizeof(output), "output=%s/t", fixture->dir);
	worst |= fixture_request(fixture, "create", "name=t", output, NULL);
	worst |= fixture_request(fixture, "enable-channel", "trace=t", "channel=channel0", "subbuf-size=4096",
				 "num-subbuf=4", NULL);
	worst |= fixture_request(fixture, "enable-event", "trace=t", "pattern=*", NULL);
	worst |= fixture_request(fixture, "start", "trace=t", NULL);
	TB_ASSERT_EQUAL(await(worker_act(fixture, "write", 0, NR_EVENTS)), 0);
	for (i = 0; i < STATUS_TRIES && !worst && sum != NR_EVENTS; i++) {
		usleep(i ? 50000 : 0);
		worst |= fixture_request(fixture, "status", "trace=t", "json=1", NULL);
		if (!worst)
			sum = json_last(fixture->reply.text, "recorded") + json_last(fixture->reply.text, "discarded");
	}
	if (!worst && sum != NR_EVENTS)
		tb_note("call %s: the status adds up to %" PRIu64, getenv("TB_FAIL_AT"), sum);
	CU_ASSERT(worst || sum == NR_EVENTS);
	worst |= fixture_request(fixture, "destroy", "trace=t", NULL);
	return !worst;
}

/* A daemon whose n-th call fails: does it do what it may? */
static void fail_in_daemon(unsigned int n)
{
	char *complaints, *trace;
	struct accounts accounts;
	struct fixture fixture;
	int status = 0;
	bool good;
	char at[32];

	snprintf(at, sizeof(at), "%u", n);
	setenv("TB_FAIL_AT", at, 1);
	if (!fixture_open(&fixture))
		return;
	worker_shared(&fixture);
	if (fixture_try_start(&fixture, &status)) {
		good = use_daemon(&fixture);
		kill(fixture.daemon, SIGTERM);
		status = await(fixture.daemon);
		fixture.daemon = 0;
		trace = good && asprintf(&trace, "%s/t", fixture.dir) > 0 ? trace : NULL;
		if (trace && accounts_read(&accounts, trace)) {
			accounts_assert_sound(&accounts);
			accounts_free(&accounts);
		}
		free(trace);
		good = WIFEXITED(status) && WEXITSTATUS(status) <= 1;
	} else {
		good = WIFEXITED(status) && WEXITSTATUS(status) == 1;
	}
	complaints = fixture_complaints(&fixture);
	good = good && complaints && is_lines(complaints);
	if (!good)
		tb_note("call %u: status %x: %.500s", n, (unsigned int) status, complaints ? complaints : "");
	CU_ASSERT(good);
	free(complaints);
	fixture_close(&fixture);
}

static void daemon_calls(void)
{
	char path[] = "/dev/shm/tracebuf-count-XXXXXX";
	int fd = mkstemp(path);
	unsigned int n, step, nr_failed = CU_get_number_of_failures();
	uint64_t *count, nr_calls;

	if (tb_skip_sanitized(NULL, "a sanitizer's allocator cannot be made to fail by LD_PRELOAD")) {
		close(fd);
		unlink(path);
		return;
	}
	if (fd < 0 || ftruncate(fd, 4096))
		return;
	count = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	setenv("TB_DAEMON_PRELOAD", build_path("tests/.libs/failing.so"), 1);
	setenv("TB_FAIL_COUNT", path, 1);
	fail_in_daemon(0);
	nr_calls = *count;
	CU_ASSERT(nr_calls > 50);
	tb_note("%" PRIu64 " calls can fail", nr_calls);
	step = 1 + (unsigned int) (nr_calls / tb_scaled(1500));
	for (n = 1; n <= nr_calls + 8 && CU_get_number_of_failures() < nr_failed + 10; n += step)
		fail_in_daemon(n);
	unsetenv("TB_DAEMON_PRELOAD");
	unsetenv("TB_FAIL_AT");
	munmap(count, 4096);
	unlink(path);
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "process_calls", process_calls }, { "daemon_calls", daemon_calls }, CU_TEST_INFO_NULL,
	};

	return tb_run_suite("faults", cases);
}
