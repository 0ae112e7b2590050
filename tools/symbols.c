/* SPDX-License-Identifier: MIT */
/*
 * Names of functions and variables, from the ELF files of this machine.
 *
 * Invariant: a file is believed only if its build-id is that of the build that ran; a file of the same name without it,
 * or with another, is as good as none. Files are opened read-only, and only regular ones.
 */
#define _GNU_SOURCE
#include "symbols.h"
#include <stdlib.h>

#ifdef HAVE_LIBELF
#include <fcntl.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct symbol {
	uint64_t start, size;		/* offset as of tb_symbols_find(); 0: up to the next one */
	const char *name;
	unsigned int rank;		/* of several at one place the lowest is shown */
};

struct tb_symbols {
	struct symbol *symbol;		/* ascending */
	size_t nr;
	char *names;
};

/* An ELF file, open. */
struct file {
	int fd;
	Elf *elf;
	Elf_Scn *table;			/* of symbols, the best that it has */
	GElf_Shdr header;		/* the table's */
	uint64_t base;			/* address in the file's own count of its first byte */
};

static void close_file(struct file *file)
{
	elf_end(file->elf);
	if (file->fd >= 0)
		close(file->fd);
	file->elf = NULL;
	file->fd = -1;
}

static Elf_Data *data_of(Elf_Scn *section)
{
	Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;

	return data && data->d_buf ? data : NULL;
}

/* Is one of the notes in data that build-id? */
static bool has_build_id(Elf_Data *data, const uint8_t *build_id, size_t size)
{
	size_t at = 0, next, name, desc;
	const char *bytes = data->d_buf;
	GElf_Nhdr note;

	while ((next = gelf_getnote(data, at, &note, &name, &desc)) > 0) {
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !memcmp(bytes + name, "GNU", 4) &&
		    note.n_descsz == size && !memcmp(bytes + desc, build_id, size))
			return true;
		at = next;
	}
	return false;
}

/* Notes of sections, or, of a file that has none any more, of segments. */
static bool is_build(const struct file *file, const uint8_t *build_id, size_t size)
{
	Elf_Scn *section = NULL;
	GElf_Phdr segment;
	GElf_Shdr header;
	size_t nr = 0;
	Elf_Data *data;

	while ((section = elf_nextscn(file->elf, section))) {
		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_NOTE)
			continue;
		data = data_of(section);
		if (data && has_build_id(data, build_id, size))
			return true;
	}
	elf_getphdrnum(file->elf, &nr);
	for (size_t i = 0; i < nr; i++) {
		if (!gelf_getphdr(file->elf, i, &segment) || segment.p_type != PT_NOTE)
			continue;
		data = elf_getdata_rawchunk(file->elf, segment.p_offset, segment.p_filesz,
					    segment.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
		if (data && data->d_buf && has_build_id(data, build_id, size))
			return true;
	}
	return false;
}

static bool find_base(struct file *file)
{
	GElf_Phdr segment;
	size_t nr = 0;

	elf_getphdrnum(file->elf, &nr);
	for (size_t i = 0; i < nr; i++) {
		if (!gelf_getphdr(file->elf, i, &segment) || segment.p_type != PT_LOAD)
			continue;
		file->base = segment.p_vaddr - segment.p_offset;
		return true;
	}
	return false;
}

static void find_table(struct file *file)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(file->elf, section))) {
		if (!gelf_getshdr(section, &header) || (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM))
			continue;
		if (file->table && header.sh_type == SHT_DYNSYM)
			continue;
		file->table = section;
		file->header = header;
	}
}

/* false: it is not there, or not that build. */
static bool open_file(struct file *file, const char *path, const uint8_t *build_id, size_t size)
{
	struct stat st;

	memset(file, 0, sizeof(*file));
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0)
		return false;
	if (!fstat(file->fd, &st) && S_ISREG(st.st_mode) && elf_version(EV_CURRENT) != EV_NONE)
		file->elf = elf_begin(file->fd, ELF_C_READ, NULL);
	if (file->elf && elf_kind(file->elf) == ELF_K_ELF && is_build(file, build_id, size) && find_base(file)) {
		find_table(file);
		return true;
	}
	close_file(file);
	return false;
}

static bool open_debug_file(struct file *file, const uint8_t *build_id, size_t size, const char *debug_dir)
{
	char *path, rest[2 * 20 + 1] = "";
	bool opened;

	for (size_t i = 1; i < size; i++)
		sprintf(rest + 2 * (i - 1), "%02x", build_id[i]);
	if (asprintf(&path, "%s/.build-id/%02x/%s.debug", debug_dir, build_id[0], rest) < 0)
		return false;
	opened = open_file(file, path, build_id, size);
	free(path);
	return opened;
}

