/* SPDX-License-Identifier: MIT */
/*
 * Talking with tracebuf.ko by generic netlink, over libmnl.
 *
 * Invariant: an attribute that is handed on has the size of its type. A request is answered before the next one is
 * made; notifications come by a socket of their own, so that an answer never waits behind them.
 */
#define _GNU_SOURCE
#include "netlink.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* All rules of a trace fit in: TRACEBUF_RULES_SIZE of them, each at least 8 bytes, with an attribute's header. */
#define REQUEST_SIZE 131072
#define ANSWER_SIZE 65536
/* Notifications that may wait for us. */
#define NEWS_SIZE (8 << 20)

static char request[REQUEST_SIZE] __attribute__((aligned(8)));
static char answer[ANSWER_SIZE] __attribute__((aligned(8)));
static char news[ANSWER_SIZE] __attribute__((aligned(8)));
static size_t news_size;

struct call {
	struct tb_netlink *netlink;
	void (*take)(struct call *call, const struct nlmsghdr *message);
	bool interrupted;
	void (*each)(void *data, const struct tb_netlink_attributes *attributes);
	void *data;
};

static enum mnl_attr_data_type type_of(uint16_t attribute)
{
	switch (attribute) {
	case TRACEBUF_A_NAME:
	case TRACEBUF_A_DOMAIN:
	case TRACEBUF_A_DIRECTORY:
	case TRACEBUF_A_FILE_NAME:
		return MNL_TYPE_NUL_STRING;
	case TRACEBUF_A_GENERATION:
	case TRACEBUF_A_FREQUENCY:
	case TRACEBUF_A_NR_RINGS:
	case TRACEBUF_A_NR_PAGES:
	case TRACEBUF_A_MAX_PAGES:
	case TRACEBUF_A_MAX_USER_PAGES:
	case TRACEBUF_A_NR_PROCESSES:
	case TRACEBUF_A_MAX_PROCESSES:
	case TRACEBUF_A_DISCARDED:
	case TRACEBUF_A_NR_REGION_PAGES:
	case TRACEBUF_A_MAX_REGION_PAGES:
		return MNL_TYPE_U64;
	case TRACEBUF_A_SLOT:
	case TRACEBUF_A_CLOCK:
	case TRACEBUF_A_RSEQ_WORKS:
	case TRACEBUF_A_CHANNEL:
	case TRACEBUF_A_ACTIVE:
	case TRACEBUF_A_UID:
	case TRACEBUF_A_IS_GONE:
	case TRACEBUF_A_IS_SHOWN:
	case TRACEBUF_A_PERSISTENT:
	case TRACEBUF_A_DAEMON:
		return MNL_TYPE_U32;
	default:
		return MNL_TYPE_UNSPEC;
	}
}

static int take_attribute(const struct nlattr *attribute, void *data)
{
	struct tb_netlink_attributes *attributes = data;
	uint16_t type = mnl_attr_get_type(attribute);

	if (type < TRACEBUF_A_END && mnl_attr_validate(attribute, type_of(type)) >= 0)
		attributes->at[type] = attribute;
	return MNL_CB_OK;
}

static void take_attributes(const struct nlmsghdr *message, struct tb_netlink_attributes *attributes)
{
	memset(attributes, 0, sizeof(*attributes));
	mnl_attr_parse(message, sizeof(struct genlmsghdr), take_attribute, attributes);
}

uint64_t tb_netlink_u64(const struct tb_netlink_attributes *attributes, enum tracebuf_attribute type)
{
	return attributes->at[type] ? mnl_attr_get_u64(attributes->at[type]) : 0;
}

uint32_t tb_netlink_u32(const struct tb_netlink_attributes *attributes, enum tracebuf_attribute type)
{
	return attributes->at[type] ? mnl_attr_get_u32(attributes->at[type]) : 0;
}

const char *tb_netlink_text(const struct tb_netlink_attributes *attributes, enum tracebuf_attribute type)
{
	return attributes->at[type] ? mnl_attr_get_str(attributes->at[type]) : "";
}

