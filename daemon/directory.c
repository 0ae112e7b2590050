/* SPDX-License-Identifier: MIT */
/*
 * Small works on directories and whole small files that need no event loop. A file is replaced by rename only, so that
 * whoever reads it, or a daemon that is killed meanwhile, finds the old or the new one, complete.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "rundir.h"

static DIR *open_dir(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);

	if (!stream && fd >= 0)
		close(fd);
	return stream;
}

int tb_dir_each(int dir, const char *name, void (*each)(void *data, const char *name), void *data)
{
	DIR *stream = open_dir(dir, name);
	struct dirent *entry;

	if (!stream)
		return -errno;
	while ((entry = readdir(stream)))
		if (entry->d_name[0] != '.')
			each(data, entry->d_name);
	closedir(stream);
	return 0;
}

int tb_dir_remove(int dir, const char *name)
{
	DIR *stream = open_dir(dir, name);
	struct dirent *entry;

	if (!stream)
		return -errno;
	while ((entry = readdir(stream)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
		    unlinkat(dirfd(stream), entry->d_name, 0) && (errno == EISDIR || errno == EPERM))
			unlinkat(dirfd(stream), entry->d_name, AT_REMOVEDIR);
	closedir(stream);
	return unlinkat(dir, name, AT_REMOVEDIR) ? -errno : 0;
}

static int write_whole(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t written = write(fd, data, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written ? -errno : -ENOSPC;
		data += written;
		size -= written;
	}
	return 0;
}

int tb_text_close(FILE *out, char *const *text)
{
	int is_cut = ferror(out);

	return fclose(out) || is_cut || !*text ? -ENOMEM : 0;
}

int tb_file_replace(int dir, const char *name, const void *data, size_t size, bool sync)
{
	char temporary[TB_FILE_NAME_SIZE + 8];
	int fd, ret;

	snprintf(temporary, sizeof(temporary), ".%.*s.new", TB_FILE_NAME_SIZE, name);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	ret = write_whole(fd, data, size);
	if (!ret && sync && fdatasync(fd))
		ret = -errno;
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret && renameat(dir, temporary, dir, name))
		ret = -errno;
	if (ret)
		unlinkat(dir, temporary, 0);
	if (!ret && sync && fsync(dir))
		ret = -errno;
	return ret;
}

static int read_whole(int fd, size_t max, char **ret_data, size_t *ret_size)
{
	struct stat stat;
	size_t size = 0;
	char *data;

	if (fstat(fd, &stat))
		return -errno;
	if (!S_ISREG(stat.st_mode) || (size_t) stat.st_size > max)
		return -EFBIG;
	data = malloc(stat.st_size + 1);
	if (!data)
		return -ENOMEM;
	while (size < (size_t) stat.st_size) {
		ssize_t got = pread(fd, data + size, stat.st_size - size, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		size += got;
	}
	data[size] = '\0';
	*ret_data = data;
	*ret_size = size;
	return 0;
}

int tb_file_read(int dir, const char *name, size_t max, char **ret_data, size_t *ret_size)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = read_whole(fd, max, ret_data, ret_size);
	close(fd);
	return ret;
}
