/* SPDX-License-Identifier: MIT */
/*
 * What a killed daemon leaves to the next one beside the rings: text, key=value, a line each.
 *   .trace      name, uuid, home, output, snapshot, sync, active, slot, clock, boot, channels, rules; replaced by rename
 *   .accounts   a line for each ring that is done, appended before its file is removed
 *
 * Invariant: .trace is written before the control page shows what it says, so that the next daemon, which writes the
 * control page by it, never takes back what was answered. Stopping alone needs no .trace, which a full file system may
 * keep from being written: a trace goes on being active only if .trace and the control page both say so (takeover.c).
 */
#define _GNU_SOURCE
#include "state.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "home.h"

#define MAX_STATE_SIZE (1u << 20)
#define MAX_ACCOUNTS_SIZE (256u << 20)

static void print_channels(FILE *out, const struct tracebuf_slot *slot)
{
	for (unsigned int i = 0; i < slot->nr_channels; i++) {
		const struct tracebuf_channel *channel = &slot->channel[i];

		fprintf(out, "channel=%s %u %u %llu %u %u\n", channel->name, channel->mode, channel->context,
			(unsigned long long) channel->subbuf_size, channel->nr_subbufs, channel->block_timeout_ms);
	}
}

static void print_rules(FILE *out, const struct tb_rules *rules)
{
	const struct tracebuf_rule *rule;
	uint32_t offset = 0;

	while ((rule = tb_rules_next(rules, &offset)))
		fprintf(out, "rule=%u %u %s\n", rule->channel, rule->enable, rule->pattern);
}

int tb_state_save(const struct tb_recording *recording, const struct tracebuf_slot *slot,
		  const struct tb_rules *rules)
{
	const struct tb_clock_sample *start = &recording->start;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int ret;

	if (!out)
		return -ENOMEM;
	fprintf(out, "name=%s\nuuid=", slot->name);
	for (int i = 0; i < 16; i++)
		fprintf(out, "%02x", slot->uuid[i]);
	fprintf(out, "\nhome=%s", recording->daemon->home->name);
	fprintf(out, "\noutput=%s\nsnapshot=%d\nsync=%d\nactive=%u\nslot=%u\nboot=%s\n", recording->output,
		recording->snapshot, recording->sync, slot->active, recording->number, recording->daemon->clock.boot_id);
	fprintf(out, "clock=%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", start->ticks, start->monotonic_ns, start->realtime_ns);
	print_channels(out, slot);
	print_rules(out, rules);
	ret = tb_text_close(out, &text);
	if (!ret)
		ret = tb_file_replace(recording->rings_fd, ".trace", text, size, false);
	free(text);
	return ret;
}

static bool parse_channel(struct tracebuf_slot *slot, const char *value)
{
	struct tracebuf_channel *channel = &slot->channel[slot->nr_channels];
	struct tb_message message;
	unsigned long long subbuf_size;

	if (slot->nr_channels == TRACEBUF_NR_CHANNELS ||
	    sscanf(value, "%63s %u %u %llu %u %u", channel->name, &channel->mode, &channel->context, &subbuf_size,
		   &channel->nr_subbufs, &channel->block_timeout_ms) != 6)
		return false;
	channel->subbuf_size = subbuf_size;
	slot->nr_channels++;
	return !tb_channel_check(NULL, channel, &message);
}

static bool parse_rule(struct tb_rules *rules, const char *value)
{
	unsigned int channel, enable;
	int length = 0;

	return sscanf(value, "%u %u %n", &channel, &enable, &length) == 2 && length &&
	       channel < TRACEBUF_NR_CHANNELS && !tb_rules_add(rules, channel, enable, value + length);
}

static bool parse_uuid(uint8_t uuid[16], const char *value)
{
	for (int i = 0; i < 16; i++) {
		unsigned int byte;

		if (sscanf(value + 2 * i, "%2x", &byte) != 1)
			return false;
		uuid[i] = byte;
	}
	return true;
}

