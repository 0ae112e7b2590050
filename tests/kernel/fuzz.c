/* SPDX-License-Identifier: MIT */
/*
 * Calls on the device that are right but for a few bytes, in any order, on whatever there is. Messages: fuzz_netlink.c.
 *
 * Invariant: what a thread uses of descriptors and mappings it has taken out of the tables before, so that threads and
 * mappings of libc are not hit by mistake. Memory is touched by way of /proc/self/mem: a fault is an error there.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define NR_FDS 12
#define NR_MAPS 16
#define TREE "/sys/kernel/debug/tracebuf"

struct fuzz_counts *fuzz_counted;

struct fuzz_counts *fuzz_count(void)
{
	void *page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	fuzz_counted = page == MAP_FAILED ? NULL : page;
	return fuzz_counted;
}

void fuzz_add(uint64_t *number)
{
	__atomic_fetch_add(number, 1, __ATOMIC_RELAXED);
}

uint64_t fuzz_below(uint64_t *state, uint64_t bound)
{
	return tb_random_next(state) % bound;
}

uint64_t fuzz_evil(uint64_t *state)
{
	static const uint64_t numbers[] = {
		0, 1, 2, 7, 63, 64, 65, 255, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 1u << 30, 0x7fffffff,
		0x80000000, 0xfffffff8, 0xffffffff, 1ull << 32, 1ull << 40, 1ull << 62, 0x7fffffffffffffff,
		0x8000000000000000,
		0xfffffffffffff000, 0xffffffffffffffff,
	};

	if (fuzz_below(state, 4) == 0)
		return tb_random_next(state);
	return numbers[fuzz_below(state, sizeof(numbers) / sizeof(numbers[0]))];
}

void fuzz_mutate(uint64_t *state, void *bytes, size_t size)
{
	for (uint64_t nr = fuzz_below(state, 4); nr && size; nr--) {
		uint64_t value = fuzz_evil(state);
		size_t width = (size_t) 1 << fuzz_below(state, 4), at = fuzz_below(state, size) / width * width;

		if (at + width <= size)
			memcpy((char *) bytes + at, &value, width);
	}
}

/* ---- What there is ---- */

struct fuzz_trace fuzz_traces[FUZZ_NR_TRACES];
static unsigned int nr_traces;

static void see_trace(const struct control_facts *facts, void *arg)
{
	unsigned int *nr = arg;

	if (*nr == FUZZ_NR_TRACES)
		return;
	fuzz_traces[*nr].generation = facts->number[TRACEBUF_A_GENERATION];
	fuzz_traces[(*nr)++].slot = (unsigned int) facts->number[TRACEBUF_A_SLOT];
}

/* Threads that read what this changes get something wrong now and then: that is what they are for. */
void fuzz_look_around(struct control *control)
{
	unsigned int nr = 0;

	control_dump(control, TRACEBUF_CMD_TRACE_GET, NULL, see_trace, &nr);
	nr_traces = nr;
}

unsigned int fuzz_any_trace(uint64_t *state)
{
	return (unsigned int) fuzz_below(state, nr_traces && fuzz_below(state, 20) ? nr_traces : FUZZ_NR_TRACES);
}

/* ---- The device ---- */

struct map {
	char *address;
	size_t size;
};

/* A descriptor and what it is bound to, which decides what is mostly called on it. */
enum kind { FRESH, PROCESS, RING, READER };
struct fd {
	int fd;
	enum kind kind;
};

static struct fd fds[NR_FDS];
static struct map maps[NR_MAPS];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tracebuf_ioc_register own;
static int memory;
static uint64_t end_of_fuzz;

static struct fd take_fd(uint64_t *state)
{
	size_t i = fuzz_below(state, NR_FDS);
	struct fd fd;

	pthread_mutex_lock(&table_lock);
	fd = fds[i];
	fds[i].fd = -1;
	pthread_mutex_unlock(&table_lock);
	return fd;
}

static void put_fd(uint64_t *state, struct fd fd)
{
	size_t i = fuzz_below(state, NR_FDS);
	struct fd old;

	if (fd.fd < 0)
		return;
	pthread_mutex_lock(&table_lock);
	old = fds[i];
	fds[i] = fd;
	pthread_mutex_unlock(&table_lock);
	if (old.fd >= 0)
		close(old.fd);
}

