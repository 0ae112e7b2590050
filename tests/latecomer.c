/* SPDX-License-Identifier: MIT */
/*
 * "latecomer SHARED OBJECT": the main thread, which has a ring already, loads an object and goes on with its events on
 * the same CPU: its ring was made before those events were described. Writer 0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared.h"

#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(test, tick, (uint32_t, writer), (uint64_t, seq), (uint64_t, sum));

#define NR_EVENTS 100

static void stay_on_this_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t) sched_getcpu(), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

int main(int argc, char **argv)
{
	struct tick_shared *shared = argc == 3 ? shared_map(argv[1]) : NULL;
	void (*write_event)(uint32_t writer, uint64_t seq);
	uint64_t seq;
	void *object;

	if (!shared)
		return 2;
	shared->writer[0].pid = (uint64_t) getpid();
	shared->writer[0].tid = (uint64_t) syscall(SYS_gettid);
	stay_on_this_cpu();
	for (seq = 0; seq < NR_EVENTS; seq++)
		tracebuf_event(test, tick, 0, seq, tick_sum(0, seq));
	object = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
	*(void **) &write_event = object ? dlsym(object, "plugin_write") : NULL;
	if (!write_event) {
		fprintf(stderr, "latecomer: %s\n", dlerror());
		return 3;
	}
	for (; seq < 2 * NR_EVENTS; seq++)
		write_event(0, seq);
	shared->writer[0].returned = seq;
	return 0;
}
