/* SPDX-License-Identifier: MIT */
/*
 * What each test needs around it: a run directory on a tmpfs, a daemon, requests to it, and an end that leaves
 * nothing behind. A test's files lie below one directory; its children are killed with it only where it knows them.
 */
#define _GNU_SOURCE
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A bound only against hanging. */
#define READY_TIMEOUT_MS 60000
#define MAX_PAIRS 32

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void) st, (void) flag, (void) ftw;
	remove(path);
	return 0;
}

void remove_tree(const char *path)
{
	nftw(path, remove_entry, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void raise_limits(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

bool fixture_has_kernel_home(void)
{
	const char *home = getenv("TRACEBUF_HOME");

	return !(home && strcmp(home, "tmpfs") == 0) && access("/dev/tracebuf", R_OK | W_OK) == 0;
}

bool fixture_open(struct fixture *fixture)
{
	const char *home = getenv("TB_TMPFS");

	memset(fixture, 0, sizeof(*fixture));
	raise_limits();
	snprintf(fixture->dir, sizeof(fixture->dir), "%s/tracebuf-test-XXXXXX", home ? home : "/dev/shm");
	if (!mkdtemp(fixture->dir)) {
		CU_FAIL("no directory on a tmpfs: set TB_TMPFS");
		fixture->dir[0] = 0;
		return false;
	}
	snprintf(fixture->rundir, sizeof(fixture->rundir), "%s/run", fixture->dir);
	setenv("TRACEBUF_RUNDIR", fixture->rundir, 1);
	return true;
}

void fixture_close(struct fixture *fixture)
{
	if (fixture->daemon)
		fixture_kill(fixture);
	client_reply_free(&fixture->reply);
	if (!fixture->dir[0])
		return;
	if (getenv("TB_KEEP"))
		tb_note("kept: %s", fixture->dir);
	else
		remove_tree(fixture->dir);
	fixture->dir[0] = 0;
}

static void exec_daemon(struct fixture *fixture, int ready_fd)
{
	const char *clock = getenv("TB_CLOCK");
	char number[16], path[96];
	int err;

	snprintf(number, sizeof(number), "%d", ready_fd);
	snprintf(path, sizeof(path), "%s/daemon.err", fixture->dir);
	err = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (err >= 0)
		dup2(err, STDERR_FILENO);
	unsetenv("LD_PRELOAD");
	if (getenv("TB_DAEMON_PRELOAD"))
		setenv("LD_PRELOAD", getenv("TB_DAEMON_PRELOAD"), 1);
	die_with_test();
	execl(build_path("tracebufd"), "tracebufd", "--rundir", fixture->rundir, "--ready-fd", number,
	      clock ? "--clock" : NULL, clock, (char *) NULL);
	_exit(127);
}

bool fixture_try_start(struct fixture *fixture, int *ret_status)
{
	struct pollfd ready = { .events = POLLIN };
	int pipe_fds[2];
	bool is_ready;
	char byte;

	if (pipe(pipe_fds))
		return false;
	fcntl(pipe_fds[0], F_SETFD, FD_CLOEXEC);
	fixture->daemon = fork();
	if (!fixture->daemon)
		exec_daemon(fixture, pipe_fds[1]);
	close(pipe_fds[1]);
	ready.fd = pipe_fds[0];
	is_ready = poll(&ready, 1, READY_TIMEOUT_MS) == 1 && read(pipe_fds[0], &byte, 1) == 1;
	if (!is_ready) {
		if (!(ready.revents & (POLLIN | POLLHUP)))
			kill(fixture->daemon, SIGKILL);
		*ret_status = await(fixture->daemon);
		fixture->daemon = 0;
	}
	close(pipe_fds[0]);
	return is_ready;
}

char *fixture_complaints(const struct fixture *fixture)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/daemon.err", fixture->dir);
	return read_file(path);
}

/* Has the daemon said anything on stderr? Asserts that it did not (loud: that no sanitizer did). */
static void assert_quiet(struct fixture *fixture)
{
	char *text = fixture_complaints(fixture);
	bool is_bad;

	is_bad = text && (fixture->loud ? strstr(text, "Sanitizer") || strstr(text, "runtime error") : text[0] != 0);
	if (is_bad)
		tb_note("tracebufd: %.4000s", text);
	CU_ASSERT(!is_bad);
	free(text);
}

bool fixture_start(struct fixture *fixture)
{
	int status;
	bool is_ready = fixture_try_start(fixture, &status);

	if (!is_ready) {
		tb_note("tracebufd does not start: status %x", (unsigned int) status);
		assert_quiet(fixture);
	}
	CU_ASSERT(is_ready);
	return is_ready;
}

void fixture_stop(struct fixture *fixture)
{
	int status;

	if (!fixture->daemon)
		return;
	kill(fixture->daemon, SIGTERM);
	status = await(fixture->daemon);
	fixture->daemon = 0;
	TB_ASSERT_EQUAL(status, 0);
	assert_quiet(fixture);
}

void fixture_kill(struct fixture *fixture)
{
	if (!fixture->daemon)
		return;
	kill(fixture->daemon, SIGKILL);
	await(fixture->daemon);
	fixture->daemon = 0;
}

static int request(struct fixture *fixture, const char *verb, va_list args)
{
	const char *pairs[MAX_PAIRS + 1];
	int nr = 0, r;

	while (nr < MAX_PAIRS && (pairs[nr] = va_arg(args, const char *)))
		nr++;
	pairs[nr] = NULL;
	client_reply_free(&fixture->reply);
	memset(&fixture->reply, 0, sizeof(fixture->reply));
	r = client_request(fixture->rundir, verb, pairs, &fixture->reply);
	if (r)
		snprintf(fixture->reply.message, sizeof(fixture->reply.message), "%s", strerror(-r));
	return r ? -1 : fixture->reply.code;
}

int fixture_request(struct fixture *fixture, const char *verb, ...)
{
	va_list args;
	int code;

	va_start(args, verb);
	code = request(fixture, verb, args);
	va_end(args);
	return code;
}

bool fixture_ok(struct fixture *fixture, const char *verb, ...)
{
	va_list args;
	int code;

	va_start(args, verb);
	code = request(fixture, verb, args);
	va_end(args);
	if (code)
		tb_note("%s: %d %s", verb, code, fixture->reply.message);
	CU_ASSERT(code == 0);
	return code == 0;
}

bool fixture_trace(struct fixture *fixture, const char *name, const char *mode, uint64_t subbuf_size,
		   unsigned int nr_subbufs, bool snapshot)
{
	char create[80], output[192], trace[80], mode_pair[32], size[48], count[32];

	snprintf(create, sizeof(create), "name=%s", name);
	snprintf(output, sizeof(output), "output=%s/%s", fixture->dir, name);
	snprintf(trace, sizeof(trace), "trace=%s", name);
	snprintf(mode_pair, sizeof(mode_pair), "mode=%s", mode);
	snprintf(size, sizeof(size), "subbuf-size=%llu", (unsigned long long) subbuf_size);
	snprintf(count, sizeof(count), "num-subbuf=%u", nr_subbufs);
	return fixture_ok(fixture, "create", create, output, snapshot ? "snapshot=1" : NULL, NULL) &&
	       fixture_ok(fixture, "enable-channel", trace, "channel=channel0", mode_pair, size, count, fixture->context,
			  NULL) &&
	       fixture_ok(fixture, "enable-event", trace, "pattern=*", NULL) && fixture_ok(fixture, "start", trace, NULL);
}

bool fixture_destroy(struct fixture *fixture, const char *name)
{
	char trace[80];

	snprintf(trace, sizeof(trace), "trace=%s", name);
	return fixture_ok(fixture, "destroy", trace, NULL);
}
