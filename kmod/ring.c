// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rings: one per process, channel and CPU, filled by the process, drained by readers.
 *
 * Life of a ring: made (RING) -> shown (its file exists: first SWITCH, or complete, or asked for) -> complete (its
 * process has no mapping of it left) -> removed (complete and released by its reader, or its trace ends). Removed, it
 * is in no list and has no trace; its pages stay for who has it open or mapped.
 *
 * The producer page is the process's to write: position is only ever compared, and what is computed from it is bounded
 * by the geometry, which the kernel keeps outside the pages. The header page, consumer words included, is the kernel's.
 */
#include <linux/cpumask.h>
#include <linux/hash.h>
#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/topology.h>

#include <libtracebuf/stream_id.h>

#include "tracebuf.h"

/* A writer that waits for room looks so often whether anybody still consumes. */
#define DAEMON_CHECK_INTERVAL (HZ / 10)

static DEFINE_HASHTABLE(rings, 10);		/* under tb_lock */

static u64 number_of(u64 incarnation, s32 pid, u32 instance)
{
	return hash_64(incarnation, 64) ^ hash_64((u64)(u32)pid << 32 | instance, 64);
}

static bool is_writable(u64 offset)
{
	return offset >= TRACEBUF_RING_PRODUCER_OFFSET;
}

/* The header and producer pages always exist. What is between these and the data is nobody's, and reads as zeroes. */
static bool is_on_demand(u64 offset)
{
	return true;
}

static u64 ring_position(struct tb_ring *ring)
{
	return tb_object_load64(&ring->object,
				TRACEBUF_RING_PRODUCER_OFFSET + offsetof(struct tracebuf_producer, position));
}

/* The sub-buffer that the process is in, if its word is to be believed. */
static u64 current_seq(struct tb_ring *ring, u64 position)
{
	return position >> __ffs(ring->config.subbuf_size);
}

/* Would tb_ring_get() succeed? */
static bool has_finished(struct tb_ring *ring, u64 position)
{
	return ring->config.mode != TRACEBUF_MODE_OVERWRITE &&
	       READ_ONCE(ring->consumed) < current_seq(ring, position);
}

static void bell(struct tb_ring *ring)
{
	if (ring->shown) {
		tb_debugfs_ring_bell(ring->dentry);
		tb_notify(TRACEBUF_CMD_RING_SWITCH, ring->generation, ring->name);
	} else {
		tb_ring_show(ring);
	}
	wake_up_interruptible_poll(&ring->readers, EPOLLIN | EPOLLRDNORM | EPOLLHUP);
}

/* Under tb_lock. Nothing maps it, or never did. */
static void remove_if_done(struct tb_ring *ring)
{
	if (ring->complete && ring->released && ring->trace)
		tb_ring_remove(ring);
}

static void left(struct tb_object *object)
{
	struct tb_ring *ring = tb_ring_of(object);

	mutex_lock(&tb_lock);
	if (!ring->complete && !atomic_read(&object->nr_own_maps)) {
		/* Partner: tb_ring_get(), tb_ring_poll(). Who sees that it is complete sees the last position. */
		smp_store_release(&ring->complete, true);
		if (ring->trace)
			bell(ring);
		remove_if_done(ring);
	}
	mutex_unlock(&tb_lock);
}

/* With tb_lock or without. */
static void free_ring(struct tb_object *object)
{
	struct tb_ring *ring = tb_ring_of(object);

	tb_object_destroy(object);
	tb_object_put(&ring->process->object);
	mutex_destroy(&ring->consume_lock);
	kfree(ring);
}

static const struct tb_object_type ring_type = {
	.kind = TRACEBUF_KIND_RING,
	.is_writable = is_writable,
	.is_on_demand = is_on_demand,
	.left = left,
	.free = free_ring,
};

/* ---- Making a ring. All under tb_lock ---- */

/* What its own trace's maker said, not another's. */
static void fill_clock(struct tracebuf_ring *header, const struct tb_trace *trace)
{
	header->clock = tb_trace_clock();
	header->clock_frequency = trace->clock_frequency;
	header->clock_ticks = trace->clock_ticks;
	header->clock_realtime_ns = trace->clock_realtime_ns;
	memcpy(header->boot_id, trace->boot_id, sizeof(header->boot_id));
}

