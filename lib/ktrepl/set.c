// SPDX-License-Identifier: GPL-2.0
/*
 * Registry of sets.
 *
 * Concurrency: sets come and go under ktrepl_mutex, except that those of
 * executable memory come, and are marked gone, without it (exec.c).  A set that
 * is gone is no longer found, and leaves the tree when it is freed: whoever
 * frees executable memory may hold text_mutex, and cannot wait for memory.
 * Look-up by address is a maple tree walk under RCU, safe in NMI and under
 * kgdb; a set that may go away (not those of the image) is kept by whoever
 * found it through text_mutex, arch_ktrepl_lock() or ktrepl_pt_lock, all of
 * which ktrepl_set_free() takes after the set has left the tree.  Copies are
 * detached from a set under text_mutex and arch_ktrepl_lock(), one of which
 * every poke holds.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bitmap.h>
#include <linux/kprobes.h>
#include <linux/maple_tree.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include <trace/events/ktrepl.h>

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

/*
 * A set that is gone stays in the tree until it is freed, and a new one may take
 * its place, or a part of it.
 */
static int ktrepl_set_insert(struct ktrepl_set *set)
{
	MA_STATE(mas, &ktrepl_set_tree, set->start, set->end - 1);
	struct ktrepl_set *old;
	int err = 0;

	/* Who changes mappings there has got the area from execmem_alloc(). */
	ktrepl_hull_mark(set->start, set->end);
	mas_lock(&mas);
	mas_for_each(&mas, old, set->end - 1)
		if (!old->gone)
			err = -EEXIST;
	mas_set_range(&mas, set->start, set->end - 1);
	if (!err)
		err = mas_store_gfp(&mas, set, GFP_KERNEL);
	mas_unlock(&mas);
	return err;
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
	err = set->dead && set->clean ? ktrepl_set_insert(set) : -ENOMEM;
	if (!err)
		return set;
	bitmap_free(set->clean);
	bitmap_free(set->dead);
	kfree(set);
	return ERR_PTR(err);
}

/**
 * ktrepl_set_forget - have a set no longer found by address
 * @set: the set
 *
 * Context: Process context.
 * Return: false if there is no memory to change the tree.
 */
bool ktrepl_set_forget(const struct ktrepl_set *set)
{
	MA_STATE(mas, &ktrepl_set_tree, set->start, set->start);
	const struct ktrepl_set *old;
	bool done = true;

	/* Another set may have taken a part of its place; see insertion. */
	mas_lock(&mas);
	mas_for_each(&mas, old, set->end - 1)
		/* Without a pause of the lock: what was found stays. */
		if (old == set && mas_store_gfp(&mas, NULL, GFP_NOWAIT))
			done = false;
	mas_unlock(&mas);
	return done;
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
	WRITE_ONCE(set->gone, true);
	while (!ktrepl_set_forget(set))
		schedule_timeout_uninterruptible(1);
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
	struct ktrepl_set *set = mtree_load(&ktrepl_set_tree, addr);

	return set && !READ_ONCE(set->gone) ? set : NULL;
}

NOKPROBE_SYMBOL(ktrepl_set_find);

/**
 * ktrepl_set_around - look up the set of an address, and up to where it is
 * @addr:  the address
 * @start: the first address of which the same is true
 * @last:  the last one
 *
 * Context: As for ktrepl_set_find(), or ktrepl_pt_lock held.
 * Return: the set or NULL.
 */
struct ktrepl_set *ktrepl_set_around(unsigned long addr, unsigned long *start,
				     unsigned long *last)
{
	MA_STATE(mas, &ktrepl_set_tree, addr, addr);
	struct ktrepl_set *set;

	rcu_read_lock();
	set = mas_walk(&mas);
	rcu_read_unlock();
	*start = mas.index;
	*last = mas.last;
	return set && !READ_ONCE(set->gone) ? set : NULL;
}

