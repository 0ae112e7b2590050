/* SPDX-License-Identifier: MIT */
/* What users say to the daemon and what it keeps: requests, rules, channels, names, accounts. */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../daemon/account.h"
#include "../daemon/command.h"
#include "../daemon/recording.h"
#include "../daemon/rules.h"
#include "../daemon/rundir.h"
#include "../libtracebuf/pattern.h"
#include "harness.h"

static struct tb_request request;

static int parse(const char *text)
{
	static char copy[256];

	strcpy(copy, text);
	return tb_request_parse(copy, strlen(text), &request);
}

static void test_request(void)
{
	unsigned int at = 0;

	TB_ASSERT_EQUAL(parse("version\n\n"), 0);
	CU_ASSERT_STRING_EQUAL(request.verb, "version");
	TB_ASSERT_EQUAL(request.nr_pairs, 0);
	TB_ASSERT_EQUAL(parse("enable-event\ntrace=t\npattern=a=b\npattern=\nchannel=c\n\nrest"), 0);
	CU_ASSERT_STRING_EQUAL(tb_request_get(&request, "trace"), "t");
	CU_ASSERT_STRING_EQUAL(tb_request_next(&request, "pattern", &at), "a=b");
	CU_ASSERT_STRING_EQUAL(tb_request_next(&request, "pattern", &at), "");
	CU_ASSERT(!tb_request_next(&request, "pattern", &at));
	CU_ASSERT(!tb_request_get(&request, "patter"));
}

static void test_request_wrong(void)
{
	static const char nul[] = "ver\0sion\n\n";
	char copy[sizeof(nul)], *many;
	size_t size = 0;

	TB_ASSERT_EQUAL(parse(""), -EAGAIN);
	TB_ASSERT_EQUAL(parse("version\n"), -EAGAIN);
	TB_ASSERT_EQUAL(parse("\n\n"), -EINVAL);
	TB_ASSERT_EQUAL(parse("\nversion"), -EINVAL);
	TB_ASSERT_EQUAL(parse("a=b\n\n"), -EINVAL);
	TB_ASSERT_EQUAL(parse("status\nnonsense\n\n"), -EINVAL);
	TB_ASSERT_EQUAL(parse("status\n=x\n\n"), -EINVAL);
	memcpy(copy, nul, sizeof(nul));
	TB_ASSERT_EQUAL(tb_request_parse(copy, sizeof(nul) - 1, &request), -EINVAL);
	many = malloc(TB_REQUEST_SIZE);
	CU_ASSERT_FATAL(many != NULL);
	size += sprintf(many, "status\n");
	for (int i = 0; i <= TB_REQUEST_PAIRS; i++)
		size += sprintf(many + size, "k=v\n");
	size += sprintf(many + size, "\n");
	TB_ASSERT_EQUAL(tb_request_parse(many, size, &request), -E2BIG);
	free(many);
}

static uint16_t evaluate(const struct tb_rules *rules, const char *name)
{
	return tb_rules_evaluate(rules->data, rules->size, TRACEBUF_NR_CHANNELS, name);
}

static void test_rules(void)
{
	static struct tb_rules rules;
	char pattern[1100];
	uint32_t size;

	memset(&rules, 0, sizeof(rules));
	TB_ASSERT_EQUAL(evaluate(&rules, "shop:paid"), 0);
	TB_ASSERT_EQUAL(tb_rules_add(&rules, 0, true, "shop:*"), 0);
	TB_ASSERT_EQUAL(tb_rules_add(&rules, 3, true, "*:paid"), 0);
	TB_ASSERT_EQUAL(tb_rules_add(&rules, 0, false, "*:sent"), 0);
	TB_ASSERT_EQUAL(evaluate(&rules, "shop:paid"), 1 | 1 << 3);
	TB_ASSERT_EQUAL(evaluate(&rules, "shop:sent"), 0);
	size = rules.size;
	/* Again, it is the last one, and the list has not grown. */
	TB_ASSERT_EQUAL(tb_rules_add(&rules, 0, true, "shop:*"), 0);
	TB_ASSERT_EQUAL(rules.size, size);
	TB_ASSERT_EQUAL(evaluate(&rules, "shop:sent"), 1);
	TB_ASSERT_EQUAL(tb_rules_add(&rules, 0, true, ""), -EINVAL);
	memset(pattern, 'x', sizeof(pattern));
	pattern[sizeof(pattern) - 1] = '\0';
	TB_ASSERT_EQUAL(tb_rules_add(&rules, 0, true, pattern), -EINVAL);
	TB_ASSERT_EQUAL(rules.size, size);
}

