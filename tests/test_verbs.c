/* SPDX-License-Identifier: MIT */
/*
 * Bad input, of every verb: one line that says what is wrong, the exit code of lttng, and nothing has changed. By the
 * protocol, where requests can be worse than what the command sends, and by the command.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "guest.h"

#define MAX_ARGS 12

struct bad_request {
	const char *verb;
	const char *pairs[6];
	int code;
};

/* While a trace "t" exists with a started channel0; DIR/used is a directory that is not empty. */
static const struct bad_request bad_requests[] = {
	{ "frobnicate", { NULL }, 2 },
	{ "", { NULL }, 1 },
	{ "create", { "name=t", "output=/dev/shm/x-tracebuf", NULL }, 1 },
	{ "create", { "name=a/b", "output=/dev/shm/x-tracebuf", NULL }, 1 },
	{ "create", { "name=..", "output=/dev/shm/x-tracebuf", NULL }, 1 },
	{ "create", { "name=", "output=/dev/shm/x-tracebuf", NULL }, 1 },
	{ "create", { "name=u", NULL }, 1 },
	{ "create", { "name=u", "output=/dev/shm/x-tracebuf", "persistent=1", NULL }, 1 },
	{ "create", { "output=/dev/shm/x-tracebuf", NULL }, 1 },
	{ "create", { "name=u", "output=relative", NULL }, 1 },
	{ "create", { "name=u", "output=/proc/none/such", NULL }, 1 },
	{ "create", { "name=u", "output=/proc", NULL }, 1 },
	{ "create", { "name=u", "output=/etc/passwd", NULL }, 1 },
	{ "create", { "name=u", "output=/dev/shm/x-tracebuf", "color=red", NULL }, 1 },
	{ "create", { "name=u", "output=/dev/shm/x-tracebuf", "novalue", NULL }, 1 },
	{ "create", { "name=0123456789012345678901234567890123456789012345678901234567890123456789",
		      "output=/dev/shm/x-tracebuf", NULL }, 1 },
	{ "enable-channel", { "trace=none", "channel=c", NULL }, 1 },
	{ "enable-channel", { "trace=t", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=channel0", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=a/b", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "mode=sideways", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "subbuf-size=1000", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "subbuf-size=2048", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "subbuf-size=-4096", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "subbuf-size=4096x", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "subbuf-size=99999999999999999999", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "subbuf-size=2147483648", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "num-subbuf=3", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "num-subbuf=1", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "num-subbuf=8192", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "subbuf-size=1073741824", "num-subbuf=4096", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "context=weather", NULL }, 1 },
	{ "enable-channel", { "trace=t", "channel=c", "block-timeout=soon", NULL }, 1 },
	{ "enable-event", { "trace=none", "pattern=*", NULL }, 1 },
	{ "enable-event", { "trace=t", NULL }, 1 },
	{ "enable-event", { "trace=t", "pattern=", NULL }, 1 },
	{ "enable-event", { "trace=t", "channel=none", "pattern=*", NULL }, 1 },
	{ "disable-event", { "trace=none", "pattern=*", NULL }, 1 },
	{ "disable-event", { "trace=t", "channel=none", "pattern=*", NULL }, 1 },
	{ "start", { "trace=none", NULL }, 1 },
	{ "stop", { "trace=none", NULL }, 1 },
	{ "status", { "trace=none", NULL }, 1 },
	{ "list", { "trace=none", NULL }, 1 },
	{ "snapshot", { "trace=none", NULL }, 1 },
	{ "snapshot", { "trace=t", "output=relative", NULL }, 1 },
	{ "rotate", { "trace=none", NULL }, 1 },
	{ "destroy", { "trace=none", NULL }, 1 },
};

static char *state(struct fixture *fixture)
{
	if (!fixture_ok(fixture, "status", "json=1", NULL))
		return NULL;
	return strdup(fixture->reply.text);
}

static void check_request(struct fixture *fixture, const struct bad_request *bad, const char *before)
{
	struct client_reply reply = { 0 };
	char *after;
	int r = client_request(fixture->rundir, bad->verb, bad->pairs, &reply);
	bool good = !r && reply.code == bad->code && reply.message[0] && !reply.text[0];

	if (!good)
		tb_note("%s %s %s %s: %d, code %d, expected %d, '%s' '%.60s'", bad->verb, bad->pairs[0] ? bad->pairs[0] : "",
			bad->pairs[0] && bad->pairs[1] ? bad->pairs[1] : "",
			bad->pairs[0] && bad->pairs[1] && bad->pairs[2] ? bad->pairs[2] : "", r, r ? -1 : reply.code,
			bad->code, r ? "" : reply.message, r ? "" : reply.text);
	CU_ASSERT(good);
	if (!r)
		client_reply_free(&reply);
	after = state(fixture);
	CU_ASSERT(after && strcmp(before, after) == 0);
	free(after);
}

