/* SPDX-License-Identifier: MIT */
/*
 * The control verbs: each is an option table, and becomes one request to the daemon. Nothing is decided here that the
 * daemon can decide; it knows the traces, and answers with an exit code, a line and the text to print.
 */
#define _GNU_SOURCE
#include "verb.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "../reader/quote.h"
#include "complaint.h"
#include "libtracebuf/rundir.h"

/* A name, "-", date and time: more than the daemon takes. */
#define CREATE_NAME_SIZE 128

#define OPTION_TRACE \
	{ 's', TB_OPTION_TEXT, "trace", "trace", NULL, "TRACE", "the trace meant (default: the only one)" }, \
	{ 0, TB_OPTION_TEXT, "session", "trace", NULL, "TRACE", "the same, by lttng's name" }
#define OPTIONS_COMMON \
	{ 0, TB_OPTION_FLAG, "json", "json", "1", NULL, "answer in JSON" }, \
	{ 'h', TB_OPTION_FLAG, "help", "help", "1", NULL, "show this help" }, \
	{ 0, TB_OPTION_FLAG, "list-options", "list-options", "1", NULL, "list the options' names" }, \
	{ 0, 0, NULL, NULL, NULL, NULL, NULL }
#define OPTION_USERSPACE { 'u', TB_OPTION_IGNORED, "userspace", NULL, NULL, NULL, NULL }
#define OPTION_CHANNEL(help) { 'c', TB_OPTION_TEXT, "channel", "channel", NULL, "CHANNEL", help }

static const struct tb_option trace_options[] = { OPTION_TRACE, OPTIONS_COMMON };
static const struct tb_option common_options[] = { OPTIONS_COMMON };

static const struct tb_option create_options[] = {
	{ 'o', TB_OPTION_PATH, "output", "output", NULL, "DIR", "write the trace there (default: ./NAME-DATE-TIME)" },
	{ 0, TB_OPTION_FLAG, "snapshot", "snapshot", "1", NULL, "write nothing until `tracebuf snapshot`" },
	{ 0, TB_OPTION_FLAG, "sync", "sync", "1", NULL, "buffers let go of what is on the disk, not of what is in a cache" },
	{ 0, TB_OPTION_FLAG, "persistent", "persistent", "1", NULL, "in memory that a reboot keeps (see tracebuf(4))" },
	OPTIONS_COMMON
};

static const struct tb_option channel_options[] = {
	OPTION_TRACE,
	{ 0, TB_OPTION_SIZE, "subbuf-size", "subbuf-size", NULL, "SIZE", "bytes of a sub-buffer (default: 512K)" },
	{ 0, TB_OPTION_COUNT, "num-subbuf", "num-subbuf", NULL, "N", "sub-buffers of a ring (default: 4)" },
	{ 0, TB_OPTION_TEXT, "mode", "mode", NULL, "MODE", "discard (default), overwrite or block" },
	{ 0, TB_OPTION_FLAG, "discard", "mode", "discard", NULL, "the same as --mode discard" },
	{ 0, TB_OPTION_FLAG, "overwrite", "mode", "overwrite", NULL, "the same as --mode overwrite" },
	{ 0, TB_OPTION_FLAG, "block", "mode", "block", NULL, "the same as --mode block" },
	{ 0, TB_OPTION_COUNT, "blocking-timeout", "block-timeout", "inf", "MS",
	  "longest wait for room in block mode, ms (default: inf)" },
	{ 0, TB_OPTION_TEXT, "context", "context", NULL, "LIST", "none, or of vtid,vpid,ip,procname (default: vtid)" },
	OPTION_USERSPACE,
	OPTIONS_COMMON
};

static const struct tb_option event_options[] = {
	OPTION_TRACE,
	OPTION_CHANNEL("a channel meant; may be repeated (default: channel0)"),
	{ 'a', TB_OPTION_FLAG, "all", "pattern", "*", NULL, "all events: the same as '*'" },
	OPTION_USERSPACE,
	OPTIONS_COMMON
};

static const struct tb_option snapshot_options[] = {
	OPTION_TRACE,
	{ 'o', TB_OPTION_PATH, "output", "output", NULL, "DIR", "write the snapshot there (default: in the trace's)" },
	OPTIONS_COMMON
};

