/* SPDX-License-Identifier: MIT */
/* The second source of unit_tracepoint: it declares the same event, and one that only it has. */
#include "unit_tracepoint_shared.h"

TRACEBUF_EVENT(other, own);

void unit_tracepoint_other(void)
{
	tracebuf_event(shared, both, 2, "other");
	tracebuf_event(other, own);
}
