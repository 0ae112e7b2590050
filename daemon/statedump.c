/* SPDX-License-Identifier: MIT */
/*
 * What processes consist of (threads, memory maps, loaded objects), from their files to the file .statedump of a trace.
 *
 * Invariant: each statedump of a process, known by its sequence number, stands in a trace's file once, and only whole:
 * a copy during which the sequence changed is thrown away.
 */
#include "statedump.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "home.h"
#include "metadata_file.h"
#include "output.h"
#include "reader/places.h"
#include "reader/statedump_line.h"
#include "reader/statedump_stream.h"

/* The trace's clock when the statedump was made, not before the trace. Who made it may not have known the clock. */
static uint64_t ticks_of(const struct tb_recording *recording, bool is_first, const struct tracebuf_statedump *head)
{
	const struct tb_clock_sample *start = &recording->start;
	const struct tb_clock *clock = &recording->daemon->clock;
	uint64_t ns = head->time_ns > start->monotonic_ns ? head->time_ns - start->monotonic_ns : 0, ticks;

	if (head->clock_ticks)
		ticks = head->clock_ticks;
	else if (is_first)
		ticks = start->ticks;
	else if (clock->kind == TRACEBUF_CLOCK_COUNTER)
		return tb_clock_read(clock);
	else
		ticks = start->ticks + (uint64_t) ((unsigned __int128) ns * clock->frequency / 1000000000u);
	/* One in the future was counted by another clock, that of an earlier daemon. */
	return ticks < start->ticks || ticks > tb_clock_read(clock) ? start->ticks : ticks;
}

static void write_line(struct tb_recording *recording, const struct tb_process *process,
		       const struct tracebuf_statedump *head, const void *records)
{
	bool is_first = !process->dumped[recording->number];
	char *line = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&line, &size);

	if (!out)
		return;
	tb_statedump_line(out, &process->info, head, records, ticks_of(recording, is_first, head));
	if (!tb_text_close(out, &line))
		tb_output_append(recording, ".statedump", line, size);
	free(line);
}

static bool lacks(const struct tb_process *process, const struct tb_recording *recording, uint32_t sequence)
{
	return recording && (recording->slot.active || recording->stopping) &&
	       process->dumped[recording->number] != sequence;
}

static bool is_wanted(const struct tb_process *process, uint32_t sequence)
{
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (lacks(process, process->daemon->recording[i], sequence))
			return true;
	return false;
}

static bool read_head(int fd, struct tracebuf_statedump *head)
{
	return pread(fd, head, sizeof(*head), TRACEBUF_STATEDUMP_OFFSET) == sizeof(*head);
}

/* The records behind head, for free(); NULL: not now. */
static char *copy_records(int fd, const struct tracebuf_statedump *head)
{
	struct tracebuf_statedump after;
	char *records;

	if (head->size > TRACEBUF_STATEDUMP_SIZE - sizeof(*head))
		return NULL;
	records = malloc((size_t) head->size + 1);
	if (!records)
		return NULL;
	if (pread(fd, records, head->size, TRACEBUF_STATEDUMP_OFFSET + sizeof(*head)) == (ssize_t) head->size) {
		/* Partner: the kernel makes sequence odd before it changes anything. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (read_head(fd, &after) && after.sequence == head->sequence &&
		    !tb_statedump_check(head, records, head->size))
			return records;
	}
	free(records);
	return NULL;
}

void tb_statedump_take(struct tb_process *process, int fd)
{
	struct tracebuf_statedump head;
	char *records;

	if (!read_head(fd, &head) || !head.sequence || head.sequence & 1 || !is_wanted(process, head.sequence))
		return;
	records = copy_records(fd, &head);
	if (!records)
		return;
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++) {
		struct tb_recording *recording = process->daemon->recording[i];

		if (!lacks(process, recording, head.sequence))
			continue;
		write_line(recording, process, &head, records);
		process->dumped[i] = head.sequence;
	}
	free(records);
}

void tb_statedump_request(struct tb_recording *recording)
{
	const struct tb_home *home = recording->daemon->home;

	if (home->request_statedump)
		home->request_statedump(recording);
	tb_process_refresh_all(recording->daemon);
}

/* The stream's bytes, of what .statedump in dir says, for free(). *ret_size 0: it says nothing. */
static int make_stream(const struct tb_recording *recording, int dir, char **ret_bytes, size_t *ret_size)
{
	struct tb_places places = { 0 };
	int ret = tb_places_load(&places, dir);

	tb_places_sort(&places);
	if (!ret)
		ret = tb_statedump_stream_make(&places, recording->slot.uuid, ret_bytes, ret_size);
	tb_places_free(&places);
	return ret;
}

bool tb_statedump_is_published(const struct tb_recording *recording)
{
	bool needs = false;

	for (uint32_t i = 0; i < recording->slot.nr_channels; i++)
		needs |= tb_statedump_stream_serves(recording->slot.channel[i].context);
	return needs;
}

void tb_statedump_publish(struct tb_recording *recording, int dir)
{
	char *bytes = NULL;
	size_t size = 0;
	int ret;

	if (!tb_statedump_is_published(recording))
		return;
	ret = make_stream(recording, dir, &bytes, &size);
	/* The class before the packets that need it. */
	if (!ret && size)
		ret = tb_class_add_statedump(recording);
	if (!ret && size)
		ret = tb_metadata_replace(recording, dir);
	if (!ret && size)
		ret = tb_file_replace(dir, TB_STATEDUMP_STREAM, bytes, size, recording->sync);
	free(bytes);
	if (ret)
		tb_recording_trouble(recording, -ret, TB_STATEDUMP_STREAM);
}
