/* SPDX-License-Identifier: MIT */
/*
 * Traces: what users create, start, stop and destroy.
 *
 * Invariant: what processes see (the slot in the control page) is changed only after everything that could fail, and
 * after .trace says it (but for stop, see state.c), so that a verb is done wholly or not at all, also across a kill
 * of the daemon. After each change every process's enable records are set anew.
 */
#define _GNU_SOURCE
#include "recording.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "discovery.h"
#include "drain.h"
#include "home.h"
#include "metadata_file.h"
#include "output.h"
#include "state.h"
#include "statedump.h"

struct tb_recording *tb_recording_find(struct tb_daemon *daemon, const char *name)
{
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (daemon->recording[i] && !strcmp(daemon->recording[i]->slot.name, name))
			return daemon->recording[i];
	return NULL;
}

int tb_recording_channel(const struct tb_recording *recording, const char *name)
{
	for (unsigned int i = 0; i < recording->slot.nr_channels; i++)
		if (!strcmp(recording->slot.channel[i].name, name))
			return i;
	return -ENOENT;
}

struct tb_recording *tb_recording_alloc(struct tb_daemon *daemon)
{
	struct tb_recording *recording = calloc(1, sizeof(*recording));

	if (!recording)
		return NULL;
	recording->daemon = daemon;
	recording->output_fd = recording->rings_fd = recording->accounts_fd = recording->wd = -1;
	CDS_INIT_LIST_HEAD(&recording->classes);
	CDS_INIT_LIST_HEAD(&recording->drains);
	CDS_INIT_LIST_HEAD(&recording->kept);
	for (int i = 0; i < TB_DRAIN_BUCKETS; i++)
		CDS_INIT_LIST_HEAD(&recording->drain_bucket[i]);
	recording->next_drain = &recording->drains;
	tb_accounts_init(&recording->accounts);
	return recording;
}

void tb_recording_free(struct tb_recording *recording)
{
	struct tb_drain *drain, *next;

	if (!recording)
		return;
	cds_list_for_each_entry_safe(drain, next, &recording->drains, of_recording)
		tb_drain_free(drain);
	if (recording->daemon->recording[recording->number % TRACEBUF_NR_SLOTS] == recording)
		recording->daemon->recording[recording->number] = NULL;
	if (recording->wd >= 0)
		inotify_rm_watch(recording->daemon->rundir.inotify_fd, recording->wd);
	if (recording->output_fd >= 0)
		close(recording->output_fd);
	if (recording->rings_fd >= 0)
		close(recording->rings_fd);
	if (recording->accounts_fd >= 0)
		close(recording->accounts_fd);
	tb_classes_free(recording);
	tb_accounts_destroy(&recording->accounts);
	free(recording->instances);
	free(recording->cuts);
	free(recording);
}

