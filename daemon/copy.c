/* SPDX-License-Identifier: MIT */
/*
 * Sub-buffers that are not written from where they lie: unfinished ones, which need another head; those of overwrite
 * rings, which change at any time; those of rings in which something was wrong.
 *
 * Invariant: what tb_copy_make() returns is private memory whose every event was decoded, and whose head says exactly
 * what is in it. Sequence (seqlock in disguise, doc/design.md): copy, load-load barrier, load position, and only a copy
 * that the writer cannot have touched is used. Partner: entering a sub-buffer stores position before anything else.
 */
#include "copy.h"
#include <errno.h>
#include <string.h>
#include "ringfile.h"

#define BLOCK 4096ull

static uint64_t round_up(uint64_t size)
{
	return (size + BLOCK - 1) & ~(BLOCK - 1);
}

int tb_expect_packet(struct tb_expect *expect, const struct tracebuf_packet *packet)
{
	if (packet->event_seq < expect->event_seq || packet->timestamp_begin < expect->time ||
	    packet->events_discarded < expect->discarded)
		return -EBADMSG;
	expect->event_seq = packet->event_seq + packet->nr_events;
	expect->time = packet->timestamp_end;
	expect->discarded = packet->events_discarded;
	return 0;
}

/* The head, which tells the size of a finished packet, and then the content. */
static int read_subbuf(struct tb_drain *drain, uint64_t seq, struct tb_copy *copy)
{
	int ret = tb_ringfile_packet(drain, seq, &copy->packet);

	if (!ret)
		ret = tb_packet_check(&copy->packet, &drain->info, seq, copy->closed);
	if (ret)
		return ret;
	if (copy->closed)
		copy->content_size = copy->packet.content_size / 8;
	copy->size = copy->closed ? drain->info.subbuf_size : round_up(copy->content_size);
	copy->staging = tb_staging_get(&drain->recording->daemon->placement, drain->info.cpu, copy->size);
	if (!copy->staging)
		return -ENOMEM;
	return tb_ringfile_read(drain, copy->staging->data + sizeof(copy->packet),
				copy->content_size - sizeof(copy->packet),
				tb_ring_offset(&drain->info, seq) + sizeof(copy->packet));
}

/* Takes away the events that an archive has. */
static int drop_first_part(struct tb_drain *drain, struct tb_copy *copy)
{
	const struct tb_split *split = &drain->split;
	const size_t head = sizeof(copy->packet);

	if (copy->content_size < split->size || copy->packet.timestamp_begin > split->time)
		return -EBADMSG;
	memmove(copy->staging->data + head, copy->staging->data + split->size, copy->content_size - split->size);
	copy->content_size -= split->size - head;
	copy->packet.timestamp_begin = split->time;
	copy->packet.event_seq += split->nr_events;
	return 0;
}

static int walk(struct tb_drain *drain, struct tb_copy *copy, struct tb_packet_walk *ret_walk)
{
	bool split = drain->split.size && drain->split.seq == copy->packet.packet_seq_num;
	int ret = split ? drop_first_part(drain, copy) : 0;

	if (ret)
		return ret;
	memcpy(copy->staging->data, &copy->packet, sizeof(copy->packet));
	if (copy->closed && !split && !tb_packet_sum_is_right(copy->staging->data, copy->content_size))
		return -EBADMSG;
	ret = tb_packet_walk(copy->staging->data, copy->content_size, &drain->class->class, copy->time_end, ret_walk);
	copy->ring_size = ret_walk->valid_size + (split ? drain->split.size - sizeof(copy->packet) : 0);
	if (copy->closed && (ret || ret_walk->nr_events + (split ? drain->split.nr_events : 0) != copy->packet.nr_events))
		return -EBADMSG;
	if (ret) {
		/* Of an unfinished one, what is right. */
		tb_drain_damage(drain, "events damaged");
		copy->content_size = ret_walk->valid_size;
	}
	/* A sub-buffer may be left empty; half of one is no packet then. */
	return ret_walk->nr_events || (copy->closed && !split) ? 0 : -ENODATA;
}

int tb_copy_complete(struct tb_drain *drain, struct tb_copy *copy)
{
	struct tb_packet_walk found;
	int ret = walk(drain, copy, &found);

	if (ret) {
		tb_copy_free(drain, copy);
		return ret;
	}
	if (!copy->closed) {
		copy->size = round_up(copy->content_size);
		if (drain->rotating)
			copy->time_end = found.last_time;
	}
	tb_packet_finish(&copy->packet, copy->time_end, copy->content_size, copy->size, found.nr_events,
			 copy->discarded);
	memcpy(copy->staging->data, &copy->packet, sizeof(copy->packet));
	memset(copy->staging->data + copy->content_size, 0, copy->size - copy->content_size);
	return 0;
}

int tb_copy_take(struct tb_drain *drain, uint64_t seq, uint64_t content_size, struct tb_copy *ret_copy)
{
	struct tb_copy copy = { .closed = !content_size, .content_size = content_size };
	int ret = read_subbuf(drain, seq, &copy);

	/* The clock not before position was read: no event that is in it can be later. */
	copy.time_end = copy.closed ? copy.packet.timestamp_end : tb_clock_read(&drain->recording->daemon->clock);
	copy.discarded = copy.packet.events_discarded;
	if (!copy.closed && drain->producer.discarded > copy.discarded)
		copy.discarded = drain->producer.discarded;
	if (drain->info.mode == TRACEBUF_MODE_OVERWRITE) {
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!tb_ringfile_look(drain) && !tb_ring_holds(&drain->info, drain->producer.position, seq))
			ret = -ESTALE;
	}
	if (!ret && copy.time_end < copy.packet.timestamp_begin)
		ret = -EBADMSG;
	if (ret)
		tb_copy_free(drain, &copy);
	else
		*ret_copy = copy;
	return ret;
}

int tb_copy_make(struct tb_drain *drain, uint64_t seq, uint64_t content_size, struct tb_copy *ret_copy)
{
	int ret = tb_copy_take(drain, seq, content_size, ret_copy);

	if (!ret)
		ret = tb_copy_complete(drain, ret_copy);
	return ret;
}

void tb_copy_free(struct tb_drain *drain, struct tb_copy *copy)
{
	tb_staging_put(&drain->recording->daemon->placement, copy->staging);
	copy->staging = NULL;
}
