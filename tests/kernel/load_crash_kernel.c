/* SPDX-License-Identifier: MIT */
/*
 * "load_crash_kernel KERNEL INITRD COMMAND-LINE [later]": what runs after a panic, by kexec_file_load(2) itself; "later":
 * what runs after "load_crash_kernel run", in the place of the kernel that is running.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

static int load(const char *kernel_path, const char *initrd_path, const char *command_line, unsigned long flags)
{
	int kernel = open(kernel_path, O_RDONLY | O_CLOEXEC), initrd = open(initrd_path, O_RDONLY | O_CLOEXEC);

	if (kernel < 0 || initrd < 0)
		return -1;
	return (int) syscall(SYS_kexec_file_load, kernel, initrd, strlen(command_line) + 1, command_line, flags);
}

int main(int argc, char **argv)
{
	bool run = argc == 2 && !strcmp(argv[1], "run"), later = argc == 5 && !strcmp(argv[4], "later");

	if (argc != 4 && !run && !later) {
		fputs("usage: load_crash_kernel KERNEL INITRD COMMAND-LINE [later]\n       load_crash_kernel run\n", stderr);
		return 2;
	}
	if (run ? reboot(LINUX_REBOOT_CMD_KEXEC) : load(argv[1], argv[2], argv[3], later ? 0 : KEXEC_FILE_ON_CRASH)) {
		perror(argv[0]);
		return 1;
	}
	return 0;
}
