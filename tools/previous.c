/* SPDX-License-Identifier: MIT */
/*
 * The memory of the previous boot: the module's file in debugfs; where that is missing, or not to be read (a kernel
 * that is locked down), the same bytes by the device.
 */
#define _GNU_SOURCE
#include "previous.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <tracebuf/abi.h>

#define PREVIOUS_MEMORY "/sys/kernel/debug/tracebuf/previous/memory"

static const char *reason_of(int error)
{
	switch (error) {
	case -ENXIO:
		return "nothing of it is kept: the module has no region (tracebuf(4)), or nothing was traced in it";
	case -ENOENT:
	case -ENODEV:
		return "tracebuf.ko is not loaded";
	case -EACCES:
	case -EPERM:
		return "only root may read it";
	case -ENOTTY:
		return "tracebuf.ko is of an older version, which keeps nothing over a reboot";
	default:
		return strerror(-error);
	}
}

static int open_device(void)
{
	int fd = open(TRACEBUF_DEVICE, O_RDWR | O_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	if (!ioctl(fd, TRACEBUF_IOC_PREVIOUS, 0))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int tb_previous_open(const char **ret_path, char *message, size_t size)
{
	int fd = open(PREVIOUS_MEMORY, O_RDONLY | O_CLOEXEC);

	*ret_path = PREVIOUS_MEMORY;
	if (fd >= 0)
		return fd;
	*ret_path = TRACEBUF_DEVICE;
	fd = open_device();
	if (fd < 0)
		snprintf(message, size, "no previous boot: %s", reason_of(fd));
	return fd;
}
