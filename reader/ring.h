/* SPDX-License-Identifier: MIT */
#ifndef TB_RING_H
#define TB_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

/* A ring's immutable header, checked. */
struct tb_ring_info {
	uint8_t uuid[16];
	uint64_t generation;
	uint64_t stream_id;
	uint64_t stream_instance_id;
	uint64_t incarnation;
	int32_t pid;
	uint32_t cpu;
	uint32_t slot;
	uint32_t channel;
	uint32_t instance;
	uint32_t nr_descriptions;
	uint32_t clock;				/* enum tracebuf_clock */
	uint32_t writer;			/* enum tracebuf_writer */
	uint32_t mode;				/* enum tracebuf_mode */
	uint32_t context;			/* enum tracebuf_context bits */
	uint64_t subbuf_size;			/* bytes */
	uint32_t nr_subbufs;
	uint32_t block_timeout_ms;
	char channel_name[TRACEBUF_NAME_SIZE];	/* NUL-terminated, fit for a file name */
	char procname[TRACEBUF_PROCNAME_SIZE + 1];	/* NUL-terminated, any other bytes */
};

/* A process file's immutable header, checked. */
struct tb_process_info {
	int32_t pid;
	int32_t parent_pid;
	uint64_t incarnation;
	uint32_t writer;
	uint32_t uid;
	uint64_t realtime_ns;
	uint64_t domain;			/* 0: the default one, or not in the kernel home */
	char procname[TRACEBUF_PROCNAME_SIZE + 1];	/* NUL-terminated, any other bytes; so is executable */
	char executable[257];
};

/* Which sub-buffers a ring holds, by its position. */
struct tb_ring_place {
	uint64_t first;			/* sequence number of the oldest sub-buffer that exists */
	uint64_t current;		/* of the one being written: first ... current - 1 are closed */
	uint64_t content_size;		/* bytes valid in current, packet header included; 0: it has no header yet */
};

/*
 * Check a private copy of a superblock against the kind wanted: magic, version, sizes. 0, -ENOENT (no superblock),
 * -EPROTONOSUPPORT (other abi_version), -EBADMSG. Does not check the crc: see the next two.
 */
int tb_superblock_check(const struct tracebuf_superblock *sb, enum tracebuf_kind kind, uint32_t header_size,
			uint64_t file_size);

/* Is header_crc right, of a header of size bytes that begins with a superblock? Pure. */
bool tb_header_crc_is_right(const void *header, size_t size);

/*
 * Check a private copy of a ring's or process's header (crc included). file_size: bytes of the file, which must hold
 * all that the header speaks of; 0: unknown, not checked. 0 or as tb_superblock_check(). Pure.
 */
int tb_ring_check(const struct tracebuf_ring *ring, uint64_t file_size, struct tb_ring_info *ret_info);
int tb_process_check(const struct tracebuf_process *process, uint64_t file_size, struct tb_process_info *ret_info);

/* The ring's contents if position is what was loaded (acquire) from it. Pure, and total: any position gives some
   place whose numbers are in bounds. */
struct tb_ring_place tb_ring_place(const struct tb_ring_info *ring, uint64_t position);

/* After a copy of sub-buffer seq and a load-load barrier: is the copy whole, if position is loaded now? Pure. */
bool tb_ring_holds(const struct tb_ring_info *ring, uint64_t position, uint64_t seq);

/* Byte offset of sub-buffer seq in the ring file. */
uint64_t tb_ring_offset(const struct tb_ring_info *ring, uint64_t seq);

/* Events in the current sub-buffer, of producer's position and tally that were loaded together. */
uint32_t tb_ring_tally(uint64_t position, uint64_t tally);

#endif
