/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module know of each other. The pages' layout and the interfaces to user space are in
 * include/tracebuf/abi.h.
 *
 * An object (object.c) is what can be mapped: the control file, a process file, a ring. Its pages are order-0 pages that
 * no other part of the kernel knows of, found by its page list (pages.c). Processes (process.c) have rings (ring.c) of
 * traces (trace.c).
 *
 * Locks, outermost first:
 *   mmap_lock		held by faults and by mmap
 *   tb_lock		traces, processes, rings, events and all lists of them; what control pages and enable records say.
 *			Never held while user memory is touched or mmap_lock is taken; never taken below mmap_lock
 *   tb_object.lock	the object's page list
 * Above tb_lock, too, is the lock by which one statedump is written at a time (statedump.c).
 * A mapping that goes (below mmap_lock) only counts and queues work; what must be done then, tb_wq does.
 *
 * References: a file holds its object; a ring in its process's list is held by it; a process in the list of processes is
 * held by that until it is gone and has no ring. Every trace and every process holds the module.
 */
#ifndef TB_KMOD_TRACEBUF_H
#define TB_KMOD_TRACEBUF_H

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <tracebuf/abi.h>

#include "compat.h"
#include "region.h"

#define TB_FILE_NAME_SIZE 96
#define TB_DIRECTORY_SIZE (TRACEBUF_NAME_SIZE + 24)

extern struct mutex tb_lock;
extern struct workqueue_struct *tb_wq;		/* main.c; unbound, may run several at a time */
extern struct workqueue_struct *tb_dump_wq;	/* statedumps: who waits for tb_wq must not wait for them */

/* main.c: module parameters, changeable. */
extern unsigned long tb_max_pages;		/* in all */
extern unsigned long tb_max_user_pages;		/* of one user; who has CAP_SYS_RESOURCE is not limited by this */
extern unsigned int tb_max_processes;		/* in all */
extern unsigned int tb_max_user_traces;		/* of one user; as tb_max_user_pages. So are the following */
extern unsigned int tb_max_user_processes;
extern unsigned int tb_max_user_events;		/* that its processes were the first to describe */

/* ---- owner.c: whose something is, and who may ---- */

struct pid_namespace;
struct tb_owner {
	const struct cred *cred;		/* of who made it, when it was made; euid is whose it is. A reference */
	struct pid_namespace *pid_ns;		/* a reference */
};
void tb_owner_init(struct tb_owner *owner);	/* current's */
void tb_owner_exit(struct tb_owner *owner);
/* Is cred of the same user, and no less powerful? */
bool tb_cred_is_as_good(const struct cred *cred, const struct cred *than);
/* May owner, without any privilege, trace other? */
bool tb_owner_sees(const struct tb_owner *owner, const struct tb_owner *other);
/* Is other in owner's user namespace, or below? */
bool tb_owner_is_above(const struct tb_owner *owner, const struct tb_owner *other);
/* May current read or control what is owner's? */
bool tb_may_access(const struct tb_owner *owner);

/* ---- pages.c: pages, who pays for them, and where they are ---- */

/* A user: what its objects have of pages. */
struct tb_user;
struct tb_user *tb_user_get(kuid_t uid);	/* NULL: no memory */
struct tb_user *tb_user_hold(struct tb_user *user);
void tb_user_put(struct tb_user *user);
/* One more of these is the user's, one less. -EDQUOT: current's limit. Under tb_lock. */
enum tb_counted { TB_PROCESSES, TB_EVENTS, TB_NR_COUNTED };
int tb_user_add(struct tb_user *user, enum tb_counted what);
void tb_user_remove(struct tb_user *user, enum tb_counted what);
/* Pages in all, nodes of page lists included; pages and processes that were refused for a limit. */
unsigned long tb_pages_total(void);
extern atomic64_t tb_nr_refused;

