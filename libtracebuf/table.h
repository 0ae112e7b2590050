/* SPDX-License-Identifier: MIT */
#ifndef TB_TABLE_H
#define TB_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <tracebuf/write.h>

struct tb_ring;

/*
 * Makes the tables. Called before anything can be enabled, under the registry's lock; the second call does nothing.
 * -ENOMEM; -ENOSYS: the kernel cannot wipe pages on fork.
 */
int tb_table_make(void);

/* Is what the tables hold this process's own, not a parent's (whose entries a child finds wiped)? Any context. */
bool tb_table_is_ours(void);
void tb_table_claim(void);
/* In a forked child: wipes the tables if the kernel did not (emulators take MADV_WIPEONFORK and forget it). */
void tb_table_after_fork(void);

/*
 * Rows: one per CPU, then TB_LOCKED_ROWS. Rings in rows of CPUs are written by restartable sequences, those in locked
 * rows under their lock; in a process without rseq all rows are locked ones.
 */
#define TB_LOCKED_ROWS 16
uint32_t tb_table_cpu_rows(void);

/* Can this process use rseq? Decided once, by the first call that knows what the daemon found. Any context. */
bool tb_table_uses_rseq(void);
void tb_table_distrust_rseq(void);

/* The place of a row's ring, and of what the fast path sees of it. Any context. */
struct tb_ring **tb_table_ring(uint32_t row, uint32_t ring_set);
struct tracebuf_producer **tb_table_producer(uint32_t row, uint32_t ring_set);

#endif
