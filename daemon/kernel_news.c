/* SPDX-License-Identifier: MIT */
/*
 * What processes and rings the kernel has, and what changes.
 *
 * Invariant: a notification is looked at only after inotify was read to its end behind it, so that the file that it
 * speaks of is known by then. Lost notifications are made good by listing all there is.
 */
#include "kernel.h"
#include <string.h>
#include "discovery.h"
#include "process.h"

static struct tb_recording *find_recording(struct tb_daemon *daemon, uint64_t generation)
{
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (daemon->recording[i] && daemon->recording[i]->slot.generation == generation)
			return daemon->recording[i];
	return NULL;
}

static void process_listed(void *data, const struct tb_netlink_attributes *attributes)
{
	const char *name = tb_netlink_text(attributes, TRACEBUF_A_FILE_NAME);
	struct tb_daemon *daemon = data;
	struct tb_process *process;
	uint64_t incarnation;
	int32_t pid;

	if (strcmp(tb_netlink_text(attributes, TRACEBUF_A_DOMAIN), daemon->kernel->domain))
		return;
	tb_discovery_process_found(daemon, name);
	process = tb_process_name_parse(name, &pid, &incarnation) ? tb_process_find(daemon, pid, incarnation) : NULL;
	if (!process)
		return;
	process->listed = true;
	if (tb_netlink_u32(attributes, TRACEBUF_A_IS_GONE))
		tb_process_mark_dead(process);
}

int tb_kernel_list_processes(struct tb_daemon *daemon)
{
	struct tb_process *process;
	int ret;

	cds_list_for_each_entry(process, &daemon->processes, list)
		process->listed = false;
	tb_netlink_begin(&daemon->kernel->netlink, TRACEBUF_CMD_PROCESS_GET, true);
	ret = tb_netlink_call(&daemon->kernel->netlink, process_listed, daemon);
	if (ret)
		return ret;
	/* Those that went meanwhile. */
	cds_list_for_each_entry(process, &daemon->processes, list)
		if (!process->listed)
			tb_process_mark_dead(process);
	return 0;
}

static void ring_listed(void *data, const struct tb_netlink_attributes *attributes)
{
	struct tb_recording *recording = data;

	if (tb_netlink_u64(attributes, TRACEBUF_A_GENERATION) != recording->slot.generation)
		return;
	/* In debugfs it has no file yet; that will be told. */
	if (recording->daemon->kernel->debugfs_fd >= 0 && !tb_netlink_u32(attributes, TRACEBUF_A_IS_SHOWN))
		return;
	tb_discovery_ring_found(recording, tb_netlink_text(attributes, TRACEBUF_A_FILE_NAME));
}

int tb_kernel_list_rings(struct tb_recording *recording)
{
	struct tb_netlink *netlink = &recording->daemon->kernel->netlink;
	struct nlmsghdr *message = tb_netlink_begin(netlink, TRACEBUF_CMD_RING_GET, true);

	mnl_attr_put_u64(message, TRACEBUF_A_GENERATION, recording->slot.generation);
	return tb_netlink_call(netlink, ring_listed, recording);
}

static void news_came(void *data, enum tracebuf_cmd cmd, const struct tb_netlink_attributes *attributes)
{
	const char *name = tb_netlink_text(attributes, TRACEBUF_A_FILE_NAME);
	struct tb_recording *recording;
	struct tb_daemon *daemon = data;

	switch (cmd) {
	case TRACEBUF_CMD_PROCESS_NEW:
		tb_discovery_process_found(daemon, name);
		break;
	case TRACEBUF_CMD_PROCESS_CHANGED:
		tb_discovery_process_changed(daemon, name);
		break;
	case TRACEBUF_CMD_PROCESS_GONE:
		tb_discovery_process_gone(daemon, name);
		break;
	case TRACEBUF_CMD_RING_NEW:
	case TRACEBUF_CMD_RING_SWITCH:
		recording = find_recording(daemon, tb_netlink_u64(attributes, TRACEBUF_A_GENERATION));
		if (recording)
			tb_discovery_ring_found(recording, name);
		break;
	default:
		break;
	}
}

/*
 * Once some were lost, more go unsaid until the socket is empty: it tells of a loss only once up to then. So all there is
 * comes first, and what was lost is listed behind it.
 */
void tb_kernel_read_news(struct tb_daemon *daemon)
{
	struct tb_netlink *netlink = &daemon->kernel->netlink;
	bool lost;
	int ret;

	do {
		lost = false;
		while ((ret = tb_netlink_take_news(netlink))) {
			tb_discovery_read_inotify(daemon);
			if (ret < 0)
				lost = true;
			else
				tb_netlink_each_news(netlink, news_came, daemon);
		}
		if (lost)
			tb_discovery_rescan(daemon);
	} while (lost);
}
