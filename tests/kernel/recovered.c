/* SPDX-License-Identifier: MIT */
/*
 * "recovered TRACE COUNTS FIRST NUMBER ROAMING": is what was recovered from a virtual machine's memory right? COUNTS is
 * what its program tests/kernel/counts wrote last; writers FIRST ... FIRST + NUMBER - 1 are those of this trace. It must
 * have everything counted (ROAMING is -1, the writers waited for room), or (overwritten rings) all that came after the
 * last event which a process's rings may have overwritten, at least as far as counted. How much of that had been counted
 * is told, and is none where writing went on for long after the last count. The first ROAMING writers share rings, so
 * that one of them may have overwritten the others. Nothing that was never written is there, nothing twice, and
 * babeltrace2 has nothing to say.
 *
 * A ring loses what comes before its first packet. So after the latest of the times at which the first packets of a
 * process's rings begin, if events came before them, a writer's numbers must be contiguous.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader/trace.h"
#include "tests/accounts.h"
#include "tests/fixture.h"
#include "tests/harness.h"
#include "tests/ledger.h"
#include "tests/tick.h"

#define MAX_WRITERS_HERE 64
#define MAX_STREAMS 256

struct judged {
	uint64_t printed;		/* counted, in the last line */
	uint64_t horizon;		/* its process's: see above; 0: nothing was overwritten */
	uint64_t nr, first, last;	/* events behind it: how many, their numbers */
};

struct stream {
	bool seen;
	int32_t pid;
	uint64_t horizon;		/* what was overwritten is not later; 0: nothing was */
};

static const char *path, *counts_path;
static unsigned int first_writer, nr_writers;
static int nr_roaming;
static bool overwrite;
static struct judged judged[MAX_WRITERS_HERE];
static struct stream streams[MAX_STREAMS];

/* The last line that is whole. */
static bool read_counts(void)
{
	char *text = read_file(counts_path), *end = text ? strrchr(text, '\n') : NULL, *at;
	unsigned int i;

	if (!end)
		return false;
	for (at = end; at > text && at[-1] != '\n'; at--)
		;
	for (i = 0; i < MAX_WRITERS_HERE && at < end; i++)
		judged[i].printed = strtoull(at, &at, 10);
	free(text);
	return i >= first_writer + nr_writers;
}

/* Calls each for every event. */
static bool walk(void (*each)(const struct tb_trace_event *event))
{
	const struct tb_trace_options options = { .report = NULL };
	const struct tb_trace_event *event;
	struct tb_trace *trace;
	char message[256] = "";
	int r = tb_trace_open(path, &options, &trace, message, sizeof(message));

	if (r) {
		tb_note("%s: %s", path, message);
		return false;
	}
	while ((r = tb_trace_next(trace, &event)) > 0)
		each(event);
	tb_trace_close(trace);
	return r == 0;
}

static void note_stream(const struct tb_trace_event *event)
{
	struct stream *stream = event->stream < MAX_STREAMS ? &streams[event->stream] : NULL;

	if (!stream || stream->seen) {
		CU_ASSERT(stream != NULL);
		return;
	}
	stream->seen = true;
	stream->pid = event->packet->pid;
	stream->horizon = event->packet->event_seq ? event->packet->timestamp_begin : 0;
}

static uint64_t horizon_of(int32_t pid)
{
	uint64_t horizon = 0;

	for (size_t i = 0; i < MAX_STREAMS; i++)
		if (streams[i].seen && streams[i].pid == pid && streams[i].horizon > horizon)
			horizon = streams[i].horizon;
	return horizon;
}

/* The payload has been proved by the ledger. */
static void note_number(const struct tb_trace_event *event)
{
	uint64_t horizon = horizon_of(event->packet->pid), seq;
	struct judged *writer;
	uint32_t number;

	memcpy(&number, event->event.payload, sizeof(number));
	memcpy(&seq, event->event.payload + sizeof(number), sizeof(seq));
	if (number >= MAX_WRITERS_HERE || (horizon && event->event.time <= horizon))
		return;
	writer = &judged[number];
	writer->horizon = horizon;
	if (!writer->nr++ || seq < writer->first)
		writer->first = seq;
	if (seq > writer->last)
		writer->last = seq;
}

