/* SPDX-License-Identifier: MIT */
/*
 * What the kernel home says of processes' threads and memory maps, from their files to the file .statedump of a trace.
 *
 * Invariant: each statedump of a process, known by its sequence number, stands in a trace's file once, and only whole:
 * a copy during which the sequence changed is thrown away.
 */
#include "statedump.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "home.h"
#include "output.h"
#include "reader/statedump.h"

static const char *path_of(const struct tracebuf_state *state)
{
	return (const char *) state + offsetof(struct tracebuf_state, path);
}

static void print_executable(FILE *out, const struct tracebuf_state *state)
{
	fputs(",\"executable\":", out);
	tb_json_string(out, path_of(state));
}

static void print_thread(FILE *out, const struct tracebuf_state *state)
{
	fprintf(out, "{\"tid\":%d,\"name\":", state->tid);
	tb_json_string(out, path_of(state));
	fputc('}', out);
}

static void print_map(FILE *out, const struct tracebuf_state *state)
{
	fprintf(out, "{\"start\":%llu,\"end\":%llu,\"offset\":%llu,\"flags\":\"%s%s%s%s\",\"path\":",
		(unsigned long long) state->start, (unsigned long long) state->end, (unsigned long long) state->offset,
		state->flags & TRACEBUF_STATE_READ ? "r" : "", state->flags & TRACEBUF_STATE_WRITE ? "w" : "",
		state->flags & TRACEBUF_STATE_EXEC ? "x" : "", state->flags & TRACEBUF_STATE_SHARED ? "s" : "");
	tb_json_string(out, path_of(state));
	fputs(",\"build_id\":\"", out);
	for (int i = 0; i < state->build_id_size; i++)
		fprintf(out, "%02x", state->build_id[i]);
	fputs("\"}", out);
}

/* The records of one kind, between commas. */
static void print_all(FILE *out, const struct tracebuf_statedump *head, const void *records,
		      enum tracebuf_state_kind kind, const char *separator,
		      void (*print)(FILE *out, const struct tracebuf_state *state))
{
	const struct tracebuf_state *state;
	const char *before = "";
	size_t offset = 0;

	while ((state = tb_statedump_next(head, records, &offset))) {
		if (state->kind != kind)
			continue;
		fputs(before, out);
		print(out, state);
		before = separator;
	}
}

static void write_line(struct tb_recording *recording, const struct tb_process *process,
		       const struct tracebuf_statedump *head, const void *records)
{
	char *line = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&line, &size);

	if (!out)
		return;
	fprintf(out, "{\"pid\":%d,\"incarnation\":%" PRIu64 ",\"time\":%" PRIu64 ".%09" PRIu64 ",\"left_out\":%u",
		process->info.pid, process->info.incarnation, (uint64_t) head->time_ns / 1000000000,
		(uint64_t) head->time_ns % 1000000000, head->nr_left_out);
	print_all(out, head, records, TRACEBUF_STATE_EXECUTABLE, "", print_executable);
	fputs(",\"thread\":[", out);
	print_all(out, head, records, TRACEBUF_STATE_THREAD, ",", print_thread);
	fputs("],\"map\":[", out);
	print_all(out, head, records, TRACEBUF_STATE_MAP, ",", print_map);
	fputs("]}\n", out);
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

	if (!process->daemon->home->request_statedump || !read_head(fd, &head) || !head.sequence || head.sequence & 1 ||
	    !is_wanted(process, head.sequence))
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

	if (!home->request_statedump)
		return;
	home->request_statedump(recording);
	tb_process_refresh_all(recording->daemon);
}
