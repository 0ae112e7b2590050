/* SPDX-License-Identifier: MIT */
/*
 * The kernel as the home of the pages: the device that the module makes, as abi.h describes it.
 *
 * The kernel makes every page, gives events their numbers, evaluates the rules and takes notice of whatever happens to
 * the process; so there is less to do here than in a run directory. Invariant: a mapping is made from a descriptor that
 * is closed at once, and nothing that the kernel alone may write is mapped for writing.
 */
#define _GNU_SOURCE
#include "home.h"
#include "raw.h"
#include "rundir.h"
#include "table.h"
#include <string.h>
#include <sys/auxv.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static int open_device(void)
{
	return tb_raw_open(TRACEBUF_DEVICE, O_RDWR);
}

/* An ioctl on a descriptor of its own. */
static int call(unsigned long number, void *argument)
{
	int fd = open_device(), result;

	if (fd < 0)
		return fd;
	result = tb_raw_ioctl(fd, number, argument);
	tb_raw_close(fd);
	return result;
}

static int process_create(int fd)
{
	const char *domain = tb_rundir_domain(tb_process_rundir());
	struct tracebuf_ioc_register arg = {
		.size = sizeof(arg),
		.writer = tb_table_uses_rseq() ? TRACEBUF_WRITER_RSEQ : TRACEBUF_WRITER_FALLBACK,
		.domain = (uintptr_t) domain,
		.domain_size = strlen(domain),
	};
	int result = tb_raw_ioctl(fd, TRACEBUF_IOC_REGISTER, &arg);

	if (!result)
		return 0;
	return result == -ENOTTY || result == -ENODEV ? -ENOENT : -EUSERS;
}

static int process_reopen(int access)
{
	int fd = open_device(), result;

	(void) access;
	if (fd < 0)
		return fd;
	result = tb_raw_ioctl(fd, TRACEBUF_IOC_SELF, NULL);
	if (!result)
		return fd;
	tb_raw_close(fd);
	return result;
}

static int describe_bytes(int fd, uint8_t *bytes, uint32_t size, uint32_t nr)
{
	struct tracebuf_ioc_describe arg = {
		.size = sizeof(arg),
		.nr = nr,
		.descriptions = (uintptr_t) bytes,
		.descriptions_size = size,
	};

	return tb_raw_ioctl(fd, TRACEBUF_IOC_DESCRIBE, &arg);
}

/*
 * Those that got numbers before, for the parent of this process or in an attempt that failed: they must be the same,
 * since they are known by them.
 */
static int describe_again(int fd, uint8_t *bytes, uint32_t size, uint32_t nr)
{
	uint8_t *copy = tb_raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes, size);
	tb_descriptions_forget_numbers(copy, nr);
	result = describe_bytes(fd, copy, size, nr);
	if (!result && !tb_descriptions_take_numbers(bytes, copy, nr))
		result = -EUSERS;
	munmap(copy, size);
	return result;
}

static int describe(int fd, struct tb_descriptions have, struct tb_descriptions now)
{
	uint32_t size = now.size - have.size, nr = now.nr - have.nr;
	uint8_t *bytes = now.bytes + have.size;

	if (!nr)
		return 0;
	return tb_descriptions_have_number(bytes) ? describe_again(fd, bytes, size, nr) :
						    describe_bytes(fd, bytes, size, nr);
}

static int enable(int fd, const struct tb_unit *unit, uint32_t first, uint32_t nr, struct tb_descriptions now)
{
	struct tracebuf_ioc_enable arg = {
		.size = sizeof(arg),
		.records = (uintptr_t) (unit->records + first),
		.records_size = nr * sizeof(*unit->records),
		.offset = unit->offset + first * sizeof(*unit->records),
	};

	(void) now;
	return tb_raw_ioctl(fd, TRACEBUF_IOC_ENABLE, &arg);
}

/* Maps the first size bytes of fd, read-only but for [from, to). */
static void *map_file(int fd, size_t size, size_t from, size_t to)
{
	char *map = tb_raw_mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (!map)
		return NULL;
	if (tb_raw_mmap(map + from, to - from, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, from))
		return map;
	munmap(map, size);
	return NULL;
}

static int process_publish(int fd, struct tb_descriptions now, uint64_t enable_size, struct tracebuf_process **ret_page)
{
	/* The descriptions too, for those who read a core file. */
	struct tracebuf_process *page = map_file(fd, TRACEBUF_ENABLE_OFFSET, TRACEBUF_PROCESS_ACCOUNT_OFFSET,
						 TRACEBUF_PROCESS_ACCOUNT_OFFSET + getauxval(AT_PAGESZ));

	(void) now, (void) enable_size;
	if (!page)
		return -ENOMEM;
	*ret_page = page;
	return 0;
}

