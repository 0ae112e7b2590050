/* SPDX-License-Identifier: MIT */
#ifndef TB_DESCRIPTIONS_H
#define TB_DESCRIPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <tracebuf/write.h>

/* The first nr descriptions of this process, size bytes in all, 8-byte aligned. They never change or move away. */
struct tb_descriptions {
	const uint8_t *bytes;
	uint32_t size;
	uint32_t nr;
};

/* What is described now. Any context. */
struct tb_descriptions tb_descriptions_now(void);

/*
 * What of it is in the process file, where the daemon can read it: rings are made for these, no more. Set by who has
 * written them there. Any context.
 */
struct tb_descriptions tb_descriptions_filed(void);
void tb_descriptions_set_filed(struct tb_descriptions filed);

/*
 * The id of an event with this name and layout: the one that it has, or the next. The caller holds the registry's
 * lock. -EINVAL (name or fields that cannot be described), -ENOSPC (TRACEBUF_MAX_EVENTS), -ENOMEM.
 */
int tb_descriptions_add(const char *name, const struct tracebuf__field *fields, uint32_t nr_fields, uint32_t loglevel);

/* The name of event id, which is below the nr of now; NULL if not. Any context; linear in id. */
const char *tb_descriptions_name(struct tb_descriptions now, uint32_t id);

#endif
