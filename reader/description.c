/* SPDX-License-Identifier: MIT */
/*
 * Event classes: what an event id means, made of the description records that processes keep beside their rings, or of
 * a trace's metadata. Both are hostile: a process may write anything over its own pages.
 *
 * Invariant: a struct tb_event_class that exists can be written into TSDL and JSON as it is and decoded without
 * further checks: see layout.c. What cannot be so is refused when it is made.
 */
#include "description.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../libtracebuf/crc32c.h"

/* Copies fields into class, their names to *names, and sums up the payload's size. */
static void copy_fields(struct tb_event_class *class, const struct tb_field *fields, char *names)
{
	for (unsigned int i = 0; i < class->nr_fields; i++) {
		size_t name_size = strlen(fields[i].name) + 1;

		class->field[i] = fields[i];
		class->field[i].name = memcpy(names, fields[i].name, name_size);
		names += name_size;
		switch (fields[i].type) {
		case TRACEBUF_FIELD_STRING:
			class->fixed = false;
			class->min_size += 1;
			break;
		case TRACEBUF_FIELD_SEQUENCE:
			class->fixed = false;
			class->min_size += 4;
			break;
		default:
			class->min_size += fields[i].size;
		}
	}
}

int tb_event_class_make(uint32_t id, uint8_t loglevel, const char *name, const struct tb_field *fields,
			unsigned int nr_fields, struct tb_event_class **ret_class)
{
	size_t name_size = strlen(name) + 1, names_size = name_size;
	struct tb_event_class *class;
	char *names;

	if (!tb_layout_is_right(name, fields, nr_fields))
		return -EBADMSG;
	for (unsigned int i = 0; i < nr_fields; i++)
		names_size += strlen(fields[i].name) + 1;
	class = malloc(sizeof(*class) + nr_fields * sizeof(class->field[0]) + names_size);
	if (!class)
		return -ENOMEM;
	names = (char *) &class->field[nr_fields];
	class->id = id;
	class->nr_fields = nr_fields;
	class->loglevel = loglevel;
	class->fixed = true;
	class->min_size = 0;
	class->name = memcpy(names, name, name_size);
	copy_fields(class, fields, names + name_size);
	*ret_class = class;
	return 0;
}

/* Makes nr ids possible to look up. */
static int make_room(struct tb_events *events, uint32_t nr)
{
	struct tb_event_class **class;
	uint32_t room = events->room ? events->room : 8;

	while (room < nr)
		room *= 2;
	if (room != events->room) {
		class = realloc(events->class, room * sizeof(*class));
		if (!class)
			return -ENOMEM;
		memset(class + events->room, 0, (room - events->room) * sizeof(*class));
		events->class = class;
		events->room = room;
	}
	events->nr = nr;
	return 0;
}

int tb_events_add(struct tb_events *events, struct tb_event_class *class)
{
	if (class->id >= TRACEBUF_MAX_EVENT_ID)
		return -E2BIG;
	if (tb_events_find(events, class->id))
		return -EEXIST;
	if (class->id >= events->nr && make_room(events, class->id + 1))
		return -ENOMEM;
	events->class[class->id] = class;
	return 0;
}

void tb_events_free(struct tb_events *events)
{
	for (uint32_t i = 0; i < events->nr; i++)
		free(events->class[i]);
	free(events->class);
	*events = (struct tb_events) { 0 };
}

/* The size of the record at the start of size bytes, or 0 if it does not add up. */
static size_t record_size(const uint8_t *record, size_t size)
{
	struct tracebuf_description description;

	if (size < sizeof(description))
		return 0;
	memcpy(&description, record, sizeof(description));
	if (description.size < sizeof(description) || description.size > TRACEBUF_MAX_DESCRIPTION_SIZE ||
	    description.size > size || description.size % 8)
		return 0;
	return description.size;
}

int tb_descriptions_size(const void *descriptions, size_t size, uint32_t nr, size_t *ret_size)
{
	size_t sum = 0;

	for (uint32_t i = 0; i < nr; i++) {
		size_t one = record_size((const uint8_t *) descriptions + sum, size - sum);

		if (!one)
			return -EBADMSG;
		sum += one;
	}
	*ret_size = sum;
	return 0;
}

static bool crc_is_right(const uint8_t *record, const struct tracebuf_description *description)
{
	struct tracebuf_description copy = *description;
	uint32_t crc;

	copy.crc = 0;
	crc = tb_crc32c(0, &copy, sizeof(copy));
	return tb_crc32c(crc, record + sizeof(copy), description->size - sizeof(copy)) == description->crc;
}

static int parse_record(const uint8_t *record, struct tb_event_class **ret_class)
{
	struct tb_field fields[TRACEBUF_MAX_FIELDS];
	struct tracebuf_description description;
	const char *name;
	int err;

	memcpy(&description, record, sizeof(description));
	if (!crc_is_right(record, &description))
		return -EBADMSG;
	err = tb_layout_parse(record, description.size, fields, &name);
	if (err)
		return err;
	return tb_event_class_make(description.id, description.loglevel, name, fields, description.nr_fields, ret_class);
}

int tb_descriptions_parse(const void *descriptions, size_t size, uint32_t nr, struct tb_events *ret_events)
{
	const uint8_t *record = descriptions;
	struct tb_events events = { 0 };
	struct tb_event_class *class;
	int err = 0;

	for (uint32_t i = 0; i < nr && !err; i++) {
		size_t one = record_size(record, size);

		err = one ? parse_record(record, &class) : -EBADMSG;
		if (err)
			break;
		err = tb_events_add(&events, class);
		if (err)
			free(class);
		record += one;
		size -= one;
	}
	if (err)
		tb_events_free(&events);
	else
		*ret_events = events;
	return err == -E2BIG || err == -EEXIST ? -EBADMSG : err;
}
