/* SPDX-License-Identifier: MIT */
#ifndef TB_RUNDIR_H
#define TB_RUNDIR_H

#include <stddef.h>

/* Longest path of a run directory, with the NUL: its socket must fit into a sockaddr_un. */
#define TB_RUNDIR_SIZE 96

/*
 * The run directory of this process: $TRACEBUF_RUNDIR, else (root) /run/tracebuf, else $XDG_RUNTIME_DIR/tracebuf;
 * setuid programs get no say by the environment. path: TB_RUNDIR_SIZE bytes. 0, -ENOENT (there is none),
 * -ENAMETOOLONG, -EINVAL (not absolute).
 */
int tb_rundir_path(char path[TB_RUNDIR_SIZE]);
/* What the environment says of it, for who complains of that; "" if it says nothing. */
const char *tb_rundir_told(void);

/*
 * The domain of a process or a daemon whose run directory is path (NULL: it has none), in the kernel home: "" if that is
 * the directory which is used when the environment says nothing, else path. Shorter than TB_RUNDIR_SIZE.
 */
const char *tb_rundir_domain(const char *path);

#endif
