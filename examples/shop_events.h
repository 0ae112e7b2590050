/* SPDX-License-Identifier: MIT */
/* The events of a program of several sources: declared once, in a header, like any function. */
#ifndef SHOP_EVENTS_H
#define SHOP_EVENTS_H

#include <tracebuf/tracepoint.h>

enum shop_result { SHOP_PAID, SHOP_REFUSED };

TRACEBUF_EVENT(shop, opened, (const char *, name));
TRACEBUF_EVENT(shop, order_paid, (uint64_t, order), (double, amount), (const char *, customer),
	       (enum shop_result, result));
TRACEBUF_EVENT(shop, receipt, (uint64_t, order), (const uint32_t *, items, nr_items));
TRACEBUF_EVENT(shop, closed);

#endif
