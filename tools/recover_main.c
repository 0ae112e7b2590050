/* SPDX-License-Identifier: MIT */
/*
 * tracebuf-recover: `tracebuf recover` alone, linked statically and small, for the initramfs of a crash kernel, where
 * /proc/vmcore is and no library. It reads ELF and raw memory, which /proc/vmcore is; for compressed dumps there is the
 * whole command, afterwards.
 */
#include <stdio.h>
#include <string.h>
#include "complaint.h"
#include "recover.h"

int main(int argc, char **argv)
{
	int code;

	if (argc == 2 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))) {
		printf("tracebuf-recover %s\n", PACKAGE_VERSION);
		return TB_EXIT_OK;
	}
	code = tb_recover_main(argc, argv);
	if ((fflush(stdout) || ferror(stdout)) && code == TB_EXIT_OK)
		return tb_complain(TB_EXIT_ERROR, "recover: standard output cannot be written");
	return code;
}
