/* SPDX-License-Identifier: MIT */
/*
 * Text of unknown bytes, what processes call themselves, and paths: as JSON, readable by any parser; bytes are not
 * taken for characters, so that a path comes back as it was (reader/places.c). And for people.
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

void tb_put_name(FILE *out, const char *name)
{
	for (; *name; name++)
		fputc(*name >= ' ' && *name <= '~' ? *name : '?', out);
}
