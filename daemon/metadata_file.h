/* SPDX-License-Identifier: MIT */
#ifndef TB_METADATA_FILE_H
#define TB_METADATA_FILE_H

#include "recording.h"

/* The class of a ring's stream_id, made of its process's descriptions. -EBADMSG: they are not what the id names. */
int tb_class_get(struct tb_recording *recording, struct tb_process *process, uint64_t stream_id, uint32_t context,
		 uint32_t nr_descriptions, struct tb_class **ret_class);
/* Adds the class of the stream of statedumps, unless it is there. 0 or -ENOMEM. */
int tb_class_add_statedump(struct tb_recording *recording);
void tb_classes_free(struct tb_recording *recording);

/* Brings the metadata file up to date with the classes. 0 or -errno. */
int tb_metadata_flush(struct tb_recording *recording);
/* Writes it anew, with the clock as it is known by now, into the trace directory dir. 0 or -errno. */
int tb_metadata_replace(struct tb_recording *recording, int dir);
/* Takes the classes of a trace directory that another daemon wrote. */
int tb_metadata_adopt(struct tb_recording *recording);

#endif
