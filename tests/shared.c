/* SPDX-License-Identifier: MIT */
/* The counters' file: sparse, mapped by the test and by each program that it traces. */
#define _GNU_SOURCE
#include "shared.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct tick_shared *shared_map(const char *path)
{
	struct tick_shared *shared = MAP_FAILED;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return NULL;
	if (!ftruncate(fd, sizeof(*shared)))
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return shared == MAP_FAILED ? NULL : shared;
}
