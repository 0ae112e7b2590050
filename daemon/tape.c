/* SPDX-License-Identifier: MIT */
/*
 * What of a ring stands in a stream file: writing copies of sub-buffers behind one another, the unfinished one last,
 * and finding out what an existing file holds.
 *
 * Invariant: the file's packets have rising sequence numbers, and times and counts that do not go back (tb_expect).
 * An unfinished packet stands behind out.end, where the next write goes: whole, or longer, it takes its own place.
 */
#define _GNU_SOURCE
#include "tape.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "copy.h"
#include "metadata_file.h"
#include "ringfile.h"

/* Of an overwrite ring, so much is copied at once. */
#define MAX_COPIES_SIZE (64ull << 20)

void tb_tape_init(struct tb_tape *tape, int dir, const struct tb_drain *drain)
{
	char name[TB_OUTFILE_NAME_SIZE];

	memset(tape, 0, sizeof(*tape));
	snprintf(name, sizeof(name), "%s_%d-%llx_%u_%u", drain->info.channel_name, drain->info.pid,
		 (unsigned long long) drain->info.incarnation, drain->info.cpu, drain->info.instance);
	tb_outfile_init(&tape->out, dir, name);
	tape->out.sync = drain->recording->sync;
}

uint64_t tb_tape_overwritten(const struct tb_tape *tape)
{
	if (!tape->partial.file_size)
		return tape->overwritten;
	return tape->overwritten + tape->partial.expect.event_seq - tape->partial.nr_events - tape->expect.event_seq;
}

void tb_tape_restart(struct tb_tape *tape)
{
	tb_outfile_rest(&tape->out);
	tape->out.named = false;
	tape->out.end = tape->out.nr_packets = 0;
	tape->nr_events = tape->size = tape->partial.file_size = 0;
}

/* Writes a copy at the end of the file. */
static int put(struct tb_drain *drain, struct tb_tape *tape, const struct tb_copy *copy)
{
	struct tb_loop *loop = &drain->recording->daemon->loop;
	int ret = tb_metadata_flush(drain->recording), fd;

	if (ret)
		return ret;
	fd = tb_outfile_fd(&tape->out);
	if (fd < 0)
		return fd;
	ret = tb_loop_write_all(loop, fd, copy->staging->data, copy->size, tape->out.end);
	if (ret && ftruncate(fd, tape->out.end))
		tape->partial.file_size = 0;
	return ret;
}

/* The unfinished packet on file will never be whole: what it has is all that there will be. */
static void promote_partial(struct tb_tape *tape)
{
	tape->overwritten = tb_tape_overwritten(tape);
	tape->out.end += tape->partial.file_size;
	tape->out.nr_packets++;
	tape->nr_events += tape->partial.nr_events;
	tape->size += tape->partial.size;
	tape->expect = tape->partial.expect;
	tape->next_seq = tape->partial.seq + 1;
	tape->partial.file_size = 0;
}

static void note_partial(struct tb_tape *tape, const struct tracebuf_packet *packet, struct tb_expect expect)
{
	tb_outfile_add(&tape->out, packet, false);
	tape->partial.seq = packet->packet_seq_num;
	tape->partial.nr_events = packet->nr_events;
	tape->partial.size = packet->content_size / 8;
	tape->partial.file_size = packet->packet_size / 8;
	tape->partial.expect = expect;
}

/* Completes a copy that was taken and writes it; it is freed in any case. 0 or -errno of the output. */
static int put_copy(struct tb_drain *drain, struct tb_tape *tape, struct tb_copy *copy)
{
	struct tb_expect expect = tape->expect;
	int ret = tb_copy_complete(drain, copy);

	if (!ret && tb_expect_packet(&expect, &copy->packet)) {
		tb_copy_free(drain, copy);
		ret = -EBADMSG;
	}
	if (ret) {
		if (ret != -ENODATA)
			tb_drain_damage(drain, "a packet is damaged");
		return 0;
	}
	ret = put(drain, tape, copy);
	tape->partial.file_size = 0;
	if (!ret && copy->closed) {
		tape->overwritten += copy->packet.event_seq - tape->expect.event_seq;
		tape->expect = expect;
		tape->nr_events += copy->packet.nr_events;
		tape->size += copy->packet.content_size / 8;
		tb_outfile_add(&tape->out, &copy->packet, true);
	} else if (!ret) {
		note_partial(tape, &copy->packet, expect);
		tape->partial.ring_size = copy->ring_size;
	}
	tb_copy_free(drain, copy);
	return ret;
}

