/* SPDX-License-Identifier: MIT */
/*
 * Who may map what of the module's files and how: everything that abi.h allows works, everything else is refused at
 * once and for good. When their pages come: test_demand.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "balance.h"
#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_mappings"
#define MADV_POPULATE_WRITE_ 23

static struct control control;
static struct control_trace trace;

/* ---- What may only be read ---- */

/* Nothing writes to the page at address: no store, no right, no other way. */
static void check_store_refused(unsigned char *address)
{
	struct iovec local = { .iov_base = "x", .iov_len = 1 }, remote = { .iov_base = address, .iov_len = 1 };
	unsigned char before = *address;
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC), zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	CHECK_IS(store_signal(address), SIGSEGV);
	CHECK_IS(mprotect(address, page_size(), PROT_READ | PROT_WRITE) ? -errno : 0, -EACCES);
	CHECK_IS(mprotect(address, page_size(), PROT_WRITE) ? -errno : 0, -EACCES);
	CHECK_IS(mprotect(address, page_size(), PROT_READ | PROT_EXEC) ? -errno : 0, -EACCES);
	CHECK(mem >= 0 && pwrite(mem, "x", 1, (off_t) (uintptr_t) address) < 0);
	CHECK_IS(process_vm_writev(getpid(), &local, 1, &remote, 1, 0) < 0 ? -errno : 0, -EFAULT);
	CHECK_IS(read(zero, address, 1) < 0 ? -errno : 0, -EFAULT);
	CHECK(madvise(address, page_size(), MADV_POPULATE_WRITE_) != 0);
	CHECK_IS(*address, before);
	close(mem);
	close(zero);
}

/* A range of fd that this caller may only read. Its pages exist if is_there. */
static void check_read_only(int fd, uint64_t offset, size_t size)
{
	unsigned char *map = NULL;

	CHECK_IS(device_map(fd, offset, size, PROT_READ | PROT_WRITE, &map), -EACCES);
	CHECK_IS(device_map(fd, offset, size, PROT_WRITE, &map), -EACCES);
	CHECK_IS(device_map(fd, offset, size, PROT_READ | PROT_EXEC, &map), -EACCES);
	CHECK_IS(device_map_as(fd, offset, size, PROT_READ, MAP_PRIVATE, &map), -EINVAL);
	if (!CHECK_IS(device_map(fd, offset, size, PROT_READ, &map), 0))
		return;
	CHECK_IS(load_signal(map), 0);
	check_store_refused(map);
	CHECK_IS(munmap(map, size), 0);
}

/* A file of size bytes has nothing behind them. */
static void check_bounds(int fd, uint64_t size)
{
	size_t page = page_size();
	void *map;

	CHECK_IS(device_map(fd, size, page, PROT_READ, &map), -EINVAL);
	CHECK_IS(device_map(fd, size - page, 2 * page, PROT_READ, &map), -EINVAL);
	CHECK_IS(device_map(fd, 0, size + page, PROT_READ, &map), -EINVAL);
	CHECK_IS(device_map(fd, 1ull << 62, page, PROT_READ, &map), -EINVAL);
	CHECK(device_map(fd, (1ull << 63) - page, page, PROT_READ, &map) < 0);
	CHECK_IS(device_map(fd, 0, size, PROT_READ, &map), 0);
	CHECK_IS(munmap(map, size), 0);
	CHECK_IS(device_map(fd, size - page, page, PROT_READ, &map), 0);
	CHECK_IS(munmap(map, page), 0);
}

/* ---- The control file ---- */

static void check_control(struct child *self, void *arg)
{
	const struct tracebuf_control *page;
	int fd = device_open();

	(void) self, (void) arg;
	check_read_only(fd, 0, TRACEBUF_RULES_OFFSET);
	check_read_only(fd, 0, page_size());
	check_bounds(fd, TRACEBUF_RULES_OFFSET);
	CHECK_IS(device_map(fd, 0, TRACEBUF_RULES_OFFSET, PROT_READ, &page), 0);
	close(fd);
	writer_is_superblock(page, TRACEBUF_KIND_CONTROL);
	CHECK_IS(page->sb.total_size, TRACEBUF_RULES_OFFSET);
	CHECK_IS(page->sequence % 2, 0);
	CHECK_IS(page->clock, TRACEBUF_CLOCK_MONOTONIC);
	CHECK_IS(page->slot[trace.slot].generation, trace.generation);
	CHECK_IS(strcmp(page->slot[trace.slot].name, trace.name), 0);
	CHECK_IS(page->slot[trace.slot].active, 1);
	CHECK_IS(page->slot[trace.slot].nr_channels, 1);
	CHECK_IS(memcmp(&page->slot[trace.slot].channel[0], &control_channel, sizeof(control_channel)), 0);
	check_store_refused((unsigned char *) page + TRACEBUF_RULES_OFFSET - page_size());
}

