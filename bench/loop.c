/* SPDX-License-Identifier: MIT */
/*
 * Micro-benchmark driver: the same loop around tracebuf's, LTTng's and no tracepoint at all, so that figures differ
 * by what is measured only. Subjects take turns within a round: a slow minute of the machine hits all of them.
 */
#define _GNU_SOURCE
#include "loop.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_THREADS 1024

struct worker {
	pthread_t thread;
	pthread_barrier_t *barrier;
	const struct loop_subject *subject;
	uint64_t n;
	unsigned int cpu;
	double ns, cycles;
};

void loop_run_counter(uint64_t n)
{
	uint64_t i, sum = 0;

	for (i = 0; i < n; i++)
		sum += loop_counter();
	__asm__ volatile("" : : "r"(sum));
}

void loop_run_empty(uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		__asm__ volatile("" : : "r"(i));
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	cpu_set_t cpus;
	double begin_ns;
	uint64_t begin;

	CPU_ZERO(&cpus);
	CPU_SET(worker->cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	worker->subject->run(worker->n / 20 + 1);
	pthread_barrier_wait(worker->barrier);
	begin_ns = now_ns();
	begin = loop_counter();
	worker->subject->run(worker->n);
	worker->cycles = (double) (loop_counter() - begin) / (double) worker->n;
	worker->ns = (now_ns() - begin_ns) / (double) worker->n;
	return NULL;
}

static int run_once(const struct loop_subject *subject, unsigned int nr_threads, uint64_t n, double *ns, double *cycles)
{
	static struct worker workers[MAX_THREADS];
	pthread_barrier_t barrier;
	unsigned int i;

	pthread_barrier_init(&barrier, NULL, nr_threads);
	for (i = 0; i < nr_threads; i++) {
		workers[i] = (struct worker) { .barrier = &barrier, .subject = subject, .n = n, .cpu = i };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) {
			fputs("loop: no thread\n", stderr);
			return -1;
		}
	}
	*ns = *cycles = 0;
	for (i = 0; i < nr_threads; i++) {
		pthread_join(workers[i].thread, NULL);
		*ns += workers[i].ns / nr_threads;
		*cycles += workers[i].cycles / nr_threads;
	}
	pthread_barrier_destroy(&barrier);
	return 0;
}

static const struct loop_subject *find(const struct loop_subject *subjects, const char *name)
{
	for (; subjects->name; subjects++)
		if (strcmp(subjects->name, name) == 0)
			return subjects;
	fprintf(stderr, "loop: no subject %s\n", name);
	exit(2);
}

int loop_main(const struct loop_subject *subjects, int argc, char **argv)
{
	unsigned int nr_threads, nr_rounds, round;
	double ns, cycles;
	uint64_t n;
	int i;

	if (argc < 6) {
		fprintf(stderr, "usage: %s PREFIX THREADS ITERATIONS ROUNDS SUBJECT...\n", argv[0]);
		return 2;
	}
	nr_threads = (unsigned int) strtoul(argv[2], NULL, 0);
	n = strtoull(argv[3], NULL, 0);
	nr_rounds = (unsigned int) strtoul(argv[4], NULL, 0);
	if (nr_threads < 1 || nr_threads > MAX_THREADS || !n)
		return 2;
	for (round = 0; round <= nr_rounds; round++) {
		for (i = 5; i < argc; i++) {
			if (run_once(find(subjects, argv[i]), nr_threads, n, &ns, &cycles))
				return 1;
			if (!round)
				continue;
			printf("%s.%s.%u %.4f\n", argv[1], argv[i], nr_threads, ns);
			printf("%s.%s.%u.cycles %.2f\n", argv[1], argv[i], nr_threads, cycles);
		}
	}
	return 0;
}
