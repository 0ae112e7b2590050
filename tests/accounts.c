/* SPDX-License-Identifier: MIT */
/*
 * Conservation, seen in the trace alone: of each stream file the packet heads are walked by their packet_size, and each
 * must go on where the one before ended. Deliberately apart from the reader library, which it cross-checks.
 */
#include "accounts.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tracebuf/abi.h>

#include "harness.h"

static bool packet_is_bad(const struct tracebuf_packet *packet, uint64_t room)
{
	return packet->magic != TRACEBUF_CTF_MAGIC || packet->packet_size / 8 > room ||
	       packet->content_size > packet->packet_size || packet->content_size / 8 < sizeof(*packet) ||
	       packet->timestamp_end < packet->timestamp_begin;
}

static void add_packet(struct account *account, const struct tracebuf_packet *packet, uint64_t *next_seq_num)
{
	if (!account->nr_packets) {
		account->pid = packet->pid;
		account->cpu = packet->cpu_id;
		account->stream_instance_id = packet->stream_instance_id;
		account->overwritten = packet->event_seq;
	} else if (packet->event_seq != account->recorded || packet->packet_seq_num != *next_seq_num) {
		account->nr_gaps++;
	}
	if (packet->pid != account->pid || packet->cpu_id != account->cpu ||
	    packet->stream_instance_id != account->stream_instance_id || packet->events_discarded < account->discarded)
		account->nr_bad++;
	account->nr_packets++;
	account->nr_events += packet->nr_events;
	account->recorded = packet->event_seq + packet->nr_events;
	account->discarded = packet->events_discarded;
	*next_seq_num = packet->packet_seq_num + 1;
}

static void read_stream(struct account *account, int fd, uint64_t size)
{
	struct tracebuf_packet packet;
	uint64_t at = 0, next_seq_num = 0;

	while (at < size) {
		if (pread(fd, &packet, sizeof(packet), (off_t) at) != (ssize_t) sizeof(packet) ||
		    packet_is_bad(&packet, size - at)) {
			account->nr_bad++;
			return;
		}
		add_packet(account, &packet, &next_seq_num);
		at += packet.packet_size / 8;
	}
}

static void add_total(struct account *total, const struct account *account)
{
	total->nr_packets += account->nr_packets;
	total->nr_events += account->nr_events;
	total->recorded += account->recorded;
	total->overwritten += account->overwritten;
	total->discarded += account->discarded;
	total->nr_gaps += account->nr_gaps;
	total->nr_bad += account->nr_bad;
}

static bool add_file(struct accounts *accounts, int dir, const char *name)
{
	struct account *account;
	struct stat st;
	int fd;

	if (name[0] == '.' || strcmp(name, "metadata") == 0)
		return true;
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return fd >= 0;
	}
	account = realloc(accounts->account, (accounts->nr + 1) * sizeof(*account));
	if (account) {
		accounts->account = account;
		account += accounts->nr++;
		memset(account, 0, sizeof(*account));
		read_stream(account, fd, (uint64_t) st.st_size);
		add_total(&accounts->total, account);
	}
	close(fd);
	return account != NULL;
}

bool accounts_read(struct accounts *accounts, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool good = dir != NULL;

	memset(accounts, 0, sizeof(*accounts));
	while (good && (entry = readdir(dir)))
		good = add_file(accounts, dirfd(dir), entry->d_name);
	if (dir)
		closedir(dir);
	CU_ASSERT(good);
	return good;
}

void accounts_free(struct accounts *accounts)
{
	free(accounts->account);
	accounts->account = NULL;
}

struct account accounts_of_pid(const struct accounts *accounts, int32_t pid)
{
	struct account total = { .pid = pid };
	uint32_t i;

	for (i = 0; i < accounts->nr; i++)
		if (accounts->account[i].pid == pid)
			add_total(&total, &accounts->account[i]);
	return total;
}

void accounts_assert_sound(const struct accounts *accounts)
{
	TB_ASSERT_EQUAL(accounts->total.nr_bad, 0);
	TB_ASSERT_EQUAL(accounts->total.nr_gaps, 0);
}
