/* SPDX-License-Identifier: MIT */
/*
 * Writes memory images as the dump files that kdump, makedumpfile and QEMU make of such memory: their formats without a
 * kernel, so that every one of them is read by every run of the tests. Sources: makedumpfile's IMPLEMENTATION file and
 * diskdump_mod.h, the ELF specification.
 */
#define _GNU_SOURCE
#include "dump_file.h"

#include <elf.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_LZO
#include <lzo/lzo1x.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "harness.h"

#define FLAG_ZLIB 1u
#define FLAG_LZO 2u
#define FLAG_ZSTD 0x20u

struct header {
	char signature[8];
	uint32_t version;
	char utsname[6][65];
	char pad[6];
	uint64_t time[2];
	uint32_t status, block_size, sub_header_blocks, bitmap_blocks, max_mapnr;
	uint32_t total_ram_blocks, device_blocks, written_blocks, current_cpu, nr_cpus;
} __attribute__((packed));

struct sub_header {
	uint64_t phys_base;
	uint32_t dump_level, split;
	uint64_t pfn[2], vmcoreinfo[2], note[2], eraseinfo[2], pfn_64[2], max_mapnr_64;
} __attribute__((packed));

struct descriptor {
	uint64_t offset;
	uint32_t size, flags;
	uint64_t page_flags;
};

const char *dump_format_name(enum dump_format format)
{
	static const char *const names[] = { "raw", "elf", "stored", "zlib", "lzo", "zstd" };

	return names[format];
}

bool dump_can_write(enum dump_format format)
{
	switch (format) {
	case DUMP_RAW:
	case DUMP_ELF:
		return true;
	case DUMP_STORED:
		return true;
#ifdef HAVE_ZLIB
	case DUMP_ZLIB:
		return true;
#endif
#ifdef HAVE_LZO
	case DUMP_LZO:
		return true;
#endif
#ifdef HAVE_ZSTD
	case DUMP_ZSTD:
		return true;
#endif
	default:
		return false;
	}
}

static bool put(int fd, const void *from, size_t size, uint64_t offset)
{
	const char *at = from;

	while (size) {
		ssize_t done = pwrite(fd, at, size, (off_t) offset);

		if (done <= 0)
			return false;
		at += done;
		offset += (uint64_t) done;
		size -= (size_t) done;
	}
	return true;
}

static size_t count_frames(const struct memory_image *image)
{
	return image->size / IMAGE_PAGE;
}

static bool is_wanted(const struct memory_image *image, size_t frame, bool all)
{
	return all || image->page[frame].part != IMAGE_NOTHING;
}

static bool write_raw(int fd, const struct memory_image *image, struct dump_page *page)
{
	for (size_t i = 0; page && i < count_frames(image); i++)
		page[i] = (struct dump_page) { i * IMAGE_PAGE, IMAGE_PAGE, 0 };
	return put(fd, image->bytes, image->size, 0);
}

/* One PT_LOAD for each run of pages that are wanted, behind a PT_NOTE. */
static size_t list_runs(const struct memory_image *image, bool all, Elf64_Phdr *header)
{
	size_t nr = 1;

	header[0] = (Elf64_Phdr) { .p_type = htole32(PT_NOTE) };
	for (size_t i = 0; i < count_frames(image); i++) {
		uint64_t address = image->base + i * IMAGE_PAGE, size;

		if (!is_wanted(image, i, all))
			continue;
		if (nr == 1 || le64toh(header[nr - 1].p_paddr) + le64toh(header[nr - 1].p_filesz) != address)
			header[nr++] = (Elf64_Phdr) { .p_type = htole32(PT_LOAD), .p_paddr = htole64(address),
						      .p_vaddr = htole64(address + 0xffff888000000000ull) };
		size = le64toh(header[nr - 1].p_filesz) + IMAGE_PAGE;
		header[nr - 1].p_filesz = header[nr - 1].p_memsz = htole64(size);
	}
	return nr;
}

