/* SPDX-License-Identifier: MIT */
/* idle.c, linked with LTTng-UST. */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng_provider.h"

int main(int argc, char **argv)
{
	(void) argv;
	lttng_ust_tracepoint(bench, one_int, argc);
	return 0;
}