/**
 * ktrepl_set_array - have a node's copies of a set listed
 * @set:  the set
 * @node: the node
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: false if there is no memory for the list, which is counted.
 */
bool ktrepl_set_array(struct ktrepl_set *set, struct ktrepl_node *node)
{
	struct page **pages = set->copy[node->nid];

	lockdep_assert_held(&ktrepl_mutex);

	if (pages)
		return true;
	pages = kvcalloc(ktrepl_set_pages(set), sizeof(*pages),
			 GFP_KERNEL | __GFP_NOWARN);
	if (!pages) {
		ktrepl_node_count(node, KTREPL_STAT_PAGE_FAIL);
		return false;
	}
	/* Pairs with READ_ONCE() in ktrepl_set_copy(). */
	smp_store_release(&set->copy[node->nid], pages);
	return true;
}

/* Is a page to have a copy on a node? Not where its master is. */
static bool ktrepl_set_away(const struct ktrepl_set *set, int nid,
			    unsigned long addr)
{
	return ktrepl_page_node(ktrepl_master_page(addr)) != nid;
}

/* Allocates adjoining copies of the pages of one leaf, all or none. */
static bool ktrepl_reserve(struct ktrepl_set *set, struct ktrepl_node *node,
			   struct page **fresh, unsigned long addr,
			   unsigned long size)
{
	unsigned long index = ktrepl_set_index(set, addr), i;
	struct page *copy;

	if (node->starved)
		return false;
	copy = ktrepl_alloc(node, ktrepl_set_stat(set), size);
	node->starved = !copy && size == PAGE_SIZE;
	if (!copy)
		return false;
	for (i = 0; i < size >> PAGE_SHIFT; i++)
		fresh[index + i] = copy + i;
	return true;
}

/*
 * Has a node a table for leaves of its own there?  It gets one that was not to
 * be had when the node was built.
 */
static bool ktrepl_reserve_table(struct ktrepl_set *set,
				 struct ktrepl_node *node, unsigned long addr)
{
	return !set->mapped ||
	       (node->root && ktrepl_node_cover(node, addr));
}

/* How many pages of a part of a set have a copy on a node? */
static unsigned long ktrepl_set_copies(const struct ktrepl_set *set, int nid,
				       unsigned long addr, unsigned long size)
{
	unsigned long i = ktrepl_set_index(set, addr), nr = 0;
	unsigned long end = i + (size >> PAGE_SHIFT);

	for (; i < end; i++)
		nr += !!ktrepl_set_copy(set, nid, i);
	return nr;
}

/* May a node have small leaves in place of the master's large one? */
static bool ktrepl_reserve_small(struct ktrepl_set *set,
				 struct ktrepl_node *node, unsigned long addr)
{
	return !set->mapped || ktrepl_leaf_is_split(node, addr) ||
	       (!node->starved && ktrepl_leaf_split(node, addr));
}

/*
 * The part of a leaf that lies in the set.  Where there is no memory in one
 * piece, or not all of the leaf is in the set, an architecture may allow for
 * small leaves in its place on the node.  All CPUs leave it before.
 */
static bool ktrepl_reserve_leaf(struct ktrepl_set *set,
				struct ktrepl_node *node, struct page **fresh,
				unsigned long addr, unsigned long size,
				unsigned long leaf)
{
	unsigned long end = addr + size;
	bool any = false;

	if (size == leaf &&
	    !ktrepl_set_copies(set, node->nid, addr, size) &&
	    ktrepl_reserve(set, node, fresh, addr, size))
		return true;
	if (leaf != PAGE_SIZE && !ktrepl_reserve_small(set, node, addr))
		return false;
	for (; addr < end; addr += PAGE_SIZE)
		if (!ktrepl_set_copies(set, node->nid, addr, PAGE_SIZE))
			any |= ktrepl_reserve(set, node, fresh, addr,
					      PAGE_SIZE);
	return any;
}

