/* SPDX-License-Identifier: MIT */
/*
 * TSDL read back: the part of CTF 1.8's language that metadata.c writes, and what a later version may put between.
 * Unknown blocks, attributes and environment are skipped; what decides how bytes are read (types, headers, context,
 * fields) must be understood or is an error.
 *
 * Invariant: the text may be anything; there is no recursion; a stream class that comes out decodes by packet.c's one
 * decoder exactly as the text says.
 */
#define _GNU_SOURCE
#include "tsdl.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "lexer.h"

enum { MAX_ALIASES = 256, MAX_MEMBERS = 2 * TRACEBUF_MAX_FIELDS + 16 };

struct type {
	uint8_t type;			/* enum tracebuf_field_type: integer, float or string */
	uint8_t flags;			/* enum tracebuf_field_flags */
	uint32_t bits, align;
};

struct alias {
	char name[64];
	struct type type;
};

struct member {
	char name[TB_LEXER_NAME_SIZE];
	struct type type;
	uint64_t nr_elements;		/* of an array; else 1 */
	char length[TB_LEXER_NAME_SIZE];	/* of a sequence: the member that holds its length */
	uint64_t offset;		/* bits from the struct's start, where all before has a known size */
};

struct members {
	struct member member[MAX_MEMBERS];
	unsigned int nr;
	uint64_t end;			/* bits */
	uint64_t align;
};

struct parser {
	struct tb_lexer lexer;
	struct tb_metadata *metadata;
	struct alias alias[MAX_ALIASES];
	unsigned int nr_aliases;
	struct members members;		/* of the struct being read */
	uint64_t header_end;		/* bits: of packet.header */
	bool has_event_header;
};

/* Where a member of ours lies in the head of a packet, in bytes. */
struct place {
	const char *name;
	unsigned int offset, size;
};

static const struct place header_places[] = {
	{ "magic", offsetof(struct tracebuf_packet, magic), 4 },
	{ "uuid", offsetof(struct tracebuf_packet, uuid), 16 },
	{ "stream_id", offsetof(struct tracebuf_packet, stream_id), 8 },
	{ "stream_instance_id", offsetof(struct tracebuf_packet, stream_instance_id), 8 },
};

static const struct place context_places[] = {
	{ "timestamp_begin", offsetof(struct tracebuf_packet, timestamp_begin), 8 },
	{ "timestamp_end", offsetof(struct tracebuf_packet, timestamp_end), 8 },
	{ "content_size", offsetof(struct tracebuf_packet, content_size), 8 },
	{ "packet_size", offsetof(struct tracebuf_packet, packet_size), 8 },
	{ "packet_seq_num", offsetof(struct tracebuf_packet, packet_seq_num), 8 },
	{ "events_discarded", offsetof(struct tracebuf_packet, events_discarded), 8 },
	{ "cpu_id", offsetof(struct tracebuf_packet, cpu_id), 4 },
	{ "pid", offsetof(struct tracebuf_packet, pid), 4 },
	{ "procname", offsetof(struct tracebuf_packet, procname), 16 },
};

/* The event header that packet.c decodes, without white space. */
static const char event_header[] =
	"{enum:uint5_t{compact=0...29,wide=30,extended=31}id;variant<id>{struct{uint27_clock_monotonic_t timestamp;}"
	"compact;struct{uint27_clock_monotonic_t timestamp;uint16_packed_t id;}wide;struct{uint32_t id;"
	"uint64_clock_monotonic_t timestamp;}extended;}v;}";

static bool is_one_of(const struct tb_lexer *lexer, const char *a, const char *b, const char *c)
{
	return (lexer->token == TB_TOKEN_WORD || lexer->token == TB_TOKEN_NUMBER) &&
	       (!strcmp(lexer->word, a) || !strcmp(lexer->word, b) || !strcmp(lexer->word, c));
}

