/* SPDX-License-Identifier: MIT */
/*
 * The run directory as home of the pages: control, procs/ and rings/<generation>/ are files, made by the daemon and by
 * the traced processes.
 *
 * Invariant: every file is opened below a directory that we hold, checked to be a plain one of an allowed owner, and
 * never loaded from or stored to through a mapping by us: the process could truncate it at any moment. The consumer's
 * words are changed by futex(2) operations, which are atomic and give -EFAULT where a store would be a SIGBUS.
 */
#define _GNU_SOURCE
#include "home.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "discovery.h"
#include "drain.h"
#include "enable.h"
#include "ringfile.h"
#include "takeover.h"

/* Largest addition that a futex operation's 12 bits hold. */
#define MAX_FUTEX_ADD 2047u

static int watch_directory(struct tb_rundir *rundir, int fd, int *ret_wd)
{
	/* The path of a descriptor: what is watched is what was opened. */
	char path[32];
	int wd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	wd = inotify_add_watch(rundir->inotify_fd, path, IN_MOVED_TO | IN_DELETE | IN_ATTRIB);
	if (wd < 0)
		return -errno;
	*ret_wd = wd;
	return 0;
}

static int open_home(struct tb_daemon *daemon, enum tracebuf_clock clock)
{
	struct tb_rundir *rundir = &daemon->rundir;
	int ret = tb_rundir_make(rundir, "procs", &rundir->procs_fd);
	bool found;

	if (!ret)
		ret = watch_directory(rundir, rundir->procs_fd, &rundir->procs_wd);
	if (ret) {
		tb_say("run directory %s: %s", rundir->path, strerror(-ret));
		return ret;
	}
	ret = tb_control_open(&daemon->control, rundir->fd, clock ? clock : tb_clock_choose(), &found);
	if (ret)
		tb_say(ret == -EPROTONOSUPPORT ? "%s/control was made by another version of tracebuf: %s" :
		       "%s/control: %s", rundir->path, strerror(-ret));
	else if (found && clock && daemon->control.page.clock != (uint32_t) clock)
		tb_say("--clock is ignored: the traces that were taken over have another one");
	return ret;
}

static void close_home(struct tb_daemon *daemon, bool remove)
{
	tb_control_close(&daemon->control);
	if (remove)
		unlinkat(daemon->rundir.fd, "control", 0);
}

static int set_clock(struct tb_daemon *daemon, bool rseq_works)
{
	return tb_control_set_clock(&daemon->control, &daemon->clock, rseq_works);
}

static int create(struct tb_recording *recording, struct tb_message *message)
{
	struct tb_daemon *daemon = recording->daemon;
	int slot;

	if (recording->persistent)
		return tb_fail(message, -ENXIO, "trace %s: --persistent needs the kernel home: tracebuf.ko with a "
			       "region (tracebuf(4)), and tracebufd --home kernel", recording->slot.name);
	slot = tb_control_find_slot(&daemon->control, tb_clock_quarantine_ns(&daemon->clock));
	if (slot == -EUSERS)
		return tb_fail(message, slot, "trace %s: there are %d traces already, which is the limit; destroy one "
			       "first", recording->slot.name, TRACEBUF_NR_SLOTS);
	if (slot < 0)
		return slot;
	recording->number = slot;
	recording->slot.generation = tb_control_new_generation(&daemon->control);
	return 0;
}

static int adopt(struct tb_recording *recording)
{
	(void) recording;
	return 0;
}

static int set_slot(struct tb_daemon *daemon, unsigned int number, const struct tracebuf_slot *slot,
		    const void *rules, size_t rules_size)
{
	return tb_control_set_slot(&daemon->control, number, slot, rules, rules_size);
}

static int watch(struct tb_recording *recording)
{
	return watch_directory(&recording->daemon->rundir, recording->rings_fd, &recording->wd);
}

static void remove_trace(struct tb_recording *recording)
{
	(void) recording;
}

