/* SPDX-License-Identifier: MIT */
#ifndef TB_DAEMON_STATEDUMP_H
#define TB_DAEMON_STATEDUMP_H

#include "process.h"
#include "recording.h"

/*
 * Looks into an open process file: a statedump that is new goes into .statedump of every trace that is active, a line
 * of JSON. What cannot be had now is had by the next look.
 */
void tb_statedump_take(struct tb_process *process, int fd);

/* Has statedumps made of all processes of the trace, and takes them. */
void tb_statedump_request(struct tb_recording *recording);

/* Does a channel of the trace record addresses? */
bool tb_statedump_is_published(const struct tb_recording *recording);

/*
 * If so, makes the stream that tells other readers of processes' objects, from .statedump in the trace directory dir, and
 * brings the metadata there up to date.
 */
void tb_statedump_publish(struct tb_recording *recording, int dir);

#endif
