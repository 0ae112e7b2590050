/* SPDX-License-Identifier: MIT */
/*
 * What the reader's tests read: records, headers and packets that are right, made by hand from the layout and not by
 * the library that is tested, so that each test can spoil one thing.
 */
#define _GNU_SOURCE
#include "unit_reader_maker.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../libtracebuf/crc32c.h"

static void *must(void *pointer)
{
	if (!pointer || pointer == MAP_FAILED) {
		perror("memory");
		exit(99);
	}
	return pointer;
}

void guarded_make(struct guarded *guarded, const void *bytes, size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE), pages = (size + page - 1) / page * page;

	guarded->mapping_size = pages + page;
	guarded->mapping = must(mmap(NULL, guarded->mapping_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				     -1, 0));
	if (mprotect((char *) guarded->mapping + pages, page, PROT_NONE))
		must(NULL);
	guarded->size = size;
	guarded->bytes = (uint8_t *) guarded->mapping + pages - size;
	memcpy(guarded->bytes, bytes, size);
}

void guarded_free(struct guarded *guarded)
{
	munmap(guarded->mapping, guarded->mapping_size);
}

void seal_description(uint8_t *bytes)
{
	struct tracebuf_description head;

	memcpy(&head, bytes, sizeof(head));
	head.crc = 0;
	memcpy(bytes, &head, sizeof(head));
	head.crc = tb_crc32c(0, bytes, head.size);
	memcpy(bytes, &head, sizeof(head));
}

void make_description(uint8_t *bytes, size_t *size, uint32_t id, const char *name, const struct tb_field *fields,
		      unsigned int nr_fields)
{
	struct tracebuf_description head = { .id = id, .nr_fields = nr_fields, .name_size = strlen(name) + 1,
					     .loglevel = 13 };
	uint8_t *record = bytes + *size, *at = record + sizeof(head);

	for (unsigned int i = 0; i < nr_fields; i++, at += 4) {
		const uint8_t field[4] = { fields[i].type, fields[i].size, fields[i].flags,
					   strlen(fields[i].name) + 1 };

		memcpy(at, field, sizeof(field));
	}
	at = (uint8_t *) stpcpy((char *) at, name) + 1;
	for (unsigned int i = 0; i < nr_fields; i++)
		at = (uint8_t *) stpcpy((char *) at, fields[i].name) + 1;
	while ((at - record) % 8)
		*at++ = 0;
	head.size = at - record;
	memcpy(record, &head, sizeof(head));
	seal_description(record);
	*size += head.size;
}

static void make_superblock(struct tracebuf_superblock *sb, uint32_t kind, uint32_t header_size, uint64_t total_size)
{
	static const uint8_t masked[16] = TRACEBUF_MAGIC_MASKED;

	for (unsigned int i = 0; i < 16; i++)
		sb->magic[i] = masked[i] ^ TRACEBUF_MAGIC_MASK;
	sb->abi_version = TRACEBUF_ABI_VERSION;
	sb->kind = kind;
	sb->header_size = header_size;
	sb->total_size = total_size;
	sb->page_size = 4096;
}

void seal_ring(struct tracebuf_ring *ring)
{
	ring->sb.header_crc = 0;
	ring->sb.header_crc = tb_crc32c(0, ring, TRACEBUF_RING_HEADER_SIZE);
}

void make_ring(struct tracebuf_ring *ring)
{
	memset(ring, 0, sizeof(*ring));
	make_superblock(&ring->sb, TRACEBUF_KIND_RING, TRACEBUF_RING_HEADER_SIZE, TRACEBUF_RING_DATA_OFFSET + 4 * 8192);
	memset(ring->uuid, 0x5c, sizeof(ring->uuid));
	ring->generation = 3;
	ring->stream_id = 0x1234;
	ring->stream_instance_id = 9;
	ring->incarnation = 77;
	ring->pid = 1000;
	ring->cpu = 1;
	ring->slot = 2;
	ring->channel = 1;
	ring->nr_descriptions = 5;
	ring->clock = TRACEBUF_CLOCK_TSC;
	ring->writer = TRACEBUF_WRITER_RSEQ;
	strcpy(ring->config.name, "channel0");
	ring->config.mode = TRACEBUF_MODE_OVERWRITE;
	ring->config.context = TRACEBUF_CONTEXT_VTID;
	ring->config.subbuf_size = 8192;
	ring->config.nr_subbufs = 4;
	memcpy(ring->procname, "exactly16 bytes!", 16);
	seal_ring(ring);
}

void seal_process(struct tracebuf_process *process)
{
	process->sb.header_crc = 0;
	process->sb.header_crc = tb_crc32c(0, process, TRACEBUF_PROCESS_HEADER_SIZE);
}

void make_process(struct tracebuf_process *process)
{
	memset(process, 0, sizeof(*process));
	make_superblock(&process->sb, TRACEBUF_KIND_PROCESS, TRACEBUF_PROCESS_HEADER_SIZE, TRACEBUF_PROCESS_SIZE);
	process->pid = 1000;
	process->parent_pid = 1;
	process->incarnation = 77;
	memset(process->executable, 'x', sizeof(process->executable));
	seal_process(process);
}

static void add_class(struct tb_stream_class *class, uint32_t id, const char *name, const struct tb_field *fields,
		      unsigned int nr_fields)
{
	struct tb_event_class *event;

	if (tb_event_class_make(id, 13, name, fields, nr_fields, &event) || tb_events_add(&class->events, event))
		must(NULL);
}

