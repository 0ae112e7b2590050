/* SPDX-License-Identifier: MIT */
/*
 * Recovery from damaged memory: an image of what a crash left, and 10,000 variants of it, each damaged in one or more
 * places, by bits, bytes, pages, swapped pages, cut-off ends. Of each, every sub-buffer that was not touched, of a ring
 * and process whose words were not, comes out as it was; nothing comes out that was never written, but in the sub-buffer
 * that was being written (it has no sum yet), or if the position itself was changed (nor has that); and nobody crashes, hangs or reads outside (the sanitizers' builds).
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory_image.h"
#include "reader/salvage.h"
#include "tools/remains.h"
#include "worker.h"

#define NR_PROGRAMS 2
#define THREADS 2
#define NR_VARIANTS ((unsigned int) tb_scaled(10000))
#define MAX_RINGS 64
#define MAX_SUBBUFS 8
#define SUBBUF_SIZE 4096u
#define MAX_TOUCHED 16

/* What came out of a ring: for each sub-buffer's storage, the packet. */
struct packet {
	bool found;
	uint64_t seq, event_seq, nr_events;
	uint64_t hash;				/* over its events */
	bool wrong;				/* has an event that nobody wrote */
};
struct ring {
	uint64_t instance;			/* stream_instance_id */
	uint64_t header_address;		/* in the whole image */
	struct packet packet[MAX_SUBBUFS];
};
struct harvest {
	struct ring ring[MAX_RINGS];
	unsigned int nr;
};

static struct memory_image image;
static uint8_t *variant;			/* image.size bytes, of fd */
static int variant_fd;
static struct harvest whole, now;

static bool is_tick(const struct tb_event *event)
{
	uint64_t seq, sum;
	uint32_t writer;

	if (event->payload_size < 20)
		return false;
	memcpy(&writer, event->payload, 4);
	memcpy(&seq, event->payload + 4, 8);
	memcpy(&sum, event->payload + 12, 8);
	return sum == tick_sum(writer, seq);
}

/* A ring being harvested. */
struct taking {
	const struct tb_stream_class *class;
	struct ring *ring;
};

static int take_packet(void *data, const struct tb_salvaged *salvaged)
{
	struct taking *taking = data;
	struct packet *packet = &taking->ring->packet[salvaged->head.packet_seq_num % MAX_SUBBUFS];
	struct tb_event_iter iter;
	struct tb_event event;

	*packet = (struct packet) { true, salvaged->head.packet_seq_num, salvaged->head.event_seq,
				    salvaged->head.nr_events, 0, false };
	tb_event_iter_init(&iter, taking->class, salvaged->bytes + sizeof(salvaged->head),
			   salvaged->content_size - sizeof(salvaged->head), salvaged->head.timestamp_begin,
			   salvaged->head.timestamp_end);
	while (tb_event_iter_next(&iter, &event) > 0) {
		packet->wrong |= !is_tick(&event);
		for (size_t i = 0; i < event.payload_size; i++)
			packet->hash = (packet->hash ^ event.payload[i]) * 0x100000001b3ull;
		packet->hash = tick_mix(packet->hash ^ event.time);
	}
	return 0;
}

static void harvest_ring(const struct tb_remains *remains, const struct tb_remains_ring *found, struct harvest *harvest)
{
	const struct tb_remains_process *process = tb_remains_process_of(remains, found);
	struct ring *ring = &harvest->ring[harvest->nr];
	struct tb_stream_class class;
	struct tb_salvage salvage;
	struct taking taking = { &class, ring };

	if (!process || harvest->nr == MAX_RINGS || found->info.nr_subbufs > MAX_SUBBUFS ||
	    tb_salvage_class(&process->source, found->info.stream_id, found->info.context, found->info.nr_descriptions,
			     &class))
		return;
	memset(ring, 0, sizeof(*ring));
	ring->instance = found->info.stream_instance_id;
	tb_salvage_ring(&found->source, &found->info, &class, take_packet, &taking, &salvage);
	tb_events_free(&class.events);
	harvest->nr++;
}

