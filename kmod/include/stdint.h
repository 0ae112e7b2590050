/* SPDX-License-Identifier: GPL-2.0-only */
/* For the files that the module shares with user space: what they want of <stdint.h>. */
#include <linux/limits.h>
#include <linux/types.h>

#define UINT64_MAX U64_MAX
