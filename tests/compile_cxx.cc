// SPDX-License-Identifier: MIT
// What only C++ can write: the header inside extern "C", events in namespaces and linkage specifications, used in
// inline functions, templates and static constructors. Compiled as C++17 and C++20 with every warning an error.
extern "C" {
#include "compile_events.h"
}

enum class kind : signed char { none };

namespace shop::inside {
TRACEBUF_EVENT(compile, space, (kind, k), (wchar_t, w), (char16_t, c), (bool, yes));
inline void record() { tracebuf_event(compile, space, kind::none, L'w', u'c', true); }
}

extern "C" {
TRACEBUF_EVENT(compile, linkage, (const kind *, kinds, nr_kinds));
}

template <typename type> struct recorder {
	recorder() { tracebuf_event(compile, linkage, kinds, sizeof(kinds)); }
	kind kinds[sizeof(type)] = {};
};

static recorder<long> early;

extern "C" int compile_object(int number)
{
	auto lambda = [number] { tracebuf_event(compile, common, __FILE__, number); };

	lambda();
	return number;
}

int main()
{
	shop::inside::record();
	return compile_source(1) + compile_object(1) != 2;
}
