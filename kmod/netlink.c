// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family: how traces are controlled (include/tracebuf/abi.h).
 *
 * Invariant: a command changes a trace only if both who sends it and who opened the socket may, since a socket can be
 * handed to a program that writes to it unawares. Attributes are checked by a policy of each command: what it does not
 * know is refused. Commands run beside one another (parallel_ops); tb_lock orders what they do. The dumps are in
 * dump.c.
 */
#include <linux/slab.h>
#include <net/netlink.h>
#include <net/sock.h>
#include "netlink.h"

static const struct nla_policy no_policy[TRACEBUF_A_PAD + 1];

static const struct nla_policy trace_policy[TRACEBUF_A_GENERATION + 1] = {
	[TRACEBUF_A_GENERATION] = { .type = NLA_U64 },
};

static const struct nla_policy create_policy[TRACEBUF_A_DEVICE + 1] = {
	[TRACEBUF_A_NAME] = { .type = NLA_STRING, .len = TRACEBUF_NAME_SIZE - 1 },
	[TRACEBUF_A_UUID] = NLA_POLICY_EXACT_LEN(16),
	[TRACEBUF_A_DOMAIN] = { .type = NLA_STRING, .len = TRACEBUF_MAX_DOMAIN_SIZE },
	[TRACEBUF_A_CLOCK] = NLA_POLICY_RANGE(NLA_U32, TRACEBUF_CLOCK_TSC, TRACEBUF_CLOCK_COUNTER),
	[TRACEBUF_A_FREQUENCY] = { .type = NLA_U64 },
	[TRACEBUF_A_RSEQ_WORKS] = NLA_POLICY_MAX(NLA_U32, 1),
	[TRACEBUF_A_BOOT_ID] = NLA_POLICY_EXACT_LEN(16),
	[TRACEBUF_A_PERSISTENT] = NLA_POLICY_RANGE(NLA_U32, 1, 1),
	[TRACEBUF_A_DEVICE] = { .type = NLA_U32 },
};

static const struct nla_policy channel_policy[TRACEBUF_A_CHANNEL_CONFIG + 1] = {
	[TRACEBUF_A_GENERATION] = { .type = NLA_U64 },
	[TRACEBUF_A_CHANNEL] = NLA_POLICY_MAX(NLA_U32, TRACEBUF_NR_CHANNELS - 1),
	[TRACEBUF_A_CHANNEL_CONFIG] = NLA_POLICY_EXACT_LEN(sizeof(struct tracebuf_channel)),
};

static const struct nla_policy rules_policy[TRACEBUF_A_RULE + 1] = {
	[TRACEBUF_A_GENERATION] = { .type = NLA_U64 },
	[TRACEBUF_A_RULE] = NLA_POLICY_MIN_LEN(sizeof(struct tracebuf_rule)),
};

/* ---- who may ---- */

bool tb_netlink_may(struct sk_buff *request, const struct tb_owner *owner)
{
	const struct file *file = tb_netlink_file(request);

	return file && (tb_cred_is_as_good(file->f_cred, owner->cred) ||
			file_ns_capable(file, owner->cred->user_ns, CAP_SYS_ADMIN)) && tb_may_access(owner);
}

const struct file *tb_netlink_file(struct sk_buff *request)
{
	const struct socket *socket = NETLINK_CB(request).sk->sk_socket;

	return socket ? socket->file : NULL;
}

static int require(struct genl_info *info, int type)
{
	if (!GENL_REQ_ATTR_CHECK(info, type))
		return 0;
	GENL_SET_ERR_MSG(info, "an attribute is missing");
	return -EINVAL;
}

/* The trace that the request names, if the caller may change it; else ERR_PTR. */
static struct tb_trace *find_trace(struct sk_buff *skb, struct genl_info *info)
{
	struct tb_trace *trace = tb_trace_find(nla_get_u64(info->attrs[TRACEBUF_A_GENERATION]));

