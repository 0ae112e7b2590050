/* SPDX-License-Identifier: MIT */
#ifndef TB_METADATA_H
#define TB_METADATA_H

#include <stdint.h>
#include <stdio.h>
#include "description.h"

/* Ticks per second: more cannot be turned into nanoseconds in 64 bits. */
#define TB_MAX_CLOCK_FREQUENCY 10000000000ull

/* What the metadata says of a whole trace. Texts: anything outside printable ASCII, and quotes, become '_'. */
struct tb_trace_info {
	uint8_t uuid[16];
	uint8_t boot_id[16];		/* uuid of the clock; all 0: none is written */
	uint64_t clock_frequency;	/* ticks per second */
	int64_t clock_offset_s;		/* UNIX time of tick 0 is clock_offset_s seconds and clock_offset ticks */
	uint64_t clock_offset;		/* less than clock_frequency */
	int64_t creation_s;		/* UNIX time */
	char name[256];
	char hostname[256];
	char product[64];		/* "tracebuf 0.1.0" */
};

/*
 * Set the clock members so that ticks is the moment realtime_ns (UNIX time, nanoseconds), at frequency ticks a second.
 * 0, -EINVAL (frequency 0 or above TB_MAX_CLOCK_FREQUENCY).
 */
int tb_trace_info_set_clock(struct tb_trace_info *info, uint64_t frequency, uint64_t ticks, uint64_t realtime_ns);

/* UNIX time in nanoseconds of a tick. Pure. */
int64_t tb_trace_info_ns(const struct tb_trace_info *info, uint64_t ticks);

/*
 * Write TSDL (CTF 1.8): first the header, then any number of stream classes with all their events, each complete in
 * itself, so that a file may be read between them. To get bytes: open_memstream(3). 0, or -errno of the stream.
 */
int tb_metadata_write_header(FILE *out, const struct tb_trace_info *info);
int tb_metadata_write_class(FILE *out, const struct tb_stream_class *class);

/*
 * Write, behind a class, an event that never occurs for each number below its highest that other programs' events have.
 * For traces with the context ip (tb_statedump_stream_serves()): the filter debug-info of babeltrace2 (2.0.4, 2.0.5:
 * trace-ir-metadata-copy.c, copy_stream_class_content()) copies the n event classes of every stream class of a trace,
 * whether that has ip or not, by looking up the numbers 0 ... n - 1, and aborts at one that is not there.
 */
int tb_metadata_write_gaps(FILE *out, const struct tb_stream_class *class);
/* The name of such an event. No other can have it. */
#define TB_NO_EVENT "no event"

/* A trace's metadata, read back. */
struct tb_metadata {
	struct tb_trace_info info;
	size_t packet_header_size;	/* bytes: where the events of a packet begin */
	struct tb_stream_class **stream_class;	/* ascending by id */
	size_t nr_stream_classes;
};

/* Adds an empty stream class. 0, -EEXIST, -ENOMEM. */
int tb_metadata_add(struct tb_metadata *metadata, uint64_t stream_id, uint32_t context);

/* The stream class of an id, or NULL. */
struct tb_stream_class *tb_metadata_find(const struct tb_metadata *metadata, uint64_t stream_id);

void tb_metadata_free(struct tb_metadata *metadata);

#endif
