/* SPDX-License-Identifier: MIT */
/*
 * What the netlink family tells, and whom: dumps that are whole however long, notifications of every event, and
 * permissions of who asks and of who opened the socket.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "balance.h"
#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_telling"
#define USER 1000
#define OTHER_USER 1001

static struct control control;

/* ---- Permissions ---- */

static void count_message(const struct control_facts *facts, void *arg)
{
	(void) facts;
	++*(unsigned int *) arg;
}

static unsigned int count(struct control *asker, unsigned int cmd)
{
	unsigned int nr = 0;

	CHECK(control_dump(asker, cmd, NULL, count_message, &nr) >= 0);
	return nr;
}

/* Everything that changes a trace, or tells of it. */
static void check_refused(struct control *asker, const struct control_trace *trace)
{
	static const unsigned int commands[] = {
		TRACEBUF_CMD_TRACE_ADOPT, TRACEBUF_CMD_TRACE_START, TRACEBUF_CMD_TRACE_STOP, TRACEBUF_CMD_TRACE_DESTROY,
		TRACEBUF_CMD_TRACE_SHOW, TRACEBUF_CMD_STATEDUMP, TRACEBUF_CMD_RULES_SET,
	};
	struct control_request request;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		CHECK_IS(control_simple(asker, commands[i], trace->generation), -EPERM);
	control_begin(&request, TRACEBUF_CMD_CHANNEL_SET);
	control_put_u64(&request, TRACEBUF_A_GENERATION, trace->generation);
	control_put_u32(&request, TRACEBUF_A_CHANNEL, 1);
	control_put(&request, TRACEBUF_A_CHANNEL_CONFIG, &control_channel, sizeof(control_channel));
	CHECK_IS(control_send(asker, &request, NULL), -EPERM);
}

static void check_other_user(struct child *self, void *arg)
{
	struct control own;

	(void) self;
	become(OTHER_USER);
	CHECK_IS(control_open(&own), 0);
	check_refused(&own, arg);
	CHECK_IS(count(&own, TRACEBUF_CMD_TRACE_GET), 0);
	CHECK_IS(count(&own, TRACEBUF_CMD_PROCESS_GET), 0);
	CHECK_IS(count(&own, TRACEBUF_CMD_RING_GET), 0);
}

static void own_a_trace(struct child *self, void *arg)
{
	struct control_trace *trace = arg;
	struct control own;
	uint64_t number;

	become(USER);
	CHECK_IS(control_open(&own), 0);
	if (!CHECK_IS(control_make(&own, "users", DOMAIN, &control_channel, trace), 0))
		return;
	CHECK_IS(count(&own, TRACEBUF_CMD_TRACE_GET), 1);
	child_tell(self, trace->generation);
	child_hear(self, &number);
	CHECK_IS(control_destroy(&own, trace), -ENOENT);
}

static void test_users(void)
{
	struct control_trace roots, users = { 0 };
	struct child user;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "roots", DOMAIN, &control_channel, &roots), 0))
		return;
	child_run(check_other_user, &roots);
	if (!child_start(&user, own_a_trace, &users))
		return;
	CHECK(child_hear(&user, &users.generation));
	CHECK_IS(count(&control, TRACEBUF_CMD_TRACE_GET), 2);
	child_run(check_other_user, &users);
	CHECK_IS(control_destroy(&control, &users), 0);
	child_tell(&user, 1);
	child_end(&user);
	CHECK_IS(control_destroy(&control, &roots), 0);
}

/* A socket that a user has opened and root writes to does what the user may. */
static void check_passed_socket(struct child *self, void *arg)
{
	struct control theirs;
	struct control_trace trace;

	(void) self;
	CHECK_IS(setegid(USER) || seteuid(USER), 0);
	CHECK_IS(control_open(&theirs), 0);
	CHECK_IS(seteuid(0) || setegid(0), 0);
	check_refused(&theirs, arg);
	CHECK_IS(count(&theirs, TRACEBUF_CMD_TRACE_GET), 0);
	CHECK_IS(control_create(&theirs, "passed", DOMAIN, &trace), -EPERM);
}

