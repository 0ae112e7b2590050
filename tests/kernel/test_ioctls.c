/* SPDX-License-Identifier: MIT */
/*
 * Every call that a traced process makes on /dev/tracebuf with each of its words wrong in turn, and in each state that
 * it is not for. Those about rings: test_rings.c; readers' calls, and who may make them: test_open.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "balance.h"
#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_ioctls"

static struct control control;
static struct control_trace trace;

/* ---- The size-first rule, for every struct ---- */

/* A caller's own process, ring, and descriptors to call on. */
struct scene {
	struct writer writer;
	struct writer_ring ring;
	int reader, process_reader;
};

static bool set_scene(struct scene *scene)
{
	if (!writer_start(&scene->writer, DOMAIN, &trace, &scene->ring))
		return false;
	scene->reader = device_open_ring(trace.generation, scene->ring.name);
	scene->process_reader = device_open_process(scene->writer.name);
	return CHECK(scene->reader >= 0) && CHECK(scene->process_reader >= 0);
}

/* fd: -1 calls on a fresh descriptor each time. */
static int call_once(int fd, unsigned long number, const void *arg)
{
	int fresh = fd < 0 ? device_open() : fd, result = device_call(fresh, number, (void *) arg);

	if (fd < 0)
		close(fresh);
	return result;
}

/* Struct of size bytes which, as it is given, is right and gives expected. */
static void check_sizes(const char *name, int fd, unsigned long number, const void *right, uint32_t size, int expected)
{
	size_t page = page_size();
	unsigned char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *arg = two;
	bool fine = true;

	munmap(two + page, page);
	memcpy(arg, right, size);
	*(uint32_t *) arg = 0;
	fine &= CHECK_IS(call_once(fd, number, arg), -EINVAL);
	*(uint32_t *) arg = 3;
	fine &= CHECK_IS(call_once(fd, number, arg), -EINVAL);
	*(uint32_t *) arg = size + 8;
	arg[size + 7] = 1;
	fine &= CHECK_IS(call_once(fd, number, arg), -E2BIG);
	*(uint32_t *) arg = UINT32_MAX;
	fine &= CHECK_IS(call_once(fd, number, arg), -E2BIG);
	fine &= CHECK_IS(call_once(fd, number, NULL), -EFAULT);
	fine &= CHECK_IS(call_once(fd, number, (void *) (uintptr_t) -4096), -EFAULT);
	memcpy(two + page - size / 2, right, size / 2);
	fine &= CHECK_IS(call_once(fd, number, two + page - size / 2), -EFAULT);
	memcpy(arg, right, size);
	*(uint32_t *) arg = size + 8;
	memset(arg + size, 0, 8);
	fine &= CHECK_IS(call_once(fd, number, arg), expected);
	if (!fine)
		tb_note("  in %s", name);
	munmap(two, page);
}