static void fill_header(struct tracebuf_ring *header, const struct tb_ring *ring, u32 writer)
{
	struct tb_process *process = ring->process;
	const u64 unique[] = { process->pid, process->incarnation, ring->instance };

	tb_trace_uuid(ring->trace, header->uuid);
	header->generation = ring->generation;
	header->stream_id = tb_process_stream_id(process, ring->config.context);
	header->stream_instance_id = tb_stream_id(0, unique, sizeof(unique));
	header->incarnation = process->incarnation;
	header->pid = process->pid;
	header->cpu = ring->cpu;
	header->slot = ring->trace->slot;
	header->channel = ring->channel;
	header->instance = ring->instance;
	header->nr_descriptions = process->nr_descriptions;
	header->writer = writer;
	header->config = ring->config;
	memcpy(header->procname, process->procname, sizeof(header->procname));
	memcpy(header->trace_name, ring->trace->name, sizeof(header->trace_name));
	fill_clock(header, ring->trace);
	tb_region_fill_boot(&header->boot);
}

/* The pages that the process finds filled in. */
static int write_pages(struct tb_ring *ring, u32 writer)
{
	const struct tracebuf_producer producer = {
		.mask = ring->config.subbuf_size * ring->config.nr_subbufs - 1,
		.context_size = ring->config.context == TRACEBUF_CONTEXT_VTID ? 4 : 0,
	};
	struct tracebuf_ring *header = kzalloc(sizeof(*header), GFP_KERNEL);
	int err;

	if (!header)
		return -ENOMEM;
	err = tb_object_write(&ring->object, TRACEBUF_RING_PRODUCER_OFFSET, &producer, sizeof(producer));
	if (!err) {
		fill_header(header, ring, writer);
		err = tb_object_seal(&ring->object, header, TRACEBUF_RING_HEADER_SIZE);
	}
	kfree(header);
	return err;
}

static int init_object(struct tb_ring *ring)
{
	u64 size = TRACEBUF_RING_DATA_OFFSET + ring->config.subbuf_size * ring->config.nr_subbufs;
	/* Who pays for the process; nobody, if it lies in the region. */
	struct tb_user *user = ring->trace->is_persistent ? NULL : ring->process->object.pages.user;

	return tb_object_init(&ring->object, &ring_type, size, user, cpu_to_node(ring->cpu), current->mm);
}

static void enlist(struct tb_ring *ring)
{
	struct tb_process *process = ring->process;

	list_add_tail(&ring->of_process, &process->rings);
	list_add_tail(&ring->of_trace, &ring->trace->rings);
	hash_add(rings, &ring->by_number, number_of(process->incarnation, process->pid, ring->instance));
	ring->trace->nr_rings++;
	process->nr_instances++;
}

/* A ring of which only the words outside its pages are set. */
static struct tb_ring *allocate_ring(struct tb_process *process, struct tb_trace *trace, unsigned int channel, u32 cpu)
{
	struct tb_ring *ring = kzalloc(sizeof(*ring), GFP_KERNEL_ACCOUNT);

	if (!ring)
		return NULL;
	tb_object_get(&process->object);
	ring->process = process;
	ring->trace = trace;
	ring->generation = trace->generation;
	ring->config = *tb_trace_channel(trace, channel);
	ring->instance = process->nr_instances;
	ring->channel = channel;
	ring->cpu = cpu;
	mutex_init(&ring->consume_lock);
	init_waitqueue_head(&ring->readers);
	init_waitqueue_head(&ring->writers);
	snprintf(ring->name, sizeof(ring->name), "%d-%llx-%u-%u-%u", process->pid, process->incarnation, channel, cpu,
		 ring->instance);
	return ring;
}

static int make(struct tb_process *process, struct tb_trace *trace, unsigned int channel,
		const struct tracebuf_ioc_ring *arg, struct tb_ring **ret_ring)
{
	struct tb_ring *ring;
	int err;

	if (process->nr_instances == U32_MAX)
		return -ENOSPC;
	err = trace->is_persistent ? tb_keep_update(process) : 0;
	if (err)
		return err;
	ring = allocate_ring(process, trace, channel, arg->cpu);
	if (!ring)
		return -ENOMEM;
	err = init_object(ring);
	if (err) {
		tb_object_put(&process->object);
		kfree(ring);
		return err;
	}
	err = write_pages(ring, arg->writer);
	if (err) {
		tb_object_put(&ring->object);
		return err;
	}
	enlist(ring);
	*ret_ring = ring;
	return 0;
}

