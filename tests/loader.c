/* SPDX-License-Identifier: MIT */
/*
 * "loader SHARED ROUNDS OBJECT...": a thread an object loads it, writes some events through it and unloads it, ROUNDS
 * times; meanwhile the main thread writes events of its own. Thread i is writer i + 1, the main thread writer 0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared.h"

#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(test, tick, (uint32_t, writer), (uint64_t, seq), (uint64_t, sum));

#define MAX_OBJECTS 16
#define EVENTS_A_ROUND 10

static struct tick_shared *shared;
static unsigned int nr_rounds, nr_alive;

struct load {
	pthread_t thread;
	const char *object;
	uint32_t writer;
};

static void begin(uint32_t writer)
{
	shared->writer[writer].pid = (uint64_t) getpid();
	shared->writer[writer].tid = (uint64_t) syscall(SYS_gettid);
}

static int load_once(const struct load *load, uint64_t seq)
{
	void *object = dlopen(load->object, RTLD_NOW | RTLD_LOCAL);
	void (*write_event)(uint32_t writer, uint64_t seq);
	unsigned int i;

	*(void **) &write_event = object ? dlsym(object, "plugin_write") : NULL;
	if (!write_event) {
		fprintf(stderr, "loader: %s\n", dlerror());
		return -1;
	}
	for (i = 0; i < EVENTS_A_ROUND; i++) {
		write_event(load->writer, seq + i);
		shared->writer[load->writer].returned = seq + i + 1;
	}
	return dlclose(object);
}

static void *load_often(void *arg)
{
	struct load *load = arg;
	unsigned int i;

	begin(load->writer);
	for (i = 0; i < nr_rounds && load_once(load, (uint64_t) i * EVENTS_A_ROUND) == 0; i++)
		;
	__atomic_fetch_sub(&nr_alive, 1, __ATOMIC_RELAXED);
	return NULL;
}

int main(int argc, char **argv)
{
	struct load loads[MAX_OBJECTS];
	uint64_t seq;
	int i;

	if (argc < 4 || argc - 3 > MAX_OBJECTS || !(shared = shared_map(argv[1])))
		return 2;
	nr_rounds = (unsigned int) atoi(argv[2]);
	nr_alive = (unsigned int) (argc - 3);
	for (i = 0; i < argc - 3; i++) {
		loads[i].object = argv[i + 3];
		loads[i].writer = (uint32_t) i + 1;
		if (pthread_create(&loads[i].thread, NULL, load_often, &loads[i]))
			return 3;
	}
	begin(0);
	for (seq = 0; __atomic_load_n(&nr_alive, __ATOMIC_RELAXED); seq++) {
		tracebuf_event(test, tick, 0, seq, tick_sum(0, seq));
		shared->writer[0].returned = seq + 1;
	}
	for (i = 0; i < argc - 3; i++)
		pthread_join(loads[i].thread, NULL);
	return 0;
}
