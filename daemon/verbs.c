/* SPDX-License-Identifier: MIT */
/*
 * The verbs of the control protocol: from a request's keys to the works on traces, and to what the client prints.
 *
 * Invariant: a request whose verb, keys or values are wrong changes nothing; all of it is checked before anything is
 * done.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "archive.h"
#include "command.h"
#include "discovery.h"
#include "home.h"
#include "output.h"
#include "reader/quote.h"
#include "status.h"

#define DEFAULT_CHANNEL "channel0"
#define DEFAULT_SUBBUF_SIZE (512u << 10)
#define DEFAULT_NR_SUBBUFS 4

static bool is_set(const struct tb_request *request, const char *key)
{
	const char *value = tb_request_get(request, key);

	return value && !strcmp(value, "1");
}

static bool wants_json(const struct tb_request *request)
{
	return is_set(request, "json");
}

/* The trace that the request names, or the only one. NULL and a message. */
static struct tb_recording *find_trace(struct tb_daemon *daemon, const struct tb_request *request,
				       struct tb_message *message)
{
	const char *name = tb_request_get(request, "trace");
	struct tb_recording *recording = NULL;
	int nr = 0;

	if (name) {
		recording = tb_recording_find(daemon, name);
		if (!recording)
			tb_fail(message, 0, "trace %.64s does not exist", name);
		return recording;
	}
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (daemon->recording[i]) {
			recording = daemon->recording[i];
			nr++;
		}
	if (nr == 1)
		return recording;
	tb_fail(message, 0, nr ? "there are %d traces: say which one" : "there is no trace", nr);
	return NULL;
}

static int parse_number(const struct tb_request *request, const char *key, uint64_t max, uint64_t *value,
			struct tb_message *message)
{
	const char *text = tb_request_get(request, key);
	char *end;

	if (!text)
		return 0;
	errno = 0;
	if (*text >= '0' && *text <= '9') {
		*value = strtoull(text, &end, 10);
		if (!errno && !*end && *value <= max)
			return 0;
	}
	return tb_fail(message, -EINVAL, "%s '%.64s': must be a number up to %" PRIu64, key, text, max);
}

static int run_version(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	if (wants_json(request)) {
		fprintf(answer->out, "{\"version\":\"%s\",\"abi\":%d,", PACKAGE_VERSION, TRACEBUF_ABI_VERSION);
		tb_home_print_json(answer->out, daemon);
		fputs("}\n", answer->out);
	} else {
		fprintf(answer->out, "tracebufd %s (layout %d), home %s\n", PACKAGE_VERSION, TRACEBUF_ABI_VERSION,
			daemon->home->name);
	}
	return 0;
}

/* What was done to a trace, where that is worth a line. */
static void tell(const struct tb_request *request, struct tb_answer *answer, const struct tb_recording *recording,
		 const char *what, const char *path)
{
	if (wants_json(request)) {
		fprintf(answer->out, "{\"trace\":\"%s\",\"output\":", recording->slot.name);
		tb_quote(answer->out, path);
		fputs("}\n", answer->out);
	} else {
		fprintf(answer->out, "Trace %s: %s %s\n", recording->slot.name, what, path);
	}
}

static int run_create(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	const struct tb_recording_options options = {
		.name = tb_request_get(request, "name"),
		.output = tb_request_get(request, "output"),
		.snapshot = is_set(request, "snapshot"),
		.sync = is_set(request, "sync"),
		.persistent = is_set(request, "persistent"),
	};
	struct tb_recording *recording;
	int ret;

	if (!options.name || !options.output)
		return tb_fail(&answer->message, -EINVAL, "create: %s is missing", options.name ? "output" : "name");
	ret = tb_recording_create(daemon, &options, &recording, &answer->message);
	if (!ret)
		tell(request, answer, recording, recording->snapshot ? "created, snapshots to" : "created, written to",
		     recording->output);
	answer->again = ret == -EAGAIN;
	return ret;
}

static int run_destroy(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	struct tb_recording *recording = find_trace(daemon, request, &answer->message);

	if (!recording)
		return -ENOENT;
	tb_recording_end(recording);
	/* The last accounts: with it they are gone. */
	tb_status_print(answer->out, daemon, recording, wants_json(request));
	if (recording->trouble) {
		answer->code = TB_EXIT_WARNING;
		tb_fail(&answer->message, 0, "trace %s: %s could not be written completely: %s", recording->slot.name,
			recording->output, strerror(recording->trouble));
	}
	tb_recording_remove(recording);
	return 0;
}

