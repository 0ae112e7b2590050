/* SPDX-License-Identifier: MIT */
/* Orders: a sequence, an enumeration, and work that is done only for the trace. */
#include "shop_orders.h"
#include "shop_events.h"

static double price(uint32_t item)
{
	return 0.5 * item + 1;
}

double shop_order(uint64_t order, const char *customer, const uint32_t *items, unsigned int nr_items)
{
	double amount = 0;

	for (unsigned int i = 0; i < nr_items; i++)
		amount += price(items[i]);
	tracebuf_event(shop, order_paid, order, amount, customer, amount < 100 ? SHOP_PAID : SHOP_REFUSED);
	tracebuf_event(shop, receipt, order, items, nr_items);
	return amount < 100 ? amount : 0;
}
