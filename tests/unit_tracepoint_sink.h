/* SPDX-License-Identifier: MIT */
#ifndef TB_UNIT_TRACEPOINT_SINK_H
#define TB_UNIT_TRACEPOINT_SINK_H

#include <stddef.h>
#include <stdint.h>
#include <tracebuf/write.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the last event was, as the library would have got it. */
struct sink {
	unsigned int nr_events;		/* since sink_reset() */
	const struct tracebuf__event *event;
	int is_staged;
	size_t size;			/* bytes of payload */
	const uint8_t *payload;
	int is_oversize;		/* larger than any sub-buffer: counted, not taken */
};
extern struct sink sink;

/* What registration has seen: events that are registered now, and calls. */
extern unsigned int sink_nr_events, sink_nr_registered, sink_nr_unregistered;

void sink_reset(void);

/* Switches the event with this name on or off in every source that declares it. How many there are. */
unsigned int sink_enable(const char *name, int enabled);

/* The last event, decoded by its description: "name { field = value, ... }"; says what is wrong if it does not fit. */
const char *sink_text(void);

#ifdef __cplusplus
}
#endif

#endif
