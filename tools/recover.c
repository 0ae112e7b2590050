/* SPDX-License-Identifier: MIT */
/*
 * "tracebuf recover": what is left of traces after a crash, as trace directories.
 *
 * Invariant: nothing but the output directory is written, and that must be new (with --into, each trace's). Exit codes:
 * 0 all that was found was whole; 4 something was damaged and left out; 1 nothing was found, or it could not be done.
 */
#define _GNU_SOURCE
#include "recover.h"
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "complaint.h"
#include "merge.h"
#include "options.h"
#include "previous.h"
#include "recover_place.h"
#include "recovery.h"
#include "recovery_report.h"
#include "tree.h"

struct recover {
	const char *rundir, *image, *output, *into, *merge;
	bool previous_boot, json, help, list_options;
	struct tb_remains remains;
	struct tb_report report;
	uint64_t image_size;
	unsigned int percent;			/* last shown */
};

static const struct tb_option options[] = {
	{ 0, TB_OPTION_PATH, "rundir", "rundir", NULL, "DIR", "from a run directory whose daemon is dead" },
	{ 0, TB_OPTION_PATH, "core", "image", NULL, "FILE", "from a program's core file (ELF, also zstd-compressed)" },
	{ 0, TB_OPTION_PATH, "vmcore", "image", NULL, "FILE",
	  "from a kernel's dump: ELF, kdump-compressed, flattened, raw" },
	{ 0, TB_OPTION_FLAG, "previous-boot", "previous-boot", "1", NULL, "from memory that outlived the last reboot" },
	{ 'o', TB_OPTION_PATH, "output", "output", NULL, "DIR", "where to: a new directory" },
	{ 0, TB_OPTION_PATH, "into", "into", NULL, "DIR", "where to: below this, by name and boot, once" },
	{ 0, TB_OPTION_PATH, "merge", "merge", NULL, "TRACE", "completes this trace, as far as it was on disk" },
	{ 0, TB_OPTION_FLAG, "json", "json", "1", NULL, "report as JSON" },
	{ 'h', TB_OPTION_FLAG, "help", "help", "1", NULL, "show this help" },
	{ 0, TB_OPTION_FLAG, "list-options", "list-options", "1", NULL, "list the options' names" },
	{ 0, TB_OPTION_FLAG, NULL, NULL, NULL, NULL, NULL },
};

/* The option parser's value of a path does not outlive the call. */
static int keep(const char **to, const char *value, const char *name)
{
	if (*to)
		return tb_complain(TB_EXIT_UNDEFINED, "recover: only one %s, please", name);
	*to = strdup(value);
	return *to ? 0 : tb_complain(TB_EXIT_FATAL, "recover: out of memory");
}

static int take_option(void *context, const struct tb_option *option, const char *value)
{
	struct recover *recover = context;

	if (!strcmp(option->key, "rundir"))
		return keep(&recover->rundir, value, "--rundir");
	if (!strcmp(option->key, "image"))
		return keep(&recover->image, value, "--core or --vmcore");
	if (!strcmp(option->key, "output"))
		return keep(&recover->output, value, "--output");
	if (!strcmp(option->key, "into"))
		return keep(&recover->into, value, "--into");
	if (!strcmp(option->key, "merge"))
		return keep(&recover->merge, value, "--merge");
	recover->previous_boot |= !strcmp(option->key, "previous-boot");
	recover->json |= !strcmp(option->key, "json");
	recover->help |= !strcmp(option->key, "help");
	recover->list_options |= !strcmp(option->key, "list-options");
	return 0;
}

static void show_progress(void *data, uint64_t done)
{
	struct recover *recover = data;
	uint64_t size = recover->image_size ? recover->image_size : tb_image_size(recover->remains.image);
	unsigned int percent = size ? done * 100.0 / size : 100;

	recover->image_size = size;
	if (percent == recover->percent)
		return;
	recover->percent = percent;
	fprintf(stderr, "\rlooking through memory: %3u %%", percent);
}

/* *ret_from: where from, for people. */
static int look(struct recover *recover, bool shows, const char **ret_from, char *message, size_t size)
{
	void (*progress)(void *data, uint64_t done) = shows ? show_progress : NULL;
	int fd;

	*ret_from = recover->rundir ? recover->rundir : recover->image;
	if (recover->rundir)
		return tb_remains_of_rundir(recover->rundir, &recover->remains, message, size);
	if (recover->image)
		return tb_remains_of_image(recover->image, progress, recover, &recover->remains, message, size);
	fd = tb_previous_open(ret_from, message, size);
	return fd < 0 ? fd : tb_remains_of_fd(fd, *ret_from, progress, recover, &recover->remains, message, size);
}

static int find_remains(struct recover *recover)
{
	bool shows = isatty(STDERR_FILENO);
	char message[1024] = "";
	const char *from;
	int ret;

	recover->percent = 101;
	ret = look(recover, shows, &from, message, sizeof(message));
	if (shows && recover->percent <= 100)
		fputs("\r\033[K", stderr);
	if (ret)
		return tb_complain(TB_EXIT_ERROR, "recover: %s", message);
	if (!recover->remains.nr_rings)
		return tb_complain(TB_EXIT_ERROR, "recover: %s: no ring of a trace is in it (%s%s)", from,
				   recover->remains.format,
				   recover->remains.nr_damaged ? "; damaged headers were found" : "");
	return 0;
}

