/* SPDX-License-Identifier: MIT */
/*
 * Saving what the previous boot left in memory.
 *
 * Invariant: a program of its own does it, so that whatever that memory holds can cost the daemon nothing, and takes it
 * no time. The memory stays as it is for as long as the module is loaded, so nothing hurries.
 */
#define _GNU_SOURCE
#include "save_previous.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon.h"

#define SAID_SIZE 4096

extern char **environ;

/* A save under way. */
struct save {
	struct tb_completion readable;
	struct tb_loop *loop;
	pid_t pid;
	int fd;				/* what it says, on both its outputs */
	size_t size;
	char said[SAID_SIZE];		/* the beginning of it */
};

/* The command beside this program, as in a build tree, else the one that is installed. */
static void find_command(char path[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 16);
	char *slash;

	path[length > 0 ? length : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash)
		strcpy(slash, "/tracebuf");
	if (!slash || access(path, X_OK))
		snprintf(path, PATH_MAX, "%s/tracebuf", TB_BINDIR);
}

/* The line of what it said that begins so, without that; NULL. */
static char *find_line(char *said, const char *begin)
{
	for (char *line = said; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, begin, strlen(begin))) {
			line += strlen(begin);
			line[strcspn(line, "\n")] = '\0';
			return line;
		}
	}
	return NULL;
}

static void tell(struct save *save, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	bool saved = code == 0 || code == 4;
	const char *line = find_line(save->said, saved ? "Trace " : "tracebuf: recover: ");

	if (saved && line)
		tb_say("previous boot: trace %s%s", line, code ? "; something was damaged" : "");
	else if (line)
		tb_say("nothing is saved: %s", line);
	else if (code < 0)
		tb_say("nothing is saved of the previous boot: signal %d has ended tracebuf recover", WTERMSIG(status));
	else
		tb_say("nothing is saved of the previous boot: tracebuf recover has ended with %d", code);
}

static void end_save(struct save *save)
{
	int status = 0;

	while (waitpid(save->pid, &status, 0) < 0 && errno == EINTR)
		;
	save->said[save->size] = '\0';
	tell(save, status);
	close(save->fd);
	free(save);
}

static void said(struct tb_completion *completion, int result)
{
	struct save *save = caa_container_of(completion, struct save, readable);
	char rest[256];
	ssize_t got;

	(void) result;
	if (save->size < SAID_SIZE - 1)
		got = read(save->fd, save->said + save->size, SAID_SIZE - 1 - save->size);
	else
		got = read(save->fd, rest, sizeof(rest));
	if (got > 0 && save->size < SAID_SIZE - 1)
		save->size += got;
	if (got > 0 || (got < 0 && errno == EINTR))
		tb_loop_poll(save->loop, completion, save->fd, POLLIN);
	else
		end_save(save);
}

/* Both outputs go to fd; signals are as a program expects them. */
static int spawn(struct save *save, const char *dir, int fd)
{
	char command[PATH_MAX];
	char *argv[] = { command, "recover", "--previous-boot", "--into", (char *) dir, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t set;
	int ret;

	find_command(command);
	sigemptyset(&set);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, fd, STDERR_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &set);
	sigaddset(&set, SIGPIPE);
	posix_spawnattr_setsigdefault(&attributes, &set);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	ret = -posix_spawn(&save->pid, command, &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return ret;
}

void tb_save_previous(struct tb_daemon *daemon, const char *dir)
{
	struct save *save = calloc(1, sizeof(*save));
	int fds[2], ret;

	if (!save || pipe2(fds, O_CLOEXEC)) {
		tb_say("--save-previous: %s", strerror(save ? errno : ENOMEM));
		free(save);
		return;
	}
	save->loop = &daemon->loop;
	save->fd = fds[0];
	save->readable.done = said;
	ret = spawn(save, dir, fds[1]);
	close(fds[1]);
	if (!ret) {
		tb_loop_poll(&daemon->loop, &save->readable, save->fd, POLLIN);
		return;
	}
	tb_say("--save-previous: tracebuf recover: %s", strerror(-ret));
	close(save->fd);
	free(save);
}
