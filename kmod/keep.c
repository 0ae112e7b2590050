// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies of process files in the region, for those processes that have rings there: header, descriptions, statedump.
 * After a reboot they are all there is to tell what events mean and what lay where in the process.
 *
 * Invariants: a copy is made before the process's first persistent ring, and has every description that a persistent
 * ring of it may contain, or that ring is not made. What is copied is what the kernel itself wrote: a process cannot
 * write to these parts of its file. A statedump that is just being written is not copied; who writes it does that
 * afterwards.
 */
#include <linux/kref.h>
#include <linux/slab.h>

#include "tracebuf.h"

struct tb_kept_process {
	struct tb_object object;	/* first; nobody maps it */
	u32 nr_descriptions, descriptions_size;
};

static bool never(u64 offset)
{
	return false;
}

static void free_kept(struct tb_object *object)
{
	tb_object_destroy(object);
	kfree(object);
}

static const struct tb_object_type kept_type = {
	.kind = TRACEBUF_KIND_PROCESS,
	.is_writable = never,
	.is_on_demand = never,
	.free = free_kept,
};

static int copy_range(struct tb_object *to, struct tb_object *from, u64 offset, u64 size)
{
	void *bytes = kmalloc(PAGE_SIZE, GFP_KERNEL);
	int err = bytes ? 0 : -ENOMEM;

	for (u64 end = offset + size; !err && offset < end;) {
		size_t piece = min_t(u64, end - offset, PAGE_SIZE);

		tb_object_read(from, offset, bytes, piece);
		err = tb_object_write(to, offset, bytes, piece);
		offset += piece;
	}
	kfree(bytes);
	return err;
}

/* ---- descriptions. All under tb_lock ---- */

/* What the process has described since; then the counts, for who reads after a crash. */
static int copy_descriptions(struct tb_kept_process *kept, struct tb_process *process)
{
	int err;

	if (kept->nr_descriptions == process->nr_descriptions)
		return 0;
	err = copy_range(&kept->object, &process->object, TRACEBUF_DESCRIPTIONS_OFFSET + kept->descriptions_size,
			 process->descriptions_size - kept->descriptions_size);
	if (err)
		return err;
	kept->nr_descriptions = process->nr_descriptions;
	kept->descriptions_size = process->descriptions_size;
	smp_wmb();
	tb_process_store_descriptions(&kept->object, kept->nr_descriptions, kept->descriptions_size);
	return 0;
}

/* ---- the statedump ---- */

static u32 sequence_of(struct tb_object *object)
{
	return tb_object_load64(object, TRACEBUF_STATEDUMP_OFFSET);
}

/*
 * Copies a statedump that is whole, under an odd sequence. Not whole, or changed meanwhile: the copy's sequence stays
 * odd, and who is writing it comes here later.
 */
static int copy_statedump(struct tb_kept_process *kept, struct tb_process *process)
{
	const u64 at = TRACEBUF_STATEDUMP_OFFSET, behind_sequence = sizeof_field(struct tracebuf_statedump, sequence);
	struct tracebuf_statedump dump;
	u32 sequence = sequence_of(&process->object), odd = sequence | 1;
	int err;

	if (!sequence)
		return 0;
	err = tb_object_write(&kept->object, at, &odd, sizeof(odd));
	if (err || odd == sequence)
		return err;
	smp_wmb();	/* as in the process's own file */
	tb_object_read(&process->object, at, &dump, sizeof(dump));
	if (dump.size > TRACEBUF_STATEDUMP_SIZE - sizeof(dump))
		return 0;
	err = copy_range(&kept->object, &process->object, at + behind_sequence,
			 sizeof(dump) - behind_sequence + dump.size);
	smp_rmb();	/* pairs with the writer's, before the words behind sequence and before sequence is even */
	if (err || sequence_of(&process->object) != sequence)
		return err;
	smp_wmb();
	tb_object_store32(&kept->object, at, sequence);
	return 0;
}

void tb_keep_statedump(struct tb_process *process)
{
	struct tb_kept_process *kept;

	mutex_lock(&tb_lock);
	kept = process->kept;
	if (kept)
		tb_object_get(&kept->object);
	mutex_unlock(&tb_lock);
	if (!kept)
		return;
	/* No room: the copy is without, or with what it had of it. */
	copy_statedump(kept, process);
	tb_object_put(&kept->object);
}

/* ---- coming and going. All under tb_lock ---- */

static int copy_header(struct tb_kept_process *kept, struct tb_process *process)
{
	struct tracebuf_process *header = kzalloc(sizeof(*header), GFP_KERNEL);
	int err = -ENOMEM;

	if (header) {
		tb_object_read(&process->object, 0, header, TRACEBUF_PROCESS_HEADER_SIZE);
		err = tb_object_seal(&kept->object, header, TRACEBUF_PROCESS_HEADER_SIZE);
	}
	kfree(header);
	return err;
}

static struct tb_kept_process *make(struct tb_process *process)
{
	struct tb_kept_process *kept = kzalloc(sizeof(*kept), GFP_KERNEL_ACCOUNT);
	int err;

	if (!kept)
		return ERR_PTR(-ENOMEM);
	err = tb_object_init(&kept->object, &kept_type, TRACEBUF_PROCESS_SIZE, NULL, NUMA_NO_NODE, NULL);
	if (err) {
		kfree(kept);
		return ERR_PTR(err);
	}
	err = copy_header(kept, process);
	if (!err)
		err = copy_statedump(kept, process);
	if (err) {
		tb_object_put(&kept->object);
		return ERR_PTR(err);
	}
	return kept;
}

int tb_keep_update(struct tb_process *process)
{
	lockdep_assert_held(&tb_lock);
	if (!process->kept) {
		struct tb_kept_process *kept = make(process);

		if (IS_ERR(kept))
			return PTR_ERR(kept);
		process->kept = kept;
	}
	return copy_descriptions(process->kept, process);
}

void tb_keep_drop(struct tb_process *process)
{
	lockdep_assert_held(&tb_lock);
	if (process->kept)
		tb_object_put(&process->kept->object);
	process->kept = NULL;
}
