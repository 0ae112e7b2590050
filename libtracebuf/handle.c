/* SPDX-License-Identifier: MIT */
/*
 * The low-level interface, <tracebuf/tracebuf.h>: handles over what the process has anyway.
 *
 * Invariant: a handle owns only the mappings and pins that it made for its caller. Whatever comes in by a call is
 * checked before it is described, since a description that readers refuse would take the trace's stream with it.
 */
#define _GNU_SOURCE
#include "arena.h"
#include "control.h"
#include "process.h"
#include "raw.h"
#include "registry.h"
#include "ring.h"
#include "table.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <tracebuf/tracebuf.h>

#define MAX_LOGLEVEL 14
#define STAGE_SIZE 256

/* A ring that the handle keeps mapped. */
struct kept {
	struct kept *next;
	struct tb_ring *ring;
};

struct tracebuf {
	struct tracebuf_process *process;	/* the whole process file, read-only; NULL until asked for */
	struct kept *kept;
};

struct tracebuf *tracebuf_alloc(void)
{
	struct tracebuf *tracebuf = calloc(1, sizeof(*tracebuf));

	if (tracebuf)
		tb_registry_hold();
	return tracebuf;
}

void tracebuf_free(struct tracebuf *tracebuf)
{
	struct kept *next;

	if (!tracebuf)
		return;
	for (struct kept *kept = tracebuf->kept; kept; kept = next) {
		next = kept->next;
		tb_ring_unpin(kept->ring);
		free(kept);
	}
	if (tracebuf->process)
		munmap(tracebuf->process, TRACEBUF_PROCESS_SIZE);
	free(tracebuf);
	tb_registry_release();
}

const struct tracebuf_control *tracebuf_control_page(const struct tracebuf *tracebuf)
{
	if (!tracebuf)
		return NULL;
	if (!tb_control() && tb_process_can_trace())
		tb_control_map();
	return tb_control();
}