static void harvest(struct harvest *harvest)
{
	struct tb_remains remains = { 0 };
	char path[32], message[256];

	harvest->nr = 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", variant_fd);
	if (!tb_remains_of_image(path, NULL, NULL, &remains, message, sizeof(message)))
		for (size_t i = 0; i < remains.nr_rings; i++)
			harvest_ring(&remains, &remains.ring[i], harvest);
	tb_remains_free(&remains);
}

static struct ring *find_ring(struct harvest *harvest, uint64_t instance)
{
	for (unsigned int i = 0; i < harvest->nr; i++)
		if (harvest->ring[i].instance == instance)
			return &harvest->ring[i];
	return NULL;
}

/* Pages that a variant differs in, by their numbers; the file's end counts for all behind it. */
struct damage {
	uint32_t page[MAX_TOUCHED];
	unsigned int nr;
	uint64_t size;				/* of the file now */
};

static bool is_touched(const struct damage *damage, uint32_t page)
{
	if ((uint64_t) (page + 1) * IMAGE_PAGE > damage->size)
		return true;
	for (unsigned int i = 0; i < damage->nr; i++)
		if (damage->page[i] == page)
			return true;
	return false;
}

static void touch(struct damage *damage, uint32_t page)
{
	if (damage->nr < MAX_TOUCHED)
		damage->page[damage->nr++] = page;
}

static uint32_t random_page(void)
{
	uint32_t page;

	/* Mostly those that hold something. */
	do
		page = (uint32_t) tb_random_below(image.size / IMAGE_PAGE);
	while (image.page[page].part == IMAGE_NOTHING && tb_random_below(50));
	return page;
}

static void flip_bits(struct damage *damage)
{
	uint32_t page = random_page();

	for (uint64_t nr = 1 + tb_random_below(4); nr; nr--)
		variant[(uint64_t) page * IMAGE_PAGE + tb_random_below(IMAGE_PAGE)] ^= (uint8_t) (1u << tb_random_below(8));
	touch(damage, page);
}

/* Where headers, positions and lists have their words. */
static void change_word(struct damage *damage)
{
	static const uint64_t values[] = { 0, 1, UINT64_MAX, 1ull << 63, 4096, 136, UINT32_MAX };
	uint32_t page = random_page();
	uint64_t at = (uint64_t) page * IMAGE_PAGE + tb_random_below(64) * 8;
	uint64_t value = tb_random_below(2) ? values[tb_random_below(7)] : tb_random();

	memcpy(variant + at, &value, 8);
	touch(damage, page);
}

static void fill_page(struct damage *damage)
{
	uint32_t page = random_page();

	memset(variant + (uint64_t) page * IMAGE_PAGE, tb_random_below(2) ? 0 : 0xff, IMAGE_PAGE);
	touch(damage, page);
}

/* A page of somewhere else: as if it had been used again, or written late. */
static void copy_page(struct damage *damage)
{
	uint32_t from = random_page(), to = random_page();

	memmove(variant + (uint64_t) to * IMAGE_PAGE, variant + (uint64_t) from * IMAGE_PAGE, IMAGE_PAGE);
	touch(damage, to);
}

static void swap_pages(struct damage *damage)
{
	uint32_t a = random_page(), b = random_page();
	uint8_t page[IMAGE_PAGE];

	memcpy(page, variant + (uint64_t) a * IMAGE_PAGE, IMAGE_PAGE);
	memmove(variant + (uint64_t) a * IMAGE_PAGE, variant + (uint64_t) b * IMAGE_PAGE, IMAGE_PAGE);
	memcpy(variant + (uint64_t) b * IMAGE_PAGE, page, IMAGE_PAGE);
	touch(damage, a);
	touch(damage, b);
}

