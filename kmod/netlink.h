/* SPDX-License-Identifier: GPL-2.0-only */
/* What the two files of the netlink family know of each other. */
#ifndef TB_KMOD_NETLINK_H
#define TB_KMOD_NETLINK_H

#include <net/genetlink.h>
#include "tracebuf.h"

extern struct genl_family tb_netlink_family;

/* ---- netlink.c ---- */

/* May both who sends request, or receives its answer now, and who opened its socket, see what is owner's? */
bool tb_netlink_may(struct sk_buff *request, const struct tb_owner *owner);
/* The file of the socket that request came by; NULL: none. */
const struct file *tb_netlink_file(struct sk_buff *request);

/* ---- dump.c ---- */

int tb_netlink_dump_traces(struct sk_buff *skb, struct netlink_callback *cb);
int tb_netlink_dump_processes(struct sk_buff *skb, struct netlink_callback *cb);
int tb_netlink_dump_rings(struct sk_buff *skb, struct netlink_callback *cb);
int tb_netlink_put_status(struct sk_buff *skb);	/* 0, -EMSGSIZE */

#endif