/* A page list: see abi.h. Zeroed is empty. All functions: the caller holds what guards the list. */
struct tb_pages {
	struct page *root;
	unsigned int levels;
	unsigned long nr_max;			/* pages that the file may have */
	unsigned long nr;			/* pages there are, nodes included */
	struct tb_user *user;			/* who pays; NULL: nobody, it lies in the region */
	int node;				/* NUMA node to allocate on, or NUMA_NO_NODE */
};
int tb_pages_init(struct tb_pages *pages, u64 size, struct tb_user *user, int node);
void tb_pages_wipe(struct tb_pages *pages);	/* of the superblock, so that recovery does not find it */
void tb_pages_destroy(struct tb_pages *pages);	/* gives all of them up; those still mapped live until unmapped */
struct page *tb_pages_find(const struct tb_pages *pages, unsigned long index);	/* NULL: none there */
/* Found or made (zeroed, accounted to the current memory cgroup). -ENOSPC: a limit, -ENOMEM. *ret_made: it is new. */
struct page *tb_pages_make(struct tb_pages *pages, unsigned long index, bool *ret_made);

/* ---- object.c: what can be mapped and read ---- */

struct tb_object;
struct tb_object_type {
	enum tracebuf_kind kind;
	/* May its own process write the page at this offset (bytes)? False for all else. These pages are one range. */
	bool (*is_writable)(u64 offset);
	/* Is it allocated when it is first written, zeroes until then? Else it must be there, or the fault is SIGBUS. */
	bool (*is_on_demand)(u64 offset);
	/* No mapping of the address space that made it is left / no mapping of any process (readers aside) is left. From
	   tb_wq, any number of times, also when it was true already. */
	void (*left)(struct tb_object *object);
	void (*free)(struct tb_object *object);	/* the last reference is gone; frees the whole */
};

struct tb_object {
	const struct tb_object_type *type;
	struct kref ref;
	struct inode *inode;			/* its address space has every mapping of the object */
	struct mm_struct *mm;			/* of the process that made it (mmgrab), NULL: none */
	struct mutex lock;
	struct tb_pages pages;
	bool shows_zeroes;			/* some mapping may have the page of zeroes where there is none yet */
	u64 size;
	atomic_t nr_own_maps;			/* mappings in mm */
	atomic_t nr_maps;			/* mappings of processes: mm's and its forked children's */
	struct work_struct left_work;
};

int tb_objects_init(void);			/* the pseudo file system that inodes come from */
void tb_objects_exit(void);
/* user: who pays; NULL: nobody, its pages come from the region. owner: the address space that may write, or NULL.
   0 or -errno. */
int tb_object_init(struct tb_object *object, const struct tb_object_type *type, u64 size, struct tb_user *user, int node,
		   struct mm_struct *owner);
struct tb_object *tb_object_get(struct tb_object *object);
void tb_object_put(struct tb_object *object);	/* NULL is fine */
void tb_object_destroy(struct tb_object *object);	/* for ->free() */

/* The kernel's own access. Pages are made as needed (write) or read as zeroes. 0, -ENOSPC, -ENOMEM. Sleep. */
int tb_object_write(struct tb_object *object, u64 offset, const void *data, size_t size);
void tb_object_read(struct tb_object *object, u64 offset, void *data, size_t size);
/* One aligned word, by one store, visible before or after others as the barriers around it say; its page must exist. */
void tb_object_store16(struct tb_object *object, u64 offset, u16 value);
void tb_object_store32(struct tb_object *object, u64 offset, u32 value);
void tb_object_store64(struct tb_object *object, u64 offset, u64 value);
u64 tb_object_load64(struct tb_object *object, u64 offset);
/* Fills in the superblock words that only the pages know (physical_address, page_list ...), seals the header, writes it. */
int tb_object_seal(struct tb_object *object, void *header, u32 header_size);

/* Recovery finds it no more. */
void tb_object_hide(struct tb_object *object);

