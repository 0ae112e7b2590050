/* SPDX-License-Identifier: MIT */
/*
 * One line on one event, as text or as a JSON object:
 *   [HH:MM:SS.nnnnnnnnn] cpu=1 sort/1234/1235 provider:event: { field = 1, text = "a", list = [ 1, 2 ] }
 *   {"time":ns,"cpu":1,"process":"sort","pid":1234,"tid":1235,"event":"provider:event","fields":{...}}
 * Behind an address of which it is known what lies there stands "(file!symbol+0x1)"; in JSON a member "symbols" of the
 * event has all of those, by the names of their fields, "ip" for the context's.
 *
 * Invariant: all that does not change from event to event is text already: the second, the stream's CPU and process,
 * the class's names with what stands between its values. What remains is copying, and digits.
 */
#define _GNU_SOURCE
#include "view_line.h"
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#define NSEC_PER_SEC 1000000000

struct tb_line_class {
	const struct tb_event_class *class;
	bool wanted;
	bool has_addresses;			/* in one of its fields */
	const char *end;			/* behind the last value */
	size_t end_size;
	size_t size[TRACEBUF_MAX_FIELDS + 1];	/* of the text before each value; if no field: of the whole */
	char text[];				/* all of those */
};

struct tb_line_stream {
	uint64_t packet_seq_num;
	size_t size;				/* 0: not made yet */
	char text[6 * TRACEBUF_PROCNAME_SIZE + 80];
};

/* Whether a field holds addresses: pointers are declared so. */
static bool has_addresses(const struct tb_field *field)
{
	return field->size == sizeof(uint64_t) && field->flags & TRACEBUF_FIELD_HEX &&
	       (field->type == TRACEBUF_FIELD_INTEGER || field->type == TRACEBUF_FIELD_SEQUENCE);
}

/* Puts what stands before field nr: names only, which need no escapes. */
static size_t text_before(char *text, const struct tb_event_class *class, unsigned int nr, bool json)
{
	const char *name = nr < class->nr_fields ? class->field[nr].name : NULL;
	size_t size = 0;

	if (!nr)
		size = sprintf(text, json ? ",\"event\":\"%s\",\"fields\":{" : " %s: {", class->name);
	if (name)
		size += sprintf(text + size, json ? "%s\"%s\":" : "%s %s = ", nr ? "," : "", name);
	return size;
}

static int make_class(const struct tb_line_maker *maker, const struct tb_event_class *class,
		      struct tb_line_class **ret_text)
{
	size_t room = strlen(class->name) + 64;
	struct tb_line_class *text;
	char *at;

	for (unsigned int i = 0; i < class->nr_fields; i++)
		room += strlen(class->field[i].name) + 8;
	text = malloc(sizeof(*text) + room);
	if (!text)
		return -ENOMEM;
	text->class = class;
	text->wanted = !maker->want_event || maker->want_event(maker->data, class->name);
	text->end = maker->json ? "}\n" : " }\n";
	text->end_size = strlen(text->end);
	text->has_addresses = false;
	at = text->text;
	for (unsigned int i = 0; i < class->nr_fields || !i; i++) {
		text->size[i] = text_before(at, class, i, maker->json);
		at += text->size[i];
	}
	for (unsigned int i = 0; i < class->nr_fields; i++)
		text->has_addresses |= has_addresses(&class->field[i]);
	*ret_text = text;
	return 0;
}

static struct tb_line_class **find_slot(struct tb_line_class **table, size_t slots, const struct tb_event_class *class)
{
	size_t at = ((uintptr_t) class >> 4) * 0x9e3779b97f4a7c15ull >> 20;

	while (table[at & (slots - 1)] && table[at & (slots - 1)]->class != class)
		at++;
	return &table[at & (slots - 1)];
}

static int grow_classes(struct tb_line_maker *maker)
{
	size_t slots = maker->class_slots ? maker->class_slots * 2 : 256;
	struct tb_line_class **table = calloc(slots, sizeof(*table));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < maker->class_slots; i++)
		if (maker->class[i])
			*find_slot(table, slots, maker->class[i]->class) = maker->class[i];
	free(maker->class);
	maker->class = table;
	maker->class_slots = slots;
	return 0;
}

