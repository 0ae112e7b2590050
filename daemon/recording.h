/* SPDX-License-Identifier: MIT */
#ifndef TB_RECORDING_H
#define TB_RECORDING_H

#include <limits.h>
#include "account.h"
#include "daemon.h"
#include "descriptions.h"
#include "process.h"
#include "rules.h"

/* A stream class of a trace: what its metadata says of it. */
struct tb_class {
	struct cds_list_head list;
	struct tb_stream_class class;
	char *text;				/* TSDL */
	size_t text_size;
	struct tb_descriptions *checked;	/* the last set whose first checked_nr were found to be these; a reference */
	uint32_t checked_nr;
};

#define TB_DRAIN_BUCKETS 1024
#define TB_INSTANCE_BUCKETS 1024
/* Rings of dead processes that a snapshot trace keeps: bytes of memory. */
#define TB_KEPT_RINGS_SIZE (256ull << 20)

/* A trace being recorded (or stopped), until it is destroyed. */
struct tb_recording {
	struct tb_daemon *daemon;
	unsigned int number;			/* of its slot */
	struct tracebuf_slot slot;		/* as processes see it */
	struct tb_rules rules;
	bool snapshot;				/* nothing is written but by the verb snapshot */
	bool sync;				/* what rings let go of is on the disk, not only in a cache */
	bool persistent;			/* its rings lie in the region: they outlive a reboot */
	bool stopping;				/* not active any more, but what was lost is still counted */
	char output[PATH_MAX];
	int output_fd, rings_fd;		/* the trace directory, rings/<generation>/ */
	int accounts_fd;			/* rings/<generation>/.accounts */
	bool accounts_cut;			/* the last line did not fit, which was told */
	int wd;					/* inotify's for its rings, or -1 */
	char directory[TB_FILE_NAME_SIZE];	/* kernel home: of its rings, below debugfs's tracebuf/ */
	struct tb_clock_sample start;		/* when it was created */

	struct cds_list_head classes;		/* tb_class.list, in the order of the metadata */
	bool metadata_due;			/* some of it could not be written yet */

	struct cds_list_head drains;		/* tb_drain.of_recording, oldest first */
	struct cds_list_head drain_bucket[TB_DRAIN_BUCKETS];
	struct cds_list_head *next_drain;	/* where the tick goes on */
	unsigned int nr_drains;
	struct cds_list_head kept;		/* tb_drain.kept: of dead processes, oldest first */
	uint64_t kept_size;
	uint64_t *instances;			/* stream_instance_ids in use: open addressing, 0 is free */
	size_t nr_instances, max_instances;

	bool paused;				/* a rotation is under way: stream files are not to be written */
	uint64_t archive_begin_ns;		/* CLOCK_REALTIME of the last rotation; 0: none */
	char *cuts;				/* where an earlier daemon's rotation cut the rings; NULL: nowhere */

	struct tb_accounts accounts;
	unsigned int nr_refused;		/* rings that were not taken */
	int trouble;				/* errno of the output that was last told of; 0: all is well */
	bool lost;				/* the trace directory was removed */
	uint64_t retry_ns;			/* when a lost output directory is looked for again */
};

/* What a verb says when it fails: one line. */
struct tb_message {
	char text[512];
};
int tb_fail(struct tb_message *message, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * The verbs on a trace. 0 or -errno with a message; on an error nothing has changed. create also fails with -EAGAIN:
 * the free slots are in quarantine, to be tried again in some milliseconds.
 */
struct tb_recording_options {
	const char *name, *output;
	bool snapshot, sync, persistent;	/* as in struct tb_recording */
};
int tb_recording_create(struct tb_daemon *daemon, const struct tb_recording_options *options,
			struct tb_recording **ret_recording, struct tb_message *message);
int tb_recording_add_channel(struct tb_recording *recording, const struct tracebuf_channel *channel,
			     struct tb_message *message);
int tb_recording_set_rules(struct tb_recording *recording, const struct tb_rules *rules, struct tb_message *message);
int tb_recording_start(struct tb_recording *recording, struct tb_message *message);
int tb_recording_stop(struct tb_recording *recording, struct tb_message *message);
/* Writes what is left, completes the trace directory, frees the slot. All that is left to do is to remove it. */
void tb_recording_end(struct tb_recording *recording);
/* Removes what the run directory has of an ended trace, and frees recording. */
void tb_recording_remove(struct tb_recording *recording);

/* The steps that a new trace and one that is taken over share: an empty object; its rings/<generation>/. */
struct tb_recording *tb_recording_alloc(struct tb_daemon *daemon);
int tb_recording_open_rings(struct tb_recording *recording);
/* Frees the memory and descriptors of a recording, leaving its files for the next daemon. */
void tb_recording_free(struct tb_recording *recording);

struct tb_recording *tb_recording_find(struct tb_daemon *daemon, const char *name);
int tb_recording_channel(const struct tb_recording *recording, const char *name);

/* Checks a channel's numbers. 0 or -EINVAL and a message that says what and where. recording: NULL: of none. */
int tb_channel_check(const struct tb_recording *recording, const struct tracebuf_channel *channel,
		     struct tb_message *message);
bool tb_name_is_right(const char *name);
const char *tb_mode_name(uint32_t mode);
void tb_context_names(uint32_t context, char text[64]);
/* The bits of a comma list, "none" or ""; -EINVAL. */
int tb_context_parse(const char *text, uint32_t *ret_context);

/* Tells once of an output that fails, and once that it works again (error 0). */
void tb_recording_trouble(struct tb_recording *recording, int error, const char *what);

/* The account of a process, described in .processes when it is new. NULL: no memory. */
struct tb_account *tb_recording_account(struct tb_recording *recording, const struct tb_process *process);
/* Adds what the process itself lost for want of a ring, since the last time. */
void tb_recording_take_discarded(struct tb_recording *recording, struct tb_process *process);
/* Sums of a recording, its live rings included; per_process, if not NULL, is called for each account. */
struct tb_counts tb_recording_counts(struct tb_recording *recording,
				     void (*per_process)(void *data, const struct tb_account *account,
							 const struct tb_counts *counts), void *data);

#endif
