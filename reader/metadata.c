/* SPDX-License-Identifier: MIT */
/*
 * A trace's metadata: TSDL text of CTF 1.8, in the shape of LTTng-UST's so that its readers take it: environment,
 * names, context spelling, a clock "monotonic" whose uuid is the boot id. (Efficios, "Common Trace Format v1.8.3".)
 *
 * Invariant: the header, and each stream class written behind it, is a whole declaration, so that the file can be read
 * between two writes; and tsdl.c reads back exactly what stands here. The layout of packet and event headers is that
 * of include/tracebuf/abi.h.
 *
 * What only tracebuf reads of a packet header (checksums, event counts) has no name in TSDL: babeltrace2 warns of names
 * there that it does not know. Alignment leaps over it: stream_id is aligned to 8 bytes (over open_crc), the packet
 * context to 64 (over event_seq ... content_sum). A struct is aligned as its members are, so the wide event header's id
 * must be aligned to a bit, or the header would not begin right behind the 5 bits. An event header's "id" stands up to
 * two times in it; readers take the last one that they decoded.
 */
#include "metadata.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NSEC_PER_SEC 1000000000ull

int tb_trace_info_set_clock(struct tb_trace_info *info, uint64_t frequency, uint64_t ticks, uint64_t realtime_ns)
{
	uint64_t real_ticks;
	int64_t seconds;

	if (!frequency || frequency > TB_MAX_CLOCK_FREQUENCY)
		return -EINVAL;
	/* realtime - ticks, in whole seconds and a positive rest. */
	seconds = (int64_t) (realtime_ns / NSEC_PER_SEC) - (int64_t) (ticks / frequency);
	real_ticks = (uint64_t) ((unsigned __int128) (realtime_ns % NSEC_PER_SEC) * frequency / NSEC_PER_SEC);
	ticks %= frequency;
	if (real_ticks < ticks) {
		real_ticks += frequency;
		seconds--;
	}
	info->clock_frequency = frequency;
	info->clock_offset_s = seconds;
	info->clock_offset = real_ticks - ticks;
	return 0;
}

int64_t tb_trace_info_ns(const struct tb_trace_info *info, uint64_t ticks)
{
	uint64_t seconds = ticks / info->clock_frequency;
	uint64_t rest = ticks % info->clock_frequency + info->clock_offset;

	if (rest >= info->clock_frequency) {
		rest -= info->clock_frequency;
		seconds++;
	}
	/* In unsigned arithmetic: hostile metadata may make it wrap. rest < 10^10, so times 10^9 it fits 64 bits. */
	return (int64_t) (((uint64_t) info->clock_offset_s + seconds) * NSEC_PER_SEC +
			  rest * NSEC_PER_SEC / info->clock_frequency);
}

static void write_uuid(FILE *out, const uint8_t uuid[16])
{
	for (unsigned int i = 0; i < 16; i++)
		fprintf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
}

/* A string as TSDL can hold it without escapes. */
static void write_text(FILE *out, const char *name, const char *text, size_t size)
{
	fprintf(out, "\t%s = \"", name);
	for (size_t i = 0; i < size && text[i]; i++) {
		bool plain = text[i] >= ' ' && text[i] <= '~' && text[i] != '"' && text[i] != '\\' && text[i] != '\'';

		fputc(plain ? text[i] : '_', out);
	}
	fputs("\";\n", out);
}

static void write_types(FILE *out)
{
	for (unsigned int size = 8; size <= 64; size *= 2) {
		fprintf(out, "typealias integer { size = %u; align = 8; signed = false; } := uint%u_t;\n", size, size);
		fprintf(out, "typealias integer { size = %u; align = 8; signed = true; } := int%u_t;\n", size, size);
		fprintf(out, "typealias integer { size = %u; align = 8; signed = false; base = 16; } := xuint%u_t;\n",
			size, size);
		fprintf(out, "typealias integer { size = %u; align = 8; signed = true; base = 16; } := xint%u_t;\n",
			size, size);
	}
	fputs("typealias integer { size = 8; align = 8; signed = false; encoding = UTF8; } := char8_t;\n"
	      "typealias integer { size = 5; align = 1; signed = false; } := uint5_t;\n"
	      "typealias integer { size = 16; align = 1; signed = false; } := uint16_packed_t;\n"
	      "typealias integer { size = 64; align = 64; signed = false; } := uint64_aligned_t;\n"
	      "typealias floating_point { exp_dig = 8; mant_dig = 24; align = 8; } := float32_t;\n"
	      "typealias floating_point { exp_dig = 11; mant_dig = 53; align = 8; } := float64_t;\n\n", out);
}

