/* SPDX-License-Identifier: MIT */
/*
 * tracebuf record: one command, one private daemon, one trace. All that can be refused is refused before the command
 * runs; once it has run, its exit status is what we return, and its trace is saved whatever happens to us.
 */
#define _GNU_SOURCE
#include "record.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <tracebuf/abi.h>
#include "accounts.h"
#include "client.h"
#include "command.h"
#include "complaint.h"
#include "../reader/json.h"
#include "options.h"
#include "place.h"
#include "private_daemon.h"
#include "tree.h"

#define PRELOAD_SIZE 32768
#define MAX_NAMESAKES 1000

struct recording {
	char directory[PATH_MAX];
	char preload[PRELOAD_SIZE];	/* "LD_PRELOAD=...", or empty */
	const char *clock, *home;	/* NULL: the daemon chooses */
	char chosen_home[16];		/* by the daemon */
	bool directory_existed, created;
	bool block, json, help, list_options;
	struct tb_request channel;	/* enable-channel, as the options make it */
	struct tb_request event;	/* enable-event */
	struct tb_private_daemon daemon;
};

static const struct tb_option options[] = {
	{ 'o', TB_OPTION_PATH, "output", "output", NULL, "DIR",
	  "write the trace there (default: ./tracebuf-COMMAND-DATE-TIME)" },
	{ 0, TB_OPTION_TEXT, "mode", "mode", NULL, "MODE",
	  "when buffers are full: discard (default), overwrite or block" },
	{ 0, TB_OPTION_SIZE, "subbuf-size", "subbuf-size", NULL, "SIZE", "bytes of a sub-buffer (default: 512K)" },
	{ 0, TB_OPTION_COUNT, "num-subbuf", "num-subbuf", NULL, "N", "sub-buffers of a ring (default: 4)" },
	{ 'e', TB_OPTION_TEXT, "event", "pattern", NULL, "GLOB",
	  "record the events that match; may be repeated (default: *)" },
	{ 0, TB_OPTION_TEXT, "with", "with", NULL, "HELPER", "preload libtracebuf-HELPER.so: libc; may be repeated" },
	{ 0, TB_OPTION_TEXT, "context", "context", NULL, "LIST",
	  "none, or of vtid,vpid,ip,procname; vtid is always among them" },
	{ 0, TB_OPTION_TEXT, "clock", "clock", NULL, "CLOCK", "tsc, monotonic or counter (default: the best)" },
	{ 0, TB_OPTION_TEXT, "home", "home", NULL, "HOME",
	  "of the buffers: kernel (tracebuf.ko), tmpfs or auto (default: the kernel if it can)" },
	{ 0, TB_OPTION_FLAG, "json", "json", "1", NULL, "print the accounts in JSON" },
	{ 'h', TB_OPTION_FLAG, "help", "help", "1", NULL, "show this help" },
	{ 0, TB_OPTION_FLAG, "list-options", "list-options", "1", NULL, "list the options' names" },
	{ 0, 0, NULL, NULL, NULL, NULL, NULL }
};

/* Puts a library at the end of our part of LD_PRELOAD. */
static int add_preload(struct recording *recording, const char *path)
{
	size_t used = strlen(recording->preload);
	const char *separator = used ? ":" : "LD_PRELOAD=";

	if (strpbrk(path, ": "))
		return tb_complain(TB_EXIT_ERROR, "record: %s cannot be preloaded: a colon or blank in its path", path);
	if ((size_t) snprintf(recording->preload + used, PRELOAD_SIZE - used, "%s%s", separator, path) >=
	    PRELOAD_SIZE - used)
		return tb_complain(TB_EXIT_ERROR, "record: too many helpers");
	return 0;
}

static int add_helper(struct recording *recording, const char *name)
{
	char path[PATH_MAX];
	int err = tb_place_helper(name, path, sizeof(path));

	if (err)
		return tb_complain(TB_EXIT_ERROR, "record: --with %s: no such helper%s%s", name,
				   err == -ENOENT && !strchr(name, '/') ? " at " : "",
				   err == -ENOENT && !strchr(name, '/') ? path : "");
	return add_preload(recording, path);
}

