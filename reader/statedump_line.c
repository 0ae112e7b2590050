/* SPDX-License-Identifier: MIT */
/*
 * A statedump as a line of JSON: what the daemon and recovery write into a trace's file .statedump, and places.c reads.
 *
 * Invariant: a line stands for one statedump of one process, and holds all of it.
 */
#include "statedump_line.h"
#include <inttypes.h>
#include "quote.h"

#define NSEC_PER_SEC 1000000000u

static const char *path_of(const struct tracebuf_state *state)
{
	return (const char *) state + offsetof(struct tracebuf_state, path);
}

static void print_executable(FILE *out, const struct tracebuf_state *state)
{
	fputs(",\"executable\":", out);
	tb_quote(out, path_of(state));
}

static void print_thread(FILE *out, const struct tracebuf_state *state)
{
	fprintf(out, "{\"tid\":%d,\"name\":", state->tid);
	tb_quote(out, path_of(state));
	fputc('}', out);
}

static void print_map(FILE *out, const struct tracebuf_state *state)
{
	fprintf(out, "{\"start\":%llu,\"end\":%llu,\"offset\":%llu,\"flags\":\"%s%s%s%s\",\"path\":",
		(unsigned long long) state->start, (unsigned long long) state->end, (unsigned long long) state->offset,
		state->flags & TRACEBUF_STATE_READ ? "r" : "", state->flags & TRACEBUF_STATE_WRITE ? "w" : "",
		state->flags & TRACEBUF_STATE_EXEC ? "x" : "", state->flags & TRACEBUF_STATE_SHARED ? "s" : "");
	tb_quote(out, path_of(state));
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

void tb_statedump_line(FILE *out, const struct tb_process_info *process, const struct tracebuf_statedump *head,
		       const void *records, uint64_t ticks)
{
	fprintf(out, "{\"pid\":%d,\"incarnation\":%" PRIu64 ",\"time\":%" PRIu64 ".%09" PRIu64 ",\"ticks\":%" PRIu64
		",\"left_out\":%u", process->pid, process->incarnation, (uint64_t) head->time_ns / NSEC_PER_SEC,
		(uint64_t) head->time_ns % NSEC_PER_SEC, ticks, head->nr_left_out);
	print_all(out, head, records, TRACEBUF_STATE_EXECUTABLE, "", print_executable);
	fputs(",\"thread\":[", out);
	print_all(out, head, records, TRACEBUF_STATE_THREAD, ",", print_thread);
	fputs("],\"map\":[", out);
	print_all(out, head, records, TRACEBUF_STATE_MAP, ",", print_map);
	fputs("]}\n", out);
}
