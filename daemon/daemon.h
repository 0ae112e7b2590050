/* SPDX-License-Identifier: MIT */
#ifndef TB_DAEMON_H
#define TB_DAEMON_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <tracebuf/abi.h>
#include <urcu/list.h>
#include "clock.h"
#include "control.h"
#include "loop.h"
#include "placement.h"
#include "rundir.h"

#define TB_PROCESS_BUCKETS 4096
#define TB_DESCRIPTIONS_BUCKETS 256

struct tb_home;
struct tb_kernel;
struct tb_recording;

/* Everything that one tracebufd knows. One thread uses it. */
struct tb_daemon {
	struct tb_loop loop;
	struct tb_rundir rundir;
	const struct tb_home *home;				/* of the pages */
	struct tb_kernel *kernel;				/* home_kernel.c; NULL: not that home */
	uint64_t domain;					/* of the processes that we see: tracebuf_process.domain */
	struct tb_control control;
	struct tb_clock clock;
	struct tb_placement placement;

	struct tb_recording *recording[TRACEBUF_NR_SLOTS];	/* by slot; NULL: free */

	struct cds_list_head processes;				/* tb_process.list, oldest first */
	struct cds_list_head process_bucket[TB_PROCESS_BUCKETS];
	struct cds_list_head dying;				/* tb_process.dying: dead, not yet dealt with */
	unsigned int nr_dying;
	unsigned int nr_processes, nr_pidfds, max_pidfds;
	struct cds_list_head descriptions[TB_DESCRIPTIONS_BUCKETS];

	/* Rings that hold descriptors and mappings now, least recently used first: tb_drain.opened */
	struct cds_list_head opened;
	unsigned int nr_opened, max_opened;
	struct cds_list_head hungry;				/* tb_drain.hungry: have something to write, and no room */
	uint64_t in_flight_size;				/* bytes of stream file writes under way */

	struct tb_completion inotify_ready, news_ready, tick;
	bool hears_inotify, hears_news;				/* the loop waits for them */
	int news_fd;						/* readable when the home has news; -1: never */
	struct __kernel_timespec tick_time;
	unsigned int nr_ticks;
	struct cds_list_head *next_process;			/* where the tick goes on */
	int retry;						/* errno: all that is there must be listed again; 0: no */
	uint64_t retry_since_ns;				/* when that failed first; 0: it did not */
	bool has_waiting;		/* a trace could not be taken over: whatever explains its rings stays (takeover.c) */
	struct tb_completion signal_ready, stdin_ready, socket_ready;
	int signal_fd;
	unsigned int nr_clients;
};

/* One line on stderr. */
void tb_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Is this -errno a want that passes? Any other one is a verdict about the file that was looked at. */
static inline bool tb_is_passing(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EIO || error == -EINTR ||
	       error == -ENOSPC;
}

/* Looking at a process or a ring ended so: if it was for a want, all are looked at again soon (discovery.c). */
static inline void tb_daemon_retry(struct tb_daemon *daemon, int error)
{
	if (tb_is_passing(error))
		daemon->retry = -error;
}

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t tb_now_ns(void);

/* Lets writers that are inside a write end it: a few milliseconds. */
void tb_grace(void);

#endif
