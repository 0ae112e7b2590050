/* SPDX-License-Identifier: MIT */
#ifndef TB_CLIENT_H
#define TB_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#define TB_REQUEST_SIZE 65536

/* A request to the daemon: verb line, "key=value" lines, an empty line. */
struct tb_request {
	size_t size;
	char text[TB_REQUEST_SIZE];
};

/* What the daemon answered. Both strings end with a NUL; text may hold anything. */
struct tb_response {
	int code;			/* enum tb_exit */
	char *message;			/* one line, may be empty */
	char *text;			/* for stdout */
	size_t text_size;
};

void tb_request_begin(struct tb_request *request, const char *verb);

/* Adds key=value. 0, -EINVAL (a newline in value), -E2BIG. */
int tb_request_add(struct tb_request *request, const char *key, const char *value);

/* Adds key=value for each of the comma-separated values in list. 0, -EINVAL (an empty one, or a newline), -E2BIG. */
int tb_request_add_list(struct tb_request *request, const char *key, const char *list);

/* Does the request have a value for key? */
bool tb_request_has(const struct tb_request *request, const char *key);

/*
 * Sends the request to the daemon of rundir and waits for all of the answer. Blocks as long as the daemon lives and
 * works. 0; -ENOENT, -ECONNREFUSED: no daemon; -EPERM: the run directory is someone else's; -EPROTO: the answer is
 * none; else -errno.
 */
int tb_client_call(const char *rundir, struct tb_request *request, struct tb_response *ret_response);

void tb_response_free(struct tb_response *response);

#endif
