/* SPDX-License-Identifier: MIT */
#ifndef TB_TEST_CLIENT_H
#define TB_TEST_CLIENT_H

#include <stddef.h>

/* An answer of the daemon. */
struct client_reply {
	int code;		/* 0 ... 4 */
	char message[512];	/* may be empty */
	char *text;		/* what follows, NUL-terminated; client_reply_free() */
};

/*
 * One request over the control socket of a run directory. pairs: "key=value" strings, ended by NULL. 0, -errno (nobody
 * listens, the daemon died meanwhile: -EPROTO). Blocks until the daemon answers.
 */
int client_request(const char *rundir, const char *verb, const char *const *pairs, struct client_reply *ret_reply);

/* The same with the bytes of the request given as they are. */
int client_request_raw(const char *rundir, const void *request, size_t size, struct client_reply *ret_reply);

void client_reply_free(struct client_reply *reply);

#endif
