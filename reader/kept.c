/* SPDX-License-Identifier: MIT */
/*
 * What an earlier boot left in its half of a region: which files, and which of their sub-buffers are whole.
 *
 * Invariant: nothing outside the half is read, whatever it holds. An address that the half names is used only once it was
 * found to be that of a whole page of it, other than the first; what is done in all is at most a fixed multiple of the
 * half's size, since no file may have more pages than the half, nor all of them together more than MAX_ROUNDS times as
 * many.
 *
 * That no page belongs to two files is not looked at, for want of memory. It need not be: a sub-buffer names its ring and
 * number and is summed, a description has its own checksum and the ring names them all by a hash; so a page of another
 * file costs the sub-buffer that it stands in, and no more.
 */
#include "kept.h"
#include <errno.h>
#include <string.h>
#include "../libtracebuf/content_sum.h"
#include "../libtracebuf/crc32c.h"
#include "packet_head.h"
#include "ring.h"

/* Called between pages; the kernel has it give way to others. */
#ifndef TB_KEPT_PAUSE
#define TB_KEPT_PAUSE() do { } while (0)
#endif

#define SMALLEST_PAGE 4096u
#define LARGEST_PAGE 65536u
/* Page lists that share nodes cost time again and again; lists that do not are through in one round. */
#define MAX_ROUNDS 16
#define HEAD_SIZE sizeof(struct tracebuf_packet)

/* A look through a half. */
struct look {
	const struct tb_kept *half;
	uint32_t page_size;
	uint64_t nr_left;		/* pages that lists may still name */
	struct tb_kept_report report;
};

/* ---- The half's header ---- */

static bool page_size_is_right(const struct tb_kept *half, uint32_t size)
{
	return size >= SMALLEST_PAGE && size <= LARGEST_PAGE && !(size & (size - 1)) && half->physical % size == 0 &&
	       half->size % size == 0;
}

const struct tracebuf_region *tb_kept_header(const struct tb_kept *half)
{
	const struct tracebuf_region *header = (const void *) half->bytes;
	const struct tracebuf_superblock *sb = &header->sb;

	if (half->size < SMALLEST_PAGE || half->physical > UINT64_MAX - half->size ||
	    tb_superblock_check(sb, TRACEBUF_KIND_REGION, TRACEBUF_REGION_HEADER_SIZE, half->size) ||
	    sb->total_size != half->size || sb->physical_address != half->physical || sb->page_list ||
	    sb->page_list_levels || !page_size_is_right(half, sb->page_size) ||
	    !tb_header_crc_is_right(header, TRACEBUF_REGION_HEADER_SIZE))
		return NULL;
	return header->number && header->number != UINT64_MAX && header->nr_cpus &&
	       strnlen(header->release, sizeof(header->release)) < sizeof(header->release) ? header : NULL;
}

bool tb_kept_has_start(const struct tracebuf_region *header)
{
	struct tracebuf_region_start start = header->start;
	uint32_t crc = start.crc;

	start.crc = 0;
	return start.realtime_ns && crc == tb_crc32c(0, &start, sizeof(start)) &&
	       strnlen(start.trace_name, sizeof(start.trace_name)) < sizeof(start.trace_name) &&
	       start.clock >= TRACEBUF_CLOCK_TSC && start.clock <= TRACEBUF_CLOCK_COUNTER;
}

bool tb_kept_has_stop(const struct tracebuf_region *header)
{
	struct tracebuf_region_stop stop = header->stop;
	uint32_t crc = stop.crc;

	stop.crc = 0;
	return stop.realtime_ns && crc == tb_crc32c(0, &stop, sizeof(stop)) && stop.reason >= TRACEBUF_STOP_TRACE &&
	       stop.reason <= TRACEBUF_STOP_PANIC;
}

/* ---- Page lists ---- */

/* Is address that of a page of the half, and not of its header? */
static bool find_in(const struct tb_kept *half, uint64_t address, uint32_t page_size, uint64_t *ret_offset)
{
	if (address % page_size || address <= half->physical || address - half->physical >= half->size)
		return false;
	*ret_offset = address - half->physical;
	return true;
}

