/* SPDX-License-Identifier: MIT */
/*
 * Statedumps as events of a CTF stream, under the names and with the fields of LTTng-UST's: babeltrace2's debug-info
 * (filter.lttng-utils.debug-info) and Trace Compass name the context ip by them.
 *
 * Invariant: the stream says what .statedump says and nothing else, so it can be made anew at any time. Its packets are
 * in the order of time, and each is whole and checked like those of rings.
 *
 * What babeltrace2 looks at (its plugins/lttng-utils/debug-info): start, bin_info and build_id by name; in the stream's
 * event context, vpid (signed, 32 bit) and ip, of these events and of those to be named. After start, what it knew of
 * the process is forgotten; memsz 0 would be the vDSO.
 */
#define _GNU_SOURCE
#include "statedump_stream.h"
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../libtracebuf/stream_id.h"
#include "packet.h"

#define LOGLEVEL 13
#define CONTEXT (TRACEBUF_CONTEXT_VPID | TRACEBUF_CONTEXT_IP)
/* Programs that are not position-independent are linked to addresses below this, and nothing else is mapped there. */
#define MAX_FIXED_ADDRESS 0x10000000ull

enum event { EVENT_START, EVENT_BIN_INFO, EVENT_BUILD_ID, EVENT_END, NR_EVENTS };

static const struct tb_field bin_info[] = {
	{ TRACEBUF_FIELD_INTEGER, 8, TRACEBUF_FIELD_HEX, "baddr" },
	{ TRACEBUF_FIELD_INTEGER, 8, 0, "memsz" },
	{ TRACEBUF_FIELD_STRING, 0, 0, "path" },
	{ TRACEBUF_FIELD_INTEGER, 1, 0, "is_pic" },
	{ TRACEBUF_FIELD_INTEGER, 1, 0, "has_build_id" },
	{ TRACEBUF_FIELD_INTEGER, 1, 0, "has_debug_link" },
};
static const struct tb_field build_id[] = {
	{ TRACEBUF_FIELD_INTEGER, 8, TRACEBUF_FIELD_HEX, "baddr" },
	{ TRACEBUF_FIELD_SEQUENCE, 1, TRACEBUF_FIELD_HEX, "build_id" },
};

uint64_t tb_statedump_stream_id(void)
{
	static const char name[] = TB_STATEDUMP_PROVIDER "1";

	return tb_stream_id(CONTEXT, name, sizeof(name));
}

static int add_event(struct tb_stream_class *class, enum event id, const char *name, const struct tb_field *fields,
		     unsigned int nr)
{
	struct tb_event_class *event;
	int err = tb_event_class_make(id, LOGLEVEL, name, fields, nr, &event);

	return err ? err : tb_events_add(&class->events, event);
}

int tb_statedump_stream_class(struct tb_stream_class *ret_class)
{
	struct tb_stream_class class = { .id = tb_statedump_stream_id(), .context = CONTEXT };
	int err = add_event(&class, EVENT_START, TB_STATEDUMP_PROVIDER "start", NULL, 0);

	if (!err)
		err = add_event(&class, EVENT_BIN_INFO, TB_STATEDUMP_PROVIDER "bin_info", bin_info, 6);
	if (!err)
		err = add_event(&class, EVENT_BUILD_ID, TB_STATEDUMP_PROVIDER "build_id", build_id, 2);
	if (!err)
		err = add_event(&class, EVENT_END, TB_STATEDUMP_PROVIDER "end", NULL, 0);
	if (err) {
		tb_events_free(&class.events);
		return -ENOMEM;
	}
	*ret_class = class;
	return 0;
}

static void put_word(FILE *out, uint64_t word, size_t size)
{
	const uint64_t bytes = htole64(word);

	fwrite(&bytes, 1, size, out);
}

/* Event header, by the packet's own time, and context. */
static void put_head(FILE *out, const struct tb_moment *moment, enum event id)
{
	put_word(out, (uint32_t) moment->ticks << 5 | id, 4);
	put_word(out, (uint32_t) moment->pid, 4);
	put_word(out, 0, 8);
}

/*
 * Returns how many events it was. A map of a part of a file, as of buffers, is left out: babeltrace2 would take all
 * from the file's beginning on for that file's, and a program's code often lies there.
 */