static struct map take_map(uint64_t *state)
{
	size_t i = fuzz_below(state, NR_MAPS);
	struct map map;

	pthread_mutex_lock(&table_lock);
	map = maps[i];
	maps[i].address = NULL;
	pthread_mutex_unlock(&table_lock);
	return map;
}

static void put_map(uint64_t *state, struct map map)
{
	size_t i = fuzz_below(state, NR_MAPS);
	struct map old;

	if (!map.address)
		return;
	pthread_mutex_lock(&table_lock);
	old = maps[i];
	maps[i] = map;
	pthread_mutex_unlock(&table_lock);
	if (old.address)
		munmap(old.address, old.size);
}

union argument {
	struct tracebuf_ioc_register of_register;
	struct tracebuf_ioc_describe describe;
	struct tracebuf_ioc_enable enable;
	struct tracebuf_ioc_ring ring;
	struct tracebuf_ioc_switch leave;
	struct tracebuf_ioc_wait wait;
	struct tracebuf_ioc_open open;
	struct tracebuf_ioc_get get;
	struct tracebuf_ioc_put put;
	unsigned char bytes[128];
};

/* Descriptions, of which a few words may be wrong. */
static size_t fill_descriptions(uint64_t *state, unsigned char *bytes, uint32_t nr)
{
	size_t size = 0;
	char name[32];

	for (uint32_t i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "fuzz:event_%u", (unsigned int) fuzz_below(state, 40));
		size += writer_describe(bytes + size, name, "value");
	}
	if (fuzz_below(state, 2))
		fuzz_mutate(state, bytes, size);
	return size;
}

static void fill_names(uint64_t *state, union argument *arg)
{
	struct tracebuf_ioc_ring ring = { .ring_set = 0, .instance = (uint32_t) fuzz_below(state, 8) };

	if (arg->open.kind == TRACEBUF_KIND_RING)
		device_ring_name(arg->open.name, &own, &ring);
	else
		device_process_name(arg->open.name, &own);
}

/* The call's argument, right for all that is known. buffer: 4096 bytes that it may point to. */
static uint32_t fill_argument(uint64_t *state, unsigned int number, union argument *arg, unsigned char *buffer)
{
	unsigned int trace = fuzz_any_trace(state);

	memset(arg, 0, sizeof(*arg));
	switch (number) {
	case 1:
		arg->of_register.writer = 1 + (uint32_t) fuzz_below(state, 2);
		arg->of_register.domain = (uintptr_t) strcpy((char *) buffer, "fuzz");
		arg->of_register.domain_size = 4;
		return sizeof(arg->of_register);
	case 3:
		arg->describe.nr = 1 + (uint32_t) fuzz_below(state, 8);
		arg->describe.descriptions = (uintptr_t) buffer;
		arg->describe.descriptions_size = (uint32_t) fill_descriptions(state, buffer, arg->describe.nr);
		return sizeof(arg->describe);
	case 4:
		memset(buffer, 0, 4096);
		for (unsigned int i = 0; i < 16; i++)
			((struct tracebuf_enable *) buffer)[i] =
				(struct tracebuf_enable) { .used = 1, .index = (uint32_t) fuzz_below(state, 4) };
		arg->enable.records = (uintptr_t) buffer;
		arg->enable.records_size = 64 * (1 + (uint32_t) fuzz_below(state, 16));
		arg->enable.offset = 64 * (uint32_t) fuzz_below(state, 200);
		return sizeof(arg->enable);
	case 5:
		arg->ring.ring_set = TRACEBUF_RING_SET(fuzz_traces[trace].slot, 0);
		arg->ring.generation = fuzz_traces[trace].generation;
		arg->ring.cpu = (uint32_t) fuzz_below(state, 2);
		arg->ring.writer = TRACEBUF_WRITER_FALLBACK;
		return sizeof(arg->ring);
	case 6:
		arg->leave.instance = (uint32_t) fuzz_below(state, 8);
		return sizeof(arg->leave);
	case 7:
		arg->wait.instance = (uint32_t) fuzz_below(state, 8);
		arg->wait.seq = fuzz_below(state, 8);
		arg->wait.timeout_ms = 1;
		return sizeof(arg->wait);
	case 8:
		arg->open.kind = TRACEBUF_KIND_PROCESS + (uint32_t) fuzz_below(state, 2);
		arg->open.generation = arg->open.kind == TRACEBUF_KIND_RING ? fuzz_traces[trace].generation : 0;
		fill_names(state, arg);
		return sizeof(arg->open);
	case 10:
		arg->put.consumed = fuzz_below(state, 8);
		return sizeof(arg->put);
	default:
		return sizeof(arg->get);
	}
}

