/* SPDX-License-Identifier: MIT */
/*
 * `tracebuf recover` from images that hold halves of a region: what the module hands out as the previous boot's memory,
 * and dumps of all memory, where two boots lie side by side. The halves are made by tests/kept_half.c; no kernel is
 * needed.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tracebuf/abi.h>

#include "../libtracebuf/superblock.h"
#include "fixture.h"
#include "kept_half.h"
#include "reader/salvage.h"
#include "tools/remains.h"

#define SIZE (1u << 20)
#define PHYSICAL 0x18000000ull
#define MAX_SEGMENTS 2
#define IMAGE_PAGE 4096u
/* Of the ring below: three whole sub-buffers of 10 and half of one. */
#define NR_EVENTS 35

static const uint8_t boot_ids[2][16] = { { 0xab, 0xcd, 0xef, 0x01, 0x23 }, { 0x11, 0x22, 0x33, 0x44, 0x55 } };
#define BOOT_0 "abcdef01-2300-0000-0000-000000000000"
#define BOOT_1 "11223344-5500-0000-0000-000000000000"

/* The directory of a case, and the image in it. */
struct image {
	char dir[64], path[96];
};

static bool image_open(struct image *image)
{
	strcpy(image->dir, "/dev/shm/test_previous.XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(image->dir) != NULL);
	snprintf(image->path, sizeof(image->path), "%s/memory", image->dir);
	return true;
}

static void image_close(struct image *image)
{
	remove_tree(image->dir);
}

static const char *below(const struct image *image, const char *name)
{
	static char paths[4][256];
	static unsigned int turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%.100s/%.140s", image->dir, name);
	return path;
}

/* An ELF core of these halves, a segment each. */
static void image_write(const struct image *image, const struct kept_half *halves, size_t nr)
{
	struct {
		Elf64_Ehdr elf;
		Elf64_Phdr segment[MAX_SEGMENTS];
		char rest[4096 - sizeof(Elf64_Ehdr) - MAX_SEGMENTS * sizeof(Elf64_Phdr)];
	} head = { .elf = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_CORE,
			    .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = sizeof(Elf64_Ehdr),
			    .e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = nr } };
	FILE *file = fopen(image->path, "w");
	uint64_t offset = sizeof(head);

	CU_ASSERT_FATAL(file != NULL);
	for (size_t i = 0; i < nr; offset += halves[i++].size)
		head.segment[i] = (Elf64_Phdr) { .p_type = PT_LOAD, .p_offset = offset, .p_paddr = halves[i].physical,
						 .p_filesz = halves[i].size, .p_memsz = halves[i].size };
	CU_ASSERT(fwrite(&head, sizeof(head), 1, file) == 1);
	for (size_t i = 0; i < nr; i++)
		CU_ASSERT(fwrite(halves[i].bytes, halves[i].size, 1, file) == 1);
	CU_ASSERT(fclose(file) == 0);
}

/* Half number boot of a region, with a process and its ring. */
static void half_make(struct kept_half *half, int boot, enum tracebuf_stop reason, struct kept_made *ret_ring)
{
	struct kept_ring ring = { .pid = 100, .incarnation = 7, .generation = 1, .uuid = (uint8_t) (0x10 + boot),
				  .subbuf_size = 4096, .nr_subbufs = 4, .nr_entered = 4, .nr_events = 10 };
	struct kept_made process;

	kept_half_make(half, PHYSICAL + (uint64_t) boot * SIZE, SIZE, 4096, (uint64_t) boot + 1, tb_random() | 1);
	memcpy(ring.boot_id, boot_ids[boot], sizeof(ring.boot_id));
	CU_ASSERT_FATAL(!kept_half_add_process(half, 100, 7, true, &process));
	CU_ASSERT_FATAL(!kept_half_add_ring(half, &ring, ret_ring));
	kept_half_start(half, "kept", 1, boot_ids[boot]);
	if (reason)
		kept_half_stop(half, reason);
}

/* Exit status of recover. option: -o or --into; more: one more option, or NULL. */
static int recover(const struct image *image, const char *option, const char *to, const char *more,
		   struct outcome *ret_outcome)
{
	char tool[512];
	char *argv[] = { tool, "recover", "--vmcore", (char *) image->path, (char *) option, (char *) to, (char *) more,
			 NULL };

	snprintf(tool, sizeof(tool), "%s", build_path("tracebuf"));
	if (!run(ret_outcome, argv, NULL))
		return -1;
	return WIFEXITED(ret_outcome->status) ? WEXITSTATUS(ret_outcome->status) : -1;
}

