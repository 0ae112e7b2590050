/* SPDX-License-Identifier: MIT */
#ifndef TB_TEST_WORKER_H
#define TB_TEST_WORKER_H

#include <stdbool.h>
#include <sys/types.h>
#include "fixture.h"
#include "shared.h"

/* The counters that a fixture's traced programs share, mapped; asserts. shared_map() of DIR/shared. */
struct tick_shared *worker_shared(struct fixture *fixture);

/*
 * Starts tests/PROGRAM (traced, traced_static), "count": nr_threads writers from writer on, nr events each (0: until
 * shared->stop) of a kind. Blocking is allowed. $TB_WRAPPER: words before the command (valgrind, qemu); $TB_TRACED: the
 * program to run instead. -1: it could not be started, which is asserted.
 */
pid_t worker_start(struct fixture *fixture, const char *program, uint32_t writer, unsigned int nr_threads, uint64_t nr,
		   const char *kind);

/* Starts tests/traced with another action (traced_process.c). */
pid_t worker_act(struct fixture *fixture, const char *action, uint32_t writer, uint64_t nr);

/* Until that many writers have begun, or a child is dead (asserted not to be). */
void worker_await_ready(struct tick_shared *shared, uint32_t nr);

/* Until this writer has counted nr events in all. What a test needs to have been written it awaits so, never by time. */
void worker_await_returned(const struct tick_shared *shared, uint32_t writer, uint64_t nr);

/* How many this writer has counted. */
uint64_t worker_returned(const struct tick_shared *shared, uint32_t writer);

#endif
