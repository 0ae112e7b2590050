/* SPDX-License-Identifier: MIT */
/*
 * libtracebuf-libc.so: preloaded, it records what a program allocates, with the events and fields of LTTng-UST's
 * liblttng-ust-libc-wrapper, so that views made for that work. aligned_alloc(), valloc() and pvalloc() are recorded
 * as memalign, reallocarray() as realloc of the product.
 *
 * Invariant: each function does exactly what the next one of its name in the search order does (another allocator may
 * stand there), and costs nothing else but the event's test. Who calls before the next functions are known, which is
 * dlsym() itself, is served from an arena that never gives memory back. Nothing here takes a lock, and recording never
 * allocates, so it is as safe in signal handlers and after fork as what it wraps.
 *
 * The context ip is the place in the program that called.
 *
 * free is recorded before the memory is given back, everything else after it was taken: so in the trace, as in the
 * program, no two blocks that live at one time have one address.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define TRACEBUF__OF_CALLER
#include <tracebuf/tracepoint.h>

#define EXPORT __attribute__((visibility("default")))

TRACEBUF_EVENT(lttng_ust_libc, malloc, (size_t, size), (void *, ptr));
TRACEBUF_EVENT(lttng_ust_libc, free, (void *, ptr));
TRACEBUF_EVENT(lttng_ust_libc, calloc, (size_t, nmemb), (size_t, size), (void *, ptr));
TRACEBUF_EVENT(lttng_ust_libc, realloc, (void *, in_ptr), (size_t, size), (void *, ptr));
TRACEBUF_EVENT(lttng_ust_libc, memalign, (size_t, alignment), (size_t, size), (void *, ptr));
TRACEBUF_EVENT(lttng_ust_libc, posix_memalign, (void *, out_ptr), (size_t, alignment), (size_t, size), (int, result));

/* dlsym() needs some hundred bytes, once a thread that comes here so early. */
#define ARENA_SIZE 16384
#define ARENA_ALIGNMENT 16
static char arena[ARENA_SIZE] __attribute__((aligned(ARENA_ALIGNMENT)));
static size_t arena_size;		/* bytes given away */

static void *first_malloc(size_t size);
static void first_free(void *ptr);
static void *first_calloc(size_t nmemb, size_t size);
static void *first_realloc(void *ptr, size_t size);
static void *first_memalign(size_t alignment, size_t size);
static int first_posix_memalign(void **out, size_t alignment, size_t size);

struct allocator {
	void *(*malloc)(size_t size);
	void (*free)(void *ptr);
	void *(*calloc)(size_t nmemb, size_t size);
	void *(*realloc)(void *ptr, size_t size);
	void *(*memalign)(size_t alignment, size_t size);
	void *(*aligned_alloc)(size_t alignment, size_t size);
	int (*posix_memalign)(void **out, size_t alignment, size_t size);
};

/* What follows in the search order. */
static struct allocator next;

/* What the functions below call: until next is known, those that find it. */
static struct allocator real = {
	first_malloc, first_free, first_calloc, first_realloc, first_memalign, first_memalign, first_posix_memalign
};

/* Is this thread on its way through find_next()? What dlsym() allocates meanwhile is the arena's. */
static __thread bool finding __attribute__((tls_model("initial-exec")));

static bool in_arena(const void *ptr)
{
	return (uintptr_t) ptr - (uintptr_t) arena < sizeof(arena);
}

/* Zeroed, with the size in front; never given back, so never used twice. */
static void *arena_alloc(size_t alignment, size_t size)
{
	size_t slack = alignment > ARENA_ALIGNMENT ? alignment : ARENA_ALIGNMENT, start, at;
	void *ptr;

	if (size > ARENA_SIZE || slack > ARENA_SIZE)
		goto no_memory;
	start = __atomic_fetch_add(&arena_size, size + slack + 2 * ARENA_ALIGNMENT, __ATOMIC_SEQ_CST);
	if (start > ARENA_SIZE || size + slack + 2 * ARENA_ALIGNMENT > ARENA_SIZE - start)
		goto no_memory;
	at = (uintptr_t) arena + start + ARENA_ALIGNMENT;
	ptr = (void *) ((at + slack - 1) / slack * slack);
	memcpy((char *) ptr - sizeof(size), &size, sizeof(size));
	return ptr;
no_memory:
	errno = ENOMEM;
	return NULL;
}

/* In place of next's where the arena was used. */
static void free_either(void *ptr)
{
	if (!in_arena(ptr))
		next.free(ptr);
}

static void *realloc_either(void *ptr, size_t size)
{
	size_t old_size;
	void *copy;

	if (!in_arena(ptr))
		return next.realloc(ptr, size);
	memcpy(&old_size, (char *) ptr - sizeof(old_size), sizeof(old_size));
	copy = real.malloc(size);
	if (copy)
		memcpy(copy, ptr, old_size < size ? old_size : size);
	return copy;
}

static bool find(void *ret_function, const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function)
		memcpy(ret_function, &function, sizeof(function));
	return function;
}

