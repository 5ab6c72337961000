// SPDX-License-Identifier: GPL-2.0
/*
 * Multi-copy poke.
 *
 * The architecture's patching primitive resolves the primary's page(s) as it
 * always did, then writes them and each set of pages that the iterator names.
 * All targets are known before the first store, so a poke cannot stop half
 * way.  Each phase of a patching protocol is one poke, hence complete on every
 * replica before the cross-CPU sync that follows it.
 *
 * The primitives are __kprobes, and kgdb calls them to set its breakpoints,
 * with the other CPUs stopped.  So all that they call here is
 * NOKPROBE_SYMBOL(), and kgdb refuses breakpoints there
 * (CONFIG_KGDB_HONOUR_BLOCKLIST).  Some of arm64's are noinstr, which keeps
 * probes away from them: what they call may be traced, copy_to_kernel_nofault()
 * too.  __ktrepl_poke_image(), __ktrepl_poke_first() and __ktrepl_poke_next(), which
 * each poke calls, are not, as the nops of an entry cost as well.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bug.h>
#include <linux/kprobes.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/unaligned.h>

#include <asm/sections.h>

#include <trace/events/ktrepl.h>

#include "internal.h"

DEFINE_STATIC_KEY_FALSE(ktrepl_key);

/*
 * Names the next replicas, up to so many targets in all; returns true if there
 * are no more.  Only one page of the two may have a replica on a node: the same
 * bytes go to the other's primary once more.
 */
static __always_inline bool
ktrepl_poke_name(struct ktrepl_poke_iter *poke, unsigned long nid, unsigned int nr,
		 const unsigned int max, const bool cross)
{
	const struct ktrepl_region *region = poke->region[0];
	const struct ktrepl_region *next = cross ? poke->region[1] : NULL;
	struct page **replicas = !cross || region ?
				 ktrepl_region_entries(region, poke->index[0]) : NULL;
	struct page **others = next ? ktrepl_region_entries(next, poke->index[1]) : NULL;
	struct page *(*to)[2] = poke->pages + nr, *first, *second = NULL;
	/* A region's are no fewer, and have no replicas beyond ktrepl_nr_nodes. */
	const unsigned long nodes = cross ? ktrepl_nr_nodes : region->nodes;

	do {
		/* As ktrepl_region_replica() does. */
		first = !cross || replicas ? READ_ONCE(replicas[nid]) : NULL;
		if (others)
			second = READ_ONCE(others[nid]);
		if (!first && !second)
			continue;
		if (to == poke->pages + max)
			break;
		(*to)[0] = first ?: poke->primary[0];
		if (cross)
			(*to)[1] = second ?: poke->primary[1];
		to++;
		ktrepl_node_count(ktrepl_nodes[nid], KTREPL_STAT_POKE);
	} while (++nid < nodes);
	poke->nr = to - poke->pages;
	poke->nid = nid;
	return nid >= nodes;
}

/* Is a word, in one page, all that is to be compared? */
static __always_inline bool ktrepl_poke_short(const struct ktrepl_poke_iter *poke)
{
	return poke->len <= sizeof(u64) && poke->offset <= PAGE_SIZE - sizeof(u64);
}

/* One by one if there is much to write, as interrupts are disabled meanwhile. */
static bool ktrepl_poke_fill(struct ktrepl_poke_iter *poke)
{
	const unsigned int max = poke->len > KTREPL_PIECE ? 1 :
				 CONFIG_KTREPL_POKE_BATCH;

	if (poke->span == 1)
		return ktrepl_poke_name(poke, poke->nid, poke->nr, max, false);
	return ktrepl_poke_name(poke, poke->nid, poke->nr, max, true);
}

NOKPROBE_SYMBOL(ktrepl_poke_fill);

/* Is one of the pages replicated? */
static bool ktrepl_poke_resolve(struct ktrepl_poke_iter *poke, unsigned int i,
				unsigned long page)
{
	struct ktrepl_region *region = NULL;

	poke->primary[i] = poke->pages[0][i];
	if (poke->primary[i])
		region = ktrepl_region_find(page);
	poke->region[i] = region;
	if (!region)
		return false;
	poke->index[i] = ktrepl_region_index(region, page);
	return true;
}

NOKPROBE_SYMBOL(ktrepl_poke_resolve);

/* Is a page of executable memory not replicated, perhaps because it is filler? */
static bool ktrepl_poke_stale(const struct ktrepl_poke_iter *poke, unsigned int i)
{
	return poke->region[i] && poke->region[i]->execmem &&
	       test_bit(poke->index[i], poke->region[i]->stale);
}

