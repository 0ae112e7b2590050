/* SPDX-License-Identifier: MIT */
#ifndef TB_VERB_H
#define TB_VERB_H

#include "client.h"
#include "options.h"

/* What `tracebuf VERB` does: run() by itself, or, without one, by a request to the daemon. */
struct tb_verb {
	const char *name;
	const char *arguments;			/* as the usage line shows them */
	const char *summary;
	int (*run)(int argc, char **argv);	/* returns the exit code */
	const struct tb_option *options;	/* control verbs: without those that all have */
	const char *positional;			/* key of the arguments that are no options; NULL: none are taken */
	int max_positional;
	const char *ignored_word;		/* lttng's users put it first; says nothing here */
	/* Adds defaults, checks. positional: the first one, or NULL. 0, or an exit code after one line on stderr. */
	int (*complete)(const struct tb_verb *verb, struct tb_request *request, const char *positional);
};

/* The control verbs; ends with an entry whose name is NULL. */
extern const struct tb_verb tb_control_verbs[];

/* Parses the arguments of a control verb, asks the daemon, prints its answer. argv[0] is the verb. Exit code. */
int tb_control_main(const struct tb_verb *verb, int argc, char **argv);

#endif
