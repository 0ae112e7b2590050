/* SPDX-License-Identifier: MIT */
/*
 * What every part of the daemon needs: to say something, to know the time, to give writers a moment.
 *
 * Invariant: whatever is said is one line on stderr, which a service manager keeps; an incident is told once by whoever
 * notices it, not each time that it is met.
 */
#include "daemon.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define GRACE_NS 2000000

void tb_say(const char *format, ...)
{
	char line[1024];
	va_list args;
	int size = snprintf(line, sizeof(line), "tracebufd: ");

	va_start(args, format);
	vsnprintf(line + size, sizeof(line) - size, format, args);
	va_end(args);
	/* Names in it may be a hostile process's. */
	for (char *at = line; *at; at++)
		if ((unsigned char) *at < ' ' || *at == 0x7f)
			*at = '?';
	fprintf(stderr, "%s\n", line);
}

uint64_t tb_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

void tb_grace(void)
{
	const struct timespec pause = { .tv_nsec = GRACE_NS };

	nanosleep(&pause, NULL);
}
