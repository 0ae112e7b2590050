/* SPDX-License-Identifier: MIT */
/*
 * The halves of a region, from load to load: that no memory is taken that was not reserved, that they take turns, and
 * what is shown of an earlier boot. Without a region (module parameter), that nothing is. What a crash leaves is for
 * tests/kernel/crash.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "device.h"
#include "tests/harness.h"

#define PREVIOUS "/sys/kernel/debug/tracebuf/previous"
#define MEMORY_OFFSET 4096

static char region[DEVICE_REGION_SIZE];

/* ---- What an earlier boot left ---- */

/* The value of a line "key: value" of previous/info. */
static int64_t info(const char *key)
{
	char line[256], wanted[64];
	int64_t value = -ENOENT;
	FILE *file = fopen(PREVIOUS "/info", "re");

	if (!file)
		return -errno;
	snprintf(wanted, sizeof(wanted), "%s: ", key);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, wanted, strlen(wanted)))
			value = (int64_t) strtoull(line + strlen(wanted), NULL, 0);
	fclose(file);
	return value;
}

static void check_file(const char *path)
{
	struct stat about;

	CHECK_IS(stat(path, &about), 0);
	CHECK_IS(about.st_mode & 07777, 0400);
	CHECK_IS(about.st_uid, 0);
}

/* One PT_LOAD of the half, and behind it what the device tells, too. */
static void check_memory(int fd, int device)
{
	struct {
		Elf64_Ehdr elf;
		Elf64_Phdr segment;
	} head;
	struct tracebuf_region one, other;
	char byte;

	CHECK_IS(pread(fd, &head, sizeof(head), 0), sizeof(head));
	CHECK_IS(memcmp(head.elf.e_ident, ELFMAG, SELFMAG), 0);
	CHECK_IS(head.elf.e_type, ET_CORE);
	CHECK_IS(head.elf.e_phnum, 1);
	CHECK_IS(head.segment.p_type, PT_LOAD);
	CHECK_IS(head.segment.p_offset, MEMORY_OFFSET);
	CHECK_IS(head.segment.p_paddr, info("physical"));
	CHECK_IS(head.segment.p_filesz, info("size"));
	CHECK_IS(pread(fd, &one, sizeof(one), MEMORY_OFFSET), sizeof(one));
	CHECK_IS(one.sb.kind, TRACEBUF_KIND_REGION);
	CHECK_IS(one.sb.physical_address, head.segment.p_paddr);
	CHECK_IS(one.number, info("number"));
	CHECK_IS(pread(fd, &byte, 1, (off_t) (MEMORY_OFFSET + head.segment.p_filesz)), 0);
	CHECK_IS(lseek(device, 0, SEEK_END), MEMORY_OFFSET + head.segment.p_filesz);
	CHECK_IS(pread(device, &other, sizeof(other), MEMORY_OFFSET), sizeof(other));
	CHECK_IS(memcmp(&one, &other, sizeof(one)), 0);
}

/* Bound for good, and to nothing that can be mapped or written. */
static void check_device(int fd)
{
	struct tracebuf_ioc_register about = { .size = sizeof(about), .writer = TRACEBUF_WRITER_RSEQ };
	void *address;

	CHECK_IS(device_call(fd, TRACEBUF_IOC_PREVIOUS, NULL), -EBUSY);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_REGISTER, &about), -EBUSY);
	CHECK_IS(device_call(fd, TRACEBUF_IOC_RELEASE, NULL), -EINVAL);
	CHECK(device_map(fd, 0, page_size(), PROT_READ, &address) < 0);
	CHECK(write(fd, "x", 1) < 0 && errno == EINVAL);
}

static void test_previous(void)
{
	int fd, device;

	if (device_is_missing())
		return;
	device = device_open();
	CHECK_IS(device_call(device, TRACEBUF_IOC_PREVIOUS, (void *) 1), -EINVAL);
	if (access(PREVIOUS, F_OK)) {
		CHECK_IS(device_call(device, TRACEBUF_IOC_PREVIOUS, NULL), -ENXIO);
		close(device);
		tb_note("  nothing from before");
		return;
	}
	CHECK_IS(device_call(device, TRACEBUF_IOC_PREVIOUS, NULL), 0);
	check_file(PREVIOUS "/info");
	check_file(PREVIOUS "/memory");
	fd = open(PREVIOUS "/memory", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(mmap(NULL, page_size(), PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
	check_memory(fd, device);
	check_device(device);
	close(fd);
	close(device);
}

/* ---- Loading ---- */

static void check_refused(void)
{
	static const char *const texts[] = {
		"region=32M@", "region=@0x18000000", "region=32M@0x18000000x", "region=32M@@0x18000000",
		"region=x@0x18000000", "region=0@0x18000000", "region=1@0x18000000",
		/* Used by the kernel; no memory; half of it; beyond. */
		"region=32M@0x2000000", "region=2M@0", "region=32M@0x100000", "region=32M@0xfe000000",
		"region=32M@0xfec00000", "region=2M@0xfee00000", "region=34M@0x18000000", "region=32M@0x18200000",
		"region=32M@0x17e00000", "region=32M@0x7ffffffe00000000", "region=32M@0xffffffffffe00000",
		"region=0xffffffffffe00000@0x18000000", "region=64G@0x18000000", "region=1T@0x18000000",
		/* Not whole. */
		"region=1M@0x18000000", "region=3M@0x18000000", "region=4M@0x18001000", "region=4M@0x18000001",
		"region=2097153@0x18000000",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!CHECK_IS(device_load_module(texts[i]), -EINVAL)) {
			tb_note("  %s", texts[i]);
			device_unload_module();
		}
	CHECK(device_load_module("region=nosuchname") < 0);
}

/* The halves take turns, and nothing is left of what was destroyed. */
static void check_turns(const char *parameter)
{
	int64_t number = -1, physical = -1;

	for (int i = 0; i < 4; i++) {
		if (!CHECK_IS(device_load_module(parameter), 0))
			return;
		CHECK_IS(info("rings"), 0);
		CHECK_IS(info("processes"), 0);
		CHECK_IS(info("damaged"), 0);
		if (number >= 0) {
			CHECK_IS(info("number"), number + 1);
			CHECK(info("physical") != physical);
		}
		number = info("number");
		physical = info("physical");
		CHECK_IS(device_unload_module(), 0);
	}
}

static void test_loading(void)
{
	char parameter[80];
	struct stat device;

	if (device_is_missing())
		return;
	if (access(DEVICE_MODULE, R_OK)) {
		tb_skip("no " DEVICE_MODULE " to load again");
		return;
	}
	snprintf(parameter, sizeof(parameter), "region=%s", region);
	CHECK_IS(stat(TRACEBUF_DEVICE, &device), 0);
	if (CHECK_IS(device_unload_module(), 0)) {
		check_refused();
		check_turns(parameter);
		CHECK_IS(device_load_module(parameter), 0);
		CHECK_IS(chown(TRACEBUF_DEVICE, device.st_uid, device.st_gid), 0);
		CHECK_IS(chmod(TRACEBUF_DEVICE, device.st_mode & 07777), 0);
	}
}

static const CU_TestInfo tests_without[] = {
	{ "nothing is left of an earlier boot", test_previous },
	CU_TEST_INFO_NULL,
};

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "loading: what is refused, turns", test_loading },
		{ "what an earlier boot left", test_previous },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_halves", device_has_region(region) ? tests : tests_without);
}
