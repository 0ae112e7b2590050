/* SPDX-License-Identifier: MIT */
/*
 * The event loop: everything that the daemon waits for is an io_uring request whose user_data is a tb_completion.
 *
 * Invariant: a completion's done() is called once for each request, never from inside the call that made the request.
 * Whoever must wait for the disk in the middle of something (a verb that ends a trace) lets transfers finish and puts
 * everything else off, in order, so that no object changes under it but by its own writes.
 */
#include "loop.h"
#include <errno.h>
#include <string.h>

#define SQ_ENTRIES 256
#define CQ_ENTRIES 8192
/* One request writes at most this much: a write(2) takes no more than 2 GiB - 4 KiB. */
#define WRITE_SIZE (1ul << 30)
/* What is pinned cannot be swapped out, and is charged to RLIMIT_MEMLOCK of who is not root. */
#define MAX_PINNED_SIZE (256ul << 20)
#define NR_PINS ((int) (sizeof(((struct tb_loop *) 0)->pinned_size) / sizeof(size_t)))

int tb_loop_init(struct tb_loop *loop)
{
	struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE, .cq_entries = CQ_ENTRIES };
	int ret;

	memset(loop, 0, sizeof(*loop));
	ret = io_uring_queue_init_params(SQ_ENTRIES, &loop->uring, &params);
	if (ret < 0)
		return ret;
	loop->put_off_end = &loop->put_off;
	/* From Linux 5.19 on. */
	loop->cannot_pin = io_uring_register_buffers_sparse(&loop->uring, NR_PINS) < 0;
	return 0;
}

/* A free submission entry. The queue empties by submitting, so the second try succeeds. */
static struct io_uring_sqe *entry(struct tb_loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->uring);

	while (!sqe) {
		io_uring_submit(&loop->uring);
		sqe = io_uring_get_sqe(&loop->uring);
	}
	return sqe;
}

void tb_loop_poll(struct tb_loop *loop, struct tb_completion *completion, int fd, unsigned int events)
{
	struct io_uring_sqe *sqe = entry(loop);

	completion->transfer = false;
	io_uring_prep_poll_add(sqe, fd, events);
	io_uring_sqe_set_data(sqe, completion);
}

void tb_loop_timeout(struct tb_loop *loop, struct tb_completion *completion, struct __kernel_timespec *when)
{
	struct io_uring_sqe *sqe = entry(loop);

	completion->transfer = false;
	io_uring_prep_timeout(sqe, when, 0, 0);
	io_uring_sqe_set_data(sqe, completion);
}

void tb_loop_write(struct tb_loop *loop, struct tb_completion *completion, int fd, const void *data, size_t size,
		   uint64_t offset, int pin)
{
	struct io_uring_sqe *sqe = entry(loop);
	unsigned int part = size < WRITE_SIZE ? size : WRITE_SIZE;

	completion->transfer = true;
	if (pin == TB_LOOP_NO_PIN)
		io_uring_prep_write(sqe, fd, data, part, offset);
	else
		io_uring_prep_write_fixed(sqe, fd, data, part, offset, pin);
	io_uring_sqe_set_data(sqe, completion);
}

static int set_buffer(struct tb_loop *loop, int pin, void *data, size_t size)
{
	const struct iovec buffer = { data, size };
	const __u64 no_tag = 0;

	return io_uring_register_buffers_update_tag(&loop->uring, pin, &buffer, &no_tag, 1);
}

/* A free pin; TB_LOOP_NO_PIN: there is none, or size would be too much. */
static int find_pin(const struct tb_loop *loop, size_t size)
{
	size_t sum = size;
	int found = TB_LOOP_NO_PIN;

	for (int i = 0; i < NR_PINS; i++) {
		sum += loop->pinned_size[i];
		if (!loop->pinned_size[i])
			found = i;
	}
	return sum > MAX_PINNED_SIZE ? TB_LOOP_NO_PIN : found;
}

