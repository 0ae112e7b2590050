// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an earlier boot left in the region, to read: as debugfs/tracebuf/previous/, and by the device.
 *
 * Invariants: no byte of the half is trusted, whoever wrote it last: a file is shown if reader/kept.c found its header
 * and page list right, under a name made of checked words, and its pages are looked up by kept.c at each read. Nothing is
 * written. All of it is made at load and stays as it is until the module goes, which waits for open files.
 */
#include <linux/debugfs.h>
#include <linux/elf.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <linux/uio.h>

#include "tracebuf.h"

/* More than this are not shown one by one. Each is an inode, and a hostile half could have one in each page. */
#define MAX_FILES 65536
/* Where the memory begins in the ELF core file. */
#define CORE_OFFSET 4096
#define NAME_SIZE 96

struct previous_file {
	struct list_head list;
	struct tb_kept_file file;
};

struct core_head {
	Elf64_Ehdr elf;
	Elf64_Phdr segment;
};

static struct tb_previous previous = { .files = LIST_HEAD_INIT(previous.files) };
static struct core_head core_head;

/* ---- looking, at load ---- */

struct look {
	struct list_head *files;
	unsigned int nr;
};

static int add_file(void *data, const struct tb_kept_file *found)
{
	struct look *look = data;
	struct previous_file *file;

	if (look->nr == MAX_FILES)
		return 0;
	file = kmalloc(sizeof(*file), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	file->file = *found;
	list_add_tail(&file->list, look->files);
	look->nr++;
	return 0;
}

int tb_previous_look(struct tb_previous *self, const struct tb_kept *half)
{
	struct look look = { .files = &self->files };

	self->half = *half;
	self->header = tb_kept_header(half);
	return self->header ? tb_kept_check(half, add_file, &look, &self->report) : 0;
}

void tb_previous_forget(struct tb_previous *self)
{
	struct previous_file *file, *next;

	list_for_each_entry_safe(file, next, &self->files, list)
		kfree(file);
	INIT_LIST_HEAD(&self->files);
	self->header = NULL;
}

static void fill_core_head(const struct tb_kept *half)
{
	core_head = (struct core_head) {
		.elf = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_CORE,
			.e_machine = ELF_ARCH,
			.e_version = EV_CURRENT,
			.e_phoff = offsetof(struct core_head, segment),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
		.segment = {
			.p_type = PT_LOAD,
			.p_flags = PF_R,
			.p_offset = CORE_OFFSET,
			.p_paddr = half->physical,
			.p_filesz = half->size,
			.p_memsz = half->size,
			.p_align = CORE_OFFSET,
		},
	};
}

void tb_previous_keep(struct tb_previous *from)
{
	previous.half = from->half;
	previous.header = from->header;
	previous.report = from->report;
	list_splice_init(&from->files, &previous.files);
	fill_core_head(&previous.half);
}

void tb_previous_exit(void)
{
	tb_previous_forget(&previous);
}

/* ---- reading ---- */

/* What lies at offset: *ret_size bytes at most, NULL for zeroes. */
typedef const void *(*piece_at)(const void *of, u64 offset, u64 *ret_size);

static ssize_t read_pieces(struct kiocb *iocb, struct iov_iter *to, u64 size, piece_at piece_at, const void *of)
{
	ssize_t done = 0;

	while (iov_iter_count(to) && iocb->ki_pos >= 0 && iocb->ki_pos < size) {
		u64 in_piece;
		const void *piece = piece_at(of, iocb->ki_pos, &in_piece);
		size_t nr = min3((u64)iov_iter_count(to), min_t(u64, in_piece, PAGE_SIZE), size - iocb->ki_pos);
		size_t copied = piece ? copy_to_iter(piece, nr, to) : iov_iter_zero(nr, to);

		iocb->ki_pos += copied;
		done += copied;
		if (copied < nr)
			return done ? done : -EFAULT;
		if (fatal_signal_pending(current))
			return done;
		cond_resched();
	}
	return done;
}

/* Of a file in the half; holes, and pages whose place is wrong, are zeroes. */
static const void *file_piece(const void *of, u64 offset, u64 *ret_size)
{
	const struct tb_kept_file *file = of;
	u32 in_page = offset & (file->page_size - 1);
	const unsigned char *page = tb_kept_page(&previous.half, file, offset);

	*ret_size = file->page_size - in_page;
	return page ? page + in_page : NULL;
}

static const void *core_piece(const void *of, u64 offset, u64 *ret_size)
{
	if (offset >= CORE_OFFSET) {
		*ret_size = previous.half.size + CORE_OFFSET - offset;
		return previous.half.bytes + (offset - CORE_OFFSET);
	}
	if (offset >= sizeof(core_head)) {
		*ret_size = CORE_OFFSET - offset;
		return NULL;
	}
	*ret_size = sizeof(core_head) - offset;
	return (const char *)&core_head + offset;
}

bool tb_previous_is_there(void)
{
	return previous.header;
}

u64 tb_previous_size(void)
{
	return CORE_OFFSET + previous.half.size;
}

ssize_t tb_previous_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	return read_pieces(iocb, to, tb_previous_size(), core_piece, NULL);
}

