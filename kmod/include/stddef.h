/* SPDX-License-Identifier: GPL-2.0-only */
/* For the files of libtracebuf/ that the module shares: what they want of <stddef.h>. */
#include <linux/stddef.h>
#include <linux/types.h>
