// SPDX-License-Identifier: GPL-2.0-only
/*
 * Enable records: what the fast path of a process tests.
 *
 * Invariant: when enabled has a slot's bit, channels[slot] and ring are already right for it. So bits that go are
 * cleared first, and bits that come are set last. Only the kernel writes here, under tb_lock; of what the process gave,
 * only which record belongs to which of its events is taken. Partner: tracebuf__enabled() and the slow path of the
 * library.
 */
#include <linux/sched.h>
#include <linux/slab.h>
#include "tracebuf.h"

/* Records on their way; under tb_lock. */
static struct tracebuf_enable chunk[PAGE_SIZE / sizeof(struct tracebuf_enable)];

/* Slots whose traces are active and see the process. */
static u16 seen_slots(const struct tb_process *process)
{
	u16 seen = 0;

	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++) {
		const struct tb_trace *trace = tb_trace_in(slot);

		if (trace && trace->active && tb_process_is_seen_by(process, trace))
			seen |= 1u << slot;
	}
	return seen;
}

/* Sets enabled, ring and channels of record by what the rules say. seen: slots that count. */
static void decide(struct tracebuf_enable *record, const u16 channels[TRACEBUF_NR_SLOTS], u16 seen)
{
	bool several = false;

	record->enabled = 0;
	record->ring = TRACEBUF_RING_SEVERAL;
	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++) {
		u16 here = seen & 1u << slot ? channels[slot] : 0;

		record->channels[slot] = here;
		if (!here)
			continue;
		several = several || record->enabled || here & (here - 1);
		record->ring = several ? TRACEBUF_RING_SEVERAL : TRACEBUF_RING_SET(slot, __ffs(here));
		record->enabled |= 1u << slot;
	}
}

/* Makes record what it must be for the event it is used for. */
static void fill_record(struct tracebuf_enable *record, u32 index, struct tb_event *event, u16 seen)
{
	bool wide = event->id >= TRACEBUF_ID_WIDE;

	*record = (struct tracebuf_enable) {
		.header_id = wide ? TRACEBUF_ID_WIDE : event->id,
		.id = event->id,
		.prefix_id = wide ? event->id : 0,
		.prefix_size = wide ? 2 : 0,
		.prefix_factor = wide ? 65536 : 1,
		.used = 1,
		.index = index,
	};
	decide(record, tb_event_channels(event), seen);
}

static void store_word(struct tb_process *process, u32 offset, size_t field, u16 value)
{
	tb_object_store16(&process->object, TRACEBUF_ENABLE_OFFSET + offset + field, value);
}

/* Changes the record at offset of the enable area from old to new, which differ in enabled, ring and channels only. */
static void store_record(struct tb_process *process, u32 offset, const struct tracebuf_enable *old,
			 const struct tracebuf_enable *new)
{
	u16 keep = old->enabled & new->enabled;

	if (keep != old->enabled) {
		store_word(process, offset, offsetof(struct tracebuf_enable, enabled), keep);
		smp_wmb();	/* bits that go are gone before what they stand for */
	}
	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++)
		if (old->channels[slot] != new->channels[slot])
			store_word(process, offset, offsetof(struct tracebuf_enable, channels[slot]),
				   new->channels[slot]);
	if (old->ring != new->ring)
		store_word(process, offset, offsetof(struct tracebuf_enable, ring), new->ring);
	if (keep != new->enabled) {
		smp_wmb();	/* bits that come stand for what is there */
		store_word(process, offset, offsetof(struct tracebuf_enable, enabled), new->enabled);
	}
}

static void evaluate_record(struct tb_process *process, u32 offset, const struct tracebuf_enable *old)
{
	struct tracebuf_enable new = *old;

	if (old->used != 1 || old->index >= process->nr_descriptions)
		return;
	decide(&new, tb_event_channels(process->events[old->index]), process->seen);
	if (memcmp(&new, old, sizeof(new)))
		store_record(process, offset, old, &new);
}

static void evaluate(struct tb_process *process)
{
	u16 seen = seen_slots(process), before = process->seen;

	process->seen = seen;
	for (u32 offset = 0; (seen || before) && offset < process->enable_size; offset += sizeof(chunk)) {
		tb_object_read(&process->object, TRACEBUF_ENABLE_OFFSET + offset, chunk, sizeof(chunk));
		for (unsigned int i = 0; i < ARRAY_SIZE(chunk); i++)
			evaluate_record(process, offset + i * sizeof(chunk[0]), &chunk[i]);
		cond_resched();
	}
	tb_object_store64(&process->object, offsetof(struct tracebuf_process, rules_generation),
			  tb_rules_generation());
}

