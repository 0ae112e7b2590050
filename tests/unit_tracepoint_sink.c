/* SPDX-License-Identifier: MIT */
/*
 * The library's place, taken by something that keeps the last event's payload and decodes it: so the tests of
 * tracepoint.h see the bytes that it makes, from all of its three forms, without a ring, a daemon or a clock.
 *
 * Invariant: what is decoded is the wire format of the description that the event was registered with; a byte too few
 * or too many is an error in the text.
 */
#include "unit_tracepoint_sink.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_PAYLOAD (4u << 20)
#define MAX_OBJECTS 8

struct sink sink;
unsigned int sink_nr_events, sink_nr_registered, sink_nr_unregistered;

static struct tracebuf_producer *no_rings[TRACEBUF_NR_RING_SETS * 1024];
struct tracebuf_producer **tracebuf__rings = no_rings;
__thread uint32_t tracebuf__tid;		/* 0: nobody takes the short way */

static struct {
	const struct tracebuf__event *begin, *end;
} objects[MAX_OBJECTS];

static uint8_t payload[MAX_PAYLOAD];
static char text[1 << 20];
static size_t text_size;

void sink_reset(void)
{
	memset(&sink, 0, sizeof(sink));
	sink.payload = payload;
}

void tracebuf__register(const struct tracebuf__event *begin, const struct tracebuf__event *end)
{
	objects[sink_nr_registered % MAX_OBJECTS].begin = begin;
	objects[sink_nr_registered % MAX_OBJECTS].end = end;
	sink_nr_registered++;
	sink_nr_events += end - begin;
}

void tracebuf__unregister(const struct tracebuf__event *begin, const struct tracebuf__event *end)
{
	sink_nr_unregistered++;
	sink_nr_events -= end - begin;
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		if (objects[i].begin == begin)
			objects[i].begin = objects[i].end = NULL;
}

unsigned int sink_enable(const char *name, int enabled)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		for (const struct tracebuf__event *event = objects[i].begin; event < objects[i].end; event++)
			if (!strcmp(event->name, name)) {
				tracebuf__store((uint16_t *) &event->enable->enabled, enabled ? 1 : 0);
				nr++;
			}
	return nr;
}

static void note_event(const struct tracebuf_enable *enable)
{
	sink.nr_events++;
	sink.size = 0;
	sink.is_oversize = 0;
	sink.event = NULL;
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		for (const struct tracebuf__event *event = objects[i].begin; event < objects[i].end; event++)
			if (event->enable == enable)
				sink.event = event;
}

void tracebuf__write(const struct tracebuf_enable *enable, const struct tracebuf__part *parts, unsigned int nr_parts,
		     const void *ip)
{
	(void) ip;
	size_t size = 0;

	note_event(enable);
	sink.is_staged = 0;
	for (unsigned int i = 0; i < nr_parts; i++)
		size += parts[i].size;
	if (size > MAX_PAYLOAD) {
		sink.is_oversize = 1;
		return;
	}
	for (unsigned int i = 0; i < nr_parts; i++) {
		if (parts[i].size)
			memcpy(payload + sink.size, parts[i].data, parts[i].size);
		sink.size += parts[i].size;
		if (parts[i].is_string == TRACEBUF__PART_STRING)
			payload[sink.size - 1] = 0;
	}
}

void tracebuf__write_staged(const struct tracebuf_enable *enable, const void *data, size_t size, const void *ip)
{
	(void) ip;
	note_event(enable);
	sink.is_staged = 1;
	sink.size = size;
	memcpy(payload, data, size);
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(text + text_size, sizeof(text) - text_size, format, arguments);
	va_end(arguments);
	text_size += size > 0 && (size_t) size < sizeof(text) - text_size ? (size_t) size : 0;
}

static void say_integer(const uint8_t *at, const struct tracebuf__field *field)
{
	uint64_t value = 0;

	memcpy(&value, at, field->size);
	if (field->flags & TRACEBUF_FIELD_HEX)
		say("0x%" PRIx64, value);
	else if (field->flags & TRACEBUF_FIELD_SIGNED)
		say("%" PRId64, (int64_t) (value << (64 - 8 * field->size)) >> (64 - 8 * field->size));
	else
		say("%" PRIu64, value);
}

static void say_float(const uint8_t *at, const struct tracebuf__field *field)
{
	double d;
	float f;

	memcpy(&d, at, sizeof(d));
	memcpy(&f, at, sizeof(f));
	say("%g", field->size == 4 ? (double) f : d);
}

static size_t say_sequence(const uint8_t *at, const struct tracebuf__field *field)
{
	uint32_t nr;

	memcpy(&nr, at, sizeof(nr));
	at += sizeof(nr);
	say("[");
	for (uint32_t i = 0; i < nr; i++) {
		say(i ? ", " : "");
		say_integer(at + i * field->size, field);
	}
	say("]");
	return sizeof(nr) + (size_t) nr * field->size;
}

/* One field at at; returns its size. */
static size_t say_field(const uint8_t *at, const struct tracebuf__field *field)
{
	say("%s = ", field->name);
	switch (field->type) {
	case TRACEBUF_FIELD_INTEGER:
		say_integer(at, field);
		return field->size;
	case TRACEBUF_FIELD_FLOAT:
		say_float(at, field);
		return field->size;
	case TRACEBUF_FIELD_STRING:
		say("\"%s\"", (const char *) at);
		return strlen((const char *) at) + 1;
	case TRACEBUF_FIELD_SEQUENCE:
		return say_sequence(at, field);
	}
	say("type %d", field->type);
	return 0;
}

const char *sink_text(void)
{
	size_t at = 0;

	text_size = 0;
	if (!sink.event)
		return "no event";
	say("%s {", sink.event->name);
	for (uint32_t i = 0; i < sink.event->nr_fields; i++) {
		say(i ? ", " : " ");
		at += say_field(payload + at, &sink.event->fields[i]);
	}
	say(" }");
	if (at != sink.size)
		say(": %zu bytes, but the payload has %zu", at, sink.size);
	return text;
}
