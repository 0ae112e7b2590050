/* SPDX-License-Identifier: MIT */
/*
 * Recovery from damaged memory: an image of what a crash left, and 10,000 variants of it, each damaged in one or more
 * places, by bits, bytes, words, pages, swapped and dropped pages, cut-off ends; then ends cut off at each page and
 * behind each head; then a compressed dump of it, damaged in its own words. Of each, every sub-buffer that was not
 * touched, of a ring and process whose words were not, comes out as it was, and all that do not are counted; nothing
 * comes out that was never written, but in the sub-buffer that was being written (it has no sum yet), or if the
 * position itself was changed (nor has that); memory stays bounded; and nobody crashes, hangs or reads outside (the
 * sanitizers' builds).
 */
#define _GNU_SOURCE
#include <elf.h>
#include <endian.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tracebuf/abi.h>

#include "dump_file.h"
#include "harvest.h"
#include "worker.h"

#define NR_PROGRAMS 2
#define THREADS 2
#define NR_VARIANTS ((unsigned int) tb_scaled(10000))
#define MAX_SUBBUFS HARVEST_MAX_SUBBUFS
#define SUBBUF_SIZE 4096u
#define MAX_TOUCHED 16
#define MAX_DROPPED 8
/* In front of the image in its file: an ELF header, or zeroes, which make it raw memory that begins elsewhere. */
#define FRONT_SIZE 4096u
/* That recovery may take, whatever it is given. */
#define MAX_GROWTH_KB (64l << 10)

static struct fixture fixture;
static struct memory_image image;
static uint8_t *front, *variant;		/* FRONT_SIZE and image.size bytes, of variant_fd */
static int variant_fd;
static struct harvest whole, now;

/* Pages that a variant differs in, by their numbers; the image's end counts for all behind it. */
struct damage {
	uint32_t page[MAX_TOUCHED];
	unsigned int nr;
	uint32_t dropped[MAX_DROPPED];
	unsigned int nr_dropped;
	uint64_t size;				/* of the image now */
	bool everything;			/* nothing can be told to be whole */
};

