/* SPDX-License-Identifier: MIT */
/*
 * `tracebuf recover` reads every format in which memory is kept: raw images that begin anywhere, ELF, makedumpfile's
 * with each compression, with all pages or only those that it keeps at -d 31, flattened or not, and cores that zstd has
 * compressed. What comes out is the same, to the byte. And what is none of these is refused by one line.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dump_file.h"
#include "ledger.h"
#include "worker.h"

#define NR_PROGRAMS 2
#define THREADS 2

static struct fixture fixture;
static struct memory_image image;

/* Programs at full speed, killed: what their rings hold, in an image of memory from base on. */
static bool make_image(uint64_t base)
{
	struct tick_shared *shared;
	pid_t pids[NR_PROGRAMS];
	unsigned int i;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "overwrite", 16384, 8, true))
		return false;
	shared = worker_shared(&fixture);
	for (i = 0; i < NR_PROGRAMS; i++)
		pids[i] = worker_start(&fixture, "traced", i * THREADS, THREADS, 0, "mixed");
	for (i = 0; i < NR_PROGRAMS * THREADS; i++)
		worker_await_returned(shared, i, 1000);
	fixture_kill(&fixture);
	for (i = 0; i < NR_PROGRAMS; i++) {
		kill(pids[i], SIGKILL);
		await(pids[i]);
	}
	CU_ASSERT_FATAL(image_make(&image, fixture.rundir, base, 0));
	return true;
}

static void end_image(void)
{
	image_free(&image);
	fixture_close(&fixture);
}

/* Runs PROGRAM [recover] --vmcore FILE -o OUT; its exit code. What it prints must be a line, if it fails. */
static int recover(const char *program, const char *verb, const char *file, const char *out)
{
	char tool[512];
	char *argv[] = { tool, "--vmcore", (char *) file, "-o", (char *) out, NULL, NULL };
	char *with_verb[] = { tool, (char *) verb, "--vmcore", (char *) file, "-o", (char *) out, NULL };
	struct outcome outcome;
	int code;

	snprintf(tool, sizeof(tool), "%s", build_path(program));
	if (!run(&outcome, verb ? with_verb : argv, NULL))
		return -1;
	CU_ASSERT(WIFEXITED(outcome.status));
	code = WIFEXITED(outcome.status) ? WEXITSTATUS(outcome.status) : -1;
	if (code == 1) {
		CU_ASSERT(outcome.out[0] == '\0' && access(out, F_OK) != 0);
		CU_ASSERT(strchr(outcome.err, '\n') == outcome.err + strlen(outcome.err) - 1);
		tb_note("%.*s", (int) strcspn(outcome.err, "\n"), outcome.err);
	} else {
		CU_ASSERT(outcome.err[0] == '\0');
	}
	outcome_free(&outcome);
	return code;
}

static bool same_tree(const char *a, const char *b)
{
	char *argv[] = { "diff", "-r", (char *) a, (char *) b, NULL };
	struct outcome outcome;
	bool same;

	if (!run(&outcome, argv, NULL))
		return false;
	same = WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 0;
	if (!same)
		tb_note("%.500s", outcome.out);
	outcome_free(&outcome);
	return same;
}

/* What the raw image gives: all others must give the same. */
static bool recover_reference(char *path, size_t size)
{
	char file[96];
	int fd;

	snprintf(file, sizeof(file), "%s/raw", fixture.dir);
	snprintf(path, size, "%s/reference", fixture.dir);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && dump_write(fd, &image, DUMP_RAW, true, NULL));
	close(fd);
	TB_ASSERT_EQUAL(recover("tracebuf", "recover", file, path), 0);
	CU_ASSERT(referee(path, REFEREE_SILENT, NULL) > 0);
	return true;
}

static void compare(const char *program, const char *verb, const char *file, const char *reference)
{
	char out[96];

	snprintf(out, sizeof(out), "%s/out", fixture.dir);
	TB_ASSERT_EQUAL(recover(program, verb, file, out), 0);
	CU_ASSERT(same_tree(reference, out));
	remove_tree(out);
}

