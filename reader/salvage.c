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
#include "libtracebuf/stream_id.h"

#define HEAD_SIZE sizeof(struct tracebuf_packet)
/* Bytes that are carried, or decoded, at one time. */
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
	struct tb_scratch scratch;	/* of subbuf_size + 8 */
	char *piece;			/* PIECE_SIZE, if the scratch is a file */
	struct tb_salvage *salvage;
};

/* What is behind the head, up to content_size, into the scratch. -ENODATA, -errno of the scratch's file. */
static int read_content(struct ring *ring, uint64_t offset, size_t content_size)
{
	size_t at = HEAD_SIZE;
	int ret = 0;

	if (!ring->piece)
		return tb_source_read(ring->source, offset + at, ring->scratch.bytes + at, content_size - at) ?
		       -ENODATA : 0;
	while (at < content_size && !ret) {
		size_t part = content_size - at < PIECE_SIZE ? content_size - at : PIECE_SIZE;

		if (tb_source_read(ring->source, offset + at, ring->piece, part))
			return -ENODATA;
		ret = tb_scratch_store(&ring->scratch, at, ring->piece, part);
		at += part;
	}
	return ret;
}

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
	ret = tb_scratch_store(&ring->scratch, 0, &head, HEAD_SIZE);
	return ret ? ret : read_content(ring, offset, *content_size);
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

/* tb_packet_walk(), with no more of the scratch's file in memory than about a piece. */
static int walk(struct ring *ring, size_t content_size, uint64_t time_end, struct tb_packet_walk *ret_walk)
{
	const uint8_t *bytes = (const uint8_t *) ring->scratch.bytes, *end = bytes + content_size;
	struct tracebuf_packet head;
	struct tb_event_iter iter;
	struct tb_event event;
	int more = 1;

	if (!ring->piece)
		return tb_packet_walk(bytes, content_size, ring->class, time_end, ret_walk);
	memcpy(&head, bytes, HEAD_SIZE);
	tb_event_iter_init(&iter, ring->class, bytes + HEAD_SIZE, 0, head.timestamp_begin, time_end);
	ret_walk->first_time = head.timestamp_begin;
	for (iter.more = true; more > 0 || more == -EAGAIN; more = tb_event_iter_next(&iter, &event)) {
		if (more > 0 && iter.nr_events == 1)
			ret_walk->first_time = event.time;
		if (more > 0)
			continue;
		tb_scratch_forget(&ring->scratch, iter.at - bytes);
		iter.end = end - iter.end < PIECE_SIZE ? end : iter.end + PIECE_SIZE;
		iter.more = iter.end < end;
	}
	ret_walk->nr_events = iter.nr_events;
	ret_walk->last_time = iter.time;
	ret_walk->valid_size = iter.at - bytes;
	return more;
}

/* Walks what read_subbuf() has brought; 0 and *ret_packet, -ENODATA (nothing in it), -EBADMSG. */
static int check_events(struct ring *ring, size_t content_size, bool closed, struct tb_salvaged *ret_packet,
			struct tb_packet_walk *ret_walk)
{
	struct tracebuf_packet head;
	uint64_t end, discarded;
	int ret;

	memcpy(&head, ring->scratch.bytes, HEAD_SIZE);
	if (closed && !tb_packet_sum_is_right(ring->scratch.bytes, content_size))
		return -EBADMSG;
	ret = walk(ring, content_size, closed ? head.timestamp_end : UINT64_MAX, ret_walk);
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
	*ret_packet = (struct tb_salvaged) { ring->scratch.bytes, content_size, head, &ring->scratch };
	memcpy(ring->scratch.bytes, &head, HEAD_SIZE);
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

void tb_salvage_cut(struct tb_salvaged *packet, const struct tb_stream_class *class, uint64_t skip, uint64_t nr)
{
	struct tracebuf_packet *head = &packet->head;
	uint64_t end = head->timestamp_end, packets_end = skip + nr;
	struct tb_event_iter iter;
	struct tb_event event;
	const uint8_t *from;

	tb_event_iter_init(&iter, class, packet->bytes + HEAD_SIZE, packet->content_size - HEAD_SIZE,
			   head->timestamp_begin, head->timestamp_end);
	while (iter.nr_events < skip && tb_event_iter_next(&iter, &event) > 0)
		head->timestamp_begin = event.time;
	from = iter.at;
	while (iter.nr_events < packets_end && tb_event_iter_next(&iter, &event) > 0)
		if (packets_end < head->nr_events)
			end = event.time;
	packet->content_size = HEAD_SIZE + (iter.at - from);
	memmove(packet->bytes + HEAD_SIZE, from, iter.at - from);
	head->event_seq += skip;
	tb_packet_finish(head, end, packet->content_size, round_up(packet->content_size), nr, head->events_discarded);
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
	/* The decoder may look 8 bytes ahead. */
	ret = tb_scratch_make(info->subbuf_size + 8, &ring.scratch);
	if (!ret && ring.scratch.fd >= 0) {
		ring.piece = malloc(PIECE_SIZE);
		ret = ring.piece ? 0 : -ENOMEM;
	}
	if (!ret)
		ret = take_all(&ring, put, data);
	free(ring.piece);
	tb_scratch_end(&ring.scratch);
	return ret;
}
