/* SPDX-License-Identifier: MIT */
/*
 * The test harness: CUnit, without its traps. A failed assertion leaves CU_basic_run_tests() at 0, a failed suite
 * initialisation leaves the number of failures at 0, and a test that asserts nothing passes. Here a program ends with
 * 0 only if CUnit itself was well, no failure was recorded, and every case that ran asserted something.
 */
#include "harness.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static unsigned int nr_passed, nr_failed, nr_skipped, asserts_before;
static const char *skip_reason;

void tb_skip(const char *reason)
{
	skip_reason = reason;
}

bool tb_skip_sanitized(const char *sanitizer, const char *reason)
{
	const char *list = getenv("TB_SANITIZED");

	if (!list || (sanitizer && !strstr(list, sanitizer)))
		return false;
	tb_skip(reason);
	return true;
}

void tb_note(const char *format, ...)
{
	va_list args;

	fputs("# ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

void tb_assert_equal(uint64_t actual, uint64_t expected, unsigned int line, const char *what, const char *file)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: %" PRIu64 ", expected %" PRIu64, what, actual, expected);
	CU_assertImplementation(actual == expected, line, text, file, "", CU_FALSE);
}

uint64_t tb_scaled(uint64_t n)
{
	const char *text = getenv("TB_SCALE");
	uint64_t scale = text ? strtoull(text, NULL, 0) : 1;

	return scale < 2 ? n : n / scale ? n / scale : 1;
}

uint64_t tb_random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;	/* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t tb_random(void)
{
	static uint64_t state;
	static int seeded;

	if (!seeded) {
		const char *seed = getenv("TB_SEED");
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		state = seed ? strtoull(seed, NULL, 0) : (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
		seeded = 1;
		tb_note("seed: TB_SEED=%" PRIu64, state);
	}
	return tb_random_next(&state);
}

uint64_t tb_random_below(uint64_t bound)
{
	return tb_random() % bound;
}

static void start_case(const CU_pTest test, const CU_pSuite suite)
{
	(void) test, (void) suite;
	asserts_before = CU_get_run_summary()->nAsserts;
	skip_reason = NULL;
}

static void complete_case(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
	CU_pFailureRecord record;

	(void) suite;
	if (failure) {
		nr_failed++;
		printf("not ok %s\n", test->pName);
		for (record = failure; record; record = record->pNext)
			printf("#   %s:%u: %s\n", record->strFileName, record->uiLineNumber, record->strCondition);
	} else if (skip_reason) {
		nr_skipped++;
		printf("skip %s: %s\n", test->pName, skip_reason);
	} else if (CU_get_run_summary()->nAsserts == asserts_before) {
		nr_failed++;
		printf("not ok %s\n#   it asserted nothing\n", test->pName);
	} else {
		nr_passed++;
		printf("ok %s\n", test->pName);
	}
	fflush(stdout);
}

static CU_ErrorCode register_cases(const char *name, const CU_TestInfo *tests)
{
	const char *glob = getenv("TB_CASES");
	CU_ErrorCode rc = CU_initialize_registry();
	CU_pSuite suite = rc == CUE_SUCCESS ? CU_add_suite(name, NULL, NULL) : NULL;

	for (; suite && tests->pName; tests++)
		if (!glob || fnmatch(glob, tests->pName, 0) == 0)
			CU_add_test(suite, tests->pName, tests->pTestFunc);
	return CU_get_error();
}

int tb_run_suite(const char *name, const CU_TestInfo *tests)
{
	CU_ErrorCode rc = register_cases(name, tests);
	int failed;

	if (rc == CUE_SUCCESS) {
		CU_set_test_start_handler(start_case);
		CU_set_test_complete_handler(complete_case);
		rc = CU_run_all_tests();
	}
	if (rc != CUE_SUCCESS)
		printf("#   CUnit: %s\n", CU_get_error_msg());
	failed = rc != CUE_SUCCESS || nr_failed || CU_get_number_of_failure_records() || !(nr_passed + nr_skipped);
	printf("# %s: %u passed, %u failed, %u skipped\n", name, nr_passed, nr_failed, nr_skipped);
	fflush(stdout);
	CU_cleanup_registry();
	if (failed)
		return 1;
	return nr_passed ? 0 : TB_EXIT_SKIP;
}
