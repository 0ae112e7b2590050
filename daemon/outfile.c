/* SPDX-License-Identifier: MIT */
/*
 * Stream files and their index files (LTTng's CTF index 1.1: big-endian, a header of 16 bytes, 72 a packet).
 *
 * Invariant: bytes below end are whole, right packets, one after another. What lies behind end is an unfinished packet,
 * or rubbish that tb_outfile_finish() cuts off. The index may lag behind the stream file; it never has a hole: one that
 * cannot be written is removed, for readers take any that is there at its word, and scan the stream file without.
 */
#define _GNU_SOURCE
#include "outfile.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INDEX_MAGIC 0xC1F1DCC1u
#define INDEX_HEADER_SIZE 16

void tb_outfile_init(struct tb_outfile *out, int dir, const char *name)
{
	memset(out, 0, sizeof(*out));
	out->dir = dir;
	out->fd = out->direct_fd = -1;
	snprintf(out->name, sizeof(out->name), "%s", name);
}

/* A descriptor or -errno. */
static int open_file(struct tb_outfile *out, int flags)
{
	int fd = openat(out->dir, out->name,
			O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags | (out->sync ? O_DSYNC : 0), 0644);

	if (fd < 0)
		return -errno;
	if (out->sync && !out->named) {
		if (fsync(out->dir)) {
			int error = errno;

			close(fd);
			return -error;
		}
		out->named = true;
	}
	return fd;
}

int tb_outfile_fd(struct tb_outfile *out)
{
	if (out->fd < 0)
		out->fd = open_file(out, 0);
	return out->fd;
}

int tb_outfile_direct_fd(struct tb_outfile *out)
{
	if (out->direct_fd < 0 && !out->no_direct) {
		out->direct_fd = open_file(out, O_DIRECT);
		if (out->direct_fd < 0 && out->direct_fd != -EINVAL && out->direct_fd != -EOPNOTSUPP)
			return out->direct_fd;
		out->no_direct = out->direct_fd < 0;
	}
	return out->no_direct ? tb_outfile_fd(out) : out->direct_fd;
}

void tb_index_encode(unsigned char entry[TB_INDEX_ENTRY_SIZE], const struct tracebuf_packet *packet, uint64_t offset)
{
	const uint64_t words[] = {
		offset, packet->packet_size, packet->content_size, packet->timestamp_begin, packet->timestamp_end,
		packet->events_discarded, packet->stream_id, packet->stream_instance_id, packet->packet_seq_num,
	};

	_Static_assert(sizeof(words) == TB_INDEX_ENTRY_SIZE, "index entry");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint64_t word = htobe64(words[i]);

		memcpy(entry + 8 * i, &word, sizeof(word));
	}
}

static int open_index(struct tb_outfile *out)
{
	const uint32_t header[] = { htobe32(INDEX_MAGIC), htobe32(1), htobe32(1), htobe32(TB_INDEX_ENTRY_SIZE) };
	char path[TB_OUTFILE_NAME_SIZE + 16];
	struct stat stat;
	int fd;

	snprintf(path, sizeof(path), "index/%s.idx", out->name);
	fd = openat(out->dir, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd >= 0 && !fstat(fd, &stat) && stat.st_size < INDEX_HEADER_SIZE &&
	    pwrite(fd, header, sizeof(header), 0) != sizeof(header)) {
		close(fd);
		return -ENOSPC;
	}
	return fd < 0 ? -errno : fd;
}

static void remove_index(struct tb_outfile *out)
{
	char path[TB_OUTFILE_NAME_SIZE + 16];

	snprintf(path, sizeof(path), "index/%s.idx", out->name);
	unlinkat(out->dir, path, 0);
}

/* Is the index whole up to entry nr? Not if entries before were lost. */
static bool has_entries(int fd, uint64_t nr)
{
	struct stat stat;

	return !fstat(fd, &stat) && (uint64_t) stat.st_size >= INDEX_HEADER_SIZE + nr * TB_INDEX_ENTRY_SIZE;
}

static void flush_index(struct tb_outfile *out)
{
	size_t size = (size_t) out->nr_pending * TB_INDEX_ENTRY_SIZE;
	uint64_t offset = INDEX_HEADER_SIZE + out->pending_first * TB_INDEX_ENTRY_SIZE;
	int fd;

	if (!out->nr_pending)
		return;
	fd = open_index(out);
	if (fd < 0 || !has_entries(fd, out->pending_first) ||
	    pwrite(fd, out->pending, size, offset) != (ssize_t) size)
		remove_index(out);
	if (fd >= 0)
		close(fd);
	out->nr_pending = 0;
}

int tb_outfile_add(struct tb_outfile *out, const struct tracebuf_packet *packet, bool finished)
{
	/* The entry of an unfinished packet is replaced by the next one with its number. */
	if (out->nr_pending && (out->nr_packets < out->pending_first ||
				out->nr_packets - out->pending_first > out->nr_pending ||
				out->nr_packets - out->pending_first >= TB_INDEX_PENDING))
		flush_index(out);
	if (!out->nr_pending)
		out->pending_first = out->nr_packets;
	tb_index_encode(out->pending[out->nr_packets - out->pending_first], packet, out->end);
	out->nr_pending = out->nr_packets - out->pending_first + 1;
	if (finished) {
		out->end += packet->packet_size / 8;
		out->nr_packets++;
	}
	return 0;
}

void tb_outfile_rest(struct tb_outfile *out)
{
	flush_index(out);
	if (out->fd >= 0)
		close(out->fd);
	if (out->direct_fd >= 0)
		close(out->direct_fd);
	out->fd = out->direct_fd = -1;
}

static void finish_index(struct tb_outfile *out, uint64_t nr)
{
	int fd;

	flush_index(out);
	fd = open_index(out);
	if (fd < 0 || !has_entries(fd, nr) || ftruncate(fd, INDEX_HEADER_SIZE + nr * TB_INDEX_ENTRY_SIZE))
		remove_index(out);
	if (fd >= 0)
		close(fd);
}

static void remove_files(struct tb_outfile *out)
{
	out->nr_pending = 0;
	remove_index(out);
	unlinkat(out->dir, out->name, 0);
}

int tb_outfile_finish(struct tb_outfile *out, uint64_t tail)
{
	int fd = openat(out->dir, out->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW), ret = fd < 0 ? -errno : 0;
	struct stat stat;

	if (!ret && !out->end && !tail)
		remove_files(out);
	else if (!ret && !fstat(fd, &stat) && (uint64_t) stat.st_size != out->end + tail &&
		 ftruncate(fd, out->end + tail))
		ret = -errno;
	if (!ret && (out->end || tail))
		finish_index(out, out->nr_packets + !!tail);
	else
		remove_index(out);
	if (fd >= 0)
		close(fd);
	out->nr_pending = 0;
	tb_outfile_rest(out);
	return ret == -ENOENT && !out->end && !tail ? 0 : ret;
}
