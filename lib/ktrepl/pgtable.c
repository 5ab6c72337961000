// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables of a node.
 *
 * A node's kernel root is a clone of init_mm's.  Of the tables below, those on
 * the path to a replicated leaf are cloned; every other entry of a clone is the
 * master's, so all else stays shared.  In a clone
 *
 *	entry == the master's entry, or
 *	entry -> a clone of the table that the master's entry points to, or
 *	entry == the master's leaf with the pfn of the node's copy
 *
 * and nothing else.  ktrepl_sync_leaf() restores this after the master's leaf
 * has changed, and is also what installs the copies in the first place.
 *
 * A leaf of a clone has the size and the protection of the master's leaf.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>

#include <asm/pgalloc.h>

#include <trace/events/ktrepl.h>

#include "internal.h"

/* Contents of cloned tables, ktrepl_node.root, ktrepl_set.dead. */
static DEFINE_RAW_SPINLOCK(ktrepl_pt_lock);

#define KTREPL_ROOT_SIZE	(PAGE_SIZE << KTREPL_ROOT_ORDER)

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
 * ktrepl_leaf_size - size of the master's leaf
 * @addr: kernel address
 *
 * Return: size in bytes.
 */
unsigned long ktrepl_leaf_size(unsigned long addr)
{
	pmd_t *pmd = ktrepl_pmd(init_mm.pgd, addr);

	if (!pmd)
		return PUD_SIZE;
	return pmd_leaf(*pmd) ? PMD_SIZE : PAGE_SIZE;
}

static bool ktrepl_table_remote(const void *table, int nid)
{
	return page_to_nid(virt_to_page(table)) != nid;
}

/**
 * ktrepl_walk - what a root maps at an address
 * @root: root table
 * @addr: kernel address
 * @nid:  node whose tables count as local
 * @w:	  result
 *
 * Return: false if nothing is mapped there.
 */
bool ktrepl_walk(pgd_t *root, unsigned long addr, int nid,
		 struct ktrepl_walk *w)
{
	pmd_t *pmd = ktrepl_pmd(root, addr);
	p4d_t *p4d;
	pte_t *pte;

	if (!pmd || !pmd_present(*pmd))
		return false;
	p4d = p4d_offset(pgd_offset_pgd(root, addr), addr);
	w->remote = ktrepl_table_remote(root, nid) +
		    ktrepl_table_remote(pud_offset(p4d, addr), nid) +
		    ktrepl_table_remote(pmd, nid);
	if (!mm_p4d_folded(&init_mm))
		w->remote += ktrepl_table_remote(p4d, nid);
	if (pmd_leaf(*pmd)) {
		w->size = PMD_SIZE;
		w->prot = pmd_pgprot(*pmd);
		w->pfn = pmd_pfn(*pmd) + pte_index(addr);
		return true;
	}
	pte = pte_offset_kernel(pmd, addr);
	if (!pte_present(*pte))
		return false;
	w->remote += ktrepl_table_remote(pte, nid);
	w->size = PAGE_SIZE;
	w->prot = pte_pgprot(*pte);
	w->pfn = pte_pfn(*pte);
	return true;
}

/* === Keeping clones true ================================================= */

/* The copy that a node is to map at a leaf, NULL for the master. */
static struct page *ktrepl_leaf_copy(int nid, unsigned long addr,
				     unsigned long size, bool writable)
{
	struct ktrepl_set *set = ktrepl_set_find(addr);
	unsigned long index;
	struct page *copy;

	if (!set)
		return NULL;
	index = ktrepl_set_index(set, addr);
	copy = ktrepl_set_copy(set, nid, index);
	/* Once plain stores may have changed the master, the copy is stale. */
	if (copy && writable)
		bitmap_set(set->dead, index, size >> PAGE_SHIFT);
	return test_bit(index, set->dead) ? NULL : copy;
}

/*
 * Like any change of a kernel mapping this takes effect at the TLB flush that
 * the caller does next, on all CPUs.  Same size and protection as the master's
 * leaf, so at no moment do two sizes for an address lie behind one root.
 */
