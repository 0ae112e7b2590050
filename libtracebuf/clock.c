/* SPDX-License-Identifier: MIT */
/*
 * The clocks that events can carry. The hardware counter is read by the fast path itself; everything else comes by
 * here. The counter of last resort is one word that all processes of a run directory share: it gives order, not time.
 */
#define _GNU_SOURCE
#include "clock.h"
#include "process.h"
#include "raw.h"
#include "rundir.h"
#include <stdio.h>
#include <tracebuf/abi.h>
#include <tracebuf/ordering.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static uint64_t *counter;

static uint64_t *map_counter(void)
{
	const char *rundir = tb_process_rundir();
	char path[TB_RUNDIR_SIZE + 16];
	uint64_t *map;
	int fd;

	if (!rundir)
		return NULL;
	snprintf(path, sizeof(path), "%s/counter", rundir);
	fd = tb_raw_open(path, O_RDWR);
	if (fd < 0)
		return NULL;
	map = tb_raw_mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tb_raw_close(fd);
	tracebuf__store_release(&counter, map);
	return map;
}

static uint64_t count(void)
{
	uint64_t *map = tracebuf__load_acquire(&counter);

	if (!map)
		map = map_counter();
	return map ? __atomic_fetch_add(map, 1, __ATOMIC_SEQ_CST) : tb_raw_clock_ns(CLOCK_MONOTONIC);
}

uint64_t tb_clock_read(uint32_t clock)
{
	uint64_t now;

	if (clock == TRACEBUF_CLOCK_COUNTER)
		return count();
	if (clock != TRACEBUF_CLOCK_TSC)
		return tb_raw_clock_ns(CLOCK_MONOTONIC);
#if defined(__x86_64__)
	/* Not before what came before it: the lock of a ring that threads of several CPUs write. */
	_mm_lfence();
	now = __rdtsc();
#elif defined(__aarch64__)
	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(now) : : "memory");
#else
	now = tb_raw_clock_ns(CLOCK_MONOTONIC);
#endif
	return now;
}
