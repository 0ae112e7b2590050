/* SPDX-License-Identifier: MIT */
/*
 * Where the daemon, the helpers and the library are. A program that runs from its build tree uses what was built with
 * it, never what happens to be installed; so versions match.
 */
#define _GNU_SOURCE
#include "place.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Formats a path. 0, -ENAMETOOLONG. */
static int __attribute__((format(printf, 3, 4))) format_path(char *path, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(path, size, format, args);
	va_end(args);
	return length < 0 || (size_t) length >= size ? -ENAMETOOLONG : 0;
}

/* The directory of the build tree, where libtool leaves programs in it or in its .libs. -ENOENT: installed. */
static int build_dir(char *dir, size_t size)
{
	char exe[PATH_MAX], marker[PATH_MAX + 16];
	ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (length < 0)
		return -ENOENT;
	exe[length] = '\0';
	slash = strrchr(exe, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	slash = strrchr(exe, '/');
	if (slash && !strcmp(slash, "/.libs"))
		*slash = '\0';
	if (format_path(marker, sizeof(marker), "%s/config.status", exe) || access(marker, F_OK))
		return -ENOENT;
	return format_path(dir, size, "%s", exe);
}

int tb_place_daemon(char *path, size_t size)
{
	const char *told = secure_getenv("TRACEBUF_DAEMON");
	char dir[PATH_MAX];

	if (told && *told)
		return format_path(path, size, "%s", told);
	if (!build_dir(dir, sizeof(dir)))
		return format_path(path, size, "%s/tracebufd", dir);
	return format_path(path, size, "%s/tracebufd", TB_SBINDIR);
}

int tb_place_helper(const char *name, char *path, size_t size)
{
	const char *told = secure_getenv("TRACEBUF_HELPER_DIR");
	char dir[PATH_MAX];
	int err;

	if (strchr(name, '/'))
		return -ENOENT;
	if (told && *told)
		err = format_path(path, size, "%s/libtracebuf-%s.so", told, name);
	else if (!build_dir(dir, sizeof(dir)))
		err = format_path(path, size, "%s/.libs/libtracebuf-%s.so", dir, name);
	else
		err = format_path(path, size, "%s/libtracebuf-%s.so", TB_PKGLIBDIR, name);
	if (err)
		return err;
	return access(path, R_OK) ? -ENOENT : 0;
}

int tb_place_library(char *path, size_t size)
{
	char dir[PATH_MAX];
	int err;

	if (!build_dir(dir, sizeof(dir)))
		err = format_path(path, size, "%s/.libs/libtracebuf.so.0", dir);
	else
		err = format_path(path, size, "%s/libtracebuf.so.0", TB_LIBDIR);
	if (err)
		return err;
	return access(path, R_OK) ? -ENOENT : 0;
}
