/* SPDX-License-Identifier: MIT */
/*
 * Names of stream classes: equal descriptions and contexts get equal names in every process, with nobody to ask.
 * FNV-1a, 64 bit (Fowler, Noll, Vo), cut to 48 bits to stay readable; who meets a name a second time with other
 * descriptions must notice, since a process can make that happen.
 */
#include "stream_id.h"
#include <tracebuf/abi.h>

uint64_t tb_stream_id_add(uint64_t hash, const void *descriptions, size_t size)
{
	const uint8_t *byte = descriptions;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * TRACEBUF_STREAM_ID_PRIME;
	return hash;
}

uint64_t tb_stream_id(uint32_t context, const void *descriptions, size_t size)
{
	return tb_stream_id_add(TRACEBUF_STREAM_ID_BASIS ^ context, descriptions, size) & TRACEBUF_STREAM_ID_MASK;
}
