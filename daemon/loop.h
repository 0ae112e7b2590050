/* SPDX-License-Identifier: MIT */
#ifndef TB_LOOP_H
#define TB_LOOP_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Something that the loop will finish: embedded in the object that asked. done gets what the system call would have
 * returned, or -errno, once for each request; the object must live until then.
 */
struct tb_completion {
	void (*done)(struct tb_completion *completion, int result);
	bool transfer;			/* a file transfer: finished also while somebody waits for one */
	int result;
	struct tb_completion *next;	/* put off while somebody waits */
};

#define TB_LOOP_NO_PIN (-1)

struct tb_loop {
	struct io_uring uring;
	size_t pinned_size[64];		/* bytes, 0: free; by the number of the pin */
	bool cannot_pin;
	struct tb_completion *put_off, **put_off_end;
	bool quit;
};

/* -errno of io_uring_setup(2): -ENOSYS, -EPERM where it is forbidden. */
int tb_loop_init(struct tb_loop *loop);

/* One readiness of fd (result: POLLIN ...). */
void tb_loop_poll(struct tb_loop *loop, struct tb_completion *completion, int fd, unsigned int events);
/* One expiry (result -ETIME). *when must stay as it is until then. */
void tb_loop_timeout(struct tb_loop *loop, struct tb_completion *completion, struct __kernel_timespec *when);
/* One write of at most size bytes (result: bytes written). A transfer. pin: of the memory that data lies in. */
void tb_loop_write(struct tb_loop *loop, struct tb_completion *completion, int fd, const void *data, size_t size,
		   uint64_t offset, int pin);
/*
 * Pins writable shared memory from which many writes will come, so that its pages need not be found for each of them
 * (registered buffers of io_uring_register(2)): the number of the pin, or TB_LOOP_NO_PIN if that cannot be had, for
 * which there are limits. Until unpinned, these writes take the pages that were there now, whatever is mapped there.
 */
int tb_loop_pin(struct tb_loop *loop, void *data, size_t size);
/* No write of it may be under way. */
void tb_loop_unpin(struct tb_loop *loop, int pin);
/* One send(2) on a socket. */
void tb_loop_send(struct tb_loop *loop, struct tb_completion *completion, int fd, const void *data, size_t size);
/* Asks for an early end of what completion waits for: it finishes with -ECANCELED, or as it would have. */
void tb_loop_cancel(struct tb_loop *loop, struct tb_completion *completion);

/* Runs until loop->quit. 0 or -errno of io_uring_enter(2). */
int tb_loop_run(struct tb_loop *loop);
/* Finishes transfers, and nothing else, until finished(data). */
int tb_loop_await(struct tb_loop *loop, bool (*finished)(void *data), void *data);
/* Writes all of it and waits; transfers of others finish meanwhile. 0 or -errno. */
int tb_loop_write_all(struct tb_loop *loop, int fd, const void *data, size_t size, uint64_t offset);

#endif
