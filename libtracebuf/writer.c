/* SPDX-License-Identifier: MIT */
/*
 * The slow path of an event: whatever the sequence in the program could not do.
 *
 * Contexts are what the sequence in the program leaves to one here, which comes first and is as short. Else an event
 * goes to each ring set that its record names. For one ring set: pin the ring of this CPU's row and take steps until
 * the event is committed or counted as discarded. A step looks at the ring's position, decides, prepares in private
 * memory and commits all at once (sequence.h); if the ring moved on meanwhile it is decided again. Nobody waits for
 * anybody: a ring that is being made by others, and a thread that is interrupted every time it tries, go by a locked
 * row, whose locks are only ever tried. A handler that interrupts a lock's holder takes the next row.
 *
 * Invariant: the call returns when the event is before a ring's position, or is counted as discarded exactly once.
 */
#define _GNU_SOURCE
#include "clock.h"
#include "content_sum.h"
#include "control.h"
#include "crc32c.h"
#include "home.h"
#include "process.h"
#include "raw.h"
#include "ring.h"
#include "sequence.h"
#include "table.h"
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* Tries at a CPU's row before a locked row is taken: signals at 100 kHz do not use them up, a debugger that
 * single-steps and a copy that is longer than a time slice do. */
#define MAX_TRIES 32
/* Steps of one try: entering, opening, populating, writing, and a few waits of others' doing. */
#define MAX_STEPS 64
/* Block mode: how many waits in a row without a living daemon are enough. */
#define MAX_WAITS_WITHOUT_DAEMON 100

/* Bytes of a payload that is copied twice to go the short way. */
#define MAX_STAGED_SIZE 256

#define HEADER_SIZE sizeof(struct tracebuf_packet)

/* An event on its way. */
struct event {
	const struct tracebuf_enable *enable;
	const struct tracebuf__part *parts;
	unsigned int nr_parts;
	uint64_t ip;
};

/* An event as it will stand in one ring. */
struct image {
	uint8_t head[TRACEBUF_EVENT_HEADER_MAX_SIZE + TRACEBUF_CONTEXT_MAX_SIZE];
	uint64_t head_size, size;	/* bytes: of header and context; of all */
	uint64_t time;
	bool full;			/* the header has the whole time */
};

/* What a ring needs next, for an event of size bytes. */
enum step { STEP_OPEN, STEP_ENTER, STEP_WRITE, STEP_OVERSIZE };

static __thread uint32_t thread_id __attribute__((tls_model("initial-exec")));

/* The thread's id, known again after fork: a child has only the thread that comes here. */
static uint32_t current_tid(void)
{
	if (!thread_id || !tb_table_is_ours())
		thread_id = tb_raw_gettid();
	if (tb_table_uses_rseq())
		tracebuf__tid = thread_id;
	return thread_id;
}

/* Pure: what a ring at position needs before or for an event of size bytes. */
static enum step decide(uint64_t position, uint64_t subbuf_size, uint64_t size)
{
	uint64_t at = position & (subbuf_size - 1);

	if (size > subbuf_size - HEADER_SIZE - TRACEBUF_SUBBUF_SLACK)
		return STEP_OVERSIZE;
	if (at < HEADER_SIZE)
		return STEP_OPEN;
	if (at + size > subbuf_size - TRACEBUF_SUBBUF_SLACK)
		return STEP_ENTER;
	return STEP_WRITE;
}

static size_t put(uint8_t *to, const void *value, size_t size)
{
	memcpy(to, value, size);
	return size;
}

static size_t put_context(uint8_t *to, uint32_t context, const struct event *event)
{
	char name[TRACEBUF_CONTEXT_PROCNAME_SIZE] = { 0 };
	uint32_t tid = current_tid(), pid = tb_process_pid();
	size_t size = 0;

	if (context & TRACEBUF_CONTEXT_VTID)
		size += put(to + size, &tid, sizeof(tid));
	if (context & TRACEBUF_CONTEXT_VPID)
		size += put(to + size, &pid, sizeof(pid));
	if (context & TRACEBUF_CONTEXT_IP)
		size += put(to + size, &event->ip, sizeof(event->ip));
	if (context & TRACEBUF_CONTEXT_PROCNAME) {
		syscall(SYS_prctl, PR_GET_NAME, name, 0, 0, 0);
		size += put(to + size, name, sizeof(name));
	}
	return size;
}