NOKPROBE_SYMBOL(ktrepl_poke_stale);

/* For who compares whole targets. */
static __always_inline void ktrepl_poke_begin(struct ktrepl_poke_iter *poke)
{
	poke->primary[0] = poke->pages[0][0];
	poke->again = false;
}

/*
 * The image's region is there before ktrepl_key is set, and stays.  Returns how
 * many targets are to be written first; 0 if the poke is not a short one there.
 */
static __always_inline unsigned int
ktrepl_poke_text(struct ktrepl_poke_iter *poke, unsigned long addr, size_t len)
{
	struct ktrepl_region *region = ktrepl_image[0];

	poke->offset = offset_in_page(addr);
	poke->len = len;
	if (!region || addr - region->start >= region->end - region->start ||
	    !ktrepl_poke_short(poke))
		return 0;
	poke->index[0] = ktrepl_region_index(region, addr);
	poke->pages[0][0] = nth_page(region->first, poke->index[0]);
	poke->region[0] = region;
	poke->synced = 0;
	poke->span = 1;
	poke->brief = ktrepl_poke_name(poke, 0, 1, CONFIG_KTREPL_POKE_BATCH, false);
	if (unlikely(!poke->brief))
		ktrepl_poke_begin(poke);
	return poke->nr;
}

/* In any region, or in two pages, of which one may have no replicas. */
static noinline void ktrepl_poke_any(struct ktrepl_poke_iter *poke, unsigned long addr)
{
	unsigned int span = poke->offset + poke->len > PAGE_SIZE ? 2 : 1;
	unsigned long page = addr & PAGE_MASK;
	bool found = ktrepl_poke_resolve(poke, 0, page);

	if (span == 2)
		found |= ktrepl_poke_resolve(poke, 1, page + PAGE_SIZE);
	if (!found)
		return;
	poke->synced = 0;
	poke->again = false;
	poke->span = span;
	poke->nid = 0;
	poke->brief = ktrepl_poke_fill(poke) && ktrepl_poke_short(poke) &&
		      !ktrepl_poke_stale(poke, 0);
}

NOKPROBE_SYMBOL(ktrepl_poke_any);

/*
 * Both may run under kgdb with all other CPUs stopped: no locks, no allocation.
 * A probe or breakpoint in what a poke runs through would be hit while it is
 * being set; neither is taken there.
 */
unsigned int notrace __ktrepl_poke_image(struct ktrepl_poke_iter *poke,
					 unsigned long addr, size_t len)
{
	return ktrepl_poke_text(poke, addr, len);
}

NOKPROBE_SYMBOL(__ktrepl_poke_image);

void notrace __ktrepl_poke_first(struct ktrepl_poke_iter *poke, unsigned long addr,
				 size_t len)
{
	if (!ktrepl_poke_text(poke, addr, len))
		ktrepl_poke_any(poke, addr);
}

NOKPROBE_SYMBOL(__ktrepl_poke_first);

/* The part of a poke that lies in one of its pages. */
static __always_inline unsigned int
ktrepl_poke_part(const struct ktrepl_poke_iter *poke, unsigned int i,
		 unsigned int *off)
{
	unsigned int first = poke->span == 1 ? poke->len :
			     PAGE_SIZE - poke->offset;

	*off = i ? 0 : poke->offset;
	return i ? poke->len - first : first;
}

/*
 * Does a page of a target that has just been written differ from the primary?
 */
static bool ktrepl_poke_differs(const struct ktrepl_poke_iter *poke, unsigned int t,
				unsigned int i, const void *want)
{
	unsigned int off, len = ktrepl_poke_part(poke, i, &off);

	return memcmp(page_address(poke->pages[t][i]) + off, want + off, len);
}

NOKPROBE_SYMBOL(ktrepl_poke_differs);

/* Are the words equal, what lies behind a poke included?  The first is the primary's. */
static __always_inline bool ktrepl_poke_equal(struct ktrepl_poke_iter *poke)
{
	struct page *(*t)[2] = poke->pages, *(*end)[2] = t + poke->nr;
	const u64 want = get_unaligned_le64(page_address(**t) + poke->offset);
	u64 differ = 0;

	while (++t < end)
		differ |= want ^ get_unaligned_le64(page_address(**t) + poke->offset);
	return !differ;
}

/* The node that has a page of a target for its replica. */
static int ktrepl_poke_nid(const struct ktrepl_poke_iter *poke, unsigned int t,
			   unsigned int i)
{
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_region_replica(poke->region[i], nid, poke->index[i]) ==
		    poke->pages[t][i])
			return nid;
	return NUMA_NO_NODE;
}

