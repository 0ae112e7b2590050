/* SPDX-License-Identifier: MIT */
/*
 * What this process consists of: its program and the shared objects that are loaded, each with where it lies and its
 * build-id, written into the process file, so that addresses in events find their file after the process's end. Only in
 * the run directory: in the kernel's home the kernel looks for itself.
 *
 * Invariant: the dynamic linker is asked where that is allowed (a constructor, a call that is not for signal handlers),
 * and what it says is kept in memory of our own; so a forked child's file, which a signal handler may have to make, gets
 * what its parent had. Nothing here allocates or is needed for tracing.
 */
#define _GNU_SOURCE
#include "statedump.h"
#include "clock.h"
#include "control.h"
#include "crc32c.h"
#include "raw.h"
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <tracebuf/abi.h>
#include <tracebuf/ordering.h>

/* Some thousand objects. Only what is used takes memory. */
#define IMAGE_SIZE (512u << 10)

static union {
	struct tracebuf_statedump head;		/* the records follow it; sequence 0: none was taken yet */
	char bytes[IMAGE_SIZE];
} memory;
static struct tracebuf_statedump *const image = &memory.head;

static struct {
	unsigned long long nr_loaded, nr_unloaded;	/* as the linker counted when it was taken */
	bool permitted;
	char path[PATH_MAX];
} self;

static void put_record(const struct tracebuf_state *record, const char *path)
{
	size_t path_size = strlen(path) + 1;
	size_t size = (offsetof(struct tracebuf_state, path) + path_size + 7) & ~(size_t) 7;
	struct tracebuf_state *to = (void *) ((char *) (image + 1) + image->size);

	if (size < sizeof(*record))
		size = sizeof(*record);
	if (size > sizeof(memory) - sizeof(*image) - image->size) {
		image->nr_left_out++;
		return;
	}
	memset(to, 0, size);
	memcpy(to, record, offsetof(struct tracebuf_state, path));
	to->size = size;
	memcpy((char *) to + offsetof(struct tracebuf_state, path), path, path_size);
	image->size += size;
}

/* The program's own file; as it was executed, if /proc is not there. */
static const char *program_path(void)
{
	const char *executed = (const char *) getauxval(AT_EXECFN);
	long size = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", self.path, sizeof(self.path) - 1);

	if (size <= 0)
		return executed ? executed : "";
	self.path[size] = 0;
	return self.path;
}

/* A name that was relative when it was loaded, which is about now, as an absolute path. */
static const char *object_path(const char *name)
{
	size_t size = strlen(name);
	long used;

	if (name[0] == '/' || !strchr(name, '/'))
		return name;
	used = tb_raw_result(syscall(SYS_getcwd, self.path, sizeof(self.path)));
	if (used <= 0 || used + size + 1 > sizeof(self.path))
		return name;
	self.path[used - 1] = '/';
	if (!strncmp(name, "./", 2))
		name += 2;
	memcpy(self.path + used, name, strlen(name) + 1);
	return self.path;
}

/* Looks for the build-id in notes, size bytes of memory. */
static void take_build_id(struct tracebuf_state *record, const char *notes, size_t size, size_t alignment)
{
	while (size > sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *note = (const void *) notes;
		size_t name_size = (note->n_namesz + 3ull) & ~3ull, at = sizeof(*note) + name_size, next;

		at = (at + alignment - 1) & ~(alignment - 1);
		if (note->n_namesz > size || note->n_descsz > size || at + note->n_descsz > size)
			return;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && !memcmp(note + 1, "GNU", 4) &&
		    note->n_descsz && note->n_descsz <= sizeof(record->build_id)) {
			record->build_id_size = note->n_descsz;
			memcpy(record->build_id, notes + at, note->n_descsz);
			return;
		}
		next = at + ((note->n_descsz + alignment - 1) & ~(alignment - 1));
		if (next >= size)
			return;
		notes += next;
		size -= next;
	}
}

