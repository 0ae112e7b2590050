/* SPDX-License-Identifier: MIT */
/*
 * The traced program of the tests: "traced SHARED ACTION ARGUMENTS...". It writes events that prove themselves
 * (tick.h). Here: threads that write until they have written enough, are told to stop, or are killed.
 *
 *   count WRITER THREADS NUMBER KIND    NUMBER events (0: until stopped) in each of THREADS threads, which are writers
 *                                       WRITER ...; KIND: tick, blob, mixed
 */
#define _GNU_SOURCE
#include "traced.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(test, tick, (uint32_t, writer), (uint64_t, seq), (uint64_t, sum));
TRACEBUF_EVENT(test, blob, (uint32_t, writer), (uint64_t, seq), (uint64_t, sum), (const uint64_t *, data, length));
TRACEBUF_EVENT(test, text, (uint32_t, writer), (uint64_t, seq), (uint64_t, sum), (const char *, text));

#define MAX_THREADS 64
#define BATCH 64

struct tick_shared *shared;

static void fill_blob(uint64_t *data, uint64_t sum, uint32_t length)
{
	uint32_t i;

	for (i = 0; i < length; i++)
		data[i] = blob_word(sum, i);
}

static void write_blob(uint32_t writer, uint64_t seq)
{
	static __thread uint64_t *data;
	uint32_t length = blob_length(writer, seq);
	uint64_t sum = tick_sum(writer, seq);

	if (!data)
		data = malloc(BLOB_MAX_WORDS * sizeof(*data));
	if (!data)
		exit(3);
	fill_blob(data, sum, length);
	tracebuf_event(test, blob, writer, seq, sum, data, length);
}

static void write_text(uint32_t writer, uint64_t seq)
{
	char text[32];

	snprintf(text, sizeof(text), "%u/%llu", writer, (unsigned long long) seq);
	tracebuf_event(test, text, writer, seq, tick_sum(writer, seq), text);
}

void traced_write(uint32_t writer, uint64_t seq, uint64_t nr, enum traced_kind kind)
{
	uint64_t end = seq + nr;

	for (; seq < end; seq++) {
		if (kind == TRACED_BLOB)
			write_blob(writer, seq);
		else if (kind == TRACED_MIXED && seq % 3 == 0)
			write_text(writer, seq);
		else
			tracebuf_event(test, tick, writer, seq, tick_sum(writer, seq));
		__atomic_store_n(&shared->writer[writer].returned, seq + 1, __ATOMIC_RELAXED);
	}
}

void traced_more(uint32_t writer, uint64_t nr)
{
	traced_write(writer, shared->writer[writer].returned, nr, TRACED_TICK);
}

bool traced_stopped(void)
{
	return __atomic_load_n(&shared->stop, __ATOMIC_RELAXED);
}

struct count {
	pthread_t thread;
	uint32_t writer;
	uint64_t nr;
	enum traced_kind kind;
};

static void *count(void *arg)
{
	struct count *self = arg;
	uint64_t seq = 0, nr;

	shared->writer[self->writer].pid = (uint64_t) getpid();
	shared->writer[self->writer].tid = (uint64_t) syscall(SYS_gettid);
	__atomic_fetch_add(&shared->nr_ready, 1, __ATOMIC_RELAXED);
	while (self->nr ? seq < self->nr : !traced_stopped()) {
		nr = self->nr && self->nr - seq < BATCH ? self->nr - seq : BATCH;
		traced_write(self->writer, seq, nr, self->kind);
		seq += nr;
	}
	return NULL;
}

static int action_count(int argc, char **argv)
{
	struct count threads[MAX_THREADS];
	unsigned int nr_threads, i;

	if (argc < 5)
		return 2;
	nr_threads = (unsigned int) atoi(argv[2]);
	if (nr_threads < 1 || nr_threads > MAX_THREADS)
		return 2;
	for (i = 0; i < nr_threads; i++) {
		threads[i].writer = (uint32_t) atoi(argv[1]) + i;
		threads[i].nr = strtoull(argv[3], NULL, 0);
		threads[i].kind = argv[4][0] == 't' ? TRACED_TICK : argv[4][0] == 'b' ? TRACED_BLOB : TRACED_MIXED;
		if (i && pthread_create(&threads[i].thread, NULL, count, &threads[i]))
			return 3;
	}
	count(&threads[0]);
	for (i = 1; i < nr_threads; i++)
		pthread_join(threads[i].thread, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	int r;

	if (argc < 3)
		return 2;
	shared = shared_map(argv[1]);
	if (!shared) {
		perror(argv[1]);
		return 3;
	}
	if (strcmp(argv[2], "count") == 0)
		return action_count(argc - 2, argv + 2);
	r = traced_process_action(argc - 1, argv + 1);
	if (r == -1)
		fprintf(stderr, "traced: no action %s\n", argv[2]);
	return r == -1 ? 2 : r;
}
