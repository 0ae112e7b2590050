/* SPDX-License-Identifier: MIT */
/* Traced programs as tests start them. They share one file of counters with the test, and end when it says so. */
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A bound only against hanging, in ms: emulators begin late. */
#define READY_TRIES 120000
#define MAX_WRAPPER 8

struct tick_shared *worker_shared(struct fixture *fixture)
{
	struct tick_shared *shared;
	char path[96];

	snprintf(path, sizeof(path), "%s/shared", fixture->dir);
	shared = shared_map(path);
	CU_ASSERT_PTR_NOT_NULL_FATAL(shared);
	return shared;
}

/* Words of $TB_WRAPPER before the command: an emulator. */
static int add_wrapper(char **argv, char *words, size_t size)
{
	const char *wrapper = getenv("TB_WRAPPER");
	char *word, *rest = NULL;
	int nr = 0;

	snprintf(words, size, "%s", wrapper ? wrapper : "");
	for (word = strtok_r(words, " ", &rest); word && nr < MAX_WRAPPER; word = strtok_r(NULL, " ", &rest))
		argv[nr++] = word;
	return nr;
}

static pid_t start(struct fixture *fixture, const char *program, char *action, uint32_t writer, char *const *more)
{
	static const char *const environment[] = { "TRACEBUF_ALLOW_BLOCKING=1", NULL };
	const char *instead = getenv("TB_TRACED");
	char path[96], name[64], writer_text[16], words[256];
	char *argv[MAX_WRAPPER + 8] = { NULL };
	int nr = add_wrapper(argv, words, sizeof(words)), i;

	snprintf(name, sizeof(name), "tests/%s", program);
	snprintf(path, sizeof(path), "%s/shared", fixture->dir);
	snprintf(writer_text, sizeof(writer_text), "%u", writer);
	argv[nr++] = (char *) (instead ? instead : build_path(name));
	argv[nr++] = path;
	argv[nr++] = action;
	argv[nr++] = writer_text;
	for (i = 0; more[i]; i++)
		argv[nr++] = more[i];
	return spawn(argv, environment);
}

pid_t worker_start(struct fixture *fixture, const char *program, uint32_t writer, unsigned int nr_threads, uint64_t nr,
		   const char *kind)
{
	char threads_text[16], nr_text[24];
	char *more[] = { threads_text, nr_text, (char *) kind, NULL };

	snprintf(threads_text, sizeof(threads_text), "%u", nr_threads);
	snprintf(nr_text, sizeof(nr_text), "%llu", (unsigned long long) nr);
	return start(fixture, program, "count", writer, more);
}

pid_t worker_act(struct fixture *fixture, const char *action, uint32_t writer, uint64_t nr)
{
	char nr_text[24];
	char *more[] = { nr_text, NULL };

	snprintf(nr_text, sizeof(nr_text), "%llu", (unsigned long long) nr);
	return start(fixture, "traced", (char *) action, writer, more);
}

void worker_await_ready(struct tick_shared *shared, uint32_t nr)
{
	const struct timespec pause = { 0, 1000000 };
	int tries;

	for (tries = 0; tries < READY_TRIES && __atomic_load_n(&shared->nr_ready, __ATOMIC_RELAXED) < nr; tries++)
		nanosleep(&pause, NULL);
	CU_ASSERT(__atomic_load_n(&shared->nr_ready, __ATOMIC_RELAXED) >= nr);
}

uint64_t worker_returned(const struct tick_shared *shared, uint32_t writer)
{
	return __atomic_load_n(&shared->writer[writer].returned, __ATOMIC_RELAXED);
}

void worker_await_returned(const struct tick_shared *shared, uint32_t writer, uint64_t nr)
{
	const struct timespec pause = { 0, 1000000 };
	int tries;

	for (tries = 0; tries < READY_TRIES && worker_returned(shared, writer) < nr; tries++)
		nanosleep(&pause, NULL);
	CU_ASSERT(worker_returned(shared, writer) >= nr);
}
