/* SPDX-License-Identifier: MIT */
/*
 * "dump RUNDIR FORMAT FILE MIB": a dump of a machine of at least that much memory in which the kernel kept the files
 * of the run directory (tests/memory_image.c). FORMAT: raw, elf, stored, zlib, lzo, zstd. Exit status 77: not in this
 * build.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/dump_file.h"

int main(int argc, char **argv)
{
	enum dump_format format = DUMP_RAW;
	struct memory_image image;
	int fd;

	if (argc != 5)
		return 2;
	while (format < DUMP_NR_FORMATS && strcmp(dump_format_name(format), argv[2]))
		format++;
	if (format == DUMP_NR_FORMATS || !dump_can_write(format))
		return 77;
	if (!image_make(&image, argv[1], 0, strtoull(argv[4], NULL, 0) << 20))
		return 1;
	fd = open(argv[3], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || !dump_write(fd, &image, format, true, NULL)) {
		perror(argv[3]);
		return 1;
	}
	close(fd);
	image_free(&image);
	return 0;
}
