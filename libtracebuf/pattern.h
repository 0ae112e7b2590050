/* SPDX-License-Identifier: MIT */
#ifndef TB_PATTERN_H
#define TB_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Does name match pattern? '*' is any run of bytes, '?' any one byte, '\\' takes the next byte as it is. Time is
 * bounded by the product of their lengths. Any context.
 */
bool tb_pattern_match(const char *pattern, const char *name);

/*
 * The channels that record the event name, a bit each, by the rules (struct tracebuf_rule records, rules_size bytes,
 * already copied out of the shared page). A record that does not add up ends the evaluation. Any context.
 */
uint16_t tb_rules_evaluate(const void *rules, size_t rules_size, unsigned int nr_channels, const char *name);

#endif
