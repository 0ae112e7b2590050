/* SPDX-License-Identifier: MIT */
#ifndef TB_RECOVERY_REPORT_H
#define TB_RECOVERY_REPORT_H

#include "recovery.h"

/* The report of a recovery, on stdout: for people, or JSON. */
struct tb_report {
	bool json;
	unsigned int nr_traces;
};

/* format: where the rings were found. nr_damaged: headers that were found and were wrong. */
void tb_report_begin(struct tb_report *report, bool json, const char *format, size_t nr_damaged);
/* A trace that was written to path. */
void tb_report_trace(struct tb_report *report, const struct tb_recovery *recovery, const char *path);
void tb_report_end(struct tb_report *report);

#endif
