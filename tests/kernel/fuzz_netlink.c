/* SPDX-License-Identifier: MIT */
/* Messages to the netlink family that are right but for a few bytes, with answers left unread now and then. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "device.h"
#include "tests/harness.h"

static int device = -1;

static void put_create(uint64_t *state, struct control_request *request)
{
	static const char *const names[] = { "fuzz", "fuzz", "procs", "a.b", "fuzz-1", "x" };
	uint64_t uuid[2] = { tb_random_next(state), 2 };

	control_put_text(request, TRACEBUF_A_NAME, names[fuzz_below(state, 6)]);
	control_put(request, TRACEBUF_A_UUID, uuid, sizeof(uuid));
	control_put_u32(request, TRACEBUF_A_CLOCK, TRACEBUF_CLOCK_MONOTONIC);
	/* Large, so that slots do not rest long whatever byte of it is changed. */
	control_put_u64(request, TRACEBUF_A_FREQUENCY, 1000000000000);
	control_put_u32(request, TRACEBUF_A_RSEQ_WORKS, 1);
	control_put_text(request, TRACEBUF_A_DOMAIN, "fuzz");
	control_put_u32(request, TRACEBUF_A_DEVICE, (uint32_t) device);
}

static void put_channel(uint64_t *state, struct control_request *request)
{
	struct tracebuf_channel channel = control_channel;

	channel.mode = (uint32_t) fuzz_below(state, 3);
	channel.subbuf_size = 4096ull << fuzz_below(state, 6);
	channel.context = (uint32_t) fuzz_below(state, 16);
	if (fuzz_below(state, 3) == 0)
		fuzz_mutate(state, &channel, sizeof(channel));
	control_put_u32(request, TRACEBUF_A_CHANNEL, (uint32_t) fuzz_below(state, 3));
	control_put(request, TRACEBUF_A_CHANNEL_CONFIG, &channel, sizeof(channel));
}

static void put_rules(uint64_t *state, struct control_request *request)
{
	static const char *const patterns[] = { "*", "fuzz:*", "*_1?", "\\*", "", "**************************a" };

	for (uint64_t nr = fuzz_below(state, 6); nr; nr--)
		control_put_rule(request, (unsigned int) fuzz_below(state, 3), fuzz_below(state, 2),
				 patterns[fuzz_below(state, 6)]);
}

static void fill_request(uint64_t *state, struct control_request *request)
{
	unsigned int cmd = 1 + (unsigned int) fuzz_below(state, TRACEBUF_CMD_STATUS_GET);

	/* Traces live a little. */
	if (cmd == TRACEBUF_CMD_TRACE_DESTROY && fuzz_below(state, 8))
		cmd = TRACEBUF_CMD_TRACE_START;
	control_begin(request, cmd);
	if (cmd == TRACEBUF_CMD_TRACE_CREATE)
		put_create(state, request);
	else if (cmd < TRACEBUF_CMD_TRACE_GET || cmd == TRACEBUF_CMD_RING_GET)
		control_put_u64(request, TRACEBUF_A_GENERATION, fuzz_traces[fuzz_any_trace(state)].generation);
	if (cmd == TRACEBUF_CMD_CHANNEL_SET)
		put_channel(state, request);
	else if (cmd == TRACEBUF_CMD_RULES_SET)
		put_rules(state, request);
}

static void send_request(uint64_t *state, struct control *control, struct control_request *request)
{
	struct nlmsghdr *message = (void *) request->bytes;

	if (fuzz_below(state, 3) == 0)
		fuzz_mutate(state, request->bytes + NLMSG_HDRLEN, request->size - NLMSG_HDRLEN);
	if (fuzz_below(state, 20) == 0)
		request->size = NLMSG_HDRLEN + (uint32_t) fuzz_below(state, request->size - NLMSG_HDRLEN + 1);
	message->nlmsg_type = control->family;
	message->nlmsg_len = request->size;
	message->nlmsg_seq = ++control->sequence;
	message->nlmsg_flags = NLM_F_REQUEST | (fuzz_below(state, 2) ? NLM_F_ACK : 0) |
			       (fuzz_below(state, 3) ? 0 : NLM_F_DUMP);
	if (fuzz_below(state, 50) == 0)
		message->nlmsg_flags = (uint16_t) fuzz_evil(state);
	send(control->fd, request->bytes, request->size, MSG_DONTWAIT);
}

static bool is_acknowledged(const void *answer)
{
	const struct nlmsghdr *message = answer;
	int error;

	memcpy(&error, message + 1, sizeof(error));
	return message->nlmsg_type == NLMSG_ERROR && !error;
}

void fuzz_netlink(uint64_t end_ms, uint64_t state)
{
	static struct control_request request;
	static _Alignas(8) char answer[65536];
	struct control control, looking;

	device = device_open();
	if (!CHECK_IS(control_open(&control), 0) || !CHECK_IS(control_open(&looking), 0))
		return;
	if (fuzz_below(&state, 2))
		control_listen(&control);
	while (now_ms() < end_ms) {
		fuzz_look_around(&looking);
		for (int i = 0; i < 32; i++) {
			fill_request(&state, &request);
			send_request(&state, &control, &request);
			while (fuzz_below(&state, 8) && recv(control.fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
				if (is_acknowledged(answer))
					fuzz_add(&fuzz_counted->message);
		}
	}
	control_close(&control);
	control_close(&looking);
	close(device);
}