static void check_all_sizes(struct child *self, void *arg)
{
	struct tracebuf_ioc_register of_register = {
		.size = sizeof(of_register), .writer = TRACEBUF_WRITER_RSEQ, .domain = (uintptr_t) DOMAIN,
		.domain_size = strlen(DOMAIN)
	};
	_Alignas(8) unsigned char description[256];
	struct tracebuf_ioc_describe describe = {
		.size = sizeof(describe), .nr = 1, .descriptions = (uintptr_t) description,
		.descriptions_size = (uint32_t) writer_describe(description, "test:sizes", "x"),
	};
	struct tracebuf_enable record = { .used = 1 };
	struct tracebuf_ioc_enable enable = {
		.size = sizeof(enable), .records_size = sizeof(record), .records = (uintptr_t) &record,
	};
	struct tracebuf_ioc_ring ring = {
		.size = sizeof(ring), .ring_set = TRACEBUF_RING_SET(trace.slot, 0), .generation = trace.generation,
		.writer = TRACEBUF_WRITER_FALLBACK,
	};
	struct tracebuf_ioc_wait wait = { .size = sizeof(wait) };
	struct tracebuf_ioc_switch leave = { .size = sizeof(leave) };
	struct tracebuf_ioc_open open_ring = {
		.size = sizeof(open_ring), .kind = TRACEBUF_KIND_RING, .generation = trace.generation
	};
	struct tracebuf_ioc_get get = { .size = sizeof(get) };
	struct tracebuf_ioc_put put = { .size = sizeof(put) };
	struct scene scene;

	(void) self, (void) arg;
	check_sizes("register", -1, TRACEBUF_IOC_REGISTER, &of_register, sizeof(of_register), 0);
	/* That process was never mapped: it has gone with its descriptor. */
	CHECK(control_settles(&control, TRACEBUF_A_NR_PROCESSES, 0));
	if (!set_scene(&scene))
		return;
	check_sizes("describe", scene.writer.fd, TRACEBUF_IOC_DESCRIBE, &describe, sizeof(describe), 0);
	check_sizes("enable", scene.writer.fd, TRACEBUF_IOC_ENABLE, &enable, sizeof(enable), 0);
	check_sizes("ring", -1, TRACEBUF_IOC_RING, &ring, sizeof(ring), 0);
	leave.instance = wait.instance = scene.ring.arg.instance;
	check_sizes("switch", -1, TRACEBUF_IOC_SWITCH, &leave, sizeof(leave), 0);
	check_sizes("wait", -1, TRACEBUF_IOC_WAIT, &wait, sizeof(wait), 0);
	memcpy(open_ring.name, scene.ring.name, sizeof(open_ring.name));
	check_sizes("open", -1, TRACEBUF_IOC_OPEN, &open_ring, sizeof(open_ring), 0);
	check_sizes("get", scene.reader, TRACEBUF_IOC_GET, &get, sizeof(get), -EAGAIN);
	check_sizes("put", scene.reader, TRACEBUF_IOC_PUT, &put, sizeof(put), 0);
}

static void test_sizes(void)
{
	if (!device_is_missing())
		child_run(check_all_sizes, NULL);
}

/* ---- Numbers that are none, and states ---- */

static void check_unknown(int fd)
{
	static const unsigned long unknown[] = {
		_IO(TRACEBUF_IOC_MAGIC, 0), _IO(TRACEBUF_IOC_MAGIC, 13), _IO(TRACEBUF_IOC_MAGIC, 255),
		_IOWR(TRACEBUF_IOC_MAGIC, 1, int), _IO('T', 1), 0, 0xffffffff,
	};

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		CHECK_IS(device_call(fd, unknown[i], NULL), -ENOTTY);
}

static void check_bound(int fd, bool is_reader)
{
	struct tracebuf_ioc_register of_register = { .size = sizeof(of_register), .writer = TRACEBUF_WRITER_RSEQ };
	struct tracebuf_ioc_ring ring = { .size = sizeof(ring) };
	struct tracebuf_ioc_open open_it = { .size = sizeof(open_it) };
	struct tracebuf_ioc_switch leave = { .size = sizeof(leave) };
	struct tracebuf_ioc_wait wait = { .size = sizeof(wait) };
	int previous = device_call(fd, TRACEBUF_IOC_PREVIOUS, NULL);

	check_unknown(fd);
	CHECK(previous == -EBUSY || previous == -ENXIO);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_REGISTER, &of_register), -EBUSY);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_SELF, NULL), -EBUSY);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_RING, &ring), -EBUSY);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_OPEN, &open_it), -EBUSY);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_SWITCH, &leave), -EBUSY);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_WAIT, &wait), -EBUSY);
	if (!is_reader) {
		CHECK(device_release(fd) < 0);
		CHECK(device_put(fd, 0) < 0);
	}
}

