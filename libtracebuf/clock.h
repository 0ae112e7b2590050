/* SPDX-License-Identifier: MIT */
#ifndef TB_CLOCK_H
#define TB_CLOCK_H

#include <stdint.h>

/* The time by clock (enum tracebuf_clock), in its ticks. Any context. */
uint64_t tb_clock_read(uint32_t clock);

#endif
