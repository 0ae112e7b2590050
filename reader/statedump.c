/* SPDX-License-Identifier: MIT */
/*
 * What the kernel wrote of a process's threads and memory maps (abi.h, struct tracebuf_statedump), checked.
 *
 * Everything here is a pure function of private copies. Invariant: of a dump that passed the check, every record lies
 * inside, is of a known kind, and has a path that ends in it; so whoever walks it needs no check of his own.
 */
#include "statedump.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "../libtracebuf/crc32c.h"

static bool is_right(const struct tracebuf_state *state, size_t room)
{
	const size_t path_offset = offsetof(struct tracebuf_state, path);

	return state->size >= sizeof(*state) && state->size <= room && state->size % 8 == 0 &&
	       state->kind >= TRACEBUF_STATE_EXECUTABLE && state->kind <= TRACEBUF_STATE_MAP &&
	       state->build_id_size <= sizeof(state->build_id) && state->end >= state->start &&
	       memchr((const char *) state + path_offset, '\0', state->size - path_offset);
}

int tb_statedump_check(const struct tracebuf_statedump *head, const void *records, size_t size)
{
	if (!head->sequence)
		return -ENOENT;
	if (head->sequence & 1)
		return -EAGAIN;
	if (head->size > size || head->size > TRACEBUF_STATEDUMP_SIZE - sizeof(*head) ||
	    tb_crc32c(0, records, head->size) != head->crc)
		return -EBADMSG;
	for (size_t offset = 0; offset < head->size;) {
		const struct tracebuf_state *state = (const void *) ((const char *) records + offset);

		if (head->size - offset < sizeof(*state) || !is_right(state, head->size - offset))
			return -EBADMSG;
		offset += state->size;
	}
	return 0;
}

const struct tracebuf_state *tb_statedump_next(const struct tracebuf_statedump *head, const void *records,
					       size_t *offset)
{
	const struct tracebuf_state *state = (const void *) ((const char *) records + *offset);

	if (*offset >= head->size)
		return NULL;
	*offset += state->size;
	return state;
}
