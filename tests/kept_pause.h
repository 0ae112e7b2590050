/* SPDX-License-Identifier: MIT */
/* Included before reader/kept.c where a test counts its steps. */
#ifndef TB_TESTS_KEPT_PAUSE_H
#define TB_TESTS_KEPT_PAUSE_H

extern unsigned long kept_nr_pauses;
#define TB_KEPT_PAUSE() ((void) kept_nr_pauses++)

#endif
