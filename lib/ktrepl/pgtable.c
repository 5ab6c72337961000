// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables of a node.
 *
 * A node's kernel root is a clone of init_mm's.  Of the tables below, those on
 * the path to a replicated leaf are cloned; every other entry of a clone is the
 * primary's, so all else stays shared.  In a clone
 *
 *	entry == the primary's entry, or
 *	entry -> a clone of the table that the primary's entry points to, or
 *	entry == the primary's leaf with the pfn of the node's replica, or
 *	entry -> a table of small leaves in place of the primary's large one
 *
 * and nothing else.  ktrepl_sync_step() restores this after the primary has
 * changed, and is also what installs the replicas in the first place.
 *
 * A leaf of a clone has the protection of the primary's.  It has its size, too,
 * unless parts of the large leaf have no replica, or replicas that do not
 * adjoin. Which of the two is settled before a CPU loads the root.  Where
 * leaves have to keep their size ([F6]), the node maps the primary's in that
 * case, and before the primary splits a leaf.
 *
 * The image's paths are cloned, and its replicas mapped, before a CPU loads the
 * root; those of executable memory while CPUs are on it.  Then old and new
 * translations may both be in use until the TLB has been flushed, which is no
 * harm: they lead to the same contents, and neither is writable.
 *
 * Changes of the primary come in two ways: by address, after any change below
 * an address range (ktrepl_sync_range()), and by entry (ktrepl_sync_entry()),
 * where an architecture tells of each store to a table above the PTE level.  There
 * vmap() and vunmap() tell of PTEs only if their table is marked as one that has
 * clones (ktrepl_sync_table()).
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bitmap.h>
#include <linux/hash.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/ptdump.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include <asm/pgalloc.h>
#include <asm/tlbflush.h>

#include <trace/events/ktrepl.h>

#include "internal.h"

/* Cloned tables, ktrepl_node.root, ktrepl_region.stale and ktrepl_region.stable. */
VISIBLE_IF_KUNIT DEFINE_RAW_SPINLOCK(ktrepl_pt_lock);

/*
 * Index of addresses with cloned tables or a region; rejects other ranges
 * cheaply.  A bit for each span of 1 << KTREPL_CLONED_SHIFT bytes, which a few
 * spans share.  Bits stay: executable memory comes back to where it has been.
 * An architecture without KTREPL_ROOTS tells of each entry above the PTE level,
 * and only PTEs change by address.
 */
#define KTREPL_CLONED_BITS	12
#define KTREPL_CLONED_SHIFT	(IS_ENABLED(CONFIG_KTREPL_ROOTS) ? PGDIR_SHIFT : \
								   PMD_SHIFT)

static DECLARE_BITMAP(ktrepl_cloned, 1 << KTREPL_CLONED_BITS);

/*
 * What the primary's tables that have clones cover, by the page frame number of
 * the table: KTREPL_SPAN().  A table that the primary has freed stays listed
 * until all nodes are unmapped: a look-up may find it, which does no harm.
 */
static DEFINE_XARRAY(ktrepl_spans);

#ifndef CONFIG_KTREPL_ROOTS
/* A bit for each of these tables, by its page frame number; bits stay. */
static DECLARE_BITMAP(ktrepl_spanned, 1 << KTREPL_CLONED_BITS);

static void ktrepl_spanned_mark(unsigned long pfn)
{
	set_bit(hash_long(pfn, KTREPL_CLONED_BITS), ktrepl_spanned);
}

/*
 * Can an entry be one of such a table?  Of the linear map's addresses, that is.
 */
static bool ktrepl_spanned_by(const void *entry)
{
	if (entry < (void *)PAGE_OFFSET || entry >= high_memory)
		return true;
	return test_bit(hash_long(virt_to_pfn(entry), KTREPL_CLONED_BITS),
			ktrepl_spanned);
}
#else
static void ktrepl_spanned_mark(unsigned long pfn) { }
#endif

/* The first entry covers @base, and each 1 << @shift bytes. */
#define KTREPL_SPAN(base, shift)					\
	xa_mk_value((base) >> PAGE_SHIFT << 6 | (shift))
#define KTREPL_SPAN_BASE(span)	(xa_to_value(span) >> 6 << PAGE_SHIFT)
#define KTREPL_SPAN_SHIFT(span)	(xa_to_value(span) & 63)

/*
 * Entries that are changed before interrupts are let in again, those of all
 * nodes together: about 5,000 instructions, however large the primary's leaf
 * is.
 */
#define KTREPL_STEP		64U

#define KTREPL_ROOT_SIZE	(PAGE_SIZE << KTREPL_ROOT_ORDER)

#ifdef ARCH_KTREPL_MARK
#define KTREPL_MARK		ARCH_KTREPL_MARK
#else
#define KTREPL_MARK		0UL
#endif

/* Do entries differ by more than the mark? */
#define ktrepl_entries_differ(a, b)	((((a) ^ (b)) & ~KTREPL_MARK) != 0)

/* === Walking ============================================================= */

/* Entry above the PTE level that covers an address; NULL if none is there. */
static pmd_t *ktrepl_pmd(pgd_t *root, unsigned long addr)
{
	pgd_t *pgd = pgd_offset_pgd(root, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d) || p4d_leaf(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud) || pud_leaf(*pud))
		return NULL;
	return pmd_offset(pud, addr);
}

/**
 * ktrepl_leaf_size - size of the primary's leaf
 * @addr: kernel address
 *
 * Return: size in bytes; of leaves that adjoin and are marked as one, of all of
 * them together.
 */
unsigned long ktrepl_leaf_size(unsigned long addr)
{
	pmd_t *pmd = ktrepl_pmd(ktrepl_primary_root(), addr);

	if (!pmd)
		return PUD_SIZE;
	if (pmd_leaf(*pmd))
		return pmd_leaf_size(*pmd);
	return pmd_present(*pmd) ?
		pte_leaf_size(*pte_offset_kernel(pmd, addr)) : PAGE_SIZE;
}

static bool ktrepl_table_remote(const void *table, int nid)
{
	return page_to_nid(virt_to_page(table)) != nid;
}

/**
 * ktrepl_walk - what a root maps at an address
 * @root: root table, by its linear address
 * @addr: kernel address
 * @nid:  node whose tables count as local
 * @w:	  result
 *
 * Return: false if nothing is mapped there, or a leaf above a PMD.
 */
bool ktrepl_walk(pgd_t *root, unsigned long addr, int nid,
		 struct ktrepl_mapping *w)
{
	pmd_t *pmd = ktrepl_pmd(root, addr);
	p4d_t *p4d;
	pte_t *pte;

	if (!pmd || !pmd_present(*pmd))
		return false;
	p4d = p4d_offset(pgd_offset_pgd(root, addr), addr);
	/* That of a process is where it was allocated. */
	w->remote = !IS_ENABLED(CONFIG_KTREPL_ROOTS) &&
		    ktrepl_table_remote(root, nid);
	if (!mm_p4d_folded(&init_mm))
		w->remote += ktrepl_table_remote(p4d, nid);
	if (!mm_pud_folded(&init_mm))
		w->remote += ktrepl_table_remote(pud_offset(p4d, addr), nid);
	if (!mm_pmd_folded(&init_mm))
		w->remote += ktrepl_table_remote(pmd, nid);
	if (pmd_leaf(*pmd)) {
		w->size = pmd_leaf_size(*pmd);
		w->prot = pmd_pgprot(*pmd);
		w->pfn = pmd_pfn(*pmd) + pte_index(addr);
		return true;
	}
	pte = pte_offset_kernel(pmd, addr);
	if (!pte_present(*pte))
		return false;
	w->remote += ktrepl_table_remote(pte, nid);
	w->size = pte_leaf_size(*pte);
	w->prot = pte_pgprot(*pte);
	w->pfn = pte_pfn(*pte);
	return true;
}