const void *tb_kept_page(const struct tb_kept *half, const struct tb_kept_file *file, uint64_t offset)
{
	uint64_t per_node = file->page_size / sizeof(uint64_t), index = offset / file->page_size, below = 1;
	uint64_t at = file->page_list;

	for (uint32_t i = 1; i < file->levels; i++)
		below *= per_node;
	if (offset >= file->size || index / below >= per_node)
		return NULL;
	for (uint32_t i = 0; i < file->levels; i++) {
		const uint64_t *words = (const void *) (half->bytes + at);

		if (!find_in(half, words[index / below], file->page_size, &at))
			return NULL;
		index %= below;
		below /= per_node;
	}
	return half->bytes + at;
}

/* A walk over one page list. */
struct walk {
	struct look *look;
	uint64_t nr_pages;		/* that the file may have */
	uint64_t nr_left;		/* that the half can hold */
};

/*
 * Of the node at offset node, whose first word is for page first and each for span pages: does it and all below it lie
 * in the half? level 0: the last. Depth: at most TRACEBUF_MAX_PAGE_LIST_LEVELS.
 */
static bool node_is_right(struct walk *walk, uint64_t node, unsigned int level, uint64_t first, uint64_t span)
{
	struct look *look = walk->look;
	const uint64_t *words = (const void *) (look->half->bytes + node);
	uint64_t per_node = look->page_size / sizeof(*words), below;

	TB_KEPT_PAUSE();
	if (!walk->nr_left || !look->nr_left)
		return false;
	walk->nr_left--;
	look->nr_left--;
	for (uint64_t word = 0; word < per_node && first < walk->nr_pages; word++, first += span) {
		if (!words[word])
			continue;
		if (!find_in(look->half, words[word], look->page_size, &below))
			return false;
		if (level && !node_is_right(walk, below, level - 1, first, span / per_node))
			return false;
		if (level)
			continue;
		if (!walk->nr_left || !look->nr_left)
			return false;
		walk->nr_left--;
		look->nr_left--;
	}
	return true;
}

/* What the superblock at offset says of the file's pages; all of its list is looked at. */
static bool take_list(struct look *look, uint64_t offset, struct tb_kept_file *ret_file)
{
	const struct tracebuf_superblock *sb = (const void *) (look->half->bytes + offset);
	uint64_t per_node = look->page_size / sizeof(uint64_t), span = 1;
	struct walk walk = { look, 0, look->half->size / look->page_size };
	struct tb_kept_file file = { .offset = offset, .size = sb->total_size, .kind = sb->kind,
				     .page_size = sb->page_size, .levels = sb->page_list_levels };

	if (file.page_size != look->page_size || !file.size || !file.levels ||
	    file.levels > TRACEBUF_MAX_PAGE_LIST_LEVELS ||
	    !find_in(look->half, sb->page_list, look->page_size, &file.page_list))
		return false;
	for (uint32_t i = 1; i < file.levels; i++)
		span *= per_node;
	walk.nr_pages = (file.size - 1) / look->page_size + 1;
	if ((walk.nr_pages - 1) / span >= per_node || !node_is_right(&walk, file.page_list, file.levels - 1, 0, span) ||
	    tb_kept_page(look->half, &file, 0) != look->half->bytes + offset)
		return false;
	*ret_file = file;
	return true;
}

/* ---- Rings ---- */

/* A ring being looked at. */
struct ring {
	const struct tb_kept *half;
	const struct tb_kept_file *file;
	struct tb_ring_info info;
	uint64_t time, event_seq;	/* no sub-buffer begins before these */
};

/* Is all of the content there, from offset (of the head) on, and does it add up? sum 0: it has none. */
static bool content_is_right(const struct ring *ring, uint64_t offset, uint64_t content_size, uint32_t wanted)
{
	struct tb_content_sum sum = { .size = 0 };
	uint64_t end = offset + content_size, part;

	for (uint64_t at = offset + HEAD_SIZE; at < end; at += part) {
		uint64_t within = at % ring->file->page_size;
		const unsigned char *page = tb_kept_page(ring->half, ring->file, at);

		TB_KEPT_PAUSE();
		if (!page)
			return false;
		part = ring->file->page_size - within < end - at ? ring->file->page_size - within : end - at;
		if (wanted)
			tb_content_sum_add(&sum, page + within, part);
	}
	return !wanted || tb_content_sum_end(&sum) == wanted;
}

