/* SPDX-License-Identifier: MIT */
/*
 * A dlsym() that allocates, as those of other C libraries and of tools do: preloaded behind libtracebuf-libc.so, it
 * calls every allocation function while that is still looking for the next one. What it got must be memory like any
 * other: aligned, zeroed by calloc, kept by realloc also after the search, and free to be freed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_KEPT 16
#define KEPT_SIZE 100

static char *kept[MAX_KEPT];
static int nr_kept;

static void require(int truth)
{
	static const char text[] = "early: memory is not as it must be\n";

	if (truth)
		return;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

static int is(const char *memory, char byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (memory[i] != byte)
			return 0;
	return 1;
}

static void allocate(void)
{
	char *volatile grown = malloc(KEPT_SIZE / 2), *volatile zeroed = calloc(3, 50);
	void *aligned = NULL;

	require(grown && zeroed && is(zeroed, 0, 150) && (uintptr_t) grown % 16 == 0);
	memset(grown, 'x', KEPT_SIZE / 2);
	grown = realloc(grown, KEPT_SIZE);
	require(grown && is(grown, 'x', KEPT_SIZE / 2));
	memset(grown, 'x', KEPT_SIZE);
	require(!posix_memalign(&aligned, 256, 10) && (uintptr_t) aligned % 256 == 0);
	free(aligned);
	free(zeroed);
	if (nr_kept < MAX_KEPT)
		kept[nr_kept++] = grown;
}

__attribute__((visibility("default"))) void *dlsym(void *handle, const char *name)
{
	static void *(*next)(void *, const char *);
	static const char *const versions[] = { "GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5", "GLIBC_2.16" };
	void *found = NULL;

	allocate();
	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions) && !found; i++)
		found = handle == RTLD_NEXT ? dlvsym(RTLD_NEXT, name, versions[i]) : NULL;
	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions) && !found && !next; i++)
		*(void **) &next = dlvsym(RTLD_NEXT, "dlsym", versions[i]);
	return found ? found : next ? next(handle, name) : NULL;
}

__attribute__((destructor)) static void check_kept(void)
{
	require(nr_kept > 0);
	for (int i = 0; i < nr_kept; i++) {
		char *grown = realloc(kept[i], 10 * KEPT_SIZE);

		require(grown && is(grown, 'x', KEPT_SIZE));
		free(grown);
	}
}