/**
 * ktrepl_set_reserve - memory for the copies that a set lacks on a node
 * @set: the set
 * @nid: the node
 *
 * Pages whose master is on the node already, and those for which there is no
 * memory or no table, are left to the master.
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: pages for ktrepl_set_publish(), NULL if there are none.
 */
struct page **ktrepl_set_reserve(struct ktrepl_set *set, int nid)
{
	struct ktrepl_node *node = ktrepl_nodes[nid];
	unsigned long addr, size, leaf;
	struct page **fresh;
	bool any = false;

	lockdep_assert_held(&ktrepl_mutex);

	node->starved = false;
	fresh = kvcalloc(ktrepl_set_pages(set), sizeof(*fresh),
			 GFP_KERNEL | __GFP_NOWARN);
	if (!fresh) {
		ktrepl_node_count(node, KTREPL_STAT_PAGE_FAIL);
		return NULL;
	}
	for (addr = set->start; addr < set->end; addr += size) {
		leaf = ktrepl_leaf_size(addr);
		size = min(ALIGN(addr + 1, leaf), set->end) - addr;
		if (ktrepl_set_away(set, nid, addr) &&
		    ktrepl_reserve_table(set, node, addr) &&
		    ktrepl_set_array(set, node))
			any |= ktrepl_reserve_leaf(set, node, fresh, addr, size,
						   leaf);
		cond_resched();
	}
	if (any)
		return fresh;
	kvfree(fresh);
	return NULL;
}

/* Lists what is in the window, and fills it. */
static void ktrepl_set_fill(struct ktrepl_set *set, int nid)
{
	struct ktrepl_window *w = &ktrepl_window;
	unsigned long addr;
	unsigned int i;

	for (i = 0; i < w->nr; i++) {
		addr = ktrepl_set_addr(set, w->index[i]);
		/*
		 * A poke that comes before the copying of a piece is in the
		 * master by then, one that comes after writes both.
		 * Model: tools/ktrepl/models/image-copy.pml
		 */
		mutex_lock(&text_mutex);
		/* Pairs with READ_ONCE() in ktrepl_set_copy(). */
		WRITE_ONCE(set->copy[nid][w->index[i]], w->pages[i]);
		ktrepl_window_fill(w, i, ktrepl_master_page(addr));
		mutex_unlock(&text_mutex);
		cond_resched();
	}
}

/* There is no memory for the window: the pages go without copies. */
static void ktrepl_set_unreserve(struct ktrepl_set *set, int nid)
{
	struct ktrepl_window *w = &ktrepl_window;
	struct ktrepl_node *node = ktrepl_nodes[nid];
	unsigned int i;

	atomic_long_add(w->nr, &node->stat[KTREPL_STAT_PAGE_FAIL]);
	for (i = 0; i < w->nr; i++)
		ktrepl_free(node, ktrepl_set_stat(set), w->pages[i], PAGE_SIZE);
}

static void ktrepl_set_flush(struct ktrepl_set *set, int nid)
{
	struct ktrepl_window *w = &ktrepl_window;

	if (ktrepl_window_open(w)) {
		ktrepl_set_fill(set, nid);
		ktrepl_window_close(w);
	} else {
		ktrepl_set_unreserve(set, nid);
	}
	w->nr = 0;
}

/**
 * ktrepl_set_publish - fill copies, and have pokes write them from now on
 * @set:   the set
 * @nid:   the node; no CPU is on it, unless the set is not mapped
 * @fresh: from ktrepl_set_reserve(), freed here; or NULL
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 */
void ktrepl_set_publish(struct ktrepl_set *set, int nid, struct page **fresh)
{
	unsigned long i, nr = ktrepl_set_pages(set);

	lockdep_assert_held(&ktrepl_mutex);

	for (i = 0; fresh && i < nr; i++) {
		if (!fresh[i])
			continue;
		ktrepl_window_add(&ktrepl_window, fresh[i], set, nid, i);
		if (ktrepl_window.nr == KTREPL_WINDOW_PAGES)
			ktrepl_set_flush(set, nid);
	}
	if (ktrepl_window.nr)
		ktrepl_set_flush(set, nid);
	kvfree(fresh);
}

