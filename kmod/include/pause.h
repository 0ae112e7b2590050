/* SPDX-License-Identifier: GPL-2.0-only */
/* Included before reader/kept.c, whose look through a region gives way to others between pages. */
#include <linux/sched.h>

static inline void tb_kept_pause(void)
{
	cond_resched();
}
#define TB_KEPT_PAUSE() tb_kept_pause()

/* A member of that name is in reader/ring.h. */
#undef current
