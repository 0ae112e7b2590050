/* SPDX-License-Identifier: MIT */
#ifndef TB_DESCRIPTION_H
#define TB_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>
#include "layout.h"

/* What one event id means. One allocation; immutable. */
struct tb_event_class {
	uint32_t id;
	uint16_t nr_fields;
	uint8_t loglevel;
	bool fixed;			/* every event's payload has min_size bytes */
	uint32_t min_size;		/* bytes of payload that the shortest event has */
	const char *name;		/* "provider:event": printable ASCII, no space, quotes or backslash */
	struct tb_field field[];
};

/* Event classes by id. Zero-initialised is empty. */
struct tb_events {
	struct tb_event_class **class;	/* [id], NULL where no such event is known */
	uint32_t nr;			/* ids below this can be looked up */
	uint32_t room;			/* entries that class has room for */
};

/* What the packets of a stream may hold. Owns its events. */
struct tb_stream_class {
	uint64_t id;			/* stream_id of its packets */
	uint32_t context;		/* enum tracebuf_context bits */
	bool gaps_filled;		/* where it was read: by tb_metadata_write_gaps() */
	struct tb_events events;
};

/*
 * A class of checked parts; copies all. fields: nr_fields of them. 0, -EBADMSG (a name or type that may not be,
 * two members of one name), -ENOMEM. *ret_class is for free() or tb_events_add(). Any thread.
 */
int tb_event_class_make(uint32_t id, uint8_t loglevel, const char *name, const struct tb_field *fields,
			unsigned int nr_fields, struct tb_event_class **ret_class);

/* Adds class under its id and owns it from then on, on success. 0, -EEXIST, -E2BIG (id too high), -ENOMEM. */
int tb_events_add(struct tb_events *events, struct tb_event_class *class);

void tb_events_free(struct tb_events *events);

static inline const struct tb_event_class *tb_events_find(const struct tb_events *events, uint32_t id)
{
	return id < events->nr ? events->class[id] : NULL;
}

/*
 * The size in bytes of the first nr description records (struct tracebuf_description) of size bytes, by their size
 * words alone: what tb_stream_id() goes over. 0, -EBADMSG.
 */
int tb_descriptions_size(const void *descriptions, size_t size, uint32_t nr, size_t *ret_size);

/*
 * Parses the first nr description records, no two of one id, into *ret_events (tb_events_free() it).
 * descriptions: a private copy of size bytes, which nobody else writes. 0, -EBADMSG (crc, bounds, names: nothing is
 * kept), -ENOMEM. Any thread.
 */
int tb_descriptions_parse(const void *descriptions, size_t size, uint32_t nr, struct tb_events *ret_events);

#endif
