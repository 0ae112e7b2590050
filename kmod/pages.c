// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages, who pays for them, and the page lists by which they are found. And what else a user has that is scarce.
 *
 * A page list is a tree of nodes (abi.h): a node is a page of physical addresses, 0 for none. It is what recovery goes
 * by after a crash, and the kernel has no other list beside it. Invariants: an address is stored once the page behind
 * it is whole; a page that is there stays until the list is destroyed; every page, nodes included, is counted once in
 * its user and once in the total. A list that no user pays for has its pages from the region, which has a number of its
 * own. A file that goes has its superblock wiped before any page of it can become another's.
 */
#include <linux/capability.h>
#include <linux/gfp.h>
#include <linux/hashtable.h>
#include <linux/highmem.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "tracebuf.h"

#define WORDS_PER_NODE (PAGE_SIZE / sizeof(u64))

struct tb_user {
	struct hlist_node node;
	refcount_t ref;
	kuid_t uid;
	atomic_long_t nr_pages;
	unsigned int nr[TB_NR_COUNTED];		/* under tb_lock */
};

static DEFINE_HASHTABLE(users, 6);
static DEFINE_SPINLOCK(users_lock);
static atomic_long_t nr_pages_total;
atomic64_t tb_nr_refused;

/* Under users_lock. */
static struct tb_user *user_of(kuid_t uid)
{
	struct tb_user *user;

	hash_for_each_possible(users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

struct tb_user *tb_user_get(kuid_t uid)
{
	struct tb_user *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL), *user;

	if (!fresh)
		return NULL;
	refcount_set(&fresh->ref, 1);
	fresh->uid = uid;
	spin_lock(&users_lock);
	user = user_of(uid);
	if (user) {
		refcount_inc(&user->ref);
	} else {
		hash_add(users, &fresh->node, __kuid_val(uid));
		user = fresh;
		fresh = NULL;
	}
	spin_unlock(&users_lock);
	kfree(fresh);
	return user;
}

struct tb_user *tb_user_hold(struct tb_user *user)
{
	refcount_inc(&user->ref);
	return user;
}

void tb_user_put(struct tb_user *user)
{
	bool is_last;

	if (!user)
		return;
	spin_lock(&users_lock);
	is_last = refcount_dec_and_test(&user->ref);
	if (is_last)
		hash_del(&user->node);
	spin_unlock(&users_lock);
	if (is_last)
		kfree(user);
}

int tb_user_add(struct tb_user *user, enum tb_counted what)
{
	static const unsigned int *const max[] = {
		[TB_PROCESSES] = &tb_max_user_processes,
		[TB_EVENTS] = &tb_max_user_events,
	};

	lockdep_assert_held(&tb_lock);
	if (user->nr[what] >= READ_ONCE(*max[what]) && !ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE))
		return -EDQUOT;
	user->nr[what]++;
	return 0;
}

void tb_user_remove(struct tb_user *user, enum tb_counted what)
{
	lockdep_assert_held(&tb_lock);
	user->nr[what]--;
}

unsigned long tb_pages_total(void)
{
	return atomic_long_read(&nr_pages_total);
}

/* Who may go past the limit of a user is asked only when it is reached. */
static bool is_above(struct tb_user *user, long nr_user, long nr_total)
{
	return nr_total > READ_ONCE(tb_max_pages) ||
	       (nr_user > READ_ONCE(tb_max_user_pages) && !ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE));
}

static void uncharge(struct tb_user *user)
{
	atomic_long_dec(&user->nr_pages);
	atomic_long_dec(&nr_pages_total);
}

static int charge(struct tb_user *user)
{
	long nr_user = atomic_long_inc_return(&user->nr_pages), nr_total = atomic_long_inc_return(&nr_pages_total);

	if (!is_above(user, nr_user, nr_total))
		return 0;
	uncharge(user);
	atomic64_inc(&tb_nr_refused);
	return -ENOSPC;
}

static struct page *allocate_in_region(void)
{
	struct page *page = tb_pool_take();

	if (page)
		return page;
	atomic64_inc(&tb_nr_refused);
	return ERR_PTR(-ENOSPC);
}

static struct page *allocate_for_user(struct tb_pages *pages)
{
	int err = charge(pages->user), node = pages->node;
	struct page *page;

	if (err)
		return ERR_PTR(err);
	if (node != NUMA_NO_NODE && !node_online(node))
		node = NUMA_NO_NODE;
	page = alloc_pages_node(node, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN, 0);
	if (page)
		return page;
	uncharge(pages->user);
	return ERR_PTR(-ENOMEM);
}

