/* SPDX-License-Identifier: MIT */
#ifndef TB_DAEMON_RUNDIR_H
#define TB_DAEMON_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "libtracebuf/rundir.h"

/* Longest name of a file in procs/ or rings/<generation>/, with the NUL. */
#define TB_FILE_NAME_SIZE 96

struct tb_rundir {
	char path[TB_RUNDIR_SIZE];
	int fd, rings_fd;		/* the directory, rings/ */
	int procs_fd;			/* procs/, where the run directory is the pages' home; else -1 */
	int lock_fd;
	int listen_fd;			/* non-blocking */
	int inotify_fd;			/* non-blocking; what it watches is the home's to say */
	int procs_wd;			/* of process files; -1 */
};

struct tb_ring_name {
	int32_t pid;
	uint64_t incarnation;
	uint32_t channel, cpu, instance;
};

/*
 * Makes what is missing, locks the directory and listens on its socket. 0 or -errno, then *message (of
 * size bytes) says what and where: -EBUSY another daemon holds the lock, -EPERM somebody else owns the directory.
 */
int tb_rundir_open(struct tb_rundir *rundir, const char *path, char *message, size_t size);
/* Closes all. remove: the daemon ends in order, so that socket, counter and rings/ go as well. */
void tb_rundir_close(struct tb_rundir *rundir, bool remove);

/* Makes the directory name in it, if need be, and opens it. 0 or -errno. */
int tb_rundir_make(struct tb_rundir *rundir, const char *name, int *ret_fd);

/* The names of doc/design.md; false: not such a name. ret_ is written only on true. */
bool tb_process_name_parse(const char *name, int32_t *ret_pid, uint64_t *ret_incarnation);
bool tb_ring_name_parse(const char *name, struct tb_ring_name *ret_name);
void tb_process_name_make(char name[TB_FILE_NAME_SIZE], int32_t pid, uint64_t incarnation);

/* Calls each for every name in the directory name of dir that does not begin with '.'. 0 or -errno. */
int tb_dir_each(int dir, const char *name, void (*each)(void *data, const char *name), void *data);
/* Removes the directory name of dir with the files in it. 0 or -errno. */
int tb_dir_remove(int dir, const char *name);
/*
 * Closes a stream of open_memstream() whose text is at *text. glibc's fclose() reports no lack of memory: then the text is
 * missing or cut. 0, -ENOMEM (*text is still for free()).
 */
int tb_text_close(FILE *out, char *const *text);
/*
 * Replaces the file name of dir with size bytes, by rename: readers see the old or the new one. sync: when this returns,
 * the new one is on the disk. 0 or -errno.
 */
int tb_file_replace(int dir, const char *name, const void *data, size_t size, bool sync);
/* Reads the whole file name of dir, at most max bytes; *ret_data is NUL-terminated and for free(). 0 or -errno. */
int tb_file_read(int dir, const char *name, size_t max, char **ret_data, size_t *ret_size);

#endif