/* Global before weak before local, plain names before _internal ones. */
static unsigned int rank_of(const GElf_Sym *symbol, const char *name)
{
	unsigned int binding = GELF_ST_BIND(symbol->st_info);

	return (binding == STB_LOCAL ? 16 : 0) + (binding == STB_WEAK ? 1 : 0) + 2 * strspn(name, "_");
}

static bool is_wanted(const GElf_Sym *symbol, const char *name)
{
	unsigned int type = GELF_ST_TYPE(symbol->st_info);

	return (type == STT_FUNC || type == STT_OBJECT || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF &&
	       *name;
}

static int by_start(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Takes nr entries of the table, whose names are in symbols->names, size bytes. */
static void take_symbols(struct tb_symbols *symbols, const struct file *file, Elf_Data *data, size_t nr, size_t size)
{
	size_t kept = 0;

	for (size_t i = 0; i < nr; i++) {
		const char *name;
		GElf_Sym symbol;

		if (!gelf_getsym(data, i, &symbol) || symbol.st_name >= size || symbol.st_value < file->base)
			continue;
		name = symbols->names + symbol.st_name;
		if (is_wanted(&symbol, name))
			symbols->symbol[symbols->nr++] = (struct symbol) {
				symbol.st_value - file->base, symbol.st_size, name, rank_of(&symbol, name),
			};
	}
	qsort(symbols->symbol, symbols->nr, sizeof(*symbols->symbol), by_start);
	for (size_t i = 0; i < symbols->nr; i++)
		if (!kept || symbols->symbol[i].start != symbols->symbol[kept - 1].start)
			symbols->symbol[kept++] = symbols->symbol[i];
	symbols->nr = kept;
}

static struct tb_symbols *read_table(const struct file *file)
{
	Elf_Data *data = data_of(file->table), *names = data_of(elf_getscn(file->elf, file->header.sh_link));
	struct tb_symbols *symbols;
	size_t nr;

	if (!data || !names || !file->header.sh_entsize)
		return NULL;
	nr = data->d_size / file->header.sh_entsize;
	symbols = calloc(1, sizeof(*symbols));
	if (!symbols)
		return NULL;
	symbols->symbol = calloc(nr + 1, sizeof(*symbols->symbol));
	symbols->names = calloc(1, names->d_size + 1);
	if (symbols->symbol && symbols->names) {
		memcpy(symbols->names, names->d_buf, names->d_size);
		take_symbols(symbols, file, data, nr, names->d_size);
	}
	return symbols;
}

struct tb_symbols *tb_symbols_read(const char *path, const uint8_t *build_id, size_t build_id_size,
				   const struct tb_symbols_options *options)
{
	struct tb_symbols *symbols = NULL;
	struct file own, debug;
	bool has_own, has_debug = false;
	char *full;

	if (build_id_size < 2 || asprintf(&full, "%s%s", options->sysroot ? options->sysroot : "", path) < 0)
		return NULL;
	has_own = open_file(&own, full, build_id, build_id_size);
	free(full);
	if (!has_own || !own.table || own.header.sh_type != SHT_SYMTAB)
		has_debug = open_debug_file(&debug, build_id, build_id_size,
					    options->debug_dir ? options->debug_dir : "/usr/lib/debug");
	if (has_debug && has_own)
		debug.base = own.base;
	if (has_debug && debug.table)
		symbols = read_table(&debug);
	if (!symbols && has_own)
		symbols = read_table(&own);
	if (has_own)
		close_file(&own);
	if (has_debug)
		close_file(&debug);
	return symbols;
}

void tb_symbols_free(struct tb_symbols *symbols)
{
	if (!symbols)
		return;
	free(symbols->symbol);
	free(symbols->names);
	free(symbols);
}

const char *tb_symbols_find(const struct tb_symbols *symbols, uint64_t offset, uint64_t *ret_offset)
{
	const struct symbol *symbol = symbols->symbol;
	size_t low = 0, high = symbols->nr;

	/* The last one that begins at offset or before. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbol[middle].start <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;
	symbol += low - 1;
	if (symbol->size && offset - symbol->start >= symbol->size)
		return NULL;
	*ret_offset = offset - symbol->start;
	return symbol->name;
}
#else
struct tb_symbols *tb_symbols_read(const char *path, const uint8_t *build_id, size_t build_id_size,
				   const struct tb_symbols_options *options)
{
	(void) path, (void) build_id, (void) build_id_size, (void) options;
	return NULL;
}

void tb_symbols_free(struct tb_symbols *symbols)
{
	(void) symbols;
}

const char *tb_symbols_find(const struct tb_symbols *symbols, uint64_t offset, uint64_t *ret_offset)
{
	(void) symbols, (void) offset, (void) ret_offset;
	return NULL;
}
#endif
