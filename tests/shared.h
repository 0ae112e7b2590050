/* SPDX-License-Identifier: MIT */
#ifndef TB_SHARED_H
#define TB_SHARED_H

#include "tick.h"

/* Maps the counters in the file path, made if it is not there. NULL: impossible. */
struct tick_shared *shared_map(const char *path);

#endif
