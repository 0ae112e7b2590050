/* SPDX-License-Identifier: MIT */
/*
 * Limits that are changed while all runs: what is refused, by which error, and that nothing else breaks. And the
 * module's own end: refused while anything of it is in use, otherwise complete.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "balance.h"
#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_limits"
#define NOBODY 65534
#define PARAMETER(name) "/sys/module/tracebuf/parameters/" name
#define TREE "/sys/kernel/debug/tracebuf"
#define MODULE "/tracebuf.ko"
#define MADV_POPULATE_WRITE_ 23

static struct control control;

static void set_parameter(const char *path, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long) value);
	CHECK_IS(file_write(path, text), 0);
	CHECK_IS(file_number(path), value);
}

static uint64_t nr_pages(void)
{
	return control_status(&control, TRACEBUF_A_NR_PAGES);
}

static uint64_t nr_refused(void)
{
	return control_status(&control, TRACEBUF_A_DISCARDED);
}

/* ---- Pages ---- */

static bool start(const struct control_trace *trace, struct writer *writer, struct writer_ring *ring)
{
	return writer_start(writer, DOMAIN, trace, ring) && CHECK_IS(control_flush(&control, trace), 0);
}

/* Two pages more may be had, and there the limit is. */
static void check_page_limit(const struct control_trace *trace, struct writer_ring *ring, const char *parameter,
			     uint64_t limit)
{
	struct tracebuf_ioc_ring of_ring;
	uint64_t before = file_number(parameter) > 0 ? (uint64_t) file_number(parameter) : 0, refused = nr_refused();
	size_t page = page_size();

	set_parameter(parameter, limit);
	CHECK_IS(store_signal(ring->data), 0);
	CHECK_IS(madvise(ring->data + page, page, MADV_POPULATE_WRITE_), 0);
	CHECK_IS(store_signal(ring->data + 2 * page), SIGBUS);
	CHECK(madvise(ring->data + 2 * page, page, MADV_POPULATE_WRITE_) != 0);
	CHECK(nr_refused() > refused);
	/* What is there is as it was; what is not reads as zeroes. */
	CHECK_IS(store_signal(ring->data + page + 5), 0);
	CHECK_IS(ring->data[page + 5], 0x5e);
	CHECK_IS(ring->data[2 * page], 0);
	CHECK_IS(device_ring(trace->generation, TRACEBUF_RING_SET(trace->slot, 0), 0, &of_ring), -ENOSPC);
	CHECK_IS(device_switch(ring->arg.instance), 0);
	set_parameter(parameter, before);
	CHECK_IS(store_signal(ring->data + 2 * page), 0);
}

static void check_max_pages(struct child *self, void *arg)
{
	struct writer_ring ring;
	struct writer writer;

	(void) self;
	if (start(arg, &writer, &ring))
		check_page_limit(arg, &ring, PARAMETER("max_pages"), nr_pages() + 2);
}

static void try_to_register(struct child *self, void *arg)
{
	struct writer writer;

	(void) self;
	CHECK_IS(writer_open(&writer, DOMAIN), *(int *) arg);
}

/* Root's limit as a user does not count, for it has CAP_SYS_RESOURCE. */
static void check_root_passes(struct child *self, void *arg)
{
	struct writer_ring ring;
	struct writer writer;
	uint64_t before = (uint64_t) file_number(PARAMETER("max_user_pages"));

	(void) self;
	set_parameter(PARAMETER("max_user_pages"), 1);
	if (start(arg, &writer, &ring))
		CHECK_IS(madvise(ring.data, 4 * 65536, MADV_POPULATE_WRITE_), 0);
	set_parameter(PARAMETER("max_user_pages"), before);
}

/* An unprivileged process that is told when it meets its limit. */
static void be_user(struct child *self, void *arg)
{
	const struct control_trace *trace = arg;
	struct tracebuf_ioc_ring of_ring;
	struct writer_ring ring;
	struct writer writer;
	size_t page = page_size();
	uint64_t number;

	become(NOBODY);
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	CHECK_IS(writer_event(&writer, "test:limited", NULL), 0);
	CHECK_IS(writer_ring(&writer, trace->generation, TRACEBUF_RING_SET(trace->slot, 0), 0, &ring), 0);
	child_tell(self, 1);
	child_hear(self, &number);
	CHECK_IS(store_signal(ring.data), 0);
	CHECK_IS(store_signal(ring.data + page), 0);
	CHECK_IS(store_signal(ring.data + 2 * page), SIGBUS);
	CHECK(madvise(ring.data + 2 * page, page, MADV_POPULATE_WRITE_) != 0);
	CHECK_IS(device_ring(trace->generation, TRACEBUF_RING_SET(trace->slot, 0), 0, &of_ring), -ENOSPC);
	child_tell(self, 1);
	child_hear(self, &number);
	CHECK_IS(store_signal(ring.data + 2 * page), 0);
}

