/* SPDX-License-Identifier: MIT */
/*
 * From an address in an event to file, function and offset, by what the trace knows of the process (reader/places.c)
 * and by the symbols of that build (symbols.c).
 *
 * Invariant: a trace without addresses costs nothing, since all is read when the first one comes; and an address that
 * was named lately costs a look at one entry of a table of fixed size, whatever the trace holds.
 */
#define _GNU_SOURCE
#include "addresses.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../reader/places.h"

#define NR_ENTRIES 8192			/* a power of two */

/* A file that was read for its symbols, or that has none. */
struct build {
	const char *path;
	const uint8_t *build_id;
	uint8_t build_id_size;
	const char *name;		/* the path's last part */
	struct tb_symbols *symbols;	/* NULL: none are to be had */
};

/* What is known of a stream's process. */
struct process {
	struct tb_moment *moment;
	size_t nr;
	size_t at;			/* the moment that the last event was in */
	bool looked_up;
};

struct entry {
	const struct tb_moment *moment;	/* NULL: free */
	uint64_t address;
	struct tb_line_place place;	/* object NULL: nothing is known */
};

struct tb_addresses {
	const struct tb_trace *trace;
	char *path;
	struct tb_symbols_options options;
	struct tb_places places;
	bool loaded;
	struct process *process;	/* [stream] */
	struct build **build;		/* tb_object.user points to them */
	size_t nr_builds;
	struct entry entry[NR_ENTRIES];
};

struct tb_addresses *tb_addresses_make(const struct tb_trace *trace, const char *path,
				       const struct tb_symbols_options *options)
{
	struct tb_addresses *addresses = calloc(1, sizeof(*addresses));
	struct tb_trace_totals totals;

	if (!addresses)
		return NULL;
	tb_trace_totals(trace, &totals);
	addresses->trace = trace;
	addresses->options = *options;
	addresses->path = strdup(path);
	addresses->process = calloc(totals.nr_streams + 1, sizeof(*addresses->process));
	if (addresses->path && addresses->process)
		return addresses;
	tb_addresses_free(addresses);
	return NULL;
}

void tb_addresses_free(struct tb_addresses *addresses)
{
	if (!addresses)
		return;
	for (size_t i = 0; i < addresses->nr_builds; i++) {
		tb_symbols_free(addresses->build[i]->symbols);
		free(addresses->build[i]);
	}
	free(addresses->build);
	tb_places_free(&addresses->places);
	free(addresses->process);
	free(addresses->path);
	free(addresses);
}

/* Bytes of a path's directory. */
static size_t directory_size(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash - path : 0;
}

/* Was the directory of stream nr that of an earlier one? Streams come directory by directory. */
static bool is_known(const struct tb_trace *trace, size_t nr)
{
	const char *path = tb_trace_stream_path(trace, nr), *before = nr ? tb_trace_stream_path(trace, nr - 1) : "";
	size_t size = directory_size(path);

	return size == directory_size(before) && !memcmp(path, before, size);
}

static void load_directory(struct tb_addresses *addresses, const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return;
	tb_places_load(&addresses->places, dir);
	close(dir);
}

/* Reads what the trace's directory and those below know. Where memory is short, addresses stay as they are. */
static void load(struct tb_addresses *addresses)
{
	struct tb_trace_totals totals;
	size_t own = strlen(addresses->path);

	addresses->loaded = true;
	tb_trace_totals(addresses->trace, &totals);
	load_directory(addresses, addresses->path);
	for (size_t i = 0; i < totals.nr_streams; i++) {
		const char *path = tb_trace_stream_path(addresses->trace, i);
		char *directory;

		if (directory_size(path) == own || is_known(addresses->trace, i))
			continue;
		directory = strndup(path, directory_size(path));
		if (directory)
			load_directory(addresses, directory);
		free(directory);
	}
	tb_places_sort(&addresses->places);
}

/* The process of stream nr, by the name of its file: "<channel>_<pid>-<incarnation>_<cpu>_<instance>". */
static void look_up(struct tb_addresses *addresses, size_t nr, struct process *process)
{
	const char *path = tb_trace_stream_path(addresses->trace, nr), *at = path + strlen(path);
	unsigned long long incarnation;
	int pid;

	process->looked_up = true;
	for (int parts = 0; parts < 3 && at > path;)
		parts += *--at == '_';
	if (sscanf(at, "_%d-%llx_", &pid, &incarnation) == 2)
		process->moment = tb_places_of(&addresses->places, pid, incarnation, &process->nr);
}

/* The moment that an event at ticks is in: events come in the order of time. */
static const struct tb_moment *moment_of(struct process *process, uint64_t ticks)
{
	while (process->at + 1 < process->nr && process->moment[process->at + 1].ticks <= ticks)
		process->at++;
	return &process->moment[process->at];
}

static bool is_same_build(const struct build *build, const struct tb_object *object)
{
	return build->build_id_size == object->build_id_size &&
	       !memcmp(build->build_id, object->build_id, object->build_id_size) && !strcmp(build->path, object->path);
}

static struct build *add_build(struct tb_addresses *addresses, const struct tb_object *object)
{
	struct build **more, *build = calloc(1, sizeof(*build));
	const char *slash = strrchr(object->path, '/');

	more = build ? reallocarray(addresses->build, addresses->nr_builds + 1, sizeof(*more)) : NULL;
	if (!more) {
		free(build);
		return NULL;
	}
	addresses->build = more;
	more[addresses->nr_builds++] = build;
	build->path = object->path;
	build->build_id = object->build_id;
	build->build_id_size = object->build_id_size;
	build->name = slash && slash[1] ? slash + 1 : object->path;
	build->symbols = tb_symbols_read(object->path, object->build_id, object->build_id_size, &addresses->options);
	return build;
}

/* The build that an object is of. NULL: no memory. */
static const struct build *build_of(struct tb_addresses *addresses, struct tb_object *object)
{
	for (size_t i = 0; i < addresses->nr_builds && !object->user; i++)
		if (is_same_build(addresses->build[i], object))
			object->user = addresses->build[i];
	if (!object->user)
		object->user = add_build(addresses, object);
	return object->user;
}

static void name_place(struct tb_addresses *addresses, const struct process *process, struct entry *entry)
{
	struct tb_object *object = tb_places_find(process->moment, process->nr, process->at, entry->address);
	const struct build *build = object ? build_of(addresses, object) : NULL;
	struct tb_line_place *place = &entry->place;

	memset(place, 0, sizeof(*place));
	if (!build)
		return;
	place->object = build->name;
	place->offset = entry->address - object->base;
	if (build->symbols)
		place->symbol = tb_symbols_find(build->symbols, place->offset, &place->offset);
}

bool tb_addresses_find(void *data, const struct tb_trace_event *event, uint64_t address,
		       struct tb_line_place *ret_place)
{
	struct tb_addresses *addresses = data;
	struct process *process = &addresses->process[event->stream];
	const struct tb_moment *moment;
	struct entry *entry;

	if (!addresses->loaded)
		load(addresses);
	if (!process->looked_up)
		look_up(addresses, event->stream, process);
	if (!process->nr)
		return false;
	moment = moment_of(process, event->event.time);
	entry = &addresses->entry[(address ^ (uintptr_t) moment) * 0x9e3779b97f4a7c15ull >> 51];
	if (entry->moment != moment || entry->address != address) {
		entry->moment = moment;
		entry->address = address;
		name_place(addresses, process, entry);
	}
	*ret_place = entry->place;
	return entry->place.object;
}
