// SPDX-License-Identifier: GPL-2.0-only
/*
 * Statedumps: what a traced process consists of at one time (program, threads, memory maps of files), written by the
 * kernel into the process's own file, so that addresses in events find their symbols after the process's end.
 *
 * First all is collected under the locks that guard it (RCU, mmap_lock) into arrays of a bounded size, with references
 * on the files; then, with none of these locks, it is written, one record after the other. Build-ids are read from the
 * page cache only: nothing is read from a disk or asked of a file system, which could take as long as its server likes.
 */
#include <linux/delay.h>
#include <linux/elf.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "libtracebuf/crc32c.h"
#include "tracebuf.h"

#define MAX_RECORDS (TRACEBUF_STATEDUMP_SIZE / sizeof(struct tracebuf_state))
#define NOTE_BUILD_ID 3		/* NT_GNU_BUILD_ID of <elf.h> */
/* More program headers, or notes in one of them, than any program has that a linker made. */
#define MAX_PROGRAM_HEADERS 64
#define MAX_NOTES 32
/* Milliseconds, about, that a dump waits for a process that is changing its maps. */
#define MAX_LOCK_TRIES 200

/* One dump is written at a time: what is collected is short-lived, and this keeps the words of one process in order. */
static DEFINE_MUTEX(write_lock);

struct thread {
	pid_t tid;
	char name[TASK_COMM_LEN];
};

struct map {
	struct file *file;		/* a reference */
	unsigned long start, end, flags;
	u64 offset;
};

struct collection {
	struct file *executable;	/* a reference, or NULL */
	struct thread *threads;
	struct map *maps;
	size_t nr_threads, nr_maps;
	u32 nr_left_out;
	u64 time_ns;
};

struct build_id {
	const struct file *file;	/* it is of this one */
	u8 size;			/* 0: not known */
	u8 bytes[sizeof_field(struct tracebuf_state, build_id)];
};

/* Where the next record goes. */
struct output {
	struct tb_object *object;
	u32 size, crc, nr_left_out;
	union {
		struct tracebuf_state record;
		u8 bytes[sizeof(struct tracebuf_state) + PATH_MAX];
	};
	char path[PATH_MAX];
	struct build_id build_id;
};

/* ---- build-ids ---- */

/* What the page cache has of a file's page, or -ENODATA. The page may be one that the kernel has no mapping of. */
static int read_cached_page(struct file *file, pgoff_t index, size_t offset, void *to, size_t size)
{
	struct page *page = find_get_page(file->f_mapping, index);
	int err = -ENODATA;
	void *from;

	if (!page)
		return -ENODATA;
	if (PageUptodate(page) && !PageHWPoison(page)) {
		from = kmap_local_page(page);
		err = copy_from_kernel_nofault(to, from + offset, size);
		kunmap_local(from);
	}
	put_page(page);
	return err;
}

static int read_cached(struct file *file, u64 offset, void *to, size_t size)
{
	size_t nr;
	int err;

	if (offset > MAX_LFS_FILESIZE - size)
		return -ENODATA;
	for (; size; size -= nr, offset += nr, to += nr) {
		nr = min_t(size_t, size, PAGE_SIZE - offset_in_page(offset));
		err = read_cached_page(file, offset >> PAGE_SHIFT, offset_in_page(offset), to, nr);
		if (err)
			return err;
	}
	return 0;
}

/* The notes at [offset, end) of file. True: the build-id was among them. */
static bool find_in_notes(struct file *file, u64 offset, u64 end, struct build_id *id)
{
	struct {
		Elf64_Nhdr header;
		char name[4];
	} note;
	unsigned int i;

	for (i = 0; i < MAX_NOTES && end - offset >= sizeof(note); i++) {
		if (read_cached(file, offset, &note, sizeof(note)))
			return false;
		if (note.header.n_type == NOTE_BUILD_ID && note.header.n_namesz == sizeof(note.name) &&
		    !memcmp(note.name, "GNU", sizeof(note.name)) && note.header.n_descsz <= sizeof(id->bytes) &&
		    !read_cached(file, offset + sizeof(note), id->bytes, note.header.n_descsz)) {
			id->size = note.header.n_descsz;
			return true;
		}
		offset += sizeof(note.header) + ALIGN((u64)note.header.n_namesz, 4) +
			  ALIGN((u64)note.header.n_descsz, 4);
		if (offset > end)
			return false;
	}
	return false;
}

