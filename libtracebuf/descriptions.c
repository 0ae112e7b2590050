/* SPDX-License-Identifier: MIT */
/*
 * This process's event descriptions, in the byte form of abi.h, as they go into the process file.
 *
 * Invariant: append-only. (nr, size) is published as one word after the bytes that it counts, and the buffer before
 * the word; a larger buffer begins with the same bytes, and the smaller ones are kept, so whoever reads the word and
 * then the buffer has a whole prefix.
 */
#include "descriptions.h"
#include "arena.h"
#include "crc32c.h"
#include <errno.h>
#include <string.h>

#define FIRST_CAPACITY 8192u
#define MAX_NAME_LENGTH 1024
#define MAX_FIELD_NAME_LENGTH 254	/* with its NUL, a byte of struct tracebuf_field counts it */

static uint8_t *buffer;
static uint32_t capacity;
static uint64_t published, filed;	/* nr << 32 | size */

static struct tb_descriptions prefix(const uint64_t *counts)
{
	uint64_t word = __atomic_load_n(counts, __ATOMIC_SEQ_CST);

	return (struct tb_descriptions) {
		.bytes = tracebuf__load_acquire(&buffer),
		.size = (uint32_t) word,
		.nr = word >> 32,
	};
}

struct tb_descriptions tb_descriptions_now(void)
{
	return prefix(&published);
}

struct tb_descriptions tb_descriptions_filed(void)
{
	return prefix(&filed);
}

void tb_descriptions_set_filed(struct tb_descriptions now)
{
	__atomic_store_n(&filed, (uint64_t) now.nr << 32 | now.size, __ATOMIC_SEQ_CST);
}

static int reserve(uint32_t used, uint32_t more)
{
	uint32_t larger = capacity ? capacity : FIRST_CAPACITY;
	uint8_t *fresh;

	if (used + more <= capacity)
		return 0;
	if (used + more > TRACEBUF_DESCRIPTIONS_SIZE)
		return -ENOSPC;
	while (larger < used + more)
		larger *= 2;
	fresh = tb_arena_alloc(larger);
	if (!fresh)
		return -ENOMEM;
	if (used)
		memcpy(fresh, buffer, used);
	tracebuf__store_release(&buffer, fresh);
	capacity = larger;
	return 0;
}

/* Bytes of the record, or what it cannot be described for. */
static int record_size(const char *name, const struct tracebuf__field *fields, uint32_t nr_fields)
{
	uint64_t size = sizeof(struct tracebuf_description) + nr_fields * sizeof(struct tracebuf_field);

	if (!name || !strchr(name, ':'))
		return -EINVAL;
	if (nr_fields > TRACEBUF_MAX_FIELDS || strlen(name) > MAX_NAME_LENGTH)
		return -E2BIG;
	size += strlen(name) + 1;
	for (uint32_t i = 0; i < nr_fields; i++) {
		if (!fields[i].name || !*fields[i].name)
			return -EINVAL;
		if (strlen(fields[i].name) > MAX_FIELD_NAME_LENGTH)
			return -E2BIG;
		size += strlen(fields[i].name) + 1;
	}
	size = (size + 7) & ~7ull;
	return size <= TRACEBUF_MAX_DESCRIPTION_SIZE ? (int) size : -E2BIG;
}

/* Builds the record at to, which is zeroed. It has no number yet. */
static void build(uint8_t *to, uint32_t size, const char *name, const struct tracebuf__field *fields,
		  uint32_t nr_fields, uint32_t loglevel)
{
	struct tracebuf_description *record = (void *) to;
	struct tracebuf_field *field = (void *) (record + 1);
	char *names = (char *) (field + nr_fields);

	record->size = size;
	record->nr_fields = nr_fields;
	record->name_size = strlen(name) + 1;
	record->loglevel = loglevel;
	memcpy(names, name, record->name_size);
	names += record->name_size;
	for (uint32_t i = 0; i < nr_fields; i++) {
		field[i].type = fields[i].type;
		field[i].size = fields[i].size;
		field[i].flags = fields[i].flags;
		field[i].name_size = strlen(fields[i].name) + 1;
		memcpy(names, fields[i].name, field[i].name_size);
		names += field[i].name_size;
	}
}

/* The same event but for its number? */
static int same(const struct tracebuf_description *a, const struct tracebuf_description *b)
{
	size_t skip = offsetof(struct tracebuf_description, nr_fields);

	return a->size == b->size && !memcmp((const char *) a + skip, (const char *) b + skip, a->size - skip);
}

static int find(const struct tracebuf_description *wanted, struct tb_descriptions now)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < now.nr; i++) {
		const struct tracebuf_description *record = (const void *) (now.bytes + at);

		if (same(record, wanted))
			return i;
		at += record->size;
	}
	return -ENOENT;
}

int tb_descriptions_add(const char *name, const struct tracebuf__field *fields, uint32_t nr_fields, uint32_t loglevel)
{
	struct tb_descriptions now = tb_descriptions_now();
	int size = record_size(name, fields, nr_fields), result;

	if (size < 0)
		return size;
	result = reserve(now.size, size);
	if (result)
		return result;
	memset(buffer + now.size, 0, size);
	build(buffer + now.size, size, name, fields, nr_fields, loglevel);
	now.bytes = buffer;
	result = find((const void *) (buffer + now.size), now);
	if (result >= 0)
		return result;
	if (now.nr >= TRACEBUF_MAX_EVENTS)
		return -ENOSPC;
	tracebuf__store_release(&published, (uint64_t) (now.nr + 1) << 32 | (now.size + size));
	return now.nr;
}

void tb_descriptions_number(struct tb_descriptions have, struct tb_descriptions now)
{
	uint32_t at = have.size;

	for (uint32_t i = have.nr; i < now.nr; i++) {
		struct tracebuf_description *record = (void *) (now.bytes + at);

		record->id = i;
		record->crc = 0;
		record->crc = tb_crc32c(0, record, record->size);
		at += record->size;
	}
}

bool tb_descriptions_have_number(const uint8_t *bytes)
{
	const struct tracebuf_description *record = (const void *) bytes;

	return record->id || record->crc;
}

void tb_descriptions_forget_numbers(uint8_t *bytes, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		struct tracebuf_description *record = (void *) bytes;

		record->id = 0;
		record->crc = 0;
		bytes += record->size;
	}
}

bool tb_descriptions_take_numbers(uint8_t *bytes, const uint8_t *numbered, uint32_t nr)
{
	bool same = true;

	for (uint32_t i = 0; i < nr; i++) {
		struct tracebuf_description *record = (void *) bytes;
		const struct tracebuf_description *other = (const void *) numbered;

		if (tb_descriptions_have_number(bytes) && record->id != other->id)
			same = false;
		record->id = other->id;
		record->crc = other->crc;
		bytes += record->size;
		numbered += record->size;
	}
	return same;
}

const struct tracebuf_description *tb_descriptions_at(struct tb_descriptions now, uint32_t index)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < now.nr; i++) {
		const struct tracebuf_description *record = (const void *) (now.bytes + at);

		if (i == index)
			return record;
		at += record->size;
	}
	return NULL;
}

const char *tb_descriptions_name(struct tb_descriptions now, uint32_t index)
{
	const struct tracebuf_description *record = tb_descriptions_at(now, index);

	return record ? (const char *) (record + 1) + record->nr_fields * sizeof(struct tracebuf_field) : NULL;
}
