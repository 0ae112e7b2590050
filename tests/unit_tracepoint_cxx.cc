/* SPDX-License-Identifier: MIT */
/*
 * tracepoint.h as C++: the types that only C++ has, and the places where only C++ can declare and record.
 */
extern "C" {
#include "harness.h"
}
#include "unit_tracepoint_shared.h"
#include "unit_tracepoint_sink.h"
#include <climits>
#include <cstring>
#include <string>

enum class small : unsigned char { a = 250 };
enum class big : long { a = -5 };
enum plain { zero, seven = 7 };
struct base { virtual ~base() = default; };

TRACEBUF_EVENT(cxx, enums, (small, s), (big, b), (plain, p), (const small, c));
TRACEBUF_EVENT(cxx, characters, (char, c), (wchar_t, w), (char16_t, c16), (char32_t, c32), (bool, yes));
TRACEBUF_EVENT(cxx, pointers, (base *, object), (const void *, nothing), (unsigned char *, bytes));
TRACEBUF_EVENT(cxx, sequence, (const big *, values, nr_values), (const std::string::value_type *, text, size));
TRACEBUF_EVENT(cxx, integers, (signed char, a), (unsigned char, b), (short, c), (unsigned short, d), (int, e),
	       (unsigned int, f), (long, g), (unsigned long, h), (long long, i), (unsigned long long, j));
TRACEBUF_EVENT(cxx, place, (const char *, where));
TRACEBUF_EVENT(cxx, nothing);

extern "C" {
TRACEBUF_EVENT(cxx, linkage, (int, a), (const char *, b));
}

namespace outer::inner {
TRACEBUF_EVENT(cxx, space, (std::size_t, a));
void record()
{
	tracebuf_event(cxx, space, 3);
	tracebuf_event(cxx, place, "namespace");
}
}

template <typename type> static void in_template(type)
{
	tracebuf_event(cxx, place, "template");
}

struct holder {
	holder() { tracebuf_event(cxx, place, "constructor"); }
	int method() const
	{
		return [] {
			tracebuf_event(cxx, place, "lambda");
			return tracebuf_event_enabled(cxx, place);
		}();
	}
};

#define CHECK_TEXT(expected) check_text(expected, __LINE__)

static void check_text(const char *expected, unsigned int line)
{
	const char *text = sink_text();

	if (std::strcmp(text, expected))
		tb_note("%s\n# instead of %s", text, expected);
	CU_assertImplementation(!std::strcmp(text, expected), line, expected, __FILE__, "", CU_FALSE);
}

static void enable(const char *name)
{
	sink_reset();
	CU_ASSERT_TRUE_FATAL(sink_enable(name, 1) > 0);
}

static void test_types()
{
	const big values[] = { big::a, big(6) };
	const std::string text = "AB";

	enable("cxx:enums");
	tracebuf_event(cxx, enums, small::a, big::a, seven, small::a);
	CHECK_TEXT("cxx:enums { s = 250, b = -5, p = 7, c = 250 }");
	enable("cxx:characters");
	tracebuf_event(cxx, characters, 'x', L'y', u'\xffff', U'\x10ffff', true);
	CHECK_TEXT("cxx:characters { c = 120, w = 121, c16 = 65535, c32 = 1114111, yes = 1 }");
	enable("cxx:pointers");
	tracebuf_event(cxx, pointers, nullptr, reinterpret_cast<const void *>(0x10), nullptr);
	CHECK_TEXT("cxx:pointers { object = 0x0, nothing = 0x10, bytes = 0x0 }");
	enable("cxx:sequence");
	tracebuf_event(cxx, sequence, values, 2, text.data(), text.size());
	CHECK_TEXT("cxx:sequence { values = [-5, 6], text = [65, 66] }");
	enable("cxx:integers");
	tracebuf_event(cxx, integers, -1, 1, SHRT_MIN, USHRT_MAX, INT_MIN, UINT_MAX, LONG_MIN, ULONG_MAX, LLONG_MIN,
		       ULLONG_MAX);
	CHECK_TEXT("cxx:integers { a = -1, b = 1, c = -32768, d = 65535, e = -2147483648, f = 4294967295, "
		   "g = -9223372036854775808, h = 18446744073709551615, i = -9223372036854775808, "
		   "j = 18446744073709551615 }");
	enable("cxx:nothing");
	tracebuf_event(cxx, nothing);
	CHECK_TEXT("cxx:nothing { }");
}

static void test_places()
{
	enable("cxx:linkage");
	tracebuf_event(cxx, linkage, -1, nullptr);
	CHECK_TEXT("cxx:linkage { a = -1, b = \"(null)\" }");
	enable("cxx:space");
	outer::inner::record();
	CHECK_TEXT("cxx:space { a = 3 }");
	enable("cxx:place");
	outer::inner::record();
	CHECK_TEXT("cxx:place { where = \"namespace\" }");
	in_template(1);
	CHECK_TEXT("cxx:place { where = \"template\" }");
	holder object;
	CHECK_TEXT("cxx:place { where = \"constructor\" }");
	TB_ASSERT_EQUAL(object.method(), 1);
	CHECK_TEXT("cxx:place { where = \"lambda\" }");
}

/* The other source is C: one event, one object, two languages. */
static void test_mixed_languages()
{
	TB_ASSERT_EQUAL(sink_nr_registered, 1);
	TB_ASSERT_EQUAL(sink_enable("shared:both", 1), 2);
	sink_reset();
	tracebuf_event(shared, both, 1, "C++");
	CHECK_TEXT("shared:both { from = 1, class = \"C++\" }");
	unit_tracepoint_other();
	CHECK_TEXT("shared:both { from = 2, class = \"other\" }");
}

int main()
{
	CU_TestInfo tests[] = {
		{ "types", test_types },
		{ "places", test_places },
		{ "mixed languages", test_mixed_languages },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_tracepoint_cxx", tests);
}
