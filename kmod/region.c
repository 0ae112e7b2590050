// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region: memory that keeps what it holds over a reboot (include/tracebuf/abi.h).
 *
 * At load both halves are looked through before a byte is written. The newest one that holds a ring is what the earlier
 * boot left; a boot that ended before anything was traced so costs nothing. The other half becomes this boot's: it is
 * cleared, and gets its header last, magic last of all. Invariant: nothing writes to the older half until the next
 * load.
 *
 * The header says when the persistent trace was started and how it ended. Each of these records has a checksum, so that
 * who reads after a crash knows whether it is whole. Reboot and panic are told of as far as they come by here, and then
 * caches are written back; but all that is in memory is right without.
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/libnvdimm.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>

#include "libtracebuf/crc32c.h"
#include "tracebuf.h"

/* A reboot waits for tb_lock so many times 10 ms at most. */
#define MAX_LOCK_TRIES 100

static char *region;
module_param(region, charp, 0400);
MODULE_PARM_DESC(region, "memory kept over a reboot: SIZE@ADDRESS, reserved by memmap=, or a name of reserve_mem=");

static struct tb_reserved reserved;
static struct tracebuf_region *own;	/* header of this boot's half; NULL: there is none */
static u64 own_size;
static bool is_recording;		/* between start and stop */
static enum tracebuf_stop why = TRACEBUF_STOP_TRACE;

/* ---- this boot's header ---- */

static void fill_header(struct tracebuf_region *header, const struct tracebuf_boot *boot)
{
	header->sb.abi_version = TRACEBUF_ABI_VERSION;
	header->sb.kind = TRACEBUF_KIND_REGION;
	header->sb.header_size = TRACEBUF_REGION_HEADER_SIZE;
	header->sb.total_size = own_size;
	header->sb.physical_address = reserved.physical + ((void *)own - reserved.bytes);
	header->sb.page_size = PAGE_SIZE;
	header->number = boot->number;
	header->series = boot->series;
	header->realtime_ns = ktime_get_real_ns();
	strscpy(header->release, init_utsname()->release, sizeof(header->release));
	header->nr_cpus = num_possible_cpus();
}

/* The magic comes last: a header without it is none. */
static void write_header(const struct tracebuf_boot *boot)
{
	static const u8 masked[] = TRACEBUF_MAGIC_MASKED;
	struct tracebuf_region header = { 0 };
	u64 magic[2];

	fill_header(&header, boot);
	for (unsigned int i = 0; i < sizeof(masked); i++)
		header.sb.magic[i] = masked[i] ^ TRACEBUF_MAGIC_MASK;
	header.sb.header_crc = tb_crc32c(0, &header, TRACEBUF_REGION_HEADER_SIZE);
	memcpy(magic, header.sb.magic, sizeof(magic));
	memset(header.sb.magic, 0, sizeof(header.sb.magic));
	memcpy(own, &header, sizeof(header));
	/* Partner: whoever reads memory after a crash. */
	WRITE_ONCE(((u64 *)own)[0], magic[0]);
	smp_store_release(&((u64 *)own)[1], magic[1]);
}

static void write_stop(enum tracebuf_stop reason, u64 now)
{
	struct tracebuf_region_stop stop = { .realtime_ns = now, .reason = reason };

	stop.crc = tb_crc32c(0, &stop, sizeof(stop));
	own->stop = stop;
}

void tb_region_start(const struct tb_trace *trace)
{
	struct tracebuf_region_start start = {
		.realtime_ns = ktime_get_real_ns(),
		.clock_frequency = trace->clock_frequency,
		.clock_ticks = trace->clock_ticks,
		.clock_realtime_ns = trace->clock_realtime_ns,
		.generation = trace->generation,
		.clock = tb_trace_clock(),
	};

	lockdep_assert_held(&tb_lock);
	tb_trace_uuid(trace, start.uuid);
	memcpy(start.boot_id, trace->boot_id, sizeof(start.boot_id));
	memcpy(start.trace_name, trace->name, sizeof(start.trace_name));
	start.crc = tb_crc32c(0, &start, sizeof(start));
	memset(&own->stop, 0, sizeof(own->stop));
	own->start = start;
	smp_wmb();	/* before any event, for who reads after a crash */
	WRITE_ONCE(is_recording, true);
}

void tb_region_stop(void)
{
	lockdep_assert_held(&tb_lock);
	WRITE_ONCE(is_recording, false);
	write_stop(why, ktime_get_real_ns());
}

bool tb_region_is_there(void)
{
	return own;
}

void tb_region_fill_boot(struct tracebuf_boot *boot)
{
	*boot = own ? (struct tracebuf_boot){ own->series, own->number } : (struct tracebuf_boot){ 0 };
}

/* ---- the machine goes ---- */

static void write_caches_back(void)
{
	arch_wb_cache_pmem(own, own_size);
}

/* Under tb_lock. */
static void stop_persistent(void)
{
	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++) {
		struct tb_trace *trace = tb_trace_in(slot);

		if (trace && trace->is_persistent)
			tb_trace_set_active(trace, false);
	}
}