static void check_states(struct child *self, void *arg)
{
	struct tracebuf_ioc_describe describe = { .size = sizeof(describe), .nr = 1, .descriptions_size = 64 };
	struct tracebuf_ioc_enable enable = { .size = sizeof(enable), .records_size = 64 };
	struct tracebuf_ioc_ring of_ring;
	struct tracebuf_ioc_get got;
	struct scene scene;
	char path[256];
	int fd = device_open();

	(void) self, (void) arg;
	check_unknown(fd);
	CHECK_IS(device_self(), -ESRCH);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_SELF, &describe), -EINVAL);
	CHECK_IS(device_switch(0), -ESRCH);
	CHECK_IS(device_wait(0, 0, 0), -ESRCH);
	CHECK_IS(device_ring(trace.generation, TRACEBUF_RING_SET(trace.slot, 0), 0, &of_ring), -ESRCH);
	CHECK_IS(device_get(fd, &got), -EINVAL);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_DESCRIBE, &describe), -EINVAL);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_ENABLE, &enable), -EINVAL);
	CHECK(read(fd, path, 1) < 0);
	if (!set_scene(&scene))
		return;
	check_bound(scene.writer.fd, false);
	check_bound(scene.ring.fd, false);
	check_bound(scene.reader, true);
	check_bound(scene.process_reader, true);
	CHECK_IS(device_call(scene.ring.fd, TRACEBUF_IOC_DESCRIBE, &describe), -EINVAL);
	CHECK_IS(device_call(scene.process_reader, TRACEBUF_IOC_ENABLE, &enable), -EINVAL);
	CHECK_IS(device_get(scene.process_reader, &got), -EINVAL);
	CHECK(read(scene.ring.fd, path, 1) < 0);
	CHECK_IS(writer_fill(&scene.ring), 0);
	snprintf(path, sizeof(path), "/sys/kernel/debug/tracebuf/%s/%s", trace.directory, scene.ring.name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	check_unknown(fd);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_SELF, NULL), -ENOTTY);
}

static void test_states(void)
{
	if (!device_is_missing())
		child_run(check_states, NULL);
}

/* ---- REGISTER ---- */

static void check_register(struct child *self, void *arg)
{
	char domain[TRACEBUF_MAX_DOMAIN_SIZE + 1];
	struct tracebuf_ioc_register right = {
		.size = sizeof(right), .writer = TRACEBUF_WRITER_RSEQ, .domain = (uintptr_t) domain,
		.domain_size = TRACEBUF_MAX_DOMAIN_SIZE,
	}, wrong;
	struct writer writer;
	int fd = device_open();

	(void) self, (void) arg;
	memset(domain, 'd', sizeof(domain));
	for (uint32_t kind = 0; kind < 5; kind++) {
		wrong = right;
		wrong.writer = kind;
		if (kind != TRACEBUF_WRITER_RSEQ && kind != TRACEBUF_WRITER_FALLBACK)
			CHECK_IS(device_call(fd, TRACEBUF_IOC_REGISTER, &wrong), -EINVAL);
	}
	wrong = right;
	wrong.domain_size++;
	CHECK_IS(device_call(fd, TRACEBUF_IOC_REGISTER, &wrong), -EINVAL);
	wrong = right;
	wrong.domain = 16;
	CHECK_IS(device_call(fd, TRACEBUF_IOC_REGISTER, &wrong), -EFAULT);
	domain[5] = 0;
	CHECK_IS(device_call(fd, TRACEBUF_IOC_REGISTER, &right), -EINVAL);
	domain[5] = '\n';
	CHECK_IS(device_call(fd, TRACEBUF_IOC_REGISTER, &right), -EINVAL);
	domain[5] = '/';
	CHECK_IS(device_call(fd, TRACEBUF_IOC_REGISTER, &right), 0);
	CHECK_IS(right.pid, getpid());
	CHECK(right.incarnation > 0);
	CHECK_IS(strncmp(right.procname, "test_ioctls", sizeof(right.procname)), 0);
	CHECK_IS(writer_open(&writer, DOMAIN), -EEXIST);
	CHECK(device_self() >= 0);
	close(fd);
}

static void test_register(void)
{
	if (!device_is_missing())
		child_run(check_register, NULL);
}

/* ---- DESCRIBE ---- */

