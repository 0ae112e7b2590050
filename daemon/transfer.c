/* SPDX-License-Identifier: MIT */
/*
 * Finished sub-buffers on their way to disk, several at a time, straight from the ring's pages.
 *
 * Invariants: transfers of a ring finish in any order and are reaped in order, so that consumed, the stream file's end
 * and the counts only ever tell of packets that are on disk with all before them. One that fails makes the ring wait for
 * the others under way and start again behind the packet that it lost: a stream file never has a hole.
 */
#define _GNU_SOURCE
#include "transfer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "copy.h"
#include "metadata_file.h"
#include "ringfile.h"

#define MAX_TRANSFERS 8
#define MAX_IN_FLIGHT_SIZE (64ull << 20)
/* The first bytes of a ring are walked, and of the rest one sub-buffer in so many: see tb_drain_damage(). */
#define WALKED_SIZE (1ull << 20)
#define WALKED_PART 64
#define BLOCK 4096u

struct tb_transfer {
	struct tb_completion completion;
	struct tb_drain *drain;
	struct tb_transfer *next;
	uint64_t seq;
	const char *source;		/* in the ring's mapping, or in copy */
	uint64_t size, progress;	/* 0: nothing of this sub-buffer is written */
	uint64_t offset;		/* in the stream file */
	uint64_t nr_lost;		/* events before it that are nowhere */
	int fd, error;
	bool finished;
	struct tracebuf_packet packet;
	struct tb_copy copy;
	struct tb_expect before;	/* what the ring expected before this packet */
};

enum tb_drain_step tb_drain_decide(const struct tb_drain_view *view)
{
	if (view->next_seq > view->place.current || view->place.current > view->consumed + view->nr_subbufs)
		return TB_DRAIN_BROKEN;
	if (view->next_seq == view->place.current)
		return TB_DRAIN_REST;
	if (view->failed || view->nr_transfers >= view->max_transfers)
		return TB_DRAIN_WAIT;
	return view->room ? TB_DRAIN_WRITE : TB_DRAIN_HUNGRY;
}

static void append(struct tb_drain *drain, struct tb_transfer *transfer)
{
	if (!drain->first)
		drain->last = &drain->first;
	*drain->last = transfer;
	drain->last = &transfer->next;
	drain->nr_transfers++;
	drain->issued_size += transfer->size;
}

static struct tb_transfer *pop(struct tb_drain *drain)
{
	struct tb_transfer *transfer = drain->first;

	drain->first = transfer->next;
	drain->nr_transfers--;
	drain->issued_size -= transfer->size;
	return transfer;
}

static void free_transfer(struct tb_transfer *transfer)
{
	tb_copy_free(transfer->drain, &transfer->copy);
	free(transfer);
}

static void submit(struct tb_transfer *transfer)
{
	tb_loop_write(&transfer->drain->recording->daemon->loop, &transfer->completion, transfer->fd,
		      transfer->source + transfer->progress, transfer->size - transfer->progress,
		      transfer->offset + transfer->progress,
		      transfer->copy.staging ? TB_LOOP_NO_PIN : transfer->drain->pin);
}

/* A packet that is on disk, with all before it. */
static void account(struct tb_transfer *transfer)
{
	struct tb_drain *drain = transfer->drain;
	struct tracebuf_packet now;
	int ret;

	drain->dropped += transfer->nr_lost;
	if (!transfer->size)
		return;
	/* Written from the ring itself: was its head still what was checked? */
	ret = transfer->copy.staging ? 0 : tb_ringfile_packet(drain, transfer->seq, &now);
	if (!transfer->copy.staging && !tb_is_passing(ret) && (ret || memcmp(&now, &transfer->packet, sizeof(now))))
		tb_drain_damage(drain, "changed while it was written");
	tb_outfile_add(&drain->tape.out, &transfer->packet, true);
	drain->tape.nr_events += transfer->packet.nr_events;
	drain->tape.size += transfer->packet.content_size / 8;
}

