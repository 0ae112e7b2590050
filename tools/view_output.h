/* SPDX-License-Identifier: MIT */
#ifndef TB_VIEW_OUTPUT_H
#define TB_VIEW_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Room that one tb_output_need() may ask for. */
#define TB_OUTPUT_MAX_NEED 4096
/* Most bytes of a number, of any kind. */
#define TB_OUTPUT_NUMBER_SIZE 40

/* Text on its way to fd, or (fd -1) collected in the buffer, which then must have room for all of it. */
struct tb_output {
	char *at;			/* the next byte goes here */
	char *begin, *end;
	int fd;
	int err;			/* the first failure to write: -errno; all that follows is dropped */
};

/* buffer: size bytes, more than TB_OUTPUT_MAX_NEED, which the caller keeps and frees. */
void tb_output_init(struct tb_output *output, int fd, char *buffer, size_t size);

/* Writes what the buffer holds. 0 or the first -errno. */
int tb_output_flush(struct tb_output *output);

/* Makes room for size bytes (at most TB_OUTPUT_MAX_NEED) at output->at. */
static inline void tb_output_need(struct tb_output *output, size_t size)
{
	if (__builtin_expect((size_t) (output->end - output->at) < size, 0))
		tb_output_flush(output);
}

/* The next ones need room: see tb_output_need(). */
static inline void tb_output_byte(struct tb_output *output, char byte)
{
	*output->at++ = byte;
}

static inline void tb_output_bytes(struct tb_output *output, const char *bytes, size_t size)
{
	memcpy(output->at, bytes, size);
	output->at += size;
}

#define TB_OUTPUT_LITERAL(output, literal) tb_output_bytes((output), (literal), sizeof(literal) - 1)

void tb_output_unsigned(struct tb_output *output, uint64_t number);
void tb_output_signed(struct tb_output *output, int64_t number);
void tb_output_hex(struct tb_output *output, uint64_t number);
/* Nine digits; number < 10^9. */
void tb_output_nine(struct tb_output *output, uint32_t number);
/* The shortest of the usual forms that reads back as the same number. single: number is a float. */
void tb_output_float(struct tb_output *output, double number, bool single);

/*
 * Bytes as the inside of a string. Text: printable ASCII and right UTF-8 stand as they are, quotes, backslashes and
 * all else (also terminals' control characters in UTF-8) are escaped. JSON: what is no UTF-8 becomes U+FFFD.
 * Takes care of room itself.
 */
void tb_output_string(struct tb_output *output, const char *bytes, size_t size, bool json);

#endif
