/* SPDX-License-Identifier: MIT */
#ifndef TB_HELD_PACKET_H
#define TB_HELD_PACKET_H

#include "packet.h"
#include "scratch.h"
#include "source.h"

/* Room for a packet, and what it takes to go over its bytes a piece at a time. Zero-initialised is none. */
struct tb_held_packet {
	struct tb_scratch scratch;
	char *piece;			/* NULL: the scratch is memory, and all of it one piece */
};

/* For packets of up to size bytes. 0, -ENOMEM, -errno of the scratch's file. */
int tb_held_packet_make(size_t size, struct tb_held_packet *ret_held);
void tb_held_packet_end(struct tb_held_packet *held);

/* Bytes from ... to - 1 of the packet, which begins at offset of source. 0, -ENODATA (not all there), -errno as above. */
int tb_held_packet_read(struct tb_held_packet *held, const struct tb_source *source, uint64_t offset, size_t from,
			size_t to);

/* tb_packet_sum_is_right() and tb_packet_walk() of what is held. */
bool tb_held_packet_sum_is_right(const struct tb_held_packet *held, size_t size);
int tb_held_packet_walk(const struct tb_held_packet *held, size_t content_size, const struct tb_stream_class *class,
			uint64_t time_end, struct tb_packet_walk *ret_walk);

#endif