static void ktrepl_sync_node(struct ktrepl_node *node, unsigned long addr)
{
	pmd_t *m = ktrepl_pmd(init_mm.pgd, addr);
	pmd_t *n = ktrepl_pmd(node->root, addr);
	struct page *copy;
	pte_t *mp, *np;

	lockdep_assert_held(&ktrepl_pt_lock);

	if (!m || !n || m == n)
		return;

	if (pmd_leaf(*m)) {
		addr &= PMD_MASK;
		copy = ktrepl_leaf_copy(node->nid, addr, PMD_SIZE,
					pmd_write(*m));
		set_pmd(n, copy ? pfn_pmd(page_to_pfn(copy), pmd_pgprot(*m)) :
				  *m);
		return;
	}
	if (pmd_none(*m) || pmd_none(*n) || pmd_leaf(*n)) {
		/* Split by the master: the node shares the new table. */
		if (pmd_leaf(*n))
			ktrepl_leaf_copy(node->nid, addr & PMD_MASK, PMD_SIZE,
					 true);
		set_pmd(n, *m);
		return;
	}

	mp = pte_offset_kernel(m, addr);
	np = pte_offset_kernel(n, addr);
	if (mp == np)
		return;
	copy = ktrepl_leaf_copy(node->nid, addr & PAGE_MASK, PAGE_SIZE,
				pte_write(*mp));
	set_pte(np, copy ? pfn_pte(page_to_pfn(copy), pte_pgprot(*mp)) : *mp);
}

/**
 * ktrepl_in_hull - may the tables that lead to an address be cloned?
 * @addr: kernel address
 *
 * Return: true within the PUD entries that cover the ranges of the image.
 */
bool ktrepl_in_hull(unsigned long addr)
{
	unsigned int i;

	for (i = 0; i < ktrepl_info->nr_ranges; i++) {
		const struct ktrepl_range *r = &ktrepl_info->ranges[i];

		if (addr >= (r->start & PUD_MASK) &&
		    addr - 1 < ALIGN(r->end, PUD_SIZE) - 1)
			return true;
	}
	return false;
}

void __ktrepl_sync_leaf(unsigned long addr)
{
	unsigned long flags;
	int nid;

	if (!ktrepl_in_hull(addr))
		return;
	raw_spin_lock_irqsave(&ktrepl_pt_lock, flags);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid] && ktrepl_nodes[nid]->root)
			ktrepl_sync_node(ktrepl_nodes[nid], addr);
	raw_spin_unlock_irqrestore(&ktrepl_pt_lock, flags);
}

/* === Building ============================================================ */

static void *ktrepl_table_alloc(struct ktrepl_node *node)
{
	struct page *page;

	if (!ktrepl_charge(node, KTREPL_STAT_PGTBL, PAGE_SIZE))
		goto fail;
	page = alloc_pages_node(node->nid, GFP_PGTABLE_KERNEL | __GFP_THISNODE |
				__GFP_NOWARN, 0);
	if (!page)
		goto uncharge;
	list_add(&page->lru, &node->tables);
	return page_address(page);

uncharge:
	ktrepl_uncharge(node, KTREPL_STAT_PGTBL, PAGE_SIZE);
fail:
	atomic_long_inc(&node->stat[KTREPL_STAT_PGTBL_FAIL]);
	trace_ktrepl_alloc_fail(node->nid, PAGE_SIZE);
	return NULL;
}

/**
 * ktrepl_table_clone - a copy of a table page, for the glue
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
 * Makes @np, an entry of a clone, point to a clone of the table that @mp, the
 * same entry of the master, points to.  Copying the table and linking the copy
 * are one step under ktrepl_pt_lock, so that ktrepl_sync_leaf() after a change
 * of the master either comes before the copying or finds the clone.
 */
#define ktrepl_clone_entry(node, level, np, mp, table)			\
({									\
	unsigned long __flags;						\
	void *__new = NULL;						\
									\
	if (level##_val(*(np)) != level##_val(*(mp)))			\
		__new = (void *)-1;	/* a clone already */		\
	else								\
		__new = ktrepl_table_alloc(node);			\
	if (__new && __new != (void *)-1) {				\
		raw_spin_lock_irqsave(&ktrepl_pt_lock, __flags);	\
		copy_page(__new, (void *)(table));			\
		set_##level(np, __##level(				\
			arch_ktrepl_table_entry(level##_val(*(mp)),	\
						__pa(__new))));		\
		raw_spin_unlock_irqrestore(&ktrepl_pt_lock, __flags);	\
	}								\
	!!__new;							\
})

