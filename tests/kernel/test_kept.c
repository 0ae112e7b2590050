/* SPDX-License-Identifier: MIT */
/*
 * What the module makes of a region at load: halves made by hand (tests/kept_half.c) are written into memory reserved
 * by address, through /dev/mem, while no module is there. Which half is kept, that nothing else is written to, what
 * previous/ shows of it, and the same of halves that were spoilt: what kept.c finds in the kernel is what it finds
 * here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "device.h"
#include "tests/harness.h"
#include "tests/kept_half.h"

#define PREVIOUS "/sys/kernel/debug/tracebuf/previous/"
#define ADDRESS 0x18000000ull
#define HALF_SIZE (1ull << 20)
#define PARAMETER "region=2M@0x18000000"
#define RESERVED "18000000-19ffffff : Reserved"
#define MEMORY_OFFSET 4096
#define PID 100
#define INCARNATION 7

static int memory;			/* /dev/mem; then the module has been unloaded */
static char parameter_before[96];	/* of the module as it was loaded */
static struct stat device_before;

static bool is_missing(void)
{
	if (memory <= 0)
		tb_skip("no memory is reserved by address (memmap=32M$0x18000000), or no /dev/mem");
	return memory <= 0;
}

/* ---- Halves ---- */

enum content { NOTHING, GARBAGE, EMPTY, RINGS };

struct made {
	struct kept_half half;
	struct kept_made process, ring[3];
	bool has_rings;
};

static const struct kept_ring wanted[3] = {
	{ .pid = PID, .incarnation = INCARNATION, .generation = 1, .cpu = 0, .instance = 0,
	  .subbuf_size = 4096, .nr_subbufs = 4, .nr_entered = 7, .mode = TRACEBUF_MODE_OVERWRITE },
	{ .pid = PID, .incarnation = INCARNATION, .generation = 1, .cpu = 1, .instance = 1,
	  .subbuf_size = 16384, .nr_subbufs = 2, .nr_entered = 2 },
	{ .pid = PID, .incarnation = INCARNATION, .generation = 1, .cpu = 1, .instance = 2,
	  .subbuf_size = 65536, .nr_subbufs = 2, .nr_entered = 2 },
};

static void make(struct made *made, unsigned int index, enum content content, uint64_t number)
{
	static const uint8_t boot_id[16] = { 0xab };

	kept_half_make(&made->half, ADDRESS + index * HALF_SIZE, HALF_SIZE, (uint32_t) page_size(), number,
		       tb_random() | 1);
	made->has_rings = content == RINGS;
	if (content == NOTHING)
		memset(made->half.bytes, 0, HALF_SIZE);
	for (uint64_t i = 0; content == GARBAGE && i < HALF_SIZE; i += 8)
		memcpy(made->half.bytes + i, &(uint64_t) { tb_random() }, 8);
	if (content != RINGS)
		return;
	kept_half_start(&made->half, "kept", 1, boot_id);
	kept_half_stop(&made->half, TRACEBUF_STOP_PANIC);
	CHECK_IS(kept_half_add_process(&made->half, PID, INCARNATION, true, &made->process), 0);
	for (int i = 0; i < 3; i++)
		CHECK_IS(kept_half_add_ring(&made->half, &wanted[i], &made->ring[i]), 0);
}

static void put(const struct made *made)
{
	CHECK_IS(pwrite(memory, made->half.bytes, HALF_SIZE, (off_t) made->half.physical), HALF_SIZE);
}

static void put_nothing(unsigned int index)
{
	struct made made;

	make(&made, index, NOTHING, 0);
	put(&made);
	kept_half_free(&made.half);
}

/* Is the half in memory what was put there? */
static bool is_untouched(const struct made *made)
{
	unsigned char *bytes = malloc(HALF_SIZE);
	bool result = pread(memory, bytes, HALF_SIZE, (off_t) made->half.physical) == (ssize_t) HALF_SIZE &&
		      !memcmp(bytes, made->half.bytes, HALF_SIZE);

	free(bytes);
	return result;
}

/*
 * Is this half one that was begun, with this number, and that nobody has used? The series is that of what was there; where
 * nothing was, a new one.
 */
