/* SPDX-License-Identifier: MIT */
/*
 * Static events: one line declares, one line records. Any context (threads, signal handlers, constructors); errno is
 * kept; nothing blocks, but in a channel of block mode.
 *
 *	TRACEBUF_EVENT(shop, order_paid, (uint64_t, order), (const char *, customer));	   at file scope, once a source
 *	TRACEBUF_EVENT(shop, packet, (const uint8_t *, data, length));	   a sequence: pointer, and number of elements
 *	tracebuf_event(shop, order_paid, 17, "Ada");			   a statement
 *	tracebuf_event(shop, packet, bytes, nr_bytes);
 *	if (tracebuf_event_enabled(shop, order_paid)) ...		   0 or not; may be a moment late
 *
 * Up to 16 fields of the types that field.h names; no name may be a macro. Declared in a header, in several sources
 * and in several objects, an event is one event as long as its fields are the same. While an event is disabled its
 * arguments are not evaluated; else they are, once. A null string is recorded as "(null)", a null sequence as an empty
 * one; a string of more than 65535 bytes is cut and ends in an ellipsis.
 *
 * Invariant: while disabled, an event costs one load of 16 bits at an address that the linker knows, and one branch.
 * A source that declares events and uses none of them contains nothing of them and does not need the library.
 */
#ifndef TRACEBUF_TRACEPOINT_H
#define TRACEBUF_TRACEPOINT_H

#if !defined(__cplusplus) && (!defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L)
#error "<tracebuf/tracepoint.h> needs C11 or later"
#elif defined(__cplusplus) && __cplusplus < 201703L
#error "<tracebuf/tracepoint.h> needs C++17 or later"
#endif

#include <tracebuf/field.h>
#include <tracebuf/payload.h>
#include <tracebuf/write.h>

/* ------------------------------------------------------------------------------------------------------------------
 * What a source and an object (program or shared library) have once.
 *
 * The enable records of a source lie in whole pages, since the library maps pages that it can only read over them:
 * the compiler sees zeros that nobody writes, so it may only read them through tracebuf__enabled(). An event's record
 * is the one numbered by the compiler's __COUNTER__.
 */

#define TRACEBUF__ENABLE_SIZE 65536
#define TRACEBUF__NR_ENABLES (TRACEBUF__ENABLE_SIZE / sizeof(struct tracebuf_enable))
#ifdef __x86_64__
#define TRACEBUF__PAGE_SIZE 4096
#else
#define TRACEBUF__PAGE_SIZE 65536	/* the largest that Linux may have there */
#endif

#if defined(__has_attribute)
#if __has_attribute(retain)
#define TRACEBUF__RETAIN , retain
#endif
#endif
#ifndef TRACEBUF__RETAIN
#define TRACEBUF__RETAIN
#endif

#define TRACEBUF__LOGLEVEL_DEBUG_LINE 13

#ifdef __cplusplus
extern "C" {
#endif

enum { tracebuf__first_counter = __COUNTER__ + 1 };

static struct tracebuf_enable tracebuf__enable_page[TRACEBUF__NR_ENABLES]
	__attribute__((aligned(TRACEBUF__PAGE_SIZE), unused));

/* The object's events, those of all of its sources; the linker sets the bounds. */
extern struct tracebuf__event __start_tracebuf_events[] __attribute__((weak, visibility("hidden")));
extern struct tracebuf__event __stop_tracebuf_events[] __attribute__((weak, visibility("hidden")));

/* How many sources of this object are between constructor and destructor: the first registers, the last undoes it. */
extern unsigned int tracebuf__object_users __attribute__((weak, visibility("hidden")));
unsigned int tracebuf__object_users;

static inline void tracebuf__construct(void)
{
	if (!tracebuf__object_users++)
		tracebuf__register(__start_tracebuf_events, __stop_tracebuf_events);
}

static inline void tracebuf__destruct(void)
{
	if (!--tracebuf__object_users)
		tracebuf__unregister(__start_tracebuf_events, __stop_tracebuf_events);
}

/*
 * Written as data, not as functions with the attribute, because these are there only if something refers to them.
 * Priority 101: before the program's own constructors, after its destructors, so that events in those are recorded.
 */
static void (*tracebuf__constructor)(void) __attribute__((section(".init_array.00101"), unused)) = tracebuf__construct;
static void (*tracebuf__destructor)(void) __attribute__((section(".fini_array.00101"), unused)) = tracebuf__destruct;

/* Refers to an object, and to what registers it, by no instruction. */
#ifdef __aarch64__
#define TRACEBUF__KEEP(object) \
	__asm__ volatile("" : : "S"(&(object)), "S"(&tracebuf__constructor), "S"(&tracebuf__destructor))
#else
#define TRACEBUF__KEEP(object) \
	__asm__ volatile("" : : "m"(object), "m"(tracebuf__constructor), "m"(tracebuf__destructor))
#endif

#ifdef __cplusplus
}
#endif

