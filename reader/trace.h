/* SPDX-License-Identifier: MIT */
#ifndef TB_TRACE_H
#define TB_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include "metadata.h"
#include "packet.h"

struct tb_trace;

/* What of a trace is wanted, and who hears of damage. */
struct tb_trace_options {
	/* Is the process wanted? NULL: all are. procname is NUL-terminated. */
	bool (*want_process)(void *data, int32_t pid, const char *procname);
	/* One line on something that is damaged and was skipped. Called from tb_trace_open() and tb_trace_next(). */
	void (*report)(void *data, const char *message);
	void *data;
};

/* One event with where it comes from. Valid until the next call. */
struct tb_trace_event {
	struct tb_event event;
	uint32_t context;		/* enum tracebuf_context bits of event.context */
	const struct tracebuf_packet *packet;	/* the head of its packet: cpu_id, pid, procname */
	const struct tb_trace_info *info;	/* its trace, for tb_trace_info_ns(event.time) */
	size_t stream;			/* its stream: less than nr_streams. With packet_seq_num, for caches */
};

struct tb_trace_totals {
	uint64_t nr_streams;
	uint64_t nr_damaged;		/* packets and files that could not be read, wholly or in part */
	uint64_t nr_discarded;		/* events that found no room, of the streams that were wanted, as far as read */
	uint64_t nr_missing;		/* events between packets of a stream that are not in the files */
};

/*
 * Open the trace in directory path: its stream files and those of its sub-directories, which have metadata of their own
 * or share that of the directory above. No stream file stays open; memory is bounded by the packets that overlap in
 * time, a piece of each. *ret_trace is for tb_trace_close().
 * 0, -ENOENT or another errno of path, -ENODATA (no metadata: not a trace), -EBADMSG, -ENOMEM; then message holds one
 * line that says what and where.
 */
int tb_trace_open(const char *path, const struct tb_trace_options *options, struct tb_trace **ret_trace, char *message,
		  size_t message_size);
void tb_trace_close(struct tb_trace *trace);

/* From now on only events of from_ns ... to_ns are wanted, UNIX time. INT64_MIN, INT64_MAX: all, as at first. */
void tb_trace_set_range(struct tb_trace *trace, int64_t from_ns, int64_t to_ns);

/* The next event of all streams in the order of time: 1, 0 at the end, -errno (-ENOMEM only). */
int tb_trace_next(struct tb_trace *trace, const struct tb_trace_event **ret_event);

/* Accounts of what was read so far. */
void tb_trace_totals(const struct tb_trace *trace, struct tb_trace_totals *ret_totals);

/* The path of the file of a stream (less than nr_streams). */
const char *tb_trace_stream_path(const struct tb_trace *trace, size_t stream);

/* UNIX time of the earliest packet wanted or not, nanoseconds; 0 if there is none. */
int64_t tb_trace_begin_ns(const struct tb_trace *trace);

#endif
