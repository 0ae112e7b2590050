/* SPDX-License-Identifier: MIT */
/*
 * Pages of dumps as the libraries decompress them. Invariant: no library writes behind the page or reads behind what there
 * is of it in the file, whatever bytes these are, and none allocates by what they say.
 */
#include "decompress.h"
#include <stdlib.h>
#include <string.h>
#include "dump_index.h"
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_LZO
#include <lzo/lzo1x.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

struct tb_decompress {
#ifdef HAVE_ZLIB
	z_stream zlib;
#endif
#ifdef HAVE_ZSTD
	ZSTD_DCtx *zstd;
#endif
};

struct tb_decompress *tb_decompress_new(void)
{
	struct tb_decompress *decompress = calloc(1, sizeof(*decompress) + 1);

	if (!decompress)
		return NULL;
#ifdef HAVE_ZLIB
	if (inflateInit(&decompress->zlib) != Z_OK)
		goto fail;
#endif
#ifdef HAVE_LZO
	if (lzo_init() != LZO_E_OK)
		goto fail;
#endif
#ifdef HAVE_ZSTD
	decompress->zstd = ZSTD_createDCtx();
	if (!decompress->zstd)
		goto fail;
#endif
	return decompress;
#if defined(HAVE_ZLIB) || defined(HAVE_LZO) || defined(HAVE_ZSTD)
fail:
	tb_decompress_free(decompress);
	return NULL;
#endif
}

void tb_decompress_free(struct tb_decompress *decompress)
{
	if (!decompress)
		return;
#ifdef HAVE_ZLIB
	inflateEnd(&decompress->zlib);
#endif
#ifdef HAVE_ZSTD
	ZSTD_freeDCtx(decompress->zstd);
#endif
	free(decompress);
}

const char *tb_decompress_refusal(uint32_t compression)
{
	switch (compression) {
#ifndef HAVE_ZLIB
	case TB_DUMP_ZLIB:
		return "a kdump-compressed dump, by zlib, which this build cannot read";
#endif
#ifndef HAVE_LZO
	case TB_DUMP_LZO:
		return "a kdump-compressed dump, by lzo, which this build cannot read";
#endif
#ifndef HAVE_ZSTD
	case TB_DUMP_ZSTD:
		return "a kdump-compressed dump, by zstd, which this build cannot read";
#endif
	case TB_DUMP_SNAPPY:
		return "a kdump-compressed dump, by snappy, which cannot be read";
	default:
		return NULL;
	}
}

#ifdef HAVE_ZLIB
/* It can stop when it has got what is wanted. */
static bool by_zlib(z_stream *stream, const void *from, size_t size, void *to, size_t want)
{
	if (inflateReset(stream) != Z_OK)
		return false;
	stream->next_in = (void *) from;
	stream->avail_in = size;
	stream->next_out = to;
	stream->avail_out = want;
	inflate(stream, Z_SYNC_FLUSH);
	return !stream->avail_out;
}
#endif

bool tb_decompress_page(struct tb_decompress *decompress, uint32_t compression, const void *from, size_t size, void *to,
			size_t page_size, size_t want)
{
	(void) decompress, (void) want;
	switch (compression) {
	case TB_DUMP_STORED:
		if (size != page_size)
			return false;
		memcpy(to, from, size);
		return true;
#ifdef HAVE_ZLIB
	case TB_DUMP_ZLIB:
		return by_zlib(&decompress->zlib, from, size, to, want);
#endif
#ifdef HAVE_LZO
	case TB_DUMP_LZO: {
		lzo_uint got = page_size;

		return lzo1x_decompress_safe(from, size, to, &got, NULL) == LZO_E_OK && got == page_size;
	}
#endif
#ifdef HAVE_ZSTD
	case TB_DUMP_ZSTD:
		return ZSTD_decompressDCtx(decompress->zstd, to, page_size, from, size) == page_size;
#endif
	default:
		return false;
	}
}