static void write_trace(FILE *out, const struct tb_trace_info *info)
{
	fputs("trace {\n\tmajor = 1;\n\tminor = 8;\n\tuuid = \"", out);
	write_uuid(out, info->uuid);
	fputs("\";\n\tbyte_order = le;\n"
	      "\tpacket.header := struct {\n"
	      "\t\tuint32_t magic;\n"
	      "\t\tuint8_t uuid[16];\n"
	      "\t\tuint64_aligned_t stream_id;\n"
	      "\t\tuint64_aligned_t stream_instance_id;\n"
	      "\t};\n};\n\n", out);
}

static void write_env(FILE *out, const struct tb_trace_info *info)
{
	time_t creation = info->creation_s;
	char when[32] = "";
	struct tm tm;

	if (gmtime_r(&creation, &tm))
		strftime(when, sizeof(when), "%Y%m%dT%H%M%S+0000", &tm);
	fputs("env {\n"
	      "\tdomain = \"ust\";\n"
	      "\ttracer_name = \"lttng-ust\";\n"
	      "\ttracer_major = 2;\n"
	      "\ttracer_minor = 13;\n"
	      "\ttracer_buffering_scheme = \"pid\";\n"
	      "\tarchitecture_bit_width = 64;\n", out);
	write_text(out, "trace_name", info->name, sizeof(info->name));
	write_text(out, "trace_creation_datetime", when, sizeof(when));
	write_text(out, "hostname", info->hostname, sizeof(info->hostname));
	write_text(out, "product", info->product, sizeof(info->product));
	fputs("};\n\n", out);
}

static void write_clock(FILE *out, const struct tb_trace_info *info)
{
	static const uint8_t none[16];

	fputs("clock {\n\tname = \"monotonic\";\n", out);
	if (memcmp(info->boot_id, none, sizeof(none))) {
		fputs("\tuuid = \"", out);
		write_uuid(out, info->boot_id);
		fputs("\";\n", out);
	}
	fprintf(out, "\tdescription = \"Monotonic Clock\";\n\tfreq = %" PRIu64 ";\n\toffset_s = %" PRId64
		";\n\toffset = %" PRIu64 ";\n};\n\n", info->clock_frequency, info->clock_offset_s, info->clock_offset);
	fputs("typealias integer { size = 27; align = 1; signed = false; map = clock.monotonic.value; } := "
	      "uint27_clock_monotonic_t;\n"
	      "typealias integer { size = 64; align = 8; signed = false; map = clock.monotonic.value; } := "
	      "uint64_clock_monotonic_t;\n\n", out);
}

static void write_structs(FILE *out)
{
	fputs("struct packet_context {\n"
	      "\tuint64_clock_monotonic_t timestamp_begin;\n"
	      "\tuint64_clock_monotonic_t timestamp_end;\n"
	      "\tuint64_t content_size;\n"
	      "\tuint64_t packet_size;\n"
	      "\tuint64_t packet_seq_num;\n"
	      "\tuint64_t events_discarded;\n"
	      "\tuint32_t cpu_id;\n"
	      "\tint32_t pid;\n"
	      "\tchar8_t procname[16];\n"
	      "} align(512);\n\n"
	      "struct event_header {\n"
	      "\tenum : uint5_t { compact = 0 ... 29, wide = 30, extended = 31 } id;\n"
	      "\tvariant <id> {\n"
	      "\t\tstruct {\n\t\t\tuint27_clock_monotonic_t timestamp;\n\t\t} compact;\n"
	      "\t\tstruct {\n\t\t\tuint27_clock_monotonic_t timestamp;\n\t\t\tuint16_packed_t id;\n\t\t} wide;\n"
	      "\t\tstruct {\n\t\t\tuint32_t id;\n\t\t\tuint64_clock_monotonic_t timestamp;\n\t\t} extended;\n"
	      "\t} v;\n"
	      "} align(8);\n\n", out);
}

static int end_of_write(FILE *out)
{
	errno = 0;
	if (!fflush(out) && !ferror(out))
		return 0;
	return errno ? -errno : -EIO;
}

int tb_metadata_write_header(FILE *out, const struct tb_trace_info *info)
{
	fputs("/* CTF 1.8 */\n\n", out);
	write_types(out);
	write_trace(out, info);
	write_env(out, info);
	write_clock(out, info);
	write_structs(out);
	return end_of_write(out);
}