/* The thread id is recorded unless nothing is to be. */
static int add_context(struct recording *recording, const char *list)
{
	char with_vtid[256];

	if (!strcmp(list, "none"))
		return tb_request_add(&recording->channel, "context", list);
	if ((size_t) snprintf(with_vtid, sizeof(with_vtid), "vtid,%s", list) >= sizeof(with_vtid))
		return -E2BIG;
	return tb_request_add(&recording->channel, "context", strstr(list, "vtid") ? list : with_vtid);
}

/* Checked here: it is the user's mistake, no daemon that fails to start. */
static int choose_clock(struct recording *recording, const char *clock)
{
	if (strcmp(clock, "tsc") && strcmp(clock, "monotonic") && strcmp(clock, "counter"))
		return tb_complain(TB_EXIT_ERROR, "record: --clock '%.60s': neither tsc, monotonic nor counter", clock);
	recording->clock = clock;
	return 0;
}

static int choose_home(struct recording *recording, const char *home)
{
	if (strcmp(home, "kernel") && strcmp(home, "tmpfs") && strcmp(home, "auto"))
		return tb_complain(TB_EXIT_ERROR, "record: --home '%.60s': neither kernel, tmpfs nor auto", home);
	recording->home = home;
	return 0;
}

static int take_option(void *context, const struct tb_option *option, const char *value)
{
	struct recording *recording = context;
	int err = 0;

	if (!strcmp(option->key, "help"))
		recording->help = true;
	else if (!strcmp(option->key, "list-options"))
		recording->list_options = true;
	else if (!strcmp(option->key, "json"))
		recording->json = true;
	else if (!strcmp(option->key, "output"))
		snprintf(recording->directory, sizeof(recording->directory), "%s", value);
	else if (!strcmp(option->key, "with"))
		return add_helper(recording, value);
	else if (!strcmp(option->key, "clock"))
		return choose_clock(recording, value);
	else if (!strcmp(option->key, "home"))
		return choose_home(recording, value);
	else if (!strcmp(option->key, "pattern"))
		err = tb_request_add_list(&recording->event, "pattern", value);
	else if (!strcmp(option->key, "context"))
		err = add_context(recording, value);
	else
		err = tb_request_add(&recording->channel, option->key, value);
	if (!strcmp(option->key, "mode"))
		recording->block = !strcmp(value, "block");
	if (err)
		return tb_complain(TB_EXIT_ERROR, "record: --%s '%.60s': %s", option->name, value,
				   err == -EINVAL ? "empty, or has a newline in it" : "too long");
	return 0;
}

/* The command's name as a trace and a directory can be named. */
static void make_name(const char *command, char *name, size_t size)
{
	const char *slash = strrchr(command, '/');
	char *at;

	snprintf(name, size, "%s", slash ? slash + 1 : command);
	for (at = name; *at; at++) {
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_.", *at) ||
		    (at == name && (*at == '.' || *at == '-')))
			*at = '_';
	}
}

