/* SPDX-License-Identifier: MIT */
/*
 * Command line options, as data: one table a verb gives the parser, the help and the shell completion, so that these
 * cannot come apart. Values are checked for their form only; what is allowed is the daemon's to say.
 */
#define _GNU_SOURCE
#include "options.h"
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "complaint.h"

/* getopt_long's values of long options: behind all letters. */
#define LONG_BASE 256

struct getopt_tables {
	struct option longs[TB_OPTIONS_MAX + 1];
	char shorts[2 * TB_OPTIONS_MAX + 3];
};

/* "16K" and the like, in bytes. 0, -EINVAL, -ERANGE. */
static int parse_size(const char *text, uint64_t *ret_size)
{
	static const char suffixes[] = "KMG";
	unsigned long long value;
	unsigned int shift = 0;
	const char *suffix;
	char *end;

	if (!isdigit((unsigned char) text[0]))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char) *end));
		if (!suffix || end[1])
			return -EINVAL;
		shift = 10 * (unsigned int) (suffix - suffixes + 1);
	}
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_size = (uint64_t) value << shift;
	return 0;
}

static void make_tables(const struct tb_option *table, int stop_early, struct getopt_tables *tables)
{
	char *letter = tables->shorts;
	int i;

	memset(tables, 0, sizeof(*tables));
	if (stop_early)
		*letter++ = '+';
	/* A missing argument is told apart from an unknown option. */
	*letter++ = ':';
	for (i = 0; i < TB_OPTIONS_MAX && table[i].name; i++) {
		tables->longs[i].name = table[i].name;
		tables->longs[i].has_arg = table[i].argument ? required_argument : no_argument;
		tables->longs[i].val = LONG_BASE + i;
		if (!table[i].letter)
			continue;
		*letter++ = table[i].letter;
		if (table[i].argument)
			*letter++ = ':';
	}
}

static const struct tb_option *find_option(const struct tb_option *table, int found)
{
	int i;

	for (i = 0; i < TB_OPTIONS_MAX && table[i].name; i++) {
		if (found == LONG_BASE + i || (table[i].letter && found == table[i].letter))
			return &table[i];
	}
	return NULL;
}

static int complain_value(const char *verb, const struct tb_option *option, const char *value, const char *what)
{
	return tb_complain(TB_EXIT_ERROR, "%s: --%s '%s': %s", verb, option->name, value, what);
}

static int convert_size(const char *verb, const struct tb_option *option, const char *value, char *text, size_t size)
{
	uint64_t number;
	int err = parse_size(value, &number);

	if (err)
		return complain_value(verb, option, value, err == -ERANGE ? "too large" :
				      "not a size: digits, then K, M or G or nothing");
	snprintf(text, size, "%llu", (unsigned long long) number);
	return 0;
}

static int convert_count(const char *verb, const struct tb_option *option, const char *value, char *text, size_t size)
{
	unsigned long number;
	char *end;

	if (option->value && !strcmp(value, option->value))
		value = "0";
	errno = 0;
	number = strtoul(value, &end, 10);
	if (!isdigit((unsigned char) value[0]) || *end)
		return complain_value(verb, option, value, "not a number");
	if (errno || number > UINT32_MAX)
		return complain_value(verb, option, value, "too large");
	snprintf(text, size, "%lu", number);
	return 0;
}

static int convert_path(const char *verb, const struct tb_option *option, const char *value, char *text, size_t size)
{
	char cwd[PATH_MAX] = "";

	if (!*value)
		return complain_value(verb, option, value, "empty");
	if (*value != '/' && !getcwd(cwd, sizeof(cwd)))
		return tb_complain(TB_EXIT_ERROR, "%s: the current directory has no path: %s", verb, strerror(errno));
	if ((size_t) snprintf(text, size, "%s%s%s", cwd, *value == '/' ? "" : "/", value) >= size)
		return complain_value(verb, option, value, "too long");
	return 0;
}

static int hand_on(const char *verb, const struct tb_option *option, const char *value, tb_option_fn fn, void *context)
{
	char text[PATH_MAX] = "";
	int code = 0;

	switch (option->kind) {
	case TB_OPTION_IGNORED:
		return 0;
	case TB_OPTION_FLAG:
		return fn(context, option, option->value);
	case TB_OPTION_TEXT:
		return fn(context, option, value);
	case TB_OPTION_SIZE:
		code = convert_size(verb, option, value, text, sizeof(text));
		break;
	case TB_OPTION_COUNT:
		code = convert_count(verb, option, value, text, sizeof(text));
		break;
	case TB_OPTION_PATH:
		code = convert_path(verb, option, value, text, sizeof(text));
		break;
	}
	return code ? code : fn(context, option, text);
}

/* getopt's "?" and ":" in words. */
static int complain_option(const char *verb, int found, char **argv, const struct tb_option *table)
{
	const char *what = found == ':' ? "needs an argument" : "no such option, or not so used";
	const struct tb_option *option = optopt >= LONG_BASE ? find_option(table, optopt) : NULL;

	if (option)
		return tb_complain(TB_EXIT_UNDEFINED, "%s: --%s: %s (see tracebuf %s --help)", verb, option->name,
				   found == ':' ? what : "takes no argument", verb);
	if (optopt)
		return tb_complain(TB_EXIT_UNDEFINED, "%s: -%c: %s (see tracebuf %s --help)", verb, optopt, what, verb);
	return tb_complain(TB_EXIT_UNDEFINED, "%s: %s: %s (see tracebuf %s --help)", verb, argv[optind - 1], what,
			   verb);
}

int tb_options_parse(int argc, char **argv, const struct tb_option *table, int stop_early, tb_option_fn fn,
		     void *context, int *ret_rest)
{
	struct getopt_tables tables;
	int found, code;

	make_tables(table, stop_early, &tables);
	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
		const struct tb_option *option = find_option(table, found);

		if (!option)
			return complain_option(argv[0], found, argv, table);
		code = hand_on(argv[0], option, optarg, fn, context);
		if (code)
			return code;
	}
	*ret_rest = optind;
	return 0;
}

void tb_options_help(const struct tb_option *table)
{
	char text[64];
	int i;

	for (i = 0; table[i].name; i++) {
		const char *argument = table[i].argument;

		if (table[i].kind == TB_OPTION_IGNORED)
			continue;
		snprintf(text, sizeof(text), "--%s%s%s", table[i].name, argument ? " " : "", argument ? argument : "");
		if (table[i].letter)
			printf("  -%c, %-26s %s\n", table[i].letter, text, table[i].help);
		else
			printf("      %-26s %s\n", text, table[i].help);
	}
}

void tb_options_list(const struct tb_option *table)
{
	int i;

	for (i = 0; table[i].name; i++) {
		if (table[i].kind == TB_OPTION_IGNORED)
			continue;
		if (table[i].letter)
			printf("-%c\n", table[i].letter);
		printf("--%s\n", table[i].name);
	}
}
