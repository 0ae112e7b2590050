/* SPDX-License-Identifier: MIT */
/*
 * "caller SHARED WRITER FILE": writes events that prove themselves (tick.h) as WRITER, without end, and now and then one
 * byte, 0, to FILE. Where that is /dev/crasher, the kernel crashes in this program's own system call, once it is told to.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <tracebuf/tracepoint.h>

#include "tests/shared.h"
#include "tests/tick.h"

TRACEBUF_EVENT(test, tick, (uint32_t, writer), (uint64_t, seq), (uint64_t, sum));

#define EVENTS_A_CALL 512

int main(int argc, char **argv)
{
	struct tick_shared *shared = argc == 4 ? shared_map(argv[1]) : NULL;
	uint32_t writer = argc == 4 ? (uint32_t) atoi(argv[2]) : MAX_WRITERS;
	int fd = argc == 4 ? open(argv[3], O_WRONLY | O_CLOEXEC) : -1;

	if (!shared || writer >= MAX_WRITERS || fd < 0) {
		fputs("usage: caller SHARED WRITER FILE\n", stderr);
		return 2;
	}
	for (uint64_t seq = 0;; seq++) {
		tracebuf_event(test, tick, writer, seq, tick_sum(writer, seq));
		__atomic_store_n(&shared->writer[writer].returned, seq + 1, __ATOMIC_RELAXED);
		if (seq % EVENTS_A_CALL == 0 && write(fd, "", 1) != 1)
			return 1;
	}
}