/* All transfers are finished, and the first one failed: its packet is lost, the rest is begun again. */
static void start_again(struct tb_drain *drain)
{
	struct tb_transfer *lost = drain->first;
	uint64_t end = drain->tape.out.end;

	drain->failed = false;
	drain->tape.next_seq = lost->seq + 1;
	drain->tape.expect = lost->before;
	if (lost->error == -EFAULT) {
		tb_drain_damage(drain, "its file was cut short");
		drain->broken = true;
	} else {
		tb_recording_trouble(drain->recording, -lost->error, drain->tape.out.name);
	}
	if (lost->fd >= 0 && ftruncate(lost->fd, end))
		tb_recording_trouble(drain->recording, errno, drain->tape.out.name);
	tb_ringfile_release(drain, lost->seq + 1);
	while (drain->first)
		free_transfer(pop(drain));
}

static void reap(struct tb_drain *drain)
{
	uint64_t consumed = drain->consumed;

	while (drain->first && drain->first->finished && !drain->first->error) {
		struct tb_transfer *transfer = pop(drain);

		account(transfer);
		consumed = transfer->seq + 1;
		if (transfer->size)
			tb_recording_trouble(drain->recording, 0, NULL);
		free_transfer(transfer);
	}
	tb_ringfile_release(drain, consumed);
	for (struct tb_transfer *transfer = drain->first; transfer; transfer = transfer->next)
		if (!transfer->finished)
			return;
	if (drain->first)
		start_again(drain);
}

static void finish(struct tb_transfer *transfer, int error)
{
	struct tb_drain *drain = transfer->drain;

	transfer->finished = true;
	transfer->error = error;
	drain->failed |= error != 0;
	reap(drain);
}

/* Gives the rings that waited for room a turn. */
static void feed(struct tb_daemon *daemon)
{
	while (!cds_list_empty(&daemon->hungry) && daemon->in_flight_size < MAX_IN_FLIGHT_SIZE) {
		struct tb_drain *drain = cds_list_first_entry(&daemon->hungry, struct tb_drain, hungry);

		cds_list_del(&drain->hungry);
		drain->is_hungry = false;
		tb_drain_pump(drain);
		if (drain->is_hungry)
			return;
	}
}

static void written(struct tb_completion *completion, int result)
{
	struct tb_transfer *transfer = caa_container_of(completion, struct tb_transfer, completion);
	struct tb_drain *drain = transfer->drain;
	struct tb_daemon *daemon = drain->recording->daemon;
	struct tb_outfile *out = &drain->tape.out;
	bool unaligned;

	if (result > 0)
		transfer->progress += result;
	unaligned = transfer->progress % BLOCK || (result == -EINVAL && transfer->fd == out->direct_fd);
	if (unaligned && transfer->progress < transfer->size) {
		out->no_direct |= result == -EINVAL;
		transfer->fd = tb_outfile_fd(out);
		result = transfer->fd < 0 ? transfer->fd : 1;
	}
	if (transfer->progress < transfer->size && (result > 0 || result == -EINTR || result == -EAGAIN)) {
		submit(transfer);
		return;
	}
	daemon->in_flight_size -= transfer->size;
	drain->pins++;
	finish(transfer, transfer->progress == transfer->size ? 0 : result ? result : -ENOSPC);
	tb_drain_pump(drain);
	drain->pins--;
	feed(daemon);
}

/* Does the whole sub-buffer have to be looked at, not only its head? */
static bool must_walk(const struct tb_drain *drain, uint64_t seq)
{
	return drain->damaged || drain->process->suspect || drain->checked_size < WALKED_SIZE || seq % WALKED_PART == 0 ||
	       (drain->split.size && drain->split.seq == seq);
}

/* Finds what to write of transfer->seq. -ENODATA, -EBADMSG: nothing. */
static int prepare(struct tb_transfer *transfer)
{
	struct tb_drain *drain = transfer->drain;
	int ret;

	if (must_walk(drain, transfer->seq)) {
		ret = tb_copy_make(drain, transfer->seq, 0, &transfer->copy);
		if (ret)
			return ret;
		transfer->packet = transfer->copy.packet;
		transfer->source = transfer->copy.staging->data;
		drain->checked_size += drain->info.subbuf_size;
	} else {
		ret = tb_ringfile_packet(drain, transfer->seq, &transfer->packet);
		if (!ret)
			ret = tb_packet_check(&transfer->packet, &drain->info, transfer->seq, true);
		if (ret)
			return ret;
		transfer->source = tb_ringfile_data(drain);
		if (!transfer->source)
			return -ENOMEM;
		transfer->source += tb_ring_offset(&drain->info, transfer->seq) - TRACEBUF_RING_DATA_OFFSET;
	}
	transfer->nr_lost = transfer->packet.event_seq - drain->tape.expect.event_seq;
	return tb_expect_packet(&drain->tape.expect, &transfer->packet);
}

