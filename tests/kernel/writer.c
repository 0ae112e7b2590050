/* SPDX-License-Identifier: MIT */
/*
 * A traced process by hand. What it writes into its rings are packets as the library makes them, with nothing in them:
 * readers must find them in order.
 */
#define _GNU_SOURCE
#include "writer.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "device.h"
#include "libtracebuf/crc32c.h"

int writer_open(struct writer *writer, const char *domain)
{
	int result;

	memset(writer, 0, sizeof(*writer));
	writer->fd = device_register(domain, &writer->id);
	if (writer->fd < 0)
		return writer->fd;
	device_process_name(writer->name, &writer->id);
	result = device_map(writer->fd, 0, page_size(), PROT_READ, &writer->header);
	if (result)
		return result;
	return device_map(writer->fd, TRACEBUF_PROCESS_ACCOUNT_OFFSET, page_size(), PROT_READ | PROT_WRITE,
			  &writer->account);
}

size_t writer_describe(void *out, const char *name, const char *field)
{
	struct tracebuf_description description = { .nr_fields = 1, .loglevel = 13 };
	struct tracebuf_field of_field = { .type = TRACEBUF_FIELD_INTEGER, .size = 8 };
	unsigned char *at = out;

	description.name_size = (uint16_t) (strlen(name) + 1);
	of_field.name_size = (uint8_t) (strlen(field) + 1);
	description.size = (uint32_t) (sizeof(description) + sizeof(of_field)) + description.name_size +
			   of_field.name_size;
	description.size = (description.size + 7) & ~7u;
	memset(at, 0, description.size);
	memcpy(at, &description, sizeof(description));
	at += sizeof(description);
	memcpy(at, &of_field, sizeof(of_field));
	at += sizeof(of_field);
	memcpy(at, name, description.name_size);
	memcpy(at + description.name_size, field, of_field.name_size);
	return description.size;
}

int writer_send(struct writer *writer, void *descriptions, size_t size, uint32_t nr)
{
	struct tracebuf_ioc_describe arg = {
		.size = sizeof(arg), .nr = nr, .descriptions = (uintptr_t) descriptions,
		.descriptions_size = (uint32_t) size,
	};
	int result = device_call(writer->fd, TRACEBUF_IOC_DESCRIBE, &arg);

	if (!result)
		writer->nr_events = arg.nr_descriptions;
	return result;
}

int writer_enable(struct writer *writer, uint32_t index, uint32_t used)
{
	struct tracebuf_enable record = { .used = used, .index = index };
	struct tracebuf_ioc_enable arg = {
		.size = sizeof(arg), .records_size = sizeof(record), .records = (uintptr_t) &record,
		.offset = index * (uint32_t) sizeof(record),
	};

	return device_call(writer->fd, TRACEBUF_IOC_ENABLE, &arg);
}

int writer_event(struct writer *writer, const char *name, uint32_t *ret_id)
{
	_Alignas(8) unsigned char bytes[256];
	size_t size = writer_describe(bytes, name, "value");
	int result = writer_send(writer, bytes, size, 1);

	if (result)
		return result;
	if (ret_id)
		*ret_id = ((struct tracebuf_description *) bytes)->id;
	return writer_enable(writer, writer->nr_events - 1, 1);
}

int writer_map_enable(struct writer *writer, uint32_t nr, const struct tracebuf_enable **ret_records)
{
	size_t size = (nr * sizeof(struct tracebuf_enable) + page_size() - 1) & ~(page_size() - 1);

	return device_map(writer->fd, TRACEBUF_ENABLE_OFFSET, size, PROT_READ, ret_records);
}

static int map_ring(struct writer_ring *ring)
{
	unsigned char *whole, *rest;
	int result = device_map(ring->fd, 0, writer_ring_size(ring), PROT_READ, &whole);

	if (result)
		return result;
	rest = mmap(whole + TRACEBUF_RING_PRODUCER_OFFSET, writer_ring_size(ring) - TRACEBUF_RING_PRODUCER_OFFSET,
		    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, ring->fd, TRACEBUF_RING_PRODUCER_OFFSET);
	if (rest == MAP_FAILED)
		return -errno;
	ring->header = (void *) whole;
	ring->producer = (void *) rest;
	ring->data = whole + TRACEBUF_RING_DATA_OFFSET;
	return 0;
}

