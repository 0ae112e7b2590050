/* SPDX-License-Identifier: MIT */
#ifndef TB_RINGFILE_H
#define TB_RINGFILE_H

#include "drain.h"

/*
 * The ring's file as the daemon has it open. All of these: 0 or -errno. An error of the file itself (gone, replaced,
 * cut short) makes the drain broken.
 */

void tb_ringfile_close(struct tb_drain *drain);

/* Copies size bytes at offset of the file: -EFAULT if it is shorter. */
int tb_ringfile_read(struct tb_drain *drain, void *data, size_t size, uint64_t offset);
/* Reads the producer's words into drain->producer. */
int tb_ringfile_look(struct tb_drain *drain);
/* The head of sub-buffer seq. */
int tb_ringfile_packet(struct tb_drain *drain, uint64_t seq, struct tracebuf_packet *ret_packet);
/* A read-only mapping of the data, never to be touched but by the kernel; NULL if it cannot be had. */
const char *tb_ringfile_data(struct tb_drain *drain);

/* Tells the writer that sub-buffers below consumed may be reused; drain->consumed says whether it could be told. */
void tb_ringfile_release(struct tb_drain *drain, uint64_t consumed);

/* Something in the ring is not as a writer leaves it. */
void tb_drain_damage(struct tb_drain *drain, const char *what);

#endif
