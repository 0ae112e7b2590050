/* SPDX-License-Identifier: MIT */
/*
 * What a statedump says of a process is what the process finds out about itself: its program, its threads, its memory
 * maps and their build-ids.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "balance.h"
#include "check.h"
#include "control.h"
#include "device.h"
#include "libtracebuf/crc32c.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_statedump"
#define NR_THREADS 5

static struct control control;

/* ---- Reading ---- */

struct dump {
	struct tracebuf_statedump head;
	unsigned char *records;
};

/* A whole one of the process file that fd is bound to; false: there is none. */
static bool read_dump(int fd, struct dump *dump)
{
	struct tracebuf_statedump again;

	free(dump->records);
	dump->records = NULL;
	for (int i = 0; i < 1000; i++, sleep_ms(5)) {
		if (!CHECK_IS(pread(fd, &dump->head, sizeof(dump->head), TRACEBUF_STATEDUMP_OFFSET),
			      sizeof(dump->head)))
			return false;
		if (dump->head.sequence % 2 || !dump->head.sequence || dump->head.size > TRACEBUF_STATEDUMP_SIZE)
			continue;
		dump->records = malloc(dump->head.size + 1);
		CHECK_IS(pread(fd, dump->records, dump->head.size, TRACEBUF_STATEDUMP_OFFSET + sizeof(dump->head)),
			 dump->head.size);
		CHECK_IS(pread(fd, &again, sizeof(again), TRACEBUF_STATEDUMP_OFFSET), sizeof(again));
		if (again.sequence == dump->head.sequence)
			return CHECK_IS(tb_crc32c(0, dump->records, dump->head.size), dump->head.crc);
		free(dump->records);
		dump->records = NULL;
	}
	return false;
}

/* The next record, or the first if none is given; NULL: no more. Asserts its bounds. */
static const struct tracebuf_state *next_record(const struct dump *dump, const struct tracebuf_state *record)
{
	size_t at = record ? (size_t) ((const unsigned char *) record - dump->records) + record->size : 0;

	if (at == dump->head.size)
		return NULL;
	record = (const void *) (dump->records + at);
	if (!CHECK(dump->head.size - at >= sizeof(*record) && record->size >= sizeof(*record) &&
		   record->size % 8 == 0 && record->size <= dump->head.size - at))
		return NULL;
	if (!CHECK(memchr(record->path, 0, record->size - offsetof(struct tracebuf_state, path)) != NULL))
		return NULL;
	return record;
}

static unsigned int count_kind(const struct dump *dump, unsigned int kind)
{
	unsigned int nr = 0;

	for (const struct tracebuf_state *record = NULL; (record = next_record(dump, record)); )
		nr += record->kind == kind;
	return nr;
}

/* ---- Program and threads ---- */

static void check_executable(const struct dump *dump)
{
	char path[512] = "";

	CHECK(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	for (const struct tracebuf_state *record = NULL; (record = next_record(dump, record)); )
		if (record->kind == TRACEBUF_STATE_EXECUTABLE)
			CHECK_IS(strcmp(record->path, path), 0);
	CHECK_IS(count_kind(dump, TRACEBUF_STATE_EXECUTABLE), 1);
}

static const struct tracebuf_state *find_thread(const struct dump *dump, int tid)
{
	const struct tracebuf_state *record = NULL;

	while ((record = next_record(dump, record)))
		if (record->kind == TRACEBUF_STATE_THREAD && record->tid == tid)
			return record;
	return NULL;
}

static unsigned int count_tasks(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned int nr = 0;

	while ((entry = readdir(tasks)))
		nr += entry->d_name[0] != '.';
	closedir(tasks);
	return nr;
}

/* A thread that has been joined is still one of the process's for a moment. */
static void wait_for_last_thread(void)
{
	for (int i = 0; i < 10000 && count_tasks() > 1; i++)
		sleep_ms(1);
	CHECK_IS(count_tasks(), 1);
}

static void check_threads(const struct dump *dump)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned int nr = 0;

	while ((entry = readdir(tasks))) {
		const struct tracebuf_state *record;
		char path[320], name[32] = "";
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		CHECK(read(fd, name, sizeof(name) - 1) > 0);
		close(fd);
		name[strcspn(name, "\n")] = 0;
		record = find_thread(dump, atoi(entry->d_name));
		if (CHECK(record != NULL))
			CHECK_IS(strcmp(record->path, name), 0);
		nr++;
	}
	closedir(tasks);
	CHECK_IS(count_kind(dump, TRACEBUF_STATE_THREAD), nr);
}

/* ---- Maps and build-ids ---- */

static const struct tracebuf_state *find_map(const struct dump *dump, uint64_t start)
{
	const struct tracebuf_state *record = NULL;

	while ((record = next_record(dump, record)))
		if (record->kind == TRACEBUF_STATE_MAP && record->start == start)
			return record;
	return NULL;
}

