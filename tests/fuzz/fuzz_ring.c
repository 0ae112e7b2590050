/* SPDX-License-Identifier: MIT */
/*
 * A ring and its process's descriptions, every byte of them the fuzzer's, with all checksums put right afterwards: what
 * the validator must stand when checksums do not help it. Input: a ring's header, its producer words, the number and the
 * bytes of descriptions, then the data pages.
 */
#include <stdlib.h>
#include <string.h>

#include "libtracebuf/content_sum.h"
#include "libtracebuf/crc32c.h"
#include "libtracebuf/stream_id.h"
#include "libtracebuf/superblock.h"
#include "reader/packet.h"
#include "reader/salvage.h"

#define MAX_DATA_SIZE (64u << 10)
#define DESCRIPTIONS_SIZE 1024u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, taken apart. */
struct input {
	struct tracebuf_ring header;
	struct tracebuf_producer producer;
	uint32_t nr_descriptions, reserved;
	uint8_t descriptions[DESCRIPTIONS_SIZE];
	uint8_t data[MAX_DATA_SIZE];
};

static struct input input;
static struct tracebuf_process process;

static int copy_part(const void *from, size_t from_size, uint64_t offset, void *to, size_t size)
{
	if (offset > from_size || size > from_size - offset)
		return -1;
	memcpy(to, (const char *) from + offset, size);
	return 0;
}

static int read_ring(void *data, uint64_t offset, void *to, size_t size)
{
	(void) data;
	if (offset >= TRACEBUF_RING_DATA_OFFSET)
		return copy_part(input.data, sizeof(input.data), offset - TRACEBUF_RING_DATA_OFFSET, to, size);
	if (offset >= TRACEBUF_RING_PRODUCER_OFFSET)
		return copy_part(&input.producer, sizeof(input.producer), offset - TRACEBUF_RING_PRODUCER_OFFSET, to, size);
	return copy_part(&input.header, sizeof(input.header), offset, to, size);
}

static int read_process(void *data, uint64_t offset, void *to, size_t size)
{
	(void) data;
	if (offset >= TRACEBUF_DESCRIPTIONS_OFFSET)
		return copy_part(input.descriptions, DESCRIPTIONS_SIZE, offset - TRACEBUF_DESCRIPTIONS_OFFSET, to, size);
	return copy_part(&process, sizeof(process), offset, to, size);
}

/* Checksums of descriptions, as far as their sizes lead. */
static void seal_descriptions(void)
{
	uint32_t at = 0;

	while (at + sizeof(struct tracebuf_description) <= DESCRIPTIONS_SIZE) {
		struct tracebuf_description *record = (void *) (input.descriptions + at);

		if (record->size < sizeof(*record) || record->size > DESCRIPTIONS_SIZE - at || record->size % 8)
			break;
		record->crc = 0;
		record->crc = tb_crc32c(0, record, record->size);
		at += record->size;
	}
}

static void seal_process(void)
{
	memset(&process, 0, sizeof(process));
	tb_superblock_fill(&process.sb, TRACEBUF_KIND_PROCESS, TRACEBUF_PROCESS_HEADER_SIZE, TRACEBUF_PROCESS_SIZE);
	process.pid = 1;
	tb_superblock_seal(&process.sb);
	process.nr_descriptions = input.nr_descriptions;
	process.descriptions_size = DESCRIPTIONS_SIZE;
}

static void seal_ring(void)
{
	size_t size = 0;

	tb_superblock_fill(&input.header.sb, TRACEBUF_KIND_RING, TRACEBUF_RING_HEADER_SIZE,
			   TRACEBUF_RING_DATA_OFFSET + TRACEBUF_MAX_RING_SIZE);
	if (!tb_descriptions_size(input.descriptions, DESCRIPTIONS_SIZE, input.header.nr_descriptions, &size))
		input.header.stream_id = tb_stream_id(input.header.config.context, input.descriptions, size);
	tb_superblock_seal(&input.header.sb);
}

/* The heads of sub-buffers that lie in the data. */
static void seal_packets(void)
{
	uint64_t subbuf_size = input.header.config.subbuf_size;

	for (uint64_t at = 0; subbuf_size >= 4096 && at + subbuf_size <= MAX_DATA_SIZE; at += subbuf_size) {
		struct tracebuf_packet *head = (void *) (input.data + at);

		head->magic = TRACEBUF_CTF_MAGIC;
		memcpy(head->uuid, input.header.uuid, 16);
		head->stream_id = input.header.stream_id;
		head->stream_instance_id = input.header.stream_instance_id;
		head->cpu_id = input.header.cpu;
		head->pid = input.header.pid;
		head->packet_size = subbuf_size * 8;
		if (head->content_sum && head->content_size / 8 >= sizeof(*head) && head->content_size / 8 <= subbuf_size)
			head->content_sum = tb_content_sum(head + 1, head->content_size / 8 - sizeof(*head));
		head->open_crc = tb_packet_open_crc(head);
		head->close_crc = tb_packet_close_crc(head);
	}
}

static int put(void *data, const struct tb_salvaged *packet)
{
	struct tb_salvaged part = *packet;

	/* As a merge cuts packets. */
	if (part.head.nr_events > 1)
		tb_salvage_cut(&part, data, part.head.nr_events / 2, 1);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tb_source ring = { read_ring, NULL, UINT64_MAX }, of_process = { read_process, NULL, UINT64_MAX };
	struct tracebuf_ring header;
	struct tb_stream_class class;
	struct tb_salvage salvage;
	struct tb_ring_info info;

	memset(&input, 0, sizeof(input));
	memcpy(&input, data, size < sizeof(input) ? size : sizeof(input));
	/* One sub-buffer is held in memory; other sizes than powers of two are refused at once. */
	if (input.header.config.subbuf_size > MAX_DATA_SIZE ||
	    input.header.config.subbuf_size & (input.header.config.subbuf_size - 1))
		input.header.config.subbuf_size = 4096;
	seal_descriptions();
	seal_process();
	seal_ring();
	seal_packets();
	if (tb_salvage_ring_header(&ring, &header, &info) ||
	    tb_salvage_class(&of_process, info.stream_id, info.context, info.nr_descriptions, &class))
		return 0;
	tb_salvage_ring(&ring, &info, &class, put, &class, &salvage);
	tb_events_free(&class.events);
	return 0;
}
