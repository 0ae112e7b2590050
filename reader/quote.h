/* SPDX-License-Identifier: MIT */
#ifndef TB_QUOTE_H
#define TB_QUOTE_H

#include <stdio.h>

/* A JSON string, quotes and all; a byte outside printable ASCII is escaped as \u00xx, so that any bytes come back. */
void tb_quote(FILE *out, const char *text);

/* For a terminal, which must obey no name: a byte outside printable ASCII becomes a question mark. */
void tb_put_name(FILE *out, const char *name);

#endif
