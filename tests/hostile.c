/* SPDX-License-Identifier: MIT */
/*
 * A process that means harm: "hostile SHARED ACTION SEED ROUNDS". It traces, and between its events attacks the daemon
 * by all that is its own: its process file, its rings, and the names it may make beside them. It may well destroy
 * itself; nobody asks how it ends.
 *
 *   scribble   random bytes over random places of its pages
 *   lie        hostile numbers in the words that the daemon reads
 *   truncate   its files to random sizes, and longer again
 *   replace    its files by links, FIFOs, directories and sockets
 *   litter     files with names that mean nothing, or something else
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared.h"

#include <tracebuf/abi.h>
#include <tracebuf/tracepoint.h>

/*
 * This program dies by what it does to its own pages, at any place. A sanitizer that reports that may wait for ever for
 * a lock of its own that it was holding.
 */
__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
	return "handle_segv=0:handle_sigbus=0";
}

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "handle_segv=0:handle_sigbus=0";
}

TRACEBUF_EVENT(hostile, event, (uint32_t, writer), (uint64_t, seq), (uint64_t, sum));

#define MAX_FILES 64
#define TIME_LIMIT_S 15

static char files[MAX_FILES][256];
static unsigned int nr_files;
static uint64_t state;

static uint64_t rnd(void)
{
	return tick_mix(state += 0x9e3779b97f4a7c15ull);
}

/* Numbers that break who trusts them. */
static uint64_t evil(void)
{
	static const uint64_t numbers[] = {
		0, 1, 7, 4095, 4096, 4097, 65536, 1u << 30, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 40, 1ull << 62,
		0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffff000,
	};

	return rnd() % 4 ? numbers[rnd() % (sizeof(numbers) / sizeof(numbers[0]))] : rnd();
}

static void find_files(const char *path)
{
	char prefix[16], below[256];
	DIR *dir = opendir(path);
	struct dirent *entry;

	snprintf(prefix, sizeof(prefix), "%d-", (int) getpid());
	while (dir && (entry = readdir(dir)) && nr_files < MAX_FILES) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%.120s/%.120s", path, entry->d_name);
		if (entry->d_type == DT_DIR)
			find_files(below);
		else if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			memcpy(files[nr_files++], below, sizeof(below));
	}
	if (dir)
		closedir(dir);
}

static bool is_ring(const char *path)
{
	return strstr(path, "/rings/") != NULL;
}

/* Offsets that the daemon reads words at: heads of pages and of sub-buffers. */
static uint64_t word_offset(const char *path, uint64_t size)
{
	static const uint64_t places[] = { 0, TRACEBUF_RING_PRODUCER_OFFSET, TRACEBUF_RING_CONSUMER_OFFSET,
					   TRACEBUF_RING_DATA_OFFSET };
	uint64_t place = is_ring(path) ? places[rnd() % 4] : rnd() % 2 ? 0 : TRACEBUF_DESCRIPTIONS_OFFSET;

	if (place == TRACEBUF_RING_DATA_OFFSET)
		place += rnd() % 4 * 4096;
	return (place + rnd() % 520 / 8 * 8) % (size - 8);
}

static void write_words(const char *path, unsigned int nr, bool anywhere)
{
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint64_t size, word;
	struct stat st;

	if (fd < 0)
		return;
	size = fstat(fd, &st) || !S_ISREG(st.st_mode) ? 0 : (uint64_t) st.st_size;
	while (size > 4096 && nr--) {
		word = anywhere ? rnd() : evil();
		if (pwrite(fd, &word, 1 + rnd() % 8, (off_t) (anywhere ? rnd() % (size - 8) : word_offset(path, size))) < 0)
			break;
	}
	close(fd);
}

static void scribble(const char *path)
{
	write_words(path, 64, rnd() % 2);
}

static void lie(const char *path)
{
	write_words(path, 4, false);
}

static void cut(const char *path)
{
	if (truncate(path, (off_t) (rnd() % 3 ? rnd() % (1 << 18) : evil() >> 24)))
		return;
	if (rnd() % 2 && truncate(path, 1 << 20))
		return;
}

static void replace(const char *path)
{
	unlink(path);
	switch (rnd() % 5) {
	case 0:
		if (symlink("/etc/passwd", path))
			return;
		break;
	case 1:
		if (symlink("/dev/zero", path))
			return;
		break;
	case 2:
		mkfifo(path, 0600);
		break;
	case 3:
		mkdir(path, 0700);
		break;
	default:
		mknod(path, S_IFSOCK | 0600, 0);
	}
	if (rnd() % 2) {
		unlink(path);
		rmdir(path);
	}
}

static void litter(const char *path)
{
	static const char *const names[] = {
		"0-0", "-1-0", "1-1", "99999999999999999999-1", "1-ffffffffffffffffff", "%s%n", "a\nb", "1-1-99-0-0",
		"1-1-0-99999-0", "1-1-0-0-4294967296", "2147483648-1-0-0-0", "x", "..x",
	};
	char name[512], made[512], junk[4096];
	int fd;

	snprintf(name, sizeof(name), "%s", path);
	snprintf(strrchr(name, '/') + 1, 200, "%s", names[rnd() % (sizeof(names) / sizeof(names[0]))]);
	snprintf(made, sizeof(made), "%s", path);
	snprintf(strrchr(made, '/') + 1, 64, ".hostile-%u", (unsigned int) (rnd() % 100));
	fd = open(made, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	memset(junk, (int) rnd(), sizeof(junk));
	if (write(fd, junk, sizeof(junk)) < 0 || ftruncate(fd, (off_t) (evil() >> 20)))
		unlink(made);
	close(fd);
	rename(made, name);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*attack)(const char *path);
	} actions[] = {
		{ "scribble", scribble }, { "lie", lie }, { "truncate", cut }, { "replace", replace }, { "litter", litter },
	};
	unsigned int action = 0, round, nr_rounds, i;
	const char *rundir = getenv("TRACEBUF_RUNDIR");
	uint64_t seq = 0;

	/* It may have told its own library that its ring is full, for ever. */
	alarm(TIME_LIMIT_S);
	if (argc < 5 || !rundir)
		return 2;
	while (action < 5 && strcmp(actions[action].name, argv[2]) != 0)
		action++;
	if (action == 5)
		return 2;
	state = strtoull(argv[3], NULL, 0);
	nr_rounds = (unsigned int) atoi(argv[4]);
	for (round = 0; round < nr_rounds; round++) {
		for (i = 0; i < 300; i++, seq++)
			tracebuf_event(hostile, event, 0, seq, seq);
		if (!nr_files || rnd() % 16 == 0) {
			nr_files = 0;
			find_files(rundir);
		}
		if (nr_files)
			actions[action].attack(files[rnd() % nr_files]);
	}
	return 0;
}
