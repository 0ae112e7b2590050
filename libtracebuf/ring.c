/* SPDX-License-Identifier: MIT */
/*
 * Making, finding and giving up rings.
 *
 * Invariants. An entry of the library's table goes NULL -> CLAIMED -> ring -> NULL; only who claimed it makes the ring,
 * so nobody waits: others take a locked row. A ring may be used by who is in a restartable sequence on its CPU, or has
 * pinned it: pin = raise users, then find it still in the table (both sequentially consistent); retire = take it out of
 * both tables, membarrier, and unmap once users is 0. struct tb_ring itself is recycled, never freed.
 * A ring in the table can hold every event that is in the process file, and no other can be enabled: who adds to that
 * file then retires what is too old, who publishes a ring then looks whether it has become too old (both sequentially
 * consistent).
 */
#define _GNU_SOURCE
#include "ring.h"
#include "arena.h"
#include "control.h"
#include "descriptions.h"
#include "home.h"
#include "process.h"
#include "raw.h"
#include "registry.h"
#include "table.h"
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/rseq.h>

/* Backed at a time while a ring is written for the first time. */
#define POPULATE_SIZE (32u << 10)

#define CLAIMED ((struct tb_ring *) TB_RING_CLAIMED)

static struct tb_ring *retired;		/* stack, more are pushed at any time; popped whole */
static struct tb_ring *spare;		/* stack of objects that can be used again; the same */
static struct tb_ring *youngest;	/* of all objects, linked by older; only grows */
static uint32_t nr_made;

bool tb_ring_any(void)
{
	return tb_process_is_ours() && tracebuf__load(&nr_made);
}

