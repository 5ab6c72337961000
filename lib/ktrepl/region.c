// SPDX-License-Identifier: GPL-2.0
/*
 * Registry of regions.
 *
 * Concurrency: regions come and go under ktrepl_mutex, except that those of
 * executable memory come, and are marked dying, without it (execmem.c).  A region
 * that is dying is no longer found, and leaves the tree when it is freed:
 * whoever frees executable memory may hold text_mutex, and cannot wait for
 * memory.  Look-up by address is a maple tree walk under RCU, safe in NMI and
 * under kgdb; a region that may go away (not those of the image) is kept by
 * whoever found it through text_mutex, arch_ktrepl_lock() or ktrepl_pt_lock,
 * all of which ktrepl_region_free() takes after the region has left the tree.
 * Replicas are unlisted under text_mutex and arch_ktrepl_lock(), one of which
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

LIST_HEAD(ktrepl_regions);

static struct maple_tree ktrepl_region_tree =
	MTREE_INIT(ktrepl_region_tree, MT_FLAGS_USE_RCU);

/**
 * ktrepl_primary_page - the page that holds the primary of an address
 * @addr: kernel virtual address
 *
 * Return: the page, NULL if nothing is mapped there.
 */
struct page *ktrepl_primary_page(unsigned long addr)
{
	if (is_vmalloc_or_module_addr((void *)addr))
		return vmalloc_to_page((void *)addr);
	return virt_to_page((void *)addr);
}

/*
 * A region that is dying stays in the tree until it is freed, and a new one may
 * take its place, or a part of it.
 */
static int ktrepl_region_insert(struct ktrepl_region *region)
{
	MA_STATE(mas, &ktrepl_region_tree, region->start, region->end - 1);
	struct ktrepl_region *old;
	int err = 0;

	/* Who changes mappings there has got the area from execmem_alloc(). */
	ktrepl_cloned_mark(region->start, region->end);
	mas_lock(&mas);
	mas_for_each(&mas, old, region->end - 1)
		if (!old->dying)
			err = -EEXIST;
	mas_set_range(&mas, region->start, region->end - 1);
	if (!err)
		err = mas_store_gfp(&mas, region, GFP_KERNEL);
	mas_unlock(&mas);
	return err;
}

/**
 * ktrepl_region_alloc - make a region and have it found by address
 * @name:  what reports call it; not copied
 * @kind:  text or read-only data
 * @start: first address, page aligned
 * @end:   first address behind it, page aligned
 *
 * The region is on no list and has no replicas yet.
 *
 * Context: Process context; text_mutex may be held.
 * Return: the region; ERR_PTR(-EINVAL) for a bad range, ERR_PTR(-EEXIST) if it
 * overlaps another region, ERR_PTR(-ENOMEM).
 */
struct ktrepl_region *ktrepl_region_alloc(const char *name, enum ktrepl_kind kind,
					  unsigned long start, unsigned long end)
{
	struct ktrepl_region *region;
	unsigned long pages, entries;
	int err;

	if (start >= end || !PAGE_ALIGNED(start) || !PAGE_ALIGNED(end))
		return ERR_PTR(-EINVAL);
	pages = (end - start) >> PAGE_SHIFT;
	entries = size_mul(pages, ktrepl_max_nodes());
	/* Its bitmaps lie behind it. */
	region = kvzalloc(size_add(struct_size(region, replica, entries),
				   2 * bitmap_size(pages)), GFP_KERNEL);
	if (!region)
		return ERR_PTR(-ENOMEM);
	region->name = name;
	region->kind = kind;
	region->start = start;
	region->end = end;
	region->nodes = ktrepl_max_nodes();
	region->stale = (unsigned long *)(region->replica + entries);
	region->stable = region->stale + BITS_TO_LONGS(pages);
	err = ktrepl_region_insert(region);
	if (!err)
		return region;
	kvfree(region);
	return ERR_PTR(err);
}

/**
 * ktrepl_region_remove - have a region no longer found by address
 * @region: the region
 *
 * Context: Process context.
 * Return: false if there is no memory to change the tree.
 */
