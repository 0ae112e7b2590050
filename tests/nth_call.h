/* SPDX-License-Identifier: MIT */
#ifndef TB_NTH_CALL_H
#define TB_NTH_CALL_H

/*
 * Runs argv and lets the n-th (from 1) of its system calls that may fail in practice fail with error; n = 0: none.
 * *ret_nr: how many such calls it made. The status as of waitpid(); -ENOSYS where this machine cannot do it.
 */
int nth_call_run(char *const *argv, unsigned int n, int error, unsigned int *ret_nr);

#endif
