/* SPDX-License-Identifier: MIT */
/*
 * Name patterns and the rules made of them. The daemon and the traced process use this same file, so that both come
 * to the same answer for the same rules.
 */
#include "pattern.h"
#include <string.h>
#include <tracebuf/abi.h>

/* Does one pattern element, at *pattern, match the byte c? Moves *pattern behind the element. */
static bool match_one(const char **pattern, char c)
{
	char p = *(*pattern)++;

	if (p == '?')
		return true;
	if (p == '\\' && **pattern)
		p = *(*pattern)++;
	return p == c;
}

bool tb_pattern_match(const char *pattern, const char *name)
{
	const char *star = NULL, *resume = NULL;

	while (*name) {
		const char *at = pattern;

		if (*pattern == '*') {
			star = ++pattern;
			resume = name;
		} else if (*pattern && match_one(&at, *name)) {
			pattern = at;
			name++;
		} else if (star) {
			pattern = star;
			name = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

uint16_t tb_rules_evaluate(const void *rules, size_t rules_size, unsigned int nr_channels, const char *name)
{
	const char *at = rules;
	uint16_t channels = 0;

	while (rules_size >= sizeof(struct tracebuf_rule)) {
		const struct tracebuf_rule *rule = (const void *) at;
		size_t room = rule->size - offsetof(struct tracebuf_rule, pattern);

		if (rule->size < sizeof(*rule) || rule->size > rules_size || rule->size % 8 ||
		    strnlen(rule->pattern, room) == room)
			break;
		if (rule->channel < nr_channels && tb_pattern_match(rule->pattern, name)) {
			if (rule->enable)
				channels |= 1u << rule->channel;
			else
				channels &= ~(1u << rule->channel);
		}
		at += rule->size;
		rules_size -= rule->size;
	}
	return channels;
}
