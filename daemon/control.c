/* SPDX-License-Identifier: MIT */
/*
 * The control file: the only thing that tells processes what is recorded.
 *
 * Invariant: sequence is odd while anything else in the file may be inconsistent, and the writer works from a private
 * copy, so that what others do to the file cannot come back. Written with pwrite(2), never through a mapping: a file
 * that somebody truncated is an error code. The seqlock's order: each pwrite ends in a release of the page's lock that
 * the next one acquires, and the fences say it for the compiler. Partner: the library's copy of the control page.
 */
#define _GNU_SOURCE
#include "control.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "libtracebuf/crc32c.h"
#include "libtracebuf/superblock.h"
#include "reader/ring.h"

static uint64_t now_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static int store(struct tb_control *control, const void *data, size_t size, uint64_t offset)
{
	ssize_t written = pwrite(control->fd, data, size, offset);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (written < 0)
		return -errno;
	return (size_t) written == size ? 0 : -ENOSPC;
}

static int store_sequence(struct tb_control *control)
{
	control->page.sequence++;
	return store(control, &control->page.sequence, sizeof(control->page.sequence),
		     offsetof(struct tracebuf_control, sequence));
}

/* The words between the sequence and the slots. */
static int store_words(struct tb_control *control)
{
	const size_t begin = offsetof(struct tracebuf_control, clock);

	control->page.rules_generation++;
	return store(control, (char *) &control->page + begin, offsetof(struct tracebuf_control, slot) - begin, begin);
}

static uint32_t header_crc(struct tracebuf_superblock sb)
{
	sb.header_crc = 0;
	return tb_crc32c(0, &sb, sizeof(sb));
}

static int make(struct tb_control *control, int dir, enum tracebuf_clock clock)
{
	const char *temporary = ".control.new";
	int ret;

	memset(&control->page, 0, sizeof(control->page));
	tb_superblock_fill(&control->page.sb, TRACEBUF_KIND_CONTROL, sizeof(struct tracebuf_superblock), TRACEBUF_CONTROL_SIZE);
	tb_superblock_seal(&control->page.sb);
	control->page.clock = clock;
	control->page.rules_generation = 1;
	unlinkat(dir, temporary, 0);
	control->fd = openat(dir, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (control->fd < 0)
		return -errno;
	ret = ftruncate(control->fd, TRACEBUF_CONTROL_SIZE) ? -errno : 0;
	if (!ret)
		ret = store(control, &control->page, sizeof(control->page), 0);
	if (!ret && renameat(dir, temporary, dir, "control"))
		ret = -errno;
	return ret;
}

/* Takes over what a killed daemon left. Its slots are known by generation, and whether they were stopped: the rest
   is in each trace's .trace. */
static int take_over(struct tb_control *control)
{
	struct tracebuf_control *page = &control->page;
	struct stat stat;
	int ret;

	if (fstat(control->fd, &stat))
		return -errno;
	if (!S_ISREG(stat.st_mode) || pread(control->fd, page, sizeof(*page), 0) != sizeof(*page))
		return -EBADMSG;
	ret = tb_superblock_check(&page->sb, TRACEBUF_KIND_CONTROL, sizeof(page->sb), stat.st_size);
	if (ret)
		return ret;
	if (page->sb.header_crc != header_crc(page->sb) || page->clock < TRACEBUF_CLOCK_TSC ||
	    page->clock > TRACEBUF_CLOCK_COUNTER)
		return -EBADMSG;
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++) {
		control->was_stopped[i] = page->slot[i].generation && !page->slot[i].active;
		page->slot[i].active = page->slot[i].rules_size = 0;
	}
	/* What the killed one was writing is written again slot by slot: each is right or not there. */
	control->was_cut = page->sequence & 1;
	return control->was_cut ? store_sequence(control) : 0;
}

int tb_control_open(struct tb_control *control, int dir, enum tracebuf_clock clock, bool *ret_found)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	int ret;

	memset(control, 0, sizeof(*control));
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		control->freed_ns[i] = now;
	*ret_found = true;
	control->fd = openat(dir, "control", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ret = control->fd < 0 ? -errno : take_over(control);
	if (ret == -ENOENT || ret == -EBADMSG) {
		tb_control_close(control);
		*ret_found = false;
		/* A new file: no process has seen a slot of it. */
		memset(control->freed_ns, 0, sizeof(control->freed_ns));
		ret = make(control, dir, clock);
	}
	if (ret)
		tb_control_close(control);
	return ret;
}

