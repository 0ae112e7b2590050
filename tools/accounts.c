/* SPDX-License-Identifier: MIT */
/*
 * The accounts of a recording, for people: who recorded how much, and what is missing. Every event is in one of the
 * columns: recorded, discarded (no room) or overwritten (flight recorder).
 */
#include "accounts.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "complaint.h"
#include "../reader/json.h"

/* So many processes get a line of their own; beyond, the ones with most events do. */
#define MAX_LINES 100

enum column { RECORDED, DISCARDED, OVERWRITTEN, BYTES, NR_COLUMNS };
static const char *const column_names[NR_COLUMNS] = { "recorded", "discarded", "overwritten", "bytes" };

struct account {
	uint64_t pid;
	char procname[17];
	uint64_t column[NR_COLUMNS];
	size_t order;			/* as the daemon listed it: by time */
};

struct accounts {
	struct account *account;
	size_t nr, room;
	uint64_t total[NR_COLUMNS];
};

static int read_columns(struct tb_json object, uint64_t column[NR_COLUMNS])
{
	struct tb_json value;
	int i, err;

	for (i = 0; i < NR_COLUMNS; i++) {
		err = tb_json_member(object, column_names[i], &value);
		if (!err)
			err = tb_json_u64(value, &column[i]);
		if (err)
			return err;
	}
	return 0;
}

static int read_account(struct tb_json object, struct account *account)
{
	struct tb_json value;
	int err;

	err = tb_json_member(object, "pid", &value);
	if (!err)
		err = tb_json_u64(value, &account->pid);
	if (!err)
		err = tb_json_member(object, "procname", &value);
	if (!err)
		err = tb_json_string(value, account->procname, sizeof(account->procname));
	return err ? err : read_columns(object, account->column);
}

static int add_account(struct accounts *accounts, struct tb_json object)
{
	struct account *account;
	int err;

	if (accounts->nr == accounts->room) {
		size_t room = accounts->room ? accounts->room * 2 : 64;

		account = reallocarray(accounts->account, room, sizeof(*account));
		if (!account)
			return -ENOMEM;
		accounts->account = account;
		accounts->room = room;
	}
	account = &accounts->account[accounts->nr];
	account->order = accounts->nr;
	err = read_account(object, account);
	if (!err)
		accounts->nr++;
	return err;
}

static int read_accounts(const char *json, size_t size, struct accounts *accounts)
{
	struct tb_json root, list, trace, process;
	size_t cursor = 0;
	int err;

	err = tb_json_parse(json, size, &root);
	if (!err)
		err = tb_json_member(root, "trace", &list);
	if (!err)
		err = tb_json_next(list, &cursor, &trace);
	if (!err)
		err = read_columns(trace, accounts->total);
	if (!err)
		err = tb_json_member(trace, "process", &list);
	cursor = 0;
	while (!err) {
		err = tb_json_next(list, &cursor, &process);
		if (err == -ENOENT)
			return 0;
		if (!err)
			err = add_account(accounts, process);
	}
	return err;
}

static int compare_events(const void *a, const void *b)
{
	const struct account *x = a, *y = b;
	uint64_t nr_x = x->column[RECORDED] + x->column[DISCARDED], nr_y = y->column[RECORDED] + y->column[DISCARDED];

	return nr_x == nr_y ? (x->order > y->order) - (x->order < y->order) : (nr_x < nr_y) - (nr_x > nr_y);
}

static int compare_order(const void *a, const void *b)
{
	const struct account *x = a, *y = b;

	return (x->order > y->order) - (x->order < y->order);
}

static void print_columns(const uint64_t column[NR_COLUMNS])
{
	fprintf(stderr, " %14" PRIu64 " %12" PRIu64 " %12" PRIu64 " %15" PRIu64 "\n", column[RECORDED],
		column[DISCARDED], column[OVERWRITTEN], column[BYTES]);
}

static void print_name(const char *name)
{
	int column;

	/* A process chooses its name: it must not write to our terminal what it likes. */
	for (column = 0; column < 16; column++) {
		char c = *name ? *name++ : ' ';

		fputc((unsigned char) c < ' ' || c == 0x7f ? '?' : c, stderr);
	}
}

static void print_table(struct accounts *accounts)
{
	size_t nr_lines = accounts->nr < MAX_LINES ? accounts->nr : MAX_LINES, i;
	uint64_t rest[NR_COLUMNS] = { 0 };
	int column;

	if (accounts->nr > MAX_LINES)
		qsort(accounts->account, accounts->nr, sizeof(*accounts->account), compare_events);
	if (nr_lines)
		qsort(accounts->account, nr_lines, sizeof(*accounts->account), compare_order);
	fprintf(stderr, "%10s  %-16s %14s %12s %12s %15s\n", "pid", "process", "recorded", "discarded", "overwritten",
		"bytes");
	for (i = 0; i < nr_lines; i++) {
		fprintf(stderr, "%10" PRIu64 "  ", accounts->account[i].pid);
		print_name(accounts->account[i].procname);
		print_columns(accounts->account[i].column);
	}
	for (; i < accounts->nr; i++) {
		for (column = 0; column < NR_COLUMNS; column++)
			rest[column] += accounts->account[i].column[column];
	}
	if (accounts->nr > nr_lines) {
		fprintf(stderr, "%10zu  %-16s", accounts->nr - nr_lines, "more processes");
		print_columns(rest);
	}
	fprintf(stderr, "%10s  %-16s", "total", "");
	print_columns(accounts->total);
}

int tb_accounts_print(const char *json, size_t size, const char *directory)
{
	struct accounts accounts = { 0 };
	int err = read_accounts(json, size, &accounts);

	if (err) {
		free(accounts.account);
		return tb_complain(TB_EXIT_FATAL, "record: the daemon's accounts cannot be read: %s", strerror(-err));
	}
	fprintf(stderr, "tracebuf: trace in %s\n", directory);
	print_table(&accounts);
	if (accounts.total[DISCARDED])
		tb_complain(0, "%" PRIu64 " events found no room and were discarded: larger (--subbuf-size) or more "
			    "(--num-subbuf) sub-buffers help, with --mode block none is lost",
			    accounts.total[DISCARDED]);
	free(accounts.account);
	return 0;
}