static bool is_begun(unsigned int index, uint64_t number)
{
	unsigned char *bytes = malloc(HALF_SIZE);
	struct tb_kept half = { bytes, ADDRESS + index * HALF_SIZE, HALF_SIZE };
	const struct tracebuf_region *header;
	bool result;

	CHECK_IS(pread(memory, bytes, HALF_SIZE, (off_t) half.physical), HALF_SIZE);
	header = tb_kept_header(&half);
	result = CHECK(header != NULL) && CHECK_IS(header->number, number) && CHECK(header->series != 0) &&
		 CHECK_IS(header->series == KEPT_SERIES, number > 1);
	for (uint64_t i = TRACEBUF_REGION_HEADER_SIZE; result && i < HALF_SIZE; i++)
		result = !bytes[i];
	free(bytes);
	return result;
}

/* ---- What is shown ---- */

/* The value of a line "key: value" of info; -ENOENT: there is none. */
static int64_t info(const char *key)
{
	char line[256], start[64];
	int64_t value = -ENOENT;
	FILE *file = fopen(PREVIOUS "info", "re");

	if (!file)
		return -errno;
	snprintf(start, sizeof(start), "%s: ", key);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, start, strlen(start)))
			value = (int64_t) strtoull(line + strlen(start), NULL, 0);
	fclose(file);
	return value;
}

static void check_report(const struct tb_kept_report *report)
{
	CHECK_IS(info("processes"), report->nr_processes);
	CHECK_IS(info("rings"), report->nr_rings);
	CHECK_IS(info("damaged"), report->nr_damaged);
	CHECK_IS(info("subbufs_good"), report->nr_good);
	CHECK_IS(info("subbufs_bad"), report->nr_bad);
}

/* A file of previous/ against what the half says of it, page by page. */
static void check_content(const char *path, const struct tb_kept *half, const struct tb_kept_file *file)
{
	static const unsigned char zeroes[65536];
	unsigned char *bytes = malloc(file->page_size);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_IS(lseek(fd, 0, SEEK_END), file->size);
	for (uint64_t at = 0; at < file->size; at += file->page_size) {
		const void *page = tb_kept_page(half, file, at);
		size_t size = file->size - at < file->page_size ? file->size - at : file->page_size;

		/* Of the holes of a process file not all. */
		if (!page && at % (64 * file->page_size))
			continue;
		if (pread(fd, bytes, size, (off_t) at) != (ssize_t) size || memcmp(bytes, page ? page : zeroes, size)) {
			CHECK_IS(at, -1);
			break;
		}
	}
	CHECK_IS(pread(fd, bytes, 1, (off_t) file->size), 0);
	close(fd);
	free(bytes);
}

struct shown {
	const struct tb_kept *half;
	unsigned int nr_compared;
};

static int compare(void *data, const struct tb_kept_file *file)
{
	struct shown *shown = data;
	const struct tracebuf_process *process = tb_kept_page(shown->half, file, 0);
	const struct tracebuf_ring *ring = (const void *) process;
	char path[256];

	if (file->kind == TRACEBUF_KIND_PROCESS)
		snprintf(path, sizeof(path), PREVIOUS "procs/%d-%llx", process->pid,
			 (unsigned long long) process->incarnation);
	else
		snprintf(path, sizeof(path), PREVIOUS "kept/%d-%llx-%u-%u-%u", ring->pid,
			 (unsigned long long) ring->incarnation, ring->channel, ring->cpu, ring->instance);
	check_content(path, shown->half, file);
	shown->nr_compared++;
	return 0;
}

static void check_memory(const struct made *made)
{
	unsigned char *bytes = malloc(HALF_SIZE);
	int fd = open(PREVIOUS "memory", O_RDONLY | O_CLOEXEC);

	CHECK_IS(pread(fd, bytes, HALF_SIZE, MEMORY_OFFSET), HALF_SIZE);
	CHECK(!memcmp(bytes, made->half.bytes, HALF_SIZE));
	CHECK_IS(info("physical"), made->half.physical);
	close(fd);
	free(bytes);
}

/* ---- Which half is kept ---- */

