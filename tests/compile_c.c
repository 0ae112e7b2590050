/* SPDX-License-Identifier: MIT */
/*
 * What programs outside may write, in the common part of C and C++: compiled as C11, gnu11, C17, gnu17, C23 and as
 * C++17 and C++20, with every warning an error; linked with another source and a shared object that have the same
 * event; run.
 */
#include <tracebuf/tracebuf.h>
#include "compile_events.h"
#include <stdio.h>
#include <sys/types.h>
#ifndef __cplusplus
#include <stdbool.h>
#endif

enum kind { NONE, SOME };
struct hidden;

TRACEBUF_EVENT(compile, nothing);
TRACEBUF_EVENT(compile, integers, (int8_t, a), (uint8_t, b), (int16_t, c), (uint16_t, d), (int32_t, e), (uint32_t, f),
	       (int64_t, g), (uint64_t, h), (char, i), (bool, j), (enum kind, k), (size_t, l), (pid_t, m), (off_t, n));
TRACEBUF_EVENT(compile, c_integers, (signed char, a), (unsigned char, b), (short, c), (unsigned short, d), (int, e),
	       (unsigned int, f), (long, g), (unsigned long, h), (long long, i), (unsigned long long, j));
TRACEBUF_EVENT(compile, others, (float, a), (double, b), (void *, c), (const struct hidden *, d), (const char *, e),
	       (char *, f));
TRACEBUF_EVENT(compile, sequences, (const int8_t *, a, na), (const uint8_t *, b, nb), (const int16_t *, c, nc),
	       (const uint16_t *, d, nd), (const int32_t *, e, ne), (const uint32_t *, f, nf), (const int64_t *, g, ng),
	       (const uint64_t *, h, nh), (unsigned char *, i, ni), (const char *, j, nj));
TRACEBUF_EVENT(compile, sixteen, (int, f1), (const char *, f2), (long, f3), (const uint8_t *, f4, nr_f4), (double, f5),
	       (float, f6), (char, f7), (void *, f8), (int, f9), (const char *, f10), (long, f11),
	       (const uint64_t *, f12, nr_f12), (double, f13), (float, f14), (char, f15), (void *, f16));

static int record(int number)
{
	static const uint8_t bytes[] = { 1, 2, 3 };
	static const uint64_t longs[] = { 1, 2, 3 };
	char mine[] = "mine";

	tracebuf_event(compile, nothing);
	tracebuf_event(compile, integers, -1, 1, -1, 1, -1, 1, -1, 1, 'a', true, SOME, sizeof(bytes), 1, 1);
	tracebuf_event(compile, c_integers, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1);
	tracebuf_event(compile, others, 1.5f, 2.5, mine, NULL, "text", mine);
	tracebuf_event(compile, sequences, NULL, 0, bytes, sizeof(bytes), NULL, 0, NULL, 0, NULL, 0, NULL, 0, NULL, 0, longs,
		       3, (unsigned char *) mine, sizeof(mine), mine, 1);
	tracebuf_event(compile, sixteen, 1, "2", 3, bytes, 3, 5.0, 6.0f, '7', mine, 9, NULL, 11, longs, 3, 13.0, 14.0f, '5',
		       NULL);
	if (number)
		tracebuf_event(compile, common, __FILE__, number);
	else
		tracebuf_event(compile, nothing);
	return tracebuf_event_enabled(compile, common) + compile_source(number) + compile_object(number);
}

int main(void)
{
	struct tracebuf *tracebuf = tracebuf_alloc();
	struct tracebuf_field_description field = { "value", TRACEBUF_FIELD_INTEGER, 4, TRACEBUF_FIELD_SIGNED, 0 };
	int32_t value = record(1);
	int id = tracebuf_event_describe(tracebuf, "compile:described", &field, 1, 13);

	if (tracebuf_event_is_enabled(tracebuf, id))
		tracebuf_event_write(tracebuf, id, &value, sizeof(value));
	tracebuf_free(tracebuf);
	return value != 2;
}
