/* SPDX-License-Identifier: MIT */
/*
 * What processes consisted of, from what is left of their files into a recovered trace.
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
#include <unistd.h>
#include "../reader/statedump_line.h"

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

/* Has an earlier ring the same process? Rings of a process come together, but for those of other channels. */
static bool is_known(const struct tb_recovery *recovery, size_t index)
{
	const struct tb_ring_info *info = &recovery->ring[index].ring->info;

	for (size_t i = 0; i < index; i++)
		if (recovery->ring[i].ring->info.pid == info->pid &&
		    recovery->ring[i].ring->info.incarnation == info->incarnation)
			return true;
	return false;
}

static void print_state(const struct tb_recovery *recovery, const struct tb_remains_ring *ring, FILE *out)
{
	const struct tb_remains_process *process = tb_remains_process_of(recovery->remains, ring);
	struct tracebuf_statedump *state = process ? read_state(&process->source) : NULL;
	uint64_t ticks;

	if (!state)
		return;
	/* Without a time of its own it is from before the trace. */
	ticks = state->clock_ticks > ring->clock_ticks ? state->clock_ticks : ring->clock_ticks;
	tb_statedump_line(out, &process->info, state, state + 1, ticks);
	free(state);
}

int tb_recovered_state(const struct tb_recovery *recovery, int dir)
{
	int fd = openat(dir, ".statedump", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	bool is_empty;

	if (!out) {
		int error = -errno;

		if (fd >= 0)
			close(fd);
		return error;
	}
	for (size_t i = 0; i < recovery->nr_rings; i++)
		if (!is_known(recovery, i))
			print_state(recovery, recovery->ring[i].ring, out);
	is_empty = ftell(out) == 0;
	if (fclose(out))
		return -errno;
	if (is_empty)
		unlinkat(dir, ".statedump", 0);
	return 0;
}
