// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tree in debugfs that readers watch with inotify: tracebuf/status, tracebuf/procs/<process>,
 * tracebuf/<trace's directory>/<ring>. tracebuf/previous/ is in previous.c.
 *
 * A file holds a reference on its object until it is removed, an open file until it is closed: what was opened, or
 * mapped, survives removal. The files are made by debugfs_create_file_unsafe(), as the safe kind cannot be mapped; all
 * that their operations use hangs on the open file's own reference. open() runs while debugfs keeps removal waiting, and
 * removal runs under tb_lock: so open() takes no lock.
 */
#include <linux/debugfs.h>
#include <linux/fsnotify.h>
#include <linux/seq_file.h>
#include <linux/string_helpers.h>

#include "tracebuf.h"

static struct dentry *root, *procs;

/* ---- files of processes and rings ---- */

static int file_open(struct inode *inode, struct file *file)
{
	file->private_data = tb_object_get(inode->i_private);
	return 0;
}

static int file_release(struct inode *inode, struct file *file)
{
	tb_object_put(file->private_data);
	return 0;
}

static loff_t file_llseek(struct file *file, loff_t offset, int whence)
{
	const struct tb_object *object = file->private_data;

	return fixed_size_llseek(file, offset, whence, object->size);
}

static ssize_t file_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	return tb_object_read_iter(iocb->ki_filp->private_data, iocb, to);
}

static int file_mmap(struct file *file, struct vm_area_struct *vma)
{
	return tb_object_mmap(file->private_data, file, vma, false);
}

static long file_ioctl(struct file *file, unsigned int number, unsigned long arg)
{
	return tb_reader_ioctl(file->private_data, number, arg);
}

static __poll_t file_poll(struct file *file, poll_table *wait)
{
	struct tb_object *object = file->private_data;

	return object->type->kind == TRACEBUF_KIND_RING ? tb_ring_poll(tb_ring_of(object), file, wait) : DEFAULT_POLLMASK;
}

static const struct file_operations file_fops = {
	.owner = THIS_MODULE,
	.open = file_open,
	.release = file_release,
	.llseek = file_llseek,
	.read_iter = file_read_iter,
	.mmap = file_mmap,
	.unlocked_ioctl = file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = file_poll,
};

/* NULL, if it cannot be made: then the object is reached by the device only. */
static struct dentry *add_file(const char *name, struct dentry *directory, struct tb_object *object)
{
	struct dentry *dentry;

	if (!directory)
		return NULL;
	tb_object_get(object);
	dentry = debugfs_create_file_unsafe(name, 0600, directory, object, &file_fops);
	if (IS_ERR_OR_NULL(dentry)) {
		tb_object_put(object);
		return NULL;
	}
	i_size_write(d_inode(dentry), object->size);
	return dentry;
}

struct dentry *tb_debugfs_add_process(struct tb_process *process)
{
	return add_file(process->name, procs, &process->object);
}

struct dentry *tb_debugfs_add_ring(struct tb_ring *ring)
{
	return ring->trace ? add_file(ring->name, ring->trace->dentry, &ring->object) : NULL;
}

struct dentry *tb_debugfs_add_directory(const char *name)
{
	struct dentry *dentry;

	if (!root)
		return NULL;
	dentry = debugfs_create_dir(name, root);
	return IS_ERR(dentry) ? NULL : dentry;
}

void tb_debugfs_remove(struct dentry *dentry)
{
	struct tb_object *object;

	if (!dentry)
		return;
	object = d_is_reg(dentry) ? d_inode(dentry)->i_private : NULL;
	debugfs_remove(dentry);
	tb_object_put(object);
}

void tb_debugfs_ring_bell(struct dentry *dentry)
{
	if (dentry)
		fsnotify_dentry(dentry, FS_ATTRIB);
}

bool tb_debugfs_is_reserved(const char *name)
{
	return !strcmp(name, "procs") || !strcmp(name, "status") || !strcmp(name, "previous");
}

/* ---- status: "key: value" lines; of a trace or a process, the value is a list of key=value ---- */

/* Text that a process chose: no blank or unprintable byte of it gets out. */
static void show_text(struct seq_file *seq, const char *key, const char *text)
{
	seq_printf(seq, " %s=", key);
	seq_escape_str(seq, text, ESCAPE_OCTAL | ESCAPE_NAP | ESCAPE_APPEND, " \\");
}

struct sums {
	unsigned long nr_rings, nr_pages;
	u64 discarded;
};

static void add_ring(struct sums *sums, struct tb_ring *ring)
{
	sums->nr_rings++;
	sums->nr_pages += READ_ONCE(ring->object.pages.nr);
	sums->discarded += tb_object_load64(&ring->object, TRACEBUF_RING_PRODUCER_OFFSET +
						offsetof(struct tracebuf_producer, discarded));
}

