/* SPDX-License-Identifier: MIT */
#ifndef TB_TAKEOVER_H
#define TB_TAKEOVER_H

#include "daemon.h"

/* Takes over the traces of a daemon that was killed, and removes what belongs to none. 0 or -errno. */
int tb_takeover(struct tb_daemon *daemon);
/* Is there a trace of this generation that nobody has ended? Taken over or not. */
bool tb_takeover_waits(const struct tb_daemon *daemon, uint64_t generation);
/* Once their rings are known again: brings the files of stopped traces up to date. */
void tb_takeover_complete(struct tb_daemon *daemon);

#endif