static void test_control(void)
{
	if (!device_is_missing())
		child_run(check_control, NULL);
}

/* ---- The own process file ---- */

static void check_account(const struct writer *writer)
{
	struct tracebuf_process_account *again;
	uint64_t at_reader = 0;
	void *map;
	int reader = device_open_process(writer->name);

	__atomic_fetch_add(&writer->account->discarded, 5, __ATOMIC_RELAXED);
	CHECK_IS(device_map(writer->fd, TRACEBUF_PROCESS_ACCOUNT_OFFSET, page_size(), PROT_READ, &again), 0);
	CHECK_IS(again->discarded, 5);
	CHECK_IS(pread(reader, &at_reader, sizeof(at_reader), TRACEBUF_PROCESS_ACCOUNT_OFFSET), sizeof(at_reader));
	CHECK_IS(at_reader, 5);
	check_read_only(reader, TRACEBUF_PROCESS_ACCOUNT_OFFSET, page_size());
	/* Its neighbours are not written with it. */
	CHECK_IS(device_map(writer->fd, TRACEBUF_PROCESS_ACCOUNT_OFFSET - page_size(), 2 * page_size(),
			    PROT_READ | PROT_WRITE, &map), -EACCES);
	CHECK_IS(device_map(writer->fd, TRACEBUF_PROCESS_ACCOUNT_OFFSET, TRACEBUF_DESCRIPTIONS_OFFSET + page_size() -
			    TRACEBUF_PROCESS_ACCOUNT_OFFSET, PROT_READ | PROT_WRITE, &map), -EACCES);
	CHECK_IS(device_map(writer->fd, 0, TRACEBUF_PROCESS_SIZE, PROT_READ | PROT_WRITE, &map), -EACCES);
	CHECK_IS(device_map_as(writer->fd, TRACEBUF_PROCESS_ACCOUNT_OFFSET, page_size(), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE, &map), -EINVAL);
	CHECK_IS(device_map(writer->fd, TRACEBUF_PROCESS_ACCOUNT_OFFSET, page_size(), PROT_READ | PROT_EXEC, &map),
		 -EACCES);
	writer->account->discarded = 0;
	close(reader);
}

/* Room for the accounts within a mapping of the whole gets no right from being inside it. */
static void check_within(const struct writer *writer)
{
	unsigned char *map;

	CHECK_IS(device_map(writer->fd, 0, TRACEBUF_DESCRIPTIONS_OFFSET, PROT_READ, &map), 0);
	CHECK_IS(mprotect(map, page_size(), PROT_READ | PROT_WRITE) ? -errno : 0, -EACCES);
	CHECK_IS(mprotect(map, TRACEBUF_DESCRIPTIONS_OFFSET, PROT_READ | PROT_WRITE) ? -errno : 0, -EACCES);
	check_store_refused(map);
	munmap(map, TRACEBUF_DESCRIPTIONS_OFFSET);
}

