// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finding memory that was reserved at boot for this purpose, and mapping it.
 *
 * Two forms. By name (reserve_mem=, from 6.12 on): that is memory of the kernel's own map that nobody else uses, with
 * struct pages; where it lies may differ from boot to boot if the kernel itself lies at random. By address
 * (memmap=SIZE$ADDRESS): the firmware's map says "Reserved", and the kernel has no struct pages of it. It gets them from
 * memremap_pages(), which takes whole sub-sections of the memory map and does not touch what the memory holds; a page
 * that nobody has mapped or pinned has a reference count of 1.
 *
 * Invariant: memory that the kernel, a driver or a device uses is never taken: each page of an address must lie in
 * nothing else than a "Reserved" resource, which is then claimed.
 */
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/numa.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "tracebuf.h"

#define MAX_SIZE (1ull << 36)

static bool is_disjoint(u64 begin, u64 size)
{
	return region_intersects(begin, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) == REGION_DISJOINT;
}

/* "Intersects" is said of what lies in part in a hole of the map as well, but not of a single page. */
static bool is_reserved(u64 begin, u64 size)
{
	for (u64 at = begin; at < begin + size; at += PAGE_SIZE) {
		if (region_intersects(at, PAGE_SIZE, IORESOURCE_MEM, IORES_DESC_RESERVED) != REGION_INTERSECTS)
			return false;
		cond_resched();
	}
	return true;
}

static int check_bounds(const char *text, u64 physical, u64 size)
{
	if (size < TRACEBUF_MIN_REGION_SIZE || size > MAX_SIZE || physical > PHYS_ADDR_MAX - size) {
		pr_err("tracebuf: region=%s: %llu bytes at 0x%llx: 1 MiB to 64 GiB are possible\n", text, size, physical);
		return -EINVAL;
	}
	if (physical % PAGE_SIZE || size % (2 * PAGE_SIZE)) {
		pr_err("tracebuf: region=%s: %llu bytes at 0x%llx are not an even number of pages\n", text, size,
		       physical);
		return -EINVAL;
	}
	return 0;
}

static int check_address(const char *text, u64 physical, u64 size)
{
	int err = check_bounds(text, physical, size);

	if (err)
		return err;
	if (!IS_ENABLED(CONFIG_ZONE_DEVICE)) {
		pr_err("tracebuf: region=%s: this kernel has no CONFIG_ZONE_DEVICE\n", text);
		return -EOPNOTSUPP;
	}
	if (!IS_ALIGNED(physical | size, SUBSECTION_SIZE)) {
		pr_err("tracebuf: region=%s: address and size must be multiples of %lu KiB\n", text,
		       SUBSECTION_SIZE / 1024);
		return -EINVAL;
	}
	if (!is_disjoint(physical, size)) {
		pr_err("tracebuf: region=%s: the kernel uses this memory; boot with memmap=SIZE$ADDRESS\n", text);
		return -EINVAL;
	}
	if (!is_reserved(physical, size)) {
		pr_err("tracebuf: region=%s: not all of it is reserved memory; boot with memmap=SIZE$ADDRESS\n", text);
		return -EINVAL;
	}
	return 0;
}

static int map_pages(struct tb_reserved *reserved)
{
	struct dev_pagemap *map = kzalloc(sizeof(*map), GFP_KERNEL);
	void *bytes;

	if (!map)
		return -ENOMEM;
	map->type = MEMORY_DEVICE_GENERIC;
	map->range.start = reserved->physical;
	map->range.end = reserved->physical + reserved->size - 1;
	map->nr_range = 1;
	bytes = memremap_pages(map, NUMA_NO_NODE);
	if (IS_ERR(bytes)) {
		kfree(map);
		return PTR_ERR(bytes);
	}
	reserved->bytes = bytes;
	reserved->map = map;
	return 0;
}

static int get_by_address(const char *text, struct tb_reserved *reserved)
{
	int err = check_address(text, reserved->physical, reserved->size);

	if (err)
		return err;
	if (!request_mem_region(reserved->physical, reserved->size, "tracebuf")) {
		pr_err("tracebuf: region=%s: a driver uses this memory\n", text);
		return -EBUSY;
	}
	err = map_pages(reserved);
	if (err) {
		pr_err("tracebuf: region=%s: it cannot be mapped: error %d\n", text, -err);
		release_mem_region(reserved->physical, reserved->size);
	}
	return err;
}

static int get_by_name(const char *text, struct tb_reserved *reserved)
{
	int err = tb_compat_find_reserved(text, &reserved->physical, &reserved->size);

	if (err == -EOPNOTSUPP)
		pr_err("tracebuf: region=%s: this kernel has no reserve_mem=; give SIZE@ADDRESS\n", text);
	else if (err)
		pr_err("tracebuf: region=%s: no memory of this name; boot with reserve_mem=SIZE:ALIGN:%s\n", text, text);
	if (err)
		return err;
	reserved->size = round_down(reserved->size, 2 * PAGE_SIZE);
	err = check_bounds(text, reserved->physical, reserved->size);
	if (err)
		return err;
	reserved->bytes = phys_to_virt(reserved->physical);
	return 0;
}

/* Is text SIZE@ADDRESS? */
static bool parse_address(const char *text, u64 *ret_physical, u64 *ret_size)
{
	char *end;

	*ret_size = memparse(text, &end);
	if (end == text || *end != '@')
		return false;
	text = end + 1;
	*ret_physical = memparse(text, &end);
	return end != text && !*end;
}

int tb_reserved_get(const char *text, struct tb_reserved *ret_reserved)
{
	struct tb_reserved reserved = { 0 };
	int err;

	if (!strchr(text, '@')) {
		err = get_by_name(text, &reserved);
	} else if (parse_address(text, &reserved.physical, &reserved.size)) {
		err = get_by_address(text, &reserved);
	} else {
		pr_err("tracebuf: region=%s: neither SIZE@ADDRESS nor a name\n", text);
		err = -EINVAL;
	}
	if (!err)
		*ret_reserved = reserved;
	return err;
}

/* Nobody has a page pinned: pool.c sees to that. Who looks for pages without a reference (GUP) is done by then. */
void tb_reserved_put(struct tb_reserved *reserved)
{
	if (reserved->map) {
		synchronize_rcu();
		memunmap_pages(reserved->map);
		kfree(reserved->map);
		release_mem_region(reserved->physical, reserved->size);
	}
	memset(reserved, 0, sizeof(*reserved));
}
