/* SPDX-License-Identifier: MIT */
#ifndef TB_SAVE_PREVIOUS_H
#define TB_SAVE_PREVIOUS_H

struct tb_daemon;

/*
 * Has `tracebuf recover` save what the previous boot left in memory below the directory dir, if it is not there already;
 * goes on meanwhile. What became of it is told by one line. Nothing depends on it.
 */
void tb_save_previous(struct tb_daemon *daemon, const char *dir);

#endif