/* And one that root has opened does not let a user do more than the user may. */
static void check_inherited_socket(struct child *self, void *arg)
{
	struct control_trace trace;

	(void) self;
	become(USER);
	check_refused(&control, arg);
	CHECK_IS(count(&control, TRACEBUF_CMD_TRACE_GET), 0);
	CHECK_IS(control_create(&control, "inherited", DOMAIN, &trace), -EPERM);
}

static void test_sockets(void)
{
	struct control_trace roots;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "roots", DOMAIN, &control_channel, &roots), 0))
		return;
	child_run(check_passed_socket, &roots);
	child_run(check_inherited_socket, &roots);
	CHECK_IS(control_destroy(&control, &roots), 0);
}

/* What a container's root has, as container engines start it: no CAP_SYS_ADMIN. */
#define CONTAINER_CAPABILITIES 0xa80425fbu

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = CONTAINER_CAPABILITIES, .permitted = CONTAINER_CAPABILITIES },
	};

	CHECK_IS(syscall(SYS_capset, &header, data), 0);
}

struct strangers {
	struct control_trace trace;	/* of a root that is another one */
	char process[96];		/* and of its processes one */
};

/* Root here, but not theirs: reaches nothing of theirs. What it makes of its own does not see them. */
static void be_strange_root(struct child *self, void *arg)
{
	const struct strangers *strangers = arg;
	struct control_trace trace;
	struct tracebuf_ioc_ring ring;
	struct writer writer;
	struct control own;
	uint64_t number;

	drop_capabilities();
	CHECK_IS(control_open(&own), 0);
	check_refused(&own, &strangers->trace);
	CHECK_IS(count(&own, TRACEBUF_CMD_TRACE_GET), 0);
	CHECK_IS(count(&own, TRACEBUF_CMD_PROCESS_GET), 0);
	CHECK_IS(device_open_process(strangers->process), -EACCES);
	if (!CHECK_IS(control_make(&own, "containers", DOMAIN, &control_channel, &trace), 0))
		return;
	child_tell(self, trace.generation);
	child_tell(self, trace.slot);
	child_hear(self, &number);
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	CHECK(device_ring(trace.generation, TRACEBUF_RING_SET(trace.slot, 0), 0, &ring) >= 0);
	CHECK_IS(count(&own, TRACEBUF_CMD_PROCESS_GET), 1);
	CHECK_IS(control_destroy(&own, &trace), 0);
}

/* A process and a trace of this root; the other one's does not apply to it. */
static void meet_stranger(bool is_contained)
{
	struct strangers strangers;
	struct tracebuf_ioc_ring ring;
	struct writer writer;
	struct child stranger;
	uint64_t generation = 0, slot = 0;

	if (is_contained) {
		CHECK_IS(unshare(CLONE_NEWPID), 0);
		drop_capabilities();
	}
	if (!CHECK_IS(control_make(&control, "roots", DOMAIN, &control_channel, &strangers.trace), 0) ||
	    !CHECK_IS(writer_open(&writer, DOMAIN), 0))
		return;
	memcpy(strangers.process, writer.name, sizeof(strangers.process));
	if (child_start(&stranger, be_strange_root, &strangers)) {
		if (CHECK(child_hear(&stranger, &generation) && child_hear(&stranger, &slot)))
			CHECK_IS(device_ring(generation, TRACEBUF_RING_SET(slot, 0), 0, &ring), -EPERM);
		child_tell(&stranger, 1);
		child_end(&stranger);
	}
	CHECK_IS(control_destroy(&control, &strangers.trace), 0);
}

static void meet_lesser_root(struct child *self, void *arg)
{
	(void) self, (void) arg;
	meet_stranger(false);
}

/* No less capable, but in a PID namespace that does not contain this process. */
static void meet_equal_root(struct child *self, void *arg)
{
	(void) self, (void) arg;
	meet_stranger(true);
}

static void test_roots(void)
{
	if (device_is_missing())
		return;
	child_run(meet_lesser_root, NULL);
	child_run(meet_equal_root, NULL);
}

