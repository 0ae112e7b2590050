/* SPDX-License-Identifier: MIT */
/*
 * Clients of the control socket: one request and one answer a connection.
 *
 * Invariant: a client has exactly one thing under way (readiness, a timer, a send), and is freed in its completion. Who
 * sends nothing, or does not read, costs its buffer and a descriptor, and there are at most MAX_CLIENTS of them.
 */
#define _GNU_SOURCE
#include "command.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CLIENTS 64
#define RETRY_NS 20000000

struct client {
	struct tb_completion completion;
	struct tb_daemon *daemon;
	int fd;
	char text[TB_REQUEST_SIZE];
	size_t size;
	struct tb_request request;
	struct __kernel_timespec retry;
	char *answer;
	size_t answer_size, sent;
	bool last;
};

static void accept_more(struct tb_daemon *daemon)
{
	tb_loop_poll(&daemon->loop, &daemon->socket_ready, daemon->rundir.listen_fd, POLLIN);
}

static void free_client(struct client *client)
{
	struct tb_daemon *daemon = client->daemon;

	if (client->last)
		daemon->loop.quit = true;
	close(client->fd);
	free(client->answer);
	free(client);
	if (daemon->nr_clients-- == MAX_CLIENTS)
		accept_more(daemon);
}

static void sent(struct tb_completion *completion, int result)
{
	struct client *client = caa_container_of(completion, struct client, completion);

	if (result > 0)
		client->sent += result;
	if (client->sent == client->answer_size || (result <= 0 && result != -EINTR && result != -EAGAIN)) {
		free_client(client);
		return;
	}
	tb_loop_send(&client->daemon->loop, completion, client->fd, client->answer + client->sent,
		     client->answer_size - client->sent);
}

/* First line: code and message; then what was printed. */
static void answer(struct client *client, const struct tb_answer *answer, const char *text, size_t size)
{
	FILE *out = open_memstream(&client->answer, &client->answer_size);

	client->last = answer->last;
	if (out) {
		fprintf(out, "%d %s\n", answer->code, answer->message.text);
		fwrite(text, 1, size, out);
	}
	if (!out || tb_text_close(out, &client->answer)) {
		free_client(client);
		return;
	}
	client->completion.done = sent;
	tb_loop_send(&client->daemon->loop, &client->completion, client->fd, client->answer, client->answer_size);
}

static void refuse(struct client *client, const char *why)
{
	struct tb_answer refusal = { .code = TB_EXIT_ERROR };

	tb_fail(&refusal.message, 0, "%s", why);
	answer(client, &refusal, "", 0);
}

static void run(struct client *client);

static void try_again(struct tb_completion *completion, int result)
{
	(void) result;
	run(caa_container_of(completion, struct client, completion));
}

static void run(struct client *client)
{
	struct tb_answer got = { .code = TB_EXIT_OK };
	char *text = NULL;
	size_t size = 0;

	got.out = open_memstream(&text, &size);
	if (!got.out) {
		free_client(client);
		return;
	}
	tb_verb_run(client->daemon, &client->request, &got);
	if (tb_text_close(got.out, &text)) {
		free_client(client);
	} else if (got.again) {
		client->completion.done = try_again;
		client->retry.tv_nsec = RETRY_NS;
		tb_loop_timeout(&client->daemon->loop, &client->completion, &client->retry);
	} else {
		answer(client, &got, text, size);
	}
	free(text);
}

static void readable(struct tb_completion *completion, int result)
{
	struct client *client = caa_container_of(completion, struct client, completion);
	ssize_t got = recv(client->fd, client->text + client->size, sizeof(client->text) - client->size, MSG_DONTWAIT);
	int ret;

	(void) result;
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		free_client(client);
		return;
	}
	client->size += got > 0 ? got : 0;
	ret = tb_request_parse(client->text, client->size, &client->request);
	if (!ret)
		run(client);
	else if (ret == -EAGAIN && client->size < sizeof(client->text))
		tb_loop_poll(&client->daemon->loop, completion, client->fd, POLLIN);
	else
		refuse(client, ret == -EINVAL ? "request is not of the form verb, key=value lines, empty line" :
		       "request is too long");
}

static void connected(struct tb_completion *completion, int result)
{
	struct tb_daemon *daemon = caa_container_of(completion, struct tb_daemon, socket_ready);
	int fd = accept4(daemon->rundir.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client = fd < 0 ? NULL : calloc(1, sizeof(*client));

	(void) result;
	if (client) {
		client->daemon = daemon;
		client->fd = fd;
		client->completion.done = readable;
		daemon->nr_clients++;
		tb_loop_poll(&daemon->loop, &client->completion, fd, POLLIN);
	} else if (fd >= 0) {
		close(fd);
	}
	if (daemon->nr_clients < MAX_CLIENTS)
		accept_more(daemon);
}

void tb_command_start(struct tb_daemon *daemon)
{
	daemon->socket_ready.done = connected;
	accept_more(daemon);
}
