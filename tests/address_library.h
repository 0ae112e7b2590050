/* SPDX-License-Identifier: MIT */
#ifndef TB_ADDRESS_LIBRARY_H
#define TB_ADDRESS_LIBRARY_H

#include <stdint.h>

__attribute__((visibility("default"))) void *library_record(void);

#endif
