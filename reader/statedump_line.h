/* SPDX-License-Identifier: MIT */
#ifndef TB_STATEDUMP_LINE_H
#define TB_STATEDUMP_LINE_H

#include <stdio.h>
#include "ring.h"
#include "statedump.h"

/*
 * Prints the line of the file .statedump that says what a process's statedump says, which passed
 * tb_statedump_check(). ticks: the trace's clock at that time.
 */
void tb_statedump_line(FILE *out, const struct tb_process_info *process, const struct tracebuf_statedump *head,
		       const void *records, uint64_t ticks);

#endif
