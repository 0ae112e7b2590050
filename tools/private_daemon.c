/* SPDX-License-Identifier: MIT */
/*
 * The daemon that serves one `tracebuf record`. It has a session of its own, so that ^C reaches only the traced
 * command, and its stdin is a pipe that we hold: however we end, it sees the end of file and saves the trace.
 * Its stderr is a memory file, from which we show what it says: it never waits for us, nor dies of us.
 */
#define _GNU_SOURCE
#include "private_daemon.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "complaint.h"
#include "place.h"
#include "tree.h"

#define START_TIMEOUT_MS 20000

static bool is_tmpfs(const char *dir)
{
	struct statfs fs;

	return !statfs(dir, &fs) && fs.f_type == TMPFS_MAGIC;
}

/* Buffers belong into memory: on a disk each of their pages would be written there, again and again. */
static int make_rundir(char rundir[TB_RUNDIR_SIZE])
{
	char user_dir[32];
	const char *dirs[] = { secure_getenv("XDG_RUNTIME_DIR"), user_dir, "/run", "/dev/shm", "/tmp" };
	int tmpfs_only;
	size_t i;

	snprintf(user_dir, sizeof(user_dir), "/run/user/%u", (unsigned int) geteuid());
	for (tmpfs_only = 1; tmpfs_only >= 0; tmpfs_only--) {
		for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
			/* "/lock" and the like still have to fit behind it. */
			if (!dirs[i] || dirs[i][0] != '/' || strlen(dirs[i]) > TB_RUNDIR_SIZE - 24)
				continue;
			if (tmpfs_only && !is_tmpfs(dirs[i]))
				continue;
			snprintf(rundir, TB_RUNDIR_SIZE, "%s/tracebuf-XXXXXX", dirs[i]);
			if (!mkdtemp(rundir))
				continue;
			if (!tmpfs_only)
				tb_complain(0, "record: warning: %s is no tmpfs: recording will be slower", dirs[i]);
			return 0;
		}
	}
	return tb_complain(TB_EXIT_FATAL, "record: no place for buffers: /run, /dev/shm and /tmp cannot be written");
}

