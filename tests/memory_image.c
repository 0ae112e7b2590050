/* SPDX-License-Identifier: MIT */
/*
 * Makes memory images out of run directories: what a dump of a kernel with the module looks like, without a kernel.
 * Pages lie in random order among pages of rubbish; superblocks say where they are and where their page list is.
 */
#define _GNU_SOURCE
#include "memory_image.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tracebuf/abi.h>

#include "harness.h"
#include "libtracebuf/superblock.h"

#define PER_NODE (IMAGE_PAGE / sizeof(uint64_t))
/* One page in so many is somebody else's. */
#define RUBBISH 8

struct maker {
	struct memory_image *image;
	uint32_t *order;		/* frames, shuffled */
	uint32_t nr_order, nr_used;
	uint64_t nr_pages;		/* that the files have, counted */
	bool counts;			/* only counts them */
	bool failed;
};

static uint8_t *frame_bytes(struct maker *maker, uint64_t frame)
{
	return maker->image->bytes + frame * IMAGE_PAGE;
}

/* The next free frame, told to be of this file. Frame 0 is never given: its address stands for none. */
static uint64_t take_frame(struct maker *maker, enum image_part part, uint64_t offset)
{
	uint64_t frame;

	if (maker->nr_used == maker->nr_order) {
		maker->failed = true;
		return maker->order[0];
	}
	frame = maker->order[maker->nr_used++];
	maker->image->page[frame] = (struct image_page) { part, maker->image->nr_files, offset };
	memset(frame_bytes(maker, frame), 0, IMAGE_PAGE);
	return frame;
}

static enum image_part part_of(bool is_ring, uint64_t offset)
{
	if (offset < IMAGE_PAGE)
		return IMAGE_HEADER;
	if (is_ring)
		return offset < TRACEBUF_RING_DATA_OFFSET ? IMAGE_PRODUCER : IMAGE_DATA;
	return offset >= TRACEBUF_DESCRIPTIONS_OFFSET && offset < TRACEBUF_ENABLE_OFFSET ? IMAGE_DESCRIPTIONS :
	       IMAGE_OTHER;
}

static uint64_t address_of(const struct maker *maker, uint64_t frame)
{
	return maker->image->base + frame * IMAGE_PAGE;
}

/* Enters page index of the file under its list's root; makes the nodes above it. */
static void enter(struct maker *maker, uint64_t root, unsigned int levels, uint64_t index, uint64_t frame)
{
	uint64_t below = 1, node = root, *entry;

	for (unsigned int i = 1; i < levels; i++)
		below *= PER_NODE;
	for (; below > 1; below /= PER_NODE) {
		entry = (uint64_t *) frame_bytes(maker, node) + index / below;
		if (!*entry)
			*entry = address_of(maker, take_frame(maker, IMAGE_LIST, 0));
		node = (*entry - maker->image->base) / IMAGE_PAGE;
		index %= below;
	}
	((uint64_t *) frame_bytes(maker, node))[index] = address_of(maker, frame);
}

/* The superblock as the kernel would have filled it. */
static void seal(struct maker *maker, uint64_t first, uint64_t root, unsigned int levels)
{
	struct tracebuf_superblock *sb = (void *) frame_bytes(maker, first);

	sb->physical_address = address_of(maker, first);
	sb->page_list = address_of(maker, root);
	sb->page_list_levels = levels;
	sb->page_size = IMAGE_PAGE;
	tb_superblock_seal(sb);
}

static void copy_pages(struct maker *maker, int fd, off_t size, bool is_ring)
{
	uint64_t root, first = 0;
	unsigned int levels = 1;
	off_t at = 0;

	for (uint64_t most = PER_NODE; most < (uint64_t) size / IMAGE_PAGE; most *= PER_NODE)
		levels++;
	root = take_frame(maker, IMAGE_LIST, 0);
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && !maker->failed) {
		uint64_t frame = take_frame(maker, part_of(is_ring, at), at);

		maker->failed |= pread(fd, frame_bytes(maker, frame), IMAGE_PAGE, at) <= 0;
		enter(maker, root, levels, at / IMAGE_PAGE, frame);
		first = at ? first : frame;
		at += IMAGE_PAGE;
	}
	seal(maker, first, root, levels);
	maker->image->nr_files++;
}

/* Files are of tmpfs: data where they have pages. */
static void count_pages(struct maker *maker, int fd)
{
	for (off_t at = 0; (at = lseek(fd, at, SEEK_DATA)) >= 0; at += IMAGE_PAGE)
		maker->nr_pages++;
	/* Nodes: the last level's, and fewer than half of that many above; one of each level at least. */
	maker->nr_pages += 16;
}

static void add_file(struct maker *maker, const char *path, bool is_ring)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat))
		maker->failed = true;
	else if (maker->counts)
		count_pages(maker, fd);
	else
		copy_pages(maker, fd, stat.st_size, is_ring);
	if (fd >= 0)
		close(fd);
}

static void add_directory(struct maker *maker, const char *path, bool is_ring)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char below[512];

	maker->failed |= !dir;
	while (dir && !maker->failed && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%.250s/%.250s", path, entry->d_name);
		if (entry->d_type == DT_DIR)
			add_directory(maker, below, is_ring);
		else
			add_file(maker, below, is_ring);
	}
	if (dir)
		closedir(dir);
}

/* Processes first. */
static void add_all(struct maker *maker, const char *rundir)
{
	char path[160];

	snprintf(path, sizeof(path), "%.100s/procs", rundir);
	add_directory(maker, path, false);
	snprintf(path, sizeof(path), "%.100s/rings", rundir);
	add_directory(maker, path, true);
}

static void shuffle(struct maker *maker)
{
	uint32_t nr = 0;

	for (uint32_t frame = 1; frame < maker->image->size / IMAGE_PAGE; frame++)
		if (frame % RUBBISH)
			maker->order[nr++] = frame;
	for (uint32_t i = nr - 1; i > 0; i--) {
		uint32_t j = (uint32_t) tb_random_below(i + 1), other = maker->order[i];

		maker->order[i] = maker->order[j];
		maker->order[j] = other;
	}
	maker->nr_order = nr;
}

static bool allocate(struct maker *maker, size_t min_size)
{
	struct memory_image *image = maker->image;
	size_t nr = (maker->nr_pages + maker->nr_pages / 256) * RUBBISH / (RUBBISH - 1) + 64;

	if (nr < min_size / IMAGE_PAGE)
		nr = min_size / IMAGE_PAGE;
	image->size = nr * IMAGE_PAGE;
	image->bytes = malloc(image->size);
	image->page = calloc(nr, sizeof(*image->page));
	maker->order = calloc(nr, sizeof(*maker->order));
	if (!image->bytes || !image->page || !maker->order)
		return false;
	/* Every other page can be compressed. */
	for (size_t i = 0; i < image->size / 8; i++)
		((uint64_t *) image->bytes)[i] = tb_random() >> (i * 8 / IMAGE_PAGE % 2 ? 48 : 0);
	return true;
}

bool image_make(struct memory_image *image, const char *rundir, uint64_t base, size_t min_size)
{
	struct maker maker = { .image = image, .counts = true };

	*image = (struct memory_image) { .base = base };
	add_all(&maker, rundir);
	maker.failed |= !allocate(&maker, min_size);
	maker.counts = false;
	if (!maker.failed) {
		shuffle(&maker);
		add_all(&maker, rundir);
	}
	free(maker.order);
	return !maker.failed && image->nr_files > 1;
}

void image_free(struct memory_image *image)
{
	free(image->bytes);
	free(image->page);
	memset(image, 0, sizeof(*image));
}
