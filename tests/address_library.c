/* SPDX-License-Identifier: MIT */
/* An object that tests/addressed loads: it records an event, and addresses of its own. */
#include "address_library.h"

#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(addressed, library, (void *, pointer));

static __attribute__((noinline)) int library_target(int number)
{
	return number + 1;
}

/* The address of a function that no other object can name. */
void *library_record(void)
{
	void *pointer = (void *) (uintptr_t) &library_target;

	tracebuf_event(addressed, library, pointer);
	return pointer;
}
