/* SPDX-License-Identifier: MIT */
/*
 * The netlink family: each command with each attribute missing and wrong in turn, and what right ones do to a running
 * process. Who may, what dumps and notifications tell: test_telling.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balance.h"
#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"
#include "writer.h"

#define DOMAIN "test_netlink"

static struct control control;

static void count_message(const struct control_facts *facts, void *arg)
{
	(void) facts;
	++*(unsigned int *) arg;
}

static unsigned int nr_traces(void)
{
	unsigned int nr = 0;

	CHECK(control_dump(&control, TRACEBUF_CMD_TRACE_GET, NULL, count_message, &nr) >= 0);
	return nr;
}

/* The policy's refusal is -ERANGE where it knows a range. */
static bool is_refused(int result)
{
	return CHECK(result == -EINVAL || result == -ERANGE);
}

/* ---- TRACE_CREATE ---- */

/* An attribute in the place of the right one; size 0: left out. */
struct wrong_attribute {
	const char *what;
	unsigned int attribute;
	uint32_t size;
	char value[160];
};

#define LONG_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct wrong_attribute wrong_create[] = {
	{ "no name", TRACEBUF_A_NAME, 0, "" },
	{ "empty name", TRACEBUF_A_NAME, 1, "" },
	{ "long name", TRACEBUF_A_NAME, 65, LONG_64 },
	{ "name with a slash", TRACEBUF_A_NAME, 4, "a/b" },
	{ "hidden name", TRACEBUF_A_NAME, 3, ".a" },
	{ "parent's name", TRACEBUF_A_NAME, 3, ".." },
	{ "name with a space", TRACEBUF_A_NAME, 4, "a b" },
	{ "name with a NUL inside", TRACEBUF_A_NAME, 4, "a\0b" },
	{ "no uuid", TRACEBUF_A_UUID, 0, "" },
	{ "short uuid", TRACEBUF_A_UUID, 15, "" },
	{ "long uuid", TRACEBUF_A_UUID, 17, "" },
	{ "no clock", TRACEBUF_A_CLOCK, 0, "" },
	{ "clock 0", TRACEBUF_A_CLOCK, 4, "\0" },
	{ "clock 4", TRACEBUF_A_CLOCK, 4, "\4" },
	{ "clock of two bytes", TRACEBUF_A_CLOCK, 2, "\2" },
	{ "no frequency", TRACEBUF_A_FREQUENCY, 0, "" },
	{ "frequency 0", TRACEBUF_A_FREQUENCY, 8, "" },
	{ "frequency 1", TRACEBUF_A_FREQUENCY, 8, "\1" },
	{ "frequency of four bytes", TRACEBUF_A_FREQUENCY, 4, "\0\0\0\1" },
	{ "no rseq_works", TRACEBUF_A_RSEQ_WORKS, 0, "" },
	{ "rseq_works 2", TRACEBUF_A_RSEQ_WORKS, 4, "\2" },
	{ "long domain", TRACEBUF_A_DOMAIN, 130, LONG_64 LONG_64 "a" },
	{ "domain with a control character", TRACEBUF_A_DOMAIN, 4, "a\nb" },
	{ "device of two bytes", TRACEBUF_A_DEVICE, 2, "\1" },
	{ "attribute of another command", TRACEBUF_A_SLOT, 4, "\1" },
	{ "unknown attribute", TRACEBUF_A_END, 4, "\1" },
	{ "far attribute", 1000, 4, "\1" },
};

static void put_create(struct control_request *request, const struct wrong_attribute *wrong)
{
	static const uint32_t clock = TRACEBUF_CLOCK_MONOTONIC, rseq_works = 1;
	static const uint64_t frequency = 1000000000;
	static const struct {
		unsigned int attribute;
		const void *value;
		uint32_t size;
	} right[] = {
		{ TRACEBUF_A_NAME, "created", 8 },
		{ TRACEBUF_A_UUID, "0123456789abcdef", 16 },
		{ TRACEBUF_A_CLOCK, &clock, 4 },
		{ TRACEBUF_A_FREQUENCY, &frequency, 8 },
		{ TRACEBUF_A_RSEQ_WORKS, &rseq_works, 4 },
		{ TRACEBUF_A_DOMAIN, DOMAIN, sizeof(DOMAIN) },
	};

	control_begin(request, TRACEBUF_CMD_TRACE_CREATE);
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		if (!wrong || wrong->attribute != right[i].attribute)
			control_put(request, right[i].attribute, right[i].value, right[i].size);
	if (wrong && wrong->size)
		control_put(request, wrong->attribute, wrong->value, wrong->size);
}