static int open_output(struct tb_transfer *transfer)
{
	struct tb_drain *drain = transfer->drain;
	int ret = tb_metadata_flush(drain->recording);

	if (ret)
		return ret;
	transfer->fd = tb_outfile_direct_fd(&drain->tape.out);
	return transfer->fd < 0 ? transfer->fd : 0;
}

/* Starts the next sub-buffer. One that cannot be written is a finished transfer of nothing. */
static int issue(struct tb_drain *drain)
{
	struct tb_transfer *transfer = calloc(1, sizeof(*transfer));
	int ret;

	if (!transfer)
		return -ENOMEM;
	transfer->drain = drain;
	transfer->fd = -1;
	transfer->completion.done = written;
	transfer->seq = drain->tape.next_seq;
	transfer->before = drain->tape.expect;
	ret = prepare(transfer);
	if (tb_is_passing(ret)) {
		free_transfer(transfer);
		return ret;
	}
	drain->tape.next_seq++;
	drain->tape.partial.file_size = 0;
	if (ret) {
		if (ret != -ENODATA)
			tb_drain_damage(drain, "a packet is damaged");
		transfer->nr_lost = 0;
		append(drain, transfer);
		finish(transfer, 0);
		return 0;
	}
	ret = open_output(transfer);
	if (!ret)
		transfer->offset = drain->tape.out.end + drain->issued_size;
	transfer->size = drain->info.subbuf_size;
	append(drain, transfer);
	if (ret) {
		finish(transfer, ret);
		return 0;
	}
	drain->recording->daemon->in_flight_size += transfer->size;
	submit(transfer);
	return 0;
}

static void be_hungry(struct tb_drain *drain)
{
	if (!drain->is_hungry)
		cds_list_add_tail(&drain->hungry, &drain->recording->daemon->hungry);
	drain->is_hungry = true;
}

void tb_drain_pump(struct tb_drain *drain)
{
	const struct tb_daemon *daemon = drain->recording->daemon;

	if (drain->info.mode == TRACEBUF_MODE_OVERWRITE || drain->recording->snapshot ||
	    (drain->recording->paused && !drain->waited_for) || tb_ringfile_look(drain))
		return;
	/* What the writer could not be told when it was written. */
	if (!drain->first)
		tb_ringfile_release(drain, drain->tape.next_seq);
	for (;;) {
		const struct tb_drain_view view = {
			.place = tb_ring_place(&drain->info, drain->producer.position),
			.next_seq = drain->tape.next_seq,
			.consumed = drain->consumed,
			.nr_subbufs = drain->info.nr_subbufs,
			.nr_transfers = drain->nr_transfers,
			.max_transfers = MAX_TRANSFERS,
			.failed = drain->failed,
			.room = !daemon->in_flight_size || drain->waited_for ||
				daemon->in_flight_size + drain->info.subbuf_size <= MAX_IN_FLIGHT_SIZE,
		};
		enum tb_drain_step step = drain->broken ? TB_DRAIN_REST : tb_drain_decide(&view);

		if (step == TB_DRAIN_HUNGRY)
			be_hungry(drain);
		if (step == TB_DRAIN_BROKEN) {
			tb_drain_damage(drain, "its position makes no sense");
			drain->broken = true;
		}
		if (step != TB_DRAIN_WRITE || issue(drain))
			return;
	}
}

static bool is_idle(void *data)
{
	const struct tb_drain *drain = data;

	return !drain->first;
}

void tb_transfer_await(struct tb_drain *drain)
{
	tb_loop_await(&drain->recording->daemon->loop, is_idle, drain);
}

void tb_transfer_flush(struct tb_drain *drain)
{
	uint64_t end;

	if (drain->broken || tb_ringfile_look(drain)) {
		tb_transfer_await(drain);
		return;
	}
	end = tb_ring_place(&drain->info, drain->producer.position).current;
	drain->waited_for = true;
	do {
		tb_drain_pump(drain);
		if (!drain->first)
			break;
		tb_transfer_await(drain);
	} while (!drain->broken && drain->tape.next_seq < end);
	tb_transfer_await(drain);
	drain->waited_for = false;
}