bool ktrepl_region_remove(const struct ktrepl_region *region)
{
	MA_STATE(mas, &ktrepl_region_tree, region->start, region->start);
	const struct ktrepl_region *old;
	bool done = true;

	/* Another region may have taken a part of its place; see insertion. */
	mas_lock(&mas);
	mas_for_each(&mas, old, region->end - 1)
		/* Without a pause of the lock: what was found stays. */
		if (old == region && mas_store_gfp(&mas, NULL, GFP_NOWAIT))
			done = false;
	mas_unlock(&mas);
	return done;
}

/**
 * ktrepl_region_unlist - have replicas of a page not found any more
 * @region: the region
 * @index: page within the region
 * @first: the first node that loses its replica
 * @last:  the last one
 * @unlisted: they are on it then, for ktrepl_region_reclaim()
 *
 * Pokes that may use them, or have found the region, end.
 *
 * Context: Process context, ktrepl_mutex and text_mutex held.
 */
void ktrepl_region_unlist(struct ktrepl_region *region, unsigned long index,
			  int first, int last, struct list_head *unlisted)
{
	struct page **entries = ktrepl_region_entries(region, index), *replica;
	unsigned long flags;
	int nid;

	lockdep_assert_held(&ktrepl_mutex);
	lockdep_assert_held(&text_mutex);

	flags = arch_ktrepl_lock();
	for (nid = first; nid <= last; nid++) {
		replica = entries[nid];
		if (!replica)
			continue;
		/* Pairs with READ_ONCE() in ktrepl_region_replica(). */
		WRITE_ONCE(entries[nid], NULL);
		set_page_private(replica, nid);
		list_add(&replica->lru, unlisted);
		ktrepl_node_count(ktrepl_nodes[nid], KTREPL_STAT_DROP);
		trace_ktrepl_drop(nid, ktrepl_region_addr(region, index));
	}
	arch_ktrepl_unlock(flags);
}

/**
 * ktrepl_region_reclaim - free replicas, after walks that may use them
 * @region: the region
 * @unlisted: from ktrepl_region_unlist()
 * @lost: a node of which the memory is not used again, or NUMA_NO_NODE
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_region_reclaim(const struct ktrepl_region *region,
			   struct list_head *unlisted, int lost)
{
	const enum ktrepl_stat stat = ktrepl_region_stat(region);
	struct page *replica, *next;
	int nid;

	lockdep_assert_held(&ktrepl_mutex);

	ktrepl_pt_barrier();
	list_for_each_entry_safe(replica, next, unlisted, lru) {
		nid = page_private(replica);
		set_page_private(replica, 0);
		if (nid == lost)
			ktrepl_stat_move(ktrepl_nodes[nid], stat, KTREPL_STAT_RETIRED,
					 PAGE_SIZE);
		else
			ktrepl_free(ktrepl_nodes[nid], stat, replica, PAGE_SIZE);
	}
}

/* Frees all replicas on these nodes. */
static void ktrepl_region_release(struct ktrepl_region *region, int first, int last)
{
	LIST_HEAD(unlisted);
	unsigned long i;

	mutex_lock(&text_mutex);
	for (i = 0; i < ktrepl_region_pages(region); i++)
		ktrepl_region_unlist(region, i, first, last, &unlisted);
	mutex_unlock(&text_mutex);
	ktrepl_region_reclaim(region, &unlisted, NUMA_NO_NODE);
}

/**
 * ktrepl_region_free - free a region and its replicas
 * @region: the region, on no list, after ktrepl_region_remove(); no CPU can
 *	 reach its replicas through a page table
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_region_free(struct ktrepl_region *region)
{
	/* Those who have found the region end, too. */
	ktrepl_region_release(region, 0, ktrepl_nr_nodes - 1);
	/* Those who ask in any context, by RCU: query.c. */
	kvfree_rcu_mightsleep(region);
}