/* A zeroed page that has been paid for. */
static struct page *allocate(struct tb_pages *pages)
{
	struct page *page = pages->user ? allocate_for_user(pages) : allocate_in_region();

	if (!IS_ERR(page))
		WRITE_ONCE(pages->nr, pages->nr + 1);
	return page;
}

/* What word of node says. */
static struct page *look(struct page *node, unsigned long word)
{
	u64 *words = kmap_local_page(node), address = words[word];

	kunmap_local(words);
	return address ? pfn_to_page(PHYS_PFN(address)) : NULL;
}

/* Partner: whoever reads memory after a crash; it must not find an address whose page is not zeroed yet. */
static void enter(struct page *node, unsigned long word, struct page *page)
{
	u64 *words = kmap_local_page(node);

	smp_store_release(&words[word], page_to_phys(page));
	kunmap_local(words);
}

/* The word of a node at level (0: the last) on the way to index. */
static unsigned long word_at(unsigned long index, unsigned int level)
{
	return (index >> (level * (PAGE_SHIFT - 3))) % WORDS_PER_NODE;
}

static unsigned int levels_for(unsigned long nr)
{
	unsigned int levels = 1;

	while (levels < TRACEBUF_MAX_PAGE_LIST_LEVELS && (nr - 1) >> (levels * (PAGE_SHIFT - 3)))
		levels++;
	return levels;
}

/**
 * tb_pages_init() - makes an empty list with its root.
 * @pages:	zeroed
 * @size:	bytes that the file may have, not 0
 * @user:	who pays; the list takes a reference of its own. NULL: the pages come from the region
 * @node:	NUMA node to allocate on, or NUMA_NO_NODE
 *
 * Return: 0, -ENOSPC (a limit), -ENOMEM.
 */
int tb_pages_init(struct tb_pages *pages, u64 size, struct tb_user *user, int node)
{
	struct page *root;

	pages->nr_max = DIV_ROUND_UP_ULL(size, PAGE_SIZE);
	pages->levels = levels_for(pages->nr_max);
	pages->user = user ? tb_user_hold(user) : NULL;
	pages->node = node;
	root = allocate(pages);
	if (IS_ERR(root)) {
		tb_user_put(user);
		memset(pages, 0, sizeof(*pages));
		return PTR_ERR(root);
	}
	pages->root = root;
	return 0;
}

/* Gives one up; someone may have pinned it. */
static void give_up(struct tb_pages *pages, struct page *page)
{
	if (!pages->user) {
		tb_pool_give(page);
		return;
	}
	put_page(page);
	uncharge(pages->user);
}

/* Gives node up and all below it. Depth: at most TRACEBUF_MAX_PAGE_LIST_LEVELS. */
static void give_up_node(struct tb_pages *pages, struct page *node, unsigned int level)
{
	for (unsigned long word = 0; word < WORDS_PER_NODE; word++) {
		struct page *page = look(node, word);

		if (page && level)
			give_up_node(pages, page, level - 1);
		else if (page)
			give_up(pages, page);
	}
	give_up(pages, node);
	cond_resched();
}

void tb_pages_wipe(struct tb_pages *pages)
{
	struct page *first = tb_pages_find(pages, 0);
	void *bytes;

	if (!first)
		return;
	bytes = kmap_local_page(first);
	memset(bytes, 0, sizeof(struct tracebuf_superblock));
	kunmap_local(bytes);
	/* Partner: whoever reads memory after a crash; what follows must not be seen as the file's. */
	smp_wmb();
}

void tb_pages_destroy(struct tb_pages *pages)
{
	if (!pages->root)
		return;
	tb_pages_wipe(pages);
	give_up_node(pages, pages->root, pages->levels - 1);
	tb_user_put(pages->user);
	memset(pages, 0, sizeof(*pages));
}

struct page *tb_pages_find(const struct tb_pages *pages, unsigned long index)
{
	struct page *page = index < pages->nr_max ? pages->root : NULL;

	for (unsigned int level = pages->levels; page && level; level--)
		page = look(page, word_at(index, level - 1));
	return page;
}

struct page *tb_pages_make(struct tb_pages *pages, unsigned long index, bool *ret_made)
{
	struct page *node = pages->root;
	bool made = false;

	if (index >= pages->nr_max)
		return ERR_PTR(-EINVAL);
	for (unsigned int level = pages->levels; level; level--) {
		unsigned long word = word_at(index, level - 1);
		struct page *page = look(node, word);

		made = !page;
		if (made) {
			page = allocate(pages);
			if (IS_ERR(page))
				return page;
			enter(node, word, page);
		}
		node = page;
	}
	*ret_made = made;
	return node;
}
