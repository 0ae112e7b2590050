/* SPDX-License-Identifier: MIT */
#ifndef TB_TRACED_H
#define TB_TRACED_H

#include <stdbool.h>
#include "shared.h"

extern struct tick_shared *shared;

enum traced_kind { TRACED_TICK, TRACED_BLOB, TRACED_MIXED };

/* Writes events seq ... seq + nr - 1 of a writer and counts each when its call has returned. */
void traced_write(uint32_t writer, uint64_t seq, uint64_t nr, enum traced_kind kind);

/* As traced_write() goes on from where the writer is. */
void traced_more(uint32_t writer, uint64_t nr);

bool traced_stopped(void);

/* The action NAME with its arguments, in traced_process.c; -1: no such action. Returns what main() returns. */
int traced_process_action(int argc, char **argv);

#endif
