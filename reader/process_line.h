/* SPDX-License-Identifier: MIT */
#ifndef TB_PROCESS_LINE_H
#define TB_PROCESS_LINE_H

#include <stdio.h>
#include "ring.h"

/* Prints the line of the file .processes that says who a process is. */
void tb_process_line(FILE *out, const struct tb_process_info *process);

#endif
