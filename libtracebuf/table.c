/* SPDX-License-Identifier: MIT */
/*
 * The tables of rings: tracebuf__rings, which the fast path reads, and beside it the library's own.
 *
 * Invariant: an entry of tracebuf__rings is NULL or a ring that may be written by a restartable sequence on the CPU of
 * its row; it lies in pages that a fork wipes, so a child finds NULL everywhere and takes the cold path. The tables
 * are never unmapped.
 */
#define _GNU_SOURCE
#include "table.h"
#include "raw.h"
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/rseq.h>

#define MARK_SIZE 65536u	/* a page of its own on every architecture */

struct tracebuf_producer **tracebuf__rings;
__thread uint32_t tracebuf__tid __attribute__((tls_model("initial-exec")));

static struct tb_ring **rings;
static uint32_t *mark;			/* in the wiped pages: 1 in the process that claimed them */
static size_t mark_and_tables_size;
static uint32_t nr_cpu_rows;
static bool distrusted;

/* An upper bound of CPU numbers: the kernel's CPU mask, whole words of it. */
static uint32_t max_cpus(void)
{
	unsigned long mask[1024];
	long size = tb_raw_result(syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask));

	return size > 0 ? size * 8 : 8192;
}

int tb_table_make(void)
{
	size_t row = TRACEBUF_NR_RING_SETS * sizeof(void *), size;
	uint32_t cpus = max_cpus();
	char *memory;

	if (tracebuf__rings)
		return 0;
	size = MARK_SIZE + 2 * row * (cpus + TB_LOCKED_ROWS);
	memory = tb_raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!memory)
		return -ENOMEM;
	if (madvise(memory, size, MADV_WIPEONFORK)) {
		munmap(memory, size);
		return -ENOSYS;
	}
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0);
	mark_and_tables_size = size;
	nr_cpu_rows = cpus;
	mark = (void *) memory;
	rings = (void *) (memory + MARK_SIZE);
	tracebuf__rings = (void *) (memory + MARK_SIZE + row * (cpus + TB_LOCKED_ROWS));
	return 0;
}

bool tb_table_is_ours(void)
{
	return mark && tracebuf__load(mark);
}

void tb_table_claim(void)
{
	tracebuf__store(mark, 1);
}

void tb_table_after_fork(void)
{
	if (tb_table_is_ours())
		madvise(mark, mark_and_tables_size, MADV_DONTNEED);
}

uint32_t tb_table_cpu_rows(void)
{
	return nr_cpu_rows;
}

bool tb_table_uses_rseq(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
	return __rseq_size != 0 && !tracebuf__load(&distrusted);
#else
	return false;
#endif
}

void tb_table_distrust_rseq(void)
{
	tracebuf__store(&distrusted, true);
}

struct tb_ring **tb_table_ring(uint32_t row, uint32_t ring_set)
{
	return &rings[row * TRACEBUF_NR_RING_SETS + ring_set];
}

struct tracebuf_producer **tb_table_producer(uint32_t row, uint32_t ring_set)
{
	return &tracebuf__rings[row * TRACEBUF_NR_RING_SETS + ring_set];
}
