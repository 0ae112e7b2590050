/* SPDX-License-Identifier: MIT */
/*
 * A stream file read forward, packet by packet and piece by piece.
 *
 * Invariants: the file is opened for each piece and closed again, so that thousands of streams need no descriptors;
 * what a file says is believed only as far as the file reaches; every step goes forward, so that no file makes a
 * reader run for ever. It may be cut, or grow, while it is read.
 *
 * Damage costs as little as possible: an event that is wrong, the rest of its packet; a packet head that is wrong, all
 * up to the next right one, which is looked for at multiples of 4096, where every packet begins.
 */
#include "stream_file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "extent.h"

#define PACKET_ALIGN 4096ull

__attribute__((format(printf, 3, 4)))
static void damaged(struct tb_stream_file *stream, uint64_t offset, const char *format, ...)
{
	char text[128], message[4096 + 256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	stream->nr_damaged++;
	snprintf(message, sizeof(message), "%.4096s: offset %" PRIu64 ": %s", stream->path, offset, text);
	if (stream->report)
		stream->report(stream->report_data, message);
}

/* Opens the file and gets its size. A descriptor or -errno. */
static int open_file(const struct tb_stream_file *stream, uint64_t *ret_size)
{
	int fd = open(stream->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -ENOENT;
	if (err) {
		close(fd);
		return err;
	}
	*ret_size = st.st_size;
	return fd;
}

/* Reads the head at stream->offset: 0, -ENODATA (the file ends before its end), -EBADMSG, -errno. */
static int read_head(struct tb_stream_file *stream, int fd, uint64_t file_size)
{
	const size_t header_size = stream->metadata->packet_header_size;
	struct tracebuf_packet head;
	int err;

	if (stream->offset > file_size || file_size - stream->offset < header_size)
		return -ENODATA;
	err = tb_extent_read(fd, stream->offset, &head, sizeof(head));
	if (err)
		return err;
	if (tb_packet_check_file(&head, stream->metadata->info.uuid, header_size))
		return -EBADMSG;
	stream->head = head;
	return 0;
}

/* Looks for the next right head from stream->offset on. 1, 0 if there is none, -errno. */
static int find_head(struct tb_stream_file *stream, int fd, uint64_t file_size)
{
	const uint64_t begin = stream->offset;
	int err = read_head(stream, fd, file_size);

	if (err == -EBADMSG)
		damaged(stream, begin, "no packet of this trace, or a damaged one");
	while (err == -EBADMSG) {
		stream->offset = stream->offset / PACKET_ALIGN * PACKET_ALIGN + PACKET_ALIGN;
		err = read_head(stream, fd, file_size);
	}
	if (!err)
		return 1;
	if (err != -ENODATA)
		return err;
	if (stream->offset == begin && begin < file_size)
		damaged(stream, begin, "the file ends inside the head of a packet");
	return 0;
}

static uint64_t content_end(const struct tb_stream_file *stream)
{
	return stream->offset + stream->head.content_size / 8;
}

/* Takes the packet whose head is read: 1, 0 if it cannot be used. */
static int enter_packet(struct tb_stream_file *stream, uint64_t file_size)
{
	const struct tracebuf_packet *head = &stream->head;

	if (head->packet_size / 8 > file_size - stream->offset)
		damaged(stream, stream->offset, "the file ends inside this packet");
	stream->class = tb_metadata_find(stream->metadata, head->stream_id);
	if (!stream->class)
		damaged(stream, stream->offset, "stream class %llu is not in the metadata",
			(unsigned long long) head->stream_id);
	if (!stream->class || content_end(stream) > file_size)
		return 0;
	if (!stream->nr_events)
		stream->first_event_seq = head->event_seq;
	stream->nr_events += head->nr_events;
	if (head->event_seq > stream->next_event_seq && stream->next_event_seq)
		stream->nr_missing += head->event_seq - stream->next_event_seq;
	stream->next_event_seq = head->event_seq + head->nr_events;
	stream->read_pos = stream->offset + stream->metadata->packet_header_size;
	stream->has_event = false;
	stream->iter.class = NULL;
	return 1;
}

/* From stream->offset on: 1 and in front of a packet, 0 if none follows, -errno. */
static int find_packet(struct tb_stream_file *stream)
{
	uint64_t file_size;
	int fd = open_file(stream, &file_size);
	int found;

	if (fd < 0)
		return fd;
	while ((found = find_head(stream, fd, file_size)) > 0 && !enter_packet(stream, file_size))
		stream->offset += stream->head.packet_size / 8;
	close(fd);
	return found;
}

static void free_buffer(struct tb_stream_file *stream)
{
	free(stream->buffer);
	stream->buffer = NULL;
	stream->buffer_size = 0;
	stream->has_event = false;
}

int tb_stream_file_open(struct tb_stream_file *stream)
{
	return find_packet(stream);
}

int tb_stream_file_next_packet(struct tb_stream_file *stream)
{
	int found;

	stream->offset += stream->head.packet_size / 8;
	found = find_packet(stream);
	if (found < 0)
		damaged(stream, stream->offset, "%s", strerror(-found));
	if (found <= 0)
		free_buffer(stream);
	return found > 0;
}

/* Makes room for at least one byte behind the used ones. 0, -ENOMEM. */
static int grow_buffer(struct tb_stream_file *stream, size_t used)
{
	size_t size = stream->buffer_size ? stream->buffer_size : stream->piece_size;
	uint8_t *buffer;

	while (size <= used)
		size *= 2;
	if (size == stream->buffer_size)
		return 0;
	buffer = realloc(stream->buffer, size);
	if (!buffer)
		return -ENOMEM;
	stream->buffer = buffer;
	stream->buffer_size = size;
	return 0;
}

/* Moves what iter has left to the buffer's start and reads on behind it. 0, -errno. */
static int read_more(struct tb_stream_file *stream)
{
	size_t used = stream->iter.class ? stream->iter.end - stream->iter.at : 0;
	uint64_t left = content_end(stream) - stream->read_pos, file_size;
	size_t size;
	int fd, err;

	if (used)
		memmove(stream->buffer, stream->iter.at, used);
	err = grow_buffer(stream, used);
	if (err)
		return err;
	size = stream->buffer_size - used < left ? stream->buffer_size - used : left;
	if (!stream->iter.class)
		tb_event_iter_init(&stream->iter, stream->class, stream->buffer, 0, stream->head.timestamp_begin,
				   stream->head.timestamp_end);
	fd = open_file(stream, &file_size);
	if (fd < 0)
		return fd;
	err = tb_extent_read(fd, stream->read_pos, stream->buffer + used, size);
	close(fd);
	if (err)
		return err;
	stream->read_pos += size;
	stream->iter.at = stream->buffer;
	stream->iter.end = stream->buffer + used + size;
	stream->iter.more = stream->read_pos < content_end(stream);
	return 0;
}

/* The packet ended, in order (err 0) or not. */
static void end_packet(struct tb_stream_file *stream, int err)
{
	if (err == -EBADMSG)
		damaged(stream, stream->read_pos - (stream->iter.end - stream->iter.at),
			"a damaged event; the rest of its packet is left out");
	else if (err)
		damaged(stream, stream->read_pos, "%s", err == -ENODATA ? "the file was cut" : strerror(-err));
	else if (stream->iter.nr_events != stream->head.nr_events)
		damaged(stream, stream->offset, "a packet of %llu events says that it has %llu",
			(unsigned long long) stream->iter.nr_events, (unsigned long long) stream->head.nr_events);
}

int tb_stream_file_next(struct tb_stream_file *stream)
{
	int more = stream->iter.class ? tb_event_iter_next(&stream->iter, &stream->event) : -EAGAIN;

	while (more == -EAGAIN) {
		more = read_more(stream);
		if (!more)
			more = tb_event_iter_next(&stream->iter, &stream->event);
	}
	if (more == -ENOMEM)
		return more;
	stream->has_event = more > 0;
	if (more > 0)
		return 1;
	end_packet(stream, more);
	return tb_stream_file_next_packet(stream);
}

void tb_stream_file_close(struct tb_stream_file *stream)
{
	free_buffer(stream);
	free(stream->path);
	stream->path = NULL;
}