/* ---- Dumps ---- */

#define NR_MANY 300

struct seen {
	unsigned int nr, nr_twice, nr_bad;
	bool instance[NR_MANY];
	uint64_t generation;
};

static void see_ring(const struct control_facts *facts, void *arg)
{
	const uint64_t all = 1ull << TRACEBUF_A_GENERATION | 1ull << TRACEBUF_A_FILE_NAME |
			     1ull << TRACEBUF_A_NR_PAGES | 1ull << TRACEBUF_A_IS_GONE | 1ull << TRACEBUF_A_IS_SHOWN;
	const char *text = strrchr(facts->text[TRACEBUF_A_FILE_NAME], '-');
	unsigned int instance = text ? (unsigned int) atoi(text + 1) : NR_MANY;
	struct seen *seen = arg;

	seen->nr++;
	if (instance >= NR_MANY || (facts->has & all) != all || facts->cmd != TRACEBUF_CMD_RING_GET ||
	    facts->number[TRACEBUF_A_GENERATION] != seen->generation) {
		seen->nr_bad++;
		return;
	}
	seen->nr_twice += seen->instance[instance];
	seen->instance[instance] = true;
}

/* More rings of one process than go into one message, which come and go while they are told. */
static void check_ring_dump(struct child *self, void *arg)
{
	static struct control_request request;
	const struct control_trace *trace = arg;
	struct seen seen = { .generation = trace->generation };
	struct tracebuf_ioc_ring ring;
	struct writer writer;

	(void) self;
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	for (unsigned int i = 0; i < NR_MANY; i++)
		if (!CHECK(device_ring(trace->generation, TRACEBUF_RING_SET(trace->slot, 0), 0, &ring) >= 0))
			return;
	CHECK_IS(control_dump(&control, TRACEBUF_CMD_RING_GET, NULL, see_ring, &seen), NR_MANY);
	CHECK_IS(seen.nr_twice, 0);
	CHECK_IS(seen.nr_bad, 0);
	control_begin(&request, TRACEBUF_CMD_RING_GET);
	control_put_u64(&request, TRACEBUF_A_GENERATION, trace->generation + 1);
	CHECK_IS(control_dump(&control, TRACEBUF_CMD_RING_GET, &request, see_ring, &seen), 0);
	control_begin(&request, TRACEBUF_CMD_RING_GET);
	control_put_u64(&request, TRACEBUF_A_GENERATION, trace->generation);
	CHECK_IS(control_dump(&control, TRACEBUF_CMD_RING_GET, &request, see_ring, &seen), NR_MANY);
	CHECK_IS(control_status(&control, TRACEBUF_A_NR_RINGS), NR_MANY);
}

static void be_process(struct child *self, void *arg)
{
	struct writer writer;
	uint64_t number;

	(void) arg;
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	child_tell(self, 1);
	child_hear(self, &number);
}

#define NR_PROCESSES 60

struct processes {
	unsigned int nr, nr_bad;
};

static void see_process(const struct control_facts *facts, void *arg)
{
	const uint64_t all = 1ull << TRACEBUF_A_FILE_NAME | 1ull << TRACEBUF_A_UID | 1ull << TRACEBUF_A_DOMAIN |
			     1ull << TRACEBUF_A_NR_RINGS | 1ull << TRACEBUF_A_NR_PAGES | 1ull << TRACEBUF_A_IS_GONE;
	struct processes *seen = arg;

	seen->nr++;
	seen->nr_bad += (facts->has & all) != all || strcmp(facts->text[TRACEBUF_A_DOMAIN], DOMAIN) ||
			facts->number[TRACEBUF_A_IS_GONE] || facts->number[TRACEBUF_A_UID];
}