static void try_dump(enum dump_format format, bool all, const char *reference)
{
	char file[96], flat[96], packed[96];
	int fd, to, squeezed;
	bool is_squeezed;

	snprintf(file, sizeof(file), "%s/dump", fixture.dir);
	snprintf(flat, sizeof(flat), "%s/flat", fixture.dir);
	snprintf(packed, sizeof(packed), "%s/packed", fixture.dir);
	fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	to = open(flat, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	squeezed = open(packed, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && to >= 0 && squeezed >= 0);
	CU_ASSERT(dump_write(fd, &image, format, all, NULL) && dump_flatten(fd, to));
	is_squeezed = format == DUMP_ELF && dump_squeeze(fd, squeezed);
	close(fd);
	close(to);
	close(squeezed);
	compare("tracebuf", "recover", file, reference);
	compare("tracebuf", "recover", flat, reference);
	if (is_squeezed)
		compare("tracebuf", "recover", packed, reference);
	if (format <= DUMP_ELF && access(build_path("tracebuf-recover"), X_OK) == 0)
		compare("tracebuf-recover", NULL, file, reference);
}

static void formats_from(uint64_t base)
{
	char reference[96];

	if (!make_image(base) || !recover_reference(reference, sizeof(reference)))
		return;
	for (enum dump_format format = DUMP_RAW; format < DUMP_NR_FORMATS; format++) {
		if (!dump_can_write(format)) {
			tb_note("format %s: this build lacks what makes it", dump_format_name(format));
			continue;
		}
		try_dump(format, true, reference);
		if (format != DUMP_RAW)
			try_dump(format, false, reference);
	}
	end_image();
}

static void formats(void)
{
	formats_from(0);
}

/* arm64's RAM begins at 1 GiB. A raw image does not say so; its superblocks do. */
static void formats_high(void)
{
	formats_from(1ull << 30);
}

static void write_file(const char *path, const void *bytes, size_t size, off_t length)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0);
	TB_ASSERT_EQUAL(pwrite(fd, bytes, size, 0), size);
	CU_ASSERT(ftruncate(fd, length) == 0);
	close(fd);
}

/* No tracebuf in it: rubbish, in every format. */
static void nothing_inside(const char *file, const char *out)
{
	struct memory_image empty = { .size = 64 * IMAGE_PAGE };
	int fd;

	empty.bytes = malloc(empty.size);
	empty.page = calloc(64, sizeof(*empty.page));
	CU_ASSERT_FATAL(empty.bytes != NULL && empty.page != NULL);
	for (size_t i = 0; i < empty.size / 8; i++)
		((uint64_t *) empty.bytes)[i] = tb_random();
	for (enum dump_format format = DUMP_RAW; format < DUMP_NR_FORMATS; format++) {
		if (!dump_can_write(format))
			continue;
		fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		CU_ASSERT(fd >= 0 && dump_write(fd, &empty, format, true, NULL));
		close(fd);
		TB_ASSERT_EQUAL(recover("tracebuf", "recover", file, out), 1);
	}
	image_free(&empty);
}

/* A dump that ends in its headers, wherever. */
static void cut_short(const char *file, const char *out)
{
	static const off_t sizes[] = { 1, 8, 12, 16, 63, 64, 100, 463, 464, 4096, 4100, 8191, 8192, 12288, 16383 };

	for (enum dump_format format = DUMP_ELF; format < DUMP_ZLIB; format++) {
		if (!dump_can_write(format))
			continue;
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

			CU_ASSERT(fd >= 0 && dump_write(fd, &image, format, false, NULL));
			CU_ASSERT(ftruncate(fd, sizes[i]) == 0);
			close(fd);
			TB_ASSERT_EQUAL(recover("tracebuf", "recover", file, out), 1);
		}
	}
}

/* One line each, exit code 1, nothing made. */
static void refusals(void)
{
	char file[96], out[96], self[512];

	if (!make_image(0))
		return;
	snprintf(file, sizeof(file), "%s/file", fixture.dir);
	snprintf(out, sizeof(out), "%s/out", fixture.dir);
	snprintf(self, sizeof(self), "%s", build_path("tracebuf"));
	TB_ASSERT_EQUAL(recover("tracebuf", "recover", "/dev/zero", out), 1);
	TB_ASSERT_EQUAL(recover("tracebuf", "recover", fixture.dir, out), 1);
	TB_ASSERT_EQUAL(recover("tracebuf", "recover", "/nonexistent", out), 1);
	TB_ASSERT_EQUAL(recover("tracebuf", "recover", self, out), 1);
	write_file(file, "", 0, 0);
	TB_ASSERT_EQUAL(recover("tracebuf", "recover", file, out), 1);
	/* A terabyte that nobody has to read: holes. */
	write_file(file, "not a dump", 10, (off_t) 1 << 40);
	TB_ASSERT_EQUAL(recover("tracebuf", "recover", file, out), 1);
	nothing_inside(file, out);
	cut_short(file, out);
	end_image();
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "formats", formats },
		{ "formats_high", formats_high },
		{ "refusals", refusals },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("dumps", cases);
}