/* Sub-buffers first ... current - 1 and the unfinished one, taken newest first: what the writer overwrites meanwhile
   is older than all that was taken. 0 or -errno: one could not be taken now. */
static int take_newest_first(struct tb_drain *drain, const struct tb_ring_place *place, uint64_t first,
			     struct tb_copy *copies, uint64_t *ret_seq)
{
	uint64_t seq = place->current;
	int ret = 0;

	if (place->content_size)
		ret = tb_copy_take(drain, seq, place->content_size, &copies[seq - first]);
	if (ret == -ESTALE)
		seq++;
	while (seq > first && ret != -ESTALE && !tb_is_passing(ret)) {
		ret = tb_copy_take(drain, seq - 1, 0, &copies[seq - 1 - first]);
		if (ret && ret != -ESTALE && !tb_is_passing(ret))
			tb_drain_damage(drain, "a packet is damaged");
		seq -= ret != -ESTALE;
	}
	*ret_seq = seq;
	return tb_is_passing(ret) ? ret : 0;
}

static int collect_at_once(struct tb_drain *drain, struct tb_tape *tape, const struct tb_ring_place *place)
{
	uint64_t first = tape->next_seq, seq;
	struct tb_copy *copies = calloc(place->current - first + 1, sizeof(*copies));
	int ret;

	if (!copies)
		return -ENOMEM;
	ret = take_newest_first(drain, place, first, copies, &seq);
	for (; seq <= place->current; seq++) {
		struct tb_copy *copy = &copies[seq - first];

		if (copy->staging && !ret)
			ret = put_copy(drain, tape, copy);
		else
			tb_copy_free(drain, copy);
		if (!ret && seq < place->current)
			tape->next_seq = seq + 1;
	}
	free(copies);
	return ret;
}

/* A ring too large to be copied at once, oldest first. */
static int collect_one_by_one(struct tb_drain *drain, struct tb_tape *tape, const struct tb_ring_place *place)
{
	int ret = 0;

	while (tape->next_seq < place->current && !ret) {
		struct tb_copy copy;

		ret = tb_copy_take(drain, tape->next_seq, 0, &copy);
		if (ret == -ESTALE && tape != &drain->tape)
			tb_tape_restart(tape);	/* a snapshot has no hole */
		else if (tb_is_passing(ret))
			break;
		else if (ret && ret != -ESTALE)
			tb_drain_damage(drain, "a packet is damaged");
		ret = ret ? 0 : put_copy(drain, tape, &copy);
		tape->next_seq += !ret;
	}
	return ret ? ret : tb_tape_put_unfinished(drain, tape);
}

int tb_tape_collect(struct tb_drain *drain, struct tb_tape *tape)
{
	struct tb_ring_place place;

	if (tb_ringfile_look(drain))
		return 0;
	place = tb_ring_place(&drain->info, drain->producer.position);
	if (tape->partial.file_size && place.first > tape->partial.seq)
		promote_partial(tape);
	if (tape->next_seq < place.first)
		tape->next_seq = place.first;
	if (tape->next_seq > place.current)
		return 0;
	if (drain->info.subbuf_size * (place.current - tape->next_seq + 1) <= MAX_COPIES_SIZE)
		return collect_at_once(drain, tape, &place);
	return collect_one_by_one(drain, tape, &place);
}

/* Times a copy is tried again because an overwrite ring's writer left the sub-buffer meanwhile. */
#define MAX_TRIES 4

int tb_tape_put_unfinished(struct tb_drain *drain, struct tb_tape *tape)
{
	struct tb_copy copy;
	int ret = -ESTALE;

	for (int i = 0; i < MAX_TRIES && ret == -ESTALE; i++) {
		struct tb_ring_place place;

		if (tb_ringfile_look(drain))
			return 0;
		place = tb_ring_place(&drain->info, drain->producer.position);
		if (place.current != tape->next_seq || !place.content_size)
			return 0;
		ret = tb_copy_take(drain, place.current, place.content_size, &copy);
	}
	if (!ret)
		return put_copy(drain, tape, &copy);
	if (tb_is_passing(ret))
		return ret;
	if (ret != -ESTALE)
		tb_drain_damage(drain, "the unfinished packet is damaged");
	return 0;
}

