/* SPDX-License-Identifier: MIT */
/*
 * What is measured of tracebuf's own tracepoints. lttng_event.c declares the same events for LTTng-UST; the two keep
 * the same names, so that one enable rule and one loop serve both.
 */
#include "loop.h"

#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(bench, two_longs, (int64_t, first), (int64_t, second));
TRACEBUF_EVENT(bench, one_int, (int32_t, value));
TRACEBUF_EVENT(bench, one_string, (const char *, text));
TRACEBUF_EVENT(bench, eight_longs, (int64_t, a), (int64_t, b), (int64_t, c), (int64_t, d), (int64_t, e), (int64_t, f),
	       (int64_t, g), (int64_t, h));
TRACEBUF_EVENT(idle, two_longs, (int64_t, first), (int64_t, second));

static void run_two_longs(uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		tracebuf_event(bench, two_longs, (int64_t) i, (int64_t) n);
}

static void run_one_int(uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		tracebuf_event(bench, one_int, (int32_t) i);
}

static void run_one_string(uint64_t n)
{
	const char *text = "twenty characters ok";
	uint64_t i;

	for (i = 0; i < n; i++) {
		__asm__ volatile("" : "+r"(text));
		tracebuf_event(bench, one_string, text);
	}
}

static void run_eight_longs(uint64_t n)
{
	int64_t i, end = (int64_t) n;

	for (i = 0; i < end; i++)
		tracebuf_event(bench, eight_longs, i, 1, 2, 3, 4, 5, 6, end);
}

static void run_disabled(uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		tracebuf_event(idle, two_longs, (int64_t) i, (int64_t) n);
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
