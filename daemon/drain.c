/* SPDX-License-Identifier: MIT */
/*
 * A ring being drained: from the moment its file is found to the moment that all of it is on disk and the file goes.
 *
 * Invariant: of a ring that was taken, header, channel, process and stream class agree, and its name is its own; what
 * does not is refused, counted, and told of once a trace. A ring's counts go into its process's account exactly when
 * the ring goes.
 */
#define _GNU_SOURCE
#include "drain.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "archive.h"
#include "home.h"
#include "metadata_file.h"
#include "ringfile.h"
#include "state.h"
#include "tape.h"
#include "transfer.h"

#define KEPT_OVERHEAD 65536u

static struct cds_list_head *bucket_of(struct tb_recording *recording, int32_t pid, uint32_t instance, uint32_t cpu)
{
	return &recording->drain_bucket[((uint32_t) pid * 31 + instance * 7 + cpu) % TB_DRAIN_BUCKETS];
}

struct tb_drain *tb_drain_find(struct tb_recording *recording, const struct tb_ring_name *name)
{
	struct tb_drain *drain;

	cds_list_for_each_entry(drain, bucket_of(recording, name->pid, name->instance, name->cpu), bucket)
		if (drain->info.pid == name->pid && drain->info.incarnation == name->incarnation &&
		    drain->info.channel == name->channel && drain->info.cpu == name->cpu &&
		    drain->info.instance == name->instance)
			return drain;
	return NULL;
}

