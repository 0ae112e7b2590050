/* SPDX-License-Identifier: MIT */
/*
 * The tree in debugfs as a reader watches it: when files appear, when their bell rings, when they go; by whatever death
 * a process ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "balance.h"
#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_inotify"
#define TREE "/sys/kernel/debug/tracebuf"
#define CGROUPS "/sys/fs/cgroup"
#define CGROUP CGROUPS "/tracebuf-test"
#define TIMEOUT_MS 15000

static struct control control;

/* ---- Watching ---- */

struct watch {
	int fd;
	char path[160];
	ssize_t size, at;
	_Alignas(8) char events[4096];
};

static bool watch_open(struct watch *watch, const char *directory)
{
	memset(watch, 0, sizeof(*watch));
	snprintf(watch->path, sizeof(watch->path), TREE "/%s", directory);
	watch->fd = inotify_init1(IN_CLOEXEC);
	return CHECK(inotify_add_watch(watch->fd, watch->path, IN_CREATE | IN_ATTRIB | IN_DELETE) >= 0);
}

/* The next event within ms, or NULL. */
static const struct inotify_event *watch_next(struct watch *watch, int ms)
{
	const struct inotify_event *event;
	struct pollfd ready = { .fd = watch->fd, .events = POLLIN };

	if (watch->at >= watch->size) {
		if (poll(&ready, 1, ms) != 1)
			return NULL;
		watch->size = read(watch->fd, watch->events, sizeof(watch->events));
		watch->at = 0;
		if (watch->size <= 0)
			return NULL;
	}
	event = (const void *) (watch->events + watch->at);
	watch->at += (ssize_t) (sizeof(*event) + event->len);
	return event;
}

/* The next event is this one. An empty name is filled in. */
static bool check_event(struct watch *watch, uint32_t mask, char name[96])
{
	const struct inotify_event *event = watch_next(watch, TIMEOUT_MS);

	if (!CHECK(event != NULL))
		return false;
	CHECK_IS(event->mask, mask);
	if (!*name)
		snprintf(name, 96, "%.95s", event->len ? event->name : "");
	return CHECK_IS(strcmp(event->len ? event->name : "", name), 0);
}

static bool is_silent(struct watch *watch)
{
	return CHECK(watch_next(watch, 100) == NULL);
}

static int watch_file(const struct watch *watch, const char *name)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/%s", watch->path, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* ---- Deaths ---- */

/* A process with one ring that it has written to, up to the middle of a sub-buffer. */
static bool live(const struct control_trace *trace, struct writer *writer, struct writer_ring *ring)
{
	if (!CHECK_IS(writer_open(writer, DOMAIN), 0) || !CHECK_IS(writer_event(writer, "test:dying", NULL), 0) ||
	    !CHECK_IS(writer_ring(writer, trace->generation, TRACEBUF_RING_SET(trace->slot, 0), 1, ring), 0))
		return false;
	memset(ring->data, 'd', 5000);
	ring->producer->position = 5000;
	return true;
}

static void die_by_exit(struct writer_ring *ring)
{
	(void) ring;
	_exit(0);
}

static void die_by_kill(struct writer_ring *ring)
{
	(void) ring;
	raise(SIGKILL);
}

static void die_by_fault(struct writer_ring *ring)
{
	*(volatile char *) ring->header = 1;
}

static void die_by_abort(struct writer_ring *ring)
{
	(void) ring;
	abort();
}

/* The program that comes afterwards lives on. */
static void die_by_exec(struct writer_ring *ring)
{
	(void) ring;
	execl("/proc/self/exe", "test_inotify", "pause", (char *) NULL);
	_exit(1);
}

static void die_by_unmap(struct writer_ring *ring)
{
	writer_unmap(ring);
	pause();
}

static void enter_cgroup(void)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", getpid());
	CHECK_IS(file_write(CGROUP "/cgroup.procs", text), 0);
}

static void die_of_memory(struct writer_ring *ring)
{
	size_t size = 256u << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void) ring;
	enter_cgroup();
	memset(memory, 1, size);
}

/* Its pages are its cgroup's. */
static void die_of_pages(struct writer_ring *ring)
{
	enter_cgroup();
	memset(ring->data, 'd', ring->nr_subbufs * ring->subbuf_size);
}

struct way {
	const char *name;
	void (*die)(struct writer_ring *ring);
	const struct control_trace *trace;
};

