/* SPDX-License-Identifier: MIT */
/*
 * The kernel as home of the pages: tracebuf.ko gives slots, generations and event numbers, evaluates the rules and
 * writes what processes read; we ask it by netlink.
 *
 * Invariant: control.page.slot[] of our traces says what the kernel has taken, step by step, so that a step that fails
 * is the only one to be asked again. A trace in the kernel that no .trace tells of, and whose daemon is dead, is
 * destroyed.
 */
#define _GNU_SOURCE
#include "home.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "kernel.h"
#include "libtracebuf/stream_id.h"
#include "reader/ring.h"
#include "takeover.h"

#define CONTROL_TRIES 10000

/* What the control pages say, of one time. */
static int copy_control(const void *map, struct tracebuf_control *page)
{
	const uint32_t *sequence = &((const struct tracebuf_control *) map)->sequence;

	for (int try = 0; try < CONTROL_TRIES; try++) {
		uint32_t before = __atomic_load_n(sequence, __ATOMIC_ACQUIRE);

		memcpy(page, map, sizeof(*page));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(before & 1) && before == __atomic_load_n(sequence, __ATOMIC_RELAXED))
			return tb_superblock_check(&page->sb, TRACEBUF_KIND_CONTROL, sizeof(page->sb), 0);
		sched_yield();
	}
	return -EAGAIN;
}

static int read_control(struct tracebuf_control *page)
{
	int fd = open(TRACEBUF_DEVICE, O_RDWR | O_CLOEXEC), ret;
	void *map;

	if (fd < 0)
		return -errno;
	map = mmap(NULL, TRACEBUF_RULES_OFFSET, PROT_READ, MAP_SHARED, fd, 0);
	ret = map == MAP_FAILED ? -errno : copy_control(map, page);
	if (map != MAP_FAILED)
		munmap(map, TRACEBUF_RULES_OFFSET);
	close(fd);
	return ret;
}

/* The clock of all traces in the kernel; where there is none, ours. */
static void choose_clock(struct tb_control *control, enum tracebuf_clock wanted)
{
	bool used = false;

	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		used |= control->page.slot[i].generation != 0;
	if (!used)
		control->page.clock = wanted ? wanted : tb_clock_choose();
	else if (wanted && control->page.clock != (uint32_t) wanted)
		tb_say("--clock is ignored: the traces that the kernel has now have another one");
}

static int open_pages(struct tb_daemon *daemon)
{
	struct tb_control *control = &daemon->control;
	int ret;

	memset(control, 0, sizeof(*control));
	control->fd = -1;
	ret = tb_netlink_open(&daemon->kernel->netlink);
	if (ret) {
		tb_say("kernel home: %s", ret == -ENOENT ? "tracebuf.ko is not loaded" : strerror(-ret));
		return ret;
	}
	ret = read_control(&control->page);
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		control->was_stopped[i] = control->page.slot[i].generation && !control->page.slot[i].active;
	if (ret)
		tb_say(ret == -EPROTONOSUPPORT ? "%s is of another version of tracebuf: %s" : "%s: %s", TRACEBUF_DEVICE,
		       strerror(-ret));
	return ret;
}

