/* SPDX-License-Identifier: MIT */
/*
 * libtracebuf in the kernel's home, by its public functions: numbers of events, traces that come and go, forked
 * children, limits, manners. What it writes is judged by the suites that are run there; here is what is different.
 *
 * Every case runs in children, since an address space is traced only once.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tracebuf/tracebuf.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"

#define RUNDIR "/tmp/test_library"
#define NOBODY 65534
#define MAX_PROCESSES "/sys/module/tracebuf/parameters/max_processes"
#define MAX_USER_PAGES "/sys/module/tracebuf/parameters/max_user_pages"
#define AWAIT_MS 20000

static struct control control;

static int describe(struct tracebuf *tracebuf, const char *name)
{
	const struct tracebuf_field_description field = { "value", TRACEBUF_FIELD_INTEGER, 8, 0, 0 };

	return tracebuf_event_describe(tracebuf, name, &field, 1, 13);
}

static void write_event(struct tracebuf *tracebuf, int id, uint64_t value)
{
	tracebuf_event_write(tracebuf, id, &value, sizeof(value));
}

static bool becomes(struct tracebuf *tracebuf, int id, int enabled)
{
	uint64_t until = now_ms() + AWAIT_MS;

	while (tracebuf_event_is_enabled(tracebuf, id) != enabled && now_ms() < until)
		sleep_ms(1);
	return tracebuf_event_is_enabled(tracebuf, id) == enabled;
}

static unsigned int nr_descriptors(void)
{
	struct dirent *entry;
	unsigned int nr = 0;
	DIR *dir = opendir("/proc/self/fd");

	while (dir && (entry = readdir(dir)))
		nr++;
	if (dir)
		closedir(dir);
	return nr;
}

/* The only ring that this process has of the trace's first channel. */
static const struct tracebuf_ring *find_ring(struct tracebuf *tracebuf, unsigned int slot)
{
	const struct tracebuf_ring *ring = NULL;
	unsigned int cpu;

	for (cpu = 0; cpu < 64 && !ring; cpu++)
		ring = tracebuf_ring_page(tracebuf, slot, 0, cpu);
	return ring;
}

static uint64_t nr_discarded(struct tracebuf *tracebuf)
{
	const char *page = (const char *) tracebuf_process_page(tracebuf);
	const struct tracebuf_process_account *account = (const void *) (page + TRACEBUF_PROCESS_ACCOUNT_OFFSET);

	return page ? __atomic_load_n(&account->discarded, __ATOMIC_RELAXED) : UINT64_MAX;
}

/* ---- Numbers ---- */

/* Describes the events that arg names in its order, a letter each, and tells their numbers in the alphabet's. */
static void describe_and_tell(struct child *self, void *arg)
{
	struct tracebuf *tracebuf = tracebuf_alloc();
	uint64_t ids[26] = { 0 }, go;
	char name[] = "numbers:a";
	const char *letter;

	for (letter = arg; *letter; letter++) {
		name[8] = *letter;
		ids[*letter - 'a'] = (uint64_t) describe(tracebuf, name);
		CHECK_IS(describe(tracebuf, name), ids[*letter - 'a']);
	}
	for (letter = "abc"; *letter; letter++)
		child_tell(self, ids[*letter - 'a']);
	child_hear(self, &go);
	tracebuf_free(tracebuf);
}

static void test_numbers(void)
{
	struct child one, other;
	uint64_t of_one[3], of_other[3];
	unsigned int i;

	if (device_is_missing() || !child_start(&one, describe_and_tell, (void *) "abcdef"))
		return;
	for (i = 0; i < 3; i++)
		CHECK(child_hear(&one, &of_one[i]));
	if (child_start(&other, describe_and_tell, (void *) "zcyba")) {
		for (i = 0; i < 3; i++) {
			CHECK(child_hear(&other, &of_other[i]));
			CHECK_IS(of_other[i], of_one[i]);
		}
		child_tell(&other, 1);
		child_end(&other);
	}
	child_tell(&one, 1);
	child_end(&one);
	CHECK(of_one[0] != of_one[1] && of_one[1] != of_one[2] && of_one[0] != of_one[2]);
}

