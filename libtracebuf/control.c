/* SPDX-License-Identifier: MIT */
/*
 * The process's view of the control page: mapped read-only, read under its seqlock.
 *
 * Invariant: a control page that was mapped once stays mapped, so that whoever read the pointer may use it; another
 * daemon's page is mapped beside it. Reading is bounded: who meets a daemon that writes for too long goes without rules,
 * and the daemon tells it later by its enable records; a ring of what is enabled already is made all the same.
 */
#define _GNU_SOURCE
#include "control.h"
#include "home.h"
#include "raw.h"
#include <string.h>
#include <tracebuf/ordering.h>

/* With a rest each: some ten microseconds. A daemon that is not interrupted writes for less. */
#define MAX_TRIES 1000

static const struct tracebuf_control *control;
static uint64_t mapped_identity;

const struct tracebuf_control *tb_control(void)
{
	return tracebuf__load_acquire(&control);
}

static bool is_control(const struct tracebuf_control *map)
{
	return map->sb.kind == TRACEBUF_KIND_CONTROL && map->sb.abi_version == TRACEBUF_ABI_VERSION;
}

static int map_fd(int fd, uint64_t identity)
{
	size_t size = tb_home()->control_size;
	struct tracebuf_control *map;

	if (control && mapped_identity == identity)
		return 0;
	map = tb_raw_mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (!map)
		return -ENOMEM;
	if (!is_control(map)) {
		munmap(map, size);
		return -EPROTO;
	}
	mapped_identity = identity;
	tracebuf__store_release(&control, map);
	return 0;
}

int tb_control_map(void)
{
	uint64_t identity;
	int fd = tb_home()->control_open(&identity), result;

	if (fd < 0)
		return fd;
	result = map_fd(fd, identity);
	tb_raw_close(fd);
	return result;
}

static void rest(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Copies size bytes at offset of the page if no write came between; pairs with the daemon's sequence stores. */
static bool copy_once(const struct tracebuf_control *from, void *to, size_t offset, size_t size)
{
	uint32_t before = tracebuf__load_acquire(&from->sequence);

	if (before & 1)
		return false;
	memcpy(to, (const char *) from + offset, size);
	tracebuf__order_loads();
	return tracebuf__load(&from->sequence) == before;
}

/*
 * Copies a slot whose daemon was killed, or interrupted, while it wrote anything to the page. What a ring needs of a
 * slot stands still while its generation does: channels are added, never changed, and an event is enabled in one only
 * after that is there.
 */
static bool copy_anyway(const struct tracebuf_slot *from, struct tracebuf_slot *ret_slot)
{
	uint64_t before = tracebuf__load_acquire(&from->generation);

	memcpy(ret_slot, from, sizeof(*ret_slot));
	tracebuf__order_loads();
	return before && tracebuf__load(&from->generation) == before;
}

bool tb_control_slot(unsigned int number, struct tb_control_slot *ret_slot)
{
	const struct tracebuf_control *from = tb_control();
	size_t offset = offsetof(struct tracebuf_control, slot) + number * sizeof(struct tracebuf_slot);
	bool copied = false;

	if (!from)
		return false;
	for (int i = 0; i < MAX_TRIES && !copied; i++) {
		copied = copy_once(from, &ret_slot->slot, offset, sizeof(ret_slot->slot));
		if (!copied)
			rest();
	}
	ret_slot->clock = tracebuf__load(&from->clock);
	ret_slot->rseq_works = tracebuf__load(&from->rseq_works) == 1;
	return copied || copy_anyway(&from->slot[number], &ret_slot->slot);
}

static bool rules_once(const struct tracebuf_control *from, unsigned int number, void *rules,
		       struct tb_control_rules *ret_rules)
{
	const struct tracebuf_slot *slot = &from->slot[number];
	uint32_t before = tracebuf__load_acquire(&from->sequence);

	ret_rules->rules_generation = tracebuf__load(&from->rules_generation);
	ret_rules->nr_channels = tracebuf__load(&slot->nr_channels);
	ret_rules->size = tracebuf__load(&slot->rules_size);
	if (!tracebuf__load(&slot->active) || !tracebuf__load(&slot->generation))
		ret_rules->size = 0;
	if (before & 1 || ret_rules->size > TRACEBUF_RULES_SIZE || ret_rules->nr_channels > TRACEBUF_NR_CHANNELS)
		return false;
	memcpy(rules, (const char *) from + TRACEBUF_RULES_OFFSET + number * TRACEBUF_RULES_SIZE, ret_rules->size);
	tracebuf__order_loads();
	return tracebuf__load(&from->sequence) == before;
}

bool tb_control_rules(unsigned int number, void *rules, struct tb_control_rules *ret_rules)
{
	const struct tracebuf_control *from = tb_control();

	for (int i = 0; from && i < MAX_TRIES; i++) {
		if (rules_once(from, number, rules, ret_rules))
			return true;
		rest();
	}
	return false;
}

uint64_t tb_control_idle(void)
{
	const struct tracebuf_control *from = tb_control();
	uint32_t before = from ? tracebuf__load_acquire(&from->sequence) : 1;
	uint64_t generation;

	if (before & 1)
		return 0;
	generation = tracebuf__load(&from->rules_generation);
	for (unsigned int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (tracebuf__load(&from->slot[i].active) && tracebuf__load(&from->slot[i].generation))
			return 0;
	tracebuf__order_loads();
	return tracebuf__load(&from->sequence) == before ? generation : 0;
}

void tb_control_origin(struct tracebuf_ring *header)
{
	const struct tracebuf_control *from = tb_control();

	/* Written once, before any trace exists. */
	if (!from)
		return;
	header->clock_frequency = tracebuf__load(&from->clock_frequency);
	header->clock_ticks = tracebuf__load(&from->clock_ticks);
	header->clock_realtime_ns = tracebuf__load(&from->clock_realtime_ns);
	memcpy(header->boot_id, from->boot_id, sizeof(header->boot_id));
}

bool tb_control_is_current(unsigned int slot, uint64_t generation)
{
	const struct tracebuf_control *from = tb_control();

	return from && tracebuf__load(&from->slot[slot].generation) == generation;
}
