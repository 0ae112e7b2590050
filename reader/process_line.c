/* SPDX-License-Identifier: MIT */
/* A process of a trace as a line of JSON: daemon and recovery write the same. What it calls itself may be any bytes. */
#include "process_line.h"
#include <inttypes.h>
#include "quote.h"

#define NSEC_PER_SEC 1000000000u

void tb_process_line(FILE *out, const struct tb_process_info *process)
{
	fprintf(out, "{\"pid\":%d,\"incarnation\":%" PRIu64 ",\"parent_pid\":%d,\"procname\":", process->pid,
		process->incarnation, process->parent_pid);
	tb_quote(out, process->procname);
	fputs(",\"executable\":", out);
	tb_quote(out, process->executable);
	fprintf(out, ",\"start\":%" PRIu64 ".%09" PRIu64 "}\n", process->realtime_ns / NSEC_PER_SEC,
		process->realtime_ns % NSEC_PER_SEC);
}