static void check_map(const struct dump *dump, const char *line)
{
	unsigned long long start, end, offset;
	const struct tracebuf_state *record;
	char rights[8], path[512] = "";
	uint32_t flags;

	if (sscanf(line, "%llx-%llx %7s %llx %*s %*s %511[^\n]", &start, &end, rights, &offset, path) < 5 ||
	    path[0] != '/')
		return;
	record = find_map(dump, start);
	if (!CHECK(record != NULL)) {
		tb_note("  %s", line);
		return;
	}
	flags = (rights[0] == 'r' ? TRACEBUF_STATE_READ : 0) | (rights[1] == 'w' ? TRACEBUF_STATE_WRITE : 0) |
		(rights[2] == 'x' ? TRACEBUF_STATE_EXEC : 0) | (rights[3] == 's' ? TRACEBUF_STATE_SHARED : 0);
	CHECK_IS(record->end, end);
	CHECK_IS(record->offset, offset);
	CHECK_IS(record->flags, flags);
	CHECK_IS(strcmp(record->path, path), 0);
}

static void check_maps(const struct dump *dump)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[1024];

	while (fgets(line, sizeof(line), maps))
		check_map(dump, line);
	fclose(maps);
}

/* The build-id in an object's notes, as it lies in memory; its size. */
static size_t own_build_id(const struct dl_phdr_info *info, unsigned char id[20])
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const unsigned char *at = (const void *) (info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
		const unsigned char *end = at + info->dlpi_phdr[i].p_memsz;

		while (info->dlpi_phdr[i].p_type == PT_NOTE && at + sizeof(ElfW(Nhdr)) < end) {
			const ElfW(Nhdr) *note = (const void *) at;
			size_t name = (note->n_namesz + 3u) & ~3u, size = (note->n_descsz + 3u) & ~3u;

			at += sizeof(*note);
			if (note->n_type == NT_GNU_BUILD_ID && note->n_descsz <= 20 && !memcmp(at, "GNU", 4)) {
				memcpy(id, at + name, note->n_descsz);
				return note->n_descsz;
			}
			at += name + size;
		}
	}
	return 0;
}

static int check_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct dump *dump = arg;
	const struct tracebuf_state *record = NULL;
	unsigned char id[20] = { 0 };
	size_t id_size = own_build_id(info, id);
	uint64_t text = 0;

	(void) size;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X)
			text = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
	while (id_size && (record = next_record(dump, record)))
		if (record->kind == TRACEBUF_STATE_MAP && record->start <= text && text < record->end) {
			if (!CHECK(record->build_id_size == id_size && !memcmp(record->build_id, id, id_size)))
				tb_note("  build-id of %s: %u bytes", record->path, record->build_id_size);
			return 0;
		}
	return 0;
}

static bool any_build_id(const struct dump *dump)
{
	for (const struct tracebuf_state *record = NULL; (record = next_record(dump, record)); )
		if (record->kind == TRACEBUF_STATE_MAP && record->build_id_size)
			return true;
	return false;
}

/* ---- A process that looks at itself ---- */

static pthread_barrier_t barrier;

static void *wait_named(void *arg)
{
	char name[16];

	snprintf(name, sizeof(name), "thread %u", *(unsigned int *) arg);
	pthread_setname_np(pthread_self(), name);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void check_dump(const struct control_trace *trace, int reader, struct dump *dump)
{
	uint32_t sequence = dump->head.sequence;

	CHECK_IS(control_simple(&control, TRACEBUF_CMD_STATEDUMP, trace->generation), 0);
	if (!CHECK(read_dump(reader, dump)))
		return;
	CHECK(dump->head.sequence > sequence);
	CHECK_IS(dump->head.generation, trace->generation);
	CHECK_IS(dump->head.nr_left_out, 0);
	CHECK(dump->head.time_ns > 0 && dump->head.time_ns / 1000000 <= now_ms() + 1);
	check_executable(dump);
	check_threads(dump);
	check_maps(dump);
	dl_iterate_phdr(check_object, dump);
	CHECK(any_build_id(dump));
}

static void check_self(struct child *self, void *arg)
{
	static unsigned int number[NR_THREADS] = { 0, 1, 2, 3, 4 };
	pthread_t thread[NR_THREADS];
	struct dump dump = { .records = NULL };
	char path[] = "/tmp/test_statedump XXXXXX";
	int file = mkstemp(path), reader;
	struct writer writer;
	void *map;

	(void) self;
	CHECK_IS(ftruncate(file, 1 << 20), 0);
	map = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, file, 65536);
	CHECK(map != MAP_FAILED);
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	reader = device_open_process(writer.name);
	check_dump(arg, reader, &dump);
	pthread_barrier_init(&barrier, NULL, NR_THREADS + 1);
	for (int i = 0; i < NR_THREADS; i++)
		CHECK_IS(pthread_create(&thread[i], NULL, wait_named, &number[i]), 0);
	pthread_barrier_wait(&barrier);
	check_dump(arg, reader, &dump);
	CHECK(count_kind(&dump, TRACEBUF_STATE_THREAD) > NR_THREADS);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	wait_for_last_thread();
	munmap(map, 65536);
	unlink(path);
	check_dump(arg, reader, &dump);
	CHECK_IS(count_kind(&dump, TRACEBUF_STATE_THREAD), 1);
}

