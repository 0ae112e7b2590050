/* SPDX-License-Identifier: MIT */
/* A part of a file, read whole: pread(2) may give less of what is there, or be interrupted. */
#include "extent.h"
#include <errno.h>
#include <unistd.h>

int tb_extent_read(int fd, uint64_t offset, void *to, size_t size)
{
	char *at = to;

	while (size) {
		ssize_t got = pread(fd, at, size, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -ENODATA;
		at += got;
		offset += got;
		size -= got;
	}
	return 0;
}
