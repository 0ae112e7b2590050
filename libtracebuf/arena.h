/* SPDX-License-Identifier: MIT */
#ifndef TB_ARENA_H
#define TB_ARENA_H

#include <stddef.h>

/*
 * size bytes of zeroed memory, aligned to 64, never given back. NULL if the kernel has none.
 * Any context: takes no lock and does not use malloc(), which the program or a helper may be tracing.
 */
void *tb_arena_alloc(size_t size);

#endif
