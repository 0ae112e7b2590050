/* SPDX-License-Identifier: MIT */
#ifndef TB_CLOCK_H
#define TB_CLOCK_H

#include <stdint.h>
#include <tracebuf/abi.h>

/* The same moment on three clocks. */
struct tb_clock_sample {
	uint64_t ticks;
	uint64_t monotonic_ns;
	uint64_t realtime_ns;
};

struct tb_clock {
	enum tracebuf_clock kind;
	int counter_fd;			/* the file "counter", or -1 */
	uint64_t frequency;		/* ticks per second, as measured at start */
	struct tb_clock_sample start;
	char boot_id[40];		/* uuid as text */
};

/* The 16 bytes of a uuid's text; zeroes if it is none. */
void tb_uuid_parse(const char *text, uint8_t uuid[16]);

/* The best clock that this kernel trusts. */
enum tracebuf_clock tb_clock_choose(void);

/*
 * Measures the clock: about 20 ms. counter_fd: the open file "counter", used by TRACEBUF_CLOCK_COUNTER alone.
 * 0, -EINVAL (a TSC that this machine does not have).
 */
int tb_clock_init(struct tb_clock *clock, enum tracebuf_clock kind, int counter_fd);

/* The time now; not before what the caller loaded earlier. */
uint64_t tb_clock_read(const struct tb_clock *clock);
/* Best of several brackets. */
struct tb_clock_sample tb_clock_sample(const struct tb_clock *clock);
/* Ticks per second between two samples; fallback if they are too near each other to tell. */
uint64_t tb_clock_frequency(const struct tb_clock_sample *begin, const struct tb_clock_sample *end, uint64_t fallback);
/* How long a slot must stay disabled before it is reused (abi.h, struct tracebuf_slot). */
uint64_t tb_clock_quarantine_ns(const struct tb_clock *clock);
/* Lets the counter pass a quarantine at once; other clocks do so by themselves. */
void tb_clock_skip_quarantine(const struct tb_clock *clock);

#endif
