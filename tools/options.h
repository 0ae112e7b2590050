/* SPDX-License-Identifier: MIT */
#ifndef TB_OPTIONS_H
#define TB_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

enum tb_option_kind {
	TB_OPTION_FLAG,			/* no argument; stands for the option's value */
	TB_OPTION_TEXT,
	TB_OPTION_SIZE,			/* bytes, suffix K, M or G; handed on in decimal */
	TB_OPTION_COUNT,		/* decimal; "inf" is 0 where value is "inf" */
	TB_OPTION_PATH,			/* handed on as an absolute path */
	TB_OPTION_IGNORED,		/* known to lttng's users, says nothing here; no argument */
};

struct tb_option {
	char letter;			/* 0: none */
	enum tb_option_kind kind;
	const char *name;		/* long name */
	const char *key;		/* of the protocol, or what the caller's function knows it by */
	const char *value;		/* FLAG: what it stands for */
	const char *argument;		/* its name in the help; NULL: takes none */
	const char *help;
};

/* An option table ends with an entry whose name is NULL. At most this many entries. */
#define TB_OPTIONS_MAX 24

/* Is handed every option in the order of the command line. Returns 0, or the exit code after having complained. */
typedef int (*tb_option_fn)(void *context, const struct tb_option *option, const char *value);

/*
 * Parses argv (argv[0] is the verb) by the table. Options end at "--"; stop_early: also at the first other argument.
 * *ret_rest: index of the first argument that is no option. 0, or an exit code after one line on stderr.
 */
int tb_options_parse(int argc, char **argv, const struct tb_option *table, int stop_early, tb_option_fn fn,
		     void *context, int *ret_rest);

/* Help lines of the table on stdout; the options' names, one a line. */
void tb_options_help(const struct tb_option *table);
void tb_options_list(const struct tb_option *table);

#endif