static int open_home(struct tb_daemon *daemon, enum tracebuf_clock clock)
{
	struct tb_kernel *kernel = calloc(1, sizeof(*kernel));
	int ret;

	if (!kernel) {
		tb_say("kernel home: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	kernel->debugfs_fd = -1;
	snprintf(kernel->domain, sizeof(kernel->domain), "%s", tb_rundir_domain(daemon->rundir.path));
	daemon->kernel = kernel;
	daemon->domain = kernel->domain[0] ? tb_stream_id(0, kernel->domain, strlen(kernel->domain)) : 0;
	ret = open_pages(daemon);
	if (ret)
		return ret;
	choose_clock(&daemon->control, clock);
	tb_kernel_find_debugfs(daemon);
	daemon->news_fd = mnl_socket_get_fd(kernel->netlink.news);
	return 0;
}

static void close_home(struct tb_daemon *daemon, bool remove)
{
	struct tb_kernel *kernel = daemon->kernel;

	(void) remove;
	tb_control_close(&daemon->control);
	if (!kernel)
		return;
	tb_netlink_close(&kernel->netlink);
	if (kernel->debugfs_fd >= 0)
		close(kernel->debugfs_fd);
	daemon->kernel = NULL;
	free(kernel);
}

static int set_clock(struct tb_daemon *daemon, bool rseq_works)
{
	daemon->kernel->rseq_works = rseq_works;
	return 0;
}

/* One command whose only word is the trace. */
static int command(struct tb_daemon *daemon, enum tracebuf_cmd cmd, uint64_t generation)
{
	struct nlmsghdr *message = tb_netlink_begin(&daemon->kernel->netlink, cmd, false);

	mnl_attr_put_u64(message, TRACEBUF_A_GENERATION, generation);
	return tb_netlink_call(&daemon->kernel->netlink, NULL, NULL);
}

static void created(void *data, const struct tb_netlink_attributes *attributes)
{
	struct tb_recording *recording = data;

	recording->slot.generation = tb_netlink_u64(attributes, TRACEBUF_A_GENERATION);
	recording->number = tb_netlink_u32(attributes, TRACEBUF_A_SLOT);
	snprintf(recording->directory, sizeof(recording->directory), "%s",
		 tb_netlink_text(attributes, TRACEBUF_A_DIRECTORY));
}

static void persistent_listed(void *data, const struct tb_netlink_attributes *attributes)
{
	char *name = data;

	if (tb_netlink_u32(attributes, TRACEBUF_A_PERSISTENT))
		snprintf(name, TRACEBUF_NAME_SIZE + 8, " (%s)", tb_netlink_text(attributes, TRACEBUF_A_NAME));
}

/* Of a persistent trace only. */
static int complain_region(const struct tb_recording *recording, int error, struct tb_message *message)
{
	struct tb_netlink *netlink = &recording->daemon->kernel->netlink;
	char other[TRACEBUF_NAME_SIZE + 8] = "";

	if (error == -ENXIO)
		return tb_fail(message, error, "trace %s: there is no region that keeps its content over a reboot: boot "
			       "with reserve_mem= or memmap=, and load tracebuf.ko with region= (tracebuf(4))",
			       recording->slot.name);
	if (error == -EPERM)
		return tb_fail(message, error, "trace %s: --persistent needs a daemon that has CAP_SYS_ADMIN",
			       recording->slot.name);
	tb_netlink_begin(netlink, TRACEBUF_CMD_TRACE_GET, true);
	tb_netlink_call(netlink, persistent_listed, other);
	return tb_fail(message, error, "trace %s: another trace%s has the region: destroy that first, or create this "
		       "one without --persistent", recording->slot.name, other);
}

static int complain_create(const struct tb_recording *recording, int error, struct tb_message *message)
{
	const char *name = recording->slot.name, *words = recording->daemon->kernel->netlink.error;

	if (recording->persistent && (error == -ENXIO || error == -EPERM || error == -EADDRINUSE))
		return complain_region(recording, error, message);
	switch (error) {
	case -EAGAIN:
		return error;
	case -EUSERS:
		return tb_fail(message, error, "trace %s: the kernel has %d traces already, which is the limit; destroy one "
			       "first", name, TRACEBUF_NR_SLOTS);
	case -EDQUOT:
		return tb_fail(message, error, "trace %s: your user has as many traces as the module's max_user_traces allows; "
			       "destroy one first", name);
	case -EBUSY:
		return tb_fail(message, error, "trace %s: another daemon records with another clock: end its traces, or start "
			       "tracebufd with its --clock", name);
	default:
		return tb_fail(message, error, "trace %s: the kernel refuses it: %s%s%s", name, strerror(-error),
			       *words ? ": " : "", words);
	}
}

static int create(struct tb_recording *recording, struct tb_message *message)
{
	struct tb_daemon *daemon = recording->daemon;
	struct tb_kernel *kernel = daemon->kernel;
	struct nlmsghdr *request = tb_netlink_begin(&kernel->netlink, TRACEBUF_CMD_TRACE_CREATE, false);
	struct tracebuf_slot *slot;
	int device = open(TRACEBUF_DEVICE, O_RDWR | O_CLOEXEC), ret;
	uint8_t boot_id[16];

	tb_uuid_parse(daemon->clock.boot_id, boot_id);
	mnl_attr_put(request, TRACEBUF_A_BOOT_ID, sizeof(boot_id), boot_id);
	mnl_attr_put_strz(request, TRACEBUF_A_NAME, recording->slot.name);
	mnl_attr_put(request, TRACEBUF_A_UUID, sizeof(recording->slot.uuid), recording->slot.uuid);
	mnl_attr_put_u32(request, TRACEBUF_A_CLOCK, daemon->clock.kind);
	mnl_attr_put_u64(request, TRACEBUF_A_FREQUENCY, daemon->clock.frequency);
	mnl_attr_put_u32(request, TRACEBUF_A_RSEQ_WORKS, kernel->rseq_works);
	if (device >= 0)
		mnl_attr_put_u32(request, TRACEBUF_A_DEVICE, (uint32_t) device);
	if (kernel->domain[0])
		mnl_attr_put_strz(request, TRACEBUF_A_DOMAIN, kernel->domain);
	if (recording->persistent)
		mnl_attr_put_u32(request, TRACEBUF_A_PERSISTENT, 1);
	ret = tb_netlink_call(&kernel->netlink, created, recording);
	if (device >= 0)
		close(device);
	if (!ret && (!recording->slot.generation || recording->number >= TRACEBUF_NR_SLOTS))
		ret = -EPROTO;
	if (ret)
		return complain_create(recording, ret, message);
	slot = &daemon->control.page.slot[recording->number];
	memset(slot, 0, sizeof(*slot));
	slot->generation = recording->slot.generation;
	memcpy(slot->uuid, recording->slot.uuid, sizeof(slot->uuid));
	memcpy(slot->name, recording->slot.name, sizeof(slot->name));
	return 0;
}

static void adopt_listed(void *data, const struct tb_netlink_attributes *attributes)
{
	struct tb_recording *recording = data;

	if (tb_netlink_u64(attributes, TRACEBUF_A_GENERATION) != recording->slot.generation)
		return;
	recording->persistent = tb_netlink_u32(attributes, TRACEBUF_A_PERSISTENT);
	snprintf(recording->directory, sizeof(recording->directory), "%s",
		 tb_netlink_text(attributes, TRACEBUF_A_DIRECTORY));
}

static int adopt(struct tb_recording *recording)
{
	struct tb_daemon *daemon = recording->daemon;
	int ret;

	if (daemon->control.page.slot[recording->number].generation != recording->slot.generation)
		return -ESTALE;
	tb_netlink_begin(&daemon->kernel->netlink, TRACEBUF_CMD_TRACE_GET, true);
	ret = tb_netlink_call(&daemon->kernel->netlink, adopt_listed, recording);
	if (ret && ret != -EINTR)
		return ret;
	if (!recording->directory[0])
		return -ESTALE;
	return command(daemon, TRACEBUF_CMD_TRACE_ADOPT, recording->slot.generation);
}

static int set_channel(struct tb_daemon *daemon, uint64_t generation, uint32_t channel,
		       const struct tracebuf_channel *config)
{
	struct nlmsghdr *message = tb_netlink_begin(&daemon->kernel->netlink, TRACEBUF_CMD_CHANNEL_SET, false);

	mnl_attr_put_u64(message, TRACEBUF_A_GENERATION, generation);
	mnl_attr_put_u32(message, TRACEBUF_A_CHANNEL, channel);
	mnl_attr_put(message, TRACEBUF_A_CHANNEL_CONFIG, sizeof(*config), config);
	return tb_netlink_call(&daemon->kernel->netlink, NULL, NULL);
}

static int set_rules(struct tb_daemon *daemon, uint64_t generation, const void *rules, size_t rules_size)
{
	struct nlmsghdr *message = tb_netlink_begin(&daemon->kernel->netlink, TRACEBUF_CMD_RULES_SET, false);
	const struct tracebuf_rule *rule;

	mnl_attr_put_u64(message, TRACEBUF_A_GENERATION, generation);
	for (size_t offset = 0; offset < rules_size; offset += rule->size) {
		rule = (const void *) ((const char *) rules + offset);
		if (!tb_netlink_has_room(rule->size))
			return -ENOSPC;
		mnl_attr_put(message, TRACEBUF_A_RULE, rule->size, rule);
	}
	return tb_netlink_call(&daemon->kernel->netlink, NULL, NULL);
}

/* Tells the kernel what it does not know yet. */
static int set_slot(struct tb_daemon *daemon, unsigned int number, const struct tracebuf_slot *slot,
		    const void *rules, size_t rules_size)
{
	struct tb_control *control = &daemon->control;
	struct tracebuf_slot *known = &control->page.slot[number];
	int ret = 0;

	if (!slot)
		return tb_control_keep(control, number, NULL, NULL, 0);
	if (known->active && !slot->active)
		ret = command(daemon, TRACEBUF_CMD_TRACE_STOP, slot->generation);
	if (ret)
		return ret;
	known->active &= slot->active;
	while (!ret && known->nr_channels < slot->nr_channels) {
		ret = set_channel(daemon, slot->generation, known->nr_channels, &slot->channel[known->nr_channels]);
		known->nr_channels += !ret;
	}
	if (!ret && (rules_size != known->rules_size ||
		     (rules_size && (!control->rules[number] || memcmp(control->rules[number], rules, rules_size)))))
		ret = set_rules(daemon, slot->generation, rules, rules_size);
	if (!ret && !known->active && slot->active)
		ret = command(daemon, TRACEBUF_CMD_TRACE_START, slot->generation);
	return ret ? ret : tb_control_keep(control, number, slot, rules, rules_size);
}

static void remove_trace(struct tb_recording *recording)
{
	int ret = command(recording->daemon, TRACEBUF_CMD_TRACE_DESTROY, recording->slot.generation);

	if (ret)
		tb_say("trace %s: the kernel does not destroy it: %s", recording->slot.name, strerror(-ret));
}

struct strays {
	struct tb_daemon *daemon;
	unsigned int nr_others;			/* another daemon's of our user and domain, which lives */
	uint32_t other;				/* its pid, 0 if we do not see it */
	unsigned int nr;
	uint64_t generation[TRACEBUF_NR_SLOTS];
};

static void stray_listed(void *data, const struct tb_netlink_attributes *attributes)
{
	uint64_t generation = tb_netlink_u64(attributes, TRACEBUF_A_GENERATION);
	struct strays *strays = data;

	if (strays->nr == TRACEBUF_NR_SLOTS || tb_netlink_u32(attributes, TRACEBUF_A_UID) != geteuid() ||
	    strcmp(tb_netlink_text(attributes, TRACEBUF_A_DOMAIN), strays->daemon->kernel->domain))
		return;
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++)
		if (strays->daemon->recording[i] && strays->daemon->recording[i]->slot.generation == generation)
			return;
	if (tb_takeover_waits(strays->daemon, generation))
		return;
	if (attributes->at[TRACEBUF_A_DAEMON]) {
		strays->nr_others++;
		strays->other = tb_netlink_u32(attributes, TRACEBUF_A_DAEMON);
		return;
	}
	strays->generation[strays->nr++] = generation;
}

static int remove_strays(struct tb_daemon *daemon)
{
	struct strays strays = { .daemon = daemon };
	int ret;

	tb_netlink_begin(&daemon->kernel->netlink, TRACEBUF_CMD_TRACE_GET, true);
	ret = tb_netlink_call(&daemon->kernel->netlink, stray_listed, &strays);
	if (ret && ret != -EINTR)
		return ret;
	for (unsigned int i = 0; i < strays.nr; i++)
		command(daemon, TRACEBUF_CMD_TRACE_DESTROY, strays.generation[i]);
	if (strays.nr_others)
		tb_say("another tracebufd (pid %u) with another run directory has %u traces of this user's processes; "
		       "they are left alone", strays.other, strays.nr_others);
	return 0;
}

static void request_statedump(struct tb_recording *recording)
{
	command(recording->daemon, TRACEBUF_CMD_STATEDUMP, recording->slot.generation);
}

static int settle(struct tb_daemon *daemon)
{
	int ret, first = 0;

	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++) {
		if (!daemon->recording[i])
			continue;
		ret = command(daemon, TRACEBUF_CMD_TRACE_SHOW, daemon->recording[i]->slot.generation);
		if (!first)
			first = ret;
	}
	return first;
}

