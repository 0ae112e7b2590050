/* SPDX-License-Identifier: MIT */
#ifndef TB_KERNEL_DEVICE_H
#define TB_KERNEL_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

/* /dev/tracebuf in single steps, each of which may be done wrong. Results: 0 or a descriptor, or -errno. */

/* Is there no module? The case then skips and returns. */
bool device_is_missing(void);
/* Opened and fresh. */
int device_open(void);
int device_call(int fd, unsigned long number, void *arg);
/* For as long as the program lives: every user may open the device. */
void device_open_to_all(void);

/* A new descriptor, fresh or bound. */
int device_register(const char *domain, struct tracebuf_ioc_register *ret_arg);
int device_self(void);
int device_ring(uint64_t generation, unsigned int ring_set, unsigned int cpu, struct tracebuf_ioc_ring *ret_arg);
int device_open_process(const char *name);
int device_open_ring(uint64_t generation, const char *name);
/* With a fresh descriptor of their own. */
int device_switch(uint32_t instance);
int device_wait(uint32_t instance, uint64_t seq, uint32_t timeout_ms);
/* On one opened to read a ring. */
int device_get(int fd, struct tracebuf_ioc_get *ret_arg);
int device_put(int fd, uint64_t consumed);
int device_release(int fd);

/* mmap(MAP_SHARED); and with any flags. */
int device_map(int fd, uint64_t offset, size_t size, int prot, void *ret_address);
int device_map_as(int fd, uint64_t offset, size_t size, int prot, int flags, void *ret_address);

/* The module of the test's machine. The device it makes is root's alone. 0 or -errno. */
#define DEVICE_MODULE "/tracebuf.ko"
int device_load_module(const char *parameters);
int device_unload_module(void);
/* Its parameter region. false: it has none. */
#define DEVICE_REGION_SIZE 64
bool device_has_region(char region[DEVICE_REGION_SIZE]);

/* Names of files: see struct tracebuf_ioc_open. */
void device_process_name(char name[96], const struct tracebuf_ioc_register *process);
void device_ring_name(char name[96], const struct tracebuf_ioc_register *process, const struct tracebuf_ioc_ring *ring);

#endif