/**
 * ktrepl_region_register - make a region that stays until it is unregistered
 * @name:  what reports call it; not copied
 * @kind:  text or read-only data
 * @start: first address, page aligned
 * @end:   first address behind it, page aligned
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: as for ktrepl_region_alloc().
 */
struct ktrepl_region *ktrepl_region_register(const char *name, enum ktrepl_kind kind,
					     unsigned long start, unsigned long end)
{
	struct ktrepl_region *region = ktrepl_region_alloc(name, kind, start, end);

	lockdep_assert_held(&ktrepl_mutex);

	if (!IS_ERR(region))
		list_add_tail(&region->list, &ktrepl_regions);
	return region;
}

/**
 * ktrepl_region_unregister - reverse ktrepl_region_register()
 * @region: the region; no CPU can reach its replicas through a page table
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_region_unregister(struct ktrepl_region *region)
{
	lockdep_assert_held(&ktrepl_mutex);

	list_del(&region->list);
	WRITE_ONCE(region->dying, true);
	while (!ktrepl_region_remove(region))
		schedule_timeout_uninterruptible(1);
	ktrepl_region_free(region);
}

/**
 * ktrepl_region_find - look up the region of an address
 * @addr: the address
 *
 * Context: Any.  text_mutex, ktrepl_mutex or rcu_read_lock() keeps the result.
 * Return: the region or NULL.
 */
struct ktrepl_region *ktrepl_region_find(unsigned long addr)
{
	struct ktrepl_region *region = mtree_load(&ktrepl_region_tree, addr);

	return region && !READ_ONCE(region->dying) ? region : NULL;
}

NOKPROBE_SYMBOL(ktrepl_region_find);

/**
 * ktrepl_region_around - look up the region of an address, and up to where it is
 * @addr:  the address
 * @start: the first address of which the same is true
 * @last:  the last one
 *
 * Context: As for ktrepl_region_find(), or ktrepl_pt_lock held.
 * Return: the region or NULL.
 */
struct ktrepl_region *ktrepl_region_around(unsigned long addr, unsigned long *start,
					   unsigned long *last)
{
	MA_STATE(mas, &ktrepl_region_tree, addr, addr);
	struct ktrepl_region *region;

	rcu_read_lock();
	region = mas_walk(&mas);
	rcu_read_unlock();
	*start = mas.index;
	*last = mas.last;
	return region && !READ_ONCE(region->dying) ? region : NULL;
}

/* Is a page to have a replica on a node? Not where its primary is. */
static bool ktrepl_region_remote(const struct ktrepl_region *region, int nid,
				 unsigned long addr)
{
	return ktrepl_page_node(ktrepl_primary_page(addr)) != nid;
}

/* Allocates adjoining replicas of the pages of one leaf, all or none. */
static bool ktrepl_reserve(struct ktrepl_region *region, struct ktrepl_node *node,
			   struct page **fresh, unsigned long addr,
			   unsigned long size)
{
	unsigned long index = ktrepl_region_index(region, addr), i;
	struct page *replica;

	if (node->starved)
		return false;
	replica = ktrepl_alloc(node, ktrepl_region_stat(region), size);
	node->starved = !replica && size == PAGE_SIZE;
	if (!replica)
		return false;
	for (i = 0; i < size >> PAGE_SHIFT; i++)
		fresh[index + i] = replica + i;
	return true;
}

/*
 * Has a node a table for leaves of its own there?  It gets one that was not to
 * be had when the node was built.
 */
static bool ktrepl_reserve_table(struct ktrepl_region *region,
				 struct ktrepl_node *node, unsigned long addr)
{
	return !region->mapped ||
	       (node->root && ktrepl_node_cover(node, addr));
}

/* How many pages of a part of a region have a replica on a node? */
static unsigned long ktrepl_region_replicas(const struct ktrepl_region *region, int nid,
					    unsigned long addr, unsigned long size)
{
	unsigned long i = ktrepl_region_index(region, addr), nr = 0;
	unsigned long end = i + (size >> PAGE_SHIFT);

	for (; i < end; i++)
		nr += !!ktrepl_region_replica(region, nid, i);
	return nr;
}