static void sweep(struct tb_daemon *daemon)
{
	(void) daemon;
}

/* The kernel has set them. */
static int enable(struct tb_process *process, int fd, uint32_t enable_size)
{
	(void) process;
	(void) fd;
	(void) enable_size;
	return 0;
}

static void remove_process(struct tb_process *process)
{
	(void) process;
}

static void take_facts(void *data, const struct tb_netlink_attributes *attributes)
{
	struct tb_home_facts *facts = data;

	facts->nr_pages = tb_netlink_u64(attributes, TRACEBUF_A_NR_PAGES);
	facts->max_pages = tb_netlink_u64(attributes, TRACEBUF_A_MAX_PAGES);
	facts->max_user_pages = tb_netlink_u64(attributes, TRACEBUF_A_MAX_USER_PAGES);
	facts->nr_processes = tb_netlink_u64(attributes, TRACEBUF_A_NR_PROCESSES);
	facts->max_processes = tb_netlink_u64(attributes, TRACEBUF_A_MAX_PROCESSES);
	facts->nr_rings = tb_netlink_u64(attributes, TRACEBUF_A_NR_RINGS);
	facts->nr_refused = tb_netlink_u64(attributes, TRACEBUF_A_DISCARDED);
	facts->nr_region_pages = tb_netlink_u64(attributes, TRACEBUF_A_NR_REGION_PAGES);
	facts->max_region_pages = tb_netlink_u64(attributes, TRACEBUF_A_MAX_REGION_PAGES);
}

