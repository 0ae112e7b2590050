/* SPDX-License-Identifier: MIT */
/*
 * The books of a trace: each event that the traced program wrote proves itself (tick.h), and is entered once. It reads
 * by the reader library; babeltrace2 is the independent witness beside it (referee()).
 */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "reader/trace.h"
#include "tick.h"

/* Numbers that one writer's events may span, and how far one may come after a higher one. */
#define MAX_SPAN (1ull << 32)
#define MAX_DISORDER (1ull << 20)

static uint64_t get(const uint8_t *at, unsigned int size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | at[size];
	return value;
}

static bool blob_is_right(const uint8_t *payload, size_t size, uint64_t sum)
{
	uint32_t length, i;

	if (size < 24)
		return false;
	length = (uint32_t) get(payload + 20, 4);
	if (length != (size - 24) / 8 || size % 8)
		return false;
	for (i = 0; i < length; i++)
		if (get(payload + 24 + i * 8, 8) != blob_word(sum, i))
			return false;
	return true;
}

static bool text_is_right(const uint8_t *payload, size_t size, uint32_t writer, uint64_t seq)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%u/%llu", writer, (unsigned long long) seq);

	return size == 20 + (size_t) length + 1 && memcmp(payload + 20, text, (size_t) length + 1) == 0;
}

static bool payload_is_right(const char *name, const uint8_t *payload, size_t size, uint32_t writer, uint64_t seq)
{
	uint64_t sum = get(payload + 12, 8);

	if (sum != tick_sum(writer, seq))
		return false;
	if (strcmp(name, "test:blob") == 0)
		return blob_is_right(payload, size, sum);
	if (strcmp(name, "test:text") == 0)
		return text_is_right(payload, size, writer, seq);
	return size == 20;
}

/* Is number seq near enough to the writer's others to be one of them? */
static bool is_in_span(struct ledger_writer *writer, uint64_t seq)
{
	if (!writer->nr)
		writer->base = seq > MAX_DISORDER ? (seq - MAX_DISORDER) & ~7ull : 0;
	return seq >= writer->base && seq - writer->base < MAX_SPAN;
}

static bool is_seen(const struct ledger_writer *writer, uint64_t seq)
{
	uint64_t at = seq - writer->base;

	return seq >= writer->base && at / 8 < writer->seen_size && (writer->seen[at / 8] & 1u << at % 8);
}

/* Enters a number; false: it was there already. */
static bool enter(struct ledger_writer *writer, uint64_t seq)
{
	uint64_t at = seq - writer->base;
	size_t size = (size_t) (at / 8 + 1);

	if (size > writer->seen_size) {
		size = size * 2 + 64;
		writer->seen = realloc(writer->seen, size);
		if (!writer->seen)
			abort();
		memset(writer->seen + writer->seen_size, 0, size - writer->seen_size);
		writer->seen_size = size;
	}
	if (is_seen(writer, seq))
		return false;
	writer->seen[at / 8] |= (uint8_t) (1u << at % 8);
	if (!writer->nr++ || seq < writer->first)
		writer->first = seq;
	if (seq > writer->last)
		writer->last = seq;
	return true;
}

/* Books by whom it was written. false: its contexts do not go together. */
static bool note_origin(struct ledger_writer *writer, const struct tb_trace_event *event)
{
	int32_t pid = event->packet->pid, vpid = pid, tid = 0;
	const uint8_t *context = event->event.context;

	if (event->context & TRACEBUF_CONTEXT_VTID) {
		tid = (int32_t) get(context, 4);
		context += 4;
	}
	if (event->context & TRACEBUF_CONTEXT_VPID)
		vpid = (int32_t) get(context, 4);
	writer->several_pids |= writer->pid && writer->pid != pid;
	writer->several_tids |= writer->tid && writer->tid != tid;
	writer->pid = pid;
	writer->tid = tid;
	return vpid == pid;
}

static void book(struct ledger *ledger, const struct tb_trace_event *event)
{
	const char *name = event->event.class->name;
	const uint8_t *payload = event->event.payload;
	uint32_t writer;
	uint64_t seq;

	if (strncmp(name, "test:", 5) != 0 || event->event.payload_size < 20) {
		ledger->nr_foreign++;
		return;
	}
	writer = (uint32_t) get(payload, 4);
	seq = get(payload + 4, 8);
	if (writer >= ledger->nr_writers || !is_in_span(&ledger->writer[writer], seq) ||
	    !payload_is_right(name, payload, event->event.payload_size, writer, seq)) {
		ledger->nr_wrong++;
		return;
	}
	ledger->nr_duplicate += !enter(&ledger->writer[writer], seq);
	ledger->nr_wrong += !note_origin(&ledger->writer[writer], event);
}

static void report(void *data, const char *message)
{
	(void) data;
	tb_note("reader: %s", message);
}

bool ledger_read(struct ledger *ledger, const char *path, uint32_t nr_writers)
{
	const struct tb_trace_options options = { .report = report };
	struct tb_trace_totals totals;
	const struct tb_trace_event *event;
	char message[256] = "";
	struct tb_trace *trace;
	uint64_t time = 0;
	int r;

	memset(ledger, 0, sizeof(*ledger));
	ledger->writer = calloc(nr_writers, sizeof(*ledger->writer));
	ledger->nr_writers = nr_writers;
	r = ledger->writer ? tb_trace_open(path, &options, &trace, message, sizeof(message)) : -1;
	if (r)
		tb_note("%s: %s", path, message);
	CU_ASSERT(r == 0);
	if (r)
		return false;
	while ((r = tb_trace_next(trace, &event)) > 0) {
		ledger->nr_events++;
		ledger->nr_backwards += event->event.time < time;
		time = event->event.time;
		book(ledger, event);
	}
	CU_ASSERT(r == 0);
	tb_trace_totals(trace, &totals);
	ledger->nr_damaged = totals.nr_damaged;
	ledger->nr_discarded = totals.nr_discarded;
	ledger->nr_missing = totals.nr_missing;
	tb_trace_close(trace);
	return r == 0;
}

void ledger_free(struct ledger *ledger)
{
	uint32_t i;

	for (i = 0; ledger->writer && i < ledger->nr_writers; i++)
		free(ledger->writer[i].seen);
	free(ledger->writer);
	ledger->writer = NULL;
}

void ledger_assert_sound(const struct ledger *ledger)
{
	TB_ASSERT_EQUAL(ledger->nr_wrong, 0);
	TB_ASSERT_EQUAL(ledger->nr_foreign, 0);
	TB_ASSERT_EQUAL(ledger->nr_duplicate, 0);
	TB_ASSERT_EQUAL(ledger->nr_backwards, 0);
	TB_ASSERT_EQUAL(ledger->nr_damaged, 0);
}

bool ledger_has_all(const struct ledger_writer *writer, uint64_t from, uint64_t to)
{
	uint64_t seq;

	for (seq = from; seq < to; seq++)
		if (!is_seen(writer, seq))
			return false;
	return true;
}