void make_class(struct tb_stream_class *class, uint64_t id, uint32_t context)
{
	static const struct tb_field two[] = {
		{ TRACEBUF_FIELD_INTEGER, 8, TRACEBUF_FIELD_SIGNED, "a" }, { TRACEBUF_FIELD_INTEGER, 8, 0, "b" } };
	static const struct tb_field each[] = {
		{ TRACEBUF_FIELD_INTEGER, 1, TRACEBUF_FIELD_SIGNED, "small" },
		{ TRACEBUF_FIELD_INTEGER, 8, TRACEBUF_FIELD_HEX, "ptr" },
		{ TRACEBUF_FIELD_FLOAT, 4, 0, "single" },
		{ TRACEBUF_FIELD_FLOAT, 8, 0, "number" },
		{ TRACEBUF_FIELD_STRING, 0, 0, "text" },
		{ TRACEBUF_FIELD_SEQUENCE, 2, TRACEBUF_FIELD_SIGNED, "list" } };
	static const struct tb_field byte[] = { { TRACEBUF_FIELD_INTEGER, 1, 0, "n" } };

	memset(class, 0, sizeof(*class));
	class->id = id;
	class->context = context;
	add_class(class, 0, "test:two", two, 2);
	add_class(class, 1, "test:each", each, 6);
	add_class(class, 29, "test:compact", byte, 1);
	add_class(class, 30, "test:wide", byte, 1);
	add_class(class, 40, "test:wider", byte, 1);
	add_class(class, 500, "test:nothing", NULL, 0);
}

static void *room_for(struct packet_maker *maker, size_t size)
{
	uint8_t *at;

	if (maker->size + size > maker->room) {
		maker->room = (maker->size + size) * 2;
		maker->bytes = must(realloc(maker->bytes, maker->room));
	}
	at = maker->bytes + maker->size;
	memset(at, 0, size);
	maker->size += size;
	return at;
}

void packet_begin(struct packet_maker *maker, const uint8_t uuid[16], const struct tb_stream_class *class,
		  uint64_t seq, uint64_t event_seq, uint64_t time)
{
	struct tracebuf_packet head = { .magic = TRACEBUF_CTF_MAGIC, .stream_id = class->id, .stream_instance_id = 9,
					.event_seq = event_seq, .timestamp_begin = time, .packet_seq_num = seq,
					.cpu_id = 1, .pid = 1000, .procname = "proc" };

	memset(maker, 0, sizeof(*maker));
	memcpy(head.uuid, uuid, 16);
	memcpy(room_for(maker, sizeof(head)), &head, sizeof(head));
	maker->time = time;
}

void packet_event(struct packet_maker *maker, const struct tb_stream_class *class, unsigned int form, uint32_t id,
		  uint64_t time, const void *payload, size_t payload_size)
{
	uint8_t *at = room_for(maker, form);
	uint32_t word = (form == 4 ? id : 30) | (uint32_t) (time << 5);
	int32_t tid = 1001;

	if (form == 13) {
		at[0] = 31;
		memcpy(at + 1, &id, 4);
		memcpy(at + 5, &time, 8);
	} else {
		memcpy(at, &word, 4);
		memcpy(at + 4, &id, form - 4);
	}
	if (tb_context_size(class->context))
		memcpy(room_for(maker, tb_context_size(class->context)), &tid, 4);
	if (payload_size)
		memcpy(room_for(maker, payload_size), payload, payload_size);
	maker->time = time;
	maker->nr_events++;
}

void packet_end(struct packet_maker *maker, uint64_t packet_size, uint64_t events_discarded)
{
	struct tracebuf_packet head;
	uint64_t content_size = maker->size;

	room_for(maker, packet_size - content_size);
	memcpy(&head, maker->bytes, sizeof(head));
	tb_packet_finish(&head, maker->time, content_size, packet_size, maker->nr_events, events_discarded);
	memcpy(maker->bytes, &head, sizeof(head));
}

void packet_free(struct packet_maker *maker)
{
	free(maker->bytes);
	maker->bytes = NULL;
}

size_t make_payload(uint8_t *payload, const char *text, uint32_t nr_elements)
{
	const uint64_t pointer = 0x7f00deadbeef;
	const double number = 9.9;
	const float single = -0.5f;
	uint8_t *at = payload;

	*at++ = (uint8_t) -7;
	at = (uint8_t *) mempcpy(at, &pointer, 8);
	at = (uint8_t *) mempcpy(at, &single, 4);
	at = (uint8_t *) mempcpy(at, &number, 8);
	at = (uint8_t *) stpcpy((char *) at, text) + 1;
	at = (uint8_t *) mempcpy(at, &nr_elements, 4);
	for (uint32_t i = 0; i < nr_elements; i++) {
		int16_t element = -(int16_t) i;

		at = (uint8_t *) mempcpy(at, &element, 2);
	}
	return at - payload;
}

void make_info(struct tb_trace_info *info)
{
	memset(info, 0, sizeof(*info));
	memset(info->uuid, 0x5c, sizeof(info->uuid));
	memset(info->boot_id, 0x17, sizeof(info->boot_id));
	tb_trace_info_set_clock(info, 1000000000, 0, 1700000000000000000);
	info->creation_s = 1700000000;
	strcpy(info->name, "a \"name\"\n");
	strcpy(info->hostname, "host");
	strcpy(info->product, "tracebuf 0.1.0");
}
