// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers of events: what has the same name and layout has the same number in every process.
 *
 * Invariant: a number belongs to one layout for as long as any process describes it or any trace exists, so that what
 * is in a ring can be told for as long as the ring lives. Numbers are given lowest first: below TRACEBUF_ID_WIDE they
 * make the shortest event headers. What is here was checked by the rules that readers go by (reader/layout.c), since
 * one bad description makes a whole stream unreadable.
 */
#include <linux/bitmap.h>
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/once.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "libtracebuf/crc32c.h"
#include "libtracebuf/pattern.h"
#include "reader/layout.h"
#include "tracebuf.h"

/* Longest "provider:event", with the NUL: as the library has it, so that matching a rule stays short. */
#define MAX_EVENT_NAME_SIZE 1025

static DEFINE_HASHTABLE(by_layout, 12);
static DECLARE_BITMAP(taken, TRACEBUF_MAX_EVENT_ID);

/* The bytes that make two descriptions the same: all but size, crc and id. */
static const void *layout_of(const void *description)
{
	return description + offsetof(struct tracebuf_description, nr_fields);
}

static u32 hash_of(const void *description, u32 size)
{
	static u32 seed __read_mostly;

	get_random_once(&seed, sizeof(seed));
	return jhash(layout_of(description), size - offsetof(struct tracebuf_description, nr_fields), seed);
}

/* Bytes that a description with these names has, if it has no more than it needs. */
static u32 needed_size(const struct tracebuf_description *description, const struct tb_field *fields)
{
	u32 size = sizeof(*description) + description->nr_fields * sizeof(struct tracebuf_field) +
		   description->name_size;

	for (unsigned int i = 0; i < description->nr_fields; i++)
		size += strlen(fields[i].name) + 1;
	return size;
}

int tb_event_check(const void *from, u32 size)
{
	const struct tracebuf_description *description = from;
	struct tb_field fields[TRACEBUF_MAX_FIELDS];
	const char *name;
	u32 needed;

	if (size < sizeof(*description) || description->size < sizeof(*description) || description->size > size ||
	    description->size > TRACEBUF_MAX_DESCRIPTION_SIZE || description->size % 8)
		return -EINVAL;
	if (description->id || description->crc || memchr_inv(description->reserved, 0, sizeof(description->reserved)))
		return -EINVAL;
	if (tb_layout_parse(description, description->size, fields, &name) ||
	    description->name_size > MAX_EVENT_NAME_SIZE || !tb_layout_is_right(name, fields, description->nr_fields))
		return -EINVAL;
	needed = needed_size(description, fields);
	if (round_up(needed, 8) != description->size || memchr_inv(from + needed, 0, description->size - needed))
		return -EINVAL;
	return 0;
}

static struct tb_event *find(const void *description, u32 size, u32 hash)
{
	const size_t skip = offsetof(struct tracebuf_description, nr_fields);
	struct tb_event *event;

	hash_for_each_possible(by_layout, event, by_layout, hash)
		if (event->size == size &&
		    !memcmp(layout_of(event->description), layout_of(description), size - skip))
			return event;
	return NULL;
}

static struct tb_event *make(const void *description, u32 size, u32 id, struct tb_user *user)
{
	struct tb_event *event = kvzalloc(struct_size(event, description, size), GFP_KERNEL_ACCOUNT);
	struct tracebuf_description *own;

	if (!event)
		return NULL;
	own = (void *)event->description;
	memcpy(own, description, size);
	own->id = id;
	own->crc = tb_crc32c(0, own, size);
	event->id = id;
	event->size = size;
	event->name = (const char *)(own + 1) + own->nr_fields * sizeof(struct tracebuf_field);
	event->user = tb_user_hold(user);
	return event;
}

/* One with a number of its own. */
static struct tb_event *enter(const void *description, u32 size, u32 hash, struct tb_user *user)
{
	u32 id = find_first_zero_bit(taken, TRACEBUF_MAX_EVENT_ID);
	struct tb_event *event;

	if (id == TRACEBUF_MAX_EVENT_ID || tb_user_add(user, TB_EVENTS))
		return ERR_PTR(-ENOSPC);
	event = make(description, size, id, user);
	if (!event) {
		tb_user_remove(user, TB_EVENTS);
		return ERR_PTR(-ENOMEM);
	}
	__set_bit(id, taken);
	hash_add(by_layout, &event->by_layout, hash);
	return event;
}

struct tb_event *tb_event_get(const void *description, u32 size, struct tb_user *user)
{
	u32 hash = hash_of(description, size);
	struct tb_event *event;

	lockdep_assert_held(&tb_lock);
	event = find(description, size, hash) ?: enter(description, size, hash, user);
	if (!IS_ERR(event))
		event->nr_users++;
	return event;
}

static void forget(struct tb_event *event)
{
	hash_del(&event->by_layout);
	__clear_bit(event->id, taken);
	tb_user_remove(event->user, TB_EVENTS);
	tb_user_put(event->user);
	kvfree(event);
}

static bool any_trace(void)
{
	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++)
		if (tb_trace_in(slot))
			return true;
	return false;
}

void tb_event_put(struct tb_event *event)
{
	lockdep_assert_held(&tb_lock);
	if (--event->nr_users == 0 && !any_trace())
		forget(event);
}

void tb_events_trim(void)
{
	struct hlist_node *next;
	struct tb_event *event;
	int bucket;

	lockdep_assert_held(&tb_lock);
	hash_for_each_safe(by_layout, bucket, next, event, by_layout) {
		if (!event->nr_users)
			forget(event);
		cond_resched();
	}
}

const u16 *tb_event_channels(struct tb_event *event)
{
	u64 now = tb_rules_generation();

	lockdep_assert_held(&tb_lock);
	for (unsigned int slot = 0; event->evaluated != now && slot < TRACEBUF_NR_SLOTS; slot++) {
		const struct tb_trace *trace = tb_trace_in(slot);

		if (tb_trace_changed(slot) <= event->evaluated)
			continue;
		event->channels[slot] = trace && trace->active ?
			tb_rules_evaluate(trace->rules, trace->rules_size, trace->nr_channels, event->name) : 0;
		cond_resched();
	}
	event->evaluated = now;
	return event->channels;
}

void tb_events_exit(void)
{
	mutex_lock(&tb_lock);
	tb_events_trim();
	mutex_unlock(&tb_lock);
}
