/* SPDX-License-Identifier: MIT */
/*
 * The control socket, from the client's side. One connection carries one request and one answer; the answer ends
 * where the daemon closes. Nothing that the daemon sends is believed to be well-formed, and its size is bounded.
 */
#define _GNU_SOURCE
#include "client.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RESPONSE_MAX_SIZE (256u << 20)

void tb_request_begin(struct tb_request *request, const char *verb)
{
	request->size = (size_t) snprintf(request->text, sizeof(request->text), "%s\n", verb);
}

int tb_request_add(struct tb_request *request, const char *key, const char *value)
{
	size_t key_size = strlen(key), value_size = strlen(value);
	char *at = request->text + request->size;

	if (strchr(value, '\n'))
		return -EINVAL;
	/* "=", "\n", and the empty line that ends the request. */
	if (value_size > sizeof(request->text) || request->size + key_size + value_size + 3 > sizeof(request->text))
		return -E2BIG;
	memcpy(at, key, key_size);
	at[key_size] = '=';
	memcpy(at + key_size + 1, value, value_size);
	at[key_size + 1 + value_size] = '\n';
	request->size += key_size + value_size + 2;
	return 0;
}

int tb_request_add_list(struct tb_request *request, const char *key, const char *list)
{
	char value[1024];
	size_t size;
	int err = 0;

	for (; !err; list += size + 1) {
		size = strcspn(list, ",");
		if (!size)
			return -EINVAL;
		if (size >= sizeof(value))
			return -E2BIG;
		memcpy(value, list, size);
		value[size] = '\0';
		err = tb_request_add(request, key, value);
		if (!list[size])
			break;
	}
	return err;
}

bool tb_request_has(const struct tb_request *request, const char *key)
{
	const char *at = request->text, *end = request->text + request->size;
	size_t key_size = strlen(key);

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t) (end - at));

		if ((size_t) (end - at) > key_size && !memcmp(at, key, key_size) && at[key_size] == '=')
			return true;
		if (!newline)
			break;
		at = newline + 1;
	}
	return false;
}

/* A run directory of someone else could belong to a false daemon, which would tell lies or wait for ever. */
static int check_owner(const char *rundir)
{
	struct stat st;

	if (stat(rundir, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return st.st_uid == geteuid() ? 0 : -EPERM;
}

static int connect_daemon(const char *rundir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int size, fd, err;

	size = snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", rundir);
	if (size < 0 || (size_t) size >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	err = check_owner(rundir);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	do {
		err = connect(fd, (struct sockaddr *) &address, sizeof(address)) ? -errno : 0;
	} while (err == -EINTR);
	if (err) {
		close(fd);
		return err;
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

/* All that comes until the daemon closes, and a NUL behind it. */
static int receive_all(int fd, char **ret_data, size_t *ret_size)
{
	size_t size = 0, room = 65536;
	char *data = malloc(room);
	ssize_t got;
	int err = -ENOMEM;

	while (data) {
		got = recv(fd, data + size, room - size - 1, 0);
		if (got < 0 && errno == EINTR)
			continue;
		err = got < 0 ? -errno : 0;
		if (got <= 0)
			break;
		size += (size_t) got;
		if (size + 1 == room) {
			char *larger = room < RESPONSE_MAX_SIZE ? realloc(data, room * 2) : NULL;

			err = room < RESPONSE_MAX_SIZE ? -ENOMEM : -EPROTO;
			if (!larger)
				break;
			data = larger;
			room *= 2;
		}
	}
	if (err) {
		free(data);
		return err;
	}
	data[size] = '\0';
	*ret_data = data;
	*ret_size = size;
	return 0;
}

/* "<code> <message>\n<text>"; on success data is cut up in place and belongs to the response. */
static int parse_response(char *data, size_t size, struct tb_response *ret_response)
{
	char *newline = memchr(data, '\n', size), *end;
	unsigned long code;

	if (!newline || data[0] < '0' || data[0] > '9')
		return -EPROTO;
	*newline = '\0';
	code = strtoul(data, &end, 10);
	if (code > 4 || (*end && *end != ' '))
		return -EPROTO;
	ret_response->code = (int) code;
	ret_response->text = newline + 1;
	ret_response->text_size = size - (size_t) (newline + 1 - data);
	if (*end)
		end++;
	/* The message begins the block, so that it is what has to be freed. */
	memmove(data, end, strlen(end) + 1);
	ret_response->message = data;
	return 0;
}

int tb_client_call(const char *rundir, struct tb_request *request, struct tb_response *ret_response)
{
	char *data;
	size_t size;
	int fd, err;

	fd = connect_daemon(rundir);
	if (fd < 0)
		return fd;
	request->text[request->size] = '\n';
	err = send_all(fd, request->text, request->size + 1);
	/* A daemon that refuses early closes while we send: what it said is still to be read. */
	if (!err || err == -EPIPE)
		err = receive_all(fd, &data, &size);
	close(fd);
	if (err)
		return err;
	err = parse_response(data, size, ret_response);
	if (err)
		free(data);
	return err;
}

void tb_response_free(struct tb_response *response)
{
	if (response)
		free(response->message);
}
