/* SPDX-License-Identifier: MIT */
#ifndef TB_RECOVERED_STATE_H
#define TB_RECOVERED_STATE_H

#include "recovery.h"

/*
 * Writes the file .statedump of a recovered trace into its directory dir: what the process files beside its rings say of
 * threads, maps and loaded objects. What cannot be read is left out. 0 or -errno of the file.
 */
int tb_recovered_state(const struct tb_recovery *recovery, int dir);

#endif