/* The text of class, made when it is met first. NULL: no memory. */
static const struct tb_line_class *find_class(struct tb_line_maker *maker, const struct tb_event_class *class)
{
	struct tb_line_class **slot = find_slot(maker->class, maker->class_slots, class);

	if (*slot)
		return *slot;
	if (maker->nr_classes * 2 >= maker->class_slots) {
		if (grow_classes(maker))
			return NULL;
		slot = find_slot(maker->class, maker->class_slots, class);
	}
	if (make_class(maker, class, slot))
		return NULL;
	maker->nr_classes++;
	return *slot;
}

int tb_line_maker_init(struct tb_line_maker *maker, size_t nr_streams)
{
	maker->nr_classes = maker->class_slots = 0;
	maker->class = NULL;
	maker->second = INT64_MIN;
	maker->nr_streams = nr_streams;
	maker->stream = calloc(nr_streams + 1, sizeof(*maker->stream));
	if (!maker->stream || grow_classes(maker)) {
		tb_line_maker_free(maker);
		return -ENOMEM;
	}
	return 0;
}

void tb_line_maker_free(struct tb_line_maker *maker)
{
	for (size_t i = 0; i < maker->class_slots; i++)
		free(maker->class[i]);
	free(maker->class);
	free(maker->stream);
	maker->class = NULL;
	maker->stream = NULL;
	maker->class_slots = 0;
}

/* What the packet says of CPU and process. */
static void make_stream(const struct tb_line_maker *maker, struct tb_line_stream *stream,
			const struct tracebuf_packet *packet)
{
	size_t name_size = strnlen((const char *) packet->procname, sizeof(packet->procname));
	char room[sizeof(stream->text) + TB_OUTPUT_MAX_NEED];
	struct tb_output text;

	tb_output_init(&text, -1, room, sizeof(room));
	if (maker->json)
		TB_OUTPUT_LITERAL(&text, ",\"cpu\":");
	else
		TB_OUTPUT_LITERAL(&text, "] cpu=");
	tb_output_unsigned(&text, packet->cpu_id);
	if (maker->json)
		TB_OUTPUT_LITERAL(&text, ",\"process\":\"");
	else
		tb_output_byte(&text, ' ');
	tb_output_string(&text, (const char *) packet->procname, name_size, maker->json);
	if (maker->json)
		TB_OUTPUT_LITERAL(&text, "\",\"pid\":");
	else
		tb_output_byte(&text, '/');
	tb_output_signed(&text, packet->pid);
	stream->size = text.at - room;
	memcpy(stream->text, room, stream->size);
	stream->packet_seq_num = packet->packet_seq_num;
}

static void put_time(struct tb_line_maker *maker, int64_t ns)
{
	struct tb_output *output = maker->output;
	int64_t second = ns / NSEC_PER_SEC;
	int64_t rest = ns % NSEC_PER_SEC;
	struct tm tm = { 0 };
	time_t time;

	if (maker->json) {
		TB_OUTPUT_LITERAL(output, "{\"time\":");
		tb_output_signed(output, ns);
		return;
	}
	if (rest < 0) {
		rest += NSEC_PER_SEC;
		second--;
	}
	if (second != maker->second) {
		time = second;
		localtime_r(&time, &tm);
		strftime(maker->second_text, sizeof(maker->second_text), "[%H:%M:%S.", &tm);
		maker->second = second;
	}
	tb_output_bytes(output, maker->second_text, sizeof("[HH:MM:SS.") - 1);
	tb_output_nine(output, rest);
}

static uint64_t load(const uint8_t *at, unsigned int size)
{
	uint64_t word = 0;

	memcpy(&word, at, size);
	return le64toh(word);
}

static int64_t sign_extend(uint64_t word, unsigned int size)
{
	return (int64_t) (word << (64 - 8 * size)) >> (64 - 8 * size);
}