static void test_rules_full(void)
{
	static struct tb_rules rules;
	const struct tracebuf_rule *rule;
	char pattern[32];
	uint32_t offset = 0;
	int nr = 0, found = 0, ret = 0;

	memset(&rules, 0, sizeof(rules));
	while (!ret) {
		snprintf(pattern, sizeof(pattern), "provider:event%d", nr);
		ret = tb_rules_add(&rules, nr % TRACEBUF_NR_CHANNELS, true, pattern);
		nr += !ret;
	}
	TB_ASSERT_EQUAL(ret, -ENOSPC);
	while ((rule = tb_rules_next(&rules, &offset)))
		found++;
	TB_ASSERT_EQUAL(found, nr);
	/* An equal one still fits: it takes its own place. */
	TB_ASSERT_EQUAL(tb_rules_add(&rules, 0, false, "provider:event0"), 0);
	TB_ASSERT_EQUAL(evaluate(&rules, "provider:event0"), 0);
	TB_ASSERT_EQUAL(evaluate(&rules, "provider:event16"), 1 << 1);
}

static void test_channel(void)
{
	static const struct {
		const char *name;
		uint32_t mode, nr_subbufs;
		uint64_t subbuf_size;
		int ret;
	} cases[] = {
		{ "a", 0, 2, 4096, 0 },
		{ "channel0", 2, 4, 524288, 0 },
		{ "a", 0, 16, 1ull << 30, 0 },
		{ "a", 0, 32, 1ull << 30, -EINVAL },
		{ "a", 0, 4096, 4096, 0 },
		{ "a", 0, 8192, 4096, -EINVAL },
		{ "a", 0, 1, 4096, -EINVAL },
		{ "a", 0, 3, 4096, -EINVAL },
		{ "a", 0, 2, 2048, -EINVAL },
		{ "a", 0, 2, 4097, -EINVAL },
		{ "a", 0, 2, 0, -EINVAL },
		{ "a", 0, 2, 1ull << 31, -EINVAL },
		{ "a", 3, 2, 4096, -EINVAL },
		{ "", 0, 2, 4096, -EINVAL },
		{ ".a", 0, 2, 4096, -EINVAL },
		{ "a/b", 0, 2, 4096, -EINVAL },
		{ "a b", 0, 2, 4096, -EINVAL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tracebuf_channel channel = { .mode = cases[i].mode, .nr_subbufs = cases[i].nr_subbufs,
						    .subbuf_size = cases[i].subbuf_size };
		struct tb_message message = { "" };

		strcpy(channel.name, cases[i].name);
		TB_ASSERT_EQUAL(tb_channel_check(NULL, &channel, &message), cases[i].ret);
		CU_ASSERT(!cases[i].ret == !message.text[0]);
	}
}

static void test_context(void)
{
	uint32_t context = 77;
	char text[64];

	TB_ASSERT_EQUAL(tb_context_parse("procname,vtid", &context), 0);
	TB_ASSERT_EQUAL(context, TRACEBUF_CONTEXT_PROCNAME | TRACEBUF_CONTEXT_VTID);
	tb_context_names(context, text);
	CU_ASSERT_STRING_EQUAL(text, "vtid,procname");
	TB_ASSERT_EQUAL(tb_context_parse("ip,vtid", &context), 0);
	TB_ASSERT_EQUAL(context, TRACEBUF_CONTEXT_VTID | TRACEBUF_CONTEXT_VPID | TRACEBUF_CONTEXT_IP);
	TB_ASSERT_EQUAL(tb_context_parse("none", &context), 0);
	TB_ASSERT_EQUAL(context, 0);
	tb_context_names(15, text);
	CU_ASSERT_STRING_EQUAL(text, "vtid,vpid,ip,procname");
	TB_ASSERT_EQUAL(tb_context_parse("vtid,", &context), -EINVAL);
	TB_ASSERT_EQUAL(tb_context_parse("vtid,vti", &context), -EINVAL);
	TB_ASSERT_EQUAL(context, 0);
}

static void test_names(void)
{
	struct tb_ring_name ring;
	uint64_t incarnation;
	int32_t pid;

	CU_ASSERT(tb_process_name_parse("12-ff", &pid, &incarnation));
	TB_ASSERT_EQUAL(pid, 12);
	TB_ASSERT_EQUAL(incarnation, 255);
	CU_ASSERT(!tb_process_name_parse("-12-ff", &pid, &incarnation));
	CU_ASSERT(!tb_process_name_parse("12-0xff", &pid, &incarnation));
	CU_ASSERT(!tb_process_name_parse("12-FF", &pid, &incarnation));
	CU_ASSERT(!tb_process_name_parse("012-ff", &pid, &incarnation));
	CU_ASSERT(!tb_process_name_parse("12-ff-1", &pid, &incarnation));
	CU_ASSERT(!tb_process_name_parse("99999999999-ff", &pid, &incarnation));
	CU_ASSERT(!tb_process_name_parse("12", &pid, &incarnation));
	CU_ASSERT(tb_ring_name_parse("7-ffffffffffffffff-3-2-1", &ring));
	TB_ASSERT_EQUAL(ring.incarnation, UINT64_MAX);
	TB_ASSERT_EQUAL(ring.channel, 3);
	TB_ASSERT_EQUAL(ring.cpu, 2);
	TB_ASSERT_EQUAL(ring.instance, 1);
	CU_ASSERT(!tb_ring_name_parse("7-1-3-2", &ring));
	CU_ASSERT(!tb_ring_name_parse("7-1-3-2-1x", &ring));
	CU_ASSERT(!tb_ring_name_parse("7-1-3-+2-1", &ring));
	CU_ASSERT(!tb_ring_name_parse("7-1-3-2-99999999999999999999999", &ring));
}

/* The sum is kept however many processes come and go. */
static void test_accounts(void)
{
	static struct tb_accounts accounts;
	struct tb_counts sum;
	struct tb_account *account;
	unsigned int nr = 0, nr_processes = TB_ACCOUNT_MAX_DEAD + 100;

	tb_accounts_init(&accounts);
	for (unsigned int i = 1; i <= nr_processes; i++) {
		const struct tb_counts counts = { .recorded = i, .bytes = 1 };

		account = tb_account_get(&accounts, i, 5, "name\n");
		CU_ASSERT_FATAL(account != NULL);
		tb_counts_add(&account->counts, &counts);
		if (i == 1)
			account->nr_rings = 1;
		tb_account_end(&accounts, account);
		tb_account_end(&accounts, account);
	}
	CU_ASSERT_STRING_EQUAL(account->procname, "name?");
	CU_ASSERT(!tb_account_find(&accounts, 2, 5));
	CU_ASSERT(!tb_account_find(&accounts, nr_processes, 6));
	/* Its rings still refer to it. */
	CU_ASSERT(tb_account_find(&accounts, 1, 5) != NULL);
	TB_ASSERT_EQUAL(accounts.nr_folded, 100);
	sum = accounts.folded;
	cds_list_for_each_entry(account, &accounts.list, list) {
		tb_counts_add(&sum, &account->counts);
		nr++;
	}
	TB_ASSERT_EQUAL(nr, TB_ACCOUNT_MAX_DEAD);
	TB_ASSERT_EQUAL(sum.bytes, nr_processes);
	TB_ASSERT_EQUAL(sum.recorded, (uint64_t) nr_processes * (nr_processes + 1) / 2);
	tb_accounts_destroy(&accounts);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "request", test_request },
		{ "request_wrong", test_request_wrong },
		{ "rules", test_rules },
		{ "rules_full", test_rules_full },
		{ "channel", test_channel },
		{ "context", test_context },
		{ "names", test_names },
		{ "accounts", test_accounts },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("unit_daemon_control", tests);
}
