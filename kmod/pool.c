// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages of this boot's half of the region, handed out one by one.
 *
 * A page is never freed: it has one reference for good, so that put_page() by whoever maps or pins it never gives it to
 * the page allocator. Invariants: a page is handed out to one at a time, zeroed; one that is given back while somebody
 * still has it pinned (vmsplice, direct I/O) counts as used until that is over, and keeps the module until then, since
 * the struct pages may go with that.
 */
#include <linux/bitmap.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "tracebuf.h"

/* How often pins are looked at. */
#define PIN_INTERVAL (HZ / 4)

static DEFINE_SPINLOCK(lock);
static unsigned long first_pfn, nr_pages;
static unsigned long *used, *pinned;	/* a bit for each page; what is pinned is used */
static unsigned long nr_used, nr_pinned, latest;

static void look_at_pins(struct work_struct *work);
static DECLARE_DELAYED_WORK(pin_work, look_at_pins);

int tb_pool_init(struct page *first, unsigned long nr)
{
	used = bitmap_zalloc(nr, GFP_KERNEL);
	pinned = bitmap_zalloc(nr, GFP_KERNEL);
	if (!used || !pinned) {
		bitmap_free(used);
		bitmap_free(pinned);
		used = NULL;
		pinned = NULL;
		return -ENOMEM;
	}
	first_pfn = page_to_pfn(first);
	__set_bit(0, used);
	nr_used = 1;
	latest = 0;
	nr_pages = nr;
	return 0;
}

void tb_pool_exit(void)
{
	cancel_delayed_work_sync(&pin_work);
	nr_pages = 0;
	nr_used = 0;
	bitmap_free(used);
	bitmap_free(pinned);
}

/* Under lock: a page's number, or nr_pages. Going round lets what was freed last lie longest, for who looks at it. */
static unsigned long find_free(void)
{
	unsigned long index = find_next_zero_bit(used, nr_pages, latest + 1);

	return index < nr_pages ? index : find_first_zero_bit(used, nr_pages);
}

struct page *tb_pool_take(void)
{
	struct page *page = NULL;
	unsigned long index;

	spin_lock(&lock);
	if (nr_used < nr_pages) {
		index = find_free();
		__set_bit(index, used);
		nr_used++;
		latest = index;
		page = pfn_to_page(first_pfn + index);
	}
	spin_unlock(&lock);
	if (page)
		clear_highpage(page);
	return page;
}

static void make_free(unsigned long index)
{
	__clear_bit(index, used);
	nr_used--;
}

void tb_pool_give(struct page *page)
{
	unsigned long index = page_to_pfn(page) - first_pfn;

	spin_lock(&lock);
	if (page_ref_count(page) > 1) {
		__set_bit(index, pinned);
		if (!nr_pinned++) {
			__module_get(THIS_MODULE);
			schedule_delayed_work(&pin_work, PIN_INTERVAL);
		}
	} else {
		make_free(index);
	}
	spin_unlock(&lock);
}

static void look_at_pins(struct work_struct *work)
{
	unsigned long index;
	bool is_done;

	spin_lock(&lock);
	for_each_set_bit(index, pinned, nr_pages) {
		if (page_ref_count(pfn_to_page(first_pfn + index)) > 1)
			continue;
		__clear_bit(index, pinned);
		nr_pinned--;
		make_free(index);
	}
	is_done = !nr_pinned;
	spin_unlock(&lock);
	if (is_done)
		module_put(THIS_MODULE);
	else
		schedule_delayed_work(&pin_work, PIN_INTERVAL);
}

unsigned long tb_pool_used(void)
{
	return READ_ONCE(nr_used);
}

unsigned long tb_pool_size(void)
{
	return READ_ONCE(nr_pages);
}