/* Text made of names can be long: names of events are bounded by the size of descriptions only. */
static void put_text(struct tb_output *output, const char *text, size_t size)
{
	while (size) {
		size_t part = size < 1024 ? size : 1024;

		tb_output_need(output, part + TB_OUTPUT_NUMBER_SIZE);
		tb_output_bytes(output, text, part);
		text += part;
		size -= part;
	}
}

static bool find_place(const struct tb_line_maker *maker, const struct tb_trace_event *event, uint64_t address,
		       struct tb_line_place *ret_place)
{
	return maker->find_place && address && maker->find_place(maker->place_data, event, address, ret_place);
}

/* "file!symbol+0x1" or "file+0x1", in as much room as it takes. */
static void put_place(const struct tb_line_maker *maker, const struct tb_line_place *place)
{
	struct tb_output *output = maker->output;

	tb_output_string(output, place->object, strlen(place->object), maker->json);
	tb_output_need(output, 1024);
	if (place->symbol) {
		tb_output_byte(output, '!');
		tb_output_string(output, place->symbol, strlen(place->symbol), maker->json);
		tb_output_need(output, 1024);
	}
	tb_output_byte(output, '+');
	tb_output_hex(output, place->offset);
	tb_output_need(output, 1024);
}

/* Text: what lies at the address that was put just now, if that is known. */
static void put_place_behind(const struct tb_line_maker *maker, const struct tb_trace_event *event, uint64_t address)
{
	struct tb_line_place place;

	if (!find_place(maker, event, address, &place))
		return;
	tb_output_need(maker->output, 1024);
	TB_OUTPUT_LITERAL(maker->output, " (");
	put_place(maker, &place);
	tb_output_byte(maker->output, ')');
}

static void put_context(const struct tb_line_maker *maker, const struct tb_trace_event *event)
{
	const uint8_t *at = event->event.context;
	struct tb_output *output = maker->output;
	const bool json = maker->json;

	if (event->context & TRACEBUF_CONTEXT_VTID) {
		tb_output_bytes(output, json ? ",\"tid\":" : "/", json ? 7 : 1);
		tb_output_signed(output, (int32_t) load(at, 4));
		at += 4;
	}
	if (event->context & TRACEBUF_CONTEXT_VPID) {
		tb_output_bytes(output, json ? ",\"vpid\":" : " vpid=", json ? 8 : 6);
		tb_output_signed(output, (int32_t) load(at, 4));
		at += 4;
	}
	if (event->context & TRACEBUF_CONTEXT_IP) {
		tb_output_bytes(output, json ? ",\"ip\":" : " ip=", json ? 6 : 4);
		(json ? tb_output_unsigned : tb_output_hex)(output, load(at, 8));
		if (!json)
			put_place_behind(maker, event, load(at, 8));
		at += 8;
	}
	if (event->context & TRACEBUF_CONTEXT_PROCNAME) {
		tb_output_bytes(output, json ? ",\"thread\":\"" : " thread=\"", json ? 11 : 9);
		tb_output_string(output, (const char *) at, strnlen((const char *) at, TRACEBUF_CONTEXT_PROCNAME_SIZE),
				 json);
		tb_output_byte(output, '"');
	}
}

static void put_integer(struct tb_output *output, const struct tb_field *field, const uint8_t *at, bool json)
{
	uint64_t word = load(at, field->size);

	if (field->flags & TRACEBUF_FIELD_HEX && !json)
		tb_output_hex(output, word);
	else if (field->flags & TRACEBUF_FIELD_SIGNED)
		tb_output_signed(output, sign_extend(word, field->size));
	else
		tb_output_unsigned(output, word);
}

static void put_float(struct tb_output *output, const struct tb_field *field, const uint8_t *at, bool json)
{
	uint64_t word = load(at, field->size);
	uint32_t half = word;
	double number;
	float single;

	memcpy(&number, &word, sizeof(number));
	memcpy(&single, &half, sizeof(single));
	if (field->size == 4)
		number = single;
	if (json && !isfinite(number))
		TB_OUTPUT_LITERAL(output, "null");
	else
		tb_output_float(output, number, field->size == 4);
}