static int remove_strays(struct tb_daemon *daemon)
{
	int ret = 0;

	for (int i = 0; i < TRACEBUF_NR_SLOTS && !ret; i++) {
		uint64_t generation = daemon->control.page.slot[i].generation;

		if (generation && !daemon->recording[i] && !tb_takeover_waits(daemon, generation))
			ret = tb_control_set_slot(&daemon->control, i, NULL, NULL, 0);
	}
	return ret;
}

static void read_news(struct tb_daemon *daemon)
{
	(void) daemon;
}

static int list_processes(struct tb_daemon *daemon)
{
	return tb_dir_each(daemon->rundir.fd, "procs", tb_discovery_process_found, daemon);
}

static int list_rings(struct tb_recording *recording)
{
	return tb_dir_each(recording->rings_fd, ".", tb_discovery_ring_found, recording);
}

static int settle(struct tb_daemon *daemon)
{
	(void) daemon;
	return 0;
}

/* A file in procs/ that is no known process's: who made it, or was making it, may be dead. */
static void sweep_file(struct tb_daemon *daemon, int dir, const char *name)
{
	uint64_t incarnation;
	int32_t pid;

	if (!tb_process_name_parse(name + (name[0] == '.'), &pid, &incarnation) ||
	    tb_process_find(daemon, pid, incarnation) || !kill(pid, 0) || errno != ESRCH)
		return;
	unlinkat(dir, name, 0);
}

static void sweep(struct tb_daemon *daemon)
{
	int fd = openat(daemon->rundir.procs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (!daemon->has_waiting && (entry = readdir(dir)))
		sweep_file(daemon, fd, entry->d_name);
	closedir(dir);
}

static int open_process(struct tb_daemon *daemon, const char *name, uint64_t *ret_size)
{
	int fd = openat(daemon->rundir.procs_fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat stat;

	if (fd < 0)
		return errno == ELOOP || errno == ENXIO || errno == EISDIR ? -EBADMSG : -errno;
	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode) || (stat.st_uid != geteuid() && geteuid())) {
		close(fd);
		return -EBADMSG;
	}
	*ret_size = stat.st_size;
	return fd;
}

static int enable(struct tb_process *process, int fd, uint32_t enable_size)
{
	return tb_enable_store(fd, enable_size, process->descriptions, &process->daemon->control);
}

/* Does any process have its file mapped for writing, as a traced process and its forked children do? */
static bool is_mapped(struct tb_process *process)
{
	int fd = openat(process->daemon->rundir.procs_fd, process->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool mapped;

	/* If it cannot be told now, the tick asks again. */
	if (fd < 0)
		return tb_is_passing(-errno);
	/* A read lease is granted if nobody has the file open for writing; a mapping counts. */
	mapped = fcntl(fd, F_SETLEASE, F_RDLCK) && errno == EAGAIN;
	close(fd);
	return mapped;
}

/* Whoever reads its kept rings after this daemon, a new one or tracebuf recover, has nothing else that describes them. */
static bool keeps_process(struct tb_process *process)
{
	return process->nr_kept || is_mapped(process);
}

static void remove_process(struct tb_process *process)
{
	if (process->daemon->has_waiting)
		return;
	unlinkat(process->daemon->rundir.procs_fd, process->name, 0);
}

static int check_ring(struct tb_drain *drain, int fd)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return -errno;
	if (!S_ISREG(stat.st_mode) || (stat.st_uid != geteuid() && geteuid()))
		return -EBADMSG;
	/* Not the file that was found under this name. */
	if (drain->inode && (drain->inode != stat.st_ino || drain->device != stat.st_dev))
		return -EBADMSG;
	drain->inode = stat.st_ino;
	drain->device = stat.st_dev;
	drain->file_size = stat.st_size;
	return 0;
}

