/* SPDX-License-Identifier: MIT */
#ifndef TB_STREAM_ID_H
#define TB_STREAM_ID_H

#include <stddef.h>
#include <stdint.h>

/* The name of a stream class (abi.h, TRACEBUF_STREAM_ID_BASIS). descriptions: size bytes of records. Any context. */
uint64_t tb_stream_id(uint32_t context, const void *descriptions, size_t size);

/* The same in pieces: hash is TRACEBUF_STREAM_ID_BASIS ^ context at first, then what was returned; not cut by the mask. */
uint64_t tb_stream_id_add(uint64_t hash, const void *descriptions, size_t size);

#endif
