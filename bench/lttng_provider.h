/* SPDX-License-Identifier: MIT */
/* The events of event.c, declared for LTTng-UST. Built by bench/run at bench time, if LTTng-UST is there. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER bench
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "lttng_provider.h"

#if !defined(TB_LTTNG_PROVIDER_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define TB_LTTNG_PROVIDER_H

#include <lttng/tracepoint.h>

LTTNG_UST_TRACEPOINT_EVENT(bench, two_longs, LTTNG_UST_TP_ARGS(long, first, long, second),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(long, first, first)
			    lttng_ust_field_integer(long, second, second)))
LTTNG_UST_TRACEPOINT_EVENT(bench, one_int, LTTNG_UST_TP_ARGS(int, value),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(int, value, value)))
LTTNG_UST_TRACEPOINT_EVENT(bench, one_string, LTTNG_UST_TP_ARGS(const char *, text),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_string(text, text)))
LTTNG_UST_TRACEPOINT_EVENT(bench, eight_longs, LTTNG_UST_TP_ARGS(long, a, long, h),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(long, a, a) lttng_ust_field_integer(long, b, 1)
			    lttng_ust_field_integer(long, c, 2) lttng_ust_field_integer(long, d, 3)
			    lttng_ust_field_integer(long, e, 4) lttng_ust_field_integer(long, f, 5)
			    lttng_ust_field_integer(long, g, 6) lttng_ust_field_integer(long, h, h)))
LTTNG_UST_TRACEPOINT_EVENT(bench, idle, LTTNG_UST_TP_ARGS(long, first, long, second),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(long, first, first)
			    lttng_ust_field_integer(long, second, second)))

#endif

#include <lttng/tracepoint-event.h>