/*
 * Sets next, then real. Threads may do this at one time: all find the same. The order of the stores to real and of the
 * load of arena_size matters, against the order in arena_alloc() and here of one who uses the arena: whoever of the
 * two is last sees the other.
 */
static bool find_next(void)
{
	struct allocator found;
	bool complete;

	if (finding)
		return false;
	finding = true;
	complete = find(&found.malloc, "malloc") && find(&found.free, "free") && find(&found.calloc, "calloc") &&
		   find(&found.realloc, "realloc") && find(&found.memalign, "memalign") &&
		   find(&found.aligned_alloc, "aligned_alloc") && find(&found.posix_memalign, "posix_memalign");
	finding = false;
	if (!complete)
		return false;
	next = found;
	__atomic_store(&real.free, &found.free, __ATOMIC_SEQ_CST);
	__atomic_store(&real.realloc, &found.realloc, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&arena_size, __ATOMIC_SEQ_CST)) {
		tracebuf__store(&real.free, free_either);
		tracebuf__store(&real.realloc, realloc_either);
	}
	tracebuf__store_release(&real.malloc, found.malloc);
	tracebuf__store_release(&real.calloc, found.calloc);
	tracebuf__store_release(&real.memalign, found.memalign);
	tracebuf__store_release(&real.aligned_alloc, found.aligned_alloc);
	tracebuf__store_release(&real.posix_memalign, found.posix_memalign);
	return true;
}

static void *first_malloc(size_t size)
{
	return find_next() ? next.malloc(size) : arena_alloc(ARENA_ALIGNMENT, size);
}

static void first_free(void *ptr)
{
	if (ptr && !in_arena(ptr) && find_next())
		next.free(ptr);
}

static void *first_calloc(size_t nmemb, size_t size)
{
	size_t total;

	if (find_next())
		return next.calloc(nmemb, size);
	return arena_alloc(ARENA_ALIGNMENT, __builtin_mul_overflow(nmemb, size, &total) ? SIZE_MAX : total);
}

static void *first_realloc(void *ptr, size_t size)
{
	if (find_next() || in_arena(ptr))
		return realloc_either(ptr, size);
	return arena_alloc(ARENA_ALIGNMENT, size);
}

static void *first_memalign(size_t alignment, size_t size)
{
	return find_next() ? next.memalign(alignment, size) : arena_alloc(alignment, size);
}

static int first_posix_memalign(void **out, size_t alignment, size_t size)
{
	if (find_next())
		return next.posix_memalign(out, alignment, size);
	*out = arena_alloc(alignment, size);
	return *out ? 0 : ENOMEM;
}

/* So that no thread but the first has to. */
static __attribute__((constructor)) void find_early(void)
{
	find_next();
}

EXPORT void *malloc(size_t size)
{
	void *ptr = tracebuf__load(&real.malloc)(size);

	tracebuf_event(lttng_ust_libc, malloc, size, ptr);
	return ptr;
}

EXPORT void free(void *ptr)
{
	tracebuf_event(lttng_ust_libc, free, ptr);
	tracebuf__load(&real.free)(ptr);
}

EXPORT void *calloc(size_t nmemb, size_t size)
{
	void *ptr = tracebuf__load(&real.calloc)(nmemb, size);

	tracebuf_event(lttng_ust_libc, calloc, nmemb, size, ptr);
	return ptr;
}

EXPORT void *realloc(void *in_ptr, size_t size)
{
	void *ptr = tracebuf__load(&real.realloc)(in_ptr, size);

	tracebuf_event(lttng_ust_libc, realloc, in_ptr, size, ptr);
	return ptr;
}

EXPORT void *reallocarray(void *in_ptr, size_t nmemb, size_t size)
{
	size_t total;

	if (!__builtin_mul_overflow(nmemb, size, &total))
		return realloc(in_ptr, total);
	errno = ENOMEM;
	tracebuf_event(lttng_ust_libc, realloc, in_ptr, SIZE_MAX, NULL);
	return NULL;
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	void *ptr = tracebuf__load(&real.memalign)(alignment, size);

	tracebuf_event(lttng_ust_libc, memalign, alignment, size, ptr);
	return ptr;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	void *ptr = tracebuf__load(&real.aligned_alloc)(alignment, size);

	tracebuf_event(lttng_ust_libc, memalign, alignment, size, ptr);
	return ptr;
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
	int result = tracebuf__load(&real.posix_memalign)(out, alignment, size);

	tracebuf_event(lttng_ust_libc, posix_memalign, result ? NULL : *out, alignment, size, result);
	return result;
}

EXPORT void *valloc(size_t size)
{
	return memalign((size_t) sysconf(_SC_PAGESIZE), size);
}

EXPORT void *pvalloc(size_t size)
{
	size_t page = (size_t) sysconf(_SC_PAGESIZE);

	if (size > SIZE_MAX - page) {
		errno = ENOMEM;
		return NULL;
	}
	return memalign(page, (size + page - 1) / page * page);
}
