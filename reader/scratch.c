/* SPDX-License-Identifier: MIT */
/*
 * Room for what is too large for memory: a dump that must be put in order before it can be read, a sub-buffer of up to
 * 1 GiB that must be decoded to its end before a byte of it is believed.
 *
 * Invariant: what is larger than MAX_HELD is a file's, stored by pwrite(2) and mapped to be looked at; so it takes the
 * process's memory only as far as it is being looked at, and never a machine's that has none left.
 */
#define _GNU_SOURCE
#include "scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_HELD (8u << 20)
#define WRITE_SIZE (4u << 20)

int tb_scratch_open(void)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];
	int fd;

	fd = open(dir && *dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "%s/tracebuf-XXXXXX", dir && *dir ? dir : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

static int map_file(struct tb_scratch *scratch)
{
	scratch->fd = tb_scratch_open();
	if (scratch->fd < 0)
		return scratch->fd;
	if (ftruncate(scratch->fd, scratch->size))
		return -errno;
	scratch->bytes = mmap(NULL, scratch->size, PROT_READ | PROT_WRITE, MAP_SHARED, scratch->fd, 0);
	return scratch->bytes == MAP_FAILED ? -errno : 0;
}

int tb_scratch_make(size_t size, struct tb_scratch *ret_scratch)
{
	struct tb_scratch scratch = { .size = size, .fd = -1 };
	int ret = 0;

	if (size <= MAX_HELD) {
		scratch.bytes = calloc(1, size);
		if (!scratch.bytes)
			return -ENOMEM;
	} else {
		ret = map_file(&scratch);
	}
	if (ret && scratch.fd >= 0)
		close(scratch.fd);
	if (!ret)
		*ret_scratch = scratch;
	return ret;
}

void tb_scratch_end(struct tb_scratch *scratch)
{
	if (!scratch->bytes)
		return;
	if (scratch->fd < 0) {
		free(scratch->bytes);
	} else {
		munmap(scratch->bytes, scratch->size);
		close(scratch->fd);
	}
	scratch->bytes = NULL;
}

int tb_scratch_store(struct tb_scratch *scratch, size_t offset, const void *from, size_t size)
{
	const char *at = from;

	if (scratch->fd < 0) {
		memcpy(scratch->bytes + offset, from, size);
		return 0;
	}
	while (size) {
		ssize_t put = pwrite(scratch->fd, at, size, offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put ? -errno : -ENOSPC;
		at += put;
		offset += put;
		size -= put;
	}
	return 0;
}

int tb_scratch_write(const struct tb_scratch *scratch, size_t size, int fd, uint64_t offset)
{
	for (size_t done = 0; done < size; tb_scratch_forget(scratch, done)) {
		size_t rest = size - done;
		ssize_t put = pwrite(fd, scratch->bytes + done, rest < WRITE_SIZE ? rest : WRITE_SIZE, offset + done);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put ? -errno : -ENOSPC;
		done += put;
	}
	return 0;
}

void tb_scratch_forget(const struct tb_scratch *scratch, size_t offset)
{
	if (scratch->fd >= 0)
		madvise(scratch->bytes, offset / 65536 * 65536, MADV_DONTNEED);
}
