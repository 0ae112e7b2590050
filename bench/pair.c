/* SPDX-License-Identifier: MIT */
/* A malloc and a free: what a preloaded helper makes of them. */
#include "loop.h"

#include <stdlib.h>

static void run_pair(uint64_t n)
{
	uint64_t i;
	void *memory;

	for (i = 0; i < n; i++) {
		memory = malloc(64);
		__asm__ volatile("" : "+r"(memory) : : "memory");
		free(memory);
	}
}

int main(int argc, char **argv)
{
	static const struct loop_subject subjects[] = { { "pair", run_pair }, { NULL, NULL } };

	return loop_main(subjects, argc, argv);
}
