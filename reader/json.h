/* SPDX-License-Identifier: MIT */
#ifndef TB_JSON_H
#define TB_JSON_H

#include <stddef.h>
#include <stdint.h>

/* A JSON value as it stands in a text; the text must live as long. */
struct tb_json {
	const char *text;
	size_t size;
};

/* The value that begins at text, behind blanks. 0, -EINVAL (not JSON, or deeper than 32). */
int tb_json_parse(const char *text, size_t size, struct tb_json *ret_value);

/* The member of an object by its name (compared as it is written). 0, -ENOENT, -EINVAL (not an object). */
int tb_json_member(struct tb_json object, const char *name, struct tb_json *ret_value);

/* The elements of an array one by one; *cursor begins with 0. 0, -ENOENT (that was all), -EINVAL. */
int tb_json_next(struct tb_json array, size_t *cursor, struct tb_json *ret_value);

/* 0, -EINVAL (another kind of value), -ERANGE. */
int tb_json_u64(struct tb_json value, uint64_t *ret_number);

/* A string, cut to size, with \\u escapes above 0x7f shown as '?'. 0, -EINVAL. */
int tb_json_string(struct tb_json value, char *text, size_t size);

#endif
