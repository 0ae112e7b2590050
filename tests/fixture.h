/* SPDX-License-Identifier: MIT */
#ifndef TB_FIXTURE_H
#define TB_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "client.h"
#include "harness.h"

/* A run directory of its own, on a tmpfs, and the daemon that serves it. Zero-initialised is closed. */
struct fixture {
	char dir[64];			/* all files of the test, removed at close; outputs go to DIR/NAME */
	char rundir[80];
	pid_t daemon;			/* 0: none runs */
	const char *context;		/* of the channels of fixture_trace(): "context=LIST"; NULL: as is by default */
	bool loud;			/* the daemon has reason to complain: only what sanitizers say is wrong */
	struct client_reply reply;	/* to the last request */
};

/* How a child ended and what it printed. */
struct outcome {
	int status;			/* of waitpid() */
	char *out, *err;		/* NUL-terminated; outcome_free() */
};

/* All of these assert what they need; false, or a pid of -1, also says so to the caller. */
bool fixture_open(struct fixture *fixture);
void fixture_close(struct fixture *fixture);	/* kills the daemon if one runs */
bool fixture_start(struct fixture *fixture);	/* the daemon, until it says that it is ready */
/* The same, asserting nothing; false: it has ended before it was ready, with *ret_status. */
bool fixture_try_start(struct fixture *fixture, int *ret_status);
void fixture_stop(struct fixture *fixture);	/* SIGTERM; it must exit 0 */
void fixture_kill(struct fixture *fixture);	/* SIGKILL */
/* All that the daemon has said on stderr, for free(). */
char *fixture_complaints(const struct fixture *fixture);

/* Is the kernel the home of the pages, for programs and daemons that are started now? */
bool fixture_has_kernel_home(void);

/* A request by the control protocol, "key=value" strings ended by NULL; the answer's code, -1 if none came. */
int fixture_request(struct fixture *fixture, const char *verb, ...) __attribute__((sentinel));
/* The same; asserts that the code is 0. */
bool fixture_ok(struct fixture *fixture, const char *verb, ...) __attribute__((sentinel));

/*
 * create, enable-channel, enable-event '*' and start of trace NAME, into DIR/NAME. mode: "discard" and so on;
 * snapshot: nothing is written but by request.
 */
bool fixture_trace(struct fixture *fixture, const char *name, const char *mode, uint64_t subbuf_size,
		   unsigned int nr_subbufs, bool snapshot);
bool fixture_destroy(struct fixture *fixture, const char *name);

/* Path of a program of the build; several buffers, in turn. */
const char *build_path(const char *name);

/* In a child, before exec: nothing that a test has started writes on when the test was killed. */
void die_with_test(void);

/* Starts and awaits programs, argv ended by NULL. environment: "NAME=value" strings ended by NULL, or NULL. */
pid_t spawn(char *const *argv, const char *const *environment);
bool run(struct outcome *ret_outcome, char *const *argv, const char *const *environment);
void outcome_free(struct outcome *outcome);
/* waitpid() that insists; status */
int await(pid_t pid);

/* How babeltrace2 must find a trace. */
enum referee {
	REFEREE_SILENT,			/* nothing on stderr */
	REFEREE_DISCARDS,		/* "Tracer discarded N events" and nothing else */
};
/*
 * Lets babeltrace2 read the trace in directory path, asserts that it is content, and returns the number of events.
 * ret_discarded (or NULL): what its messages add up to; counted with REFEREE_DISCARDS only, for which it formats all
 * of the text, which is slow.
 */
uint64_t referee(const char *path, enum referee expect, uint64_t *ret_discarded);

/* The number behind "key": in the last (a trace's, a total) and the sum of all but it (each process's). */
uint64_t json_last(const char *text, const char *key);
uint64_t json_sum_but_last(const char *text, const char *key);

/* rm -r; a file's whole contents, NUL-terminated, for free(). */
void remove_tree(const char *path);
char *read_file(const char *path);

#endif
