/* SPDX-License-Identifier: MIT */
/*
 * A stream file of a trace, read as `tracebuf view` reads it: metadata of one class with every kind of field, and packets
 * whose checksums are put right where a head lies at a multiple of 4096.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reader/packet.h"
#include "reader/stream_file.h"

#define MAX_SIZE (256u << 10)
#define PIECE_SIZE 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tb_field fields[] = {
	{ TRACEBUF_FIELD_INTEGER, 1, TRACEBUF_FIELD_SIGNED, "small" },
	{ TRACEBUF_FIELD_STRING, 0, 0, "text" },
	{ TRACEBUF_FIELD_SEQUENCE, 4, 0, "words" },
	{ TRACEBUF_FIELD_FLOAT, 8, 0, "real" },
	{ TRACEBUF_FIELD_INTEGER, 8, TRACEBUF_FIELD_HEX, "address" },
};

static struct tb_metadata *make_metadata(void)
{
	struct tb_metadata *metadata = calloc(1, sizeof(*metadata));
	struct tb_event_class *class;

	if (!metadata || tb_metadata_add(metadata, 1, TRACEBUF_CONTEXT_VTID | TRACEBUF_CONTEXT_PROCNAME))
		abort();
	metadata->info.clock_frequency = 1000000000;
	metadata->packet_header_size = sizeof(struct tracebuf_packet);
	for (uint32_t id = 0; id < 3; id++)
		if (tb_event_class_make(id * 20, 13, "fuzz:event", fields, 5 - id * 2, &class) ||
		    tb_events_add(&metadata->stream_class[0]->events, class))
			abort();
	return metadata;
}

static void ignore(void *data, const char *message)
{
	(void) data;
	(void) message;
}

static void seal(uint8_t *bytes, size_t size)
{
	for (size_t at = 0; at + sizeof(struct tracebuf_packet) <= size; at += 4096) {
		struct tracebuf_packet *head = (void *) (bytes + at);

		head->magic = TRACEBUF_CTF_MAGIC;
		memset(head->uuid, 0, 16);
		head->stream_id = 1;
		head->open_crc = tb_packet_open_crc(head);
		head->close_crc = tb_packet_close_crc(head);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tb_metadata *metadata;
	static uint8_t bytes[MAX_SIZE] __attribute__((aligned(8)));
	static int fd = -1;
	struct tb_stream_file stream = { .piece_size = PIECE_SIZE, .report = ignore };
	char path[32];
	int more;

	if (!metadata)
		metadata = make_metadata();
	if (fd < 0)
		fd = memfd_create("stream", MFD_CLOEXEC);
	size = size < MAX_SIZE ? size : MAX_SIZE;
	memcpy(bytes, data, size);
	seal(bytes, size);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, bytes, size, 0) != (ssize_t) size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	stream.path = strdup(path);
	stream.metadata = metadata;
	for (more = stream.path ? tb_stream_file_open(&stream) : 0; more > 0;)
		more = tb_stream_file_next(&stream);
	tb_stream_file_close(&stream);
	return 0;
}