static int complain_request(const char *verb, const char *what, int err)
{
	return tb_complain(TB_EXIT_ERROR, "%s: %s: %s", verb, what,
			   err == -EINVAL ? "empty, or has a newline in it" : "too long");
}

/* A name, and a directory below the current one, where the user gave none. */
static int complete_create(const struct tb_verb *verb, struct tb_request *request, const char *given_name)
{
	char name[CREATE_NAME_SIZE], date[32], path[PATH_MAX], cwd[PATH_MAX - CREATE_NAME_SIZE - 32];
	time_t now = time(NULL);
	struct tm tm;
	int err = 0;

	strftime(date, sizeof(date), "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
	if ((size_t) snprintf(name, sizeof(name), "%s-%s", given_name ? given_name : "auto", date) >= sizeof(name))
		return tb_complain(TB_EXIT_ERROR, "%s: '%.40s...': too long for a name", verb->name, given_name);
	if (!given_name)
		err = tb_request_add(request, "name", name);
	if (err || tb_request_has(request, "output"))
		return err ? complain_request(verb->name, name, err) : 0;
	if (!getcwd(cwd, sizeof(cwd)))
		return tb_complain(TB_EXIT_ERROR, "%s: the current directory has no path: %s", verb->name,
				   strerror(errno));
	snprintf(path, sizeof(path), "%s/%s", strcmp(cwd, "/") ? cwd : "", name);
	err = tb_request_add(request, "output", path);
	return err ? complain_request(verb->name, path, err) : 0;
}

static int complete_channel(const struct tb_verb *verb, struct tb_request *request, const char *name)
{
	(void) request;
	if (!name)
		return tb_complain(TB_EXIT_ERROR, "%s: which channel? A name is missing", verb->name);
	return 0;
}

static int complete_event(const struct tb_verb *verb, struct tb_request *request, const char *pattern)
{
	if (!pattern && !tb_request_has(request, "pattern"))
		return tb_complain(TB_EXIT_ERROR, "%s: which events? Give a pattern, or -a for all", verb->name);
	return 0;
}

/* The daemon tells its own. */
static int complete_version(const struct tb_verb *verb, struct tb_request *request, const char *nothing)
{
	(void) verb, (void) nothing;
	if (!tb_request_has(request, "json"))
		printf("tracebuf %s\n", PACKAGE_VERSION);
	return 0;
}

#define TRACE_VERB(name, summary) { name, "[TRACE]", summary, NULL, trace_options, "trace", 1, NULL, NULL }

const struct tb_verb tb_control_verbs[] = {
	{ "create", "[NAME]", "make a trace", NULL, create_options, "name", 1, NULL, complete_create },
	{ "enable-channel", "CHANNEL", "make a channel: sub-buffers and what happens when they are full", NULL,
	  channel_options, "channel", 1, NULL, complete_channel },
	{ "enable-event", "PATTERN...", "record the events that match", NULL,
	  event_options, "pattern", INT_MAX, NULL, complete_event },
	{ "disable-event", "PATTERN...", "record the events that match no longer", NULL,
	  event_options, "pattern", INT_MAX, NULL, complete_event },
	TRACE_VERB("start", "start recording"),
	TRACE_VERB("stop", "stop recording, and write what is in the buffers"),
	TRACE_VERB("status", "show traces, their channels and their accounts"),
	TRACE_VERB("list", "show traces; without any, processes and events too"),
	{ "snapshot", "[TRACE]", "write what the buffers hold now", NULL,
	  snapshot_options, "trace", 1, "record", NULL },
	TRACE_VERB("rotate", "end this part of the trace on disk and begin another"),
	TRACE_VERB("destroy", "write what is left and forget the trace; its files stay"),
	{ "version", "", "show the versions of command and daemon", NULL, common_options, NULL, 0, NULL,
	  complete_version },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL }
};

struct control_call {
	const struct tb_verb *verb;
	struct tb_request request;
	const char *positional;		/* the first argument that is no option, or NULL */
	int json, help, list_options;
};

static int take_option(void *context, const struct tb_option *option, const char *value)
{
	struct control_call *call = context;
	int err;

	call->help |= !strcmp(option->key, "help");
	call->list_options |= !strcmp(option->key, "list-options");
	call->json |= !strcmp(option->key, "json");
	if (call->help || call->list_options)
		return 0;
	/* The last of --mode, --discard ... counts, as it does with any command: the daemon takes the last value. */
	err = tb_request_add(&call->request, option->key, value);
	return err ? complain_request(call->verb->name, option->name, err) : 0;
}

