// SPDX-License-Identifier: GPL-2.0
/*
 * Memory for replicas.
 *
 * A node takes memory in chunks whose linear alias is read-only from birth to
 * death: replicas are written through a temporary alias even when they are
 * made. A chunk has 2 MiB, or more for a larger leaf above the PTE level, so
 * that the replica of such a leaf takes a whole one and the linear map need not
 * be split.
 *
 * A chunk goes back to the system when its last page is freed, except that a
 * node keeps one empty chunk: a module that is loaded again needs no new one.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <trace/events/ktrepl.h>

#include "internal.h"

#define KTREPL_CHUNK_SIZE	SZ_2M

/**
 * struct ktrepl_chunk - pages that were allocated in one piece
 * @list: on ktrepl_node.chunks
 * @page: first page
 * @order: of the allocation
 * @used: number of pages in use
 * @map:  pages in use
 *
 * All of it under ktrepl_mutex.
 */
struct ktrepl_chunk {
	struct list_head list;
	struct page *page;
	unsigned int order;
	unsigned int used;
	unsigned long map[];
};

static void ktrepl_chunk_free(struct ktrepl_node *node,
			      struct ktrepl_chunk *chunk)
{
	ktrepl_uncharge(node, KTREPL_STAT_FREE, PAGE_SIZE << chunk->order);
	/* A page that stayed read-only would kill its next owner. */
	if (!WARN_ON_ONCE(arch_ktrepl_protect(chunk->page, 1 << chunk->order,
					      false)))
		__free_pages(chunk->page, chunk->order);
	kfree(chunk);
}

/* Larger pieces than are needed are taken only where they are at hand. */
static struct page *ktrepl_chunk_pages(struct ktrepl_node *node,
				       unsigned int order, bool needed)
{
	gfp_t gfp = GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN |
		    __GFP_NORETRY | __GFP_SKIP_KASAN;

	if (!needed)
		gfp &= ~__GFP_DIRECT_RECLAIM;
	return alloc_pages_node(ktrepl_gfp_node(node->nid), gfp, order);
}

static struct ktrepl_chunk *ktrepl_chunk_add(struct ktrepl_node *node,
					     unsigned int order, bool needed)
{
	struct ktrepl_chunk *chunk;

	if (!ktrepl_charge(node, KTREPL_STAT_FREE, PAGE_SIZE << order))
		return NULL;
	chunk = kzalloc_node(struct_size(chunk, map, BITS_TO_LONGS(1UL << order)),
			     GFP_KERNEL | __GFP_NOWARN,
			     ktrepl_gfp_node(node->nid));
	if (!chunk)
		goto uncharge;
	chunk->order = order;
	chunk->page = ktrepl_chunk_pages(node, order, needed);
	if (!chunk->page)
		goto free;
	/* After an error, some of the pages may be read-only. */
	if (arch_ktrepl_protect(chunk->page, 1 << order, true)) {
		ktrepl_chunk_free(node, chunk);
		return NULL;
	}
	list_add(&chunk->list, &node->chunks);
	return chunk;

free:
	kfree(chunk);
uncharge:
	ktrepl_uncharge(node, KTREPL_STAT_FREE, PAGE_SIZE << order);
	return NULL;
}

/* Adjoining free pages of a chunk, aligned to their number; or NULL. */
static struct page *ktrepl_chunk_take(struct ktrepl_chunk *chunk,
				      unsigned long nr)
{
	unsigned long bits = 1UL << chunk->order, i;

	/* Nearly all are one page. */
	i = nr == 1 ? find_first_zero_bit(chunk->map, bits) :
	    bitmap_find_next_zero_area(chunk->map, bits, 0, nr, nr - 1);
	if (i >= bits)
		return NULL;
	if (nr == 1)
		__set_bit(i, chunk->map);
	else
		bitmap_set(chunk->map, i, nr);
	chunk->used += nr;
	return chunk->page + i;
}

static struct page *ktrepl_arena_take(struct ktrepl_node *node,
				      unsigned long nr)
{
	struct ktrepl_chunk *chunk;
	struct page *page = NULL;

	list_for_each_entry(chunk, &node->chunks, list) {
		page = ktrepl_chunk_take(chunk, nr);
		if (page)
			break;
	}
	return page;
}