	if (!trace) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[TRACEBUF_A_GENERATION],
				    "no trace has this generation");
		return ERR_PTR(-ENOENT);
	}
	if (!tb_netlink_may(skb, &trace->owner)) {
		GENL_SET_ERR_MSG(info, "the trace is another user's");
		return ERR_PTR(-EPERM);
	}
	return trace;
}

/* The same with tb_lock, which is held afterwards if and only if there is no error. */
static struct tb_trace *lock_trace(struct sk_buff *skb, struct genl_info *info)
{
	int ret = require(info, TRACEBUF_A_GENERATION);
	struct tb_trace *trace;

	if (ret)
		return ERR_PTR(ret);
	mutex_lock(&tb_lock);
	trace = find_trace(skb, info);
	if (IS_ERR(trace))
		mutex_unlock(&tb_lock);
	return trace;
}

/* ---- making a trace ---- */

/* Copies a text; one with a NUL inside is none. to: room for all that the policy lets through. */
static int get_text(struct genl_info *info, int type, char *to, size_t size)
{
	const struct nlattr *attr = info->attrs[type];
	size_t length = nla_len(attr);

	if (length && !((const char *)nla_data(attr))[length - 1])
		length--;
	if (nla_strscpy(to, attr, size) == length && strlen(to) == length)
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, attr, "not a text");
	return -EINVAL;
}

static int check_create(struct genl_info *info)
{
	int ret = require(info, TRACEBUF_A_NAME);

	ret = ret ?: require(info, TRACEBUF_A_UUID);
	ret = ret ?: require(info, TRACEBUF_A_CLOCK);
	ret = ret ?: require(info, TRACEBUF_A_FREQUENCY);
	return ret ?: require(info, TRACEBUF_A_RSEQ_WORKS);
}

static void explain_create(struct genl_info *info, int error)
{
	switch (error) {
	case -EUSERS:
		GENL_SET_ERR_MSG(info, "there are 16 traces already");
		break;
	case -EDQUOT:
		GENL_SET_ERR_MSG(info, "the user has as many traces as max_user_traces allows");
		break;
	case -EAGAIN:
		GENL_SET_ERR_MSG(info, "the free slots rest for a moment after their last trace");
		break;
	case -EBUSY:
		GENL_SET_ERR_MSG(info, "there are traces with another clock");
		break;
	case -ENXIO:
		GENL_SET_ERR_MSG(info, "the module has no region to keep a trace in");
		break;
	case -EADDRINUSE:
		GENL_SET_ERR_MSG(info, "another trace is kept in the region");
		break;
	case -EINVAL:
		GENL_SET_ERR_MSG(info, "name, domain or frequency is not one");
		break;
	}
}

/* Who sends it may trace programs at all: by its capability, or because it could open the device. */
static int check_access(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *device = info->attrs[TRACEBUF_A_DEVICE];

	if (netlink_capable(skb, CAP_SYS_ADMIN) || (device && tb_device_is_open(nla_get_u32(device))))
		return 0;
	GENL_SET_ERR_MSG(info, "wants an open descriptor of " TRACEBUF_DEVICE);
	return -EACCES;
}

static int put_created(struct sk_buff *reply, const struct tb_trace *trace)
{
	if (nla_put_u64_64bit(reply, TRACEBUF_A_GENERATION, trace->generation, TRACEBUF_A_PAD) ||
	    nla_put_u32(reply, TRACEBUF_A_SLOT, trace->slot) ||
	    nla_put_string(reply, TRACEBUF_A_DIRECTORY, trace->directory))
		return -EMSGSIZE;
	return 0;
}

/* Makes the trace and tells in reply. */
static int create(struct genl_info *info, const struct tb_trace_request *request, struct sk_buff *reply)
{
	struct tb_trace *trace;
	int ret;

	mutex_lock(&tb_lock);
	ret = tb_trace_create(request, &trace);
	if (ret) {
		explain_create(info, ret);
	} else {
		ret = put_created(reply, trace);
		if (ret)
			tb_trace_destroy(trace);
	}
	mutex_unlock(&tb_lock);
	return ret;
}

