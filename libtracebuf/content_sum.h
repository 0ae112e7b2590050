/* SPDX-License-Identifier: MIT */
#ifndef TB_CONTENT_SUM_H
#define TB_CONTENT_SUM_H

#include <stddef.h>
#include <stdint.h>

/* tracebuf_packet.content_sum of size bytes of content, never 0. About 50 GB/s. Any context. */
uint32_t tb_content_sum(const void *content, size_t size);

#endif
