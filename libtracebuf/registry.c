/* SPDX-License-Identifier: MIT */
/*
 * The registry of loaded objects: which events this process can record, and where their enable records are.
 *
 * An object (program or shared library) registers the events of its section; those that share a page array make a
 * unit. Invariant: a unit keeps its place in the process file for the life of the process; an object that is unloaded
 * leaves its units behind without an address, and one that comes with the same records takes them up again, so that
 * loading and unloading in a loop needs nothing new. One lock guards all this; it is never taken on the way of an
 * event but by a forked child's first one, which only tries.
 */
#define _GNU_SOURCE
#include "registry.h"
#include "arena.h"
#include "control.h"
#include "descriptions.h"
#include "process.h"
#include "raw.h"
#include "ring.h"
#include "statedump.h"
#include "table.h"
#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>

#define MAX_OBJECTS 4096
/* Records of events that are described at run time, in whole pages of every size. */
#define RUN_TIME_UNIT_SIZE 65536u

static pthread_mutex_t lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static struct tb_unit *units;
static uint64_t units_size;		/* bytes of enable area given away */
static uint32_t nr_users;		/* registered objects and handles */
static bool watches_forks, forked;

/* A unit for events that programs describe at run time, being filled. */
static struct {
	struct tb_unit *unit;
	struct tracebuf_enable *records;	/* what unit->records points to */
	uint32_t nr;
} run_time;

/* By id: the records of events that were described at run time. */
static const struct tracebuf_enable *run_time_record[TRACEBUF_MAX_EVENT_ID];

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
	forked = true;
	pthread_mutex_unlock(&lock);
}

/* The lock was taken by the parent's thread, of another id: it can only be made anew. */
static void after_fork_in_child(void)
{
	lock = (pthread_mutex_t) PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
	tb_table_after_fork();
}

static size_t round_up(size_t size, size_t unit)
{
	return (size + unit - 1) / unit * unit;
}

static uint32_t id_of(uint32_t index)
{
	return tb_descriptions_at(tb_descriptions_now(), index)->id;
}

static void fill_record(struct tracebuf_enable *record, uint32_t index)
{
	record->used = 1;
	record->index = index;
}

/* Fills records (zeroed) for all events of [begin, end) whose page array is page. */
static void fill_records(struct tracebuf_enable *records, const struct tracebuf__event *begin,
			const struct tracebuf__event *end, const struct tracebuf_enable *page)
{
	for (const struct tracebuf__event *event = begin; event < end; event++) {
		int index;

		if (event->enable_page != page || event->abi_version != TRACEBUF_ABI_VERSION)
			continue;
		index = tb_descriptions_add(event->name, event->fields, event->nr_fields, event->loglevel);
		if (index >= 0)
			fill_record(&records[event->enable - page], index);
	}
}

/* Bytes of the page array that the events of [begin, end) use, in whole pages. */
static size_t used_size(const struct tracebuf__event *begin, const struct tracebuf__event *end,
			const struct tracebuf_enable *page)
{
	size_t used = 0;

	for (const struct tracebuf__event *event = begin; event < end; event++)
		if (event->enable_page == page && (size_t) (event->enable - page) >= used)
			used = event->enable - page + 1;
	return round_up(used * sizeof(*page), getauxval(AT_PAGESZ));
}

static bool are_same(const struct tracebuf_enable *a, const struct tracebuf_enable *b, size_t size)
{
	for (size_t i = 0; i < size / sizeof(*a); i++)
		if (a[i].used != b[i].used || a[i].index != b[i].index)
			return false;
	return true;
}

/* A unit that was left behind by an object with the same records. */
static struct tb_unit *find_unit(const struct tracebuf_enable *records, size_t size)
{
	for (struct tb_unit *unit = units; unit; unit = unit->next)
		if (!unit->address && unit->size == size && !unit->run_time && are_same(unit->records, records, size))
			return unit;
	return NULL;
}

static struct tb_unit *add_unit(struct tracebuf_enable *records, size_t size)
{
	struct tb_unit *unit = tb_arena_alloc(sizeof(*unit));

	if (!unit || units_size + size > TRACEBUF_ENABLE_SIZE)
		return NULL;
	unit->records = records;
	unit->size = size;
	unit->offset = units_size;
	unit->next = units;
	units_size += size;
	units = unit;
	return unit;
}

/* Makes the unit of one page array known and maps the control side's page over it. */
static void register_page(const struct tracebuf__event *begin, const struct tracebuf__event *end,
			  const struct tracebuf_enable *page)
{
	size_t size = used_size(begin, end, page);
	struct tracebuf_enable *records = tb_arena_alloc(size);
	struct tb_unit *unit;

	if (!records)
		return;
	fill_records(records, begin, end, page);
	unit = find_unit(records, size);
	if (!unit)
		unit = add_unit(records, size);
	if (!unit)
		return;
	unit->address = (void *) page;
	if (tb_process_publish(units, unit))
		unit->address = NULL;
}

/* Has an event before this one the same page array? */
static bool seen_before(const struct tracebuf__event *begin, const struct tracebuf__event *event)
{
	for (; begin < event; begin++)
		if (begin->enable_page == event->enable_page)
			return true;
	return false;
}

