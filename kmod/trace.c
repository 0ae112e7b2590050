// SPDX-License-Identifier: GPL-2.0-only
/*
 * Traces: who made them, their channels and rules, and the control pages that tell processes of them.
 *
 * Invariant: the control pages are written from a private copy under their seqlock, and before the enable records of
 * processes: who finds an event enabled finds its trace in the control pages. A slot that was in use rests for longer
 * than 2^TRACEBUF_WINDOW_BITS clock ticks before another trace gets it (abi.h, tracebuf_slot), and no generation is
 * given twice. Partner of the seqlock: the library's copy of the control page.
 */
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include "tracebuf.h"

/* Slower clocks than this would keep a slot resting for minutes. */
#define MIN_FREQUENCY 1000000
/* Longest pattern of a rule, with the NUL: as the daemon has it, so that matching stays short. */
#define MAX_PATTERN_SIZE 1024
/* Bytes of patterns with a '*' before their end, of all rules of a trace whose maker does not see all processes. */
#define MAX_SEARCHING_SIZE 512

static struct tb_object *control;
static struct tracebuf_control page;		/* what control's pages say */
static struct tb_trace *traces[TRACEBUF_NR_SLOTS];
static u64 changed[TRACEBUF_NR_SLOTS];
static u64 rest_until_ns[TRACEBUF_NR_SLOTS];
static kuid_t rest_uid[TRACEBUF_NR_SLOTS];	/* whose trace it was */
static u64 latest_generation;

/* ---- the control pages ---- */

static void step_sequence(void)
{
	page.sequence++;
	tb_object_store32(control, offsetof(struct tracebuf_control, sequence), page.sequence);
}

/* Shows what page says of the words before the slots and, unless negative, of one slot. Its pages exist: no failure. */
static void show(int slot)
{
	const size_t begin = offsetof(struct tracebuf_control, clock), end = offsetof(struct tracebuf_control, slot);

	step_sequence();
	smp_wmb();	/* sequence is odd before anything changes */
	tb_object_write(control, begin, (char *)&page + begin, end - begin);
	if (slot >= 0)
		tb_object_write(control, end + slot * sizeof(page.slot[0]), &page.slot[slot], sizeof(page.slot[0]));
	smp_wmb();	/* and even after all has */
	step_sequence();
}

/* Shows a slot whose trace has changed, then goes by it. */
static void show_change(unsigned int slot)
{
	const struct tb_trace *trace = traces[slot];

	page.rules_generation++;
	changed[slot] = page.rules_generation;
	page.slot[slot].nr_channels = trace->nr_channels;
	page.slot[slot].active = trace->active;
	show(slot);
	tb_processes_evaluate();
}

static bool never(u64 offset)
{
	return false;
}

static void control_free(struct tb_object *object)
{
	tb_object_destroy(object);
	kfree(object);
}

static const struct tb_object_type control_type = {
	.kind = TRACEBUF_KIND_CONTROL,
	.is_writable = never,
	.is_on_demand = never,
	.free = control_free,
};

/* All of the control pages, so that showing a change cannot fail. */
static int fill_control(void)
{
	static const u64 nothing;
	int ret = tb_object_seal(control, &page.sb, sizeof(page.sb));

	for (u64 offset = PAGE_SIZE; !ret && offset < TRACEBUF_RULES_OFFSET; offset += PAGE_SIZE)
		ret = tb_object_write(control, offset, &nothing, sizeof(nothing));
	if (!ret)
		show(-1);
	return ret;
}

int tb_traces_init(void)
{
	struct tb_user *root = tb_user_get(GLOBAL_ROOT_UID);
	int ret = -ENOMEM;

	control = kzalloc(sizeof(*control), GFP_KERNEL);
	if (!root || !control)
		goto out;
	ret = tb_object_init(control, &control_type, TRACEBUF_RULES_OFFSET, root, NUMA_NO_NODE, NULL);
	if (ret)
		goto out;
	page.rules_generation = 1;
	ret = fill_control();
	if (ret) {
		tb_object_put(control);
		control = NULL;
	}
	tb_user_put(root);
	return ret;
out:
	kfree(control);
	control = NULL;
	tb_user_put(root);
	return ret;
}

