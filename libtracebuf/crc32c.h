/* SPDX-License-Identifier: MIT */
#ifndef TB_CRC32C_H
#define TB_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * CRC32C (Castagnoli, RFC 3720 appendix B.4) of size bytes. crc: 0, or what an earlier call returned, to go on.
 * Any context, also signal handlers.
 */
uint32_t tb_crc32c(uint32_t crc, const void *data, size_t size);

#endif