static bool write_elf(int fd, const struct memory_image *image, bool all, struct dump_page *page)
{
	Elf64_Phdr *header = calloc(count_frames(image) + 2, sizeof(*header));
	size_t nr = header ? list_runs(image, all, header) : 0;
	uint64_t at = (sizeof(Elf64_Ehdr) + nr * sizeof(*header) + IMAGE_PAGE - 1) / IMAGE_PAGE * IMAGE_PAGE;
	Elf64_Ehdr elf = { .e_ident = ELFMAG, .e_type = htole16(ET_CORE), .e_machine = htole16(EM_X86_64),
			   .e_version = htole32(EV_CURRENT), .e_phoff = htole64(sizeof(elf)),
			   .e_ehsize = htole16(sizeof(elf)), .e_phentsize = htole16(sizeof(*header)),
			   .e_phnum = htole16((uint16_t) nr) };
	bool good = nr && nr < PN_XNUM;

	elf.e_ident[EI_CLASS] = ELFCLASS64;
	elf.e_ident[EI_DATA] = ELFDATA2LSB;
	elf.e_ident[EI_VERSION] = EV_CURRENT;
	for (size_t i = 1; i < nr && good; i++) {
		uint64_t size = le64toh(header[i].p_filesz), first = le64toh(header[i].p_paddr) - image->base;

		header[i].p_offset = htole64(at);
		good = put(fd, image->bytes + first, size, at);
		for (uint64_t done = 0; page && done < size; done += IMAGE_PAGE)
			page[(first + done) / IMAGE_PAGE] = (struct dump_page) { at + done, IMAGE_PAGE, 0 };
		at += size;
	}
	good = good && put(fd, &elf, sizeof(elf), 0) && put(fd, header, nr * sizeof(*header), sizeof(elf));
	free(header);
	return good;
}

/* Compresses a page; returns its new size and the flag that says how, or leaves it. */
static size_t pack(enum dump_format format, const uint8_t *page, uint8_t *room, size_t room_size, uint32_t *ret_flag)
{
	size_t size = 0;

	/* Used where there is any of the libraries. */
	(void) format;
	(void) room_size;
#ifdef HAVE_ZLIB
	if (format == DUMP_ZLIB) {
		uLongf got = room_size;

		size = compress2(room, &got, page, IMAGE_PAGE, Z_BEST_SPEED) == Z_OK ? got : 0;
		*ret_flag = FLAG_ZLIB;
	}
#endif
#ifdef HAVE_LZO
	if (format == DUMP_LZO) {
		static uint64_t memory[LZO1X_1_MEM_COMPRESS / 8 + 1];
		lzo_uint got = room_size;

		size = lzo1x_1_compress(page, IMAGE_PAGE, room, &got, memory) == LZO_E_OK ? got : 0;
		*ret_flag = FLAG_LZO;
	}
#endif
#ifdef HAVE_ZSTD
	if (format == DUMP_ZSTD) {
		size = ZSTD_compress(room, room_size, page, IMAGE_PAGE, 1);
		size = ZSTD_isError(size) ? 0 : size;
		*ret_flag = FLAG_ZSTD;
	}
#endif
	if (size && size < IMAGE_PAGE)
		return size;
	*ret_flag = 0;
	memcpy(room, page, IMAGE_PAGE);
	return IMAGE_PAGE;
}

/* Two bitmaps, of the memory that there is and of the pages that are in the dump. */
static bool write_bitmaps(int fd, const struct memory_image *image, bool all, uint64_t nr_frames, uint64_t size)
{
	uint64_t first = image->base / IMAGE_PAGE;
	uint8_t *bits = calloc(2, size);
	bool good;

	if (!bits)
		return false;
	for (uint64_t i = first; i < nr_frames; i++) {
		bits[i / 8] |= (uint8_t) (1u << i % 8);
		if (is_wanted(image, i - first, all))
			bits[size + i / 8] |= (uint8_t) (1u << i % 8);
	}
	good = put(fd, bits, 2 * size, 2 * IMAGE_PAGE);
	free(bits);
	return good;
}

static bool write_pages(int fd, const struct memory_image *image, enum dump_format format, bool all,
			uint64_t descriptors, struct dump_page *page)
{
	uint64_t at, nr = 0, done = 0;
	uint8_t room[2 * IMAGE_PAGE];
	uint32_t flag = 0;
	bool good = true;

	for (size_t i = 0; i < count_frames(image); i++)
		nr += is_wanted(image, i, all);
	at = descriptors + nr * sizeof(struct descriptor);
	for (size_t i = 0; i < count_frames(image) && good; i++) {
		uint64_t place = descriptors + done * sizeof(struct descriptor);
		struct descriptor descriptor;
		size_t size;

		if (!is_wanted(image, i, all))
			continue;
		size = pack(format, image->bytes + i * IMAGE_PAGE, room, sizeof(room), &flag);
		descriptor = (struct descriptor) { htole64(at), htole32((uint32_t) size), htole32(flag), 0 };
		good = put(fd, room, size, at) && put(fd, &descriptor, sizeof(descriptor), place);
		if (page)
			page[i] = (struct dump_page) { at, (uint32_t) size, place };
		at += size;
		done++;
	}
	return good;
}

