/* SPDX-License-Identifier: MIT */
/*
 * What an event's description may say. Readers and the kernel module use this same file, so that the module gives no
 * number to an event that readers would refuse, with the whole stream.
 *
 * Invariant: what is right here can be written into TSDL and JSON as it is and decoded without further checks. Its
 * names need no quoting, no two of its members have the same name in TSDL (a sequence x has two, x and _x_length), its
 * types and sizes are ones that the decoder knows.
 */
#include "layout.h"
#include <errno.h>
#include <string.h>

/* 14 is DEBUG; of more, readers of the metadata complain. */
#define MAX_LOGLEVEL 14

static bool is_identifier(const char *name)
{
	if (*name >= '0' && *name <= '9')
		return false;
	for (const char *c = name; *c; c++)
		if (*c != '_' && (*c < '0' || *c > '9') && (*c < 'A' || *c > 'Z') && (*c < 'a' || *c > 'z'))
			return false;
	return *name;
}

static bool is_event_name(const char *name)
{
	for (const char *c = name; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\' || *c == '\'')
			return false;
	return *name;
}

static bool is_integer_size(unsigned int size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static bool field_is_right(const struct tb_field *field)
{
	if (!is_identifier(field->name) || field->flags & ~(TRACEBUF_FIELD_SIGNED | TRACEBUF_FIELD_HEX))
		return false;
	switch (field->type) {
	case TRACEBUF_FIELD_INTEGER:
	case TRACEBUF_FIELD_SEQUENCE:
		return is_integer_size(field->size);
	case TRACEBUF_FIELD_FLOAT:
		return field->size == 4 || field->size == 8;
	case TRACEBUF_FIELD_STRING:
		return field->size == 0;
	default:
		return false;
	}
}

/* Is name the member "_" sequence "_length" that the sequence has in TSDL? */
static bool is_length_of(const char *name, const char *sequence)
{
	size_t size = strlen(sequence);

	return name[0] == '_' && !strncmp(name + 1, sequence, size) && !strcmp(name + 1 + size, "_length");
}

static bool clash(const struct tb_field *a, const struct tb_field *b)
{
	return !strcmp(a->name, b->name) ||
	       (a->type == TRACEBUF_FIELD_SEQUENCE && is_length_of(b->name, a->name)) ||
	       (b->type == TRACEBUF_FIELD_SEQUENCE && is_length_of(a->name, b->name));
}

static bool fields_are_right(const struct tb_field *fields, unsigned int nr_fields)
{
	for (unsigned int i = 0; i < nr_fields; i++) {
		if (!field_is_right(&fields[i]))
			return false;
		for (unsigned int j = 0; j < i; j++)
			if (clash(&fields[i], &fields[j]))
				return false;
	}
	return true;
}

bool tb_layout_is_right(const char *name, const struct tb_field *fields, unsigned int nr_fields)
{
	return nr_fields <= TRACEBUF_MAX_FIELDS && is_event_name(name) && fields_are_right(fields, nr_fields);
}

/* Is there a text of exactly name_size bytes, NUL included, within size? */
static bool is_text(const char *text, size_t name_size, size_t size)
{
	return name_size && name_size <= size && strnlen(text, name_size) == name_size - 1;
}

int tb_layout_parse(const void *record, size_t size, struct tb_field ret_fields[TRACEBUF_MAX_FIELDS],
		    const char **ret_name)
{
	const struct tracebuf_field *raw;
	struct tracebuf_description description;
	const char *text;
	size_t room;

	if (size < sizeof(description))
		return -EBADMSG;
	memcpy(&description, record, sizeof(description));
	room = size - sizeof(description);
	if (description.loglevel > MAX_LOGLEVEL || description.nr_fields > TRACEBUF_MAX_FIELDS ||
	    room < description.nr_fields * sizeof(*raw))
		return -EBADMSG;
	room -= description.nr_fields * sizeof(*raw);
	raw = (const void *) ((const char *) record + sizeof(description));
	*ret_name = text = (const char *) &raw[description.nr_fields];
	if (!is_text(text, description.name_size, room))
		return -EBADMSG;
	text += description.name_size;
	room -= description.name_size;
	for (unsigned int i = 0; i < description.nr_fields; i++) {
		if (!is_text(text, raw[i].name_size, room))
			return -EBADMSG;
		ret_fields[i] = (struct tb_field) { raw[i].type, raw[i].size, raw[i].flags, text };
		text += raw[i].name_size;
		room -= raw[i].name_size;
	}
	return 0;
}
