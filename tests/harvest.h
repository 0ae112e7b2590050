/* SPDX-License-Identifier: MIT */
#ifndef TB_HARVEST_H
#define TB_HARVEST_H

#include <stdbool.h>
#include <stdint.h>

#define HARVEST_MAX_RINGS 64
#define HARVEST_MAX_SUBBUFS 8

/* What came out of a ring: for each sub-buffer's storage, the packet. */
struct packet {
	bool found;
	uint64_t seq, event_seq, nr_events;
	uint64_t hash;				/* over its events */
	bool wrong;				/* has an event that nobody wrote */
};
struct ring {
	uint64_t instance;			/* stream_instance_id */
	uint64_t header_address;		/* for the test */
	struct packet packet[HARVEST_MAX_SUBBUFS];
	uint64_t nr_dropped;			/* sub-buffers, as recovery reports them */
};
struct harvest {
	struct ring ring[HARVEST_MAX_RINGS];
	unsigned int nr;
};

/* All that is found in the image that is file fd; its events are those of tests/traced, "tick". */
void harvest(int fd, struct harvest *harvest);
/* NULL: it was not found. */
struct ring *harvest_find(struct harvest *harvest, uint64_t instance);

#endif
