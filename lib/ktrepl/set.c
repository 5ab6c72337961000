// SPDX-License-Identifier: GPL-2.0
/*
 * Registry of sets.
 *
 * Concurrency: sets come and go under ktrepl_mutex, except that those of
 * executable memory enter and leave the tree under ktrepl_exec_mutex (exec.c).
 * Look-up by address is a maple tree walk under RCU, safe in NMI and under
 * kgdb; a set that may go away (not those of the image) is kept by whoever
 * found it through text_mutex, arch_ktrepl_lock() or ktrepl_pt_lock, all of
 * which ktrepl_set_free() takes after the set has left the tree.  Copies are
 * detached from a set under text_mutex and arch_ktrepl_lock(), one of which
 * every poke holds.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bitmap.h>
#include <linux/maple_tree.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "internal.h"

LIST_HEAD(ktrepl_sets);

static struct maple_tree ktrepl_set_tree =
	MTREE_INIT(ktrepl_set_tree, MT_FLAGS_USE_RCU);

/**
 * ktrepl_master_page - the page that holds the master of an address
 * @addr: kernel virtual address
 *
 * Return: the page, NULL if nothing is mapped there.
 */
struct page *ktrepl_master_page(unsigned long addr)
{
	if (is_vmalloc_or_module_addr((void *)addr))
		return vmalloc_to_page((void *)addr);
	return virt_to_page((void *)addr);
}

/**
 * ktrepl_set_alloc - make a set and have it found by address
 * @name:  what reports call it; not copied
 * @kind:  text or read-only data
 * @start: first address, page aligned
 * @end:   first address behind it, page aligned
 *
 * The set is on no list and has no copies yet.
 *
 * Context: Process context; text_mutex may be held.
 * Return: the set; ERR_PTR(-EINVAL) for a bad range, ERR_PTR(-EEXIST) if it
 * overlaps another set, ERR_PTR(-ENOMEM).
 */
struct ktrepl_set *ktrepl_set_alloc(const char *name, enum ktrepl_kind kind,
				    unsigned long start, unsigned long end)
{
	struct ktrepl_set *set;
	int err;

	if (start >= end || !PAGE_ALIGNED(start) || !PAGE_ALIGNED(end))
		return ERR_PTR(-EINVAL);
	set = kzalloc(struct_size(set, copy, ktrepl_max_nodes()), GFP_KERNEL);
	if (!set)
		return ERR_PTR(-ENOMEM);
	set->name = name;
	set->kind = kind;
	set->start = start;
	set->end = end;
	set->dead = bitmap_zalloc(ktrepl_set_pages(set), GFP_KERNEL);
	set->clean = bitmap_zalloc(ktrepl_set_pages(set), GFP_KERNEL);
	if (!set->dead || !set->clean) {
		err = -ENOMEM;
		goto free;
	}
	err = mtree_insert_range(&ktrepl_set_tree, start, end - 1, set,
				 GFP_KERNEL);
	if (err)
		goto free;
	return set;

free:
	bitmap_free(set->clean);
	bitmap_free(set->dead);
	kfree(set);
	return ERR_PTR(err);
}

/**
 * ktrepl_set_forget - have a set no longer found by address
 * @set: the set
 *
 * Context: Process context; text_mutex may be held.
 */
void ktrepl_set_forget(const struct ktrepl_set *set)
{
	MA_STATE(mas, &ktrepl_set_tree, set->start, set->end - 1);

	/* Unlike mtree_erase(), which leaves it there when memory is short. */
	mas_lock(&mas);
	mas_store_gfp(&mas, NULL, GFP_KERNEL | __GFP_NOFAIL);
	mas_unlock(&mas);
}

/**
 * ktrepl_set_free - free a set and its copies
 * @set: the set, on no list, after ktrepl_set_forget(); no CPU can reach its
 *	 copies through a page table
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_set_free(struct ktrepl_set *set)
{
	int nid;

	lockdep_assert_held(&ktrepl_mutex);

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		ktrepl_set_depopulate(set, nid);
	/* Pokes and walks under way, which may have found the set, end. */
	mutex_lock(&text_mutex);
	arch_ktrepl_unlock(arch_ktrepl_lock());
	mutex_unlock(&text_mutex);
	ktrepl_pt_barrier();
	bitmap_free(set->clean);
	bitmap_free(set->dead);
	kfree(set);
}

/**
 * ktrepl_set_register - make a set that stays until it is unregistered
 * @name:  what reports call it; not copied
 * @kind:  text or read-only data
 * @start: first address, page aligned
 * @end:   first address behind it, page aligned
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: as for ktrepl_set_alloc().
 */
struct ktrepl_set *ktrepl_set_register(const char *name, enum ktrepl_kind kind,
				       unsigned long start, unsigned long end)
{
	struct ktrepl_set *set = ktrepl_set_alloc(name, kind, start, end);

	lockdep_assert_held(&ktrepl_mutex);

	if (!IS_ERR(set))
		list_add_tail(&set->list, &ktrepl_sets);
	return set;
}

/**
 * ktrepl_set_unregister - reverse ktrepl_set_register()
 * @set: the set; no CPU can reach its copies through a page table
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_set_unregister(struct ktrepl_set *set)
{
	lockdep_assert_held(&ktrepl_mutex);

	list_del(&set->list);
	ktrepl_set_forget(set);
	ktrepl_set_free(set);
}

/**
 * ktrepl_set_find - look up the set of an address
 * @addr: the address
 *
 * Context: Any.  text_mutex or ktrepl_mutex keeps the result.
 * Return: the set or NULL.
 */