/* Returns what lies behind the sequence. */
static const uint8_t *put_sequence(struct tb_output *output, const struct tb_field *field, const uint8_t *at, bool json)
{
	uint32_t length = load(at, 4);

	at += 4;
	tb_output_byte(output, '[');
	for (uint32_t i = 0; i < length; i++, at += field->size) {
		tb_output_need(output, 2 * TB_OUTPUT_NUMBER_SIZE);
		if (i)
			tb_output_byte(output, ',');
		if (!json)
			tb_output_byte(output, ' ');
		put_integer(output, field, at, json);
	}
	tb_output_need(output, TB_OUTPUT_NUMBER_SIZE);
	if (!json)
		tb_output_byte(output, ' ');
	tb_output_byte(output, ']');
	return at;
}

/* Returns what lies behind the string; the decoder has seen that there is a NUL. */
static const uint8_t *put_string(struct tb_output *output, const uint8_t *at, bool json)
{
	size_t size = strlen((const char *) at);

	tb_output_byte(output, '"');
	tb_output_string(output, (const char *) at, size, json);
	tb_output_need(output, TB_OUTPUT_NUMBER_SIZE);
	tb_output_byte(output, '"');
	return at + size + 1;
}

static const uint8_t *put_value(struct tb_output *output, const struct tb_field *field, const uint8_t *at, bool json)
{
	switch (field->type) {
	case TRACEBUF_FIELD_INTEGER:
		put_integer(output, field, at, json);
		return at + field->size;
	case TRACEBUF_FIELD_FLOAT:
		put_float(output, field, at, json);
		return at + field->size;
	case TRACEBUF_FIELD_STRING:
		return put_string(output, at, json);
	default:
		return put_sequence(output, field, at, json);
	}
}

/* Text: addresses, each with what lies there. Returns what lies behind them. */
static const uint8_t *put_addresses(const struct tb_line_maker *maker, const struct tb_trace_event *event,
				    const struct tb_field *field, const uint8_t *at)
{
	struct tb_output *output = maker->output;
	uint32_t length;

	if (field->type == TRACEBUF_FIELD_INTEGER) {
		tb_output_hex(output, load(at, 8));
		put_place_behind(maker, event, load(at, 8));
		return at + 8;
	}
	length = load(at, 4);
	at += 4;
	tb_output_byte(output, '[');
	for (uint32_t i = 0; i < length; i++, at += 8) {
		tb_output_need(output, 2 * TB_OUTPUT_NUMBER_SIZE);
		tb_output_bytes(output, ", ", i ? 2 : 0);
		tb_output_bytes(output, " ", !i);
		tb_output_hex(output, load(at, 8));
		put_place_behind(maker, event, load(at, 8));
	}
	tb_output_need(output, TB_OUTPUT_NUMBER_SIZE);
	tb_output_bytes(output, " ]", 2);
	return at;
}

/* JSON: what lies at an address, as a member of "symbols", or as an element of a list (name NULL). */
static void put_symbol(const struct tb_line_maker *maker, const struct tb_trace_event *event, uint64_t address,
		       const char *name, const char *separator)
{
	struct tb_output *output = maker->output;
	struct tb_line_place place;
	bool found = find_place(maker, event, address, &place);

	tb_output_need(output, 1024);
	put_text(output, separator, strlen(separator));
	if (name) {
		tb_output_byte(output, '"');
		put_text(output, name, strlen(name));
		TB_OUTPUT_LITERAL(output, "\":");
	}
	if (!found) {
		TB_OUTPUT_LITERAL(output, "null");
		return;
	}
	tb_output_byte(output, '"');
	put_place(maker, &place);
	tb_output_byte(output, '"');
}

/* Is it known what lies at one of the addresses of a field whose bytes begin at at? */
static bool is_known(const struct tb_line_maker *maker, const struct tb_trace_event *event,
		     const struct tb_field *field, const uint8_t *at)
{
	uint32_t length = field->type == TRACEBUF_FIELD_SEQUENCE ? load(at, 4) : 1;
	struct tb_line_place place;
	bool known = false;

	at += field->type == TRACEBUF_FIELD_SEQUENCE ? 4 : 0;
	for (uint32_t i = 0; i < length && !known; i++)
		known = find_place(maker, event, load(at + 8 * i, 8), &place);
	return known;
}