/* In the child. ready_fd keeps its number; all else of ours is closed by the exec. */
static void __attribute__((noreturn)) exec_daemon(const struct tb_private_daemon *daemon, const char *path, int in,
						  int ready_fd, const sigset_t *mask)
{
	char number[16];
	const char *argv[12] = { "tracebufd", "--rundir", daemon->rundir, "--private", "--ready-fd", number }, **at = argv + 6;
	int null = open("/dev/null", O_WRONLY);

	setsid();
	dup2(in, 0);
	dup2(null, 1);
	dup2(daemon->log_fd, 2);
	fcntl(ready_fd, F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", ready_fd);
	sigprocmask(SIG_SETMASK, mask, NULL);
	/* Preloads and a private TRACEBUF=0 are meant for the command. */
	unsetenv("LD_PRELOAD");
	unsetenv("NOTIFY_SOCKET");
	if (daemon->clock) {
		*at++ = "--clock";
		*at++ = daemon->clock;
	}
	if (daemon->home) {
		*at++ = "--home";
		*at++ = daemon->home;
	}
	*at = NULL;
	execv(path, (char **) argv);
	dprintf(2, "%s\n", strerror(errno));
	_exit(127);
}

/* Copies the last line of what the daemon has said, to put it into ours. */
static void last_words(const struct tb_private_daemon *daemon, char *text, size_t size)
{
	ssize_t got = pread(daemon->log_fd, text, size - 1, 0);
	char *newline;

	text[got > 0 ? got : 0] = '\0';
	while ((newline = strrchr(text, '\n')) && !newline[1])
		*newline = '\0';
	if (newline)
		memmove(text, newline + 1, strlen(newline + 1) + 1);
}

static int wait_ready(struct tb_private_daemon *daemon, const char *path, int ready_fd)
{
	struct pollfd poll_fd = { .fd = ready_fd, .events = POLLIN };
	char words[512], byte;
	int ready;

	do {
		ready = poll(&poll_fd, 1, START_TIMEOUT_MS);
	} while (ready < 0 && errno == EINTR);
	if (ready > 0 && read(ready_fd, &byte, 1) == 1)
		return 0;
	if (!ready)
		kill(daemon->pid, SIGKILL);
	waitpid(daemon->pid, NULL, 0);
	daemon->pid = 0;
	last_words(daemon, words, sizeof(words));
	if (!*words)
		snprintf(words, sizeof(words), "it ended without a word");
	return tb_complain(TB_EXIT_FATAL, "record: %s did not start: %s", path, words);
}

static int spawn_daemon(struct tb_private_daemon *daemon, const char *path, const sigset_t *mask)
{
	int in[2], ready[2], code;

	if (pipe2(in, O_CLOEXEC))
		return tb_complain(TB_EXIT_FATAL, "record: pipe: %s", strerror(errno));
	if (pipe2(ready, O_CLOEXEC)) {
		code = tb_complain(TB_EXIT_FATAL, "record: pipe: %s", strerror(errno));
		goto close_in;
	}
	daemon->pid = fork();
	if (!daemon->pid)
		exec_daemon(daemon, path, in[0], ready[1], mask);
	close(ready[1]);
	if (daemon->pid < 0) {
		daemon->pid = 0;
		code = tb_complain(TB_EXIT_FATAL, "record: fork: %s", strerror(errno));
	} else {
		code = wait_ready(daemon, path, ready[0]);
	}
	close(ready[0]);
	if (!code) {
		close(in[0]);
		daemon->stdin_fd = in[1];
		return 0;
	}
close_in:
	close(in[0]);
	close(in[1]);
	return code;
}

int tb_private_daemon_start(struct tb_private_daemon *daemon, const char *clock, const char *home,
			    const sigset_t *mask)
{
	char path[PATH_MAX];
	int code;

	memset(daemon, 0, sizeof(*daemon));
	daemon->clock = clock;
	daemon->home = home;
	if (tb_place_daemon(path, sizeof(path)))
		return tb_complain(TB_EXIT_FATAL, "record: the path of tracebufd is too long");
	code = make_rundir(daemon->rundir);
	if (code)
		return code;
	daemon->log_fd = memfd_create("tracebufd-stderr", MFD_CLOEXEC);
	if (daemon->log_fd < 0) {
		code = tb_complain(TB_EXIT_FATAL, "record: memfd_create: %s", strerror(errno));
		goto remove;
	}
	/* Both sides have one file offset: appending is the daemon's alone, we read by pread. */
	fcntl(daemon->log_fd, F_SETFL, O_APPEND);
	code = spawn_daemon(daemon, path, mask);
	if (!code)
		return 0;
	close(daemon->log_fd);
remove:
	tb_tree_remove(daemon->rundir, false);
	return code;
}

/* Whole pieces as they come; the daemon writes each line at once. */
static void show_log(struct tb_private_daemon *daemon)
{
	char text[4096];
	ssize_t got;

	while ((got = pread(daemon->log_fd, text, sizeof(text), daemon->log_shown)) > 0) {
		fwrite(text, 1, (size_t) got, stderr);
		daemon->log_shown += got;
	}
}

/* Takes the daemon's exit status, if it has ended. */
static int reap(struct tb_private_daemon *daemon, int options)
{
	int status = 0;
	pid_t pid;

	do {
		pid = waitpid(daemon->pid, &status, options);
	} while (pid < 0 && errno == EINTR);
	show_log(daemon);
	if (!pid)
		return 0;
	daemon->pid = 0;
	if (WIFSIGNALED(status))
		return tb_complain(TB_EXIT_FATAL, "record: tracebufd was killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		return tb_complain(TB_EXIT_FATAL, "record: tracebufd ended with status %d", WEXITSTATUS(status));
	return 0;
}

bool tb_private_daemon_check(struct tb_private_daemon *daemon)
{
	if (daemon->pid)
		reap(daemon, WNOHANG);
	return daemon->pid != 0;
}

int tb_private_daemon_end(struct tb_private_daemon *daemon)
{
	int code = 0;

	close(daemon->stdin_fd);
	if (daemon->pid)
		code = reap(daemon, 0);
	close(daemon->log_fd);
	tb_tree_remove(daemon->rundir, false);
	return code;
}