static void check_user_limit(const struct control_trace *trace)
{
	uint64_t before = (uint64_t) file_number(PARAMETER("max_user_pages")), pages = nr_pages(), number;
	struct child user;

	if (!child_start(&user, be_user, (void *) trace))
		return;
	CHECK(child_hear(&user, &number));
	CHECK_IS(control_flush(&control, trace), 0);
	set_parameter(PARAMETER("max_user_pages"), nr_pages() - pages + 2);
	child_tell(&user, 1);
	CHECK(child_hear(&user, &number));
	child_run(check_root_passes, (void *) trace);
	set_parameter(PARAMETER("max_user_pages"), before);
	child_tell(&user, 1);
	child_end(&user);
}

/* Waits for slots that rest. */
static int create_patiently(struct control *own, struct control_trace *ret_trace)
{
	int result;

	while ((result = control_create(own, "mine", DOMAIN, ret_trace)) == -EAGAIN)
		sleep_ms(20);
	return result;
}

/* Makes traces until it is refused, which the device's mode and its limit decide. */
static void make_traces(struct child *self, void *arg)
{
	struct control_trace trace[TRACEBUF_NR_SLOTS];
	struct control own;
	uint64_t expected;
	unsigned int nr = 0;
	int result;

	(void) arg;
	become(NOBODY);
	CHECK_IS(control_open(&own), 0);
	while (child_hear(self, &expected)) {
		for (nr = 0; !(result = create_patiently(&own, &trace[nr])) && nr < TRACEBUF_NR_SLOTS - 1; nr++)
			;
		CHECK_IS(result, expected ? -EDQUOT : -EACCES);
		CHECK_IS(nr, expected);
		for (unsigned int i = 0; i < nr; i++)
			CHECK_IS(control_destroy(&own, &trace[i]), 0);
		child_tell(self, nr);
	}
}

/* A user who may not open the device makes none; one who may, as many as are allowed to a user. */
static void test_traces(void)
{
	uint64_t before = (uint64_t) file_number(PARAMETER("max_user_traces")), number;
	struct child user;
	struct stat device;

	if (device_is_missing() || !CHECK_IS(stat(TRACEBUF_DEVICE, &device), 0) || !child_start(&user, make_traces, NULL))
		return;
	CHECK_IS(chmod(TRACEBUF_DEVICE, 0600), 0);
	child_tell(&user, 0);
	CHECK(child_hear(&user, &number));
	CHECK_IS(chmod(TRACEBUF_DEVICE, 0666), 0);
	set_parameter(PARAMETER("max_user_traces"), 3);
	child_tell(&user, 3);
	CHECK(child_hear(&user, &number));
	set_parameter(PARAMETER("max_user_traces"), before);
	CHECK_IS(chmod(TRACEBUF_DEVICE, device.st_mode & 07777), 0);
	shutdown(user.fd, SHUT_WR);
	child_end(&user);
}

/* Slots rest for minutes behind traces whose clock is said to be slow: the user's share of them, no more. */
static void exhaust_slots(struct child *self, void *arg)
{
	struct control_trace trace;
	struct control own;
	unsigned int nr;
	int result = 0;

	(void) self, (void) arg;
	become(NOBODY);
	CHECK_IS(control_open(&own), 0);
	control_frequency = 1000000;
	for (nr = 0; nr < 2 * TRACEBUF_NR_SLOTS && !result; nr++) {
		result = control_create(&own, "slow", DOMAIN, &trace);
		if (!result)
			CHECK_IS(control_destroy(&own, &trace), 0);
	}
	CHECK_IS(result, -EAGAIN);
	CHECK(nr - 1 <= 2);
}

/* Until the module is loaded anew these slots are of no use to anybody. */
static void test_resting(void)
{
	uint64_t before = (uint64_t) file_number(PARAMETER("max_user_traces"));
	struct control_trace trace;

	if (device_is_missing())
		return;
	set_parameter(PARAMETER("max_user_traces"), 2);
	child_run(exhaust_slots, NULL);
	set_parameter(PARAMETER("max_user_traces"), before);
	CHECK_IS(control_make(&control, "limits", DOMAIN, &control_channel, &trace), 0);
	CHECK_IS(control_destroy(&control, &trace), 0);
}