static void check_process(struct child *self, void *arg)
{
	const struct tracebuf_enable *records;
	struct writer writer;
	uint32_t id = 0;

	(void) self, (void) arg;
	if (!CHECK_IS(writer_open(&writer, DOMAIN), 0))
		return;
	writer_is_superblock(writer.header, TRACEBUF_KIND_PROCESS);
	CHECK_IS(writer.header->sb.total_size, TRACEBUF_PROCESS_SIZE);
	CHECK_IS(writer.header->pid, getpid());
	CHECK_IS(writer.header->parent_pid, getppid());
	CHECK_IS(writer.header->incarnation, writer.id.incarnation);
	CHECK(strstr(writer.header->executable, "test_mappings") != NULL);
	CHECK_IS(writer_event(&writer, "test:mapped", &id), 0);
	CHECK_IS(writer_map_enable(&writer, 1, &records), 0);
	CHECK_IS(records[0].used, 1);
	CHECK_IS(records[0].id, id);
	CHECK_IS(records[0].enabled, 1 << trace.slot);
	check_store_refused((unsigned char *) records);
	check_read_only(writer.fd, 0, page_size());
	check_read_only(writer.fd, TRACEBUF_DESCRIPTIONS_OFFSET, page_size());
	check_read_only(writer.fd, TRACEBUF_ENABLE_OFFSET, page_size());
	check_within(&writer);
	check_account(&writer);
	check_bounds(writer.fd, TRACEBUF_PROCESS_SIZE);
	close(writer.fd);
	CHECK_IS(records[0].id, id);
	CHECK_IS(store_signal(writer.account), 0);
}

static void test_process(void)
{
	if (!device_is_missing())
		child_run(check_process, NULL);
}

/* ---- The own ring ---- */

static void check_ring_rights(struct child *self, void *arg)
{
	struct writer_ring ring;
	struct writer writer;
	void *map;

	(void) self, (void) arg;
	if (!writer_start(&writer, DOMAIN, &trace, &ring))
		return;
	writer_is_superblock(ring.header, TRACEBUF_KIND_RING);
	CHECK_IS(ring.arg.total_size, TRACEBUF_RING_DATA_OFFSET + 4 * 65536);
	CHECK_IS(ring.header->sb.total_size, ring.arg.total_size);
	CHECK_IS(ring.header->generation, trace.generation);
	CHECK_IS(ring.header->nr_descriptions, ring.arg.nr_descriptions);
	CHECK_IS(ring.producer->mask, 4 * 65536 - 1);
	check_store_refused((unsigned char *) ring.header);
	check_read_only(ring.fd, 0, page_size());
	check_bounds(ring.fd, ring.arg.total_size);
	/* One page too far to the left is not all writable. */
	CHECK_IS(device_map(ring.fd, TRACEBUF_RING_PRODUCER_OFFSET - page_size(), 2 * page_size(),
			    PROT_READ | PROT_WRITE, &map), -EACCES);
	CHECK_IS(device_map(ring.fd, 0, writer_ring_size(&ring), PROT_READ | PROT_WRITE, &map), -EACCES);
	CHECK_IS(device_map_as(ring.fd, TRACEBUF_RING_DATA_OFFSET, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE,
			       &map), -EINVAL);
	CHECK_IS(device_map(ring.fd, TRACEBUF_RING_DATA_OFFSET, page_size(), PROT_READ | PROT_EXEC, &map), -EACCES);
	CHECK_IS(store_signal(ring.producer), 0);
	close(ring.fd);
	CHECK_IS(store_signal(ring.data), 0);
	CHECK_IS(load_signal(ring.header), 0);
}

static void test_ring_rights(void)
{
	if (!device_is_missing())
		child_run(check_ring_rights, NULL);
}

/* ---- Children ---- */

static void use_inherited(struct child *self, void *arg)
{
	struct writer_ring *ring = arg;
	uint64_t number;
	void *map;

	/* The mapping is shared; the descriptor is another's now. */
	CHECK_IS(ring->data[0], 0);
	child_tell(self, 1);
	child_hear(self, &number);
	CHECK_IS(ring->data[0], 'p');
	CHECK_IS(store_signal(ring->data + 1), 0);
	check_store_refused((unsigned char *) ring->header);
	CHECK_IS(device_map(ring->fd, TRACEBUF_RING_DATA_OFFSET, page_size(), PROT_READ | PROT_WRITE, &map), -EACCES);
	CHECK_IS(device_map(ring->fd, TRACEBUF_RING_DATA_OFFSET, page_size(), PROT_READ, &map), 0);
	CHECK_IS(mprotect(map, page_size(), PROT_READ | PROT_WRITE) ? -errno : 0, -EACCES);
	CHECK_IS(device_self(), -ESRCH);
	CHECK_IS(device_switch(ring->arg.instance), -ESRCH);
	child_tell(self, 2);
	child_hear(self, &number);
}