static void check_process_dump(void)
{
	struct child child[NR_PROCESSES];
	struct processes seen = { 0 };
	uint64_t number;

	for (unsigned int i = 0; i < NR_PROCESSES; i++) {
		CHECK(child_start(&child[i], be_process, NULL));
		child_hear(&child[i], &number);
	}
	control_dump(&control, TRACEBUF_CMD_PROCESS_GET, NULL, see_process, &seen);
	CHECK_IS(seen.nr, NR_PROCESSES);
	CHECK_IS(seen.nr_bad, 0);
	CHECK_IS(control_status(&control, TRACEBUF_A_NR_PROCESSES), NR_PROCESSES);
	for (unsigned int i = 0; i < NR_PROCESSES; i++) {
		child_tell(&child[i], 1);
		child_end(&child[i]);
	}
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
}

static void see_trace(const struct control_facts *facts, void *arg)
{
	const uint64_t all = 1ull << TRACEBUF_A_GENERATION | 1ull << TRACEBUF_A_SLOT | 1ull << TRACEBUF_A_NAME |
			     1ull << TRACEBUF_A_UUID | 1ull << TRACEBUF_A_DIRECTORY | 1ull << TRACEBUF_A_DOMAIN |
			     1ull << TRACEBUF_A_ACTIVE | 1ull << TRACEBUF_A_UID | 1ull << TRACEBUF_A_NR_RINGS |
			     1ull << TRACEBUF_A_NR_PAGES;
	const struct control_trace *trace = arg;

	CHECK_IS(facts->has & all, all);
	CHECK_IS(facts->number[TRACEBUF_A_GENERATION], trace->generation);
	CHECK_IS(facts->number[TRACEBUF_A_SLOT], trace->slot);
	CHECK_IS(facts->number[TRACEBUF_A_ACTIVE], 1);
	CHECK_IS(strcmp(facts->text[TRACEBUF_A_NAME], trace->name), 0);
	CHECK_IS(strcmp(facts->text[TRACEBUF_A_DOMAIN], DOMAIN), 0);
}

static void test_dumps(void)
{
	struct control_trace trace;
	struct control_request request;
	struct control_facts facts = { 0 };
	const uint64_t all = 1ull << TRACEBUF_A_CLOCK | 1ull << TRACEBUF_A_NR_PAGES | 1ull << TRACEBUF_A_MAX_PAGES |
			     1ull << TRACEBUF_A_MAX_USER_PAGES | 1ull << TRACEBUF_A_NR_PROCESSES |
			     1ull << TRACEBUF_A_MAX_PROCESSES | 1ull << TRACEBUF_A_NR_RINGS |
			     1ull << TRACEBUF_A_DISCARDED;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "dumps", DOMAIN, &control_channel, &trace), 0))
		return;
	CHECK_IS(control_dump(&control, TRACEBUF_CMD_TRACE_GET, NULL, see_trace, &trace), 1);
	control_begin(&request, TRACEBUF_CMD_STATUS_GET);
	CHECK_IS(control_send(&control, &request, &facts), 0);
	CHECK_IS(facts.has & all, all);
	CHECK_IS(facts.number[TRACEBUF_A_CLOCK], TRACEBUF_CLOCK_MONOTONIC);
	child_run(check_ring_dump, &trace);
	/* Its process stays until its rings go, which is now. */
	CHECK_IS(control_status(&control, TRACEBUF_A_NR_PROCESSES), 1);
	CHECK_IS(control_destroy(&control, &trace), 0);
	check_process_dump();
}

/* ---- Notifications ---- */

/* What a process does, step by step as it is told. */
static void live(struct child *self, void *arg)
{
	const struct control_trace *trace = arg;
	struct writer_ring ring;
	struct writer writer;
	uint64_t number;

	child_hear(self, &number);
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	child_hear(self, &number);
	CHECK_IS(writer_event(&writer, "test:told", NULL), 0);
	CHECK_IS(writer_ring(&writer, trace->generation, TRACEBUF_RING_SET(trace->slot, 0), 0, &ring), 0);
	child_hear(self, &number);
	CHECK_IS(writer_fill(&ring), 0);
	child_hear(self, &number);
	CHECK_IS(writer_fill(&ring), 0);
	child_hear(self, &number);
}

