/* SPDX-License-Identifier: MIT */
/*
 * Images of memory, and the files of abi.h in them.
 *
 * Invariant: an image is a list of segments, each bytes of a file with an address: physical, but for a program's core
 * file, which knows only virtual ones. What lies in no segment, or behind the end of a file that was cut short, is
 * absent and never zero. Everything is read with pread(2) into private memory. A page list's entries are used as
 * addresses in the image and as nothing else: wrong ones lead to absent pages or to bytes that their own checksums
 * refuse.
 */
#define _GNU_SOURCE
#include "image.h"
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "extent.h"
#include "image_dump.h"
#include "unpack.h"

#define VSYSCALL 0xffffffffff600000ull
#define SCAN_SIZE (1u << 20)
#define SMALLEST_PAGE 4096u
/* More program headers than a machine has memory ranges, or a process mappings, by far. */
#define MAX_SEGMENTS (1u << 20)

struct segment {
	uint64_t physical, virtual;	/* as the program header says; raw memory: the same */
	uint64_t address;		/* the one of them that counts */
	uint64_t offset, size;		/* in the file */
};

struct tb_image {
	int fd;
	const char *format, *packing;	/* packing: how it had been packed, NULL */
	char text[64];			/* both */
	uint64_t file_size;
	struct segment *segment;
	size_t nr_segments;
	size_t last;			/* segment of the last read */
	bool is_program;		/* addresses are virtual */
	bool is_raw;			/* nobody says what its first byte's address is */
	uint64_t node_address;		/* of the leaf of a page list that was read last */
	uint32_t node_size;		/* bytes of it; 0: none was */
	uint64_t node[65536 / 8];
	struct tb_dump *dump;		/* kdump-compressed: instead of fd and segments */
};

static int fail(char *message, size_t size, int error, const char *path, const char *what)
{
	snprintf(message, size, "%s: %s", path, what ? what : strerror(-error));
	return error;
}

static int read_file(const struct tb_image *image, uint64_t offset, void *to, size_t size)
{
	if (offset > image->file_size || size > image->file_size - offset)
		return -ENODATA;
	return tb_extent_read(image->fd, offset, to, size);
}