void tb_traces_exit(void)
{
	tb_object_put(control);
	control = NULL;
}

struct tb_object *tb_control(void)
{
	return control;
}

u64 tb_rules_generation(void)
{
	return page.rules_generation;
}

u64 tb_trace_changed(unsigned int slot)
{
	return changed[slot];
}

u32 tb_trace_clock(void)
{
	return page.clock;
}

/* ---- finding ---- */

struct tb_trace *tb_trace_in(unsigned int slot)
{
	return slot < TRACEBUF_NR_SLOTS ? traces[slot] : NULL;
}

struct tb_trace *tb_trace_find(u64 generation)
{
	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++)
		if (traces[slot] && traces[slot]->generation == generation)
			return traces[slot];
	return NULL;
}

static bool any_trace(void)
{
	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++)
		if (traces[slot])
			return true;
	return false;
}

const struct tracebuf_channel *tb_trace_channel(const struct tb_trace *trace, unsigned int channel)
{
	return channel < trace->nr_channels ? &page.slot[trace->slot].channel[channel] : NULL;
}

void tb_trace_uuid(const struct tb_trace *trace, u8 uuid[16])
{
	memcpy(uuid, page.slot[trace->slot].uuid, 16);
}

bool tb_trace_has_daemon(const struct tb_trace *trace)
{
	struct task_struct *task;
	bool alive;

	rcu_read_lock();
	task = pid_task(trace->daemon, PIDTYPE_TGID);
	/* One that ends counts as dead before it gives up its files, a run directory's lock among them. */
	alive = task && (!(READ_ONCE(task->flags) & PF_EXITING) || !thread_group_empty(task));
	rcu_read_unlock();
	return alive;
}

/* ---- making and destroying ---- */

/* May uid have one more? Slots that rest count as well: for how long they do is what their trace said of its clock. */
static int check_quota(kuid_t uid)
{
	unsigned int nr = 0, nr_resting = 0, max = READ_ONCE(tb_max_user_traces);
	u64 now = ktime_get_ns();

	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++) {
		nr += traces[slot] && uid_eq(traces[slot]->owner.cred->euid, uid);
		nr_resting += !traces[slot] && now < rest_until_ns[slot] && uid_eq(rest_uid[slot], uid);
	}
	if (nr + nr_resting < max || ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE))
		return 0;
	return nr < max ? -EAGAIN : -EDQUOT;
}

/* The free slot that has rested longest; -EUSERS, -EAGAIN. */
static int find_slot(void)
{
	u64 now = ktime_get_ns();
	int best = -EUSERS;

	for (int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++) {
		if (traces[slot])
			continue;
		if (now < rest_until_ns[slot]) {
			if (best < 0)
				best = -EAGAIN;
		} else if (best < 0 || rest_until_ns[slot] < rest_until_ns[best]) {
			best = slot;
		}
	}
	return best;
}

static void begin_rest(const struct tb_trace *trace)
{
	u64 ns = div64_u64((u64)NSEC_PER_SEC << TRACEBUF_WINDOW_BITS, trace->clock_frequency);

	rest_until_ns[trace->slot] = ktime_get_ns() + ns + ns / 4;
	rest_uid[trace->slot] = trace->owner.cred->euid;
}

bool tb_trace_name_is_right(const char *name)
{
	size_t size = strnlen(name, TRACEBUF_NAME_SIZE);

	return size > 0 && size < TRACEBUF_NAME_SIZE && name[0] != '.' &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == size;
}