static void test_pages(void)
{
	struct control_trace trace;
	uint64_t before = (uint64_t) file_number(PARAMETER("max_pages"));
	int expected = -ENOSPC;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "limits", DOMAIN, &control_channel, &trace), 0))
		return;
	child_run(check_max_pages, &trace);
	check_user_limit(&trace);
	CHECK_IS(control_destroy(&control, &trace), 0);
	/* A statedump that is under way may hold a process's pages for a moment longer than the process is told of. */
	balance_check(&control);
	set_parameter(PARAMETER("max_pages"), nr_pages() + 2);
	child_run(try_to_register, &expected);
	/* Even with no page to be had at all, what is there works. */
	set_parameter(PARAMETER("max_pages"), 0);
	child_run(try_to_register, &expected);
	CHECK_IS(control_make(&control, "limits", DOMAIN, &control_channel, &trace), 0);
	CHECK_IS(control_destroy(&control, &trace), 0);
	set_parameter(PARAMETER("max_pages"), before);
}

/* ---- Processes ---- */

static void be_process(struct child *self, void *arg)
{
	struct writer writer;
	uint64_t number;

	(void) arg;
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	child_tell(self, 1);
	child_hear(self, &number);
}

static void test_processes(void)
{
	uint64_t before = (uint64_t) file_number(PARAMETER("max_processes")), number;
	struct child first, second;
	int refused = -EMFILE, fine = 0;

	if (device_is_missing())
		return;
	set_parameter(PARAMETER("max_processes"), 2);
	if (!child_start(&first, be_process, NULL) || !child_start(&second, be_process, NULL))
		return;
	CHECK(child_hear(&first, &number) && child_hear(&second, &number));
	child_run(try_to_register, &refused);
	set_parameter(PARAMETER("max_processes"), 1);
	child_run(try_to_register, &refused);
	child_tell(&first, 1);
	child_end(&first);
	child_tell(&second, 1);
	child_end(&second);
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	child_run(try_to_register, &fine);
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	set_parameter(PARAMETER("max_processes"), 0);
	child_run(try_to_register, &refused);
	set_parameter(PARAMETER("max_processes"), before);
}

/* The second process of a user. */
static void check_users_process(struct child *self, void *arg)
{
	int refused = -EMFILE;

	(void) self;
	become(NOBODY);
	be_process(self, arg);
	child_run(try_to_register, &refused);
}

static void test_user_processes(void)
{
	uint64_t before = (uint64_t) file_number(PARAMETER("max_user_processes")), number;
	struct child user, root[2];

	if (device_is_missing())
		return;
	set_parameter(PARAMETER("max_user_processes"), 1);
	if (!child_start(&user, check_users_process, NULL) || !child_start(&root[0], be_process, NULL) ||
	    !child_start(&root[1], be_process, NULL))
		return;
	CHECK(child_hear(&user, &number) && child_hear(&root[0], &number) && child_hear(&root[1], &number));
	for (unsigned int i = 0; i < 2; i++) {
		child_tell(&root[i], 1);
		child_end(&root[i]);
	}
	child_tell(&user, 1);
	child_end(&user);
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	set_parameter(PARAMETER("max_user_processes"), before);
}

/* ---- Events ---- */

static void describe_roots(struct child *self, void *arg)
{
	struct writer writer;
	uint64_t number;

	(void) arg;
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	for (unsigned int i = 0; i < 4; i++) {
		char name[32];

		snprintf(name, sizeof(name), "roots:event%u", i);
		CHECK_IS(writer_event(&writer, name, NULL), 0);
	}
	child_tell(self, 1);
	child_hear(self, &number);
}

/* What others have described costs the user nothing. */
static void describe_own(struct child *self, void *arg)
{
	struct writer writer;

	(void) self, (void) arg;
	become(NOBODY);
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	CHECK_IS(writer_event(&writer, "own:event0", NULL), 0);
	CHECK_IS(writer_event(&writer, "own:event1", NULL), 0);
	CHECK_IS(writer_event(&writer, "own:event2", NULL), -ENOSPC);
	CHECK_IS(writer_event(&writer, "roots:event2", NULL), 0);
}

