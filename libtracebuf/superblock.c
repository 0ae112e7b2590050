/* SPDX-License-Identifier: MIT */
/*
 * Making superblocks: the first 64 bytes of every file in a run directory.
 *
 * Invariant: the magic exists only in superblocks. In code it stands masked, so that who scans memory for it does not
 * find the program.
 */
#include "superblock.h"
#include "crc32c.h"
#include <string.h>
#include <sys/auxv.h>

void tb_superblock_fill(struct tracebuf_superblock *sb, enum tracebuf_kind kind, uint32_t header_size,
			uint64_t total_size)
{
	static const uint8_t masked[sizeof(sb->magic)] = TRACEBUF_MAGIC_MASKED;

	memset(sb, 0, sizeof(*sb));
	for (size_t i = 0; i < sizeof(masked); i++)
		sb->magic[i] = masked[i] ^ TRACEBUF_MAGIC_MASK;
	sb->abi_version = TRACEBUF_ABI_VERSION;
	sb->kind = kind;
	sb->header_size = header_size;
	sb->total_size = total_size;
	sb->page_size = getauxval(AT_PAGESZ);
}

void tb_superblock_seal(struct tracebuf_superblock *sb)
{
	sb->header_crc = 0;
	sb->header_crc = tb_crc32c(0, sb, sb->header_size);
}
