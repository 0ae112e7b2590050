/* SPDX-License-Identifier: MIT */
/*
 * Traced processes, as their files in procs/ tell of them and as the kernel knows them.
 *
 * Invariant: a process is known by pid and incarnation, never by pid alone, and nothing in its file is believed: every
 * look copies what it needs with pread(2) and checks the copy. A process costs one descriptor (its pidfd) while it
 * lives, none if descriptors are short or the home tells of deaths. Its file is opened for each look and closed again.
 */
#define _GNU_SOURCE
#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "home.h"
#include "statedump.h"

/* A writer that changes its counts at each look is looked at no more often. */
#define MAX_LOOKS 16

/* By pid alone: all incarnations of a pid are in one bucket. */
static struct cds_list_head *bucket_of(struct tb_daemon *daemon, int32_t pid)
{
	return &daemon->process_bucket[(uint32_t) pid % TB_PROCESS_BUCKETS];
}

void tb_process_table_init(struct tb_daemon *daemon)
{
	CDS_INIT_LIST_HEAD(&daemon->processes);
	CDS_INIT_LIST_HEAD(&daemon->dying);
	for (int i = 0; i < TB_PROCESS_BUCKETS; i++)
		CDS_INIT_LIST_HEAD(&daemon->process_bucket[i]);
	for (int i = 0; i < TB_DESCRIPTIONS_BUCKETS; i++)
		CDS_INIT_LIST_HEAD(&daemon->descriptions[i]);
	daemon->next_process = &daemon->processes;
}

struct tb_process *tb_process_find(struct tb_daemon *daemon, int32_t pid, uint64_t incarnation)
{
	struct tb_process *process;

	cds_list_for_each_entry(process, bucket_of(daemon, pid), bucket)
		if (process->info.pid == pid && process->info.incarnation == incarnation)
			return process;
	return NULL;
}

static void complain(struct tb_process *process, const char *what)
{
	if (!process->damaged)
		tb_say("process %s (%s): %s; what it records of them is left out", process->name,
		       process->info.procname, what);
	process->damaged = process->suspect = true;
}

/* 0 or -errno: unless that passes, nothing more is to be had of them. */
static int take_descriptions(struct tb_process *process, int fd, uint32_t nr, uint32_t size)
{
	struct tb_descriptions *descriptions;
	ssize_t got;
	char *bytes;
	int ret;

	if (nr > TRACEBUF_MAX_EVENTS || size > TRACEBUF_DESCRIPTIONS_SIZE) {
		complain(process, "event descriptions out of bounds");
		return -EBADMSG;
	}
	bytes = malloc((size_t) size + 1);
	if (!bytes)
		return -ENOMEM;
	got = pread(fd, bytes, size, TRACEBUF_DESCRIPTIONS_OFFSET);
	if (got != (ssize_t) size) {
		ret = got < 0 ? -errno : -EBADMSG;
		free(bytes);
	} else {
		ret = tb_descriptions_get(process->daemon, bytes, size, nr, &descriptions);
	}
	if (!ret) {
		tb_descriptions_put(process->descriptions);
		process->descriptions = descriptions;
	} else if (!tb_is_passing(ret)) {
		complain(process, got != (ssize_t) size ? "event descriptions cut short" : "event descriptions damaged");
	}
	return ret;
}

uint64_t tb_process_age_ns(uint64_t incarnation)
{
	struct timespec now;
	uint64_t ns;

	clock_gettime(CLOCK_BOOTTIME, &now);
	ns = now.tv_sec * 1000000000ull + now.tv_nsec;
	return ns > incarnation ? ns - incarnation : 0;
}

static int set_enable_records(struct tb_process *process, int fd, uint32_t enable_size)
{
	const struct tb_control *control = &process->daemon->control;
	int ret = process->descriptions ? process->daemon->home->enable(process, fd, enable_size) : 0;

	process->enable_size = enable_size;
	process->evaluated = ret ? 0 : control->page.rules_generation;
	return ret;
}

static int read_counts(int fd, struct tracebuf_process *ret_page)
{
	const size_t begin = offsetof(struct tracebuf_process, nr_descriptions);
	ssize_t got = pread(fd, (char *) ret_page + begin, sizeof(*ret_page) - begin, begin);

	if (got == (ssize_t) (sizeof(*ret_page) - begin))
		return 0;
	return got < 0 ? -errno : -EBADMSG;
}

/* What the process has of descriptions and records, all of one moment: a read can take a part from before a change. */
static int take_counts(int fd, struct tracebuf_process *ret_page)
{
	struct tracebuf_process again = { 0 };
	int ret = read_counts(fd, ret_page);

	for (int i = 0; i < MAX_LOOKS && !ret; i++) {
		ret = read_counts(fd, &again);
		if (again.nr_descriptions == ret_page->nr_descriptions &&
		    again.descriptions_size == ret_page->descriptions_size && again.enable_size == ret_page->enable_size)
			break;
		*ret_page = again;
	}
	return ret;
}