static void check_told(struct control *listener, unsigned int cmd, const struct control_trace *trace, char *name)
{
	bool of_ring = cmd == TRACEBUF_CMD_RING_NEW || cmd == TRACEBUF_CMD_RING_SWITCH || cmd == TRACEBUF_CMD_RING_GONE;
	struct control_facts facts = { 0 };

	if (!CHECK_IS(control_await(listener, cmd, of_ring ? trace->generation : 0, 10000, &facts), 0)) {
		tb_note("  command %u", cmd);
		return;
	}
	CHECK(strlen(facts.text[TRACEBUF_A_FILE_NAME]) > 0);
	if (*name)
		CHECK_IS(strcmp(facts.text[TRACEBUF_A_FILE_NAME], name), 0);
	snprintf(name, 96, "%.95s", facts.text[TRACEBUF_A_FILE_NAME]);
}

static void test_notifications(void)
{
	struct control listener;
	struct control_facts facts = { 0 };
	struct control_trace trace;
	struct child child;
	char process[96] = "", ring[96] = "";
	int reader;

	if (device_is_missing() || !CHECK_IS(control_open(&listener), 0))
		return;
	CHECK_IS(control_listen(&listener), 0);
	if (!CHECK_IS(control_make(&control, "told", DOMAIN, &control_channel, &trace), 0))
		return;
	CHECK_IS(control_await(&listener, TRACEBUF_CMD_TRACE_NEW, trace.generation, 10000, &facts), 0);
	CHECK_IS(strcmp(facts.text[TRACEBUF_A_NAME], "told"), 0);
	if (!child_start(&child, live, &trace))
		return;
	child_tell(&child, 1);
	check_told(&listener, TRACEBUF_CMD_PROCESS_NEW, &trace, process);
	child_tell(&child, 2);
	check_told(&listener, TRACEBUF_CMD_PROCESS_CHANGED, &trace, process);
	child_tell(&child, 3);
	check_told(&listener, TRACEBUF_CMD_RING_NEW, &trace, ring);
	child_tell(&child, 4);
	check_told(&listener, TRACEBUF_CMD_RING_SWITCH, &trace, ring);
	child_tell(&child, 5);
	child_end(&child);
	check_told(&listener, TRACEBUF_CMD_PROCESS_GONE, &trace, process);
	reader = device_open_ring(trace.generation, ring);
	CHECK_IS(device_release(reader), 0);
	check_told(&listener, TRACEBUF_CMD_RING_GONE, &trace, ring);
	CHECK_IS(control_destroy(&control, &trace), 0);
	CHECK_IS(control_await(&listener, TRACEBUF_CMD_TRACE_GONE, trace.generation, 10000, &facts), 0);
	CHECK_IS(control_next(&listener, 200, &facts), -EAGAIN);
	close(reader);
	control_close(&listener);
}

/* Who does not keep up is told so. */
static void check_overflow(struct child *self, void *arg)
{
	const struct control_trace *trace = arg;
	struct control_facts facts;
	struct control listener;
	struct writer_ring ring;
	struct writer writer;
	int small = 1, result = 0;

	(void) self;
	CHECK_IS(control_open(&listener), 0);
	setsockopt(listener.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	CHECK_IS(control_listen(&listener), 0);
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	CHECK_IS(writer_ring(&writer, trace->generation, TRACEBUF_RING_SET(trace->slot, 0), 0, &ring), 0);
	for (int i = 0; i < 200; i++)
		CHECK_IS(device_switch(ring.arg.instance), 0);
	for (int i = 0; i < 300 && !result; i++)
		result = control_next(&listener, 0, &facts);
	CHECK_IS(result, -ENOBUFS);
}

static void test_overflow(void)
{
	struct control_trace trace;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "overflow", DOMAIN, &control_channel, &trace), 0))
		return;
	child_run(check_overflow, &trace);
	CHECK_IS(control_destroy(&control, &trace), 0);
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
		{ "users", test_users },
		{ "sockets of others", test_sockets },
		{ "other roots", test_roots },
		{ "dumps", test_dumps },
		{ "notifications", test_notifications },
		{ "notifications: too many", test_overflow },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_telling", tests);
}
