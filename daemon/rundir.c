/* SPDX-License-Identifier: MIT */
/*
 * The run directory: who may have it, its lock, socket and sub-directories, the names in it.
 *
 * Invariant: one daemon a directory, by flock on "lock", which a killed daemon gives up by dying. Everything is reached
 * by descriptors of directories, never by a path that somebody could have replaced meanwhile.
 */
#define _GNU_SOURCE
#include "rundir.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int make_dir(int dir, const char *name, int *ret_fd)
{
	int fd;

	if (mkdirat(dir, name, 0700) && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* The directory must be ours, and for nobody else to enter. */
static int check_owner(struct tb_rundir *rundir, char *message, size_t size)
{
	struct stat stat;

	if (fstat(rundir->fd, &stat))
		return -errno;
	if (stat.st_uid != geteuid()) {
		snprintf(message, size, "%s belongs to user %u, not to user %u who runs tracebufd", rundir->path,
			 stat.st_uid, geteuid());
		return -EPERM;
	}
	if ((stat.st_mode & 077) && fchmod(rundir->fd, 0700))
		return -errno;
	return 0;
}

static int take_lock(struct tb_rundir *rundir, char *message, size_t size)
{
	char pid[16];
	int length = snprintf(pid, sizeof(pid), "%d\n", getpid());

	rundir->lock_fd = openat(rundir->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (rundir->lock_fd < 0)
		return -errno;
	if (flock(rundir->lock_fd, LOCK_EX | LOCK_NB)) {
		ssize_t got = pread(rundir->lock_fd, pid, sizeof(pid) - 1, 0);

		pid[got > 0 ? got : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		snprintf(message, size, "another tracebufd (pid %s) runs on %s", pid, rundir->path);
		return -EBUSY;
	}
	if (ftruncate(rundir->lock_fd, 0) || pwrite(rundir->lock_fd, pid, length, 0) != length)
		return -errno;
	return 0;
}

static int listen_on_socket(struct tb_rundir *rundir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int ret;

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", rundir->path);
	unlinkat(rundir->fd, "socket", 0);
	mask = umask(0177);
	ret = bind(fd, (struct sockaddr *) &address, sizeof(address)) || listen(fd, 64) ? -errno : 0;
	umask(mask);
	if (ret)
		close(fd);
	else
		rundir->listen_fd = fd;
	return ret;
}

int tb_rundir_make(struct tb_rundir *rundir, const char *name, int *ret_fd)
{
	return make_dir(rundir->fd, name, ret_fd);
}

static int open_all(struct tb_rundir *rundir, char *message, size_t size)
{
	int ret = make_dir(AT_FDCWD, rundir->path, &rundir->fd);

	if (!ret)
		ret = check_owner(rundir, message, size);
	if (!ret)
		ret = take_lock(rundir, message, size);
	if (!ret)
		ret = make_dir(rundir->fd, "rings", &rundir->rings_fd);
	if (ret)
		return ret;
	rundir->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return rundir->inotify_fd < 0 ? -errno : listen_on_socket(rundir);
}

int tb_rundir_open(struct tb_rundir *rundir, const char *path, char *message, size_t size)
{
	int ret;

	memset(rundir, 0, sizeof(*rundir));
	rundir->fd = rundir->procs_fd = rundir->rings_fd = rundir->lock_fd = -1;
	rundir->listen_fd = rundir->inotify_fd = rundir->procs_wd = -1;
	message[0] = '\0';
	if (path[0] != '/' || strlen(path) >= sizeof(rundir->path)) {
		snprintf(message, size, "run directory %s: must be absolute and shorter than %d bytes", path,
			 TB_RUNDIR_SIZE);
		return -EINVAL;
	}
	memcpy(rundir->path, path, strlen(path) + 1);
	ret = open_all(rundir, message, size);
	if (ret) {
		if (!message[0])
			snprintf(message, size, "run directory %s: %s", path, strerror(-ret));
		tb_rundir_close(rundir, false);
	}
	return ret;
}

void tb_rundir_close(struct tb_rundir *rundir, bool remove)
{
	const int fds[] = { rundir->listen_fd, rundir->inotify_fd, rundir->procs_fd, rundir->rings_fd,
			    rundir->lock_fd, rundir->fd };

	if (remove) {
		unlinkat(rundir->fd, "socket", 0);
		unlinkat(rundir->fd, "counter", 0);
		unlinkat(rundir->fd, "rings", AT_REMOVEDIR);
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* A number without sign or leading space, ended by end. Moves *at behind that. */
static bool parse_number(const char **at, int base, char end, uint64_t max, uint64_t *ret_value)
{
	char first = **at, *stop;
	uint64_t value;

	if (!((first >= '0' && first <= '9') || (base == 16 && first >= 'a' && first <= 'f')))
		return false;
	errno = 0;
	value = strtoull(*at, &stop, base);
	if (errno || *stop != end || value > max)
		return false;
	*at = end ? stop + 1 : stop;
	*ret_value = value;
	return true;
}

/* A name must be the one that its numbers give: two names never mean the same file's. */
bool tb_process_name_parse(const char *name, int32_t *ret_pid, uint64_t *ret_incarnation)
{
	char canonical[TB_FILE_NAME_SIZE];
	uint64_t pid, incarnation;
	const char *at = name;

	if (!parse_number(&at, 10, '-', INT32_MAX, &pid) || !parse_number(&at, 16, '\0', UINT64_MAX, &incarnation))
		return false;
	tb_process_name_make(canonical, pid, incarnation);
	if (strcmp(name, canonical))
		return false;
	*ret_pid = pid;
	*ret_incarnation = incarnation;
	return true;
}

bool tb_ring_name_parse(const char *name, struct tb_ring_name *ret_name)
{
	uint64_t pid, incarnation, channel, cpu, instance;
	char canonical[TB_FILE_NAME_SIZE];
	const char *at = name;

	if (!parse_number(&at, 10, '-', INT32_MAX, &pid) || !parse_number(&at, 16, '-', UINT64_MAX, &incarnation) ||
	    !parse_number(&at, 10, '-', UINT32_MAX, &channel) || !parse_number(&at, 10, '-', UINT32_MAX, &cpu) ||
	    !parse_number(&at, 10, '\0', UINT32_MAX, &instance))
		return false;
	snprintf(canonical, sizeof(canonical), "%llu-%llx-%llu-%llu-%llu", (unsigned long long) pid,
		 (unsigned long long) incarnation, (unsigned long long) channel, (unsigned long long) cpu,
		 (unsigned long long) instance);
	if (strcmp(name, canonical))
		return false;
	*ret_name = (struct tb_ring_name) { pid, incarnation, channel, cpu, instance };
	return true;
}

void tb_process_name_make(char name[TB_FILE_NAME_SIZE], int32_t pid, uint64_t incarnation)
{
	snprintf(name, TB_FILE_NAME_SIZE, "%d-%llx", pid, (unsigned long long) incarnation);
}
