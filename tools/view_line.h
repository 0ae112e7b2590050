/* SPDX-License-Identifier: MIT */
#ifndef TB_VIEW_LINE_H
#define TB_VIEW_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include "../reader/trace.h"
#include "view_output.h"

struct tb_line_class;
struct tb_line_stream;

/* What lies at an address. */
struct tb_line_place {
	const char *object;		/* name of the file */
	const char *symbol;		/* in it; NULL: not known */
	uint64_t offset;		/* in the symbol, else in the object */
};

/* Makes lines of events. */
struct tb_line_maker {
	bool json;
	bool (*want_event)(void *data, const char *name);	/* NULL: all */
	void *data;
	/* What lies at an address that the event holds? false: not known. NULL: nobody knows. */
	bool (*find_place)(void *place_data, const struct tb_trace_event *event, uint64_t address,
			   struct tb_line_place *ret_place);
	void *place_data;
	struct tb_output *output;
	struct tb_line_class **class;		/* hash table by the class's address, a power of two of slots */
	size_t nr_classes, class_slots;
	struct tb_line_stream *stream;		/* [stream]: what is the same on all its lines */
	size_t nr_streams;
	int64_t second;				/* that second_text is of */
	char second_text[16];			/* "[HH:MM:SS." */
};

/* nr_streams: of the trace. 0, -ENOMEM. What stands before class is the caller's to set before. */
int tb_line_maker_init(struct tb_line_maker *maker, size_t nr_streams);

/* Puts one line on an event, if it is wanted. 0, -ENOMEM. */
int tb_line_put(struct tb_line_maker *maker, const struct tb_trace_event *event);

void tb_line_maker_free(struct tb_line_maker *maker);

#endif