NOKPROBE_SYMBOL(ktrepl_poke_nid);

static void ktrepl_poke_report(const struct ktrepl_poke_iter *poke, unsigned int t)
{
	struct ktrepl_diff diff = { .again = poke->again };
	unsigned int off, len, i, n;
	const u8 *want, *found;

	for (i = 0; i < poke->span; i++) {
		len = ktrepl_poke_part(poke, i, &off);
		if (poke->pages[t][i] == poke->primary[i])
			continue;
		want = page_address(poke->primary[i]) + off;
		found = page_address(poke->pages[t][i]) + off;
		for (n = 0; n < len && want[n] == found[n]; n++)
			;
		if (n == len)
			continue;
		diff.nid = ktrepl_poke_nid(poke, t, i);
		diff.addr = poke->region[i]->start +
			    (poke->index[i] << PAGE_SHIFT) + off + n;
		diff.len = min_t(unsigned int, len - n, sizeof(diff.want));
		memcpy(diff.want, want + n, diff.len);
		memcpy(diff.found, found + n, diff.len);
		ktrepl_diverged(&diff);
	}
}

NOKPROBE_SYMBOL(ktrepl_poke_report);

/*
 * Reports the targets that differ from the primary after they have been
 * written. The first time they are the next ones, for the caller to write them
 * once more. Later they are left to heal.c, which may sleep: the poke goes on.
 */
static void ktrepl_poke_check(struct ktrepl_poke_iter *poke)
{
	const void *want[2] = { page_address(poke->primary[0]) };
	unsigned int t, nr = 0;

	if (poke->span == 2)
		want[1] = page_address(poke->primary[1]);
	for (t = 0; t < poke->nr; t++) {
		if (!ktrepl_poke_differs(poke, t, 0, want[0]) &&
		    !(poke->span == 2 &&
		      ktrepl_poke_differs(poke, t, 1, want[1])))
			continue;
		ktrepl_poke_report(poke, t);
		memmove(poke->pages[nr++], poke->pages[t], sizeof(*poke->pages));
	}
	poke->again = nr && !poke->again;
	poke->nr = poke->again ? nr : 0;
}

NOKPROBE_SYMBOL(ktrepl_poke_check);

/* All is written, and no window is open. */
static noinline void ktrepl_poke_trace(const struct ktrepl_poke_iter *poke)
{
	const struct ktrepl_region *next = poke->span == 2 ? poke->region[1] : NULL;
	unsigned long addr = poke->region[0] ?
		ktrepl_region_addr(poke->region[0], poke->index[0]) :
		ktrepl_region_addr(next, poke->index[1]) - PAGE_SIZE;
	unsigned int replicas = 0;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		replicas += (poke->region[0] && ktrepl_region_replica(poke->region[0], nid,
							   poke->index[0])) ||
			  (next && ktrepl_region_replica(next, nid, poke->index[1]));
	trace_ktrepl_poke(addr + poke->offset, poke->len, replicas);
}

NOKPROBE_SYMBOL(ktrepl_poke_trace);

/* Has an architecture left out a target whose caches are to be maintained? */
static __always_inline bool ktrepl_poke_unsynced(const struct ktrepl_poke_iter *poke)
{
	return ARCH_KTREPL_SYNC_REPLICAS && poke->synced != poke->nr;
}

/*
 * What was filler may be worth a replica now.  Asked for before the last store, a
 * scan could come too soon, find filler, and not come again.
 */
static void ktrepl_poke_queue(const struct ktrepl_poke_iter *poke)
{
	unsigned int i;

	for (i = 0; i < poke->span; i++)
		if (ktrepl_poke_stale(poke, i))
			ktrepl_execmem_queue(poke->region[i]);
}

NOKPROBE_SYMBOL(ktrepl_poke_queue);

/* Some targets differ, or there may be more, or somebody wants to know. */
static noinline bool ktrepl_poke_more(struct ktrepl_poke_iter *poke)
{
	if (ktrepl_poke_unsynced(poke))
		ktrepl_broken("caches were not maintained for a replica");
	poke->synced = 0;
	if (poke->brief)
		ktrepl_poke_begin(poke);
	poke->brief = false;
	ktrepl_poke_check(poke);
	if (!poke->again && poke->nid < ktrepl_nr_nodes)
		ktrepl_poke_fill(poke);
	if (poke->nr)
		return true;
	ktrepl_poke_queue(poke);
	if (trace_ktrepl_poke_enabled())
		ktrepl_poke_trace(poke);
	return false;
}

NOKPROBE_SYMBOL(ktrepl_poke_more);

