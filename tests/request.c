/* SPDX-License-Identifier: MIT */
/* "request RUNDIR VERB KEY=VALUE...": the client for scripts. Exit code and text are the daemon's; 9: no answer. */
#include "client.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct client_reply reply;
	int r;

	if (argc < 3)
		return 9;
	r = client_request(argv[1], argv[2], (const char *const *) argv + 3, &reply);
	if (r) {
		fprintf(stderr, "request: %s: %s\n", argv[1], strerror(-r));
		return 9;
	}
	fputs(reply.text, stdout);
	if (reply.message[0])
		fprintf(stderr, "%s\n", reply.message);
	r = reply.code;
	client_reply_free(&reply);
	return r;
}
