/* SPDX-License-Identifier: MIT */
/*
 * A trace directory made of what is left of a trace's rings, laid out as the daemon lays it out.
 *
 * Invariant: every packet in it was decoded to its last event (reader/salvage.c), by the descriptions that lay beside
 * the ring; a ring without them, or whose descriptions are not those that it names, gives nothing. Stream files hold
 * whole packets, and the metadata every class that they need: it is written last, so that what was cut short is no
 * trace.
 */
#define _GNU_SOURCE
#include "recovery.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../daemon/outfile.h"
#include "../reader/statedump_stream.h"
#include "recovered_state.h"

#define NSEC_PER_SEC 1000000000ull

static const struct tb_stream_class *find_class(const struct tb_recovery *recovery, uint64_t id)
{
	for (size_t i = 0; i < recovery->nr_classes; i++)
		if (recovery->class[i].id == id)
			return &recovery->class[i];
	return NULL;
}

/* By the first of its process's files that has all that the ring names. */
static int read_class(const struct tb_remains *remains, const struct tb_remains_ring *ring,
		      struct tb_stream_class *ret_class)
{
	const struct tb_remains_process *process = NULL;
	int ret = -ENOENT;

	while ((process = tb_remains_next_process_of(remains, ring, process))) {
		ret = tb_salvage_class(&process->source, ring->info.stream_id, ring->info.context,
				       ring->info.nr_descriptions, ret_class);
		if (!ret || ret == -ENOMEM)
			break;
	}
	return ret;
}

/* The class of a ring; classes of one id are the same, as the id is a hash of what they contain. */
static int get_class(struct tb_recovery *recovery, const struct tb_remains_ring *ring,
		     const struct tb_stream_class **ret_class)
{
	struct tb_stream_class class, *more;
	int ret;

	*ret_class = find_class(recovery, ring->info.stream_id);
	if (*ret_class)
		return (*ret_class)->context == ring->info.context ? 0 : -EBADMSG;
	ret = read_class(recovery->remains, ring, &class);
	if (ret)
		return ret;
	more = reallocarray(recovery->class, recovery->nr_classes + 1, sizeof(*more));
	if (!more) {
		tb_events_free(&class.events);
		return -ENOMEM;
	}
	recovery->class = more;
	more[recovery->nr_classes++] = class;
	*ret_class = &more[recovery->nr_classes - 1];
	return 0;
}

/* A stream file being written. */
struct stream {
	struct tb_outfile out;
	struct tb_recovery *recovery;
	struct tb_recovered_ring *ring;
	const struct tb_stream_class *class;
	tb_missing_fn missing;
	void *data;
};

static int write_packet(struct stream *stream, const struct tb_salvaged *packet)
{
	static const char zeroes[8];
	size_t tail = packet->head.packet_size / 8 - packet->content_size;
	int fd = tb_outfile_fd(&stream->out), ret;

	if (fd < 0)
		return fd;
	ret = tb_scratch_write(packet->scratch, packet->content_size, fd, stream->out.end);
	if (ret)
		return ret;
	if (tail && pwrite(fd, zeroes, tail, stream->out.end + packet->content_size) != (ssize_t) tail)
		return -ENOSPC;
	return tb_outfile_add(&stream->out, &packet->head, true);
}

static int put_packet(void *data, const struct tb_salvaged *packet)
{
	uint64_t first = packet->head.event_seq, begin = first, end = first + packet->head.nr_events;
	struct tb_salvaged part = *packet;
	struct stream *stream = data;
	int ret;

	if (stream->missing)
		stream->missing(stream->data, stream->ring->ring, &begin, &end);
	stream->ring->nr_known += packet->head.nr_events - (end - begin);
	if (begin == end && packet->head.nr_events)
		return 0;
	if (end - begin < packet->head.nr_events)
		tb_salvage_cut(&part, stream->class, begin - first, end - begin);
	ret = write_packet(stream, &part);
	if (!ret)
		stream->recovery->nr_events += end - begin;
	return ret;
}

