// SPDX-License-Identifier: GPL-2.0
/*
 * Verification: compare every copy with the master, and repair.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "internal.h"

#define KTREPL_REPORT_MAX 16

static void ktrepl_verify_page(struct ktrepl_set *set, int nid,
			       unsigned long index, struct ktrepl_verify *res,
			       struct seq_file *m, bool repair)
{
	unsigned long addr = set->start + (index << PAGE_SHIFT);
	struct page *copy = ktrepl_set_copy(set, nid, index);
	unsigned long flags;
	void *master;
	bool same;

	/* Not in use since its master has been made writable. */
	if (!copy || test_bit(index, set->dead))
		return;
	/* Through the linear map: read-only data holds KASAN redzones. */
	master = page_address(ktrepl_master_page(addr));
	res->compared++;
	flags = arch_ktrepl_lock();
	same = !memcmp(page_address(copy), master, PAGE_SIZE);
	arch_ktrepl_unlock(flags);
	/* A page that goes writable is dead before it is written to. */
	smp_rmb();
	if (same || test_bit(index, set->dead))
		return;
	if (res->different++ < KTREPL_REPORT_MAX && m)
		seq_printf(m, "different %s %d %lx\n", set->name, nid, addr);
	if (repair)
		arch_ktrepl_write(copy, 0, master, PAGE_SIZE);
}

static void ktrepl_verify_set(struct ktrepl_set *set, struct ktrepl_verify *res,
			      struct seq_file *m, bool repair)
{
	unsigned long i;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!set->copy[nid])
			continue;
		mutex_lock(&text_mutex);
		ktrepl_exec_lock();
		for (i = 0; !set->gone && i < ktrepl_set_pages(set); i++)
			ktrepl_verify_page(set, nid, i, res, m, repair);
		ktrepl_exec_unlock();
		mutex_unlock(&text_mutex);
		cond_resched();
	}
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
}