void tb_processes_evaluate(void)
{
	struct tb_process *process;

	lockdep_assert_held(&tb_lock);
	list_for_each_entry(process, &tb_processes, list)
		if (!process->dead)
			evaluate(process);
}

/* Fills in what the kernel says of records that user space gave. */
static int fill_records(struct tb_process *process, struct tracebuf_enable *records, u32 nr)
{
	for (u32 i = 0; i < nr; i++) {
		u32 index = records[i].index;

		if (records[i].used > 1 || (records[i].used && index >= process->nr_descriptions))
			return -EINVAL;
		if (records[i].used)
			fill_record(&records[i], index, process->events[index], process->seen);
		else
			memset(&records[i], 0, sizeof(records[i]));
		cond_resched();
	}
	return 0;
}

/* Disables what is in [offset, offset + size) of the enable area, since other records come there. */
static void disable(struct tb_process *process, u32 offset, u32 size)
{
	struct tracebuf_enable old;

	for (; size && offset < process->enable_size; offset += sizeof(old), size -= sizeof(old)) {
		tb_object_read(&process->object, TRACEBUF_ENABLE_OFFSET + offset, &old, sizeof(old));
		if (old.enabled)
			store_word(process, offset, offsetof(struct tracebuf_enable, enabled), 0);
		cond_resched();
	}
	smp_wmb();
}

/* Writes filled records, none enabled until all are whole. */
static int write_records(struct tb_process *process, u32 offset, struct tracebuf_enable *records, u32 nr)
{
	u16 enabled;
	int ret = 0;

	disable(process, offset, nr * sizeof(*records));
	for (u32 i = 0; i < nr && !ret; i++) {
		enabled = records[i].enabled;
		records[i].enabled = 0;
		ret = tb_object_write(&process->object, TRACEBUF_ENABLE_OFFSET + offset + i * sizeof(*records),
				      &records[i], sizeof(*records));
		records[i].enabled = enabled;
	}
	if (ret)
		return ret;
	smp_wmb();
	for (u32 i = 0; i < nr; i++)
		if (records[i].enabled)
			store_word(process, offset + i * sizeof(*records), offsetof(struct tracebuf_enable, enabled),
				   records[i].enabled);
	return 0;
}

/* Stores records, and what the file says of the area. */
static int enable(struct tb_process *process, u32 offset, struct tracebuf_enable *records, u32 size)
{
	u32 end = round_up(offset + size, PAGE_SIZE);
	bool grows = process->enable_size && end > process->enable_size;
	int ret;

	if (process->gone)
		return -ESRCH;
	process->seen = seen_slots(process);
	ret = fill_records(process, records, size / sizeof(*records));
	if (!ret)
		ret = write_records(process, offset, records, size / sizeof(*records));
	if (ret)
		return ret;
	process->enable_size = max(process->enable_size, end);
	tb_object_store64(&process->object, offsetof(struct tracebuf_process, rules_generation),
			  tb_rules_generation());
	tb_process_store_counts(process);
	/* More than it had: an object that it has loaded since it registered. */
	if (grows)
		tb_process_dump_if_traced(process);
	return 0;
}

int tb_process_enable(struct tb_process *process, const struct tracebuf_ioc_enable *arg)
{
	struct tracebuf_enable *records;
	int ret;

	if (current->mm != process->object.mm)
		return -ESRCH;
	if (!arg->records_size || arg->records_size % sizeof(*records) || arg->offset % sizeof(*records))
		return -EINVAL;
	if (arg->offset > TRACEBUF_ENABLE_SIZE || arg->records_size > TRACEBUF_ENABLE_SIZE - arg->offset)
		return -ENOSPC;
	records = tb_copy_block(arg->records, arg->records_size);
	if (IS_ERR(records))
		return PTR_ERR(records);
	mutex_lock(&tb_lock);
	ret = enable(process, arg->offset, records, arg->records_size);
	mutex_unlock(&tb_lock);
	kvfree(records);
	return ret;
}
