// SPDX-License-Identifier: GPL-2.0
/*
 * Verification: compare every replica with the primary, and repair.
 *
 * Where replicas differ, the primary is taken for right, with one exception: if
 * all replicas of a page, of which there are several, agree with each other
 * against their primary, the primary is in doubt.  Then nothing is written:
 * neither is a corrupt primary spread to good replicas, nor are new contents,
 * which somebody has written to the primary alone, overwritten by old ones.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bitmap.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include <trace/events/ktrepl.h>

#include "internal.h"

#define KTREPL_REPORT_MAX 16

/*
 * No poke is seen half done: in pieces, as pokes may be kept out with
 * interrupts disabled.  Through the linear map: read-only data holds KASAN
 * redzones.
 */
static bool ktrepl_same(struct page *a, struct page *b)
{
	unsigned long flags, off;
	bool same = true;

	for (off = 0; off < PAGE_SIZE && same; off += SZ_4K) {
		flags = arch_ktrepl_lock();
		same = !memcmp(page_address(a) + off, page_address(b) + off,
			       SZ_4K);
		arch_ktrepl_unlock(flags);
	}
	return same;
}

/*
 * The nodes whose replica of a page differs from the primary; counts replicas.
 */
static unsigned int ktrepl_compare_page(struct ktrepl_region *region, unsigned long index,
					struct page *primary, unsigned long *differ)
{
	unsigned int nr = 0;
	struct page *replica;
	int nid;

	bitmap_zero(differ, KTREPL_MAX_NODES);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		replica = ktrepl_region_replica(region, nid, index);
		if (!replica)
			continue;
		nr++;
		if (!ktrepl_same(replica, primary))
			__set_bit(nid, differ);
	}
	/*
	 * A page that goes writable is stale before it is written to: pairs with
	 * ktrepl_invalidate(), and with the lock and the TLB flush between that
	 * and the first store.  Model: tools/ktrepl/models/page-copy.pml
	 */
	smp_rmb();
	if (test_bit(index, region->stale))
		bitmap_zero(differ, KTREPL_MAX_NODES);
	return nr;
}

/* Do all of several replicas agree with each other against the primary? */
static bool ktrepl_doubtful(struct ktrepl_region *region, unsigned long index,
			    const unsigned long *differ, unsigned int nr)
{
	struct page *first = NULL, *replica;
	int nid;

	if (nr < 2 || bitmap_weight(differ, KTREPL_MAX_NODES) != nr)
		return false;
	for_each_set_bit(nid, differ, KTREPL_MAX_NODES) {
		replica = ktrepl_region_replica(region, nid, index);
		if (!first)
			first = replica;
		else if (!ktrepl_same(first, replica))
			return false;
	}
	return true;
}

static void ktrepl_report(const struct ktrepl_region *region, unsigned long addr,
			  const unsigned long *differ, bool doubtful,
			  struct ktrepl_verify_result *res, struct seq_file *m)
{
	int nid;

	for_each_set_bit(nid, differ, KTREPL_MAX_NODES) {
		res->different++;
		res->doubtful += doubtful;
		if (res->different <= KTREPL_REPORT_MAX && m)
			seq_printf(m, "different %s %d %lx\n", region->name, nid,
				   addr);
	}
	if (doubtful && m)
		seq_printf(m, "doubtful %s %lx\n", region->name, addr);
}

/* One page on all nodes; text_mutex and ktrepl_execmem_mutex are held. */
static void ktrepl_verify_page(struct ktrepl_region *region, unsigned long index,
			       struct ktrepl_verify_result *res, struct seq_file *m,
			       bool repair)
{
	unsigned long addr = ktrepl_region_addr(region, index);
	DECLARE_BITMAP(differ, KTREPL_MAX_NODES);
	struct page *primary;
	unsigned int nr;
	bool doubtful;
	int nid;

	/* Not in use since its primary has been made writable. */
	if (region->dying || test_bit(index, region->stale))
		return;
	primary = ktrepl_primary_page(addr);
	nr = ktrepl_compare_page(region, index, primary, differ);
	res->compared += nr;
	if (bitmap_empty(differ, KTREPL_MAX_NODES))
		return;
	doubtful = ktrepl_doubtful(region, index, differ, nr);
	ktrepl_report(region, addr, differ, doubtful, res, m);
	if (!repair || doubtful)
		return;
	for_each_set_bit(nid, differ, KTREPL_MAX_NODES) {
		arch_ktrepl_write(ktrepl_region_replica(region, nid, index), 0,
				  page_address(primary), PAGE_SIZE);
		trace_ktrepl_heal(nid, addr, KTREPL_HEAL_PAGE);
	}
}

