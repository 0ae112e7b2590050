/* SPDX-License-Identifier: MIT */
/*
 * The write path: what a tracepoint compiles to. Private to tracebuf's macros (names TRACEBUF__x, tracebuf__x): programs
 * include <tracebuf/tracepoint.h> or <tracebuf/tracebuf.h>.
 *
 * Invariant: an event is in its ring if and only if its call committed it, by one store, the last instruction of a
 * restartable sequence (arch/ *.h). Whatever keeps the short way from being right - no ring yet, no room, another
 * CPU, a signal, a time that needs the full form, no rseq - sends the same payload to tracebuf__write(), which does
 * everything and is never wrong.
 *
 * Context of all of this: any thread, any signal handler, any CPU; errno is kept; nothing blocks (but in block mode).
 */
#ifndef TRACEBUF_WRITE_H
#define TRACEBUF_WRITE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tracebuf/abi.h>
#include <tracebuf/ordering.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* A field as programs declare it: struct tracebuf_field with its name. */
struct tracebuf__field {
	uint8_t type, size, flags, reserved;
	const char *name;
};

/*
 * One event as an object (program or shared library) declares it, in the section tracebuf_events. Constant but for
 * what the section needs; enable points into a page array of the object, over which the library maps the control
 * side's page when it registers the object.
 */
struct tracebuf__event {
	const char *name;			/* "provider:event" */
	const struct tracebuf__field *fields;
	const struct tracebuf_enable *enable;	/* this event's record in enable_page */
	const struct tracebuf_enable *enable_page;	/* the page array that it lies in */
	uint32_t nr_fields;
	uint32_t enable_page_size;		/* bytes of that array */
	uint32_t loglevel;
	uint32_t abi_version;			/* TRACEBUF_ABI_VERSION that the object was compiled with */
	uint64_t reserved[2];
} __attribute__((aligned(64)));
TRACEBUF__ASSERT(sizeof(struct tracebuf__event) == 64);

/* A piece of payload, in the order of the wire. Programs may change a string while it is copied: the copy ends at the
   first NUL that it then has, and the last byte of a TRACEBUF__PART_STRING is one. */
#define TRACEBUF__PART_BYTES 0
#define TRACEBUF__PART_STRING 1		/* a string with its NUL */
#define TRACEBUF__PART_TEXT 2		/* the beginning of one, without a NUL: the next part goes on with it */
struct tracebuf__part {
	const void *data;
	size_t size;				/* bytes */
	uint32_t is_string;			/* TRACEBUF__PART_x */
	uint32_t reserved;
};
#define TRACEBUF__MAX_PARTS (2 * TRACEBUF_MAX_FIELDS + 1)

/* Per-CPU table of producers: [cpu * TRACEBUF_NR_RING_SETS + ring set], NULL where there is no ring. Never NULL itself. */
extern struct tracebuf_producer **tracebuf__rings;

/* The calling thread's id; 0 in a thread that has not traced yet. */
extern __thread uint32_t tracebuf__tid __attribute__((tls_model("initial-exec")));

/*
 * Writes an event wherever its enable record says, making rings, entering sub-buffers and waiting (block mode) as
 * needed; counts it as discarded where it finds no room. ip: the place in the program, for channels that record it.
 */
void tracebuf__write(const struct tracebuf_enable *enable, const struct tracebuf__part *parts, unsigned int nr_parts,
		     const void *ip)
	__attribute__((cold));

/* The same for a payload that lies in one piece; the short way first. size: bytes, and 7 more are readable. */
void tracebuf__write_staged(const struct tracebuf_enable *enable, const void *payload, size_t size, const void *ip);

/* Object registration: called by a constructor and a destructor of each object that declares events. */
void tracebuf__register(const struct tracebuf__event *begin, const struct tracebuf__event *end);
void tracebuf__unregister(const struct tracebuf__event *begin, const struct tracebuf__event *end);

#pragma GCC visibility pop

/* One load of 16 bits and one branch, predicted not taken. */
static inline int tracebuf__enabled(const struct tracebuf_enable *enable)
{
	return (int) __builtin_expect(tracebuf__load(&enable->enabled) != 0, 0);
}

/* Bytes from a producer to its ring's data. */
#define TRACEBUF__DATA (TRACEBUF_RING_DATA_OFFSET - TRACEBUF_RING_PRODUCER_OFFSET)

#if defined(__x86_64__) && defined(__LP64__)
#include <tracebuf/arch/x86_64.h>
#elif defined(__aarch64__)
#include <tracebuf/arch/aarch64.h>
#else
#include <tracebuf/arch/generic.h>
#endif

/*
 * An event whose payload has a size known at compile time. words: the payload, little-endian, in whole words (the
 * last one filled up with anything); size: its bytes; ip: where the event is, for channels that record it.
 */
static inline __attribute__((always_inline)) void
tracebuf__emit(const struct tracebuf_enable *enable, const uint64_t *words, size_t size, const void *ip)
{
	struct tracebuf__part part;

#ifdef __OPTIMIZE__	/* else size is no constant where the sequence wants one */
	if (__builtin_expect(tracebuf__commit_short(enable, words, size), 1))
		return;
#endif
	part.data = words;
	part.size = size;
	part.is_string = 0;
	part.reserved = 0;
	tracebuf__write(enable, &part, 1, ip);
}

#ifdef __cplusplus
}
#endif

#endif /* TRACEBUF_WRITE_H */