/* Of a file that is bound to object: by its own process (as_owner) or to read. */
int tb_object_mmap(struct tb_object *object, struct file *file, struct vm_area_struct *vma, bool as_owner);
/* A file that was bound by its own process goes: ->left() is called if nothing is mapped. */
void tb_object_unbind(struct tb_object *object);
ssize_t tb_object_read_iter(struct tb_object *object, struct kiocb *iocb, struct iov_iter *to);

/* ---- event.c: numbers of events, the same for all processes ---- */

/* A described event. Under tb_lock. */
struct tb_event {
	struct hlist_node by_layout;
	unsigned int nr_users;			/* processes that describe it */
	struct tb_user *user;			/* whose process was the first; a reference */
	u32 id;
	u32 size;				/* of the description */
	u64 evaluated;				/* rules generation that channels goes by */
	u16 channels[TRACEBUF_NR_SLOTS];	/* what the rules of each active trace say of it, whoever may see it */
	const char *name;			/* in description */
	u8 description[] __aligned(8);		/* as it stands in process files, with id and crc */
};
/* Checks the description at the start of size bytes (a private copy) as readers will. 0, -EINVAL. */
int tb_event_check(const void *description, u32 size);
/* Finds or numbers it (size: its own) for user; a reference. ERR_PTR(-ENOMEM, -ENOSPC: no number is left, for user). */
struct tb_event *tb_event_get(const void *description, u32 size, struct tb_user *user);
void tb_event_put(struct tb_event *event);
/* An event nobody uses keeps its number while any trace exists; called when the last one goes. */
void tb_events_trim(void);
/* Brings event->channels up to date with the rules. */
const u16 *tb_event_channels(struct tb_event *event);
void tb_events_exit(void);

/* ---- trace.c: slots, channels, rules, and the control pages that tell of them ---- */

struct tb_trace {
	unsigned int slot;
	u64 generation;
	char name[TRACEBUF_NAME_SIZE], directory[TB_DIRECTORY_SIZE];
	char domain[TRACEBUF_MAX_DOMAIN_SIZE + 1];
	struct tb_owner owner;
	bool is_admin;				/* sees all processes of its owner's user namespace and below */
	bool is_persistent;			/* its rings lie in the region */
	struct pid *daemon;			/* who consumes; may be dead */
	u64 clock_frequency;			/* these four for the headers of its rings */
	u64 clock_ticks, clock_realtime_ns;
	u8 boot_id[16];
	u16 nr_channels;
	bool active;
	void *rules;				/* rules_size bytes of struct tracebuf_rule, checked */
	u32 rules_size;
	unsigned int nr_rings;			/* in existence */
	struct list_head rings;			/* tb_ring.of_trace */
	struct dentry *dentry;			/* its directory */
};

int tb_traces_init(void);			/* makes the control object */
void tb_traces_exit(void);
struct tb_object *tb_control(void);
/* All under tb_lock. */
u64 tb_rules_generation(void);
u64 tb_trace_changed(unsigned int slot);	/* the rules generation at which the slot last changed; 0: never */
struct tb_trace *tb_trace_find(u64 generation);	/* NULL */
struct tb_trace *tb_trace_in(unsigned int slot);	/* NULL */
const struct tracebuf_channel *tb_trace_channel(const struct tb_trace *trace, unsigned int channel);	/* NULL */
void tb_trace_uuid(const struct tb_trace *trace, u8 uuid[16]);
u32 tb_trace_clock(void);			/* enum tracebuf_clock, of all */
bool tb_trace_has_daemon(const struct tb_trace *trace);
struct tb_trace_request {
	const char *name, *domain;
	const u8 *uuid;
	u32 clock;
	u64 frequency;
	const u8 *boot_id;			/* NULL: not known */
	u32 rseq_works;
	bool is_admin;				/* the caller has CAP_SYS_ADMIN in its user namespace */
	bool is_persistent;			/* and in the initial one: it goes into the region */
};
/* The caller's identity is current's. 0 or -errno as abi.h says of the commands. */
int tb_trace_create(const struct tb_trace_request *request, struct tb_trace **ret_trace);
bool tb_domain_is_right(const char *domain);
bool tb_trace_name_is_right(const char *name);	/* reads at most TRACEBUF_NAME_SIZE bytes */
int tb_trace_set_channel(struct tb_trace *trace, unsigned int channel, const struct tracebuf_channel *config);
int tb_trace_set_rules(struct tb_trace *trace, void *rules, u32 size);	/* owns rules (kvfree) on success */
int tb_trace_set_active(struct tb_trace *trace, bool active);
void tb_trace_destroy(struct tb_trace *trace);
void tb_trace_adopt(struct tb_trace *trace);

