/* SPDX-License-Identifier: MIT */
/*
 * How the arguments of an event become its payload: byte-packed, little-endian, in the order declared. Private to
 * tracepoint.h.
 *
 * Three forms. Packed: all fields have a fixed size; they are shifted into 64-bit words at offsets that the compiler
 * knows, so that the write path reads back whole words that were stored as whole words. Staged: the payload is put
 * together in a small buffer on the stack. In parts: what is longer than that is handed on where it lies.
 *
 * Invariant: the size of a payload never depends on memory that is read twice. A string that somebody changes while
 * it is copied ends at the first NUL of the copy, a part that is a string is checked by tracebuf__write().
 */
#ifndef TRACEBUF_PAYLOAD_H
#define TRACEBUF_PAYLOAD_H

#include <string.h>
#include <tracebuf/write.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tracebuf writes little-endian traces, and this machine is not"
#endif

#define TRACEBUF__ALWAYS_INLINE static inline __attribute__((always_inline))

/* Of a string, with its NUL. A longer one is cut and ends in TRACEBUF__CUT. */
#define TRACEBUF__MAX_STRING_SIZE 65536
#define TRACEBUF__CUT "\xe2\x80\xa6"
#define TRACEBUF__CUT_SIZE 4

/* Payloads up to this are staged; the words behind it take what whole-word stores and loads reach too far. */
#define TRACEBUF__STAGE_SIZE 256
struct tracebuf__stage {
	size_t size;
	uint8_t bytes[TRACEBUF__STAGE_SIZE + 8];
};

