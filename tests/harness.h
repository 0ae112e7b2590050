/* SPDX-License-Identifier: MIT */
#ifndef TB_HARNESS_H
#define TB_HARNESS_H

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stdint.h>

/* Exit code of a test program none of whose cases could run. */
#define TB_EXIT_SKIP 77

/*
 * Runs the cases (ended by CU_TEST_INFO_NULL) as one suite, with a line for each ("ok NAME", "not ok NAME", "skip
 * NAME: reason") and at the end "# SUITE: N passed, N failed, N skipped". A case that asserts nothing fails unless it
 * skips. $TB_CASES, a glob, picks cases. Returns what main() returns: 0, 1, or TB_EXIT_SKIP if nothing ran.
 */
int tb_run_suite(const char *name, const CU_TestInfo *tests);

/* The running case cannot run here; reason: one line that says what is missing. The case then returns. */
void tb_skip(const char *reason);

/* Skips it, and returns true, if this build has this sanitizer ("address", "thread"; NULL: any). */
bool tb_skip_sanitized(const char *sanitizer, const char *reason);

/* A line of diagnosis, "# ..." on stdout: seeds, figures. */
void tb_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Equal as unsigned 64-bit numbers; says both if they are not. */
#define TB_ASSERT_EQUAL(actual, expected) tb_assert_equal((uint64_t) (actual), (uint64_t) (expected), __LINE__, \
							  #actual " == " #expected, __FILE__)
void tb_assert_equal(uint64_t actual, uint64_t expected, unsigned int line, const char *what, const char *file);

/* A load of n, or n / $TB_SCALE (at least 1) where a build is slow or has been tested with the whole load already. */
uint64_t tb_scaled(uint64_t n);

/*
 * Random numbers that a seed repeats: $TB_SEED, else the clock; the seed is printed by the first call. A program that
 * forks seeds its children from it.
 */
uint64_t tb_random(void);
uint64_t tb_random_below(uint64_t bound);
/* The next number of the generator whose state the caller keeps. */
uint64_t tb_random_next(uint64_t *state);

#endif