static bool is_next(const struct tb_drain *drain, const struct tracebuf_packet *packet, struct tb_expect *expect)
{
	return !tb_packet_check_file(packet, drain->info.uuid, sizeof(*packet)) &&
	       packet->stream_id == drain->info.stream_id &&
	       packet->stream_instance_id == drain->info.stream_instance_id && packet->packet_size / 8 >= sizeof(*packet) &&
	       packet->packet_size / 8 <= drain->info.subbuf_size && !tb_expect_packet(expect, packet);
}

int tb_tape_adopt(struct tb_drain *drain, struct tb_tape *tape, uint64_t below)
{
	bool overwrite = drain->info.mode == TRACEBUF_MODE_OVERWRITE;
	int fd = openat(tape->out.dir, tape->out.name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct tracebuf_packet packet;
	ssize_t got;

	if (fd < 0)
		return tb_is_passing(-errno) ? -errno : 0;
	while ((got = pread(fd, &packet, sizeof(packet), tape->out.end + tape->partial.file_size)) == sizeof(packet)) {
		struct tb_expect expect = tape->partial.file_size ? tape->partial.expect : tape->expect;

		if ((!overwrite && packet.packet_seq_num >= below) || !is_next(drain, &packet, &expect))
			break;
		if (tape->partial.file_size)
			promote_partial(tape);
		/* The end of an overwrite ring as it was then: it may have grown since. */
		if (packet.packet_size / 8 < drain->info.subbuf_size) {
			note_partial(tape, &packet, expect);
			continue;
		}
		tape->overwritten += packet.event_seq - tape->expect.event_seq;
		tape->expect = expect;
		tape->nr_events += packet.nr_events;
		tape->size += packet.content_size / 8;
		tape->next_seq = packet.packet_seq_num + 1;
		tb_outfile_add(&tape->out, &packet, true);
	}
	if (got < 0) {
		/* Nothing may be cut off: what stands there is not known. */
		close(fd);
		return -EIO;
	}
	if (tape->partial.file_size)
		tape->next_seq = tape->partial.seq;
	if (ftruncate(fd, tape->out.end + tape->partial.file_size))
		tb_recording_trouble(drain->recording, errno, tape->out.name);
	close(fd);
	return 0;
}

/* Is the packet at offset of the file right, to the last event? */
static bool is_right(struct tb_drain *drain, int fd, uint64_t offset, struct tracebuf_packet *packet)
{
	struct tb_placement *placement = &drain->recording->daemon->placement;
	struct tb_packet_walk found;
	struct tb_staging *staging;
	uint64_t size;
	bool right;

	if (pread(fd, packet, sizeof(*packet), offset) != sizeof(*packet) ||
	    tb_packet_check_file(packet, drain->info.uuid, sizeof(*packet)))
		return false;
	size = packet->content_size / 8;
	if (size > drain->info.subbuf_size)
		return false;
	staging = tb_staging_get(placement, drain->info.cpu, size);
	right = staging && pread(fd, staging->data, size, offset) == (ssize_t) size &&
		tb_packet_sum_is_right(staging->data, size) &&
		!tb_packet_walk(staging->data, size, &drain->class->class, packet->timestamp_end, &found) &&
		found.nr_events == packet->nr_events;
	tb_staging_put(placement, staging);
	return right;
}

void tb_tape_verify(struct tb_drain *drain, struct tb_tape *tape)
{
	int fd = tb_outfile_fd(&tape->out);
	uint64_t end = tape->out.end, tail = tape->partial.file_size, offset = 0, nr = 0, nr_events = 0, size = 0;
	struct tracebuf_packet packet;

	if (fd < 0)
		return;
	while (offset < end + tail && is_right(drain, fd, offset, &packet)) {
		offset += packet.packet_size / 8;
		if (offset > end)
			return;
		nr++;
		nr_events += packet.nr_events;
		size += packet.content_size / 8;
	}
	if (offset == end && !tail)
		return;
	tape->partial.file_size = 0;
	tape->out.end = offset < end ? offset : end;
	tape->out.nr_packets = nr;
	tape->out.nr_pending = 0;
	tape->nr_events = nr_events;
	tape->size = size;
}
