/* SPDX-License-Identifier: MIT */
/*
 * Sets of event descriptions. Thousands of short processes run the same program: their descriptions are kept, parsed
 * and matched against the rules once.
 *
 * Invariant: a set's bytes are private and were checked; two sets in the table differ.
 */
#include "descriptions.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "libtracebuf/pattern.h"
#include "libtracebuf/stream_id.h"

static struct tb_descriptions *find(struct cds_list_head *bucket, const char *bytes, size_t size, uint64_t hash)
{
	struct tb_descriptions *descriptions;

	cds_list_for_each_entry(descriptions, bucket, bucket)
		if (descriptions->hash == hash && descriptions->size == size && !memcmp(descriptions->bytes, bytes, size))
			return descriptions;
	return NULL;
}

static int make(char *bytes, size_t size, uint32_t nr, struct tb_descriptions **ret_descriptions)
{
	struct tb_descriptions *descriptions = calloc(1, sizeof(*descriptions));
	int ret;

	if (!descriptions)
		return -ENOMEM;
	ret = tb_descriptions_parse(bytes, size, nr, &descriptions->events);
	if (ret) {
		free(descriptions);
		return ret;
	}
	descriptions->channels = calloc((size_t) descriptions->events.nr + 1,
					TRACEBUF_NR_SLOTS * sizeof(*descriptions->channels));
	if (!descriptions->channels) {
		tb_events_free(&descriptions->events);
		free(descriptions);
		return -ENOMEM;
	}
	descriptions->bytes = bytes;
	descriptions->size = size;
	descriptions->nr = nr;
	*ret_descriptions = descriptions;
	return 0;
}

int tb_descriptions_get(struct tb_daemon *daemon, char *bytes, size_t size, uint32_t nr,
			struct tb_descriptions **ret_descriptions)
{
	uint64_t hash = tb_stream_id(0, bytes, size);
	struct cds_list_head *bucket = &daemon->descriptions[hash % TB_DESCRIPTIONS_BUCKETS];
	struct tb_descriptions *descriptions = find(bucket, bytes, size, hash);
	int ret;

	if (descriptions) {
		free(bytes);
	} else {
		ret = make(bytes, size, nr, &descriptions);
		if (ret) {
			free(bytes);
			return ret;
		}
		descriptions->hash = hash;
		cds_list_add(&descriptions->bucket, bucket);
	}
	descriptions->refs++;
	*ret_descriptions = descriptions;
	return 0;
}

void tb_descriptions_put(struct tb_descriptions *descriptions)
{
	if (!descriptions || --descriptions->refs)
		return;
	cds_list_del(&descriptions->bucket);
	tb_events_free(&descriptions->events);
	free(descriptions->channels);
	free(descriptions->bytes);
	free(descriptions);
}

const uint16_t *tb_descriptions_evaluate(struct tb_descriptions *descriptions, const struct tb_control *control)
{
	if (descriptions->evaluated == control->page.rules_generation)
		return descriptions->channels;
	for (uint32_t id = 0; id < descriptions->events.nr; id++) {
		const struct tb_event_class *class = tb_events_find(&descriptions->events, id);
		uint16_t *channels = descriptions->channels + (size_t) id * TRACEBUF_NR_SLOTS;

		for (int i = 0; i < TRACEBUF_NR_SLOTS; i++) {
			const struct tracebuf_slot *slot = &control->page.slot[i];

			channels[i] = class && slot->active ? tb_rules_evaluate(control->rules[i], slot->rules_size,
										slot->nr_channels, class->name) : 0;
		}
	}
	descriptions->evaluated = control->page.rules_generation;
	return descriptions->channels;
}
