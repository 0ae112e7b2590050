/* SPDX-License-Identifier: MIT */
#ifndef TB_ACCOUNTS_H
#define TB_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>

/* The accounts of one stream file (one ring), from the heads of its packets. */
struct account {
	int32_t pid;
	uint32_t cpu;
	uint64_t stream_instance_id;
	uint64_t nr_packets;
	uint64_t nr_events;		/* in the file */
	uint64_t recorded;		/* by the ring: event_seq + nr_events of the last packet */
	uint64_t overwritten;		/* event_seq of the first packet */
	uint64_t discarded;		/* events_discarded of the last packet */
	uint64_t nr_gaps;		/* packets that do not go on where the one before ended */
	uint64_t nr_bad;		/* packets whose head contradicts itself or its place */
};

struct accounts {
	struct account *account;	/* one a stream file; accounts_free() */
	uint32_t nr;
	struct account total;		/* sums of the numbers */
};

/* Reads all packet heads of the trace in directory path, itself: no reader library. false: cannot be read. */
bool accounts_read(struct accounts *accounts, const char *path);
void accounts_free(struct accounts *accounts);

/* Sums over the streams of one process. */
struct account accounts_of_pid(const struct accounts *accounts, int32_t pid);

/* Asserts that no packet is bad, and that no stream has a gap. */
void accounts_assert_sound(const struct accounts *accounts);

#endif
