/* SPDX-License-Identifier: MIT */
#ifndef TB_MERGE_H
#define TB_MERGE_H

#include "recovery.h"

/*
 * Completes the trace in the directory trace, which was being written when its machine or daemon died, by what memory
 * still held of it: path, a new directory, gets a copy of the trace, packets that were cut short left out, and below
 * crash/ what only memory has, with a link to it in path: readers of CTF, which do not look below a trace's directory,
 * find all of it there. No event is in both. Sets recovery up, for tb_recovery_free(). 0 or -errno, then message
 * says what and where; -ENOENT also if remains has nothing of this trace.
 */
int tb_merge(const struct tb_remains *remains, const char *trace, const char *path, struct tb_recovery *recovery,
	     char *message, size_t size);

#endif
