/* SPDX-License-Identifier: MIT */
#ifndef TB_STATE_H
#define TB_STATE_H

#include "recording.h"

/* Writes rings/<generation>/.trace: all that a daemon must know to go on with this trace. 0 or -errno. */
int tb_state_save(const struct tb_recording *recording, const struct tracebuf_slot *slot,
		  const struct tb_rules *rules);
/* Reads it into recording, whose rings_fd is open. 0, -ENOENT, -EBADMSG, -ESTALE (of an earlier boot),
   -EXDEV (its rings are in another home). */
int tb_state_load(struct tb_recording *recording);

/* A ring is done: its counts, for the daemon that may come after this one. Written before its file goes. */
void tb_state_add_counts(struct tb_recording *recording, const char *ring, const struct tb_account *account,
			 const struct tb_counts *counts);
/* Reads them back into the accounts; removes ring files that are done. */
void tb_state_load_counts(struct tb_recording *recording);

#endif
