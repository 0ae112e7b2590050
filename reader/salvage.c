/* SPDX-License-Identifier: MIT */
/*
 * What can be had of a ring whose process, daemon or kernel is gone.
 *
 * Invariant: a word that was read is checked before it is used, and read once. What comes out was decoded to its last
 * event, lies before position, and stands in a sub-buffer whose head names this ring and this sequence number; so bytes
 * of a page that has been used again, of another ring or of an older round cannot pass for events. Sub-buffers do not
 * depend on each other: one that is damaged costs itself.
 */
#include "salvage.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "held_packet.h"
#include "libtracebuf/stream_id.h"

#define HEAD_SIZE sizeof(struct tracebuf_packet)
/* Bytes of a packet that are gone over until those before are let go of. */
#define PIECE_SIZE (1u << 20)

const char *tb_loss_name(enum tb_loss loss)
{
	static const char *const names[TB_LOSS_NR] = { "absent", "head damaged", "events damaged" };

	return names[loss];
}

int tb_salvage_ring_header(const struct tb_source *source, struct tracebuf_ring *ret_ring,
			   struct tb_ring_info *ret_info)
{
	struct tracebuf_ring ring;
	int ret = tb_source_read(source, 0, &ring, sizeof(ring));

	if (!ret)
		ret = tb_ring_check(&ring, source->size == UINT64_MAX ? 0 : source->size, ret_info);
	if (!ret)
		*ret_ring = ring;
	return ret;
}

int tb_salvage_process_header(const struct tb_source *source, struct tracebuf_process *ret_process,
			      struct tb_process_info *ret_info)
{
	struct tracebuf_process process;
	int ret = tb_source_read(source, 0, &process, sizeof(process));

	if (!ret)
		ret = tb_process_check(&process, source->size == UINT64_MAX ? 0 : source->size, ret_info);
	if (!ret)
		*ret_process = process;
	return ret;
}

/* The first nr descriptions, as bytes for free(). */
static int read_descriptions(const struct tb_source *process, uint32_t nr, char **ret_bytes, size_t *ret_size)
{
	struct tracebuf_process header;
	struct tb_process_info info;
	char *bytes;
	int ret = tb_salvage_process_header(process, &header, &info);

	if (ret)
		return ret;
	if (nr > TRACEBUF_MAX_EVENTS || nr > header.nr_descriptions ||
	    header.descriptions_size > TRACEBUF_DESCRIPTIONS_SIZE)
		return -EBADMSG;
	bytes = malloc((size_t) header.descriptions_size + 1);
	if (!bytes)
		return -ENOMEM;
	ret = tb_source_read(process, TRACEBUF_DESCRIPTIONS_OFFSET, bytes, header.descriptions_size);
	if (!ret)
		ret = tb_descriptions_size(bytes, header.descriptions_size, nr, ret_size);
	if (ret)
		free(bytes);
	else
		*ret_bytes = bytes;
	return ret;
}

int tb_salvage_class(const struct tb_source *process, uint64_t stream_id, uint32_t context, uint32_t nr,
		     struct tb_stream_class *ret_class)
{
	struct tb_stream_class class = { .id = stream_id, .context = context };
	size_t size = 0;
	char *bytes;
	int ret = read_descriptions(process, nr, &bytes, &size);

	if (ret)
		return ret;
	ret = tb_stream_id(context, bytes, size) == stream_id ? 0 : -EBADMSG;
	if (!ret)
		ret = tb_descriptions_parse(bytes, size, nr, &class.events);
	free(bytes);
	if (!ret)
		*ret_class = class;
	return ret;
}

/* A ring being read. */
struct ring {
	const struct tb_source *source;
	const struct tb_ring_info *info;
	const struct tb_stream_class *class;
	struct tracebuf_producer producer;
	struct tb_ring_place place;
	uint64_t time;			/* no packet begins before this */
	uint64_t event_seq;		/* nor has a lower event_seq */
	struct tb_held_packet held;	/* the sub-buffer that is looked at */
	struct tb_salvage *salvage;
};

/*
 * Head and content of sub-buffer seq into the scratch. content_size 0: as a finished one's head says. -ENODATA,
 * -EBADMSG: *ret_loss says why; -errno of the scratch's file.
 */