static int make_for_caller(const struct tracebuf_ioc_ring *arg, struct tb_ring **ret_ring)
{
	unsigned int slot = arg->ring_set / 16, channel = arg->ring_set % 16;
	struct tb_process *process = tb_process_of(current->mm);
	struct tb_trace *trace = tb_trace_in(slot);

	if (!process)
		return -ESRCH;
	if (!trace || trace->generation != arg->generation)
		return -ESTALE;
	if (!tb_process_is_seen_by(process, trace))
		return -EPERM;
	if (!tb_trace_channel(trace, channel))
		return -EINVAL;
	return make(process, trace, channel, arg, ret_ring);
}

int tb_ring_make(struct tracebuf_ioc_ring *arg, struct tb_object **ret_object)
{
	struct tb_ring *ring;
	int err;

	if (arg->ring_set >= TRACEBUF_NR_RING_SETS || arg->cpu >= nr_cpu_ids || !cpu_possible(arg->cpu) ||
	    (arg->writer != TRACEBUF_WRITER_RSEQ && arg->writer != TRACEBUF_WRITER_FALLBACK))
		return -EINVAL;
	mutex_lock(&tb_lock);
	err = make_for_caller(arg, &ring);
	if (!err) {
		arg->total_size = ring->object.size;
		arg->instance = ring->instance;
		arg->nr_descriptions = ring->process->nr_descriptions;
		*ret_object = tb_object_get(&ring->object);
	}
	mutex_unlock(&tb_lock);
	return err;
}

/* ---- Finding, showing, removing. All under tb_lock ---- */

static struct tb_ring *ring_of_process(const struct tb_process *process, u32 instance)
{
	u64 number = number_of(process->incarnation, process->pid, instance);
	struct tb_ring *ring;

	hash_for_each_possible(rings, ring, by_number, number)
		if (ring->process == process && ring->instance == instance)
			return ring;
	return NULL;
}

/* The ring of current's process, or NULL. */
static struct tb_ring *ring_of_caller(u32 instance)
{
	struct tb_process *process = tb_process_of(current->mm);

	return process ? ring_of_process(process, instance) : NULL;
}

struct tb_ring *tb_ring_find(const struct tb_trace *trace, const char *name)
{
	unsigned long long incarnation;
	u32 channel, cpu, instance;
	struct tb_ring *ring;
	int pid;

	if (sscanf(name, "%d-%llx-%u-%u-%u", &pid, &incarnation, &channel, &cpu, &instance) != 5)
		return NULL;
	hash_for_each_possible(rings, ring, by_number, number_of(incarnation, pid, instance))
		if (ring->trace == trace && !strcmp(ring->name, name))
			return ring;
	return NULL;
}

void tb_ring_show(struct tb_ring *ring)
{
	if (ring->shown)
		return;
	ring->shown = true;
	ring->dentry = tb_debugfs_add_ring(ring);
	tb_notify(TRACEBUF_CMD_RING_NEW, ring->generation, ring->name);
}

void tb_ring_remove(struct tb_ring *ring)
{
	struct tb_process *process = ring->process;

	tb_object_get(&process->object);
	list_del_init(&ring->of_process);
	list_del_init(&ring->of_trace);
	hash_del(&ring->by_number);
	ring->trace->nr_rings--;
	tb_object_hide(&ring->object);
	WRITE_ONCE(ring->trace, NULL);
	tb_debugfs_remove(ring->dentry);
	ring->dentry = NULL;
	if (ring->shown)
		tb_notify(TRACEBUF_CMD_RING_GONE, ring->generation, ring->name);
	wake_up_all(&ring->writers);
	wake_up_poll(&ring->readers, EPOLLIN | EPOLLRDNORM | EPOLLHUP);
	tb_object_put(&ring->object);
	tb_process_forget_if_done(process);
	tb_object_put(&process->object);
}

/* ---- For the process ---- */

int tb_ring_switch(u32 instance)
{
	struct tb_ring *ring;

	mutex_lock(&tb_lock);
	ring = ring_of_caller(instance);
	if (ring)
		bell(ring);
	mutex_unlock(&tb_lock);
	return ring ? 0 : -ESRCH;
}

