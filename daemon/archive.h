/* SPDX-License-Identifier: MIT */
#ifndef TB_ARCHIVE_H
#define TB_ARCHIVE_H

#include "drain.h"

/*
 * The verb rotate: what was recorded so far becomes a trace of its own, archives/<begin>-<end>-<n>/; path gets its
 * place. The trace goes on in new files. 0 or -errno with a message.
 */
int tb_archive_rotate(struct tb_recording *recording, char *path, size_t size, struct tb_message *message);

/* The verb snapshot, of a trace that writes nothing by itself: the same for <output>/snapshot-<n>/. */
int tb_archive_snapshot(struct tb_recording *recording, const char *output, char *path, size_t size,
			struct tb_message *message);

/* Where the last rotation cut this ring, if an earlier daemon made one. */
void tb_archive_adopt(struct tb_drain *drain);
/* Ends a rotation that an earlier daemon did not come to the end of. Before any ring is taken. */
void tb_archive_complete(struct tb_recording *recording);
/* All rings are taken: what was kept for tb_archive_adopt() goes. */
void tb_archive_forget(struct tb_recording *recording);

#endif