/* Attributes of integer or floating_point; the token is '{'. */
static void take_scalar(struct parser *parser, struct type *type)
{
	struct tb_lexer *lexer = &parser->lexer;
	bool is_float = type->type == TRACEBUF_FIELD_FLOAT;
	char name[TB_LEXER_NAME_SIZE];
	uint64_t bits = 0;

	tb_lexer_expect(lexer, "{");
	while (tb_lexer_attribute(lexer, name)) {
		if (is_float ? !strcmp(name, "exp_dig") || !strcmp(name, "mant_dig") : !strcmp(name, "size"))
			bits += tb_lexer_number(lexer);
		else if (!strcmp(name, "align"))
			type->align = tb_lexer_number(lexer);
		else if (!strcmp(name, "signed") && is_one_of(lexer, "true", "TRUE", "1"))
			type->flags |= TRACEBUF_FIELD_SIGNED;
		else if (!strcmp(name, "base") && is_one_of(lexer, "16", "hex", "x"))
			type->flags |= TRACEBUF_FIELD_HEX;
		else if (!strcmp(name, "byte_order") && !tb_lexer_is(lexer, TB_TOKEN_WORD, "le"))
			tb_lexer_fail(lexer, "only little-endian is known");
		tb_lexer_skip(lexer);
	}
	tb_lexer_expect(lexer, "}");
	type->bits = bits;
	if (!bits || bits > 64 || !type->align || type->align > 4096 || type->align & (type->align - 1))
		tb_lexer_fail(lexer, "a size or alignment that may not be");
}

/* A type's words: integer { }, floating_point { }, string, string { }, or an alias. */
static void take_type(struct parser *parser, struct type *type)
{
	struct tb_lexer *lexer = &parser->lexer;

	*type = (struct type) { TRACEBUF_FIELD_INTEGER, 0, 0, 8 };
	if (tb_lexer_is(lexer, TB_TOKEN_WORD, "integer") || tb_lexer_is(lexer, TB_TOKEN_WORD, "floating_point")) {
		if (lexer->word[0] == 'f')
			type->type = TRACEBUF_FIELD_FLOAT;
		else
			type->align = 1;
		tb_lexer_next(lexer);
		take_scalar(parser, type);
		return;
	}
	if (tb_lexer_is(lexer, TB_TOKEN_WORD, "string")) {
		type->type = TRACEBUF_FIELD_STRING;
		tb_lexer_next(lexer);
		if (tb_lexer_take(lexer, "{")) {
			while (lexer->token != TB_TOKEN_END && !tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, "}"))
				tb_lexer_next(lexer);
			tb_lexer_expect(lexer, "}");
		}
		return;
	}
	for (unsigned int i = 0; i < parser->nr_aliases; i++) {
		if (tb_lexer_is(lexer, TB_TOKEN_WORD, parser->alias[i].name)) {
			*type = parser->alias[i].type;
			tb_lexer_next(lexer);
			return;
		}
	}
	tb_lexer_fail(lexer, "a type that is not known: \"%.64s\"", lexer->token == TB_TOKEN_WORD ? lexer->word : "");
}

static void take_alias(struct parser *parser)
{
	struct tb_lexer *lexer = &parser->lexer;
	struct alias *alias = &parser->alias[parser->nr_aliases];

	tb_lexer_next(lexer);
	if (!tb_lexer_is(lexer, TB_TOKEN_WORD, "integer") && !tb_lexer_is(lexer, TB_TOKEN_WORD, "floating_point")) {
		tb_lexer_skip(lexer);
		return;
	}
	if (parser->nr_aliases == MAX_ALIASES) {
		tb_lexer_fail(lexer, "too many types");
		return;
	}
	take_type(parser, &alias->type);
	if (lexer->token != TB_TOKEN_ASSIGN_TYPE)
		tb_lexer_fail(lexer, "':=' expected");
	tb_lexer_next(lexer);
	/* Names of several words, and those too long for us, are never used by what we understand. */
	if (lexer->token == TB_TOKEN_WORD && strlen(lexer->word) < sizeof(alias->name)) {
		strcpy(alias->name, lexer->word);
		tb_lexer_next(lexer);
		parser->nr_aliases += tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, ";");
	}
	tb_lexer_skip(lexer);
}

static uint64_t round_up(uint64_t n, uint64_t align)
{
	return (n + align - 1) / align * align;
}

