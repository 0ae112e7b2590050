/* SPDX-License-Identifier: MIT */
/*
 * Accounts: what each process recorded and lost, kept when the process and its rings are gone.
 *
 * Invariant: the sum over all accounts and folded never shrinks. Memory is bounded: beyond TB_ACCOUNT_MAX_DEAD dead
 * processes the oldest are folded into one line.
 */
#include "account.h"
#include <stdlib.h>
#include <string.h>

static struct cds_list_head *bucket_of(struct tb_accounts *accounts, int32_t pid)
{
	return &accounts->bucket[(uint32_t) pid % TB_ACCOUNT_BUCKETS];
}

void tb_accounts_init(struct tb_accounts *accounts)
{
	memset(accounts, 0, sizeof(*accounts));
	CDS_INIT_LIST_HEAD(&accounts->list);
	for (int i = 0; i < TB_ACCOUNT_BUCKETS; i++)
		CDS_INIT_LIST_HEAD(&accounts->bucket[i]);
}

static void forget(struct tb_account *account)
{
	cds_list_del(&account->list);
	cds_list_del(&account->bucket);
	free(account);
}

void tb_accounts_destroy(struct tb_accounts *accounts)
{
	struct tb_account *account, *next;

	cds_list_for_each_entry_safe(account, next, &accounts->list, list)
		forget(account);
}

struct tb_account *tb_account_find(struct tb_accounts *accounts, int32_t pid, uint64_t incarnation)
{
	struct tb_account *account;

	cds_list_for_each_entry(account, bucket_of(accounts, pid), bucket)
		if (account->pid == pid && account->incarnation == incarnation)
			return account;
	return NULL;
}

struct tb_account *tb_account_get(struct tb_accounts *accounts, int32_t pid, uint64_t incarnation,
				  const char *procname)
{
	struct tb_account *account = tb_account_find(accounts, pid, incarnation);

	if (account)
		return account;
	account = calloc(1, sizeof(*account));
	if (!account)
		return NULL;
	account->pid = pid;
	account->incarnation = incarnation;
	account->alive = true;
	for (int i = 0; i < TRACEBUF_PROCNAME_SIZE && procname[i]; i++)
		account->procname[i] = procname[i] >= ' ' && procname[i] <= '~' ? procname[i] : '?';
	cds_list_add_tail(&account->list, &accounts->list);
	cds_list_add(&account->bucket, bucket_of(accounts, pid));
	return account;
}

/* Folds the oldest dead one. */
static void fold(struct tb_accounts *accounts)
{
	struct tb_account *account;

	cds_list_for_each_entry(account, &accounts->list, list) {
		if (account->alive || account->nr_rings)
			continue;
		tb_counts_add(&accounts->folded, &account->counts);
		accounts->nr_folded++;
		accounts->nr_dead--;
		forget(account);
		return;
	}
}

void tb_account_end(struct tb_accounts *accounts, struct tb_account *account)
{
	if (!account->alive)
		return;
	account->alive = false;
	accounts->nr_dead++;
	if (accounts->nr_dead > TB_ACCOUNT_MAX_DEAD)
		fold(accounts);
}
