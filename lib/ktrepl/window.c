// SPDX-License-Identifier: GPL-2.0
/*
 * The window through which replicas get their contents, many pages at a time.
 *
 * The linear alias of a replica is read-only.  For as long as a window is open
 * its pages are mapped writable in vmalloc space as well.  It is closed, and
 * flushed from all TLBs, before any CPU runs on what has been written.
 *
 * Pokes go on meanwhile.  They write the primary and each replica that is
 * listed, by a mapping of their own.  So a replica is listed before it is
 * filled.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include <asm/tlbflush.h>

#include <kunit/static_stub.h>
#include <trace/events/ktrepl.h>

#include "internal.h"

struct ktrepl_window ktrepl_window;

/**
 * ktrepl_window_add - have a replica filled through a window
 * @w:	   the window, neither open nor full
 * @page:  the replica
 * @region: its region
 * @nid:   its node
 * @index: its page within its region
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_window_add(struct ktrepl_window *w, struct page *page,
		       struct ktrepl_region *region, int nid, unsigned long index)
{
	lockdep_assert_held(&ktrepl_mutex);

	w->pages[w->nr] = page;
	w->regions[w->nr] = region;
	w->nids[w->nr] = nid;
	w->index[w->nr++] = index;
}

/**
 * ktrepl_window_open - map the pages of a window writable
 * @w: the window
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: false if there is no memory for that.
 */
bool ktrepl_window_open(struct ktrepl_window *w)
{
	KUNIT_STATIC_STUB_REDIRECT(ktrepl_window_open, w);
	lockdep_assert_held(&ktrepl_mutex);

	w->alias = vmap(w->pages, w->nr, VM_MAP, PAGE_KERNEL);
	return w->alias;
}

/**
 * ktrepl_window_fill - copy the primary's page
 * @w:	    the window, open
 * @i:	    which of its pages
 * @primary: the page to copy
 *
 * Through the linear map, as read-only data holds KASAN redzones.  At once where
 * text_mutex keeps all pokes out, else piece by piece: no poke comes between the
 * reading of a piece and the end of its write.  A poke between two pieces writes
 * both pages.
 *
 * Context: Process context, text_mutex held; where arch_ktrepl_lock() disables
 * interrupts, it does so for 4 KiB, or less than 1,000 instructions.
 */
void ktrepl_window_fill(const struct ktrepl_window *w, unsigned int i,
			struct page *primary)
{
	void *to = w->alias + ((unsigned long)i << PAGE_SHIFT);
	const void *from = page_address(primary);
	unsigned int off, piece = ktrepl_info->text_mutex ? PAGE_SIZE : SZ_4K;
	unsigned long flags;

	lockdep_assert_held(&text_mutex);

	for (off = 0; off < PAGE_SIZE; off += piece) {
		flags = arch_ktrepl_lock();
		memcpy(to + off, from + off, piece);
		arch_ktrepl_unlock(flags);
	}
	ktrepl_node_count(ktrepl_nodes[w->nids[i]], KTREPL_STAT_COPY);
	trace_ktrepl_copy(w->nids[i], ktrepl_region_addr(w->regions[i], w->index[i]));
}

/* Nobody executes read-only data: for them there is nothing to maintain. */
static bool ktrepl_window_text(const struct ktrepl_window *w, unsigned int i)
{
	return i < w->nr && w->regions[i]->kind == KTREPL_TEXT;
}

/* Instruction caches follow what has been written. */
static void ktrepl_window_sync(const struct ktrepl_window *w)
{
	unsigned long alias = (unsigned long)w->alias;
	unsigned int i, end;

	for (i = 0; i < w->nr; i = end + 1) {
		for (end = i; ktrepl_window_text(w, end); end++)
			;
		if (end > i)
			arch_ktrepl_sync_alias(alias + i * PAGE_SIZE, alias + end * PAGE_SIZE);
	}
}

/**
 * ktrepl_window_close - no alias of the pages is writable any more
 * @w: the window, open
 *
 * Instruction caches follow what has been written of text.
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_window_close(struct ktrepl_window *w)
{
	unsigned long start = (unsigned long)w->alias;
	unsigned long end = start + ((unsigned long)w->nr << PAGE_SHIFT);

	lockdep_assert_held(&ktrepl_mutex);

	ktrepl_window_sync(w);
	vunmap(w->alias);
	/* vunmap() leaves that for later. */
	flush_tlb_kernel_range(start, end);
	w->alias = NULL;
}
