/* SPDX-License-Identifier: MIT */
/*
 * The low-level interface, for those who bring instrumentation of their own: events are described while the program
 * runs and written by number, by plain function calls that any language can make (dlopen, ctypes). It writes to the
 * same rings as <tracebuf/tracepoint.h>, under the same rules; programs may use both.
 *
 *	struct tracebuf_field_description fields[] = { { "bytes", TRACEBUF_FIELD_INTEGER, 4, 0, 0 } };
 *	struct tracebuf *tb = tracebuf_alloc();
 *	int id = tracebuf_event_describe(tb, "net:sent", fields, 1, 13);
 *
 *	if (tracebuf_event_is_enabled(tb, id))
 *		tracebuf_event_write(tb, id, &bytes, sizeof(bytes));
 *	tracebuf_free(tb);
 *
 * Nothing here needs its result checked: calls with a NULL handle or a negative id do nothing, and where tracing is
 * off (TRACEBUF=0, no run directory and no module) no event ever is enabled.
 */
#ifndef TRACEBUF_TRACEBUF_H
#define TRACEBUF_TRACEBUF_H

#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * What a process traces by: the per-CPU rings of the 16 slots, its own control pages (enable records, which it can
 * only read) and the page by which the daemon says what is recorded (seqlock, read-only). All handles of a process
 * share them; a forked child's handle is the child's own.
 */
struct tracebuf;

/* One field of an event, in the order of the payload. */
struct tracebuf_field_description {
	const char *name;	/* an identifier of C */
	uint32_t type;		/* enum tracebuf_field_type */
	uint32_t size;		/* bytes of the integer, the float or one element of the sequence; 0 of a string */
	uint32_t flags;		/* enum tracebuf_field_flags */
	uint32_t reserved;	/* 0 */
};

/*
 * Makes a handle. Does not wait for a daemon, and works without one: what comes later is picked up.
 *
 * Returns NULL, errno being ENOMEM, if there is no memory.
 * Any thread, not from signal handlers; may block for as long as another thread registers events.
 */
struct tracebuf *tracebuf_alloc(void);

/*
 * Gives a handle back. What was written through it stays in the rings; ids stay valid for other handles. No thread
 * may be in another function with this handle. NULL does nothing.
 *
 * Any thread, not from signal handlers.
 */
void tracebuf_free(struct tracebuf *tracebuf);

/*
 * The control page of the run directory, or of the kernel: traces, channels and, in a run directory, rules (the
 * kernel's page ends at TRACEBUF_RULES_OFFSET: it evaluates them itself). Valid until tracebuf_free().
 *
 * Ordering: load sequence (acquire); odd means that the daemon writes. Copy; load-load barrier; load sequence again:
 * only if it is even and unchanged may the copy be used. The words may be anything: check before use.
 *
 * Returns NULL where no daemon has made it yet; the kernel's is always there. Any thread, signal handlers too; does not
 * block.
 */
const struct tracebuf_control *tracebuf_control_page(const struct tracebuf *tracebuf);

/*
 * This process's own page: event descriptions from TRACEBUF_DESCRIPTIONS_OFFSET, enable records from
 * TRACEBUF_ENABLE_OFFSET (bytes from the pointer returned), TRACEBUF_PROCESS_SIZE in all, read-only. Valid until
 * tracebuf_free() or a fork: the child has another.
 *
 * Ordering: load nr_descriptions (acquire), then the descriptions below it.
 *
 * Returns NULL while the process has none (no event yet, or tracing is off). Any thread, signal handlers too; does
 * not block.
 */
const struct tracebuf_process *tracebuf_process_page(const struct tracebuf *tracebuf);

/*
 * The ring into which this process's events of one channel (0 ... TRACEBUF_NR_CHANNELS - 1) of the trace in one slot
 * (0 ... TRACEBUF_NR_SLOTS - 1) go on one CPU; its data lies TRACEBUF_RING_DATA_OFFSET bytes behind. Rings are made by
 * the first event that needs them. What is returned is kept mapped until tracebuf_free(), even if the trace ends.
 *
 * Ordering: load position (acquire) of the struct tracebuf_producer that lies TRACEBUF_RING_PRODUCER_OFFSET bytes
 * behind; what lies before it is whole. Copy; load-load barrier; load position
 * again and drop what was overwritten meanwhile: see struct tracebuf_producer.
 *
 * Returns NULL where there is no ring, or for numbers out of range. Any thread, not from signal handlers; does not
 * wait for writers.
 */
const struct tracebuf_ring *
tracebuf_ring_page(struct tracebuf *tracebuf, unsigned int slot, unsigned int channel, unsigned int cpu);

/*
 * Describes an event. The name is "provider:event", both of them not empty and without another ':'; at most
 * TRACEBUF_MAX_FIELDS fields; loglevel as LTTng-UST's, 0 (EMERG) ... 14 (DEBUG), usually 13. Everything is copied.
 *
 * Returns the event's id, 0 or more: the same one, in all of the process, for the same name, fields and loglevel
 * (also where <tracebuf/tracepoint.h> declares them). A forked child keeps its parent's ids. In a run directory they
 * are 0, 1, 2 ...; where the kernel is the home they are its numbers, the same in all processes. Else
 *	-EINVAL		a name, a field or the loglevel is none; a NULL handle
 *	-E2BIG		more than TRACEBUF_MAX_FIELDS, a name of more than 1024 bytes, or of a field of more than 254
 *	-ENOSPC		TRACEBUF_MAX_EVENTS are described, or the run directory is full, or the kernel's limit is reached
 *	-ENOMEM		no memory
 *	-ENOENT		tracing is off in this process
 *	-EACCES		the run directory cannot be used
 * Any thread, not from signal handlers; may block for as long as another thread registers events. errno is kept.
 */
int tracebuf_event_describe(struct tracebuf *tracebuf, const char *name, const struct tracebuf_field_description *fields,
			    unsigned int nr_fields, unsigned int loglevel);

/*
 * Whether any active trace records the event: 1 or 0. Relaxed: the answer may be a moment old.
 * Any thread, signal handlers too; does not block; errno is kept.
 */
int tracebuf_event_is_enabled(const struct tracebuf *tracebuf, int id);

/*
 * Records an event wherever it is enabled; where it is not, does nothing. payload: size bytes, the fields in the order
 * of their description, little-endian, with no padding between; of a string the bytes up to and with its NUL; of a
 * sequence a uint32_t, the number of its elements, and these. It is not checked against the description: one that does
 * not fit makes what follows in the same sub-buffer unreadable.
 *
 * Once it returns the event outlives the process, or is counted as discarded: no room (discard, block with a timeout),
 * larger than a sub-buffer. Events of one thread are recorded in order, each after all that happened before its call.
 *
 * Any thread, signal handlers too; blocks only in a channel of block mode; errno is kept.
 */
void tracebuf_event_write(struct tracebuf *tracebuf, int id, const void *payload, size_t size);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif /* TRACEBUF_TRACEBUF_H */