/* ---- process.c: traced processes ---- */

struct tb_process {
	struct tb_object object;		/* first */
	struct list_head list;			/* of all, in the order of serial */
	struct hlist_node by_mm;		/* until it is gone */
	u64 serial;				/* 1, 2 ... */
	s32 pid;				/* in the initial pid namespace */
	struct pid *tgid;
	u64 incarnation;
	struct tb_owner owner;
	u32 writer;
	char procname[TRACEBUF_PROCNAME_SIZE], name[TB_FILE_NAME_SIZE];
	char domain[TRACEBUF_MAX_DOMAIN_SIZE + 1];
	struct tb_event **events;		/* by index */
	u32 nr_descriptions, descriptions_size, enable_size;
	u32 nr_instances;			/* rings ever made */
	u16 seen;				/* slots whose traces the enable records go by */
	struct {
		u64 hash;			/* of the first nr descriptions */
		u32 nr;
	} stream[16];				/* by context: tb_process_stream_id() */
	struct list_head rings;			/* tb_ring.of_process */
	bool gone;				/* no mapping of its own is left */
	bool dead;				/* no mapping of anybody's is left: the file can go */
	bool released;				/* a reader has all of it since */
	unsigned long dump_due;			/* by slot: a dump of it is queued and has not begun */
	struct tb_kept_process *kept;		/* the copy of its file in the region; NULL: it has no ring there */
	struct dentry *dentry;
};

/* Under tb_lock. */
extern struct list_head tb_processes;
extern unsigned int tb_nr_processes;
struct tb_process *tb_process_of(const struct mm_struct *mm);	/* NULL; not one that is gone */
struct tb_process *tb_process_find(const char *name);
bool tb_process_is_seen_by(const struct tb_process *process, const struct tb_trace *trace);
u64 tb_process_stream_id(struct tb_process *process, u32 context);	/* of all that is described now */
void tb_process_dump_if_traced(struct tb_process *process);	/* a trace that runs wants to know what it consists of */
void tb_process_forget_if_done(struct tb_process *process);	/* a ring of it has gone */
void tb_processes_forget(void);			/* a trace has gone: all whom only that kept */

/* The ioctls: arguments copied in, checked for size and reserved words by device.c. Sleep. */
int tb_process_register(struct tracebuf_ioc_register *arg, struct tb_object **ret_object);
int tb_process_self(struct tb_object **ret_object);
int tb_process_describe(struct tb_process *process, struct tracebuf_ioc_describe *arg);
int tb_process_enable(struct tb_process *process, const struct tracebuf_ioc_enable *arg);	/* enable.c */
/* RELEASE on a file opened to read. -EBUSY: it is not gone. */
int tb_process_release(struct tb_process *process);
/* A private copy of what user space has, for kvfree(); ERR_PTR(-ENOMEM, -EFAULT). */
void *tb_copy_block(u64 address, u32 size);
/* Raises the counts in the file; what they count is written. Under tb_lock. */
void tb_process_store_counts(struct tb_process *process);
/* Number and bytes of descriptions in a process file, in step. */
static inline void tb_process_store_descriptions(struct tb_object *file, u32 nr, u32 size)
{
	tb_object_store64(file, offsetof(struct tracebuf_process, nr_descriptions), nr | (u64)size << 32);
}

