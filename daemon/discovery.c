/* SPDX-License-Identifier: MIT */
/*
 * Finding processes and rings, hearing their doorbells, and their deaths.
 *
 * Invariant: a process is ended only after inotify was read to its end since its death became known: all its rings were
 * published before it died, so all of them are known by then. What inotify lost (overflow), and what could not be
 * looked at for a want that passes (daemon->retry), is found by listing all there is; until that is done, or has
 * failed for MAX_HOLD_NS, nobody is ended. What rings no bell is looked at by the tick, a part each time, so that a
 * tick's cost is bounded. While nothing is recorded the tick alone reads inotify: a program's start wakes nobody.
 */
#define _GNU_SOURCE
#include "discovery.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>
#include "drain.h"
#include "home.h"
#include "output.h"
#include "process.h"
#include "recording.h"
#include "takeover.h"

#define TICK_NS 100000000
/* Looked at in one tick, at most. */
#define TICK_PROCESSES 128
#define TICK_DRAINS 256
/* Ticks from one clean-up of procs/ to the next. */
#define SWEEP_TICKS 100
#define BUFFER_SIZE 65536
/* The dead wait so long for what cannot be read. */
#define MAX_HOLD_NS 10000000000ull

void tb_discovery_process_found(void *data, const char *name)
{
	struct tb_process *process;

	tb_daemon_retry(data, tb_process_discover(data, name, &process));
}

void tb_discovery_ring_found(void *data, const char *name)
{
	struct tb_recording *recording = data;
	struct tb_drain *drain;
	int ret = tb_drain_discover(recording, name, &drain);

	tb_daemon_retry(recording->daemon, ret);
	if (!ret)
		tb_drain_pump(drain);
}

void tb_discovery_rescan(struct tb_daemon *daemon)
{
	daemon->retry = 0;
	tb_daemon_retry(daemon, daemon->home->list_processes(daemon));
	tb_process_refresh_all(daemon);
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++) {
		struct tb_recording *recording = daemon->recording[i];

		if (recording)
			tb_daemon_retry(daemon, daemon->home->list_rings(recording));
	}
	if (daemon->retry && !daemon->retry_since_ns) {
		daemon->retry_since_ns = tb_now_ns();
		tb_say("%s home, run directory %s: not all of it can be read now: %s; it is tried again",
		       daemon->home->name, daemon->rundir.path, strerror(daemon->retry));
	} else if (!daemon->retry) {
		daemon->retry_since_ns = 0;
	}
}

/* Rings of the dead may not be known yet. */
static bool holds_dead(const struct tb_daemon *daemon)
{
	return daemon->retry && (!daemon->retry_since_ns || tb_now_ns() - daemon->retry_since_ns < MAX_HOLD_NS);
}

static struct tb_process *find_process(struct tb_daemon *daemon, const char *name)
{
	uint64_t incarnation;
	int32_t pid;

	return tb_process_name_parse(name, &pid, &incarnation) ? tb_process_find(daemon, pid, incarnation) : NULL;
}

void tb_discovery_process_changed(struct tb_daemon *daemon, const char *name)
{
	struct tb_process *process = find_process(daemon, name);

	if (process)
		tb_process_refresh(process);
}

void tb_discovery_process_gone(struct tb_daemon *daemon, const char *name)
{
	struct tb_process *process = find_process(daemon, name);

	if (process)
		tb_process_mark_dead(process);
}

static void process_deleted(struct tb_daemon *daemon, const char *name)
{
	struct tb_process *process = find_process(daemon, name);

	if (!process)
		return;
	if (process->orphan && cds_list_empty(&process->drains))
		tb_process_forget(process, false);
	else if (daemon->home->tells_deaths)
		tb_process_mark_dead(process);
	/* It ends in order, and has no ring. */
	else if (cds_list_empty(&process->drains) && !process->dead)
		tb_process_forget(process, false);
}

