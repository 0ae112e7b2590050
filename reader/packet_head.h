/* SPDX-License-Identifier: MIT */
#ifndef TB_PACKET_HEAD_H
#define TB_PACKET_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>
#include "ring.h"

/*
 * Check a private copy of the head of sub-buffer seq of ring. closed: the writer has left it (seq < current), so
 * the words marked (close) must be right as well. 0, -EBADMSG. Pure.
 */
int tb_packet_check(const struct tracebuf_packet *packet, const struct tb_ring_info *ring, uint64_t seq, bool closed);

/*
 * Check a private copy of the head of a packet in a trace file: as above, but for what only the ring knows. uuid: the
 * trace's. header_size: bytes where its events begin (sizeof(*packet) or more). 0, -ENOENT (no packet of this trace
 * begins here), -EBADMSG. Pure.
 */
int tb_packet_check_file(const struct tracebuf_packet *packet, const uint8_t uuid[16], size_t header_size);

/*
 * Make the head of an unfinished packet that of a finished one, with both checksums: for whoever writes it to a file.
 * content_size: bytes, packet header included; packet_size: bytes, not less. It has no content_sum then.
 */
void tb_packet_finish(struct tracebuf_packet *packet, uint64_t timestamp_end, uint64_t content_size,
		      uint64_t packet_size, uint64_t nr_events, uint64_t events_discarded);

/* The two checksums as the layout defines them. */
uint32_t tb_packet_open_crc(const struct tracebuf_packet *packet);
uint32_t tb_packet_close_crc(const struct tracebuf_packet *packet);

#endif