bool tb_domain_is_right(const char *domain)
{
	size_t size = strnlen(domain, TRACEBUF_MAX_DOMAIN_SIZE + 1);

	for (size_t i = 0; i < size; i++)
		if ((unsigned char)domain[i] < ' ' || domain[i] == 0x7f)
			return false;
	return size <= TRACEBUF_MAX_DOMAIN_SIZE;
}

static bool directory_is_taken(const char *name)
{
	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++)
		if (traces[slot] && !strcmp(traces[slot]->directory, name))
			return true;
	return tb_debugfs_is_reserved(name);
}

/* The trace's name, or if that is taken its name and number. */
static int choose_directory(struct tb_trace *trace)
{
	strscpy(trace->directory, trace->name, sizeof(trace->directory));
	if (!directory_is_taken(trace->directory))
		return 0;
	snprintf(trace->directory, sizeof(trace->directory), "%s-%llu", trace->name, trace->generation);
	return directory_is_taken(trace->directory) ? -EEXIST : 0;
}

static u64 new_generation(void)
{
	return max_t(u64, ktime_get_real_ns() / NSEC_PER_USEC, latest_generation + 1);
}

static struct tb_trace *make(const struct tb_trace_request *request, unsigned int slot)
{
	struct tb_trace *trace = kzalloc(sizeof(*trace), GFP_KERNEL_ACCOUNT);

	if (!trace)
		return NULL;
	INIT_LIST_HEAD(&trace->rings);
	trace->slot = slot;
	trace->generation = new_generation();
	strscpy(trace->name, request->name, sizeof(trace->name));
	strscpy(trace->domain, request->domain ?: "", sizeof(trace->domain));
	tb_owner_init(&trace->owner);
	trace->is_admin = request->is_admin;
	trace->is_persistent = request->is_persistent;
	trace->daemon = get_pid(task_tgid(current));
	trace->clock_frequency = request->frequency;
	trace->clock_ticks = request->clock == TRACEBUF_CLOCK_TSC ? get_cycles() :
			     request->clock == TRACEBUF_CLOCK_MONOTONIC ? ktime_get_ns() : 0;
	trace->clock_realtime_ns = ktime_get_real_ns();
	if (request->boot_id)
		memcpy(trace->boot_id, request->boot_id, sizeof(trace->boot_id));
	return trace;
}

static void free_trace(struct tb_trace *trace)
{
	put_pid(trace->daemon);
	tb_owner_exit(&trace->owner);
	kvfree(trace->rules);
	kfree(trace);
}

static bool sees_all(const struct tb_trace *trace)
{
	return trace->is_admin && trace->owner.cred->user_ns == &init_user_ns;
}

/*
 * Of all traces: they have one clock, and the rest is what the latest one's maker says. Who does not see all processes
 * says nothing to those of others, as long as there is a trace beside its own.
 */
static void tell_clock(const struct tb_trace *trace, const struct tb_trace_request *request)
{
	if (any_trace() && !sees_all(trace))
		return;
	page.clock = request->clock;
	page.clock_frequency = trace->clock_frequency;
	page.rseq_works = request->rseq_works;
	page.daemon_pid = task_tgid_nr(current);
	page.clock_ticks = trace->clock_ticks;
	page.clock_realtime_ns = trace->clock_realtime_ns;
	memcpy(page.boot_id, trace->boot_id, sizeof(page.boot_id));
}

static void tell_trace(const struct tb_trace *trace, const u8 uuid[16])
{
	struct tracebuf_slot *slot = &page.slot[trace->slot];

	memset(slot, 0, sizeof(*slot));
	slot->generation = trace->generation;
	memcpy(slot->uuid, uuid, sizeof(slot->uuid));
	strscpy(slot->name, trace->name, sizeof(slot->name));
}

static const struct tb_trace *persistent_trace(void)
{
	for (unsigned int slot = 0; slot < TRACEBUF_NR_SLOTS; slot++)
		if (traces[slot] && traces[slot]->is_persistent)
			return traces[slot];
	return NULL;
}