static struct nlmsghdr *begin(struct tb_netlink *netlink, uint16_t family, uint8_t cmd, uint8_t version, uint16_t flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(request);
	struct genlmsghdr *generic;

	message->nlmsg_type = family;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = ++netlink->seq;
	generic = mnl_nlmsg_put_extra_header(message, sizeof(*generic));
	generic->cmd = cmd;
	generic->version = version;
	return message;
}

struct nlmsghdr *tb_netlink_begin(struct tb_netlink *netlink, enum tracebuf_cmd cmd, bool dump)
{
	return begin(netlink, netlink->family, cmd, TRACEBUF_GENL_VERSION, dump ? NLM_F_DUMP : NLM_F_ACK);
}

bool tb_netlink_has_room(size_t size)
{
	const struct nlmsghdr *message = (const void *) request;

	return message->nlmsg_len + MNL_ALIGN(size) + 64 <= sizeof(request);
}

static int take_words(const struct nlattr *attribute, void *data)
{
	struct tb_netlink *netlink = data;

	if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
		snprintf(netlink->error, sizeof(netlink->error), "%s", mnl_attr_get_str(attribute));
	return MNL_CB_OK;
}

/* The end of an answer: of a dump, an acknowledgement, an error. 0 or -errno. */
static int take_end(struct tb_netlink *netlink, const struct nlmsghdr *message)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);
	size_t size = message->nlmsg_type == NLMSG_DONE ? sizeof(error->error) : sizeof(*error);

	if (mnl_nlmsg_get_payload_len(message) < size)
		return message->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
	if (message->nlmsg_flags & NLM_F_ACK_TLVS)
		mnl_attr_parse(message, size, take_words, netlink);
	return error->error < 0 ? error->error : 0;
}

/* What has come of the answer, in one parcel. 1: there is more, 0 or -errno: that was all. */
static int take_parcel(struct call *call, size_t size)
{
	const struct nlmsghdr *message = (const void *) answer;
	int left = size;

	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
		if (message->nlmsg_seq != call->netlink->seq)
			continue;
		call->interrupted |= message->nlmsg_flags & NLM_F_DUMP_INTR;
		if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
			int ret = take_end(call->netlink, message);

			return !ret && call->interrupted ? -EINTR : ret;
		}
		if (message->nlmsg_type >= NLMSG_MIN_TYPE)
			call->take(call, message);
	}
	return 1;
}

static int run(struct call *call)
{
	const struct nlmsghdr *message = (const void *) request;
	ssize_t got;
	int ret = 1;

	call->netlink->error[0] = '\0';
	if (mnl_socket_sendto(call->netlink->socket, message, message->nlmsg_len) < 0)
		return -errno;
	while (ret > 0) {
		got = mnl_socket_recvfrom(call->netlink->socket, answer, sizeof(answer));
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got >= 0)
			ret = take_parcel(call, got);
	}
	return ret;
}

static void take_message(struct call *call, const struct nlmsghdr *message)
{
	struct tb_netlink_attributes attributes;

	take_attributes(message, &attributes);
	if (call->each)
		call->each(call->data, &attributes);
}

int tb_netlink_call(struct tb_netlink *netlink,
		    void (*each)(void *data, const struct tb_netlink_attributes *attributes), void *data)
{
	struct call call = { .netlink = netlink, .take = take_message, .each = each, .data = data };

	return run(&call);
}

static int take_group(const struct nlattr *attribute, void *data)
{
	struct tb_netlink *netlink = data;
	const char *name = "";
	const struct nlattr *part;
	uint32_t id = 0;

	mnl_attr_for_each_nested(part, attribute) {
		if (mnl_attr_get_type(part) == CTRL_ATTR_MCAST_GRP_NAME && mnl_attr_validate(part, MNL_TYPE_NUL_STRING) >= 0)
			name = mnl_attr_get_str(part);
		if (mnl_attr_get_type(part) == CTRL_ATTR_MCAST_GRP_ID && mnl_attr_validate(part, MNL_TYPE_U32) >= 0)
			id = mnl_attr_get_u32(part);
	}
	if (!strcmp(name, TRACEBUF_GENL_GROUP))
		netlink->group = id;
	return MNL_CB_OK;
}