struct found {
	const char *name;
	unsigned int nr;
	uint64_t is_gone;
};

static void find_named(const struct control_facts *facts, void *arg)
{
	struct found *found = arg;

	if (strcmp(facts->text[TRACEBUF_A_FILE_NAME], found->name))
		return;
	found->nr++;
	found->is_gone = facts->number[TRACEBUF_A_IS_GONE];
}

/* Is there such a process or ring, and has it its process? Waits for it, a little. */
static bool is_found(unsigned int cmd, const char *name, unsigned int nr, uint64_t is_gone)
{
	struct found found;
	uint64_t end = now_ms() + 10000;

	do {
		found = (struct found) { .name = name };
		control_dump(&control, cmd, NULL, find_named, &found);
		if (found.nr == nr && (!nr || found.is_gone == is_gone))
			return true;
		sleep_ms(10);
	} while (now_ms() < end);
	tb_note("%s: %u times, is_gone %llu", name, found.nr, (unsigned long long) found.is_gone);
	return false;
}

static void check_fork(struct child *self, void *arg)
{
	struct writer_ring ring;
	struct writer writer;
	struct child child;
	uint64_t number;

	(void) self, (void) arg;
	if (!writer_start(&writer, DOMAIN, &trace, &ring) || !child_start(&child, use_inherited, &ring))
		return;
	child_hear(&child, &number);
	ring.data[0] = 'p';
	child_tell(&child, 1);
	child_hear(&child, &number);
	CHECK_IS(ring.data[1], 0x5e);
	/* The process gives up all that it has; its child still has it. */
	munmap(writer.header, page_size());
	munmap(writer.account, page_size());
	writer_unmap(&ring);
	close(writer.fd);
	CHECK(is_found(TRACEBUF_CMD_RING_GET, ring.name, 1, 1));
	CHECK(is_found(TRACEBUF_CMD_PROCESS_GET, writer.name, 1, 1));
	child_tell(&child, 1);
	child_end(&child);
	number = (uint64_t) device_open_ring(trace.generation, ring.name);
	CHECK_IS(device_release((int) number), 0);
	CHECK(is_found(TRACEBUF_CMD_RING_GET, ring.name, 0, 0));
	CHECK(is_found(TRACEBUF_CMD_PROCESS_GET, writer.name, 0, 0));
}

static void test_fork(void)
{
	if (!device_is_missing())
		child_run(check_fork, NULL);
}

/* ---- Mappings in pieces ---- */