static void test_half(void)
{
	struct outcome outcome;
	struct kept_made ring;
	struct kept_half half;
	struct image image;

	image_open(&image);
	half_make(&half, 0, TRACEBUF_STOP_PANIC, &ring);
	image_write(&image, &half, 1);
	TB_ASSERT_EQUAL(recover(&image, "-o", below(&image, "out"), NULL, &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "Boot " BOOT_0 " of Linux 6.1.0-test, 4 CPUs"));
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "trace kept started "));
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "ended by a panic "));
	CU_ASSERT_STRING_EQUAL(outcome.err, "");
	outcome_free(&outcome);
	TB_ASSERT_EQUAL(referee(below(&image, "out"), REFEREE_SILENT, NULL), NR_EVENTS);
	TB_ASSERT_EQUAL(recover(&image, "-o", below(&image, "json"), "--json", &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "\"boot\":[{\"number\":1,\"release\":\"6.1.0-test\",\"cpus\":4,"));
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "\"boot_id\":\"" BOOT_0 "\",\"trace\":\"kept\","));
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "\"stopped_by\":\"panic\",\"stop_ns\":"));
	outcome_free(&outcome);
	kept_half_free(&half);
	image_close(&image);
}

/* Nothing was said of the end, or of the begin; or what was said is not right, or is not for a terminal. */
static void test_told(void)
{
	struct tracebuf_region *header;
	struct outcome outcome;
	struct kept_made ring;
	struct kept_half half;
	struct image image;

	image_open(&image);
	half_make(&half, 0, 0, &ring);
	header = (void *) half.bytes;
	image_write(&image, &half, 1);
	TB_ASSERT_EQUAL(recover(&image, "-o", below(&image, "reset"), NULL, &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "its end was not told, as after a reset"));
	outcome_free(&outcome);
	header->start.trace_name[0] ^= 1;
	strcpy(header->release, "6.1\033[31m\n");
	tb_superblock_seal(&header->sb);
	image_write(&image, &half, 1);
	TB_ASSERT_EQUAL(recover(&image, "-o", below(&image, "odd"), NULL, &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "Boot of Linux 6.1?[31m?, 4 CPUs"));
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "no trace was started in it\n"));
	outcome_free(&outcome);
	TB_ASSERT_EQUAL(referee(below(&image, "odd"), REFEREE_SILENT, NULL), NR_EVENTS);
	kept_half_free(&half);
	image_close(&image);
}

/* Two boots, whose traces have the same name and number: each is a trace of its own. */
static void test_boots(void)
{
	struct kept_half halves[2];
	struct outcome outcome;
	struct kept_made ring;
	struct image image;

	image_open(&image);
	half_make(&halves[0], 0, TRACEBUF_STOP_REBOOT, &ring);
	half_make(&halves[1], 1, 0, &ring);
	image_write(&image, halves, 2);
	TB_ASSERT_EQUAL(recover(&image, "-o", below(&image, "out"), NULL, &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "Boot " BOOT_0));
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "Boot " BOOT_1));
	outcome_free(&outcome);
	TB_ASSERT_EQUAL(referee(below(&image, "out/kept-1-abcdef01"), REFEREE_SILENT, NULL), NR_EVENTS);
	TB_ASSERT_EQUAL(referee(below(&image, "out/kept-1-11223344"), REFEREE_SILENT, NULL), NR_EVENTS);
	/* One is wiped: no damage. */
	memset(halves[0].bytes, 0, SIZE);
	image_write(&image, halves, 2);
	TB_ASSERT_EQUAL(recover(&image, "-o", below(&image, "one"), NULL, &outcome), 0);
	CU_ASSERT_PTR_NULL(strstr(outcome.out, BOOT_0));
	outcome_free(&outcome);
	TB_ASSERT_EQUAL(referee(below(&image, "one"), REFEREE_SILENT, NULL), NR_EVENTS);
	/* And of the other the ring was destroyed. */
	memset(halves[1].bytes + ring.offset, 0, 64);
	image_write(&image, halves, 2);
	TB_ASSERT_EQUAL(recover(&image, "-o", below(&image, "none"), NULL, &outcome), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.err, "no ring of a trace is in it"));
	CU_ASSERT_PTR_NULL(strstr(outcome.err, "damaged"));
	outcome_free(&outcome);
	CU_ASSERT(access(below(&image, "none"), F_OK) != 0);
	kept_half_free(&halves[0]);
	kept_half_free(&halves[1]);
	image_close(&image);
}

