/* SPDX-License-Identifier: MIT */
#ifndef TB_ACCOUNT_H
#define TB_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <tracebuf/abi.h>
#include <urcu/list.h>

/* Events, and bytes of event data on disk: attempted = recorded + discarded + overwritten. */
struct tb_counts {
	uint64_t recorded, discarded, overwritten, bytes;
};

/* What one process did in one trace. Counts are those of its rings that are gone. */
struct tb_account {
	struct cds_list_head list, bucket;
	int32_t pid;
	uint64_t incarnation;
	char procname[TRACEBUF_PROCNAME_SIZE + 1];	/* printable ASCII */
	bool alive;
	unsigned int nr_rings;			/* that refer to it */
	bool described;				/* stands in .processes */
	struct tb_counts counts;
	struct tb_counts live;			/* of its rings that are there, while somebody adds up */
};

#define TB_ACCOUNT_BUCKETS 1024
/* Accounts of dead processes that are kept one by one; of older ones the sum is kept. */
#define TB_ACCOUNT_MAX_DEAD 16384

struct tb_accounts {
	struct cds_list_head list;		/* oldest first */
	struct cds_list_head bucket[TB_ACCOUNT_BUCKETS];
	unsigned int nr_dead, nr_folded;
	struct tb_counts folded;		/* of nr_folded processes */
};

void tb_accounts_init(struct tb_accounts *accounts);
void tb_accounts_destroy(struct tb_accounts *accounts);

/* The account of a process, made if it is new; NULL: no memory. */
struct tb_account *tb_account_get(struct tb_accounts *accounts, int32_t pid, uint64_t incarnation,
				  const char *procname);
/* As above, but NULL if there is none. */
struct tb_account *tb_account_find(struct tb_accounts *accounts, int32_t pid, uint64_t incarnation);
/* The process is dead, and no ring refers to its account any more. */
void tb_account_end(struct tb_accounts *accounts, struct tb_account *account);

static inline void tb_counts_add(struct tb_counts *to, const struct tb_counts *more)
{
	to->recorded += more->recorded;
	to->discarded += more->discarded;
	to->overwritten += more->overwritten;
	to->bytes += more->bytes;
}

#endif
