// SPDX-License-Identifier: GPL-2.0-only
/*
 * Traced processes: who they are, and what can be recorded of them.
 *
 * A process is an address space that registered. Invariants: it is found by its address space until the last mapping
 * of its own has gone, and stays in the list, with its file, until no process maps anything of it (forked children go
 * by its enable records), it has no ring, and what it counted as lost has been read. What its file says of events only
 * grows; counts are raised after what they count is written.
 */
#include <linux/bitmap.h>
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "libtracebuf/stream_id.h"
#include "tracebuf.h"

LIST_HEAD(tb_processes);
unsigned int tb_nr_processes;
static DEFINE_HASHTABLE(by_mm, 10);
static u64 latest_serial;

/* ---- finding ---- */

struct tb_process *tb_process_of(const struct mm_struct *mm)
{
	struct tb_process *process;

	lockdep_assert_held(&tb_lock);
	hash_for_each_possible(by_mm, process, by_mm, (unsigned long)mm)
		if (process->object.mm == mm)
			return process;
	return NULL;
}

struct tb_process *tb_process_find(const char *name)
{
	struct tb_process *process;

	lockdep_assert_held(&tb_lock);
	list_for_each_entry(process, &tb_processes, list)
		if (!strcmp(process->name, name))
			return process;
	return NULL;
}

bool tb_process_is_seen_by(const struct tb_process *process, const struct tb_trace *trace)
{
	return !strcmp(process->domain, trace->domain) &&
	       (tb_owner_sees(&trace->owner, &process->owner) ||
		(trace->is_admin && tb_owner_is_above(&trace->owner, &process->owner)));
}

/* ---- coming and going ---- */

static bool is_account_page(u64 offset)
{
	return offset >= TRACEBUF_PROCESS_ACCOUNT_OFFSET && offset < TRACEBUF_PROCESS_ACCOUNT_OFFSET + PAGE_SIZE;
}

/* Header and account always exist. Who reads where the kernel has written nothing yet finds zeroes. */
static bool is_on_demand(u64 offset)
{
	return true;
}

/* Is there still someone who shall read what it counted as lost? */
static bool has_unread_account(struct tb_process *process)
{
	const u64 discarded = TRACEBUF_PROCESS_ACCOUNT_OFFSET + offsetof(struct tracebuf_process_account, discarded);

	if (process->released || !tb_object_load64(&process->object, discarded))
		return false;
	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++)
		if (tb_trace_in(slot) && tb_process_is_seen_by(process, tb_trace_in(slot)))
			return true;
	return false;
}

void tb_process_forget_if_done(struct tb_process *process)
{
	lockdep_assert_held(&tb_lock);
	if (!process->dead || list_empty(&process->list) || !list_empty(&process->rings) ||
	    has_unread_account(process))
		return;
	list_del_init(&process->list);
	tb_nr_processes--;
	tb_user_remove(process->object.pages.user, TB_PROCESSES);
	for (u32 index = 0; index < process->nr_descriptions; index++)
		tb_event_put(process->events[index]);
	process->nr_descriptions = 0;
	tb_keep_drop(process);
	tb_debugfs_remove(process->dentry);
	process->dentry = NULL;
	tb_object_put(&process->object);
}

void tb_processes_forget(void)
{
	struct tb_process *process, *next;

	lockdep_assert_held(&tb_lock);
	list_for_each_entry_safe(process, next, &tb_processes, list)
		tb_process_forget_if_done(process);
}

static void process_left(struct tb_object *object)
{
	struct tb_process *process = tb_process_from(object);

	mutex_lock(&tb_lock);
	if (!process->gone && !atomic_read(&object->nr_own_maps)) {
		process->gone = true;
		hash_del(&process->by_mm);
		tb_notify(TRACEBUF_CMD_PROCESS_GONE, 0, process->name);
		tb_debugfs_ring_bell(process->dentry);
	}
	if (process->gone && !process->dead && !atomic_read(&object->nr_maps))
		process->dead = true;
	tb_process_forget_if_done(process);
	mutex_unlock(&tb_lock);
}

static void process_free(struct tb_object *object)
{
	struct tb_process *process = tb_process_from(object);

	tb_object_destroy(object);
	kvfree(process->events);
	put_pid(process->tgid);
	tb_owner_exit(&process->owner);
	kfree(process);
	module_put(THIS_MODULE);
}

