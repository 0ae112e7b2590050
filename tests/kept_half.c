/* SPDX-License-Identifier: MIT */
/*
 * Makes what a kernel leaves in its half of a region, for tests, fuzzing and benchmarks of what reads it.
 *
 * Invariant: whatever the half's size and page size, what was made is right to the last word, so that each user can
 * spoil one thing.
 */
#define _GNU_SOURCE
#include "kept_half.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../libtracebuf/content_sum.h"
#include "../libtracebuf/crc32c.h"
#include "../libtracebuf/stream_id.h"
#include "../libtracebuf/superblock.h"
#include "../reader/packet.h"
#include "unit_reader_maker.h"

#define GUARD 65536u
#define HEAD_SIZE sizeof(struct tracebuf_packet)
/* Short header, thread id, two longs. */
#define EVENT_SIZE 24u
#define FREQUENCY 1000000000ull
#define REALTIME_NS 1700000000000000000ull

static void *must(void *pointer)
{
	if (!pointer || pointer == MAP_FAILED) {
		perror("memory");
		exit(99);
	}
	return pointer;
}

/* G. Marsaglia, "Xorshift RNGs" (2003). */
static uint64_t next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	return *random ^= *random << 17;
}

static void shuffle(struct kept_half *half, uint64_t random)
{
	half->nr_pages = half->size / half->page_size - 1;
	half->order = must(calloc(half->nr_pages, sizeof(*half->order)));
	for (uint32_t i = 0; i < half->nr_pages; i++)
		half->order[i] = i + 1;
	for (uint32_t i = half->nr_pages; random && i > 1; i--) {
		uint32_t j = next_random(&random) % i, other = half->order[i - 1];

		half->order[i - 1] = half->order[j];
		half->order[j] = other;
	}
}

