/* SPDX-License-Identifier: MIT */
/*
 * What tracebuf_event_describe() answers: ids that stay, and each error that tracebuf(3) names, at its very limit. No
 * daemon runs, so nothing is recorded. Whether a process can trace is decided once in it: what cannot is a child.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tracebuf/tracebuf.h>

#include "fixture.h"

#define MAX_NAME 1024		/* of an event */
#define MAX_FIELD_NAME 254

static struct tracebuf *tracebuf;

/* "provider:eee..." of so many bytes, and so for a field's. */
static char *make_name(const char *begin, size_t length)
{
	static char name[65536];

	memset(name, 'e', length);
	memcpy(name, begin, strlen(begin));
	name[length] = '\0';
	return name;
}

static struct tracebuf_field_description integer(const char *name)
{
	return (struct tracebuf_field_description) { name, TRACEBUF_FIELD_INTEGER, 4, 0, 0 };
}

static int describe(const char *name, struct tracebuf_field_description field)
{
	return tracebuf_event_describe(tracebuf, name, &field, 1, 13);
}

static void same_id(void)
{
	struct tracebuf_field_description field = integer("a");
	int id = describe("d:same", field);

	CU_ASSERT(id >= 0);
	CU_ASSERT(describe("d:same", field) == id);
	CU_ASSERT(describe("d:same", integer("b")) != id);
	CU_ASSERT(tracebuf_event_describe(tracebuf, "d:same", &field, 1, 14) != id);
	CU_ASSERT(tracebuf_event_describe(tracebuf, "d:same", NULL, 0, 13) != id);
}

static void invalid(void)
{
	static const char *const names[] = { NULL, "", ":", "d", "d:", ":e", "d:e:f", "d:e f", "d:\n", "d:\"", "d:\xc3\xa4" };
	static const struct tracebuf_field_description fields[] = {
		{ NULL, TRACEBUF_FIELD_INTEGER, 4, 0, 0 }, { "", TRACEBUF_FIELD_INTEGER, 4, 0, 0 },
		{ "1a", TRACEBUF_FIELD_INTEGER, 4, 0, 0 }, { "a b", TRACEBUF_FIELD_INTEGER, 4, 0, 0 },
		{ "a", 0, 4, 0, 0 }, { "a", 5, 4, 0, 0 }, { "a", TRACEBUF_FIELD_INTEGER, 3, 0, 0 },
		{ "a", TRACEBUF_FIELD_INTEGER, 16, 0, 0 }, { "a", TRACEBUF_FIELD_FLOAT, 2, 0, 0 },
		{ "a", TRACEBUF_FIELD_STRING, 1, 0, 0 }, { "a", TRACEBUF_FIELD_SEQUENCE, 0, 0, 0 },
		{ "a", TRACEBUF_FIELD_INTEGER, 4, 4, 0 }, { "a", TRACEBUF_FIELD_INTEGER, 4, 0, 1 },
	};
	struct tracebuf_field_description twice[] = { integer("a"), integer("a") };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		TB_ASSERT_EQUAL(describe(names[i], integer("a")), -EINVAL);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		TB_ASSERT_EQUAL(describe("d:invalid", fields[i]), -EINVAL);
	TB_ASSERT_EQUAL(tracebuf_event_describe(tracebuf, "d:invalid", twice, 2, 13), -EINVAL);
	TB_ASSERT_EQUAL(tracebuf_event_describe(tracebuf, "d:invalid", twice, 1, 15), -EINVAL);
	TB_ASSERT_EQUAL(tracebuf_event_describe(tracebuf, "d:invalid", NULL, 1, 13), -EINVAL);
	TB_ASSERT_EQUAL(tracebuf_event_describe(NULL, "d:invalid", twice, 1, 13), -EINVAL);
}

static void too_large(void)
{
	struct tracebuf_field_description fields[TRACEBUF_MAX_FIELDS + 1];
	char names[TRACEBUF_MAX_FIELDS + 1][MAX_FIELD_NAME + 1];

	for (unsigned int i = 0; i <= TRACEBUF_MAX_FIELDS; i++) {
		memcpy(names[i], make_name("f", MAX_FIELD_NAME), sizeof(names[i]));
		names[i][1] = (char) ('A' + i % 26);
		names[i][2] = (char) ('A' + i / 26);
		fields[i] = integer(names[i]);
	}
	CU_ASSERT(tracebuf_event_describe(tracebuf, "d:fields", fields, TRACEBUF_MAX_FIELDS, 13) >= 0);
	TB_ASSERT_EQUAL(tracebuf_event_describe(tracebuf, "d:fields", fields, TRACEBUF_MAX_FIELDS + 1, 13), -E2BIG);
	CU_ASSERT(describe(make_name("d:", MAX_NAME), integer("a")) >= 0);
	TB_ASSERT_EQUAL(describe(make_name("d:", MAX_NAME + 1), integer("a")), -E2BIG);
	TB_ASSERT_EQUAL(describe(make_name("d:", 60000), integer("a")), -E2BIG);
	CU_ASSERT(describe("d:name", integer(make_name("f", MAX_FIELD_NAME))) >= 0);
	TB_ASSERT_EQUAL(describe("d:name", integer(make_name("f", MAX_FIELD_NAME + 1))), -E2BIG);
}

/* In a child, which decides anew where its pages are. */
static void expect_refusal(const char *variable, const char *value, int error)
{
	pid_t pid = fork();

	if (!pid) {
		setenv(variable, value, 1);
		tracebuf = tracebuf_alloc();
		_exit(tracebuf && describe("d:child", integer("a")) == error ? 0 : 1);
	}
	TB_ASSERT_EQUAL(await(pid), 0);
}

static void no_tracing(void)
{
	expect_refusal("TRACEBUF", "0", -ENOENT);
	if (fixture_has_kernel_home())
		return;
	expect_refusal("TRACEBUF_RUNDIR", "relative", -ENOENT);
	expect_refusal("TRACEBUF_RUNDIR", "/dev/null", -EACCES);
}

static void full(void)
{
	int id = 0, nr;
	char name[32];

	for (nr = 0; id >= 0 && nr <= TRACEBUF_MAX_EVENTS; nr++) {
		snprintf(name, sizeof(name), "d:full%d", nr);
		id = tracebuf_event_describe(tracebuf, name, NULL, 0, 13);
	}
	TB_ASSERT_EQUAL(id, -ENOSPC);
	CU_ASSERT(describe("d:same", integer("a")) >= 0);
}

int main(void)
{
	static const CU_TestInfo cases[] = {
		{ "no_tracing", no_tracing }, { "same_id", same_id }, { "invalid", invalid }, { "too_large", too_large },
		{ "full", full }, CU_TEST_INFO_NULL,
	};
	struct fixture fixture;
	int result;

	if (!fixture_open(&fixture))
		return 1;
	tracebuf = tracebuf_alloc();
	result = tb_run_suite("describe", cases);
	tracebuf_free(tracebuf);
	fixture_close(&fixture);
	return result;
}
