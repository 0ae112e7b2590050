/* SPDX-License-Identifier: MIT */
/*
 * Images of memory: ELF cores, raw memory, flattened and compressed files, and the superblocks in them. The image is a
 * file, as `tracebuf recover` gets it; of all rings that are found the events are decoded.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reader/salvage.h"
#include "tools/remains.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int ignore(void *data, const struct tb_salvaged *packet)
{
	(void) data;
	return packet->content_size ? 0 : -1;
}

static void salvage(const struct tb_remains *remains, const struct tb_remains_ring *ring)
{
	const struct tb_remains_process *process = tb_remains_process_of(remains, ring);
	struct tb_stream_class class;
	struct tb_salvage result;

	if (!process || tb_salvage_class(&process->source, ring->info.stream_id, ring->info.context,
					 ring->info.nr_descriptions, &class))
		return;
	tb_salvage_ring(&ring->source, &ring->info, &class, ignore, NULL, &result);
	tb_events_free(&class.events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tb_remains remains = { 0 };
	static int fd = -1;
	char path[32], message[256];

	if (fd < 0)
		fd = memfd_create("image", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t) size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!tb_remains_of_image(path, NULL, NULL, &remains, message, sizeof(message)))
		for (size_t i = 0; i < remains.nr_rings; i++)
			salvage(&remains, &remains.ring[i]);
	tb_remains_free(&remains);
	return 0;
}