static void default_channel(const struct tb_recording *recording, const char *name, struct tracebuf_channel *channel)
{
	memset(channel, 0, sizeof(*channel));
	memcpy(channel->name, name, strnlen(name, sizeof(channel->name) - 1));
	channel->mode = recording->snapshot ? TRACEBUF_MODE_OVERWRITE : TRACEBUF_MODE_DISCARD;
	channel->context = TRACEBUF_CONTEXT_VTID;
	channel->subbuf_size = recording->persistent ? TRACEBUF_MAX_SUM_SIZE : DEFAULT_SUBBUF_SIZE;
	channel->nr_subbufs = DEFAULT_NR_SUBBUFS;
}

static int parse_mode(const struct tb_request *request, uint32_t *mode, struct tb_message *message)
{
	const char *text = tb_request_get(request, "mode");

	if (!text)
		return 0;
	for (uint32_t i = TRACEBUF_MODE_DISCARD; i <= TRACEBUF_MODE_BLOCK; i++)
		if (!strcmp(text, tb_mode_name(i))) {
			*mode = i;
			return 0;
		}
	return tb_fail(message, -EINVAL, "mode '%.64s': must be discard, overwrite or block", text);
}

static int parse_channel(const struct tb_request *request, struct tracebuf_channel *channel,
			 struct tb_message *message)
{
	uint64_t nr = channel->nr_subbufs, timeout = channel->block_timeout_ms, size = channel->subbuf_size;
	const char *context = tb_request_get(request, "context");
	int ret = parse_mode(request, &channel->mode, message);

	if (!ret)
		ret = parse_number(request, "subbuf-size", UINT64_MAX, &size, message);
	if (!ret)
		ret = parse_number(request, "num-subbuf", UINT32_MAX, &nr, message);
	if (!ret)
		ret = parse_number(request, "block-timeout", UINT32_MAX, &timeout, message);
	if (!ret && context && tb_context_parse(context, &channel->context))
		ret = tb_fail(message, -EINVAL, "context '%.64s': must be none, or of vtid,vpid,ip,procname", context);
	channel->subbuf_size = size;
	channel->nr_subbufs = nr;
	channel->block_timeout_ms = timeout;
	return ret;
}

static int run_enable_channel(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	struct tb_recording *recording = find_trace(daemon, request, &answer->message);
	const char *name = tb_request_get(request, "channel");
	struct tracebuf_channel channel;
	int ret;

	if (!recording)
		return -ENOENT;
	if (!name)
		return tb_fail(&answer->message, -EINVAL, "enable-channel: channel is missing");
	if (!tb_name_is_right(name))
		return tb_fail(&answer->message, -EINVAL, "channel name '%.64s': must be 1 to 63 of A-Z a-z 0-9 _ . - and "
			       "not begin with a dot", name);
	default_channel(recording, name, &channel);
	ret = parse_channel(request, &channel, &answer->message);
	return ret ? ret : tb_recording_add_channel(recording, &channel, &answer->message);
}

/* Adds every pattern of the request for one channel. */
static int add_patterns(const struct tb_request *request, struct tb_rules *rules, unsigned int channel, bool enable,
			struct tb_message *message)
{
	unsigned int at = 0;
	const char *pattern;

	while ((pattern = tb_request_next(request, "pattern", &at))) {
		int ret = tb_rules_add(rules, channel, enable, pattern);

		if (ret == -ENOSPC)
			return tb_fail(message, ret, "event %.64s: too many rules (%d bytes of them is the limit)", pattern,
				       TRACEBUF_RULES_SIZE);
		if (ret)
			return tb_fail(message, ret, "event pattern '%.64s': must be 1 to 1023 bytes long", pattern);
	}
	return 0;
}

static int add_rules(const struct tb_recording *recording, const struct tb_request *request, bool enable,
		     struct tb_rules *rules, bool *ret_needs_channel, struct tb_message *message)
{
	const char *name = tb_request_get(request, "channel");
	unsigned int at = 0;
	int ret = 0;

	*ret_needs_channel = !name && enable && !recording->slot.nr_channels;
	if (*ret_needs_channel)
		return add_patterns(request, rules, 0, enable, message);
	for (name = name ? tb_request_next(request, "channel", &at) : DEFAULT_CHANNEL; name && !ret;
	     name = tb_request_next(request, "channel", &at)) {
		int channel = tb_recording_channel(recording, name);

		if (channel < 0)
			return tb_fail(message, channel, "trace %s has no channel %.64s", recording->slot.name, name);
		ret = add_patterns(request, rules, channel, enable, message);
	}
	return ret;
}

