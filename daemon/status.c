/* SPDX-License-Identifier: MIT */
/*
 * What status and list say, for people and as JSON. The JSON has one schema for each verb, whatever the state: members
 * are always there, lists may be empty.
 */
#include "status.h"
#include <inttypes.h>
#include "home.h"
#include "output.h"
#include "reader/quote.h"

static const char *comma(bool *first)
{
	const char *text = *first ? "" : ",";

	*first = false;
	return text;
}

static void print_uuid(FILE *out, const uint8_t uuid[16])
{
	for (int i = 0; i < 16; i++)
		fprintf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
}

static void json_counts(FILE *out, const struct tb_counts *counts)
{
	fprintf(out, "\"recorded\":%" PRIu64 ",\"discarded\":%" PRIu64 ",\"overwritten\":%" PRIu64 ",\"bytes\":%" PRIu64,
		counts->recorded, counts->discarded, counts->overwritten, counts->bytes);
}

static void text_counts(FILE *out, const struct tb_counts *counts)
{
	fprintf(out, "%" PRIu64 " recorded, %" PRIu64 " discarded, %" PRIu64 " overwritten, %" PRIu64 " bytes\n",
		counts->recorded, counts->discarded, counts->overwritten, counts->bytes);
}

static void json_channels(FILE *out, const struct tracebuf_slot *slot)
{
	char context[64];

	fputs("\"channel\":[", out);
	for (unsigned int i = 0; i < slot->nr_channels; i++) {
		const struct tracebuf_channel *channel = &slot->channel[i];

		tb_context_names(channel->context, context);
		fprintf(out, "%s{\"name\":\"%s\",\"mode\":\"%s\",\"subbuf_size\":%llu,\"num_subbuf\":%u,\"context\":\"%s\"}",
			i ? "," : "", channel->name, tb_mode_name(channel->mode),
			(unsigned long long) channel->subbuf_size, channel->nr_subbufs, context);
	}
	fputc(']', out);
}

static void text_channels(FILE *out, const struct tracebuf_slot *slot)
{
	char context[64];

	for (unsigned int i = 0; i < slot->nr_channels; i++) {
		const struct tracebuf_channel *channel = &slot->channel[i];

		tb_context_names(channel->context, context);
		fprintf(out, "  channel %s: %s, %u sub-buffers of %llu bytes, context %s\n", channel->name,
			tb_mode_name(channel->mode), channel->nr_subbufs, (unsigned long long) channel->subbuf_size,
			context);
	}
}

static void json_head(FILE *out, const struct tb_recording *recording)
{
	fprintf(out, "{\"name\":\"%s\",\"uuid\":\"", recording->slot.name);
	print_uuid(out, recording->slot.uuid);
	fprintf(out, "\",\"active\":%s,\"snapshot\":%s,\"persistent\":%s,\"output\":",
		recording->slot.active ? "true" : "false", recording->snapshot ? "true" : "false",
		recording->persistent ? "true" : "false");
	tb_quote(out, recording->output);
	fputc(',', out);
	json_channels(out, &recording->slot);
}

static void text_head(FILE *out, const struct tb_recording *recording)
{
	fprintf(out, "Trace %s: %s, %s%s %s\n", recording->slot.name, recording->slot.active ? "active" : "stopped",
		recording->persistent ? "persistent, " : "", recording->snapshot ? "snapshots to" : "written to",
		recording->output);
	text_channels(out, &recording->slot);
}

struct print {
	FILE *out;
	bool first;
};

static void json_process(void *data, const struct tb_account *account, const struct tb_counts *counts)
{
	struct print *print = data;

	fprintf(print->out, "%s{\"pid\":%d,\"incarnation\":%" PRIu64 ",\"procname\":", comma(&print->first), account->pid,
		account->incarnation);
	tb_quote(print->out, account->procname);
	fprintf(print->out, ",\"alive\":%s,", account->alive ? "true" : "false");
	json_counts(print->out, counts);
	fputc('}', print->out);
}

static void text_process(void *data, const struct tb_account *account, const struct tb_counts *counts)
{
	struct print *print = data;

	fprintf(print->out, "  process %d %s%s: ", account->pid, account->procname, account->alive ? "" : " (ended)");
	text_counts(print->out, counts);
}

static void json_status(FILE *out, struct tb_recording *recording)
{
	const struct tb_accounts *accounts = &recording->accounts;
	struct print print = { .out = out, .first = true };
	struct tb_counts total;

	json_head(out, recording);
	fputs(",\"process\":[", out);
	total = tb_recording_counts(recording, json_process, &print);
	if (accounts->nr_folded) {
		fprintf(out, "%s{\"pid\":0,\"incarnation\":0,\"procname\":\"others\",\"alive\":false,", comma(&print.first));
		json_counts(out, &accounts->folded);
		fputc('}', out);
	}
	fputs("],", out);
	json_counts(out, &total);
	fputc('}', out);
}

static void text_status(FILE *out, struct tb_recording *recording)
{
	struct print print = { .out = out };
	struct tb_counts total;

	text_head(out, recording);
	total = tb_recording_counts(recording, text_process, &print);
	if (recording->accounts.nr_folded) {
		fprintf(out, "  %u processes before them: ", recording->accounts.nr_folded);
		text_counts(out, &recording->accounts.folded);
	}
	if (recording->nr_refused)
		fprintf(out, "  %u rings refused\n", recording->nr_refused);
	fputs("  total: ", out);
	text_counts(out, &total);
}