int tb_recording_open_rings(struct tb_recording *recording)
{
	struct tb_daemon *daemon = recording->daemon;
	char name[24];

	snprintf(name, sizeof(name), "%llu", (unsigned long long) recording->slot.generation);
	recording->rings_fd = openat(daemon->rundir.rings_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (recording->rings_fd < 0)
		return -errno;
	recording->accounts_fd = openat(recording->rings_fd, ".accounts",
					O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	return recording->accounts_fd < 0 ? -errno : 0;
}

static int show_slot(struct tb_recording *recording, const struct tracebuf_slot *slot, const struct tb_rules *rules,
		     struct tb_message *message)
{
	struct tb_daemon *daemon = recording->daemon;
	int ret = daemon->home->set_slot(daemon, recording->number, slot, rules->data, rules->size);

	if (ret)
		return tb_fail(message, ret, "trace %s: %s home: %s", slot->name, daemon->home->name, strerror(-ret));
	recording->slot = *slot;
	if (rules != &recording->rules) {
		recording->rules.size = rules->size;
		memcpy(recording->rules.data, rules->data, rules->size);
	}
	tb_process_refresh_all(daemon);
	return 0;
}

/* Writes .trace, then shows processes the slot and the rules. Only then are they the recording's. */
static int show(struct tb_recording *recording, const struct tracebuf_slot *slot, const struct tb_rules *rules,
		struct tb_message *message)
{
	int ret = tb_state_save(recording, slot, rules);

	if (ret)
		return tb_fail(message, ret, "run directory %s: %s", recording->daemon->rundir.path, strerror(-ret));
	return show_slot(recording, slot, rules, message);
}

static void make_uuid(uint8_t uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		memset(uuid, 0x55, 16);
	/* RFC 4122, version 4. */
	uuid[6] = (uuid[6] & 0x0f) | 0x40;
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

/* The directories of a new trace, in the file system and here. */
static int make_directories(struct tb_recording *recording, struct tb_message *message)
{
	struct tb_daemon *daemon = recording->daemon;
	char name[24];
	int ret = tb_output_make(recording->output, &recording->output_fd, message);

	if (ret)
		return ret;
	snprintf(name, sizeof(name), "%llu", (unsigned long long) recording->slot.generation);
	ret = mkdirat(daemon->rundir.rings_fd, name, 0700) ? -errno : tb_recording_open_rings(recording);
	if (!ret)
		ret = daemon->home->watch(recording);
	if (ret)
		return tb_fail(message, ret, "run directory %s: %s", daemon->rundir.path, strerror(-ret));
	ret = tb_metadata_replace(recording, recording->output_fd);
	/* The directories above, too. */
	if (!ret && recording->sync && syncfs(recording->output_fd))
		ret = -errno;
	if (ret)
		return tb_fail(message, ret, "output %s: %s", recording->output, strerror(-ret));
	return 0;
}

static void remove_new(struct tb_recording *recording)
{
	char name[24];

	recording->daemon->home->remove(recording);
	snprintf(name, sizeof(name), "%llu", (unsigned long long) recording->slot.generation);
	tb_dir_remove(recording->daemon->rundir.rings_fd, name);
	if (recording->output_fd >= 0) {
		unlinkat(recording->output_fd, "metadata", 0);
		unlinkat(recording->output_fd, "index", AT_REMOVEDIR);
		rmdir(recording->output);
	}
}

static int check_new(struct tb_daemon *daemon, const struct tb_recording_options *options, struct tb_message *message)
{
	const char *name = options->name, *output = options->output;

	if (!tb_name_is_right(name))
		return tb_fail(message, -EINVAL, "trace name '%s': must be 1 to 63 of A-Z a-z 0-9 _ . - and not begin "
			       "with a dot", name);
	if (output[0] != '/' || strlen(output) >= PATH_MAX)
		return tb_fail(message, -EINVAL, "output '%s': must be an absolute path", output);
	if (tb_recording_find(daemon, name))
		return tb_fail(message, -EEXIST, "trace %s exists already", name);
	return 0;
}

int tb_recording_create(struct tb_daemon *daemon, const struct tb_recording_options *options,
			struct tb_recording **ret_recording, struct tb_message *message)
{
	struct tb_recording *recording;
	int ret = check_new(daemon, options, message);

	if (ret)
		return ret;
	recording = tb_recording_alloc(daemon);
	if (!recording)
		return tb_fail(message, -ENOMEM, "out of memory");
	recording->snapshot = options->snapshot;
	recording->sync = options->sync;
	recording->persistent = options->persistent;
	recording->start = tb_clock_sample(&daemon->clock);
	snprintf(recording->slot.name, sizeof(recording->slot.name), "%s", options->name);
	snprintf(recording->output, sizeof(recording->output), "%s", options->output);
	make_uuid(recording->slot.uuid);
	ret = daemon->home->create(recording, message);
	if (ret) {
		tb_recording_free(recording);
		return ret;
	}
	ret = make_directories(recording, message);
	if (!ret)
		ret = show(recording, &recording->slot, &recording->rules, message);
	if (ret) {
		remove_new(recording);
		tb_recording_free(recording);
		return ret;
	}
	daemon->recording[recording->number] = recording;
	tb_discovery_listen(daemon);
	*ret_recording = recording;
	return 0;
}

int tb_recording_add_channel(struct tb_recording *recording, const struct tracebuf_channel *channel,
			     struct tb_message *message)
{
	struct tracebuf_slot slot = recording->slot;
	int ret = tb_channel_check(recording, channel, message);

	if (ret)
		return ret;
	if (tb_recording_channel(recording, channel->name) >= 0)
		return tb_fail(message, -EEXIST, "channel %s of trace %s exists already", channel->name, slot.name);
	if (slot.nr_channels == TRACEBUF_NR_CHANNELS)
		return tb_fail(message, -EUSERS, "channel %s: trace %s has %d channels already, which is the limit",
			       channel->name, slot.name, TRACEBUF_NR_CHANNELS);
	if (recording->snapshot && channel->mode != TRACEBUF_MODE_OVERWRITE)
		return tb_fail(message, -EINVAL, "channel %s: %s is a snapshot trace, its channels must be of mode overwrite",
			       channel->name, slot.name);
	slot.channel[slot.nr_channels++] = *channel;
	return show(recording, &slot, &recording->rules, message);
}

int tb_recording_set_rules(struct tb_recording *recording, const struct tb_rules *rules, struct tb_message *message)
{
	return show(recording, &recording->slot, rules, message);
}

int tb_recording_start(struct tb_recording *recording, struct tb_message *message)
{
	struct tracebuf_slot slot = recording->slot;
	struct tb_process *process;
	int ret;

	if (slot.active)
		return tb_fail(message, -EALREADY, "trace %s is active already", slot.name);
	cds_list_for_each_entry(process, &recording->daemon->processes, list) {
		ret = tb_process_refresh(process);
		if (tb_is_passing(ret))
			return tb_fail(message, ret, "process %s cannot be read: %s", process->name, strerror(-ret));
		process->discarded_base[recording->number] = process->discarded;
		process->dumped[recording->number] = 0;
	}
	slot.active = 1;
	ret = show(recording, &slot, &recording->rules, message);
	if (!ret)
		tb_statedump_request(recording);
	if (!ret && !recording->snapshot)
		tb_statedump_publish(recording, recording->output_fd);
	return ret;
}

/* Positions may still move for a moment after the enable records are clear: rounds of looking again. */
#define STOP_ROUNDS 3

static void settle_all(struct tb_recording *recording)
{
	struct tb_drain *drain;
	bool moved = true;

	cds_list_for_each_entry(drain, &recording->drains, of_recording)
		tb_drain_settle(drain);
	for (int round = 0; round < STOP_ROUNDS && moved; round++) {
		tb_grace();
		moved = false;
		cds_list_for_each_entry(drain, &recording->drains, of_recording) {
			if (!tb_drain_moved(drain))
				continue;
			tb_drain_settle(drain);
			moved = true;
		}
	}
}

int tb_recording_stop(struct tb_recording *recording, struct tb_message *message)
{
	struct tracebuf_slot slot = recording->slot;
	struct tb_process *process;
	int ret;

	if (!slot.active)
		return tb_fail(message, -EALREADY, "trace %s is not active", slot.name);
	tb_statedump_request(recording);
	slot.active = 0;
	/* A full run directory must not keep anybody from stopping: what the control page says is enough. */
	ret = tb_state_save(recording, &slot, &recording->rules);
	if (ret)
		tb_say("trace %s: run directory %s: %s; it is stopped all the same", slot.name,
		       recording->daemon->rundir.path, strerror(-ret));
	ret = show_slot(recording, &slot, &recording->rules, message);
	if (ret)
		return ret;
	tb_grace();
	recording->stopping = true;
	tb_process_refresh_all(recording->daemon);
	tb_discovery_settle(recording->daemon);
	cds_list_for_each_entry(process, &recording->daemon->processes, list)
		tb_recording_take_discarded(recording, process);
	recording->stopping = false;
	settle_all(recording);
	if (!recording->snapshot)
		tb_statedump_publish(recording, recording->output_fd);
	ret = tb_metadata_replace(recording, recording->output_fd);
	if (ret)
		tb_recording_trouble(recording, -ret, "metadata");
	return 0;
}

void tb_recording_end(struct tb_recording *recording)
{
	struct tb_daemon *daemon = recording->daemon;
	struct tb_drain *drain, *next;
	struct tb_message message;
	int ret;

	if (recording->slot.active)
		tb_recording_stop(recording, &message);
	tb_discovery_settle(daemon);
	daemon->home->set_slot(daemon, recording->number, NULL, NULL, 0);
	tb_clock_skip_quarantine(&daemon->clock);
	daemon->recording[recording->number] = NULL;
	tb_process_refresh_all(daemon);
	cds_list_for_each_entry_safe(drain, next, &recording->drains, of_recording)
		tb_drain_retire(drain);
	ret = tb_metadata_replace(recording, recording->output_fd);
	if (ret)
		tb_recording_trouble(recording, -ret, "metadata");
}

void tb_recording_remove(struct tb_recording *recording)
{
	char name[24];

	/* First what makes it a trace: a daemon that is killed from here on leaves rubbish, which the next one removes. */
	unlinkat(recording->rings_fd, ".trace", 0);
	recording->daemon->home->remove(recording);
	snprintf(name, sizeof(name), "%llu", (unsigned long long) recording->slot.generation);
	tb_dir_remove(recording->daemon->rundir.rings_fd, name);
	tb_recording_free(recording);
}

void tb_recording_trouble(struct tb_recording *recording, int error, const char *what)
{
	if (error == recording->trouble)
		return;
	if (error)
		tb_say("trace %s: cannot write to %s: %s: %s; what does not fit is dropped and counted",
		       recording->slot.name, recording->output, what, strerror(error));
	else
		tb_say("trace %s: writing to %s works again", recording->slot.name, recording->output);
	recording->trouble = error;
}