static void sound(void)
{
	struct accounts accounts;
	uint64_t discarded = 0;
	struct ledger ledger;

	if (ledger_read(&ledger, path, first_writer + nr_writers)) {
		ledger_assert_sound(&ledger);
		TB_ASSERT_EQUAL(ledger.nr_missing, 0);
		CU_ASSERT(ledger.nr_events > 0);
		TB_ASSERT_EQUAL(referee(path, overwrite ? REFEREE_SILENT : REFEREE_DISCARDS, &discarded), ledger.nr_events);
		TB_ASSERT_EQUAL(discarded, 0);
		tb_note("%" PRIu64 " events", ledger.nr_events);
		for (unsigned int i = 0; i < first_writer; i++)
			TB_ASSERT_EQUAL(ledger.writer[i].nr, 0);
		for (unsigned int i = first_writer; i < first_writer + nr_writers && !overwrite; i++) {
			CU_ASSERT(ledger_has_all(&ledger.writer[i], 0, judged[i].printed));
			tb_note("writer %u: %" PRIu64 " counted, and %" PRIu64 " events there", i,
				judged[i].printed, ledger.writer[i].nr);
		}
	}
	ledger_free(&ledger);
	/* Of a trace that was completed, what a ring had in memory lies in a file of its own. */
	if (overwrite && accounts_read(&accounts, path)) {
		accounts_assert_sound(&accounts);
		TB_ASSERT_EQUAL(accounts.total.discarded, 0);
		accounts_free(&accounts);
	}
}

static void reaches(void)
{
	uint64_t nr_proved = 0;
	int nr_unreached = 0;

	if (!overwrite) {
		tb_skip("the rings were not overwritten");
		return;
	}
	CU_ASSERT(walk(note_stream) && walk(note_number));
	for (unsigned int i = first_writer; i < first_writer + nr_writers; i++) {
		const struct judged *writer = &judged[i];

		if (!writer->nr) {
			CU_ASSERT(i < first_writer + (unsigned int) nr_roaming);
			nr_unreached++;
			tb_note("writer %u: %" PRIu64 " counted, none within reach", i, writer->printed);
			continue;
		}
		TB_ASSERT_EQUAL(writer->nr, writer->last - writer->first + 1);
		CU_ASSERT(writer->last + 1 >= writer->printed);
		CU_ASSERT(writer->horizon || !writer->first);
		nr_proved += writer->printed > writer->first ? writer->printed - writer->first : 0;
		tb_note("writer %u: %" PRIu64 " ... %" PRIu64 ", %" PRIu64 " counted", i, writer->first, writer->last,
			writer->printed);
	}
	CU_ASSERT(!nr_roaming || nr_unreached < nr_roaming);
	tb_note("%" PRIu64 " counted events were within reach, and there", nr_proved);
}

int main(int argc, char **argv)
{
	static const CU_TestInfo tests[] = {
		{ "sound", sound }, { "reaches", reaches }, CU_TEST_INFO_NULL,
	};

	if (argc == 6) {
		path = argv[1];
		counts_path = argv[2];
		first_writer = (unsigned int) atoi(argv[3]);
		nr_writers = (unsigned int) atoi(argv[4]);
		nr_roaming = atoi(argv[5]);
		overwrite = nr_roaming >= 0;
	}
	if (argc != 6 || first_writer + nr_writers > MAX_WRITERS_HERE || !read_counts()) {
		fputs("usage: recovered TRACE COUNTS FIRST NUMBER ROAMING\n", stderr);
		return 2;
	}
	return tb_run_suite("recovered", tests);
}