static void check_pieces(struct child *self, void *arg)
{
	size_t page = page_size();
	struct writer_ring ring;
	struct writer writer;
	unsigned char *moved;

	(void) self, (void) arg;
	if (!writer_start(&writer, DOMAIN, &trace, &ring))
		return;
	close(ring.fd);
	memset(ring.data, 'd', 4 * 65536);
	CHECK_IS(mprotect(ring.data + page, page, PROT_READ), 0);
	CHECK_IS(store_signal(ring.data + page), SIGSEGV);
	CHECK_IS(mprotect(ring.data + page, page, PROT_READ | PROT_WRITE), 0);
	CHECK_IS(store_signal(ring.data + page), 0);
	CHECK_IS(munmap(ring.data + 65536, 65536), 0);
	CHECK_IS(munmap(ring.header, TRACEBUF_RING_PRODUCER_OFFSET), 0);
	CHECK_IS(load_signal(ring.data + 65536), SIGSEGV);
	moved = mremap(ring.data + 2 * 65536, 65536, 65536, MREMAP_MAYMOVE | MREMAP_FIXED, ring.data + 65536);
	if (!CHECK(moved == ring.data + 65536))
		return;
	CHECK_IS(moved[0], 'd');
	CHECK_IS(store_signal(moved), 0);
	CHECK(mremap(moved, 65536, 2 * 65536, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(mremap(moved, 0, 65536, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(is_found(TRACEBUF_CMD_RING_GET, ring.name, 1, 0));
	CHECK_IS(munmap(moved, 65536), 0);
	CHECK_IS(munmap(ring.producer, TRACEBUF_RING_DATA_OFFSET - TRACEBUF_RING_PRODUCER_OFFSET), 0);
	CHECK_IS(munmap(ring.data, 65536), 0);
	CHECK(is_found(TRACEBUF_CMD_RING_GET, ring.name, 1, 0));
	CHECK_IS(munmap(ring.data + 3 * 65536, 65536), 0);
	CHECK(is_found(TRACEBUF_CMD_RING_GET, ring.name, 1, 1));
}

static void test_pieces(void)
{
	if (!device_is_missing())
		child_run(check_pieces, NULL);
}

/* ---- Readers ---- */

static void check_reader(int fd, const struct writer_ring *ring)
{
	struct tracebuf_ring header;
	unsigned char bytes[16];

	if (!CHECK(fd >= 0))
		return;
	if (ftruncate(fd, 0))
		errno = 0;	/* whatever it says, nothing is cut off */
	check_read_only(fd, 0, page_size());
	check_read_only(fd, TRACEBUF_RING_PRODUCER_OFFSET, page_size());
	check_read_only(fd, TRACEBUF_RING_DATA_OFFSET, 65536);
	check_bounds(fd, ring->arg.total_size);
	CHECK_IS(pread(fd, &header, sizeof(header), 0), sizeof(header));
	CHECK_IS(memcmp(&header, ring->header, TRACEBUF_RING_HEADER_SIZE), 0);
	CHECK_IS(pread(fd, bytes, sizeof(bytes), TRACEBUF_RING_DATA_OFFSET), sizeof(bytes));
	CHECK_IS(memcmp(bytes, ring->data, sizeof(bytes)), 0);
	CHECK_IS(pread(fd, bytes, sizeof(bytes), (off_t) ring->arg.total_size - 1), 1);
	CHECK_IS(pread(fd, bytes, sizeof(bytes), (off_t) ring->arg.total_size), 0);
	CHECK(pwrite(fd, bytes, 1, TRACEBUF_RING_DATA_OFFSET) < 0);
	close(fd);
}

static void check_readers(struct child *self, void *arg)
{
	struct writer_ring ring;
	struct writer writer;
	char path[256];

	(void) self, (void) arg;
	if (!writer_start(&writer, DOMAIN, &trace, &ring))
		return;
	CHECK_IS(writer_fill(&ring), 0);
	check_reader(device_open_ring(trace.generation, ring.name), &ring);
	snprintf(path, sizeof(path), "/sys/kernel/debug/tracebuf/%s/%s", trace.directory, ring.name);
	check_reader(open(path, O_RDWR | O_CLOEXEC), &ring);
	check_reader(open(path, O_RDONLY | O_CLOEXEC), &ring);
}

static void test_readers(void)
{
	if (!device_is_missing())
		child_run(check_readers, NULL);
}

/* The page that the superblock names is the one that is mapped; the next page's name is not. */
static void check_addresses(struct child *self, void *arg)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct writer_ring ring;
	struct writer writer;
	uint64_t entry = 0;

	(void) self, (void) arg;
	if (!writer_start(&writer, DOMAIN, &trace, &ring))
		return;
	CHECK_IS(load_signal(ring.header), 0);
	CHECK_IS(pread(pagemap, &entry, 8, (off_t) ((uintptr_t) ring.header / page_size() * 8)), 8);
	CHECK_IS((entry & ((1ull << 55) - 1)) * page_size(), ring.header->sb.physical_address);
	CHECK(writer.header->sb.physical_address != ring.header->sb.physical_address);
	CHECK(writer.header->sb.page_list != ring.header->sb.page_list);
}

static void test_addresses(void)
{
	if (!device_is_missing())
		child_run(check_addresses, NULL);
}

static void test_end(void)
{
	if (device_is_missing())
		return;
	CHECK_IS(control_destroy(&control, &trace), 0);
	balance_check(&control);
	CHECK_IS(control_status(&control, TRACEBUF_A_NR_RINGS), 0);
}

static void test_start(void)
{
	balance_begin_with(&control, "mappings", DOMAIN, &trace);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "begin", test_start },
		{ "control file", test_control },
		{ "process file", test_process },
		{ "ring: rights", test_ring_rights },
		{ "ring: forked children", test_fork },
		{ "ring: mappings in pieces", test_pieces },
		{ "readers", test_readers },
		{ "physical addresses", test_addresses },
		{ "end: pages are back", test_end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_mappings", tests);
}
