// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading, unloading, parameters.
 *
 * The parts are made in the order in which they need each other, what user space can reach last; they go in the other
 * order. Unloading begins when nothing refers to the module any more: no open file, no mapping, no trace, no process.
 */
#include <linux/module.h>

#include "tracebuf.h"

#ifndef TB_VERSION
#define TB_VERSION "0"
#endif

DEFINE_MUTEX(tb_lock);
struct workqueue_struct *tb_wq, *tb_dump_wq;

unsigned long tb_max_pages;
module_param_named(max_pages, tb_max_pages, ulong, 0644);
MODULE_PARM_DESC(max_pages, "pages in all (at load 0: a quarter of memory)");

unsigned long tb_max_user_pages;
module_param_named(max_user_pages, tb_max_user_pages, ulong, 0644);
MODULE_PARM_DESC(max_user_pages, "pages of one user without CAP_SYS_RESOURCE (at load 0: an eighth of memory)");

unsigned int tb_max_processes = 16384;
module_param_named(max_processes, tb_max_processes, uint, 0644);
MODULE_PARM_DESC(max_processes, "processes that can be traced at one time (default 16384)");

unsigned int tb_max_user_traces = TRACEBUF_NR_SLOTS / 2;
module_param_named(max_user_traces, tb_max_user_traces, uint, 0644);
MODULE_PARM_DESC(max_user_traces, "traces of one user without CAP_SYS_RESOURCE (default 8)");

unsigned int tb_max_user_processes = 8192;
module_param_named(max_user_processes, tb_max_user_processes, uint, 0644);
MODULE_PARM_DESC(max_user_processes, "processes of one user without CAP_SYS_RESOURCE (default 8192)");

unsigned int tb_max_user_events = TRACEBUF_MAX_EVENT_ID / 2;
module_param_named(max_user_events, tb_max_user_events, uint, 0644);
MODULE_PARM_DESC(max_user_events, "different events of one user without CAP_SYS_RESOURCE (default 32768)");

static int __init init_tracebuf(void)
{
	int err;

	if (!tb_max_pages)
		tb_max_pages = totalram_pages() / 4;
	if (!tb_max_user_pages)
		tb_max_user_pages = totalram_pages() / 8;
	tb_wq = alloc_workqueue("tracebuf", WQ_UNBOUND, 0);
	if (!tb_wq)
		return -ENOMEM;
	tb_dump_wq = alloc_workqueue("tracebuf_dump", WQ_UNBOUND, 2);
	err = tb_dump_wq ? tb_objects_init() : -ENOMEM;
	if (err)
		goto destroy_wq;
	err = tb_region_init();
	if (err)
		goto exit_objects;
	err = tb_traces_init();
	if (err)
		goto exit_region;
	err = tb_debugfs_init();
	if (err)
		goto exit_traces;
	err = tb_netlink_init();
	if (err)
		goto exit_debugfs;
	err = tb_device_init();
	if (err)
		goto exit_netlink;
	return 0;

exit_netlink:
	tb_netlink_exit();
exit_debugfs:
	tb_debugfs_exit();
exit_traces:
	tb_traces_exit();
	tb_events_exit();
exit_region:
	tb_region_exit();
exit_objects:
	tb_objects_exit();
destroy_wq:
	if (tb_dump_wq)
		destroy_workqueue(tb_dump_wq);
	destroy_workqueue(tb_wq);
	return err;
}

/* What is still queued finds nothing left to do, but it must have run before its code goes. */
static void __exit exit_tracebuf(void)
{
	tb_device_exit();
	tb_netlink_exit();
	destroy_workqueue(tb_dump_wq);
	destroy_workqueue(tb_wq);
	tb_debugfs_exit();
	tb_traces_exit();
	tb_events_exit();
	tb_region_exit();
	tb_objects_exit();
}

module_init(init_tracebuf);
module_exit(exit_tracebuf);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Pages for user-space tracing that outlive the process and the kernel");
MODULE_VERSION(TB_VERSION);