/**
 * ktrepl_page_is_ro - a page that only pokes can change
 * @addr: kernel address
 *
 * Leaves that are marked as one do not count: a node must not map one of them
 * by itself while CPUs may use them (arm64: break-before-make).
 *
 * Context: Any; what maps @addr is not going to be freed.
 * Return: the page, if it is mapped by a small leaf of its own, and read-only;
 * else NULL.
 */
struct page *ktrepl_page_is_ro(unsigned long addr)
{
	pmd_t *pmd = ktrepl_pmd(ktrepl_primary_root(), addr);
	pte_t pte;

	if (!pmd || !pmd_present(*pmd) || pmd_leaf(*pmd))
		return NULL;
	pte = ptep_get(pte_offset_kernel(pmd, addr));
	return pte_present(pte) && !pte_write(pte) &&
	       pte_leaf_size(pte) == PAGE_SIZE ? pte_page(pte) : NULL;
}

/* === Keeping clones true ================================================= */

/*
 * Takes the locks for a change of what nodes map.  Pokes stay out: while two
 * translations of an address may be in use, where the architecture minds, their
 * pages have to be equal.
 */
static unsigned long ktrepl_sync_lock(unsigned long *pt_flags)
	__acquires(&ktrepl_pt_lock)
{
	unsigned long flags = arch_ktrepl_lock();

	raw_spin_lock_irqsave(&ktrepl_pt_lock, *pt_flags);
	return flags;
}

static void ktrepl_sync_unlock(unsigned long flags, unsigned long pt_flags)
	__releases(&ktrepl_pt_lock)
{
	raw_spin_unlock_irqrestore(&ktrepl_pt_lock, pt_flags);
	arch_ktrepl_unlock(flags);
}

/* Goes through addresses, and looks up each region once; under ktrepl_pt_lock. */
struct ktrepl_cursor {
	unsigned long start;	/* from where up to where */
	unsigned long last;	/* it need not be looked up */
	struct ktrepl_region *region;	/* whose replicas are mapped there, or NULL */
};

/* Nothing has been looked up. */
#define KTREPL_CURSOR	{ .start = 1 }

static struct ktrepl_region *ktrepl_cursor_region(struct ktrepl_cursor *c,
						  unsigned long addr)
{
	struct ktrepl_region *region;

	if (addr >= c->start && addr <= c->last)
		return c->region;
	region = ktrepl_region_around(addr, &c->start, &c->last);
	c->region = region && region->mapped ? region : NULL;
	return c->region;
}

/* The replica that a node is to map at a page, NULL for the primary. */
static struct page *ktrepl_cursor_replica(struct ktrepl_cursor *c, int nid,
					  unsigned long addr)
{
	struct ktrepl_region *region = ktrepl_cursor_region(c, addr);
	unsigned long index;

	if (!region)
		return NULL;
	index = ktrepl_region_index(region, addr);
	return test_bit(index, region->stale) ? NULL :
		ktrepl_region_replica(region, nid, index);
}

/* Nodes are going to map the primary of a page, which has replicas perhaps. */
static void ktrepl_page_set_stale(struct ktrepl_region *region, unsigned long index)
{
	int nid;

	lockdep_assert_held(&ktrepl_pt_lock);

	if (__test_and_set_bit(index, region->stale))
		return;
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_region_replica(region, nid, index))
			continue;
		ktrepl_node_count(ktrepl_nodes[nid], KTREPL_STAT_FALLBACK);
		trace_ktrepl_fallback(nid, ktrepl_region_addr(region, index));
	}
}

/*
 * Once plain stores may have changed the primary, a replica is stale for good.
 */
static void ktrepl_mark_stale(struct ktrepl_cursor *c, unsigned long addr,
			      unsigned long size)
{
	unsigned long last = addr + size - 1, nr, i;
	struct ktrepl_region *region;

	for (; size; size -= nr, addr += nr) {
		region = ktrepl_cursor_region(c, addr);
		nr = min(last, c->last) - addr + 1;
		if (!region)
			continue;
		i = ktrepl_region_index(region, addr);
		for_each_clear_bit_from(i, region->stale,
					ktrepl_region_index(region, addr + nr))
			ktrepl_page_set_stale(region, i);
	}
}

/*
 * Can a large leaf, or leaves that are marked as one, be the same on the node?
 * Either all of their pages have replicas, which adjoin and are aligned like the
 * leaves, or none has one.
 */
static bool ktrepl_leaf_whole(struct ktrepl_cursor *c, int nid,
			      unsigned long addr, unsigned long size)
{
	struct page *first = ktrepl_cursor_replica(c, nid, addr), *replica;
	unsigned long i;

	if (first && !IS_ALIGNED(page_to_pfn(first), size >> PAGE_SHIFT))
		return false;
	for (i = 1; i < size >> PAGE_SHIFT; i++) {
		replica = ktrepl_cursor_replica(c, nid, addr + (i << PAGE_SHIFT));
		if (replica != (first ? first + i : NULL))
			return false;
	}
	return true;
}

/*
 * Writes @nr leaves: of the replicas, and of @pfn and on where there is none.
 */
static void ktrepl_sync_ptes(struct ktrepl_cursor *c, int nid, pte_t *n,
			     unsigned long pfn, pgprot_t prot,
			     unsigned long addr, unsigned long nr)
{
	struct page *replica;

	for (; nr; nr--, n++, pfn++, addr += PAGE_SIZE) {
		replica = ktrepl_cursor_replica(c, nid, addr);
		set_pte(n, pfn_pte(replica ? page_to_pfn(replica) : pfn, prot));
	}
}

/* What one node may have of a step: a power of two. */
static __always_inline unsigned long ktrepl_step(void)
{
	return clamp(KTREPL_STEP >> order_base_2(ktrepl_nr_nodes), 1UL,
		     (unsigned long)PTRS_PER_PTE);
}

/* Stores an entry above the PTE level of a node's table. */
static void ktrepl_store(struct ktrepl_node *node, void *entry, u64 val)
{
	lockdep_assert_held(&ktrepl_pt_lock);

	/* The PTE table may have lost its place. */
	node->last.pmd = NULL;
	arch_ktrepl_store(node->root, entry, val);
}

/*
 * A primary's leaf above the PTE level.  The node's large leaf changes by one
 * store, and is the primary's while some of its pages have no replica.  Small
 * ones in its place change step by step: to a CPU this is as if it had some of
 * them in its TLB, which the caller is going to flush.
 *
 * Return: the first address behind what has been done.
 */
static unsigned long ktrepl_sync_large(struct ktrepl_cursor *c,
				       struct ktrepl_node *node, pmd_t *n,
				       pmd_t m, unsigned long addr)
{
	unsigned long nr = ktrepl_step();
	pgprot_t prot = pmd_pgprot(m);
	struct page *replica;

	if (pmd_write(m))
		ktrepl_mark_stale(c, addr & PMD_MASK, PMD_SIZE);
	if (!pmd_present(*n) || pmd_leaf(*n)) {
		addr &= PMD_MASK;
		replica = ktrepl_cursor_replica(c, node->nid, addr);
		if (replica && ktrepl_leaf_whole(c, node->nid, addr, PMD_SIZE))
			m = pfn_pmd(page_to_pfn(replica), prot);
		ktrepl_store(node, n, pmd_val(m));
		return addr + PMD_SIZE;
	}
	addr = ALIGN_DOWN(addr, nr << PAGE_SHIFT);
	ktrepl_sync_ptes(c, node->nid, pte_offset_kernel(n, addr),
			 pmd_pfn(m) + pte_index(addr),
			 arch_ktrepl_split_prot(prot), addr, nr);
	return addr + (nr << PAGE_SHIFT);
}

