/* SPDX-License-Identifier: MIT */
/*
 * "manners NUMBER": writes NUMBER events, says what it finds in itself that it did not put there, then waits for the
 * end of its stdin. Built twice: with MANNERS_PLAIN it is the same program without tracebuf.
 *
 *	fds N tasks N handlers N blocked N errno N
 *
 * errno: how many events changed it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef MANNERS_PLAIN
#define tracebuf_event(provider, event, ...) ((void) (__VA_ARGS__))
#else
#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(manners, value, (uint64_t, value));
#endif

static unsigned int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr;
}

static unsigned int count_handlers(void)
{
	struct sigaction action;
	unsigned int nr = 0;
	int number;

	for (number = 1; number < 65; number++)
		nr += sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
	return nr;
}

static unsigned int count_blocked(void)
{
	unsigned int nr = 0;
	sigset_t set;
	int number;

	sigprocmask(SIG_BLOCK, NULL, &set);
	for (number = 1; number < 65; number++)
		nr += sigismember(&set, number) == 1;
	return nr;
}

int main(int argc, char **argv)
{
	uint64_t i, nr = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
	unsigned int nr_changed = 0;
	char byte;

	for (i = 0; i < nr; i++) {
		errno = 1234;
		tracebuf_event(manners, value, i);
		nr_changed += errno != 1234;
	}
	printf("fds %u tasks %u handlers %u blocked %u errno %u\n", count_entries("/proc/self/fd"),
	       count_entries("/proc/self/task"), count_handlers(), count_blocked(), nr_changed);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