/* At a page's begin, inside a header, anywhere. */
static void cut(struct damage *damage)
{
	uint64_t page = random_page(), size = page * IMAGE_PAGE;

	if (tb_random_below(3))
		size += tb_random_below(2) ? tb_random_below(512) : tb_random_below(IMAGE_PAGE);
	if (size < damage->size)
		damage->size = size;
	CU_ASSERT(ftruncate(variant_fd, (off_t) damage->size) == 0);
}

static void do_damage(struct damage *damage)
{
	static void (*const kinds[])(struct damage *damage) = {
		flip_bits, flip_bits, change_word, change_word, fill_page, copy_page, swap_pages, cut,
	};

	*damage = (struct damage) { .size = image.size };
	for (uint64_t nr = 1 + tb_random_below(3); nr && damage->size == image.size; nr--)
		kinds[tb_random_below(sizeof(kinds) / sizeof(kinds[0]))](damage);
}

static int file_of(const struct ring *ring)
{
	return image.page[ring->header_address / IMAGE_PAGE].file;
}

/* Was anything touched that reading this ring at all depends on: its own words and lists, or any process's? */
static bool depends_on_touched(const struct ring *ring, const struct damage *damage)
{
	for (uint32_t page = 0; page < image.size / IMAGE_PAGE; page++) {
		const struct image_page *what = &image.page[page];
		bool of_ring = what->file == file_of(ring) && what->part != IMAGE_NOTHING;

		if (!is_touched(damage, page))
			continue;
		if (of_ring && what->part != IMAGE_DATA)
			return true;
		/* Files of processes come first; their rings need their headers, descriptions and lists. */
		if (what->file < NR_PROGRAMS && (what->part == IMAGE_HEADER || what->part == IMAGE_DESCRIPTIONS ||
						 what->part == IMAGE_LIST))
			return true;
	}
	return false;
}

static bool is_data_touched(const struct ring *ring, unsigned int subbuf, const struct damage *damage)
{
	for (uint32_t page = 0; page < image.size / IMAGE_PAGE; page++)
		if (image.page[page].part == IMAGE_DATA && image.page[page].file == file_of(ring) &&
		    (image.page[page].offset - TRACEBUF_RING_DATA_OFFSET) / SUBBUF_SIZE == subbuf &&
		    is_touched(damage, page))
			return true;
	return false;
}

/* position has no checksum: it changes with every event. */
static bool is_producer_touched(const struct ring *ring, const struct damage *damage)
{
	for (uint32_t page = 0; page < image.size / IMAGE_PAGE; page++)
		if (image.page[page].part == IMAGE_PRODUCER && image.page[page].file == file_of(ring) &&
		    is_touched(damage, page))
			return true;
	return false;
}

static bool is_last(const struct ring *ring, unsigned int subbuf)
{
	for (unsigned int i = 0; i < MAX_SUBBUFS; i++)
		if (ring->packet[i].found && ring->packet[i].seq > ring->packet[subbuf].seq)
			return false;
	return true;
}

/* Returns what is wrong with a ring of the variant, or NULL. */
static const char *judge_ring(struct ring *was, const struct damage *damage)
{
	struct ring *is = find_ring(&now, was->instance);
	bool depends = depends_on_touched(was, damage);

	if (!is)
		return depends ? NULL : "a ring is missing";
	for (unsigned int i = 0; i < MAX_SUBBUFS; i++) {
		const struct packet *old = &was->packet[i], *new = &is->packet[i];
		bool touched = is_data_touched(was, i, damage);

		if (new->found && new->wrong && !(touched && is_last(was, i)) && !is_producer_touched(was, damage))
			return "an event that was never written";
		if (depends || touched)
			continue;
		if (old->found != new->found)
			return old->found ? "an undamaged sub-buffer is missing" : "a sub-buffer that there was not";
		if (memcmp(old, new, sizeof(*old)))
			return "an undamaged sub-buffer is not what it was";
	}
	return NULL;
}

