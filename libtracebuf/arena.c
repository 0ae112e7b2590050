/* SPDX-License-Identifier: MIT */
/*
 * The library's own memory: bump allocation out of anonymous pages. What it gives is never freed, so a pointer into it
 * stays good for whoever still holds one (signal handlers, preempted threads); its users recycle their own objects.
 *
 * Invariant: bytes below chunk.used belong to somebody; an allocation is one atomic addition, so threads and handlers
 * that meet here only ever get different bytes.
 */
#include "arena.h"
#include "raw.h"
#include <tracebuf/ordering.h>

#define CHUNK_SIZE (64u << 10)
#define ALIGNMENT 64u

struct chunk {
	size_t used;			/* of what follows this head */
	char reserved[ALIGNMENT - sizeof(size_t)];
};

/* The first one comes with the library: it lies in pages that nobody has touched. */
static union {
	struct chunk chunk;
	char bytes[CHUNK_SIZE];
} first __attribute__((aligned(ALIGNMENT)));
static struct chunk *current = &first.chunk;

static void *map(size_t size)
{
	return tb_raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *take(struct chunk *chunk, size_t size)
{
	size_t at = sizeof(*chunk) + tracebuf__add(&chunk->used, size);

	return at + size <= CHUNK_SIZE ? (char *) chunk + at : NULL;
}

void *tb_arena_alloc(size_t size)
{
	struct chunk *chunk = tracebuf__load_acquire(&current), *fresh;
	void *memory;

	size = (size + ALIGNMENT - 1) & ~(size_t) (ALIGNMENT - 1);
	if (size > CHUNK_SIZE / 4)
		return map(size);
	memory = take(chunk, size);
	if (memory)
		return memory;
	fresh = map(CHUNK_SIZE);
	if (!fresh)
		return NULL;
	fresh->used = size;
	/* Who loses this race wastes a chunk's address space and one page, and keeps what it asked for. */
	__atomic_compare_exchange_n(&current, &chunk, fresh, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	return fresh + 1;
}
