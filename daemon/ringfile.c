/* SPDX-License-Identifier: MIT */
/*
 * A ring's file, opened when it is needed and closed when others need the descriptor more.
 *
 * Invariant: the daemon never loads from or stores to a page of the ring itself: the process could truncate the file
 * at any moment. What is small is read with pread(2), payload is handed to the kernel to write, and the consumer's
 * words are changed as the home has it.
 */
#define _GNU_SOURCE
#include "ringfile.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include "home.h"
#include "reader/extent.h"

void tb_drain_damage(struct tb_drain *drain, const char *what)
{
	struct tb_process *process = drain->process;

	if (!drain->damaged && !(process && process->suspect))
		tb_say("ring %s of %s: %s; what is damaged is left out", drain->name, drain->info.procname, what);
	drain->damaged = true;
	/* Whoever damages one of its rings may have damaged the others. */
	if (process)
		process->suspect = true;
}

/* Closes the rings that nobody has used for longest. Those in use cannot be closed. */
static void make_room(struct tb_daemon *daemon)
{
	struct tb_drain *drain, *next;

	cds_list_for_each_entry_safe(drain, next, &daemon->opened, opened) {
		if (daemon->nr_opened < daemon->max_opened)
			return;
		if (!drain->first && !drain->pins)
			tb_ringfile_close(drain);
	}
}

/* Opens the file, unless it is; it becomes the most recently used one. */
static int open_file(struct tb_drain *drain)
{
	struct tb_daemon *daemon = drain->recording->daemon;
	int ret;

	if (drain->broken)
		return -EBADMSG;
	if (drain->fd >= 0) {
		cds_list_del(&drain->opened);
		cds_list_add_tail(&drain->opened, &daemon->opened);
		return 0;
	}
	make_room(daemon);
	ret = daemon->home->open_ring(drain);
	if (ret == -EBADMSG) {
		tb_drain_damage(drain, "its file was removed or replaced");
		drain->broken = true;
	}
	if (ret < 0)
		return ret;
	drain->fd = ret;
	drain->opened_at = drain->consumed;
	cds_list_add_tail(&drain->opened, &daemon->opened);
	daemon->nr_opened++;
	return 0;
}

void tb_ringfile_close(struct tb_drain *drain)
{
	if (drain->fd < 0)
		return;
	tb_loop_unpin(&drain->recording->daemon->loop, drain->pin);
	drain->pin = TB_LOOP_NO_PIN;
	drain->pin_tried = false;
	if (drain->data)
		munmap(drain->data, drain->info.subbuf_size * drain->info.nr_subbufs);
	if (drain->header)
		munmap(drain->header, sysconf(_SC_PAGESIZE));
	drain->data = NULL;
	drain->header = NULL;
	close(drain->fd);
	drain->fd = -1;
	cds_list_del(&drain->opened);
	drain->recording->daemon->nr_opened--;
	tb_outfile_rest(&drain->tape.out);
}

int tb_ringfile_read(struct tb_drain *drain, void *data, size_t size, uint64_t offset)
{
	int ret = open_file(drain);

	if (!ret)
		ret = tb_extent_read(drain->fd, offset, data, size);
	return ret == -ENODATA ? -EFAULT : ret;
}

int tb_ringfile_look(struct tb_drain *drain)
{
	struct tracebuf_producer producer;
	int ret = tb_ringfile_read(drain, &producer, sizeof(producer), TRACEBUF_RING_PRODUCER_OFFSET);

	if (ret == -EFAULT) {
		tb_drain_damage(drain, "its file was cut short");
		drain->broken = true;
	}
	if (!ret && (producer.position < drain->producer.position ||
		     producer.discarded > tb_process_age_ns(drain->info.incarnation))) {
		tb_drain_damage(drain, "its producer's words make no sense");
		drain->broken = true;
		return -EBADMSG;
	}
	/* What is read after this is what stood there when position was stored, or later. Partner: the commit. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (!ret)
		drain->producer = producer;
	return ret;
}

int tb_ringfile_packet(struct tb_drain *drain, uint64_t seq, struct tracebuf_packet *ret_packet)
{
	return tb_ringfile_read(drain, ret_packet, sizeof(*ret_packet), tb_ring_offset(&drain->info, seq));
}

/*
 * A ring that has gone round since it was opened has all its pages, and will have more written: they are pinned, so that
 * the kernel need not find them for each write. Pins want a right to write, which nobody uses.
 */
static void pin(struct tb_drain *drain)
{
	struct tb_daemon *daemon = drain->recording->daemon;
	size_t size = drain->info.subbuf_size * drain->info.nr_subbufs;

	if (drain->pin_tried || !daemon->home->can_pin ||
	    drain->consumed - drain->opened_at < drain->info.nr_subbufs)
		return;
	drain->pin_tried = true;
	if (mprotect(drain->data, size, PROT_READ | PROT_WRITE))
		return;
	drain->pin = tb_loop_pin(&daemon->loop, drain->data, size);
	mprotect(drain->data, size, PROT_READ);
}

const char *tb_ringfile_data(struct tb_drain *drain)
{
	if (open_file(drain))
		return NULL;
	if (!drain->data) {
		void *map = mmap(NULL, drain->info.subbuf_size * drain->info.nr_subbufs, PROT_READ, MAP_SHARED, drain->fd,
				 TRACEBUF_RING_DATA_OFFSET);

		drain->data = map == MAP_FAILED ? NULL : map;
	}
	if (drain->data)
		pin(drain);
	return drain->data;
}

void tb_ringfile_release(struct tb_drain *drain, uint64_t consumed)
{
	if (consumed == drain->consumed || open_file(drain) ||
	    drain->recording->daemon->home->put(drain, consumed))
		return;
	drain->consumed = consumed;
}