static void write_context(FILE *out, uint32_t context)
{
	if (!context)
		return;
	fputs("\tevent.context := struct {\n", out);
	if (context & TRACEBUF_CONTEXT_VTID)
		fputs("\t\tint32_t _vtid;\n", out);
	if (context & TRACEBUF_CONTEXT_VPID)
		fputs("\t\tint32_t _vpid;\n", out);
	if (context & TRACEBUF_CONTEXT_IP)
		fputs("\t\txuint64_t _ip;\n", out);
	if (context & TRACEBUF_CONTEXT_PROCNAME)
		fprintf(out, "\t\tchar8_t _procname[%d];\n", TRACEBUF_CONTEXT_PROCNAME_SIZE);
	fputs("\t};\n", out);
}

static void write_field(FILE *out, const struct tb_field *field)
{
	const char *base = field->flags & TRACEBUF_FIELD_HEX ? "x" : "";
	const char *sign = field->flags & TRACEBUF_FIELD_SIGNED ? "" : "u";
	unsigned int bits = field->size * 8;

	switch (field->type) {
	case TRACEBUF_FIELD_INTEGER:
		fprintf(out, "\t\t%s%sint%u_t _%s;\n", base, sign, bits, field->name);
		break;
	case TRACEBUF_FIELD_FLOAT:
		fprintf(out, "\t\tfloat%u_t _%s;\n", bits, field->name);
		break;
	case TRACEBUF_FIELD_STRING:
		fprintf(out, "\t\tstring _%s;\n", field->name);
		break;
	default:
		fprintf(out, "\t\tuint32_t __%s_length;\n\t\t%s%sint%u_t _%s[ __%s_length ];\n", field->name, base,
			sign, bits, field->name, field->name);
	}
}

static void write_event(FILE *out, uint64_t stream_id, const struct tb_event_class *class)
{
	fprintf(out, "event {\n\tname = \"%s\";\n\tid = %" PRIu32 ";\n\tstream_id = %" PRIu64 ";\n\tloglevel = %u;\n"
		"\tfields := struct {\n", class->name, class->id, stream_id, class->loglevel);
	for (unsigned int i = 0; i < class->nr_fields; i++)
		write_field(out, &class->field[i]);
	fputs("\t};\n};\n\n", out);
}

int tb_metadata_write_class(FILE *out, const struct tb_stream_class *class)
{
	fprintf(out, "stream {\n\tid = %" PRIu64 ";\n\tevent.header := struct event_header;\n"
		"\tpacket.context := struct packet_context;\n", class->id);
	write_context(out, class->context);
	fputs("};\n\n", out);
	for (uint32_t id = 0; id < class->events.nr; id++)
		if (class->events.class[id])
			write_event(out, class->id, class->events.class[id]);
	return end_of_write(out);
}

int tb_metadata_write_gaps(FILE *out, const struct tb_stream_class *class)
{
	for (uint32_t id = 0; id < class->events.nr; id++)
		if (!class->events.class[id])
			fprintf(out, "event { name = \"" TB_NO_EVENT "\"; id = %" PRIu32 "; stream_id = %" PRIu64 "; };\n",
				id, class->id);
	return end_of_write(out);
}

/* Index of the first stream class whose id is not below id. */
static size_t find_place(const struct tb_metadata *metadata, uint64_t id)
{
	size_t low = 0, high = metadata->nr_stream_classes;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (metadata->stream_class[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct tb_stream_class *tb_metadata_find(const struct tb_metadata *metadata, uint64_t stream_id)
{
	size_t place = find_place(metadata, stream_id);

	if (place == metadata->nr_stream_classes || metadata->stream_class[place]->id != stream_id)
		return NULL;
	return metadata->stream_class[place];
}

int tb_metadata_add(struct tb_metadata *metadata, uint64_t stream_id, uint32_t context)
{
	size_t place = find_place(metadata, stream_id), nr = metadata->nr_stream_classes;
	struct tb_stream_class **table, *class;

	if (tb_metadata_find(metadata, stream_id))
		return -EEXIST;
	table = realloc(metadata->stream_class, (nr + 1) * sizeof(*table));
	if (!table)
		return -ENOMEM;
	metadata->stream_class = table;
	class = calloc(1, sizeof(*class));
	if (!class)
		return -ENOMEM;
	class->id = stream_id;
	class->context = context;
	memmove(table + place + 1, table + place, (nr - place) * sizeof(*table));
	table[place] = class;
	metadata->nr_stream_classes++;
	return 0;
}

void tb_metadata_free(struct tb_metadata *metadata)
{
	if (!metadata)
		return;
	for (size_t i = 0; i < metadata->nr_stream_classes; i++) {
		tb_events_free(&metadata->stream_class[i]->events);
		free(metadata->stream_class[i]);
	}
	free(metadata->stream_class);
	free(metadata);
}