static unsigned int choose(uint64_t *state, enum kind kind)
{
	static const unsigned char for_kind[][8] = {
		[FRESH] = { 1, 2, 5, 5, 6, 7, 8, 8 },
		[PROCESS] = { 3, 3, 3, 4, 4, 4, 3, 4 },
		[RING] = { 3, 4, 9, 10, 11, 2, 5, 8 },
		[READER] = { 9, 9, 9, 10, 10, 10, 11, 9 },
	};

	if (fuzz_below(state, 8))
		return for_kind[kind][fuzz_below(state, 8)];
	return fuzz_below(state, 4) ? 1 + (unsigned int) fuzz_below(state, 12) : (unsigned int) fuzz_below(state, 256);
}

static enum kind kind_after(unsigned int number)
{
	return number == 5 ? RING : number == 8 ? READER : PROCESS;
}

static void call(uint64_t *state, struct fd *fd)
{
	_Alignas(8) unsigned char buffer[4096];
	union argument arg;
	unsigned int number = choose(state, fd->kind);
	uint32_t size = fill_argument(state, number, &arg, buffer);
	void *at = &arg;

	memcpy(arg.bytes, &size, sizeof(size));
	if (fuzz_below(state, 3) == 0)
		fuzz_mutate(state, &arg, size);
	if (number == 2 || number == 11 || number == 12)
		at = fuzz_below(state, 10) ? NULL : &arg;
	else if (fuzz_below(state, 50) == 0)
		at = (void *) (uintptr_t) fuzz_evil(state);
	if (ioctl(fd->fd, _IO(TRACEBUF_IOC_MAGIC, number), at))
		return;
	fuzz_add(&fuzz_counted->call[number % 13]);
	if (number == 1 || number == 2 || number == 5 || number == 8)
		fd->kind = kind_after(number);
	if (number == 1 && arg.of_register.incarnation) {
		pthread_mutex_lock(&table_lock);
		own = arg.of_register;
		pthread_mutex_unlock(&table_lock);
	}
}

static void map_it(uint64_t *state, int fd)
{
	static const uint64_t offsets[] = {
		0, TRACEBUF_RING_PRODUCER_OFFSET, TRACEBUF_RING_DATA_OFFSET, TRACEBUF_ENABLE_OFFSET,
		TRACEBUF_STATEDUMP_OFFSET
	};
	struct map map = { .size = page_size() << fuzz_below(state, 10) };
	uint64_t evil = fuzz_evil(state) / page_size() * page_size();
	uint64_t offset = fuzz_below(state, 4) ? offsets[fuzz_below(state, 5)] : evil;
	int flags = fuzz_below(state, 10) ? MAP_SHARED : MAP_PRIVATE;

	if (device_map_as(fd, offset, map.size, (int) fuzz_below(state, 8), flags, &map.address))
		return;
	fuzz_add(&fuzz_counted->map);
	put_map(state, map);
}

static void touch(uint64_t *state, struct map map)
{
	uint64_t word = fuzz_evil(state);
	off_t at = (off_t) (uintptr_t) (map.address + fuzz_below(state, map.size - 8));

	if (fuzz_below(state, 2))
		at = (off_t) (uintptr_t) (map.address + fuzz_below(state, 16) * 8);
	if (fuzz_below(state, 4) == 0)
		(void) !pread(memory, &word, sizeof(word), at);
	else
		(void) !pwrite(memory, &word, sizeof(word), at);
}

static void change_map(uint64_t *state)
{
	struct map map = take_map(state);
	size_t part = map.size / page_size() / 2 * page_size();

	if (!map.address)
		return;
	switch (fuzz_below(state, 8)) {
	case 0:
		munmap(map.address, map.size);
		return;
	case 1:
		mprotect(map.address, part ? part : map.size, (int) fuzz_below(state, 8));
		break;
	case 2:
		madvise(map.address, map.size, (int) fuzz_below(state, 26));
		break;
	case 3:
		if (part) {
			munmap(map.address + part, map.size - part);
			map.size = part;
		}
		break;
	case 4:
		if (fork() == 0) {
			touch(state, map);
			_exit(0);
		}
		break;
	default:
		for (int i = 0; i < 8; i++)
			touch(state, map);
	}
	put_map(state, map);
}