/* One member of a struct, and where it lies if all before it have a known size. */
static void take_member(struct parser *parser, struct members *members)
{
	struct member *member = &members->member[members->nr++];
	struct tb_lexer *lexer = &parser->lexer;

	memset(member, 0, sizeof(*member));
	take_type(parser, &member->type);
	tb_lexer_word(lexer, member->name, sizeof(member->name));
	member->nr_elements = 1;
	if (tb_lexer_take(lexer, "[")) {
		if (lexer->token == TB_TOKEN_NUMBER)
			member->nr_elements = tb_lexer_number(lexer);
		else
			tb_lexer_word(lexer, member->length, sizeof(member->length));
		tb_lexer_expect(lexer, "]");
	}
	tb_lexer_expect(lexer, ";");
	if (member->nr_elements > 65536)
		tb_lexer_fail(lexer, "an array is too long");
	if (members->align < member->type.align)
		members->align = member->type.align;
	member->offset = round_up(members->end, member->type.align);
	members->end = member->offset + member->nr_elements * member->type.bits;
}

/* Members into parser->members; the token is '{'. */
static void take_members(struct parser *parser)
{
	struct tb_lexer *lexer = &parser->lexer;
	struct members *members = &parser->members;

	members->nr = 0;
	members->end = 0;
	members->align = 1;
	tb_lexer_expect(lexer, "{");
	while (lexer->token != TB_TOKEN_END && !tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, "}")) {
		if (members->nr == MAX_MEMBERS)
			tb_lexer_fail(lexer, "too many members");
		else
			take_member(parser, members);
	}
	tb_lexer_expect(lexer, "}");
	if (tb_lexer_is(lexer, TB_TOKEN_WORD, "align")) {
		tb_lexer_next(lexer);
		tb_lexer_expect(lexer, "(");
		members->align = tb_lexer_number(lexer);
		tb_lexer_expect(lexer, ")");
	}
	if (!members->align || members->align > 32768)
		tb_lexer_fail(lexer, "an alignment that may not be");
}

/* Do the members lie where the layout has them, begin bits from the packet's start? More may follow. */
static void check_places(struct parser *parser, uint64_t begin, const struct place *places, unsigned int nr_places)
{
	const struct member *member = parser->members.member;

	for (unsigned int i = 0; i < nr_places; i++, member++) {
		if (i >= parser->members.nr || strcmp(member->name, places[i].name) ||
		    begin + member->offset != places[i].offset * 8 || member->type.type != TRACEBUF_FIELD_INTEGER ||
		    member->nr_elements * member->type.bits != places[i].size * 8) {
			tb_lexer_fail(&parser->lexer, "packet head: \"%s\" is not where it should be", places[i].name);
			return;
		}
	}
}

static void take_packet_header(struct parser *parser)
{
	tb_lexer_next(&parser->lexer);
	take_members(parser);
	check_places(parser, 0, header_places, sizeof(header_places) / sizeof(header_places[0]));
	parser->header_end = parser->members.end;
}

static void take_packet_context(struct parser *parser)
{
	uint64_t begin;

	take_members(parser);
	if (parser->lexer.err)
		return;
	begin = round_up(parser->header_end, parser->members.align);
	check_places(parser, begin, context_places, sizeof(context_places) / sizeof(context_places[0]));
	parser->metadata->packet_header_size = (begin + parser->members.end + 7) / 8;
	if (parser->metadata->packet_header_size > TRACEBUF_MIN_SUBBUF_SIZE)
		tb_lexer_fail(&parser->lexer, "the head of a packet is too long");
}

/* The event header must be, token for token, the one that there is a decoder for. */
static void take_event_header(struct parser *parser)
{
	struct tb_lexer *lexer = &parser->lexer;
	char text[sizeof(event_header)] = "";
	bool was_word = false;
	size_t size = 0;

	while (lexer->token != TB_TOKEN_END && strcmp(text, event_header)) {
		const char *word = lexer->token == TB_TOKEN_DOTS ? "..." : lexer->word;
		bool is_word = lexer->token == TB_TOKEN_WORD;

		size += snprintf(text + size, sizeof(text) - size, "%s%s", was_word && is_word ? " " : "", word);
		if (size >= sizeof(text)) {
			tb_lexer_fail(lexer, "an event header that is not known");
			return;
		}
		was_word = is_word;
		tb_lexer_next(lexer);
	}
	parser->has_event_header = true;
}

