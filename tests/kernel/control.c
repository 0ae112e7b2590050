/* SPDX-License-Identifier: MIT */
/*
 * A generic netlink client in plain system calls: requests put together byte by byte, so that tests can make any that
 * are wrong, and answers taken apart into struct control_facts.
 */
#define _GNU_SOURCE
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "tests/harness.h"

#define ANSWER_TIMEOUT_MS 30000
#define FAMILY_VERSION TRACEBUF_GENL_VERSION
#define TEXT_SIZE sizeof(((struct control_facts *) 0)->text[0])

const struct tracebuf_channel control_channel = {
	.name = "channel0", .mode = TRACEBUF_MODE_DISCARD, .subbuf_size = 65536, .nr_subbufs = 4,
};

uint32_t control_clock = TRACEBUF_CLOCK_MONOTONIC;
uint64_t control_frequency = 1000000000;

/* ---- Requests ---- */

static void begin(struct control_request *request, uint16_t family, unsigned int cmd)
{
	struct nlmsghdr *message = (void *) request->bytes;
	struct genlmsghdr *generic = (void *) (request->bytes + NLMSG_HDRLEN);

	memset(request->bytes, 0, NLMSG_HDRLEN + GENL_HDRLEN);
	message->nlmsg_type = family;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	generic->cmd = (uint8_t) cmd;
	generic->version = FAMILY_VERSION;
	request->size = NLMSG_HDRLEN + GENL_HDRLEN;
}

void control_begin(struct control_request *request, unsigned int cmd)
{
	begin(request, 0, cmd);
}

void control_put(struct control_request *request, unsigned int attribute, const void *data, size_t size)
{
	struct nlattr *head = (void *) (request->bytes + request->size);
	uint32_t padded = NLA_HDRLEN + NLA_ALIGN((uint32_t) size);

	if (size > 65000 || request->size + padded > sizeof(request->bytes))
		return;
	memset(head, 0, padded);
	head->nla_type = (uint16_t) attribute;
	head->nla_len = (uint16_t) (NLA_HDRLEN + size);
	if (size)
		memcpy(head + 1, data, size);
	request->size += padded;
}

void control_put_u32(struct control_request *request, unsigned int attribute, uint32_t value)
{
	control_put(request, attribute, &value, sizeof(value));
}

void control_put_u64(struct control_request *request, unsigned int attribute, uint64_t value)
{
	control_put(request, attribute, &value, sizeof(value));
}

void control_put_text(struct control_request *request, unsigned int attribute, const char *text)
{
	control_put(request, attribute, text, strlen(text) + 1);
}

void control_put_rule(struct control_request *request, unsigned int channel, bool enable, const char *pattern)
{
	_Alignas(8) unsigned char bytes[1024] = { 0 };
	struct tracebuf_rule *rule = (void *) bytes;
	size_t head = offsetof(struct tracebuf_rule, pattern), length = strlen(pattern) + 1;
	size_t size = (head + length + 7) & ~(size_t) 7;

	if (size > sizeof(bytes))
		return;
	rule->size = (uint16_t) size;
	rule->channel = (uint8_t) channel;
	rule->enable = enable;
	memcpy(bytes + head, pattern, length);
	control_put(request, TRACEBUF_A_RULE, bytes, size);
}

/* ---- Answers ---- */

static bool is_text(unsigned int attribute)
{
	return attribute == TRACEBUF_A_NAME || attribute == TRACEBUF_A_UUID || attribute == TRACEBUF_A_DOMAIN ||
	       attribute == TRACEBUF_A_DIRECTORY || attribute == TRACEBUF_A_FILE_NAME;
}

static void take_attribute(struct control_facts *facts, unsigned int type, const unsigned char *data, size_t size)
{
	if (type >= TRACEBUF_A_END)
		return;
	facts->has |= 1ull << type;
	if (is_text(type))
		memcpy(facts->text[type], data, size < TEXT_SIZE - 1 ? size : TEXT_SIZE - 1);
	else if (size == 4 || size == 8)
		memcpy(&facts->number[type], data, size);
}

/* Calls take for each attribute from bytes on. */
static void walk(struct control_facts *facts, const unsigned char *bytes, size_t size,
		 void (*take)(struct control_facts *facts, unsigned int type, const unsigned char *data, size_t size))
{
	while (size >= NLA_HDRLEN) {
		struct nlattr head;
		size_t step;

		memcpy(&head, bytes, sizeof(head));
		if (head.nla_len < NLA_HDRLEN || head.nla_len > size)
			return;
		take(facts, head.nla_type & NLA_TYPE_MASK, bytes + NLA_HDRLEN, head.nla_len - NLA_HDRLEN);
		step = NLA_ALIGN((size_t) head.nla_len);
		if (step >= size)
			return;
		bytes += step;
		size -= step;
	}
}

