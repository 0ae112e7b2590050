/* SPDX-License-Identifier: MIT */
/*
 * Actions of the traced program about what a process can do to a tracer inside it: signals, all ways to make another
 * process, threads by the thousand, moving between CPUs. "traced SHARED ACTION WRITER NUMBER"; writers from WRITER on.
 */
#define _GNU_SOURCE
#include "traced.h"

#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static uint32_t first_writer;
static uint64_t nr_wanted;
static const char *shared_path, *self_path;

static void be_writer(uint32_t writer)
{
	shared->writer[writer].pid = (uint64_t) syscall(SYS_getpid);
	shared->writer[writer].tid = (uint64_t) syscall(SYS_gettid);
}

static int await_ok(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 4;
	return status ? 5 : 0;
}

/* The handler is a writer of its own, of the thread that it runs in; errno must come back as it was. */
static void on_timer(int signal)
{
	(void) signal;
	traced_more(first_writer + 1, 1);
}

/* A timer of 10 kHz in a thread that traces all the time. */
static int action_signals(void)
{
	struct sigaction action = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec period = { { 0, 100000 }, { 0, 100000 } };
	timer_t timer;

	be_writer(first_writer);
	be_writer(first_writer + 1);
	event._sigev_un._tid = (pid_t) syscall(SYS_gettid);
	if (sigaction(SIGUSR1, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &period, NULL))
		return 3;
	while (shared->writer[first_writer + 1].returned < nr_wanted)
		traced_more(first_writer, 1000);
	timer_delete(timer);
	return 0;
}

static int child_writes(uint32_t writer)
{
	be_writer(writer);
	traced_more(writer, nr_wanted);
	return 0;
}

static int action_fork(void)
{
	pid_t pid;

	child_writes(first_writer);
	pid = fork();
	if (!pid)
		_exit(child_writes(first_writer + 1));
	child_writes(first_writer);
	return await_ok(pid);
}

static int action_doublefork(void)
{
	pid_t pid;

	child_writes(first_writer);
	pid = fork();
	if (!pid) {
		child_writes(first_writer + 1);
		pid = fork();
		if (!pid)
			_exit(child_writes(first_writer + 2));
		child_writes(first_writer + 1);
		_exit(await_ok(pid));
	}
	return await_ok(pid);
}

/* The child of vfork() is in the parent's memory: it writes as its parent does, into its rings. */
static int action_vfork(void)
{
	pid_t pid;

	child_writes(first_writer);
	pid = vfork();
	if (!pid) {
		traced_more(first_writer, nr_wanted);
		_exit(0);
	}
	child_writes(first_writer);
	return await_ok(pid);
}

/* A process made by the system call itself: no handler of pthread_atfork() sees it. */
static int action_clone3(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	pid_t pid;

	child_writes(first_writer);
	pid = (pid_t) syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return errno == ENOSYS ? 77 : 3;
	if (!pid)
		_exit(child_writes(first_writer + 1));
	child_writes(first_writer);
	return await_ok(pid);
}

static char **self_argv(uint32_t writer)
{
	static char writer_text[16], nr_text[24];
	static char *argv[7];

	snprintf(writer_text, sizeof(writer_text), "%u", writer);
	snprintf(nr_text, sizeof(nr_text), "%llu", (unsigned long long) nr_wanted);
	argv[0] = (char *) self_path;
	argv[1] = (char *) shared_path;
	argv[2] = "write";
	argv[3] = writer_text;
	argv[4] = nr_text;
	return argv;
}

static int action_spawn(void)
{
	pid_t pid;

	child_writes(first_writer);
	if (posix_spawn(&pid, self_path, NULL, NULL, self_argv(first_writer + 1), environ))
		return 3;
	child_writes(first_writer);
	return await_ok(pid);
}

static int action_exec(void)
{
	child_writes(first_writer);
	execv(self_path, self_argv(first_writer + 1));
	return 3;
}

static void *thread_write(void *arg)
{
	uint32_t writer = (uint32_t) (uintptr_t) arg;

	be_writer(writer);
	traced_more(writer, 10);
	return NULL;
}

/* NUMBER threads, each a writer of 10 events, a few alive at a time. */
static int action_threads(void)
{
	pthread_t threads[8];
	uint64_t i, alive = 0;

	for (i = 0; i < nr_wanted; i++) {
		if (alive == 8)
			for (; alive; alive--)
				pthread_join(threads[alive - 1], NULL);
		if (pthread_create(&threads[alive++], NULL, thread_write, (void *) (uintptr_t) (first_writer + i)))
			return 3;
	}
	for (; alive; alive--)
		pthread_join(threads[alive - 1], NULL);
	return 0;
}

static void *move_about(void *arg)
{
	long nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pid_t tid = (pid_t) (intptr_t) arg;
	cpu_set_t cpus;
	long cpu;

	for (cpu = 0; !traced_stopped(); cpu = (cpu + 1) % nr_cpus) {
		CPU_ZERO(&cpus);
		CPU_SET(cpu, &cpus);
		sched_setaffinity(tid, sizeof(cpus), &cpus);
	}
	return NULL;
}

/* Another thread moves the writing one from CPU to CPU, without end. */
static int action_affinity(void)
{
	pthread_t thread;

	be_writer(first_writer);
	if (pthread_create(&thread, NULL, move_about, (void *) (intptr_t) syscall(SYS_gettid)))
		return 3;
	traced_more(first_writer, nr_wanted);
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	return 0;
}

static int action_write(void)
{
	return child_writes(first_writer);
}

/* The path itself: an emulator's own is what it would execute by /proc/self/exe. */
static const char *own_path(void)
{
	static char path[4096];
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[size > 0 ? size : 0] = 0;
	return path;
}

int traced_process_action(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*act)(void);
	} actions[] = {
		{ "signals", action_signals }, { "fork", action_fork }, { "doublefork", action_doublefork },
		{ "vfork", action_vfork }, { "clone3", action_clone3 }, { "spawn", action_spawn },
		{ "exec", action_exec }, { "threads", action_threads }, { "affinity", action_affinity },
		{ "write", action_write },
	};
	size_t i;

	if (argc < 4)
		return -1;
	self_path = own_path();
	shared_path = argv[0];
	first_writer = (uint32_t) atoi(argv[2]);
	nr_wanted = strtoull(argv[3], NULL, 0);
	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(argv[1], actions[i].name) == 0)
			return actions[i].act();
	return -1;
}