static int open_in_tree(uint64_t *state)
{
	char path[600] = TREE;
	int fd = -1;

	for (int depth = 0; depth < 2 && fd < 0; depth++) {
		DIR *directory = opendir(path);
		struct dirent *entry, *chosen = NULL;
		size_t length = strlen(path);

		for (uint64_t i = fuzz_below(state, 20); directory && (entry = readdir(directory)) && i; i--)
			if (entry->d_name[0] != '.')
				chosen = entry;
		if (chosen && length + strlen(chosen->d_name) + 2 < sizeof(path))
			snprintf(path + length, sizeof(path) - length, "/%s", chosen->d_name);
		fd = chosen && chosen->d_type != DT_DIR ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
		if (directory)
			closedir(directory);
	}
	return fd;
}

static void use_fd(uint64_t *state, struct fd *fd)
{
	struct pollfd ready = { .fd = fd->fd, .events = POLLIN };
	char bytes[256];

	switch (fuzz_below(state, 12)) {
	case 0:
	case 1:
		map_it(state, fd->fd);
		break;
	case 2:
		(void) !pread(fd->fd, bytes, sizeof(bytes), (off_t) (fuzz_evil(state) >> 1));
		break;
	case 3:
		lseek(fd->fd, (off_t) fuzz_evil(state), (int) fuzz_below(state, 5));
		(void) !read(fd->fd, bytes, fuzz_below(state, sizeof(bytes)));
		break;
	case 4:
		poll(&ready, 1, 0);
		break;
	default:
		call(state, fd);
	}
}

static void *fuzz_thread(void *arg)
{
	uint64_t *state = arg;
	struct fd fd;

	while (now_ms() < end_of_fuzz) {
		for (int i = 0; i < 64; i++) {
			fd = take_fd(state);
			if (fd.fd < 0 || fuzz_below(state, 30) == 0) {
				put_fd(state, fd);
				fd.kind = fuzz_below(state, 8) ? FRESH : READER;
				fd.fd = fd.kind == FRESH ? device_open() : open_in_tree(state);
			}
			if (fd.fd >= 0)
				use_fd(state, &fd);
			put_fd(state, fd);
			change_map(state);
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	return NULL;
}

static void on_alarm(int signal)
{
	(void) signal;
}

/* A process with a ring, as programs begin. */
static void begin_rightly(uint64_t *state)
{
	unsigned int trace = fuzz_any_trace(state);
	struct tracebuf_ioc_ring ring;
	struct fd fd = { .fd = device_register("fuzz", &own), .kind = PROCESS };
	struct map map = { .size = page_size() };

	if (fd.fd >= 0 && !device_map(fd.fd, 0, map.size, PROT_READ, &map.address))
		put_map(state, map);
	put_fd(state, fd);
	fd.fd = device_ring(fuzz_traces[trace].generation, TRACEBUF_RING_SET(fuzz_traces[trace].slot, 0), 0, &ring);
	fd.kind = RING;
	if (fd.fd >= 0 &&
	    !device_map(fd.fd, TRACEBUF_RING_PRODUCER_OFFSET, map.size, PROT_READ | PROT_WRITE, &map.address))
		put_map(state, map);
	put_fd(state, fd);
}

static void start_alarm(long interval_us)
{
	struct itimerval often = { .it_interval = { .tv_usec = interval_us }, .it_value = { .tv_usec = interval_us } };
	struct sigaction action = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

void fuzz_device(uint64_t end_ms, uint64_t state)
{
	uint64_t second = tb_random_next(&state);
	struct control control;
	pthread_t thread;

	end_of_fuzz = end_ms;
	memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	for (size_t i = 0; i < NR_FDS; i++)
		fds[i].fd = -1;
	if (control_open(&control) == 0) {
		fuzz_look_around(&control);
		control_close(&control);
	}
	if (fuzz_below(&state, 4))
		begin_rightly(&state);
	/* A wait that some mutation made long is cut short. */
	start_alarm(20000);
	if (pthread_create(&thread, NULL, fuzz_thread, &second) == 0) {
		fuzz_thread(&state);
		pthread_join(thread, NULL);
	}
	start_alarm(0);
	while (wait(NULL) > 0)
		;
}
