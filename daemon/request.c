/* SPDX-License-Identifier: MIT */
/*
 * Requests on the control socket, as text: the verb, key=value lines, an empty line. Bounded by TB_REQUEST_SIZE and
 * TB_REQUEST_PAIRS; nothing is interpreted here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include "command.h"

static int add_line(struct tb_request *request, char *line)
{
	char *equals = strchr(line, '=');

	if (!request->verb) {
		request->verb = line;
		return equals || !*line ? -EINVAL : 0;
	}
	if (!equals || equals == line)
		return -EINVAL;
	if (request->nr_pairs == TB_REQUEST_PAIRS)
		return -E2BIG;
	*equals = '\0';
	request->pair[request->nr_pairs].key = line;
	request->pair[request->nr_pairs].value = equals + 1;
	request->nr_pairs++;
	return 0;
}

int tb_request_parse(char *text, size_t size, struct tb_request *ret_request)
{
	char *end = memmem(text, size, "\n\n", 2), *line;
	int ret = 0;

	if (!end)
		return size && text[0] == '\n' ? -EINVAL : -EAGAIN;
	if (memchr(text, '\0', end - text))
		return -EINVAL;
	end[0] = '\0';
	ret_request->verb = NULL;
	ret_request->nr_pairs = 0;
	while (!ret && (line = strsep(&text, "\n")))
		ret = add_line(ret_request, line);
	return ret;
}

const char *tb_request_next(const struct tb_request *request, const char *key, unsigned int *at)
{
	while (*at < request->nr_pairs) {
		unsigned int i = (*at)++;

		if (!strcmp(request->pair[i].key, key))
			return request->pair[i].value;
	}
	return NULL;
}

const char *tb_request_get(const struct tb_request *request, const char *key)
{
	unsigned int at = 0;

	return tb_request_next(request, key, &at);
}