/*
 * Leaves at the PTE level that are marked as one: 128 of them at most (arm64,
 * pages of 16 KiB), more than a step has, because they must not change one
 * after the other.
 *
 * That a node can no longer mark them as one, or that they move to the primary,
 * is settled before a CPU loads the root: they are those of the image only, see
 * ktrepl_page_is_ro(), whose protection does not change.
 *
 * Return: the first address behind them.
 */
static unsigned long ktrepl_sync_group(struct ktrepl_cursor *c, int nid,
				       pte_t *n, pte_t *m, unsigned long addr)
{
	unsigned long size = pte_leaf_size(*m);
	unsigned int back = (addr & (size - 1)) >> PAGE_SHIFT;
	pgprot_t prot = pte_pgprot(*m);

	n -= back, m -= back, addr -= back * PAGE_SIZE;
	if (pte_write(*m))
		ktrepl_mark_stale(c, addr, size);
	if (!ktrepl_leaf_whole(c, nid, addr, size))
		prot = arch_ktrepl_split_prot(prot);
	ktrepl_sync_ptes(c, nid, n, pte_pfn(*m), prot, addr, size >> PAGE_SHIFT);
	return addr + size;
}

/*
 * Was the node last found to have a table of PTEs in place of the one that @val,
 * the primary's entry at @pmd, points to?
 */
static inline bool ktrepl_last_is(const struct ktrepl_node *node, const pmd_t *pmd,
				  pmd_t val)
{
	return pmd && node->last.pmd == pmd && pmd_val(node->last.val) == pmd_val(val);
}

/* The node's own entry for an address of the present step, or NULL. */
static inline pte_t *ktrepl_step_pte(int nid, unsigned long addr)
{
	const struct ktrepl_node *node = ktrepl_nodes[nid];

	return node && node->step ? node->step + pte_index(addr) : NULL;
}

/* A leaf of one page, on the nodes that have a table of PTEs there. */
static void ktrepl_sync_pte(struct ktrepl_cursor *c, pte_t m, unsigned long addr)
{
	struct ktrepl_region *region = ktrepl_cursor_region(c, addr);
	unsigned long index = region ? ktrepl_region_index(region, addr) : 0;
	const unsigned int nodes = ktrepl_nr_nodes;
	struct page *replica = NULL;
	pte_t *pte;
	int nid;

	if (region && pte_write(m))
		ktrepl_page_set_stale(region, index);
	if (region && test_bit(index, region->stale))
		region = NULL;
	for (nid = 0; nid < nodes; nid++) {
		pte = ktrepl_step_pte(nid, addr);
		if (!pte)
			continue;
		if (region)
			replica = ktrepl_region_replica(region, nid, index);
		if (replica) {
			set_pte(pte, pfn_pte(page_to_pfn(replica), pte_pgprot(m)));
			continue;
		}
		/*
		 * From a replica to a writable primary by way of a read-only one.
		 * No poke makes the two unequal before the flush is complete, see
		 * ktrepl_sync_lock().
		 */
		if (pte_present(*pte) && pte_write(m) && !pte_write(*pte) &&
		    pte_pfn(*pte) != pte_pfn(m)) {
			set_pte(pte, pfn_pte(pte_pfn(m), pte_pgprot(*pte)));
			arch_ktrepl_flush_pages(addr, addr + PAGE_SIZE);
		}
		set_pte(pte, m);
	}
}

static void *ktrepl_clone_of(struct ktrepl_node *node, const struct page *table)
{
	return xa_load(&node->clones, page_to_pfn(table));
}

/*
 * A clone has the number of the table that it is one of in page->private.
 * There the primary's tables have 0, or a lock, which never looks like a number
 * whose upper bits are set.
 */
static void ktrepl_clone_mark(void *clone, unsigned long pfn)
{
	set_page_private(virt_to_page(clone), ~pfn);
}

static bool ktrepl_is_clone_of(const struct page *clone, const struct page *table)
{
	return page_private(clone) == ~page_to_pfn(table);
}

/*
 * Brings a table entry of a clone up to date.  True if it points to a clone in
 * turn.  A clone that has lost its place is not given it back: its contents are
 * not known to be the table's that the primary has there now, and the page of
 * the primary's table may be another table by then, see ktrepl_clones_reap().
 */
