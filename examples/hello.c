/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <tracebuf/tracepoint.h>

TRACEBUF_EVENT(shop, order_paid, (uint64_t, order), (double, amount), (const char *, customer));

int main(void)
{
	static const char *const customers[] = { "Ada", "Grace", "Edsger" };
	uint64_t order;

	for (order = 1; order <= 9; order++) {
		const char *customer = customers[order % 3];

		tracebuf_event(shop, order_paid, order, 9.90 * (double) order, customer);
	}
	puts("9 orders");
	return 0;
}