static void test_create(void)
{
	struct control_request request;
	struct control_facts facts;
	struct control_trace trace = { 0 };
	uint32_t other = TRACEBUF_CLOCK_COUNTER;
	struct wrong_attribute clock = { "other clock", TRACEBUF_A_CLOCK, 4, "" };

	if (device_is_missing())
		return;
	for (size_t i = 0; i < sizeof(wrong_create) / sizeof(wrong_create[0]); i++) {
		put_create(&request, &wrong_create[i]);
		if (!is_refused(control_send(&control, &request, NULL)))
			tb_note("  with %s", wrong_create[i].what);
	}
	CHECK_IS(nr_traces(), 0);
	put_create(&request, NULL);
	if (!CHECK_IS(control_send(&control, &request, &facts), 0))
		return;
	trace.generation = facts.number[TRACEBUF_A_GENERATION];
	CHECK(trace.generation > 0);
	CHECK(facts.number[TRACEBUF_A_SLOT] < TRACEBUF_NR_SLOTS);
	CHECK_IS(strcmp(facts.text[TRACEBUF_A_DIRECTORY], "created"), 0);
	memcpy(clock.value, &other, 4);
	put_create(&request, &clock);
	CHECK_IS(control_send(&control, &request, NULL), -EBUSY);
	CHECK_IS(control_destroy(&control, &trace), 0);
	CHECK_IS(nr_traces(), 0);
}

/* The directory is the name's if that is free. */
static void test_directories(void)
{
	static const char *const names[] = { "procs", "status", "previous", "twice", "twice" };
	struct control_trace trace[5];
	char path[192];

	if (device_is_missing())
		return;
	for (size_t i = 0; i < 5; i++) {
		if (!CHECK_IS(control_make(&control, names[i], DOMAIN, &control_channel, &trace[i]), 0))
			return;
		CHECK_IS(strcmp(trace[i].directory, names[i]) == 0, i == 3);
		CHECK_IS(strncmp(trace[i].directory, names[i], strlen(names[i])), 0);
		snprintf(path, sizeof(path), "/sys/kernel/debug/tracebuf/%s", trace[i].directory);
		CHECK_IS(access(path, F_OK), 0);
	}
	for (size_t i = 0; i < 5; i++) {
		CHECK_IS(control_destroy(&control, &trace[i]), 0);
		snprintf(path, sizeof(path), "/sys/kernel/debug/tracebuf/%s", trace[i].directory);
		CHECK_IS(access(path, F_OK), -1);
	}
}

/* ---- Commands on a trace ---- */

static void test_generation(void)
{
	static const unsigned int commands[] = {
		TRACEBUF_CMD_TRACE_ADOPT, TRACEBUF_CMD_TRACE_START, TRACEBUF_CMD_TRACE_STOP, TRACEBUF_CMD_TRACE_DESTROY,
		TRACEBUF_CMD_TRACE_SHOW, TRACEBUF_CMD_STATEDUMP, TRACEBUF_CMD_RULES_SET,
	};
	struct control_request request;
	struct control_trace trace;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "generation", DOMAIN, &control_channel, &trace), 0))
		return;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		control_begin(&request, commands[i]);
		CHECK_IS(control_send(&control, &request, NULL), -EINVAL);
		control_put_u32(&request, TRACEBUF_A_GENERATION, (uint32_t) trace.generation);
		is_refused(control_send(&control, &request, NULL));
		control_begin(&request, commands[i]);
		control_put_u64(&request, TRACEBUF_A_GENERATION, trace.generation);
		control_put_u32(&request, TRACEBUF_A_UID, 0);
		is_refused(control_send(&control, &request, NULL));
		CHECK_IS(control_simple(&control, commands[i], 0), -ENOENT);
		CHECK_IS(control_simple(&control, commands[i], trace.generation + 1), -ENOENT);
		CHECK(control.reason[0] != 0);
	}
	CHECK_IS(nr_traces(), 1);
	CHECK_IS(control_destroy(&control, &trace), 0);
	CHECK_IS(control_destroy(&control, &trace), -ENOENT);
}

