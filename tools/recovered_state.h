/* SPDX-License-Identifier: MIT */
#ifndef TB_RECOVERED_STATE_H
#define TB_RECOVERED_STATE_H

#include "recovery.h"

/*
 * Writes the files .processes and .statedump of a recovered trace into its directory dir: who its processes were, and
 * what the process files beside its rings say of threads, maps and loaded objects. What cannot be read is left out. If
 * its rings record addresses, the class of the stream of statedumps is added to recovery's; and, if the trace is_alone
 * (nothing of it is on disk), that stream is written. 0 or -errno.
 */
int tb_recovered_state(struct tb_recovery *recovery, int dir, bool is_alone);

/* Do any of its rings record addresses? */
bool tb_recovered_state_has_ip(const struct tb_recovery *recovery);

/*
 * Writes that stream for a trace whose older part is in dir, and what was recovered in the directory below, if one of
 * them has its class. 0 or -errno.
 */
int tb_recovered_state_merge(const struct tb_recovery *recovery, const struct tb_metadata *known, int dir,
			     const char *below);

#endif