static void take_struct(struct parser *parser)
{
	struct tb_lexer *lexer = &parser->lexer;

	tb_lexer_next(lexer);
	if (tb_lexer_is(lexer, TB_TOKEN_WORD, "packet_context")) {
		tb_lexer_next(lexer);
		take_packet_context(parser);
	} else if (tb_lexer_is(lexer, TB_TOKEN_WORD, "event_header")) {
		tb_lexer_next(lexer);
		take_event_header(parser);
	}
	tb_lexer_skip(lexer);
}

static void take_trace(struct parser *parser)
{
	struct tb_lexer *lexer = &parser->lexer;
	char name[TB_LEXER_NAME_SIZE];

	tb_lexer_expect(lexer, "{");
	while (tb_lexer_attribute(lexer, name)) {
		if (!strcmp(name, "uuid"))
			tb_lexer_uuid(lexer, parser->metadata->info.uuid);
		else if (!strcmp(name, "major") && tb_lexer_number(lexer) != 1)
			tb_lexer_fail(lexer, "not CTF 1.8");
		else if (!strcmp(name, "byte_order") && !tb_lexer_is(lexer, TB_TOKEN_WORD, "le"))
			tb_lexer_fail(lexer, "only little-endian is known");
		else if (!strcmp(name, "packet.header"))
			take_packet_header(parser);
		tb_lexer_skip(lexer);
	}
	tb_lexer_expect(lexer, "}");
}

/* "20260101T000000+0000": other forms are left alone. */
static void take_creation(struct parser *parser)
{
	struct tm tm = { .tm_isdst = 0 };

	if (parser->lexer.token == TB_TOKEN_TEXT &&
	    sscanf(parser->lexer.word, "%4d%2d%2dT%2d%2d%2d+0000", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec) == 6) {
		tm.tm_year -= 1900;
		tm.tm_mon -= 1;
		parser->metadata->info.creation_s = timegm(&tm);
	}
}

static void take_env(struct parser *parser)
{
	struct tb_trace_info *info = &parser->metadata->info;
	struct tb_lexer *lexer = &parser->lexer;
	char name[TB_LEXER_NAME_SIZE];

	tb_lexer_expect(lexer, "{");
	while (tb_lexer_attribute(lexer, name)) {
		if (!strcmp(name, "trace_name"))
			tb_lexer_text(lexer, info->name, sizeof(info->name));
		else if (!strcmp(name, "hostname"))
			tb_lexer_text(lexer, info->hostname, sizeof(info->hostname));
		else if (!strcmp(name, "product"))
			tb_lexer_text(lexer, info->product, sizeof(info->product));
		else if (!strcmp(name, "trace_creation_datetime"))
			take_creation(parser);
		tb_lexer_skip(lexer);
	}
	tb_lexer_expect(lexer, "}");
}

static void take_clock(struct parser *parser)
{
	struct tb_trace_info *info = &parser->metadata->info;
	struct tb_lexer *lexer = &parser->lexer;
	char name[TB_LEXER_NAME_SIZE];

	tb_lexer_expect(lexer, "{");
	while (tb_lexer_attribute(lexer, name)) {
		if (!strcmp(name, "uuid"))
			tb_lexer_uuid(lexer, info->boot_id);
		else if (!strcmp(name, "freq"))
			info->clock_frequency = tb_lexer_number(lexer);
		else if (!strcmp(name, "offset_s"))
			info->clock_offset_s = tb_lexer_signed(lexer);
		else if (!strcmp(name, "offset"))
			info->clock_offset = tb_lexer_number(lexer);
		tb_lexer_skip(lexer);
	}
	tb_lexer_expect(lexer, "}");
	if (!info->clock_frequency || info->clock_frequency > TB_MAX_CLOCK_FREQUENCY)
		tb_lexer_fail(lexer, "a clock frequency that may not be");
	else if (info->clock_offset >= info->clock_frequency)
		tb_lexer_fail(lexer, "a clock offset that may not be");
}