/* ------------------------------------------------------------------------------------------------------------------
 * The preprocessor, explained once.
 *
 * TRACEBUF__COUNT(a, b, c) is 3. The declaration's list is "name, field, field ...": TRACEBUF__EACH_<count> leaves
 * the name out and applies what to each field. A field is in parentheses, "(type, name)" or "(type, name, length)", so
 * that TRACEBUF__COUNT field is 2 or 3, and TRACEBUF__DO(what, field) becomes what_2(type, name) or
 * what_3(type, name, length). TRACEBUF__JOIN pastes what its arguments expand to.
 */
#define TRACEBUF__JOIN(a, b) TRACEBUF__JOIN_(a, b)
#define TRACEBUF__JOIN_(a, b) a##b
#define TRACEBUF__FIRST(...) TRACEBUF__FIRST_(__VA_ARGS__, )
#define TRACEBUF__FIRST_(first, ...) first
#define TRACEBUF__COUNT(...) TRACEBUF__COUNT_(__VA_ARGS__, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, )
#define TRACEBUF__COUNT_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, count, ...) count

#define TRACEBUF__DO(what, field) TRACEBUF__DO_(what, TRACEBUF__COUNT field, field)
#define TRACEBUF__DO_(what, count, field) TRACEBUF__JOIN(what##_, count) field

#define TRACEBUF__EACH(what, ...) TRACEBUF__JOIN(TRACEBUF__EACH_, TRACEBUF__COUNT(__VA_ARGS__))(what, __VA_ARGS__)
#define TRACEBUF__EACH_1(what, name)
#define TRACEBUF__EACH_2(what, name, f) TRACEBUF__DO(what, f)
#define TRACEBUF__EACH_3(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_2(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_4(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_3(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_5(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_4(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_6(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_5(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_7(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_6(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_8(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_7(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_9(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_8(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_10(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_9(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_11(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_10(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_12(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_11(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_13(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_12(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_14(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_13(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_15(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_14(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_16(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_15(what, name, __VA_ARGS__)
#define TRACEBUF__EACH_17(what, name, f, ...) TRACEBUF__DO(what, f) TRACEBUF__EACH_16(what, name, __VA_ARGS__)

/* ------------------------------------------------------------------------------------------------------------------
 * What becomes of a field at each place. In the function that records, its argument is tracebuf__arg_<name>, so that
 * any word may be a name.
 */

#define TRACEBUF__BAD_TYPE(name) "tracebuf: field " #name " has a type that cannot be recorded: "
#define TRACEBUF__CHECK_2(type, name) \
	TRACEBUF__STATIC_ASSERT(TRACEBUF__KIND(type) != 0, TRACEBUF__BAD_TYPE(name) \
		"integers of up to 8 bytes, float, double, pointers and const char * can");
#define TRACEBUF__CHECK_3(type, name, length) \
	TRACEBUF__STATIC_ASSERT(TRACEBUF__IS_INTEGER(TRACEBUF__ELEMENT(type)), TRACEBUF__BAD_TYPE(name) \
		"a sequence is a pointer to integers");

