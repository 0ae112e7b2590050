/* SPDX-License-Identifier: MIT */
/*
 * "tracebuf view": a trace directory as text or as JSON, one line an event.
 *
 * Invariant: stdout gets lines on events and nothing else; all that is to be said of the trace goes to stderr. What is
 * damaged is left out, said, and makes the exit code 4; nothing in a trace ends the program.
 */
#define _GNU_SOURCE
#include "view.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "../libtracebuf/pattern.h"
#include "../reader/statedump_stream.h"
#include "../reader/trace.h"
#include "addresses.h"
#include "complaint.h"
#include "options.h"
#include "view_line.h"

#define NSEC_PER_SEC 1000000000ll
#define BUFFER_SIZE (256u << 10)

/* Lines on damage: more do not help anybody. */
enum { MAX_REPORTS = 20 };

struct list {
	const char **item;
	size_t nr;
};

struct view {
	const char *dir;
	bool json, help, list_options;
	struct list processes, events;
	const char *from, *to;
	char *sysroot, *debug_dir;
	unsigned int nr_reports;
};

static const struct tb_option options[] = {
	{ 0, TB_OPTION_FLAG, "json", "json", "1", NULL, "one JSON object a line" },
	{ 'p', TB_OPTION_TEXT, "process", "process", NULL, "PID|NAME", "only these processes; may be repeated" },
	{ 'e', TB_OPTION_TEXT, "event", "event", NULL, "GLOB", "only these events; may be repeated" },
	{ 0, TB_OPTION_TEXT, "from", "from", NULL, "TIME", "nothing before: seconds, or [YYYY-MM-DDT]HH:MM:SS[.frac]" },
	{ 0, TB_OPTION_TEXT, "to", "to", NULL, "TIME", "nothing after" },
	{ 0, TB_OPTION_PATH, "sysroot", "sysroot", NULL, "DIR", "the traced programs' files are below DIR" },
	{ 0, TB_OPTION_PATH, "debug-dir", "debug-dir", NULL, "DIR",
	  "debugging information is in DIR/.build-id (default: /usr/lib/debug)" },
	{ 0, TB_OPTION_IGNORED, "no-pager", "no-pager", NULL, NULL, "" },
	{ 'h', TB_OPTION_FLAG, "help", "help", "1", NULL, "show this help" },
	{ 0, TB_OPTION_FLAG, "list-options", "list-options", "1", NULL, "list the options' names" },
	{ 0, TB_OPTION_FLAG, NULL, NULL, NULL, NULL, NULL },
};

static int append(struct list *list, const struct tb_option *option, const char *item)
{
	const char **more;

	if (!*item)
		return tb_complain(TB_EXIT_ERROR, "view: --%s '': empty", option->name);
	more = realloc(list->item, (list->nr + 1) * sizeof(*more));
	if (!more)
		return tb_complain(TB_EXIT_FATAL, "view: out of memory");
	list->item = more;
	more[list->nr++] = item;
	return 0;
}

