/* SPDX-License-Identifier: MIT */
#ifndef TB_DAEMON_RULES_H
#define TB_DAEMON_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

/* The rules of one trace, as they stand in the control page: struct tracebuf_rule records. */
struct tb_rules {
	uint32_t size;
	char data[TRACEBUF_RULES_SIZE] __attribute__((aligned(8)));
};

/*
 * Adds "channel records (enable) or does not record what matches pattern" behind all others. An equal rule further up
 * says nothing any more and goes. 0, -ENOSPC (too many rules), -EINVAL (empty pattern, or longer than 1 KiB).
 */
int tb_rules_add(struct tb_rules *rules, unsigned int channel, bool enable, const char *pattern);

/* The rule at *offset, which moves behind it; NULL at the end. */
const struct tracebuf_rule *tb_rules_next(const struct tb_rules *rules, uint32_t *offset);

#endif
