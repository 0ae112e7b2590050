/* SPDX-License-Identifier: MIT */
#ifndef TB_TRANSFER_H
#define TB_TRANSFER_H

#include "drain.h"

/* Waits until nothing of the ring is under way. */
void tb_transfer_await(struct tb_drain *drain);

/* Writes all that was finished when it was called; waits for the disk. */
void tb_transfer_flush(struct tb_drain *drain);

#endif