/* Remembers an instance id. -EEXIST: another ring of this trace has it. */
static int add_instance(struct tb_recording *recording, uint64_t id)
{
	uint64_t *bigger;
	size_t at, max = recording->max_instances;

	if (recording->nr_instances * 2 >= max) {
		max = max ? 2 * max : 256;
		bigger = calloc(max, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		for (size_t i = 0; i < recording->max_instances; i++) {
			for (at = recording->instances[i] % max; recording->instances[i] && bigger[at]; at = (at + 1) % max)
				;
			bigger[at] = recording->instances[i] ? recording->instances[i] : bigger[at];
		}
		free(recording->instances);
		recording->instances = bigger;
		recording->max_instances = max;
	}
	for (at = id % max; recording->instances[at]; at = (at + 1) % max)
		if (recording->instances[at] == id)
			return -EEXIST;
	recording->instances[at] = id;
	recording->nr_instances++;
	return 0;
}

/* Does the header say what the file's name and the trace's channel say? */
static bool agrees(const struct tb_recording *recording, const struct tb_ring_name *name,
		   const struct tb_ring_info *info)
{
	const struct tracebuf_channel *channel = &recording->slot.channel[info->channel];

	return info->pid == name->pid && info->incarnation == name->incarnation && info->channel == name->channel &&
	       info->cpu == name->cpu && info->instance == name->instance &&
	       info->generation == recording->slot.generation && info->slot == recording->number &&
	       !memcmp(info->uuid, recording->slot.uuid, sizeof(info->uuid)) &&
	       info->channel < recording->slot.nr_channels && info->mode == channel->mode &&
	       info->context == channel->context && info->subbuf_size == channel->subbuf_size &&
	       info->nr_subbufs == channel->nr_subbufs && !strcmp(info->channel_name, channel->name) &&
	       info->clock == recording->daemon->control.page.clock && info->stream_instance_id;
}

static int read_header(struct tb_drain *drain, const struct tb_ring_name *name)
{
	struct tracebuf_ring header;
	int ret = tb_ringfile_read(drain, &header, sizeof(header), 0);

	if (!ret)
		ret = tb_ring_check(&header, drain->file_size, &drain->info);
	if (!ret && !agrees(drain->recording, name, &drain->info))
		ret = -EBADMSG;
	return ret;
}

static int find_process(struct tb_drain *drain)
{
	struct tb_daemon *daemon = drain->recording->daemon;
	char name[TB_FILE_NAME_SIZE];

	drain->process = tb_process_find(daemon, drain->info.pid, drain->info.incarnation);
	if (drain->process)
		return 0;
	tb_process_name_make(name, drain->info.pid, drain->info.incarnation);
	return tb_process_discover(daemon, name, &drain->process);
}

/* Where the writer, an earlier daemon and the stream file say that we are. */
static int take_up(struct tb_drain *drain)
{
	struct tracebuf_consumer consumer;
	uint64_t current;
	int ret = tb_ringfile_look(drain);

	if (!ret)
		ret = tb_ringfile_read(drain, &consumer, sizeof(consumer), TRACEBUF_RING_CONSUMER_OFFSET);
	if (ret)
		return ret;
	current = tb_ring_place(&drain->info, drain->producer.position).current;
	drain->consumed = consumer.consumed;
	tb_tape_init(&drain->tape, drain->recording->output_fd, drain);
	if (drain->recording->snapshot)
		return 0;
	tb_archive_adopt(drain);
	ret = tb_tape_adopt(drain, &drain->tape, drain->consumed);
	if (ret)
		return ret;
	if (drain->info.mode == TRACEBUF_MODE_OVERWRITE)
		return 0;
	drain->tape.next_seq = drain->consumed;
	return drain->consumed <= current && current - drain->consumed <= drain->info.nr_subbufs ? 0 : -EBADMSG;
}

static void attach(struct tb_drain *drain)
{
	struct tb_recording *recording = drain->recording;

	cds_list_add_tail(&drain->of_recording, &recording->drains);
	cds_list_add_tail(&drain->of_process, &drain->process->drains);
	cds_list_add(&drain->bucket, bucket_of(recording, drain->info.pid, drain->info.instance, drain->info.cpu));
	recording->nr_drains++;
	drain->account->nr_rings++;
	/* It came late: what is left of its process must be ended once more. */
	if (drain->process->dead)
		tb_process_mark_dead(drain->process);
}

static int take_over(struct tb_drain *drain, const struct tb_ring_name *name)
{
	int ret = read_header(drain, name);

	if (!ret)
		ret = find_process(drain);
	if (!ret)
		ret = tb_class_get(drain->recording, drain->process, drain->info.stream_id, drain->info.context,
				   drain->info.nr_descriptions, &drain->class);
	if (!ret)
		ret = take_up(drain);
	if (!ret) {
		drain->account = tb_recording_account(drain->recording, drain->process);
		ret = drain->account ? 0 : -ENOMEM;
	}
	/* Last: it is not taken back. */
	if (!ret)
		ret = add_instance(drain->recording, drain->info.stream_instance_id);
	return ret;
}

static void refuse(struct tb_recording *recording, const char *name, int error)
{
	if (!recording->nr_refused++)
		tb_say("trace %s: ring %s is refused: %s", recording->slot.name, name, strerror(error));
}

int tb_drain_discover(struct tb_recording *recording, const char *name, struct tb_drain **ret_drain)
{
	struct tb_ring_name parsed;
	struct tb_drain *drain;
	int ret;

	if (!tb_ring_name_parse(name, &parsed))
		return -EBADMSG;
	drain = tb_drain_find(recording, &parsed);
	if (drain) {
		*ret_drain = drain;
		return 0;
	}
	drain = calloc(1, sizeof(*drain));
	if (!drain)
		return -ENOMEM;
	drain->recording = recording;
	drain->fd = -1;
	drain->pin = TB_LOOP_NO_PIN;
	drain->tape.out.fd = drain->tape.out.direct_fd = -1;
	memcpy(drain->name, name, strlen(name) + 1);
	/* What is wrong before it is taken is told of as a refusal. */
	drain->damaged = true;
	ret = take_over(drain, &parsed);
	drain->damaged = false;
	if (ret) {
		if (drain->process && !tb_is_passing(ret))
			drain->process->suspect = true;
		if (!tb_is_passing(ret) && recording->daemon->home->has_ring(recording, name))
			refuse(recording, name, -ret);
		tb_ringfile_close(drain);
		free(drain);
		return ret;
	}
	attach(drain);
	*ret_drain = drain;
	return 0;
}

/* Events ever committed, as far as that can be read. */
static uint64_t committed(struct tb_drain *drain)
{
	struct tb_ring_place place;
	struct tracebuf_packet packet;
	uint64_t known = drain->tape.partial.file_size ? drain->tape.partial.expect.event_seq :
			 drain->tape.expect.event_seq;

	if (drain->broken || tb_ringfile_look(drain))
		return known;
	place = tb_ring_place(&drain->info, drain->producer.position);
	if (place.content_size && !tb_ringfile_packet(drain, place.current, &packet) &&
	    !tb_packet_check(&packet, &drain->info, place.current, false))
		return packet.event_seq + tb_ring_tally(drain->producer.position, drain->producer.tally);
	if (!place.content_size && place.current && !tb_ringfile_packet(drain, place.current - 1, &packet) &&
	    !tb_packet_check(&packet, &drain->info, place.current - 1, true))
		return packet.event_seq + packet.nr_events;
	return known;
}

/* Of an overwrite ring: events that were gone before they could be read, or will be by the next look. */
static uint64_t overwritten_now(struct tb_drain *drain)
{
	const struct tb_tape *tape = &drain->tape;
	uint64_t first = tb_ring_place(&drain->info, drain->producer.position).first;
	uint64_t expected = tape->partial.file_size ? tape->partial.expect.event_seq : tape->expect.event_seq;
	uint64_t seq = first > tape->next_seq ? first : tape->next_seq;
	struct tracebuf_packet packet;

	if (tape->partial.file_size && first <= tape->partial.seq)
		return tb_tape_overwritten(tape);
	if (tb_ringfile_packet(drain, seq, &packet) || tb_packet_check(&packet, &drain->info, seq, false) ||
	    packet.event_seq < expected)
		return tb_tape_overwritten(tape);
	return tb_tape_overwritten(tape) + packet.event_seq - expected;
}

struct tb_counts tb_drain_counts(struct tb_drain *drain)
{
	const struct tb_tape *tape = &drain->tape;
	struct tb_counts counts = { .bytes = drain->archived_size + tape->size };
	uint64_t all = committed(drain);

	if (tape->partial.file_size)
		counts.bytes += tape->partial.size;
	if (drain->info.mode == TRACEBUF_MODE_OVERWRITE && !drain->broken)
		counts.overwritten = overwritten_now(drain);
	if (all > counts.overwritten + drain->dropped)
		counts.recorded = all - counts.overwritten - drain->dropped;
	counts.discarded = drain->producer.discarded + drain->dropped;
	return counts;
}

/* What is on disk is what was recorded; what is not, and was not overwritten, was dropped. */
static struct tb_counts final_counts(struct tb_drain *drain)
{
	const struct tb_tape *tape = &drain->tape;
	struct tb_counts counts = tb_drain_counts(drain);
	uint64_t all = counts.recorded + counts.overwritten + drain->dropped;

	if (drain->recording->snapshot)
		return counts;
	counts.recorded = drain->archived_events + tape->nr_events;
	if (tape->partial.file_size)
		counts.recorded += tape->partial.nr_events;
	counts.overwritten = tb_tape_overwritten(tape);
	if (drain->info.mode != TRACEBUF_MODE_OVERWRITE)
		counts.overwritten = 0;
	counts.discarded = drain->producer.discarded;
	if (all > counts.recorded + counts.overwritten)
		counts.discarded += all - counts.recorded - counts.overwritten;
	return counts;
}

bool tb_drain_moved(struct tb_drain *drain)
{
	uint64_t before = drain->producer.position;

	return !drain->broken && drain->process && !tb_ringfile_look(drain) && drain->producer.position != before;
}

void tb_drain_settle(struct tb_drain *drain)
{
	struct tb_tape *tape = &drain->tape;
	int ret = 0;

	if (drain->recording->snapshot)
		return;
	drain->pins++;
	if (drain->info.mode == TRACEBUF_MODE_OVERWRITE) {
		ret = tb_tape_collect(drain, tape);
	} else {
		tb_transfer_flush(drain);
		ret = tb_tape_put_unfinished(drain, tape);
	}
	if (!ret)
		ret = tb_outfile_finish(&tape->out, tape->partial.file_size);
	if (ret)
		tb_recording_trouble(drain->recording, -ret, tape->out.name);
	drain->pins--;
}

/* As settle, but the file ends for good: checked if there was damage, cut, closed. */
static void finish(struct tb_drain *drain)
{
	struct tb_tape *tape = &drain->tape;

	tb_drain_settle(drain);
	if (drain->recording->snapshot || (!drain->damaged && !(drain->process && drain->process->suspect)))
		return;
	drain->pins++;
	tb_tape_verify(drain, tape);
	if (tb_outfile_finish(&tape->out, tape->partial.file_size))
		tb_recording_trouble(drain->recording, errno, tape->out.name);
	drain->pins--;
}

/* What it takes of the kept rings' share: its data, and for its first pages and its process's file about so much. */
static uint64_t kept_size(const struct tb_drain *drain)
{
	return drain->info.subbuf_size * drain->info.nr_subbufs + KEPT_OVERHEAD;
}

/* Its process's file goes by and by, when that process is looked after. */
static void leave_kept(struct tb_drain *drain)
{
	struct tb_recording *recording = drain->recording;
	struct tb_process *process = tb_process_find(recording->daemon, drain->info.pid, drain->info.incarnation);

	cds_list_del(&drain->kept);
	recording->kept_size -= kept_size(drain);
	if (process && process->nr_kept)
		process->nr_kept--;
}

void tb_drain_free(struct tb_drain *drain)
{
	struct tb_recording *recording = drain->recording;

	tb_transfer_await(drain);
	tb_ringfile_close(drain);
	tb_outfile_rest(&drain->tape.out);
	if (drain->is_hungry)
		cds_list_del(&drain->hungry);
	if (drain->is_kept)
		leave_kept(drain);
	if (recording->next_drain == &drain->of_recording)
		recording->next_drain = drain->of_recording.next;
	cds_list_del(&drain->of_recording);
	if (drain->process)
		cds_list_del(&drain->of_process);
	cds_list_del(&drain->bucket);
	recording->nr_drains--;
	drain->account->nr_rings--;
	free(drain);
}

void tb_drain_retire(struct tb_drain *drain)
{
	struct tb_recording *recording = drain->recording;
	struct tb_counts counts;

	finish(drain);
	counts = final_counts(drain);
	tb_counts_add(&drain->account->counts, &counts);
	tb_state_add_counts(recording, drain->name, drain->account, &counts);
	recording->daemon->home->remove_ring(recording, drain->name, drain->fd);
	tb_drain_free(drain);
}

void tb_drain_keep(struct tb_drain *drain)
{
	struct tb_recording *recording = drain->recording;

	cds_list_del(&drain->of_process);
	drain->process->nr_kept++;
	drain->process = NULL;
	drain->is_kept = true;
	cds_list_add_tail(&drain->kept, &recording->kept);
	recording->kept_size += kept_size(drain);
	tb_ringfile_close(drain);
	while (recording->kept_size > TB_KEPT_RINGS_SIZE && recording->kept.next != recording->kept.prev) {
		struct tb_drain *oldest = cds_list_first_entry(&recording->kept, struct tb_drain, kept);

		tb_drain_retire(oldest);
	}
}

void tb_drain_snapshot(struct tb_drain *drain, int dir)
{
	struct tb_tape tape;
	int ret;

	tb_tape_init(&tape, dir, drain);
	drain->pins++;
	ret = tb_tape_collect(drain, &tape);
	if (!ret && (drain->damaged || (drain->process && drain->process->suspect)))
		tb_tape_verify(drain, &tape);
	if (!ret)
		ret = tb_outfile_finish(&tape.out, tape.partial.file_size);
	tb_outfile_rest(&tape.out);
	drain->pins--;
	if (ret)
		tb_recording_trouble(drain->recording, -ret, tape.out.name);
}

void tb_drain_rotate(struct tb_drain *drain)
{
	struct tb_tape old, *tape = &drain->tape;

	drain->rotating = true;
	finish(drain);
	drain->rotating = false;
	old = *tape;
	drain->archived_events += old.nr_events;
	drain->archived_size += old.size;
	tb_tape_init(tape, drain->recording->output_fd, drain);
	tape->overwritten = tb_tape_overwritten(&old);
	tape->next_seq = old.next_seq;
	tape->expect = old.expect;
	if (!old.partial.file_size)
		return;
	/* The sub-buffer that is being written: the archive has its first part. */
	if (!drain->split.size || drain->split.seq != old.partial.seq)
		drain->split.nr_events = 0;
	drain->split.seq = old.partial.seq;
	drain->split.nr_events += old.partial.nr_events;
	drain->split.size = old.partial.ring_size;
	drain->split.time = old.partial.expect.time;
	drain->archived_events += old.partial.nr_events;
	drain->archived_size += old.partial.size;
	tape->next_seq = old.partial.seq;
	tape->expect = old.partial.expect;
}
