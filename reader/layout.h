/* SPDX-License-Identifier: MIT */
#ifndef TB_LAYOUT_H
#define TB_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

/* A field as readers use it: checked. */
struct tb_field {
	uint8_t type;			/* enum tracebuf_field_type */
	uint8_t size;			/* bytes of the integer, of the float, of one element; 0 for strings */
	uint8_t flags;			/* enum tracebuf_field_flags */
	const char *name;		/* a C identifier */
};

/* May an event have this name and these nr_fields fields? Any context. */
bool tb_layout_is_right(const char *name, const struct tb_field *fields, unsigned int nr_fields);

/*
 * Takes apart a description record. record: a private copy of size bytes, which is what its size word says. Checks
 * where things lie; whether they may be so is tb_layout_is_right()'s question. *ret_name and names point into record.
 * 0, -EBADMSG. Any context.
 */
int tb_layout_parse(const void *record, size_t size, struct tb_field ret_fields[TRACEBUF_MAX_FIELDS],
		    const char **ret_name);

#endif