static int take_family_attribute(const struct nlattr *attribute, void *data)
{
	struct tb_netlink *netlink = data;

	if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID && mnl_attr_validate(attribute, MNL_TYPE_U16) >= 0)
		netlink->family = mnl_attr_get_u16(attribute);
	if (mnl_attr_get_type(attribute) == CTRL_ATTR_MCAST_GROUPS)
		mnl_attr_parse_nested(attribute, take_group, netlink);
	return MNL_CB_OK;
}

static void take_family(struct call *call, const struct nlmsghdr *message)
{
	mnl_attr_parse(message, sizeof(struct genlmsghdr), take_family_attribute, call->netlink);
}

static int find_family(struct tb_netlink *netlink)
{
	struct nlmsghdr *message = begin(netlink, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, NLM_F_ACK);
	struct call call = { .netlink = netlink, .take = take_family };
	int ret;

	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, TRACEBUF_GENL_NAME);
	ret = run(&call);
	if (ret)
		return ret;
	return netlink->family && netlink->group ? 0 : -EPROTO;
}

static struct mnl_socket *open_socket(int flags)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC | flags);

	if (socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int error = errno;

		mnl_socket_close(socket);
		errno = error;
		return NULL;
	}
	return socket;
}

static int listen_to_news(struct tb_netlink *netlink)
{
	int size = NEWS_SIZE, fd;

	netlink->news = open_socket(SOCK_NONBLOCK);
	if (!netlink->news)
		return -errno;
	fd = mnl_socket_get_fd(netlink->news);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (mnl_socket_setsockopt(netlink->news, NETLINK_ADD_MEMBERSHIP, &netlink->group, sizeof(netlink->group)) < 0)
		return -errno;
	return 0;
}

int tb_netlink_open(struct tb_netlink *netlink)
{
	int yes = 1, ret;

	memset(netlink, 0, sizeof(*netlink));
	netlink->seq = time(NULL);
	netlink->socket = open_socket(0);
	if (!netlink->socket)
		return -errno;
	mnl_socket_setsockopt(netlink->socket, NETLINK_EXT_ACK, &yes, sizeof(yes));
	mnl_socket_setsockopt(netlink->socket, NETLINK_CAP_ACK, &yes, sizeof(yes));
	ret = find_family(netlink);
	if (!ret)
		ret = listen_to_news(netlink);
	if (ret)
		tb_netlink_close(netlink);
	return ret;
}

void tb_netlink_close(struct tb_netlink *netlink)
{
	if (netlink->socket)
		mnl_socket_close(netlink->socket);
	if (netlink->news)
		mnl_socket_close(netlink->news);
	netlink->socket = netlink->news = NULL;
}

int tb_netlink_choose_news(struct tb_netlink *netlink, enum tracebuf_cmd only)
{
	/* The generic header's first byte is the command. */
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, sizeof(struct nlmsghdr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, only, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };
	int fd = mnl_socket_get_fd(netlink->news), unused = 0;

	if (only)
		return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
	return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)) && errno != ENOENT ? -errno : 0;
}

int tb_netlink_take_news(struct tb_netlink *netlink)
{
	ssize_t got;

	do {
		got = mnl_socket_recvfrom(netlink->news, news, sizeof(news));
	} while (got < 0 && errno == EINTR);
	news_size = got > 0 ? got : 0;
	if (got < 0 && (errno == ENOBUFS || errno == ENOSPC))
		return -ENOBUFS;
	return got > 0;
}

void tb_netlink_each_news(struct tb_netlink *netlink,
			  void (*each)(void *data, enum tracebuf_cmd cmd, const struct tb_netlink_attributes *attributes),
			  void *data)
{
	const struct nlmsghdr *message = (const void *) news;
	int left = news_size;

	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
		const struct genlmsghdr *generic = mnl_nlmsg_get_payload(message);
		struct tb_netlink_attributes attributes;

		if (message->nlmsg_type != netlink->family || mnl_nlmsg_get_payload_len(message) < sizeof(*generic))
			continue;
		take_attributes(message, &attributes);
		each(data, generic->cmd, &attributes);
	}
}