static uint64_t put_object(FILE *out, const struct tb_moment *moment, const struct tb_object *object)
{
	bool is_fixed = object->base < MAX_FIXED_ADDRESS && !strcmp(object->path, moment->executable);

	if (object->base != object->start && !object->build_id_size)
		return 0;
	put_head(out, moment, EVENT_BIN_INFO);
	put_word(out, object->base, 8);
	put_word(out, object->end - object->base, 8);
	fwrite(object->path, 1, strlen(object->path) + 1, out);
	put_word(out, !is_fixed, 1);
	put_word(out, object->build_id_size > 0, 1);
	put_word(out, 0, 1);
	if (!object->build_id_size)
		return 1;
	put_head(out, moment, EVENT_BUILD_ID);
	put_word(out, object->base, 8);
	put_word(out, object->build_id_size, 4);
	fwrite(object->build_id, 1, object->build_id_size, out);
	return 2;
}

/* The events of one statedump, 0 or -ENOMEM; *ret_events is for free(). */
static int make_events(const struct tb_moment *moment, char **ret_events, size_t *ret_size, uint64_t *ret_nr)
{
	FILE *out = open_memstream(ret_events, ret_size);
	uint64_t nr = 2;
	bool failed;

	if (!out)
		return -ENOMEM;
	put_head(out, moment, EVENT_START);
	for (size_t i = 0; i < moment->nr_objects; i++)
		nr += put_object(out, moment, &moment->object[i]);
	put_head(out, moment, EVENT_END);
	failed = fflush(out) || ferror(out);
	if (fclose(out) || failed || !*ret_events) {
		free(*ret_events);
		return -ENOMEM;
	}
	*ret_nr = nr;
	return 0;
}

static void fill_packet(struct tracebuf_packet *packet, const struct tb_moment *moment, const uint8_t uuid[16])
{
	const char *slash = strrchr(moment->executable, '/'), *name = slash ? slash + 1 : moment->executable;

	memset(packet, 0, sizeof(*packet));
	packet->magic = TRACEBUF_CTF_MAGIC;
	memcpy(packet->uuid, uuid, sizeof(packet->uuid));
	packet->stream_id = tb_statedump_stream_id();
	packet->stream_instance_id = tb_stream_id(CONTEXT, uuid, sizeof(packet->uuid));
	packet->timestamp_begin = moment->ticks;
	packet->pid = moment->pid;
	memcpy(packet->procname, name, strnlen(name, sizeof(packet->procname) - 1));
}

static int by_ticks(const void *a, const void *b)
{
	const struct tb_moment *x = *(const struct tb_moment *const *) a, *y = *(const struct tb_moment *const *) b;

	if (x->ticks != y->ticks)
		return x->ticks < y->ticks ? -1 : 1;
	/* Of one pid, a later process comes later. */
	return x->incarnation < y->incarnation ? -1 : x->incarnation > y->incarnation;
}

/* Puts all of them, in this order. 0, -ENOMEM. */
static int put_packets(FILE *out, const struct tb_moment *const *moment, size_t nr, const uint8_t uuid[16])
{
	struct tracebuf_packet packet;
	uint64_t nr_before = 0, nr_events;
	char *events = NULL;
	size_t size = 0;

	for (size_t i = 0; i < nr; i++) {
		if (make_events(moment[i], &events, &size, &nr_events))
			return -ENOMEM;
		fill_packet(&packet, moment[i], uuid);
		packet.packet_seq_num = i;
		packet.event_seq = nr_before;
		tb_packet_finish(&packet, moment[i]->ticks, sizeof(packet) + size, sizeof(packet) + size, nr_events, 0);
		fwrite(&packet, 1, sizeof(packet), out);
		fwrite(events, 1, size, out);
		free(events);
		nr_before += nr_events;
	}
	return 0;
}

int tb_statedump_stream_make(const struct tb_places *places, const uint8_t uuid[16], char **ret_bytes,
			     size_t *ret_size)
{
	const struct tb_moment **moment = calloc(places->nr_moments + 1, sizeof(*moment));
	char *bytes = NULL;
	size_t size = 0;
	FILE *out = moment ? open_memstream(&bytes, &size) : NULL;
	int err = -ENOMEM;

	if (out) {
		for (size_t i = 0; i < places->nr_moments; i++)
			moment[i] = &places->moment[i];
		qsort(moment, places->nr_moments, sizeof(*moment), by_ticks);
		err = put_packets(out, moment, places->nr_moments, uuid);
		if (fflush(out) || ferror(out))
			err = -ENOMEM;
		if (fclose(out) || !bytes)
			err = -ENOMEM;
	}
	free(moment);
	if (err) {
		free(bytes);
		return err;
	}
	*ret_bytes = bytes;
	*ret_size = size;
	return 0;
}