static void process_event(struct tb_daemon *daemon, const struct inotify_event *event)
{
	if (event->mask & (IN_MOVED_TO | IN_CREATE))
		tb_discovery_process_found(daemon, event->name);
	else if (event->mask & IN_ATTRIB)
		tb_discovery_process_changed(daemon, event->name);
	else if (event->mask & IN_DELETE)
		process_deleted(daemon, event->name);
}

static void ring_bell(struct tb_recording *recording, const char *name)
{
	struct tb_ring_name parsed;
	struct tb_drain *drain = tb_ring_name_parse(name, &parsed) ? tb_drain_find(recording, &parsed) : NULL;

	if (drain)
		tb_drain_pump(drain);
}

static void ring_event(struct tb_recording *recording, const struct inotify_event *event)
{
	if (event->mask & (IN_MOVED_TO | IN_CREATE))
		tb_discovery_ring_found(recording, event->name);
	else if (event->mask & IN_ATTRIB)
		ring_bell(recording, event->name);
}

static void dispatch(struct tb_daemon *daemon, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW) {
		tb_discovery_rescan(daemon);
		return;
	}
	if (!event->len || event->name[0] == '.')
		return;
	if (event->wd == daemon->rundir.procs_wd) {
		process_event(daemon, event);
		return;
	}
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (daemon->recording[i] && daemon->recording[i]->wd == event->wd)
			ring_event(daemon->recording[i], event);
}

void tb_discovery_read_inotify(struct tb_daemon *daemon)
{
	static char buffer[BUFFER_SIZE] __attribute__((aligned(8)));
	ssize_t got;

	while ((got = read(daemon->rundir.inotify_fd, buffer, sizeof(buffer))) > 0)
		for (char *at = buffer; at < buffer + got;) {
			const struct inotify_event *event = (const void *) at;

			dispatch(daemon, event);
			at += sizeof(*event) + event->len;
		}
}

static void read_events(struct tb_daemon *daemon)
{
	tb_discovery_read_inotify(daemon);
	daemon->home->read_news(daemon);
}

/* All that a dead process left is taken now; if not all of it can be had, it stays among the dying. */
static void end_process(struct tb_process *process)
{
	struct tb_daemon *daemon = process->daemon;
	struct tb_drain *drain, *next;

	tb_process_refresh(process);
	if (holds_dead(daemon))
		return;
	cds_list_for_each_entry_safe(drain, next, &process->drains, of_process) {
		if (drain->recording->snapshot)
			tb_drain_keep(drain);
		else
			tb_drain_retire(drain);
	}
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++) {
		struct tb_recording *recording = daemon->recording[i];
		struct tb_account *account;

		if (!recording)
			continue;
		if (recording->slot.active || recording->stopping)
			tb_recording_take_discarded(recording, process);
		if (holds_dead(daemon))
			return;
		account = tb_account_find(&recording->accounts, process->info.pid, process->info.incarnation);
		if (account)
			tb_account_end(&recording->accounts, account);
	}
	tb_process_bury(process);
}

/* Reads all that is new, and ends the processes that are known to be dead. again: looks once more at what failed. */
static void catch_up(struct tb_daemon *daemon, bool again)
{
	static bool inside;

	/* Ending a process waits for the disk; nothing that runs meanwhile may end another. */
	if (inside)
		return;
	inside = true;
	read_events(daemon);
	if (again && daemon->retry)
		tb_discovery_rescan(daemon);
	while (!cds_list_empty(&daemon->dying) && !holds_dead(daemon)) {
		/* Deaths that became known while events were read: once more to the end, for their rings. */
		tb_daemon_retry(daemon, daemon->home->settle(daemon));
		read_events(daemon);
		for (unsigned int nr = daemon->nr_dying; nr && !holds_dead(daemon); nr--)
			end_process(cds_list_first_entry(&daemon->dying, struct tb_process, dying));
	}
	inside = false;
}

void tb_discovery_settle(struct tb_daemon *daemon)
{
	tb_daemon_retry(daemon, daemon->home->settle(daemon));
	catch_up(daemon, true);
}

