/* SPDX-License-Identifier: MIT */
#ifndef TB_PACKET_H
#define TB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>
#include "description.h"
#include "packet_head.h"
#include "ring.h"

/* One event in a packet's bytes. Pointers lie in those bytes. */
struct tb_event {
	const struct tb_event_class *class;
	uint64_t time;			/* clock ticks */
	const uint8_t *context;		/* as the stream class's context bits say, packed */
	const uint8_t *payload;
	size_t payload_size;
};

/*
 * A walk over the events of one packet. The bytes may come in pieces: see tb_event_iter_next(). The fields up to end
 * may be read by all.
 */
struct tb_event_iter {
	const struct tb_stream_class *class;
	const uint8_t *at;		/* the next event; on an error, the event that is wrong */
	const uint8_t *end;		/* end of the bytes that are here */
	uint64_t time;			/* of the last event; timestamp_begin at first */
	uint64_t time_end;		/* no event is later */
	uint64_t nr_events;		/* so far */
	size_t context_size;
	bool more;			/* content goes on behind end */
};

/* What tb_packet_walk() found. */
struct tb_packet_walk {
	uint64_t nr_events;
	uint64_t first_time, last_time;	/* ticks; timestamp_begin if there is no event */
	size_t valid_size;		/* bytes from the packet's start that whole, right events reach to */
};

/*
 * Do the bytes behind a finished packet's head add up to its content_sum, if it has one? size: bytes of the packet that
 * are there, at least content_size. Pure.
 */
bool tb_packet_sum_is_right(const void *packet, size_t size);

/* Bytes of event context. */
size_t tb_context_size(uint32_t context);

/*
 * Begin a walk over content (what lies behind the packet header), size bytes. time_begin: the packet's
 * timestamp_begin; time_end: its timestamp_end, or UINT64_MAX where it has none. class must outlive the walk.
 */
void tb_event_iter_init(struct tb_event_iter *iter, const struct tb_stream_class *class, const void *content,
			size_t size, uint64_t time_begin, uint64_t time_end);

/*
 * The next event: 1 and *ret_event, 0 at the end, -EBADMSG (unknown id, time goes back or too far, does not end
 * inside: iter->at is where), -EAGAIN (only where the caller has set iter->more: the next event is not all here; put
 * the bytes from iter->at on, and what follows them, elsewhere, set at, end and more, and call again). Never reads
 * outside at ... end. Any thread; hostile bytes.
 */
int tb_event_iter_next(struct tb_event_iter *iter, struct tb_event *ret_event);

/*
 * Walk all events of a packet, content_size bytes from its header's first byte on. 0 or -EBADMSG; *walk is set in both
 * cases (up to where it is right). time_end: no event is later than this.
 */
int tb_packet_walk(const void *packet, size_t content_size, const struct tb_stream_class *class, uint64_t time_end,
		   struct tb_packet_walk *walk);

#endif
