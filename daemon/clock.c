/* SPDX-License-Identifier: MIT */
/*
 * The clock of all traces: chosen once per run directory, measured against CLOCK_MONOTONIC and CLOCK_REALTIME.
 *
 * Ticks are raw. What they mean is said by a frequency and an offset, which the metadata of a trace gets when it ends:
 * the longer the time between two samples, the better the frequency. A sample is the best of several brackets
 * (monotonic, ticks and realtime, monotonic): the narrowest one was not interrupted.
 */
#include "clock.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NR_BRACKETS 24
#define CALIBRATION_NS 20000000
/* Below this distance the error of two samples is worse than that of the measurement at start. */
#define FREQUENCY_MIN_NS 50000000ull
#define NS_PER_S 1000000000ull

#if defined(__x86_64__)
#define COUNTER_SOURCE "tsc"
static uint64_t read_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t) high << 32 | low;
}
#elif defined(__aarch64__)
#define COUNTER_SOURCE "arch_sys_counter"
static uint64_t read_ticks(void)
{
	uint64_t ticks;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
	return ticks;
}
#else
#define COUNTER_SOURCE ""
static uint64_t read_ticks(void)
{
	return 0;
}
#endif

static uint64_t clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* First line of a small file, without its newline; empty if it cannot be read. */
static void read_line(const char *path, char *line, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, line, size - 1);

	if (fd >= 0)
		close(fd);
	line[got > 0 ? got : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
}

enum tracebuf_clock tb_clock_choose(void)
{
	char source[64];

	read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", source, sizeof(source));
	return *COUNTER_SOURCE && !strcmp(source, COUNTER_SOURCE) ? TRACEBUF_CLOCK_TSC : TRACEBUF_CLOCK_MONOTONIC;
}

uint64_t tb_clock_read(const struct tb_clock *clock)
{
	uint64_t value = 0;

	switch (clock->kind) {
	case TRACEBUF_CLOCK_TSC:
		return read_ticks();
	case TRACEBUF_CLOCK_COUNTER:
		if (pread(clock->counter_fd, &value, sizeof(value), 0) != sizeof(value))
			value = 0;
		return value;
	default:
		return clock_ns(CLOCK_MONOTONIC);
	}
}

struct tb_clock_sample tb_clock_sample(const struct tb_clock *clock)
{
	struct tb_clock_sample best = { 0 };
	uint64_t best_width = UINT64_MAX;

	for (int i = 0; i < NR_BRACKETS; i++) {
		struct tb_clock_sample sample;
		uint64_t before = clock_ns(CLOCK_MONOTONIC), after;

		sample.ticks = tb_clock_read(clock);
		sample.realtime_ns = clock_ns(CLOCK_REALTIME);
		after = clock_ns(CLOCK_MONOTONIC);
		sample.monotonic_ns = before + (after - before) / 2;
		if (after - before < best_width) {
			best_width = after - before;
			best = sample;
		}
	}
	return best;
}

uint64_t tb_clock_frequency(const struct tb_clock_sample *begin, const struct tb_clock_sample *end, uint64_t fallback)
{
	uint64_t ns = end->monotonic_ns - begin->monotonic_ns, ticks = end->ticks - begin->ticks;

	if (end->monotonic_ns <= begin->monotonic_ns || ns < FREQUENCY_MIN_NS || end->ticks <= begin->ticks)
		return fallback;
	return (uint64_t) ((unsigned __int128) ticks * NS_PER_S / ns);
}

static uint64_t calibrate(struct tb_clock *clock)
{
	const struct timespec pause = { .tv_nsec = CALIBRATION_NS };
	struct tb_clock_sample end;
	uint64_t ns;

	nanosleep(&pause, NULL);
	end = tb_clock_sample(clock);
	ns = end.monotonic_ns - clock->start.monotonic_ns;
	return (uint64_t) ((unsigned __int128) (end.ticks - clock->start.ticks) * NS_PER_S / (ns ? ns : 1));
}

int tb_clock_init(struct tb_clock *clock, enum tracebuf_clock kind, int counter_fd)
{
	if (kind == TRACEBUF_CLOCK_TSC && !*COUNTER_SOURCE)
		return -EINVAL;
	clock->kind = kind;
	clock->counter_fd = counter_fd;
	clock->start = tb_clock_sample(clock);
	clock->frequency = kind == TRACEBUF_CLOCK_TSC ? calibrate(clock) : NS_PER_S;
	read_line("/proc/sys/kernel/random/boot_id", clock->boot_id, sizeof(clock->boot_id));
	return clock->frequency ? 0 : -EINVAL;
}

uint64_t tb_clock_quarantine_ns(const struct tb_clock *clock)
{
	return (uint64_t) (((unsigned __int128) NS_PER_S << TRACEBUF_WINDOW_BITS) / clock->frequency) * 5 / 4;
}

void tb_clock_skip_quarantine(const struct tb_clock *clock)
{
	uint64_t value;

	if (clock->kind != TRACEBUF_CLOCK_COUNTER)
		return;
	/* Not atomic against the writers: what they add meanwhile is less than what is skipped, so time goes on. */
	value = tb_clock_read(clock) + (2ull << TRACEBUF_WINDOW_BITS);
	if (pwrite(clock->counter_fd, &value, sizeof(value), 0) != sizeof(value))
		return;
}

void tb_uuid_parse(const char *text, uint8_t uuid[16])
{
	memset(uuid, 0, 16);
	for (int i = 0; i < 16; i++) {
		unsigned int byte;

		text += *text == '-';
		if (sscanf(text, "%2x", &byte) != 1)
			return;
		uuid[i] = byte;
		text += 2;
	}
}
