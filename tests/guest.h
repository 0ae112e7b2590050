/* SPDX-License-Identifier: MIT */
#ifndef TB_TEST_GUEST_H
#define TB_TEST_GUEST_H

#include <stdbool.h>
#include <sys/types.h>

/* A program (tests/manners) that has said its line and waits for its stdin's end, so that it can be looked at. */
struct guest {
	pid_t pid;
	int in;
	char line[256];
};

bool guest_start(struct guest *guest, const char *program, const char *nr);
void guest_stop(struct guest *guest);	/* it must exit 0 */

#endif
