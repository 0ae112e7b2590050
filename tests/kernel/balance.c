/* SPDX-License-Identifier: MIT */
/* Pages and processes that a test program leaves behind in the kernel: none. */
#include "balance.h"

#include "check.h"
#include "device.h"

static uint64_t nr_pages, nr_region_pages;	/* at the beginning */

bool balance_begin(struct control *control)
{
	if (device_is_missing() || !CHECK_IS(control_open(control), 0))
		return false;
	nr_pages = control_status(control, TRACEBUF_A_NR_PAGES);
	nr_region_pages = control_status(control, TRACEBUF_A_NR_REGION_PAGES);
	return CHECK(nr_pages > 0);
}

void balance_check(struct control *control)
{
	CHECK(control_settles(control, TRACEBUF_A_NR_PROCESSES, 0));
	CHECK(control_settles(control, TRACEBUF_A_NR_PAGES, nr_pages));
	CHECK(control_settles(control, TRACEBUF_A_NR_REGION_PAGES, nr_region_pages));
}

void balance_begin_with(struct control *control, const char *name, const char *domain, struct control_trace *ret_trace)
{
	if (balance_begin(control))
		CHECK_IS(control_make(control, name, domain, &control_channel, ret_trace), 0);
}

void balance_end_with(struct control *control, struct control_trace *trace)
{
	if (device_is_missing())
		return;
	CHECK_IS(control_destroy(control, trace), 0);
	balance_check(control);
}
