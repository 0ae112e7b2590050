/* SPDX-License-Identifier: MIT */
#ifndef TB_DESCRIPTIONS_H
#define TB_DESCRIPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/write.h>

/*
 * The first nr descriptions of this process, size bytes in all, 8-byte aligned. They never move away, nor change but
 * that they are numbered (id and crc, 0 before) by the home, under the registry's lock, before they are filed.
 */
struct tb_descriptions {
	uint8_t *bytes;
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
 * The index of the description of an event with this name and layout, which is added if it is new. The caller holds
 * the registry's lock. -EINVAL (name or fields that cannot be described), -ENOSPC (TRACEBUF_MAX_EVENTS), -ENOMEM.
 */
int tb_descriptions_add(const char *name, const struct tracebuf__field *fields, uint32_t nr_fields, uint32_t loglevel);

/* Numbers the descriptions of now that are not in have by their indices. The caller holds the registry's lock. */
void tb_descriptions_number(struct tb_descriptions have, struct tb_descriptions now);

/* Has the description at bytes a number? Those before it have, then. */
bool tb_descriptions_have_number(const uint8_t *bytes);

/* Takes the numbers of nr descriptions at bytes away. */
void tb_descriptions_forget_numbers(uint8_t *bytes, uint32_t nr);

/* Gives the descriptions at bytes the numbers of those at numbered. false: some had others before. */
bool tb_descriptions_take_numbers(uint8_t *bytes, const uint8_t *numbered, uint32_t nr);

/* The index-th description of now, and its event's name; NULL if there are not so many. Any context; linear in index. */
const struct tracebuf_description *tb_descriptions_at(struct tb_descriptions now, uint32_t index);
const char *tb_descriptions_name(struct tb_descriptions now, uint32_t index);

#endif