/* A process that was not published is forgotten when its descriptor is closed; one that ends, when it ends. */
static void nothing_to_do(void)
{
}

/* The kernel has done it. */
static void process_announce(int fd, struct tracebuf_process *page, struct tb_descriptions now, uint64_t enable_size)
{
	(void) fd, (void) page, (void) now, (void) enable_size;
}

static int control_open(uint64_t *ret_identity)
{
	*ret_identity = 1;
	return open_device();
}

/* Maps the new ring, which must be what its process took it for: the channel may have been changed meanwhile. */
static int map_ring(struct tb_ring *ring, int fd, const struct tracebuf_ioc_ring *made,
		    const struct tracebuf_channel *config)
{
	size_t size = TRACEBUF_RING_DATA_OFFSET + ring->ring_size;

	if (made->total_size != size)
		return -EBUSY;
	ring->map = map_file(fd, size, TRACEBUF_RING_PRODUCER_OFFSET, size);
	if (!ring->map)
		return -ENOMEM;
	if (memcmp(&ring->map->config, config, sizeof(*config))) {
		munmap(ring->map, size);
		return -EBUSY;
	}
	madvise(ring->map, size, MADV_DONTFORK);
	ring->instance = made->instance;
	ring->nr_descriptions = made->nr_descriptions;
	return 0;
}

static int ring_make(struct tb_ring *ring, const struct tb_control_slot *about, uint32_t nr)
{
	struct tracebuf_ioc_ring arg = {
		.size = sizeof(arg),
		.ring_set = ring->ring_set,
		.generation = ring->generation,
		.cpu = ring->row,
		.writer = ring->locked ? TRACEBUF_WRITER_FALLBACK : TRACEBUF_WRITER_RSEQ,
	};
	int fd = open_device(), result;

	(void) nr;
	if (fd < 0)
		return fd;
	if (ring->locked)
		syscall(SYS_getcpu, &arg.cpu, NULL, NULL);
	result = tb_raw_ioctl(fd, TRACEBUF_IOC_RING, &arg);
	if (!result)
		result = map_ring(ring, fd, &arg, &about->slot.channel[ring->ring_set % 16]);
	tb_raw_close(fd);
	/* A trace that does not see this process misses nothing of it, as one that is gone. */
	return result == -EPERM ? -ESTALE : result;
}

static int ring_back(const struct tb_ring *ring, uint64_t from, uint64_t size)
{
	return madvise(ring->data + from, size, MADV_POPULATE_WRITE) ? -ENOSPC : 0;
}

/* Of an overwrite ring, the first one makes its file appear; nobody takes from it before it is asked for. */
static void ring_bell(struct tb_ring *ring)
{
	struct tracebuf_ioc_switch arg = { sizeof(arg), ring->instance };

	if (ring->mode == TRACEBUF_MODE_OVERWRITE && tracebuf__load(&ring->has_rung))
		return;
	if (!call(TRACEBUF_IOC_SWITCH, &arg))
		tracebuf__store(&ring->has_rung, true);
}

static bool ring_wait(struct tb_ring *ring, uint64_t seq, uint32_t wake)
{
	struct tracebuf_ioc_wait arg = {
		.size = sizeof(arg),
		.instance = ring->instance,
		.seq = seq,
		.timeout_ms = TB_RING_WAIT_MS,
	};
	const struct timespec pause = { 0, TB_RING_WAIT_MS * 1000000 };
	int result;

	(void) wake;
	result = call(TRACEBUF_IOC_WAIT, &arg);
	if (!result || result == -ETIMEDOUT || result == -EINTR)
		return true;
	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, NULL);
	return false;
}

const struct tb_home tb_home_kernel = {
	.process_open = open_device,
	.process_create = process_create,
	.process_reopen = process_reopen,
	.describe = describe,
	.enable = enable,
	.process_publish = process_publish,
	.process_abandon = nothing_to_do,
	.process_announce = process_announce,
	.process_remove = nothing_to_do,
	.control_open = control_open,
	.control_size = TRACEBUF_RULES_OFFSET,
	.ring_make = ring_make,
	.ring_back = ring_back,
	.ring_bell = ring_bell,
	.ring_wait = ring_wait,
};