/**
 * ktrepl_set_missing - how many pages go without a copy for lack of memory
 * @set: the set
 * @nid: the node
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: number of pages whose master is elsewhere.
 */
unsigned long ktrepl_set_missing(struct ktrepl_set *set, int nid)
{
	unsigned long i, nr = 0;

	lockdep_assert_held(&ktrepl_mutex);

	for (i = 0; i < ktrepl_set_pages(set); i++)
		nr += !ktrepl_set_copy(set, nid, i) &&
		      ktrepl_set_away(set, nid, ktrepl_set_addr(set, i));
	return nr;
}

/* Pokes and walks that may use a copy end; none finds it any more. */
static void ktrepl_set_unlist(struct page **slot)
{
	unsigned long flags;

	mutex_lock(&text_mutex);
	flags = arch_ktrepl_lock();
	WRITE_ONCE(*slot, NULL);
	arch_ktrepl_unlock(flags);
	mutex_unlock(&text_mutex);
	ktrepl_pt_barrier();
}

/**
 * ktrepl_dropped - take note that a node has lost its copy of a page
 * @set:   the set
 * @nid:   the node
 * @index: page within the set
 *
 * Context: Any but NMI.
 */
void ktrepl_dropped(const struct ktrepl_set *set, int nid, unsigned long index)
{
	ktrepl_node_count(ktrepl_nodes[nid], KTREPL_STAT_DROP);
	trace_ktrepl_drop(nid, ktrepl_set_addr(set, index));
}

/* The image: all of the leaf, as a part of it cannot be another page's. */
static void ktrepl_set_retire_leaf(struct ktrepl_set *set, int nid,
				   unsigned long index)
{
	unsigned long addr = ktrepl_set_addr(set, index), i, end;
	unsigned long leaf = ktrepl_leaf_size(addr);

	end = ktrepl_set_index(set, min(ALIGN(addr + 1, leaf), set->end) - 1);
	i = ktrepl_set_index(set, max(ALIGN_DOWN(addr, leaf), set->start));
	for (; i <= end; i++) {
		if (!ktrepl_set_copy(set, nid, i))
			continue;
		ktrepl_set_unlist(&set->copy[nid][i]);
		ktrepl_stat_move(ktrepl_nodes[nid], KTREPL_STAT_RESIDENT,
				 KTREPL_STAT_RETIRED, PAGE_SIZE);
		ktrepl_dropped(set, nid, i);
	}
}

/**
 * ktrepl_set_retire - take the memory behind a copy out of use
 * @set:   the set
 * @nid:   the node; no CPU is on it, unless @set is of executable memory
 * @index: page within the set
 *
 * The memory is kept until replication is switched off.
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 */
void ktrepl_set_retire(struct ktrepl_set *set, int nid, unsigned long index)
{
	lockdep_assert_held(&ktrepl_mutex);

	if (!ktrepl_set_copy(set, nid, index))
		return;
	if (set->exec)
		ktrepl_exec_retire(set, nid, index);
	else
		ktrepl_set_retire_leaf(set, nid, index);
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
	/*
	 * Whoever uses a copy holds text_mutex, arch_ktrepl_lock() or
	 * ktrepl_pt_lock: past all three nobody does.
	 */
	mutex_lock(&text_mutex);
	flags = arch_ktrepl_lock();
	WRITE_ONCE(set->copy[nid], NULL);
	arch_ktrepl_unlock(flags);
	mutex_unlock(&text_mutex);
	ktrepl_pt_barrier();

	for (i = 0; i < ktrepl_set_pages(set); i++) {
		if (!pages[i])
			continue;
		ktrepl_free(ktrepl_nodes[nid], ktrepl_set_stat(set), pages[i],
			    PAGE_SIZE);
		ktrepl_dropped(set, nid, i);
	}
	kvfree(pages);
}
