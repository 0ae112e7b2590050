/* SPDX-License-Identifier: MIT */
/*
 * Packets: the one decoder of events that daemon, viewer, recovery and tests share.
 *
 * Invariants: the decoder reads only the bytes that it was given, whatever they hold; an event that it returns lies
 * in them whole, its class is known, and its time is neither before the event before it nor after the packet's end.
 *
 * Formats: include/tracebuf/abi.h (event header). CTF 1.8 section 4.1.3 for how the 27 low
 * bits of a time are carried forward.
 */
#include "packet.h"
#include <endian.h>
#include <errno.h>
#include <string.h>
#include "../libtracebuf/content_sum.h"

#define TIME_MASK ((1ull << TRACEBUF_WINDOW_BITS) - 1)

bool tb_packet_sum_is_right(const void *packet, size_t size)
{
	struct tracebuf_packet head;

	memcpy(&head, packet, sizeof(head));
	if (!head.content_sum)
		return true;
	return head.content_size / 8 >= sizeof(head) && head.content_size / 8 <= size &&
	       tb_content_sum((const char *) packet + sizeof(head), head.content_size / 8 - sizeof(head)) ==
	       head.content_sum;
}

size_t tb_context_size(uint32_t context)
{
	return (context & TRACEBUF_CONTEXT_VTID ? 4 : 0) + (context & TRACEBUF_CONTEXT_VPID ? 4 : 0) +
	       (context & TRACEBUF_CONTEXT_IP ? 8 : 0) +
	       (context & TRACEBUF_CONTEXT_PROCNAME ? TRACEBUF_CONTEXT_PROCNAME_SIZE : 0);
}

void tb_event_iter_init(struct tb_event_iter *iter, const struct tb_stream_class *class, const void *content,
			size_t size, uint64_t time_begin, uint64_t time_end)
{
	iter->class = class;
	iter->at = content;
	iter->end = iter->at + size;
	iter->time = time_begin;
	iter->time_end = time_end;
	iter->nr_events = 0;
	iter->context_size = tb_context_size(class->context);
	iter->more = false;
}

static uint32_t load_u32(const uint8_t *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return le32toh(word);
}

static uint64_t load_u64(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return le64toh(word);
}

/* Decodes the event header at the start of size bytes. Returns its size, 0 if it is not all here. */
static size_t decode_header(const uint8_t *at, size_t size, uint64_t last_time, uint32_t *ret_id, uint64_t *ret_time)
{
	uint64_t time;
	uint32_t word;

	if ((at[0] & 31) == TRACEBUF_ID_FULL) {
		if (size < TRACEBUF_EVENT_HEADER_MAX_SIZE)
			return 0;
		*ret_id = load_u32(at + 1);
		*ret_time = load_u64(at + 5);
		return TRACEBUF_EVENT_HEADER_MAX_SIZE;
	}
	if (size < 4)
		return 0;
	word = load_u32(at);
	time = (last_time & ~TIME_MASK) | word >> 5;
	*ret_time = time < last_time ? time + TIME_MASK + 1 : time;
	*ret_id = word & 31;
	if (*ret_id != TRACEBUF_ID_WIDE)
		return 4;
	if (size < 6)
		return 0;
	*ret_id = at[4] | at[5] << 8;
	return 6;
}

/* The end of the payload of a class whose events differ in size, or NULL if it is not before end. */
static const uint8_t *payload_end(const struct tb_event_class *class, const uint8_t *at, const uint8_t *end)
{
	for (const struct tb_field *field = class->field; field < class->field + class->nr_fields; field++) {
		uint64_t size = field->size;

		if (field->type == TRACEBUF_FIELD_STRING) {
			at = memchr(at, 0, end - at);
			if (!at)
				return NULL;
			at++;
			continue;
		}
		if (field->type == TRACEBUF_FIELD_SEQUENCE) {
			if (end - at < 4)
				return NULL;
			size *= load_u32(at);
			at += 4;
		}
		if ((uint64_t) (end - at) < size)
			return NULL;
		at += size;
	}
	return at;
}

int tb_event_iter_next(struct tb_event_iter *iter, struct tb_event *ret_event)
{
	const uint8_t *at = iter->at, *end = iter->end;
	const int cut = iter->more ? -EAGAIN : -EBADMSG;
	const struct tb_event_class *class;
	size_t header_size;
	uint64_t time;
	uint32_t id;

	if (at == end)
		return iter->more ? -EAGAIN : 0;
	header_size = decode_header(at, end - at, iter->time, &id, &time);
	if (!header_size)
		return cut;
	class = tb_events_find(&iter->class->events, id);
	if (!class || time < iter->time || time > iter->time_end)
		return -EBADMSG;
	if ((size_t) (end - at) < header_size + iter->context_size + class->min_size)
		return cut;
	ret_event->class = class;
	ret_event->time = time;
	ret_event->context = at + header_size;
	ret_event->payload = at = ret_event->context + iter->context_size;
	at = class->fixed ? at + class->min_size : payload_end(class, at, end);
	if (!at)
		return cut;
	ret_event->payload_size = at - ret_event->payload;
	iter->at = at;
	iter->time = time;
	iter->nr_events++;
	return 1;
}

int tb_packet_walk(const void *packet, size_t content_size, const struct tb_stream_class *class, uint64_t time_end,
		   struct tb_packet_walk *walk)
{
	struct tracebuf_packet head;
	struct tb_event_iter iter;
	struct tb_event event;
	int more;

	memset(walk, 0, sizeof(*walk));
	if (content_size < sizeof(head))
		return -EBADMSG;
	memcpy(&head, packet, sizeof(head));
	tb_event_iter_init(&iter, class, (const uint8_t *) packet + sizeof(head), content_size - sizeof(head),
			   head.timestamp_begin, time_end);
	walk->first_time = head.timestamp_begin;
	while ((more = tb_event_iter_next(&iter, &event)) > 0)
		if (iter.nr_events == 1)
			walk->first_time = event.time;
	walk->nr_events = iter.nr_events;
	walk->last_time = iter.time;
	walk->valid_size = iter.at - (const uint8_t *) packet;
	return more;
}
