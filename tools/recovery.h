/* SPDX-License-Identifier: MIT */
#ifndef TB_RECOVERY_H
#define TB_RECOVERY_H

#include "../reader/metadata.h"
#include "../reader/salvage.h"
#include "remains.h"

/* What became of one ring. */
struct tb_recovered_ring {
	const struct tb_remains_ring *ring;
	char name[192];			/* of its stream file */
	struct tb_salvage salvage;
	uint64_t nr_known;		/* events that the trace on disk has already */
	const char *trouble;		/* why nothing could be had of it at all; NULL */
};

/* A trace that was recovered. */
struct tb_recovery {
	const struct tb_remains *remains;
	uint8_t uuid[16];
	char name[TRACEBUF_NAME_SIZE];
	struct tb_trace_info info;
	struct tb_recovered_ring *ring;
	size_t nr_rings;
	struct tb_stream_class *class;	/* of those rings */
	size_t nr_classes;
	uint64_t nr_events;		/* written */
	bool damaged;			/* a sub-buffer or more was dropped, or a ring had trouble: of what counts */
	bool is_earlier;		/* a later boot has left rings, too: damage does not count, unless this is merged */
};

/*
 * Asked for each packet: which of a ring's events begin ... end - 1 (numbers since the ring was made) the disk does not
 * have, one run of them: *begin and *end are set to it, equal if it has all.
 */
typedef void (*tb_missing_fn)(void *data, const struct tb_remains_ring *ring, uint64_t *begin, uint64_t *end);

/*
 * Writes what the rings of the trace uuid hold into the directory path, which is made: metadata, stream files, index.
 * missing: NULL if there is nothing on disk; else no metadata is written there. Sets recovery up, for
 * tb_recovery_free(). 0 or -errno, then message says what and where.
 */
int tb_recovery_write(const struct tb_remains *remains, const uint8_t uuid[16], const char *path, tb_missing_fn missing,
		      void *data, struct tb_recovery *recovery, char *message, size_t size);
/*
 * Appends to the metadata file of directory dir the classes that known does not have, and what babeltrace2 wants where
 * any class has ip. 0 or -errno.
 */
int tb_recovery_add_classes(const struct tb_recovery *recovery, int dir, const struct tb_metadata *known);
void tb_recovery_free(struct tb_recovery *recovery);

#endif