static const struct tb_object_type process_type = {
	.kind = TRACEBUF_KIND_PROCESS,
	.is_writable = is_account_page,
	.is_on_demand = is_on_demand,
	.left = process_left,
	.free = process_free,
};

int tb_process_release(struct tb_process *process)
{
	int ret = 0;

	mutex_lock(&tb_lock);
	if (process->gone) {
		process->released = true;
		tb_process_forget_if_done(process);
	} else {
		ret = -EBUSY;
	}
	mutex_unlock(&tb_lock);
	return ret;
}

/* ---- registering ---- */

/* Path of the program that current executes; "" if there is no telling. */
static void get_executable(char *to, size_t size)
{
	struct file *file = tb_compat_exe_file(current->mm);
	char *buffer = file ? kmalloc(PATH_MAX, GFP_KERNEL) : NULL, *path;

	if (buffer) {
		path = file_path(file, buffer, PATH_MAX);
		if (!IS_ERR(path))
			strscpy(to, path, size);
	}
	kfree(buffer);
	if (file)
		fput(file);
}

static pid_t parent_pid(void)
{
	pid_t pid;

	rcu_read_lock();
	pid = task_tgid_nr(rcu_dereference(current->real_parent));
	rcu_read_unlock();
	return pid;
}

/* Writes the pages that every process file has. */
static int fill_file(struct tb_process *process)
{
	static const struct tracebuf_process_account nothing;
	struct tracebuf_process *header = kzalloc(sizeof(*header), GFP_KERNEL);
	int ret;

	if (!header)
		return -ENOMEM;
	header->pid = process->pid;
	header->parent_pid = parent_pid();
	header->incarnation = process->incarnation;
	header->writer = process->writer;
	header->uid = from_kuid_munged(&init_user_ns, process->owner.cred->euid);
	header->realtime_ns = ktime_get_real_ns();
	if (process->domain[0])
		header->domain = tb_stream_id(0, process->domain, strlen(process->domain));
	memcpy(header->procname, process->procname, sizeof(header->procname));
	get_executable(header->executable, sizeof(header->executable));
	tb_region_fill_boot(&header->boot);
	ret = tb_object_seal(&process->object, header, TRACEBUF_PROCESS_HEADER_SIZE);
	kfree(header);
	if (ret)
		return ret;
	return tb_object_write(&process->object, TRACEBUF_PROCESS_ACCOUNT_OFFSET, &nothing, sizeof(nothing));
}

static int copy_domain(struct tb_process *process, const struct tracebuf_ioc_register *arg)
{
	if (arg->domain_size > TRACEBUF_MAX_DOMAIN_SIZE)
		return -EINVAL;
	if (copy_from_user(process->domain, u64_to_user_ptr(arg->domain), arg->domain_size))
		return -EFAULT;
	return strlen(process->domain) == arg->domain_size && tb_domain_is_right(process->domain) ? 0 : -EINVAL;
}

static void set_identity(struct tb_process *process, u32 writer)
{
	process->pid = task_tgid_nr(current);
	process->tgid = get_pid(task_tgid(current));
	process->incarnation = ktime_get_boottime_ns();
	tb_owner_init(&process->owner);
	process->writer = writer;
	get_task_comm(process->procname, current->group_leader);
	snprintf(process->name, sizeof(process->name), "%d-%llx", process->pid, process->incarnation);
	INIT_LIST_HEAD(&process->list);
	INIT_LIST_HEAD(&process->rings);
}

/* Makes what nobody can find yet. */
static int make(const struct tracebuf_ioc_register *arg, struct tb_process **ret_process)
{
	struct tb_process *process = kzalloc(sizeof(*process), GFP_KERNEL_ACCOUNT);
	struct tb_user *user = tb_user_get(current_euid());
	int ret = process && user ? copy_domain(process, arg) : -ENOMEM;

	if (!ret)
		ret = tb_object_init(&process->object, &process_type, TRACEBUF_PROCESS_SIZE, user, NUMA_NO_NODE,
				     current->mm);
	tb_user_put(user);
	if (ret) {
		kfree(process);
		return ret;
	}
	__module_get(THIS_MODULE);
	set_identity(process, arg->writer);
	ret = fill_file(process);
	if (ret)
		tb_object_put(&process->object);
	else
		*ret_process = process;
	return ret;
}