const struct tracebuf_process *tracebuf_process_page(const struct tracebuf *tracebuf)
{
	struct tracebuf *self = (struct tracebuf *) tracebuf;
	struct tracebuf_process *expected = NULL, *map;

	if (!self)
		return NULL;
	if (tracebuf__load_acquire(&self->process))
		return self->process;
	map = tb_process_map();
	if (map && !__atomic_compare_exchange_n(&self->process, &expected, map, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		munmap(map, TRACEBUF_PROCESS_SIZE);
	return tracebuf__load_acquire(&self->process);
}

/* The ring as the handle keeps it, NULL if it does not. */
static struct kept *find_kept(const struct tracebuf *tracebuf, uint32_t row, uint32_t ring_set)
{
	struct kept *kept = tracebuf__load_acquire(&tracebuf->kept);

	while (kept && (kept->ring->row != row || kept->ring->ring_set != ring_set))
		kept = kept->next;
	return kept;
}

const struct tracebuf_ring *
tracebuf_ring_page(struct tracebuf *tracebuf, unsigned int slot, unsigned int channel, unsigned int cpu)
{
	uint32_t ring_set = TRACEBUF_RING_SET(slot, channel);
	struct kept *kept;

	if (!tracebuf || slot >= TRACEBUF_NR_SLOTS || channel >= TRACEBUF_NR_CHANNELS || !tb_table_is_ours() ||
	    cpu >= tb_table_cpu_rows())
		return NULL;
	kept = find_kept(tracebuf, cpu, ring_set);
	if (kept)
		return kept->ring->map;
	kept = malloc(sizeof(*kept));
	if (!kept || tb_ring_pin_existing(cpu, ring_set, &kept->ring)) {
		free(kept);
		return NULL;
	}
	kept->next = tracebuf__load(&tracebuf->kept);
	while (!__atomic_compare_exchange_n(&tracebuf->kept, &kept->next, kept, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	return kept->ring->map;
}

static bool is_identifier(const char *name)
{
	if (!name || !(isalpha((unsigned char) *name) || *name == '_'))
		return false;
	while (isalnum((unsigned char) *name) || *name == '_')
		name++;
	return !*name;
}

/* "provider:event", of bytes that need no quoting anywhere. */
static bool is_event_name(const char *name)
{
	const char *colon = name ? strchr(name, ':') : NULL;

	if (!colon || colon == name || !colon[1] || strchr(colon + 1, ':'))
		return false;
	for (; *name; name++)
		if (!isgraph((unsigned char) *name) || strchr("\"'\\", *name))
			return false;
	return true;
}

static bool is_field(const struct tracebuf_field_description *field)
{
	uint32_t size = field->size;

	if (!is_identifier(field->name) || field->reserved ||
	    field->flags & ~(uint32_t) (TRACEBUF_FIELD_SIGNED | TRACEBUF_FIELD_HEX))
		return false;
	switch (field->type) {
	case TRACEBUF_FIELD_INTEGER:
	case TRACEBUF_FIELD_SEQUENCE:
		return size == 1 || size == 2 || size == 4 || size == 8;
	case TRACEBUF_FIELD_FLOAT:
		return size == 4 || size == 8;
	case TRACEBUF_FIELD_STRING:
		return size == 0;
	}
	return false;
}

/* Would the index-th field's name, or the name that a sequence gives its length, stand twice in the metadata? */
static bool clashes(const struct tracebuf_field_description *fields, unsigned int nr_fields, unsigned int index)
{
	const char *name = fields[index].name;
	size_t size = strlen(name);

	for (unsigned int i = 0; i < nr_fields; i++) {
		const char *other = fields[i].name;

		if (i != index && !strcmp(other, name))
			return true;
		if (fields[index].type == TRACEBUF_FIELD_SEQUENCE && other[0] == '_' &&
		    !strncmp(other + 1, name, size) && !strcmp(other + 1 + size, "_length"))
			return true;
	}
	return false;
}

int tracebuf_event_describe(struct tracebuf *tracebuf, const char *name, const struct tracebuf_field_description *fields,
			    unsigned int nr_fields, unsigned int loglevel)
{
	struct tracebuf__field described[TRACEBUF_MAX_FIELDS];
	const struct tracebuf_enable *record;
	int saved = errno, result;

	if (!tracebuf || !is_event_name(name) || loglevel > MAX_LOGLEVEL || (nr_fields && !fields))
		return -EINVAL;
	if (nr_fields > TRACEBUF_MAX_FIELDS)
		return -E2BIG;
	for (unsigned int i = 0; i < nr_fields; i++) {
		if (!is_field(&fields[i]))
			return -EINVAL;
		described[i] = (struct tracebuf__field) {
			fields[i].type, fields[i].size, fields[i].flags, 0, fields[i].name,
		};
	}
	for (unsigned int i = 0; i < nr_fields; i++)
		if (clashes(fields, nr_fields, i))
			return -EINVAL;
	record = tb_registry_describe(name, described, nr_fields, loglevel, &result);
	errno = saved;
	return record ? (int) record->id : result;
}

int tracebuf_event_is_enabled(const struct tracebuf *tracebuf, int id)
{
	const struct tracebuf_enable *record = tracebuf ? tb_registry_record(id) : NULL;

	return record && tracebuf__enabled(record);
}

void tracebuf_event_write(struct tracebuf *tracebuf, int id, const void *payload, size_t size)
{
	const struct tracebuf_enable *record = tracebuf ? tb_registry_record(id) : NULL;
	struct tracebuf__part part = { payload, size, TRACEBUF__PART_BYTES, 0 };
	uint64_t stage[STAGE_SIZE / 8];

	if (!record || !tracebuf__enabled(record))
		return;
	if (size > STAGE_SIZE) {
		tracebuf__write(record, &part, 1, __builtin_return_address(0));
		return;
	}
	memcpy(stage, payload, size);
	tracebuf__write_staged(record, stage, size, __builtin_return_address(0));
}