#define ktrepl_sync_level(node, level, n, m)				\
({									\
	level##_t __new = *(m);						\
	bool __clone = !level##_none(__new) && level##_present(__new) &&	\
		!level##_leaf(__new) &&					\
		!level##_none(*(n)) && !level##_leaf(*(n)) &&		\
		ktrepl_is_clone_of(level##_page(*(n)), level##_page(__new)); \
									\
	if (__clone)							\
		__new = __##level(arch_ktrepl_table_entry(		\
					level##_val(__new),		\
					page_to_phys(level##_page(*(n))))); \
	if (level##_val(__new) != level##_val(*(n))) {			\
		(node)->misplaced |=					\
			ktrepl_entries_differ(level##_val(__new), level##_val(*(n))) && \
			!level##_none(*(n)) && !level##_leaf(*(n));	\
		ktrepl_store(node, n, level##_val(__new));		\
	}								\
	__clone;							\
})

/*
 * Brings what a node maps at an address up to date, top down as far as the node
 * has tables of its own, but for PTEs: their table is node->last then.  Like any
 * change of a kernel mapping this takes effect at the TLB flush that the caller
 * does next, on all CPUs.  A pointer to another table, or a leaf that the
 * primary has changed, is as safe or as unsafe without break-before-make as it
 * was in the primary.
 *
 * Return: the first address behind what has been done; @addr if that is the
 * node's table of PTEs.
 */
static unsigned long ktrepl_sync_walk(struct ktrepl_cursor *c,
				      struct ktrepl_node *node,
				      unsigned long addr)
{
	pgd_t *m_pgd = pgd_offset_pgd(ktrepl_primary_root(), addr);
	pgd_t *n_pgd = pgd_offset_pgd(node->root, addr);
	p4d_t *m_p4d, *n_p4d;
	pud_t *m_pud, *n_pud;
	pmd_t *m_pmd, *n_pmd;
	bool changed;

	if (!mm_p4d_folded(&init_mm) &&
	    !ktrepl_sync_level(node, pgd, n_pgd, m_pgd))
		return ALIGN(addr + 1, PGDIR_SIZE);
	m_p4d = p4d_offset(m_pgd, addr);
	n_p4d = p4d_offset(n_pgd, addr);
	if (!mm_pud_folded(&init_mm) &&
	    !ktrepl_sync_level(node, p4d, n_p4d, m_p4d))
		return ALIGN(addr + 1, P4D_SIZE);
	m_pud = pud_offset(m_p4d, addr);
	n_pud = pud_offset(n_p4d, addr);
	if (!mm_pmd_folded(&init_mm) &&
	    !ktrepl_sync_level(node, pud, n_pud, m_pud))
		return ALIGN(addr + 1, PUD_SIZE);
	m_pmd = pmd_offset(m_pud, addr);
	n_pmd = pmd_offset(n_pud, addr);
	if (pmd_leaf(*m_pmd))
		return ktrepl_sync_large(c, node, n_pmd, *m_pmd, addr);
	changed = ktrepl_entries_differ(pmd_val(*n_pmd), pmd_val(*m_pmd));
	if (!ktrepl_sync_level(node, pmd, n_pmd, m_pmd)) {
		/* Perhaps split by the primary: the table is shared now. */
		if (changed)
			ktrepl_mark_stale(c, addr & PMD_MASK, PMD_SIZE);
		return ALIGN(addr + 1, PMD_SIZE);
	}
	node->last.pmd = m_pmd;
	node->last.val = *m_pmd;
	node->last.table = pte_offset_kernel(n_pmd, 0);
	return addr;
}

/*
 * Leaves of the primary's table of PTEs that @val points to, up to @end or the end
 * of a step.
 *
 * Return: the first address behind what has been done.
 */
static unsigned long ktrepl_sync_small(struct ktrepl_cursor *c, pmd_t val,
				       unsigned long addr, unsigned long end)
{
	unsigned long nr = min3(ktrepl_step(), PTRS_PER_PTE - pte_index(addr),
				DIV_ROUND_UP(end - addr, PAGE_SIZE));
	pte_t *m = pte_offset_kernel(&val, addr);
	unsigned long next = end;
	pte_t *n;
	int nid;

	if (pte_leaf_size(*m) != PAGE_SIZE) {
		for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
			n = ktrepl_step_pte(nid, addr);
			if (n)
				next = ktrepl_sync_group(c, nid, n, m, addr);
		}
		return addr + min(end - addr, next - addr);
	}
	for (; nr && pte_leaf_size(*m) == PAGE_SIZE; nr--, m++, addr += PAGE_SIZE)
		ktrepl_sync_pte(c, *m, addr);
	return addr;
}

/*
 * A step of bringing one node, or all with @node NULL, up to date.  They keep
 * up with the one that is slowest.  Without a root, a node's tables are yet to be
 * read.
 *
 * Most changes are of PTEs, many of them in the same table one after the other:
 * a node is only walked where its own table of them is not the last one.  What
 * @pmd points to may change meanwhile: who changes it comes here after that.
 *
 * Return: the first address behind the step; 0 behind the last one of all.
 */
static unsigned long ktrepl_sync_step(struct ktrepl_cursor *c,
				      struct ktrepl_node *node,
				      unsigned long addr, unsigned long end)
{
	pmd_t *pmd = ktrepl_pmd(ktrepl_primary_root(), addr);
	pmd_t val = pmd ? READ_ONCE(*pmd) : __pmd(0);
	struct ktrepl_node *n;
	unsigned long next;
	bool ptes = false;
	int nid;

	lockdep_assert_held(&ktrepl_pt_lock);

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		n = ktrepl_nodes[nid];
		if (!n)
			continue;
		n->step = NULL;
		if (!n->root || (node && n != node))
			continue;
		if (!ktrepl_last_is(n, pmd, val)) {
			next = ktrepl_sync_walk(c, n, addr);
			if (next != addr)
				end = addr + min(end - addr, next - addr);
			if (!ktrepl_last_is(n, pmd, val))
				continue;
		}
		n->step = n->last.table;
		ptes = true;
	}
	return ptes ? ktrepl_sync_small(c, val, addr, end) : end;
}

/*
 * Notes what has become of pages of executable memory, from an address on.
 *
 * Return: the first address behind them, and before those of another region.
 */
static unsigned long ktrepl_invalidate(struct ktrepl_cursor *c, unsigned long addr,
				       unsigned long end)
{
	struct ktrepl_region *region = ktrepl_cursor_region(c, addr);
	unsigned long len = min(end - addr - 1, c->last - addr) + 1, index;

	lockdep_assert_held(&ktrepl_pt_lock);

	if (!region || !region->execmem)
		return addr + len;
	len = min(len, ktrepl_step() << PAGE_SHIFT);
	for (end = addr + len; addr < end; addr += PAGE_SIZE) {
		if (ktrepl_page_is_ro(addr))
			continue;
		index = ktrepl_region_index(region, addr);
		__clear_bit(index, region->stable);
		ktrepl_page_set_stale(region, index);
	}
	ktrepl_execmem_queue(region);
	return end;
}

static bool ktrepl_leaf_large(unsigned long addr)
{
	pmd_t *pmd = ktrepl_pmd(ktrepl_primary_root(), addr);

	return pmd && pmd_leaf(*pmd);
}

/*
 * Brings what one node, or all with @node NULL, map at a range up to date, step
 * by step, and all of the large leaves that the range touches: a node may have
 * small ones there.
 *
 * With @invalidate, the primary's leaves have changed: pages of executable memory
 * are marked before the nodes are synced.
 */
static void ktrepl_sync_nodes(struct ktrepl_node *node, unsigned long start,
			      unsigned long end, bool invalidate)
{
	bool large = ktrepl_leaf_large(start);
	unsigned long flags, pt_flags, addr, stop;

	start &= large ? PMD_MASK : PAGE_MASK;
	if ((start ^ (end - 1)) & PMD_MASK)
		large = ktrepl_leaf_large(end - 1);
	if (large)
		end = ALIGN(end, PMD_SIZE);
	for (addr = start; addr - start < end - start && addr;) {
		struct ktrepl_cursor c = KTREPL_CURSOR;

		flags = ktrepl_sync_lock(&pt_flags);
		stop = invalidate ? ktrepl_invalidate(&c, addr, end) : end;
		addr = ktrepl_sync_step(&c, node, addr, stop);
		ktrepl_sync_unlock(flags, pt_flags);
	}
}

/* === Pages of executable memory ========================================== */

/*
 * A page of such a region is stale, and mapped from the primary, until it has
 * been copied while it was read-only:
 *
 *	copy_begin	it is read-only now: stable
 *	(copy)		no poke comes in between, see ktrepl_window_fill()
 *	map_replica	still stable: the nodes map their replicas
 *
 * and is invalidated, stale and no longer stable, when its primary is seen
 * writable.  Changing protection calls ktrepl_sync_range() before the first
 * store.  So plain stores come neither between copy_begin and map_replica nor
 * later, while replicas are mapped.  Earlier stores are seen before the
 * read-only leaf is: x86 keeps stores in order, and arm64's set_memory_ro()
 * takes locks in between.
 *
 * Model: tools/ktrepl/models/page-copy.pml
 */

/**
 * ktrepl_page_copy_begin - before a dead page is copied
 * @region: the region
 * @index: page within the region
 *
 * It is stable from now on, if it is read-only.
 *
 * Context: Process context, ktrepl_execmem_mutex held.
 */
void ktrepl_page_copy_begin(struct ktrepl_region *region, unsigned long index)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&ktrepl_pt_lock, flags);
	if (ktrepl_page_is_ro(ktrepl_region_addr(region, index)))
		__set_bit(index, region->stable);
	raw_spin_unlock_irqrestore(&ktrepl_pt_lock, flags);
}

/* Map the replica of each page, or the primary if the page is stale. */
static void ktrepl_pages_sync(struct ktrepl_region *region, unsigned long index,
			      unsigned long nr)
{
	unsigned long start = ktrepl_region_addr(region, index), addr;
	unsigned long end = start + (nr << PAGE_SHIFT);
	struct ktrepl_cursor c = {
		.start = region->start,
		.last = region->end - 1,
		.region = region,
	};

	for (addr = start; addr < end;)
		addr = ktrepl_sync_step(&c, NULL, addr, end);
	arch_ktrepl_flush_pages(start, end);
}

/**
 * ktrepl_pages_map_replica - after pages have been copied: nodes map the
 * replicas
 * @region: the region
 * @index: first page within the region
 * @nr:	   number of pages
 *
 * Unless they have been writable meanwhile.
 *
 * Context: Process context, text_mutex and ktrepl_execmem_mutex held.
 * Return: how many pages this was done for, as a step has no more.
 */
