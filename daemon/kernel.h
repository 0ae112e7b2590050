/* SPDX-License-Identifier: MIT */
#ifndef TB_DAEMON_KERNEL_H
#define TB_DAEMON_KERNEL_H

#include <limits.h>
#include "home.h"
#include "netlink.h"

/* What the parts of the kernel home share. */
struct tb_kernel {
	struct tb_netlink netlink;
	char domain[TB_RUNDIR_SIZE];		/* of the processes that we see: libtracebuf/rundir.h */
	bool rseq_works;
	/* Its files and directories are reached below debugfs's tracebuf/; else by the device, -1. */
	int debugfs_fd;
	bool maps;				/* a file of it has been mapped: debugfs lets us */
	char debugfs[PATH_MAX];
};

/* kernel_files.c: what is reached as a file. Finds debugfs, watches its process files if it can be used. */
void tb_kernel_find_debugfs(struct tb_daemon *daemon);
int tb_kernel_watch(struct tb_recording *recording);
int tb_kernel_open_process(struct tb_daemon *daemon, const char *name, uint64_t *ret_size);
bool tb_kernel_keeps_process(struct tb_process *process);
int tb_kernel_open_ring(struct tb_drain *drain);
bool tb_kernel_has_ring(const struct tb_recording *recording, const char *name);
int tb_kernel_put(struct tb_drain *drain, uint64_t consumed);
void tb_kernel_remove_ring(const struct tb_recording *recording, const char *name, int fd);

/* kernel_news.c: what there is, and what is new. */
int tb_kernel_list_processes(struct tb_daemon *daemon);
int tb_kernel_list_rings(struct tb_recording *recording);
void tb_kernel_read_news(struct tb_daemon *daemon);

#endif