static void find_build_id(struct file *file, struct build_id *id)
{
	Elf64_Phdr segment;
	Elf64_Ehdr elf;
	unsigned int i;

	if (read_cached(file, 0, &elf, sizeof(elf)) || memcmp(elf.e_ident, ELFMAG, SELFMAG) ||
	    elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_phentsize != sizeof(segment) || elf.e_phoff > MAX_LFS_FILESIZE)
		return;
	for (i = 0; i < min_t(unsigned int, elf.e_phnum, MAX_PROGRAM_HEADERS); i++) {
		if (read_cached(file, elf.e_phoff + i * sizeof(segment), &segment, sizeof(segment)))
			return;
		if (segment.p_type == PT_NOTE && segment.p_offset <= MAX_LFS_FILESIZE &&
		    segment.p_filesz <= MAX_LFS_FILESIZE &&
		    find_in_notes(file, segment.p_offset, segment.p_offset + segment.p_filesz, id))
			return;
	}
}

/* Maps of one file lie beside each other mostly: the last answer is kept. NULL: not looked for in this map. */
static const struct build_id *look_up_build_id(const struct map *map, struct build_id *id)
{
	if ((map->offset && !(map->flags & VM_EXEC)) || (map->flags & VM_HUGETLB) ||
	    !S_ISREG(file_inode(map->file)->i_mode))
		return NULL;
	if (id->file != map->file) {
		memset(id, 0, sizeof(*id));
		id->file = map->file;
		find_build_id(map->file, id);
	}
	return id;
}

/* ---- collecting ---- */

static void collect_threads(struct collection *all, const struct tb_process *process)
{
	struct task_struct *leader = get_pid_task(process->tgid, PIDTYPE_TGID), *task;
	size_t nr_max;

	if (!leader)
		return;
	/* Those that come while this looks find room, mostly. */
	nr_max = min_t(size_t, get_nr_threads(leader) + 16, MAX_RECORDS);
	all->threads = kvmalloc_array(nr_max, sizeof(*all->threads), GFP_KERNEL);
	rcu_read_lock();
	for_each_thread(leader, task) {
		if (READ_ONCE(task->mm) != process->object.mm)
			continue;	/* it ends, or the process executes another program now */
		if (!all->threads || all->nr_threads == nr_max) {
			all->nr_left_out++;
			continue;
		}
		all->threads[all->nr_threads].tid = task_pid_nr(task);
		get_task_comm(all->threads[all->nr_threads].name, task);
		all->nr_threads++;
	}
	rcu_read_unlock();
	put_task_struct(leader);
}

/* Waits a bounded time: a process can be made to hold its mmap_lock for as long as a file system's server likes. */
static int lock_maps(struct mm_struct *mm)
{
	for (unsigned int i = 0; !mmap_read_trylock(mm); i++) {
		if (i == MAX_LOCK_TRIES)
			return -EBUSY;
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(1000, 2000);
	}
	return 0;
}

static int collect_maps(struct collection *all, struct mm_struct *mm)
{
	size_t nr_max = min_t(size_t, READ_ONCE(mm->map_count) + 16, MAX_RECORDS);
	struct vm_area_struct *vma;
	VMA_ITERATOR(vmi, mm, 0);
	int err;

	all->maps = kvmalloc_array(nr_max, sizeof(*all->maps), GFP_KERNEL);
	if (!all->maps)
		return -ENOMEM;
	err = lock_maps(mm);
	if (err)
		return err;
	for_each_vma(vmi, vma) {
		if (!vma->vm_file)
			continue;
		if (all->nr_maps == nr_max) {
			all->nr_left_out++;
			continue;
		}
		all->maps[all->nr_maps++] = (struct map){
			.file = get_file(vma->vm_file),
			.start = vma->vm_start,
			.end = vma->vm_end,
			.flags = vma->vm_flags,
			.offset = (u64)vma->vm_pgoff << PAGE_SHIFT,
		};
		cond_resched();
	}
	mmap_read_unlock(mm);
	return 0;
}

static void forget(struct collection *all)
{
	size_t i;

	for (i = 0; i < all->nr_maps; i++)
		fput(all->maps[i].file);
	if (all->executable)
		fput(all->executable);
	kvfree(all->threads);
	kvfree(all->maps);
}

