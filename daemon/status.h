/* SPDX-License-Identifier: MIT */
#ifndef TB_STATUS_H
#define TB_STATUS_H

#include <stdio.h>
#include "recording.h"

/* Text or JSON of status and list. only: one trace, NULL for all. */
void tb_status_print(FILE *out, struct tb_daemon *daemon, struct tb_recording *only, bool json);
/* What holds the buffers: a member of a JSON object. */
void tb_home_print_json(FILE *out, const struct tb_daemon *daemon);
void tb_list_print(FILE *out, struct tb_daemon *daemon, struct tb_recording *only, bool json);

#endif