static bool has_recording(const struct tb_daemon *daemon)
{
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (daemon->recording[i])
			return true;
	return false;
}

void tb_discovery_listen(struct tb_daemon *daemon)
{
	if (!has_recording(daemon))
		return;
	if (!daemon->hears_inotify)
		tb_loop_poll(&daemon->loop, &daemon->inotify_ready, daemon->rundir.inotify_fd, POLLIN);
	if (!daemon->hears_news && daemon->news_fd >= 0)
		tb_loop_poll(&daemon->loop, &daemon->news_ready, daemon->news_fd, POLLIN);
	daemon->hears_inotify = daemon->hears_news = true;
}

static void inotify_ready(struct tb_completion *completion, int result)
{
	struct tb_daemon *daemon = caa_container_of(completion, struct tb_daemon, inotify_ready);

	(void) result;
	/* What failed is left to the tick: events may be many. */
	catch_up(daemon, false);
	daemon->hears_inotify = false;
	tb_discovery_listen(daemon);
}

static void news_ready(struct tb_completion *completion, int result)
{
	struct tb_daemon *daemon = caa_container_of(completion, struct tb_daemon, news_ready);

	(void) result;
	catch_up(daemon, false);
	daemon->hears_news = false;
	tb_discovery_listen(daemon);
}

/* A part of the processes: news in their files, and the deaths of those that no pidfd watches. */
static void tick_processes(struct tb_daemon *daemon)
{
	for (int i = 0; i < TICK_PROCESSES && i < (int) daemon->nr_processes; i++) {
		struct tb_process *process;

		if (daemon->next_process == &daemon->processes)
			daemon->next_process = daemon->processes.next;
		process = cds_list_entry(daemon->next_process, struct tb_process, list);
		daemon->next_process = process->list.next;
		tb_process_look_after(process);
	}
}

static void tick_drains(struct tb_recording *recording)
{
	for (int i = 0; i < TICK_DRAINS && i < (int) recording->nr_drains; i++) {
		struct tb_drain *drain;

		if (recording->next_drain == &recording->drains)
			recording->next_drain = recording->drains.next;
		drain = cds_list_entry(recording->next_drain, struct tb_drain, of_recording);
		recording->next_drain = drain->of_recording.next;
		tb_drain_pump(drain);
	}
}

static void tick(struct tb_completion *completion, int result)
{
	struct tb_daemon *daemon = caa_container_of(completion, struct tb_daemon, tick);

	(void) result;
	tick_processes(daemon);
	catch_up(daemon, true);
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++) {
		struct tb_recording *recording = daemon->recording[i];

		if (!recording)
			continue;
		tb_output_check(recording);
		if (!recording->snapshot)
			tick_drains(recording);
	}
	if (++daemon->nr_ticks % SWEEP_TICKS == 0 && !daemon->retry)
		daemon->home->sweep(daemon);
	tb_loop_timeout(&daemon->loop, completion, &daemon->tick_time);
}

int tb_discovery_start(struct tb_daemon *daemon)
{
	/* First what is recorded, or processes that record would be told to stop. */
	int ret = tb_takeover(daemon);

	if (ret)
		return ret;
	/* Once more at once: what is known of the rings until here is forgotten after this. */
	tb_daemon_retry(daemon, daemon->home->settle(daemon));
	tb_discovery_rescan(daemon);
	if (daemon->retry)
		tb_discovery_rescan(daemon);
	tb_takeover_complete(daemon);
	if (!daemon->retry)
		daemon->home->sweep(daemon);
	catch_up(daemon, true);
	tb_process_refresh_all(daemon);
	daemon->inotify_ready.done = inotify_ready;
	daemon->news_ready.done = news_ready;
	tb_discovery_listen(daemon);
	daemon->tick.done = tick;
	daemon->tick_time.tv_nsec = TICK_NS;
	tb_loop_timeout(&daemon->loop, &daemon->tick, &daemon->tick_time);
	return 0;
}
