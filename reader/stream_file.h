/* SPDX-License-Identifier: MIT */
#ifndef TB_STREAM_FILE_H
#define TB_STREAM_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include "metadata.h"
#include "packet.h"

/*
 * A stream file, read forward. No descriptor stays open and no packet need fit into memory: a piece of one is held.
 * Between calls it stands in front of a packet (has_event false) or at an event.
 */
struct tb_stream_file {
	char *path;
	const struct tb_metadata *metadata;
	size_t piece_size;		/* bytes to read at a time */
	void (*report)(void *data, const char *message);
	void *report_data;

	struct tracebuf_packet head;	/* of the packet that follows, or that event is in */
	const struct tb_stream_class *class;
	bool has_event;
	struct tb_event event;		/* valid if has_event, until the next call */

	struct tb_event_iter iter;
	uint64_t offset;		/* of head in the file */
	uint64_t read_pos;		/* file offset behind what buffer holds */
	uint8_t *buffer;
	size_t buffer_size;
	uint64_t next_event_seq;	/* that the next packet should have */
	uint64_t first_event_seq;	/* that the first packet has */
	uint64_t nr_events;		/* of the packets so far, as their heads say */
	uint64_t nr_missing;		/* events between packets that are not in the file */
	unsigned int nr_damaged;
};

/*
 * Open path, at its first right packet. The caller has set path (which is freed with the stream), metadata, piece_size
 * and report, all else 0. 1, 0 (there is no packet), -errno of the file, -ENOENT also if it is not a regular file.
 */
int tb_stream_file_open(struct tb_stream_file *stream);

/*
 * Go on: to the packet's next event, or behind its last one in front of the next packet. 1, 0 at the end of the file
 * (buffers are freed then), -ENOMEM. What is damaged is reported and leapt over.
 */
int tb_stream_file_next(struct tb_stream_file *stream);

/* Leap over the rest of the current packet. 1, 0 as above. */
int tb_stream_file_next_packet(struct tb_stream_file *stream);

void tb_stream_file_close(struct tb_stream_file *stream);

#endif
