/* SPDX-License-Identifier: MIT */
#ifndef TB_COMPILE_EVENTS_H
#define TB_COMPILE_EVENTS_H

/* One event that a program, each of its sources and a shared object have in common, and one that nobody uses. */
#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(compile, common, (const char *, from), (int, number));
TRACEBUF_EVENT(compile, unused, (const char *, from));

#ifdef __cplusplus
extern "C" {
#endif
int compile_source(int number);
int compile_object(int number);
#ifdef __cplusplus
}
#endif

#endif
