/* SPDX-License-Identifier: MIT */
#ifndef TB_COMMAND_H
#define TB_COMMAND_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#define TB_COMMAND_NOT_EXECUTABLE 126
#define TB_COMMAND_NOT_FOUND 127

/* The signals that we wait for while the command runs. They must be blocked before. */
void tb_command_signals(sigset_t *set);

/*
 * Finds name as the shell does (PATH). 0, or TB_COMMAND_NOT_FOUND, TB_COMMAND_NOT_EXECUTABLE after one line on stderr.
 */
int tb_command_find(const char *name, char *path, size_t size);

/* "NAME=VALUE" strings that the command gets in its environment, NULL at the end. */
struct tb_command {
	const char *path;
	char **argv;
	const char *const *environment;
	const sigset_t *mask;		/* the command's signal mask */
	bool (*tick)(void *context);	/* called about once a second; false: is not to be called again */
	void *tick_context;
};

/*
 * Runs the command and waits for it. Signals that somebody sends to us alone are handed on to it. Returns its exit
 * status as a shell shows it, or one of the two above after one line on stderr.
 */
int tb_command_run(const struct tb_command *command);

#endif