/* ---- enable.c: enable records ---- */

/* Sets every enable record anew: rules or traces have changed. Under tb_lock. */
void tb_processes_evaluate(void);

/* ---- statedump.c ---- */

/* Writes the statedump of every process that the trace sees; the caller does not hold tb_lock. */
int tb_statedump_trace(u64 generation);
/* The same, soon, from tb_dump_wq; under tb_lock. For processes that register while they are traced. */
void tb_statedump_later(struct tb_process *process, const struct tb_trace *trace);

/* ---- ring.c ---- */

struct tb_ring {
	struct tb_object object;		/* first */
	struct list_head of_process, of_trace;
	struct hlist_node by_number;		/* of all rings, by process and instance */
	struct tb_process *process;		/* a reference */
	struct tb_trace *trace;			/* NULL once it was destroyed */
	u64 generation;
	struct tracebuf_channel config;
	u32 instance, channel, cpu;
	char name[TB_FILE_NAME_SIZE];
	struct mutex consume_lock;
	u64 consumed;				/* changed under consume_lock */
	wait_queue_head_t readers, writers;
	bool shown;				/* has its file */
	bool complete;				/* no mapping of its process is left */
	bool released;				/* its reader wants no more */
	struct dentry *dentry;
};

int tb_ring_make(struct tracebuf_ioc_ring *arg, struct tb_object **ret_object);
int tb_ring_switch(u32 instance);		/* of current's process */
int tb_ring_wait(const struct tracebuf_ioc_wait *arg);
/* Under tb_lock. */
struct tb_ring *tb_ring_find(const struct tb_trace *trace, const char *name);
void tb_ring_show(struct tb_ring *ring);	/* makes its file, tells */
void tb_ring_remove(struct tb_ring *ring);	/* its trace ends: file gone, out of all lists, reference dropped */
/* For files opened to read. Sleep. */
int tb_ring_get(struct tb_ring *ring, struct tracebuf_ioc_get *arg);
int tb_ring_put(struct tb_ring *ring, const struct tracebuf_ioc_put *arg);
int tb_ring_release(struct tb_ring *ring);
__poll_t tb_ring_poll(struct tb_ring *ring, struct file *file, poll_table *wait);

static inline struct tb_ring *tb_ring_of(struct tb_object *object)
{
	return container_of(object, struct tb_ring, object);
}

static inline struct tb_process *tb_process_from(struct tb_object *object)
{
	return container_of(object, struct tb_process, object);
}

/* ---- device.c: /dev/tracebuf ---- */

int tb_device_init(void);
void tb_device_exit(void);
bool tb_device_is_open(unsigned int fd);	/* is this current's descriptor of the device? */
/* The ioctls on a file opened to read, which debugfs files have as well. */
long tb_reader_ioctl(struct tb_object *object, unsigned int number, unsigned long arg);

/* ---- debugfs.c: the tree. All under tb_lock but init and exit; NULL dentries are fine where debugfs is off ---- */

int tb_debugfs_init(void);
void tb_debugfs_exit(void);
struct dentry *tb_debugfs_add_process(struct tb_process *process);
struct dentry *tb_debugfs_add_directory(const char *name);
struct dentry *tb_debugfs_add_ring(struct tb_ring *ring);
void tb_debugfs_remove(struct dentry *dentry);
void tb_debugfs_ring_bell(struct dentry *dentry);	/* IN_ATTRIB for who watches its directory */
bool tb_debugfs_is_reserved(const char *name);

/* ---- netlink.c ---- */

int tb_netlink_init(void);
void tb_netlink_exit(void);
/* Notifications; under tb_lock or not. generation 0: none. Losing one is told to the listeners by the socket (ENOBUFS). */
void tb_notify(enum tracebuf_cmd what, u64 generation, const char *name);

#endif
