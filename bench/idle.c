/* SPDX-License-Identifier: MIT */
/* A program that does nothing, with one event declared, or (IDLE_PLAIN) none: what linking alone costs. */
#ifndef IDLE_PLAIN
#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(idle, started, (int32_t, nr_arguments));
#endif

int main(int argc, char **argv)
{
	(void) argc, (void) argv;
#ifndef IDLE_PLAIN
	tracebuf_event(idle, started, argc);
#endif
	return 0;
}
