/* SPDX-License-Identifier: MIT */
/* An object with events of its own, one of which the program that loads it declares as well: test_objects.c. */
#include <stdint.h>

#include "tick.h"

#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(test, tick, (uint32_t, writer), (uint64_t, seq), (uint64_t, sum));
TRACEBUF_EVENT(test, plugin, (uint32_t, writer), (uint64_t, seq), (uint64_t, sum));

__attribute__((visibility("default"))) void plugin_write(uint32_t writer, uint64_t seq);

void plugin_write(uint32_t writer, uint64_t seq)
{
	if (seq % 2)
		tracebuf_event(test, tick, writer, seq, tick_sum(writer, seq));
	else
		tracebuf_event(test, plugin, writer, seq, tick_sum(writer, seq));
}
