/* SPDX-License-Identifier: MIT */
/*
 * A ring seen from outside: is this header one of ours, and which sub-buffers exist at a position.
 *
 * Everything here is a pure function of private copies. Invariant: what passes tb_ring_check() has a geometry whose
 * sizes and offsets can be multiplied and added without overflow and lie inside the file, for every position.
 */
#include "ring.h"
#include <errno.h>
#include <string.h>
#include "../libtracebuf/crc32c.h"

int tb_superblock_check(const struct tracebuf_superblock *sb, enum tracebuf_kind kind, uint32_t header_size,
			uint64_t file_size)
{
	static const uint8_t masked[16] = TRACEBUF_MAGIC_MASKED;

	for (unsigned int i = 0; i < sizeof(masked); i++)
		if (sb->magic[i] != (masked[i] ^ TRACEBUF_MAGIC_MASK))
			return -ENOENT;
	if (sb->abi_version != TRACEBUF_ABI_VERSION)
		return -EPROTONOSUPPORT;
	if (sb->kind != (uint32_t) kind || sb->header_size != header_size || (file_size && sb->total_size > file_size))
		return -EBADMSG;
	return 0;
}

bool tb_header_crc_is_right(const void *header, size_t size)
{
	struct tracebuf_superblock sb;
	uint32_t crc;

	memcpy(&sb, header, sizeof(sb));
	sb.header_crc = 0;
	crc = tb_crc32c(0, &sb, sizeof(sb));
	crc = tb_crc32c(crc, (const char *) header + sizeof(sb), size - sizeof(sb));
	memcpy(&sb, header, sizeof(sb));
	return crc == sb.header_crc;
}

static bool is_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* May name stand in a file name? */
static bool is_channel_name(const char *name, size_t size)
{
	if (!*name || *name == '.' || strnlen(name, size) == size)
		return false;
	for (; *name; name++)
		if (*name <= ' ' || *name > '~' || *name == '/')
			return false;
	return true;
}

static bool config_is_right(const struct tracebuf_channel *config)
{
	return is_channel_name(config->name, sizeof(config->name)) && config->mode <= TRACEBUF_MODE_BLOCK &&
	       config->context < 2 * TRACEBUF_CONTEXT_PROCNAME && is_power_of_two(config->subbuf_size) &&
	       config->subbuf_size >= TRACEBUF_MIN_SUBBUF_SIZE && config->subbuf_size <= TRACEBUF_MAX_SUBBUF_SIZE &&
	       is_power_of_two(config->nr_subbufs) && config->nr_subbufs >= 2 &&
	       config->nr_subbufs <= TRACEBUF_MAX_SUBBUFS &&
	       config->subbuf_size * config->nr_subbufs <= TRACEBUF_MAX_RING_SIZE;
}

static bool identity_is_right(const struct tracebuf_ring *ring)
{
	return ring->pid > 0 && ring->slot < TRACEBUF_NR_SLOTS && ring->channel < TRACEBUF_NR_CHANNELS &&
	       ring->nr_descriptions <= TRACEBUF_MAX_EVENTS && !(ring->stream_id & ~TRACEBUF_STREAM_ID_MASK) &&
	       ring->clock >= TRACEBUF_CLOCK_TSC && ring->clock <= TRACEBUF_CLOCK_COUNTER;
}

static void copy_ring(const struct tracebuf_ring *ring, struct tb_ring_info *info)
{
	memset(info, 0, sizeof(*info));
	memcpy(info->uuid, ring->uuid, sizeof(info->uuid));
	info->generation = ring->generation;
	info->stream_id = ring->stream_id;
	info->stream_instance_id = ring->stream_instance_id;
	info->incarnation = ring->incarnation;
	info->pid = ring->pid;
	info->cpu = ring->cpu;
	info->slot = ring->slot;
	info->channel = ring->channel;
	info->instance = ring->instance;
	info->nr_descriptions = ring->nr_descriptions;
	info->clock = ring->clock;
	info->writer = ring->writer;
	info->mode = ring->config.mode;
	info->context = ring->config.context;
	info->subbuf_size = ring->config.subbuf_size;
	info->nr_subbufs = ring->config.nr_subbufs;
	info->block_timeout_ms = ring->config.block_timeout_ms;
	memcpy(info->channel_name, ring->config.name, sizeof(info->channel_name));
	memcpy(info->procname, ring->procname, sizeof(ring->procname));
}

int tb_ring_check(const struct tracebuf_ring *ring, uint64_t file_size, struct tb_ring_info *ret_info)
{
	int err = tb_superblock_check(&ring->sb, TRACEBUF_KIND_RING, TRACEBUF_RING_HEADER_SIZE, file_size);

	if (err)
		return err;
	if (!tb_header_crc_is_right(ring, TRACEBUF_RING_HEADER_SIZE) || !config_is_right(&ring->config) ||
	    !identity_is_right(ring) ||
	    ring->sb.total_size < TRACEBUF_RING_DATA_OFFSET + ring->config.subbuf_size * ring->config.nr_subbufs)
		return -EBADMSG;
	copy_ring(ring, ret_info);
	return 0;
}

int tb_process_check(const struct tracebuf_process *process, uint64_t file_size, struct tb_process_info *ret_info)
{
	int err = tb_superblock_check(&process->sb, TRACEBUF_KIND_PROCESS, TRACEBUF_PROCESS_HEADER_SIZE, file_size);

	if (err)
		return err;
	if (!tb_header_crc_is_right(process, TRACEBUF_PROCESS_HEADER_SIZE) || process->pid <= 0 ||
	    process->sb.total_size < TRACEBUF_PROCESS_SIZE)
		return -EBADMSG;
	memset(ret_info, 0, sizeof(*ret_info));
	ret_info->pid = process->pid;
	ret_info->parent_pid = process->parent_pid;
	ret_info->incarnation = process->incarnation;
	ret_info->writer = process->writer;
	ret_info->uid = process->uid;
	ret_info->realtime_ns = process->realtime_ns;
	ret_info->domain = process->domain;
	memcpy(ret_info->procname, process->procname, sizeof(process->procname));
	memcpy(ret_info->executable, process->executable, sizeof(process->executable));
	return 0;
}

struct tb_ring_place tb_ring_place(const struct tb_ring_info *ring, uint64_t position)
{
	struct tb_ring_place place;

	place.current = position / ring->subbuf_size;
	place.first = place.current < ring->nr_subbufs ? 0 : place.current - ring->nr_subbufs + 1;
	place.content_size = position % ring->subbuf_size;
	if (place.content_size < sizeof(struct tracebuf_packet))
		place.content_size = 0;
	return place;
}

bool tb_ring_holds(const struct tb_ring_info *ring, uint64_t position, uint64_t seq)
{
	uint64_t current = position / ring->subbuf_size;

	return seq <= current && current - seq < ring->nr_subbufs;
}

uint64_t tb_ring_offset(const struct tb_ring_info *ring, uint64_t seq)
{
	return TRACEBUF_RING_DATA_OFFSET + seq % ring->nr_subbufs * ring->subbuf_size;
}

uint32_t tb_ring_tally(uint64_t position, uint64_t tally)
{
	uint32_t count = tally;

	return count && tally >> 32 != (uint32_t) position ? count - 1 : count;
}
