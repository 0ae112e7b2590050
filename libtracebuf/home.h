/* SPDX-License-Identifier: MIT */
#ifndef TB_WRITER_HOME_H
#define TB_WRITER_HOME_H

#include <stdbool.h>
#include <stdint.h>
#include <tracebuf/abi.h>

#include "control.h"
#include "descriptions.h"
#include "process.h"
#include "ring.h"

/*
 * Where the pages are: the run directory, or the kernel. All that differs is here; what is written into the pages, and
 * when, does not know.
 *
 * Every function: any context where not told otherwise, raw system calls only, 0 (or a descriptor) or -errno, and no
 * descriptor stays open but the one that is returned.
 */
struct tb_home {
	/*
	 * The pages of a process, under the registry's lock. A new process: open, create, describe, enable for each unit,
	 * publish, then the units are mapped from the descriptor. One that has pages: reopen, describe, enable, announce.
	 */
	int (*process_open)(void);			/* a descriptor for new pages */
	int (*process_create)(int fd);
	int (*process_reopen)(int access);		/* of the pages that this process has; O_RDWR or O_RDONLY */
	/* Numbers the descriptions of now behind those of have, and adds them. */
	int (*describe)(int fd, struct tb_descriptions have, struct tb_descriptions now);
	/* Stores nr of unit's records, from first on, enabled as the rules say. They are numbered. */
	int (*enable)(int fd, const struct tb_unit *unit, uint32_t first, uint32_t nr, struct tb_descriptions now);
	/* The pages are whole: maps those of the header and the account, and lets the others know. */
	int (*process_publish)(int fd, struct tb_descriptions now, uint64_t enable_size,
			       struct tracebuf_process **ret_page);
	void (*process_abandon)(void);			/* they will not be published */
	/* They have grown. */
	void (*process_announce)(int fd, struct tracebuf_process *page, struct tb_descriptions now,
				 uint64_t enable_size);
	void (*process_remove)(void);			/* the process ends and nobody needs them */

	/* The control pages that processes are told by now. *ret_identity: which; pages of another one are others. */
	int (*control_open)(uint64_t *ret_identity);
	size_t control_size;

	/* Makes and maps what fill_ring() has filled in. nr: the how-manieth ring of this process, from 0. */
	int (*ring_make)(struct tb_ring *ring, const struct tb_control_slot *about, uint32_t nr);
	/* Sees to pages for [from, from + size) of its data. -ENOSPC: there are none. */
	int (*ring_back)(const struct tb_ring *ring, uint64_t from, uint64_t size);
	/* A sub-buffer was left, or there is no room. */
	void (*ring_bell)(struct tb_ring *ring);
	/*
	 * Waits TB_RING_WAIT_MS at most until sub-buffer seq has room; wake: the consumer's word before it was found to
	 * have none. false: nobody is there who could make room. Blocks.
	 */
	bool (*ring_wait)(struct tb_ring *ring, uint64_t seq, uint32_t wake);
};

#define TB_RING_WAIT_MS 100

extern const struct tb_home tb_home_rundir, tb_home_kernel;

/* The home of this process, chosen if it was not yet: that costs an open(2). Any context. */
const struct tb_home *tb_home(void);

/*
 * Opens a descriptor for this process's new pages and creates them; with it the home is chosen. TRACEBUF_HOME=tmpfs or
 * kernel says which; else it is the kernel, where there is a module that this process may use. Once chosen, it stays.
 * -ENODEV: the kernel does not take this process, now or later.
 */
int tb_home_create_process(void);

#endif
