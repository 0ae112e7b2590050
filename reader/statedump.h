/* SPDX-License-Identifier: MIT */
#ifndef TB_READER_STATEDUMP_H
#define TB_READER_STATEDUMP_H

#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

/*
 * Is this a whole statedump? head and the bytes behind it (size of them) are a private copy, head's sequence was the
 * same before and after it was made. 0, -ENOENT (there is none yet), -EAGAIN (it is just being written), -EBADMSG
 * (bounds, crc, a record that is none). Pure.
 */
int tb_statedump_check(const struct tracebuf_statedump *head, const void *records, size_t size);

/*
 * The record at *offset of head->size bytes that passed the check, and *offset moves behind it; NULL at the end. Its
 * path ends in a NUL.
 */
const struct tracebuf_state *tb_statedump_next(const struct tracebuf_statedump *head, const void *records,
					       size_t *offset);

#endif
