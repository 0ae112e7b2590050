/* SPDX-License-Identifier: MIT */
/*
 * Fault injection by ptrace(2): it reaches calls that no LD_PRELOAD sees, since the library makes its own. The call is
 * replaced by none (-1) when it is entered, and its result by the error when it is left.
 */
#define _GNU_SOURCE
#include "nth_call.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)

static bool counts(unsigned long long nr)
{
	static const unsigned long long calls[] = {
		SYS_open, SYS_openat, SYS_mkdir, SYS_mkdirat, SYS_mmap, SYS_mremap, SYS_madvise, SYS_ftruncate,
		SYS_fallocate, SYS_rename, SYS_renameat, SYS_renameat2, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_read,
		SYS_pread64, SYS_pwrite64, SYS_membarrier, SYS_utimensat, SYS_futex, SYS_unlink, SYS_unlinkat, SYS_linkat,
		SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_getdents64,
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i] == nr)
			return true;
	return false;
}

/* At an entry: replaces the call if it is the one. true: its exit must be changed too. */
static bool enter(pid_t pid, unsigned int n, unsigned int *nr)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) || !counts(regs.orig_rax) || ++*nr != n)
		return false;
	regs.orig_rax = (unsigned long long) -1;
	return ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0;
}

static void leave(pid_t pid, int error)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0) {
		regs.rax = (unsigned long long) -error;
		ptrace(PTRACE_SETREGS, pid, NULL, &regs);
	}
}

static int follow(pid_t pid, unsigned int n, int error, unsigned int *ret_nr)
{
	bool entered = false, replaced = false;
	int status, deliver = 0;

	while (ptrace(PTRACE_SYSCALL, pid, NULL, deliver) == 0 && waitpid(pid, &status, 0) == pid &&
	       !WIFEXITED(status) && !WIFSIGNALED(status)) {
		deliver = 0;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			deliver = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		} else if (!entered) {
			entered = true;
			replaced = enter(pid, n, ret_nr);
		} else {
			entered = false;
			if (replaced)
				leave(pid, error);
			replaced = false;
		}
	}
	return status;
}

int nth_call_run(char *const *argv, unsigned int n, int error, unsigned int *ret_nr)
{
	pid_t pid = fork();
	int status;

	*ret_nr = 0;
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -ENOSYS;
	if (!WIFSTOPPED(status))
		return -ENOSYS;
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	return follow(pid, n, error, ret_nr);
}

#else

int nth_call_run(char *const *argv, unsigned int n, int error, unsigned int *ret_nr)
{
	(void) argv, (void) n, (void) error, (void) ret_nr;
	return -ENOSYS;
}

#endif
