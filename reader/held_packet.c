/* SPDX-License-Identifier: MIT */
/*
 * A packet of up to 1 GiB that must be looked at to its end before a byte of it is believed.
 *
 * Invariant: whatever its size, about a piece of it is in memory at a time, or a single event that is larger; what is
 * found is what would be found of the same bytes in memory.
 */
#include "held_packet.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../libtracebuf/content_sum.h"

#define HEAD_SIZE sizeof(struct tracebuf_packet)
#define PIECE_SIZE (1u << 20)

int tb_held_packet_make(size_t size, struct tb_held_packet *ret_held)
{
	struct tb_held_packet held = { .piece = NULL };
	/* The decoder may look 8 bytes ahead. */
	int ret = tb_scratch_make(size + 8, &held.scratch);

	if (ret)
		return ret;
	if (held.scratch.fd >= 0) {
		held.piece = malloc(PIECE_SIZE);
		if (!held.piece) {
			tb_scratch_end(&held.scratch);
			return -ENOMEM;
		}
	}
	*ret_held = held;
	return 0;
}

void tb_held_packet_end(struct tb_held_packet *held)
{
	tb_scratch_end(&held->scratch);
	free(held->piece);
	held->piece = NULL;
}

int tb_held_packet_read(struct tb_held_packet *held, const struct tb_source *source, uint64_t offset, size_t from,
			size_t to)
{
	int ret = 0;

	if (!held->piece)
		return tb_source_read(source, offset + from, held->scratch.bytes + from, to - from) ? -ENODATA : 0;
	while (from < to && !ret) {
		size_t part = to - from < PIECE_SIZE ? to - from : PIECE_SIZE;

		if (tb_source_read(source, offset + from, held->piece, part))
			return -ENODATA;
		ret = tb_scratch_store(&held->scratch, from, held->piece, part);
		from += part;
	}
	return ret;
}

bool tb_held_packet_sum_is_right(const struct tb_held_packet *held, size_t size)
{
	const char *bytes = held->scratch.bytes;
	struct tb_content_sum sum = { .size = 0 };
	struct tracebuf_packet head;
	size_t content_size;

	if (!held->piece)
		return tb_packet_sum_is_right(bytes, size);
	memcpy(&head, bytes, HEAD_SIZE);
	content_size = head.content_size / 8;
	if (!head.content_sum)
		return true;
	if (content_size < HEAD_SIZE || content_size > size)
		return false;
	for (size_t at = HEAD_SIZE, part; at < content_size; at += part) {
		part = content_size - at < PIECE_SIZE ? content_size - at : PIECE_SIZE;
		tb_content_sum_add(&sum, bytes + at, part);
		tb_scratch_forget(&held->scratch, at);
	}
	return tb_content_sum_end(&sum) == head.content_sum;
}

int tb_held_packet_walk(const struct tb_held_packet *held, size_t content_size, const struct tb_stream_class *class,
			uint64_t time_end, struct tb_packet_walk *ret_walk)
{
	const uint8_t *bytes = (const uint8_t *) held->scratch.bytes, *end = bytes + content_size;
	struct tracebuf_packet head;
	struct tb_event_iter iter;
	struct tb_event event;
	int more = 1;
	ptrdiff_t step;

	if (!held->piece)
		return tb_packet_walk(bytes, content_size, class, time_end, ret_walk);
	memcpy(&head, bytes, HEAD_SIZE);
	tb_event_iter_init(&iter, class, bytes + HEAD_SIZE, 0, head.timestamp_begin, time_end);
	ret_walk->first_time = head.timestamp_begin;
	for (iter.more = true; more > 0 || more == -EAGAIN; more = tb_event_iter_next(&iter, &event)) {
		if (more > 0 && iter.nr_events == 1)
			ret_walk->first_time = event.time;
		if (more > 0)
			continue;
		tb_scratch_forget(&held->scratch, iter.at - bytes);
		/* Of an event that is larger than a piece twice as much, for it is looked at from its begin. */
		step = iter.end - iter.at < PIECE_SIZE ? PIECE_SIZE : iter.end - iter.at;
		iter.end = end - iter.end < step ? end : iter.end + step;
		iter.more = iter.end < end;
	}
	ret_walk->nr_events = iter.nr_events;
	ret_walk->last_time = iter.time;
	ret_walk->valid_size = iter.at - bytes;
	return more;
}