/* Ends what is in part; nothing at all of an earlier boot's trace makes none. *ret_path: NULL then. */
static int end_trace(const struct tb_recovery *recovery, const char *path, const char *part, const char **ret_path)
{
	bool is_empty = recovery->is_earlier && !recovery->nr_events;

	*ret_path = is_empty ? NULL : path;
	if (!is_empty)
		return tb_recover_place_end(path, part);
	tb_tree_remove(part, false);
	return 0;
}

static int write_trace(struct recover *recover, const struct tb_recover_place *place, size_t index,
		       bool *ret_damaged)
{
	const struct tb_remains_ring *ring = &recover->remains.ring[index];
	char path[TB_RECOVER_PATH_SIZE], part[TB_RECOVER_PATH_SIZE], message[1024] = "";
	struct tb_recovery recovery;
	const char *made;
	int ret;

	tb_recover_place_name(place, index, path, part);
	if (place->into && !access(path, F_OK)) {
		tb_report_known(&recover->report, ring->trace_name, path);
		return 0;
	}
	ret = tb_recovery_write(&recover->remains, ring->info.uuid, part, NULL, NULL, &recovery, message,
				sizeof(message));
	if (!ret) {
		ret = end_trace(&recovery, path, part, &made);
		snprintf(message, sizeof(message), "%.900s: %s", path, strerror(-ret));
	}
	if (ret)
		ret = tb_complain(TB_EXIT_ERROR, "recover: %s", message);
	else
		tb_report_trace(&recover->report, &recovery, made);
	*ret_damaged |= recovery.damaged;
	tb_recovery_free(&recovery);
	return ret;
}

static int write_all(struct recover *recover, bool *ret_damaged)
{
	const char *dir = recover->into ? recover->into : recover->output;
	struct tb_recover_place place;
	int code = tb_recover_place_init(&place, &recover->remains, dir, recover->into);

	if (code)
		return tb_complain(TB_EXIT_ERROR, "recover: %s: %s", dir, strerror(-code));
	for (size_t i = 0; i < recover->remains.nr_rings && !code; i++)
		if (tb_recover_place_is_first(&recover->remains, i))
			code = write_trace(recover, &place, i, ret_damaged);
	return code;
}

static int merge(struct recover *recover, bool *ret_damaged)
{
	struct tb_recovery recovery;
	char message[1024] = "";
	int ret = tb_merge(&recover->remains, recover->merge, recover->output, &recovery, message, sizeof(message));

	if (ret)
		ret = tb_complain(TB_EXIT_ERROR, "recover: %s", message);
	else
		tb_report_trace(&recover->report, &recovery, recover->output);
	*ret_damaged |= recovery.damaged || (recovery.is_earlier && recover->remains.nr_earlier);
	tb_recovery_free(&recovery);
	return ret;
}

static int do_recover(struct recover *recover)
{
	bool damaged = false;
	int code = 0;

	if (recover->output && !access(recover->output, F_OK))
		return tb_complain(TB_EXIT_ERROR, "recover: %s exists already", recover->output);
	code = find_remains(recover);
	if (code)
		return code;
	damaged = recover->remains.nr_damaged;
	tb_report_begin(&recover->report, recover->json, &recover->remains);
	code = recover->merge ? merge(recover, &damaged) : write_all(recover, &damaged);
	tb_report_end(&recover->report);
	return code ? code : damaged ? TB_EXIT_WARNING : TB_EXIT_OK;
}

static int parse_arguments(int argc, char **argv, struct recover *recover)
{
	int rest, code = tb_options_parse(argc, argv, options, 0, take_option, recover, &rest);

	if (code || recover->help || recover->list_options)
		return code;
	if (rest != argc)
		return tb_complain(TB_EXIT_UNDEFINED, "recover: '%s': no argument is expected (see tracebuf recover --help)",
				   argv[rest]);
	if (!!recover->rundir + !!recover->image + recover->previous_boot != 1)
		return tb_complain(TB_EXIT_UNDEFINED, "recover: from what? one of --rundir, --core, --vmcore, "
				   "--previous-boot");
	if (!recover->output == !recover->into)
		return tb_complain(TB_EXIT_UNDEFINED, "recover: where to? -o DIR, or --into DIR");
	if (recover->into && recover->merge)
		return tb_complain(TB_EXIT_UNDEFINED, "recover: what --merge makes goes to -o DIR");
	return 0;
}

int tb_recover_main(int argc, char **argv)
{
	struct recover recover = { 0 };
	int code = parse_arguments(argc, argv, &recover);

	if (!code && recover.help) {
		printf("Usage: tracebuf recover --rundir DIR | --core FILE | --vmcore FILE | --previous-boot\n"
		       "                        [--merge TRACE] -o DIR | --into DIR\n"
		       "Makes traces of what a crash has left in memory.\n\n");
		tb_options_help(options);
	} else if (!code && recover.list_options) {
		tb_options_list(options);
	} else if (!code) {
		code = do_recover(&recover);
	}
	tb_remains_free(&recover.remains);
	free((char *) recover.rundir);
	free((char *) recover.image);
	free((char *) recover.output);
	free((char *) recover.into);
	free((char *) recover.merge);
	return code;
}