/* A dump in which boot 0 has left something of its own, damaged, and boot 1 a ring that is whole. */
struct remnant {
	struct image image;
	struct kept_half halves[2];
	struct kept_made rings[2];
};

static void remnant_make(struct remnant *remnant)
{
	image_open(&remnant->image);
	for (int i = 0; i < 2; i++)
		half_make(&remnant->halves[i], i, 0, &remnant->rings[i]);
	/* Ordinary memory, where no half begins. */
	memset(remnant->halves[0].bytes, 0, IMAGE_PAGE);
}

static void remnant_free(struct remnant *remnant)
{
	kept_half_free(&remnant->halves[0]);
	kept_half_free(&remnant->halves[1]);
	image_close(&remnant->image);
}

static uint8_t *root_of(struct remnant *remnant, int half)
{
	return remnant->halves[half].bytes + remnant->rings[half].root;
}

/* Says that half 1's files are of this boot. */
static void remnant_renumber(struct remnant *remnant, uint64_t series, uint64_t number)
{
	struct tracebuf_ring *header = (void *) (remnant->halves[1].bytes + remnant->rings[1].offset);

	header->boot = (struct tracebuf_boot) { series, number };
	tb_superblock_seal(&header->sb);
}

static int remnant_recover(struct remnant *remnant, const char *name, const char *more, struct outcome *ret_outcome)
{
	image_write(&remnant->image, remnant->halves, 2);
	return recover(&remnant->image, "-o", below(&remnant->image, name), more, ret_outcome);
}

/* Pages of a boot before the one that crashed, which have been used again in part, are no damage of the crash. */
static void test_earlier(void)
{
	struct remnant remnant;
	struct outcome outcome;

	remnant_make(&remnant);
	/* A sub-buffer: the others are a trace of its own. */
	kept_half_page(&remnant.halves[0], &remnant.rings[0], TRACEBUF_RING_DATA_OFFSET)[0] ^= 1;
	TB_ASSERT_EQUAL(remnant_recover(&remnant, "data", NULL, &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "Trace kept, of an earlier boot: 25 events"));
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "1 sub-buffers dropped (head damaged: 1)"));
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "Trace kept: 35 events"));
	outcome_free(&outcome);
	TB_ASSERT_EQUAL(referee(below(&remnant.image, "data/kept-1-abcdef01"), REFEREE_SILENT, NULL), 25);
	TB_ASSERT_EQUAL(referee(below(&remnant.image, "data/kept-1-11223344"), REFEREE_SILENT, NULL), NR_EVENTS);
	/* Every sub-buffer: no trace is made of nothing. */
	for (uint64_t seq = 0; seq < 4; seq++)
		kept_half_page(&remnant.halves[0], &remnant.rings[0], TRACEBUF_RING_DATA_OFFSET + seq * 4096)[4] ^= 1;
	TB_ASSERT_EQUAL(remnant_recover(&remnant, "nothing", NULL, &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "Trace kept, of an earlier boot: 0 events of 1 rings\n"));
	outcome_free(&outcome);
	CU_ASSERT(access(below(&remnant.image, "nothing/kept-1-abcdef01"), F_OK) != 0);
	CU_ASSERT(access(below(&remnant.image, "nothing/kept-1-11223344/metadata"), F_OK) == 0);
	/* All of the ring but the page with its header. */
	memset(root_of(&remnant, 0), 0, IMAGE_PAGE);
	TB_ASSERT_EQUAL(remnant_recover(&remnant, "header", NULL, &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "1 headers of rings or processes of an earlier boot were left alone"));
	CU_ASSERT_PTR_NULL(strstr(outcome.out, "damaged"));
	outcome_free(&outcome);
	TB_ASSERT_EQUAL(referee(below(&remnant.image, "header"), REFEREE_SILENT, NULL), NR_EVENTS);
	TB_ASSERT_EQUAL(remnant_recover(&remnant, "json", "--json", &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "\"damaged_headers\":0,\"earlier_headers\":1,"));
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "\"is_of_earlier_boot\":false"));
	outcome_free(&outcome);
	remnant_free(&remnant);
}