unsigned long ktrepl_pages_map_replica(struct ktrepl_region *region, unsigned long index,
				       unsigned long nr)
{
	unsigned long flags, pt_flags, i;

	nr = min(nr, ktrepl_step());
	flags = ktrepl_sync_lock(&pt_flags);
	/* A page may be marked stale before the nodes are updated. */
	for (i = index; i < index + nr; i++)
		if (test_bit(i, region->stable))
			__clear_bit(i, region->stale);
	ktrepl_pages_sync(region, index, nr);
	ktrepl_sync_unlock(flags, pt_flags);
	return nr;
}

/**
 * ktrepl_page_map_primary - have all nodes map the primary of a page
 * @region: the region
 * @index: page within the region
 *
 * Context: Process context, ktrepl_execmem_mutex held.
 */
void ktrepl_page_map_primary(struct ktrepl_region *region, unsigned long index)
{
	unsigned long flags, pt_flags;

	flags = ktrepl_sync_lock(&pt_flags);
	__clear_bit(index, region->stable);
	ktrepl_page_set_stale(region, index);
	ktrepl_pages_sync(region, index, 1);
	ktrepl_sync_unlock(flags, pt_flags);
}

/**
 * ktrepl_pages_reset - forget what has happened to the pages of a region
 * @region: the region
 *
 * Pages of executable memory are dead until they have been copied.
 *
 * Context: Process context; no node has a root.
 */
void ktrepl_pages_reset(struct ktrepl_region *region)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&ktrepl_pt_lock, flags);
	if (region->execmem)
		bitmap_fill(region->stale, ktrepl_region_pages(region));
	else
		bitmap_zero(region->stale, ktrepl_region_pages(region));
	bitmap_zero(region->stable, ktrepl_region_pages(region));
	raw_spin_unlock_irqrestore(&ktrepl_pt_lock, flags);
}

/* === Changes by address ================================================== */

/**
 * ktrepl_cloned_mark - changes of mappings at these addresses are of interest
 * @start: first address
 * @end:   first address behind them
 *
 * Not ordered: the caller has a full barrier before he reads entries there.
 *
 * Context: Any.
 */
void ktrepl_cloned_mark(unsigned long start, unsigned long end)
{
	unsigned long span = start >> KTREPL_CLONED_SHIFT;

	for (; span <= (end - 1) >> KTREPL_CLONED_SHIFT; span++)
		set_bit(hash_long(span, KTREPL_CLONED_BITS), ktrepl_cloned);
}

VISIBLE_IF_KUNIT __always_inline bool ktrepl_cloned_meets(unsigned long start,
							  unsigned long end)
{
	unsigned long span = start >> KTREPL_CLONED_SHIFT;

	for (; span <= (end - 1) >> KTREPL_CLONED_SHIFT; span++)
		if (test_bit(hash_long(span, KTREPL_CLONED_BITS), ktrepl_cloned))
			return true;
	return false;
}

void __ktrepl_sync_range(unsigned long start, unsigned long end)
{
	/*
	 * The caller has stored entries of the primary.  Whoever lists a range
	 * here reads the entries afterwards, with a full barrier in between: he
	 * sees the stores, or we find the range.  Pairs with smp_mb() in
	 * ktrepl_clone_path(), for the index; with xchg() in
	 * ktrepl_execmem_scan(), for a region; with smp_mb() in
	 * ktrepl_execmem_start().
	 *
	 * Model: tools/ktrepl/models/clone-sync.pml
	 */
	smp_mb();
	if (!ktrepl_cloned_meets(start, end))
		return;
	ktrepl_sync_nodes(NULL, start, end, ktrepl_execmem_is_on());
}

/* Has a node map a large leaf as the primary does.  False if it did already. */
static bool ktrepl_leaf_release(struct ktrepl_node *node, unsigned long addr)
{
	pmd_t *m = ktrepl_pmd(ktrepl_primary_root(), addr);
	pmd_t *n = ktrepl_pmd(node->root, addr);
	struct ktrepl_cursor c = KTREPL_CURSOR;

	lockdep_assert_held(&ktrepl_pt_lock);

	if (!m || !n || !pmd_leaf(*m) || !pmd_leaf(*n) ||
	    pmd_val(*m) == pmd_val(*n))
		return false;
	ktrepl_mark_stale(&c, addr & PMD_MASK, PMD_SIZE);
	ktrepl_sync_large(&c, node, n, *m, addr);
	arch_ktrepl_leaf_sync(node->root, addr);
	return true;
}

void __ktrepl_split_leaf(unsigned long addr)
{
	unsigned long flags, pt_flags;
	bool changed = false;
	int nid;

	flags = ktrepl_sync_lock(&pt_flags);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid] && ktrepl_nodes[nid]->root)
			changed |= ktrepl_leaf_release(ktrepl_nodes[nid], addr);
	ktrepl_sync_unlock(flags, pt_flags);
	if (changed)
		flush_tlb_all();
}

#ifndef CONFIG_KTREPL_ROOTS

/*
 * What the entries of the root table cover: folded levels, at build or at run
 * time, have none of their own.
 */
static unsigned int ktrepl_root_shift(void)
{
	if (mm_p4d_folded(&init_mm) && PTRS_PER_P4D > 1)
		return P4D_SHIFT;
	if (mm_pud_folded(&init_mm) && PTRS_PER_PUD > 1)
		return PUD_SHIFT;
	return PGDIR_SHIFT;
}

static unsigned long ktrepl_root_base(void)
{
	unsigned int shift = ktrepl_root_shift();
	unsigned long nr = shift == PGDIR_SHIFT ? PTRS_PER_PGD :
			   PAGE_SIZE / sizeof(pgd_t);

	return ktrepl_info->ranges[0].start & ~((nr << shift) - 1);
}

/* The page that holds an entry, which may be mapped by a fixmap slot. */
static unsigned long ktrepl_entry_pfn(const void *entry)
{
	struct ktrepl_mapping w;

	if (virt_addr_valid(entry))
		return page_to_pfn(virt_to_page(entry));
	return ktrepl_walk(ktrepl_primary_root(), (unsigned long)entry, 0, &w) ?
		w.pfn : 0;
}

void __ktrepl_sync_entry(const void *entry)
{
	unsigned long addr;
	void *span;

	/*
	 * The caller has stored the entry.  Pairs with smp_mb() in
	 * ktrepl_clone_register(): the copying of the table sees the store, or
	 * we find the table.
	 *
	 * Model: tools/ktrepl/models/clone-sync.pml
	 */
	smp_mb();
	/* User tables, and most of the kernel's, have no clone. */
	if (!ktrepl_spanned_by(entry))
		return;
	span = xa_load(&ktrepl_spans, ktrepl_entry_pfn(entry));
	if (!span)
		return;
	addr = KTREPL_SPAN_BASE(span) +
	       ((offset_in_page(entry) / sizeof(pmd_t)) <<
		KTREPL_SPAN_SHIFT(span));
	ktrepl_sync_nodes(NULL, addr, addr + 1, false);
}

#endif /* !CONFIG_KTREPL_ROOTS */

/* === Building ============================================================ */

/*
 * Live nodes get tables for executable memory under ktrepl_execmem_mutex, for
 * which patchers may wait: what is not at hand is tried again later.
 */
static gfp_t ktrepl_table_gfp(const struct ktrepl_node *node)
{
	return (node->live ? GFP_NOWAIT : GFP_KERNEL) | __GFP_NOWARN;
}