static void put_symbols_of(const struct tb_line_maker *maker, const struct tb_trace_event *event,
			   const struct tb_field *field, const uint8_t *at, const char *separator)
{
	uint32_t length = load(at, 4);

	if (field->type == TRACEBUF_FIELD_INTEGER) {
		put_symbol(maker, event, load(at, 8), field->name, separator);
		return;
	}
	tb_output_need(maker->output, 1024);
	put_text(maker->output, separator, strlen(separator));
	tb_output_byte(maker->output, '"');
	put_text(maker->output, field->name, strlen(field->name));
	TB_OUTPUT_LITERAL(maker->output, "\":");
	for (uint32_t i = 0; i < length; i++)
		put_symbol(maker, event, load(at + 4 + 8 * i, 8), NULL, i ? "," : "[");
	tb_output_byte(maker->output, ']');
}

static const uint8_t *skip_value(const struct tb_field *field, const uint8_t *at)
{
	if (field->type == TRACEBUF_FIELD_STRING)
		return at + strlen((const char *) at) + 1;
	return at + (field->type == TRACEBUF_FIELD_SEQUENCE ? 4 + (size_t) load(at, 4) * field->size : field->size);
}

/* JSON: the member "symbols", if anything is to be said. */
static void put_symbols(const struct tb_line_maker *maker, const struct tb_trace_event *event)
{
	const struct tb_event_class *class = event->event.class;
	const uint8_t *at = event->event.payload, *context = event->event.context;
	static const char first[] = ",\"symbols\":{";
	const char *separator = first;
	struct tb_line_place place;

	if (event->context & TRACEBUF_CONTEXT_IP) {
		context += tb_context_size(event->context & (TRACEBUF_CONTEXT_VTID | TRACEBUF_CONTEXT_VPID));
		if (find_place(maker, event, load(context, 8), &place)) {
			put_symbol(maker, event, load(context, 8), "ip", separator);
			separator = ",";
		}
	}
	for (unsigned int i = 0; i < class->nr_fields; at = skip_value(&class->field[i++], at)) {
		if (!has_addresses(&class->field[i]) || !is_known(maker, event, &class->field[i], at))
			continue;
		put_symbols_of(maker, event, &class->field[i], at, separator);
		separator = ",";
	}
	tb_output_need(maker->output, TB_OUTPUT_NUMBER_SIZE);
	if (separator != first)
		tb_output_byte(maker->output, '}');
}

int tb_line_put(struct tb_line_maker *maker, const struct tb_trace_event *event)
{
	const struct tb_line_class *class = find_class(maker, event->event.class);
	struct tb_line_stream *stream = &maker->stream[event->stream];
	const uint8_t *at = event->event.payload;
	struct tb_output *output = maker->output;
	const char *text;

	if (!class)
		return -ENOMEM;
	if (!class->wanted)
		return 0;
	if (!stream->size || stream->packet_seq_num != event->packet->packet_seq_num)
		make_stream(maker, stream, event->packet);
	tb_output_need(output, 1024);
	put_time(maker, tb_trace_info_ns(event->info, event->event.time));
	tb_output_bytes(output, stream->text, stream->size);
	put_context(maker, event);
	text = class->text;
	put_text(output, text, class->size[0]);
	text += class->size[0];
	for (unsigned int i = 0; i < class->class->nr_fields; i++) {
		if (i) {
			put_text(output, text, class->size[i]);
			text += class->size[i];
		}
		if (class->has_addresses && !maker->json && has_addresses(&class->class->field[i]))
			at = put_addresses(maker, event, &class->class->field[i], at);
		else
			at = put_value(output, &class->class->field[i], at, maker->json);
	}
	tb_output_need(output, TB_OUTPUT_NUMBER_SIZE);
	if (maker->json) {
		tb_output_byte(output, '}');
		if (class->has_addresses || event->context & TRACEBUF_CONTEXT_IP)
			put_symbols(maker, event);
	}
	tb_output_bytes(output, class->end, class->end_size);
	return 0;
}
