/* SPDX-License-Identifier: GPL-2.0-only */
/* For the files of libtracebuf/ that the module shares: what they want of <stdint.h>. */
#include <linux/types.h>
