/* SPDX-License-Identifier: MIT */
#ifndef TB_KERNEL_WRITER_H
#define TB_KERNEL_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

#include "control.h"

/* A traced process by hand: what the library does, without it. In the address space that calls. */
struct writer {
	int fd;				/* stays open, unlike the library's */
	struct tracebuf_ioc_register id;
	char name[96];			/* of its process file */
	struct tracebuf_process *header;
	struct tracebuf_process_account *account;
	uint32_t nr_events;
};

/* A ring of it, mapped whole. */
struct writer_ring {
	int fd;
	struct tracebuf_ioc_ring arg;
	char name[96];
	struct tracebuf_ring *header;
	struct tracebuf_producer *producer;
	unsigned char *data;
	uint64_t subbuf_size, nr_subbufs;
};

/* All: 0 or -errno. */
int writer_open(struct writer *writer, const char *domain);
/* Describes one more event, PROVIDER:EVENT with one u64 field, and enables it at the next record. id may be NULL. */
int writer_event(struct writer *writer, const char *name, uint32_t *ret_id);
/* The same in pieces. bytes: of the record made; out takes at least 256. */
size_t writer_describe(void *out, const char *name, const char *field);
int writer_send(struct writer *writer, void *descriptions, size_t size, uint32_t nr);
int writer_enable(struct writer *writer, uint32_t index, uint32_t used);
/* A read-only mapping of the pages in which nr records lie, from the area's start. */
int writer_map_enable(struct writer *writer, uint32_t nr, const struct tracebuf_enable **ret_records);

int writer_ring(struct writer *writer, uint64_t generation, unsigned int ring_set, unsigned int cpu,
		struct writer_ring *ret_ring);
/* All in one, asserted: a process with the event "test:started" and a ring on CPU 0, of the trace's first channel. */
bool writer_start(struct writer *writer, const char *domain, const struct control_trace *trace,
		  struct writer_ring *ret_ring);
/* Bytes of the whole. */
size_t writer_ring_size(const struct writer_ring *ring);
/* Fills the current sub-buffer with a valid packet that has no event, leaves it, and tells the kernel. */
int writer_fill(struct writer_ring *ring);
void writer_unmap(struct writer_ring *ring);

/* Is this a superblock with a right checksum, of this kind? Asserts what all superblocks of the kernel have. */
bool writer_is_superblock(const void *header, uint32_t kind);

#endif