/* The list's reference is the caller's. */
static int enter(struct tb_process *process)
{
	lockdep_assert_held(&tb_lock);
	if (tb_process_of(process->object.mm))
		return -EEXIST;
	if (tb_nr_processes >= READ_ONCE(tb_max_processes) ||
	    tb_user_add(process->object.pages.user, TB_PROCESSES)) {
		atomic64_inc(&tb_nr_refused);
		return -EMFILE;
	}
	process->serial = ++latest_serial;
	hash_add(by_mm, &process->by_mm, (unsigned long)process->object.mm);
	list_add_tail(&process->list, &tb_processes);
	tb_nr_processes++;
	process->dentry = tb_debugfs_add_process(process);
	tb_notify(TRACEBUF_CMD_PROCESS_NEW, 0, process->name);
	return 0;
}

void tb_process_dump_if_traced(struct tb_process *process)
{
	lockdep_assert_held(&tb_lock);
	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++) {
		const struct tb_trace *trace = tb_trace_in(slot);

		if (trace && trace->active && tb_process_is_seen_by(process, trace)) {
			tb_statedump_later(process, trace);
			return;
		}
	}
}

int tb_process_register(struct tracebuf_ioc_register *arg, struct tb_object **ret_object)
{
	struct tb_process *process;
	int ret;

	if (!current->mm || (arg->writer != TRACEBUF_WRITER_RSEQ && arg->writer != TRACEBUF_WRITER_FALLBACK))
		return -EINVAL;
	mutex_lock(&tb_lock);
	ret = tb_process_of(current->mm) ? -EEXIST : 0;
	mutex_unlock(&tb_lock);
	if (!ret)
		ret = make(arg, &process);
	if (ret)
		return ret;
	mutex_lock(&tb_lock);
	ret = enter(process);
	if (!ret) {
		*ret_object = tb_object_get(&process->object);
		tb_process_dump_if_traced(process);
	}
	mutex_unlock(&tb_lock);
	if (ret) {
		tb_object_put(&process->object);
		return ret;
	}
	arg->pid = process->pid;
	arg->incarnation = process->incarnation;
	memcpy(arg->procname, process->procname, sizeof(arg->procname));
	return 0;
}

int tb_process_self(struct tb_object **ret_object)
{
	struct tb_process *process;

	mutex_lock(&tb_lock);
	process = current->mm ? tb_process_of(current->mm) : NULL;
	if (process)
		*ret_object = tb_object_get(&process->object);
	mutex_unlock(&tb_lock);
	return process ? 0 : -ESRCH;
}

/* ---- describing ---- */

void *tb_copy_block(u64 address, u32 size)
{
	void *copy = kvmalloc(size, GFP_KERNEL_ACCOUNT);

	if (!copy)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(copy, u64_to_user_ptr(address), size)) {
		kvfree(copy);
		return ERR_PTR(-EFAULT);
	}
	return copy;
}

static int check_descriptions(const void *descriptions, u32 size, u32 nr)
{
	u32 at = 0;

	for (u32 i = 0; i < nr; i++) {
		if (tb_event_check(descriptions + at, size - at))
			return -EINVAL;
		at += ((const struct tracebuf_description *)(descriptions + at))->size;
		cond_resched();
	}
	return at == size ? 0 : -EINVAL;
}

/* No event twice in a process: its number would mean two things to a reader. */
static int check_new(const struct tb_process *process, struct tb_event **events, u32 nr)
{
	static DECLARE_BITMAP(seen, TRACEBUF_MAX_EVENT_ID);	/* under tb_lock */
	int ret = 0;

	bitmap_zero(seen, TRACEBUF_MAX_EVENT_ID);
	for (u32 i = 0; i < process->nr_descriptions; i++)
		__set_bit(process->events[i]->id, seen);
	for (u32 i = 0; i < nr && !ret; i++)
		if (__test_and_set_bit(events[i]->id, seen))
			ret = -EINVAL;
	return ret;
}

static void put_events(struct tb_event **events, u32 nr)
{
	while (nr)
		tb_event_put(events[--nr]);
}