/* What to do to the right description of "test:good" with a field "value", and how many bytes at once. */
static const struct wrong_description {
	const char *what;
	uint32_t offset, size;
	uint64_t value;
} wrong_descriptions[] = {
	{ "size of 0", 0, 4, 0 },
	{ "size that is not a multiple of 8", 0, 4, 52 },
	{ "size too small", 0, 4, 24 },
	{ "size too large", 0, 4, 64 },
	{ "size of 4 GiB", 0, 4, 0xfffffff8 },
	{ "crc", 4, 4, 1 },
	{ "id", 8, 4, 1 },
	{ "no room for fields", 12, 2, 2 },
	{ "65 fields", 12, 2, 65 },
	{ "65535 fields", 12, 2, 65535 },
	{ "no name", 14, 2, 0 },
	{ "name size", 14, 2, 9 },
	{ "long name size", 14, 2, 65535 },
	{ "loglevel", 16, 1, 15 },
	{ "reserved word", 17, 1, 1 },
	{ "last reserved word", 23, 1, 0x80 },
	{ "field type 0", 24, 1, 0 },
	{ "field type", 24, 1, 5 },
	{ "integer of no size", 25, 1, 0 },
	{ "integer of size 3", 25, 1, 3 },
	{ "integer of size 16", 25, 1, 16 },
	{ "field flags", 26, 1, 4 },
	{ "field without name", 27, 1, 0 },
	{ "field's name size", 27, 1, 7 },
	{ "string with a size", 24, 2, TRACEBUF_FIELD_STRING | 8 << 8 },
	{ "float of size 2", 24, 2, TRACEBUF_FIELD_FLOAT | 2 << 8 },
	{ "name with a quote", 28, 1, '"' },
	{ "name with a control character", 28 + 5, 1, 7 },
	{ "name cut short", 28 + 5, 1, 0 },
	{ "field that is no identifier", 28 + 10, 1, '-' },
	{ "field that begins with a digit", 28 + 10, 1, '1' },
	{ "field without an end", 28 + 15, 1, 'x' },
	{ "padding", 28 + 16, 1, 1 },
};

static void check_wrong_descriptions(struct writer *writer)
{
	_Alignas(8) unsigned char bytes[256];
	size_t size;

	for (size_t i = 0; i < sizeof(wrong_descriptions) / sizeof(wrong_descriptions[0]); i++) {
		const struct wrong_description *wrong = &wrong_descriptions[i];

		memset(bytes, 0, sizeof(bytes));
		size = writer_describe(bytes, "test:good", "value");
		memcpy(bytes + wrong->offset, &wrong->value, wrong->size);
		if (!CHECK_IS(writer_send(writer, bytes, size, 1), -EINVAL))
			tb_note("  with a wrong %s", wrong->what);
	}
	CHECK_IS(writer->header->nr_descriptions, 0);
}

static void check_describe(struct child *self, void *arg)
{
	_Alignas(8) unsigned char bytes[512];
	struct writer writer;
	size_t one, two;

	(void) self, (void) arg;
	if (!CHECK_IS(writer_open(&writer, DOMAIN), 0))
		return;
	check_wrong_descriptions(&writer);
	one = writer_describe(bytes, "test:good", "value");
	CHECK_IS(writer_send(&writer, bytes, one, 0), -EINVAL);
	CHECK_IS(writer_send(&writer, bytes, one, 2), -EINVAL);
	CHECK_IS(writer_send(&writer, bytes, one, TRACEBUF_MAX_EVENTS + 1), -EINVAL);
	CHECK_IS(writer_send(&writer, bytes, one - 8, 1), -EINVAL);
	CHECK_IS(writer_send(&writer, bytes, one + 8, 1), -EINVAL);
	CHECK_IS(writer_send(&writer, bytes, 0, 1), -EINVAL);
	CHECK_IS(writer_send(&writer, (void *) 16, one, 1), -EFAULT);
	CHECK_IS(writer_send(&writer, bytes, TRACEBUF_DESCRIPTIONS_SIZE + 8, 1), -ENOSPC);
	/* The second is wrong: none is added. Twice the same: neither. */
	two = writer_describe(bytes + one, "test:other", "1");
	CHECK_IS(writer_send(&writer, bytes, one + two, 2), -EINVAL);
	two = writer_describe(bytes + one, "test:good", "value");
	CHECK_IS(writer_send(&writer, bytes, one + two, 2), -EINVAL);
	CHECK_IS(writer.header->nr_descriptions, 0);
	CHECK_IS(writer_send(&writer, bytes, one, 1), 0);
	CHECK_IS(writer.nr_events, 1);
	CHECK(((struct tracebuf_description *) bytes)->crc != 0);
	one = writer_describe(bytes, "test:good", "value");
	CHECK_IS(writer_send(&writer, bytes, one, 1), -EINVAL);
	one = writer_describe(bytes, "test:good", "other_value");
	CHECK_IS(writer_send(&writer, bytes, one, 1), 0);
	CHECK_IS(writer.header->nr_descriptions, 2);
}

