/* SPDX-License-Identifier: MIT */
/*
 * System calls as the traced process makes them: by number, so that they are no cancellation points and nobody has
 * interposed them; the result is 0, a value, or -errno. They clobber errno: tb_errno_save() and tb_errno_restore()
 * stand around every way into the library. All are async-signal-safe.
 */
#ifndef TB_RAW_H
#define TB_RAW_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline long tb_raw_result(long result)
{
	return result < 0 ? -errno : result;
}

static inline int tb_raw_open(const char *path, int flags)
{
	return tb_raw_result(syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC | O_NOFOLLOW, 0600));
}

static inline int tb_raw_ioctl(int fd, unsigned long number, void *argument)
{
	return tb_raw_result(syscall(SYS_ioctl, fd, number, argument));
}

static inline void tb_raw_close(int fd)
{
	syscall(SYS_close, fd);
}

static inline int tb_raw_truncate(int fd, uint64_t size)
{
	return tb_raw_result(syscall(SYS_ftruncate, fd, size));
}

/* All of it, or an error: -ENOSPC where a store through a mapping would be a SIGBUS. */
static inline int tb_raw_pwrite(int fd, const void *data, size_t size, uint64_t offset)
{
	long result = tb_raw_result(syscall(SYS_pwrite64, fd, data, size, offset));

	if (result < 0)
		return result;
	return (size_t) result == size ? 0 : -ENOSPC;
}

static inline int tb_raw_rename(const char *from, const char *to)
{
	return tb_raw_result(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

static inline void tb_raw_unlink(const char *path)
{
	syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

static inline int tb_raw_mkdir(const char *path)
{
	return tb_raw_result(syscall(SYS_mkdirat, AT_FDCWD, path, 0700));
}

/* Returns the mapping, or NULL. */
static inline void *tb_raw_mmap(void *address, size_t size, int protection, int flags, int fd, uint64_t offset)
{
	void *map = mmap(address, size, protection, flags, fd, offset);

	return map == MAP_FAILED ? NULL : map;
}

static inline int tb_raw_gettid(void)
{
	return syscall(SYS_gettid);
}

static inline int tb_raw_getpid(void)
{
	return syscall(SYS_getpid);
}

static inline uint64_t tb_raw_clock_ns(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now))
		return 0;
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

#endif