static void judge_variant(unsigned int number, const struct damage *damage, unsigned int *nr_wrong)
{
	for (unsigned int i = 0; i < whole.nr; i++) {
		const char *wrong = judge_ring(&whole.ring[i], damage);

		if (wrong && (*nr_wrong)++ < 5)
			tb_note("variant %u, ring %u: %s", number, i, wrong);
	}
}

/* Programs at full speed, killed: what their rings hold, in an image. */
static bool make_image(struct fixture *fixture)
{
	struct tick_shared *shared;
	pid_t pids[NR_PROGRAMS];
	unsigned int i;

	if (!fixture_open(fixture) || !fixture_start(fixture) ||
	    !fixture_trace(fixture, "t", "overwrite", SUBBUF_SIZE, MAX_SUBBUFS, true))
		return false;
	shared = worker_shared(fixture);
	for (i = 0; i < NR_PROGRAMS; i++)
		pids[i] = worker_start(fixture, "traced", i * THREADS, THREADS, 0, "tick");
	worker_await_ready(shared, NR_PROGRAMS * THREADS);
	usleep(20000);
	fixture_kill(fixture);
	for (i = 0; i < NR_PROGRAMS; i++) {
		kill(pids[i], SIGKILL);
		await(pids[i]);
	}
	return image_make(&image, fixture->rundir);
}

static void find_headers(void)
{
	for (unsigned int i = 0; i < whole.nr; i++)
		for (uint64_t page = 0; page < image.size / IMAGE_PAGE; page++) {
			const struct tracebuf_ring *header = (const void *) (image.bytes + page * IMAGE_PAGE);

			if (image.page[page].part == IMAGE_HEADER && header->sb.kind == TRACEBUF_KIND_RING &&
			    header->stream_instance_id == whole.ring[i].instance)
				whole.ring[i].header_address = page * IMAGE_PAGE;
		}
}

static void variants(void)
{
	unsigned int i, nr_wrong = 0, nr_packets = 0;
	struct fixture fixture;
	struct damage damage;

	if (!make_image(&fixture))
		return;
	variant_fd = memfd_create("image", MFD_CLOEXEC);
	CU_ASSERT_FATAL(variant_fd >= 0 && ftruncate(variant_fd, (off_t) image.size) == 0);
	variant = mmap(NULL, image.size, PROT_READ | PROT_WRITE, MAP_SHARED, variant_fd, 0);
	CU_ASSERT_FATAL(variant != MAP_FAILED);
	memcpy(variant, image.bytes, image.size);
	harvest(&whole);
	find_headers();
	for (i = 0; i < whole.nr * MAX_SUBBUFS; i++) {
		nr_packets += whole.ring[i / MAX_SUBBUFS].packet[i % MAX_SUBBUFS].found;
		CU_ASSERT(!whole.ring[i / MAX_SUBBUFS].packet[i % MAX_SUBBUFS].wrong);
	}
	CU_ASSERT_FATAL(whole.nr > 1 && nr_packets > MAX_SUBBUFS);
	tb_note("%u rings, %u sub-buffers, %d files; %u variants", whole.nr, nr_packets, image.nr_files, NR_VARIANTS);
	for (i = 0; i < NR_VARIANTS; i++) {
		do_damage(&damage);
		harvest(&now);
		judge_variant(i, &damage, &nr_wrong);
		if (damage.size < image.size)
			CU_ASSERT(ftruncate(variant_fd, (off_t) image.size) == 0);
		memcpy(variant, image.bytes, image.size);
	}
	TB_ASSERT_EQUAL(nr_wrong, 0);
	munmap(variant, image.size);
	close(variant_fd);
	image_free(&image);
	fixture_close(&fixture);
}

int main(void)
{
	static const CU_TestInfo cases[] = { { "variants", variants }, CU_TEST_INFO_NULL };

	return tb_run_suite("damage", cases);
}