static ssize_t file_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	const struct previous_file *file = iocb->ki_filp->private_data;

	return read_pieces(iocb, to, file->file.size, file_piece, &file->file);
}

static loff_t file_llseek(struct file *file, loff_t offset, int whence)
{
	return fixed_size_llseek(file, offset, whence, i_size_read(file_inode(file)));
}

/* Neither ioctl nor mmap: so they can be read where the kernel is locked down. */
static const struct file_operations file_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.llseek = file_llseek,
	.read_iter = file_read_iter,
};

static const struct file_operations memory_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.llseek = file_llseek,
	.read_iter = tb_previous_read_iter,
};

/* ---- info: "key: value" lines ---- */

static void show_text(struct seq_file *seq, const char *key, const char *text, size_t size)
{
	char copy[TRACEBUF_NAME_SIZE];

	strscpy(copy, text, min(size, sizeof(copy)));
	seq_printf(seq, "%s: ", key);
	seq_escape_str(seq, copy, ESCAPE_OCTAL | ESCAPE_NAP | ESCAPE_APPEND, " \\");
	seq_putc(seq, '\n');
}

static void show_time(struct seq_file *seq, const char *key, u64 ns)
{
	seq_printf(seq, "%s: %llu.%09llu\n", key, ns / NSEC_PER_SEC, ns % NSEC_PER_SEC);
}

static const char *reason_name(u32 reason)
{
	switch (reason) {
	case TRACEBUF_STOP_TRACE:
		return "trace";
	case TRACEBUF_STOP_REBOOT:
		return "reboot";
	case TRACEBUF_STOP_PANIC:
		return "panic";
	default:
		return "unknown";
	}
}

static void show_run(struct seq_file *seq, const struct tracebuf_region *header)
{
	if (!tb_kept_has_start(header))
		return;
	seq_printf(seq, "boot_id: %pUb\n", header->start.boot_id);
	show_text(seq, "trace", header->start.trace_name, sizeof(header->start.trace_name));
	seq_printf(seq, "generation: %llu\n", header->start.generation);
	show_time(seq, "started", header->start.realtime_ns);
	if (tb_kept_has_stop(header)) {
		show_time(seq, "stopped", header->stop.realtime_ns);
		seq_printf(seq, "stopped_by: %s\n", reason_name(header->stop.reason));
	}
}