/* Clones the tables between a node's root and the leaf of an address. */
static bool ktrepl_clone_path(struct ktrepl_node *node, unsigned long addr)
{
	pgd_t *n_pgd = pgd_offset_pgd(node->root, addr);
	pgd_t *m_pgd = pgd_offset_k(addr);
	p4d_t *n_p4d, *m_p4d;
	pud_t *n_pud, *m_pud;
	pmd_t *n_pmd, *m_pmd;

	if (!mm_p4d_folded(&init_mm) &&
	    !ktrepl_clone_entry(node, pgd, n_pgd, m_pgd,
				pgd_page_vaddr(*m_pgd)))
		return false;
	n_p4d = p4d_offset(n_pgd, addr);
	m_p4d = p4d_offset(m_pgd, addr);
	if (!ktrepl_clone_entry(node, p4d, n_p4d, m_p4d, p4d_pgtable(*m_p4d)))
		return false;
	n_pud = pud_offset(n_p4d, addr);
	m_pud = pud_offset(m_p4d, addr);
	if (!ktrepl_clone_entry(node, pud, n_pud, m_pud, pud_pgtable(*m_pud)))
		return false;
	n_pmd = pmd_offset(n_pud, addr);
	m_pmd = pmd_offset(m_pud, addr);
	/*
	 * Without a clone of the PTE page the node shares the master's, and
	 * with it the master's pages: no reason to give up the node.
	 */
	if (!pmd_leaf(*m_pmd))
		ktrepl_clone_entry(node, pmd, n_pmd, m_pmd,
				   pmd_page_vaddr(*m_pmd));
	return true;
}

/* Leaves of a set, where the master is not on the node already. */
#define ktrepl_for_each_away(set, nid, addr)				\
	for ((addr) = (set)->start; (addr) < (set)->end;		\
	     (addr) = ALIGN((addr) + 1, ktrepl_leaf_size(addr)))	\
		if (ktrepl_page_node(ktrepl_master_page(addr)) != (nid))

static bool ktrepl_clone_paths(struct ktrepl_node *node)
{
	struct ktrepl_set *set;
	unsigned long addr;

	/* Only what ktrepl_sync_leaf() keeps true may be mapped privately. */
	list_for_each_entry(set, &ktrepl_sets, list) {
		if (!ktrepl_in_hull(set->start))
			continue;
		for (addr = set->start; addr < set->end;
		     addr = ALIGN(addr + 1, PMD_SIZE))
			if (!ktrepl_clone_path(node, addr))
				return false;
	}
	return true;
}

/**
 * ktrepl_leaf_private - can a node map a leaf of its own at an address?
 * @node: the node, after ktrepl_node_map()
 * @addr: kernel address
 *
 * Return: false where the node shares the table that holds the leaf; true also
 * for addresses that no tables are cloned for.
 */
bool ktrepl_leaf_private(const struct ktrepl_node *node, unsigned long addr)
{
	pmd_t *m, *n;

	if (!ktrepl_in_hull(addr))
		return true;
	if (!node->root)
		return false;
	m = ktrepl_pmd(init_mm.pgd, addr);
	n = ktrepl_pmd(node->root, addr);
	return m != n && (pmd_leaf(*m) || pmd_val(*m) != pmd_val(*n));
}

static bool ktrepl_all_local(const struct ktrepl_node *node)
{
	struct ktrepl_set *set;
	unsigned long addr;

	list_for_each_entry(set, &ktrepl_sets, list)
		if (ktrepl_in_hull(set->start))
			ktrepl_for_each_away(set, node->nid, addr)
				return false;
	return true;
}

/**
 * ktrepl_node_map - build the kernel root of a node and the tables below
 * @node: the node
 *
 * No copy is mapped yet.  The tables come first, because copies are of no use
 * without them, while the tables are with any number of copies.  A node that
 * holds the whole master gets no root: its CPUs use the master's.
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: 0 or -ENOMEM, with nothing left behind.
 */