/* May a node have small leaves in place of the primary's large one? */
static bool ktrepl_reserve_small(struct ktrepl_region *region,
				 struct ktrepl_node *node, unsigned long addr)
{
	return !region->mapped || ktrepl_leaf_is_split(node, addr) ||
	       (!node->starved && ktrepl_leaf_split(node, addr));
}

/*
 * The part of a leaf that lies in the region.  Where there is no memory in one
 * piece, or not all of the leaf is in the region, an architecture may allow for
 * small leaves in its place on the node.  All CPUs leave it before.
 */
static bool ktrepl_reserve_leaf(struct ktrepl_region *region,
				struct ktrepl_node *node, struct page **fresh,
				unsigned long addr, unsigned long size,
				unsigned long leaf)
{
	unsigned long end = addr + size;
	bool any = false;

	if (size == leaf &&
	    !ktrepl_region_replicas(region, node->nid, addr, size) &&
	    ktrepl_reserve(region, node, fresh, addr, size))
		return true;
	if (leaf != PAGE_SIZE && !ktrepl_reserve_small(region, node, addr))
		return false;
	for (; addr < end; addr += PAGE_SIZE)
		if (!ktrepl_region_replicas(region, node->nid, addr, PAGE_SIZE))
			any |= ktrepl_reserve(region, node, fresh, addr,
					      PAGE_SIZE);
	return any;
}

/**
 * ktrepl_region_reserve - memory for the replicas that a region lacks on a node
 * @region: the region
 * @nid: the node
 *
 * Pages whose primary is on the node already, and those for which there is no
 * memory or no table, are left to the primary.
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: pages for ktrepl_region_publish(), NULL if there are none.
 */
struct page **ktrepl_region_reserve(struct ktrepl_region *region, int nid)
{
	struct ktrepl_node *node = ktrepl_nodes[nid];
	unsigned long addr, size, leaf;
	struct page **fresh;
	bool any = false;

	lockdep_assert_held(&ktrepl_mutex);

	node->starved = false;
	fresh = kvcalloc(ktrepl_region_pages(region), sizeof(*fresh),
			 GFP_KERNEL | __GFP_NOWARN);
	if (!fresh) {
		ktrepl_node_count(node, KTREPL_STAT_PAGE_FAIL);
		return NULL;
	}
	for (addr = region->start; addr < region->end; addr += size) {
		leaf = ktrepl_leaf_size(addr);
		size = min(ALIGN(addr + 1, leaf), region->end) - addr;
		if (ktrepl_region_remote(region, nid, addr) &&
		    ktrepl_reserve_table(region, node, addr))
			any |= ktrepl_reserve_leaf(region, node, fresh, addr, size,
						   leaf);
		cond_resched();
	}
	if (any)
		return fresh;
	kvfree(fresh);
	return NULL;
}

/* Lists what is in the window, and fills it. */
static void ktrepl_region_fill(struct ktrepl_region *region, int nid)
{
	struct ktrepl_window *w = &ktrepl_window;
	unsigned long addr;
	unsigned int i;

	for (i = 0; i < w->nr; i++) {
		addr = ktrepl_region_addr(region, w->index[i]);
		/*
		 * A poke that comes before the copying of a piece is in the
		 * primary by then, one that comes after writes both.
		 * Model: tools/ktrepl/models/image-copy.pml
		 */
		mutex_lock(&text_mutex);
		/* Pairs with READ_ONCE() in ktrepl_region_replica(). */
		WRITE_ONCE(ktrepl_region_entries(region, w->index[i])[nid],
			   w->pages[i]);
		ktrepl_window_fill(w, i, ktrepl_primary_page(addr));
		mutex_unlock(&text_mutex);
		cond_resched();
	}
}

