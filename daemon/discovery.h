/* SPDX-License-Identifier: MIT */
#ifndef TB_DISCOVERY_H
#define TB_DISCOVERY_H

#include "daemon.h"

/* Takes up what there is, then lets the loop watch it. 0 or -errno. */
int tb_discovery_start(struct tb_daemon *daemon);
/* There is a trace now, perhaps: then what happens is heard at once. */
void tb_discovery_listen(struct tb_daemon *daemon);

/*
 * Reads all that is new, and lists all there is if something could not be looked at; then ends the processes that are
 * known to be dead. With all rings of now, also those that the home would tell of later. For verbs.
 */
void tb_discovery_settle(struct tb_daemon *daemon);

/* For the home, which knows names: of a process file, a ring. data: the daemon; the recording. */
void tb_discovery_process_found(void *data, const char *name);
void tb_discovery_ring_found(void *data, const char *name);
/* There is something new in it. */
void tb_discovery_process_changed(struct tb_daemon *daemon, const char *name);
/* No such process any more; its rings are still there. */
void tb_discovery_process_gone(struct tb_daemon *daemon, const char *name);
/* Lists all that there is: something may have been missed. */
void tb_discovery_rescan(struct tb_daemon *daemon);
/* Reads what inotify has to its end, and nothing else. */
void tb_discovery_read_inotify(struct tb_daemon *daemon);

#endif
