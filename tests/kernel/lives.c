/* SPDX-License-Identifier: MIT */
/*
 * "lives SHARED FIRST NR EVENTS": NR processes one after another, writers FIRST ..., which each write EVENTS events and
 * end. They are forked from this one, which writes none itself: an emulated machine takes long to execute programs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tracebuf/tracepoint.h>

#include "tests/shared.h"

TRACEBUF_EVENT(test, tick, (uint32_t, writer), (uint64_t, seq), (uint64_t, sum));

static void live(struct tick_shared *shared, uint32_t writer, uint64_t nr)
{
	shared->writer[writer].pid = shared->writer[writer].tid = (uint64_t) getpid();
	for (uint64_t seq = 0; seq < nr; seq++) {
		tracebuf_event(test, tick, writer, seq, tick_sum(writer, seq));
		shared->writer[writer].returned = seq + 1;
	}
}

int main(int argc, char **argv)
{
	struct tick_shared *shared = argc == 5 ? shared_map(argv[1]) : NULL;
	uint32_t first, nr;
	int status;

	if (!shared)
		return 2;
	first = (uint32_t) strtoul(argv[2], NULL, 0);
	nr = (uint32_t) strtoul(argv[3], NULL, 0);
	for (uint32_t i = 0; i < nr; i++) {
		pid_t pid = fork();

		if (!pid) {
			live(shared, first + i, strtoull(argv[4], NULL, 0));
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			return 1;
	}
	return 0;
}
