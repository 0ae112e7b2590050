/* SPDX-License-Identifier: MIT */
#ifndef TB_BOOTS_H
#define TB_BOOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <tracebuf/abi.h>

#define TB_BOOTS_MAX_SERIES 8
#define TB_BOOTS_MAX_DAMAGED 64

/* Of which boots there is something in an image. Zero-initialised is of none. */
struct tb_boots {
	struct tracebuf_boot newest[TB_BOOTS_MAX_SERIES];	/* of each series, that which a ring is of */
	size_t nr_series;
	struct {
		struct tracebuf_boot boot;
		size_t nr;
	} damaged[TB_BOOTS_MAX_DAMAGED];
	size_t nr_damaged;			/* entries of it */
};

/* A ring of this boot is there. */
void tb_boots_add_ring(struct tb_boots *boots, const struct tracebuf_boot *boot);
/* A right header of this boot is there, and what it heads is not. false: it was not noted, for there are too many boots. */
bool tb_boots_add_damaged(struct tb_boots *boots, const struct tracebuf_boot *boot);
/* Is there a ring of a later boot of the same series? Known once all rings are. */
bool tb_boots_is_earlier(const struct tb_boots *boots, const struct tracebuf_boot *boot);
/* How many damaged things were noted of boots that are earlier in this sense; that are not. */
size_t tb_boots_nr_damaged(const struct tb_boots *boots, bool earlier);

#endif