static int take_positionals(struct control_call *call, int argc, char **argv)
{
	const struct tb_verb *verb = call->verb;
	int i, err;

	if (argc && verb->ignored_word && !strcmp(argv[0], verb->ignored_word)) {
		argc--;
		argv++;
	}
	if (argc > verb->max_positional)
		return tb_complain(TB_EXIT_UNDEFINED, "%s: '%s': one argument too many (see tracebuf %s --help)",
				   verb->name, argv[verb->max_positional], verb->name);
	call->positional = argc ? argv[0] : NULL;
	for (i = 0; i < argc; i++) {
		/* lttng's users write patterns with commas between them; no event name has one. */
		if (!strcmp(verb->positional, "pattern"))
			err = tb_request_add_list(&call->request, "pattern", argv[i]);
		else
			err = tb_request_add(&call->request, verb->positional, argv[i]);
		if (err)
			return complain_request(verb->name, argv[i], err);
	}
	return 0;
}

static void print_help(const struct tb_verb *verb)
{
	printf("Usage: tracebuf %s [OPTION...] %s\n%s.\n\n", verb->name, verb->arguments, verb->summary);
	tb_options_help(verb->options);
}

static int print_response(const struct control_call *call, const struct tb_response *response)
{
	fwrite(response->text, 1, response->text_size, stdout);
	if (response->code != TB_EXIT_OK)
		return tb_complain(response->code, "%s: %s", call->verb->name,
				   *response->message ? response->message : "the daemon refused, without a word");
	if (call->json && !response->text_size) {
		printf("{\"code\":0,\"message\":");
		tb_quote(stdout, response->message);
		printf("}\n");
	} else if (!call->json && *response->message) {
		printf("%s\n", response->message);
	}
	return TB_EXIT_OK;
}

static int complain_call(const char *verb, const char *rundir, int err)
{
	if (err == -ENOENT || err == -ECONNREFUSED)
		return tb_complain(TB_EXIT_ERROR, "%s: no daemon at %s: start tracebufd, or use tracebuf record",
				   verb, rundir);
	if (err == -EPERM)
		return tb_complain(TB_EXIT_ERROR, "%s: %s belongs to another user", verb, rundir);
	if (err == -EPROTO)
		return tb_complain(TB_EXIT_FATAL, "%s: %s/socket: the answer is none: versions that do not match?",
				   verb, rundir);
	return tb_complain(TB_EXIT_FATAL, "%s: %s/socket: %s", verb, rundir, strerror(-err));
}

static int ask_daemon(struct control_call *call)
{
	char rundir[TB_RUNDIR_SIZE];
	struct tb_response response;
	int err, code;

	err = tb_rundir_path(rundir);
	if (err == -ENOENT)
		return tb_complain(TB_EXIT_ERROR, "%s: no run directory: set TRACEBUF_RUNDIR or XDG_RUNTIME_DIR",
				   call->verb->name);
	if (err)
		return tb_complain(TB_EXIT_ERROR, "%s: run directory %s: must be absolute and shorter than %d bytes",
				   call->verb->name, tb_rundir_told(), TB_RUNDIR_SIZE);
	err = tb_client_call(rundir, &call->request, &response);
	if (err)
		return complain_call(call->verb->name, rundir, err);
	code = print_response(call, &response);
	tb_response_free(&response);
	return code;
}

int tb_control_main(const struct tb_verb *verb, int argc, char **argv)
{
	static struct control_call call;
	int rest, code;

	call.verb = verb;
	tb_request_begin(&call.request, verb->name);
	code = tb_options_parse(argc, argv, verb->options, 0, take_option, &call, &rest);
	if (code)
		return code;
	if (call.help) {
		print_help(verb);
		return TB_EXIT_OK;
	}
	if (call.list_options) {
		tb_options_list(verb->options);
		return TB_EXIT_OK;
	}
	code = take_positionals(&call, argc - rest, argv + rest);
	if (!code && verb->complete)
		code = verb->complete(verb, &call.request, call.positional);
	return code ? code : ask_daemon(&call);
}
