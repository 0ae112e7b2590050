/* SPDX-License-Identifier: MIT */
/*
 * LD_PRELOAD: makes the n-th of the calls below fail, n = $TB_FAIL_AT (none: 0), and counts them in the file
 * $TB_FAIL_COUNT (a u64). It calls the kernel and glibc's allocator directly, and allocates nothing itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t nr, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static uint64_t none, *counter = &none, fail_at;

static __attribute__((constructor)) void begin(void)
{
	const char *path = getenv("TB_FAIL_COUNT"), *at = getenv("TB_FAIL_AT");
	int fd = path ? (int) syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
	long map;

	if (fd < 0)
		return;
	map = syscall(SYS_mmap, NULL, 4096L, (long) (PROT_READ | PROT_WRITE), (long) MAP_SHARED, (long) fd, 0L);
	syscall(SYS_close, fd);
	if (map == -1)
		return;
	fail_at = at ? strtoull(at, NULL, 0) : 0;
	counter = (uint64_t *) map;
	*counter = 0;
}

/* Is this call the one? */
static int fails(int error)
{
	if (counter == &none || __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED) != fail_at)
		return 0;
	errno = error;
	return 1;
}

void *malloc(size_t size)
{
	return fails(ENOMEM) ? NULL : __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	return fails(ENOMEM) ? NULL : __libc_calloc(nr, size);
}

void *realloc(void *memory, size_t size)
{
	return fails(ENOMEM) ? NULL : __libc_realloc(memory, size);
}

void *reallocarray(void *memory, size_t nr, size_t size)
{
	if (__builtin_mul_overflow(nr, size, &size) || fails(ENOMEM))
		return NULL;
	return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails(ENOMEM) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
	void *memory = fails(ENOMEM) ? NULL : __libc_memalign(alignment, size);

	if (memory)
		*ret_memory = memory;
	return memory ? 0 : ENOMEM;
}

int open(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	return fails(EMFILE) ? -1 : (int) syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	int mode;

	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	return fails(EMFILE) ? -1 : (int) syscall(SYS_openat, dir, path, flags, mode);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (fails(ENOMEM))
		return MAP_FAILED;
	return (void *) syscall(SYS_mmap, address, size, (long) protection, (long) flags, (long) fd, offset);
}

int ftruncate(int fd, off_t size)
{
	return fails(ENOSPC) ? -1 : (int) syscall(SYS_ftruncate, fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
	return fails(ENOSPC) ? -1 : (int) syscall(SYS_fallocate, fd, mode, offset, size);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
	return fails(EIO) ? -1 : syscall(SYS_pread64, fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return fails(ENOSPC) ? -1 : syscall(SYS_pwrite64, fd, data, size, offset);
}

/* Only to files: a pipe does not get full of one byte, and stderr is where the test looks. */
ssize_t write(int fd, const void *data, size_t size)
{
	if (fd != STDERR_FILENO && syscall(SYS_lseek, fd, 0L, (long) SEEK_CUR) >= 0 && fails(ENOSPC))
		return -1;
	return syscall(SYS_write, fd, data, size);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	return fails(ENOSPC) ? -1 : (int) syscall(SYS_mkdirat, dir, path, mode);
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails(ENOSPC) ? -1 : (int) syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}
