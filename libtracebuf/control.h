/* SPDX-License-Identifier: MIT */
#ifndef TB_CONTROL_H
#define TB_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <tracebuf/abi.h>

/* The control page that is mapped now, NULL if none. What it holds may change at any time. Any context. */
const struct tracebuf_control *tb_control(void);

/* Maps the control page that the home has now, unless that very page is mapped. 0 or -errno. Any context. */
int tb_control_map(void);

/*
 * A copy of a slot, as far as it concerns rings, and what goes with it. false: the slot is being given up or taken, or
 * there is no control page. Any context.
 */
struct tb_control_slot {
	struct tracebuf_slot slot;
	uint32_t clock;
	bool rseq_works;
};
bool tb_control_slot(unsigned int number, struct tb_control_slot *ret_slot);

/*
 * A consistent copy of a slot's rules into rules (TRACEBUF_RULES_SIZE bytes): of which generation of rules, of how
 * many channels, how many bytes. Nothing recorded: 0 bytes. false as above. Any context.
 */
struct tb_control_rules {
	uint64_t rules_generation;
	uint32_t nr_channels;
	uint32_t size;
};
bool tb_control_rules(unsigned int number, void *rules, struct tb_control_rules *ret_rules);

/* The generation of rules by which nothing is recorded; 0: something is, or it cannot be told. Any context. */
uint64_t tb_control_idle(void);

/* Sets the header's words on the clock and the boot. Any context. */
void tb_control_origin(struct tracebuf_ring *header);

/* Is this generation still what the slot holds? Any context. */
bool tb_control_is_current(unsigned int slot, uint64_t generation);

#endif