/* What is not known to be an earlier boot's counts; and whatever a page says of its boot, nothing whole is left out. */
static void test_not_earlier(void)
{
	struct remnant remnant;
	struct outcome outcome;

	remnant_make(&remnant);
	memset(root_of(&remnant, 0), 0, IMAGE_PAGE);
	/* Another series, none at all, the same boot. */
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = { "other", "none", "same" };

		remnant_renumber(&remnant, i == 2 ? KEPT_SERIES : (uint64_t) !i, i == 2 ? 1 : 7);
		TB_ASSERT_EQUAL(remnant_recover(&remnant, names[i], NULL, &outcome), 4);
		CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "1 headers of rings or processes were damaged"));
		outcome_free(&outcome);
		TB_ASSERT_EQUAL(referee(below(&remnant.image, names[i]), REFEREE_SILENT, NULL), NR_EVENTS);
	}
	/* A header without its ring makes nobody else an earlier boot's. */
	remnant_renumber(&remnant, KEPT_SERIES, 0);
	kept_half_page(&remnant.halves[1], &remnant.rings[1], TRACEBUF_RING_DATA_OFFSET)[0] ^= 1;
	TB_ASSERT_EQUAL(remnant_recover(&remnant, "later", NULL, &outcome), 4);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "Trace kept: 25 events"));
	outcome_free(&outcome);
	remnant_free(&remnant);
}