static int open_ring(struct tb_drain *drain)
{
	int fd = openat(drain->recording->rings_fd, drain->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), ret;

	if (fd < 0)
		return tb_is_passing(-errno) ? -errno : -EBADMSG;
	ret = check_ring(drain, fd);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

static bool has_ring(const struct tb_recording *recording, const char *name)
{
	return !faccessat(recording->rings_fd, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

static long futex_add(uint32_t *word, unsigned int add, uint32_t *wake, int nr_wake)
{
	return syscall(SYS_futex, wake, FUTEX_WAKE_OP, nr_wake, (void *) (long) nr_wake, word,
		       FUTEX_OP(FUTEX_OP_ADD, add, FUTEX_OP_CMP_GE, 0));
}

/* Partner: the library loads consumed (acquire) when it enters a sub-buffer, and waits on wake in block mode. */
static int advance(struct tb_drain *drain, uint64_t consumed)
{
	struct tracebuf_consumer *consumer = &drain->header->consumer;
	uint32_t *low = (uint32_t *) &consumer->consumed, *idle = (uint32_t *) &consumer->reserved[0];

	if (consumed >> 32 != drain->consumed >> 32)
		return pwrite(drain->fd, &consumed, sizeof(consumed), TRACEBUF_RING_CONSUMER_OFFSET) ==
		       sizeof(consumed) ? 0 : -errno;
	for (uint64_t left = consumed - drain->consumed; left;) {
		unsigned int step = left < MAX_FUTEX_ADD ? left : MAX_FUTEX_ADD;

		if (futex_add(low, step, idle, 0) < 0)
			return -errno;
		left -= step;
	}
	return 0;
}

static int put(struct tb_drain *drain, uint64_t consumed)
{
	void *map;
	int ret;

	if (!drain->header) {
		map = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, drain->fd, 0);
		if (map == MAP_FAILED)
			return -ENOMEM;
		drain->header = map;
	}
	ret = advance(drain, consumed);
	if (tb_is_passing(ret))
		return ret;
	if (ret || futex_add(&drain->header->consumer.wake, 1, &drain->header->consumer.wake, INT_MAX) < 0)
		tb_drain_damage(drain, "its file was cut short");
	return 0;
}

static void remove_ring(const struct tb_recording *recording, const char *name, int fd)
{
	(void) fd;
	unlinkat(recording->rings_fd, name, 0);
}

static int check_room(const struct tb_recording *recording, uint64_t ring_size, struct tb_message *message)
{
	const struct tb_daemon *daemon = recording->daemon;
	struct statvfs fs;
	uint64_t available;

	if (fstatvfs(daemon->rundir.fd, &fs))
		return 0;
	available = (uint64_t) fs.f_blocks * fs.f_frsize;
	if (TRACEBUF_RING_DATA_OFFSET + ring_size <= available)
		return 0;
	return tb_fail(message, -EINVAL, "channel needs %llu MiB for each CPU, the file system of %s has %llu MiB in all",
		       (unsigned long long) (ring_size >> 20), daemon->rundir.path,
		       (unsigned long long) (available >> 20));
}

static void facts(const struct tb_daemon *daemon, struct tb_home_facts *ret_facts)
{
	memset(ret_facts, 0, sizeof(*ret_facts));
	ret_facts->path = daemon->rundir.path;
	ret_facts->way = "files";
}

const struct tb_home tb_rundir_home = {
	.name = "tmpfs",
	.can_pin = true,
	.open = open_home,
	.close = close_home,
	.set_clock = set_clock,
	.create = create,
	.adopt = adopt,
	.set_slot = set_slot,
	.watch = watch,
	.remove = remove_trace,
	.remove_strays = remove_strays,
	.read_news = read_news,
	.list_processes = list_processes,
	.list_rings = list_rings,
	.settle = settle,
	.sweep = sweep,
	.open_process = open_process,
	.enable = enable,
	.keeps_process = keeps_process,
	.remove_process = remove_process,
	.open_ring = open_ring,
	.has_ring = has_ring,
	.put = put,
	.remove_ring = remove_ring,
	.check_room = check_room,
	.facts = facts,
};
