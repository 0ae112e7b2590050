/* SPDX-License-Identifier: MIT */
/*
 * Going on where a killed daemon stopped.
 *
 * Invariant: rings/<generation>/.trace says which traces there are; the control page is written by it, never the
 * other way round, except that a trace which the control page shows as stopped stays so (state.c). What was written
 * is found in the stream files and in the rings' consumed words (tape.c), so nothing is written twice and nothing is
 * left out. A directory without .trace belongs to a trace that was destroyed. One whose rings are in another home than
 * ours is left alone, and so is one that we cannot take over now (its output cannot be opened, memory is short): what its
 * rings hold is nowhere else.
 */
#define _GNU_SOURCE
#include "takeover.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "archive.h"
#include "drain.h"
#include "home.h"
#include "metadata_file.h"
#include "output.h"
#include "recording.h"
#include "state.h"

/* The trace directory, made again if somebody removed it. */
static int open_output(struct tb_recording *recording)
{
	struct tb_message message;
	int fd = tb_output_open(recording->output);

	if (fd >= 0) {
		recording->output_fd = fd;
		if (mkdirat(fd, "index", 0755) && errno != EEXIST)
			tb_recording_trouble(recording, errno, "index");
		return 0;
	}
	return tb_output_make(recording->output, &recording->output_fd, &message);
}

static void adopt_output(struct tb_recording *recording)
{
	int ret = tb_metadata_adopt(recording);

	if (ret && ret != -ENOENT)
		tb_say("trace %s: %s/metadata: %s", recording->slot.name, recording->output, strerror(-ret));
	tb_archive_complete(recording);
	recording->metadata_due = true;
	if (tb_metadata_flush(recording))
		tb_recording_trouble(recording, errno, "metadata");
	tb_state_load_counts(recording);
	tb_output_adopt(recording);
}

/* Was it stopped when .trace could not be written? The slot in the control page must be this trace's. */
static bool was_stopped(const struct tb_recording *recording)
{
	const struct tb_control *control = &recording->daemon->control;

	return control->page.slot[recording->number].generation == recording->slot.generation &&
	       control->was_stopped[recording->number];
}

/* What .trace says, of a trace that the home still has. */
static int identify(struct tb_recording *recording)
{
	struct tb_daemon *daemon = recording->daemon;
	int ret = tb_recording_open_rings(recording);

	if (!ret)
		ret = tb_state_load(recording);
	if (!ret && was_stopped(recording))
		recording->slot.active = 0;
	if (!ret && daemon->recording[recording->number])
		ret = -EEXIST;
	return ret ? ret : daemon->home->adopt(recording);
}

static int resume(struct tb_recording *recording)
{
	struct tb_daemon *daemon = recording->daemon;
	int ret = daemon->home->watch(recording);

	if (!ret)
		ret = open_output(recording);
	if (ret)
		return ret;
	adopt_output(recording);
	ret = daemon->home->set_slot(daemon, recording->number, &recording->slot, recording->rules.data,
				     recording->rules.size);
	if (!ret)
		daemon->recording[recording->number] = recording;
	return ret;
}

bool tb_takeover_waits(const struct tb_daemon *daemon, uint64_t generation)
{
	char path[40];

	snprintf(path, sizeof(path), "%llu/.trace", (unsigned long long) generation);
	return !faccessat(daemon->rundir.rings_fd, path, F_OK, 0);
}

static void complain(const struct tb_recording *recording, const char *name, int error, bool is_lost)
{
	if (error == -EXDEV)
		tb_say("trace %s is not in the %s home: it waits for a daemon with the other --home", recording->slot.name,
		       recording->daemon->home->name);
	else if (!is_lost)
		tb_say("trace %s (rings/%s, output %s) cannot be taken over now: %s; it is left to the next daemon, or to "
		       "tracebuf recover", recording->slot.name, name, recording->output, strerror(-error));
	else if (error != -ENOENT)
		tb_say("trace %s (rings/%s) cannot be taken over: %s", recording->slot.name, name, strerror(-error));
}

static void directory_found(void *data, const char *name)
{
	struct tb_daemon *daemon = data;
	struct tb_recording *recording;
	char *end;
	unsigned long long generation = strtoull(name, &end, 10);
	bool is_lost;
	int ret;

	if (*end || !generation)
		return;
	recording = tb_recording_alloc(daemon);
	if (!recording)
		return;
	recording->slot.generation = generation;
	ret = identify(recording);
	is_lost = ret == -ESTALE || ret == -EBADMSG || !tb_takeover_waits(daemon, generation);
	if (!ret)
		ret = resume(recording);
	if (!ret)
		return;
	complain(recording, name, ret, is_lost);
	daemon->has_waiting |= !is_lost;
	tb_recording_free(recording);
	if (is_lost)
		tb_dir_remove(daemon->rundir.rings_fd, name);
}

int tb_takeover(struct tb_daemon *daemon)
{
	int ret = tb_dir_each(daemon->rundir.fd, "rings", directory_found, daemon);

	return ret ? ret : daemon->home->remove_strays(daemon);
}

/* Of whom only the accounts are left. */
static void end_accounts(struct tb_recording *recording)
{
	struct tb_account *account, *next;

	cds_list_for_each_entry_safe(account, next, &recording->accounts.list, list)
		if (!tb_process_find(recording->daemon, account->pid, account->incarnation)) {
			tb_account_end(&recording->accounts, account);
			/* Ending one may fold another: begin again behind what is there. */
			if (recording->accounts.nr_folded)
				break;
		}
}

void tb_takeover_complete(struct tb_daemon *daemon)
{
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++) {
		struct tb_recording *recording = daemon->recording[i];
		struct tb_drain *drain;

		if (!recording)
			continue;
		tb_archive_forget(recording);
		end_accounts(recording);
		if (!recording->slot.active)
			cds_list_for_each_entry(drain, &recording->drains, of_recording)
				tb_drain_settle(drain);
	}
}