static void live_and_die(struct child *self, void *arg)
{
	const struct way *way = arg;
	struct writer_ring ring;
	struct writer writer;
	uint64_t number;

	if (!live(way->trace, &writer, &ring))
		return;
	child_tell(self, 1);
	child_hear(self, &number);
	way->die(&ring);
}

/* A ring whose process has gone: all that it wrote is there, and nothing more comes. */
static void check_rest(struct watch *watch, const char *name)
{
	int fd = watch_file(watch, name);
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	struct tracebuf_ioc_get got;
	char bytes[5000];

	if (!CHECK(fd >= 0))
		return;
	CHECK_IS(poll(&ready, 1, TIMEOUT_MS), 1);
	CHECK_IS(ready.revents & POLLHUP, POLLHUP);
	CHECK_IS(device_get(fd, &got), -EAGAIN);
	CHECK_IS(got.flags, TRACEBUF_RING_IS_COMPLETE);
	CHECK_IS(got.position, 5000);
	CHECK_IS(pread(fd, bytes, sizeof(bytes), TRACEBUF_RING_DATA_OFFSET), sizeof(bytes));
	CHECK(bytes[0] == 'd' && bytes[4999] == 'd');
	CHECK_IS(device_release(fd), 0);
	close(fd);
}

static void check_way(struct way *way, const struct control_trace *trace)
{
	struct watch watch, processes;
	struct child child;
	char name[96] = "", process[96] = "";
	uint64_t number;

	way->trace = trace;
	/* A process that died before may still be going. */
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	if (!watch_open(&watch, trace->directory) || !watch_open(&processes, "procs") ||
	    !child_start(&child, live_and_die, way))
		return;
	CHECK(child_hear(&child, &number));
	check_event(&processes, IN_CREATE, process);
	check_event(&processes, IN_ATTRIB, process);
	is_silent(&watch);
	child_tell(&child, 1);
	if (check_event(&watch, IN_CREATE, name)) {
		check_rest(&watch, name);
		check_event(&watch, IN_DELETE, name);
		CHECK(watch_file(&watch, name) < 0);
	} else {
		tb_note("  by %s", way->name);
	}
	child_kill(&child, SIGKILL);
	check_event(&processes, IN_ATTRIB, process);
	check_event(&processes, IN_DELETE, process);
	CHECK(watch_file(&processes, process) < 0);
	close(processes.fd);
	close(watch.fd);
}

static void run_ways(struct way *ways, size_t nr, const struct tracebuf_channel *channel)
{
	struct control_trace trace;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "watched", DOMAIN, channel, &trace), 0))
		return;
	for (size_t i = 0; i < nr; i++)
		check_way(&ways[i], &trace);
	CHECK_IS(control_destroy(&control, &trace), 0);
}

static void test_deaths(void)
{
	struct way ways[] = {
		{ "exit", die_by_exit, NULL },
		{ "SIGKILL", die_by_kill, NULL },
		{ "SIGSEGV", die_by_fault, NULL },
		{ "abort", die_by_abort, NULL },
		{ "exec", die_by_exec, NULL },
	};

	run_ways(ways, sizeof(ways) / sizeof(ways[0]), &control_channel);
}

/* ---- Out of memory ---- */

/* A cgroup with little memory; false: there is none to be had. */
static bool make_cgroup(void)
{
	if (access(CGROUPS "/cgroup.controllers", F_OK))
		mount("cgroup2", CGROUPS, "cgroup2", 0, NULL);
	file_write(CGROUPS "/cgroup.subtree_control", "+memory");
	return (!mkdir(CGROUP, 0755) || errno == EEXIST) && !file_write(CGROUP "/memory.max", "8388608");
}

static void test_oom(void)
{
	struct way ways[] = { { "OOM, memory", die_of_memory, NULL }, { "OOM, pages of a ring", die_of_pages, NULL } };
	struct tracebuf_channel channel = control_channel;

	if (device_is_missing())
		return;
	if (!make_cgroup()) {
		tb_skip("no memory cgroup (cgroup v2) to be had");
		return;
	}
	channel.subbuf_size = 1 << 20;
	channel.nr_subbufs = 64;
	run_ways(ways, 2, &channel);
	CHECK_IS(rmdir(CGROUP), 0);
}

/* ---- Rings without a death ---- */

