/* SPDX-License-Identifier: GPL-2.0-only */
/* For the files that the module shares with user space: what they want of <errno.h>. */
#include <linux/errno.h>
