/* SPDX-License-Identifier: MIT */
/* A further source of the program, and, with COMPILE_OBJECT, the shared object that it links. */
#include "compile_events.h"

#ifdef COMPILE_OBJECT
__attribute__((visibility("default"))) int compile_object(int number)
#else
int compile_source(int number)
#endif
{
	tracebuf_event(compile, common, __FILE__, number);
	return tracebuf_event_enabled(compile, common) + number;
}
