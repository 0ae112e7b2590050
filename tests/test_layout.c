/* SPDX-License-Identifier: MIT */
/*
 * Golden bytes: what the library puts into its pages, against numbers and bytes written down here, not taken from
 * abi.h, so that a change of the layout cannot pass unseen. A program writes three events and waits while its process
 * file and ring are looked at.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tracebuf/abi.h>

#include "fixture.h"
#include "guest.h"
#include "libtracebuf/crc32c.h"

#define NR_EVENTS 3

static const uint8_t magic[16] = { 't', 'r', 'a', 'c', 'e', 'b', 'u', 'f', 0xd1, 0x47, 0xbc, 0x1d, 0xc0, 0x2a, 0x99,
				   0x04 };

struct golden {
	const char *what;
	size_t actual, expected;
};

static void sizes(void)
{
	static const struct golden table[] = {
		{ "superblock", sizeof(struct tracebuf_superblock), 64 },
		{ "control.slot", offsetof(struct tracebuf_control, slot), 256 },
		{ "control.clock_frequency", offsetof(struct tracebuf_control, clock_frequency), 80 },
		{ "slot", sizeof(struct tracebuf_slot), 2056 },
		{ "slot.channel", offsetof(struct tracebuf_slot, channel), 104 },
		{ "channel", sizeof(struct tracebuf_channel), 120 },
		{ "channel.subbuf_size", offsetof(struct tracebuf_channel, subbuf_size), 72 },
		{ "rule", sizeof(struct tracebuf_rule), 8 },
		{ "description", sizeof(struct tracebuf_description), 24 },
		{ "field", sizeof(struct tracebuf_field), 4 },
		{ "enable", sizeof(struct tracebuf_enable), 64 },
		{ "process", sizeof(struct tracebuf_process), 520 },
		{ "process.nr_descriptions", offsetof(struct tracebuf_process, nr_descriptions), 456 },
		{ "process.boot", offsetof(struct tracebuf_process, boot), 376 },
		{ "process account", TRACEBUF_PROCESS_ACCOUNT_OFFSET, 65536 },
		{ "ring.pid", offsetof(struct tracebuf_ring, pid), 112 },
		{ "ring.config", offsetof(struct tracebuf_ring, config), 144 },
		{ "ring.boot", offsetof(struct tracebuf_ring, boot), 384 },
		{ "region.series", offsetof(struct tracebuf_region, series), 152 },
		{ "boot.number", offsetof(struct tracebuf_boot, number), 8 },
		{ "ring.consumer", TRACEBUF_RING_CONSUMER_OFFSET, 448 },
		{ "producer", sizeof(struct tracebuf_producer), 128 },
		{ "producer.limit", offsetof(struct tracebuf_producer, limit), 24 },
		{ "producer.discarded", offsetof(struct tracebuf_producer, discarded), 64 },
		{ "consumer", sizeof(struct tracebuf_consumer), 64 },
		{ "packet", sizeof(struct tracebuf_packet), 136 },
		{ "packet.timestamp_begin", offsetof(struct tracebuf_packet, timestamp_begin), 64 },
		{ "packet.events_discarded", offsetof(struct tracebuf_packet, events_discarded), 104 },
		{ "packet.cpu_id", offsetof(struct tracebuf_packet, cpu_id), 112 },
		{ "descriptions", TRACEBUF_DESCRIPTIONS_OFFSET, 131072 },
		{ "enable records", TRACEBUF_ENABLE_OFFSET, 131072 + (8 << 20) },
		{ "statedump", TRACEBUF_STATEDUMP_OFFSET, 131072 + (16 << 20) },
		{ "producer page", TRACEBUF_RING_PRODUCER_OFFSET, 65536 },
		{ "data", TRACEBUF_RING_DATA_OFFSET, 131072 },
		{ "slots", TRACEBUF_NR_SLOTS, 16 },
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].actual != table[i].expected)
			tb_note("%s: %zu, expected %zu", table[i].what, table[i].actual, table[i].expected);
		CU_ASSERT(table[i].actual == table[i].expected);
	}
}

/* The file below path whose name begins with PID-; false: none. */
static bool find_file(const char *path, pid_t pid, char *ret_path, size_t size)
{
	char prefix[16], below[512];
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	snprintf(prefix, sizeof(prefix), "%d-", (int) pid);
	while (dir && !found && (entry = readdir(dir))) {
		snprintf(below, sizeof(below), "%.200s/%.200s", path, entry->d_name);
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
			snprintf(ret_path, size, "%s", below);
			found = true;
		} else if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
			found = find_file(below, pid, ret_path, size);
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool read_at(const char *path, uint64_t offset, void *data, size_t size)
{
	FILE *file = fopen(path, "re");
	bool good = file && fseek(file, (long) offset, SEEK_SET) == 0 && fread(data, size, 1, file) == 1;

	if (file)
		fclose(file);
	CU_ASSERT(good);
	return good;
}

static uint64_t get(const uint8_t *at, unsigned int size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | at[size];
	return value;
}

/* Superblock: magic, version 1, kind, header size, checksum over the header with its own word 0. */
static void check_header(uint8_t *header, uint32_t kind, size_t size)
{
	uint32_t crc = (uint32_t) get(header + 28, 4);

	TB_ASSERT_EQUAL(get(header + 16, 4), 1);
	TB_ASSERT_EQUAL(get(header + 20, 4), kind);
	TB_ASSERT_EQUAL(get(header + 24, 4), size);
	memset(header + 28, 0, 4);
	TB_ASSERT_EQUAL(tb_crc32c(0, header, size), crc);
}

static void check_process(const char *rundir, pid_t pid)
{
	uint8_t header[520], description[64];
	char path[512], procs[128];

	snprintf(procs, sizeof(procs), "%s/procs", rundir);
	CU_ASSERT_FATAL(find_file(procs, pid, path, sizeof(path)));
	if (!read_at(path, 0, header, sizeof(header)) || !read_at(path, 131072, description, sizeof(description)))
		return;
	check_header(header, 2, 456);
	TB_ASSERT_EQUAL(get(header + 64, 4), pid);
	TB_ASSERT_EQUAL(get(header + 456, 4), 1);
	/* one description: 24 bytes, a field of 4, "manners:value" and "value" with their NULs: 48 with padding */
	TB_ASSERT_EQUAL(get(header + 460, 4), 48);
	TB_ASSERT_EQUAL(get(description, 4), 48);
	TB_ASSERT_EQUAL(get(description + 8, 4), 0);
	TB_ASSERT_EQUAL(get(description + 12, 2), 1);
	TB_ASSERT_EQUAL(get(description + 14, 2), 14);
	CU_ASSERT(memcmp(description + 24, "\x01\x08\x00\x06" "manners:value\0value", 4 + 14 + 6) == 0);
}

/* Three events: u32 with id 0 in the low 5 bits, s32 thread, u64 payload; behind a packet head of 136 bytes. */
static void check_ring(const char *rundir, pid_t pid)
{
	uint8_t header[512], producer[128], packet[136 + NR_EVENTS * 16];
	char path[512], rings[128];
	uint32_t time = 0;
	unsigned int i;

	snprintf(rings, sizeof(rings), "%s/rings", rundir);
	CU_ASSERT_FATAL(find_file(rings, pid, path, sizeof(path)));
	if (!read_at(path, 0, header, sizeof(header)) || !read_at(path, 65536, producer, sizeof(producer)) ||
	    !read_at(path, 131072, packet, sizeof(packet)))
		return;
	check_header(header, 3, 448);
	TB_ASSERT_EQUAL(get(header + 32, 8), 131072 + 2 * 4096);
	TB_ASSERT_EQUAL(get(header + 112, 4), pid);
	TB_ASSERT_EQUAL(get(producer, 8), 136 + NR_EVENTS * 16);
	TB_ASSERT_EQUAL(get(producer + 8, 4), NR_EVENTS);
	TB_ASSERT_EQUAL(get(packet, 4), 0xc1fc1fc1);
	CU_ASSERT(memcmp(packet + 4, header + 64, 16) == 0);
	TB_ASSERT_EQUAL(get(packet + 24, 8), get(header + 88, 8));
	TB_ASSERT_EQUAL(get(packet + 40, 8), 0);
	TB_ASSERT_EQUAL(get(packet + 88, 8), 4096 * 8);
	TB_ASSERT_EQUAL(get(packet + 96, 8), 0);
	TB_ASSERT_EQUAL(get(packet + 116, 4), pid);
	CU_ASSERT(memcmp(packet + 120, "manners", 8) == 0);
	for (i = 0; i < NR_EVENTS; i++) {
		const uint8_t *event = packet + 136 + i * 16;

		TB_ASSERT_EQUAL(get(event, 4) & 31, 0);
		CU_ASSERT((uint32_t) (get(event, 4) >> 5) - time < 1u << 26 || !i);
		time = (uint32_t) (get(event, 4) >> 5);
		TB_ASSERT_EQUAL(get(event + 4, 4), pid);
		TB_ASSERT_EQUAL(get(event + 8, 8), i);
	}
}

static void check_control(const char *rundir)
{
	uint8_t control[64];
	char path[128];

	snprintf(path, sizeof(path), "%s/control", rundir);
	if (!read_at(path, 0, control, sizeof(control)))
		return;
	CU_ASSERT(memcmp(control, magic, sizeof(magic)) == 0);
	TB_ASSERT_EQUAL(get(control + 16, 4), 1);
	TB_ASSERT_EQUAL(get(control + 20, 4), 1);
	TB_ASSERT_EQUAL(get(control + 32, 8), 65536 + 16 * 65536);
}

/* The program stays on one CPU, so that there is one ring. */
static bool start_on_one_cpu(struct guest *guest)
{
	cpu_set_t all, one;
	bool good;

	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	good = guest_start(guest, build_path("tests/manners"), "3");
	sched_setaffinity(0, sizeof(all), &all);
	CU_ASSERT(good);
	return good;
}

static void pages(void)
{
	struct fixture fixture;
	struct guest guest;

	if (!fixture_open(&fixture) || !fixture_start(&fixture) ||
	    !fixture_trace(&fixture, "t", "discard", 4096, 2, false))
		return;
	check_control(fixture.rundir);
	if (start_on_one_cpu(&guest)) {
		check_process(fixture.rundir, guest.pid);
		check_ring(fixture.rundir, guest.pid);
		guest_stop(&guest);
	}
	fixture_stop(&fixture);
	fixture_close(&fixture);
}

int main(void)
{
	static const CU_TestInfo cases[] = { { "sizes", sizes }, { "pages", pages }, CU_TEST_INFO_NULL };

	return tb_run_suite("layout", cases);
}