static void show_trace(struct seq_file *seq, const struct tb_trace *trace)
{
	struct sums sums = { 0 };
	struct tb_ring *ring;

	list_for_each_entry(ring, &trace->rings, of_trace)
		add_ring(&sums, ring);
	seq_printf(seq, "trace: %s slot=%u generation=%llu uid=%u", trace->name, trace->slot, trace->generation,
		   from_kuid_munged(&init_user_ns, trace->owner.cred->euid));
	show_text(seq, "directory", trace->directory);
	show_text(seq, "domain", trace->domain);
	seq_printf(seq, " active=%d channels=%u rings=%lu pages=%lu discarded=%llu daemon=%d alive=%d persistent=%d\n",
		   trace->active, trace->nr_channels, sums.nr_rings, sums.nr_pages, sums.discarded,
		   pid_nr(trace->daemon), tb_trace_has_daemon(trace), trace->is_persistent);
}

static void show_process(struct seq_file *seq, struct tb_process *process)
{
	struct sums sums = {
		.nr_pages = READ_ONCE(process->object.pages.nr),
		.discarded = tb_object_load64(&process->object, TRACEBUF_PROCESS_ACCOUNT_OFFSET),
	};
	struct tb_ring *ring;

	list_for_each_entry(ring, &process->rings, of_process)
		add_ring(&sums, ring);
	seq_printf(seq, "process: %s pid=%d uid=%u", process->name, process->pid,
		   from_kuid_munged(&init_user_ns, process->owner.cred->euid));
	show_text(seq, "procname", process->procname);
	show_text(seq, "domain", process->domain);
	seq_printf(seq, " events=%u rings=%lu pages=%lu discarded=%llu gone=%d\n", process->nr_descriptions,
		   sums.nr_rings, sums.nr_pages, sums.discarded, process->gone);
}

static const char *clock_name(u32 clock)
{
	switch (clock) {
	case TRACEBUF_CLOCK_TSC:
		return "tsc";
	case TRACEBUF_CLOCK_MONOTONIC:
		return "monotonic";
	case TRACEBUF_CLOCK_COUNTER:
		return "counter";
	default:
		return "none";
	}
}

static void show_totals(struct seq_file *seq)
{
	const struct tb_trace *trace;
	unsigned int slot;

	seq_printf(seq, "abi_version: %u\n", TRACEBUF_ABI_VERSION);
	seq_printf(seq, "clock: %s\n", clock_name(tb_trace_clock()));
	seq_printf(seq, "rules_generation: %llu\n", tb_rules_generation());
	seq_printf(seq, "pages: %lu\n", tb_pages_total());
	seq_printf(seq, "max_pages: %lu\n", READ_ONCE(tb_max_pages));
	seq_printf(seq, "max_user_pages: %lu\n", READ_ONCE(tb_max_user_pages));
	seq_printf(seq, "processes: %u\n", tb_nr_processes);
	seq_printf(seq, "max_processes: %u\n", READ_ONCE(tb_max_processes));
	seq_printf(seq, "refused: %lld\n", atomic64_read(&tb_nr_refused));
	if (tb_region_is_there())
		seq_printf(seq, "region_pages: %lu\nmax_region_pages: %lu\n", tb_pool_used(), tb_pool_size());
	for (slot = 0; slot < TRACEBUF_NR_SLOTS; slot++) {
		trace = tb_trace_in(slot);
		if (trace)
			show_trace(seq, trace);
	}
}

/* Position 0 is what comes before the processes. The lock is not held while what was shown is copied to the reader. */
static void *status_start(struct seq_file *seq, loff_t *pos)
{
	mutex_lock(&tb_lock);
	return *pos ? seq_list_start(&tb_processes, *pos - 1) : SEQ_START_TOKEN;
}

static void *status_next(struct seq_file *seq, void *v, loff_t *pos)
{
	if (v != SEQ_START_TOKEN)
		return seq_list_next(v, &tb_processes, pos);
	++*pos;
	return seq_list_start(&tb_processes, 0);
}

static void status_stop(struct seq_file *seq, void *v)
{
	mutex_unlock(&tb_lock);
}

static int status_show(struct seq_file *seq, void *v)
{
	if (v == SEQ_START_TOKEN)
		show_totals(seq);
	else
		show_process(seq, list_entry(v, struct tb_process, list));
	return 0;
}

static const struct seq_operations status_sops = {
	.start = status_start,
	.next = status_next,
	.stop = status_stop,
	.show = status_show,
};
DEFINE_SEQ_ATTRIBUTE(status);

/* Without debugfs there is no tree, and all works by the device: so this never fails. */
int tb_debugfs_init(void)
{
	root = debugfs_create_dir("tracebuf", NULL);
	if (IS_ERR(root)) {
		root = NULL;
		return 0;
	}
	procs = tb_debugfs_add_directory("procs");
	/* Read-only, so that it can be read where the kernel is locked down. */
	debugfs_create_file("status", 0400, root, NULL, &status_fops);
	tb_previous_show();
	return 0;
}

void tb_debugfs_exit(void)
{
	debugfs_remove(root);
	root = NULL;
	procs = NULL;
}