/* event.context: members that the decoder knows, in its order. */
static void take_event_context(struct parser *parser, uint32_t *context)
{
	static const struct {
		const char *name;
		unsigned int bits, nr_elements;
	} known[] = { { "_vtid", 32, 1 }, { "_vpid", 32, 1 }, { "_ip", 64, 1 },
		      { "_procname", 8, TRACEBUF_CONTEXT_PROCNAME_SIZE } };
	const struct member *member = parser->members.member;
	unsigned int found = 0;

	tb_lexer_next(&parser->lexer);
	take_members(parser);
	for (unsigned int i = 0; i < sizeof(known) / sizeof(known[0]) && found < parser->members.nr; i++) {
		if (strcmp(member[found].name, known[i].name) || member[found].type.bits != known[i].bits ||
		    member[found].nr_elements != known[i].nr_elements || member[found].type.align > 8)
			continue;
		*context |= 1u << i;
		found++;
	}
	if (found < parser->members.nr)
		tb_lexer_fail(&parser->lexer, "event context \"%.64s\" is not known", member[found].name);
}

static void add_stream_class(struct parser *parser, uint64_t id, uint32_t context)
{
	int err = tb_metadata_add(parser->metadata, id, context);

	if (err == -EEXIST)
		tb_lexer_fail(&parser->lexer, "stream %" PRIu64 " stands twice", id);
	else if (err)
		tb_lexer_fail_memory(&parser->lexer);
}

static void take_stream(struct parser *parser)
{
	struct tb_lexer *lexer = &parser->lexer;
	char name[TB_LEXER_NAME_SIZE];
	uint32_t context = 0;
	uint64_t id = 0;

	if (!parser->has_event_header || !parser->metadata->packet_header_size)
		tb_lexer_fail(lexer, "a stream before its packet context and event header");
	tb_lexer_expect(lexer, "{");
	while (tb_lexer_attribute(lexer, name)) {
		if (!strcmp(name, "id"))
			id = tb_lexer_number(lexer);
		else if (!strcmp(name, "event.context"))
			take_event_context(parser, &context);
		tb_lexer_skip(lexer);
	}
	tb_lexer_expect(lexer, "}");
	if (!lexer->err)
		add_stream_class(parser, id, context);
}

/* Makes a field of member; a sequence takes the place of its length, which stands before it. */
static bool make_field(const struct member *member, struct tb_field *fields, unsigned int *nr_fields)
{
	bool is_sequence = member->length[0];
	const struct tb_field *last = *nr_fields ? &fields[*nr_fields - 1] : NULL;

	if (member->nr_elements != 1 || (member->type.type != TRACEBUF_FIELD_STRING && member->type.bits % 8) ||
	    member->type.align > 8)
		return false;
	if (is_sequence) {
		if (!last || member->type.type != TRACEBUF_FIELD_INTEGER || last->type != TRACEBUF_FIELD_INTEGER ||
		    last->size != 4 || strcmp(last->name, member->length + (member->length[0] == '_')))
			return false;
		--*nr_fields;
	}
	if (*nr_fields == TRACEBUF_MAX_FIELDS + 1)
		return false;
	fields[*nr_fields].type = is_sequence ? TRACEBUF_FIELD_SEQUENCE : member->type.type;
	fields[*nr_fields].size = member->type.bits / 8;
	fields[*nr_fields].flags = member->type.flags;
	fields[*nr_fields].name = member->name + (member->name[0] == '_');
	++*nr_fields;
	return true;
}

