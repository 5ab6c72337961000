// SPDX-License-Identifier: GPL-2.0
/*
 * Verification: compare every copy with the master, and repair.
 *
 * Where copies differ, the master is taken for right, with one exception: if all
 * copies of a page, of which there are several, agree with each other against
 * their master, the master is in doubt.  Then nothing is written: neither is a
 * corrupt master spread to good copies, nor are new contents, which somebody has
 * written to the master alone, overwritten by old ones.
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

/* The nodes whose copy of a page differs from the master; counts copies. */
static unsigned int ktrepl_compare(struct ktrepl_set *set, unsigned long index,
				   struct page *master, unsigned long *differ)
{
	unsigned int nr = 0;
	struct page *copy;
	int nid;

	bitmap_zero(differ, KTREPL_MAX_NODES);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		copy = ktrepl_set_copy(set, nid, index);
		if (!copy)
			continue;
		nr++;
		if (!ktrepl_same(copy, master))
			__set_bit(nid, differ);
	}
	/*
	 * A page that goes writable is dead before it is written to: pairs with
	 * ktrepl_spoil(), and with the lock and the TLB flush between that
	 * and the first store.  Model: tools/ktrepl/models/page-copy.pml
	 */
	smp_rmb();
	if (test_bit(index, set->dead))
		bitmap_zero(differ, KTREPL_MAX_NODES);
	return nr;
}

/* Do all of several copies agree with each other against the master? */
static bool ktrepl_doubtful(struct ktrepl_set *set, unsigned long index,
			    const unsigned long *differ, unsigned int nr)
{
	struct page *first = NULL, *copy;
	int nid;

	if (nr < 2 || bitmap_weight(differ, KTREPL_MAX_NODES) != nr)
		return false;
	for_each_set_bit(nid, differ, KTREPL_MAX_NODES) {
		copy = ktrepl_set_copy(set, nid, index);
		if (!first)
			first = copy;
		else if (!ktrepl_same(first, copy))
			return false;
	}
	return true;
}

static void ktrepl_report(const struct ktrepl_set *set, unsigned long addr,
			  const unsigned long *differ, bool doubtful,
			  struct ktrepl_verify *res, struct seq_file *m)
{
	int nid;

	for_each_set_bit(nid, differ, KTREPL_MAX_NODES) {
		res->different++;
		res->doubtful += doubtful;
		if (res->different <= KTREPL_REPORT_MAX && m)
			seq_printf(m, "different %s %d %lx\n", set->name, nid,
				   addr);
	}
	if (doubtful && m)
		seq_printf(m, "doubtful %s %lx\n", set->name, addr);
}

/* One page on all nodes; text_mutex and ktrepl_exec_mutex are held. */
static void ktrepl_verify_page(struct ktrepl_set *set, unsigned long index,
			       struct ktrepl_verify *res, struct seq_file *m,
			       bool repair)
{
	unsigned long addr = ktrepl_set_addr(set, index);
	DECLARE_BITMAP(differ, KTREPL_MAX_NODES);
	struct page *master;
	unsigned int nr;
	bool doubtful;
	int nid;

	/* Not in use since its master has been made writable. */
	if (set->gone || test_bit(index, set->dead))
		return;
	master = ktrepl_master_page(addr);
	nr = ktrepl_compare(set, index, master, differ);
	res->compared += nr;
	if (bitmap_empty(differ, KTREPL_MAX_NODES))
		return;
	doubtful = ktrepl_doubtful(set, index, differ, nr);
	ktrepl_report(set, addr, differ, doubtful, res, m);
	if (!repair || doubtful)
		return;
	for_each_set_bit(nid, differ, KTREPL_MAX_NODES) {
		arch_ktrepl_write(ktrepl_set_copy(set, nid, index), 0,
				  page_address(master), PAGE_SIZE);
		trace_ktrepl_heal(nid, addr, KTREPL_HEAL_PAGE);
	}
}

/* Patching goes on between one page and the next. */
static void ktrepl_verify_set(struct ktrepl_set *set, struct ktrepl_verify *res,
			      struct seq_file *m, bool repair)
{
	unsigned long i;

	for (i = 0; i < ktrepl_set_pages(set); i++) {
		mutex_lock(&text_mutex);
		ktrepl_exec_lock();
		ktrepl_verify_page(set, i, res, m, repair);
		ktrepl_exec_unlock();
		mutex_unlock(&text_mutex);
		cond_resched();
	}
}

/**
 * ktrepl_set_repair - write a page to the copies that differ
 * @set:    the set
 * @index:  page within the set
 * @differ: on return, the nodes whose copy still differs
 *
 * Nothing is written, and no node returned, if the master is in doubt.
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 */
void ktrepl_set_repair(struct ktrepl_set *set, unsigned long index,
		       unsigned long *differ)
{
	unsigned long addr = ktrepl_set_addr(set, index);
	struct ktrepl_verify res = { };

	lockdep_assert_held(&ktrepl_mutex);

	bitmap_zero(differ, KTREPL_MAX_NODES);
	mutex_lock(&text_mutex);
	ktrepl_exec_lock();
	ktrepl_verify_page(set, index, &res, NULL, true);
	if (res.different && !res.doubtful)
		ktrepl_compare(set, index, ktrepl_master_page(addr), differ);
	ktrepl_exec_unlock();
	mutex_unlock(&text_mutex);
	if (res.doubtful)
		pr_err("%lu copies of the page at %lx agree against the original: left as they are\n",
		       res.doubtful, addr);
	arch_ktrepl_sync();
}

/**
 * ktrepl_verify - compare all copies with the master
 * @res:    counts, added to
 * @m:	    where to name the first pages that differ, or NULL
 * @repair: write the master's contents to copies that differ
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex and
 * arch_ktrepl_lock(), so that no poke is seen half done.
 */
void ktrepl_verify(struct ktrepl_verify *res, struct seq_file *m, bool repair)
{
	struct ktrepl_set *set, *exec;

	lockdep_assert_held(&ktrepl_mutex);

	list_for_each_entry(set, &ktrepl_sets, list)
		ktrepl_verify_set(set, res, m, repair);
	ktrepl_for_each_exec(exec)
		ktrepl_verify_set(exec, res, m, repair);
	if (repair)
		arch_ktrepl_sync();
	ktrepl_objects_verify(res, m);
	trace_ktrepl_verify(res->compared, res->different, res->doubtful);
}