static void take_message(struct control_facts *facts, const struct nlmsghdr *message)
{
	const unsigned char *bytes = (const unsigned char *) message + NLMSG_HDRLEN;
	size_t size = message->nlmsg_len - NLMSG_HDRLEN;

	memset(facts, 0, sizeof(*facts));
	if (size < GENL_HDRLEN)
		return;
	facts->cmd = ((const struct genlmsghdr *) bytes)->cmd;
	walk(facts, bytes + GENL_HDRLEN, size - GENL_HDRLEN, take_attribute);
}

/* The kernel's words to an error: an attribute behind the message that it is about, which is capped. */
static void take_reason(struct control *control, const struct nlmsghdr *message)
{
	const unsigned char *bytes = (const unsigned char *) message + NLMSG_HDRLEN + sizeof(struct nlmsgerr);
	size_t size = message->nlmsg_len - NLMSG_HDRLEN - sizeof(struct nlmsgerr);

	control->reason[0] = 0;
	while (message->nlmsg_flags & NLM_F_ACK_TLVS && size >= NLA_HDRLEN) {
		const struct nlattr *head = (const void *) bytes;

		if (head->nla_len < NLA_HDRLEN || head->nla_len > size)
			return;
		if ((head->nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG)
			snprintf(control->reason, sizeof(control->reason), "%.*s", head->nla_len - NLA_HDRLEN,
				 (const char *) bytes + NLA_HDRLEN);
		if (NLA_ALIGN((size_t) head->nla_len) >= size)
			return;
		size -= NLA_ALIGN((size_t) head->nla_len);
		bytes += NLA_ALIGN((size_t) head->nla_len);
	}
}

static int wait_readable(const struct control *control, unsigned int ms)
{
	struct pollfd ready = { .fd = control->fd, .events = POLLIN };

	return poll(&ready, 1, (int) ms) == 1 ? 0 : -EAGAIN;
}

struct reading {
	struct control *control;
	uint32_t sequence;
	control_each each;
	void *arg;
	int nr;
};

/* 1: more is to come; else the end, 0 or -errno. */
static int read_message(struct reading *reading, const struct nlmsghdr *message)
{
	struct control_facts facts;
	int error;

	if (message->nlmsg_seq != reading->sequence)
		return 1;
	if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
		memcpy(&error, (const char *) message + NLMSG_HDRLEN, sizeof(error));
		if (message->nlmsg_type == NLMSG_ERROR)
			take_reason(reading->control, message);
		return error;
	}
	take_message(&facts, message);
	reading->nr++;
	if (reading->each)
		reading->each(&facts, reading->arg);
	return 1;
}

static int read_answer(struct reading *reading)
{
	static _Alignas(8) unsigned char bytes[1 << 16];
	int result = 1;

	while (result > 0) {
		const struct nlmsghdr *message = (const void *) bytes;
		ssize_t got = wait_readable(reading->control, ANSWER_TIMEOUT_MS);

		if (got)
			return -ETIMEDOUT;
		got = recv(reading->control->fd, bytes, sizeof(bytes), 0);
		if (got < 0)
			return -errno;
		for (; result > 0 && NLMSG_OK(message, (size_t) got); message = NLMSG_NEXT(message, got))
			result = read_message(reading, message);
	}
	return result;
}

static int transact(struct control *control, struct control_request *request, uint16_t flags, control_each each,
		    void *arg, int *ret_nr)
{
	struct nlmsghdr *message = (void *) request->bytes;
	struct reading reading = { .control = control, .each = each, .arg = arg };
	int result;

	message->nlmsg_len = request->size;
	message->nlmsg_flags |= flags;
	message->nlmsg_seq = reading.sequence = ++control->sequence;
	if (!message->nlmsg_type)
		message->nlmsg_type = control->family;
	if (send(control->fd, request->bytes, request->size, 0) < 0)
		return -errno;
	result = read_answer(&reading);
	*ret_nr = reading.nr;
	return result;
}

static void keep_facts(const struct control_facts *facts, void *arg)
{
	if (arg)
		*(struct control_facts *) arg = *facts;
}

int control_send(struct control *control, struct control_request *request, struct control_facts *ret_facts)
{
	int nr;

	return transact(control, request, 0, keep_facts, ret_facts, &nr);
}

int control_dump(struct control *control, unsigned int cmd, struct control_request *request, control_each each,
		 void *arg)
{
	static struct control_request plain;
	int nr, result;

	if (!request) {
		request = &plain;
		control_begin(request, cmd);
	}
	result = transact(control, request, NLM_F_DUMP, each, arg, &nr);
	return result < 0 ? result : nr;
}