static const char *trouble_of(int error)
{
	switch (error) {
	case -ENOENT:
		return "the descriptions of its events are not there";
	case -ENODATA:
		return "its own words, or the descriptions of its events, are not there";
	default:
		return "the descriptions of its events are damaged";
	}
}

/* Pages of an earlier boot are there as far as nobody has used them again. merges: that is what was asked for. */
static void note_damage(struct tb_recovery *recovery, const struct tb_recovered_ring *ring, bool merges)
{
	if (!merges && tb_boots_is_earlier(&recovery->remains->boots, &ring->ring->boot))
		return;
	for (int i = 0; i < TB_LOSS_NR; i++)
		if (ring->salvage.nr_dropped[i])
			recovery->damaged = true;
	if (ring->trouble)
		recovery->damaged = true;
}

/* 0, or an error of the output, or no memory. */
static int recover_ring(struct tb_recovery *recovery, struct tb_recovered_ring *ring, int dir, tb_missing_fn missing,
			void *data)
{
	struct stream stream = { .recovery = recovery, .ring = ring, .missing = missing, .data = data };
	const struct tb_stream_class *class;
	int ret = get_class(recovery, ring->ring, &class), finished;

	if (ret == -ENOMEM)
		return ret;
	if (ret) {
		ring->trouble = trouble_of(ret);
		note_damage(recovery, ring, missing);
		return 0;
	}
	stream.class = class;
	tb_outfile_init(&stream.out, dir, ring->name);
	ret = tb_salvage_ring(&ring->ring->source, &ring->ring->info, class, put_packet, &stream, &ring->salvage);
	if (ret == -ENODATA) {
		ring->trouble = trouble_of(ret);
		ret = 0;
	}
	finished = tb_outfile_finish(&stream.out, 0);
	note_damage(recovery, ring, missing);
	return ret ? ret : finished;
}

static void name_stream(struct tb_recovered_ring *ring)
{
	const struct tb_ring_info *info = &ring->ring->info;

	snprintf(ring->name, sizeof(ring->name), "%s_%d-%llx_%u_%u", info->channel_name, info->pid,
		 (unsigned long long) info->incarnation, info->cpu, info->instance);
}

static int collect_rings(struct tb_recovery *recovery)
{
	const struct tb_remains *remains = recovery->remains;

	recovery->ring = calloc(remains->nr_rings, sizeof(*recovery->ring));
	if (!recovery->ring)
		return -ENOMEM;
	recovery->is_earlier = true;
	for (size_t i = 0; i < remains->nr_rings; i++) {
		if (memcmp(remains->ring[i].info.uuid, recovery->uuid, sizeof(recovery->uuid)))
			continue;
		recovery->is_earlier &= tb_boots_is_earlier(&remains->boots, &remains->ring[i].boot);
		recovery->ring[recovery->nr_rings].ring = &remains->ring[i];
		name_stream(&recovery->ring[recovery->nr_rings++]);
	}
	return 0;
}

/* What the rings tell of the trace; the first that tells it. */
static void fill_info(struct tb_recovery *recovery)
{
	struct tb_trace_info *info = &recovery->info;

	memcpy(info->uuid, recovery->uuid, sizeof(info->uuid));
	snprintf(info->product, sizeof(info->product), "tracebuf %s", PACKAGE_VERSION);
	for (size_t i = 0; i < recovery->nr_rings; i++) {
		const struct tb_remains_ring *ring = recovery->ring[i].ring;

		if (tb_trace_info_set_clock(info, ring->clock_frequency, ring->clock_ticks, ring->clock_realtime_ns))
			continue;
		memcpy(info->boot_id, ring->boot_id, sizeof(info->boot_id));
		snprintf(recovery->name, sizeof(recovery->name), "%s", ring->trace_name);
		snprintf(info->name, sizeof(info->name), "%s", ring->trace_name);
		info->creation_s = ring->clock_realtime_ns / NSEC_PER_SEC;
		return;
	}
	/* No ring tells: ticks are shown as nanoseconds since 1970. */
	tb_trace_info_set_clock(info, NSEC_PER_SEC, 0, 0);
}