static int parse_line(struct tb_recording *recording, const char *key, const char *value)
{
	struct tracebuf_slot *slot = &recording->slot;
	struct tb_clock_sample *start = &recording->start;
	bool right = true;

	if (!strcmp(key, "name")) {
		right = tb_name_is_right(value);
		snprintf(slot->name, sizeof(slot->name), "%s", value);
	} else if (!strcmp(key, "uuid")) {
		right = parse_uuid(slot->uuid, value);
	} else if (!strcmp(key, "output")) {
		right = value[0] == '/' && strlen(value) < sizeof(recording->output);
		snprintf(recording->output, sizeof(recording->output), "%s", value);
	} else if (!strcmp(key, "snapshot")) {
		recording->snapshot = value[0] == '1';
	} else if (!strcmp(key, "sync")) {
		recording->sync = value[0] == '1';
	} else if (!strcmp(key, "active")) {
		slot->active = value[0] == '1';
	} else if (!strcmp(key, "slot")) {
		right = sscanf(value, "%u", &recording->number) == 1 && recording->number < TRACEBUF_NR_SLOTS;
	} else if (!strcmp(key, "boot") && strcmp(value, recording->daemon->clock.boot_id)) {
		return -ESTALE;
	} else if (!strcmp(key, "home") && strcmp(value, recording->daemon->home->name)) {
		return -EXDEV;
	} else if (!strcmp(key, "clock")) {
		right = sscanf(value, "%" SCNu64 " %" SCNu64 " %" SCNu64, &start->ticks, &start->monotonic_ns,
			       &start->realtime_ns) == 3;
	} else if (!strcmp(key, "channel")) {
		right = parse_channel(slot, value);
	} else if (!strcmp(key, "rule")) {
		right = parse_rule(&recording->rules, value);
	}
	return right ? 0 : -EBADMSG;
}

int tb_state_load(struct tb_recording *recording)
{
	char *text, *at, *line;
	size_t size;
	int ret = tb_file_read(recording->rings_fd, ".trace", MAX_STATE_SIZE, &text, &size);

	if (ret)
		return ret;
	recording->number = TRACEBUF_NR_SLOTS;
	for (at = text; !ret && (line = strsep(&at, "\n"));) {
		char *value = strchr(line, '=');

		if (!value)
			continue;
		*value = '\0';
		ret = parse_line(recording, line, value + 1);
	}
	free(text);
	if (!ret && (!recording->slot.name[0] || !recording->output[0] || recording->number == TRACEBUF_NR_SLOTS))
		ret = -EBADMSG;
	return ret;
}

/* A whole line or nothing. */
static int append(int fd, const char *line, int length)
{
	ssize_t written = write(fd, line, length);
	struct stat stat;

	if (written == length)
		return 0;
	if (written < 0)
		return -errno;
	if (!fstat(fd, &stat) && stat.st_size >= written && ftruncate(fd, stat.st_size - written))
		return -errno;
	return -ENOSPC;
}

void tb_state_add_counts(struct tb_recording *recording, const char *ring, const struct tb_account *account,
			 const struct tb_counts *counts)
{
	char line[512];
	int error;
	int length = snprintf(line, sizeof(line),
			      "%s %d %" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", ring,
			      account->pid, account->incarnation, counts->recorded, counts->discarded,
			      counts->overwritten, counts->bytes, account->procname);

	/* Without it a daemon that takes over knows less of the dead: nothing that is on disk is lost. */
	if (recording->accounts_fd < 0)
		return;
	error = append(recording->accounts_fd, line, length);
	if (error && !recording->accounts_cut)
		tb_say("trace %s: accounts cannot be saved: %s; a daemon that takes over from this one will know less",
		       recording->slot.name, strerror(-error));
	recording->accounts_cut = error;
}

static void load_line(struct tb_recording *recording, const char *line)
{
	struct tb_account *account;
	struct tb_counts counts;
	uint64_t incarnation;
	char ring[TB_FILE_NAME_SIZE];
	int32_t pid;
	int length = 0;

	if (sscanf(line, "%95s %d %" SCNx64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %n", ring, &pid,
		   &incarnation, &counts.recorded, &counts.discarded, &counts.overwritten, &counts.bytes, &length) != 7 ||
	    !length)
		return;
	account = tb_account_get(&recording->accounts, pid, incarnation, line + length);
	if (account)
		tb_counts_add(&account->counts, &counts);
	/* The last daemon died between the line and this. */
	if (ring[0] != '-')
		recording->daemon->home->remove_ring(recording, ring, -1);
}

void tb_state_load_counts(struct tb_recording *recording)
{
	char *text, *at, *line;
	size_t size;

	if (tb_file_read(recording->rings_fd, ".accounts", MAX_ACCOUNTS_SIZE, &text, &size))
		return;
	/* A line that was cut off has no newline: it was never whole, and its ring is still there. */
	for (at = text; at && strchr(at, '\n');) {
		line = strsep(&at, "\n");
		load_line(recording, line);
	}
	free(text);
}
