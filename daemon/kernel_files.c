/* SPDX-License-Identifier: MIT */
/*
 * The files of the kernel home: processes and rings, in debugfs where it can be read and mapped, else opened by the
 * device. Both give a descriptor that reads, maps and takes the ioctls for readers the same.
 *
 * Invariant: debugfs is used until it refuses, which a kernel that is locked down does when a file is opened, and from
 * then on never again. What inotify would have told is then told by notifications, after one listing of all there is.
 */
#define _GNU_SOURCE
#include "kernel.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "drain.h"
#include "ringfile.h"

#define WATCHED (IN_CREATE | IN_DELETE | IN_ATTRIB)

/* The octal escapes of /proc/mounts. */
static void unescape(char *text)
{
	char *to = text;

	while (*text) {
		if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
			char digits[4] = { text[1], text[2], text[3], '\0' };

			*to++ = strtoul(digits, NULL, 8);
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* Where debugfs is mounted: in the path, tracebuf/ behind it. */
static void find_mount(char path[PATH_MAX])
{
	FILE *mounts = fopen("/proc/mounts", "re");
	char line[PATH_MAX + 256], where[PATH_MAX], type[64];

	snprintf(path, PATH_MAX, "/sys/kernel/debug/tracebuf");
	while (mounts && fgets(line, sizeof(line), mounts)) {
		if (sscanf(line, "%*s %4000s %63s", where, type) != 2 || strcmp(type, "debugfs"))
			continue;
		unescape(where);
		snprintf(path, PATH_MAX, "%.4000s/tracebuf", where);
		break;
	}
	if (mounts)
		fclose(mounts);
}

static int watch_directory(struct tb_daemon *daemon, const char *name, int *ret_wd)
{
	char path[PATH_MAX + TB_FILE_NAME_SIZE];
	int wd;

	snprintf(path, sizeof(path), "%s/%s", daemon->kernel->debugfs, name);
	wd = inotify_add_watch(daemon->rundir.inotify_fd, path, WATCHED | IN_ONLYDIR | IN_DONT_FOLLOW);
	if (wd < 0)
		return -errno;
	*ret_wd = wd;
	return 0;
}

void tb_kernel_find_debugfs(struct tb_daemon *daemon)
{
	struct tb_kernel *kernel = daemon->kernel;

	find_mount(kernel->debugfs);
	kernel->debugfs_fd = open(kernel->debugfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* All notifications but those of debugfs's own would only say twice what inotify says. */
	if (kernel->debugfs_fd >= 0 && !watch_directory(daemon, "procs", &daemon->rundir.procs_wd) &&
	    !tb_netlink_choose_news(&kernel->netlink, TRACEBUF_CMD_PROCESS_GONE))
		return;
	if (kernel->debugfs_fd >= 0)
		close(kernel->debugfs_fd);
	kernel->debugfs_fd = -1;
}

static void unwatch(struct tb_daemon *daemon, int *wd)
{
	if (*wd >= 0)
		inotify_rm_watch(daemon->rundir.inotify_fd, *wd);
	*wd = -1;
}

/* From now on the device. */
static void leave_debugfs(struct tb_daemon *daemon, int error)
{
	struct tb_kernel *kernel = daemon->kernel;

	tb_say("%s cannot be used: %s; rings are reached by %s", kernel->debugfs, strerror(error), TRACEBUF_DEVICE);
	unwatch(daemon, &daemon->rundir.procs_wd);
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (daemon->recording[i])
			unwatch(daemon, &daemon->recording[i]->wd);
	close(kernel->debugfs_fd);
	kernel->debugfs_fd = -1;
	tb_netlink_choose_news(&kernel->netlink, 0);
	/* What was told until here is not known: all is listed again. */
	tb_daemon_retry(daemon, -EIO);
}

int tb_kernel_watch(struct tb_recording *recording)
{
	struct tb_daemon *daemon = recording->daemon;
	int ret;

	if (daemon->kernel->debugfs_fd < 0)
		return 0;
	ret = watch_directory(daemon, recording->directory, &recording->wd);
	if (ret && !tb_is_passing(ret)) {
		leave_debugfs(daemon, -ret);
		return 0;
	}
	return ret;
}

static bool can_map(int fd)
{
	size_t size = sysconf(_SC_PAGESIZE);
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	return map != MAP_FAILED && !munmap(map, size);
}

/* -EPERM: debugfs must not be used. */
static int open_in_debugfs(struct tb_kernel *kernel, const char *directory, const char *name)
{
	char path[2 * TB_FILE_NAME_SIZE];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = openat(kernel->debugfs_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? -EPERM : -errno;
	if (!kernel->maps && !can_map(fd)) {
		close(fd);
		return -EPERM;
	}
	kernel->maps = true;
	return fd;
}

static int open_by_device(enum tracebuf_kind kind, uint64_t generation, const char *name)
{
	struct tracebuf_ioc_open request = { .size = sizeof(request), .kind = kind, .generation = generation };
	int fd = open(TRACEBUF_DEVICE, O_RDWR | O_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	snprintf(request.name, sizeof(request.name), "%s", name);
	if (!ioctl(fd, TRACEBUF_IOC_OPEN, &request))
		return fd;
	error = errno;
	close(fd);
	return -error;
}

static int open_file(struct tb_daemon *daemon, enum tracebuf_kind kind, const struct tb_recording *recording,
		     const char *name)
{
	if (daemon->kernel->debugfs_fd >= 0) {
		int ret = open_in_debugfs(daemon->kernel, recording ? recording->directory : "procs", name);

		if (ret != -EPERM)
			return ret;
		leave_debugfs(daemon, -ret);
	}
	return open_by_device(kind, recording ? recording->slot.generation : 0, name);
}

int tb_kernel_open_process(struct tb_daemon *daemon, const char *name, uint64_t *ret_size)
{
	int fd = open_file(daemon, TRACEBUF_KIND_PROCESS, NULL, name);

	/* The kernel made it: its superblock is right. */
	if (fd >= 0)
		*ret_size = UINT64_MAX;
	return fd;
}

bool tb_kernel_keeps_process(struct tb_process *process)
{
	uint64_t size;
	int fd = tb_kernel_open_process(process->daemon, process->name, &size), ret;

	if (fd < 0)
		return tb_is_passing(fd);
	/* Refused while children have it. Afterwards it goes with the last ring, which a snapshot trace may keep. */
	ret = ioctl(fd, TRACEBUF_IOC_RELEASE, 0);
	close(fd);
	if (ret)
		return true;
	fd = tb_kernel_open_process(process->daemon, process->name, &size);
	if (fd >= 0)
		close(fd);
	return fd >= 0 || tb_is_passing(fd);
}

int tb_kernel_open_ring(struct tb_drain *drain)
{
	int fd = open_file(drain->recording->daemon, TRACEBUF_KIND_RING, drain->recording, drain->name);

	drain->file_size = 0;
	return fd >= 0 || tb_is_passing(fd) ? fd : -EBADMSG;
}

bool tb_kernel_has_ring(const struct tb_recording *recording, const char *name)
{
	int fd = open_file(recording->daemon, TRACEBUF_KIND_RING, recording, name);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int tb_kernel_put(struct tb_drain *drain, uint64_t consumed)
{
	struct tracebuf_ioc_put request = { .size = sizeof(request), .consumed = consumed };

	if (!ioctl(drain->fd, TRACEBUF_IOC_PUT, &request))
		return 0;
	if (tb_is_passing(-errno))
		return -errno;
	tb_drain_damage(drain, "the kernel refuses what was consumed of it");
	return 0;
}

void tb_kernel_remove_ring(const struct tb_recording *recording, const char *name, int fd)
{
	int own = fd >= 0 ? -1 : open_file(recording->daemon, TRACEBUF_KIND_RING, recording, name);

	if (fd >= 0 || own >= 0)
		ioctl(fd >= 0 ? fd : own, TRACEBUF_IOC_RELEASE, 0);
	if (own >= 0)
		close(own);
}
