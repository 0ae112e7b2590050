/* SPDX-License-Identifier: MIT */
/*
 * The traced command as a child: it must not notice us, and we must outlive it, to save its trace. The terminal's
 * signals reach it by themselves, as it is in our process group; what is sent to us with kill(1) is handed on.
 */
#define _GNU_SOURCE
#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "complaint.h"

void tb_command_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGQUIT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

/* 0 if path can be run, else -errno. */
static int check_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) || access(path, X_OK))
		return -EACCES;
	return 0;
}

/* The first executable file called name in PATH; else why the last one that exists is none, or -ENOENT. */
static int search_path(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	int result = -ENOENT, err, length;
	size_t dir_size;

	if (!dirs)
		dirs = "/bin:/usr/bin";
	for (;; dirs += dir_size + 1) {
		dir_size = strcspn(dirs, ":");
		if (dir_size)
			length = snprintf(path, size, "%.*s/%s", (int) dir_size, dirs, name);
		else
			length = snprintf(path, size, "./%s", name);
		err = length > 0 && (size_t) length < size ? check_executable(path) : -ENOENT;
		if (!err)
			return 0;
		if (err == -EACCES)
			result = err;
		if (!dirs[dir_size])
			return result;
	}
}

int tb_command_find(const char *name, char *path, size_t size)
{
	int err;

	if (strchr(name, '/')) {
		err = (size_t) snprintf(path, size, "%s", name) < size ? check_executable(path) : -ENAMETOOLONG;
	} else {
		err = *name ? search_path(name, path, size) : -ENOENT;
	}
	if (!err)
		return 0;
	return tb_complain(err == -ENOENT || err == -ENOTDIR ? TB_COMMAND_NOT_FOUND : TB_COMMAND_NOT_EXECUTABLE,
			   "record: %s: %s", name, err == -ENOENT ? "no such command" : strerror(-err));
}

/* A script without "#!": shells run it themselves, so do we. Returns if that fails, too. */
static void exec_script(const struct tb_command *command)
{
	size_t nr = 0;
	char **argv;

	while (command->argv[nr])
		nr++;
	argv = calloc(nr + 2, sizeof(*argv));
	if (!argv)
		return;
	argv[0] = "/bin/sh";
	argv[1] = (char *) command->path;
	memcpy(argv + 2, command->argv + 1, nr * sizeof(*argv));
	execv(argv[0], argv);
	free(argv);
}

/* In the child. error_fd closes with the exec; else it tells errno. */
static void __attribute__((noreturn)) exec_command(const struct tb_command *command, int error_fd)
{
	const char *const *variable;
	int err;

	for (variable = command->environment; *variable; variable++)
		putenv((char *) *variable);
	sigprocmask(SIG_SETMASK, command->mask, NULL);
	execv(command->path, command->argv);
	err = errno;
	if (err == ENOEXEC)
		exec_script(command);
	if (write(error_fd, &err, sizeof(err)) != sizeof(err))
		_exit(TB_COMMAND_NOT_FOUND);
	_exit(TB_COMMAND_NOT_EXECUTABLE);
}

static void hand_on_signal(pid_t pid, const siginfo_t *info)
{
	/* What the kernel sent came from the terminal, and went to the command too. */
	if (info->si_code <= 0 && info->si_pid != pid)
		kill(pid, info->si_signo);
}

/* What ended the command was for us as well; pending still, it would end us before the trace is saved. */
static void drop_signals(const sigset_t *set)
{
	const struct timespec now = { 0 };

	while (sigtimedwait(set, NULL, &now) > 0 || errno == EINTR)
		continue;
}

static int wait_command(const struct tb_command *command, pid_t pid)
{
	const struct timespec second = { .tv_sec = 1 };
	bool ticking = command->tick;
	siginfo_t info;
	sigset_t set;
	int sig, status;
	pid_t ended;

	tb_command_signals(&set);
	for (;;) {
		ended = waitpid(pid, &status, WNOHANG);
		if (ended == pid) {
			drop_signals(&set);
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		}
		if (ended < 0 && errno != EINTR)
			return tb_complain(TB_EXIT_FATAL, "record: waitpid: %s", strerror(errno));
		if (ticking)
			ticking = command->tick(command->tick_context);
		sig = sigtimedwait(&set, &info, &second);
		if (sig > 0 && sig != SIGCHLD)
			hand_on_signal(pid, &info);
	}
}

int tb_command_run(const struct tb_command *command)
{
	int error[2], err, code;
	pid_t pid;

	if (pipe2(error, O_CLOEXEC))
		return tb_complain(TB_EXIT_FATAL, "record: pipe: %s", strerror(errno));
	pid = fork();
	if (!pid)
		exec_command(command, error[1]);
	close(error[1]);
	if (pid < 0) {
		code = tb_complain(TB_EXIT_FATAL, "record: fork: %s", strerror(errno));
	} else if (read(error[0], &err, sizeof(err)) == sizeof(err)) {
		waitpid(pid, NULL, 0);
		code = tb_complain(err == ENOENT ? TB_COMMAND_NOT_FOUND : TB_COMMAND_NOT_EXECUTABLE,
				   "record: %s: %s", command->path, strerror(err));
	} else {
		code = wait_command(command, pid);
	}
	close(error[0]);
	return code;
}
