/* SPDX-License-Identifier: MIT */
/*
 * How long the look through a kept region takes that the kernel module does at load: both halves of 64 MB, full of
 * rings whose every sub-buffer is right, with pages in a shuffled order. Beside it, a copy of the same bytes.
 *
 * kept ROUNDS: samples on stdout, milliseconds of the CPU: kept.4k, kept.64k (by the size of sub-buffers; smaller ones
 * have more heads, of 64 KiB and less all content is summed), kept.1m (not summed), kept.copy.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../reader/kept.h"
#include "../tests/kept_half.h"

#define HALF_SIZE (32ull << 20)

/* CPU time: what others do with this machine is not measured. */
static double now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static void fill(struct kept_half *half, uint64_t physical, uint64_t subbuf_size)
{
	struct kept_ring ring = { .pid = 100, .incarnation = 1, .generation = 1, .subbuf_size = subbuf_size,
				  .nr_subbufs = (4 << 20) / subbuf_size, .mode = TRACEBUF_MODE_OVERWRITE };
	struct kept_made made;

	ring.nr_entered = 3 * ring.nr_subbufs;
	kept_half_make(half, physical, HALF_SIZE, 4096, 1, 88172645463325252ull);
	kept_half_add_process(half, 100, 1, true, &made);
	while (!kept_half_add_ring(half, &ring, &made))
		ring.instance++;
}

/* Both halves must be right: what is refused early is found fast. */
static double check(const struct kept_half halves[2], uint64_t subbuf_size)
{
	uint64_t nr_wanted = 2 * 7 * (4 << 20) / subbuf_size, nr = 0;
	double begin = now_ms();

	for (int i = 0; i < 2; i++) {
		struct tb_kept half = kept_half_seen(&halves[i]);
		struct tb_kept_report report;

		if (tb_kept_check(&half, NULL, NULL, &report) || report.nr_bad || report.nr_damaged)
			exit(1);
		nr += report.nr_good;
	}
	if (nr < nr_wanted)
		exit(1);
	return now_ms() - begin;
}

static double copy(const struct kept_half halves[2], uint8_t *to)
{
	double begin = now_ms();

	for (int i = 0; i < 2; i++)
		memcpy(to + i * HALF_SIZE, halves[i].bytes, HALF_SIZE);
	__asm__ volatile("" : : "r" (to) : "memory");
	return now_ms() - begin;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint64_t subbuf_size;
	} rows[] = { { "kept.4k", 4096 }, { "kept.64k", 65536 }, { "kept.1m", 1 << 20 } };
	int rounds = argc > 1 ? atoi(argv[1]) : 7;
	uint8_t *to = malloc(2 * HALF_SIZE);

	if (!to)
		return 1;
	memset(to, 1, 2 * HALF_SIZE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kept_half halves[2];

		fill(&halves[0], 1ull << 32, rows[i].subbuf_size);
		fill(&halves[1], (1ull << 32) + HALF_SIZE, rows[i].subbuf_size);
		for (int round = 0; round < rounds; round++) {
			printf("%s %.3f\n", rows[i].name, check(halves, rows[i].subbuf_size));
			printf("kept.copy %.3f\n", copy(halves, to));
		}
		kept_half_free(&halves[0]);
		kept_half_free(&halves[1]);
	}
	free(to);
	return 0;
}
