/* SPDX-License-Identifier: MIT */
/*
 * Programs that a test runs, and babeltrace2 as the referee of each trace that a test makes: it must read it, and
 * have nothing to say about it.
 */
#define _GNU_SOURCE
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_PATHS 8

const char *build_path(const char *name)
{
	static char paths[NR_PATHS][512];
	static unsigned int turn;
	char *path = paths[turn++ % NR_PATHS];
	const char *build = getenv("TB_BUILD");

	snprintf(path, sizeof(paths[0]), "%s/%s", build ? build : ".", name);
	return path;
}

char *read_file(const char *path)
{
	size_t size = 0, room = 4096;
	char *text = malloc(room);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	while (text && fd >= 0 && (got = read(fd, text + size, room - size - 1)) > 0) {
		size += (size_t) got;
		if (size + 1 == room)
			text = realloc(text, room *= 2);
	}
	if (fd < 0) {
		free(text);
		return NULL;
	}
	close(fd);
	if (text)
		text[size] = 0;
	return text;
}

void die_with_test(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static pid_t spawn_with(char *const *argv, const char *const *environment, int out, int err)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	die_with_test();
	for (; environment && *environment; environment++)
		putenv((char *) *environment);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	if (err >= 0)
		dup2(err, STDERR_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

pid_t spawn(char *const *argv, const char *const *environment)
{
	pid_t pid = spawn_with(argv, environment, -1, -1);

	CU_ASSERT(pid > 0);
	return pid;
}

int await(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static char *take_file(FILE *file)
{
	size_t size = 0, room = 65536, got;
	char *text = malloc(room);

	rewind(file);
	while (text && (got = fread(text + size, 1, room - size - 1, file)) > 0) {
		size += got;
		if (size + 1 == room)
			text = realloc(text, room *= 2);
	}
	if (text)
		text[size] = 0;
	fclose(file);
	return text;
}

bool run(struct outcome *ret_outcome, char *const *argv, const char *const *environment)
{
	FILE *out = tmpfile(), *err = tmpfile();
	pid_t pid;

	if (!out || !err)
		return false;
	fcntl(fileno(out), F_SETFD, FD_CLOEXEC);
	fcntl(fileno(err), F_SETFD, FD_CLOEXEC);
	pid = spawn_with(argv, environment, fileno(out), fileno(err));
	CU_ASSERT(pid > 0);
	ret_outcome->status = pid > 0 ? await(pid) : -1;
	ret_outcome->out = take_file(out);
	ret_outcome->err = take_file(err);
	return pid > 0 && ret_outcome->out && ret_outcome->err;
}

void outcome_free(struct outcome *outcome)
{
	free(outcome->out);
	free(outcome->err);
}

/*
 * Sums the discards that babeltrace2 speaks of; false at the first line that is something else. It cannot say how many
 * there were before a stream's first packet.
 */
static bool only_discards(char *err, uint64_t *ret_discarded)
{
	char *line, *rest = NULL;
	unsigned long long nr;

	for (line = strtok_r(err, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "WARNING: Tracer may have discarded events", 41) == 0)
			continue;
		if (sscanf(line, "WARNING: Tracer discarded %llu event", &nr) != 1) {
			tb_note("babeltrace2: %.300s", line);
			return false;
		}
		*ret_discarded += nr;
	}
	return true;
}

static uint64_t count_messages(const char *out)
{
	const char *at = strstr(out, " Event message");

	while (at && at > out && at[-1] >= '0' && at[-1] <= '9')
		at--;
	return at ? strtoull(at, NULL, 10) : 0;
}

/* All of the text, for what babeltrace2 prints on stderr only with it. */
static void referee_text(const char *path, uint64_t *ret_discarded)
{
	char *argv[] = { "babeltrace2", (char *) path, "-o", "text", "-w", "/dev/null", "--no-delta", "--clock-cycles",
			 "--names", "none", NULL };
	struct outcome outcome;

	if (!run(&outcome, argv, NULL))
		return;
	TB_ASSERT_EQUAL(outcome.status, 0);
	CU_ASSERT(only_discards(outcome.err, ret_discarded));
	outcome_free(&outcome);
}

uint64_t referee(const char *path, enum referee expect, uint64_t *ret_discarded)
{
	char *argv[] = { "babeltrace2", (char *) path, "--component=sink.utils.counter", "--params=step=+0", NULL };
	struct outcome outcome;
	uint64_t nr, discarded = 0;

	if (!run(&outcome, argv, NULL))
		return 0;
	TB_ASSERT_EQUAL(outcome.status, 0);
	if (outcome.err[0])
		tb_note("babeltrace2: %.1000s", outcome.err);
	CU_ASSERT(outcome.err[0] == 0);
	if (expect == REFEREE_SILENT) {
		CU_ASSERT(strstr(outcome.out, " 0 Discarded event messages") != NULL);
	} else {
		referee_text(path, &discarded);
	}
	nr = count_messages(outcome.out);
	outcome_free(&outcome);
	if (ret_discarded)
		*ret_discarded = discarded;
	return nr;
}

static uint64_t json_numbers(const char *text, const char *key, uint64_t *ret_sum)
{
	char pattern[64];
	const char *at = text;
	uint64_t last = 0, sum = 0;

	snprintf(pattern, sizeof(pattern), "\"%s\":", key);
	while (at && (at = strstr(at, pattern))) {
		at += strlen(pattern);
		last = strtoull(at, NULL, 10);
		sum += last;
	}
	*ret_sum = sum - last;
	return last;
}

uint64_t json_last(const char *text, const char *key)
{
	uint64_t sum;

	return json_numbers(text, key, &sum);
}

uint64_t json_sum_but_last(const char *text, const char *key)
{
	uint64_t sum;

	json_numbers(text, key, &sum);
	return sum;
}