/* Below a directory by name and boot: once, and whole or not at all. */
static void test_into(void)
{
	struct kept_half halves[2];
	struct outcome outcome;
	struct kept_made ring;
	struct image image;
	struct stat before, after;

	image_open(&image);
	half_make(&halves[0], 0, TRACEBUF_STOP_REBOOT, &ring);
	half_make(&halves[1], 1, 0, &ring);
	image_write(&image, halves, 1);
	/* What a recovery that was cut short left. */
	CU_ASSERT(!mkdir(below(&image, "into"), 0755));
	CU_ASSERT(!mkdir(below(&image, "into/.kept-" BOOT_0 ".part"), 0755));
	CU_ASSERT(!mkdir(below(&image, "into/.kept-" BOOT_0 ".part/index"), 0755));
	TB_ASSERT_EQUAL(recover(&image, "--into", below(&image, "into"), NULL, &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "Trace kept: 35 events of 1 rings, in "));
	outcome_free(&outcome);
	TB_ASSERT_EQUAL(referee(below(&image, "into/kept-" BOOT_0), REFEREE_SILENT, NULL), NR_EVENTS);
	CU_ASSERT(access(below(&image, "into/.kept-" BOOT_0 ".part"), F_OK) != 0);
	CU_ASSERT(!stat(below(&image, "into/kept-" BOOT_0 "/metadata"), &before));
	image_write(&image, halves, 2);
	TB_ASSERT_EQUAL(recover(&image, "--into", below(&image, "into"), NULL, &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "/into/kept-" BOOT_0 " already\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "Trace kept: 35 events of 1 rings, in "));
	outcome_free(&outcome);
	CU_ASSERT(!stat(below(&image, "into/kept-" BOOT_0 "/metadata"), &after));
	CU_ASSERT(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	TB_ASSERT_EQUAL(referee(below(&image, "into/kept-" BOOT_1), REFEREE_SILENT, NULL), NR_EVENTS);
	TB_ASSERT_EQUAL(recover(&image, "--into", below(&image, "into"), "--json", &outcome), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "\"is_known\":true"));
	CU_ASSERT_PTR_NULL(strstr(outcome.out, "\"is_known\":false"));
	outcome_free(&outcome);
	kept_half_free(&halves[0]);
	kept_half_free(&halves[1]);
	image_close(&image);
}

/* A process file twice, as in a dump: the one that is found first does not have all descriptions, or not rightly. */
static void test_twice(void)
{
	struct kept_ring ring = { .pid = 100, .incarnation = 7, .generation = 1, .subbuf_size = 4096, .nr_subbufs = 4,
				  .nr_entered = 4, .nr_events = 10 };
	struct kept_made process, made;
	struct outcome outcome;
	struct kept_half half;
	struct image image;

	image_open(&image);
	kept_half_make(&half, PHYSICAL, SIZE, 4096, 1, 0);
	CU_ASSERT_FATAL(!kept_half_add_process(&half, 100, 7, false, &process));
	CU_ASSERT_FATAL(!kept_half_add_process(&half, 100, 7, true, &process));
	kept_half_page(&half, &process, TRACEBUF_DESCRIPTIONS_OFFSET)[30] ^= 1;
	CU_ASSERT_FATAL(!kept_half_add_ring(&half, &ring, &made));
	image_write(&image, &half, 1);
	TB_ASSERT_EQUAL(recover(&image, "-o", below(&image, "without"), NULL, &outcome), 4);
	CU_ASSERT_PTR_NOT_NULL(strstr(outcome.out, "descriptions of its events are damaged"));
	outcome_free(&outcome);
	CU_ASSERT_FATAL(!kept_half_add_process(&half, 100, 7, true, &process));
	image_write(&image, &half, 1);
	TB_ASSERT_EQUAL(recover(&image, "-o", below(&image, "out"), NULL, &outcome), 0);
	outcome_free(&outcome);
	TB_ASSERT_EQUAL(referee(below(&image, "out"), REFEREE_SILENT, NULL), NR_EVENTS);
	kept_half_free(&half);
	image_close(&image);
}

/* A ring that was found in a damaged image: what came out of it. */
struct harvest {
	uint64_t nr_packets, nr_events;
	uint64_t current;		/* the sub-buffer that was being written, by the ring's position */
	bool wrong;			/* an event that was not written, or one twice */
	uint64_t next;			/* number that the next event has at least */
};

static int take_packet(void *data, const struct tb_salvaged *packet)
{
	struct harvest *harvest = data;
	const char *at = packet->bytes + sizeof(packet->head), *end = packet->bytes + packet->content_size;

	harvest->nr_packets++;
	/* Header, thread id, two longs: see kept_half.h. What was being written last has no sum. */
	for (; at < end; at += 24, harvest->nr_events++) {
		uint64_t number[2];

		if (packet->head.packet_seq_num == harvest->current)
			continue;
		memcpy(number, at + 8, sizeof(number));
		harvest->wrong |= at + 24 > end || number[1] != ~number[0] || number[0] < harvest->next ||
				  number[0] >= NR_EVENTS;
		harvest->next = number[0] + 1;
	}
	return 0;
}

static void harvest_image(const char *path, struct harvest *harvest)
{
	struct tb_remains remains = { 0 };
	struct tb_stream_class class;
	struct tb_salvage salvage;
	char message[512];

	*harvest = (struct harvest) { 0 };
	if (!tb_remains_of_image(path, NULL, NULL, &remains, message, sizeof(message)) && remains.nr_rings) {
		const struct tb_remains_ring *ring = &remains.ring[0];
		const struct tb_remains_process *process = tb_remains_process_of(&remains, ring);

		if (process && !tb_salvage_class(&process->source, ring->info.stream_id, ring->info.context,
						 ring->info.nr_descriptions, &class)) {
			tb_source_read(&ring->source, TRACEBUF_RING_PRODUCER_OFFSET, &harvest->current, 8);
			harvest->current /= ring->info.subbuf_size;
			tb_salvage_ring(&ring->source, &ring->info, &class, take_packet, harvest, &salvage);
			tb_events_free(&class.events);
		}
	}
	tb_remains_free(&remains);
}

static void damage(struct kept_half *half)
{
	uint8_t *page = half->bytes + (1 + tb_random_below(half->size / IMAGE_PAGE - 1)) * IMAGE_PAGE;
	uint8_t *other = half->bytes + half->order[tb_random_below(half->nr_used)] * IMAGE_PAGE;
	uint64_t *words = (uint64_t *) other;

	switch (tb_random_below(5)) {
	case 0:
		memcpy(other, page, IMAGE_PAGE);
		break;
	case 1:
		memset(other, (int) tb_random(), IMAGE_PAGE);
		break;
	case 2:
		words[tb_random_below(IMAGE_PAGE / 8)] = half->physical + (uint64_t) (page - half->bytes);
		break;
	default:
		/* Where something is, mostly. */
		other[tb_random_below(tb_random_below(2) ? 600 : IMAGE_PAGE)] ^= (uint8_t) (1u << tb_random_below(8));
	}
}

/*
 * What the module counts as good is what recovery gets, damaged or not: but for the sub-buffer that was being written,
 * whose events the module does not decode. And no event comes out that was not written.
 */
static void test_damage(void)
{
	uint64_t nr = tb_scaled(500), nr_less = 0;
	struct image image;

	image_open(&image);
	for (uint64_t i = 0; i < nr; i++) {
		struct tb_kept_report report;
		struct harvest harvest;
		struct kept_made ring;
		struct kept_half half;
		struct tb_kept seen;

		half_make(&half, 0, 0, &ring);
		for (uint64_t left = 1 + tb_random_below(4); left; left--)
			damage(&half);
		seen = kept_half_seen(&half);
		image_write(&image, &half, 1);
		harvest_image(image.path, &harvest);
		CU_ASSERT(!harvest.wrong);
		if (!tb_kept_check(&seen, NULL, NULL, &report) && report.nr_rings && harvest.nr_packets) {
			CU_ASSERT(harvest.nr_packets <= report.nr_good && report.nr_good <= harvest.nr_packets + 1);
			nr_less += harvest.nr_events < NR_EVENTS;
		}
		kept_half_free(&half);
	}
	CU_ASSERT(nr_less > 0);
	tb_note("%" PRIu64 " of %" PRIu64 " lost some events, and not all", nr_less, nr);
	image_close(&image);
}

/* What cannot be asked. */
static void test_usage(void)
{
	static const struct {
		const char *options[6];
		const char *says;
	} rows[] = {
		{ { "--previous-boot", NULL }, "where to?" },
		{ { "--previous-boot", "-o", "/tmp/x", "--into", "/tmp/y", NULL }, "where to?" },
		{ { "--previous-boot", "--rundir", "/tmp/x", "-o", "/tmp/y", NULL }, "from what?" },
		{ { "--vmcore", "/tmp/x", "--into", "/tmp/y", "--merge=/tmp/z", NULL }, "--merge" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char tool[512], *argv[10] = { tool, "recover" };
		struct outcome outcome;

		snprintf(tool, sizeof(tool), "%s", build_path("tracebuf"));
		for (size_t j = 0; rows[i].options[j]; j++)
			argv[2 + j] = (char *) rows[i].options[j];
		CU_ASSERT_FATAL(run(&outcome, argv, NULL));
		CU_ASSERT(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 2);
		CU_ASSERT_PTR_NOT_NULL(strstr(outcome.err, rows[i].says));
		outcome_free(&outcome);
	}
}

/* The daemon's first line on stderr, which comes from err; it goes on meanwhile. */
static void read_line(int err, char *line, size_t size)
{
	size_t length = 0;

	while (length < size - 1 && read(err, line + length, 1) == 1 && line[length] != '\n')
		length++;
	line[length] = '\0';
}

/* A daemon that is to save what is not there says so, once, and serves. */
static void test_daemon(void)
{
	char dir[64] = "/tmp/test_previous.XXXXXX", daemon[512], rundir[96], into[96], line[512];
	char *argv[] = { daemon, "--rundir", rundir, "--home", "tmpfs", "--save-previous", into, NULL };
	struct client_reply reply;
	int fds[2], status;
	pid_t pid;

	CU_ASSERT_FATAL(mkdtemp(dir) != NULL && pipe2(fds, O_CLOEXEC) == 0);
	snprintf(daemon, sizeof(daemon), "%s", build_path("tracebufd"));
	snprintf(rundir, sizeof(rundir), "%s/run", dir);
	snprintf(into, sizeof(into), "%s/into", dir);
	pid = fork();
	if (!pid) {
		die_with_test();
		dup2(fds[1], STDERR_FILENO);
		execv(argv[0], argv);
		_exit(99);
	}
	close(fds[1]);
	read_line(fds[0], line, sizeof(line));
	/* In a virtual machine with the module there may be something. */
	if (access(TRACEBUF_DEVICE, F_OK) != 0)
		CU_ASSERT_STRING_EQUAL(line, "tracebufd: nothing is saved: no previous boot: tracebuf.ko is not loaded");
	CU_ASSERT(!client_request(rundir, "shutdown", (const char *const[]) { NULL }, &reply) && !reply.code);
	client_reply_free(&reply);
	status = await(pid);
	CU_ASSERT(WIFEXITED(status) && !WEXITSTATUS(status));
	read_line(fds[0], line, sizeof(line));
	CU_ASSERT_STRING_EQUAL(line, "");
	CU_ASSERT(access(into, F_OK) != 0);
	close(fds[0]);
	remove_tree(dir);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "a half", test_half },
		{ "what the half tells", test_told },
		{ "two boots", test_boots },
		{ "an earlier boot's remains", test_earlier },
		{ "not an earlier boot's", test_not_earlier },
		{ "into a directory, once", test_into },
		{ "a process twice", test_twice },
		{ "a damaged half", test_damage },
		{ "usage", test_usage },
		{ "a daemon that saves nothing", test_daemon },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_previous", tests);
}