/* The option parser's value of a path does not outlive the call. */
static int keep_directory(char **to, const struct tb_option *option, const char *value)
{
	struct stat st;

	if (stat(value, &st))
		return tb_complain(TB_EXIT_ERROR, "view: --%s %s: %s", option->name, value, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return tb_complain(TB_EXIT_ERROR, "view: --%s %s: no directory", option->name, value);
	free(*to);
	*to = strdup(value);
	return *to ? 0 : tb_complain(TB_EXIT_FATAL, "view: out of memory");
}

static int take_option(void *context, const struct tb_option *option, const char *value)
{
	struct view *view = context;

	if (!strcmp(option->key, "process"))
		return append(&view->processes, option, value);
	if (!strcmp(option->key, "event"))
		return append(&view->events, option, value);
	if (!strcmp(option->key, "sysroot"))
		return keep_directory(&view->sysroot, option, value);
	if (!strcmp(option->key, "debug-dir"))
		return keep_directory(&view->debug_dir, option, value);
	if (!strcmp(option->key, "from"))
		view->from = value;
	else if (!strcmp(option->key, "to"))
		view->to = value;
	else if (!strcmp(option->key, "json"))
		view->json = true;
	else if (!strcmp(option->key, "help"))
		view->help = true;
	else
		view->list_options = true;
	return 0;
}

static bool want_process(void *data, int32_t pid, const char *procname)
{
	const struct view *view = data;
	char text[16];

	snprintf(text, sizeof(text), "%" PRId32, pid);
	for (size_t i = 0; i < view->processes.nr; i++)
		if (!strcmp(view->processes.item[i], text) || tb_pattern_match(view->processes.item[i], procname))
			return true;
	return !view->processes.nr;
}

static bool want_event(void *data, const char *name)
{
	const struct view *view = data;

	for (size_t i = 0; i < view->events.nr; i++)
		if (tb_pattern_match(view->events.item[i], name))
			return true;
	/* What a trace tells of processes to other readers is no event of a program. */
	return !view->events.nr && strncmp(name, TB_STATEDUMP_PROVIDER, strlen(TB_STATEDUMP_PROVIDER));
}

static void report(void *data, const char *message)
{
	struct view *view = data;

	if (view->nr_reports < MAX_REPORTS)
		tb_complain(0, "view: %s", message);
	else if (view->nr_reports == MAX_REPORTS)
		tb_complain(0, "view: there is more that is damaged");
	view->nr_reports++;
}

/* ".frac" or nothing, up to nine digits, to nanoseconds. false: neither. */
static bool parse_fraction(const char *text, int64_t *ret_ns)
{
	int64_t ns = 0, unit = NSEC_PER_SEC / 10;

	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; text++, unit /= 10)
			ns += (*text - '0') * unit;
	}
	*ret_ns = ns;
	return !*text;
}

/* mktime(3), but for days that no calendar has: it takes February 30 for March 2. */
static bool make_time(struct tm *tm, int64_t *ret_seconds)
{
	int day = tm->tm_mday;

	*ret_seconds = mktime(tm);
	return tm->tm_mday == day;
}

/* A moment as the user gives it; a time of day is of the local date of begin_ns. 0, -EINVAL. */
static int parse_time(const char *text, int64_t begin_ns, int64_t *ret_ns)
{
	static const char *const formats[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%H:%M:%S" };
	time_t begin = begin_ns / NSEC_PER_SEC;
	const char *end = NULL;
	int64_t seconds = 0, ns;
	struct tm tm;

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]) && !end; i++) {
		if (!localtime_r(&begin, &tm))
			return -EINVAL;
		tm.tm_isdst = -1;
		end = strptime(text, formats[i], &tm);
		if (end && !make_time(&tm, &seconds))
			return -EINVAL;
	}
	if (!end && *text >= '0' && *text <= '9') {
		char *behind;

		errno = 0;
		seconds = strtoll(text, &behind, 10);
		end = errno ? NULL : behind;
	}
	if (!end || !parse_fraction(end, &ns) || seconds < 0 || seconds > INT64_MAX / NSEC_PER_SEC - 1)
		return -EINVAL;
	*ret_ns = seconds * NSEC_PER_SEC + ns;
	return 0;
}

static int set_range(const struct view *view, struct tb_trace *trace)
{
	int64_t begin_ns = tb_trace_begin_ns(trace), from_ns = INT64_MIN, to_ns = INT64_MAX;

	if (view->from && parse_time(view->from, begin_ns, &from_ns))
		return tb_complain(TB_EXIT_ERROR, "view: --from '%s': not a time", view->from);
	if (view->to && parse_time(view->to, begin_ns, &to_ns))
		return tb_complain(TB_EXIT_ERROR, "view: --to '%s': not a time", view->to);
	tb_trace_set_range(trace, from_ns, to_ns);
	return 0;
}

