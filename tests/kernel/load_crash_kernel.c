/* SPDX-License-Identifier: MIT */
/*
 * "load_crash_kernel KERNEL INITRD COMMAND-LINE [now]": what runs after a panic, by kexec_file_load(2) itself; "now": what
 * runs at once, in the place of the kernel that is running.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	bool now = argc == 5 && !strcmp(argv[4], "now");
	int kernel, initrd;

	if (argc != 4 && !now) {
		fputs("usage: load_crash_kernel KERNEL INITRD COMMAND-LINE [now]\n", stderr);
		return 2;
	}
	kernel = open(argv[1], O_RDONLY | O_CLOEXEC);
	initrd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (kernel < 0 || initrd < 0 ||
	    syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1, argv[3], now ? 0 : KEXEC_FILE_ON_CRASH) ||
	    (now && syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL))) {
		perror(argv[0]);
		return 1;
	}
	return 0;
}