#define TRACEBUF__DESCRIBE_2(type, name) \
	{ TRACEBUF__KIND(type), (uint8_t) TRACEBUF__FIXED_SIZE(type), TRACEBUF__FLAGS(type), 0, #name },
#define TRACEBUF__DESCRIBE_3(type, name, length) \
	{ TRACEBUF_FIELD_SEQUENCE, sizeof(TRACEBUF__ELEMENT(type)), TRACEBUF__FLAGS(TRACEBUF__ELEMENT(type)), 0, #name },

#define TRACEBUF__COUNT_FIELD_2(type, name) + 1
#define TRACEBUF__COUNT_FIELD_3(type, name, length) + 1

#define TRACEBUF__IS_VARIABLE_2(type, name) || TRACEBUF__IS_STRING(type)
#define TRACEBUF__IS_VARIABLE_3(type, name, length) || 1

#define TRACEBUF__SIZE_2(type, name) + TRACEBUF__FIXED_SIZE(type)
#define TRACEBUF__SIZE_3(type, name, length)

#define TRACEBUF__PARAMETER_2(type, name) type tracebuf__arg_##name,
#define TRACEBUF__PARAMETER_3(type, name, length) type tracebuf__arg_##name, size_t tracebuf__length_##name,

#define TRACEBUF__PACK_2(type, name) \
	tracebuf__size = tracebuf__pack(tracebuf__words, tracebuf__size, &tracebuf__arg_##name, sizeof(type));
#define TRACEBUF__PACK_3(type, name, length)

#define TRACEBUF__STAGE_2(type, name) \
	&& tracebuf__stage_field(&tracebuf__stage, TRACEBUF__KIND(type), &tracebuf__arg_##name, sizeof(type))
#define TRACEBUF__STAGE_3(type, name, length) \
	&& tracebuf__stage_sequence(&tracebuf__stage, tracebuf__arg_##name, tracebuf__length_##name, \
				    sizeof(TRACEBUF__ELEMENT(type)))

#define TRACEBUF__PART_2(type, name) \
	tracebuf__end = tracebuf__part_field(tracebuf__end, TRACEBUF__KIND(type), &tracebuf__arg_##name, sizeof(type));
#define TRACEBUF__PART_3(type, name, length) \
	tracebuf__end = tracebuf__part_sequence(tracebuf__end, tracebuf__arg_##name, &tracebuf__length_##name, \
						sizeof(TRACEBUF__ELEMENT(type)));

/* ------------------------------------------------------------------------------------------------------------------
 * The event. Its pieces are named by id, "<provider>__<name>". Recording is a function of its own, never inlined: what
 * every place in the program pays for is the test, and the call costs 2 % of an event.
 */
/*
 * The context ip: behind the call. A helper, whose functions stand in for others, defines TRACEBUF__OF_CALLER: then it is
 * the place in the program that called such a function, and the last argument of what records.
 */
#ifdef TRACEBUF__OF_CALLER
#define TRACEBUF__LAST const void *tracebuf__last
#define TRACEBUF__LAST_VALUE __builtin_return_address(0)
#define TRACEBUF__IP tracebuf__last
#else
#define TRACEBUF__LAST int tracebuf__last
#define TRACEBUF__LAST_VALUE 0
#define TRACEBUF__IP __builtin_return_address(0)
#endif

#define TRACEBUF_EVENT(provider, ...) \
	TRACEBUF__EVENT(provider, TRACEBUF__FIRST(__VA_ARGS__), TRACEBUF__ID(provider, TRACEBUF__FIRST(__VA_ARGS__)), \
			__VA_ARGS__)
#define TRACEBUF__ID(provider, name) TRACEBUF__ID_(provider, name)
#define TRACEBUF__ID_(provider, name) provider##__##name
#define TRACEBUF__EVENT(provider, name, id, ...) TRACEBUF__EVENT_(provider, name, id, __VA_ARGS__)
#define TRACEBUF__EVENT_(provider, name, id, ...) \
	TRACEBUF__EACH(TRACEBUF__CHECK, __VA_ARGS__) \
	enum { \
		tracebuf__index_##id = __COUNTER__ - tracebuf__first_counter, \
		tracebuf__nr_fields_##id = 0 TRACEBUF__EACH(TRACEBUF__COUNT_FIELD, __VA_ARGS__), \
		tracebuf__is_variable_##id = 0 TRACEBUF__EACH(TRACEBUF__IS_VARIABLE, __VA_ARGS__), \
		tracebuf__size_##id = 0 TRACEBUF__EACH(TRACEBUF__SIZE, __VA_ARGS__) \
	}; \
	TRACEBUF__STATIC_ASSERT(tracebuf__index_##id < TRACEBUF__NR_ENABLES, \
		"tracebuf: more than 1024 events (and other uses of __COUNTER__) in one source file"); \
	static const struct tracebuf__field tracebuf__fields_##id[] __attribute__((unused)) = { \
		TRACEBUF__EACH(TRACEBUF__DESCRIBE, __VA_ARGS__) { 0, 0, 0, 0, 0 } \
	}; \
	static struct tracebuf__event tracebuf__event_##id \
		__attribute__((section("tracebuf_events"), aligned(64), unused TRACEBUF__RETAIN)) = { \
		#provider ":" #name, tracebuf__fields_##id, &tracebuf__enable_page[tracebuf__index_##id], \
		tracebuf__enable_page, tracebuf__nr_fields_##id, sizeof(tracebuf__enable_page), \
		TRACEBUF__LOGLEVEL_DEBUG_LINE, TRACEBUF_ABI_VERSION, { 0, 0 } \
	}; \
	TRACEBUF__ALWAYS_INLINE __attribute__((unused)) int tracebuf__enabled_##id(void) \
	{ \
		TRACEBUF__KEEP(tracebuf__event_##id); \
		return tracebuf__enabled(&tracebuf__enable_page[tracebuf__index_##id]); \
	} \
	static __attribute__((noinline, unused)) void \
	tracebuf__record_##id(TRACEBUF__EACH(TRACEBUF__PARAMETER, __VA_ARGS__) TRACEBUF__LAST) \
	{ \
		const struct tracebuf_enable *tracebuf__enable = &tracebuf__enable_page[tracebuf__index_##id]; \
		\
		(void) tracebuf__last; \
		if (tracebuf__is_variable_##id) { \
			struct tracebuf__part tracebuf__parts[2 * tracebuf__nr_fields_##id + 1], *tracebuf__end; \
			struct tracebuf__stage tracebuf__stage; \
			\
			tracebuf__stage.size = 0; \
			if (1 TRACEBUF__EACH(TRACEBUF__STAGE, __VA_ARGS__)) { \
				tracebuf__write_staged(tracebuf__enable, tracebuf__stage.bytes, tracebuf__stage.size, \
						       TRACEBUF__IP); \
				return; \
			} \
			tracebuf__end = tracebuf__parts; \
			TRACEBUF__EACH(TRACEBUF__PART, __VA_ARGS__) \
			tracebuf__write(tracebuf__enable, tracebuf__parts, (unsigned int) (tracebuf__end - tracebuf__parts), \
					TRACEBUF__IP); \
		} else { \
			uint64_t tracebuf__words[tracebuf__size_##id > 8 ? (tracebuf__size_##id + 7) / 8 : 1] = { 0 }; \
			size_t tracebuf__size = 0; \
			\
			TRACEBUF__EACH(TRACEBUF__PACK, __VA_ARGS__) \
			(void) tracebuf__size; \
			tracebuf__emit(tracebuf__enable, tracebuf__words, tracebuf__size_##id, TRACEBUF__IP); \
		} \
	} \
	TRACEBUF__STATIC_ASSERT(1, "takes the semicolon")

#define tracebuf_event_enabled(provider, name) TRACEBUF__JOIN(tracebuf__enabled_, TRACEBUF__ID(provider, name))()

/* The last value ends the arguments, so that there is one where an event has no field. */
#define tracebuf_event(provider, ...) TRACEBUF__RECORD(provider, __VA_ARGS__, TRACEBUF__LAST_VALUE)
#define TRACEBUF__RECORD(provider, name, ...) TRACEBUF__RECORD_(TRACEBUF__ID(provider, name), __VA_ARGS__)
#define TRACEBUF__RECORD_(id, ...) TRACEBUF__RECORD__(id, __VA_ARGS__)
/* Something follows the call: as the last of a function it would be a jump, and the place recorded its caller's. */
#define TRACEBUF__RECORD__(id, ...) \
	do { \
		if (tracebuf__enabled_##id()) { \
			tracebuf__record_##id(__VA_ARGS__); \
			__asm__ volatile(""); \
		} \
	} while (0)

#endif /* TRACEBUF_TRACEPOINT_H */