static struct sk_buff *new_reply(struct genl_info *info, void **ret_head)
{
	struct sk_buff *reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);

	*ret_head = reply ? genlmsg_put_reply(reply, info, &tb_netlink_family, 0, info->genlhdr->cmd) : NULL;
	if (*ret_head)
		return reply;
	nlmsg_free(reply);
	return NULL;
}

static int finish_reply(struct genl_info *info, struct sk_buff *reply, void *head, int error)
{
	if (error) {
		nlmsg_free(reply);
		return error;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

static int do_create(struct sk_buff *skb, struct genl_info *info)
{
	char name[TRACEBUF_NAME_SIZE], domain[TRACEBUF_MAX_DOMAIN_SIZE + 1] = "";
	const struct nlattr *boot_id = info->attrs[TRACEBUF_A_BOOT_ID];
	const struct file *file = tb_netlink_file(skb);
	struct tb_trace_request request;
	struct sk_buff *reply;
	void *head;
	int ret = check_create(info);

	ret = ret ?: get_text(info, TRACEBUF_A_NAME, name, sizeof(name));
	if (!ret && info->attrs[TRACEBUF_A_DOMAIN])
		ret = get_text(info, TRACEBUF_A_DOMAIN, domain, sizeof(domain));
	if (ret)
		return ret;
	request = (struct tb_trace_request) {
		.name = name,
		.domain = domain,
		.uuid = nla_data(info->attrs[TRACEBUF_A_UUID]),
		.clock = nla_get_u32(info->attrs[TRACEBUF_A_CLOCK]),
		.frequency = nla_get_u64(info->attrs[TRACEBUF_A_FREQUENCY]),
		.boot_id = boot_id ? nla_data(boot_id) : NULL,
		.rseq_works = nla_get_u32(info->attrs[TRACEBUF_A_RSEQ_WORKS]),
		.is_admin = netlink_ns_capable(skb, current_user_ns(), CAP_SYS_ADMIN),
		.is_persistent = info->attrs[TRACEBUF_A_PERSISTENT],
	};
	if (request.is_persistent && !netlink_capable(skb, CAP_SYS_ADMIN))
		return -EPERM;
	if (!file || (!request.is_admin && !uid_eq(file->f_cred->euid, current_euid())))
		return -EPERM;
	ret = check_access(skb, info);
	if (ret)
		return ret;
	reply = new_reply(info, &head);
	if (!reply)
		return -ENOMEM;
	return finish_reply(info, reply, head, create(info, &request, reply));
}

/* ---- changing one ---- */

static int do_change(struct sk_buff *skb, struct genl_info *info)
{
	struct tb_trace *trace = lock_trace(skb, info);
	int ret = 0;

	if (IS_ERR(trace))
		return PTR_ERR(trace);
	switch (info->genlhdr->cmd) {
	case TRACEBUF_CMD_TRACE_ADOPT:
		tb_trace_adopt(trace);
		break;
	case TRACEBUF_CMD_TRACE_START:
		ret = tb_trace_set_active(trace, true);
		break;
	case TRACEBUF_CMD_TRACE_STOP:
		ret = tb_trace_set_active(trace, false);
		break;
	case TRACEBUF_CMD_TRACE_DESTROY:
		tb_trace_destroy(trace);
		break;
	default:
		ret = -EOPNOTSUPP;
	}
	mutex_unlock(&tb_lock);
	return ret;
}

static int do_set_channel(struct sk_buff *skb, struct genl_info *info)
{
	struct tracebuf_channel config;
	struct tb_trace *trace;
	int ret = require(info, TRACEBUF_A_CHANNEL);

	ret = ret ?: require(info, TRACEBUF_A_CHANNEL_CONFIG);
	if (ret)
		return ret;
	memcpy(&config, nla_data(info->attrs[TRACEBUF_A_CHANNEL_CONFIG]), sizeof(config));
	trace = lock_trace(skb, info);
	if (IS_ERR(trace))
		return PTR_ERR(trace);
	ret = tb_trace_set_channel(trace, nla_get_u32(info->attrs[TRACEBUF_A_CHANNEL]), &config);
	mutex_unlock(&tb_lock);
	if (ret == -EINVAL)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[TRACEBUF_A_CHANNEL_CONFIG],
				    "not the next channel, or not a channel's configuration");
	else if (ret == -EBUSY)
		GENL_SET_ERR_MSG(info, "the trace is active");
	return ret;
}

/* Bytes of all rules of the request, or -errno. */
static int sum_rules(struct genl_info *info)
{
	const struct nlattr *attr;
	struct tracebuf_rule rule;
	int rest, size = 0;

	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rest) {
		if (nla_type(attr) != TRACEBUF_A_RULE)
			continue;
		memcpy(&rule, nla_data(attr), sizeof(rule));
		if (rule.size != nla_len(attr)) {
			NL_SET_ERR_MSG_ATTR(info->extack, attr, "the rule's size is not the attribute's");
			return -EINVAL;
		}
		size += rule.size;
		if (size > TRACEBUF_RULES_SIZE) {
			GENL_SET_ERR_MSG(info, "more rules than there is room for");
			return -ENOSPC;
		}
	}
	return size;
}

