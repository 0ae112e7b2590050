/* SPDX-License-Identifier: MIT */
#ifndef TB_SALVAGE_H
#define TB_SALVAGE_H

#include "description.h"
#include "packet.h"
#include "ring.h"
#include "scratch.h"
#include "source.h"

/* Why sub-buffers of a ring could not be recovered. */
enum tb_loss {
	TB_LOSS_ABSENT,			/* its pages are not there */
	TB_LOSS_HEAD,			/* its head is wrong */
	TB_LOSS_EVENTS,			/* an event is wrong; of an unfinished one, what is before it is kept */
	TB_LOSS_NR,
};
const char *tb_loss_name(enum tb_loss loss);

/* What was found in a ring. */
struct tb_salvage {
	uint64_t nr_events, nr_packets;
	uint64_t nr_dropped[TB_LOSS_NR];	/* sub-buffers, by why */
	uint64_t first_time, last_time;		/* ticks, of the events; valid if nr_events */
	uint64_t nr_overwritten, nr_discarded;	/* before the oldest packet; of the ring */
};

/* A packet as it goes into a stream file: its head is that of a finished one. */
struct tb_salvaged {
	char *bytes;			/* content_size of them; valid until the callback returns */
	size_t content_size;
	struct tracebuf_packet head;	/* packet_size is content_size rounded up to a multiple of 8 */
	const struct tb_scratch *scratch;	/* that bytes are of, from its begin: for tb_scratch_forget() */
};

/*
 * Reads every sub-buffer that the ring holds, oldest first, checks its head and each of its events, and gives those
 * that are right to put. A sub-buffer of which anything is wrong is left out and counted, alone. class: what the ring
 * may hold. Memory: a few MiB; a larger sub-buffer is put into a file. 0, or the first negative value that put
 * returned, -ENOMEM, -errno of that file, -ENODATA (the ring's own words cannot be read). *ret_salvage is set in all
 * cases.
 */
int tb_salvage_ring(const struct tb_source *source, const struct tb_ring_info *ring,
		    const struct tb_stream_class *class,
		    int (*put)(void *data, const struct tb_salvaged *packet), void *data,
		    struct tb_salvage *ret_salvage);

/*
 * Leaves of a packet the events from the skip-th on, nr of them: head and bytes are those of a packet that has no
 * others. skip + nr is not more than it has, nr not 0.
 */
void tb_salvage_cut(struct tb_salvaged *packet, const struct tb_stream_class *class, uint64_t skip, uint64_t nr);

/* The checked header of a ring or process file. 0, -ENOENT (there is none), -EBADMSG, -EPROTONOSUPPORT, as read(). */
int tb_salvage_ring_header(const struct tb_source *source, struct tracebuf_ring *ret_ring,
			   struct tb_ring_info *ret_info);
int tb_salvage_process_header(const struct tb_source *source, struct tracebuf_process *ret_process,
			      struct tb_process_info *ret_info);

/*
 * The stream class of a ring, from the descriptions of its process's file. nr: how many. 0, -EBADMSG (they are not
 * those that stream_id names), -ENOMEM, as read(). class is for tb_events_free(&class->events).
 */
int tb_salvage_class(const struct tb_source *process, uint64_t stream_id, uint32_t context, uint32_t nr,
		     struct tb_stream_class *ret_class);

#endif
