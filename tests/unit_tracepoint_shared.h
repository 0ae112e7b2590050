/* SPDX-License-Identifier: MIT */
#ifndef TB_UNIT_TRACEPOINT_SHARED_H
#define TB_UNIT_TRACEPOINT_SHARED_H

/* Events in a header: each source that uses one has its own record of it. */
#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(shared, both, (int, from), (const char *, class));
TRACEBUF_EVENT(shared, nobody, (int, never_used));

/* Records "shared:both" from another source of the same object. */
#ifdef __cplusplus
extern "C"
#endif
void unit_tracepoint_other(void);

#endif