static void *ktrepl_table_alloc(struct ktrepl_node *node)
{
	struct page *page;

	if (!ktrepl_charge(node, KTREPL_STAT_PGTBL, PAGE_SIZE))
		goto fail;
	page = alloc_pages_node(node->nid, ktrepl_table_gfp(node) |
				__GFP_THISNODE | __GFP_ZERO, 0);
	if (!page)
		goto uncharge;
	list_add(&page->lru, &node->tables);
	return page_address(page);

uncharge:
	ktrepl_uncharge(node, KTREPL_STAT_PGTBL, PAGE_SIZE);
fail:
	ktrepl_node_count(node, KTREPL_STAT_PGTBL_FAIL);
	trace_ktrepl_alloc_fail(node->nid, PAGE_SIZE);
	return NULL;
}

static void ktrepl_table_free(struct ktrepl_node *node, struct page *page)
{
	list_del(&page->lru);
	__free_page(page);
	ktrepl_uncharge(node, KTREPL_STAT_PGTBL, PAGE_SIZE);
}

static void ktrepl_tables_free(struct ktrepl_node *node,
			       struct list_head *tables)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, tables, lru)
		ktrepl_table_free(node, page);
}

/**
 * ktrepl_table_clone - a replica of a table page, for the glue
 * @nid:   node to allocate on
 * @table: table to copy
 *
 * Freed with the node's other tables.  The core does not keep it true.
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: the clone or NULL.
 */
void *ktrepl_table_clone(int nid, const void *table)
{
	void *new = ktrepl_table_alloc(ktrepl_nodes[nid]);

	if (new)
		copy_page(new, (void *)table);
	return new;
}

/*
 * From here on ktrepl_sync_entry() finds the table; @base is what its first
 * entry covers, and each covers 1 << @shift bytes.
 */
static bool ktrepl_clone_register(struct ktrepl_node *node,
				  const struct page *table, void *clone,
				  unsigned long base, unsigned int shift)
{
	unsigned long pfn = page_to_pfn(table);

	ktrepl_spanned_mark(pfn);
	ktrepl_clone_mark(clone, pfn);
	if (xa_err(xa_store(&node->clones, pfn, clone, ktrepl_table_gfp(node))))
		return false;
	if (xa_err(xa_store(&ktrepl_spans, pfn, KTREPL_SPAN(base, shift),
			    ktrepl_table_gfp(node)))) {
		xa_erase(&node->clones, pfn);
		return false;
	}
	/* The table is read after this.  Pairs with __ktrepl_sync_entry(). */
	smp_mb();
	return true;
}

/*
 * The table below a root at an address whose entries cover 1 << @shift bytes.
 */
static void *ktrepl_table_at(pgd_t *root, unsigned long addr,
			     unsigned int shift)
{
	pgd_t *pgd = pgd_offset_pgd(root, addr);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	if (!mm_p4d_folded(&init_mm) && shift == P4D_SHIFT)
		return pgd_none(*pgd) ? NULL : page_address(pgd_page(*pgd));
	if (pgd_none(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d) || p4d_leaf(*p4d))
		return NULL;
	if (!mm_pud_folded(&init_mm) && shift == PUD_SHIFT)
		return page_address(p4d_page(*p4d));
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud) || pud_leaf(*pud))
		return NULL;
	if (!mm_pmd_folded(&init_mm) && shift == PMD_SHIFT)
		return page_address(pud_page(*pud));
	pmd = pmd_offset(pud, addr);
	return pmd_none(*pmd) || pmd_leaf(*pmd) ? NULL :
		page_address(pmd_page(*pmd));
}

/*
 * Is a clone, of the table with page frame @pfn, reached from the node's root?
 */
static bool ktrepl_clone_linked(struct ktrepl_node *node, unsigned long pfn,
				void *clone)
{
	void *span = xa_load(&ktrepl_spans, pfn);
	unsigned long flags;
	void *table;

	if (clone == node->root)
		return true;
	raw_spin_lock_irqsave(&ktrepl_pt_lock, flags);
	table = ktrepl_table_at(node->root, KTREPL_SPAN_BASE(span),
				KTREPL_SPAN_SHIFT(span));
	raw_spin_unlock_irqrestore(&ktrepl_pt_lock, flags);
	return table == clone;
}

/* Have CPUs forget which tables they have come by. */
VISIBLE_IF_KUNIT void ktrepl_flush_tables(void)
{
	KUNIT_STATIC_STUB_REDIRECT(ktrepl_flush_tables);
	flush_tlb_all();
}

/*
 * Frees clones of tables that the primary has freed.  vmap() frees tables to
 * put a large leaf in their place, and does not tell of those below.  Clones of
 * them have lost their place before that, see ktrepl_sync_level().  From then
 * on the primary's table may come back as any other page, so this comes before
 * anybody is given a clone of it.
 */
static void ktrepl_clones_reap(struct ktrepl_node *node)
{
	unsigned long pfn;
	LIST_HEAD(unused);
	void *clone;

	lockdep_assert_held(&ktrepl_mutex);

	/* Written with ktrepl_pt_lock held; the next call sees what we miss. */
	if (!xchg(&node->misplaced, false))
		return;
	xa_for_each(&node->clones, pfn, clone) {
		if (ktrepl_clone_linked(node, pfn, clone))
			continue;
		xa_erase(&node->clones, pfn);
		list_move(&virt_to_page(clone)->lru, &unused);
	}
	if (list_empty(&unused))
		return;
	/*
	 * Whoever has changed the primary need not have come to his flush yet.
	 */
	ktrepl_flush_tables();
	ktrepl_tables_free(node, &unused);
}

/*
 * Makes @np, an entry of a clone, point to a clone of the table that @mp, the
 * same entry of the primary, points to.  Copying the table and linking the
 * replica are one step under ktrepl_pt_lock, so that ktrepl_sync_step() after a
 * change of the primary either comes before the copying or finds the clone.
 */