static int read_subbuf(struct ring *ring, uint64_t seq, size_t *content_size, enum tb_loss *ret_loss)
{
	uint64_t offset = tb_ring_offset(ring->info, seq);
	bool closed = !*content_size;
	struct tracebuf_packet head;
	int ret;

	*ret_loss = TB_LOSS_ABSENT;
	if (tb_source_read(ring->source, offset, &head, HEAD_SIZE))
		return -ENODATA;
	*ret_loss = TB_LOSS_HEAD;
	if (tb_packet_check(&head, ring->info, seq, closed) || head.timestamp_begin < ring->time ||
	    head.event_seq < ring->event_seq)
		return -EBADMSG;
	if (closed)
		*content_size = head.content_size / 8;
	*ret_loss = TB_LOSS_ABSENT;
	ret = tb_scratch_store(&ring->held.scratch, 0, &head, HEAD_SIZE);
	return ret ? ret : tb_held_packet_read(&ring->held, ring->source, offset, HEAD_SIZE, *content_size);
}

/* Programs may still be running: is what was read whole, or has the writer come round to it? Pairs with *enter*. */
static bool still_holds(const struct ring *ring, uint64_t seq)
{
	uint64_t position;

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !tb_source_read(ring->source, TRACEBUF_RING_PRODUCER_OFFSET, &position, sizeof(position)) &&
	       tb_ring_holds(ring->info, position, seq);
}

static void count(struct tb_salvage *salvage, const struct tb_packet_walk *walk, const struct tracebuf_packet *head)
{
	if (!salvage->nr_packets)
		salvage->nr_overwritten = head->event_seq;
	salvage->nr_packets++;
	if (!walk->nr_events)
		return;
	if (!salvage->nr_events)
		salvage->first_time = walk->first_time;
	salvage->nr_events += walk->nr_events;
	salvage->last_time = walk->last_time;
}

static uint64_t round_up(uint64_t size)
{
	return (size + 7) & ~7ull;
}

/* Walks what read_subbuf() has brought; 0 and *ret_packet, -ENODATA (nothing in it), -EBADMSG. */
static int check_events(struct ring *ring, size_t content_size, bool closed, struct tb_salvaged *ret_packet,
			struct tb_packet_walk *ret_walk)
{
	char *bytes = ring->held.scratch.bytes;
	struct tracebuf_packet head;
	uint64_t end, discarded;
	int ret;

	memcpy(&head, bytes, HEAD_SIZE);
	if (closed && !tb_held_packet_sum_is_right(&ring->held, content_size))
		return -EBADMSG;
	ret = tb_held_packet_walk(&ring->held, content_size, ring->class, closed ? head.timestamp_end : UINT64_MAX,
				  ret_walk);
	if (closed && (ret || ret_walk->nr_events != head.nr_events))
		return -EBADMSG;
	if (ret)
		ring->salvage->nr_dropped[TB_LOSS_EVENTS]++;
	if (!closed && !ret_walk->nr_events)
		return -ENODATA;
	end = closed ? head.timestamp_end : ret_walk->last_time;
	discarded = closed ? head.events_discarded : ring->producer.discarded;
	if (discarded < head.events_discarded)
		discarded = head.events_discarded;
	content_size = ret_walk->valid_size;
	tb_packet_finish(&head, end, content_size, round_up(content_size), ret_walk->nr_events, discarded);
	*ret_packet = (struct tb_salvaged) { bytes, content_size, head, &ring->held.scratch };
	memcpy(bytes, &head, HEAD_SIZE);
	return 0;
}

