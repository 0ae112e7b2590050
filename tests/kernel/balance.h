/* SPDX-License-Identifier: MIT */
#ifndef TB_KERNEL_BALANCE_H
#define TB_KERNEL_BALANCE_H

#include "control.h"

/* What the kernel holds for traces and processes, at the beginning of a test program and after all that it did. */

/* Opens control and counts pages. false: there is no module, so the case is skipped, or it says what is wrong. */
bool balance_begin(struct control *control);
/* Asserts that no process is left, and no page more than at the beginning; waits for that. */
void balance_check(struct control *control);

/* The same, whole cases, of a program whose other cases share a trace: it is made behind, and destroyed before. */
void balance_begin_with(struct control *control, const char *name, const char *domain, struct control_trace *ret_trace);
void balance_end_with(struct control *control, struct control_trace *trace);

#endif
