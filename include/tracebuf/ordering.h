/* SPDX-License-Identifier: MIT */
/*
 * The ordering vocabulary of tracebuf: every access to a word that another side writes goes by one of these, and its
 * comment names the partner. Nothing here is a lock.
 */
#ifndef TRACEBUF_ORDERING_H
#define TRACEBUF_ORDERING_H

/* A word that may change under us, once, with no order. */
#define tracebuf__load(ptr) __atomic_load_n((ptr), __ATOMIC_RELAXED)
#define tracebuf__store(ptr, value) __atomic_store_n((ptr), (value), __ATOMIC_RELAXED)

/* What the other side stored before its release is seen after our acquire. */
#define tracebuf__load_acquire(ptr) __atomic_load_n((ptr), __ATOMIC_ACQUIRE)
#define tracebuf__store_release(ptr, value) __atomic_store_n((ptr), (value), __ATOMIC_RELEASE)

/* Counters that several threads of one side raise. */
#define tracebuf__add(ptr, value) __atomic_fetch_add((ptr), (value), __ATOMIC_RELAXED)

/*
 * The seqlock in disguise of an overwritten ring. Writer: store position, tracebuf__order_stores, store into the
 * sub-buffer just entered. Reader: load the sub-buffer, tracebuf__order_loads, load position.
 */
#define tracebuf__order_stores() __atomic_thread_fence(__ATOMIC_RELEASE)
#define tracebuf__order_loads() __atomic_thread_fence(__ATOMIC_ACQUIRE)

#endif /* TRACEBUF_ORDERING_H */
