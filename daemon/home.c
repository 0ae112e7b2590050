/* SPDX-License-Identifier: MIT */
/*
 * Which home the pages have. The rule is the traced process's, too (libtracebuf): both sides must come to the same end
 * without asking each other.
 */
#define _GNU_SOURCE
#include "home.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct tb_home *find(const char *text)
{
	if (!strcmp(text, tb_kernel_home.name))
		return &tb_kernel_home;
	return strcmp(text, tb_rundir_home.name) ? NULL : &tb_rundir_home;
}

static const struct tb_home *by_device(void)
{
	int fd = open(TRACEBUF_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return &tb_rundir_home;
	close(fd);
	return &tb_kernel_home;
}

const struct tb_home *tb_home_choose(const char *text)
{
	const char *told = secure_getenv("TRACEBUF_HOME");
	const struct tb_home *home;

	if (text && strcmp(text, "auto"))
		return find(text);
	home = told ? find(told) : NULL;
	return home ? home : by_device();
}
