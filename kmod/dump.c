// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the netlink family tells: traces, processes, rings, and how much there is of all.
 *
 * A dump goes on over several messages, tb_lock given back in between. Invariant: it goes on behind the last one told
 * by a number that is never given twice (a slot, a process's serial, a ring's instance), so what stays all the while is
 * told once, whatever comes and goes.
 */
#include <net/netlink.h>
#include "netlink.h"

static int put_u64(struct sk_buff *skb, int type, u64 value)
{
	return nla_put_u64_64bit(skb, type, value, TRACEBUF_A_PAD);
}

/* In the namespace of who asks. */
static int put_uid(struct sk_buff *skb, struct netlink_callback *cb, kuid_t uid)
{
	const struct file *file = tb_netlink_file(cb->skb);

	return nla_put_u32(skb, TRACEBUF_A_UID, from_kuid_munged(file ? file->f_cred->user_ns : &init_user_ns, uid));
}

static void *begin(struct sk_buff *skb, struct netlink_callback *cb, enum tracebuf_cmd cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &tb_netlink_family, NLM_F_MULTI, cmd);
}

/* Ends the message, or takes back what there is of it. */
static int end(struct sk_buff *skb, void *head, bool is_whole)
{
	if (is_whole)
		genlmsg_end(skb, head);
	else
		genlmsg_cancel(skb, head);
	return is_whole ? 0 : -EMSGSIZE;
}

/* ---- traces ---- */

static int put_trace(struct sk_buff *skb, struct netlink_callback *cb, const struct tb_trace *trace)
{
	void *head = begin(skb, cb, TRACEBUF_CMD_TRACE_GET);
	u64 nr_rings = 0, nr_pages = 0;
	const struct tb_ring *ring;
	u8 uuid[16];

	if (!head)
		return -EMSGSIZE;
	tb_trace_uuid(trace, uuid);
	list_for_each_entry(ring, &trace->rings, of_trace) {
		nr_rings++;
		nr_pages += READ_ONCE(ring->object.pages.nr);
	}
	return end(skb, head, !put_u64(skb, TRACEBUF_A_GENERATION, trace->generation) &&
		   !nla_put_u32(skb, TRACEBUF_A_SLOT, trace->slot) &&
		   !nla_put_string(skb, TRACEBUF_A_NAME, trace->name) &&
		   !nla_put(skb, TRACEBUF_A_UUID, sizeof(uuid), uuid) &&
		   !nla_put_string(skb, TRACEBUF_A_DIRECTORY, trace->directory) &&
		   !nla_put_string(skb, TRACEBUF_A_DOMAIN, trace->domain) &&
		   !nla_put_u32(skb, TRACEBUF_A_ACTIVE, trace->active) && !put_uid(skb, cb, trace->owner.cred->euid) &&
		   !put_u64(skb, TRACEBUF_A_NR_RINGS, nr_rings) && !put_u64(skb, TRACEBUF_A_NR_PAGES, nr_pages) &&
		   (!tb_trace_has_daemon(trace) || !nla_put_u32(skb, TRACEBUF_A_DAEMON, pid_vnr(trace->daemon))) &&
		   (!trace->is_persistent || !nla_put_u32(skb, TRACEBUF_A_PERSISTENT, 1)));
}

/* args[0]: the slot to go on with. */
int tb_netlink_dump_traces(struct sk_buff *skb, struct netlink_callback *cb)
{
	mutex_lock(&tb_lock);
	for (; cb->args[0] < TRACEBUF_NR_SLOTS; cb->args[0]++) {
		const struct tb_trace *trace = tb_trace_in(cb->args[0]);

		if (trace && tb_netlink_may(cb->skb, &trace->owner) && put_trace(skb, cb, trace))
			break;
	}
	mutex_unlock(&tb_lock);
	return skb->len;
}

/* ---- processes ---- */

static int put_process(struct sk_buff *skb, struct netlink_callback *cb, const struct tb_process *process)
{
	void *head = begin(skb, cb, TRACEBUF_CMD_PROCESS_GET);
	u64 nr_rings = 0, nr_pages = READ_ONCE(process->object.pages.nr);
	const struct tb_ring *ring;

	if (!head)
		return -EMSGSIZE;
	list_for_each_entry(ring, &process->rings, of_process) {
		nr_rings++;
		nr_pages += READ_ONCE(ring->object.pages.nr);
	}
	return end(skb, head, !nla_put_string(skb, TRACEBUF_A_FILE_NAME, process->name) &&
		   !put_uid(skb, cb, process->owner.cred->euid) &&
		   !nla_put_string(skb, TRACEBUF_A_DOMAIN, process->domain) &&
		   !put_u64(skb, TRACEBUF_A_NR_RINGS, nr_rings) && !put_u64(skb, TRACEBUF_A_NR_PAGES, nr_pages) &&
		   !nla_put_u32(skb, TRACEBUF_A_IS_GONE, process->gone));
}

