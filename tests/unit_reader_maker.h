/* SPDX-License-Identifier: MIT */
#ifndef TB_UNIT_READER_MAKER_H
#define TB_UNIT_READER_MAKER_H

#include <stddef.h>
#include <stdint.h>
#include "../reader/metadata.h"
#include "../reader/packet.h"
#include "../reader/ring.h"

/* Bytes that end at a page that nobody may touch. */
struct guarded {
	void *mapping;
	size_t mapping_size;
	uint8_t *bytes;			/* the last size bytes before the guard */
	size_t size;
};

void guarded_make(struct guarded *guarded, const void *bytes, size_t size);
void guarded_free(struct guarded *guarded);

/* Appends a description record to bytes (at *size). */
void make_description(uint8_t *bytes, size_t *size, uint32_t id, const char *name, const struct tb_field *fields,
		      unsigned int nr_fields);
/* Sets the crc of the record at bytes. */
void seal_description(uint8_t *bytes);

/* A ring header, and a process header, that pass. */
void make_ring(struct tracebuf_ring *ring);
void seal_ring(struct tracebuf_ring *ring);
void make_process(struct tracebuf_process *process);
void seal_process(struct tracebuf_process *process);

/* The stream class of the tests: ids 0 (two longs), 1 (one of each type), 29, 30, 40 (a byte), 500 (nothing). */
void make_class(struct tb_stream_class *class, uint64_t id, uint32_t context);

/* A packet in memory to which events are appended. */
struct packet_maker {
	uint8_t *bytes;
	size_t room, size;
	uint64_t time, nr_events;
};

void packet_begin(struct packet_maker *maker, const uint8_t uuid[16], const struct tb_stream_class *class,
		  uint64_t seq, uint64_t event_seq, uint64_t time);
/* form: 4, 6 or 13, the header's size. */
void packet_event(struct packet_maker *maker, const struct tb_stream_class *class, unsigned int form, uint32_t id,
		  uint64_t time, const void *payload, size_t payload_size);
/* Closes it with packet_size bytes in all; the rest is 0. */
void packet_end(struct packet_maker *maker, uint64_t packet_size, uint64_t events_discarded);
void packet_free(struct packet_maker *maker);

/* Payload of event 1. Returns its size. */
size_t make_payload(uint8_t *payload, const char *text, uint32_t nr_elements);

void make_info(struct tb_trace_info *info);

#endif