static void add_event(struct parser *parser, const char *name, uint64_t id, uint64_t stream_id, uint64_t loglevel)
{
	struct tb_stream_class *stream_class = tb_metadata_find(parser->metadata, stream_id);
	struct tb_field fields[TRACEBUF_MAX_FIELDS + 1];
	struct tb_event_class *class;
	unsigned int nr_fields = 0;
	int err;

	for (unsigned int i = 0; i < parser->members.nr; i++) {
		if (!make_field(&parser->members.member[i], fields, &nr_fields)) {
			tb_lexer_fail(&parser->lexer, "field \"%.64s\" of \"%.64s\" is of a kind that is not known",
				      parser->members.member[i].name, name);
			return;
		}
	}
	if (!stream_class || id >= TRACEBUF_MAX_EVENT_ID) {
		tb_lexer_fail(&parser->lexer, "event \"%.64s\" belongs to no stream", name);
		return;
	}
	if (!strcmp(name, TB_NO_EVENT)) {
		stream_class->gaps_filled = true;
		return;
	}
	err = tb_event_class_make(id, loglevel, name, fields, nr_fields, &class);
	if (!err) {
		err = tb_events_add(&stream_class->events, class);
		if (err)
			free(class);
	}
	if (err == -ENOMEM)
		tb_lexer_fail_memory(&parser->lexer);
	else if (err)
		tb_lexer_fail(&parser->lexer, "event \"%.64s\" cannot be", name);
}

static void take_event(struct parser *parser)
{
	uint64_t id = 0, stream_id = 0, loglevel = 13;
	struct tb_lexer *lexer = &parser->lexer;
	char attribute[TB_LEXER_NAME_SIZE];
	char name[sizeof(lexer->word)] = "";

	parser->members.nr = 0;
	tb_lexer_expect(lexer, "{");
	while (tb_lexer_attribute(lexer, attribute)) {
		if (!strcmp(attribute, "name")) {
			tb_lexer_text(lexer, name, sizeof(name));
		} else if (!strcmp(attribute, "id")) {
			id = tb_lexer_number(lexer);
		} else if (!strcmp(attribute, "stream_id")) {
			stream_id = tb_lexer_number(lexer);
		} else if (!strcmp(attribute, "loglevel")) {
			loglevel = tb_lexer_number(lexer);
		} else if (!strcmp(attribute, "fields")) {
			tb_lexer_next(lexer);
			take_members(parser);
		}
		tb_lexer_skip(lexer);
	}
	tb_lexer_expect(lexer, "}");
	if (!lexer->err)
		add_event(parser, name, id, stream_id, loglevel);
}

static void take_declaration(struct parser *parser)
{
	static const struct {
		const char *name;
		void (*take)(struct parser *parser);
	} blocks[] = { { "trace", take_trace }, { "env", take_env }, { "clock", take_clock },
		       { "stream", take_stream }, { "event", take_event } };
	struct tb_lexer *lexer = &parser->lexer;

	if (tb_lexer_is(lexer, TB_TOKEN_WORD, "typealias")) {
		take_alias(parser);
		return;
	}
	if (tb_lexer_is(lexer, TB_TOKEN_WORD, "struct")) {
		take_struct(parser);
		return;
	}
	if (tb_lexer_is(lexer, TB_TOKEN_PUNCTUATION, "}"))
		tb_lexer_fail(lexer, "'}' without '{'");
	for (unsigned int i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		if (tb_lexer_is(lexer, TB_TOKEN_WORD, blocks[i].name)) {
			tb_lexer_next(lexer);
			blocks[i].take(parser);
			break;
		}
	}
	tb_lexer_skip(lexer);
}

int tb_tsdl_parse(const char *text, size_t size, struct tb_metadata **ret_metadata, char *message, size_t message_size)
{
	struct parser *parser = calloc(1, sizeof(*parser));
	struct tb_metadata *metadata = calloc(1, sizeof(*metadata));
	int err = -ENOMEM;

	snprintf(message, message_size, "out of memory");
	if (parser && metadata) {
		parser->lexer.at = text;
		parser->lexer.end = text + size;
		parser->lexer.line = 1;
		parser->lexer.message = message;
		parser->lexer.message_size = message_size;
		parser->metadata = metadata;
		tb_lexer_next(&parser->lexer);
		while (parser->lexer.token != TB_TOKEN_END)
			take_declaration(parser);
		if (!metadata->info.clock_frequency || !parser->header_end)
			tb_lexer_fail(&parser->lexer, "no trace or no clock is declared");
		err = parser->lexer.err;
	}
	free(parser);
	if (err)
		tb_metadata_free(metadata);
	else
		*ret_metadata = metadata;
	return err;
}
