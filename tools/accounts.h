/* SPDX-License-Identifier: MIT */
#ifndef TB_ACCOUNTS_H
#define TB_ACCOUNTS_H

#include <stddef.h>

/*
 * Prints the accounts of the one trace in the daemon's `status` (JSON) as a table on stderr: a line for each process,
 * the sums, and advice where events were lost. 0, or an exit code after one line on stderr.
 */
int tb_accounts_print(const char *json, size_t size, const char *directory);

#endif
