/* SPDX-License-Identifier: MIT */
/*
 * Taking a directory away that we made, with what the daemon put into it. It stays on one file system and follows no
 * link, so that nothing outside can be hit.
 */
#define _GNU_SOURCE
#include "tree.h"
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_OPEN 16

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st;
	(void) type;
	if (ftw->level > 0)
		remove(path);
	return 0;
}

void tb_tree_remove(const char *path, bool keep)
{
	nftw(path, remove_entry, MAX_OPEN, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	if (!keep)
		rmdir(path);
}