/* ---- Traces come and go, and nothing of the library's stays open ---- */

static void check_pages(struct tracebuf *tracebuf, unsigned int slot, int id)
{
	const struct tracebuf_process *process = tracebuf_process_page(tracebuf);
	const struct tracebuf_control *page = tracebuf_control_page(tracebuf);
	const struct tracebuf_description *description;
	const struct tracebuf_ring *ring = find_ring(tracebuf, slot);

	if (!CHECK(process) || !CHECK(page) || !CHECK(ring))
		return;
	description = (const void *) ((const char *) process + TRACEBUF_DESCRIPTIONS_OFFSET);
	CHECK_IS(process->pid, getpid());
	CHECK_IS(process->nr_descriptions, 1);
	CHECK_IS(description->id, id);
	CHECK_IS(page->sb.kind, TRACEBUF_KIND_CONTROL);
	CHECK_IS(ring->pid, getpid());
	CHECK_IS(ring->nr_descriptions, 1);
	CHECK_IS(store_signal((void *) (uintptr_t) process), SIGSEGV);
	CHECK_IS(store_signal((void *) (uintptr_t) page), SIGSEGV);
	CHECK_IS(store_signal((void *) (uintptr_t) &ring->consumer), SIGSEGV);
}

static void follow_trace(struct child *self, void *arg)
{
	struct tracebuf *tracebuf = tracebuf_alloc();
	unsigned int before = nr_descriptors();
	int id = describe(tracebuf, "follow:trace");
	uint64_t slot;

	(void) arg;
	CHECK(id >= 0);
	CHECK_IS(tracebuf_event_is_enabled(tracebuf, id), 0);
	errno = 12345;
	child_tell(self, 1);
	CHECK(child_hear(self, &slot));
	CHECK(becomes(tracebuf, id, 1));
	errno = 12345;
	write_event(tracebuf, id, 1);
	CHECK_IS(errno, 12345);
	check_pages(tracebuf, (unsigned int) slot, id);
	CHECK_IS(nr_discarded(tracebuf), 0);
	CHECK_IS(nr_descriptors(), before);
	child_tell(self, 2);
	CHECK(child_hear(self, &slot));
	CHECK(becomes(tracebuf, id, 0));
	write_event(tracebuf, id, 2);
	CHECK_IS(nr_discarded(tracebuf), 0);
	tracebuf_free(tracebuf);
}

static void test_traces(void)
{
	struct control_trace trace;
	struct child child;
	uint64_t said;

	if (device_is_missing() || !child_start(&child, follow_trace, NULL))
		return;
	CHECK(child_hear(&child, &said));
	CHECK_IS(control_make(&control, "library", RUNDIR, &control_channel, &trace), 0);
	child_tell(&child, trace.slot);
	CHECK(child_hear(&child, &said));
	CHECK_IS(control_destroy(&control, &trace), 0);
	child_tell(&child, 0);
	child_end(&child);
}

/* ---- Forked children ---- */

static void check_forked(struct tracebuf *tracebuf, unsigned int slot, int id)
{
	const struct tracebuf_ring *ring;

	write_event(tracebuf, id, 2);
	ring = find_ring(tracebuf, slot);
	CHECK(ring && ring->pid == getpid());
	CHECK_IS(tracebuf_event_is_enabled(tracebuf, id), 1);
	CHECK_IS(describe(tracebuf, "fork:event"), id);
	CHECK(describe(tracebuf, "fork:child") >= 0);
	CHECK_IS(nr_discarded(tracebuf), 0);
}