#define ktrepl_clone_entry(node, level, np, mp, base, shift)		\
({									\
	struct page *__table = level##_page(*(mp));			\
	void *__new = ktrepl_clone_of(node, __table);			\
	unsigned long __flags, __pt_flags;				\
	bool __done = __new && page_address(level##_page(*(np))) == __new; \
									\
	if (!__new) {							\
		__new = ktrepl_table_alloc(node);			\
		__done = __new && ktrepl_clone_register(node, __table,	\
						__new, base, shift);	\
		if (__new && !__done)					\
			ktrepl_table_free(node, virt_to_page(__new));	\
		if (__done) {						\
			__flags = ktrepl_sync_lock(&__pt_flags);	\
			copy_page(__new, page_address(__table));	\
			/* CPUs that find the link find the contents. */ \
			smp_wmb();					\
			ktrepl_store(node, np,				\
				arch_ktrepl_table_entry(level##_val(*(mp)), \
							__pa(__new)));	\
			ktrepl_sync_unlock(__flags, __pt_flags);	\
		}							\
	}								\
	__done;								\
})

/*
 * Each CPU takes an interrupt: its stores before that are seen from now on, and
 * after it this CPU's are.
 */
VISIBLE_IF_KUNIT void ktrepl_see_stores(void)
{
	KUNIT_STATIC_STUB_REDIRECT(ktrepl_see_stores);
	kick_all_cpus_sync();
}

/*
 * Has ktrepl_sync_table() tell of changes in the table of PTEs that maps an address,
 * from before the table is copied.  Whoever calls it loads the mark after his
 * stores, without a barrier.  If he does not find the mark, the interrupt on his
 * CPU comes after that, and the copying sees the stores.
 *
 * Nobody else stores to the entry: what it maps is of a region that stays mapped.
 * set_pmd() repeats the mark in the entries of nodes that share the table.  A mark
 * stays as long as the entry: where no node has a clone any more it costs a look-up.
 *
 * Model: tools/ktrepl/models/clone-sync.pml, variant MARK
 */
static void ktrepl_table_mark(unsigned long addr)
{
	pmd_t *pmd = pmd_off_k(addr);

	lockdep_assert_held(&ktrepl_mutex);

	if ((pmd_val(*pmd) & KTREPL_MARK) == KTREPL_MARK)
		return;
	set_pmd(pmd, __pmd(pmd_val(*pmd) | KTREPL_MARK));
	ktrepl_see_stores();
}

/* Clones the tables between a node's root and the leaf of an address. */
static bool ktrepl_clone_path(struct ktrepl_node *node, unsigned long addr)
{
	pgd_t *n_pgd = pgd_offset_pgd(node->root, addr);
	pgd_t *m_pgd = pgd_offset_pgd(ktrepl_primary_root(), addr);
	p4d_t *n_p4d, *m_p4d;
	pud_t *n_pud, *m_pud;
	pmd_t *n_pmd, *m_pmd;

	ktrepl_cloned_mark(addr, addr + 1);
	/* The tables are read after this.  Pairs with __ktrepl_sync_range(). */
	smp_mb();
	if (!mm_p4d_folded(&init_mm) &&
	    !ktrepl_clone_entry(node, pgd, n_pgd, m_pgd, addr & PGDIR_MASK,
				P4D_SHIFT))
		return false;
	n_p4d = p4d_offset(n_pgd, addr);
	m_p4d = p4d_offset(m_pgd, addr);
	if (!mm_pud_folded(&init_mm) &&
	    !ktrepl_clone_entry(node, p4d, n_p4d, m_p4d, addr & P4D_MASK,
				PUD_SHIFT))
		return false;
	n_pud = pud_offset(n_p4d, addr);
	m_pud = pud_offset(m_p4d, addr);
	if (!mm_pmd_folded(&init_mm) &&
	    !ktrepl_clone_entry(node, pud, n_pud, m_pud, addr & PUD_MASK,
				PMD_SHIFT))
		return false;
	n_pmd = pmd_offset(n_pud, addr);
	m_pmd = pmd_offset(m_pud, addr);
	/*
	 * Without a clone of the PTE page the node shares the primary's, and
	 * with it the primary's pages: no reason to give up the node.
	 */
	if (!pmd_leaf(*m_pmd)) {
		ktrepl_table_mark(addr);
		ktrepl_clone_entry(node, pmd, n_pmd, m_pmd, addr & PMD_MASK,
				   PAGE_SHIFT);
	}
	return true;
}

/**
 * ktrepl_leaf_is_split - has a node small leaves where the primary has a large
 * one?
 * @node: the node, after ktrepl_node_map()
 * @addr: kernel address, mapped by a large leaf of the primary
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: true if so.
 */
bool ktrepl_leaf_is_split(const struct ktrepl_node *node, unsigned long addr)
{
	pmd_t *n = ktrepl_pmd(node->root, addr);

	lockdep_assert_held(&ktrepl_mutex);

	return n && pmd_present(*n) && !pmd_leaf(*n);
}

/**
 * ktrepl_leaf_split - have a node map a large leaf of the primary by small ones
 * @node: the node; detached, if there are CPUs on its root
 * @addr: kernel address
 *
 * For when not all of it can have replicas that adjoin.
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: false if it has to be mapped as one leaf, for lack of memory, because
 * it is too large, or because leaves keep their size, [F6].
 */
bool ktrepl_leaf_split(struct ktrepl_node *node, unsigned long addr)
{
	pmd_t *m = ktrepl_pmd(ktrepl_primary_root(), addr);
	pmd_t *n = ktrepl_pmd(node->root, addr);
	unsigned long flags, pt_flags;
	pmd_t new = __pmd(0);
	pte_t *table;

	lockdep_assert_held(&ktrepl_mutex);

	/* Below, the leaves are small already. */
	if (!pmd_leaf(*m) || !pmd_leaf(*n))
		return true;
	if (ktrepl_info->keep_leaves || pmd_leaf_size(*m) != PMD_SIZE)
		return false;
	table = ktrepl_table_alloc(node);
	if (!table)
		return false;
	/* No CPU sees the leaf's size change. */
	if (node->live)
		ktrepl_node_detach(node);
	pmd_populate_kernel(&init_mm, &new, table);
	/* Filled by the sync below, and by that of any other change of @m. */
	flags = ktrepl_sync_lock(&pt_flags);
	ktrepl_store(node, n, pmd_val(new));
	ktrepl_sync_unlock(flags, pt_flags);
	ktrepl_sync_nodes(node, addr, addr + 1, false);
	return true;
}

/* Leaves of a region, where the primary is not on the node already. */
#define ktrepl_for_each_remote(region, nid, addr)				\
	for ((addr) = (region)->start; (addr) < (region)->end;		\
	     (addr) = ALIGN((addr) + 1, ktrepl_leaf_size(addr)))	\
		if (ktrepl_page_node(ktrepl_primary_page(addr)) != (nid))

/* Clones what there was no memory for when it was called before. */
static bool ktrepl_clone_paths(struct ktrepl_node *node)
{
	struct ktrepl_region *region;
	unsigned long addr;

	ktrepl_clones_reap(node);
	list_for_each_entry(region, &ktrepl_regions, list) {
		for (addr = region->start; region->mapped && addr < region->end;
		     addr = ALIGN(addr + 1, PMD_SIZE))
			if (ktrepl_pmd(ktrepl_primary_root(), addr) &&
			    !ktrepl_clone_path(node, addr))
				return false;
	}
	return true;
}

/**
 * ktrepl_leaf_private - can a node map a leaf of its own at an address?
 * @node: the node, after ktrepl_node_map()
 * @addr: kernel address, of a region that is mapped
 *
 * Return: false where the node shares the table that holds the leaf.
 */
bool ktrepl_leaf_private(const struct ktrepl_node *node, unsigned long addr)
{
	pmd_t *m, *n;

	if (!node->root)
		return false;
	m = ktrepl_pmd(ktrepl_primary_root(), addr);
	n = ktrepl_pmd(node->root, addr);
	return m && m != n && (pmd_leaf(*m) || pmd_val(*m) != pmd_val(*n));
}

static bool ktrepl_all_local(const struct ktrepl_node *node)
{
	struct ktrepl_region *region;
	unsigned long addr;

	list_for_each_entry(region, &ktrepl_regions, list)
		if (region->mapped)
			ktrepl_for_each_remote(region, node->nid, addr)
				return false;
	return true;
}

/*
 * From here on changes of the primary reach the node.  Where nobody but us
 * keeps the entries of the root true, those are read now that none can be
 * missed.
 */
static bool ktrepl_root_register(struct ktrepl_node *node, pgd_t *root)
{
#ifndef CONFIG_KTREPL_ROOTS
	if (!ktrepl_clone_register(node, virt_to_page(ktrepl_primary_root()),
				   root, ktrepl_root_base(),
				   ktrepl_root_shift()))
		return false;
#endif
	raw_spin_lock_irq(&ktrepl_pt_lock);
	WRITE_ONCE(node->root, root);
	/*
	 * The primary's root is read after this.  Pairs with smp_mb() in
	 * __ktrepl_sync_entry(), which comes before the look for our root.
	 */
	smp_mb();
	if (!IS_ENABLED(CONFIG_KTREPL_ROOTS))
		copy_page(root, ktrepl_primary_root());
	raw_spin_unlock_irq(&ktrepl_pt_lock);
	return true;
}

static int ktrepl_root_make(struct ktrepl_node *node)
{
	pgd_t *root = ktrepl_root_alloc(node, init_mm.pgd);

	if (!root)
		return -ENOMEM;
	if (ktrepl_root_register(node, root))
		return 0;
	xa_destroy(&node->clones);
	ktrepl_root_free(node, root);
	return -ENOMEM;
}

/**
 * ktrepl_node_map - build the kernel root of a node and the tables below
 * @node: the node, whose root, if there is one, no CPU has loaded
 *
 * No replica is mapped yet.  The tables come first, because replicas are of no
 * use without them, while the tables are with any number of replicas.  A node
 * that holds the whole primary gets no root, and its CPUs use the primary's,
 * unless there are modules to replicate, which may lie anywhere, or mms move
 * between nodes.
 *
 * A node with a root keeps it, and gets the tables that are missing.
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: 0, or -ENOMEM, with nothing left behind of what was not there before.
 */
int ktrepl_node_map(struct ktrepl_node *node)
{
	bool first = !node->root;

	lockdep_assert_held(&ktrepl_mutex);

	if (first && !IS_ENABLED(CONFIG_KTREPL_ROOTS) && !ktrepl_execmem_is_on() &&
	    ktrepl_all_local(node))
		return 0;
	if (first && ktrepl_root_make(node))
		return -ENOMEM;
	if (ktrepl_clone_paths(node))
		return 0;
	if (first)
		ktrepl_node_unmap(node);
	return -ENOMEM;
}

/**
 * ktrepl_node_install - map the replicas of a node
 * @node: the node, with a root that no CPU has loaded yet
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: 0 or -ENOMEM.
 */
int ktrepl_node_install(struct ktrepl_node *node)
{
	struct ktrepl_region *region;

	lockdep_assert_held(&ktrepl_mutex);

	list_for_each_entry(region, &ktrepl_regions, list)
		if (region->mapped)
			ktrepl_sync_nodes(node, region->start, region->end, false);
	return arch_ktrepl_node_finish(node->nid, node->root);
}

/**
 * ktrepl_node_cover - have a node map an address by a PTE table of its own
 * @node: the node, with a root that CPUs may have loaded
 * @addr: kernel address of a region, whose leaves keep their size
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: false if there is no memory for the tables.
 */
bool ktrepl_node_cover(struct ktrepl_node *node, unsigned long addr)
{
	const struct list_head *first;

	lockdep_assert_held(&ktrepl_mutex);

	if (ktrepl_leaf_private(node, addr))
		return true;
	ktrepl_clones_reap(node);
	first = node->tables.next;
	ktrepl_clone_path(node, addr);
	/*
	 * CPUs may still go by the shared tables: same translations.  Without a
	 * new clone, for lack of memory, they go by what they have.
	 */
	if (node->tables.next != first)
		ktrepl_flush_tables();
	return ktrepl_leaf_private(node, addr);
}

/**
 * ktrepl_node_unmap - free a node's kernel root and cloned tables
 * @node: the node; no CPU runs on its root, nor has anything cached from it
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_node_unmap(struct ktrepl_node *node)
{
	pgd_t *root = node->root;

	lockdep_assert_held(&ktrepl_mutex);

	if (!root)
		return;
	raw_spin_lock_irq(&ktrepl_pt_lock);
	WRITE_ONCE(node->root, NULL);
	node->last.pmd = NULL;
	raw_spin_unlock_irq(&ktrepl_pt_lock);

	xa_destroy(&node->clones);
	ktrepl_root_free(node, root);
	ktrepl_tables_free(node, &node->tables);
}

/**
 * ktrepl_spans_clear - forget which tables had clones
 *
 * Context: Process context, ktrepl_mutex held; no node has a root.
 */
void ktrepl_spans_clear(void)
{
	lockdep_assert_held(&ktrepl_mutex);

	xa_destroy(&ktrepl_spans);
}

/**
 * ktrepl_pt_barrier - wait for walks that may have found a region
 *
 * Context: Any but NMI.
 */
void ktrepl_pt_barrier(void)
{
	raw_spin_lock_irq(&ktrepl_pt_lock);
	raw_spin_unlock_irq(&ktrepl_pt_lock);
}

/**
 * ktrepl_root_alloc - allocate and account a root group
 * @node: the node
 * @from: root to copy
 *
 * Context: Process context, may sleep.
 * Return: the root, or NULL, which is counted.
 */
pgd_t *ktrepl_root_alloc(struct ktrepl_node *node, pgd_t *from)
{
	pgd_t *root = NULL;

	if (ktrepl_charge(node, KTREPL_STAT_PGTBL, KTREPL_ROOT_SIZE)) {
		root = arch_ktrepl_root_alloc(node->nid, from);
		if (!root)
			ktrepl_uncharge(node, KTREPL_STAT_PGTBL,
					KTREPL_ROOT_SIZE);
	}
	if (!root) {
		ktrepl_node_count(node, KTREPL_STAT_PGTBL_FAIL);
		trace_ktrepl_alloc_fail(node->nid, KTREPL_ROOT_SIZE);
	}
	return root;
}

/**
 * ktrepl_root_free - reverse ktrepl_root_alloc()
 * @node: the node
 * @root: the root
 *
 * Context: Atomic context allowed, interrupts enabled.
 */
void ktrepl_root_free(struct ktrepl_node *node, pgd_t *root)
{
	arch_ktrepl_root_free(root);
	ktrepl_uncharge(node, KTREPL_STAT_PGTBL, KTREPL_ROOT_SIZE);
}

/* === Reporting =========================================================== */

static void ktrepl_translations_region(struct seq_file *m, int nid, pgd_t *root,
				       const struct ktrepl_region *region)
{
	unsigned long addr = region->start, first, end;
	struct ktrepl_mapping w, next;
	phys_addr_t pa;

	while (addr < region->end) {
		if (!ktrepl_walk(root, addr, nid, &w)) {
			addr += PAGE_SIZE;
			continue;
		}
		first = addr;
		pa = PFN_PHYS(w.pfn);
		end = min(ALIGN(addr + 1, w.size), region->end);
		/* Small leaves that follow on each other make one range. */
		while (w.size < PMD_SIZE && end < region->end &&
		       ktrepl_walk(root, end, nid, &next) &&
		       next.size < PMD_SIZE &&
		       PFN_PHYS(next.pfn) == pa + (end - first))
			end += PAGE_SIZE;
		seq_printf(m, "node %d %s %lx %lx %llx %llx %lu %d\n", nid,
			   region->kind == KTREPL_TEXT ? "text" : "rodata",
			   first, end - 1, (u64)pa,
			   (u64)pa + (end - first) - 1, (end - first) >> 10,
			   page_to_nid(pfn_to_page(w.pfn)));
		addr = end;
	}
}

/*
 * The root of a node's CPUs.  A node has no preferred node while replication is
 * refused.
 */
static pgd_t *ktrepl_preferred_root(int nid)
{
	int preferred = ktrepl_node_preferred(nid);

	if (preferred == NUMA_NO_NODE || !ktrepl_nodes[preferred] ||
	    !ktrepl_nodes[preferred]->root)
		return ktrepl_primary_root();
	return ktrepl_nodes[preferred]->root;
}

/**
 * ktrepl_translations_show - what each node's CPUs have mapped
 * @m: where to write
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_translations_show(struct seq_file *m)
{
	struct ktrepl_region *region;
	int nid;

	lockdep_assert_held(&ktrepl_mutex);

	for_each_online_node(nid) {
		pgd_t *root = ktrepl_preferred_root(nid);

		list_for_each_entry(region, &ktrepl_regions, list)
			ktrepl_translations_region(m, nid, root, region);
	}
}

#ifdef CONFIG_KTREPL_PTDUMP
void ktrepl_ptdump(struct ptdump_state *st)
{
	int nid;

	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid] && ktrepl_nodes[nid]->root)
			ptdump_walk_pgd(st, &init_mm, ktrepl_nodes[nid]->root);
	mutex_unlock(&ktrepl_mutex);
}
#endif
