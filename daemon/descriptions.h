/* SPDX-License-Identifier: MIT */
#ifndef TB_DESCRIPTIONS_H
#define TB_DESCRIPTIONS_H

#include <urcu/list.h>
#include "daemon.h"
#include "reader/description.h"

/* The event descriptions of a process, copied and checked. Processes with the same ones share this. */
struct tb_descriptions {
	struct cds_list_head bucket;
	unsigned int refs;
	uint64_t hash;
	uint32_t nr;
	size_t size;
	char *bytes;
	struct tb_events events;
	uint64_t evaluated;		/* control.rules_generation that channels goes by; 0: never */
	uint16_t *channels;		/* [id * TRACEBUF_NR_SLOTS + slot], ids below events.nr */
};

/*
 * The set that these bytes (malloc()ed, owned from now on, also on failure) describe. 0, -EBADMSG, -ENOMEM.
 */
int tb_descriptions_get(struct tb_daemon *daemon, char *bytes, size_t size, uint32_t nr,
			struct tb_descriptions **ret_descriptions);
void tb_descriptions_put(struct tb_descriptions *descriptions);

/* What the active traces record of each event: a bit for each channel, [id * TRACEBUF_NR_SLOTS + slot]. */
const uint16_t *tb_descriptions_evaluate(struct tb_descriptions *descriptions, const struct tb_control *control);

#endif