static void fork_and_write(struct child *self, void *arg)
{
	const struct control_trace *trace = arg;
	struct tracebuf *tracebuf = tracebuf_alloc();
	int id = describe(tracebuf, "fork:event"), status = -1;
	pid_t pid;

	(void) self;
	CHECK(becomes(tracebuf, id, 1));
	write_event(tracebuf, id, 1);
	pid = fork();
	if (!pid) {
		check_forked(tracebuf, trace->slot, id);
		pid = fork();
		if (!pid) {
			check_forked(tracebuf, trace->slot, id);
			return;
		}
		waitpid(pid, &status, 0);
		CHECK_IS(status, 0);
		return;
	}
	waitpid(pid, &status, 0);
	CHECK_IS(status, 0);
	write_event(tracebuf, id, 3);
	CHECK_IS(nr_discarded(tracebuf), 0);
	tracebuf_free(tracebuf);
}

static void test_fork(void)
{
	struct control_trace trace;

	if (device_is_missing() ||
	    !CHECK_IS(control_make(&control, "library", RUNDIR, &control_channel, &trace), 0))
		return;
	child_run(fork_and_write, &trace);
	CHECK_IS(control_destroy(&control, &trace), 0);
}

/* ---- Limits ---- */

static void set(const char *parameter, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long) value);
	CHECK_IS(file_write(parameter, text), 0);
}

/* A child of fork that the kernel does not take is off, and what it lost is in its parent's account. */
static void fork_beyond_limit(struct child *self, void *arg)
{
	struct tracebuf *tracebuf = tracebuf_alloc();
	int id = describe(tracebuf, "limit:fork"), status = -1;
	int64_t limit = file_number(MAX_PROCESSES);
	pid_t pid;

	(void) self, (void) arg;
	CHECK(becomes(tracebuf, id, 1));
	write_event(tracebuf, id, 1);
	set(MAX_PROCESSES, 1);
	pid = fork();
	if (!pid) {
		CHECK_IS(tracebuf_event_is_enabled(tracebuf, id), 1);
		write_event(tracebuf, id, 2);
		CHECK_IS(tracebuf_event_is_enabled(tracebuf, id), 0);
		write_event(tracebuf, id, 3);
		CHECK_IS(describe(tracebuf, "limit:other"), -ENOENT);
		return;
	}
	waitpid(pid, &status, 0);
	set(MAX_PROCESSES, limit);
	CHECK_IS(status, 0);
	CHECK_IS(tracebuf_event_is_enabled(tracebuf, id), 1);
	CHECK_IS(nr_discarded(tracebuf), 1);
	tracebuf_free(tracebuf);
}

static void start_beyond_limit(struct child *self, void *arg)
{
	struct tracebuf *tracebuf = tracebuf_alloc();

	(void) self, (void) arg;
	CHECK_IS(describe(tracebuf, "limit:start"), -ENOENT);
	CHECK_IS(describe(tracebuf, "limit:start"), -ENOENT);
	CHECK(!tracebuf_process_page(tracebuf));
	tracebuf_free(tracebuf);
}

static void test_processes(void)
{
	struct control_trace trace;
	int64_t limit;

	if (device_is_missing() ||
	    !CHECK_IS(control_make(&control, "library", RUNDIR, &control_channel, &trace), 0))
		return;
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	child_run(fork_beyond_limit, NULL);
	limit = file_number(MAX_PROCESSES);
	set(MAX_PROCESSES, 0);
	child_run(start_beyond_limit, NULL);
	set(MAX_PROCESSES, limit);
	CHECK_IS(control_destroy(&control, &trace), 0);
}

/* Without pages for a ring each event is lost, and each is counted. */
static void write_without_pages(struct child *self, void *arg)
{
	struct tracebuf *tracebuf;
	uint64_t said;
	int id, i;

	(void) arg;
	become(NOBODY);
	tracebuf = tracebuf_alloc();
	id = describe(tracebuf, "limit:pages");
	CHECK(becomes(tracebuf, id, 1));
	child_tell(self, 1);
	CHECK(child_hear(self, &said));
	for (i = 0; i < 10; i++)
		write_event(tracebuf, id, 1);
	CHECK_IS(nr_discarded(tracebuf), 10);
	child_tell(self, 2);
	CHECK(child_hear(self, &said));
	write_event(tracebuf, id, 1);
	CHECK_IS(nr_discarded(tracebuf), 10);
	tracebuf_free(tracebuf);
}

