/* SPDX-License-Identifier: MIT */
#ifndef TB_TSDL_H
#define TB_TSDL_H

#include <stddef.h>
#include "metadata.h"

/* Largest metadata that is read. */
#define TB_METADATA_MAX_SIZE (1u << 30)

/*
 * Parse TSDL that tb_metadata_write_*() wrote, or a later version that adds blocks, attributes, environment and
 * packet context members at the end. text: size bytes, need not end in NUL. 0, -EBADMSG or -ENOMEM; then message
 * (message_size bytes) holds one line that says what and where. *ret_metadata is for tb_metadata_free().
 */
int tb_tsdl_parse(const char *text, size_t size, struct tb_metadata **ret_metadata, char *message, size_t message_size);

#endif