static const struct choice {
	struct {
		enum content content;
		uint64_t number;
	} half[2];
	int kept;
	uint64_t number;
} choices[] = {
	{ { { NOTHING, 0 }, { NOTHING, 0 } }, -1, 1 },
	{ { { GARBAGE, 0 }, { GARBAGE, 0 } }, -1, 1 },
	{ { { EMPTY, 1 }, { NOTHING, 0 } }, 0, 2 },
	{ { { NOTHING, 0 }, { RINGS, 7 } }, 1, 8 },
	{ { { RINGS, 7 }, { GARBAGE, 0 } }, 0, 8 },
	{ { { EMPTY, 2 }, { EMPTY, 1 } }, 0, 3 },
	/* A boot that came to nothing does not cost the older one. */
	{ { { RINGS, 3 }, { EMPTY, 4 } }, 0, 5 },
	{ { { EMPTY, 9 }, { RINGS, 3 } }, 1, 10 },
	{ { { RINGS, 5 }, { RINGS, 6 } }, 1, 7 },
	{ { { RINGS, 6 }, { RINGS, 5 } }, 0, 7 },
};

static void check_choice(const struct choice *choice)
{
	struct made made[2];

	for (unsigned int i = 0; i < 2; i++) {
		make(&made[i], i, choice->half[i].content, choice->half[i].number);
		put(&made[i]);
	}
	if (!CHECK_IS(device_load_module(PARAMETER), 0))
		return;
	if (choice->kept < 0) {
		CHECK(access(PREVIOUS, F_OK) != 0);
	} else {
		CHECK_IS(info("number"), choice->half[choice->kept].number);
		check_memory(&made[choice->kept]);
	}
	CHECK_IS(device_unload_module(), 0);
	if (choice->kept >= 0)
		CHECK(is_untouched(&made[choice->kept]));
	CHECK(is_begun(choice->kept == 0, choice->number));
	for (unsigned int i = 0; i < 2; i++)
		kept_half_free(&made[i].half);
}

static void test_choice(void)
{
	if (is_missing())
		return;
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
		check_choice(&choices[i]);
}

/* ---- What previous/ has ---- */

static void test_files(void)
{
	struct tb_kept_report report;
	struct shown shown = { .nr_compared = 0 };
	struct made made;
	struct tb_kept half;

	if (is_missing())
		return;
	put_nothing(0);
	make(&made, 1, RINGS, 3);
	put(&made);
	half = kept_half_seen(&made.half);
	shown.half = &half;
	if (!CHECK_IS(device_load_module(PARAMETER), 0))
		return;
	CHECK_IS(tb_kept_check(&half, compare, &shown, &report), 0);
	CHECK_IS(shown.nr_compared, 4);
	check_report(&report);
	CHECK_IS(info("cpus"), 4);
	CHECK_IS(info("generation"), 1);
	CHECK_IS(info("processes"), 1);
	CHECK_IS(info("rings"), 3);
	CHECK_IS(info("subbufs_bad"), 0);
	CHECK_IS(device_unload_module(), 0);
	CHECK(is_untouched(&made));
	kept_half_free(&made.half);
}

/* ---- Spoilt ---- */

/* An address that may be any: of the half, beside it, or none. */
static uint64_t random_address(const struct made *made)
{
	switch (tb_random_below(4)) {
	case 0:
		return made->half.physical + tb_random_below(HALF_SIZE);
	case 1:
		return made->half.physical + HALF_SIZE + tb_random_below(HALF_SIZE);
	case 2:
		return tb_random();
	default:
		return made->half.physical + tb_random_below(HALF_SIZE / page_size()) * page_size();
	}
}

static void spoil(struct made *made)
{
	const struct kept_made *files[4] = { &made->process, &made->ring[0], &made->ring[1], &made->ring[2] };
	const struct kept_made *file = files[tb_random_below(4)];
	uint64_t word = random_address(made);

	switch (tb_random_below(5)) {
	case 0:
		made->half.bytes[file->offset + tb_random_below(512)] ^= 1u << tb_random_below(8);
		break;
	case 1:
		memcpy(kept_half_word(&made->half, file, tb_random_below(file->size)), &word, sizeof(word));
		break;
	case 2:
		memcpy(made->half.bytes + file->root + tb_random_below(page_size() / 8) * 8, &word, sizeof(word));
		break;
	case 3:
		memcpy(made->half.bytes + tb_random_below(HALF_SIZE / page_size()) * page_size(),
		       made->half.bytes + file->offset, page_size());
		break;
	default:
		memcpy(made->half.bytes + page_size() + tb_random_below(HALF_SIZE - page_size() - 8), &word, 8);
	}
}

