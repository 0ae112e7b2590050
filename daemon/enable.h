/* SPDX-License-Identifier: MIT */
#ifndef TB_ENABLE_H
#define TB_ENABLE_H

#include <stdint.h>
#include "descriptions.h"

/* What a record must say so that channels[slot] of each slot record its event. Pure; the other words stay. */
void tb_enable_decide(struct tracebuf_enable *record, const uint16_t channels[TRACEBUF_NR_SLOTS]);

/* Sets the records of a process (fd: its open file, enable_size: bytes of them as it claims) by the rules. */
int tb_enable_store(int fd, uint32_t enable_size, struct tb_descriptions *descriptions,
		     const struct tb_control *control);

#endif
