/* SPDX-License-Identifier: MIT */
/*
 * A trace's accounts by process, put together from what is gone (struct tb_account) and what is alive: its rings, and
 * what a process lost for want of a ring.
 *
 * Invariant: what a process lost for want of a ring is added to a trace's account once, as the difference to
 * discarded_base, which moves along. It does not say which trace it meant: every active one gets it.
 */
#include <string.h>
#include "drain.h"
#include "output.h"
#include "recording.h"
#include "state.h"

struct tb_account *tb_recording_account(struct tb_recording *recording, const struct tb_process *process)
{
	struct tb_account *account = tb_account_get(&recording->accounts, process->info.pid, process->info.incarnation,
						    process->info.procname);

	if (account && !account->described) {
		tb_output_describe(recording, process);
		account->described = true;
	}
	return account;
}

void tb_recording_take_discarded(struct tb_recording *recording, struct tb_process *process)
{
	uint64_t *base = &process->discarded_base[recording->number];
	struct tb_counts counts = { .discarded = process->discarded - *base };
	struct tb_account *account;

	if (process->discarded <= *base)
		return;
	account = tb_recording_account(recording, process);
	if (!account) {
		tb_daemon_retry(recording->daemon, -ENOMEM);
		return;
	}
	*base = process->discarded;
	tb_counts_add(&account->counts, &counts);
	tb_state_add_counts(recording, "-", account, &counts);
}

struct tb_counts tb_recording_counts(struct tb_recording *recording,
				     void (*per_process)(void *data, const struct tb_account *account,
							 const struct tb_counts *counts), void *data)
{
	struct tb_counts total = recording->accounts.folded;
	struct tb_account *account;
	struct tb_process *process;
	struct tb_drain *drain;

	if (recording->slot.active)
		cds_list_for_each_entry(process, &recording->daemon->processes, list)
			tb_recording_take_discarded(recording, process);
	cds_list_for_each_entry(account, &recording->accounts.list, list)
		memset(&account->live, 0, sizeof(account->live));
	cds_list_for_each_entry(drain, &recording->drains, of_recording) {
		struct tb_counts counts = tb_drain_counts(drain);

		tb_counts_add(&drain->account->live, &counts);
	}
	cds_list_for_each_entry(account, &recording->accounts.list, list) {
		struct tb_counts counts = account->counts;

		tb_counts_add(&counts, &account->live);
		tb_counts_add(&total, &counts);
		if (per_process)
			per_process(data, account, &counts);
	}
	return total;
}
