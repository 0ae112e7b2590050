/* SPDX-License-Identifier: MIT */
/* Where the run directory is: the one rule that processes, daemon and tools share. */
#define _GNU_SOURCE
#include "rundir.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int join(char path[TB_RUNDIR_SIZE], const char *dir, const char *name)
{
	size_t dir_size = strlen(dir), name_size = strlen(name);

	if (dir[0] != '/')
		return -EINVAL;
	if (dir_size + name_size >= TB_RUNDIR_SIZE)
		return -ENAMETOOLONG;
	memcpy(path, dir, dir_size);
	memcpy(path + dir_size, name, name_size + 1);
	return 0;
}

static int default_path(char path[TB_RUNDIR_SIZE])
{
	const char *dir;

	if (geteuid() == 0)
		return join(path, "/run", "/tracebuf");
	dir = secure_getenv("XDG_RUNTIME_DIR");
	if (dir && *dir)
		return join(path, dir, "/tracebuf");
	return -ENOENT;
}

int tb_rundir_path(char path[TB_RUNDIR_SIZE])
{
	const char *dir = secure_getenv("TRACEBUF_RUNDIR");

	if (dir && *dir)
		return join(path, dir, "");
	return default_path(path);
}

const char *tb_rundir_told(void)
{
	const char *dir = secure_getenv("TRACEBUF_RUNDIR");

	if (!dir || !*dir)
		dir = secure_getenv("XDG_RUNTIME_DIR");
	return dir ? dir : "";
}

const char *tb_rundir_domain(const char *path)
{
	char usual[TB_RUNDIR_SIZE];

	return !path || (!default_path(usual) && !strcmp(path, usual)) ? "" : path;
}
