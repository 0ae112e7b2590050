/* SPDX-License-Identifier: MIT */
/* What is measured of LTTng-UST's tracepoints: the loops of event.c. */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng_provider.h"
#include "loop.h"

static void run_two_longs(uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		lttng_ust_tracepoint(bench, two_longs, (long) i, (long) n);
}

static void run_one_int(uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		lttng_ust_tracepoint(bench, one_int, (int) i);
}

static void run_one_string(uint64_t n)
{
	const char *text = "twenty characters ok";
	uint64_t i;

	for (i = 0; i < n; i++) {
		__asm__ volatile("" : "+r"(text));
		lttng_ust_tracepoint(bench, one_string, text);
	}
}

static void run_eight_longs(uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		lttng_ust_tracepoint(bench, eight_longs, (long) i, (long) n);
}

static void run_disabled(uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		lttng_ust_tracepoint(bench, idle, (long) i, (long) n);
}

int main(int argc, char **argv)
{
	static const struct loop_subject subjects[] = {
		{ "counter", loop_run_counter }, { "empty", loop_run_empty }, { "two_longs", run_two_longs },
		{ "one_int", run_one_int }, { "one_string", run_one_string }, { "eight_longs", run_eight_longs },
		{ "disabled", run_disabled }, { NULL, NULL },
	};

	return loop_main(subjects, argc, argv);
}
