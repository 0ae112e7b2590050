/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that the module is built for, Linux 6.1 and later: the only file with conditions on
 * kernel versions. Names here are those of the newest kernel, or begin with tb_compat_ where there is no such name.
 */
#ifndef TB_KMOD_COMPAT_H
#define TB_KMOD_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>

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

#endif
