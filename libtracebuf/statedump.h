/* SPDX-License-Identifier: MIT */
#ifndef TB_WRITER_STATEDUMP_H
#define TB_WRITER_STATEDUMP_H

#include <stddef.h>
#include <stdint.h>

/*
 * Takes down which objects are loaded now, unless it stands already. The caller holds the registry's lock; not from
 * signal handlers: this takes the dynamic linker's lock on its list of objects, under which nothing of ours is called.
 */
void tb_statedump_collect(void);

/*
 * Writes what was taken down last into the process file fd: before it is published (is_new), or over what it has, if that
 * is older than *sequence, which is set. What does not go well is left out. Returns bytes of the file's area in use.
 * Any context, under the registry's lock.
 */
size_t tb_statedump_file(int fd, int is_new, uint32_t *sequence);

#endif
