/* SPDX-License-Identifier: MIT */
#ifndef TB_STATEDUMP_STREAM_H
#define TB_STATEDUMP_STREAM_H

#include <stdbool.h>
#include "description.h"
#include "places.h"

/* The name of its file in a trace's directory. No channel's stream file can have it. */
#define TB_STATEDUMP_STREAM "statedump"
/* How the names of its events begin. */
#define TB_STATEDUMP_PROVIDER "lttng_ust_statedump:"

/* The class of the stream; *ret_class is for tb_events_free(&ret_class->events). 0, -ENOMEM. */
int tb_statedump_stream_class(struct tb_stream_class *ret_class);
/* Its id: a constant. */
uint64_t tb_statedump_stream_id(void);
/* Does a trace whose events have this context need the stream? */
static inline bool tb_statedump_stream_serves(uint32_t context)
{
	return context & TRACEBUF_CONTEXT_IP;
}

/*
 * Makes the bytes of the stream file: all statedumps in places (which were sorted), a packet each, in the order of
 * time. uuid: the trace's. *ret_bytes is for free(); *ret_size 0: there is nothing to tell. 0, -ENOMEM.
 */
int tb_statedump_stream_make(const struct tb_places *places, const uint8_t uuid[16], char **ret_bytes,
			     size_t *ret_size);

#endif