static void test_events(void)
{
	uint64_t before = (uint64_t) file_number(PARAMETER("max_user_events")), number;
	struct child root;

	if (device_is_missing())
		return;
	set_parameter(PARAMETER("max_user_events"), 2);
	if (child_start(&root, describe_roots, NULL) && CHECK(child_hear(&root, &number))) {
		/* Twice: its numbers are given back with its process. */
		child_run(describe_own, NULL);
		CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 1));
		child_run(describe_own, NULL);
	}
	child_tell(&root, 1);
	child_end(&root);
	set_parameter(PARAMETER("max_user_events"), before);
}

/* ---- Unloading ---- */

static int try_unload(void)
{
	return syscall(SYS_delete_module, "tracebuf", O_NONBLOCK) ? -errno : 0;
}

static void check_busy(const char *why)
{
	if (!CHECK_IS(try_unload(), -EAGAIN))
		tb_note("  with %s", why);
	CHECK_IS(access(TREE "/status", F_OK), 0);
}

/* Every thing that keeps it, one after another. */
static void check_uses(struct child *self, void *arg)
{
	const struct tracebuf_control *page;
	struct control_trace trace;
	struct writer writer;
	int fd = device_open();

	(void) self, (void) arg;
	check_busy("an open device");
	CHECK_IS(device_map(fd, 0, page_size(), PROT_READ, &page), 0);
	close(fd);
	check_busy("a mapping of the control file");
	munmap((void *) page, page_size());
	if (!CHECK_IS(control_make(&control, "uses", DOMAIN, &control_channel, &trace), 0))
		return;
	check_busy("a trace");
	CHECK_IS(control_destroy(&control, &trace), 0);
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	close(writer.fd);
	check_busy("a process");
}

static void be_named(struct child *self, void *arg)
{
	struct writer writer;
	uint64_t number;

	(void) arg;
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	child_tell(self, writer.id.incarnation);
	child_hear(self, &number);
}

/* A file of debugfs that is open keeps it, whatever became of the object. */
static void check_debugfs_use(void)
{
	struct tracebuf_ioc_register id = { .size = 0 };
	struct child process;
	char path[192], name[96];
	uint64_t number = 0;
	int fd, status;

	if (!child_start(&process, be_named, NULL))
		return;
	CHECK(child_hear(&process, &number));
	id.pid = process.pid;
	id.incarnation = number;
	device_process_name(name, &id);
	snprintf(path, sizeof(path), TREE "/procs/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	child_tell(&process, 1);
	child_end(&process);
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	check_busy("a process's open file");
	close(fd);
	status = open(TREE "/status", O_RDONLY | O_CLOEXEC);
	check_busy("the open status file");
	close(status);
}

/* The module again, as it was: who may open the device is as before. */
static int load(const struct stat *device)
{
	int fd = open(MODULE, O_RDONLY | O_CLOEXEC), result;

	if (fd < 0)
		return -errno;
	result = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	if (!result)
		result = chown(TRACEBUF_DEVICE, device->st_uid, device->st_gid) ||
			 chmod(TRACEBUF_DEVICE, device->st_mode & 07777) ? -errno : 0;
	return result;
}

static void test_unload(void)
{
	struct stat device;
	struct control other;
	uint64_t pages;

	if (device_is_missing())
		return;
	if (access(MODULE, R_OK)) {
		tb_skip("no " MODULE " to load again");
		return;
	}
	CHECK_IS(stat(TRACEBUF_DEVICE, &device), 0);
	child_run(check_uses, NULL);
	check_debugfs_use();
	balance_check(&control);
	pages = nr_pages();
	/* A netlink socket is not in the way. */
	if (!CHECK_IS(try_unload(), 0))
		return;
	CHECK(access(TRACEBUF_DEVICE, F_OK) != 0);
	CHECK(access(TREE, F_OK) != 0);
	CHECK(access("/sys/module/tracebuf", F_OK) != 0);
	CHECK_IS(control_open(&other), -ENOENT);
	CHECK(nr_pages() == 0);
	for (int i = 0; i < 5; i++) {
		CHECK_IS(load(&device), 0);
		if (i < 4)
			CHECK_IS(try_unload(), 0);
	}
	control_close(&control);
	CHECK_IS(control_open(&control), 0);
	CHECK_IS(nr_pages(), pages);
}

static void begin(void)
{
	if (balance_begin(&control))
		device_open_to_all();
}

static void end(void)
{
	if (!device_is_missing())
		balance_check(&control);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "begin", begin },
		{ "pages: in all and of a user", test_pages },
		{ "processes", test_processes },
		{ "processes of a user", test_user_processes },
		{ "events of a user", test_events },
		{ "traces of a user", test_traces },
		{ "slots that rest, of a user", test_resting },
		{ "unloading", test_unload },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_limits", tests);
}
