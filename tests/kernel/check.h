/* SPDX-License-Identifier: MIT */
#ifndef TB_KERNEL_CHECK_H
#define TB_KERNEL_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Assertions that hold in a case and in the children it forks: a child says what is wrong and goes on, and its status
 * is 1 in the end, which its case asserts. An address space is traced only once, so that most cases run in a child.
 */
#define CHECK(condition) check_is((condition) ? 1 : 0, 1, #condition, __FILE__, __LINE__)
/* Equal as signed numbers: results, -errno. Returns whether they are. */
#define CHECK_IS(actual, expected) check_is((int64_t) (actual), (int64_t) (expected), #actual, __FILE__, __LINE__)
bool check_is(int64_t actual, int64_t expected, const char *what, const char *file, unsigned int line);

/* A forked child and the line to it, seen from either side. It dies with its parent. */
struct child {
	pid_t pid;			/* 0 in the child itself */
	int fd;
};
typedef void (*child_body)(struct child *self, void *arg);
bool child_start(struct child *child, child_body body, void *arg);
/* A number to the other side, and from it; hear: false if it has gone. */
void child_tell(const struct child *child, uint64_t number);
bool child_hear(const struct child *child, uint64_t *ret_number);
/* Waits; asserts that it found nothing wrong. */
void child_end(struct child *child);
/* Kills with signal and waits. */
void child_kill(struct child *child, int signal);
/* All in one: start and end. */
void child_run(child_body body, void *arg);

/* For good: user and group uid, without groups and capabilities. */
void become(uid_t uid);

/* Without a fault 0, else the signal that the load or store of the byte at address gives. */
int load_signal(const volatile void *address);
int store_signal(volatile void *address);

size_t page_size(void);
uint64_t now_ms(void);
void sleep_ms(unsigned int ms);

/* A line of text into a file (a knob of proc or sysfs), and a number from one. 0 or -errno; -errno. */
int file_write(const char *path, const char *text);
int64_t file_number(const char *path);

#endif
