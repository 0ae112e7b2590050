/* SPDX-License-Identifier: MIT */
/*
 * Channels as users ask for them: names, modes and contexts in words, and the limits that a channel must keep.
 *
 * Invariant: what passes tb_channel_check() is a geometry that every reader takes (reader/ring.c), and whose rings of
 * one CPU fit into the home.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "home.h"

static const struct {
	const char *name;
	uint32_t bit;
} contexts[] = {
	{ "vtid", TRACEBUF_CONTEXT_VTID },
	{ "vpid", TRACEBUF_CONTEXT_VPID },
	{ "ip", TRACEBUF_CONTEXT_IP },
	{ "procname", TRACEBUF_CONTEXT_PROCNAME },
};
#define NR_CONTEXTS (sizeof(contexts) / sizeof(contexts[0]))

int tb_fail(struct tb_message *message, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(message->text, sizeof(message->text), format, args);
	va_end(args);
	return error;
}

bool tb_name_is_right(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length < TRACEBUF_NAME_SIZE && name[0] != '.' &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == length;
}

const char *tb_mode_name(uint32_t mode)
{
	return mode == TRACEBUF_MODE_OVERWRITE ? "overwrite" : mode == TRACEBUF_MODE_BLOCK ? "block" : "discard";
}

void tb_context_names(uint32_t context, char text[64])
{
	size_t size = 0;

	text[0] = '\0';
	for (size_t i = 0; i < NR_CONTEXTS; i++)
		if (context & contexts[i].bit)
			size += snprintf(text + size, 64 - size, "%s%s", size ? "," : "", contexts[i].name);
	if (!size)
		snprintf(text, 64, "none");
}

static uint32_t context_bit(const char *name, size_t size)
{
	for (size_t i = 0; i < NR_CONTEXTS; i++)
		if (strlen(contexts[i].name) == size && !memcmp(contexts[i].name, name, size))
			return contexts[i].bit;
	return 0;
}

int tb_context_parse(const char *text, uint32_t *ret_context)
{
	uint32_t context = 0, bit;

	if (!strcmp(text, "none") || !*text) {
		*ret_context = 0;
		return 0;
	}
	for (;;) {
		size_t size = strcspn(text, ",");

		bit = context_bit(text, size);
		if (!bit)
			return -EINVAL;
		context |= bit;
		if (!text[size])
			break;
		text += size + 1;
	}
	/* babeltrace2 knows by vpid whose address it is. */
	if (context & TRACEBUF_CONTEXT_IP)
		context |= TRACEBUF_CONTEXT_VPID;
	*ret_context = context;
	return 0;
}

static bool is_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

int tb_channel_check(const struct tb_recording *recording, const struct tracebuf_channel *channel,
		     struct tb_message *message)
{
	const unsigned long long size = channel->subbuf_size;

	if (!tb_name_is_right(channel->name))
		return tb_fail(message, -EINVAL, "channel name '%s': must be 1 to 63 of A-Z a-z 0-9 _ . - and not begin "
			       "with a dot", channel->name);
	if (channel->mode > TRACEBUF_MODE_BLOCK)
		return tb_fail(message, -EINVAL, "mode: must be discard, overwrite or block");
	if (!is_power_of_two(size) || size < TRACEBUF_MIN_SUBBUF_SIZE || size > TRACEBUF_MAX_SUBBUF_SIZE)
		return tb_fail(message, -EINVAL, "subbuf-size %llu: must be a power of two from %llu to %llu", size,
			       TRACEBUF_MIN_SUBBUF_SIZE, TRACEBUF_MAX_SUBBUF_SIZE);
	if (!is_power_of_two(channel->nr_subbufs) || channel->nr_subbufs < 2 ||
	    channel->nr_subbufs > TRACEBUF_MAX_SUBBUFS)
		return tb_fail(message, -EINVAL, "num-subbuf %u: must be a power of two from 2 to %u",
			       channel->nr_subbufs, TRACEBUF_MAX_SUBBUFS);
	if (size * channel->nr_subbufs > TRACEBUF_MAX_RING_SIZE)
		return tb_fail(message, -EINVAL, "subbuf-size %llu times num-subbuf %u: must not pass %llu bytes", size,
			       channel->nr_subbufs, TRACEBUF_MAX_RING_SIZE);
	return recording ? recording->daemon->home->check_room(recording, size * channel->nr_subbufs, message) : 0;
}
