/* SPDX-License-Identifier: MIT */
/*
 * Who processes were and what they consisted of, from what is left of their files into a recovered trace: the files
 * .processes and .statedump and, where addresses are recorded, the stream by which other readers name them.
 *
 * Invariant: a statedump is taken only if it is whole by its own checksum. It was being written when all ended, or lies
 * in a page that is not there: then the trace has none of that process, and is no worse for it otherwise.
 */
#include "recovered_state.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../reader/places.h"
#include "../reader/process_line.h"
#include "../reader/statedump_line.h"
#include "../reader/statedump_stream.h"

/* The process's statedump, for free(); NULL: none. */
static struct tracebuf_statedump *read_state(const struct tb_source *source)
{
	struct tracebuf_statedump head, *state;

	if (tb_source_read(source, TRACEBUF_STATEDUMP_OFFSET, &head, sizeof(head)) || !head.sequence ||
	    head.size > TRACEBUF_STATEDUMP_SIZE - sizeof(head))
		return NULL;
	state = malloc(sizeof(head) + head.size);
	if (!state)
		return NULL;
	*state = head;
	if (!tb_source_read(source, TRACEBUF_STATEDUMP_OFFSET + sizeof(head), state + 1, head.size) &&
	    !tb_statedump_check(state, state + 1, head.size))
		return state;
	free(state);
	return NULL;
}

static int by_process(const void *a, const void *b)
{
	const struct tb_ring_info *x = &(*(const struct tb_remains_ring *const *) a)->info,
				  *y = &(*(const struct tb_remains_ring *const *) b)->info;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->incarnation < y->incarnation ? -1 : x->incarnation > y->incarnation;
}

typedef void (*print_fn)(const struct tb_recovery *recovery, const struct tb_remains_ring *ring, FILE *out);

static void print_process(const struct tb_recovery *recovery, const struct tb_remains_ring *ring, FILE *out)
{
	const struct tb_remains_process *process = tb_remains_process_of(recovery->remains, ring);

	if (process)
		tb_process_line(out, &process->info);
}

static void print_state(const struct tb_recovery *recovery, const struct tb_remains_ring *ring, FILE *out)
{
	const struct tb_remains_process *process = NULL;
	struct tracebuf_statedump *state = NULL;
	uint64_t ticks;

	while (!state && (process = tb_remains_next_process_of(recovery->remains, ring, process)))
		state = read_state(&process->source);
	if (!state)
		return;
	/* Without a time of its own it is from before the trace. */
	ticks = state->clock_ticks > ring->clock_ticks ? state->clock_ticks : ring->clock_ticks;
	tb_statedump_line(out, &process->info, state, state + 1, ticks);
	free(state);
}

/* The lines of all processes, each by one of its rings. 0, -ENOMEM. */
static int print_all(const struct tb_recovery *recovery, print_fn print, FILE *out)
{
	const struct tb_remains_ring **ring = calloc(recovery->nr_rings + 1, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	for (size_t i = 0; i < recovery->nr_rings; i++)
		ring[i] = recovery->ring[i].ring;
	qsort(ring, recovery->nr_rings, sizeof(*ring), by_process);
	for (size_t i = 0; i < recovery->nr_rings; i++)
		if (!i || by_process(&ring[i - 1], &ring[i]))
			print(recovery, ring[i], out);
	free(ring);
	return 0;
}

static int write_lines(const struct tb_recovery *recovery, int dir, const char *name, print_fn print)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644), ret;
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	bool is_empty;

	if (!out) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return ret;
	}
	ret = print_all(recovery, print, out);
	is_empty = ftell(out) == 0;
	if (fclose(out) && !ret)
		ret = -errno;
	if (is_empty)
		unlinkat(dir, name, 0);
	return ret;
}

bool tb_recovered_state_has_ip(const struct tb_recovery *recovery)
{
	bool needs = false;

	for (size_t i = 0; i < recovery->nr_classes; i++)
		needs |= tb_statedump_stream_serves(recovery->class[i].context);
	return needs;
}

static int add_class(struct tb_recovery *recovery)
{
	struct tb_stream_class *more;

	more = reallocarray(recovery->class, recovery->nr_classes + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	recovery->class = more;
	if (tb_statedump_stream_class(&more[recovery->nr_classes]))
		return -ENOMEM;
	recovery->nr_classes++;
	return 0;
}

static int write_file(int dir, const char *name, const char *bytes, size_t size)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644), ret = 0;

	if (fd < 0)
		return -errno;
	while (size && !ret) {
		ssize_t put = write(fd, bytes, size);

		ret = put < 0 ? -errno : 0;
		bytes += put > 0 ? put : 0;
		size -= put > 0 ? put : 0;
	}
	return close(fd) && !ret ? -errno : ret;
}

/* Of what .statedump in dir says and, if not NULL, that in the directory below. */
static int write_stream(const uint8_t uuid[16], int dir, const char *below)
{
	int sub = below ? openat(dir, below, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	struct tb_places places = { 0 };
	char *bytes = NULL;
	size_t size = 0;
	int ret = tb_places_load(&places, dir);

	if (!ret && sub >= 0)
		ret = tb_places_load(&places, sub);
	if (sub >= 0)
		close(sub);
	tb_places_sort(&places);
	if (!ret)
		ret = tb_statedump_stream_make(&places, uuid, &bytes, &size);
	if (!ret && size)
		ret = write_file(dir, TB_STATEDUMP_STREAM, bytes, size);
	free(bytes);
	tb_places_free(&places);
	return ret;
}

int tb_recovered_state(struct tb_recovery *recovery, int dir, bool is_alone)
{
	int ret = write_lines(recovery, dir, ".processes", print_process);

	if (!ret)
		ret = write_lines(recovery, dir, ".statedump", print_state);
	if (ret || !tb_recovered_state_has_ip(recovery))
		return ret;
	ret = add_class(recovery);
	return ret || !is_alone ? ret : write_stream(recovery->uuid, dir, NULL);
}

int tb_recovered_state_merge(const struct tb_recovery *recovery, const struct tb_metadata *known, int dir,
			     const char *below)
{
	if (!tb_recovered_state_has_ip(recovery) && !tb_metadata_find(known, tb_statedump_stream_id()))
		return 0;
	return write_stream(recovery->uuid, dir, below);
}