static int add_segment(struct tb_image *image, uint64_t physical, uint64_t virtual, uint64_t offset, uint64_t size)
{
	struct segment *more;

	if (offset >= image->file_size || physical + size < physical || virtual + size < virtual)
		return 0;
	if (size > image->file_size - offset)
		size = image->file_size - offset;
	if (!size)
		return 0;
	if (!(image->nr_segments & (image->nr_segments - 1))) {
		more = realloc(image->segment, (image->nr_segments ? 2 * image->nr_segments : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		image->segment = more;
	}
	image->segment[image->nr_segments++] = (struct segment) { physical, virtual, physical, offset, size };
	return 0;
}

/* How many program headers; more than 65534 are told by section 0. */
static int count_headers(const struct tb_image *image, const Elf64_Ehdr *elf, uint64_t *ret_nr)
{
	Elf64_Shdr section;
	int ret;

	*ret_nr = le16toh(elf->e_phnum);
	if (*ret_nr != PN_XNUM)
		return 0;
	ret = read_file(image, le64toh(elf->e_shoff), &section, sizeof(section));
	if (!ret)
		*ret_nr = le32toh(section.sh_info);
	return ret;
}

/*
 * The core file of a program has no physical addresses, and virtual ones of the lower half only, but for the vsyscall
 * page of amd64. Segments that were cut off count, too: what is left of a dump may be nothing but what lies at
 * physical address 0.
 */
static void choose_addresses(struct tb_image *image, bool is_program)
{
	image->is_program = is_program;
	for (size_t i = 0; i < image->nr_segments && is_program; i++)
		image->segment[i].address = image->segment[i].virtual;
	image->format = is_program ? "a program's ELF core" : "a kernel's ELF core";
}

/* A header that was cut short, or is beyond all bounds, ends the list: what came before it counts. */
static int read_elf(struct tb_image *image, const Elf64_Ehdr *elf)
{
	uint64_t at = le64toh(elf->e_phoff), nr;
	bool is_program = false, is_kernel = false;
	Elf64_Phdr header;
	int ret = 0;

	image->format = "ELF core";
	if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_ident[EI_DATA] != ELFDATA2LSB ||
	    le16toh(elf->e_type) != ET_CORE || le16toh(elf->e_phentsize) != sizeof(header))
		return -ENOEXEC;
	if (count_headers(image, elf, &nr) || nr > MAX_SEGMENTS)
		return -EBADMSG;
	for (; nr && !ret; nr--, at += sizeof(header)) {
		if (read_file(image, at, &header, sizeof(header)))
			break;
		if (le32toh(header.p_type) != PT_LOAD)
			continue;
		is_kernel |= header.p_paddr || (le64toh(header.p_vaddr) >> 63 && le64toh(header.p_vaddr) != VSYSCALL);
		is_program |= header.p_vaddr != 0;
		ret = add_segment(image, le64toh(header.p_paddr), le64toh(header.p_vaddr), le64toh(header.p_offset),
				  le64toh(header.p_filesz));
	}
	choose_addresses(image, is_program && !is_kernel);
	return ret;
}

static int read_segments(struct tb_image *image, const char *path, char *message, size_t size)
{
	Elf64_Ehdr elf;
	int ret = read_file(image, 0, &elf, sizeof(elf));

	if (ret)
		return fail(message, size, ret, path, ret == -ENODATA ? "too short to hold memory" : NULL);
	if (memcmp(elf.e_ident, ELFMAG, SELFMAG)) {
		image->format = "raw memory";
		image->is_raw = true;
		ret = add_segment(image, 0, 0, 0, image->file_size);
		return ret ? fail(message, size, ret, path, NULL) : 0;
	}
	ret = read_elf(image, &elf);
	return ret ? fail(message, size, ret, path, ret == -ENOEXEC ? "an ELF file, but no core of a 64-bit "
			  "little-endian machine" : ret == -EBADMSG ? "its ELF headers are damaged" : NULL) : 0;
}

/* Of a block device, stat(2) does not tell the size. */
static int measure(struct tb_image *image, const char *path, char *message, size_t size)
{
	struct stat stat;
	off_t end;

	if (fstat(image->fd, &stat))
		return fail(message, size, -errno, path, NULL);
	end = lseek(image->fd, 0, SEEK_END);
	if (end < 0)
		return fail(message, size, -errno, path, NULL);
	image->file_size = S_ISREG(stat.st_mode) && stat.st_size ? (uint64_t) stat.st_size : (uint64_t) end;
	return image->file_size ? 0 : fail(message, size, -ENODATA, path, "empty");
}

static int unpack(struct tb_image *image, const char *path, char *message, size_t size)
{
	int fd, ret = tb_unpack(image->fd, &fd, &image->packing);

	if (ret == -ENOEXEC)
		return 0;
	if (ret)
		return fail(message, size, ret, path, ret == -ENOSYS ? "compressed by zstd, which this build cannot read" :
			    ret == -EBADMSG ? "compressed, and damaged from the start" : NULL);
	close(image->fd);
	image->fd = fd;
	return measure(image, path, message, size);
}

/* What kind of image the file is, and what it holds. */
static int recognise(struct tb_image *image, const char *path, char *message, size_t size)
{
	int ret = measure(image, path, message, size);

	if (!ret)
		ret = unpack(image, path, message, size);
	if (ret)
		return ret;
	ret = tb_dump_open(image->fd, image->file_size, &image->dump, &image->format);
	if (ret == -ENOEXEC)
		return read_segments(image, path, message, size);
	if (ret)
		fail(message, size, ret, path, ret == -EBADMSG || ret == -ENOSYS ? image->format : NULL);
	return ret;
}

int tb_image_open_fd(int fd, const char *path, struct tb_image **ret_image, char *message, size_t size)
{
	struct tb_image *image = calloc(1, sizeof(*image));
	int ret;

	if (!image) {
		close(fd);
		return fail(message, size, -ENOMEM, path, NULL);
	}
	image->fd = fd;
	ret = recognise(image, path, message, size);
	if (ret) {
		tb_image_close(image);
		return ret;
	}
	snprintf(image->text, sizeof(image->text), "%s%s%s", image->format, image->packing ? ", " : "",
		 image->packing ? image->packing : "");
	*ret_image = image;
	return 0;
}

int tb_image_open(const char *path, struct tb_image **ret_image, char *message, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error;
	struct stat stat;

	if (fd < 0)
		return fail(message, size, -errno, path, NULL);
	error = fstat(fd, &stat) ? -errno : S_ISREG(stat.st_mode) || S_ISBLK(stat.st_mode) ? 0 : -EINVAL;
	if (!error)
		return tb_image_open_fd(fd, path, ret_image, message, size);
	close(fd);
	return fail(message, size, error, path, error == -EINVAL ? "neither a file nor a block device" : NULL);
}

void tb_image_close(struct tb_image *image)
{
	if (!image)
		return;
	tb_dump_close(image->dump);
	if (image->fd >= 0)
		close(image->fd);
	free(image->segment);
	free(image);
}

const char *tb_image_format(const struct tb_image *image)
{
	return image->text;
}

uint64_t tb_image_size(const struct tb_image *image)
{
	uint64_t size = 0;

	if (image->dump)
		return tb_dump_size(image->dump);
	for (size_t i = 0; i < image->nr_segments; i++)
		size += image->segment[i].size;
	return size;
}

/* The segment that holds address. NULL: none does. */
static const struct segment *find(struct tb_image *image, uint64_t address, uint64_t *ret_within)
{
	for (size_t i = 0; i < image->nr_segments; i++) {
		size_t index = (image->last + i) % image->nr_segments;
		const struct segment *segment = &image->segment[index];

		if (address >= segment->address && address - segment->address < segment->size) {
			image->last = index;
			*ret_within = address - segment->address;
			return segment;
		}
	}
	return NULL;
}

int tb_image_read(struct tb_image *image, uint64_t address, void *to, size_t size)
{
	char *at = to;

	if (image->dump)
		return tb_dump_read(image->dump, address, to, size);
	while (size) {
		uint64_t within, part;
		const struct segment *segment = find(image, address, &within);
		int ret;

		if (!segment)
			return -ENODATA;
		part = segment->size - within < size ? segment->size - within : size;
		ret = read_file(image, segment->offset + within, at, part);
		if (ret)
			return ret;
		at += part;
		address += part;
		size -= part;
	}
	return 0;
}

static bool is_superblock(const char *page)
{
	static const unsigned char masked[16] = TRACEBUF_MAGIC_MASKED;
	unsigned char differs = 0;

	for (size_t i = 0; i < sizeof(masked); i++)
		differs |= (unsigned char) page[i] ^ masked[i] ^ TRACEBUF_MAGIC_MASK;
	return !differs;
}

int tb_page_look(const char *page, uint64_t address, int (*each)(void *data, const struct tb_found *found), void *data)
{
	struct tb_found found = { .address = address };

	if (!is_superblock(page))
		return 0;
	memcpy(&found.sb, page, sizeof(found.sb));
	return each(data, &found);
}

/* What a scan carries along. */
struct scan {
	struct tb_image *image;
	char *buffer;			/* SCAN_SIZE */
	uint64_t done;
	int (*each)(void *data, const struct tb_found *found);
	void (*progress)(void *data, uint64_t done);
	void *data;
};

/* The first file offset from at on that is no hole of the file; the end if there is none. */
static uint64_t skip_hole(const struct tb_image *image, uint64_t at)
{
	off_t data = lseek(image->fd, at, SEEK_DATA);

	if (data >= 0)
		return data;
	return errno == ENXIO ? image->file_size : at;
}

static int scan_piece(struct scan *scan, const struct segment *segment, uint64_t within, size_t size)
{
	int ret = read_file(scan->image, segment->offset + within, scan->buffer, size);

	/* An unreadable piece of a damaged disk, say, does not end the search. */
	if (ret)
		return 0;
	for (size_t at = 0; at + sizeof(struct tracebuf_superblock) <= size && !ret; at += SMALLEST_PAGE)
		ret = tb_page_look(scan->buffer + at, segment->address + within + at, scan->each, scan->data);
	return ret;
}

static int scan_segment(struct scan *scan, const struct segment *segment)
{
	/* Pages are aligned by address, whatever the segment's begin. */
	uint64_t within = -segment->address % SMALLEST_PAGE;
	int ret = 0;

	while (within < segment->size && !ret) {
		uint64_t data = skip_hole(scan->image, segment->offset + within), size;

		if (data > segment->offset + within)
			within += (data - segment->offset - within) / SMALLEST_PAGE * SMALLEST_PAGE;
		if (within >= segment->size)
			break;
		size = segment->size - within < SCAN_SIZE ? segment->size - within : SCAN_SIZE;
		ret = scan_piece(scan, segment, within, size);
		within += size;
		if (scan->progress)
			scan->progress(scan->data, scan->done + within);
	}
	scan->done += segment->size;
	return ret;
}

int tb_image_scan(struct tb_image *image, int (*each)(void *data, const struct tb_found *found),
		  void (*progress)(void *data, uint64_t done), void *data)
{
	struct scan scan = { image, NULL, 0, each, progress, data };
	int ret = 0;

	if (image->dump)
		return tb_dump_scan(image->dump, each, progress, data);
	scan.buffer = malloc(SCAN_SIZE);
	if (!scan.buffer)
		return -ENOMEM;
	for (size_t i = 0; i < image->nr_segments && !ret; i++)
		ret = scan_segment(&scan, &image->segment[i]);
	free(scan.buffer);
	return ret;
}

/* A file of abi.h in an image. */
struct place {
	struct tb_image *image;
	uint64_t address;		/* as mapped: of its first byte */
	uint64_t root;			/* by page list: physical address of its root */
	uint64_t shift;			/* of physical addresses to those in the image, which are lower by it */
	uint32_t page_size, levels;	/* levels 0: as mapped */
};

/* An entry of a node. The leaf that was used last is asked for each of its pages, so it is held. */
static int read_entry(const struct place *place, uint64_t node, uint64_t index, bool is_leaf, uint64_t *ret_entry)
{
	struct tb_image *image = place->image;
	uint64_t address = node - place->shift, entry;
	int ret;

	if (!is_leaf) {
		ret = tb_image_read(image, address + index * sizeof(entry), &entry, sizeof(entry));
		if (!ret)
			*ret_entry = le64toh(entry);
		return ret;
	}
	if (image->node_address != address || image->node_size != place->page_size) {
		image->node_size = 0;
		ret = tb_image_read(image, address, image->node, place->page_size);
		if (ret)
			return ret;
		image->node_address = address;
		image->node_size = place->page_size;
	}
	*ret_entry = le64toh(image->node[index]);
	return 0;
}

/* The address, in the image, of the index-th page. */
static int find_page(const struct place *place, uint64_t index, uint64_t *ret_address)
{
	uint64_t per_node = place->page_size / sizeof(uint64_t), node = place->root;
	uint64_t below = 1;

	for (uint32_t i = 1; i < place->levels; i++)
		below *= per_node;
	if (index / below >= per_node)
		return -ENODATA;
	for (uint32_t i = 0; i < place->levels; i++) {
		int ret = read_entry(place, node, index / below, i == place->levels - 1, &node);

		if (ret)
			return ret;
		if (!node || node % place->page_size)
			return -ENODATA;
		index %= below;
		below /= per_node;
	}
	*ret_address = node - place->shift;
	return 0;
}

static int read_listed(const struct place *place, uint64_t offset, char *to, size_t size)
{
	while (size) {
		uint64_t within = offset % place->page_size, page;
		size_t part = place->page_size - within < size ? place->page_size - within : size;
		int ret = find_page(place, offset / place->page_size, &page);

		if (!ret)
			ret = tb_image_read(place->image, page + within, to, part);
		if (ret)
			return ret;
		offset += part;
		to += part;
		size -= part;
	}
	return 0;
}

static int read_place(void *data, uint64_t offset, void *to, size_t size)
{
	const struct place *place = data;

	if (place->levels)
		return read_listed(place, offset, to, size);
	return offset > UINT64_MAX - place->address ? -ENODATA :
	       tb_image_read(place->image, place->address + offset, to, size);
}

static bool is_page_size(uint32_t size)
{
	return size >= SMALLEST_PAGE && size <= 65536 && !(size & (size - 1));
}

/*
 * By page list: what the superblock says of it. Raw memory may begin at any address, which the superblock tells, since
 * it says its own. If it is another than the page's place, its list must lead back to it; else it is a copy.
 */
static int take_list(const struct tb_found *found, struct place *place)
{
	const struct tracebuf_superblock *sb = &found->sb;
	uint64_t first;

	if (sb->physical_address != found->address && (!place->image->is_raw || !sb->physical_address))
		return -ENOENT;
	if (!is_page_size(sb->page_size) || !sb->page_list_levels ||
	    sb->page_list_levels > TRACEBUF_MAX_PAGE_LIST_LEVELS || sb->page_list % sb->page_size)
		return sb->physical_address == found->address ? -EBADMSG : -ENOENT;
	place->root = sb->page_list;
	place->page_size = sb->page_size;
	place->levels = sb->page_list_levels;
	place->shift = sb->physical_address - found->address;
	if (place->shift && (find_page(place, 0, &first) || first != found->address))
		return -ENOENT;
	return 0;
}

int tb_image_source(struct tb_image *image, const struct tb_found *found, struct tb_source *ret_source)
{
	struct place *place, wanted = { .image = image, .address = found->address };
	int ret = image->is_program ? 0 : take_list(found, &wanted);

	if (ret)
		return ret;
	place = malloc(sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = wanted;
	*ret_source = (struct tb_source) { .read = read_place, .data = place, .size = UINT64_MAX };
	return 0;
}

void tb_image_source_end(struct tb_source *source)
{
	free(source->data);
	source->data = NULL;
}