static void test_pages(void)
{
	enum control_placement placement = control_placement;
	int64_t limit = file_number(MAX_USER_PAGES);
	struct control_trace trace;
	struct child child;
	uint64_t said;

	if (device_is_missing())
		return;
	/* The limit is not for the region. */
	control_placement = CONTROL_NORMAL;
	CHECK_IS(control_make(&control, "library", RUNDIR, &control_channel, &trace), 0);
	control_placement = placement;
	if (child_start(&child, write_without_pages, NULL)) {
		CHECK(child_hear(&child, &said));
		CHECK_IS(control_flush(&control, &trace), 0);
		set(MAX_USER_PAGES, 1);
		child_tell(&child, 1);
		CHECK(child_hear(&child, &said));
		set(MAX_USER_PAGES, limit);
		child_tell(&child, 2);
		child_end(&child);
	}
	CHECK_IS(control_destroy(&control, &trace), 0);
}

/* ---- The choice ---- */

static void choose(struct child *self, void *arg)
{
	const char *home = arg;
	struct tracebuf *tracebuf;
	struct stat st;

	(void) self;
	setenv("TRACEBUF_HOME", home, 1);
	tracebuf = tracebuf_alloc();
	CHECK(describe(tracebuf, "choose:home") >= 0);
	CHECK_IS(control_status(&control, TRACEBUF_A_NR_PROCESSES), strcmp(home, "tmpfs") != 0);
	CHECK_IS(stat(RUNDIR "/procs", &st), strcmp(home, "tmpfs") == 0 ? 0 : -1);
	tracebuf_free(tracebuf);
}

static void test_choice(void)
{
	static const char *const names[] = { "kernel", "", "what", "tmpfs" };
	size_t i;

	if (device_is_missing())
		return;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
		child_run(choose, (void *) names[i]);
	}
	rmdir(RUNDIR "/procs");
	rmdir(RUNDIR);
}

/* Nobody may open the device: the run directory it is. */
static void do_without(struct child *self, void *arg)
{
	struct tracebuf *tracebuf;
	struct stat st;

	(void) self, (void) arg;
	become(NOBODY);
	tracebuf = tracebuf_alloc();
	CHECK(describe(tracebuf, "choose:home") >= 0);
	CHECK_IS(stat(RUNDIR "/procs", &st), 0);
	tracebuf_free(tracebuf);
}

static void test_closed_device(void)
{
	struct stat st;

	if (device_is_missing() || !CHECK_IS(stat(TRACEBUF_DEVICE, &st), 0))
		return;
	mkdir(RUNDIR, 0700);
	CHECK_IS(chown(RUNDIR, NOBODY, NOBODY), 0);
	chmod(TRACEBUF_DEVICE, 0600);
	child_run(do_without, NULL);
	chmod(TRACEBUF_DEVICE, st.st_mode & 07777);
	rmdir(RUNDIR "/procs");
	rmdir(RUNDIR);
}

static void begin(void)
{
	if (device_is_missing())
		return;
	setenv("TRACEBUF_RUNDIR", RUNDIR, 1);
	unsetenv("TRACEBUF_HOME");
	unsetenv("TRACEBUF");
	device_open_to_all();
	CHECK_IS(control_open(&control), 0);
}

static void end(void)
{
	if (device_is_missing())
		return;
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	CHECK(control_settles(&control, TRACEBUF_A_NR_RINGS, 0));
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "begin", begin },
		{ "numbers are the same in all processes", test_numbers },
		{ "traces come and go", test_traces },
		{ "fork", test_fork },
		{ "limit of processes", test_processes },
		{ "limit of pages", test_pages },
		{ "TRACEBUF_HOME", test_choice },
		{ "a device that may not be opened", test_closed_device },
		{ "end: nothing is left", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_library", tests);
}
