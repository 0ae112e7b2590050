/* SPDX-License-Identifier: MIT */
/*
 * Building the rule records of a trace. The last rule that matches decides, so a rule that is added again replaces its
 * older self: the list is bounded by the number of different patterns, however often somebody switches one.
 */
#include "rules.h"
#include <errno.h>
#include <string.h>

#define MAX_PATTERN_SIZE 1024

const struct tracebuf_rule *tb_rules_next(const struct tb_rules *rules, uint32_t *offset)
{
	const struct tracebuf_rule *rule = (const void *) (rules->data + *offset);

	if (*offset >= rules->size)
		return NULL;
	*offset += rule->size;
	return rule;
}

static void forget(struct tb_rules *rules, unsigned int channel, const char *pattern)
{
	const struct tracebuf_rule *rule;
	uint32_t offset = 0, begin = 0;

	for (; (rule = tb_rules_next(rules, &offset)); begin = offset) {
		if (rule->channel != channel || strcmp(rule->pattern, pattern))
			continue;
		memmove(rules->data + begin, rules->data + offset, rules->size - offset);
		rules->size -= offset - begin;
		return;
	}
}

int tb_rules_add(struct tb_rules *rules, unsigned int channel, bool enable, const char *pattern)
{
	size_t length = strlen(pattern);
	size_t size = (offsetof(struct tracebuf_rule, pattern) + length + 1 + 7) & ~(size_t) 7;
	struct tracebuf_rule *rule;

	if (!length || length >= MAX_PATTERN_SIZE)
		return -EINVAL;
	forget(rules, channel, pattern);
	if (size > sizeof(rules->data) - rules->size)
		return -ENOSPC;
	rule = (void *) (rules->data + rules->size);
	memset(rule, 0, size);
	rule->size = size;
	rule->channel = channel;
	rule->enable = enable;
	memcpy(rules->data + rules->size + offsetof(struct tracebuf_rule, pattern), pattern, length);
	rules->size += size;
	return 0;
}
