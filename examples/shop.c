/* SPDX-License-Identifier: MIT */
/* A program of two sources that share their events: this one and shop_orders.c. */
#include "shop_events.h"
#include "shop_orders.h"
#include <stdio.h>

int main(void)
{
	const char *const customers[] = { "Ada", "Grace", "Barbara", NULL };
	uint32_t items[8];
	double sum = 0;

	tracebuf_event(shop, opened, "corner shop");
	for (uint64_t order = 0; order < 100; order++) {
		unsigned int nr_items = order % 8 + 1;

		for (unsigned int i = 0; i < nr_items; i++)
			items[i] = (uint32_t) (order * 31 + i * 7) % 20;
		sum += shop_order(order, customers[order % 4], items, nr_items);
	}
	tracebuf_event(shop, closed);
	printf("%.2f\n", sum);
	return 0;
}