static bool has_room(struct tb_ring *ring, u64 seq)
{
	/* Partner: tb_ring_put(). */
	u64 consumed = smp_load_acquire(&ring->consumed);

	return seq < consumed || seq - consumed < ring->config.nr_subbufs;
}

static bool is_consumed(struct tb_ring *ring)
{
	bool result;

	mutex_lock(&tb_lock);
	result = ring->trace && tb_trace_has_daemon(ring->trace);
	mutex_unlock(&tb_lock);
	return result;
}

static int wait_for_room(struct tb_ring *ring, u64 seq, u32 timeout_ms)
{
	unsigned long left = msecs_to_jiffies(timeout_ms);

	while (!has_room(ring, seq)) {
		unsigned long slice = min_t(unsigned long, left, DAEMON_CHECK_INTERVAL);
		long result;

		if (!is_consumed(ring))
			return -EPIPE;
		if (!left)
			return -ETIMEDOUT;
		result = wait_event_interruptible_timeout(ring->writers, has_room(ring, seq) || !READ_ONCE(ring->trace),
							  slice);
		if (result < 0)
			return -EINTR;
		left -= slice - min_t(unsigned long, result, slice);
	}
	return 0;
}

int tb_ring_wait(const struct tracebuf_ioc_wait *arg)
{
	struct tb_ring *ring;
	int err;

	mutex_lock(&tb_lock);
	ring = ring_of_caller(arg->instance);
	if (ring)
		tb_object_get(&ring->object);
	mutex_unlock(&tb_lock);
	if (!ring)
		return -ESRCH;
	err = wait_for_room(ring, arg->seq, arg->timeout_ms);
	tb_object_put(&ring->object);
	return err;
}

/* ---- For readers ---- */

int tb_ring_get(struct tb_ring *ring, struct tracebuf_ioc_get *arg)
{
	u64 consumed;

	if (ring->config.mode == TRACEBUF_MODE_OVERWRITE)
		return -EINVAL;
	/* Partner: left(). First whether it is complete, then where it ends. */
	arg->flags = smp_load_acquire(&ring->complete) ? TRACEBUF_RING_IS_COMPLETE : 0;
	arg->position = ring_position(ring);
	consumed = READ_ONCE(ring->consumed);
	arg->seq = consumed;
	arg->offset = TRACEBUF_RING_DATA_OFFSET +
		      (consumed & (ring->config.nr_subbufs - 1)) * ring->config.subbuf_size;
	return consumed < current_seq(ring, arg->position) ? 0 : -EAGAIN;
}

int tb_ring_put(struct tb_ring *ring, const struct tracebuf_ioc_put *arg)
{
	u64 wake_offset = TRACEBUF_RING_CONSUMER_OFFSET + offsetof(struct tracebuf_consumer, wake), wake;
	int err = -EINVAL;

	mutex_lock(&ring->consume_lock);
	if (arg->consumed >= ring->consumed && arg->consumed <= current_seq(ring, ring_position(ring))) {
		/* Partners: has_room(); the process loads consumed (acquire) when it enters a sub-buffer. What the
		   reader did with the storage comes before both stores. */
		smp_mb();
		smp_store_release(&ring->consumed, arg->consumed);
		tb_object_store64(&ring->object,
				  TRACEBUF_RING_CONSUMER_OFFSET + offsetof(struct tracebuf_consumer, consumed),
				  arg->consumed);
		wake = tb_object_load64(&ring->object, wake_offset);
		tb_object_store32(&ring->object, wake_offset, (u32)wake + 1);
		err = 0;
	}
	mutex_unlock(&ring->consume_lock);
	if (!err)
		wake_up_all(&ring->writers);
	return err;
}

int tb_ring_release(struct tb_ring *ring)
{
	mutex_lock(&tb_lock);
	ring->released = true;
	remove_if_done(ring);
	mutex_unlock(&tb_lock);
	return 0;
}

__poll_t tb_ring_poll(struct tb_ring *ring, struct file *file, poll_table *wait)
{
	__poll_t mask = 0;

	poll_wait(file, &ring->readers, wait);
	if (smp_load_acquire(&ring->complete) || !READ_ONCE(ring->trace))
		mask |= EPOLLHUP;
	if (has_finished(ring, ring_position(ring)))
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}
