/* SPDX-License-Identifier: MIT */
/*
 * The tracebuf command: finds the verb and hands over to it. Exit codes are lttng's (complaint.h), except that
 * `record` hands on the exit status of the command that it ran.
 */
#include <stdio.h>
#include <string.h>
#include "complaint.h"
#include "record.h"
#include "recover.h"
#include "verb.h"
#include "view.h"

static const struct tb_verb own_verbs[] = {
	{ "record", "[--] COMMAND [ARGUMENT...]", "run a command and record its events", tb_record_main,
	  NULL, NULL, 0, NULL, NULL },
	{ "recover", "--rundir DIR | --core FILE | --vmcore FILE | --previous-boot -o DIR",
	  "make traces of what a crash left in memory", tb_recover_main, NULL, NULL, 0, NULL, NULL },
	{ "view", "DIR", "print a trace", tb_view_main, NULL, NULL, 0, NULL, NULL },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL }
};

static const struct tb_verb *const tables[] = { own_verbs, tb_control_verbs };
#define NR_TABLES (sizeof(tables) / sizeof(tables[0]))

static const struct tb_verb *find_verb(const char *name)
{
	const struct tb_verb *verb;
	size_t i;

	for (i = 0; i < NR_TABLES; i++) {
		for (verb = tables[i]; verb->name; verb++) {
			if (!strcmp(verb->name, name))
				return verb;
		}
	}
	return NULL;
}

static void print_verbs(int with_summary)
{
	const struct tb_verb *verb;
	size_t i;

	for (i = 0; i < NR_TABLES; i++) {
		for (verb = tables[i]; verb->name; verb++) {
			if (with_summary)
				printf("  %-16s %s\n", verb->name, verb->summary);
			else
				printf("%s\n", verb->name);
		}
	}
}

static int print_help(void)
{
	printf("Usage: tracebuf VERB [OPTION...] [ARGUMENT...]\n"
	       "Records and shows the events of programs.\n\n");
	print_verbs(1);
	printf("\n  --list-commands  list the verbs' names\n"
	       "  --version        show the version\n\n"
	       "`tracebuf VERB --help` shows the verb's options. Manual: tracebuf(1), tracebuf(7).\n");
	return TB_EXIT_OK;
}

static int run(int argc, char **argv)
{
	const struct tb_verb *verb;
	const char *name = argc > 1 ? argv[1] : "";

	if (argc < 2)
		return tb_complain(TB_EXIT_ERROR, "a verb is missing (see tracebuf --help)");
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))
		return print_help();
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		printf("tracebuf %s\n", PACKAGE_VERSION);
		return TB_EXIT_OK;
	}
	if (!strcmp(name, "--list-commands")) {
		print_verbs(0);
		return TB_EXIT_OK;
	}
	verb = find_verb(name);
	if (!verb)
		return tb_complain(TB_EXIT_UNDEFINED, "'%s': no such verb (see tracebuf --help)", name);
	return verb->run ? verb->run(argc - 1, argv + 1) : tb_control_main(verb, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int code = run(argc, argv);

	/* What a full disk or a closed pipe swallowed must not pass for success. */
	if ((fflush(stdout) || ferror(stdout)) && code == TB_EXIT_OK)
		return tb_complain(TB_EXIT_ERROR, "%s: standard output cannot be written", argv[1]);
	return code;
}