void kept_half_make(struct kept_half *half, uint64_t physical, uint64_t size, uint32_t page_size, uint64_t number,
		    uint64_t random)
{
	struct tracebuf_region *header;

	*half = (struct kept_half) { .physical = physical, .size = size, .page_size = page_size,
				     .boot = { KEPT_SERIES, number }, .mapping_size = size + 2 * GUARD };
	half->mapping = must(mmap(NULL, half->mapping_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	half->bytes = (uint8_t *) half->mapping + GUARD;
	if (mprotect(half->bytes, size, PROT_READ | PROT_WRITE))
		must(NULL);
	shuffle(half, random);
	header = (void *) half->bytes;
	tb_superblock_fill(&header->sb, TRACEBUF_KIND_REGION, TRACEBUF_REGION_HEADER_SIZE, size);
	header->sb.physical_address = physical;
	header->sb.page_size = page_size;
	header->number = number;
	header->series = KEPT_SERIES;
	header->realtime_ns = REALTIME_NS;
	strcpy(header->release, "6.1.0-test");
	header->nr_cpus = 4;
	tb_superblock_seal(&header->sb);
}

void kept_half_free(struct kept_half *half)
{
	munmap(half->mapping, half->mapping_size);
	free(half->order);
}

struct tb_kept kept_half_seen(const struct kept_half *half)
{
	return (struct tb_kept) { half->bytes, half->physical, half->size };
}

void kept_half_start(struct kept_half *half, const char *name, uint64_t generation, const uint8_t boot_id[16])
{
	struct tracebuf_region_start *start = &((struct tracebuf_region *) half->bytes)->start;

	memset(start, 0, sizeof(*start));
	start->realtime_ns = REALTIME_NS + 1;
	start->clock_frequency = FREQUENCY;
	start->clock_realtime_ns = REALTIME_NS;
	start->generation = generation;
	memset(start->uuid, 0x5c, sizeof(start->uuid));
	memcpy(start->boot_id, boot_id, sizeof(start->boot_id));
	snprintf(start->trace_name, sizeof(start->trace_name), "%s", name);
	start->clock = TRACEBUF_CLOCK_TSC;
	start->crc = tb_crc32c(0, start, sizeof(*start));
}

void kept_half_stop(struct kept_half *half, enum tracebuf_stop reason)
{
	struct tracebuf_region_stop *stop = &((struct tracebuf_region *) half->bytes)->stop;

	memset(stop, 0, sizeof(*stop));
	stop->realtime_ns = REALTIME_NS + 5 * FREQUENCY;
	stop->reason = reason;
	stop->crc = tb_crc32c(0, stop, sizeof(*stop));
}

/* A page of zeroes: its offset; 0: the half is full. */
static uint64_t take_page(struct kept_half *half)
{
	uint64_t offset;

	if (half->nr_used == half->nr_pages)
		return 0;
	offset = (uint64_t) half->order[half->nr_used++] * half->page_size;
	memset(half->bytes + offset, 0, half->page_size);
	return offset;
}

/* The word, of the last level, for the page at offset of the file; nodes above it are made. */
uint64_t *kept_half_word(struct kept_half *half, const struct kept_made *file, uint64_t offset)
{
	uint64_t per_node = half->page_size / sizeof(uint64_t), index = offset / half->page_size, below = 1;
	uint64_t *words = (uint64_t *) (half->bytes + file->root);

	for (uint32_t i = 1; i < file->levels; i++)
		below *= per_node;
	for (; below > 1; below /= per_node) {
		uint64_t *word = &words[index / below];

		if (!*word) {
			uint64_t page = take_page(half);

			if (!page)
				return NULL;
			*word = half->physical + page;
		}
		words = (uint64_t *) (half->bytes + (*word - half->physical));
		index %= below;
	}
	return &words[index];
}

uint8_t *kept_half_page(struct kept_half *half, const struct kept_made *file, uint64_t offset)
{
	uint64_t *word = kept_half_word(half, file, offset), page;

	if (!word)
		return NULL;
	if (!*word) {
		page = take_page(half);
		if (!page)
			return NULL;
		*word = half->physical + page;
	}
	return half->bytes + (*word - half->physical);
}

/* Copies to a file's pages. 0, -1. */
static int put(struct kept_half *half, const struct kept_made *file, uint64_t offset, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;

	while (size) {
		uint64_t within = offset % half->page_size;
		size_t part = half->page_size - within < size ? half->page_size - within : size;
		uint8_t *page = kept_half_page(half, file, offset);

		if (!page)
			return -1;
		memcpy(page + within, from, part);
		from += part;
		offset += part;
		size -= part;
	}
	return 0;
}

/* Root and first page. 0, -1. */
static int begin_file(struct kept_half *half, uint64_t size, struct kept_made *file)
{
	uint64_t per_node = half->page_size / sizeof(uint64_t);
	uint8_t *first;

	*file = (struct kept_made) { .size = size, .levels = 1 };
	for (uint64_t most = per_node; most < (size + half->page_size - 1) / half->page_size; most *= per_node)
		file->levels++;
	file->root = take_page(half);
	first = file->root ? kept_half_page(half, file, 0) : NULL;
	if (!first)
		return -1;
	file->offset = first - half->bytes;
	return 0;
}

/* The last word that makes it a file: its superblock. */
static int end_file(struct kept_half *half, const struct kept_made *file, void *header, size_t header_size)
{
	struct tracebuf_superblock *sb = header;

	sb->total_size = file->size;
	sb->physical_address = half->physical + file->offset;
	sb->page_list = half->physical + file->root;
	sb->page_list_levels = file->levels;
	sb->page_size = half->page_size;
	tb_superblock_seal(sb);
	return put(half, file, 0, header, header_size);
}

static size_t describe(uint8_t bytes[256])
{
	static const struct tb_field two[] = { { TRACEBUF_FIELD_INTEGER, 8, TRACEBUF_FIELD_SIGNED, "a" },
					       { TRACEBUF_FIELD_INTEGER, 8, TRACEBUF_FIELD_SIGNED, "b" } };
	size_t size = 0;

	memset(bytes, 0, 256);
	make_description(bytes, &size, 0, "test:two", two, 2);
	return size;
}

int kept_half_add_process(struct kept_half *half, int32_t pid, uint64_t incarnation, bool described,
			  struct kept_made *ret_made)
{
	struct tracebuf_process process;
	uint8_t bytes[256];
	size_t size = describe(bytes);

	make_process(&process);
	process.pid = pid;
	process.incarnation = incarnation;
	process.boot = half->boot;
	strcpy(process.executable, "/bin/test");
	process.nr_descriptions = described;
	process.descriptions_size = described ? size : 0;
	return begin_file(half, TRACEBUF_PROCESS_SIZE, ret_made) ||
	       put(half, ret_made, TRACEBUF_DESCRIPTIONS_OFFSET, bytes, size) ||
	       end_file(half, ret_made, &process, sizeof(process)) ? -1 : 0;
}

static void fill_ring(const struct kept_ring *ring, struct tracebuf_ring *header)
{
	uint8_t bytes[256];
	size_t size = describe(bytes);

	make_ring(header);
	header->generation = ring->generation;
	header->stream_id = tb_stream_id(TRACEBUF_CONTEXT_VTID, bytes, size);
	header->stream_instance_id = (uint64_t) ring->pid << 32 | ring->instance;
	header->incarnation = ring->incarnation;
	header->pid = ring->pid;
	header->cpu = ring->cpu;
	header->instance = ring->instance;
	header->nr_descriptions = 1;
	header->config.mode = ring->mode;
	header->config.subbuf_size = ring->subbuf_size;
	header->config.nr_subbufs = ring->nr_subbufs;
	header->clock_frequency = FREQUENCY;
	header->clock_realtime_ns = REALTIME_NS;
	memcpy(header->boot_id, ring->boot_id, sizeof(header->boot_id));
	strcpy(header->trace_name, "kept");
	if (ring->uuid)
		memset(header->uuid, ring->uuid, sizeof(header->uuid));
}

static void put_event(uint8_t *at, uint64_t number)
{
	uint32_t word = (uint32_t) (number << 5);
	uint64_t inverse = ~number;
	int32_t tid = 1;

	memcpy(at, &word, 4);
	memcpy(at + 4, &tid, 4);
	memcpy(at + 8, &number, 8);
	memcpy(at + 16, &inverse, 8);
}

/* Sub-buffer seq as it is with nr events, closed or not: bytes, of which the size is returned. */
static size_t fill_subbuf(const struct tracebuf_ring *header, uint64_t seq, uint32_t nr_before, uint32_t nr,
			  bool closed, uint8_t *bytes)
{
	struct tracebuf_packet head = {
		.magic = TRACEBUF_CTF_MAGIC, .stream_id = header->stream_id, .event_seq = seq * nr_before,
		.stream_instance_id = header->stream_instance_id, .timestamp_begin = seq * nr_before,
		.packet_size = header->config.subbuf_size * 8, .packet_seq_num = seq, .cpu_id = header->cpu,
		.pid = header->pid };
	size_t size = HEAD_SIZE + (size_t) nr * EVENT_SIZE;

	memcpy(head.uuid, header->uuid, sizeof(head.uuid));
	for (uint32_t i = 0; i < nr; i++)
		put_event(bytes + HEAD_SIZE + (size_t) i * EVENT_SIZE, head.event_seq + i);
	if (closed) {
		tb_packet_finish(&head, head.event_seq + nr, size, header->config.subbuf_size, nr, 0);
		if (header->config.subbuf_size <= TRACEBUF_MAX_SUM_SIZE)
			head.content_sum = tb_content_sum(bytes + HEAD_SIZE, size - HEAD_SIZE);
		head.close_crc = tb_packet_close_crc(&head);
	}
	head.open_crc = tb_packet_open_crc(&head);
	memcpy(bytes, &head, sizeof(head));
	return size;
}

static int put_data(struct kept_half *half, const struct kept_made *file, const struct kept_ring *ring,
		    const struct tracebuf_ring *header)
{
	uint32_t room = (ring->subbuf_size - HEAD_SIZE - TRACEBUF_SUBBUF_SLACK) / EVENT_SIZE;
	uint32_t nr = ring->nr_events ? ring->nr_events : room;
	uint64_t first = ring->nr_entered > ring->nr_subbufs ? ring->nr_entered - ring->nr_subbufs : 0;
	struct tracebuf_producer producer = { .mask = ring->subbuf_size * ring->nr_subbufs - 1 };
	uint8_t *bytes = must(calloc(1, ring->subbuf_size));
	int ret = 0;

	for (uint64_t seq = first; seq < ring->nr_entered && !ret; seq++) {
		bool closed = seq + 1 < ring->nr_entered;
		size_t size = fill_subbuf(header, seq, nr, closed ? nr : nr / 2, closed, bytes);

		ret = put(half, file, TRACEBUF_RING_DATA_OFFSET + seq % ring->nr_subbufs * ring->subbuf_size, bytes,
			  size);
		producer.position = seq * ring->subbuf_size + size;
		producer.tally = (closed ? nr : nr / 2) | producer.position << 32;
	}
	free(bytes);
	return ret ? ret : put(half, file, TRACEBUF_RING_PRODUCER_OFFSET, &producer, sizeof(producer));
}

int kept_half_add_ring(struct kept_half *half, const struct kept_ring *ring, struct kept_made *ret_made)
{
	uint64_t size = TRACEBUF_RING_DATA_OFFSET + ring->subbuf_size * ring->nr_subbufs;
	struct tracebuf_ring header;

	fill_ring(ring, &header);
	header.boot = half->boot;
	return begin_file(half, size, ret_made) || put_data(half, ret_made, ring, &header) ||
	       end_file(half, ret_made, &header, sizeof(header)) ? -1 : 0;
}
