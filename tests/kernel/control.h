/* SPDX-License-Identifier: MIT */
#ifndef TB_KERNEL_CONTROL_H
#define TB_KERNEL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracebuf/abi.h>

/* The netlink family in single steps, with no library in between: messages may be wrong in any way. */

struct control {
	int fd;
	uint16_t family;
	uint32_t group;			/* of the notifications */
	uint32_t sequence;
	char reason[128];		/* what the kernel said to the last error, or "" */
};

/* A request that is being made. */
struct control_request {
	uint32_t size;
	_Alignas(8) unsigned char bytes[65536];
};

/* What one message of the kernel says: a bit in has for each attribute. */
struct control_facts {
	unsigned int cmd;
	uint64_t has;
	uint64_t number[TRACEBUF_A_END];	/* u32 and u64 */
	char text[TRACEBUF_A_END][160];		/* strings and the uuid */
};

/* 0 or -errno; -ENOENT: no such family. */
int control_open(struct control *control);
void control_close(struct control *control);

void control_begin(struct control_request *request, unsigned int cmd);
void control_put(struct control_request *request, unsigned int attribute, const void *data, size_t size);
void control_put_u32(struct control_request *request, unsigned int attribute, uint32_t value);
void control_put_u64(struct control_request *request, unsigned int attribute, uint64_t value);
void control_put_text(struct control_request *request, unsigned int attribute, const char *text);
void control_put_rule(struct control_request *request, unsigned int channel, bool enable, const char *pattern);

/* Sends it and reads up to the acknowledgement. facts: of the answer, may be NULL. 0 or the kernel's -errno. */
int control_send(struct control *control, struct control_request *request, struct control_facts *ret_facts);
/* A command with GENERATION alone. */
int control_simple(struct control *control, unsigned int cmd, uint64_t generation);
/* A dump; each is called for every message. request may be NULL: without attributes. Number of messages or -errno. */
typedef void (*control_each)(const struct control_facts *facts, void *arg);
int control_dump(struct control *control, unsigned int cmd, struct control_request *request, control_each each,
		 void *arg);

/* A trace with one channel of discard mode and the rule "*", all but started if not active. */
struct control_trace {
	uint64_t generation;
	uint32_t slot;
	char name[TRACEBUF_NAME_SIZE], directory[TRACEBUF_NAME_SIZE + 32];
};
extern const struct tracebuf_channel control_channel;	/* 4 sub-buffers of 64 KiB, discard */
/* Of traces that are made from now on; TRACEBUF_CLOCK_MONOTONIC and 1 GHz at first. */
extern uint32_t control_clock;
extern uint64_t control_frequency;
/* Of those, too: are they placed in the region? At first $TB_PERSISTENT: then, one at a time. */
extern enum control_placement { CONTROL_NORMAL, CONTROL_PERSISTENT, CONTROL_IF_FREE } control_placement;
/* TRACE_CREATE alone, once. */
int control_create(struct control *control, const char *name, const char *domain, struct control_trace *ret_trace);
/* With channel and rule, and started; waits until a slot comes out of quarantine. */
int control_make(struct control *control, const char *name, const char *domain, const struct tracebuf_channel *channel,
		 struct control_trace *ret_trace);
int control_destroy(struct control *control, const struct control_trace *trace);

/* All that the kernel does later is done: its processes and rings are told of, new processes have their statedump. */
int control_flush(struct control *control, const struct control_trace *trace);

/* A number of STATUS_GET; 0 if there is none. */
uint64_t control_status(struct control *control, unsigned int attribute);
/* Waits up to 20 s until STATUS_GET's number is this; whether it is. */
bool control_settles(struct control *control, unsigned int attribute, uint64_t expected);

/* Notifications: joins the group; the next one within ms. 0, -EAGAIN: none came, -ENOBUFS. */
int control_listen(struct control *control);
int control_next(struct control *control, unsigned int ms, struct control_facts *ret_facts);
/* The next of this kind and trace (0: any) within ms, others are skipped. */
int control_await(struct control *control, unsigned int cmd, uint64_t generation, unsigned int ms,
		  struct control_facts *ret_facts);

#endif
