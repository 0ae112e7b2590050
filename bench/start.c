/* SPDX-License-Identifier: MIT */
/*
 * Start-up: "start PREFIX RUNS ROUNDS PROGRAM..." starts each program RUNS times, one after another, waits for its end,
 * and prints "PREFIX.PROGRAM US" for each round: microseconds for one life.
 */
#include <libgen.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec * 1e6 + (double) now.tv_nsec / 1e3;
}

static int run(char *program)
{
	char *argv[] = { program, NULL };
	int status;
	pid_t pid;

	if (posix_spawn(&pid, program, NULL, NULL, argv, environ) || waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "start: %s: cannot run\n", program);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int runs = argc > 4 ? atoi(argv[2]) : 0, rounds = argc > 4 ? atoi(argv[3]) : 0, round, i, j;
	double begin;

	for (round = 0; round <= rounds; round++) {
		for (i = 4; i < argc; i++) {
			begin = now_us();
			for (j = 0; j < runs; j++)
				if (run(argv[i]))
					return 1;
			if (round)
				printf("%s.%s %.2f\n", argv[1], basename(argv[i]), (now_us() - begin) / runs);
		}
	}
	return argc > 4 ? 0 : 2;
}
