/* SPDX-License-Identifier: MIT */
/*
 * Which directory each recovered trace gets.
 *
 * Invariant: no two traces of one recovery get the same, also if boots have used the same names and numbers. What is
 * recovered into a directory of several boots' traces has a name that depends on nothing but the trace, so that it is
 * found again; it has that name only once it is whole and on the disk.
 */
#define _GNU_SOURCE
#include "recover_place.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tree.h"

#define BOOT_SIZE 40

bool tb_recover_place_is_first(const struct tb_remains *remains, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (!memcmp(remains->ring[i].info.uuid, remains->ring[index].info.uuid, 16))
			return false;
	return true;
}

int tb_recover_place_init(struct tb_recover_place *place, const struct tb_remains *remains, const char *dir, bool into)
{
	*place = (struct tb_recover_place) { .remains = remains, .dir = dir, .into = into };
	for (size_t i = 1; i < remains->nr_rings; i++) {
		place->several |= tb_recover_place_is_first(remains, i);
		place->several_boots |= memcmp(remains->ring[i].boot_id, remains->ring[0].boot_id, 16) != 0;
	}
	if (into)
		return mkdir(dir, 0755) && errno != EEXIST ? -errno : 0;
	return place->several && mkdir(dir, 0755) ? -errno : 0;
}

static void print_boot(char text[BOOT_SIZE], const uint8_t id[16], size_t nr)
{
	int length = 0;

	for (size_t i = 0; i < nr; i++)
		length += snprintf(text + length, BOOT_SIZE - length, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" :
				   "%02x", id[i]);
}

/* Of its name and boot there is an earlier trace. */
static bool is_namesake(const struct tb_recover_place *place, size_t index)
{
	const struct tb_remains_ring *ring = &place->remains->ring[index];

	for (size_t i = 0; i < index; i++) {
		const struct tb_remains_ring *other = &place->remains->ring[i];

		if (memcmp(other->info.uuid, ring->info.uuid, 16) && !strcmp(other->trace_name, ring->trace_name) &&
		    !memcmp(other->boot_id, ring->boot_id, 16))
			return true;
	}
	return false;
}

/* NAME-BOOT, and a number if that is not enough; NAME-NUMBER, and the begin of BOOT if there are several. */
static void name_trace(const struct tb_recover_place *place, size_t index, char *name, size_t size)
{
	const struct tb_remains_ring *ring = &place->remains->ring[index];
	const char *base = ring->trace_name[0] ? ring->trace_name : "trace";
	unsigned long long number = ring->info.generation;
	char boot[BOOT_SIZE];

	print_boot(boot, ring->boot_id, place->into ? 16 : 4);
	if (place->into && !is_namesake(place, index))
		snprintf(name, size, "%s-%s", base, boot);
	else if (place->into)
		snprintf(name, size, "%s-%llu-%s", base, number, boot);
	else if (place->several_boots)
		snprintf(name, size, "%s-%llu-%s", base, number, boot);
	else
		snprintf(name, size, "%s-%llu", base, number);
}

void tb_recover_place_name(const struct tb_recover_place *place, size_t index, char *path, char *part)
{
	char name[TRACEBUF_NAME_SIZE + BOOT_SIZE + 24];

	name_trace(place, index, name, sizeof(name));
	if (place->into || place->several)
		snprintf(path, TB_RECOVER_PATH_SIZE, "%.3800s/%s", place->dir, name);
	else
		snprintf(path, TB_RECOVER_PATH_SIZE, "%s", place->dir);
	memcpy(part, path, TB_RECOVER_PATH_SIZE);
	if (!place->into)
		return;
	snprintf(part, TB_RECOVER_PATH_SIZE, "%.3800s/.%s.part", place->dir, name);
	tb_tree_remove(part, false);
}

int tb_recover_place_end(const char *path, const char *part)
{
	int fd, ret;

	if (!strcmp(path, part))
		return 0;
	fd = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syncfs(fd) || rename(part, path) || syncfs(fd) ? -errno : 0;
	close(fd);
	return ret;
}