static void facts(const struct tb_daemon *daemon, struct tb_home_facts *ret_facts)
{
	struct tb_netlink *netlink = &daemon->kernel->netlink;

	memset(ret_facts, 0, sizeof(*ret_facts));
	ret_facts->path = TRACEBUF_DEVICE;
	ret_facts->way = daemon->kernel->debugfs_fd >= 0 ? "debugfs" : "device";
	tb_netlink_begin(netlink, TRACEBUF_CMD_STATUS_GET, false);
	tb_netlink_call(netlink, take_facts, ret_facts);
}

/* Pages that all rings of the trace may have, and what says so. */
static uint64_t page_limit(const struct tb_recording *recording, const char **ret_what)
{
	struct tb_home_facts now;

	facts(recording->daemon, &now);
	*ret_what = "the kernel's limit is";
	if (recording->persistent) {
		*ret_what = "this boot's half of the region is";
		return now.max_region_pages;
	}
	return geteuid() && now.max_user_pages < now.max_pages ? now.max_user_pages : now.max_pages;
}

static int check_room(const struct tb_recording *recording, uint64_t ring_size, struct tb_message *message)
{
	uint64_t page_size = sysconf(_SC_PAGESIZE), pages = ring_size / page_size, max;
	const char *what;

	max = page_limit(recording, &what);
	/* Header and producer page, and the page list. */
	pages += 2 + pages / (page_size / 8) + TRACEBUF_MAX_PAGE_LIST_LEVELS;
	if (!max || pages <= max)
		return 0;
	return tb_fail(message, -EINVAL, "channel needs %llu MiB for each CPU, %s %llu pages of %llu KiB in all (module "
		       "parameters %s)", (unsigned long long) (ring_size >> 20), what, (unsigned long long) max,
		       (unsigned long long) (page_size >> 10),
		       recording->persistent ? "region" : "max_pages, max_user_pages");
}

const struct tb_home tb_kernel_home = {
	.name = "kernel",
	.tells_deaths = true,
	.open = open_home,
	.close = close_home,
	.set_clock = set_clock,
	.create = create,
	.adopt = adopt,
	.set_slot = set_slot,
	.watch = tb_kernel_watch,
	.remove = remove_trace,
	.remove_strays = remove_strays,
	.request_statedump = request_statedump,
	.read_news = tb_kernel_read_news,
	.list_processes = tb_kernel_list_processes,
	.list_rings = tb_kernel_list_rings,
	.settle = settle,
	.sweep = sweep,
	.open_process = tb_kernel_open_process,
	.enable = enable,
	.keeps_process = tb_kernel_keeps_process,
	.remove_process = remove_process,
	.open_ring = tb_kernel_open_ring,
	.has_ring = tb_kernel_has_ring,
	.put = tb_kernel_put,
	.remove_ring = tb_kernel_remove_ring,
	.check_room = check_room,
	.facts = facts,
};
