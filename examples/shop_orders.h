/* SPDX-License-Identifier: MIT */
#ifndef SHOP_ORDERS_H
#define SHOP_ORDERS_H

#include <stdint.h>

/* Sells items to a customer; the amount paid. */
double shop_order(uint64_t order, const char *customer, const uint32_t *items, unsigned int nr_items);

#endif