void tb_control_close(struct tb_control *control)
{
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++) {
		free(control->rules[i]);
		control->rules[i] = NULL;
	}
	if (control->fd >= 0)
		close(control->fd);
	control->fd = -1;
}

int tb_control_set_clock(struct tb_control *control, const struct tb_clock *clock, bool rseq_works)
{
	struct tracebuf_control *page = &control->page;
	uint8_t boot_id[16];
	int ret;

	tb_uuid_parse(clock->boot_id, boot_id);
	page->daemon_pid = getpid();
	/* Another daemon has measured it: processes that are tracing need not wait for a write that changes nothing. */
	if (!control->was_cut && page->clock_frequency && page->rseq_works == rseq_works &&
	    !memcmp(page->boot_id, boot_id, sizeof(boot_id)))
		return store(control, &page->daemon_pid, sizeof(page->daemon_pid),
			     offsetof(struct tracebuf_control, daemon_pid));
	page->clock_frequency = clock->frequency;
	page->clock_ticks = clock->start.ticks;
	page->clock_realtime_ns = clock->start.realtime_ns;
	memcpy(page->boot_id, boot_id, sizeof(boot_id));
	page->rseq_works = rseq_works;
	ret = store_sequence(control);
	if (!ret)
		ret = store_words(control);
	return ret ? ret : store_sequence(control);
}

int tb_control_find_slot(const struct tb_control *control, uint64_t quarantine_ns)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	int best = -EUSERS;

	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++) {
		if (control->page.slot[i].generation)
			continue;
		if (control->freed_ns[i] && now - control->freed_ns[i] < quarantine_ns) {
			if (best < 0)
				best = -EAGAIN;
			continue;
		}
		/* The one that has rested longest. */
		if (best < 0 || control->freed_ns[i] < control->freed_ns[best])
			best = i;
	}
	return best;
}

static int keep_rules(struct tb_control *control, unsigned int number, const void *rules, size_t size)
{
	char *copy = NULL;

	if (size) {
		copy = malloc(size);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, rules, size);
	}
	free(control->rules[number]);
	control->rules[number] = copy;
	return 0;
}

int tb_control_keep(struct tb_control *control, unsigned int number, const struct tracebuf_slot *slot,
		    const void *rules, size_t rules_size)
{
	static const struct tracebuf_slot none;
	struct tracebuf_slot *target = &control->page.slot[number];
	int ret;

	if (rules_size > TRACEBUF_RULES_SIZE)
		return -ENOSPC;
	ret = keep_rules(control, number, rules, rules_size);
	if (ret)
		return ret;
	if (!slot && target->generation)
		control->freed_ns[number] = now_ns(CLOCK_MONOTONIC);
	*target = slot ? *slot : none;
	target->rules_size = rules_size;
	return 0;
}

/* Does the file say just that? */
static bool stands(struct tb_control *control, const void *data, size_t size, uint64_t offset)
{
	void *there = size ? malloc(size) : NULL;
	bool same = !size;

	if (there)
		same = pread(control->fd, there, size, offset) == (ssize_t) size && !memcmp(there, data, size);
	free(there);
	return same;
}

int tb_control_set_slot(struct tb_control *control, unsigned int number, const struct tracebuf_slot *slot,
			const void *rules, size_t rules_size)
{
	uint64_t rules_offset = TRACEBUF_RULES_OFFSET + number * (uint64_t) TRACEBUF_RULES_SIZE;
	struct tracebuf_slot *target = &control->page.slot[number];
	uint64_t offset = (char *) target - (char *) &control->page;
	int ret = tb_control_keep(control, number, slot, rules, rules_size);

	/* As after a restart: while it is written, processes that begin would wait, or go without. */
	if (!ret && stands(control, target, sizeof(*target), offset) && stands(control, rules, rules_size, rules_offset))
		return 0;
	if (!ret)
		ret = store_sequence(control);
	if (!ret)
		ret = store(control, target, sizeof(*target), offset);
	if (!ret && rules_size)
		ret = store(control, rules, rules_size, rules_offset);
	if (!ret)
		ret = store_words(control);
	return ret ? ret : store_sequence(control);
}

uint64_t tb_control_new_generation(struct tb_control *control)
{
	/* Microseconds since 1970: later than those of a daemon that ended in order and took its control file along. */
	uint64_t generation = now_ns(CLOCK_REALTIME) / 1000;

	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (control->page.slot[i].generation >= generation)
			generation = control->page.slot[i].generation + 1;
	return generation;
}
