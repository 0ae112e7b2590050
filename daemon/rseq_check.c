/* SPDX-License-Identifier: MIT */
/*
 * Proof that restartable sequences abort. Kernels exist that register rseq and never abort (arm64, 6.19): a writer that
 * trusted them would lose events, so the daemon tries it once and publishes the answer in the control page.
 *
 * A thread counts down inside a sequence while another one competes for the same CPU. Preempted, it must come out at
 * the abort label. If it comes out at the end although the kernel counted a context switch in between, sequences do
 * not work.
 */
#define _GNU_SOURCE
#include "rseq_check.h"
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/rseq.h>

/* Some 10 ms of counting a try: longer than a time slice. */
#define SPINS 30000000ull
#define NR_TRIES 20

#if defined(__x86_64__) && defined(__LP64__)
/* Counts down inside a sequence. Returns true if it was aborted. */
static bool spin_in_sequence(void)
{
	uint64_t spins = SPINS;

	__asm__ goto volatile(
		".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n"
		"3:\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"
		"movq %[spins], %%rcx\n\tleaq 3b(%%rip), %%rax\n\tmovq %%rax, %%fs:8(%[rseq])\n"
		"1:\tdecq %%rcx\n\tjnz 1b\n"
		"2:\n\tmovq $0, %%fs:8(%[rseq])\n\t.pushsection __rseq_failure, \"ax\"\n\t"
		".byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053\n"
		"4:\tjmp %l[aborted]\n\t.popsection\n\t"
		: : [rseq] "r"(__rseq_offset), [spins] "r"(spins) : "rax", "rcx", "memory", "cc" : aborted);
	return false;
aborted:
	return true;
}
#elif defined(__aarch64__)
static bool spin_in_sequence(void)
{
	char *area = (char *) __builtin_thread_pointer() + __rseq_offset;
	uint64_t spins = SPINS;

	__asm__ goto volatile(
		".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n"
		"3:\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"
		"mov x9, %[spins]\n\tadrp x10, 3b\n\tadd x10, x10, :lo12:3b\n\tstr x10, [%[rseq], #8]\n"
		"1:\tsubs x9, x9, #1\n\tb.ne 1b\n"
		"2:\n\tstr xzr, [%[rseq], #8]\n\tb 5f\n\t.inst 0xd428bc00\n"
		"4:\tb %l[aborted]\n"
		"5:\n"
		: : [rseq] "r"(area), [spins] "r"(spins) : "x9", "x10", "memory", "cc" : aborted);
	return false;
aborted:
	return true;
}
#else
static bool spin_in_sequence(void)
{
	return false;
}
#endif

static void *compete(void *data)
{
	const int *stop = data;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED))
		;
	return NULL;
}

static long switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

static bool aborts(void)
{
	int nr_missed = 0;

	/* One switch may have come just outside the sequence. */
	for (int i = 0; i < NR_TRIES && nr_missed < 3; i++) {
		long before = switches();

		if (spin_in_sequence())
			return true;
		nr_missed += switches() != before;
	}
	return false;
}

static void *check(void *data)
{
	pthread_t competitor;
	cpu_set_t cpu;
	int stop = 0;
	bool works;

	/* Of this thread alone; the competitor inherits it. */
	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu) || pthread_create(&competitor, NULL, compete, &stop))
		return NULL;
	works = aborts();
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(competitor, NULL);
	*(bool *) data = works;
	return NULL;
}

bool tb_rseq_works(void)
{
	bool works = false;
	pthread_t thread;

	if (!__rseq_size || pthread_create(&thread, NULL, check, &works))
		return false;
	pthread_join(thread, NULL);
	return works;
}
