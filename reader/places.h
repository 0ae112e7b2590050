/* SPDX-License-Identifier: MIT */
#ifndef TB_PLACES_H
#define TB_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file that was mapped, from its first to its last map: an object of a program. */
struct tb_object {
	uint64_t start, end;		/* addresses: end is behind it */
	uint64_t base;			/* where the file's first byte is, or would be */
	uint8_t build_id[20];
	uint8_t build_id_size;		/* 0: not known */
	const char *path;
	void *user;			/* for who looks it up; NULL at first */
};

/* What a process consisted of at one time. */
struct tb_moment {
	int32_t pid;
	uint64_t incarnation;
	uint64_t ticks;			/* the trace's clock; 0: at the beginning */
	const char *executable;		/* "" if not known */
	struct tb_object *object;	/* ascending by address, apart from each other */
	size_t nr_objects;
};

/* What is known of all processes of a trace. Zero-initialised is empty. */
struct tb_places {
	struct tb_moment *moment;	/* ascending by pid, incarnation, ticks, once sorted */
	size_t nr_moments;
	char **path;			/* all that is pointed to */
	size_t nr_paths;
};

/*
 * Adds what text, size bytes of a file .statedump, says; a line that is none is left out. tb_places_sort() it once all
 * are added. 0, -ENOMEM.
 */
int tb_places_add(struct tb_places *places, const char *text, size_t size);
/* The same of the file .statedump in the directory dir (a descriptor), if there is one. 0, -ENOMEM. */
int tb_places_load(struct tb_places *places, int dir);
void tb_places_sort(struct tb_places *places);
void tb_places_free(struct tb_places *places);

/* The moments of one process, *ret_nr of them; NULL: there is none. */
struct tb_moment *tb_places_of(const struct tb_places *places, int32_t pid, uint64_t incarnation, size_t *ret_nr);

/*
 * What lay at an address, by the at-th of the process's nr moments; if that knows nothing, by the next ones, then by
 * those before, some of each. NULL: no file that is known of.
 */
struct tb_object *tb_places_find(const struct tb_moment *moment, size_t nr, size_t at, uint64_t address);

#endif