/* A second may have more than one recording: those that come later get a number. */
static int default_directory(struct recording *recording, const char *name)
{
	char date[32], cwd[PATH_MAX - 160], number[16] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (!getcwd(cwd, sizeof(cwd)))
		return tb_complain(TB_EXIT_ERROR, "record: the current directory has no path: %s", strerror(errno));
	strftime(date, sizeof(date), "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
	for (unsigned int i = 2; i < MAX_NAMESAKES; i++) {
		snprintf(recording->directory, sizeof(recording->directory), "%s/tracebuf-%s-%s%s",
			 strcmp(cwd, "/") ? cwd : "", name, date, number);
		if (access(recording->directory, F_OK))
			break;
		snprintf(number, sizeof(number), "-%u", i);
	}
	return 0;
}

/* It must not exist, or be empty. The daemon checks again; we do before anything is started. */
static int check_directory(struct recording *recording)
{
	const char *directory = recording->directory;
	DIR *dir = opendir(directory);
	struct dirent *entry;
	int code = 0;

	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return tb_complain(TB_EXIT_ERROR, "record: %s: %s", directory, strerror(errno));
	recording->directory_existed = true;
	while (!code && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			code = tb_complain(TB_EXIT_ERROR, "record: %s exists and is not empty", directory);
	}
	closedir(dir);
	return code;
}

/* Asks the private daemon. ret_response may be NULL. 0, or an exit code after one line on stderr. */
static int ask(struct recording *recording, struct tb_request *request, struct tb_response *ret_response)
{
	struct tb_response response;
	int err = tb_client_call(recording->daemon.rundir, request, &response);
	int code;

	if (err)
		return tb_complain(TB_EXIT_FATAL, "record: the daemon does not answer: %s", strerror(-err));
	code = response.code;
	/* A warning is told, and does not stop us. */
	if (code)
		code = tb_complain(code == TB_EXIT_WARNING ? 0 : code, "record: %s", response.message);
	if (code || !ret_response)
		tb_response_free(&response);
	else
		*ret_response = response;
	return code;
}

static int ask_verb(struct recording *recording, const char *verb)
{
	struct tb_request request;

	tb_request_begin(&request, verb);
	return ask(recording, &request, NULL);
}

/* Which home the daemon has chosen: the command must have the same. */
static int ask_home(struct recording *recording)
{
	struct tb_json root, home, name;
	struct tb_response response;
	struct tb_request request;
	int code, err;

	tb_request_begin(&request, "version");
	tb_request_add(&request, "json", "1");
	code = ask(recording, &request, &response);
	if (code)
		return code;
	err = tb_json_parse(response.text, response.text_size, &root);
	if (!err)
		err = tb_json_member(root, "home", &home);
	if (!err)
		err = tb_json_member(home, "name", &name);
	if (!err)
		err = tb_json_string(name, recording->chosen_home, sizeof(recording->chosen_home));
	tb_response_free(&response);
	return err ? tb_complain(TB_EXIT_FATAL, "record: the daemon does not say where its buffers are") : 0;
}

static int begin_trace(struct recording *recording, const char *name)
{
	struct tb_request request;
	int code;

	code = ask_home(recording);
	if (code)
		return code;
	tb_request_begin(&request, "create");
	if (tb_request_add(&request, "name", name) || tb_request_add(&request, "output", recording->directory))
		return tb_complain(TB_EXIT_ERROR, "record: a newline cannot be part of the directory's name");
	code = ask(recording, &request, NULL);
	recording->created = !code;
	if (!code)
		code = ask(recording, &recording->channel, NULL);
	if (!code)
		code = ask(recording, &recording->event, NULL);
	return code ? code : ask_verb(recording, "start");
}

static bool tick(void *context)
{
	return tb_private_daemon_check(context);
}

static int run_command(struct recording *recording, const char *path, char **argv, const sigset_t *mask)
{
	char rundir[TB_RUNDIR_SIZE + 32], home[64];
	const char *environment[5], **at = environment;
	struct tb_command command = {
		.path = path, .argv = argv, .environment = environment, .mask = mask,
		.tick = tick, .tick_context = &recording->daemon,
	};

	snprintf(rundir, sizeof(rundir), "TRACEBUF_RUNDIR=%s", recording->daemon.rundir);
	snprintf(home, sizeof(home), "TRACEBUF_HOME=%s", recording->chosen_home);
	*at++ = rundir;
	*at++ = home;
	if (recording->block)
		*at++ = "TRACEBUF_ALLOW_BLOCKING=1";
	if (*recording->preload)
		*at++ = recording->preload;
	*at = NULL;
	return tb_command_run(&command);
}

static int print_accounts(const struct recording *recording, const struct tb_response *status)
{
	if (!recording->json)
		return tb_accounts_print(status->text, status->text_size, recording->directory);
	fprintf(stderr, "%s%s", status->text,
		status->text_size && status->text[status->text_size - 1] == '\n' ? "" : "\n");
	return 0;
}

/* Stops, saves, and shows the accounts: destroying answers with what status said last. */
static int end_trace(struct recording *recording)
{
	struct tb_response last;
	struct tb_request request;
	int code, destroy_code;

	code = ask_verb(recording, "stop");
	tb_request_begin(&request, "destroy");
	tb_request_add(&request, "json", "1");
	destroy_code = ask(recording, &request, &last);
	if (destroy_code)
		return destroy_code;
	if (print_accounts(recording, &last) && !code)
		code = TB_EXIT_FATAL;
	tb_response_free(&last);
	return code;
}

static int record(struct recording *recording, const char *name, const char *path, char **argv)
{
	sigset_t set, mask;
	int code, refused, status = 0, end_code;

	tb_command_signals(&set);
	sigprocmask(SIG_BLOCK, &set, &mask);
	code = tb_private_daemon_start(&recording->daemon, recording->clock, recording->home, &mask);
	if (code)
		return code;
	code = begin_trace(recording, name);
	refused = code;
	if (!code)
		status = run_command(recording, path, argv, &mask);
	/* From here on ^C ends us; the daemon saves what there is all the same. */
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (!code && tb_private_daemon_check(&recording->daemon))
		code = end_trace(recording);
	else if (!code)
		code = tb_complain(TB_EXIT_FATAL, "record: the daemon is gone: %s is not complete",
				   recording->directory);
	end_code = tb_private_daemon_end(&recording->daemon);
	/* What was refused leaves nothing behind. */
	if (refused && recording->created)
		tb_tree_remove(recording->directory, recording->directory_existed);
	if (!code)
		code = end_code;
	return status ? status : code;
}

static int prepare(struct recording *recording, const char *name)
{
	char path[PATH_MAX];
	const char *preload = getenv("LD_PRELOAD");
	int code = 0;

	if (*recording->preload && !tb_place_library(path, sizeof(path)))
		code = add_preload(recording, path);
	if (!code && *recording->preload && preload && *preload) {
		size_t used = strlen(recording->preload);

		if ((size_t) snprintf(recording->preload + used, PRELOAD_SIZE - used, ":%s", preload) >=
		    PRELOAD_SIZE - used)
			return tb_complain(TB_EXIT_ERROR, "record: LD_PRELOAD is too long");
	}
	if (!code && !tb_request_has(&recording->event, "pattern"))
		tb_request_add(&recording->event, "pattern", "*");
	if (!code && !*recording->directory)
		code = default_directory(recording, name);
	return code ? code : check_directory(recording);
}

static int print_help(void)
{
	printf("Usage: tracebuf record [OPTION...] [--] COMMAND [ARGUMENT...]\n"
	       "Runs COMMAND, records its events and those of all that it starts, and prints the accounts.\n\n");
	tb_options_help(options);
	return TB_EXIT_OK;
}

int tb_record_main(int argc, char **argv)
{
	static struct recording recording;
	char path[PATH_MAX], name[TRACEBUF_NAME_SIZE];
	int rest, code;

	tb_request_begin(&recording.channel, "enable-channel");
	tb_request_add(&recording.channel, "channel", "channel0");
	tb_request_begin(&recording.event, "enable-event");
	code = tb_options_parse(argc, argv, options, 1, take_option, &recording, &rest);
	if (code)
		return code;
	if (recording.help)
		return print_help();
	if (recording.list_options) {
		tb_options_list(options);
		return TB_EXIT_OK;
	}
	if (rest == argc)
		return tb_complain(TB_EXIT_UNDEFINED, "record: which command? (see tracebuf record --help)");
	make_name(argv[rest], name, sizeof(name));
	code = tb_command_find(argv[rest], path, sizeof(path));
	if (!code)
		code = prepare(&recording, name);
	return code ? code : record(&recording, name, path, argv + rest);
}