int tb_loop_pin(struct tb_loop *loop, void *data, size_t size)
{
	int pin = loop->cannot_pin ? TB_LOOP_NO_PIN : find_pin(loop, size);

	if (pin == TB_LOOP_NO_PIN || set_buffer(loop, pin, data, size) != 1)
		return TB_LOOP_NO_PIN;
	loop->pinned_size[pin] = size;
	return pin;
}

void tb_loop_unpin(struct tb_loop *loop, int pin)
{
	if (pin == TB_LOOP_NO_PIN)
		return;
	set_buffer(loop, pin, NULL, 0);
	loop->pinned_size[pin] = 0;
}

void tb_loop_send(struct tb_loop *loop, struct tb_completion *completion, int fd, const void *data, size_t size)
{
	struct io_uring_sqe *sqe = entry(loop);

	completion->transfer = false;
	io_uring_prep_send(sqe, fd, data, size, MSG_NOSIGNAL);
	io_uring_sqe_set_data(sqe, completion);
}

void tb_loop_cancel(struct tb_loop *loop, struct tb_completion *completion)
{
	struct io_uring_sqe *sqe = entry(loop);

	io_uring_prep_cancel(sqe, completion, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

static void put_off(struct tb_loop *loop, struct tb_completion *completion)
{
	completion->next = NULL;
	*loop->put_off_end = completion;
	loop->put_off_end = &completion->next;
}

static void run_put_off(struct tb_loop *loop)
{
	struct tb_completion *completion;

	while ((completion = loop->put_off)) {
		loop->put_off = completion->next;
		if (!loop->put_off)
			loop->put_off_end = &loop->put_off;
		completion->done(completion, completion->result);
	}
}

/* Waits for one completion and takes all that are there. */
static int step(struct tb_loop *loop, bool transfers_only)
{
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit_and_wait(&loop->uring, 1);

	if (ret < 0 && ret != -EINTR && ret != -EBUSY && ret != -EAGAIN)
		return ret;
	while (!io_uring_peek_cqe(&loop->uring, &cqe)) {
		struct tb_completion *completion = io_uring_cqe_get_data(cqe);

		ret = cqe->res;
		io_uring_cqe_seen(&loop->uring, cqe);
		if (!completion)
			continue;
		completion->result = ret;
		if (transfers_only && !completion->transfer)
			put_off(loop, completion);
		else
			completion->done(completion, ret);
	}
	return 0;
}

int tb_loop_run(struct tb_loop *loop)
{
	int ret = 0;

	while (!loop->quit && !ret) {
		run_put_off(loop);
		if (!loop->quit)
			ret = step(loop, false);
	}
	return ret;
}

int tb_loop_await(struct tb_loop *loop, bool (*finished)(void *data), void *data)
{
	while (!finished(data)) {
		int ret = step(loop, true);

		if (ret)
			return ret;
	}
	return 0;
}

struct write_all {
	struct tb_completion completion;
	int result;
	bool finished;
};

static void write_all_done(struct tb_completion *completion, int result)
{
	struct write_all *all = (struct write_all *) completion;

	all->result = result;
	all->finished = true;
}

static bool write_all_finished(void *data)
{
	const struct write_all *all = data;

	return all->finished;
}

int tb_loop_write_all(struct tb_loop *loop, int fd, const void *data, size_t size, uint64_t offset)
{
	const char *at = data;

	while (size) {
		struct write_all all = { .completion.done = write_all_done };
		int ret;

		tb_loop_write(loop, &all.completion, fd, at, size, offset, TB_LOOP_NO_PIN);
		ret = tb_loop_await(loop, write_all_finished, &all);
		if (ret)
			return ret;
		if (all.result <= 0) {
			if (all.result == -EINTR || all.result == -EAGAIN)
				continue;
			return all.result ? all.result : -ENOSPC;
		}
		at += all.result;
		offset += all.result;
		size -= all.result;
	}
	return 0;
}