static struct page *ktrepl_arena_grow(struct ktrepl_node *node, size_t size)
{
	int least = get_order(size), order;
	struct ktrepl_chunk *chunk;

	order = get_order(max_t(size_t, size, KTREPL_CHUNK_SIZE));
	for (; order >= least; order--) {
		chunk = ktrepl_chunk_add(node, order, order == least);
		if (chunk)
			return ktrepl_chunk_take(chunk, size >> PAGE_SHIFT);
	}
	return NULL;
}

/**
 * ktrepl_alloc - allocate pages for a replica, on the node itself
 * @node: the node
 * @stat: what it is for
 * @size: power of two, aligned likewise
 *
 * Context: Process context, ktrepl_mutex held, and ktrepl_execmem_mutex, which
 * patchers may wait for, not held.
 * Return: first page, or NULL, which is counted: the caller uses the primary.
 */
struct page *ktrepl_alloc(struct ktrepl_node *node, enum ktrepl_stat stat,
			  size_t size)
{
	struct page *page;

	lockdep_assert_held(&ktrepl_mutex);
	ktrepl_execmem_assert_unlocked();

	page = ktrepl_arena_take(node, size >> PAGE_SHIFT);
	if (!page)
		page = ktrepl_arena_grow(node, size);
	if (!page) {
		ktrepl_node_count(node, KTREPL_STAT_PAGE_FAIL);
		trace_ktrepl_alloc_fail(node->nid, size);
		return NULL;
	}
	ktrepl_stat_move(node, KTREPL_STAT_FREE, stat, size);
	return page;
}

static struct ktrepl_chunk *ktrepl_chunk_of(struct ktrepl_node *node,
					    const struct page *page)
{
	unsigned long pfn = page_to_pfn(page);
	struct ktrepl_chunk *chunk;

	list_for_each_entry(chunk, &node->chunks, list)
		if (pfn - page_to_pfn(chunk->page) < 1UL << chunk->order)
			return chunk;
	return NULL;
}

static bool ktrepl_another_is_empty(struct ktrepl_node *node,
				    const struct ktrepl_chunk *chunk)
{
	struct ktrepl_chunk *other;

	list_for_each_entry(other, &node->chunks, list)
		if (other != chunk && !other->used)
			return true;
	return false;
}

/**
 * ktrepl_free - give pages of a replica back
 * @node: the node
 * @stat: what they were for
 * @page: first page
 * @size: size, or a part of it
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_free(struct ktrepl_node *node, enum ktrepl_stat stat,
		 struct page *page, size_t size)
{
	struct ktrepl_chunk *chunk = ktrepl_chunk_of(node, page);

	lockdep_assert_held(&ktrepl_mutex);

	if (WARN_ON_ONCE(!chunk))
		return;
	if (size == PAGE_SIZE)
		__clear_bit(page - chunk->page, chunk->map);
	else
		bitmap_clear(chunk->map, page - chunk->page, size >> PAGE_SHIFT);
	chunk->used -= size >> PAGE_SHIFT;
	ktrepl_stat_move(node, stat, KTREPL_STAT_FREE, size);
	if (!chunk->used && ktrepl_another_is_empty(node, chunk)) {
		list_del(&chunk->list);
		ktrepl_chunk_free(node, chunk);
	}
}

/**
 * ktrepl_arena_destroy - give a node's memory back to the system
 * @node: the node; every replica has been freed or retired
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_arena_destroy(struct ktrepl_node *node)
{
	struct ktrepl_chunk *chunk, *next;
	unsigned long used = 0;

	lockdep_assert_held(&ktrepl_mutex);

	list_for_each_entry(chunk, &node->chunks, list)
		used += chunk->used;
	if (WARN_ON_ONCE(used << PAGE_SHIFT !=
			 atomic_long_read(&node->stat[KTREPL_STAT_RETIRED])))
		return;
	ktrepl_stat_move(node, KTREPL_STAT_RETIRED, KTREPL_STAT_FREE,
			 used << PAGE_SHIFT);
	list_for_each_entry_safe(chunk, next, &node->chunks, list) {
		list_del(&chunk->list);
		ktrepl_chunk_free(node, chunk);
	}
}