int control_simple(struct control *control, unsigned int cmd, uint64_t generation)
{
	struct control_request request;

	control_begin(&request, cmd);
	control_put_u64(&request, TRACEBUF_A_GENERATION, generation);
	return control_send(control, &request, NULL);
}

/* ---- The family ---- */

static void take_group(struct control *control, const unsigned char *bytes, size_t size)
{
	/* One group: { nest { name, id } }. */
	for (size_t at = 0; at + NLA_HDRLEN + 4 <= size; at += 4) {
		const struct nlattr *head = (const void *) (bytes + at);

		if (head->nla_type == CTRL_ATTR_MCAST_GRP_ID && head->nla_len == NLA_HDRLEN + 4) {
			memcpy(&control->group, head + 1, 4);
			return;
		}
	}
}

/* Walks the controller's answer by hand: its attributes are not ours. */
static int take_family(struct control *control)
{
	static _Alignas(8) unsigned char bytes[8192];
	ssize_t got = recv(control->fd, bytes, sizeof(bytes), 0);
	const struct nlmsghdr *message = (const void *) bytes;
	size_t at = NLMSG_HDRLEN + GENL_HDRLEN;

	if (got < (ssize_t) (NLMSG_HDRLEN + GENL_HDRLEN))
		return got < 0 ? -errno : -EBADMSG;
	if (message->nlmsg_type == NLMSG_ERROR) {
		memcpy(&got, bytes + NLMSG_HDRLEN, sizeof(int));
		return (int) got;
	}
	while (at + NLA_HDRLEN <= message->nlmsg_len) {
		const struct nlattr *head = (const void *) (bytes + at);

		if (head->nla_len < NLA_HDRLEN)
			break;
		if ((head->nla_type & NLA_TYPE_MASK) == CTRL_ATTR_FAMILY_ID)
			memcpy(&control->family, head + 1, 2);
		if ((head->nla_type & NLA_TYPE_MASK) == CTRL_ATTR_MCAST_GROUPS)
			take_group(control, (const unsigned char *) (head + 1), head->nla_len - (size_t) NLA_HDRLEN);
		at += NLA_ALIGN((size_t) head->nla_len);
	}
	return control->family ? 0 : -ENOENT;
}