static void each_trace(FILE *out, struct tb_daemon *daemon, struct tb_recording *only, bool json,
		       void (*print)(FILE *out, struct tb_recording *recording))
{
	bool first = true;

	for (int i = 0; i <= TRACEBUF_NR_SLOTS; i++) {
		/* An ended trace has no slot any more. */
		struct tb_recording *recording = i < TRACEBUF_NR_SLOTS ? daemon->recording[i] : NULL;

		if (only ? i != TRACEBUF_NR_SLOTS : !recording)
			continue;
		if (json)
			fputs(comma(&first), out);
		print(out, only ? only : recording);
	}
}

void tb_home_print_json(FILE *out, const struct tb_daemon *daemon)
{
	struct tb_home_facts facts;

	daemon->home->facts(daemon, &facts);
	fprintf(out, "\"home\":{\"name\":\"%s\",\"path\":", daemon->home->name);
	tb_quote(out, facts.path);
	fprintf(out, ",\"way\":\"%s\",\"pages\":%" PRIu64 ",\"max_pages\":%" PRIu64 ",\"max_user_pages\":%" PRIu64
		",\"processes\":%" PRIu64 ",\"max_processes\":%" PRIu64 ",\"rings\":%" PRIu64 ",\"refused\":%" PRIu64
		",\"region_pages\":%" PRIu64 ",\"max_region_pages\":%" PRIu64 "}",
		facts.way, facts.nr_pages, facts.max_pages, facts.max_user_pages, facts.nr_processes,
		facts.max_processes, facts.nr_rings, facts.nr_refused, facts.nr_region_pages, facts.max_region_pages);
}

static void print_home(FILE *out, const struct tb_daemon *daemon)
{
	struct tb_home_facts facts;

	daemon->home->facts(daemon, &facts);
	fprintf(out, "home: %s (%s)\n", daemon->home->name, facts.path);
	if (!facts.max_pages)
		return;
	fprintf(out, "  rings are reached by %s\n", facts.way);
	fprintf(out, "  %" PRIu64 " pages in use, limits %" PRIu64 " in all and %" PRIu64 " of a user\n", facts.nr_pages,
		facts.max_pages, facts.max_user_pages);
	fprintf(out, "  %" PRIu64 " processes, limit %" PRIu64 "; %" PRIu64 " rings; %" PRIu64 " refused for a limit\n",
		facts.nr_processes, facts.max_processes, facts.nr_rings, facts.nr_refused);
	if (facts.max_region_pages)
		fprintf(out, "  region: %" PRIu64 " pages in use of %" PRIu64 "\n", facts.nr_region_pages,
			facts.max_region_pages);
}

void tb_status_print(FILE *out, struct tb_daemon *daemon, struct tb_recording *only, bool json)
{
	if (json) {
		fputc('{', out);
		tb_home_print_json(out, daemon);
		fputs(",\"trace\":[", out);
	} else if (!only) {
		print_home(out, daemon);
	}
	each_trace(out, daemon, only, json, json ? json_status : text_status);
	if (json)
		fputs("]}\n", out);
}

static void json_list(FILE *out, struct tb_recording *recording)
{
	const struct tracebuf_rule *rule;
	uint32_t offset = 0;
	bool first = true;

	json_head(out, recording);
	fputs(",\"rule\":[", out);
	while ((rule = tb_rules_next(&recording->rules, &offset))) {
		fprintf(out, "%s{\"channel\":\"%s\",\"enable\":%s,\"pattern\":", comma(&first),
			recording->slot.channel[rule->channel].name, rule->enable ? "true" : "false");
		tb_quote(out, rule->pattern);
		fputc('}', out);
	}
	fputs("]}", out);
}

static void text_list(FILE *out, struct tb_recording *recording)
{
	const struct tracebuf_rule *rule;
	uint32_t offset = 0;

	text_head(out, recording);
	while ((rule = tb_rules_next(&recording->rules, &offset)))
		fprintf(out, "  %s %s in %s\n", rule->enable ? "records" : "leaves out", rule->pattern,
			recording->slot.channel[rule->channel].name);
}

static void list_process(FILE *out, const struct tb_process *process, bool json, bool *first)
{
	const struct tb_descriptions *descriptions = process->descriptions;
	bool first_event = true;

	if (json) {
		fprintf(out, "%s{\"pid\":%d,\"incarnation\":%" PRIu64 ",\"procname\":", comma(first), process->info.pid,
			process->info.incarnation);
		tb_quote(out, process->info.procname);
		fputs(",\"executable\":", out);
		tb_quote(out, process->info.executable);
		fputs(",\"event\":[", out);
	} else {
		fprintf(out, "Process %d ", process->info.pid);
		tb_put_name(out, process->info.procname);
		fputs(" (", out);
		tb_put_name(out, process->info.executable);
		fputs(")\n", out);
	}
	for (uint32_t id = 0; descriptions && id < descriptions->events.nr; id++) {
		const struct tb_event_class *class = tb_events_find(&descriptions->events, id);

		if (!class)
			continue;
		if (json) {
			fputs(comma(&first_event), out);
			tb_quote(out, class->name);
		} else {
			fprintf(out, "  %s\n", class->name);
		}
	}
	if (json)
		fputs("]}", out);
}

void tb_list_print(FILE *out, struct tb_daemon *daemon, struct tb_recording *only, bool json)
{
	struct tb_process *process;
	bool first = true;

	if (json)
		fputs("{\"trace\":[", out);
	each_trace(out, daemon, only, json, json ? json_list : text_list);
	if (json)
		fputs("],\"process\":[", out);
	if (!only)
		cds_list_for_each_entry(process, &daemon->processes, list)
			if (!process->dead)
				list_process(out, process, json, &first);
	if (json)
		fputs("]}\n", out);
}