static void test_self(void)
{
	struct control_trace trace;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "dumped", DOMAIN, &control_channel, &trace), 0))
		return;
	child_run(check_self, &trace);
	CHECK_IS(control_destroy(&control, &trace), 0);
}

/* ---- When ---- */

static void register_and_wait(struct child *self, void *arg)
{
	const struct control_trace *trace = arg;
	struct writer_ring ring;
	struct writer writer;
	uint64_t number;

	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	if (trace)
		CHECK_IS(writer_ring(&writer, trace->generation, TRACEBUF_RING_SET(trace->slot, 0), 0, &ring), 0);
	child_tell(self, writer.id.incarnation);
	child_hear(self, &number);
	raise(SIGKILL);
}

static int open_child(const struct child *child)
{
	struct tracebuf_ioc_register id = { .pid = child->pid };
	uint64_t incarnation = 0;
	char name[96];

	CHECK(child_hear(child, &incarnation));
	id.incarnation = incarnation;
	device_process_name(name, &id);
	return device_open_process(name);
}

/* When a trace starts that sees a process; when a process comes to a trace; and it stays after the process's death. */
static void test_when(void)
{
	struct dump dump = { .records = NULL };
	struct control_trace trace;
	struct child before, after;
	int reader_before, reader_after;

	if (device_is_missing() || !child_start(&before, register_and_wait, NULL))
		return;
	reader_before = open_child(&before);
	CHECK(!pread(reader_before, &dump.head, sizeof(dump.head), TRACEBUF_STATEDUMP_OFFSET) || !dump.head.sequence);
	if (!CHECK_IS(control_make(&control, "dumped", DOMAIN, &control_channel, &trace), 0))
		return;
	CHECK(read_dump(reader_before, &dump));
	CHECK_IS(dump.head.generation, trace.generation);
	CHECK(find_thread(&dump, before.pid) != NULL);
	if (!child_start(&after, register_and_wait, &trace))
		return;
	reader_after = open_child(&after);
	CHECK(read_dump(reader_after, &dump));
	CHECK_IS(dump.head.generation, trace.generation);
	child_kill(&after, SIGKILL);
	CHECK_IS(control_simple(&control, TRACEBUF_CMD_STATEDUMP, trace.generation), 0);
	CHECK(read_dump(reader_after, &dump));
	CHECK(find_thread(&dump, after.pid) != NULL);
	child_kill(&before, SIGKILL);
	CHECK_IS(control_destroy(&control, &trace), 0);
	close(reader_before);
	close(reader_after);
	free(dump.records);
}

static bool has_map(const struct dump *dump, const void *start)
{
	for (const struct tracebuf_state *record = NULL; (record = next_record(dump, record)); )
		if (record->kind == TRACEBUF_STATE_MAP && record->start == (uintptr_t) start)
			return true;
	return false;
}

/* An object that is registered later brings a dump that has what was mapped by then. */
static void register_more(struct child *self, void *arg)
{
	const uint32_t next_page = page_size() / sizeof(struct tracebuf_enable);
	struct dump dump = { .records = NULL };
	struct writer writer;
	uint32_t sequence;
	int reader;
	void *map;

	(void) self, (void) arg;
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	reader = device_open_process(writer.name);
	CHECK_IS(writer_event(&writer, "dumped:first", NULL), 0);
	if (!CHECK(read_dump(reader, &dump)))
		return;
	sequence = dump.head.sequence;
	map = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, writer.fd, 0);
	CHECK(map != MAP_FAILED && !has_map(&dump, map));
	CHECK_IS(writer_enable(&writer, next_page, 0), 0);
	for (int i = 0; i < 1000 && dump.head.sequence == sequence; i++, sleep_ms(5))
		if (!CHECK(read_dump(reader, &dump)))
			return;
	CHECK(dump.head.sequence > sequence);
	CHECK(has_map(&dump, map));
	free(dump.records);
}

static void test_more(void)
{
	struct control_trace trace;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "dumped", DOMAIN, &control_channel, &trace), 0))
		return;
	child_run(register_more, &trace);
	CHECK_IS(control_destroy(&control, &trace), 0);
}

