/* SPDX-License-Identifier: MIT */
#ifndef TB_RSEQ_CHECK_H
#define TB_RSEQ_CHECK_H

#include <stdbool.h>

/*
 * Does this kernel abort a restartable sequence that was preempted? Two threads on one CPU find out, in some 10 ms.
 * false also where that cannot be told: no rseq, no second thread.
 */
bool tb_rseq_works(void);

#endif