/* Patching goes on between one page and the next. */
static void ktrepl_verify_index(struct ktrepl_region *region, unsigned long index,
				struct ktrepl_verify_result *res,
				struct seq_file *m, bool repair)
{
	mutex_lock(&text_mutex);
	ktrepl_execmem_lock();
	ktrepl_verify_page(region, index, res, m, repair);
	ktrepl_execmem_unlock();
	mutex_unlock(&text_mutex);
	cond_resched();
}

static void ktrepl_verify_region(struct ktrepl_region *region, struct ktrepl_verify_result *res,
				 struct seq_file *m, bool repair)
{
	unsigned long i;

	for (i = 0; i < ktrepl_region_pages(region); i++)
		ktrepl_verify_index(region, i, res, m, repair);
}

/**
 * ktrepl_region_repair - write a page to the replicas that differ
 * @region: the region
 * @index:  page within the region
 * @differ: on return, the nodes whose replica still differs
 *
 * Nothing is written, and no node returned, if the primary is in doubt.
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 * Return: false if the primary is in doubt.
 */
bool ktrepl_region_repair(struct ktrepl_region *region, unsigned long index,
			  unsigned long *differ)
{
	unsigned long addr = ktrepl_region_addr(region, index);
	struct ktrepl_verify_result res = { };

	lockdep_assert_held(&ktrepl_mutex);

	bitmap_zero(differ, KTREPL_MAX_NODES);
	mutex_lock(&text_mutex);
	ktrepl_execmem_lock();
	ktrepl_verify_page(region, index, &res, NULL, true);
	if (res.different && !res.doubtful)
		ktrepl_compare_page(region, index, ktrepl_primary_page(addr), differ);
	ktrepl_execmem_unlock();
	mutex_unlock(&text_mutex);
	if (res.doubtful)
		pr_err("%lu replicas of the page at %lx agree against the original: left as they are\n",
		       res.doubtful, addr);
	arch_ktrepl_sync();
	return !res.doubtful;
}

int ktrepl_repair(const void *addr, size_t len)
{
	unsigned long p = (unsigned long)addr & PAGE_MASK;
	unsigned long end = (unsigned long)addr + len;
	struct ktrepl_verify_result res = { };
	struct ktrepl_region *region;

	if (end < (unsigned long)addr)
		return -EINVAL;
	mutex_lock(&ktrepl_mutex);
	for (; p < end; p += PAGE_SIZE) {
		region = ktrepl_region_find(p);
		if (region)
			ktrepl_verify_index(region, ktrepl_region_index(region, p),
					    &res, NULL, true);
	}
	mutex_unlock(&ktrepl_mutex);
	if (res.different && ktrepl_info)
		arch_ktrepl_sync();
	return res.doubtful ? -EILSEQ : res.different;
}

/**
 * ktrepl_verify - compare all replicas with the primary
 * @res:    counts, added to
 * @m:	    where to name the first pages that differ, or NULL
 * @repair: write the primary's contents to replicas that differ
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex and
 * arch_ktrepl_lock(), so that no poke is seen half done.
 */
void ktrepl_verify(struct ktrepl_verify_result *res, struct seq_file *m, bool repair)
{
	struct ktrepl_region *region, *execmem;

	lockdep_assert_held(&ktrepl_mutex);

	list_for_each_entry(region, &ktrepl_regions, list)
		ktrepl_verify_region(region, res, m, repair);
	ktrepl_for_each_execmem(execmem)
		ktrepl_verify_region(execmem, res, m, repair);
	if (repair)
		arch_ktrepl_sync();
	ktrepl_objects_verify(res, m);
	trace_ktrepl_verify(res->compared, res->different, res->doubtful);
}
