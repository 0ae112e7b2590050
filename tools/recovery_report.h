/* SPDX-License-Identifier: MIT */
#ifndef TB_RECOVERY_REPORT_H
#define TB_RECOVERY_REPORT_H

#include "recovery.h"

/* The report of a recovery, on stdout: for people, or JSON. */
struct tb_report {
	bool json;
	unsigned int nr_traces;
};

/* Where the rings were found, and what boots told of themselves there. */
void tb_report_begin(struct tb_report *report, bool json, const struct tb_remains *remains);
/* A trace that was written to path; NULL: nothing was left of it. */
void tb_report_trace(struct tb_report *report, const struct tb_recovery *recovery, const char *path);
/* One that is there already, from an earlier recovery. */
void tb_report_known(struct tb_report *report, const char *name, const char *path);
void tb_report_end(struct tb_report *report);

#endif
