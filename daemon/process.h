/* SPDX-License-Identifier: MIT */
#ifndef TB_PROCESS_H
#define TB_PROCESS_H

#include <urcu/list.h>
#include "daemon.h"
#include "descriptions.h"
#include "reader/ring.h"

/* A traced process: one incarnation of a pid. */
struct tb_process {
	struct cds_list_head list, bucket, dying;
	struct cds_list_head drains;		/* tb_drain.of_process: its rings */
	struct tb_daemon *daemon;
	struct tb_process_info info;
	char name[TB_FILE_NAME_SIZE];		/* of its file */
	struct tb_descriptions *descriptions;	/* NULL: none yet, or none that is right */
	int pidfd;				/* -1: the home tells, or /proc is looked at */
	struct tb_completion exited;
	bool waiting;				/* exited is under way */
	bool dead;				/* its rings get no more; its file is only read for its children */
	bool is_dying;				/* is on daemon->dying */
	bool orphan;				/* was dealt with; its file is still read, by children or for its kept rings */
	bool gone;				/* only waits for exited, to be freed */
	bool damaged;				/* its file has been complained of */
	bool listed;				/* kernel home: the last listing had it */
	bool suspect;				/* something in its pages was wrong: trust none of its rings */
	uint64_t nr_kept;			/* rings of it that snapshot traces keep: not among drains any more */
	uint64_t evaluated;			/* control.rules_generation that its enable records go by */
	uint32_t nr_descriptions;		/* as last seen in its file */
	uint32_t enable_size;
	uint64_t discarded;			/* as last seen in its file */
	uint32_t dumped[TRACEBUF_NR_SLOTS];	/* statedump that the slot's trace had last; 0: none */
	uint64_t discarded_base[TRACEBUF_NR_SLOTS];	/* as it was when that slot's trace was started */
};

void tb_process_table_init(struct tb_daemon *daemon);
/* Forgets all, leaving alone the files of those that live, or whose files are read by others. */
void tb_process_table_destroy(struct tb_daemon *daemon);

struct tb_process *tb_process_find(struct tb_daemon *daemon, int32_t pid, uint64_t incarnation);

/*
 * The process of file name, which is read if it is not known yet. A process that is already dead is put
 * on daemon->dying. 0, -ENOENT (gone), -EBADMSG (not a process file), -EPERM (of another domain), -errno.
 */
int tb_process_discover(struct tb_daemon *daemon, const char *name, struct tb_process **ret_process);

/*
 * Looks at its file again: new descriptions, new enable records, counts; sets its enable records by the rules. 0 or
 * -errno; what a passing want left undone is done by the next look.
 */
int tb_process_refresh(struct tb_process *process);
/* The same for all of them, because a rule, or what is active, has changed. */
void tb_process_refresh_all(struct tb_daemon *daemon);

/* Nanoseconds since then: a CPU cannot have lost more events, by far. */
uint64_t tb_process_age_ns(uint64_t incarnation);

/* Puts it on daemon->dying, once. */
void tb_process_mark_dead(struct tb_process *process);
/* Has it died although no pidfd watches it? Is there news in its file? For the tick. */
void tb_process_look_after(struct tb_process *process);

/*
 * Its rings have been dealt with. Forgets it with its file, unless forked children still map that (they go by its
 * enable records until they make a file of their own), or rings are kept, whose events it describes.
 */
void tb_process_bury(struct tb_process *process);
/* Forgets it: it has no rings any more. remove_file: its file goes as well. */
void tb_process_forget(struct tb_process *process, bool remove_file);

#endif
