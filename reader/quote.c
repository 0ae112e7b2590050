/* SPDX-License-Identifier: MIT */
/*
 * Text of unknown bytes as JSON: what processes call themselves, and paths. Readable by any parser; bytes are not
 * taken for characters, so that a path comes back as it was (reader/places.c).
 */
#include "quote.h"

void tb_quote(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < ' ' || c > '~')
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}
