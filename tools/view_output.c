/* SPDX-License-Identifier: MIT */
/*
 * Text of a trace, made fast: a big buffer, and numbers turned into digits without printf(3).
 *
 * Invariant: what comes out is valid UTF-8 with no control character but those that the caller puts between, whatever
 * bytes come in: terminals and JSON parsers are safe from traces.
 */
#include "view_output.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char pairs[] =
	"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
	"5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

void tb_output_init(struct tb_output *output, int fd, char *buffer, size_t size)
{
	output->at = output->begin = buffer;
	output->end = buffer + size;
	output->fd = fd;
	output->err = 0;
}

int tb_output_flush(struct tb_output *output)
{
	const char *from = output->begin;

	while (from < output->at && !output->err) {
		ssize_t done = write(output->fd, from, output->at - from);

		if (done < 0 && errno != EINTR)
			output->err = -errno;
		from += done > 0 ? done : 0;
	}
	output->at = output->begin;
	return output->err;
}

void tb_output_unsigned(struct tb_output *output, uint64_t number)
{
	char digits[20], *at = digits + sizeof(digits);

	while (number >= 100) {
		at -= 2;
		memcpy(at, pairs + number % 100 * 2, 2);
		number /= 100;
	}
	if (number >= 10) {
		at -= 2;
		memcpy(at, pairs + number * 2, 2);
	} else {
		*--at = '0' + number;
	}
	tb_output_bytes(output, at, digits + sizeof(digits) - at);
}

void tb_output_signed(struct tb_output *output, int64_t number)
{
	if (number < 0)
		tb_output_byte(output, '-');
	tb_output_unsigned(output, number < 0 ? -(uint64_t) number : (uint64_t) number);
}

void tb_output_hex(struct tb_output *output, uint64_t number)
{
	unsigned int nr = number ? (67 - __builtin_clzll(number)) / 4 : 1;

	TB_OUTPUT_LITERAL(output, "0x");
	for (unsigned int i = 0; i < nr; i++)
		output->at[i] = "0123456789abcdef"[number >> 4 * (nr - 1 - i) & 15];
	output->at += nr;
}

void tb_output_nine(struct tb_output *output, uint32_t number)
{
	char *at = output->at + 9;

	for (unsigned int i = 0; i < 4; i++, number /= 100) {
		at -= 2;
		memcpy(at, pairs + number % 100 * 2, 2);
	}
	*--at = '0' + number;
	output->at += 9;
}

/* Numbers with at most six decimals, which is most of those that people record. false: not one. */
static bool put_short_float(struct tb_output *output, double number, bool single)
{
	double size = signbit(number) ? -number : number;
	uint64_t whole;
	uint32_t rest;

	if (!(size < 9e9))
		return false;
	whole = (uint64_t) (size * 1e6 + 0.5);
	if (single ? (float) (whole / 1e6) != (float) size : whole / 1e6 != size)
		return false;
	if (signbit(number))
		tb_output_byte(output, '-');
	rest = whole % 1000000;
	tb_output_unsigned(output, whole / 1000000);
	if (rest)
		tb_output_byte(output, '.');
	for (uint32_t unit = 100000; rest; rest %= unit, unit /= 10)
		tb_output_byte(output, '0' + rest / unit);
	return true;
}

static bool reads_back(const char *text, double number, bool single)
{
	return single ? strtof(text, NULL) == (float) number : strtod(text, NULL) == number;
}

void tb_output_float(struct tb_output *output, double number, bool single)
{
	char text[TB_OUTPUT_NUMBER_SIZE];

	if (isnan(number)) {
		TB_OUTPUT_LITERAL(output, "nan");
		return;
	}
	if (isinf(number)) {
		tb_output_bytes(output, number > 0 ? "inf" : "-inf", number > 0 ? 3 : 4);
		return;
	}
	if (put_short_float(output, number, single))
		return;
	for (int digits = single ? 6 : 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, number);
		if (reads_back(text, number, single))
			break;
	}
	tb_output_bytes(output, text, strlen(text));
}

/* Bytes of the UTF-8 sequence at the start of size bytes, 0 if it is none or a control character. */
static size_t utf8_size(const unsigned char *at, size_t size)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t nr = at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
	uint32_t code = at[0] & (0x7f >> nr);

	if (!nr || nr > size)
		return 0;
	for (size_t i = 1; i < nr; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	return code < least[nr] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || code < 0xa0 ? 0 : nr;
}

/* A byte that cannot stand as it is. */
static void put_escape(struct tb_output *output, unsigned char byte, bool json)
{
	static const char hex[] = "0123456789abcdef", plain[] = "\"\\\n\t\r", escaped[] = "\"\\ntr";
	const char *found = byte ? strchr(plain, byte) : NULL;

	if (json && byte >= 0x80) {
		TB_OUTPUT_LITERAL(output, "\xef\xbf\xbd");
		return;
	}
	tb_output_byte(output, '\\');
	if (found) {
		tb_output_byte(output, escaped[found - plain]);
		return;
	}
	if (json)
		TB_OUTPUT_LITERAL(output, "u00");
	else
		tb_output_byte(output, 'x');
	tb_output_byte(output, hex[byte >> 4]);
	tb_output_byte(output, hex[byte & 15]);
}

void tb_output_string(struct tb_output *output, const char *bytes, size_t size, bool json)
{
	const unsigned char *at = (const unsigned char *) bytes, *end = at + size;

	while (at < end) {
		size_t nr = 0;

		tb_output_need(output, 8);
		if (*at >= ' ' && *at < 0x7f && *at != '"' && *at != '\\') {
			tb_output_byte(output, *at++);
			continue;
		}
		if (*at >= 0x80)
			nr = utf8_size(at, end - at);
		if (nr)
			tb_output_bytes(output, (const char *) at, nr);
		else
			put_escape(output, *at, json);
		at += nr ? nr : 1;
	}
}