/* args[0]: the serial of the last one told. */
int tb_netlink_dump_processes(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct tb_process *process;

	mutex_lock(&tb_lock);
	list_for_each_entry(process, &tb_processes, list) {
		if (process->serial <= cb->args[0])
			continue;
		if (tb_netlink_may(cb->skb, &process->owner) && put_process(skb, cb, process))
			break;
		cb->args[0] = process->serial;
	}
	mutex_unlock(&tb_lock);
	return skb->len;
}

/* ---- rings ---- */

static int put_ring(struct sk_buff *skb, struct netlink_callback *cb, const struct tb_ring *ring)
{
	void *head = begin(skb, cb, TRACEBUF_CMD_RING_GET);

	if (!head)
		return -EMSGSIZE;
	return end(skb, head, !put_u64(skb, TRACEBUF_A_GENERATION, ring->generation) &&
		   !nla_put_string(skb, TRACEBUF_A_FILE_NAME, ring->name) &&
		   !put_u64(skb, TRACEBUF_A_NR_PAGES, READ_ONCE(ring->object.pages.nr)) &&
		   !nla_put_u32(skb, TRACEBUF_A_IS_GONE, ring->complete) &&
		   !nla_put_u32(skb, TRACEBUF_A_IS_SHOWN, ring->shown));
}

/* Who owns the trace sees its rings, and who may see the process. */
static bool may_see(struct netlink_callback *cb, const struct tb_ring *ring)
{
	return tb_netlink_may(cb->skb, &ring->process->owner) ||
	       (ring->trace && tb_netlink_may(cb->skb, &ring->trace->owner));
}

/* args[1]: the instance to go on with in the process of serial args[2]. generation: 0 is all. */
static int put_rings(struct sk_buff *skb, struct netlink_callback *cb, const struct tb_process *process,
		     u64 generation)
{
	const struct tb_ring *ring;

	if (cb->args[2] != process->serial) {
		cb->args[1] = 0;
		cb->args[2] = process->serial;
	}
	list_for_each_entry(ring, &process->rings, of_process) {
		if (ring->instance < cb->args[1])
			continue;
		if ((!generation || ring->generation == generation) && may_see(cb, ring) && put_ring(skb, cb, ring))
			return -EMSGSIZE;
		cb->args[1] = ring->instance + 1;
	}
	return 0;
}

/* args[0]: the serial of the last process that is done. */
int tb_netlink_dump_rings(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nlattr **attrs = tb_compat_dump_attrs(cb), *generation = attrs ? attrs[TRACEBUF_A_GENERATION] : NULL;
	const struct tb_process *process;

	mutex_lock(&tb_lock);
	list_for_each_entry(process, &tb_processes, list) {
		if (process->serial <= cb->args[0])
			continue;
		if (put_rings(skb, cb, process, generation ? nla_get_u64(generation) : 0))
			break;
		cb->args[0] = process->serial;
	}
	mutex_unlock(&tb_lock);
	return skb->len;
}

/* ---- all ---- */

static u64 count_rings(void)
{
	u64 nr = 0;

	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++)
		if (tb_trace_in(slot))
			nr += tb_trace_in(slot)->nr_rings;
	return nr;
}

int tb_netlink_put_status(struct sk_buff *skb)
{
	bool is_whole;

	mutex_lock(&tb_lock);
	is_whole = !nla_put_u32(skb, TRACEBUF_A_CLOCK, tb_trace_clock()) &&
		   !put_u64(skb, TRACEBUF_A_NR_PAGES, tb_pages_total()) &&
		   !put_u64(skb, TRACEBUF_A_MAX_PAGES, READ_ONCE(tb_max_pages)) &&
		   !put_u64(skb, TRACEBUF_A_MAX_USER_PAGES, READ_ONCE(tb_max_user_pages)) &&
		   !put_u64(skb, TRACEBUF_A_NR_PROCESSES, tb_nr_processes) &&
		   !put_u64(skb, TRACEBUF_A_MAX_PROCESSES, READ_ONCE(tb_max_processes)) &&
		   !put_u64(skb, TRACEBUF_A_NR_RINGS, count_rings()) &&
		   !put_u64(skb, TRACEBUF_A_DISCARDED, atomic64_read(&tb_nr_refused)) &&
		   (!tb_region_is_there() || (!put_u64(skb, TRACEBUF_A_NR_REGION_PAGES, tb_pool_used()) &&
					      !put_u64(skb, TRACEBUF_A_MAX_REGION_PAGES, tb_pool_size())));
	mutex_unlock(&tb_lock);
	return is_whole ? 0 : -EMSGSIZE;
}
