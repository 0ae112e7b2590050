/* SPDX-License-Identifier: MIT */
/*
 * The trace directory: making it, noticing its loss, and the file .processes, in which each process stands once.
 *
 * Invariant: a directory that held anything is never taken for a new trace. What the trace needs of it is reached by
 * one descriptor, so that a directory that was moved is still the right one.
 */
#define _GNU_SOURCE
#include "output.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "metadata_file.h"
#include "reader/process_line.h"
#include "tape.h"
#include "transfer.h"

#define RETRY_NS 1000000000ull
#define MAX_PROCESSES_SIZE (1u << 30)

/* Makes the directories above path. */
static int make_parents(const char *path)
{
	char parent[PATH_MAX];

	if (strlen(path) >= sizeof(parent))
		return -ENAMETOOLONG;
	strcpy(parent, path);
	for (char *slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(parent, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static bool is_empty(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	bool empty = true;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return false;
	}
	while (empty && (entry = readdir(dir)))
		empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
	closedir(dir);
	return empty;
}

int tb_output_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int tb_output_make(const char *path, int *ret_fd, struct tb_message *message)
{
	int ret = make_parents(path), fd;
	bool made;

	if (ret)
		return tb_fail(message, ret, "output %s: %s", path, strerror(-ret));
	made = !mkdir(path, 0755);
	if (!made && errno != EEXIST)
		return tb_fail(message, -errno, "output %s: %s", path, strerror(errno));
	fd = tb_output_open(path);
	if (fd < 0)
		return tb_fail(message, fd, "output %s: %s", path, strerror(-fd));
	if (!is_empty(fd)) {
		close(fd);
		return tb_fail(message, -EEXIST, "output %s: exists and is not empty", path);
	}
	if (mkdirat(fd, "index", 0755)) {
		ret = -errno;
		close(fd);
		if (made)
			rmdir(path);
		return tb_fail(message, ret, "output %s: %s", path, strerror(-ret));
	}
	*ret_fd = fd;
	return 0;
}

/* What was written is gone with the directory: stream files begin anew, and their events count as dropped. */
static void lose_files(struct tb_recording *recording)
{
	struct tb_drain *drain;

	cds_list_for_each_entry(drain, &recording->drains, of_recording) {
		tb_transfer_await(drain);
		tb_tape_restart(&drain->tape);
	}
}

void tb_output_check(struct tb_recording *recording)
{
	uint64_t now = tb_now_ns();
	struct stat stat;
	int fd;

	if (now < recording->retry_ns)
		return;
	recording->retry_ns = now + RETRY_NS;
	if (!fstat(recording->output_fd, &stat) && stat.st_nlink)
		return;
	if (!recording->lost)
		lose_files(recording);
	recording->lost = true;
	fd = tb_output_open(recording->output);
	if (fd < 0) {
		tb_recording_trouble(recording, -fd, "the trace directory was removed");
		return;
	}
	/* Somebody made it again: the trace goes on there. The number of the descriptor stays what stream files know. */
	if (dup3(fd, recording->output_fd, O_CLOEXEC) >= 0 &&
	    (!mkdirat(recording->output_fd, "index", 0755) || errno == EEXIST) &&
	    !tb_metadata_replace(recording, recording->output_fd)) {
		recording->lost = false;
		tb_recording_trouble(recording, 0, NULL);
	}
	close(fd);
}

void tb_output_append(struct tb_recording *recording, const char *name, const char *line, size_t size)
{
	int fd = openat(recording->output_fd, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
			(recording->sync ? O_DSYNC : 0), 0644);

	if (fd < 0 || write(fd, line, size) != (ssize_t) size)
		tb_recording_trouble(recording, errno, name);
	if (fd >= 0)
		close(fd);
}

void tb_output_describe(struct tb_recording *recording, const struct tb_process *process)
{
	char *line = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&line, &size);

	if (!out)
		return;
	tb_process_line(out, &process->info);
	if (!tb_text_close(out, &line))
		tb_output_append(recording, ".processes", line, size);
	free(line);
}

void tb_output_adopt(struct tb_recording *recording)
{
	char *text, *at, *line;
	size_t size;

	if (tb_file_read(recording->output_fd, ".processes", MAX_PROCESSES_SIZE, &text, &size))
		return;
	for (at = text; (line = strsep(&at, "\n"));) {
		struct tb_account *account;
		uint64_t incarnation;
		int32_t pid;

		if (sscanf(line, "{\"pid\":%d,\"incarnation\":%" SCNu64 ",", &pid, &incarnation) != 2)
			continue;
		account = tb_account_find(&recording->accounts, pid, incarnation);
		if (account)
			account->described = true;
	}
	free(text);
}
