/* SPDX-License-Identifier: MIT */
/*
 * What lay where in the traced processes: the file .statedump of a trace, looked up by address.
 *
 * Invariant: the file is not believed. A line that is not what statedump_line.c prints is left out, what it says of
 * addresses is sorted and kept apart here, and no path is opened.
 */
#define _GNU_SOURCE
#include "places.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "json.h"

#define MAX_FILE_SIZE (1u << 30)
/* How much farther apart two segments of an object may lie in memory than in its file. */
#define MAX_SPREAD (64u << 20)
/* How far before and behind its own time a file is looked for. */
#define MAX_MOMENTS 16

/* Room for one more than nr: an array is full at each power of two. */
static void *grow(void *array, size_t nr, size_t size)
{
	return nr & (nr - 1) ? array : reallocarray(array, nr ? 2 * nr : 1, size);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at *at of a string that tb_quote() wrote; *at moves behind it. */
static char take_byte(const char **at, const char *end)
{
	char c = *(*at)++;
	int high, low;

	if (c != '\\' || *at == end)
		return c;
	c = *(*at)++;
	if (c != 'u' || end - *at < 4)
		return c;
	high = hex_digit((*at)[2]);
	low = hex_digit((*at)[3]);
	*at += 4;
	return high < 0 || low < 0 || !(high | low) ? '?' : (char) (high << 4 | low);
}

/* Keeps a string. NULL: it is none, or there is no memory (*ret_err). */
static const char *keep_path(struct tb_places *places, struct tb_json string, int *ret_err)
{
	const char *at = string.text + 1, *end = string.text + string.size - 1;
	char *path, **more;
	size_t size = 0;

	if (string.size < 2 || string.text[0] != '"')
		return NULL;
	path = malloc(string.size);
	more = grow(places->path, places->nr_paths, sizeof(*more));
	if (more)
		places->path = more;
	if (!path || !more) {
		free(path);
		*ret_err = -ENOMEM;
		return NULL;
	}
	while (at < end)
		path[size++] = take_byte(&at, end);
	path[size] = '\0';
	places->path[places->nr_paths++] = path;
	return path;
}

static uint64_t number(struct tb_json object, const char *name)
{
	struct tb_json value;
	uint64_t number;

	return tb_json_member(object, name, &value) || tb_json_u64(value, &number) ? 0 : number;
}

static void take_build_id(struct tb_json map, struct tb_object *object)
{
	struct tb_json value;
	size_t size = 0;

	if (tb_json_member(map, "build_id", &value) || value.size < 2 || value.size % 2 ||
	    value.size > 2 + 2 * sizeof(object->build_id))
		return;
	for (const char *at = value.text + 1; at < value.text + value.size - 1; at += 2) {
		if (hex_digit(at[0]) < 0 || hex_digit(at[1]) < 0)
			return;
		object->build_id[size++] = hex_digit(at[0]) << 4 | hex_digit(at[1]);
	}
	object->build_id_size = size;
}

/* Does map go on with the file that before is of? Maps of one file follow one another, and not from its beginning. */
static bool goes_on(const struct tb_object *before, const struct tb_object *map, uint64_t offset)
{
	return offset && map->start >= before->end && map->start - offset >= before->base &&
	       map->start - offset - before->base < MAX_SPREAD && !strcmp(before->path, map->path) &&
	       map->build_id_size == before->build_id_size &&
	       !memcmp(before->build_id, map->build_id, map->build_id_size);
}

/* 0, -ENOMEM. */
static int add_map(struct tb_places *places, struct tb_moment *moment, struct tb_json map)
{
	struct tb_object object = { .start = number(map, "start"), .end = number(map, "end") }, *more;
	uint64_t offset = number(map, "offset");
	struct tb_json path;
	int err = 0;

	if (object.start >= object.end || offset > object.start || tb_json_member(map, "path", &path))
		return 0;
	object.path = keep_path(places, path, &err);
	if (!object.path)
		return err;
	object.base = object.start - offset;
	take_build_id(map, &object);
	if (moment->nr_objects && goes_on(&moment->object[moment->nr_objects - 1], &object, offset)) {
		moment->object[moment->nr_objects - 1].end = object.end;
		free(places->path[--places->nr_paths]);
		return 0;
	}
	more = grow(moment->object, moment->nr_objects, sizeof(*more));
	if (!more)
		return -ENOMEM;
	moment->object = more;
	more[moment->nr_objects++] = object;
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct tb_object *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Sorts a moment's objects; of two that overlap the one that begins first stays. */
static void sort_objects(struct tb_moment *moment)
{
	size_t nr = 0;

	if (!moment->nr_objects)
		return;
	qsort(moment->object, moment->nr_objects, sizeof(*moment->object), by_address);
	for (size_t i = 0; i < moment->nr_objects; i++)
		if (!nr || moment->object[i].start >= moment->object[nr - 1].end)
			moment->object[nr++] = moment->object[i];
	moment->nr_objects = nr;
}

static int take_maps(struct tb_places *places, struct tb_moment *moment, struct tb_json line)
{
	struct tb_json maps, map;
	size_t cursor = 0;
	int err = 0;

	if (tb_json_member(line, "map", &maps))
		return 0;
	while (!err && !tb_json_next(maps, &cursor, &map))
		err = add_map(places, moment, map);
	sort_objects(moment);
	return err;
}

static int add_line(struct tb_places *places, struct tb_json line)
{
	struct tb_moment moment = { .executable = "" }, *more;
	struct tb_json executable;
	int err = 0;

	moment.pid = number(line, "pid");
	moment.incarnation = number(line, "incarnation");
	moment.ticks = number(line, "ticks");
	if (!moment.incarnation)
		return 0;
	if (!tb_json_member(line, "executable", &executable)) {
		const char *path = keep_path(places, executable, &err);

		moment.executable = path ? path : "";
	}
	if (!err)
		err = take_maps(places, &moment, line);
	more = err ? NULL : grow(places->moment, places->nr_moments, sizeof(*more));
	if (!more) {
		free(moment.object);
		return -ENOMEM;
	}
	places->moment = more;
	more[places->nr_moments++] = moment;
	return 0;
}

int tb_places_add(struct tb_places *places, const char *text, size_t size)
{
	const char *end = text + size;
	int err = 0;

	while (text < end && !err) {
		const char *newline = memchr(text, '\n', end - text);
		struct tb_json line;

		if (!newline)
			break;
		if (!tb_json_parse(text, newline - text, &line))
			err = add_line(places, line);
		text = newline + 1;
	}
	return err;
}

int tb_places_load(struct tb_places *places, int dir)
{
	int fd = openat(dir, ".statedump", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err = 0;
	char *text = NULL;
	size_t size = 0;
	struct stat st;
	ssize_t got = 1;

	if (fd < 0)
		return 0;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size <= MAX_FILE_SIZE) {
		text = malloc(st.st_size + 1);
		err = text ? 0 : -ENOMEM;
		while (!err && size < (size_t) st.st_size && (got = read(fd, text + size, st.st_size - size)) > 0)
			size += got;
	}
	close(fd);
	if (!err && size)
		err = tb_places_add(places, text, size);
	free(text);
	return err;
}

static int by_process(const struct tb_moment *x, int32_t pid, uint64_t incarnation)
{
	if (x->pid != pid)
		return x->pid < pid ? -1 : 1;
	return x->incarnation < incarnation ? -1 : x->incarnation > incarnation;
}

static int by_time(const void *a, const void *b)
{
	const struct tb_moment *x = a, *y = b;
	int order = by_process(x, y->pid, y->incarnation);

	return order ? order : x->ticks < y->ticks ? -1 : x->ticks > y->ticks;
}

void tb_places_sort(struct tb_places *places)
{
	if (places->nr_moments)
		qsort(places->moment, places->nr_moments, sizeof(*places->moment), by_time);
}

void tb_places_free(struct tb_places *places)
{
	for (size_t i = 0; i < places->nr_moments; i++)
		free(places->moment[i].object);
	for (size_t i = 0; i < places->nr_paths; i++)
		free(places->path[i]);
	free(places->moment);
	free(places->path);
	memset(places, 0, sizeof(*places));
}

struct tb_moment *tb_places_of(const struct tb_places *places, int32_t pid, uint64_t incarnation, size_t *ret_nr)
{
	size_t low = 0, high = places->nr_moments, end;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (by_process(&places->moment[middle], pid, incarnation) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < places->nr_moments && !by_process(&places->moment[end], pid, incarnation); end++)
		;
	*ret_nr = end - low;
	return end > low ? &places->moment[low] : NULL;
}

static struct tb_object *find_object(const struct tb_moment *moment, uint64_t address)
{
	size_t low = 0, high = moment->nr_objects;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (moment->object[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < moment->nr_objects && moment->object[low].start <= address ? &moment->object[low] : NULL;
}

struct tb_object *tb_places_find(const struct tb_moment *moment, size_t nr, size_t at, uint64_t address)
{
	struct tb_object *found = NULL;

	for (size_t i = at; i < nr && i - at < MAX_MOMENTS && !found; i++)
		found = find_object(&moment[i], address);
	for (size_t i = at; i-- > 0 && at - i < MAX_MOMENTS && !found;)
		found = find_object(&moment[i], address);
	return found;
}