static int take_subbuf(struct ring *ring, uint64_t seq, size_t content_size,
		       int (*put)(void *data, const struct tb_salvaged *packet), void *data)
{
	bool closed = !content_size;
	struct tb_packet_walk walk;
	struct tb_salvaged packet;
	enum tb_loss loss;
	int ret = read_subbuf(ring, seq, &content_size, &loss);

	if (ret && ret != -ENODATA && ret != -EBADMSG)
		return ret;
	if (!still_holds(ring, seq))
		return 0;
	if (!ret) {
		ret = check_events(ring, content_size, closed, &packet, &walk);
		if (ret == -ENODATA)
			return 0;
		loss = TB_LOSS_EVENTS;
	}
	if (ret) {
		ring->salvage->nr_dropped[loss]++;
		return 0;
	}
	ring->time = packet.head.timestamp_end;
	ring->event_seq = packet.head.event_seq + packet.head.nr_events;
	count(ring->salvage, &walk, &packet.head);
	return put(data, &packet);
}

/*
 * Goes on until nr events have been passed; less if the rest is damaged. What has been passed need not stay in memory.
 * The time of the last of them, or time.
 */
static uint64_t pass(struct tb_salvaged *packet, struct tb_event_iter *iter, uint64_t nr, uint64_t time)
{
	const uint8_t *kept = iter->at;
	struct tb_event event;

	while (iter->nr_events < nr && tb_event_iter_next(iter, &event) > 0) {
		time = event.time;
		if (iter->at - kept < PIECE_SIZE)
			continue;
		kept = iter->at;
		tb_scratch_forget(packet->scratch, kept - (const uint8_t *) packet->bytes);
	}
	return time;
}

/* As memmove(), towards the packet's begin. */
static void move_down(struct tb_salvaged *packet, char *to, const char *from, size_t size)
{
	for (size_t part; size; size -= part, to += part, from += part) {
		part = size < PIECE_SIZE ? size : PIECE_SIZE;
		memmove(to, from, part);
		tb_scratch_forget(packet->scratch, from - packet->bytes);
	}
}

void tb_salvage_cut(struct tb_salvaged *packet, const struct tb_stream_class *class, uint64_t skip, uint64_t nr)
{
	struct tracebuf_packet *head = &packet->head;
	uint64_t last_time, packets_end = skip + nr;
	struct tb_event_iter iter;
	const char *from;

	tb_event_iter_init(&iter, class, packet->bytes + HEAD_SIZE, packet->content_size - HEAD_SIZE,
			   head->timestamp_begin, head->timestamp_end);
	head->timestamp_begin = pass(packet, &iter, skip, head->timestamp_begin);
	from = (const char *) iter.at;
	last_time = pass(packet, &iter, packets_end, head->timestamp_end);
	if (packets_end >= head->nr_events)
		last_time = head->timestamp_end;
	packet->content_size = HEAD_SIZE + ((const char *) iter.at - from);
	move_down(packet, packet->bytes + HEAD_SIZE, from, packet->content_size - HEAD_SIZE);
	head->event_seq += skip;
	tb_packet_finish(head, last_time, packet->content_size, round_up(packet->content_size), nr, head->events_discarded);
	memcpy(packet->bytes, head, HEAD_SIZE);
}

static int take_all(struct ring *ring, int (*put)(void *data, const struct tb_salvaged *packet), void *data)
{
	int ret = 0;

	for (uint64_t seq = ring->place.first; seq < ring->place.current && !ret; seq++)
		ret = take_subbuf(ring, seq, 0, put, data);
	if (!ret && ring->place.content_size)
		ret = take_subbuf(ring, ring->place.current, ring->place.content_size, put, data);
	return ret;
}

int tb_salvage_ring(const struct tb_source *source, const struct tb_ring_info *info,
		    const struct tb_stream_class *class,
		    int (*put)(void *data, const struct tb_salvaged *packet), void *data,
		    struct tb_salvage *ret_salvage)
{
	struct ring ring = { .source = source, .info = info, .class = class, .salvage = ret_salvage };
	int ret;

	memset(ret_salvage, 0, sizeof(*ret_salvage));
	if (tb_source_read(source, TRACEBUF_RING_PRODUCER_OFFSET, &ring.producer, sizeof(ring.producer)))
		return -ENODATA;
	ring.place = tb_ring_place(info, ring.producer.position);
	ret_salvage->nr_discarded = ring.producer.discarded;
	ret = tb_held_packet_make(info->subbuf_size, &ring.held);
	if (!ret)
		ret = take_all(&ring, put, data);
	tb_held_packet_end(&ring.held);
	return ret;
}
