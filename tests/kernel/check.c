/* SPDX-License-Identifier: MIT */
/*
 * Assertions, children and faults of the tests that run against the module.
 *
 * Invariant: a child never returns into CUnit; it ends by _exit() with what its own checks found.
 */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/harness.h"

static bool is_child;
static unsigned int nr_failed;

bool check_is(int64_t actual, int64_t expected, const char *what, const char *file, unsigned int line)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: %" PRId64 ", expected %" PRId64, what, actual, expected);
	if (!is_child) {
		CU_assertImplementation(actual == expected, line, text, file, "", CU_FALSE);
	} else if (actual != expected) {
		nr_failed++;
		tb_note("  %s:%u: in %d: %s", file, line, getpid(), text);
	}
	return actual == expected;
}

static void run_child_side(child_body body, void *arg, int fd, pid_t parent)
{
	struct child self = { .pid = 0, .fd = fd };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* 0: in another PID namespace. */
	if (getppid() != parent && getppid() != 0)
		_exit(1);
	is_child = true;
	nr_failed = 0;
	body(&self, arg);
	fflush(stdout);
	_exit(nr_failed ? 1 : 0);
}

bool child_start(struct child *child, child_body body, void *arg)
{
	pid_t parent = getpid();
	int fds[2];

	child->pid = -1;
	child->fd = -1;
	if (!CHECK_IS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0))
		return false;
	fflush(stdout);
	child->pid = fork();
	if (!child->pid) {
		close(fds[0]);
		run_child_side(body, arg, fds[1], parent);
	}
	close(fds[1]);
	child->fd = fds[0];
	return CHECK(child->pid > 0);
}

void child_tell(const struct child *child, uint64_t number)
{
	CHECK_IS(send(child->fd, &number, sizeof(number), MSG_NOSIGNAL), sizeof(number));
}

bool child_hear(const struct child *child, uint64_t *ret_number)
{
	return recv(child->fd, ret_number, sizeof(*ret_number), 0) == sizeof(*ret_number);
}

static int wait_for(struct child *child)
{
	int status = -1;

	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(child->fd);
	return status;
}

void child_end(struct child *child)
{
	if (child->pid > 0)
		CHECK_IS(wait_for(child), 0);
}

void child_kill(struct child *child, int signal)
{
	if (child->pid <= 0)
		return;
	kill(child->pid, signal);
	wait_for(child);
}

void child_run(child_body body, void *arg)
{
	struct child child;

	if (child_start(&child, body, arg))
		child_end(&child);
}

void become(uid_t uid)
{
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid)) {
		CHECK_IS(-errno, 0);
		_exit(1);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static sigjmp_buf fault_return;

static void on_fault(int signal)
{
	siglongjmp(fault_return, signal);
}

static int access_signal(volatile char *address, bool is_store)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER }, segv, bus;
	int signal;

	sigaction(SIGSEGV, &action, &segv);
	sigaction(SIGBUS, &action, &bus);
	signal = sigsetjmp(fault_return, 1);
	if (!signal) {
		if (is_store)
			*address = 0x5e;
		else
			(void) *address;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return signal;
}

int load_signal(const volatile void *address)
{
	return access_signal((volatile char *) address, false);
}

int store_signal(volatile void *address)
{
	return access_signal(address, true);
}

size_t page_size(void)
{
	return (size_t) sysconf(_SC_PAGESIZE);
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

void sleep_ms(unsigned int ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), result = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		result = -errno;
	close(fd);
	return result;
}

int64_t file_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	return got > 0 ? strtoll(text, NULL, 10) : -EIO;
}
