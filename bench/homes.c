/* SPDX-License-Identifier: MIT */
/*
 * What the kernel costs as the home of the pages, beside the run directory, in the same run: a table, a row for each
 * thing that a traced process does not do at every event. Times are lower quartiles; only their ratio means anything
 * in a virtual machine. Takes no arguments; needs the module and TB_BUILD, or to lie in the build directory.
 *
 * Invariant: what is measured is a program that `tracebuf record` starts; this one starts itself, with an argument.
 */
#define _GNU_SOURCE
#include <libgen.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <tracebuf/tracebuf.h>
#include <tracebuf/tracepoint.h>
#include <unistd.h>

TRACEBUF_EVENT(homes, bytes, (const uint8_t *, data, size));

#define ROUNDS 5
#define FORKS 8
#define SUBBUF_SIZE 65536u
#define NR_SUBBUFS 32u
#define RING_SIZE (SUBBUF_SIZE * NR_SUBBUFS)
#define CHUNK 64
#define MAX_CHUNKS ((int) (RING_SIZE / 1000 / CHUNK) + 1)
#define MAX_SAMPLES (ROUNDS * FORKS * 2)

static const char *const homes[] = { "kernel", "tmpfs" };
static const char *const rows[][2] = {
	{ "attach", "the program starts: its pages are made and mapped" },
	{ "ring", "the first event of a channel on a CPU: its ring is made" },
	{ "page", "the first event in a page of a ring" },
	{ "switch", "a sub-buffer is left (discard)" },
	{ "fork", "a forked child's first event: pages and ring" },
};
#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

static struct {
	double ns[MAX_SAMPLES];
	int nr;
} samples[2][NR_ROWS];

static uint8_t payload[1000];
static double attach_begin, attach_end;

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

static void before_attach(void)
{
	attach_begin = now_ns();
}

static void after_attach(void)
{
	attach_end = now_ns();
}

/* The program's events are registered between these two: see tracepoint.h. */
static void (*const before)(void) __attribute__((section(".init_array.00100"), used)) = before_attach;
static void (*const after)(void) __attribute__((section(".init_array.00102"), used)) = after_attach;

static int compare(const void *a, const void *b)
{
	double x = *(const double *) a, y = *(const double *) b;

	return (x > y) - (x < y);
}

/* What a quarter of them are below: whatever else runs on the machine only ever adds. */
static double typical(double *ns, int nr)
{
	qsort(ns, (size_t) nr, sizeof(*ns), compare);
	return nr ? ns[nr / 4] : 0;
}

static void put(const char *row, double ns)
{
	printf("sample %s %.0f\n", row, ns);
}

static double event_ns(void)
{
	double begin = now_ns();

	tracebuf_event(homes, bytes, payload, sizeof(payload));
	return now_ns() - begin;
}

/* What the first event of this process costs more than the second. */
static double first_event_ns(void)
{
	double first = event_ns();

	return first - event_ns();
}

static void measure_fork(void)
{
	double ns;
	int i;

	for (i = 0; i < FORKS; i++) {
		fflush(stdout);
		if (fork() == 0) {
			ns = first_event_ns();
			put("fork", ns);
			fflush(stdout);
			_exit(0);
		}
		wait(NULL);
	}
}

/* The times of the events that fill the ring once: of CHUNK of them together, and of those that enter a sub-buffer. */
struct fill {
	double chunks[MAX_CHUNKS], entering[2 * NR_SUBBUFS], others[MAX_CHUNKS * CHUNK];
	int nr_chunks, nr_entering, nr_others;
};

static void fill(const struct tracebuf_producer *producer, struct fill *fill)
{
	uint64_t end = producer->position + RING_SIZE - SUBBUF_SIZE, before_it;
	double ns, chunk;
	int i;

	memset(fill, 0, sizeof(*fill));
	while (producer->position < end && fill->nr_chunks < MAX_CHUNKS) {
		for (i = 0, chunk = 0; i < CHUNK; i++, chunk += ns) {
			before_it = producer->position / SUBBUF_SIZE;
			ns = event_ns();
			if (producer->position / SUBBUF_SIZE == before_it)
				fill->others[fill->nr_others++] = ns;
			else if (fill->nr_entering < (int) (2 * NR_SUBBUFS))
				fill->entering[fill->nr_entering++] = ns;
		}
		fill->chunks[fill->nr_chunks++] = chunk;
	}
}

