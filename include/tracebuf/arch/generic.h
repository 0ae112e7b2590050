/* SPDX-License-Identifier: MIT */
/* Where there is no restartable sequence of our own: everything takes the slow path. */
#ifndef TRACEBUF_ARCH_GENERIC_H
#define TRACEBUF_ARCH_GENERIC_H

static inline int tracebuf__commit_short(const struct tracebuf_enable *enable, const uint64_t *words, size_t size)
{
	(void) enable;
	(void) words;
	(void) size;
	return 0;
}

#endif /* TRACEBUF_ARCH_GENERIC_H */