static void copy_rules(struct genl_info *info, void *to)
{
	const struct nlattr *attr;
	int rest;

	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rest) {
		if (nla_type(attr) != TRACEBUF_A_RULE)
			continue;
		memcpy(to, nla_data(attr), nla_len(attr));
		to += nla_len(attr);
	}
}

static int do_set_rules(struct sk_buff *skb, struct genl_info *info)
{
	struct tb_trace *trace;
	int size = sum_rules(info), ret;
	void *rules;

	if (size < 0)
		return size;
	rules = size ? kvmalloc(size, GFP_KERNEL_ACCOUNT) : NULL;
	if (size && !rules)
		return -ENOMEM;
	copy_rules(info, rules);
	trace = lock_trace(skb, info);
	if (IS_ERR(trace)) {
		kvfree(rules);
		return PTR_ERR(trace);
	}
	ret = tb_trace_set_rules(trace, rules, size);
	mutex_unlock(&tb_lock);
	if (!ret)
		return 0;
	kvfree(rules);
	if (ret == -EINVAL)
		GENL_SET_ERR_MSG(info, "a rule is not one");
	else
		GENL_SET_ERR_MSG(info, "too many patterns with a '*' before their end");
	return ret;
}

/* What is still queued must have happened first: a process that has just ended has left its rings by then. */
static int do_show(struct sk_buff *skb, struct genl_info *info)
{
	struct tb_trace *trace;
	struct tb_ring *ring;

	flush_workqueue(tb_wq);
	trace = lock_trace(skb, info);
	if (IS_ERR(trace))
		return PTR_ERR(trace);
	list_for_each_entry(ring, &trace->rings, of_trace)
		if (!ring->shown)
			tb_ring_show(ring);
	mutex_unlock(&tb_lock);
	return 0;
}

static int do_statedump(struct sk_buff *skb, struct genl_info *info)
{
	struct tb_trace *trace = lock_trace(skb, info);
	u64 generation;

	if (IS_ERR(trace))
		return PTR_ERR(trace);
	generation = trace->generation;
	mutex_unlock(&tb_lock);
	return tb_statedump_trace(generation);
}

/* ---- telling ---- */

static int do_get_status(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply;
	void *head;

	reply = new_reply(info, &head);
	if (!reply)
		return -ENOMEM;
	return finish_reply(info, reply, head, tb_netlink_put_status(reply));
}

