/* SPDX-License-Identifier: MIT */
#ifndef TB_TAPE_H
#define TB_TAPE_H

#include "drain.h"

void tb_tape_init(struct tb_tape *tape, int dir, const struct tb_drain *drain);

/* Writes what an overwrite ring holds and the tape does not have yet. 0 or -errno of the output. */
int tb_tape_collect(struct tb_drain *drain, struct tb_tape *tape);
/* Events that were gone before they could be read, those before the unfinished packet included. */
uint64_t tb_tape_overwritten(const struct tb_tape *tape);
/* Writes the unfinished sub-buffer, behind which tape->next_seq has come. 0 or -errno of the output. */
int tb_tape_put_unfinished(struct tb_drain *drain, struct tb_tape *tape);
/* Begins again with an empty file; what is next stays. */
void tb_tape_restart(struct tb_tape *tape);
/* Goes on where the stream file ends that an earlier daemon wrote; below: what its ring says is on disk. 0, or
   -errno of a want that passes. */
int tb_tape_adopt(struct tb_drain *drain, struct tb_tape *tape, uint64_t below);
/* Reads the file back, and cuts it where it is damaged. */
void tb_tape_verify(struct tb_drain *drain, struct tb_tape *tape);

#endif