/* -ESRCH: its address space is going already. */
static int collect(struct collection *all, const struct tb_process *process)
{
	struct mm_struct *mm = process->object.mm;
	int err;

	if (!mmget_not_zero(mm))
		return -ESRCH;
	all->time_ns = ktime_get_ns();
	all->executable = tb_compat_exe_file(mm);
	err = collect_maps(all, mm);
	if (!err)
		collect_threads(all, process);
	mmput(mm);
	if (err)
		forget(all);
	return err;
}

/* ---- writing ---- */

/* Writes output->record with this path; what else the record says has been filled in. */
static void put_record(struct output *output, const char *path)
{
	const size_t head = offsetof(struct tracebuf_state, path), length = strlen(path);
	const size_t size = max(ALIGN(head + length + 1, 8), sizeof(output->record));
	const u64 at = TRACEBUF_STATEDUMP_OFFSET + sizeof(struct tracebuf_statedump) + output->size;

	output->record.size = size;
	memcpy(output->bytes + head, path, length);
	memset(output->bytes + head + length, 0, size - head - length);
	if (at + size > TRACEBUF_STATEDUMP_OFFSET + TRACEBUF_STATEDUMP_SIZE ||
	    tb_object_write(output->object, at, output->bytes, size)) {
		output->nr_left_out++;
		return;
	}
	output->crc = tb_crc32c(output->crc, output->bytes, size);
	output->size += size;
}

static const char *path_of(struct output *output, struct file *file)
{
	const char *path = d_path(tb_compat_file_path(file), output->path, sizeof(output->path));

	return IS_ERR(path) ? "" : path;
}

static u32 map_flags(unsigned long vm_flags)
{
	return (vm_flags & VM_READ ? TRACEBUF_STATE_READ : 0) | (vm_flags & VM_WRITE ? TRACEBUF_STATE_WRITE : 0) |
	       (vm_flags & VM_EXEC ? TRACEBUF_STATE_EXEC : 0) | (vm_flags & VM_SHARED ? TRACEBUF_STATE_SHARED : 0);
}

static void put_map(struct output *output, const struct map *map)
{
	const struct build_id *id;

	output->record = (struct tracebuf_state){
		.kind = TRACEBUF_STATE_MAP,
		.flags = map_flags(map->flags),
		.start = map->start,
		.end = map->end,
		.offset = map->offset,
	};
	id = look_up_build_id(map, &output->build_id);
	if (id) {
		output->record.build_id_size = id->size;
		memcpy(output->record.build_id, id->bytes, id->size);
	}
	put_record(output, path_of(output, map->file));
}

static void put_records(struct output *output, const struct collection *all)
{
	size_t i;

	if (all->executable) {
		output->record = (struct tracebuf_state){ .kind = TRACEBUF_STATE_EXECUTABLE };
		put_record(output, path_of(output, all->executable));
	}
	for (i = 0; i < all->nr_threads; i++) {
		output->record = (struct tracebuf_state){
			.kind = TRACEBUF_STATE_THREAD,
			.tid = all->threads[i].tid,
		};
		put_record(output, all->threads[i].name);
		cond_resched();
	}
	for (i = 0; i < all->nr_maps; i++) {
		put_map(output, &all->maps[i]);
		cond_resched();
	}
}

/* The words that are written under an odd sequence. A reader takes sequence, copies, and looks whether it is the same. */
static int write_dump(struct output *output, const struct collection *all, u64 generation)
{
	const u64 at = TRACEBUF_STATEDUMP_OFFSET, behind_sequence = sizeof_field(struct tracebuf_statedump, sequence);
	struct tracebuf_statedump dump;
	int err;

	/* Only the kernel writes here. Writing back what is there makes the page, if this is the first dump. */
	tb_object_read(output->object, at, &dump, sizeof(dump));
	err = tb_object_write(output->object, at, &dump, sizeof(dump));
	if (err)
		return err;
	tb_object_store32(output->object, at, dump.sequence + 1);
	smp_wmb();	/* pairs with the reader's barrier between its copy and its second look at sequence */
	put_records(output, all);
	dump = (struct tracebuf_statedump){
		.sequence = dump.sequence + 2,
		.size = output->size,
		.crc = output->crc,
		.nr_left_out = output->nr_left_out + all->nr_left_out,
		.time_ns = all->time_ns,
		.generation = generation,
	};
	tb_object_write(output->object, at + behind_sequence, (const u8 *)&dump + behind_sequence,
			sizeof(dump) - behind_sequence);
	smp_wmb();	/* pairs with the reader's barrier between its first look at sequence and its copy */
	tb_object_store32(output->object, at, dump.sequence);
	return 0;
}

