/* SPDX-License-Identifier: MIT */
#ifndef TB_RECOVER_PLACE_H
#define TB_RECOVER_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include "remains.h"

#define TB_RECOVER_PATH_SIZE 4096

/* Where recovered traces go. */
struct tb_recover_place {
	const struct tb_remains *remains;
	const char *dir;
	bool into;		/* each is a directory below dir, by name and boot; else dir is the only trace */
	bool several, several_boots;
};

/* dir is made, if it has to be: 0 or -errno. into: it may be there already. */
int tb_recover_place_init(struct tb_recover_place *place, const struct tb_remains *remains, const char *dir, bool into);

/* Is this the first ring of its trace? */
bool tb_recover_place_is_first(const struct tb_remains *remains, size_t index);

/*
 * Of the trace whose first ring this is: path where it will be in the end, and part where it is to be written, of
 * TB_RECOVER_PATH_SIZE each. The same, but where the end must be one step. What an earlier run left in part is removed.
 */
void tb_recover_place_name(const struct tb_recover_place *place, size_t index, char *path, char *part);
/* It has been written: makes it lasting, and gives it its name. 0 or -errno. */
int tb_recover_place_end(const char *path, const char *part);

#endif
