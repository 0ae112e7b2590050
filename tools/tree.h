/* SPDX-License-Identifier: MIT */
#ifndef TB_TREE_H
#define TB_TREE_H

#include <stdbool.h>

/* Removes all that is in the directory path, follows no link, and path itself unless it is kept. Does what it can. */
void tb_tree_remove(const char *path, bool keep);

#endif
