/* SPDX-License-Identifier: MIT */
/*
 * The head of a sub-buffer or packet: what it must say to be one, and its checksums.
 *
 * Pure functions of private copies, shared with the kernel module. Invariant: a head that passes belongs to the ring, or
 * the trace, that was asked for, and its content lies in its sub-buffer.
 *
 * Format: include/tracebuf/abi.h (struct tracebuf_packet).
 */
#include "packet_head.h"
#include <errno.h>
#include <string.h>
#include "../libtracebuf/crc32c.h"

uint32_t tb_packet_open_crc(const struct tracebuf_packet *packet)
{
	struct tracebuf_packet copy = *packet;

	copy.open_crc = 0;
	copy.nr_events = 0;
	copy.close_crc = 0;
	copy.timestamp_end = 0;
	copy.content_size = 0;
	copy.events_discarded = 0;
	copy.content_sum = 0;
	return tb_crc32c(0, &copy, sizeof(copy));
}

uint32_t tb_packet_close_crc(const struct tracebuf_packet *packet)
{
	struct tracebuf_packet copy = *packet;

	copy.open_crc = 0;
	copy.close_crc = 0;
	return tb_crc32c(0, &copy, sizeof(copy));
}

/* The words marked (close), less their checksum. */
static bool close_is_right(const struct tracebuf_packet *packet, size_t header_size)
{
	return packet->content_size % 8 == 0 && packet->content_size >= header_size * 8 &&
	       packet->content_size <= packet->packet_size && packet->timestamp_end >= packet->timestamp_begin &&
	       packet->nr_events <= packet->content_size / 32;
}

int tb_packet_check(const struct tracebuf_packet *packet, const struct tb_ring_info *ring, uint64_t seq, bool closed)
{
	if (packet->magic != TRACEBUF_CTF_MAGIC || memcmp(packet->uuid, ring->uuid, sizeof(ring->uuid)) ||
	    packet->stream_id != ring->stream_id || packet->stream_instance_id != ring->stream_instance_id ||
	    packet->packet_seq_num != seq || packet->packet_size != ring->subbuf_size * 8 ||
	    packet->cpu_id != ring->cpu || packet->pid != ring->pid || packet->open_crc != tb_packet_open_crc(packet))
		return -EBADMSG;
	if (closed && (!close_is_right(packet, sizeof(*packet)) || packet->close_crc != tb_packet_close_crc(packet)))
		return -EBADMSG;
	return 0;
}

int tb_packet_check_file(const struct tracebuf_packet *packet, const uint8_t uuid[16], size_t header_size)
{
	if (packet->magic != TRACEBUF_CTF_MAGIC || memcmp(packet->uuid, uuid, 16))
		return -ENOENT;
	/* What the checksums of a longer head cover is not known here. */
	if (header_size == sizeof(*packet) && (packet->open_crc != tb_packet_open_crc(packet) ||
					       packet->close_crc != tb_packet_close_crc(packet)))
		return -EBADMSG;
	return close_is_right(packet, header_size) && packet->packet_size % 8 == 0 &&
	       packet->packet_size <= TRACEBUF_MAX_SUBBUF_SIZE * 8 ? 0 : -EBADMSG;
}

void tb_packet_finish(struct tracebuf_packet *packet, uint64_t timestamp_end, uint64_t content_size,
		      uint64_t packet_size, uint64_t nr_events, uint64_t events_discarded)
{
	packet->timestamp_end = timestamp_end;
	packet->content_size = content_size * 8;
	packet->packet_size = packet_size * 8;
	packet->nr_events = nr_events;
	packet->events_discarded = events_discarded;
	packet->content_sum = 0;
	packet->open_crc = tb_packet_open_crc(packet);
	packet->close_crc = tb_packet_close_crc(packet);
}
