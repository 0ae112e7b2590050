/* SPDX-License-Identifier: MIT */
/*
 * "addressed LIBRARY [FILE]" records addresses of every kind, those of LIBRARY while it is loaded and when it is not any
 * more; with FILE it makes that file when all is recorded and waits to be killed. For tests/test_addresses.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(addressed, pointer, (const char *, what), (void *, pointer));
TRACEBUF_EVENT(addressed, number, (uint64_t, number));

int some_variable[16];

static __attribute__((noinline)) void record(const char *what, void *pointer)
{
	tracebuf_event(addressed, pointer, what, pointer);
}

__attribute__((noinline)) void last_call(uint64_t number)
{
	tracebuf_event(addressed, number, number);
}

static void *call(void *library)
{
	void *(*function)(void);
	void *symbol = dlsym(library, "library_record");

	memcpy(&function, &symbol, sizeof(function));
	return symbol ? function() : NULL;
}

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL, *pointer, *heap = malloc(100);

	if (!library) {
		fprintf(stderr, "addressed: %s\n", argc > 1 ? dlerror() : "which library?");
		return 1;
	}
	record("function", (void *) (uintptr_t) &last_call);
	record("variable", &some_variable[3]);
	record("heap", heap);
	record("null", NULL);
	last_call((uintptr_t) &last_call);
	pointer = call(library);
	dlclose(library);
	record("unloaded", pointer);
	free(heap);
	if (argc > 2) {
		close(open(argv[2], O_WRONLY | O_CREAT, 0600));
		for (;;)
			pause();
	}
	return pointer ? 0 : 1;
}