/* One more user; the caller holds the lock. */
static void hold(void)
{
	if (nr_users++ == 0 && !watches_forks)
		watches_forks = !pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* One less; the last one takes the process file away, if nobody else needs it. */
static void release(void)
{
	if (--nr_users == 0)
		tb_process_end(!forked && !tb_ring_any());
}

void tracebuf__register(const struct tracebuf__event *begin, const struct tracebuf__event *end)
{
	int saved = errno;

	if (begin >= end || !tb_process_can_trace())
		goto out;
	if (pthread_mutex_lock(&lock))
		goto out;
	hold();
	tb_statedump_permit(true);
	if (!tb_table_make())
		for (const struct tracebuf__event *event = begin; event < end; event++)
			if (!seen_before(begin, event))
				register_page(begin, end, event->enable_page);
	tb_statedump_permit(false);
	pthread_mutex_unlock(&lock);
out:
	errno = saved;
}

void tracebuf__unregister(const struct tracebuf__event *begin, const struct tracebuf__event *end)
{
	int saved = errno;

	if (begin >= end || !tb_process_can_trace() || pthread_mutex_lock(&lock))
		goto out;
	for (struct tb_unit *unit = units; unit; unit = unit->next)
		for (const struct tracebuf__event *event = begin; event < end; event++)
			if (unit->address == (void *) event->enable_page)
				unit->address = NULL;
	release();
	pthread_mutex_unlock(&lock);
out:
	errno = saved;
}

int tb_registry_adopt(void)
{
	int result;

	if (tb_process_is_ours())
		return 0;
	if (pthread_mutex_trylock(&lock))
		return -EBUSY;
	result = tb_process_is_ours() ? 0 : tb_process_publish(units, NULL);
	pthread_mutex_unlock(&lock);
	return result;
}

/* Starts a unit for events described at run time: an own page, nowhere near an object. */
static int start_run_time_unit(void)
{
	void *page = tb_raw_mmap(NULL, RUN_TIME_UNIT_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result;

	run_time.records = tb_arena_alloc(RUN_TIME_UNIT_SIZE);
	run_time.nr = 0;
	run_time.unit = page && run_time.records ? add_unit(run_time.records, RUN_TIME_UNIT_SIZE) : NULL;
	if (!run_time.unit)
		return -ENOMEM;
	run_time.unit->address = page;
	run_time.unit->run_time = true;
	result = tb_process_publish(units, run_time.unit);
	if (result)
		run_time.unit = NULL;
	return result;
}

/* What is not filed has no number yet. */
static const struct tracebuf_enable *find_run_time_record(uint32_t index)
{
	return index < tb_descriptions_filed().nr ? tb_registry_record(id_of(index)) : NULL;
}

static const struct tracebuf_enable *describe(const char *name, const struct tracebuf__field *fields,
					      uint32_t nr_fields, uint32_t loglevel, int *ret_error)
{
	const struct tracebuf_enable *record;
	int index = tb_descriptions_add(name, fields, nr_fields, loglevel);

	*ret_error = index < 0 ? index : 0;
	if (index < 0)
		return NULL;
	record = find_run_time_record(index);
	if (record)
		return record;
	if (!run_time.unit || run_time.nr == RUN_TIME_UNIT_SIZE / sizeof(*record))
		*ret_error = start_run_time_unit();
	if (*ret_error)
		return NULL;
	fill_record(&run_time.records[run_time.nr], index);
	*ret_error = tb_process_update_record(units, run_time.unit, run_time.nr);
	record = (const struct tracebuf_enable *) run_time.unit->address + run_time.nr;
	run_time.nr++;
	if (*ret_error)
		return NULL;
	tracebuf__store_release(&run_time_record[id_of(index)], record);
	return record;
}

const struct tracebuf_enable *tb_registry_describe(const char *name, const struct tracebuf__field *fields,
						   uint32_t nr_fields, uint32_t loglevel, int *ret_error)
{
	const struct tracebuf_enable *record = NULL;
	int result = tb_process_can_trace() ? pthread_mutex_lock(&lock) : ENOENT;

	*ret_error = -result;
	if (result)
		return NULL;
	tb_statedump_permit(true);
	*ret_error = tb_table_make();
	if (!*ret_error)
		record = describe(name, fields, nr_fields, loglevel, ret_error);
	tb_statedump_permit(false);
	pthread_mutex_unlock(&lock);
	return record;
}

const struct tracebuf_enable *tb_registry_record(int id)
{
	/* Acquire: pairs with the release in describe(). */
	return id >= 0 && id < TRACEBUF_MAX_EVENT_ID ? tracebuf__load_acquire(&run_time_record[id]) : NULL;
}

void tb_registry_hold(void)
{
	if (pthread_mutex_lock(&lock))
		return;
	hold();
	pthread_mutex_unlock(&lock);
}

void tb_registry_release(void)
{
	if (pthread_mutex_lock(&lock))
		return;
	release();
	pthread_mutex_unlock(&lock);
}
