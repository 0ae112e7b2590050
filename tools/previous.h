/* SPDX-License-Identifier: MIT */
#ifndef TB_PREVIOUS_H
#define TB_PREVIOUS_H

#include <stddef.h>

/*
 * Opens what the previous boot left in memory, as the kernel module found it: an image for tb_remains_of_fd().
 * *ret_path: where it is. A descriptor, or -errno: then message says why there is none.
 */
int tb_previous_open(const char **ret_path, char *message, size_t size);

#endif