static void test_describe(void)
{
	if (!device_is_missing())
		child_run(check_describe, NULL);
}

/* ---- ENABLE ---- */

static void check_enable_words(struct writer *writer)
{
	struct tracebuf_enable record;
	struct tracebuf_ioc_enable arg = {
		.size = sizeof(arg), .records_size = sizeof(record), .records = (uintptr_t) &record,
	};
	const struct tracebuf_enable *seen;

	/* Whatever else the process says of a record is not taken. */
	memset(&record, 0xff, sizeof(record));
	record.used = 1;
	record.index = 0;
	CHECK_IS(device_call(writer->fd, TRACEBUF_IOC_ENABLE, &arg), 0);
	CHECK_IS(writer_map_enable(writer, 1, &seen), 0);
	CHECK_IS(seen->enabled, 1 << trace.slot);
	CHECK_IS(seen->ring, TRACEBUF_RING_SET(trace.slot, 0));
	CHECK_IS(seen->channels[trace.slot], 1);
	CHECK_IS(seen->channels[trace.slot ^ 1], 0);
	CHECK_IS(seen->header_id, seen->id < TRACEBUF_ID_WIDE ? seen->id : TRACEBUF_ID_WIDE);
	CHECK_IS(seen->reserved, 0);
	CHECK_IS(writer_enable(writer, 0, 0), 0);
	CHECK_IS(seen->enabled, 0);
	CHECK_IS(seen->used, 0);
	CHECK_IS(writer->header->enable_size, page_size());
}

static void check_enable(struct child *self, void *arg)
{
	static const struct {
		uint32_t records_size, offset, reserved;
		int expected;
	} wrong[] = {
		{ 0, 0, 0, -EINVAL },
		{ 63, 0, 0, -EINVAL },
		{ 65, 0, 0, -EINVAL },
		{ 64, 32, 0, -EINVAL },
		{ 64, 1, 0, -EINVAL },
		{ 64, 0, 1, -EINVAL },
		{ 64, TRACEBUF_ENABLE_SIZE, 0, -ENOSPC },
		{ TRACEBUF_ENABLE_SIZE + 64, 0, 0, -ENOSPC },
		{ 128, TRACEBUF_ENABLE_SIZE - 64, 0, -ENOSPC },
		{ 64, 0xffffffc0, 0, -ENOSPC },
		{ 0xffffffc0, 64, 0, -ENOSPC },
	};
	struct tracebuf_enable records[2] = { { .used = 1 } };
	struct tracebuf_ioc_enable call;
	struct writer writer;

	(void) self, (void) arg;
	if (!CHECK_IS(writer_open(&writer, DOMAIN), 0) || !CHECK_IS(writer_event(&writer, "test:ioctl", NULL), 0))
		return;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		call = (struct tracebuf_ioc_enable) {
			.size = sizeof(call), .records_size = wrong[i].records_size, .records = (uintptr_t) records,
			.offset = wrong[i].offset, .reserved = wrong[i].reserved,
		};
		if (!CHECK_IS(device_call(writer.fd, TRACEBUF_IOC_ENABLE, &call), wrong[i].expected))
			tb_note("  case %zu", i);
	}
	CHECK_IS(writer_enable(&writer, 1, 1), -EINVAL);
	CHECK_IS(writer_enable(&writer, 0, 2), -EINVAL);
	call = (struct tracebuf_ioc_enable) { .size = sizeof(call), .records_size = 64, .records = 16 };
	CHECK_IS(device_call(writer.fd, TRACEBUF_IOC_ENABLE, &call), -EFAULT);
	check_enable_words(&writer);
}

static void test_enable(void)
{
	if (!device_is_missing())
		child_run(check_enable, NULL);
}

static void begin(void)
{
	balance_begin_with(&control, "ioctls", DOMAIN, &trace);
}

static void end(void)
{
	balance_end_with(&control, &trace);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "begin", begin },
		{ "sizes and addresses of all structs", test_sizes },
		{ "unknown numbers, wrong states", test_states },
		{ "REGISTER", test_register },
		{ "DESCRIBE", test_describe },
		{ "ENABLE", test_enable },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_ioctls", tests);
}
