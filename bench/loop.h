/* SPDX-License-Identifier: MIT */
#ifndef TB_LOOP_H
#define TB_LOOP_H

#include <stdint.h>

/* What is measured: run() does the thing n times. The table of them ends with a NULL name. */
struct loop_subject {
	const char *name;
	void (*run)(uint64_t n);
};

/* The time stamp counter, or what comes nearest to it. */
static inline uint64_t loop_counter(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t counter;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(counter));
	return counter;
#endif
}

/* What the reference loops do. */
void loop_run_counter(uint64_t n);
void loop_run_empty(uint64_t n);

/*
 * main() of a program of loops: PROGRAM PREFIX THREADS ITERATIONS ROUNDS SUBJECT... Each round runs each subject once,
 * in turn, in THREADS threads at the same time, one pinned to each CPU, after a round that is not measured. A line a
 * sample: "PREFIX.SUBJECT.THREADS NS", "PREFIX.SUBJECT.THREADS.cycles CYCLES", for one iteration, mean of the threads.
 */
int loop_main(const struct loop_subject *subjects, int argc, char **argv);

#endif
