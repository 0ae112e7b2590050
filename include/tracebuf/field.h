/* SPDX-License-Identifier: MIT */
/*
 * What a field's C or C++ type is on the wire: kind, size and flags of struct tracebuf_field, all of them constants
 * of the compiler. Private to tracepoint.h.
 *
 * Invariant: a type that cannot be recorded has kind 0, and nothing else here depends on it being right; so the
 * one error that a user sees first is TRACEBUF__CHECK's sentence.
 *
 * Integers of 1 to 8 bytes (char, bool and enumerations among them), float and double are themselves; char * and
 * const char * are strings; every other pointer is an integer shown in hexadecimal. As a sequence, the type is the
 * pointer that the data is reached by, and what is recorded is integers of the type that it points to.
 */
#ifndef TRACEBUF_FIELD_H
#define TRACEBUF_FIELD_H

#include <tracebuf/abi.h>

#ifdef __cplusplus
#define TRACEBUF__STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define TRACEBUF__STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

/* An lvalue of the type, never evaluated, and what the compiler says of it (numbers of GCC's typeclass.h). */
#define TRACEBUF__VALUE(type) (*(type *) 0)
#define TRACEBUF__CLASS(type) __builtin_classify_type(TRACEBUF__VALUE(type))
#define TRACEBUF__IS_POINTER(type) (TRACEBUF__CLASS(type) == 5)
#define TRACEBUF__IS_INTEGER(type) (TRACEBUF__CLASS(type) >= 1 && TRACEBUF__CLASS(type) <= 4 && sizeof(type) <= 8)
#define TRACEBUF__IS_FLOAT(type) (TRACEBUF__CLASS(type) == 8 && (sizeof(type) == 4 || sizeof(type) == 8))

#ifdef __cplusplus
extern "C++" {

template <typename type> struct tracebuf__is_string { static constexpr bool value = false; };
template <> struct tracebuf__is_string<char *> { static constexpr bool value = true; };
template <> struct tracebuf__is_string<const char *> { static constexpr bool value = true; };

template <typename type> struct tracebuf__is_signed { static constexpr bool value = false; };
template <> struct tracebuf__is_signed<char> { static constexpr bool value = char(-1) < char(1); };
template <> struct tracebuf__is_signed<wchar_t> { static constexpr bool value = wchar_t(-1) < wchar_t(1); };
template <> struct tracebuf__is_signed<signed char> { static constexpr bool value = true; };
template <> struct tracebuf__is_signed<short> { static constexpr bool value = true; };
template <> struct tracebuf__is_signed<int> { static constexpr bool value = true; };
template <> struct tracebuf__is_signed<long> { static constexpr bool value = true; };
template <> struct tracebuf__is_signed<long long> { static constexpr bool value = true; };

/* What stands behind const and behind an enumeration. */
template <typename declared, bool is_enum = __is_enum(declared)> struct tracebuf__plain { typedef declared plain; };
template <typename declared> struct tracebuf__plain<declared, true> { typedef __underlying_type(declared) plain; };
template <typename declared> struct tracebuf__plain<const declared, false> : tracebuf__plain<declared> { };
template <typename declared> struct tracebuf__plain<const declared, true> : tracebuf__plain<declared> { };

}
#define TRACEBUF__IS_STRING(type) (tracebuf__is_string<tracebuf__plain<type>::plain>::value)
#define TRACEBUF__IS_SIGNED(type) (tracebuf__is_signed<tracebuf__plain<type>::plain>::value)
#else
#define TRACEBUF__IS_STRING(type) _Generic(TRACEBUF__VALUE(type), char *: 1, const char *: 1, default: 0)
#define TRACEBUF__IS_SIGNED(type) \
	_Generic(TRACEBUF__VALUE(type), char: (char) -1 < (char) 1, signed char: 1, short: 1, int: 1, long: 1, \
		 long long: 1, default: 0)
#endif

/* enum tracebuf_field_type of a field of this type; 0 if it cannot be recorded. */
#define TRACEBUF__KIND(type) \
	(TRACEBUF__IS_STRING(type) ? TRACEBUF_FIELD_STRING : TRACEBUF__IS_FLOAT(type) ? TRACEBUF_FIELD_FLOAT : \
	 TRACEBUF__IS_INTEGER(type) || TRACEBUF__IS_POINTER(type) ? TRACEBUF_FIELD_INTEGER : 0)

/* Bytes that the field always has in the payload. */
#define TRACEBUF__FIXED_SIZE(type) (TRACEBUF__IS_STRING(type) ? 0 : sizeof(type))

#define TRACEBUF__FLAGS(type) \
	((TRACEBUF__IS_SIGNED(type) ? TRACEBUF_FIELD_SIGNED : 0) | (TRACEBUF__IS_POINTER(type) ? TRACEBUF_FIELD_HEX : 0))

/* What a sequence's pointer points to. */
#define TRACEBUF__ELEMENT(type) __typeof__(*TRACEBUF__VALUE(type))

#endif /* TRACEBUF_FIELD_H */