static int set_channel(const struct control_trace *trace, unsigned int number, const void *config, size_t size)
{
	struct control_request request;

	control_begin(&request, TRACEBUF_CMD_CHANNEL_SET);
	control_put_u64(&request, TRACEBUF_A_GENERATION, trace->generation);
	control_put_u32(&request, TRACEBUF_A_CHANNEL, number);
	control_put(&request, TRACEBUF_A_CHANNEL_CONFIG, config, size);
	return control_send(&control, &request, NULL);
}

static void check_channel_words(const struct control_trace *trace)
{
	struct tracebuf_channel config;

#define CHECK_WRONG(word, value) do { \
		config = control_channel; \
		config.word = (value); \
		is_refused(set_channel(trace, 1, &config, sizeof(config))); \
	} while (0)
	CHECK_WRONG(name[0], 0);
	CHECK_WRONG(name[0], '.');
	CHECK_WRONG(name[2], '/');
	CHECK_WRONG(name[2], '\n');
	CHECK_WRONG(name[60], 'x');
	CHECK_WRONG(mode, 3);
	CHECK_WRONG(context, 16);
	CHECK_WRONG(context, 0x80000000);
	CHECK_WRONG(subbuf_size, 0);
	CHECK_WRONG(subbuf_size, 2048);
	CHECK_WRONG(subbuf_size, 65537);
	CHECK_WRONG(subbuf_size, 1ull << 31);
	CHECK_WRONG(subbuf_size, 1ull << 63);
	CHECK_WRONG(nr_subbufs, 0);
	CHECK_WRONG(nr_subbufs, 1);
	CHECK_WRONG(nr_subbufs, 3);
	CHECK_WRONG(nr_subbufs, 8192);
	CHECK_WRONG(nr_subbufs, 0x80000000);
	CHECK_WRONG(reserved[0], 1);
	CHECK_WRONG(reserved[3], 1);
#undef CHECK_WRONG
	/* Each is right, but not the product. */
	config = control_channel;
	config.subbuf_size = 1ull << 30;
	config.nr_subbufs = 4096;
	is_refused(set_channel(trace, 1, &config, sizeof(config)));
	memset(config.name, 'x', sizeof(config.name));
	is_refused(set_channel(trace, 1, &config, sizeof(config)));
}

static void test_channels(void)
{
	struct control_trace trace;
	char bytes[sizeof(struct tracebuf_channel) + 8] = { 0 };

	if (device_is_missing() || !CHECK_IS(control_make(&control, "channels", DOMAIN, &control_channel, &trace), 0))
		return;
	memcpy(bytes, &control_channel, sizeof(control_channel));
	is_refused(set_channel(&trace, 1, bytes, sizeof(control_channel) - 1));
	is_refused(set_channel(&trace, 1, bytes, sizeof(control_channel) + 1));
	is_refused(set_channel(&trace, 1, bytes, 0));
	is_refused(set_channel(&trace, 2, bytes, sizeof(control_channel)));
	is_refused(set_channel(&trace, 15, bytes, sizeof(control_channel)));
	is_refused(set_channel(&trace, UINT32_MAX, bytes, sizeof(control_channel)));
	check_channel_words(&trace);
	CHECK_IS(set_channel(&trace, 0, bytes, sizeof(control_channel)), -EBUSY);
	CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_STOP, trace.generation), 0);
	CHECK_IS(set_channel(&trace, 0, bytes, sizeof(control_channel)), 0);
	for (unsigned int i = 1; i < TRACEBUF_NR_CHANNELS; i++)
		CHECK_IS(set_channel(&trace, i, bytes, sizeof(control_channel)), 0);
	is_refused(set_channel(&trace, 15, bytes, sizeof(control_channel)));
	CHECK_IS(control_destroy(&control, &trace), 0);
}

/* ---- Rules ---- */

