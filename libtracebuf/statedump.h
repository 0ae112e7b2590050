/* SPDX-License-Identifier: MIT */
#ifndef TB_WRITER_STATEDUMP_H
#define TB_WRITER_STATEDUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * May the dynamic linker be asked now? Only between two calls of this, under the registry's lock and not in a signal
 * handler: asking takes the linker's lock on its list of objects, under which nothing of ours is called.
 */
void tb_statedump_permit(bool permitted);

/*
 * Writes into the process file fd which objects are loaded, or, where the linker may not be asked, which were when it was
 * asked last: before the file is published (is_new), or over what it has, if that is older than *sequence, which is set.
 * What does not go well is left out. Returns bytes of the file's area in use. Any context, under the registry's lock.
 */
size_t tb_statedump_file(int fd, bool is_new, uint32_t *sequence);

#endif
