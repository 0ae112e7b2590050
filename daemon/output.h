/* SPDX-License-Identifier: MIT */
#ifndef TB_OUTPUT_H
#define TB_OUTPUT_H

#include <stdio.h>
#include "recording.h"

/* Makes a trace directory with its index/: it must not exist, or be empty. 0 or -errno with a message. */
int tb_output_make(const char *path, int *ret_fd, struct tb_message *message);
/* Opens one that exists. A descriptor or -errno. */
int tb_output_open(const char *path);
/* Is the directory still in the file system? If it was lost and is there again, it is taken. */
void tb_output_check(struct tb_recording *recording);

/* Adds a line to the file name of the trace directory. */
void tb_output_append(struct tb_recording *recording, const char *name, const char *line, size_t size);
/* Adds a line on a process to .processes. */
void tb_output_describe(struct tb_recording *recording, const struct tb_process *process);
/* Finds out whom .processes describes already. */
void tb_output_adopt(struct tb_recording *recording);

#endif