/* There is no memory for the window: the pages go without replicas. */
static void ktrepl_region_unreserve(struct ktrepl_region *region, int nid)
{
	struct ktrepl_window *w = &ktrepl_window;
	struct ktrepl_node *node = ktrepl_nodes[nid];
	unsigned int i;

	atomic_long_add(w->nr, &node->stat[KTREPL_STAT_PAGE_FAIL]);
	for (i = 0; i < w->nr; i++)
		ktrepl_free(node, ktrepl_region_stat(region), w->pages[i], PAGE_SIZE);
}

static void ktrepl_region_flush(struct ktrepl_region *region, int nid)
{
	struct ktrepl_window *w = &ktrepl_window;

	if (ktrepl_window_open(w)) {
		ktrepl_region_fill(region, nid);
		ktrepl_window_close(w);
	} else {
		ktrepl_region_unreserve(region, nid);
	}
	w->nr = 0;
}

/**
 * ktrepl_region_publish - fill replicas, and have pokes write them from now on
 * @region: the region
 * @nid:   the node; no CPU is on it, unless the region is not mapped
 * @fresh: from ktrepl_region_reserve(), freed here; or NULL
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 */
void ktrepl_region_publish(struct ktrepl_region *region, int nid, struct page **fresh)
{
	unsigned long i, nr = ktrepl_region_pages(region);

	lockdep_assert_held(&ktrepl_mutex);

	for (i = 0; fresh && i < nr; i++) {
		if (!fresh[i])
			continue;
		ktrepl_window_add(&ktrepl_window, fresh[i], region, nid, i);
		if (ktrepl_window.nr == KTREPL_WINDOW_PAGES)
			ktrepl_region_flush(region, nid);
	}
	if (ktrepl_window.nr)
		ktrepl_region_flush(region, nid);
	kvfree(fresh);
}

/**
 * ktrepl_region_missing - how many pages go without a replica for lack of
 * memory
 * @region: the region
 * @nid: the node
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: number of pages whose primary is elsewhere.
 */
unsigned long ktrepl_region_missing(struct ktrepl_region *region, int nid)
{
	unsigned long i, nr = 0;

	lockdep_assert_held(&ktrepl_mutex);

	for (i = 0; i < ktrepl_region_pages(region); i++)
		nr += !ktrepl_region_replica(region, nid, i) &&
		      ktrepl_region_remote(region, nid, ktrepl_region_addr(region, i));
	return nr;
}

/* The image: all of the leaf, as a part of it cannot be another page's. */
static void ktrepl_region_retire_leaf(struct ktrepl_region *region, int nid,
				      unsigned long index)
{
	unsigned long addr = ktrepl_region_addr(region, index), i, end;
	unsigned long leaf = ktrepl_leaf_size(addr);
	LIST_HEAD(unlisted);

	end = ktrepl_region_index(region, min(ALIGN(addr + 1, leaf), region->end) - 1);
	i = ktrepl_region_index(region, max(ALIGN_DOWN(addr, leaf), region->start));
	mutex_lock(&text_mutex);
	for (; i <= end; i++)
		ktrepl_region_unlist(region, i, nid, nid, &unlisted);
	mutex_unlock(&text_mutex);
	ktrepl_region_reclaim(region, &unlisted, nid);
}

/**
 * ktrepl_region_retire - take the memory behind a replica out of use
 * @region: the region
 * @nid:   the node; no CPU is on it, unless @region is of executable memory
 * @index: page within the region
 *
 * The memory is kept until replication is switched off.
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 */
void ktrepl_region_retire(struct ktrepl_region *region, int nid, unsigned long index)
{
	lockdep_assert_held(&ktrepl_mutex);

	if (!ktrepl_region_replica(region, nid, index))
		return;
	if (region->execmem)
		ktrepl_execmem_retire(region, nid, index);
	else
		ktrepl_region_retire_leaf(region, nid, index);
}

/**
 * ktrepl_region_depopulate - free the replicas of a region on a node
 * @region: the region
 * @nid: the node; no CPU can reach its replicas through a page table
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 */
void ktrepl_region_depopulate(struct ktrepl_region *region, int nid)
{
	ktrepl_region_release(region, nid, nid);
}