static bool is_touched(const struct damage *damage, uint32_t page)
{
	if (damage->everything || (uint64_t) (page + 1) * IMAGE_PAGE > damage->size)
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

static void change_bytes(struct damage *damage)
{
	uint32_t page = random_page();
	uint64_t nr = 1 + tb_random_below(64), at = tb_random_below(IMAGE_PAGE - nr);

	while (nr--)
		variant[(uint64_t) page * IMAGE_PAGE + at + nr] = (uint8_t) tb_random();
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

/* A page that is not in the dump. */
static void drop_page(struct damage *damage)
{
	uint32_t page = random_page();

	if (damage->nr_dropped == MAX_DROPPED)
		return;
	damage->dropped[damage->nr_dropped++] = page;
	touch(damage, page);
}

static void cut_at(struct damage *damage, uint64_t size)
{
	if (size < damage->size)
		damage->size = size;
	CU_ASSERT(ftruncate(variant_fd, (off_t) (FRONT_SIZE + damage->size)) == 0);
}

/* At a page's begin, inside a header, anywhere. */
static void cut(struct damage *damage)
{
	uint64_t page = random_page(), size = page * IMAGE_PAGE;

	if (tb_random_below(3))
		size += tb_random_below(2) ? tb_random_below(512) : tb_random_below(IMAGE_PAGE);
	cut_at(damage, size);
}

static bool is_dropped(const struct damage *damage, uint64_t page)
{
	for (unsigned int i = 0; i < damage->nr_dropped; i++)
		if (damage->dropped[i] == page)
			return true;
	return false;
}

/* A header whose segments are the runs of pages that were not dropped. */
static void make_elf(const struct damage *damage)
{
	Elf64_Ehdr elf = { .e_ident = ELFMAG, .e_type = htole16(ET_CORE), .e_phoff = htole64(sizeof(elf)),
			   .e_phentsize = htole16(sizeof(Elf64_Phdr)) };
	Elf64_Phdr *header = (Elf64_Phdr *) (front + sizeof(elf));
	uint16_t nr = 0;

	elf.e_ident[EI_CLASS] = ELFCLASS64;
	elf.e_ident[EI_DATA] = ELFDATA2LSB;
	for (uint64_t page = 0; page < image.size / IMAGE_PAGE; page++) {
		uint64_t at = page * IMAGE_PAGE;

		if (is_dropped(damage, page))
			continue;
		if (!page || is_dropped(damage, page - 1))
			header[nr++] = (Elf64_Phdr) { .p_type = htole32(PT_LOAD), .p_paddr = htole64(at),
						      .p_vaddr = htole64(~0ull << 47 | at),
						      .p_offset = htole64(FRONT_SIZE + at) };
		header[nr - 1].p_filesz = htole64(le64toh(header[nr - 1].p_filesz) + IMAGE_PAGE);
	}
	elf.e_phnum = htole16(nr);
	memcpy(front, &elf, sizeof(elf));
}

static void make_front(const struct damage *damage)
{
	memset(front, 0, FRONT_SIZE);
	if (damage->nr_dropped || tb_random_below(2))
		make_elf(damage);
}

enum kind { BITS, BYTES, WORD, FILL, COPY, SWAP, DROP, CUT, NR_KINDS };
static unsigned int nr_of_kind[NR_KINDS];

static void do_damage(struct damage *damage)
{
	static void (*const kinds[NR_KINDS])(struct damage *damage) = {
		flip_bits, change_bytes, change_word, fill_page, copy_page, swap_pages, drop_page, cut,
	};

	*damage = (struct damage) { .size = image.size };
	for (uint64_t nr = 1 + tb_random_below(3); nr && damage->size == image.size; nr--) {
		unsigned int kind = (unsigned int) tb_random_below(NR_KINDS);

		kinds[kind](damage);
		nr_of_kind[kind]++;
	}
	make_front(damage);
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

/*
 * Sub-buffers that did not come out must have been counted, and no others; of the last, what is left may have come out,
 * or there was no event in it yet.
 */
static bool counts_are_right(const struct ring *was, const struct ring *is, const struct damage *damage)
{
	uint64_t nr_lost = 0, nr_cut = 0;

	for (unsigned int i = 0; i < MAX_SUBBUFS; i++) {
		nr_lost += was->packet[i].found && !is->packet[i].found;
		nr_cut += (!was->packet[i].found || (is->packet[i].found && is_last(was, i))) &&
			  is_data_touched(was, i, damage);
	}
	return is->nr_dropped >= nr_lost && is->nr_dropped <= nr_lost + nr_cut;
}

/* Returns what is wrong with a ring of the variant, or NULL. */
static const char *judge_ring(struct ring *was, const struct damage *damage)
{
	struct ring *is = harvest_find(&now, was->instance);
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
	return depends || counts_are_right(was, is, damage) ? NULL : "lost sub-buffers are not counted";
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
static bool make_image(void)
{
	struct tick_shared *shared;
	pid_t pids[NR_PROGRAMS];
	unsigned int i;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "overwrite", SUBBUF_SIZE, MAX_SUBBUFS, true))
		return false;
	shared = worker_shared(&fixture);
	for (i = 0; i < NR_PROGRAMS; i++)
		pids[i] = worker_start(&fixture, "traced", i * THREADS, THREADS, 0, "tick");
	/* More than a ring holds. */
	for (i = 0; i < NR_PROGRAMS * THREADS; i++)
		worker_await_returned(shared, i, 2000);
	fixture_kill(&fixture);
	for (i = 0; i < NR_PROGRAMS; i++) {
		kill(pids[i], SIGKILL);
		await(pids[i]);
	}
	return image_make(&image, fixture.rundir, 0, 2u << 20);
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

/* The image in a file, and what comes out of it as it is. */
static bool open_whole(void)
{
	const struct damage none = { .size = image.size };
	unsigned int nr_packets = 0;

	variant_fd = memfd_create("image", MFD_CLOEXEC);
	CU_ASSERT_FATAL(variant_fd >= 0 && ftruncate(variant_fd, (off_t) (FRONT_SIZE + image.size)) == 0);
	front = mmap(NULL, FRONT_SIZE + image.size, PROT_READ | PROT_WRITE, MAP_SHARED, variant_fd, 0);
	CU_ASSERT_FATAL(front != MAP_FAILED);
	variant = front + FRONT_SIZE;
	memcpy(variant, image.bytes, image.size);
	make_front(&none);
	harvest(variant_fd, &whole);
	find_headers();
	for (unsigned int i = 0; i < whole.nr * MAX_SUBBUFS; i++) {
		nr_packets += whole.ring[i / MAX_SUBBUFS].packet[i % MAX_SUBBUFS].found;
		CU_ASSERT(!whole.ring[i / MAX_SUBBUFS].packet[i % MAX_SUBBUFS].wrong);
		CU_ASSERT(!whole.ring[i / MAX_SUBBUFS].nr_dropped);
	}
	tb_note("%u rings, %u sub-buffers, %d files, %zu pages", whole.nr, nr_packets, image.nr_files,
		image.size / IMAGE_PAGE);
	CU_ASSERT_FATAL(whole.nr > 1 && nr_packets > MAX_SUBBUFS);
	return true;
}

static void close_whole(void)
{
	munmap(front, FRONT_SIZE + image.size);
	close(variant_fd);
	image_free(&image);
	fixture_close(&fixture);
}

static void restore(const struct damage *damage)
{
	if (damage->size < image.size)
		CU_ASSERT(ftruncate(variant_fd, (off_t) (FRONT_SIZE + image.size)) == 0);
	memcpy(variant, image.bytes, image.size);
}

static long memory_kb(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static void variants(void)
{
	unsigned int nr_wrong = 0;
	struct damage damage;
	long before;

	if (!make_image() || !open_whole())
		return;
	before = memory_kb();
	for (unsigned int i = 0; i < NR_VARIANTS; i++) {
		do_damage(&damage);
		harvest(variant_fd, &now);
		judge_variant(i, &damage, &nr_wrong);
		restore(&damage);
	}
	tb_note("%u variants, damaged by bits %u, bytes %u, words %u, filled pages %u, copied %u, swapped %u, dropped %u, "
		"cut %u; memory grew by %ld KiB", NR_VARIANTS, nr_of_kind[BITS], nr_of_kind[BYTES], nr_of_kind[WORD],
		nr_of_kind[FILL], nr_of_kind[COPY], nr_of_kind[SWAP], nr_of_kind[DROP], nr_of_kind[CUT],
		memory_kb() - before);
	TB_ASSERT_EQUAL(nr_wrong, 0);
	if (!getenv("TB_SANITIZED"))
		CU_ASSERT(memory_kb() - before <= MAX_GROWTH_KB);
	close_whole();
}

/* At each page's begin, and in it: inside a superblock, behind a packet's head, before the last byte. */
static void cuts(void)
{
	static const uint64_t within[] = { 0, 16, 64, 136, IMAGE_PAGE - 1 };
	uint64_t step = tb_scaled(20) < 20 ? 7 : 1;
	unsigned int nr_wrong = 0, nr = 0;
	struct damage damage;

	if (!make_image() || !open_whole())
		return;
	for (uint64_t page = 0; page < image.size / IMAGE_PAGE; page += step)
		for (unsigned int i = 0; i < sizeof(within) / sizeof(within[0]); i++, nr++) {
			damage = (struct damage) { .size = image.size };
			cut_at(&damage, page * IMAGE_PAGE + within[i]);
			make_front(&damage);
			harvest(variant_fd, &now);
			judge_variant(nr, &damage, &nr_wrong);
			restore(&damage);
		}
	tb_note("%u ends", nr);
	TB_ASSERT_EQUAL(nr_wrong, 0);
	close_whole();
}

/* A dump file and a copy of it to come back to. */
struct dump {
	int fd;
	uint8_t *bytes, *copy;
	uint64_t size, descriptors;		/* where the bitmaps end */
	struct dump_page *page;
};

static bool open_dump(struct dump *dump, enum dump_format format)
{
	dump->fd = memfd_create("dump", MFD_CLOEXEC);
	dump->page = calloc(image.size / IMAGE_PAGE, sizeof(*dump->page));
	CU_ASSERT_FATAL(dump->fd >= 0 && dump->page != NULL);
	CU_ASSERT_FATAL(dump_write(dump->fd, &image, format, false, dump->page));
	dump->size = (uint64_t) lseek(dump->fd, 0, SEEK_END);
	dump->bytes = mmap(NULL, dump->size, PROT_READ | PROT_WRITE, MAP_SHARED, dump->fd, 0);
	dump->copy = malloc(dump->size);
	CU_ASSERT_FATAL(dump->bytes != MAP_FAILED && dump->copy != NULL);
	memcpy(dump->copy, dump->bytes, dump->size);
	dump->descriptors = dump->size;
	for (uint64_t i = 0; i < image.size / IMAGE_PAGE; i++)
		if (dump->page[i].size && dump->page[i].descriptor < dump->descriptors)
			dump->descriptors = dump->page[i].descriptor;
	harvest(dump->fd, &now);
	TB_ASSERT_EQUAL(now.nr, whole.nr);
	return now.nr == whole.nr;
}

static void close_dump(struct dump *dump)
{
	munmap(dump->bytes, dump->size);
	close(dump->fd);
	free(dump->copy);
	free(dump->page);
}

/* Bytes of the file from at on are not what they were: which pages is that? */
static void touch_bytes(const struct dump *dump, struct damage *damage, uint64_t at, uint64_t size)
{
	for (uint32_t i = 0; i < image.size / IMAGE_PAGE; i++) {
		const struct dump_page *page = &dump->page[i];

		if (page->size && ((page->offset < at + size && page->offset + page->size > at) ||
				   (page->descriptor < at + size && page->descriptor + 24 > at)))
			touch(damage, i);
	}
	if (at < dump->descriptors || damage->nr == MAX_TOUCHED)
		damage->everything = true;
}

static void damage_dump(const struct dump *dump, struct damage *damage)
{
	uint64_t nr = 1 + tb_random_below(16), at;

	*damage = (struct damage) { .size = image.size };
	switch (tb_random_below(8)) {
	case 0:
		/* The header, the sub header, a bitmap. */
		at = tb_random_below(2) ? tb_random_below(512) : tb_random_below(dump->descriptors);
		break;
	case 1:
		at = tb_random_below(dump->size);
		CU_ASSERT(ftruncate(dump->fd, (off_t) at) == 0);
		touch_bytes(dump, damage, at, dump->size - at);
		return;
	case 2:
	case 3:
		do
			at = dump->page[random_page()].descriptor;
		while (!at);
		at += tb_random_below(24);
		break;
	default:
		at = dump->descriptors + tb_random_below(dump->size - dump->descriptors - nr);
	}
	for (uint64_t i = 0; i < nr; i++)
		dump->bytes[at + i] = tb_random_below(2) ? (uint8_t) tb_random() : 0xff;
	touch_bytes(dump, damage, at, nr);
}

/* Damage to the dump's own words: its header, bitmaps, descriptors, compressed pages. */
static void dumps(void)
{
	struct damage damage;
	unsigned int nr_wrong = 0, nr = 0;
	long before;

	if (!make_image() || !open_whole())
		return;
	before = memory_kb();
	for (enum dump_format format = DUMP_STORED; format < DUMP_NR_FORMATS; format++) {
		struct dump dump;

		if (!dump_can_write(format) || !open_dump(&dump, format))
			continue;
		for (unsigned int i = 0; i < NR_VARIANTS / 8 + 1; i++, nr++) {
			damage_dump(&dump, &damage);
			harvest(dump.fd, &now);
			judge_variant(nr, &damage, &nr_wrong);
			CU_ASSERT(ftruncate(dump.fd, (off_t) dump.size) == 0);
			memcpy(dump.bytes, dump.copy, dump.size);
		}
		close_dump(&dump);
	}
	tb_note("%u dumps; memory grew by %ld KiB", nr, memory_kb() - before);
	TB_ASSERT_EQUAL(nr_wrong, 0);
	if (!getenv("TB_SANITIZED"))
		CU_ASSERT(memory_kb() - before <= MAX_GROWTH_KB);
	close_whole();
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "variants", variants },
		{ "cuts", cuts },
		{ "dumps", dumps },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("damage", cases);
}