static int set_rule(const struct control_trace *trace, const void *rule, size_t size)
{
	struct control_request request;

	control_begin(&request, TRACEBUF_CMD_RULES_SET);
	control_put_u64(&request, TRACEBUF_A_GENERATION, trace->generation);
	control_put(&request, TRACEBUF_A_RULE, rule, size);
	return control_send(&control, &request, NULL);
}

static int set_pattern(const struct control_trace *trace, const char *pattern)
{
	struct control_request request;

	control_begin(&request, TRACEBUF_CMD_RULES_SET);
	control_put_u64(&request, TRACEBUF_A_GENERATION, trace->generation);
	if (pattern)
		control_put_rule(&request, 0, true, pattern);
	return control_send(&control, &request, NULL);
}

static void check_rule_words(const struct control_trace *trace)
{
	struct {
		struct tracebuf_rule head;
		char more[24];
	} right = { .head = { .size = 16, .channel = 0, .enable = 1, .pattern = "abc" } }, wrong;

	CHECK_IS(set_rule(trace, &right, 16), 0);
	for (unsigned int size = 0; size < 32; size++)
		if (size != 16) {
			wrong = right;
			wrong.head.size = (uint16_t) size;
			is_refused(set_rule(trace, &wrong, 16));
			is_refused(set_rule(trace, &right, size));
		}
	wrong = right;
	wrong.head.channel = 15;
	is_refused(set_rule(trace, &wrong, 16));
	wrong = right;
	wrong.head.enable = 2;
	is_refused(set_rule(trace, &wrong, 16));
	wrong = right;
	memset(wrong.head.pattern, 'a', 12);
	is_refused(set_rule(trace, &wrong, 16));
	wrong = right;
	wrong.head.pattern[0] = 0;
	is_refused(set_rule(trace, &wrong, 16));
	wrong = right;
	wrong.head.size = 12;
	is_refused(set_rule(trace, &wrong, 12));
}

/* As many as there is room for, and one more. */
static void check_rules_room(const struct control_trace *trace)
{
	static struct control_request request;
	unsigned int nr = 0;

	control_begin(&request, TRACEBUF_CMD_RULES_SET);
	control_put_u64(&request, TRACEBUF_A_GENERATION, trace->generation);
	for (; request.size + 1100 < sizeof(request.bytes); nr++) {
		char pattern[1000];

		memset(pattern, 'p', sizeof(pattern));
		pattern[sizeof(pattern) - 1] = 0;
		control_put_rule(&request, 0, true, pattern);
	}
	CHECK(nr > 60);
	CHECK_IS(control_send(&control, &request, NULL), 0);
}

/* What a process that runs is told of each pattern. */
static void check_rules_tell(struct child *self, void *arg)
{
	static const struct {
		const char *pattern;
		bool first, second;
	} expected[] = {
		{ "*", true, true }, { "one:*", true, false }, { "*:two", false, true }, { "o?e:one", true, false },
		{ "one", false, false }, { "two:two", false, true }, { "\\*", false, false }, { NULL, false, false },
	};
	const struct control_trace *trace = arg;
	const struct tracebuf_enable *records;
	struct writer writer;

	(void) self;
	if (!CHECK_IS(writer_open(&writer, DOMAIN), 0))
		return;
	CHECK_IS(writer_event(&writer, "one:one", NULL), 0);
	CHECK_IS(writer_event(&writer, "two:two", NULL), 0);
	CHECK_IS(writer_map_enable(&writer, 2, &records), 0);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		CHECK_IS(set_pattern(trace, expected[i].pattern), 0);
		CHECK_IS(records[0].enabled, expected[i].first << trace->slot);
		CHECK_IS(records[1].enabled, expected[i].second << trace->slot);
		CHECK_IS(records[0].channels[trace->slot], expected[i].first);
	}
	CHECK_IS(set_pattern(trace, "*"), 0);
	CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_STOP, trace->generation), 0);
	CHECK_IS(records[0].enabled, 0);
	CHECK_IS(control_simple(&control, TRACEBUF_CMD_TRACE_START, trace->generation), 0);
	CHECK_IS(records[0].enabled, 1 << trace->slot);
	CHECK_IS(control_destroy(&control, trace), 0);
	CHECK_IS(records[0].enabled, 0);
	CHECK_IS(records[0].used, 1);
}