static void requests(void)
{
	struct fixture fixture;
	char *before;
	size_t i;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "discard", 4096, 2, false))
		return;
	before = state(&fixture);
	for (i = 0; before && i < sizeof(bad_requests) / sizeof(bad_requests[0]); i++)
		check_request(&fixture, &bad_requests[i], before);
	CU_ASSERT(access("/dev/shm/x-tracebuf", F_OK) != 0);
	free(before);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

/* With two traces, or none, "the only one" is nobody. */
static void no_single_trace(void)
{
	static const char *const verbs[] = { "start", "stop", "rotate", "snapshot", "destroy" };
	struct fixture fixture;
	size_t i;

	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		TB_ASSERT_EQUAL(fixture_request(&fixture, verbs[i], NULL), 1);
	fixture_trace(&fixture, "t", "discard", 4096, 2, false);
	fixture_trace(&fixture, "u", "discard", 4096, 2, false);
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		TB_ASSERT_EQUAL(fixture_request(&fixture, verbs[i], NULL), 1);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

/* Requests that are none: the daemon answers or hangs up, and goes on. */
static void garbage(void)
{
	static char large[100000];
	struct client_reply reply;
	struct fixture fixture;
	char junk[512];
	unsigned int i, j;

	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	memset(large, 'x', sizeof(large));
	for (i = 0; i < 3; i++) {
		if (client_request_raw(fixture.rundir, large, sizeof(large), &reply) == 0) {
			CU_ASSERT(reply.code != 0);
			client_reply_free(&reply);
		}
		memset(large, i ? '\n' : 0, sizeof(large));
	}
	for (i = 0; i < 200; i++) {
		for (j = 0; j < sizeof(junk); j++)
			junk[j] = (char) tb_random();
		memcpy(junk + sizeof(junk) - 2, "\n\n", 2);
		if (client_request_raw(fixture.rundir, junk, sizeof(junk), &reply) == 0) {
			CU_ASSERT(reply.code != 0);
			client_reply_free(&reply);
		}
	}
	fixture_ok(&fixture, "version", NULL);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

struct bad_command {
	int code;
	const char *args[MAX_ARGS];
};

static const struct bad_command bad_commands[] = {
	{ 2, { "frobnicate", NULL } },
	{ 1, { NULL } },
	{ 2, { "create", "--color", "red", NULL } },
	{ 2, { "create", "a", "b", NULL } },
	{ 1, { "create", "t", "-o", "/dev/shm/x-tracebuf", NULL } },
	{ 1, { "create", "a/b", "-o", "/dev/shm/x-tracebuf", NULL } },
	{ 1, { "enable-channel", NULL } },
	{ 1, { "enable-channel", "c", "--subbuf-size", "1000", NULL } },
	{ 1, { "enable-channel", "c", "--subbuf-size", "4Q", NULL } },
	{ 1, { "enable-channel", "c", "--num-subbuf", "x", NULL } },
	{ 1, { "enable-channel", "c", "--mode", "sideways", NULL } },
	{ 1, { "enable-event", NULL } },
	{ 1, { "enable-event", "*", "-s", "none", NULL } },
	{ 1, { "disable-event", "*", "-s", "none", NULL } },
	{ 1, { "start", "none", NULL } },
	{ 1, { "stop", "none", NULL } },
	{ 1, { "status", "none", NULL } },
	{ 1, { "list", "none", NULL } },
	{ 1, { "snapshot", "none", NULL } },
	{ 1, { "rotate", "none", NULL } },
	{ 1, { "destroy", "none", NULL } },
	{ 2, { "version", "1", NULL } },
	{ 1, { "view", "/dev/shm/x-tracebuf", NULL } },
	{ 1, { "view", "/etc", NULL } },
	{ 1, { "view", "/etc/passwd", NULL } },
	{ 2, { "view", "--color", NULL } },
	{ 1, { "record", "--subbuf-size", "1000", "-o", "/dev/shm/x-tracebuf", "--", "true", NULL } },
	{ 1, { "record", "--mode", "sideways", "-o", "/dev/shm/x-tracebuf", "--", "true", NULL } },
	{ 1, { "record", "--with", "nothing", "-o", "/dev/shm/x-tracebuf", "--", "true", NULL } },
	{ 1, { "record", "-o", "/proc/none/such", "--", "true", NULL } },
};

static bool is_one_line(const char *text)
{
	const char *end = strchr(text, '\n');

	return end && end != text && !end[1];
}

static void check_command(const struct bad_command *bad)
{
	char *argv[MAX_ARGS + 1] = { (char *) build_path("tracebuf") };
	struct outcome outcome;
	bool good;
	int i;

	for (i = 0; bad->args[i]; i++)
		argv[i + 1] = (char *) bad->args[i];
	if (!run(&outcome, argv, NULL))
		return;
	good = WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == bad->code && is_one_line(outcome.err) &&
	       !outcome.out[0];
	if (!good)
		tb_note("tracebuf %s %s %s: status %x, expected code %d, '%.300s' '%.60s'", argv[1] ? argv[1] : "",
			argv[1] && argv[2] ? argv[2] : "", argv[1] && argv[2] && argv[3] ? argv[3] : "",
			(unsigned int) outcome.status, bad->code, outcome.err, outcome.out);
	CU_ASSERT(good);
	outcome_free(&outcome);
}

static void commands(void)
{
	struct fixture fixture;
	char *before, *after;
	size_t i;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "discard", 4096, 2, false))
		return;
	before = state(&fixture);
	for (i = 0; i < sizeof(bad_commands) / sizeof(bad_commands[0]); i++)
		check_command(&bad_commands[i]);
	after = state(&fixture);
	CU_ASSERT(before && after && strcmp(before, after) == 0);
	CU_ASSERT(access("/dev/shm/x-tracebuf", F_OK) != 0);
	free(before);
	free(after);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static void no_daemon(void)
{
	char *argv[] = { (char *) build_path("tracebuf"), "status", NULL };
	struct fixture fixture;
	struct outcome outcome;

	if (!fixture_open(&fixture))
		return;
	if (run(&outcome, argv, NULL)) {
		TB_ASSERT_EQUAL(WEXITSTATUS(outcome.status), 1);
		CU_ASSERT(is_one_line(outcome.err));
		outcome_free(&outcome);
	}
	fixture_close(&fixture);
}

/* value may be NULL. */
static void expect_refusal(const char *option, const char *value)
{
	char *argv[] = { (char *) build_path("tracebufd"), (char *) option, (char *) value, NULL };
	struct outcome outcome;
	bool tells;

	if (!run(&outcome, argv, NULL))
		return;
	tells = is_one_line(outcome.err) && (strstr(outcome.err, option) || (value && strstr(outcome.err, value)));
	if (outcome.status != 0x100 || !tells)
		tb_note("tracebufd %s %s: %x '%s'", option, value, (unsigned int) outcome.status, outcome.err);
	TB_ASSERT_EQUAL(outcome.status, 0x100);
	CU_ASSERT(tells);
	CU_ASSERT(outcome.out[0] == 0);
	outcome_free(&outcome);
}

/* A daemon that must not start: another runs; its directory is a file, somebody else's, relative or cannot be. */
static void daemon_refuses(void)
{
	char path[96];
	struct fixture fixture;

	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	expect_refusal("--rundir", fixture.rundir);
	expect_refusal("--rundir", "/etc/passwd");
	expect_refusal("--rundir", "relative");
	expect_refusal("--rundir", "/proc/none/such");
	snprintf(path, sizeof(path), "%s/other", fixture.dir);
	mkdir(path, 0700);
	if (geteuid() == 0) {
		if (chown(path, 65534, 65534) == 0)
			expect_refusal("--rundir", path);
	}
	fixture_ok(&fixture, "version", NULL);
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

static void daemon_options(void)
{
	static const char *const bad[][2] = {
		{ "--bogus", NULL }, { "-d", NULL }, { "--rundir", NULL }, { "--private=1", NULL }, { "argument", NULL },
		{ "--clock", "sun\ndial" }, { "--home", "cave" }, { "--ready-fd", "x" }, { "--ready-fd", "-1" },
		{ "--ready-fd", "1000000" }, { "--ready-fd", "99999999999999999999" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_refusal(bad[i][0], bad[i][1]);
}

/* A process chooses its name and its path: neither makes lines or rules the terminal of who lists it. */
static void hostile_names(void)
{
	struct guest guest;
	struct fixture fixture;
	char path[96];

	if (!fixture_open(&fixture) || !fixture_start(&fixture))
		return;
	snprintf(path, sizeof(path), "%s/a\n\033[2Jb", fixture.dir);
	CU_ASSERT(symlink(build_path("tests/manners"), path) == 0);
	if (guest_start(&guest, path, "1") && fixture_ok(&fixture, "list", NULL)) {
		CU_ASSERT(strstr(fixture.reply.text, "a??[2Jb") != NULL);
		CU_ASSERT(strchr(fixture.reply.text, '\033') == NULL);
		guest_stop(&guest);
	}
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "requests", requests }, { "no_single_trace", no_single_trace }, { "garbage", garbage },
		{ "commands", commands }, { "no_daemon", no_daemon }, { "daemon_refuses", daemon_refuses },
		{ "daemon_options", daemon_options }, { "hostile_names", hostile_names },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("verbs", cases);
}
