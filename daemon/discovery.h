/* SPDX-License-Identifier: MIT */
#ifndef TB_DISCOVERY_H
#define TB_DISCOVERY_H

#include "daemon.h"

/* Takes up what is in the run directory, then lets the loop watch it. 0 or -errno. */
int tb_discovery_start(struct tb_daemon *daemon);

/*
 * Reads all that inotify has, and the directories if something could not be looked at; then ends the processes that are
 * known to be dead.
 */
void tb_discovery_catch_up(struct tb_daemon *daemon);

#endif