int writer_ring(struct writer *writer, uint64_t generation, unsigned int ring_set, unsigned int cpu,
		struct writer_ring *ret_ring)
{
	int result;

	memset(ret_ring, 0, sizeof(*ret_ring));
	ret_ring->fd = device_ring(generation, ring_set, cpu, &ret_ring->arg);
	if (ret_ring->fd < 0)
		return ret_ring->fd;
	device_ring_name(ret_ring->name, &writer->id, &ret_ring->arg);
	result = map_ring(ret_ring);
	if (result) {
		close(ret_ring->fd);
		return result;
	}
	ret_ring->subbuf_size = ret_ring->header->config.subbuf_size;
	ret_ring->nr_subbufs = ret_ring->header->config.nr_subbufs;
	return 0;
}

bool writer_start(struct writer *writer, const char *domain, const struct control_trace *trace,
		  struct writer_ring *ret_ring)
{
	return CHECK_IS(writer_open(writer, domain), 0) && CHECK_IS(writer_event(writer, "test:started", NULL), 0) &&
	       CHECK_IS(writer_ring(writer, trace->generation, TRACEBUF_RING_SET(trace->slot, 0), 0, ret_ring), 0);
}

size_t writer_ring_size(const struct writer_ring *ring)
{
	return (size_t) ring->arg.total_size;
}

static void fill_silently(struct writer_ring *ring)
{
	uint64_t seq = ring->producer->position / ring->subbuf_size;
	struct tracebuf_packet packet = {
		.magic = TRACEBUF_CTF_MAGIC,
		.stream_id = ring->header->stream_id,
		.stream_instance_id = ring->header->stream_instance_id,
		.timestamp_begin = seq + 1,
		.timestamp_end = seq + 1,
		.content_size = sizeof(packet) * 8,
		.packet_size = ring->subbuf_size * 8,
		.packet_seq_num = seq,
		.cpu_id = ring->header->cpu,
		.pid = ring->header->pid,
	};

	memcpy(packet.uuid, ring->header->uuid, sizeof(packet.uuid));
	memcpy(packet.procname, ring->header->procname, sizeof(packet.procname));
	packet.close_crc = tb_crc32c(0, &packet, sizeof(packet));
	memcpy(ring->data + seq % ring->nr_subbufs * ring->subbuf_size, &packet, sizeof(packet));
	__atomic_store_n(&ring->producer->position, (seq + 1) * ring->subbuf_size, __ATOMIC_RELEASE);
}

int writer_fill(struct writer_ring *ring)
{
	fill_silently(ring);
	return device_switch(ring->arg.instance);
}

void writer_unmap(struct writer_ring *ring)
{
	munmap(ring->header, writer_ring_size(ring));
	close(ring->fd);
}

bool writer_is_superblock(const void *header, uint32_t kind)
{
	static const unsigned char masked[16] = TRACEBUF_MAGIC_MASKED;
	_Alignas(8) unsigned char copy[4096];
	struct tracebuf_superblock *sb = (void *) copy;
	uint32_t crc;

	memcpy(copy, header, sizeof(copy));
	for (size_t i = 0; i < sizeof(masked); i++)
		CHECK_IS(sb->magic[i], masked[i] ^ TRACEBUF_MAGIC_MASK);
	CHECK_IS(sb->abi_version, TRACEBUF_ABI_VERSION);
	CHECK_IS(sb->page_size, page_size());
	CHECK(sb->physical_address && sb->physical_address % page_size() == 0);
	CHECK(sb->page_list && sb->page_list % page_size() == 0 && sb->page_list != sb->physical_address);
	CHECK(sb->page_list_levels >= 1 && sb->page_list_levels <= TRACEBUF_MAX_PAGE_LIST_LEVELS);
	if (!CHECK(sb->header_size >= sizeof(*sb) && sb->header_size <= sizeof(copy)))
		return false;
	crc = sb->header_crc;
	sb->header_crc = 0;
	CHECK_IS(tb_crc32c(0, copy, sb->header_size), crc);
	return CHECK_IS(sb->kind, kind);
}
