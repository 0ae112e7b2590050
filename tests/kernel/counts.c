/* SPDX-License-Identifier: MIT */
/*
 * "counts SHARED NUMBER PORT": tells a virtual machine's host, line by line and without end, how many events each of the
 * writers 0 ... NUMBER - 1 has counted (tick.h). A line is one write(2), which returns once the host has it: whatever
 * stands in a line that the host got was in memory before.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/shared.h"
#include "tests/tick.h"

#define MAX_COUNTED 64

static size_t put_counts(char *line, size_t size, const struct tick_shared *shared, unsigned int nr)
{
	size_t length = 0;

	for (unsigned int i = 0; i < nr; i++)
		length += (size_t) snprintf(line + length, size - length, "%s%" PRIu64, i ? " " : "",
					    __atomic_load_n(&shared->writer[i].returned, __ATOMIC_RELAXED));
	line[length++] = '\n';
	return length;
}

int main(int argc, char **argv)
{
	const struct timespec pause = { 0, 200000 };
	const struct tick_shared *shared = argc == 4 ? shared_map(argv[1]) : NULL;
	unsigned int nr = argc == 4 ? (unsigned int) atoi(argv[2]) : 0;
	int port = argc == 4 ? open(argv[3], O_WRONLY | O_CLOEXEC) : -1;
	char line[MAX_COUNTED * 21 + 1];

	if (!shared || port < 0 || nr < 1 || nr > MAX_COUNTED) {
		fputs("usage: counts SHARED NUMBER PORT\n", stderr);
		return 2;
	}
	/* Between writers that never pause. */
	setpriority(PRIO_PROCESS, 0, -10);
	for (;;) {
		size_t length = put_counts(line, sizeof(line), shared, nr);

		if (write(port, line, length) != (ssize_t) length)
			return 1;
		nanosleep(&pause, NULL);
	}
}