/* Pages that are made for the dump are paid for by the process's memory cgroup, whoever asked for it. */
static int write_accounted(struct output *output, const struct collection *all, u64 generation)
{
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(output->object->mm), *before = set_active_memcg(memcg);
	int err = write_dump(output, all, generation);

	set_active_memcg(before);
	mem_cgroup_put(memcg);
	return err;
}

/* Sleeps, takes mmap_lock of the process: without tb_lock; the caller holds a reference. */
static int dump_process(struct tb_process *process, u64 generation)
{
	struct collection all = { 0 };
	struct output *output;
	int err;

	output = kvzalloc(sizeof(*output), GFP_KERNEL);
	if (!output)
		return -ENOMEM;
	output->object = &process->object;
	err = collect(&all, process);
	if (err)
		goto free_output;
	mutex_lock(&write_lock);
	err = write_accounted(output, &all, generation);
	if (!err)
		tb_keep_statedump(process);
	mutex_unlock(&write_lock);
	forget(&all);
free_output:
	kvfree(output);
	return err;
}

/* ---- of whom, and when ---- */

/* References on all processes that the trace sees, which the caller frees. */
static int find_processes(u64 generation, struct tb_process ***ret_list, unsigned int *ret_nr)
{
	struct tb_process *process, **list;
	struct tb_trace *trace;
	unsigned int nr = 0;
	int err = -ESRCH;

	mutex_lock(&tb_lock);
	trace = tb_trace_find(generation);
	if (!trace)
		goto unlock;
	err = -ENOMEM;
	list = kvmalloc_array(tb_nr_processes + 1, sizeof(*list), GFP_KERNEL);
	if (!list)
		goto unlock;
	list_for_each_entry(process, &tb_processes, list) {
		if (!process->gone && tb_process_is_seen_by(process, trace) && nr < tb_nr_processes) {
			tb_object_get(&process->object);
			list[nr++] = process;
		}
	}
	*ret_list = list;
	*ret_nr = nr;
	err = 0;
unlock:
	mutex_unlock(&tb_lock);
	return err;
}

int tb_statedump_trace(u64 generation)
{
	struct tb_process **list;
	unsigned int nr, i;
	int err;

	err = find_processes(generation, &list, &nr);
	if (err)
		return err;
	for (i = 0; i < nr; i++) {
		/* One that is just dying keeps the dump that it has. */
		if (!fatal_signal_pending(current))
			dump_process(list[i], generation);
		tb_object_put(&list[i]->object);
		cond_resched();
	}
	kvfree(list);
	return 0;
}

struct later {
	struct work_struct work;
	struct tb_process *process;	/* a reference */
	const struct cred *cred;	/* by whose right pages are made, a reference */
	unsigned int slot;		/* of the trace that wants it */
};

/* Of the trace that is in slot now; 0: there is none. */
static u64 generation_in(unsigned int slot)
{
	const struct tb_trace *trace;
	u64 generation;

	mutex_lock(&tb_lock);
	trace = tb_trace_in(slot);
	generation = trace ? trace->generation : 0;
	mutex_unlock(&tb_lock);
	return generation;
}

static void do_later(struct work_struct *work)
{
	struct later *later = container_of(work, struct later, work);
	const struct cred *before = override_creds(later->cred);
	u64 generation;

	/* What changes from here on is for the next one. */
	clear_bit(later->slot, &later->process->dump_due);
	smp_mb__after_atomic();
	generation = generation_in(later->slot);
	if (generation)
		dump_process(later->process, generation);
	revert_creds(before);
	put_cred(later->cred);
	tb_object_put(&later->process->object);
	kfree(later);
}

/* At most one waits for each process and slot, so whoever starts and stops a trace all the time queues no more. */
void tb_statedump_later(struct tb_process *process, const struct tb_trace *trace)
{
	struct later *later;

	if (test_and_set_bit(trace->slot, &process->dump_due))
		return;
	later = kmalloc(sizeof(*later), GFP_KERNEL);
	if (!later) {
		clear_bit(trace->slot, &process->dump_due);
		return;
	}
	tb_object_get(&process->object);
	later->process = process;
	later->cred = get_current_cred();
	later->slot = trace->slot;
	INIT_WORK(&later->work, do_later);
	queue_work(tb_dump_wq, &later->work);
}