/* Header and context, with the time now: no event may come between this and the commit. */
static void make_head(struct image *image, const struct tb_ring *ring, const struct event *event)
{
	const struct tracebuf_enable *enable = event->enable;
	uint64_t window = tracebuf__load(&ring->producer->window);
	uint32_t word;

	image->time = tb_clock_read(ring->clock);
	if (image->time < window)
		image->time = window;
	image->full = (image->time - window) >> TRACEBUF_WINDOW_BITS;
	if (image->full) {
		image->head[0] = TRACEBUF_ID_FULL;
		memcpy(image->head + 1, &enable->id, 4);
		memcpy(image->head + 5, &image->time, 8);
		image->head_size = TRACEBUF_EVENT_HEADER_MAX_SIZE;
	} else {
		word = (uint32_t) image->time << 5 | enable->header_id;
		memcpy(image->head, &word, 4);
		memcpy(image->head + 4, &enable->prefix_id, 2);
		image->head_size = 4 + enable->prefix_size;
	}
	image->head_size += put_context(image->head + image->head_size, ring->context, event);
	image->size = image->head_size;
}

static uint64_t ring_offset(const struct tb_ring *ring, uint64_t position)
{
	return position & (ring->ring_size - 1);
}

static uint64_t tally_of(uint64_t position, uint64_t nr_events)
{
	return position << 32 | (uint32_t) nr_events;
}

/* Events in the current sub-buffer. A tally that does not fit its position belongs to a commit that was cut off. */
static uint32_t count_events(const struct tracebuf_producer *producer, uint64_t position)
{
	uint64_t tally = tracebuf__load(&producer->tally);

	return (uint32_t) tally - ((uint32_t) (tally >> 32) != (uint32_t) position);
}

static int commit(struct tb_ring *ring, uint32_t cpu, const struct tb_commit *change, const struct tb_copy *copies,
		  size_t nr)
{
	if (ring->locked)
		return tb_sequence_commit_locked(ring->producer, change, copies, nr);
	return tb_sequence_commit(ring->producer, cpu, change, copies, nr);
}

/*
 * How far the fast path may go from position: to the sub-buffer's end, and not past what is backed. Storing this late
 * is safe, since position only grows: an old limit sends events here, no more.
 */
static void raise_limit(struct tb_ring *ring, uint64_t position)
{
	uint64_t end = (position | (ring->subbuf_size - 1)) + 1;
	uint64_t populated = tracebuf__load(&ring->producer->populated);

	if (ring->slow_only)
		return;
	if (populated < ring->ring_size && end > populated)
		end = populated;
	tracebuf__store(&ring->producer->limit, end - TRACEBUF_SUBBUF_SLACK);
}

/* Backs the ring up to where an event that ends at end needs it. Only the first round can need anything. */
static int back(struct tb_ring *ring, uint64_t end)
{
	uint64_t populated = tracebuf__load(&ring->producer->populated);

	if (populated >= ring->ring_size || end + TRACEBUF_SUBBUF_SLACK <= populated)
		return 0;
	return tb_ring_populate(ring, end + TRACEBUF_SUBBUF_SLACK);
}

/* How many events the ring had before the packet that begins at start: what the packet before it says. */
static uint64_t events_before(const struct tb_ring *ring, uint64_t start)
{
	const struct tracebuf_packet *before;

	if (!start)
		return 0;
	before = (const void *) (ring->data + ring_offset(ring, start - ring->subbuf_size));
	return before->event_seq + before->nr_events;
}

static void fill_packet(struct tracebuf_packet *packet, const struct tb_ring *ring, uint64_t start, uint64_t now)
{
	memset(packet, 0, sizeof(*packet));
	packet->magic = TRACEBUF_CTF_MAGIC;
	memcpy(packet->uuid, ring->map->uuid, sizeof(packet->uuid));
	packet->stream_id = ring->map->stream_id;
	packet->stream_instance_id = ring->map->stream_instance_id;
	packet->event_seq = events_before(ring, start);
	packet->timestamp_begin = now;
	packet->packet_size = ring->subbuf_size * 8;
	packet->packet_seq_num = start / ring->subbuf_size;
	packet->cpu_id = ring->map->cpu;
	packet->pid = ring->map->pid;
	memcpy(packet->procname, ring->map->procname, sizeof(packet->procname));
	packet->open_crc = tb_crc32c(0, packet, sizeof(*packet));
	packet->events_discarded = tracebuf__load(&ring->producer->discarded);
}