#define NR_RESTARTS 100
#define NR_MAPS 4000
#define OTHER_DOMAIN "test_statedump.other"

static void be_process(struct child *self, void *domain)
{
	struct writer writer;
	uint64_t number;

	CHECK_IS(writer_open(&writer, domain), 0);
	child_tell(self, writer.id.incarnation);
	child_hear(self, &number);
}

/* One that takes long to dump. */
static void be_large(struct child *self, void *domain)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	for (unsigned int i = 0; i < NR_MAPS; i++)
		CHECK(mmap(NULL, page_size(), i & 1 ? PROT_READ : PROT_NONE, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	be_process(self, domain);
}

static uint32_t count_dumps(int reader)
{
	uint32_t sequence = 0;

	CHECK(pread(reader, &sequence, sizeof(sequence), TRACEBUF_STATEDUMP_OFFSET) >= 0);
	return sequence / 2;
}

static void restart(const struct control_trace *trace)
{
	for (unsigned int i = 0; i < NR_RESTARTS; i++) {
		CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_STOP, trace->generation), 0);
		CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_START, trace->generation), 0);
	}
}

/*
 * A trace is started and stopped faster than a process can be dumped: what is queued is bounded. What one CPU queues is
 * begun in that order, so when the other process has its one dump, next to nothing is left of what was asked for before.
 */
static void test_restarts(void)
{
	struct control_trace trace, last;
	struct child large, other;
	cpu_set_t all, one;
	int reader, other_reader;

	if (device_is_missing() || !child_start(&large, be_large, (void *) DOMAIN) ||
	    !child_start(&other, be_process, (void *) OTHER_DOMAIN))
		return;
	reader = open_child(&large);
	other_reader = open_child(&other);
	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	CHECK_IS(sched_setaffinity(0, sizeof(one), &one), 0);
	if (CHECK_IS(control_make(&control, "restarted", DOMAIN, &control_channel, &trace), 0))
		restart(&trace);
	if (CHECK_IS(control_make(&control, "last", OTHER_DOMAIN, &control_channel, &last), 0)) {
		while (!count_dumps(other_reader))
			sleep_ms(5);
		tb_note("  %u starts, %u dumps", NR_RESTARTS + 1, count_dumps(reader));
		CHECK(count_dumps(reader) < NR_RESTARTS / 2);
		CHECK_IS(control_destroy(&control, &last), 0);
	}
	CHECK_IS(control_destroy(&control, &trace), 0);
	sched_setaffinity(0, sizeof(all), &all);
	child_tell(&large, 1);
	child_end(&large);
	child_tell(&other, 1);
	child_end(&other);
	close(reader);
	close(other_reader);
}

/* Asked for while threads and maps come and go, and while the process dies. */
static void *come_and_go(void *arg)
{
	return arg;
}

static void change(struct child *self, void *arg)
{
	struct writer writer;
	pthread_t thread;

	(void) arg;
	CHECK_IS(writer_open(&writer, DOMAIN), 0);
	child_tell(self, writer.id.incarnation);
	for (;;) {
		void *map = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE, writer.fd, 0);

		if (!pthread_create(&thread, NULL, come_and_go, NULL))
			pthread_join(thread, NULL);
		if (map != MAP_FAILED)
			munmap(map, 65536);
	}
}

static void test_race(void)
{
	struct dump dump = { .records = NULL };
	struct control_trace trace;
	struct child child;
	unsigned int nr = (unsigned int) tb_scaled(40);

	if (device_is_missing() || !CHECK_IS(control_make(&control, "raced", DOMAIN, &control_channel, &trace), 0))
		return;
	for (unsigned int round = 0; round < 3; round++) {
		int reader;

		if (!child_start(&child, change, NULL))
			return;
		reader = open_child(&child);
		for (unsigned int i = 0; i < nr; i++) {
			CHECK_IS(control_simple(&control, TRACEBUF_CMD_STATEDUMP, trace.generation), 0);
			CHECK(read_dump(reader, &dump));
		}
		kill(child.pid, SIGKILL);
		for (unsigned int i = 0; i < 5; i++)
			CHECK_IS(control_simple(&control, TRACEBUF_CMD_STATEDUMP, trace.generation), 0);
		child_kill(&child, SIGKILL);
		close(reader);
	}
	CHECK_IS(control_destroy(&control, &trace), 0);
	free(dump.records);
}

static void begin(void)
{
	balance_begin(&control);
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
		{ "program, threads, maps, build-ids", test_self },
		{ "when it is written", test_when },
		{ "when more is registered", test_more },
		{ "when a trace is restarted all the time", test_restarts },
		{ "of a process that changes and dies", test_race },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_statedump", tests);
}
