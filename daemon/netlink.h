/* SPDX-License-Identifier: MIT */
#ifndef TB_NETLINK_H
#define TB_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

#define TB_NETLINK_ERROR_SIZE 160

/* The generic netlink family of tracebuf.ko: a socket for requests, another for notifications. */
struct tb_netlink {
	struct mnl_socket *socket, *news;
	uint16_t family;
	uint32_t group, seq;
	char error[TB_NETLINK_ERROR_SIZE];	/* what the kernel said of the last call that failed; may be empty */
};

/* A message's attributes by type, NULL where there is none; each has its type's size, texts end in a NUL. */
struct tb_netlink_attributes {
	const struct nlattr *at[TRACEBUF_A_END];
};

/* 0, -ENOENT (there is no such family: the module is not loaded), -errno. On failure all is closed. */
int tb_netlink_open(struct tb_netlink *netlink);
void tb_netlink_close(struct tb_netlink *netlink);

/*
 * A request, to which attributes are added (mnl_attr_put_...) until tb_netlink_call() sends it and waits for the
 * answer. There is one at a time. each, if not NULL, gets every message of the answer; it must not make requests.
 * 0 or the kernel's -errno; -EINTR: a dump was not all of one time.
 */
struct nlmsghdr *tb_netlink_begin(struct tb_netlink *netlink, enum tracebuf_cmd cmd, bool dump);
int tb_netlink_call(struct tb_netlink *netlink,
		    void (*each)(void *data, const struct tb_netlink_attributes *attributes), void *data);
/* Can it take size more bytes of an attribute? */
bool tb_netlink_has_room(size_t size);

/* Notifications: only those of cmd; 0: all. 0 or -errno. */
int tb_netlink_choose_news(struct tb_netlink *netlink, enum tracebuf_cmd only);
/* Takes what has come, one parcel: 1, 0 (nothing has), -ENOBUFS (some were lost). Never blocks. */
int tb_netlink_take_news(struct tb_netlink *netlink);
/* Tells of each notification in the parcel that was taken last. */
void tb_netlink_each_news(struct tb_netlink *netlink,
			  void (*each)(void *data, enum tracebuf_cmd cmd, const struct tb_netlink_attributes *attributes),
			  void *data);

/* Values; 0 and "" where the attribute is missing. */
uint64_t tb_netlink_u64(const struct tb_netlink_attributes *attributes, enum tracebuf_attribute type);
uint32_t tb_netlink_u32(const struct tb_netlink_attributes *attributes, enum tracebuf_attribute type);
const char *tb_netlink_text(const struct tb_netlink_attributes *attributes, enum tracebuf_attribute type);

#endif