/* content_size 0: as the head says of a sub-buffer that was left. */
static bool subbuf_is_right(struct ring *ring, uint64_t seq, uint64_t content_size)
{
	uint64_t offset = tb_ring_offset(&ring->info, seq);
	const unsigned char *page = tb_kept_page(ring->half, ring->file, offset);
	const struct tracebuf_packet *head;
	bool closed = !content_size;

	TB_KEPT_PAUSE();
	if (!page)
		return false;
	head = (const void *) (page + offset % ring->file->page_size);
	if (tb_packet_check(head, &ring->info, seq, closed) || head->timestamp_begin < ring->time ||
	    head->event_seq < ring->event_seq)
		return false;
	if (closed)
		content_size = head->content_size / 8;
	if (!content_is_right(ring, offset, content_size, closed ? head->content_sum : 0))
		return false;
	ring->time = closed ? head->timestamp_end : head->timestamp_begin;
	ring->event_seq = head->event_seq + (closed ? head->nr_events : 0);
	return true;
}

static void count(struct tb_kept_file *file, bool is_right)
{
	if (is_right)
		file->nr_good++;
	else
		file->nr_bad++;
}

static bool look_at_ring(struct look *look, struct tb_kept_file *file)
{
	struct ring ring = { .half = look->half, .file = file };
	const struct tracebuf_producer *producer;
	struct tb_ring_place place;

	if (tb_ring_check((const void *) (look->half->bytes + file->offset), 0, &ring.info))
		return false;
	producer = tb_kept_page(look->half, file, TRACEBUF_RING_PRODUCER_OFFSET);
	place = tb_ring_place(&ring.info, producer ? producer->position : 0);
	for (uint64_t seq = place.first; seq < place.current; seq++)
		count(file, subbuf_is_right(&ring, seq, 0));
	if (place.content_size > HEAD_SIZE)
		count(file, subbuf_is_right(&ring, place.current, place.content_size));
	return true;
}

/* ---- The half ---- */

static bool process_is_right(const struct tb_kept *half, const struct tb_kept_file *file)
{
	struct tb_process_info info;

	return !tb_process_check((const void *) (half->bytes + file->offset), 0, &info);
}

/* Is there a file of abi.h at offset, a page's? 0, -ENOENT, -EBADMSG. */
static int look_at(struct look *look, uint64_t offset, struct tb_kept_file *ret_file)
{
	const struct tracebuf_superblock *sb = (const void *) (look->half->bytes + offset);
	bool is_ring = sb->kind == TRACEBUF_KIND_RING;
	uint32_t header_size = is_ring ? TRACEBUF_RING_HEADER_SIZE : TRACEBUF_PROCESS_HEADER_SIZE;
	int err = tb_superblock_check(sb, is_ring ? TRACEBUF_KIND_RING : TRACEBUF_KIND_PROCESS, header_size, 0);

	if (err == -ENOENT)
		return err;
	/* Before its lists are walked: what is no header costs nothing. */
	if (err || sb->physical_address != look->half->physical + offset || !tb_header_crc_is_right(sb, header_size) ||
	    !take_list(look, offset, ret_file))
		return -EBADMSG;
	return (is_ring ? look_at_ring(look, ret_file) : process_is_right(look->half, ret_file)) ? 0 : -EBADMSG;
}

static void report(struct tb_kept_report *report, const struct tb_kept_file *file)
{
	if (file->kind == TRACEBUF_KIND_RING)
		report->nr_rings++;
	else
		report->nr_processes++;
	report->nr_good += file->nr_good;
	report->nr_bad += file->nr_bad;
}

int tb_kept_check(const struct tb_kept *half, int (*each)(void *data, const struct tb_kept_file *file), void *data,
		  struct tb_kept_report *ret_report)
{
	const struct tracebuf_region *header = tb_kept_header(half);
	struct look look = { .half = half };

	if (!header)
		return -EINVAL;
	look.page_size = header->sb.page_size;
	look.nr_left = half->size / look.page_size * MAX_ROUNDS;
	for (uint64_t offset = look.page_size; offset < half->size; offset += look.page_size) {
		struct tb_kept_file file;
		int ret = look_at(&look, offset, &file);

		TB_KEPT_PAUSE();
		if (ret == -ENOENT)
			continue;
		if (ret) {
			look.report.nr_damaged++;
			continue;
		}
		report(&look.report, &file);
		ret = each ? each(data, &file) : 0;
		if (ret < 0)
			return ret;
	}
	*ret_report = look.report;
	return 0;
}