static int find_family(struct control *control)
{
	struct control_request request;
	struct nlmsghdr *message = (void *) request.bytes;

	begin(&request, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	message->nlmsg_flags = NLM_F_REQUEST;
	control_put_text(&request, CTRL_ATTR_FAMILY_NAME, TRACEBUF_GENL_NAME);
	message->nlmsg_len = request.size;
	if (send(control->fd, request.bytes, request.size, 0) < 0)
		return -errno;
	return take_family(control);
}

int control_open(struct control *control)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	int on = 1, result;

	memset(control, 0, sizeof(*control));
	control->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (control->fd < 0)
		return -errno;
	if (bind(control->fd, (void *) &address, sizeof(address))) {
		result = -errno;
	} else {
		setsockopt(control->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
		setsockopt(control->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
		result = find_family(control);
	}
	if (result)
		control_close(control);
	return result;
}

void control_close(struct control *control)
{
	close(control->fd);
	control->fd = -1;
}

int control_listen(struct control *control)
{
	return setsockopt(control->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &control->group, sizeof(control->group)) ?
	       -errno : 0;
}

int control_next(struct control *control, unsigned int ms, struct control_facts *ret_facts)
{
	static _Alignas(8) unsigned char bytes[8192];
	const struct nlmsghdr *message = (const void *) bytes;
	ssize_t got = wait_readable(control, ms);

	if (got)
		return (int) got;
	got = recv(control->fd, bytes, sizeof(bytes), 0);
	if (got < 0)
		return -errno;
	if (!NLMSG_OK(message, (size_t) got))
		return -EBADMSG;
	take_message(ret_facts, message);
	return 0;
}

int control_await(struct control *control, unsigned int cmd, uint64_t generation, unsigned int ms,
		  struct control_facts *ret_facts)
{
	uint64_t end = now_ms() + ms, now;
	int result;

	while ((now = now_ms()) < end) {
		result = control_next(control, (unsigned int) (end - now), ret_facts);
		if (result)
			return result;
		if (ret_facts->cmd == cmd && (!generation || ret_facts->number[TRACEBUF_A_GENERATION] == generation))
			return 0;
	}
	return -EAGAIN;
}

/* ---- Traces ---- */

enum control_placement control_placement;

static void __attribute__((constructor)) choose_placement(void)
{
	const char *text = getenv("TB_PERSISTENT");

	control_placement = text && *text ? CONTROL_IF_FREE : CONTROL_NORMAL;
}

static int create(struct control *control, const char *name, const char *domain, bool is_persistent,
		  struct control_facts *ret_facts)
{
	struct control_request request;
	int device = open(TRACEBUF_DEVICE, O_RDWR | O_CLOEXEC), result;
	uint64_t uuid[2] = { tb_random(), tb_random() };

	control_begin(&request, TRACEBUF_CMD_TRACE_CREATE);
	control_put_text(&request, TRACEBUF_A_NAME, name);
	control_put(&request, TRACEBUF_A_UUID, uuid, sizeof(uuid));
	control_put_u32(&request, TRACEBUF_A_CLOCK, control_clock);
	control_put_u64(&request, TRACEBUF_A_FREQUENCY, control_frequency);
	control_put_u32(&request, TRACEBUF_A_RSEQ_WORKS, 1);
	if (domain && *domain)
		control_put_text(&request, TRACEBUF_A_DOMAIN, domain);
	if (is_persistent)
		control_put_u32(&request, TRACEBUF_A_PERSISTENT, 1);
	if (device >= 0)
		control_put_u32(&request, TRACEBUF_A_DEVICE, (uint32_t) device);
	result = control_send(control, &request, ret_facts);
	if (device >= 0)
		close(device);
	return result;
}

int control_create(struct control *control, const char *name, const char *domain, struct control_trace *ret_trace)
{
	struct control_facts facts = { 0 };
	int result = create(control, name, domain, control_placement != CONTROL_NORMAL, &facts);

	if (control_placement == CONTROL_IF_FREE && (result == -EADDRINUSE || result == -EPERM))
		result = create(control, name, domain, false, &facts);
	if (result)
		return result;
	memset(ret_trace, 0, sizeof(*ret_trace));
	ret_trace->generation = facts.number[TRACEBUF_A_GENERATION];
	ret_trace->slot = (uint32_t) facts.number[TRACEBUF_A_SLOT];
	snprintf(ret_trace->name, sizeof(ret_trace->name), "%s", name);
	snprintf(ret_trace->directory, sizeof(ret_trace->directory), "%.90s", facts.text[TRACEBUF_A_DIRECTORY]);
	return 0;
}

static int prepare(struct control *control, const struct control_trace *trace, const struct tracebuf_channel *channel)
{
	struct control_request request;
	int result;

	control_begin(&request, TRACEBUF_CMD_CHANNEL_SET);
	control_put_u64(&request, TRACEBUF_A_GENERATION, trace->generation);
	control_put_u32(&request, TRACEBUF_A_CHANNEL, 0);
	control_put(&request, TRACEBUF_A_CHANNEL_CONFIG, channel, sizeof(*channel));
	result = control_send(control, &request, NULL);
	if (result)
		return result;
	control_begin(&request, TRACEBUF_CMD_RULES_SET);
	control_put_u64(&request, TRACEBUF_A_GENERATION, trace->generation);
	control_put_rule(&request, 0, true, "*");
	result = control_send(control, &request, NULL);
	return result ? result : control_simple(control, TRACEBUF_CMD_TRACE_START, trace->generation);
}

int control_make(struct control *control, const char *name, const char *domain, const struct tracebuf_channel *channel,
		 struct control_trace *ret_trace)
{
	uint64_t end = now_ms() + 5000;
	int result;

	while ((result = control_create(control, name, domain, ret_trace)) == -EAGAIN && now_ms() < end)
		sleep_ms(20);
	if (!result)
		result = prepare(control, ret_trace, channel);
	if (result)
		tb_note("trace %s: %d %s", name, result, control->reason);
	return result;
}

int control_destroy(struct control *control, const struct control_trace *trace)
{
	return control_simple(control, TRACEBUF_CMD_TRACE_DESTROY, trace->generation);
}

int control_flush(struct control *control, const struct control_trace *trace)
{
	int result = control_simple(control, TRACEBUF_CMD_TRACE_SHOW, trace->generation);

	return result ? result : control_simple(control, TRACEBUF_CMD_STATEDUMP, trace->generation);
}

uint64_t control_status(struct control *control, unsigned int attribute)
{
	struct control_request request;
	struct control_facts facts = { 0 };

	control_begin(&request, TRACEBUF_CMD_STATUS_GET);
	return control_send(control, &request, &facts) ? 0 : facts.number[attribute];
}

bool control_settles(struct control *control, unsigned int attribute, uint64_t expected)
{
	uint64_t end = now_ms() + 20000;

	while (control_status(control, attribute) != expected && now_ms() < end)
		sleep_ms(10);
	return control_status(control, attribute) == expected;
}
