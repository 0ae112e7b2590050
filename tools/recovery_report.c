/* SPDX-License-Identifier: MIT */
/* What a recovery found, ring by ring: the events, what was dropped and why, the oldest and the newest time. */
#define _GNU_SOURCE
#include "recovery_report.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NSEC_PER_SEC 1000000000ll

static void print_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ' || c > '~')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

/* As view shows times, with the day. */
static void print_time(int64_t ns)
{
	time_t seconds = ns / NSEC_PER_SEC;
	char text[32] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s.%09lld", text, (long long) (ns % NSEC_PER_SEC));
}

static uint64_t nr_dropped(const struct tb_salvage *salvage)
{
	uint64_t nr = 0;

	for (int i = 0; i < TB_LOSS_NR; i++)
		nr += salvage->nr_dropped[i];
	return nr;
}

static void print_losses(const struct tb_salvage *salvage)
{
	const char *comma = "";

	printf("; %" PRIu64 " sub-buffers dropped (", nr_dropped(salvage));
	for (int i = 0; i < TB_LOSS_NR; i++) {
		if (!salvage->nr_dropped[i])
			continue;
		printf("%s%s: %" PRIu64, comma, tb_loss_name(i), salvage->nr_dropped[i]);
		comma = ", ";
	}
	putchar(')');
}

static void print_ring(const struct tb_recovery *recovery, const struct tb_recovered_ring *ring)
{
	const struct tb_salvage *salvage = &ring->salvage;

	printf("  %s, CPU %u, %s: ", ring->ring->info.procname, ring->ring->info.cpu, ring->name);
	if (ring->trouble) {
		printf("nothing: %s\n", ring->trouble);
		return;
	}
	printf("%" PRIu64 " events", salvage->nr_events - ring->nr_known);
	if (ring->nr_known)
		printf(" (%" PRIu64 " more are on disk)", ring->nr_known);
	if (salvage->nr_events) {
		fputs(", ", stdout);
		print_time(tb_trace_info_ns(&recovery->info, salvage->first_time));
		fputs(" to ", stdout);
		print_time(tb_trace_info_ns(&recovery->info, salvage->last_time));
	}
	if (nr_dropped(salvage))
		print_losses(salvage);
	putchar('\n');
}

static void print_ring_json(const struct tb_recovery *recovery, const struct tb_recovered_ring *ring)
{
	const struct tb_salvage *salvage = &ring->salvage;

	printf("{\"name\":");
	print_string(ring->name);
	printf(",\"pid\":%d,\"procname\":", ring->ring->info.pid);
	print_string(ring->ring->info.procname);
	printf(",\"cpu\":%u,\"recovered\":%" PRIu64 ",\"on_disk\":%" PRIu64 ",\"discarded\":%" PRIu64
	       ",\"overwritten\":%" PRIu64, ring->ring->info.cpu, salvage->nr_events - ring->nr_known, ring->nr_known,
	       salvage->nr_discarded, salvage->nr_overwritten);
	if (salvage->nr_events)
		printf(",\"oldest_ns\":%" PRId64 ",\"newest_ns\":%" PRId64,
		       tb_trace_info_ns(&recovery->info, salvage->first_time),
		       tb_trace_info_ns(&recovery->info, salvage->last_time));
	printf(",\"dropped\":{");
	for (int i = 0; i < TB_LOSS_NR; i++) {
		if (i)
			putchar(',');
		print_string(tb_loss_name(i));
		printf(":%" PRIu64, salvage->nr_dropped[i]);
	}
	putchar('}');
	if (ring->trouble) {
		printf(",\"trouble\":");
		print_string(ring->trouble);
	}
	putchar('}');
}

void tb_report_begin(struct tb_report *report, bool json, const char *format, size_t nr_damaged)
{
	report->json = json;
	report->nr_traces = 0;
	if (json) {
		printf("{\"source\":");
		print_string(format);
		printf(",\"damaged_headers\":%zu,\"trace\":[", nr_damaged);
	} else if (nr_damaged) {
		printf("%zu headers of rings or processes were damaged: those are left out\n", nr_damaged);
	}
}

static void report_json(struct tb_report *report, const struct tb_recovery *recovery, const char *path)
{
	printf("%s{\"name\":", report->nr_traces ? "," : "");
	print_string(recovery->name);
	printf(",\"output\":");
	print_string(path);
	printf(",\"recovered\":%" PRIu64 ",\"ring\":[", recovery->nr_events);
	for (size_t i = 0; i < recovery->nr_rings; i++) {
		if (i)
			putchar(',');
		print_ring_json(recovery, &recovery->ring[i]);
	}
	printf("]}");
}

void tb_report_trace(struct tb_report *report, const struct tb_recovery *recovery, const char *path)
{
	if (report->json) {
		report_json(report, recovery, path);
	} else {
		printf("Trace %s: %" PRIu64 " events of %zu rings, in %s\n", recovery->name[0] ? recovery->name : "(no name)",
		       recovery->nr_events, recovery->nr_rings, path);
		for (size_t i = 0; i < recovery->nr_rings; i++)
			print_ring(recovery, &recovery->ring[i]);
	}
	report->nr_traces++;
}

void tb_report_end(struct tb_report *report)
{
	if (report->json)
		printf("]}\n");
}