static void push(struct tb_ring **stack, struct tb_ring *ring)
{
	struct tb_ring *top = tracebuf__load(stack);

	do
		ring->next = top;
	while (!__atomic_compare_exchange_n(stack, &top, ring, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static struct tb_ring *pop_all(struct tb_ring **stack)
{
	return __atomic_exchange_n(stack, NULL, __ATOMIC_ACQUIRE);
}

/* Unmaps what was retired and is not used any more. */
static void reap(void)
{
	struct tb_ring *ring = pop_all(&retired), *next;
	bool restarted;

	if (!ring)
		return;
	restarted = !tb_table_uses_rseq() ||
		    !syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0);
	for (; ring; ring = next) {
		next = ring->next;
		if (!restarted || __atomic_load_n(&ring->users, __ATOMIC_SEQ_CST)) {
			push(&retired, ring);
			continue;
		}
		munmap(ring->map, TRACEBUF_RING_DATA_OFFSET + ring->ring_size);
		push(&spare, ring);
	}
}

static struct tb_ring *allocate_ring(void)
{
	struct tb_ring *ring = tb_arena_alloc(sizeof(*ring));

	if (!ring)
		return NULL;
	ring->older = tracebuf__load(&youngest);
	while (!__atomic_compare_exchange_n(&youngest, &ring->older, ring, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	return ring;
}

static struct tb_ring *take_spare(void)
{
	struct tb_ring *ring = pop_all(&spare), *next;

	if (!ring)
		return allocate_ring();
	for (struct tb_ring *rest = ring->next; rest; rest = next) {
		next = rest->next;
		push(&spare, rest);
	}
	return ring;
}

/* Takes ring out of the tables. Whoever comes first does it. */
static void retire(struct tb_ring *ring)
{
	struct tb_ring *expected = ring;

	if (!__atomic_compare_exchange_n(tb_table_ring(ring->row, ring->ring_set), &expected, CLAIMED, 0,
					 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(tb_table_producer(ring->row, ring->ring_set), NULL, __ATOMIC_SEQ_CST);
	__atomic_store_n(tb_table_ring(ring->row, ring->ring_set), NULL, __ATOMIC_SEQ_CST);
	push(&retired, ring);
}

static void retire_if_outdated(struct tb_ring *ring)
{
	if (__atomic_load_n(tb_table_ring(ring->row, ring->ring_set), __ATOMIC_SEQ_CST) == ring &&
	    ring->nr_descriptions < tb_descriptions_filed().nr)
		retire(ring);
}

void tb_ring_retire_outdated(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (struct tb_ring *ring = tracebuf__load_acquire(&youngest); ring; ring = ring->older)
		retire_if_outdated(ring);
}

/* Can the library do what the channel asks for? The page is another's: nothing is taken for granted. */
static bool is_sane(const struct tracebuf_channel *config)
{
	return config->subbuf_size >= TRACEBUF_MIN_SUBBUF_SIZE && config->subbuf_size <= TRACEBUF_MAX_SUBBUF_SIZE &&
	       !(config->subbuf_size & (config->subbuf_size - 1)) && config->nr_subbufs >= 2 &&
	       config->nr_subbufs <= TRACEBUF_MAX_SUBBUFS && !(config->nr_subbufs & (config->nr_subbufs - 1)) &&
	       config->subbuf_size * config->nr_subbufs <= TRACEBUF_MAX_RING_SIZE;
}

/* What the control page says of the ring set's channel; asks for a newer control page if this one knows nothing. */
static int configuration(uint32_t ring_set, struct tb_control_slot *ret_slot)
{
	unsigned int slot = ring_set / 16, channel = ring_set % 16;

	for (int i = 0; i < 2; i++) {
		if (tb_control_slot(slot, ret_slot) && ret_slot->slot.generation &&
		    channel < ret_slot->slot.nr_channels)
			return is_sane(&ret_slot->slot.channel[channel]) ? 0 : -EINVAL;
		tb_control_map();
	}
	return -ESTALE;
}

static void fill_ring(struct tb_ring *ring, uint32_t row, uint32_t ring_set, const struct tb_control_slot *about)
{
	const struct tracebuf_channel *config = &about->slot.channel[ring_set % 16];

	memset(ring, 0, offsetof(struct tb_ring, users));
	ring->row = row;
	ring->ring_set = ring_set;
	ring->slot = ring_set / 16;
	ring->generation = about->slot.generation;
	ring->subbuf_size = config->subbuf_size;
	ring->nr_subbufs = config->nr_subbufs;
	ring->ring_size = config->subbuf_size * config->nr_subbufs;
	ring->mode = config->mode;
	ring->context = config->context;
	ring->block_timeout_ms = config->block_timeout_ms;
	ring->clock = about->clock;
	ring->locked = row >= tb_table_cpu_rows() || !tb_table_uses_rseq();
	ring->slow_only = ring->locked || ring->clock != TRACEBUF_CLOCK_TSC;
}

/* Makes the ring of a table entry that the caller has claimed. */
static int make(uint32_t row, uint32_t ring_set, struct tb_ring **ret_ring)
{
	struct tb_control_slot about;
	struct tb_ring *ring;
	int result = tb_registry_adopt();

	result = result ? result : configuration(ring_set, &about);
	if (result)
		return result;
	if (!about.rseq_works && !tracebuf__load(&nr_made))
		tb_table_distrust_rseq();
	reap();
	ring = take_spare();
	if (!ring)
		return -ENOMEM;
	fill_ring(ring, row, ring_set, &about);
	result = tb_home()->ring_make(ring, &about, tracebuf__add(&nr_made, 1));
	if (result) {
		push(&spare, ring);
		return result;
	}
	ring->producer = (void *) ((char *) ring->map + TRACEBUF_RING_PRODUCER_OFFSET);
	ring->consumer = &ring->map->consumer;
	ring->data = (char *) ring->map + TRACEBUF_RING_DATA_OFFSET;
	*ret_ring = ring;
	return 0;
}

/* Makes and publishes the ring of an empty entry. The result is in the table, not pinned. */
static int attach(uint32_t row, uint32_t ring_set)
{
	struct tb_ring **entry = tb_table_ring(row, ring_set), *ring = NULL;
	int result;

	if (!__atomic_compare_exchange_n(entry, &ring, CLAIMED, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return ring == CLAIMED ? -EBUSY : 0;
	result = make(row, ring_set, &ring);
	if (result) {
		tracebuf__store_release(entry, NULL);
		return result;
	}
	/* First what the fast path sees: once the entry is there, somebody may retire the ring. */
	if (!ring->slow_only && !tb_ring_is_slow_context(ring->context))
		__atomic_store_n(tb_table_producer(row, ring_set), ring->producer, __ATOMIC_SEQ_CST);
	__atomic_store_n(entry, ring, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	retire_if_outdated(ring);
	return 0;
}

struct tb_ring *tb_ring_in(struct tb_ring *const *entry)
{
	struct tb_ring *ring = tracebuf__load_acquire(entry);

	return ring == CLAIMED ? NULL : ring;
}

int tb_ring_pin_existing(uint32_t row, uint32_t ring_set, struct tb_ring **ret_ring)
{
	struct tb_ring **entry = tb_table_ring(row, ring_set), *ring = __atomic_load_n(entry, __ATOMIC_SEQ_CST);

	if (!ring || ring == CLAIMED)
		return -ENOENT;
	__atomic_fetch_add(&ring->users, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(entry, __ATOMIC_SEQ_CST) != ring) {
		tb_ring_unpin(ring);
		return -ENOENT;
	}
	*ret_ring = ring;
	return 0;
}

int tb_ring_pin(uint32_t row, uint32_t ring_set, uint32_t index, struct tb_ring **ret_ring)
{
	struct tb_ring **entry = tb_table_ring(row, ring_set), *ring;
	int result = 0;

	/* A ring that is found stale is replaced once; a second one that is stale too means that the trace is gone. */
	for (int i = 0; i < 4 && !result; i++) {
		ring = __atomic_load_n(entry, __ATOMIC_SEQ_CST);
		if (ring == CLAIMED)
			return -EBUSY;
		if (!ring) {
			result = attach(row, ring_set);
			continue;
		}
		if (tb_ring_pin_existing(row, ring_set, &ring))
			continue;
		if (tb_control_is_current(ring->slot, ring->generation) && index < ring->nr_descriptions) {
			*ret_ring = ring;
			return 0;
		}
		tb_ring_unpin(ring);
		retire(ring);
	}
	return result ? result : -ESTALE;
}

void tb_ring_unpin(struct tb_ring *ring)
{
	__atomic_fetch_sub(&ring->users, 1, __ATOMIC_SEQ_CST);
}

int tb_ring_populate(struct tb_ring *ring, uint64_t end)
{
	struct tracebuf_producer *producer = ring->producer;
	uint64_t from = tracebuf__load(&producer->populated), to = end + POPULATE_SIZE;
	int result;

	to &= ~(uint64_t) (POPULATE_SIZE - 1);
	if (to > ring->ring_size)
		to = ring->ring_size;
	if (from >= to)
		return 0;
	result = tb_home()->ring_back(ring, from, to - from);
	if (!result)
		tracebuf__store(&producer->populated, to);
	return result;
}