/* Makes the header of the sub-buffer that position has entered. */
static int open_packet(struct tb_ring *ring, uint32_t cpu, uint64_t position)
{
	uint64_t start = position & ~(ring->subbuf_size - 1), now;
	struct tracebuf_packet packet;
	struct tb_copy copy = { ring->data + ring_offset(ring, start), &packet, HEADER_SIZE, 0 };
	struct tb_commit change = { position, start + HEADER_SIZE, tally_of(start + HEADER_SIZE, 0) };
	int result = back(ring, start + HEADER_SIZE);

	if (result)
		return result;
	now = tb_clock_read(ring->clock);
	if (now < tracebuf__load(&ring->producer->window))
		now = tracebuf__load(&ring->producer->window);
	fill_packet(&packet, ring, start, now);
	/* Entering is seen before these stores: pairs with a reader's tracebuf__order_loads(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	result = commit(ring, cpu, &change, &copy, 1);
	if (result)
		return result;
	tracebuf__store(&ring->producer->window, now);
	raise_limit(ring, start + HEADER_SIZE);
	return 0;
}

/* Has the daemon let go of the storage that the sub-buffer after position's would overwrite? */
static bool has_room(const struct tb_ring *ring, uint64_t position)
{
	uint64_t next = position / ring->subbuf_size + 1;

	/* Acquire: pairs with the daemon's release, after it has read the storage. */
	return ring->mode == TRACEBUF_MODE_OVERWRITE ||
	       next < tracebuf__load_acquire(&ring->consumer->consumed) + ring->nr_subbufs;
}

static bool may_block(void)
{
	static int allowed;
	int answer = tracebuf__load(&allowed);

	if (!answer) {
		const char *value = secure_getenv("TRACEBUF_ALLOW_BLOCKING");

		answer = value && *value == '1' ? 1 : -1;
		tracebuf__store(&allowed, answer);
	}
	return answer > 0;
}

/* Block mode: waits until the daemon has made room. false: it is not to be had. */
static bool wait_for_room(struct tb_ring *ring, uint64_t position)
{
	uint64_t waited_ms = 0, next = position / ring->subbuf_size + 1;
	int without_daemon = 0;
	bool room = false;

	if (ring->mode != TRACEBUF_MODE_BLOCK || !may_block())
		return false;
	tracebuf__add(&ring->producer->waits, 1);
	while (tb_control_is_current(ring->slot, ring->generation) && without_daemon < MAX_WAITS_WITHOUT_DAEMON) {
		uint32_t wake = tracebuf__load_acquire(&ring->consumer->wake);

		room = has_room(ring, position);
		if (room || (ring->block_timeout_ms && waited_ms >= ring->block_timeout_ms))
			break;
		tb_home()->ring_bell(ring);
		without_daemon = tb_home()->ring_wait(ring, next, wake) ? 0 : without_daemon + 1;
		waited_ms += TB_RING_WAIT_MS;
	}
	tracebuf__add(&ring->producer->waits, -1ull);
	return room;
}

/* Closes position's packet and enters the next sub-buffer. -ENOBUFS: there is no room. */
static int enter(struct tb_ring *ring, uint32_t cpu, uint64_t position)
{
	uint64_t start = position & ~(ring->subbuf_size - 1), next = start + ring->subbuf_size;
	struct tracebuf_packet packet, *place = (void *) (ring->data + ring_offset(ring, start));
	struct tb_copy copy = { place, &packet, HEADER_SIZE, 0 };
	struct tb_commit change = { position, next, tally_of(next, 0) };
	uint32_t open_crc;
	int result;

	if (!has_room(ring, position) && !wait_for_room(ring, position))
		return -ENOBUFS;
	/* In the first round, what this sub-buffer leaves unused must be backed too: the next round will use it. */
	result = tracebuf__load(&ring->producer->populated) < ring->ring_size ? back(ring, next - 1) : 0;
	if (result)
		return result;
	packet = *place;
	open_crc = packet.open_crc;
	packet.nr_events = count_events(ring->producer, position);
	packet.timestamp_end = tb_clock_read(ring->clock);
	if (packet.timestamp_end < tracebuf__load(&ring->producer->window))
		packet.timestamp_end = tracebuf__load(&ring->producer->window);
	packet.content_size = (position - start) * 8;
	packet.events_discarded = tracebuf__load(&ring->producer->discarded);
	packet.content_sum = ring->subbuf_size > TRACEBUF_MAX_SUM_SIZE ? 0 :
			     tb_content_sum((const char *) place + HEADER_SIZE, position - start - HEADER_SIZE);
	packet.open_crc = 0;
	packet.close_crc = 0;
	packet.close_crc = tb_crc32c(0, &packet, sizeof(packet));
	packet.open_crc = open_crc;
	result = commit(ring, cpu, &change, &copy, 1);
	if (!result)
		tb_home()->ring_bell(ring);
	return result;
}

/* The copies of an event: head, then parts; a string is cut at the NUL that it has now. Returns how many. */
static size_t make_copies(struct tb_copy *copies, struct image *image, const struct event *event)
{
	size_t nr = 0;

	copies[nr++] = (struct tb_copy) { NULL, image->head, image->head_size, 0 };
	for (unsigned int i = 0; i < event->nr_parts; i++) {
		const struct tracebuf__part *part = &event->parts[i];
		bool is_text = part->is_string != TRACEBUF__PART_BYTES, ends = part->is_string == TRACEBUF__PART_STRING;
		size_t size = part->size - (ends && part->size);

		if (is_text)
			size = strnlen(part->data, size);
		copies[nr++] = (struct tb_copy) { NULL, part->data, size, is_text };
		if (ends)
			copies[nr++] = (struct tb_copy) { NULL, "", 1, 0 };
		image->size += size + ends;
	}
	return nr;
}

/* Writes the event at position, which has room for it. */
static int write_event(struct tb_ring *ring, uint32_t cpu, uint64_t position, const struct image *image,
		       struct tb_copy *copies, size_t nr)
{
	uint64_t end = position + image->size;
	struct tb_commit change = { position, end, tally_of(end, count_events(ring->producer, position) + 1) };
	char *to = ring->data + ring_offset(ring, position);
	int result = back(ring, end);

	if (result)
		return result;
	for (size_t i = 0; i < nr; i++) {
		copies[i].to = to;
		to += copies[i].size;
	}
	result = commit(ring, cpu, &change, copies, nr);
	if (result)
		return result;
	if (image->full)
		tracebuf__store(&ring->producer->window, image->time);
	raise_limit(ring, end);
	return 0;
}

/*
 * One step. 0: the event is in the ring. -EINPROGRESS: come again. -EAGAIN: interrupted, or others were faster.
 * -ENOBUFS, -ENOSPC: no room. -EMSGSIZE: it fits into no sub-buffer.
 */
static int take_step(struct tb_ring *ring, uint32_t cpu, const struct event *event)
{
	uint64_t position = tracebuf__load(&ring->producer->position);
	struct tb_copy copies[2 * event->nr_parts + 1];
	struct image image;
	size_t nr;
	int result;

	make_head(&image, ring, event);
	nr = make_copies(copies, &image, event);
	switch (decide(position, ring->subbuf_size, image.size)) {
	case STEP_OPEN:
		result = open_packet(ring, cpu, position);
		break;
	case STEP_ENTER:
		result = enter(ring, cpu, position);
		break;
	case STEP_WRITE:
		result = write_event(ring, cpu, position, &image, copies, nr);
		return result == -EILSEQ ? -EINPROGRESS : result;
	default:
		return -EMSGSIZE;
	}
	return result ? result : -EINPROGRESS;
}

static void discard(struct tb_ring *ring, int why)
{
	tracebuf__add(&ring->producer->discarded, 1);
	if (why == -EMSGSIZE)
		tracebuf__add(&ring->producer->lost_oversize, 1);
}

/* Writes the event into a ring, or discards it there. -EAGAIN: neither was done, this CPU is not right any more. */
static int write_ring(struct tb_ring *ring, uint32_t cpu, const struct event *event)
{
	int result = -EINPROGRESS;

	for (int i = 0; i < MAX_STEPS && result == -EINPROGRESS; i++)
		result = take_step(ring, cpu, event);
	if (result == -EINPROGRESS)
		result = -EAGAIN;
	if (result && result != -EAGAIN) {
		discard(ring, result);
		result = 0;
	}
	return result;
}

/* By restartable sequences. 0: done. -EAGAIN, -EBUSY: a locked row must do it. Else: there is no ring to be had. */
static int write_by_sequence(uint32_t ring_set, const struct event *event)
{
	int result = -EAGAIN;

	for (int i = 0; i < MAX_TRIES && result == -EAGAIN; i++) {
		int32_t cpu = tb_sequence_cpu();
		struct tb_ring *ring;

		if (cpu < 0)
			break;
		result = tb_ring_pin(cpu, ring_set, event->enable->index, &ring);
		if (result)
			break;
		if (ring->locked)
			result = -EBUSY;
		else
			result = write_ring(ring, cpu, event);
		tb_ring_unpin(ring);
	}
	return result;
}

static int write_locked_ring(struct tb_ring *ring, const struct event *event)
{
	int result;

	if (__atomic_exchange_n(&ring->lock, 1, __ATOMIC_ACQUIRE))
		return -EBUSY;
	result = write_ring(ring, 0, event);
	tracebuf__store_release(&ring->lock, 0);
	return result;
}

/* By the first locked row that is free, beginning at row first of nr. As write_by_sequence(). */
static int write_by_lock(uint32_t ring_set, const struct event *event, uint32_t first, uint32_t base, uint32_t nr)
{
	int result = -EBUSY;

	for (uint32_t i = 0; i < nr && (result == -EBUSY || result == -EAGAIN); i++) {
		struct tb_ring *ring;

		result = tb_ring_pin(base + (first + i) % nr, ring_set, event->enable->index, &ring);
		if (result)
			continue;
		result = ring->locked ? write_locked_ring(ring, event) : -EBUSY;
		tb_ring_unpin(ring);
	}
	return result;
}

static void write_to_set(uint32_t ring_set, const struct event *event)
{
	uint32_t cpus = tb_table_cpu_rows();
	unsigned int cpu = 0;
	int result = -EAGAIN;

	if (tb_table_uses_rseq())
		result = write_by_sequence(ring_set, event);
	if ((result == -EAGAIN || result == -EBUSY) && tb_table_uses_rseq()) {
		result = write_by_lock(ring_set, event, 0, cpus, TB_LOCKED_ROWS);
	} else if (result == -EAGAIN || result == -EBUSY) {
		syscall(SYS_getcpu, &cpu, NULL, NULL);
		result = write_by_lock(ring_set, event, cpu, 0, cpus + TB_LOCKED_ROWS);
	}
	/* A trace that is gone has no account that could miss it. */
	if (result && result != -ESTALE)
		tb_process_discard();
}

static void write_to_all(const struct event *event)
{
	uint32_t enabled = tracebuf__load(&event->enable->enabled);

	if (tb_table_uses_rseq())
		tb_sequence_forget();
	current_tid();
	for (; enabled; enabled &= enabled - 1) {
		uint32_t slot = __builtin_ctz(enabled), channels = tracebuf__load(&event->enable->channels[slot]);

		for (; channels; channels &= channels - 1)
			write_to_set(TRACEBUF_RING_SET(slot, (uint32_t) __builtin_ctz(channels)), event);
	}
}

/*
 * The short way where a context keeps the event from the fast path: context and payload are laid together, and go into
 * the ring by one sequence. The ring is not pinned: what is read of it here may be another's, made of the same memory,
 * and only says what to lay; the sequence finds the ring of that moment, and compares.
 */
static bool write_with_context(const struct event *event)
{
	uint8_t bytes[TRACEBUF_CONTEXT_MAX_SIZE + MAX_STAGED_SIZE + 8];
	const struct tracebuf__part *part = event->parts;
	int32_t cpu = tb_sequence_cpu();
	struct tb_ring **entry, *ring;
	uint32_t context = 0;
	size_t size;

	if (cpu < 0 || event->nr_parts != 1 || part->is_string != TRACEBUF__PART_BYTES || part->size > MAX_STAGED_SIZE)
		return false;
	entry = tb_table_ring(cpu, tracebuf__load(&event->enable->ring));
	ring = tb_ring_in(entry);
	if (ring)
		context = tracebuf__load(&ring->context);
	if (!tb_ring_is_slow_context(context))
		return false;
	size = put_context(bytes, context, event);
	memcpy(bytes + size, part->data, part->size);
	return tb_sequence_with_context(event->enable, entry, cpu, context, bytes, size + part->size);
}

void tracebuf__write(const struct tracebuf_enable *enable, const struct tracebuf__part *parts, unsigned int nr_parts,
		     const void *ip)
{
	const struct event event = { enable, parts, nr_parts, (uintptr_t) ip };
	int saved = errno;

	if (nr_parts > TRACEBUF__MAX_PARTS)
		return;
	if (!tb_table_uses_rseq() || !write_with_context(&event))
		write_to_all(&event);
	errno = saved;
}

void tracebuf__write_staged(const struct tracebuf_enable *enable, const void *payload, size_t size, const void *ip)
{
	struct tracebuf__part part = { payload, size, 0, 0 };

	if (!tb_sequence_staged(enable, payload, size))
		tracebuf__write(enable, &part, 1, ip);
}
