/* SPDX-License-Identifier: MIT */
#ifndef TB_OUTFILE_H
#define TB_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

#define TB_OUTFILE_NAME_SIZE 192
#define TB_INDEX_ENTRY_SIZE 72
#define TB_INDEX_PENDING 16

/* A stream file being written, with its index. It exists from the first packet on. */
struct tb_outfile {
	int dir;				/* of the trace; borrowed */
	char name[TB_OUTFILE_NAME_SIZE];
	int fd, direct_fd;			/* -1: not open */
	bool no_direct;				/* the file system does not take O_DIRECT */
	bool sync;				/* a write returns when it is on the disk; for the caller to set */
	bool named;				/* the file's name is on the disk, too */
	uint64_t end;				/* bytes of finished packets */
	uint64_t nr_packets;			/* finished packets */
	uint64_t pending_first;			/* number of the first index entry that is not in the index file */
	unsigned int nr_pending;
	unsigned char pending[TB_INDEX_PENDING][TB_INDEX_ENTRY_SIZE];
};

void tb_outfile_init(struct tb_outfile *out, int dir, const char *name);

/* A descriptor to write with through the page cache, or -errno. Makes the file. */
int tb_outfile_fd(struct tb_outfile *out);
/* One that bypasses it where the file system can, or -errno. */
int tb_outfile_direct_fd(struct tb_outfile *out);

/* A packet is at the file's end now: its place in the index. finished: end moves behind it. */
int tb_outfile_add(struct tb_outfile *out, const struct tracebuf_packet *packet, bool finished);

/* Gives up descriptors; what is pending of the index is written. */
void tb_outfile_rest(struct tb_outfile *out);

/*
 * Cuts the file after its finished packets and, behind them, tail bytes of an unfinished one (0: none); removes it if
 * nothing is left; brings the index into line. Descriptors are given up. 0 or -errno.
 */
int tb_outfile_finish(struct tb_outfile *out, uint64_t tail);

/* One 72-byte index entry. Pure. */
void tb_index_encode(unsigned char entry[TB_INDEX_ENTRY_SIZE], const struct tracebuf_packet *packet, uint64_t offset);

#endif