/* One look at the open file. */
static int look(struct tb_process *process, int fd)
{
	const struct tb_control *control = &process->daemon->control;
	struct tracebuf_process_account account;
	struct tracebuf_process page = { 0 };
	int ret = take_counts(fd, &page);
	bool changed;
	ssize_t got;

	if (ret)
		return ret;
	got = pread(fd, &account, sizeof(account), TRACEBUF_PROCESS_ACCOUNT_OFFSET);
	if (got != (ssize_t) sizeof(account))
		return got < 0 ? -errno : -EBADMSG;
	if (account.discarded > sysconf(_SC_NPROCESSORS_CONF) * tb_process_age_ns(process->info.incarnation))
		complain(process, "its count of lost events makes no sense");
	else
		process->discarded = account.discarded;
	changed = page.nr_descriptions != process->nr_descriptions || page.enable_size != process->enable_size;
	if (page.nr_descriptions != process->nr_descriptions) {
		ret = take_descriptions(process, fd, page.nr_descriptions, page.descriptions_size);
		if (tb_is_passing(ret))
			return ret;
		process->nr_descriptions = page.nr_descriptions;
	}
	if (!changed && process->evaluated == control->page.rules_generation &&
	    page.rules_generation == control->page.rules_generation)
		return 0;
	return set_enable_records(process, fd, page.enable_size);
}

int tb_process_refresh(struct tb_process *process)
{
	uint64_t size;
	int fd = process->daemon->home->open_process(process->daemon, process->name, &size), ret = fd;

	if (fd >= 0) {
		ret = size >= TRACEBUF_PROCESS_SIZE ? look(process, fd) : -EBADMSG;
		if (!ret)
			tb_statedump_take(process, fd);
		close(fd);
	}
	tb_daemon_retry(process->daemon, ret);
	return ret;
}

void tb_process_refresh_all(struct tb_daemon *daemon)
{
	struct tb_process *process;

	cds_list_for_each_entry(process, &daemon->processes, list)
		if (!process->dead || process->orphan)
			tb_process_refresh(process);
}

static void exited(struct tb_completion *completion, int result)
{
	struct tb_process *process = caa_container_of(completion, struct tb_process, exited);

	process->waiting = false;
	if (process->gone)
		free(process);
	else if (result >= 0)
		tb_process_mark_dead(process);
}

/* When the process of this pid was started, CLOCK_BOOTTIME ns in steps of 10 ms. 0 or -errno: there is none. */
static int start_time_ns(int32_t pid, uint64_t *ret_ns)
{
	char path[32], text[1024], *at;
	unsigned long long ticks = 0;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	at = strrchr(text, ')');
	/* Field 3, the state, stands behind the name; field 22 is the start time. */
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			  &ticks) != 1)
		return -ESRCH;
	*ret_ns = ticks * (1000000000ull / sysconf(_SC_CLK_TCK)) + 1;
	return 0;
}

/* 1 dead, 0 alive, -errno: it cannot be told now. */
static int looks_dead(const struct tb_process *process)
{
	uint64_t start;
	int ret = start_time_ns(process->info.pid, &start);

	if (tb_is_passing(ret))
		return ret;
	return ret || start > process->info.incarnation + 1;
}

static void watch(struct tb_process *process)
{
	struct tb_daemon *daemon = process->daemon;
	int dead;

	if (daemon->home->tells_deaths)
		return;
	if (daemon->nr_pidfds < daemon->max_pidfds)
		process->pidfd = syscall(SYS_pidfd_open, process->info.pid, 0);
	if (process->pidfd >= 0)
		daemon->nr_pidfds++;
	/* Looked at behind the pidfd: if that is another process's, which took the pid, this one is dead. */
	dead = looks_dead(process);
	if (dead > 0) {
		tb_process_mark_dead(process);
	} else if (!dead && process->pidfd >= 0) {
		process->waiting = true;
		tb_loop_poll(&daemon->loop, &process->exited, process->pidfd, POLLIN);
	} else if (process->pidfd >= 0) {
		/* Whose it is cannot be told: the tick looks at /proc instead. */
		close(process->pidfd);
		process->pidfd = -1;
		daemon->nr_pidfds--;
	}
}

/* An older incarnation of this pid has ended by exec. */
static void end_older(struct tb_process *process)
{
	struct tb_process *other;

	cds_list_for_each_entry(other, bucket_of(process->daemon, process->info.pid), bucket)
		if (other->info.pid == process->info.pid && other->info.incarnation < process->info.incarnation)
			tb_process_mark_dead(other);
}

