/* SPDX-License-Identifier: MIT */
/*
 * What recovery gets out of an image of memory: each packet by its numbers and a hash of its events, and whether there
 * is one among them that no program wrote. The same functions as `tracebuf recover` uses, without its output.
 */
#define _GNU_SOURCE
#include "harvest.h"

#include <stdio.h>
#include <string.h>

#include "reader/salvage.h"
#include "tick.h"
#include "tools/remains.h"

static bool is_tick(const struct tb_event *event)
{
	uint64_t seq, sum;
	uint32_t writer;

	if (event->payload_size < 20)
		return false;
	memcpy(&writer, event->payload, 4);
	memcpy(&seq, event->payload + 4, 8);
	memcpy(&sum, event->payload + 12, 8);
	return sum == tick_sum(writer, seq);
}

/* A ring being harvested. */
struct taking {
	const struct tb_stream_class *class;
	struct ring *ring;
};

static int take_packet(void *data, const struct tb_salvaged *salvaged)
{
	struct taking *taking = data;
	struct packet *packet = &taking->ring->packet[salvaged->head.packet_seq_num % HARVEST_MAX_SUBBUFS];
	struct tb_event_iter iter;
	struct tb_event event;

	*packet = (struct packet) { true, salvaged->head.packet_seq_num, salvaged->head.event_seq,
				    salvaged->head.nr_events, 0, false };
	tb_event_iter_init(&iter, taking->class, salvaged->bytes + sizeof(salvaged->head),
			   salvaged->content_size - sizeof(salvaged->head), salvaged->head.timestamp_begin,
			   salvaged->head.timestamp_end);
	while (tb_event_iter_next(&iter, &event) > 0) {
		packet->wrong |= !is_tick(&event);
		for (size_t i = 0; i < event.payload_size; i++)
			packet->hash = (packet->hash ^ event.payload[i]) * 0x100000001b3ull;
		packet->hash = tick_mix(packet->hash ^ event.time);
	}
	return 0;
}

static void harvest_ring(const struct tb_remains *remains, const struct tb_remains_ring *found, struct harvest *harvest)
{
	const struct tb_remains_process *process = tb_remains_process_of(remains, found);
	struct ring *ring = &harvest->ring[harvest->nr];
	struct tb_stream_class class;
	struct tb_salvage salvage;
	struct taking taking = { &class, ring };

	if (!process || harvest->nr == HARVEST_MAX_RINGS || found->info.nr_subbufs > HARVEST_MAX_SUBBUFS ||
	    tb_salvage_class(&process->source, found->info.stream_id, found->info.context, found->info.nr_descriptions,
			     &class))
		return;
	memset(ring, 0, sizeof(*ring));
	ring->instance = found->info.stream_instance_id;
	tb_salvage_ring(&found->source, &found->info, &class, take_packet, &taking, &salvage);
	tb_events_free(&class.events);
	for (int i = 0; i < TB_LOSS_NR; i++)
		ring->nr_dropped += salvage.nr_dropped[i];
	harvest->nr++;
}

void harvest(int fd, struct harvest *harvest)
{
	struct tb_remains remains = { 0 };
	char path[32], message[256];

	harvest->nr = 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!tb_remains_of_image(path, NULL, NULL, &remains, message, sizeof(message)))
		for (size_t i = 0; i < remains.nr_rings; i++)
			harvest_ring(&remains, &remains.ring[i], harvest);
	tb_remains_free(&remains);
}

struct ring *harvest_find(struct harvest *harvest, uint64_t instance)
{
	for (unsigned int i = 0; i < harvest->nr; i++)
		if (harvest->ring[i].instance == instance)
			return &harvest->ring[i];
	return NULL;
}
