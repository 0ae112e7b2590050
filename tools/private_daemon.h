/* SPDX-License-Identifier: MIT */
#ifndef TB_PRIVATE_DAEMON_H
#define TB_PRIVATE_DAEMON_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include "libtracebuf/rundir.h"

/* A daemon of our own, with a run directory of its own. */
struct tb_private_daemon {
	char rundir[TB_RUNDIR_SIZE];
	const char *clock, *home;	/* NULL: the daemon chooses */
	pid_t pid;			/* 0: has ended */
	int stdin_fd;			/* closing it makes the daemon end in order */
	int log_fd;			/* its stderr */
	off_t log_shown;
};

/*
 * Makes the run directory and starts tracebufd in it, with the signal mask of mask. clock, home: as its options of
 * these names want them, or NULL. On return the daemon listens.
 * 0, or an exit code after one line on stderr; nothing is left then.
 */
int tb_private_daemon_start(struct tb_private_daemon *daemon, const char *clock, const char *home,
			    const sigset_t *mask);

/* Shows what the daemon has said since. False once it has ended. Never blocks. */
bool tb_private_daemon_check(struct tb_private_daemon *daemon);

/* Makes the daemon end in order if it has not, waits for it, removes the run directory. 0, or an exit code. */
int tb_private_daemon_end(struct tb_private_daemon *daemon);

#endif