static int check_request(const struct tb_trace_request *request)
{
	if (!tb_trace_name_is_right(request->name) || (request->domain && !tb_domain_is_right(request->domain)))
		return -EINVAL;
	if (request->clock < TRACEBUF_CLOCK_TSC || request->clock > TRACEBUF_CLOCK_COUNTER ||
	    request->frequency < MIN_FREQUENCY || request->rseq_works > 1)
		return -EINVAL;
	if (request->is_persistent && !tb_region_is_there())
		return -ENXIO;
	if (request->is_persistent && persistent_trace())
		return -EADDRINUSE;
	return any_trace() && page.clock != request->clock ? -EBUSY : 0;
}

int tb_trace_create(const struct tb_trace_request *request, struct tb_trace **ret_trace)
{
	int slot = find_slot(), ret = check_request(request);
	struct tb_trace *trace;

	lockdep_assert_held(&tb_lock);
	if (ret)
		return ret;
	if (slot < 0)
		return slot;
	ret = check_quota(current_euid());
	if (ret)
		return ret;
	trace = make(request, slot);
	if (!trace)
		return -ENOMEM;
	ret = choose_directory(trace);
	if (ret) {
		free_trace(trace);
		return ret;
	}
	__module_get(THIS_MODULE);
	latest_generation = trace->generation;
	trace->dentry = tb_debugfs_add_directory(trace->directory);
	tell_clock(trace, request);
	traces[slot] = trace;
	tell_trace(trace, request->uuid);
	show_change(slot);
	tb_notify(TRACEBUF_CMD_TRACE_NEW, trace->generation, trace->name);
	*ret_trace = trace;
	return 0;
}

/* Of a persistent trace nothing is to be found any more. */
static void drop_copies(void)
{
	struct tb_process *process;

	list_for_each_entry(process, &tb_processes, list)
		tb_keep_drop(process);
}

void tb_trace_destroy(struct tb_trace *trace)
{
	struct tb_ring *ring, *next;

	lockdep_assert_held(&tb_lock);
	/* Nothing is enabled by it any more before the slot is empty. */
	tb_trace_set_active(trace, false);
	memset(&page.slot[trace->slot], 0, sizeof(page.slot[0]));
	page.rules_generation++;
	changed[trace->slot] = page.rules_generation;
	show(trace->slot);
	begin_rest(trace);
	list_for_each_entry_safe(ring, next, &trace->rings, of_trace) {
		tb_ring_remove(ring);
		cond_resched();
	}
	if (trace->is_persistent)
		drop_copies();
	traces[trace->slot] = NULL;
	tb_processes_evaluate();
	tb_processes_forget();
	if (!any_trace())
		tb_events_trim();
	tb_debugfs_remove(trace->dentry);
	tb_notify(TRACEBUF_CMD_TRACE_GONE, trace->generation, trace->name);
	free_trace(trace);
	module_put(THIS_MODULE);
}

void tb_trace_adopt(struct tb_trace *trace)
{
	lockdep_assert_held(&tb_lock);
	put_pid(trace->daemon);
	trace->daemon = get_pid(task_tgid(current));
	page.daemon_pid = task_tgid_nr(current);
	show(-1);
}

/* ---- changing ---- */

/* As readers check it: reader/ring.c. */
static bool channel_is_right(const struct tracebuf_channel *config)
{
	size_t name_size = strnlen(config->name, sizeof(config->name));

	if (!name_size || name_size == sizeof(config->name) || config->name[0] == '.' ||
	    memchr_inv(config->name + name_size, 0, sizeof(config->name) - name_size) ||
	    memchr_inv(config->reserved, 0, sizeof(config->reserved)))
		return false;
	for (size_t i = 0; i < name_size; i++)
		if (config->name[i] <= ' ' || config->name[i] > '~' || config->name[i] == '/')
			return false;
	return config->mode <= TRACEBUF_MODE_BLOCK && config->context < 2 * TRACEBUF_CONTEXT_PROCNAME &&
	       is_power_of_2(config->subbuf_size) && config->subbuf_size >= TRACEBUF_MIN_SUBBUF_SIZE &&
	       config->subbuf_size <= TRACEBUF_MAX_SUBBUF_SIZE && is_power_of_2(config->nr_subbufs) &&
	       config->nr_subbufs >= 2 && config->nr_subbufs <= TRACEBUF_MAX_SUBBUFS &&
	       config->subbuf_size * config->nr_subbufs <= TRACEBUF_MAX_RING_SIZE;
}

