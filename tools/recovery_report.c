/* SPDX-License-Identifier: MIT */
/* What a recovery found, ring by ring: the events, what was dropped and why, the oldest and the newest time. */
#define _GNU_SOURCE
#include "recovery_report.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "../reader/quote.h"

#define NSEC_PER_SEC 1000000000ll

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

	fputs("  ", stdout);
	tb_put_name(stdout, ring->ring->info.procname);
	printf(", CPU %u, %s: ", ring->ring->info.cpu, ring->name);
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
	tb_quote(stdout, ring->name);
	printf(",\"pid\":%d,\"procname\":", ring->ring->info.pid);
	tb_quote(stdout, ring->ring->info.procname);
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
		tb_quote(stdout, tb_loss_name(i));
		printf(":%" PRIu64, salvage->nr_dropped[i]);
	}
	putchar('}');
	if (ring->trouble) {
		printf(",\"trouble\":");
		tb_quote(stdout, ring->trouble);
	}
	putchar('}');
}

static void print_boot_id(const uint8_t id[16])
{
	for (int i = 0; i < 16; i++)
		printf(i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
}

static const char *stop_name(const struct tb_remains_region *region)
{
	static const char *const names[] = { NULL, "trace", "reboot", "panic" };

	return region->has_stop ? names[region->header.stop.reason] : "unknown";
}

static void print_run(const struct tb_remains_region *region)
{
	const struct tracebuf_region *header = &region->header;

	fputs("; trace ", stdout);
	tb_put_name(stdout, header->start.trace_name);
	fputs(" started ", stdout);
	print_time(header->start.realtime_ns);
	if (!region->has_stop) {
		fputs(", its end was not told, as after a reset", stdout);
		return;
	}
	fputs(header->stop.reason == TRACEBUF_STOP_PANIC ? ", ended by a panic " :
	      header->stop.reason == TRACEBUF_STOP_REBOOT ? ", ended by a reboot " : ", stopped ", stdout);
	print_time(header->stop.realtime_ns);
}

static void print_region(const struct tb_remains_region *region)
{
	const struct tracebuf_region *header = &region->header;

	fputs("Boot ", stdout);
	if (region->has_start)
		print_boot_id(header->start.boot_id);
	fputs(region->has_start ? " of Linux " : "of Linux ", stdout);
	tb_put_name(stdout, header->release);
	printf(", %u CPUs, region taken ", header->nr_cpus);
	print_time(header->realtime_ns);
	if (region->has_start)
		print_run(region);
	else
		fputs("; no trace was started in it", stdout);
	putchar('\n');
}

static void print_region_json(const struct tb_remains_region *region)
{
	const struct tracebuf_region *header = &region->header;

	printf("{\"number\":%" PRIu64 ",\"release\":", (uint64_t) header->number);
	tb_quote(stdout, header->release);
	printf(",\"cpus\":%u,\"loaded_ns\":%" PRIu64, header->nr_cpus, (uint64_t) header->realtime_ns);
	if (region->has_start) {
		fputs(",\"boot_id\":\"", stdout);
		print_boot_id(header->start.boot_id);
		fputs("\",\"trace\":", stdout);
		tb_quote(stdout, header->start.trace_name);
		printf(",\"start_ns\":%" PRIu64 ",\"stopped_by\":\"%s\"", (uint64_t) header->start.realtime_ns,
		       stop_name(region));
	}
	if (region->has_start && region->has_stop)
		printf(",\"stop_ns\":%" PRIu64, (uint64_t) header->stop.realtime_ns);
	putchar('}');
}

static void print_regions(const struct tb_remains *remains, bool json)
{
	for (size_t i = 0; i < remains->nr_regions; i++) {
		if (json && i)
			putchar(',');
		(json ? print_region_json : print_region)(&remains->region[i]);
	}
}

void tb_report_begin(struct tb_report *report, bool json, const struct tb_remains *remains)
{
	report->json = json;
	report->nr_traces = 0;
	if (json) {
		printf("{\"source\":");
		tb_quote(stdout, remains->format);
		printf(",\"damaged_headers\":%zu,\"earlier_headers\":%zu,\"boot\":[", remains->nr_damaged,
		       remains->nr_earlier);
		print_regions(remains, true);
		printf("],\"trace\":[");
		return;
	}
	print_regions(remains, false);
	if (remains->nr_damaged)
		printf("%zu headers of rings or processes were damaged: those are left out\n", remains->nr_damaged);
	if (remains->nr_earlier)
		printf("%zu headers of rings or processes of an earlier boot were left alone: their pages are used again\n",
		       remains->nr_earlier);
}

static void report_json(struct tb_report *report, const struct tb_recovery *recovery, const char *path)
{
	printf("%s{\"name\":", report->nr_traces ? "," : "");
	tb_quote(stdout, recovery->name);
	printf(",\"output\":");
	if (path)
		tb_quote(stdout, path);
	else
		printf("null");
	printf(",\"recovered\":%" PRIu64 ",\"ring\":[", recovery->nr_events);
	for (size_t i = 0; i < recovery->nr_rings; i++) {
		if (i)
			putchar(',');
		print_ring_json(recovery, &recovery->ring[i]);
	}
	printf("],\"is_of_earlier_boot\":%s,\"is_known\":false}", recovery->is_earlier ? "true" : "false");
}

void tb_report_trace(struct tb_report *report, const struct tb_recovery *recovery, const char *path)
{
	if (report->json) {
		report_json(report, recovery, path);
	} else {
		printf("Trace %s%s: %" PRIu64 " events of %zu rings%s%s\n",
		       recovery->name[0] ? recovery->name : "(no name)", recovery->is_earlier ? ", of an earlier boot" : "",
		       recovery->nr_events, recovery->nr_rings, path ? ", in " : "", path ? path : "");
		for (size_t i = 0; i < recovery->nr_rings; i++)
			print_ring(recovery, &recovery->ring[i]);
	}
	report->nr_traces++;
}

void tb_report_known(struct tb_report *report, const char *name, const char *path)
{
	if (report->json) {
		printf("%s{\"name\":", report->nr_traces ? "," : "");
		tb_quote(stdout, name);
		printf(",\"output\":");
		tb_quote(stdout, path);
		printf(",\"recovered\":0,\"ring\":[],\"is_known\":true}");
	} else {
		printf("Trace %s: is in %s already\n", name[0] ? name : "(no name)", path);
	}
	report->nr_traces++;
}

void tb_report_end(struct tb_report *report)
{
	if (report->json)
		printf("]}\n");
}