static void live_step_by_step(struct child *self, void *arg)
{
	const struct control_trace *trace = arg;
	struct writer_ring ring;
	struct writer writer;
	uint64_t number;

	if (!CHECK_IS(writer_open(&writer, DOMAIN), 0) ||
	    !CHECK_IS(writer_ring(&writer, trace->generation, TRACEBUF_RING_SET(trace->slot, 0), 0, &ring), 0))
		return;
	child_tell(self, 1);
	while (child_hear(self, &number) && number)
		CHECK_IS(writer_fill(&ring), 0);
	die_by_unmap(&ring);
}

static short events_of(int fd, int ms)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, ms) < 0 ? -1 : ready.revents;
}

static void test_bell(void)
{
	struct control_trace trace;
	struct tracebuf_ioc_get got;
	struct watch watch;
	struct child child;
	char name[96] = "";
	uint64_t number;
	int fd;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "bell", DOMAIN, &control_channel, &trace), 0))
		return;
	if (!watch_open(&watch, trace.directory) || !child_start(&child, live_step_by_step, &trace))
		return;
	CHECK(child_hear(&child, &number));
	is_silent(&watch);
	child_tell(&child, 1);
	check_event(&watch, IN_CREATE, name);
	fd = watch_file(&watch, name);
	CHECK_IS(events_of(fd, 0), POLLIN);
	CHECK_IS(device_get(fd, &got), 0);
	CHECK_IS(device_put(fd, 1), 0);
	CHECK_IS(events_of(fd, 50), 0);
	child_tell(&child, 2);
	CHECK_IS(events_of(fd, TIMEOUT_MS), POLLIN);
	check_event(&watch, IN_ATTRIB, name);
	CHECK_IS(device_put(fd, 2), 0);
	is_silent(&watch);
	/* The process gives it up, and lives. */
	child_tell(&child, 0);
	CHECK_IS(events_of(fd, TIMEOUT_MS), POLLHUP);
	check_event(&watch, IN_ATTRIB, name);
	CHECK_IS(device_release(fd), 0);
	check_event(&watch, IN_DELETE, name);
	/* Who has it open still reads it. */
	CHECK_IS(pread(fd, &number, sizeof(number), 0), sizeof(number));
	close(fd);
	child_kill(&child, SIGKILL);
	CHECK_IS(control_destroy(&control, &trace), 0);
	close(watch.fd);
}

/* TRACE_SHOW shows what has never switched; the end of a trace takes everything away. */
static void test_show(void)
{
	struct control_trace trace;
	struct watch watch;
	struct child child;
	char name[96] = "";
	uint64_t number;
	int fd;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "show", DOMAIN, &control_channel, &trace), 0))
		return;
	if (!watch_open(&watch, trace.directory) || !child_start(&child, live_step_by_step, &trace))
		return;
	CHECK(child_hear(&child, &number));
	is_silent(&watch);
	CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_SHOW, trace.generation), 0);
	check_event(&watch, IN_CREATE, name);
	CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_SHOW, trace.generation), 0);
	is_silent(&watch);
	fd = watch_file(&watch, name);
	CHECK(fd >= 0);
	CHECK_IS(control_destroy(&control, &trace), 0);
	check_event(&watch, IN_DELETE, name);
	CHECK_IS(events_of(fd, 0) & POLLHUP, POLLHUP);
	CHECK(access(watch.path, F_OK) != 0);
	CHECK_IS(pread(fd, &number, sizeof(number), 0), sizeof(number));
	close(fd);
	child_kill(&child, SIGKILL);
	close(watch.fd);
}

static void begin(void)
{
	if (!balance_begin(&control))
		return;
	if (access(TREE, F_OK))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	CHECK_IS(access(TREE "/procs", F_OK), 0);
}

static void end(void)
{
	if (!device_is_missing())
		balance_check(&control);
}

int main(int argc, char **argv)
{
	static const CU_TestInfo tests[] = {
		{ "begin", begin },
		{ "first and later switches, poll", test_bell },
		{ "exit, SIGKILL, SIGSEGV, abort, exec", test_deaths },
		{ "OOM-kill", test_oom },
		{ "TRACE_SHOW, TRACE_DESTROY", test_show },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};

	if (argc > 1 && strcmp(argv[1], "pause") == 0)
		return pause();
	return tb_run_suite("test_inotify", tests);
}
