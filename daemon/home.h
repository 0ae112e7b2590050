/* SPDX-License-Identifier: MIT */
#ifndef TB_DAEMON_HOME_H
#define TB_DAEMON_HOME_H

#include "recording.h"

struct tb_drain;

/* What status says of a home. Numbers are 0 where it does not count them. */
struct tb_home_facts {
	const char *path;
	const char *way;			/* by which rings are reached: "files", "debugfs", "device" */
	uint64_t nr_pages, max_pages, max_user_pages;
	uint64_t nr_processes, max_processes, nr_rings;
	uint64_t nr_refused;			/* pages and processes that were past a limit */
	uint64_t nr_region_pages, max_region_pages;	/* of this boot's half; max 0: there is no region */
};

/*
 * Where control pages, process files and rings live: in the run directory, or in the kernel (tracebuf.ko). All that
 * differs between the two is behind this table; the rest of the daemon is one code path. 0 or -errno, where not said
 * otherwise.
 */
struct tb_home {
	const char *name;
	/* It says itself when a process is gone; else pidfds and /proc are looked at. */
	bool tells_deaths;
	/* Its rings' pages may stay pinned: nobody waits for them to be given back. */
	bool can_pin;

	/* Finds what is recorded, and watches for processes. clock: wanted, 0: any. Says itself what went wrong. */
	int (*open)(struct tb_daemon *daemon, enum tracebuf_clock clock);
	/* remove: the daemon ends in order, all its traces are gone. */
	void (*close)(struct tb_daemon *daemon, bool remove);
	/* The clock has been measured. */
	int (*set_clock)(struct tb_daemon *daemon, bool rseq_works);

	/* A new trace, by name and uuid: gives it a slot and a generation. -EAGAIN: not yet, a slot is in quarantine. */
	int (*create)(struct tb_recording *recording, struct tb_message *message);
	/* An earlier daemon's. -ESTALE: it is gone. */
	int (*adopt)(struct tb_recording *recording);
	/* Shows processes what is recorded. slot NULL: nothing any more. */
	int (*set_slot)(struct tb_daemon *daemon, unsigned int number, const struct tracebuf_slot *slot,
			const void *rules, size_t rules_size);
	/* Watches for its rings. */
	int (*watch)(struct tb_recording *recording);
	/* It goes with all that is left of it. */
	void (*remove)(struct tb_recording *recording);
	/* Ends what an earlier daemon left and nobody has adopted. */
	int (*remove_strays)(struct tb_daemon *daemon);
	/* Has the kernel write what the processes of the trace consist of: see statedump.h. NULL: this home cannot. */
	void (*request_statedump)(struct tb_recording *recording);

	/* Reads what is new besides what inotify tells, and what of it is told of at all. */
	void (*read_news)(struct tb_daemon *daemon);
	/* Calls tb_discovery_process_found() and tb_discovery_ring_found() for all there are. */
	int (*list_processes)(struct tb_daemon *daemon);
	int (*list_rings)(struct tb_recording *recording);
	/* All rings of now are told of once this returns. */
	int (*settle)(struct tb_daemon *daemon);
	/* Removes what dead processes left half made. */
	void (*sweep)(struct tb_daemon *daemon);

	/* A descriptor, to be closed, or -errno: -EBADMSG if it is no process file. *ret_size: bytes it has at least. */
	int (*open_process)(struct tb_daemon *daemon, const char *name, uint64_t *ret_size);
	/* Sets the enable records of an open process file by the rules. */
	int (*enable)(struct tb_process *process, int fd, uint32_t enable_size);
	/* It is dead and dealt with: does its file stay, for children that go by it? Asked now and then. */
	bool (*keeps_process)(struct tb_process *process);
	void (*remove_process)(struct tb_process *process);

	/* A descriptor that the caller keeps, or -errno; sets drain->file_size (0: not to be checked). */
	int (*open_ring)(struct tb_drain *drain);
	bool (*has_ring)(const struct tb_recording *recording, const char *name);
	/* Tells the writer that sub-buffers below consumed may be reused; complains of the drain itself. */
	int (*put)(struct tb_drain *drain, uint64_t consumed);
	/* Its reader wants no more of it. fd: open on it, or -1. */
	void (*remove_ring)(const struct tb_recording *recording, const char *name, int fd);

	/* Can a ring of so many bytes of data exist? 0, or -EINVAL with a message. */
	int (*check_room)(const struct tb_recording *recording, uint64_t ring_size, struct tb_message *message);
	void (*facts)(const struct tb_daemon *daemon, struct tb_home_facts *ret_facts);
};

extern const struct tb_home tb_rundir_home, tb_kernel_home;

/*
 * The home that text means: "kernel", "tmpfs", or "auto" (also NULL): $TRACEBUF_HOME, else the kernel if its device can
 * be opened. NULL: text means none.
 */
const struct tb_home *tb_home_choose(const char *text);

#endif