static int read_header(int fd, uint64_t size, const char *name, struct tb_process_info *ret_info)
{
	struct tracebuf_process page;
	uint64_t incarnation;
	int32_t pid;
	ssize_t got = pread(fd, &page, sizeof(page), 0);
	int ret;

	if (got != sizeof(page))
		return got < 0 ? -errno : -EBADMSG;
	ret = tb_process_check(&page, size, ret_info);
	if (ret)
		return ret;
	if (!tb_process_name_parse(name, &pid, &incarnation) || pid != ret_info->pid ||
	    incarnation != ret_info->incarnation || pid <= 0)
		return -EBADMSG;
	return 0;
}

static struct tb_process *add(struct tb_daemon *daemon, const struct tb_process_info *info)
{
	struct tb_process *process = calloc(1, sizeof(*process));

	if (!process)
		return NULL;
	process->daemon = daemon;
	process->info = *info;
	tb_process_name_make(process->name, info->pid, info->incarnation);
	process->pidfd = -1;
	process->exited.done = exited;
	CDS_INIT_LIST_HEAD(&process->drains);
	cds_list_add_tail(&process->list, &daemon->processes);
	cds_list_add(&process->bucket, bucket_of(daemon, info->pid));
	daemon->nr_processes++;
	return process;
}

int tb_process_discover(struct tb_daemon *daemon, const char *name, struct tb_process **ret_process)
{
	struct tb_process_info info;
	uint64_t incarnation, size;
	struct tb_process *process;
	int32_t pid;
	int fd, ret;

	if (!tb_process_name_parse(name, &pid, &incarnation))
		return -EBADMSG;
	process = tb_process_find(daemon, pid, incarnation);
	if (!process) {
		fd = daemon->home->open_process(daemon, name, &size);
		if (fd < 0)
			return fd;
		ret = read_header(fd, size, name, &info);
		if (!ret && info.domain != daemon->domain)
			ret = -EPERM;
		process = ret ? NULL : add(daemon, &info);
		if (process)
			tb_daemon_retry(daemon, look(process, fd));
		if (process)
			tb_statedump_take(process, fd);
		close(fd);
		if (!process)
			return ret ? ret : -ENOMEM;
		end_older(process);
		watch(process);
	}
	*ret_process = process;
	return 0;
}

void tb_process_mark_dead(struct tb_process *process)
{
	if (process->is_dying || (process->orphan && cds_list_empty(&process->drains)))
		return;
	process->dead = process->is_dying = true;
	cds_list_add_tail(&process->dying, &process->daemon->dying);
	process->daemon->nr_dying++;
}

static void leave_dying(struct tb_process *process)
{
	if (!process->is_dying)
		return;
	process->is_dying = false;
	cds_list_del(&process->dying);
	process->daemon->nr_dying--;
}

static void stop_watching(struct tb_process *process)
{
	if (process->waiting)
		tb_loop_cancel(&process->daemon->loop, &process->exited);
	if (process->pidfd < 0)
		return;
	/* An io_uring poll holds its file: the descriptor may go at once. */
	close(process->pidfd);
	process->pidfd = -1;
	process->daemon->nr_pidfds--;
}

void tb_process_bury(struct tb_process *process)
{
	leave_dying(process);
	if (process->daemon->home->keeps_process(process)) {
		process->orphan = true;
		stop_watching(process);
	} else {
		tb_process_forget(process, true);
	}
}

void tb_process_look_after(struct tb_process *process)
{
	if (process->orphan) {
		tb_process_bury(process);
		return;
	}
	if (process->dead)
		return;
	tb_process_refresh(process);
	if (process->pidfd < 0 && !process->daemon->home->tells_deaths && looks_dead(process) > 0)
		tb_process_mark_dead(process);
}

void tb_process_forget(struct tb_process *process, bool remove_file)
{
	struct tb_daemon *daemon = process->daemon;

	if (remove_file)
		daemon->home->remove_process(process);
	leave_dying(process);
	if (daemon->next_process == &process->list)
		daemon->next_process = process->list.next;
	cds_list_del(&process->list);
	cds_list_del(&process->bucket);
	daemon->nr_processes--;
	tb_descriptions_put(process->descriptions);
	stop_watching(process);
	process->gone = true;
	if (!process->waiting)
		free(process);
}

void tb_process_table_destroy(struct tb_daemon *daemon)
{
	struct tb_process *process, *next;

	cds_list_for_each_entry_safe(process, next, &daemon->processes, list)
		tb_process_forget(process, process->orphan && !daemon->home->keeps_process(process));
}
