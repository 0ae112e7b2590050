/* SPDX-License-Identifier: MIT */
#ifndef TB_REGISTRY_H
#define TB_REGISTRY_H

#include <stdint.h>
#include <tracebuf/write.h>

/*
 * Makes this process, if it is a forked child that still shares its parent's process file, one of its own.
 * 0, -EBUSY (the registry is locked: a handler that interrupted it, or another thread), -errno. Any context.
 */
int tb_registry_adopt(void);

/*
 * Describes an event at run time. Its record, which lives as long as the process, or NULL with *ret_error -errno.
 * Not from signal handlers.
 */
const struct tracebuf_enable *tb_registry_describe(const char *name, const struct tracebuf__field *fields,
						   uint32_t nr_fields, uint32_t loglevel, int *ret_error);

/* The record of an event that was described at run time; NULL if id is none. Any context. */
const struct tracebuf_enable *tb_registry_record(int id);

/* Somebody uses the registry besides loaded objects: as many releases as holds. Not from signal handlers. */
void tb_registry_hold(void);
void tb_registry_release(void);

#endif
