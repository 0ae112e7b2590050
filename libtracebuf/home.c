/* SPDX-License-Identifier: MIT */
/*
 * Which home the pages of this process have.
 *
 * Invariant: chosen once, by the environment or by whether the kernel has a module for this process; a forked child has
 * its parent's. Two threads that choose at one time go by the one that was first.
 */
#define _GNU_SOURCE
#include "home.h"
#include "raw.h"
#include <stdlib.h>
#include <string.h>
#include <tracebuf/ordering.h>

static const struct tb_home *chosen;

/* What the environment says, NULL if nothing. */
static const struct tb_home *wanted(void)
{
	const char *name = secure_getenv("TRACEBUF_HOME");

	if (name && !strcmp(name, "tmpfs"))
		return &tb_home_rundir;
	return name && !strcmp(name, "kernel") ? &tb_home_kernel : NULL;
}

static const struct tb_home *choose(const struct tb_home *home)
{
	const struct tb_home *before = NULL;

	__atomic_compare_exchange_n(&chosen, &before, home, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	return before ? before : home;
}

const struct tb_home *tb_home(void)
{
	const struct tb_home *home = tracebuf__load_acquire(&chosen);
	int fd;

	if (home)
		return home;
	home = wanted();
	if (!home) {
		fd = tb_home_kernel.process_open();
		home = fd < 0 ? &tb_home_rundir : &tb_home_kernel;
		if (fd >= 0)
			tb_raw_close(fd);
	}
	return choose(home);
}

static int create_in(const struct tb_home *home)
{
	int fd = home->process_open(), result;

	if (fd < 0)
		return fd;
	result = home->process_create(fd);
	if (!result)
		return fd;
	home->process_abandon();
	tb_raw_close(fd);
	return result;
}

int tb_home_create_process(void)
{
	const struct tb_home *home = tracebuf__load_acquire(&chosen);
	int fd;

	if (!home)
		home = wanted();
	if (home)
		return create_in(choose(home));
	fd = create_in(&tb_home_kernel);
	if (fd < 0 && fd != -EUSERS)
		return create_in(choose(&tb_home_rundir));
	choose(&tb_home_kernel);
	return fd;
}