static int open_directory(const char *path, char *message, size_t size)
{
	int fd = -1;

	if (!mkdir(path, 0755))
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || mkdirat(fd, "index", 0755)) {
		int error = -errno;

		snprintf(message, size, "%s: %s", path, strerror(-error));
		if (fd >= 0)
			close(fd);
		return error;
	}
	return fd;
}

static int write_class(FILE *out, const struct tb_stream_class *class, bool fill_gaps)
{
	int ret = tb_metadata_write_class(out, class);

	return !ret && fill_gaps ? tb_metadata_write_gaps(out, class) : ret;
}

static int write_metadata(const struct tb_recovery *recovery, int dir)
{
	int fd = openat(dir, "metadata", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644), ret;
	bool fill_gaps = tb_recovered_state_has_ip(recovery);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");

	if (!out) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return ret;
	}
	ret = tb_metadata_write_header(out, &recovery->info);
	for (size_t i = 0; i < recovery->nr_classes && !ret; i++)
		ret = write_class(out, &recovery->class[i], fill_gaps);
	return fclose(out) && !ret ? -errno : ret;
}

static int write_rings(struct tb_recovery *recovery, int dir, tb_missing_fn missing, void *data)
{
	int ret = 0;

	for (size_t i = 0; i < recovery->nr_rings && !ret; i++)
		ret = recover_ring(recovery, &recovery->ring[i], dir, missing, data);
	return ret;
}

int tb_recovery_write(const struct tb_remains *remains, const uint8_t uuid[16], const char *path, tb_missing_fn missing,
		      void *data, struct tb_recovery *recovery, char *message, size_t size)
{
	int dir, ret;

	memset(recovery, 0, sizeof(*recovery));
	recovery->remains = remains;
	memcpy(recovery->uuid, uuid, sizeof(recovery->uuid));
	ret = collect_rings(recovery);
	if (ret) {
		snprintf(message, size, "%s", strerror(-ret));
		return ret;
	}
	fill_info(recovery);
	dir = open_directory(path, message, size);
	if (dir < 0)
		return dir;
	ret = write_rings(recovery, dir, missing, data);
	if (!ret)
		ret = tb_recovered_state(recovery, dir, !missing);
	if (!ret && !missing)
		ret = write_metadata(recovery, dir);
	if (ret)
		snprintf(message, size, "%s: %s", path, strerror(-ret));
	close(dir);
	return ret;
}

int tb_recovery_add_classes(const struct tb_recovery *recovery, int dir, const struct tb_metadata *known)
{
	int fd = openat(dir, "metadata", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW), ret = 0;
	bool fill_gaps = tb_recovered_state_has_ip(recovery);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "a");

	if (!out) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return ret;
	}
	for (size_t i = 0; i < known->nr_stream_classes; i++)
		fill_gaps |= tb_statedump_stream_serves(known->stream_class[i]->context);
	for (size_t i = 0; i < recovery->nr_classes && !ret; i++)
		if (!tb_metadata_find(known, recovery->class[i].id))
			ret = write_class(out, &recovery->class[i], fill_gaps);
	for (size_t i = 0; i < known->nr_stream_classes && fill_gaps && !ret; i++)
		if (!known->stream_class[i]->gaps_filled)
			ret = tb_metadata_write_gaps(out, known->stream_class[i]);
	return fclose(out) && !ret ? -errno : ret;
}

void tb_recovery_free(struct tb_recovery *recovery)
{
	for (size_t i = 0; i < recovery->nr_classes; i++)
		tb_events_free(&recovery->class[i].events);
	free(recovery->class);
	free(recovery->ring);
	memset(recovery, 0, sizeof(*recovery));
}
