/* SPDX-License-Identifier: MIT */
/*
 * Calls each allocation function, with arguments that work and that do not, and fails if one does not do what its
 * manual says. Run under libtracebuf-libc.so, disabled and recorded; the test counts the events.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_THREADS 4

static void require(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "allocator: %s\n", what);
	exit(1);
}

static void check_successes(void)
{
	char *volatile p = malloc(100);
	void *aligned = NULL;

	errno = EXDEV;
	p = realloc(p, 200);
	p = reallocarray(p, 3, 100);
	require(p && malloc_usable_size(p) >= 300, "reallocarray");
	free(p);
	p = calloc(3, 7);
	require(p && !memcmp(p, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 21), "calloc");
	free(p);
	p = memalign(64, 10);
	require((uintptr_t) p % 64 == 0, "memalign");
	free(p);
	p = aligned_alloc(128, 256);
	require((uintptr_t) p % 128 == 0, "aligned_alloc");
	free(p);
	require(!posix_memalign(&aligned, 256, 11) && (uintptr_t) aligned % 256 == 0, "posix_memalign");
	free(aligned);
	p = valloc(5);
	require((uintptr_t) p % sysconf(_SC_PAGESIZE) == 0, "valloc");
	free(p);
	p = NULL;
	free(p);
	require(errno == EXDEV, "errno was changed");
}

static void check_failures(void)
{
	volatile size_t huge = SIZE_MAX;
	void *aligned = NULL;

	errno = 0;
	require(!malloc(huge) && errno == ENOMEM, "malloc of too much");
	errno = 0;
	require(!calloc(huge, 2) && errno == ENOMEM, "calloc of too much");
	errno = 0;
	require(!reallocarray(NULL, huge, 2) && errno == ENOMEM, "reallocarray of too much");
	require(posix_memalign(&aligned, 3, 11) == EINVAL && !aligned, "posix_memalign to nothing");
}

static void *allocate_much(void *seed)
{
	char *volatile blocks[64] = { NULL };

	for (unsigned int i = 0; i < 20000; i++) {
		unsigned int at = (i * 7 + (unsigned int) (uintptr_t) seed) % 64;

		free(blocks[at]);
		blocks[at] = malloc(i % 300);
	}
	for (int i = 0; i < 64; i++)
		free(blocks[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[NR_THREADS];
	int status;
	pid_t child;

	(void) argv;
	check_successes();
	check_failures();
	if (argc > 1)
		return 0;
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		require(!pthread_create(&threads[i], NULL, allocate_much, (void *) i), "pthread_create");
	child = fork();
	if (!child) {
		check_successes();
		allocate_much(NULL);
		_exit(0);
	}
	require(child > 0 && waitpid(child, &status, 0) == child && status == 0, "the forked child");
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
