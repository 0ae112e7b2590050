/* SPDX-License-Identifier: MIT */
/*
 * Just enough JSON (RFC 8259) to read the daemon's `status`: values are slices of the text, nothing is allocated, and
 * a malformed text is an error wherever it is met, never a read behind its end.
 */
#include "json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 32

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

/* All skip_ functions return the byte behind what they skipped, NULL where it is malformed. */
static const char *skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++) {
		if (*at == '\\')
			at++;
	}
	return at < end ? at + 1 : NULL;
}

/* Numbers, true, false, null. */
static const char *skip_word(const char *at, const char *end)
{
	const char *begin = at;

	while (at < end && !strchr(" \t\r\n,]}:\"{[", *at))
		at++;
	return at > begin ? at : NULL;
}

/*
 * A value, by its brackets: what stands between them is checked only where somebody looks at it. Iterative, so that
 * deep nesting cannot take the stack.
 */
static const char *skip_value(const char *at, const char *end)
{
	char open[MAX_DEPTH];
	size_t depth = 0;

	do {
		at = skip_blanks(at, end);
		if (at == end)
			return NULL;
		if (*at == '{' || *at == '[') {
			if (depth == MAX_DEPTH)
				return NULL;
			open[depth++] = *at++ == '{' ? '}' : ']';
		} else if (*at == '}' || *at == ']') {
			if (!depth || open[--depth] != *at++)
				return NULL;
		} else if (depth && (*at == ',' || *at == ':')) {
			at++;
		} else {
			at = *at == '"' ? skip_string(at, end) : skip_word(at, end);
		}
	} while (at && depth);
	return at;
}

int tb_json_parse(const char *text, size_t size, struct tb_json *ret_value)
{
	const char *end = text + size, *begin = skip_blanks(text, end), *behind = skip_value(begin, end);

	if (!behind)
		return -EINVAL;
	ret_value->text = begin;
	ret_value->size = (size_t) (behind - begin);
	return 0;
}

/*
 * The element at *cursor of a list that begins with bracket. Leaves *cursor behind it and its comma. A member of an
 * object is two elements, with a colon between them.
 */
static int next_element(struct tb_json list, char bracket, char separator, size_t *cursor, struct tb_json *ret_value)
{
	const char *end = list.text + list.size, *at, *behind;

	if (list.size < 2 || list.text[0] != bracket)
		return -EINVAL;
	at = skip_blanks(list.text + (*cursor ? *cursor : 1), end);
	if (at >= end - 1)
		return -ENOENT;
	behind = skip_value(at, end);
	if (!behind)
		return -EINVAL;
	ret_value->text = at;
	ret_value->size = (size_t) (behind - at);
	behind = skip_blanks(behind, end);
	if (behind < end - 1) {
		if (*behind != separator)
			return -EINVAL;
		behind++;
	} else if (separator == ':') {
		return -EINVAL;
	}
	*cursor = (size_t) (behind - list.text);
	return 0;
}

int tb_json_next(struct tb_json array, size_t *cursor, struct tb_json *ret_value)
{
	return next_element(array, '[', ',', cursor, ret_value);
}

int tb_json_member(struct tb_json object, const char *name, struct tb_json *ret_value)
{
	struct tb_json key, value;
	size_t cursor = 0, size = strlen(name);
	int err;

	for (;;) {
		err = next_element(object, '{', ':', &cursor, &key);
		if (!err)
			err = next_element(object, '{', ',', &cursor, &value);
		if (err)
			return err;
		if (key.size == size + 2 && key.text[0] == '"' && !memcmp(key.text + 1, name, size)) {
			*ret_value = value;
			return 0;
		}
	}
}

int tb_json_u64(struct tb_json value, uint64_t *ret_number)
{
	uint64_t number = 0;
	size_t i;

	if (!value.size)
		return -EINVAL;
	for (i = 0; i < value.size; i++) {
		unsigned int digit = (unsigned int) value.text[i] - '0';

		if (digit > 9)
			return -EINVAL;
		if (number > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		number = number * 10 + digit;
	}
	*ret_number = number;
	return 0;
}

/* One character at *at, escapes resolved. Moves *at behind it. */
static char take_character(const char **at, const char *end)
{
	static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
	char c = *(*at)++;
	const char *letter;
	unsigned int code;

	if (c != '\\' || *at == end)
		return c;
	c = *(*at)++;
	if (c == 'u') {
		if (end - *at < 4 || sscanf(*at, "%4x", &code) != 1)
			return '?';
		*at += 4;
		return code && code < 0x80 ? (char) code : '?';
	}
	letter = strchr(letters, c);
	return letter && c ? meanings[letter - letters] : c;
}

int tb_json_string(struct tb_json value, char *text, size_t size)
{
	const char *at = value.text + 1, *end = value.text + value.size - 1;
	size_t used = 0;

	if (value.size < 2 || value.text[0] != '"')
		return -EINVAL;
	while (at < end && used + 1 < size)
		text[used++] = take_character(&at, end);
	text[used] = '\0';
	return 0;
}
