/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that the module is built for, Linux 6.1 and later: the only file with conditions on
 * kernel versions. Names here are those of the newest kernel, or begin with tb_compat_ where there is no such name.
 */
#ifndef TB_KMOD_COMPAT_H
#define TB_KMOD_COMPAT_H

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/version.h>
#include <net/genetlink.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "tracebuf needs Linux 6.1 or later"
#endif
#if !defined(CONFIG_64BIT) || !defined(CONFIG_MMU) || defined(__BIG_ENDIAN)
#error "tracebuf needs a 64-bit, little-endian kernel with an MMU"
#endif

/* Of a mapping that is just being made. */
static inline void tb_compat_vm_flags_mod(struct vm_area_struct *vma, unsigned long set, unsigned long clear)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#else
	vm_flags_mod(vma, set, clear);
#endif
}

/* The program that mm executes, a reference; NULL: none, or it is just going. get_mm_exe_file() is not exported. */
static inline struct file *tb_compat_exe_file(struct mm_struct *mm)
{
	struct file *file;

	rcu_read_lock();
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	file = rcu_dereference(mm->exe_file);
	if (file && !get_file_rcu(file))
		file = NULL;
#else
	file = get_file_rcu(&mm->exe_file);
#endif
	rcu_read_unlock();
	return file;
}

/* The path by which a file was opened; that of a stacked file system, where f_path may be the one below it. */
static inline const struct path *tb_compat_file_path(struct file *file)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	return &file->f_path;
#else
	return file_user_path(file);
#endif
}

/* Memory that was reserved under a name at boot: reserve_mem= came with 6.12. -ENOENT, -EOPNOTSUPP. */
static inline int tb_compat_find_reserved(const char *name, u64 *ret_physical, u64 *ret_size)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	return -EOPNOTSUPP;
#else
	return reserve_mem_find_by_name(name, ret_physical, ret_size) ? 0 : -ENOENT;
#endif
}

/* What a dump's request carried. */
static inline struct nlattr **tb_compat_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	return genl_dumpit_info(cb)->attrs;
#else
	return genl_info_dump(cb)->attrs;
#endif
}

#endif
