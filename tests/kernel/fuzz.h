/* SPDX-License-Identifier: MIT */
#ifndef TB_KERNEL_FUZZ_H
#define TB_KERNEL_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* What has succeeded, in all processes that were forked since: calls by their number, mappings, messages accepted. */
struct fuzz_counts {
	uint64_t call[13], map, message;
};
struct fuzz_counts *fuzz_count(void);
extern struct fuzz_counts *fuzz_counted;
void fuzz_add(uint64_t *number);

/* Both run until end_ms (now_ms()), as whoever calls them. state: of the random numbers. */

/* Calls on the device and what is opened by it, in one address space, by two threads. */
void fuzz_device(uint64_t end_ms, uint64_t state);
/* Messages to the netlink family. */
void fuzz_netlink(uint64_t end_ms, uint64_t state);

/* A number that breaks who trusts it, or any. */
uint64_t fuzz_evil(uint64_t *state);
/* Overwrites a few bytes or words of size bytes, or none. */
void fuzz_mutate(uint64_t *state, void *bytes, size_t size);

uint64_t fuzz_below(uint64_t *state, uint64_t bound);

/* Traces as they were when somebody last looked; others change them meanwhile. */
#define FUZZ_NR_TRACES 16
struct fuzz_trace {
	uint64_t generation;
	unsigned int slot;
};
extern struct fuzz_trace fuzz_traces[FUZZ_NR_TRACES];
struct control;
void fuzz_look_around(struct control *control);
/* An index into them, mostly of one that there is. */
unsigned int fuzz_any_trace(uint64_t *state);

#endif