static bool write_kdump(int fd, const struct memory_image *image, enum dump_format format, bool all,
			struct dump_page *page)
{
	uint64_t nr_frames = image->base / IMAGE_PAGE + count_frames(image);
	uint64_t blocks = (nr_frames + 8 * IMAGE_PAGE - 1) / (8 * IMAGE_PAGE);
	struct header header = { .signature = "KDUMP   ", .version = htole32(6) };
	struct sub_header sub = { .dump_level = htole32(all ? 0 : 31), .max_mapnr_64 = htole64(nr_frames) };

	header.block_size = htole32(IMAGE_PAGE);
	header.sub_header_blocks = htole32(1);
	header.bitmap_blocks = htole32((uint32_t) (2 * blocks));
	header.max_mapnr = htole32((uint32_t) nr_frames);
	return put(fd, &header, sizeof(header), 0) && put(fd, &sub, sizeof(sub), IMAGE_PAGE) &&
	       write_bitmaps(fd, image, all, nr_frames, blocks * IMAGE_PAGE) &&
	       write_pages(fd, image, format, all, (2 + 2 * blocks) * IMAGE_PAGE, page);
}

bool dump_write(int fd, const struct memory_image *image, enum dump_format format, bool all,
		struct dump_page *ret_page)
{
	if (ret_page)
		memset(ret_page, 0, count_frames(image) * sizeof(*ret_page));
	switch (format) {
	case DUMP_RAW:
		return write_raw(fd, image, ret_page);
	case DUMP_ELF:
		return write_elf(fd, image, all, ret_page);
	default:
		return dump_can_write(format) && write_kdump(fd, image, format, all, ret_page);
	}
}

static bool put_block(int to, uint64_t *at, int64_t offset, int64_t size, const char *bytes)
{
	int64_t block[2] = { (int64_t) htobe64((uint64_t) offset), (int64_t) htobe64((uint64_t) size) };
	bool good = put(to, block, sizeof(block), *at) && (size < 0 || put(to, bytes, (size_t) size, *at + sizeof(block)));

	*at += sizeof(block) + (size > 0 ? (uint64_t) size : 0);
	return good;
}

/* What makedumpfile writes last comes first here: its header. */
bool dump_flatten(int from, int to)
{
	static const struct {
		char signature[16];
		uint64_t type, version;
	} header = { "makedumpfile", 0x0100000000000000ull, 0x0100000000000000ull };
	int64_t end = lseek(from, 0, SEEK_END), cut = (int64_t) tb_random_below((uint64_t) end);
	char piece[65536];
	uint64_t at = 4096;
	bool good = put(to, &header, sizeof(header), 0);

	for (int pass = 0; pass < 2 && good; pass++) {
		int64_t offset = pass ? 0 : cut, stop = pass ? cut : end;

		while (offset < stop && good) {
			size_t want = 1 + tb_random_below(sizeof(piece));
			ssize_t got = pread(from, piece, stop - offset < (int64_t) want ? (size_t) (stop - offset) : want,
					    offset);

			good = got > 0 && put_block(to, &at, offset, got, piece);
			offset += got;
		}
	}
	return good && put_block(to, &at, -1, -1, NULL);
}

#ifdef HAVE_ZSTD
bool dump_squeeze(int from, int to)
{
	size_t size = (size_t) lseek(from, 0, SEEK_END), room_size = ZSTD_compressBound(size);
	char *bytes = malloc(size), *room = malloc(room_size);
	bool good = bytes && room && pread(from, bytes, size, 0) == (ssize_t) size;

	if (good) {
		size = ZSTD_compress(room, room_size, bytes, size, 1);
		good = !ZSTD_isError(size) && put(to, room, size, 0);
	}
	free(bytes);
	free(room);
	return good;
}
#else
bool dump_squeeze(int from, int to)
{
	(void) from;
	(void) to;
	return false;
}
#endif