struct ktrepl_set *ktrepl_set_find(unsigned long addr)
{
	return mtree_load(&ktrepl_set_tree, addr);
}

/**
 * ktrepl_set_next - look up the first set in a range of addresses
 * @addr: first address; on return, the first one behind the set
 * @last: last address
 *
 * Context: As for ktrepl_set_find().
 * Return: the set or NULL.
 */
struct ktrepl_set *ktrepl_set_next(unsigned long *addr, unsigned long last)
{
	return mt_find(&ktrepl_set_tree, addr, last);
}

/**
 * ktrepl_set_copy - the copy of one page on a node
 * @set:   the set
 * @nid:   the node
 * @index: page within the set
 *
 * Context: text_mutex, arch_ktrepl_lock() or ktrepl_mutex held, or the only
 * running CPU.
 * Return: the copy, or NULL if the node uses the master.
 */
struct page *ktrepl_set_copy(const struct ktrepl_set *set, int nid,
			     unsigned long index)
{
	struct page **pages = READ_ONCE(set->copy[nid]);

	return pages ? pages[index] : NULL;
}

/* Allocates adjoining copies of the pages of one leaf, all or none. */
static unsigned long ktrepl_set_take(struct ktrepl_set *set,
				     struct ktrepl_node *node,
				     struct page **pages, unsigned long addr,
				     unsigned long size)
{
	unsigned long index = ktrepl_set_index(set, addr), i;
	struct page *copy;

	copy = ktrepl_alloc(node, ktrepl_set_stat(set), size);
	if (!copy)
		return 0;
	for (i = 0; i < size >> PAGE_SHIFT; i++)
		pages[index + i] = copy + i;
	return size >> PAGE_SHIFT;
}

/*
 * The part of a leaf that lies in the set.  A large leaf is split on the node
 * when there is no memory in one piece for it, or not all of it is in the set.
 */
static unsigned long ktrepl_set_take_leaf(struct ktrepl_set *set,
					  struct ktrepl_node *node,
					  struct page **pages,
					  unsigned long addr,
					  unsigned long size,
					  unsigned long leaf)
{
	unsigned long done = 0, end = addr + size;

	if (size == leaf)
		done = ktrepl_set_take(set, node, pages, addr, size);
	if (done || leaf == PAGE_SIZE)
		return done;
	if (set->mapped && !ktrepl_leaf_split(node, addr))
		return 0;
	for (; addr < end; addr += PAGE_SIZE)
		done += ktrepl_set_take(set, node, pages, addr, PAGE_SIZE);
	return done;
}

/**
 * ktrepl_set_populate - make the copies of a set on a node
 * @set: the set
 * @nid: the node
 *
 * Pages whose master is on the node already, and those for which there is no
 * memory or no table, are left to the master.
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 * Return: number of pages that have a copy now.
 */
unsigned long ktrepl_set_populate(struct ktrepl_set *set, int nid)
{
	unsigned long addr, size, done = 0, i, nr = ktrepl_set_pages(set);
	struct ktrepl_node *node = ktrepl_nodes[nid];
	struct page **pages;

	lockdep_assert_held(&ktrepl_mutex);

	if (set->copy[nid])
		return 0;
	pages = kvcalloc(nr, sizeof(*pages), GFP_KERNEL | __GFP_NOWARN);
	if (!pages) {
		atomic_long_inc(&node->stat[KTREPL_STAT_PAGE_FAIL]);
		return 0;
	}

	for (addr = set->start; addr < set->end; addr += size) {
		unsigned long leaf = ktrepl_leaf_size(addr);

		size = min(ALIGN(addr + 1, leaf), set->end) - addr;
		if (ktrepl_page_node(ktrepl_master_page(addr)) == nid ||
		    (set->mapped && !ktrepl_leaf_private(node, addr)))
			continue;
		done += ktrepl_set_take_leaf(set, node, pages, addr, size,
					     leaf);
		cond_resched();
	}
	if (!done) {
		kvfree(pages);
		return 0;
	}

	/*
	 * Pokes write the copies from now on: one that comes before the copying
	 * of its page is in the master by then, one that comes after writes
	 * both.  arch_ktrepl_write() lets none come in between.
	 */
	mutex_lock(&text_mutex);
	/* Pairs with READ_ONCE() in ktrepl_set_copy(). */
	smp_store_release(&set->copy[nid], pages);
	for (i = 0; i < nr; i++) {
		if (pages[i])
			arch_ktrepl_write(pages[i], 0, (void *)set->start +
					  (i << PAGE_SHIFT), PAGE_SIZE);
		cond_resched();
	}
	mutex_unlock(&text_mutex);
	return done;
}

/**
 * ktrepl_set_depopulate - free the copies of a set on a node
 * @set: the set
 * @nid: the node; no CPU can reach its copies through a page table
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 */
void ktrepl_set_depopulate(struct ktrepl_set *set, int nid)
{
	struct page **pages = set->copy[nid];
	unsigned long flags, i;

	lockdep_assert_held(&ktrepl_mutex);

	if (!pages)
		return;
	/* Who holds neither lock any more has seen its last of the copies. */
	mutex_lock(&text_mutex);
	flags = arch_ktrepl_lock();
	WRITE_ONCE(set->copy[nid], NULL);
	arch_ktrepl_unlock(flags);
	mutex_unlock(&text_mutex);

	for (i = 0; i < ktrepl_set_pages(set); i++)
		if (pages[i])
			ktrepl_free(ktrepl_nodes[nid], ktrepl_set_stat(set),
				    pages[i], PAGE_SIZE);
	kvfree(pages);
}