/* Whoever holds tb_lock may be stuck for good: then the trace goes on until the machine ends. */
static int on_reboot(struct notifier_block *block, unsigned long action, void *data)
{
	bool is_locked = mutex_trylock(&tb_lock);

	for (unsigned int i = 0; !is_locked && i < MAX_LOCK_TRIES; i++) {
		msleep(10);
		is_locked = mutex_trylock(&tb_lock);
	}
	WRITE_ONCE(why, TRACEBUF_STOP_REBOOT);
	if (is_locked) {
		stop_persistent();
		mutex_unlock(&tb_lock);
	} else if (READ_ONCE(is_recording)) {
		write_stop(TRACEBUF_STOP_REBOOT, ktime_get_real_ns());
	}
	write_caches_back();
	return NOTIFY_DONE;
}

/* No other CPU runs any more. What they held stays held, the clock's lock included. */
static int on_panic(struct notifier_block *block, unsigned long action, void *data)
{
	if (READ_ONCE(is_recording))
		write_stop(TRACEBUF_STOP_PANIC, ktime_get_real_fast_ns());
	write_caches_back();
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = { .notifier_call = on_reboot };
static struct notifier_block panic_block = { .notifier_call = on_panic };

/* ---- loading ---- */

/* Which of the halves the earlier boot left; -1: neither has a right header. */
static int choose_previous(const struct tb_previous halves[2])
{
	int best = -1;

	for (int i = 0; i < 2; i++) {
		const struct tb_previous *half = &halves[i];

		if (!half->header)
			continue;
		if (best < 0 || !half->report.nr_rings < !halves[best].report.nr_rings ||
		    (!half->report.nr_rings == !halves[best].report.nr_rings &&
		     half->header->number > halves[best].header->number))
			best = i;
	}
	return best;
}

/* The next of the series of the newer half; the first of a new one, if neither half tells of any. */
static struct tracebuf_boot next_boot(const struct tb_previous halves[2])
{
	struct tracebuf_boot boot = { 0 };

	for (int i = 0; i < 2; i++)
		if (halves[i].header && halves[i].header->number > boot.number)
			boot = (struct tracebuf_boot){ halves[i].header->series, halves[i].header->number };
	boot.number++;
	while (!boot.series)
		boot.series = get_random_u64();
	return boot;
}

static void clear_half(void *half)
{
	for (u64 at = 0; at < own_size; at += PAGE_SIZE) {
		clear_page(half + at);
		cond_resched();
	}
}

/* half becomes this boot's. */
static int begin_half(void *half, const struct tracebuf_boot *boot)
{
	int err = tb_pool_init(pfn_to_page(PHYS_PFN(reserved.physical + (half - reserved.bytes))),
			       own_size / PAGE_SIZE);

	if (err)
		return err;
	own = half;
	clear_half(half);
	write_header(boot);
	register_reboot_notifier(&reboot_block);
	atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
	return 0;
}

static int look_at_halves(struct tb_previous halves[2])
{
	int err = 0;

	for (int i = 0; i < 2 && !err; i++) {
		const struct tb_kept half = {
			.bytes = reserved.bytes + i * own_size,
			.physical = reserved.physical + i * own_size,
			.size = own_size,
		};

		err = tb_previous_look(&halves[i], &half);
	}
	return err;
}

static void say(const struct tb_previous *previous)
{
	if (previous)
		pr_info("tracebuf: region: %llu bytes at 0x%llx; from before: %u processes, %u rings, %u damaged\n",
			reserved.size, reserved.physical, previous->report.nr_processes, previous->report.nr_rings,
			previous->report.nr_damaged);
	else
		pr_info("tracebuf: region: %llu bytes at 0x%llx; nothing from before\n", reserved.size,
			reserved.physical);
}

int tb_region_init(void)
{
	struct tb_previous halves[2] = { { .files = LIST_HEAD_INIT(halves[0].files) },
					 { .files = LIST_HEAD_INIT(halves[1].files) } };
	struct tracebuf_boot boot;
	int err, previous;

	if (!region || !*region)
		return 0;
	err = tb_reserved_get(region, &reserved);
	if (err)
		return err;
	own_size = reserved.size / 2;
	err = look_at_halves(halves);
	previous = choose_previous(halves);
	boot = next_boot(halves);
	if (!err)
		err = begin_half(reserved.bytes + (previous == 0) * own_size, &boot);
	if (!err) {
		say(previous < 0 ? NULL : &halves[previous]);
		if (previous >= 0)
			tb_previous_keep(&halves[previous]);
	}
	for (int i = 0; i < 2; i++)
		tb_previous_forget(&halves[i]);
	if (err)
		tb_reserved_put(&reserved);
	return err;
}

/* What is in memory stays: it is what the next load finds. */
void tb_region_exit(void)
{
	if (own) {
		atomic_notifier_chain_unregister(&panic_notifier_list, &panic_block);
		unregister_reboot_notifier(&reboot_block);
		tb_pool_exit();
		own = NULL;
	}
	tb_previous_exit();
	tb_reserved_put(&reserved);
}
