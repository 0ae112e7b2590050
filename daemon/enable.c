/* SPDX-License-Identifier: MIT */
/*
 * Enable records: what the fast path of a process tests.
 *
 * Invariant: when enabled has a slot's bit, channels[slot] and ring are already right for it. So bits that go are
 * cleared first, and bits that come are set last. A store is a pwrite(2) of the one word: it may be seen a byte at a
 * time, which is harmless: each bit of enabled and channels stands for itself, and ring never passes 255.
 * Partner: tracebuf__enabled() and the slow path of the library.
 */
#include "enable.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void tb_enable_decide(struct tracebuf_enable *record, const uint16_t channels[TRACEBUF_NR_SLOTS])
{
	unsigned int nr_sets = 0;

	record->enabled = 0;
	record->ring = TRACEBUF_RING_SEVERAL;
	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++) {
		record->channels[slot] = channels[slot];
		if (!channels[slot])
			continue;
		record->enabled |= 1u << slot;
		nr_sets += __builtin_popcount(channels[slot]);
		if (nr_sets == 1)
			record->ring = TRACEBUF_RING_SET(slot, __builtin_ctz(channels[slot]));
	}
	if (nr_sets != 1)
		record->ring = TRACEBUF_RING_SEVERAL;
}

static int store_word(int fd, uint64_t offset, uint16_t value)
{
	ssize_t written = pwrite(fd, &value, sizeof(value), offset);

	if (written == sizeof(value))
		return 0;
	return written < 0 ? -errno : -ENOSPC;
}

/* Stops at the first word that cannot be stored: what is left to do is seen by comparing again. */
static int store_record(int fd, uint64_t offset, const struct tracebuf_enable *old, const struct tracebuf_enable *new)
{
	uint16_t keep = old->enabled & new->enabled;
	int ret = 0;

	if (keep != old->enabled)
		ret = store_word(fd, offset + offsetof(struct tracebuf_enable, enabled), keep);
	for (int i = 0; i < TRACEBUF_NR_SLOTS && !ret; i++)
		if (old->channels[i] != new->channels[i])
			ret = store_word(fd, offset + offsetof(struct tracebuf_enable, channels) + i * sizeof(uint16_t),
					 new->channels[i]);
	if (!ret && old->ring != new->ring)
		ret = store_word(fd, offset + offsetof(struct tracebuf_enable, ring), new->ring);
	if (!ret && keep != new->enabled)
		ret = store_word(fd, offset + offsetof(struct tracebuf_enable, enabled), new->enabled);
	return ret;
}

int tb_enable_store(int fd, uint32_t enable_size, struct tb_descriptions *descriptions,
		     const struct tb_control *control)
{
	const uint16_t *channels = tb_descriptions_evaluate(descriptions, control);
	struct tracebuf_enable *records;
	ssize_t got;
	int ret = 0;

	if (!enable_size || enable_size > TRACEBUF_ENABLE_SIZE)
		return 0;
	records = malloc(enable_size);
	if (!records)
		return -ENOMEM;
	got = pread(fd, records, enable_size, TRACEBUF_ENABLE_OFFSET);
	if (got < 0)
		ret = -errno;
	for (ssize_t i = 0; !ret && i < got / (ssize_t) sizeof(*records); i++) {
		struct tracebuf_enable new = records[i];

		if (new.used != 1 || new.id >= descriptions->events.nr)
			continue;
		tb_enable_decide(&new, channels + (size_t) new.id * TRACEBUF_NR_SLOTS);
		if (memcmp(&new, &records[i], sizeof(new)))
			ret = store_record(fd, TRACEBUF_ENABLE_OFFSET + i * sizeof(new), &records[i], &new);
	}
	free(records);
	return ret;
}