/* All that is there can be read to its end, whatever is in it. */
static void read_all(void)
{
	static char bytes[1 << 17];
	glob_t found = { .gl_pathc = 0 };

	CHECK_IS(glob(PREVIOUS "*", 0, NULL, &found), 0);
	glob(PREVIOUS "*/*", GLOB_APPEND, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		int fd = open(found.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		uint64_t at = 0;
		ssize_t got;

		while ((got = pread(fd, bytes, sizeof(bytes), (off_t) at)) > 0)
			at += (uint64_t) got * (at > 4 * sizeof(bytes) ? 16 : 1);
		close(fd);
	}
	CHECK(found.gl_pathc >= 3);
	globfree(&found);
}

static void check_spoilt(void)
{
	uint64_t nr = 1 + tb_random_below(8);
	struct tb_kept_report report;
	struct made made;
	struct tb_kept half;

	make(&made, 0, RINGS, 3);
	for (uint64_t i = 0; i < nr; i++)
		spoil(&made);
	put(&made);
	half = kept_half_seen(&made.half);
	if (!CHECK_IS(device_load_module(PARAMETER), 0))
		return;
	if (tb_kept_header(&half) && CHECK_IS(tb_kept_check(&half, NULL, NULL, &report), 0)) {
		check_report(&report);
		read_all();
	} else {
		CHECK_IS(info("number"), -ENOENT);
	}
	CHECK_IS(device_unload_module(), 0);
	if (tb_kept_header(&half))
		CHECK(is_untouched(&made));
	kept_half_free(&made.half);
}

static void test_spoilt(void)
{
	uint64_t nr = tb_scaled(400);

	if (is_missing())
		return;
	for (uint64_t i = 0; i < nr; i++) {
		put_nothing(1);
		check_spoilt();
	}
}

/* ---- Before and after ---- */

static bool is_reserved(void)
{
	FILE *file = fopen("/proc/iomem", "re");
	bool result = false;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		result = result || !strncmp(line, RESERVED, strlen(RESERVED));
	if (file)
		fclose(file);
	return result;
}

static void begin(void)
{
	char before[64] = "";
	FILE *file;

	if (device_is_missing())
		return;
	memory = is_reserved() ? open("/dev/mem", O_RDWR | O_CLOEXEC) : -1;
	if (is_missing())
		return;
	file = fopen("/sys/module/tracebuf/parameters/region", "re");
	if (!CHECK(file && fgets(before, sizeof(before), file)))
		return;
	fclose(file);
	before[strcspn(before, "\n")] = '\0';
	if (strcmp(before, "(null)"))
		snprintf(parameter_before, sizeof(parameter_before), "region=%s", before);
	CHECK_IS(stat(TRACEBUF_DEVICE, &device_before), 0);
	CHECK_IS(device_unload_module(), 0);
}

static void end(void)
{
	if (memory <= 0) {
		tb_skip("nothing was changed");
		return;
	}
	/* No half for who comes next. */
	put_nothing(0);
	put_nothing(1);
	close(memory);
	CHECK_IS(device_load_module(parameter_before), 0);
	CHECK_IS(chown(TRACEBUF_DEVICE, device_before.st_uid, device_before.st_gid), 0);
	CHECK_IS(chmod(TRACEBUF_DEVICE, device_before.st_mode & 07777), 0);
}

/* Without such memory. */
static const CU_TestInfo tests_without[] = {
	{ "what is kept at load", begin },
	CU_TEST_INFO_NULL,
};

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "begin", begin },
		{ "which half is kept", test_choice },
		{ "files", test_files },
		{ "halves that were spoilt", test_spoilt },
		{ "end", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_kept", is_reserved() ? tests : tests_without);
}
