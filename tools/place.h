/* SPDX-License-Identifier: MIT */
#ifndef TB_PLACE_H
#define TB_PLACE_H

#include <stddef.h>

/*
 * Where our other files are: $TRACEBUF_DAEMON and $TRACEBUF_HELPER_DIR, else in the build tree that this program runs
 * in, else where it was installed for. path: size bytes. 0, -ENAMETOOLONG, -ENOENT (helper: there is none).
 */
int tb_place_daemon(char *path, size_t size);
int tb_place_helper(const char *name, char *path, size_t size);

/* libtracebuf.so itself, which helpers need. -ENOENT: left to the dynamic linker. */
int tb_place_library(char *path, size_t size);

#endif
