/* SPDX-License-Identifier: MIT */
/*
 * The one line that tells a user what went wrong, and where. It is one line whatever text gets into it: names and
 * messages may come from a hostile process by way of the daemon.
 */
#include "complaint.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int tb_complain(int code, const char *format, ...)
{
	char line[1024];
	va_list args;
	char *at;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (at = line; *at; at++) {
		if ((unsigned char) *at < ' ' || *at == 0x7f)
			*at = '?';
	}
	fprintf(stderr, "tracebuf: %s\n", line);
	return code;
}