static int put_notification(struct sk_buff *skb, enum tracebuf_cmd what, u64 generation, const char *name)
{
	bool is_trace = what == TRACEBUF_CMD_TRACE_NEW || what == TRACEBUF_CMD_TRACE_GONE;
	void *head = genlmsg_put(skb, 0, 0, &tb_netlink_family, 0, what);

	if (!head || (generation && nla_put_u64_64bit(skb, TRACEBUF_A_GENERATION, generation, TRACEBUF_A_PAD)) ||
	    nla_put_string(skb, is_trace ? TRACEBUF_A_NAME : TRACEBUF_A_FILE_NAME, name))
		return -EMSGSIZE;
	genlmsg_end(skb, head);
	return 0;
}

void tb_notify(enum tracebuf_cmd what, u64 generation, const char *name)
{
	struct sk_buff *skb;

	/* Of all network namespaces: netlink keeps one mask for them. */
	if (!genl_has_listeners(&tb_netlink_family, &init_net, 0))
		return;
	/* No larger than it must be: what a listener's socket can hold is counted by this. */
	skb = genlmsg_new(nla_total_size_64bit(sizeof(u64)) + nla_total_size(strlen(name) + 1), GFP_KERNEL);
	if (!skb || put_notification(skb, what, generation, name)) {
		nlmsg_free(skb);
		genl_set_err(&tb_netlink_family, &init_net, 0, 0, -ENOBUFS);
		return;
	}
	/* Who is not listening, or cannot take more, is told so by the socket. */
	rcu_read_lock();
	genlmsg_multicast_allns(&tb_netlink_family, skb, 0, 0);
	rcu_read_unlock();
}

#define OP(number, function, attributes) \
	{ .cmd = (number), .doit = (function), .policy = (attributes), .maxattr = ARRAY_SIZE(attributes) - 1 }
#define DUMP(number, function, attributes) \
	{ .cmd = (number), .dumpit = (function), .policy = (attributes), .maxattr = ARRAY_SIZE(attributes) - 1 }

static const struct genl_ops ops[] = {
	OP(TRACEBUF_CMD_TRACE_CREATE, do_create, create_policy),
	OP(TRACEBUF_CMD_TRACE_ADOPT, do_change, trace_policy),
	OP(TRACEBUF_CMD_CHANNEL_SET, do_set_channel, channel_policy),
	OP(TRACEBUF_CMD_RULES_SET, do_set_rules, rules_policy),
	OP(TRACEBUF_CMD_TRACE_START, do_change, trace_policy),
	OP(TRACEBUF_CMD_TRACE_STOP, do_change, trace_policy),
	OP(TRACEBUF_CMD_TRACE_DESTROY, do_change, trace_policy),
	OP(TRACEBUF_CMD_TRACE_SHOW, do_show, trace_policy),
	OP(TRACEBUF_CMD_STATEDUMP, do_statedump, trace_policy),
	DUMP(TRACEBUF_CMD_TRACE_GET, tb_netlink_dump_traces, no_policy),
	DUMP(TRACEBUF_CMD_PROCESS_GET, tb_netlink_dump_processes, no_policy),
	DUMP(TRACEBUF_CMD_RING_GET, tb_netlink_dump_rings, trace_policy),
	OP(TRACEBUF_CMD_STATUS_GET, do_get_status, no_policy),
};

static const struct genl_multicast_group groups[] = {
	{ .name = TRACEBUF_GENL_GROUP },
};

struct genl_family tb_netlink_family __ro_after_init = {
	.name = TRACEBUF_GENL_NAME,
	.version = TRACEBUF_GENL_VERSION,
	.module = THIS_MODULE,
	.netnsok = true,
	.parallel_ops = true,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

int tb_netlink_init(void)
{
	return genl_register_family(&tb_netlink_family);
}

void tb_netlink_exit(void)
{
	genl_unregister_family(&tb_netlink_family);
}