static void measure_ring(struct tracebuf *tracebuf, const char *mode)
{
	const struct tracebuf_control *control = tracebuf_control_page(tracebuf);
	const struct tracebuf_ring *ring = NULL;
	const struct tracebuf_producer *producer;
	static struct fill first, second;
	unsigned int slot;

	for (slot = 0; control && slot < TRACEBUF_NR_SLOTS && !ring; slot++)
		ring = tracebuf_ring_page(tracebuf, slot, 0, sched_getcpu());
	if (!ring)
		return;
	producer = (const void *) ((const char *) ring + TRACEBUF_RING_PRODUCER_OFFSET);
	fill(producer, &first);
	/* The daemon empties it. */
	usleep(300000);
	fill(producer, &second);
	if (strcmp(mode, "discard") == 0)
		put("switch", typical(second.entering, second.nr_entering) - typical(second.others, second.nr_others));
	else
		put("page", (typical(first.chunks, first.nr_chunks) - typical(second.chunks, second.nr_chunks)) * 4096 /
		    (CHUNK * sizeof(payload)));
}

static int measure(const char *mode)
{
	struct tracebuf *tracebuf = tracebuf_alloc();
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	put("attach", attach_end - attach_begin);
	put("ring", first_event_ns());
	measure_ring(tracebuf, mode);
	measure_fork();
	tracebuf_free(tracebuf);
	return 0;
}

static void take(int home, const char *line)
{
	char row[16];
	double ns;
	size_t i;

	if (sscanf(line, "sample %15s %lf", row, &ns) != 2)
		return;
	for (i = 0; i < NR_ROWS; i++)
		if (strcmp(row, rows[i][0]) == 0 && samples[home][i].nr < MAX_SAMPLES)
			samples[home][i].ns[samples[home][i].nr++] = ns;
}

/* Starts this program, traced, and takes what it says. */
static int run(const char *build, const char *self, int home, const char *mode)
{
	char command[2048], line[256];
	int status = -1;
	FILE *output;

	snprintf(command, sizeof(command),
		 "dir=$(mktemp -d) && '%s/tracebuf' record --home %s --mode %s --subbuf-size %u --num-subbuf %u "
		 "-o $dir/trace -- '%s' %s 2>$dir/said; status=$?; [ $status -eq 0 ] || cat $dir/said >&2; "
		 "rm -rf $dir; exit $status",
		 build, homes[home], mode, SUBBUF_SIZE, NR_SUBBUFS, self, mode);
	output = popen(command, "r");
	while (output && fgets(line, sizeof(line), output))
		take(home, line);
	if (output)
		status = pclose(output);
	return status ? -1 : 0;
}

static void print_table(void)
{
	double kernel, tmpfs;
	size_t i;

	printf("%10s %10s %7s\n", "kernel us", "tmpfs us", "ratio");
	for (i = 0; i < NR_ROWS; i++) {
		kernel = typical(samples[0][i].ns, samples[0][i].nr) / 1000;
		tmpfs = typical(samples[1][i].ns, samples[1][i].nr) / 1000;
		printf("%10.2f %10.2f %7.2f  %s\n", kernel, tmpfs, tmpfs > 0 ? kernel / tmpfs : 0, rows[i][1]);
	}
}

int main(int argc, char **argv)
{
	const char *build = getenv("TB_BUILD");
	char self[1024], path[1024];
	int round, home;

	if (argc > 1)
		return measure(argv[1]);
	if (access(TRACEBUF_DEVICE, R_OK | W_OK)) {
		puts("no " TRACEBUF_DEVICE ": the module is not loaded");
		return 77;
	}
	if (!realpath(argv[0], self))
		return 1;
	snprintf(path, sizeof(path), "%s", self);
	if (!build)
		build = dirname(dirname(path));
	for (round = 0; round < ROUNDS; round++)
		for (home = 0; home < 2; home++)
			if (run(build, self, home, "overwrite") || run(build, self, home, "discard"))
				return 1;
	print_table();
	return 0;
}