int ktrepl_node_map(struct ktrepl_node *node)
{
	pgd_t *root;

	lockdep_assert_held(&ktrepl_mutex);

	if (node->root || ktrepl_all_local(node))
		return 0;
	root = ktrepl_root_alloc(node, init_mm.pgd);
	if (!root)
		return -ENOMEM;
	/* From here on ktrepl_sync_leaf() reaches the node. */
	raw_spin_lock_irq(&ktrepl_pt_lock);
	node->root = root;
	raw_spin_unlock_irq(&ktrepl_pt_lock);

	if (ktrepl_clone_paths(node))
		return 0;
	ktrepl_node_unmap(node);
	return -ENOMEM;
}

/**
 * ktrepl_node_install - map the copies of a node
 * @node: the node, with a root that no CPU has loaded yet
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: 0 or -ENOMEM.
 */
int ktrepl_node_install(struct ktrepl_node *node)
{
	unsigned long addr, flags;
	struct ktrepl_set *set;

	lockdep_assert_held(&ktrepl_mutex);

	list_for_each_entry(set, &ktrepl_sets, list) {
		if (!ktrepl_in_hull(set->start))
			continue;
		ktrepl_for_each_away(set, node->nid, addr) {
			raw_spin_lock_irqsave(&ktrepl_pt_lock, flags);
			ktrepl_sync_node(node, addr);
			raw_spin_unlock_irqrestore(&ktrepl_pt_lock, flags);
		}
	}
	return arch_ktrepl_node_finish(node->nid, node->root);
}

/**
 * ktrepl_node_unmap - free a node's kernel root and cloned tables
 * @node: the node; no CPU runs on its root, nor has anything cached from it
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_node_unmap(struct ktrepl_node *node)
{
	struct page *page, *next;
	pgd_t *root = node->root;

	lockdep_assert_held(&ktrepl_mutex);

	if (!root)
		return;
	raw_spin_lock_irq(&ktrepl_pt_lock);
	node->root = NULL;
	raw_spin_unlock_irq(&ktrepl_pt_lock);

	ktrepl_root_free(node, root);
	list_for_each_entry_safe(page, next, &node->tables, lru) {
		list_del(&page->lru);
		__free_page(page);
		ktrepl_uncharge(node, KTREPL_STAT_PGTBL, PAGE_SIZE);
	}
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
		atomic_long_inc(&node->stat[KTREPL_STAT_PGTBL_FAIL]);
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

static void ktrepl_translations_set(struct seq_file *m, int nid, pgd_t *root,
				    const struct ktrepl_set *set)
{
	unsigned long addr = set->start, first, end;
	struct ktrepl_walk w, next;
	phys_addr_t pa;

	while (addr < set->end) {
		if (!ktrepl_walk(root, addr, nid, &w)) {
			addr += PAGE_SIZE;
			continue;
		}
		first = addr;
		pa = PFN_PHYS(w.pfn);
		end = min(ALIGN(addr + 1, w.size), set->end);
		/* Small pages that follow on each other make one range. */
		while (w.size == PAGE_SIZE && end < set->end &&
		       ktrepl_walk(root, end, nid, &next) &&
		       next.size == PAGE_SIZE &&
		       PFN_PHYS(next.pfn) == pa + (end - first))
			end += PAGE_SIZE;
		seq_printf(m, "node %d %s %lx %lx %llx %llx %lu %d\n", nid,
			   set->kind == KTREPL_TEXT ? "text" : "rodata",
			   first, end - 1, (u64)pa,
			   (u64)pa + (end - first) - 1, (end - first) >> 10,
			   page_to_nid(pfn_to_page(w.pfn)));
		addr = end;
	}
}

/**
 * ktrepl_translations_show - what each node's CPUs have mapped
 * @m: where to write
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_translations_show(struct seq_file *m)
{
	struct ktrepl_set *set;
	int nid;

	lockdep_assert_held(&ktrepl_mutex);

	for_each_online_node(nid) {
		struct ktrepl_node *home = ktrepl_nodes[ktrepl_node_home(nid)];
		pgd_t *root = home && home->root ? home->root : init_mm.pgd;

		list_for_each_entry(set, &ktrepl_sets, list)
			ktrepl_translations_set(m, nid, root, set);
	}
}