/* Numbers nr checked descriptions, in place. References on their events in events, all or none. */
static int number(void *descriptions, struct tb_event **events, u32 nr, struct tb_user *user)
{
	for (u32 i = 0; i < nr; i++) {
		u32 size = ((const struct tracebuf_description *)descriptions)->size;
		struct tb_event *event = tb_event_get(descriptions, size, user);

		if (IS_ERR(event)) {
			put_events(events, i);
			return PTR_ERR(event);
		}
		events[i] = event;
		memcpy(descriptions, event->description, size);
		descriptions += size;
		cond_resched();
	}
	return 0;
}

/* Partner: readers, who load enable_size first. */
void tb_process_store_counts(struct tb_process *process)
{
	smp_wmb();
	tb_process_store_descriptions(&process->object, process->nr_descriptions, process->descriptions_size);
	smp_wmb();
	tb_object_store32(&process->object, offsetof(struct tracebuf_process, enable_size), process->enable_size);
}

static int make_room(struct tb_process *process, u32 nr)
{
	struct tb_event **events = kvmalloc_array(process->nr_descriptions + nr, sizeof(*events), GFP_KERNEL_ACCOUNT);

	if (!events)
		return -ENOMEM;
	if (process->nr_descriptions)
		memcpy(events, process->events, process->nr_descriptions * sizeof(*events));
	kvfree(process->events);
	process->events = events;
	return 0;
}

/* Adds nr checked descriptions, which get their numbers. */
static int add_descriptions(struct tb_process *process, void *descriptions, u32 size, u32 nr)
{
	struct tb_event **fresh;
	int ret;

	if (process->gone)
		return -ESRCH;
	if (nr > TRACEBUF_MAX_EVENTS - process->nr_descriptions ||
	    size > TRACEBUF_DESCRIPTIONS_SIZE - process->descriptions_size)
		return -ENOSPC;
	ret = make_room(process, nr);
	if (ret)
		return ret;
	fresh = process->events + process->nr_descriptions;
	ret = number(descriptions, fresh, nr, process->object.pages.user);
	if (ret)
		return ret;
	ret = check_new(process, fresh, nr);
	if (!ret)
		ret = tb_object_write(&process->object, TRACEBUF_DESCRIPTIONS_OFFSET + process->descriptions_size,
				      descriptions, size);
	if (ret) {
		put_events(fresh, nr);
		return ret;
	}
	process->nr_descriptions += nr;
	process->descriptions_size += size;
	tb_process_store_counts(process);
	/* No room for that in the region: then no ring that has the new events is made there. */
	if (process->kept)
		tb_keep_update(process);
	return 0;
}

int tb_process_describe(struct tb_process *process, struct tracebuf_ioc_describe *arg)
{
	void *descriptions;
	int ret;

	if (current->mm != process->object.mm)
		return -ESRCH;
	if (!arg->nr || arg->nr > TRACEBUF_MAX_EVENTS || !arg->descriptions_size)
		return -EINVAL;
	if (arg->descriptions_size > TRACEBUF_DESCRIPTIONS_SIZE)
		return -ENOSPC;
	descriptions = tb_copy_block(arg->descriptions, arg->descriptions_size);
	if (IS_ERR(descriptions))
		return PTR_ERR(descriptions);
	ret = check_descriptions(descriptions, arg->descriptions_size, arg->nr);
	if (!ret) {
		mutex_lock(&tb_lock);
		ret = add_descriptions(process, descriptions, arg->descriptions_size, arg->nr);
		arg->nr_descriptions = process->nr_descriptions;
		if (!ret) {
			tb_notify(TRACEBUF_CMD_PROCESS_CHANGED, 0, process->name);
			tb_debugfs_ring_bell(process->dentry);
		}
		mutex_unlock(&tb_lock);
	}
	if (!ret && copy_to_user(u64_to_user_ptr(arg->descriptions), descriptions, arg->descriptions_size))
		ret = -EFAULT;
	kvfree(descriptions);
	return ret;
}

u64 tb_process_stream_id(struct tb_process *process, u32 context)
{
	typeof(process->stream[0]) *stream = &process->stream[context % ARRAY_SIZE(process->stream)];

	lockdep_assert_held(&tb_lock);
	if (!stream->nr)
		stream->hash = TRACEBUF_STREAM_ID_BASIS ^ context;
	for (; stream->nr < process->nr_descriptions; stream->nr++) {
		const struct tb_event *event = process->events[stream->nr];

		stream->hash = tb_stream_id_add(stream->hash, event->description, event->size);
		cond_resched();
	}
	return stream->hash & TRACEBUF_STREAM_ID_MASK;
}