bool notrace __ktrepl_poke_next(struct ktrepl_poke_iter *poke)
{
	if (likely(poke->brief && ktrepl_poke_equal(poke) && !ktrepl_poke_unsynced(poke) &&
		   !trace_ktrepl_poke_enabled()))
		return false;
	return ktrepl_poke_more(poke);
}

NOKPROBE_SYMBOL(__ktrepl_poke_next);

/**
 * ktrepl_poke_pages - write the primary and all replicas page by page
 * @addr: first address
 * @src:  bytes to write
 * @len:  number of bytes
 *
 * Context: Process context, text_mutex held.
 */
void ktrepl_poke_pages(void *addr, const void *src, size_t len)
{
	struct ktrepl_poke_iter poke = { };
	unsigned int off, t;
	size_t part;

	lockdep_assert_held(&text_mutex);

	for (; len; addr += part, src += part, len -= part) {
		off = offset_in_page(addr);
		part = min_t(size_t, len, PAGE_SIZE - off);
		poke.pages[0][0] = ktrepl_primary_page((unsigned long)addr);
		ktrepl_poke_first(&poke, (unsigned long)addr, part);
		do {
			for (t = 0; t < poke.nr; t++)
				arch_ktrepl_write(poke.pages[t][0], off, src,
						  part);
			poke.synced = poke.nr;
		} while (ktrepl_poke_next(&poke));
	}
}

/* === Many sites ========================================================== */

/* What can be poked: what is in a region, and text and data of the image. */
static bool ktrepl_site_known(unsigned long addr)
{
	return ktrepl_region_find(addr) || core_kernel_text(addr) ||
	       is_kernel_rodata(addr) || is_module_address(addr);
}

/* text_mutex is held. */
static int ktrepl_site_check(const struct ktrepl_poke_site *site)
{
	unsigned long start = (unsigned long)site->addr, p;

	if (!site->len || start + site->len < start)
		return -EINVAL;
	for (p = start & PAGE_MASK; p < start + site->len; p += PAGE_SIZE)
		if (!ktrepl_site_known(max(p, start)))
			return -EFAULT;
	if (site->old &&
	    !ktrepl_bytes_equal(start, site->old, site->len, NULL))
		return -EILSEQ;
	return 0;
}

/*
 * How many of the sites, from the first, can be written through one window: up
 * to KTREPL_PIECE bytes of a page, as nobody else writes what lies in between.
 */
static unsigned int ktrepl_sites_run(const struct ktrepl_poke_site *sites,
				     unsigned int nr)
{
	unsigned long start = (unsigned long)sites->addr, next = start, addr;
	unsigned int i;

	if (!ktrepl_info || !ktrepl_info->text_mutex)
		return 1;
	for (i = 0; i < nr; i++) {
		addr = (unsigned long)sites[i].addr;
		if (addr < next || addr + sites[i].len - start > KTREPL_PIECE ||
		    (addr + sites[i].len - 1) >> PAGE_SHIFT != start >> PAGE_SHIFT)
			break;
		next = addr + sites[i].len;
	}
	return max(i, 1U);
}

static void ktrepl_sites_write(const struct ktrepl_poke_site *sites,
			       unsigned int nr)
{
	const struct ktrepl_poke_site *last = &sites[nr - 1];
	void *start = sites->addr;
	u8 bytes[KTREPL_PIECE];
	unsigned int i;

	if (nr == 1) {
		arch_ktrepl_poke(start, sites->new, sites->len);
		return;
	}
	/* Not from this node's replica, nor past KASAN redzones. */
	memcpy(bytes, page_address(ktrepl_primary_page((unsigned long)start)) +
		      offset_in_page(start), last->addr + last->len - start);
	for (i = 0; i < nr; i++)
		memcpy(bytes + (sites[i].addr - start), sites[i].new,
		       sites[i].len);
	arch_ktrepl_poke(start, bytes, last->addr + last->len - start);
}

int ktrepl_poke_sites(const struct ktrepl_poke_site *sites, unsigned int nr,
		      unsigned int *refused)
{
	unsigned int i, run;
	int err = 0;

	mutex_lock(&text_mutex);
	for (i = 0; i < nr && !err; i++)
		err = ktrepl_site_check(&sites[i]);
	if (err && refused)
		*refused = i - 1;
	for (i = 0; i < nr && !err; i += run) {
		run = ktrepl_sites_run(sites + i, nr - i);
		ktrepl_sites_write(sites + i, run);
	}
	if (!err)
		arch_ktrepl_sync();
	mutex_unlock(&text_mutex);
	return err;
}