static int change_rules(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer,
			bool enable)
{
	struct tb_recording *recording = find_trace(daemon, request, &answer->message);
	static struct tb_rules rules;
	struct tracebuf_channel channel;
	bool needs_channel;
	int ret;

	if (!recording)
		return -ENOENT;
	if (!tb_request_get(request, "pattern"))
		return tb_fail(&answer->message, -EINVAL, "%s: pattern is missing", request->verb);
	rules = recording->rules;
	ret = add_rules(recording, request, enable, &rules, &needs_channel, &answer->message);
	if (!ret && needs_channel) {
		default_channel(recording, DEFAULT_CHANNEL, &channel);
		ret = tb_recording_add_channel(recording, &channel, &answer->message);
	}
	return ret ? ret : tb_recording_set_rules(recording, &rules, &answer->message);
}

static int run_enable_event(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	return change_rules(daemon, request, answer, true);
}

static int run_disable_event(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	return change_rules(daemon, request, answer, false);
}

static int run_start(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	struct tb_recording *recording = find_trace(daemon, request, &answer->message);

	return recording ? tb_recording_start(recording, &answer->message) : -ENOENT;
}

static int run_stop(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	struct tb_recording *recording = find_trace(daemon, request, &answer->message);

	return recording ? tb_recording_stop(recording, &answer->message) : -ENOENT;
}

/* Of the trace that the request names, or of all. */
static int show(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer,
		void (*print)(FILE *out, struct tb_daemon *daemon, struct tb_recording *only, bool json))
{
	struct tb_recording *recording = NULL;

	if (tb_request_get(request, "trace")) {
		recording = find_trace(daemon, request, &answer->message);
		if (!recording)
			return -ENOENT;
	}
	tb_discovery_settle(daemon);
	print(answer->out, daemon, recording, wants_json(request));
	return 0;
}

static int run_status(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	return show(daemon, request, answer, tb_status_print);
}

static int run_list(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	return show(daemon, request, answer, tb_list_print);
}

static int run_snapshot(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	struct tb_recording *recording = find_trace(daemon, request, &answer->message);
	const char *output = tb_request_get(request, "output");
	char path[PATH_MAX];
	int ret;

	if (!recording)
		return -ENOENT;
	ret = tb_archive_snapshot(recording, output ? output : recording->output, path, sizeof(path), &answer->message);
	if (!ret)
		tell(request, answer, recording, "snapshot", path);
	return ret;
}

static int run_rotate(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	struct tb_recording *recording = find_trace(daemon, request, &answer->message);
	char path[PATH_MAX];
	int ret;

	if (!recording)
		return -ENOENT;
	ret = tb_archive_rotate(recording, path, sizeof(path), &answer->message);
	if (!ret)
		tell(request, answer, recording, "archived", path);
	return ret;
}

static int run_shutdown(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	(void) request;
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (daemon->recording[i]) {
			struct tb_recording *recording = daemon->recording[i];

			tb_recording_end(recording);
			tb_recording_remove(recording);
		}
	answer->last = true;
	return 0;
}

static const struct verb {
	const char *name;
	const char *keys;		/* besides json: each between spaces */
	int (*run)(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer);
} verbs[] = {
	{ "version", " ", run_version },
	{ "create", " name output snapshot sync persistent ", run_create },
	{ "destroy", " trace ", run_destroy },
	{ "enable-channel", " trace channel mode subbuf-size num-subbuf context block-timeout ", run_enable_channel },
	{ "enable-event", " trace channel pattern ", run_enable_event },
	{ "disable-event", " trace channel pattern ", run_disable_event },
	{ "start", " trace ", run_start },
	{ "stop", " trace ", run_stop },
	{ "status", " trace ", run_status },
	{ "list", " trace ", run_list },
	{ "snapshot", " trace output ", run_snapshot },
	{ "rotate", " trace ", run_rotate },
	{ "shutdown", " ", run_shutdown },
};

static int check_keys(const struct verb *verb, const struct tb_request *request, struct tb_message *message)
{
	for (unsigned int i = 0; i < request->nr_pairs; i++) {
		const char *key = request->pair[i].key;
		const char *found = strchr(key, ' ') ? NULL : strstr(verb->keys, key);
		size_t size = strlen(key);

		while (found && (found[-1] != ' ' || found[size] != ' '))
			found = strstr(found + 1, key);
		if (!found && strcmp(key, "json"))
			return tb_fail(message, -EINVAL, "%s: unknown key '%.64s'", verb->name, key);
	}
	return 0;
}

void tb_verb_run(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		int ret;

		if (strcmp(verbs[i].name, request->verb))
			continue;
		ret = check_keys(&verbs[i], request, &answer->message);
		if (!ret)
			ret = verbs[i].run(daemon, request, answer);
		if (ret)
			answer->code = ret == -ENOMEM ? TB_EXIT_FATAL : TB_EXIT_ERROR;
		return;
	}
	answer->code = TB_EXIT_UNDEFINED;
	tb_fail(&answer->message, 0, "unknown verb '%.64s'", request->verb);
}