/* Puts all events. 0 or an exit code. */
static int put_events(struct tb_trace *trace, struct tb_line_maker *maker)
{
	const struct tb_trace_event *event;
	int more;

	while ((more = tb_trace_next(trace, &event)) > 0 && !maker->output->err) {
		more = tb_line_put(maker, event);
		if (more)
			break;
	}
	tb_output_flush(maker->output);
	if (more < 0)
		return tb_complain(TB_EXIT_FATAL, "view: %s", strerror(-more));
	/* A reader that has seen enough, as head(1), is no failure. */
	if (maker->output->err && maker->output->err != -EPIPE)
		return tb_complain(TB_EXIT_ERROR, "view: cannot write: %s", strerror(-maker->output->err));
	return 0;
}

static int put_accounts(struct tb_trace *trace)
{
	struct tb_trace_totals totals;

	tb_trace_totals(trace, &totals);
	if (totals.nr_discarded)
		tb_complain(0, "view: %" PRIu64 " events were discarded: there was no room for them",
			    totals.nr_discarded);
	if (totals.nr_missing)
		tb_complain(0, "view: %" PRIu64 " events are missing between packets", totals.nr_missing);
	return totals.nr_damaged ? TB_EXIT_WARNING : TB_EXIT_OK;
}

static int put_trace(struct view *view, struct tb_trace *trace, char *buffer)
{
	struct tb_line_maker maker = {
		.json = view->json, .want_event = want_event, .data = view, .find_place = tb_addresses_find,
	};
	const struct tb_symbols_options symbols_options = { view->sysroot, view->debug_dir };
	struct tb_trace_totals totals;
	struct tb_output output;
	int code = set_range(view, trace);

	if (code)
		return code;
	tb_trace_totals(trace, &totals);
	tb_output_init(&output, STDOUT_FILENO, buffer, BUFFER_SIZE);
	maker.output = &output;
	maker.place_data = tb_addresses_make(trace, view->dir, &symbols_options);
	if (!maker.place_data || tb_line_maker_init(&maker, totals.nr_streams)) {
		tb_addresses_free(maker.place_data);
		return tb_complain(TB_EXIT_FATAL, "view: out of memory");
	}
	code = put_events(trace, &maker);
	tb_line_maker_free(&maker);
	tb_addresses_free(maker.place_data);
	return code ? code : put_accounts(trace);
}

static int view_dir(struct view *view)
{
	const struct tb_trace_options trace_options = { want_process, report, view };
	char *buffer = malloc(BUFFER_SIZE), message[1024];
	struct tb_trace *trace = NULL;
	int code;

	if (!buffer)
		code = tb_complain(TB_EXIT_FATAL, "view: out of memory");
	else if (tb_trace_open(view->dir, &trace_options, &trace, message, sizeof(message)))
		code = tb_complain(TB_EXIT_ERROR, "view: %s", message);
	else
		code = put_trace(view, trace, buffer);
	tb_trace_close(trace);
	free(buffer);
	return code;
}

static int parse_arguments(int argc, char **argv, struct view *view)
{
	int rest, code = tb_options_parse(argc, argv, options, 0, take_option, view, &rest);

	if (code || view->help || view->list_options)
		return code;
	if (argc - rest != 1)
		return tb_complain(TB_EXIT_UNDEFINED, "view: %s (see tracebuf view --help)",
				   rest == argc ? "which directory?" : "one directory, please");
	view->dir = argv[rest];
	return 0;
}

int tb_view_main(int argc, char **argv)
{
	struct view view = { 0 };
	int code = parse_arguments(argc, argv, &view);

	if (!code && view.help) {
		printf("Usage: tracebuf view [OPTION]... DIR\n"
		       "Prints the trace in directory DIR, one line an event.\n\n");
		tb_options_help(options);
	} else if (!code && view.list_options) {
		tb_options_list(options);
	} else if (!code) {
		signal(SIGPIPE, SIG_IGN);
		code = view_dir(&view);
	}
	free(view.sysroot);
	free(view.debug_dir);
	free(view.processes.item);
	free(view.events.item);
	return code;
}
