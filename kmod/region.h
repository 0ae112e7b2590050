/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that keeps its content over a reboot: what the files that deal with it know of each other, and what the rest
 * of the module knows of them. The layout is in include/tracebuf/abi.h, "Region".
 *
 * Who is who: reserved.c finds and maps the memory. region.c has the two halves: it decides which of them is this
 * boot's, and says in its header what is recorded. pool.c hands out this half's pages, which pages.c takes for objects
 * that no user pays for. previous.c shows the other half. keep.c copies process files into this one.
 */
#ifndef TB_KMOD_REGION_H
#define TB_KMOD_REGION_H

#include <linux/list.h>
#include <linux/types.h>

#include "reader/kept.h"

struct dentry;
struct dev_pagemap;
struct iov_iter;
struct kiocb;
struct page;
struct tb_process;
struct tb_trace;

/* ---- reserved.c ---- */

struct tb_reserved {
	u64 physical, size;		/* of whole pages, and an even number of them */
	void *bytes;			/* all of it, mapped */
	struct dev_pagemap *map;	/* of an address; NULL: it has a name */
};
/* text: the parameter. What is wrong is said in the log. -EINVAL, -EBUSY, -ENOENT, -EOPNOTSUPP, -ENOMEM. */
int tb_reserved_get(const char *text, struct tb_reserved *ret_reserved);
void tb_reserved_put(struct tb_reserved *reserved);	/* zeroed is fine */

/* ---- pool.c: any context that may take a spin lock ---- */

/* Pages from first on, the very first of which is taken for ever. */
int tb_pool_init(struct page *first, unsigned long nr);
void tb_pool_exit(void);		/* fine without init */
/* A zeroed page; NULL: there is none left. */
struct page *tb_pool_take(void);
/* Given back. Nobody maps it; who has it pinned keeps it, and until then it is in use. */
void tb_pool_give(struct page *page);
unsigned long tb_pool_used(void);	/* the very first included; 0 without a pool */
unsigned long tb_pool_size(void);

/* ---- region.c ---- */

/* Without the parameter there is no region, and that is no error. */
int tb_region_init(void);
void tb_region_exit(void);
/* Can a trace be placed in it? */
bool tb_region_is_there(void);
/* For the headers of files: which boot this is. Zeroes without a region. */
void tb_region_fill_boot(struct tracebuf_boot *boot);
/* The persistent trace starts, before any event of it is recorded; has stopped. Under tb_lock. */
void tb_region_start(const struct tb_trace *trace);
void tb_region_stop(void);

/* ---- previous.c ---- */

/* A half as it was found at load. */
struct tb_previous {
	struct tb_kept half;
	const struct tracebuf_region *header;	/* NULL: it is not right */
	struct tb_kept_report report;
	struct list_head files;
};
/* Looks through half. -ENOMEM. */
int tb_previous_look(struct tb_previous *previous, const struct tb_kept *half);
void tb_previous_forget(struct tb_previous *previous);
/* Takes over what previous has, and shows that from now on; its memory must stay. */
void tb_previous_keep(struct tb_previous *previous);
void tb_previous_exit(void);		/* once debugfs has gone */
void tb_previous_show(void);		/* in debugfs */
/* The ELF core file. */
bool tb_previous_is_there(void);
u64 tb_previous_size(void);
ssize_t tb_previous_read_iter(struct kiocb *iocb, struct iov_iter *to);

/* ---- keep.c ---- */

struct tb_kept_process;
/* Brings the copy of the process's file up to date, or makes it. -ENOSPC, -ENOMEM. Under tb_lock. */
int tb_keep_update(struct tb_process *process);
void tb_keep_drop(struct tb_process *process);	/* under tb_lock; fine if there is none */
/* The process's statedump has been written: so the copy, if there is one, gets it. Without tb_lock; one at a time. */
void tb_keep_statedump(struct tb_process *process);

#endif
