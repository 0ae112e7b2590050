/* SPDX-License-Identifier: MIT */
/*
 * The control protocol as tests and benchmarks speak it, without the tracebuf command between: lines of the request,
 * an empty line, then the answer until end of file.
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_socket(const char *rundir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, r;

	r = snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", rundir);
	if (r < 0 || (size_t) r >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *) &address, sizeof(address))) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int send_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		data += sent;
		size -= (size_t) sent;
	}
	return 0;
}

static int receive_all(int fd, char **ret_text)
{
	size_t size = 0, room = 65536;
	char *text = malloc(room), *larger;
	ssize_t got;

	while (text) {
		got = recv(fd, text + size, room - size - 1, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		size += (size_t) got;
		if (size + 1 < room)
			continue;
		larger = realloc(text, room *= 2);
		if (!larger)
			free(text);
		text = larger;
	}
	if (!text)
		return -ENOMEM;
	text[size] = 0;
	*ret_text = text;
	return 0;
}

static int split_reply(char *answer, struct client_reply *ret_reply)
{
	char *end = strchr(answer, '\n');

	if (!end || answer[0] < '0' || answer[0] > '4' || answer[1] != ' ') {
		free(answer);
		return -EPROTO;
	}
	*end = 0;
	ret_reply->code = answer[0] - '0';
	snprintf(ret_reply->message, sizeof(ret_reply->message), "%s", answer + 2);
	memmove(answer, end + 1, strlen(end + 1) + 1);
	ret_reply->text = answer;
	return 0;
}

int client_request_raw(const char *rundir, const void *request, size_t size, struct client_reply *ret_reply)
{
	int fd = connect_socket(rundir), r;
	char *answer;

	if (fd < 0)
		return fd;
	r = send_all(fd, request, size);
	if (!r || r == -EPIPE || r == -ECONNRESET)
		r = receive_all(fd, &answer);	/* who refuses early answers before it has read all */
	close(fd);
	return r ? r : split_reply(answer, ret_reply);
}

int client_request(const char *rundir, const char *verb, const char *const *pairs, struct client_reply *ret_reply)
{
	char *request = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&request, &size);
	int r;

	if (!stream)
		return -ENOMEM;
	fprintf(stream, "%s\n", verb);
	for (; *pairs; pairs++)
		fprintf(stream, "%s\n", *pairs);
	fputc('\n', stream);
	if (fclose(stream))
		return -ENOMEM;
	r = client_request_raw(rundir, request, size, ret_reply);
	free(request);
	return r;
}

void client_reply_free(struct client_reply *reply)
{
	if (reply)
		free(reply->text);
}