int tb_trace_set_channel(struct tb_trace *trace, unsigned int channel, const struct tracebuf_channel *config)
{
	lockdep_assert_held(&tb_lock);
	if (channel >= TRACEBUF_NR_CHANNELS || channel > trace->nr_channels || !channel_is_right(config))
		return -EINVAL;
	if (channel < trace->nr_channels && trace->active)
		return -EBUSY;
	page.slot[trace->slot].channel[channel] = *config;
	if (channel == trace->nr_channels)
		trace->nr_channels++;
	show_change(trace->slot);
	return 0;
}

/* Is there a rule at the start of size bytes? Its size, or 0. */
static u32 rule_size(const struct tracebuf_rule *rule, u32 size)
{
	const size_t head = offsetof(struct tracebuf_rule, pattern);
	size_t length;

	if (size < sizeof(*rule) || rule->size < sizeof(*rule) || rule->size > size || rule->size % 8 ||
	    rule->channel >= TRACEBUF_NR_CHANNELS || rule->enable > 1)
		return 0;
	length = strnlen((const char *)rule + head, rule->size - head);
	return length && length < MAX_PATTERN_SIZE && length < rule->size - head ? rule->size : 0;
}

/* Bytes of a pattern that a name is searched for; 0: it is compared from its begin only. */
static size_t searching_size(const char *pattern)
{
	for (const char *at = pattern; *at; at++) {
		if (*at == '*' && at[1])
			return strlen(pattern);
		if (*at == '\\' && at[1])
			at++;
	}
	return 0;
}

/*
 * Are these rules? To search takes as many steps as pattern and name have bytes, multiplied, for each event there is,
 * under tb_lock: so who is not trusted with all processes gets a bounded amount of it.
 */
static int check_rules(const struct tb_trace *trace, const void *rules, u32 size)
{
	size_t searching = 0;
	u32 one;

	if (size > TRACEBUF_RULES_SIZE)
		return -ENOSPC;
	for (u32 at = 0; at < size; at += one) {
		const struct tracebuf_rule *rule = rules + at;

		one = rule_size(rule, size - at);
		if (!one)
			return -EINVAL;
		searching += searching_size((const char *)rule + offsetof(struct tracebuf_rule, pattern));
	}
	return searching > MAX_SEARCHING_SIZE && !sees_all(trace) ? -ENOSPC : 0;
}

int tb_trace_set_rules(struct tb_trace *trace, void *rules, u32 size)
{
	int ret = check_rules(trace, rules, size);

	lockdep_assert_held(&tb_lock);
	if (ret)
		return ret;
	kvfree(trace->rules);
	trace->rules = rules;
	trace->rules_size = size;
	show_change(trace->slot);
	return 0;
}

/* What the processes consist of, that the trace sees now; those that come later dump when they register. */
static void dump_processes(const struct tb_trace *trace)
{
	struct tb_process *process;

	list_for_each_entry(process, &tb_processes, list)
		if (!process->gone && tb_process_is_seen_by(process, trace))
			tb_statedump_later(process, trace);
}

int tb_trace_set_active(struct tb_trace *trace, bool active)
{
	lockdep_assert_held(&tb_lock);
	if (trace->active == active)
		return 0;
	trace->active = active;
	if (active && trace->is_persistent)
		tb_region_start(trace);
	show_change(trace->slot);
	if (active)
		dump_processes(trace);
	else if (trace->is_persistent)
		tb_region_stop();
	return 0;
}
