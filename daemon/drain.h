/* SPDX-License-Identifier: MIT */
#ifndef TB_DRAIN_H
#define TB_DRAIN_H

#include "daemon.h"
#include "outfile.h"
#include "reader/packet.h"
#include "reader/ring.h"
#include "recording.h"

/* What the next packet of a ring must go on from. */
struct tb_expect {
	uint64_t event_seq, time, discarded;
};

/* What of a ring stands in one stream file. */
struct tb_tape {
	struct tb_outfile out;
	uint64_t next_seq;			/* next sub-buffer to write */
	struct tb_expect expect;
	uint64_t nr_events, size;		/* in finished packets: events, bytes of content */
	uint64_t overwritten;			/* events that were gone before they could be read */
	/* An unfinished packet behind them, to be written again in its place; file_size 0: none; ring_size: what the
	   sub-buffer held when it was copied. */
	struct { uint64_t seq, nr_events, size, file_size, ring_size; struct tb_expect expect; } partial;
};

/* The first part of a sub-buffer that an archive has already: a rotation came while it was being written. */
struct tb_split {
	uint64_t seq, size;			/* size: bytes of it, packet header included; 0: there is none */
	uint64_t time, nr_events;		/* its last event's time; its events */
};

struct tb_transfer;

/* A ring being drained into a stream file. */
struct tb_drain {
	struct cds_list_head of_recording, of_process, bucket, opened, hungry, kept;
	struct tb_recording *recording;
	struct tb_process *process;		/* NULL: dead */
	struct tb_account *account;
	struct tb_class *class;
	struct tb_ring_info info;
	char name[TB_FILE_NAME_SIZE];		/* in rings/<generation>/ */
	uint64_t device, inode, file_size;

	int fd;					/* -1: not open; then the mappings are NULL too */
	char *data;				/* read-only; NULL until it is needed */
	uint64_t opened_at;			/* consumed then */
	int pin;				/* of data, for tb_loop_write() */
	bool pin_tried;
	struct tracebuf_ring *header;		/* mapped for its consumer words; NULL until needed */
	struct tracebuf_producer producer;	/* as last read */

	struct tb_tape tape;
	uint64_t consumed;			/* as the writer was told */
	struct tb_split split;
	uint64_t dropped;			/* events that could not be written */
	uint64_t archived_events, archived_size;	/* in packets that a rotation has taken away */
	uint64_t checked_size;			/* bytes of sub-buffers that were walked */

	struct tb_transfer *first, **last;	/* under way, in order */
	unsigned int nr_transfers;
	uint64_t issued_size;			/* bytes of them: where the next one goes, behind tape.out.end */
	bool failed;				/* one of them: no more until all are finished */
	bool waited_for;			/* goes before all others */
	bool is_hungry;				/* waits for room in daemon->in_flight_size */
	bool is_kept;
	bool rotating;				/* an unfinished packet ends with its last event: what follows begins there */
	unsigned int pins;			/* somebody waits in the middle of using it: stays open, and is not freed */
	bool damaged;				/* something was wrong: walk everything, check the file at the end */
	bool broken;				/* its position makes no sense, or its file is gone: never read again */
};

/* What to do next with a discard or block ring, from copied words. */
struct tb_drain_view {
	struct tb_ring_place place;
	uint64_t next_seq, consumed;
	uint32_t nr_subbufs;
	unsigned int nr_transfers, max_transfers;
	bool failed, room;			/* room: for more bytes under way */
};
enum tb_drain_step { TB_DRAIN_REST, TB_DRAIN_WRITE, TB_DRAIN_WAIT, TB_DRAIN_HUNGRY, TB_DRAIN_BROKEN };
/* Pure. */
enum tb_drain_step tb_drain_decide(const struct tb_drain_view *view);

/* The ring of file name in rings/<generation>/, taken over if it is not known. 0 or -errno: it was refused, or, if that
   passes, is to be tried again. */
int tb_drain_discover(struct tb_recording *recording, const char *name, struct tb_drain **ret_drain);
struct tb_drain *tb_drain_find(struct tb_recording *recording, const struct tb_ring_name *name);

/* Starts writing what is finished (discard, block). Returns at once. */
void tb_drain_pump(struct tb_drain *drain);
/* Has its writer committed anything since its position was last read? */
bool tb_drain_moved(struct tb_drain *drain);
/* Brings the stream file up to what the ring holds now, the unfinished sub-buffer included. Waits for the disk. */
void tb_drain_settle(struct tb_drain *drain);
/* The process is dead, or its trace ends: settles, accounts, removes the ring's file, frees drain. */
void tb_drain_retire(struct tb_drain *drain);
/* The process is dead; a snapshot trace keeps its ring for a while. */
void tb_drain_keep(struct tb_drain *drain);
/* Writes what an overwrite ring holds to a tape of its own. */
void tb_drain_snapshot(struct tb_drain *drain, int dir);
/* Ends the current stream file in the middle of things: what comes next goes to a new one. */
void tb_drain_rotate(struct tb_drain *drain);
/* Frees memory and descriptors; files stay. */
void tb_drain_free(struct tb_drain *drain);

/* What the ring adds to its process's account now. */
struct tb_counts tb_drain_counts(struct tb_drain *drain);

#endif
