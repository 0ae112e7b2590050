/* SPDX-License-Identifier: MIT */
/*
 * Files that must be unpacked before they can be read at any place: a flattened dump (`makedumpfile -F`, QEMU's
 * kdump-*), which is blocks of a dump in the order in which they were written, and a core file that was compressed by
 * zstd, as systemd-coredump does. What comes out is a file without a name.
 *
 * The flattened format (makedumpfile's IMPLEMENTATION file): 4096 bytes of header, then blocks { s64 offset, s64 size }
 * (big-endian) with size bytes behind them; a negative offset ends it.
 *
 * Invariant: no byte comes out that the input does not place there; what was cut short gives what it has; nothing grows
 * beyond MAX_UNPACKED_SIZE.
 */
#define _GNU_SOURCE
#include "unpack.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "scratch.h"
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define FLAT_MAGIC "makedumpfile"
#define ZSTD_MAGIC "\x28\xb5\x2f\xfd"
#define FLAT_HEADER_SIZE 4096
#define MAX_UNPACKED_SIZE (1ll << 44)
#define COPY_SIZE (1u << 20)

static bool begins_with(int fd, const char *magic)
{
	char bytes[16];

	return pread(fd, bytes, sizeof(bytes), 0) == sizeof(bytes) && !memcmp(bytes, magic, strlen(magic));
}

static int write_all(int fd, const char *from, size_t size, off_t offset)
{
	while (size) {
		ssize_t put = pwrite(fd, from, size, offset);

		if (put < 0)
			return -errno;
		from += put;
		offset += put;
		size -= put;
	}
	return 0;
}

static int copy_block(int from, off_t at, int to, off_t offset, int64_t size, char *buffer)
{
	int ret;

	while (size) {
		size_t part = size < COPY_SIZE ? size : COPY_SIZE;
		ssize_t got = pread(from, buffer, part, at);

		if (got <= 0)
			return got ? -errno : -ENODATA;
		ret = write_all(to, buffer, got, offset);
		if (ret)
			return ret;
		at += got;
		offset += got;
		size -= got;
	}
	return 0;
}

static int put_in_order(int from, int to)
{
	char *buffer = malloc(COPY_SIZE);
	off_t at = FLAT_HEADER_SIZE;
	int64_t block[2];
	int ret = buffer ? 0 : -ENOMEM;

	while (!ret && pread(from, block, sizeof(block), at) == sizeof(block)) {
		int64_t offset = be64toh(block[0]), size = be64toh(block[1]);

		if (offset < 0 || size <= 0)
			break;
		if (offset > MAX_UNPACKED_SIZE || size > MAX_UNPACKED_SIZE - offset) {
			ret = -EBADMSG;
			break;
		}
		at += sizeof(block);
		ret = copy_block(from, at, to, offset, size, buffer);
		at += size;
	}
	free(buffer);
	return ret == -ENODATA ? 0 : ret;
}

#ifdef HAVE_ZSTD
static bool is_zero(const char *bytes, size_t size)
{
	return !size || (!bytes[0] && !memcmp(bytes, bytes + 1, size - 1));
}

/* Decompresses what there is of one input buffer; *end grows by what came out. */
static int inflate_part(ZSTD_DStream *stream, ZSTD_inBuffer *in, char *room, int to, int64_t *end)
{
	while (in->pos < in->size) {
		ZSTD_outBuffer out = { room, COPY_SIZE, 0 };
		size_t result = ZSTD_decompressStream(stream, &out, in);
		int ret;

		if (ZSTD_isError(result))
			return -EBADMSG;
		if (*end > MAX_UNPACKED_SIZE)
			return -EFBIG;
		/* A few bytes may stand for terabytes of zeroes: they become a hole. */
		ret = is_zero(room, out.pos) ? 0 : write_all(to, room, out.pos, *end);
		if (ret)
			return ret;
		*end += out.pos;
	}
	return 0;
}

static int inflate(int from, int to)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	char *buffer = malloc(2 * COPY_SIZE);
	int64_t at = 0, end = 0;
	int ret = stream && buffer ? 0 : -ENOMEM;

	while (!ret) {
		ssize_t got = pread(from, buffer, COPY_SIZE, at);
		ZSTD_inBuffer in = { buffer, got > 0 ? got : 0, 0 };

		if (got <= 0) {
			ret = got ? -errno : 0;
			break;
		}
		ret = inflate_part(stream, &in, buffer + COPY_SIZE, to, &end);
		at += got;
	}
	if ((!ret || ret == -EBADMSG) && ftruncate(to, end))
		ret = -errno;
	free(buffer);
	ZSTD_freeDStream(stream);
	/* Damage ends it: what came before is there. */
	return ret == -EBADMSG && end ? 0 : ret;
}
#else
static int inflate(int from, int to)
{
	(void) from;
	(void) to;
	return -ENOSYS;
}
#endif

int tb_unpack(int fd, int *ret_fd, const char **ret_how)
{
	bool flat = begins_with(fd, FLAT_MAGIC);
	int to, ret;

	if (!flat && !begins_with(fd, ZSTD_MAGIC))
		return -ENOEXEC;
	to = tb_scratch_open();
	if (to < 0)
		return to;
	ret = flat ? put_in_order(fd, to) : inflate(fd, to);
	if (ret) {
		close(to);
		return ret;
	}
	*ret_fd = to;
	*ret_how = flat ? "flattened" : "zstd-compressed";
	return 0;
}
