/* SPDX-License-Identifier: MIT */
#ifndef TB_COMMAND_H
#define TB_COMMAND_H

#include <stdio.h>
#include "recording.h"

#define TB_REQUEST_SIZE 65536
#define TB_REQUEST_PAIRS 1024

/* A parsed request: verb and key=value lines. Points into its text. */
struct tb_request {
	const char *verb;
	unsigned int nr_pairs;
	struct {
		const char *key, *value;
	} pair[TB_REQUEST_PAIRS];
};

/* Exit codes of lttng, which clients hand on. */
enum tb_exit {
	TB_EXIT_OK = 0,
	TB_EXIT_ERROR = 1,
	TB_EXIT_UNDEFINED = 2,
	TB_EXIT_FATAL = 3,
	TB_EXIT_WARNING = 4,
};

struct tb_answer {
	enum tb_exit code;
	struct tb_message message;
	FILE *out;			/* what the client prints */
	bool again;			/* nothing was done: to be tried again in some milliseconds */
	bool last;			/* the daemon ends when this was sent */
};

/*
 * Parses text (size bytes, changed by it; ends behind the first empty line). 0, -EAGAIN (not all here yet), -EINVAL
 * (no verb, a line that is no key=value, a NUL), -E2BIG (too many lines). Pure.
 */
int tb_request_parse(char *text, size_t size, struct tb_request *ret_request);
/* The value of the only, or first, such key; NULL. */
const char *tb_request_get(const struct tb_request *request, const char *key);
/* The next value of key from pair *at on, which moves behind it; NULL. */
const char *tb_request_next(const struct tb_request *request, const char *key, unsigned int *at);

/* Does what the request says. verbs.c */
void tb_verb_run(struct tb_daemon *daemon, const struct tb_request *request, struct tb_answer *answer);

/* Serves the control socket from now on. */
void tb_command_start(struct tb_daemon *daemon);

#endif