static int info_show(struct seq_file *seq, void *v)
{
	const struct tracebuf_region *header = previous.header;
	const struct tb_kept_report *report = &previous.report;

	seq_printf(seq, "number: %llu\n", header->number);
	show_text(seq, "release", header->release, sizeof(header->release));
	seq_printf(seq, "cpus: %u\n", header->nr_cpus);
	show_time(seq, "loaded", header->realtime_ns);
	show_run(seq, header);
	seq_printf(seq, "processes: %u\nrings: %u\ndamaged: %u\n", report->nr_processes, report->nr_rings,
		   report->nr_damaged);
	seq_printf(seq, "subbufs_good: %llu\nsubbufs_bad: %llu\n", report->nr_good, report->nr_bad);
	seq_printf(seq, "physical: 0x%llx\nsize: %llu\n", previous.half.physical, previous.half.size);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(info);

/* ---- the tree ---- */

/* What has this name in directory already is left as it is: a half can hold the same name twice. */
static bool is_taken(struct dentry *directory, const char *name)
{
	struct dentry *there = debugfs_lookup(name, directory);

	dput(there);
	return there;
}

static void show_file(struct dentry *directory, const char *name, struct previous_file *file)
{
	struct dentry *dentry;

	if (!directory || is_taken(directory, name))
		return;
	dentry = debugfs_create_file_unsafe(name, 0400, directory, file, &file_fops);
	if (!IS_ERR_OR_NULL(dentry))
		i_size_write(d_inode(dentry), file->file.size);
}

static void show_process(struct dentry *procs, struct previous_file *file)
{
	const struct tracebuf_process *page = tb_kept_page(&previous.half, &file->file, 0);
	char name[NAME_SIZE];

	if (!page)
		return;
	snprintf(name, sizeof(name), "%d-%llx", page->pid, page->incarnation);
	show_file(procs, name, file);
}

/* The directory of a trace: of its name, or if that is another thing's its name and number. NULL: no right name. */
static struct dentry *trace_directory(struct dentry *root, const struct tracebuf_ring *ring)
{
	char name[TB_DIRECTORY_SIZE];
	struct dentry *dentry;

	if (!tb_trace_name_is_right(ring->trace_name))
		return NULL;
	strscpy(name, ring->trace_name, TRACEBUF_NAME_SIZE);
	if (!strcmp(name, "procs") || !strcmp(name, "info") || !strcmp(name, "memory"))
		snprintf(name + strlen(name), sizeof(name) - strlen(name), "-%llu", ring->generation);
	dentry = debugfs_lookup(name, root);
	if (dentry) {
		dput(dentry);
		return dentry;	/* it stays for as long as the tree */
	}
	dentry = debugfs_create_dir(name, root);
	return IS_ERR(dentry) ? NULL : dentry;
}

static void show_ring(struct dentry *root, struct previous_file *file)
{
	const struct tracebuf_ring *page = tb_kept_page(&previous.half, &file->file, 0);
	char name[NAME_SIZE];

	if (!page)
		return;
	snprintf(name, sizeof(name), "%d-%llx-%u-%u-%u", page->pid, page->incarnation, page->channel, page->cpu,
		 page->instance);
	show_file(trace_directory(root, page), name, file);
}

static void show_memory(struct dentry *root)
{
	struct dentry *dentry = debugfs_create_file_unsafe("memory", 0400, root, NULL, &memory_fops);

	if (!IS_ERR_OR_NULL(dentry))
		i_size_write(d_inode(dentry), tb_previous_size());
}

void tb_previous_show(void)
{
	struct dentry *root = tb_previous_is_there() ? tb_debugfs_add_directory("previous") : NULL, *procs;
	struct previous_file *file;

	if (!root)
		return;
	debugfs_create_file("info", 0400, root, NULL, &info_fops);
	show_memory(root);
	procs = debugfs_create_dir("procs", root);
	list_for_each_entry(file, &previous.files, list) {
		if (file->file.kind == TRACEBUF_KIND_PROCESS)
			show_process(IS_ERR(procs) ? NULL : procs, file);
		else
			show_ring(root, file);
		cond_resched();
	}
}