/* From the first to the last byte of the object, in whole pages. */
static void take_extent(struct tracebuf_state *record, const struct dl_phdr_info *info)
{
	const uint64_t in_page = getauxval(AT_PAGESZ) - 1;

	record->start = UINT64_MAX;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uint64_t start = (info->dlpi_addr + header->p_vaddr) & ~in_page;
		uint64_t end = (info->dlpi_addr + header->p_vaddr + header->p_memsz + in_page) & ~in_page;

		if (header->p_type != PT_LOAD)
			continue;
		if (start < record->start) {
			record->start = start;
			record->offset = header->p_offset & ~in_page;
		}
		if (end > record->end)
			record->end = end;
	}
}

/* Is what stands there what the linker has loaded? It counts; one that does not is always asked again. */
static bool is_unchanged(const struct dl_phdr_info *info, size_t size)
{
	if (size < offsetof(struct dl_phdr_info, dlpi_subs) + sizeof(info->dlpi_subs))
		return false;
	if (image->sequence && info->dlpi_adds == self.nr_loaded && info->dlpi_subs == self.nr_unloaded)
		return true;
	self.nr_loaded = info->dlpi_adds;
	self.nr_unloaded = info->dlpi_subs;
	return false;
}

static int add_object(struct dl_phdr_info *info, size_t size, void *is_first)
{
	struct tracebuf_state record = {
		.kind = TRACEBUF_STATE_MAP,
		.flags = TRACEBUF_STATE_READ | TRACEBUF_STATE_EXEC,
	};
	const struct tracebuf_state program = { .kind = TRACEBUF_STATE_EXECUTABLE };
	const char *path;

	if (*(bool *) is_first) {
		if (is_unchanged(info, size))
			return 1;
		image->size = image->nr_left_out = 0;
		path = program_path();
		put_record(&program, path);
	} else {
		path = object_path(info->dlpi_name);
	}
	*(bool *) is_first = false;
	take_extent(&record, info);
	/* The kernel's own object has no file. */
	if (record.start >= record.end || getauxval(AT_SYSINFO_EHDR) - record.start < record.end - record.start)
		return 0;
	for (int i = 0; i < info->dlpi_phnum && !record.build_id_size; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];

		if (header->p_type == PT_NOTE)
			take_build_id(&record, (const char *) (info->dlpi_addr + header->p_vaddr), header->p_memsz,
				      header->p_align == 8 ? 8 : 4);
	}
	put_record(&record, path);
	return 0;
}

/* Takes down which objects are loaded now, unless it stands already. */
static void collect(void)
{
	bool is_first = true;

	if (dl_iterate_phdr(add_object, &is_first) || is_first)
		return;
	image->crc = tb_crc32c(0, image + 1, image->size);
	image->sequence += 2;
}

void tb_statedump_permit(bool permitted)
{
	self.permitted = permitted;
}

size_t tb_statedump_file(int fd, bool is_new, uint32_t *sequence)
{
	const struct tracebuf_control *control = tb_control();
	struct tracebuf_statedump head;
	size_t size;

	if (self.permitted)
		collect();
	if (!image->sequence)
		return 0;
	size = sizeof(*image) + image->size;
	if (!is_new && *sequence == image->sequence)
		return size;
	image->time_ns = tb_raw_clock_ns(CLOCK_MONOTONIC);
	image->clock_ticks = control ? tb_clock_read(tracebuf__load(&control->clock)) : 0;
	*sequence = image->sequence;
	if (is_new) {
		tb_raw_pwrite(fd, image, size, TRACEBUF_STATEDUMP_OFFSET);
		return size;
	}
	/* Odd while the records are not those that it speaks of: pairs with the reader's two looks at it. */
	head = *image;
	head.sequence--;
	if (!tb_raw_pwrite(fd, &head, sizeof(head), TRACEBUF_STATEDUMP_OFFSET) &&
	    !tb_raw_pwrite(fd, image + 1, image->size, TRACEBUF_STATEDUMP_OFFSET + sizeof(head)))
		tb_raw_pwrite(fd, image, sizeof(head), TRACEBUF_STATEDUMP_OFFSET);
	return size;
}
