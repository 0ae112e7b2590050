/* SPDX-License-Identifier: MIT */
#ifndef TB_ADDRESSES_H
#define TB_ADDRESSES_H

#include "../reader/trace.h"
#include "symbols.h"
#include "view_line.h"

/* Names of addresses in the events of one trace. */
struct tb_addresses;

/* trace outlives it; path: its directory. What is known is read when the first address comes. NULL: no memory. */
struct tb_addresses *tb_addresses_make(const struct tb_trace *trace, const char *path,
				       const struct tb_symbols_options *options);
void tb_addresses_free(struct tb_addresses *addresses);

/* What lay at an address, for event's process and time: tb_line_maker.find_place. Names live as long as addresses. */
bool tb_addresses_find(void *addresses, const struct tb_trace_event *event, uint64_t address,
		       struct tb_line_place *ret_place);

#endif