static void test_rules(void)
{
	struct control_trace trace;

	if (device_is_missing() || !CHECK_IS(control_make(&control, "rules", DOMAIN, &control_channel, &trace), 0))
		return;
	check_rule_words(&trace);
	check_rules_room(&trace);
	child_run(check_rules_tell, &trace);
	CHECK_IS(nr_traces(), 0);
}

/* ---- Messages that are none ---- */

static void test_messages(void)
{
	struct control_request request;
	struct nlmsghdr *message = (void *) request.bytes;

	if (device_is_missing())
		return;
	for (unsigned int cmd = 0; cmd < 256; cmd++) {
		if (cmd > TRACEBUF_CMD_UNSPEC && cmd <= TRACEBUF_CMD_STATUS_GET)
			continue;
		control_begin(&request, cmd);
		CHECK_IS(control_send(&control, &request, NULL), -EOPNOTSUPP);
	}
	/* A dump by a command that does something, and the other way round. */
	CHECK(control_dump(&control, TRACEBUF_CMD_TRACE_DESTROY, NULL, count_message, &request) < 0);
	control_begin(&request, TRACEBUF_CMD_TRACE_GET);
	CHECK_IS(control_send(&control, &request, NULL), -EOPNOTSUPP);
	control_begin(&request, TRACEBUF_CMD_STATUS_GET);
	request.size = NLMSG_HDRLEN;
	CHECK_IS(control_send(&control, &request, NULL), -EINVAL);
	/* An attribute that says that it is longer than the message, and bytes that are none. */
	control_begin(&request, TRACEBUF_CMD_TRACE_START);
	control_put_u64(&request, TRACEBUF_A_GENERATION, 1);
	((struct nlattr *) (request.bytes + NLMSG_HDRLEN + GENL_HDRLEN))->nla_len = 100;
	CHECK(control_send(&control, &request, NULL) < 0);
	control_begin(&request, TRACEBUF_CMD_TRACE_START);
	control_put_u64(&request, TRACEBUF_A_GENERATION, 1);
	request.size += 3;
	CHECK(control_send(&control, &request, NULL) < 0);
	message->nlmsg_len = 4;
	CHECK(send(control.fd, message, 16, 0) > 0);
	CHECK_IS(nr_traces(), 0);
}

/* ---- Limits ---- */

static void test_limits(void)
{
	struct control_trace trace[TRACEBUF_NR_SLOTS], more;
	uint64_t end;
	int result;

	if (device_is_missing())
		return;
	for (unsigned int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (!CHECK_IS(control_make(&control, "limit", DOMAIN, &control_channel, &trace[i]), 0))
			return;
	CHECK_IS(control_create(&control, "limit", DOMAIN, &more), -EUSERS);
	for (unsigned int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		for (unsigned int j = 0; j < i; j++)
			CHECK(trace[i].slot != trace[j].slot && trace[i].generation != trace[j].generation);
	/* The one slot that comes free rests first. */
	CHECK_IS(control_destroy(&control, &trace[7]), 0);
	CHECK_IS(control_create(&control, "limit", DOMAIN, &more), -EAGAIN);
	end = now_ms() + 5000;
	while ((result = control_create(&control, "limit", DOMAIN, &more)) == -EAGAIN && now_ms() < end)
		sleep_ms(10);
	CHECK_IS(result, 0);
	CHECK_IS(more.slot, trace[7].slot);
	CHECK(more.generation > trace[TRACEBUF_NR_SLOTS - 1].generation);
	trace[7] = more;
	for (unsigned int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		CHECK_IS(control_destroy(&control, &trace[i]), 0);
}

static void begin(void)
{
	balance_begin(&control);
}

static void end(void)
{
	if (!device_is_missing())
		balance_check(&control);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "begin", begin },
		{ "TRACE_CREATE", test_create },
		{ "directories", test_directories },
		{ "GENERATION of all commands", test_generation },
		{ "CHANNEL_SET", test_channels },
		{ "RULES_SET", test_rules },
		{ "messages that are none", test_messages },
		{ "slots: limit and rest", test_limits },
		{ "end: pages are back", end },
		CU_TEST_INFO_NULL,
	};

	return tb_run_suite("test_netlink", tests);
}