#ifdef __cplusplus
extern "C" {
#endif

TRACEBUF__ALWAYS_INLINE uint64_t tracebuf__load_bytes(const void *value, size_t size)
{
	uint64_t u64;
	uint32_t u32;
	uint16_t u16;

	switch (size) {
	case 1:
		return *(const uint8_t *) value;
	case 2:
		memcpy(&u16, value, 2);
		return u16;
	case 4:
		memcpy(&u32, value, 4);
		return u32;
	case 8:
		memcpy(&u64, value, 8);
		return u64;
	}
	return 0;
}

/* Appends a value to words that hold at bytes; returns how many they hold then. All sizes are constants. */
TRACEBUF__ALWAYS_INLINE size_t tracebuf__pack(uint64_t *words, size_t at, const void *value, size_t size)
{
	uint64_t bits = tracebuf__load_bytes(value, size);
	size_t shift = at % 8 * 8;

	words[at / 8] = shift ? words[at / 8] | bits << shift : bits;
	if (shift + size * 8 > 64)
		words[at / 8 + 1] = bits >> (64 - shift);
	return at + size;
}

/* What is recorded of a string. The compiler must not see which one it is: it would warn of bounds never reached. */
TRACEBUF__ALWAYS_INLINE const char *tracebuf__string(const char *string)
{
	if (!string)
		string = "(null)";
	__asm__("" : "+r"(string));
	return string;
}

/* strnlen(), which strict C11 does not declare: bytes before the NUL, at most max. */
size_t tracebuf__strnlen(const char *string, size_t max) __asm__("strnlen") __attribute__((nothrow, pure));

/* Not zero if one of the word's bytes is. */
TRACEBUF__ALWAYS_INLINE uint64_t tracebuf__zero_byte(uint64_t word)
{
	return (word - 0x0101010101010101ull) & ~word & 0x8080808080808080ull;
}

/* The last rest (less than 8) of length bytes, in the low end of a word; reads nothing outside of them. */
TRACEBUF__ALWAYS_INLINE uint64_t tracebuf__load_rest(const char *from, size_t length, size_t rest)
{
	const char *last = from + length - rest;

	if (!rest)
		return 0;
	if (length >= 8)
		return tracebuf__load_bytes(from + length - 8, 8) >> (64 - 8 * rest);
	if (rest >= 4)
		return tracebuf__load_bytes(last, 4) | tracebuf__load_bytes(last + rest - 4, 4) << (8 * rest - 32);
	return tracebuf__load_bytes(last, 1) | tracebuf__load_bytes(last + rest / 2, 1) << (rest / 2 * 8) |
	       tracebuf__load_bytes(last + rest - 1, 1) << (8 * rest - 8);
}

/*
 * Copies length bytes and puts a NUL behind them, in whole words: up to 8 bytes behind to are written too. Returns the
 * size of the copied string with its NUL. Each word passes a register once (the barrier), so what is checked is what
 * is stored.
 */
static inline size_t tracebuf__copy_string(uint8_t *to, const char *from, size_t length)
{
	uint64_t word, zero = 0;
	size_t at;

	for (at = 0; at + 8 <= length; at += 8) {
		word = tracebuf__load_bytes(from + at, 8);
		__asm__("" : "+r"(word));
		zero |= tracebuf__zero_byte(word);
		memcpy(to + at, &word, 8);
	}
	word = tracebuf__load_rest(from, length, length - at);
	__asm__("" : "+r"(word));
	zero |= tracebuf__zero_byte(word | ~0ull << (8 * (length - at)));
	memcpy(to + at, &word, 8);
	if (__builtin_expect(zero != 0, 0))
		return (size_t) ((uint8_t *) memchr(to, 0, length + 1) - to) + 1;
	return length + 1;
}

/* The tracebuf__stage functions return 0, with nothing staged, if there is no room. */
static inline int tracebuf__stage_string(struct tracebuf__stage *stage, const char *string)
{
	size_t room = TRACEBUF__STAGE_SIZE - stage->size, length;

	string = tracebuf__string(string);
	length = tracebuf__strnlen(string, room);
	if (length == room)
		return 0;
	stage->size += tracebuf__copy_string(stage->bytes + stage->size, string, length);
	return 1;
}

/* kind and size are constants. */
TRACEBUF__ALWAYS_INLINE int
tracebuf__stage_field(struct tracebuf__stage *stage, int kind, const void *value, size_t size)
{
	const char *string;

	if (kind == TRACEBUF_FIELD_STRING) {
		memcpy(&string, value, sizeof(string));
		return tracebuf__stage_string(stage, string);
	}
	if (size > TRACEBUF__STAGE_SIZE - stage->size)
		return 0;
	memcpy(stage->bytes + stage->size, value, size);
	stage->size += size;
	return 1;
}

/* More elements than any sub-buffer holds are as many as just do not fit: tracebuf__write() counts the event. */
TRACEBUF__ALWAYS_INLINE size_t tracebuf__sequence_length(const void *data, size_t length, size_t element_size)
{
	size_t max = TRACEBUF_MAX_SUBBUF_SIZE / element_size;

	return !data ? 0 : length < max ? length : max;
}

static inline int
tracebuf__stage_sequence(struct tracebuf__stage *stage, const void *data, size_t length, size_t element_size)
{
	size_t room = TRACEBUF__STAGE_SIZE - stage->size, size;
	uint32_t nr;

	length = tracebuf__sequence_length(data, length, element_size);
	size = length * element_size;
	if (room < sizeof(nr) || size > room - sizeof(nr))
		return 0;
	nr = (uint32_t) length;
	memcpy(stage->bytes + stage->size, &nr, sizeof(nr));
	if (size)
		memcpy(stage->bytes + stage->size + sizeof(nr), data, size);
	stage->size += sizeof(nr) + size;
	return 1;
}

/* The tracebuf__part functions fill parts in and return the one behind. */
static inline struct tracebuf__part *
tracebuf__part_bytes(struct tracebuf__part *part, const void *data, size_t size, uint32_t is_string)
{
	part->data = data;
	part->size = size;
	part->is_string = is_string;
	part->reserved = 0;
	return part + 1;
}

/* Cut, if it must be, between two characters of UTF-8. */
static inline struct tracebuf__part *tracebuf__part_string(struct tracebuf__part *part, const char *string)
{
	size_t length;

	string = tracebuf__string(string);
	length = tracebuf__strnlen(string, TRACEBUF__MAX_STRING_SIZE);
	if (length < TRACEBUF__MAX_STRING_SIZE)
		return tracebuf__part_bytes(part, string, length + 1, TRACEBUF__PART_STRING);
	length = TRACEBUF__MAX_STRING_SIZE - TRACEBUF__CUT_SIZE;
	while (length > TRACEBUF__MAX_STRING_SIZE - 8 && (string[length] & 0xc0) == 0x80)
		length--;
	part = tracebuf__part_bytes(part, string, length, TRACEBUF__PART_TEXT);
	return tracebuf__part_bytes(part, TRACEBUF__CUT, TRACEBUF__CUT_SIZE, TRACEBUF__PART_STRING);
}

TRACEBUF__ALWAYS_INLINE struct tracebuf__part *
tracebuf__part_field(struct tracebuf__part *part, int kind, const void *value, size_t size)
{
	const char *string;

	if (kind != TRACEBUF_FIELD_STRING)
		return tracebuf__part_bytes(part, value, size, TRACEBUF__PART_BYTES);
	memcpy(&string, value, sizeof(string));
	return tracebuf__part_string(part, string);
}

/* length: set to the number of elements recorded, and itself the first part (its low 4 bytes). */
static inline struct tracebuf__part *
tracebuf__part_sequence(struct tracebuf__part *part, const void *data, size_t *length, size_t element_size)
{
	*length = tracebuf__sequence_length(data, *length, element_size);
	part = tracebuf__part_bytes(part, length, sizeof(uint32_t), TRACEBUF__PART_BYTES);
	return tracebuf__part_bytes(part, data, *length * element_size, TRACEBUF__PART_BYTES);
}

#ifdef __cplusplus
}
#endif

#endif /* TRACEBUF_PAYLOAD_H */
