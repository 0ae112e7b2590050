/* SPDX-License-Identifier: MIT */
/* Statedumps: what is right passes and is walked whole, every lie is refused. */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../libtracebuf/crc32c.h"
#include "../reader/statedump.h"
#include "harness.h"

static struct tracebuf_statedump head;
static union {
	char bytes[1024];
	struct tracebuf_state first;
} records;

static struct tracebuf_state *add(enum tracebuf_state_kind kind, const char *path)
{
	struct tracebuf_state *state = (void *) (records.bytes + head.size);
	size_t size = (offsetof(struct tracebuf_state, path) + strlen(path) + 1 + 7) & ~(size_t) 7;

	memset(state, 0, size < sizeof(*state) ? sizeof(*state) : size);
	state->size = size < sizeof(*state) ? sizeof(*state) : size;
	state->kind = kind;
	strcpy((char *) state + offsetof(struct tracebuf_state, path), path);
	head.size += state->size;
	return state;
}

static void seal(void)
{
	head.crc = tb_crc32c(0, records.bytes, head.size);
}

static struct tracebuf_state *make(void)
{
	struct tracebuf_state *map;

	memset(&head, 0, sizeof(head));
	memset(&records, 0, sizeof(records));
	head.sequence = 4;
	add(TRACEBUF_STATE_EXECUTABLE, "/bin/true");
	add(TRACEBUF_STATE_THREAD, "a")->tid = 7;
	map = add(TRACEBUF_STATE_MAP, "/usr/lib/x86_64-linux-gnu/libc.so.6");
	map->start = 0x1000;
	map->end = 0x2000;
	map->build_id_size = 20;
	seal();
	return map;
}

static void test_right(void)
{
	static const char *const paths[] = { "/bin/true", "a", "/usr/lib/x86_64-linux-gnu/libc.so.6" };
	const struct tracebuf_state *state;
	size_t offset = 0;
	unsigned int nr = 0;

	make();
	TB_ASSERT_EQUAL(tb_statedump_check(&head, records.bytes, sizeof(records)), 0);
	TB_ASSERT_EQUAL(tb_statedump_check(&head, records.bytes, head.size), 0);
	while ((state = tb_statedump_next(&head, records.bytes, &offset))) {
		TB_ASSERT_EQUAL(state->kind, nr + 1);
		CU_ASSERT_STRING_EQUAL((const char *) state + offsetof(struct tracebuf_state, path), paths[nr]);
		nr++;
	}
	TB_ASSERT_EQUAL(nr, 3);
	TB_ASSERT_EQUAL(offset, head.size);
}

static void test_states(void)
{
	make();
	head.sequence = 0;
	TB_ASSERT_EQUAL(tb_statedump_check(&head, records.bytes, sizeof(records)), -ENOENT);
	head.sequence = 3;
	TB_ASSERT_EQUAL(tb_statedump_check(&head, records.bytes, sizeof(records)), -EAGAIN);
	head.sequence = 2;
	head.size = 0;
	seal();
	TB_ASSERT_EQUAL(tb_statedump_check(&head, records.bytes, 0), 0);
}

#define REFUSED(statement) \
	do { \
		struct tracebuf_state *map = make(); \
		(void) map; \
		statement; \
		seal(); \
		TB_ASSERT_EQUAL(tb_statedump_check(&head, records.bytes, sizeof(records)), -EBADMSG); \
	} while (0)

static void test_lies(void)
{
	REFUSED(records.first.size = 0);
	REFUSED(records.first.size = 56);
	REFUSED(records.first.size = 68);
	REFUSED(records.first.size = 1016);
	REFUSED(records.first.size = head.size - 8);
	REFUSED(records.first.kind = 0);
	REFUSED(records.first.kind = 4);
	REFUSED(map->build_id_size = 21);
	REFUSED(map->end = 0xfff);
	/* A path without an end. */
	REFUSED(memset((char *) map + offsetof(struct tracebuf_state, path), 'x',
		       map->size - offsetof(struct tracebuf_state, path)));
	REFUSED(head.size -= 8);
	make();
	TB_ASSERT_EQUAL(tb_statedump_check(&head, records.bytes, head.size - 1), -EBADMSG);
	head.size = TRACEBUF_STATEDUMP_SIZE;
	TB_ASSERT_EQUAL(tb_statedump_check(&head, records.bytes, SIZE_MAX), -EBADMSG);
}

/* Any bytes: refused, or walked to their end. The copy has just its size, so that a sanitizer sees what is behind. */
static void test_noise(void)
{
	for (uint64_t round = 0; round < tb_scaled(20000); round++) {
		const struct tracebuf_state *state;
		size_t offset = 0;
		char *copy;

		make();
		for (unsigned int i = tb_random_below(4) + 1; i; i--)
			records.bytes[tb_random_below(head.size)] = tb_random();
		seal();
		copy = malloc(head.size);
		memcpy(copy, records.bytes, head.size);
		if (!tb_statedump_check(&head, copy, head.size)) {
			while ((state = tb_statedump_next(&head, copy, &offset)))
				CU_ASSERT_FATAL(strlen((const char *) state + offsetof(struct tracebuf_state, path)) < state->size);
			TB_ASSERT_EQUAL(offset, head.size);
		}
		free(copy);
	}
}

/* One flipped bit of the records is noticed by the crc alone. */
static void test_flipped(void)
{
	make();
	for (size_t bit = 0; bit < head.size * 8; bit++) {
		records.bytes[bit / 8] ^= 1 << bit % 8;
		CU_ASSERT(tb_statedump_check(&head, records.bytes, sizeof(records)) == -EBADMSG);
		records.bytes[bit / 8] ^= 1 << bit % 8;
	}
}

int main(void)
{
	const CU_TestInfo tests[] = {
		{ "right", test_right }, { "states", test_states }, { "lies", test_lies }, { "noise", test_noise },
		{ "flipped", test_flipped }, CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_reader_statedump", tests);
}
