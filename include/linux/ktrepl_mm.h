/* SPDX-License-Identifier: GPL-2.0 */
/*
 * NUMA kernel text replication: what memory management tells it.
 *
 * Everything is a no-op with CONFIG_KTREPL=n, and a patched-out branch, or a look
 * at a mark in a page table's entry, while replication is off.
 */
#ifndef _LINUX_KTREPL_MM_H
#define _LINUX_KTREPL_MM_H

#include <linux/execmem.h>
#include <linux/jump_label.h>
#include <linux/kconfig.h>
#include <linux/types.h>

#ifdef CONFIG_HAVE_ARCH_KTREPL
#include <linux/mm_types.h>
#include <asm/ktrepl.h>
#endif

struct ktrepl_region;
struct mm_struct;
struct ptdump_state;

#ifdef CONFIG_KTREPL

DECLARE_STATIC_KEY_FALSE(ktrepl_key);

/* Set before replication is on for the first time. */
extern unsigned long ktrepl_lowest, ktrepl_highest;

void __ktrepl_sync_range(unsigned long start, unsigned long end);
void __ktrepl_split_leaf(unsigned long addr);

/**
 * ktrepl_sync_range - the primary's entries for kernel addresses have changed
 * @start: first address
 * @end:   first address behind them
 *
 * Called after the stores to leaves, or to the table entries that replaced
 * them, and before the TLB flush that makes the change effective, so that a
 * node's leaf is never stricter nor looser than the primary's after the flush.
 * Addresses that no node maps privately are rejected by range.
 *
 * Context: Any but NMI.  Takes a raw spinlock with interrupts disabled.
 */
static __always_inline void ktrepl_sync_range(unsigned long start,
					      unsigned long end)
{
	if (IS_ENABLED(CONFIG_HAVE_ARCH_KTREPL) &&
	    static_branch_unlikely(&ktrepl_key) &&
	    end > ktrepl_lowest && start < ktrepl_highest)
		__ktrepl_sync_range(start, end);
}

#ifdef ARCH_KTREPL_MARK

/**
 * ktrepl_sync_table - PTEs of one of the primary's tables have become none, or are
 * no longer
 * @pmd:   the entry that points to the table
 * @start: first address whose PTE has changed
 * @end:   first address behind them
 *
 * Called as ktrepl_sync_range() is, by who maps and unmaps areas.  A table that no
 * node has cloned is rejected by its mark, [M4]: for all others this is a load and
 * a branch, whether replication is on or off.
 *
 * The mark is loaded after the stores, with no barrier in between.
 * ktrepl_table_mark() has each CPU pass one.
 *
 * Context: As for ktrepl_sync_range().
 */
static __always_inline void ktrepl_sync_table(pmd_t *pmd, unsigned long start,
					      unsigned long end)
{
	if (unlikely(pmd_val(READ_ONCE(*pmd)) & ARCH_KTREPL_MARK) &&
	    static_branch_unlikely(&ktrepl_key))
		__ktrepl_sync_range(start, end);
}

static inline void ktrepl_sync_area(unsigned long start, unsigned long end) { }

#else

#define ktrepl_sync_table(pmd, start, end)				\
	((void)(pmd), (void)(start), (void)(end))

/**
 * ktrepl_sync_area - an area has been mapped or unmapped
 * @start: first address
 * @end:   first address behind them
 *
 * As ktrepl_sync_range(), where an architecture does not mark tables that nodes
 * have cloned.  Elsewhere ktrepl_sync_table() has told of PTEs, and [M2] of all
 * other entries.
 *
 * Context: As for ktrepl_sync_range().
 */
static __always_inline void ktrepl_sync_area(unsigned long start,
					     unsigned long end)
{
	ktrepl_sync_range(start, end);
}

#endif /* ARCH_KTREPL_MARK */

/**
 * ktrepl_split_leaf - the primary's large leaf is about to be split
 * @addr: an address that it covers
 *
 * Called before the store, and where the caller flushes TLBs after it.  When
 * this returns all nodes map the primary's leaf, and no CPU has another
 * translation of its addresses cached: during the split there are never two
 * sizes of leaves with two physical addresses.
 *
 * Context: Interrupts enabled; may hold spinlocks that flush_tlb_all() allows.
 */
static __always_inline void ktrepl_split_leaf(unsigned long addr)
{
	if (IS_ENABLED(CONFIG_HAVE_ARCH_KTREPL) &&
	    static_branch_unlikely(&ktrepl_key))
		__ktrepl_split_leaf(addr);
}

/**
 * ktrepl_late_init - start ktrepl after the last boot-time page table editor
 *
 * Called once from kernel_init(), after mark_readonly() and pti_finalize().
 *
 * Context: Process context, may sleep.
 */
void ktrepl_late_init(void);

#else /* !CONFIG_KTREPL */

/* Not all architectures have pmd_t by here. */
#define ktrepl_sync_table(pmd, start, end)				\
	((void)(pmd), (void)(start), (void)(end))

static inline void ktrepl_sync_range(unsigned long start, unsigned long end) { }
static inline void ktrepl_sync_area(unsigned long start, unsigned long end) { }
static inline void ktrepl_split_leaf(unsigned long addr) { }
static inline void ktrepl_late_init(void) { }

#endif /* CONFIG_KTREPL */

#if defined(CONFIG_KTREPL) && defined(CONFIG_HAVE_ARCH_KTREPL)

/**
 * ktrepl_ptdump - walk the node roots, as ptdump_walk_pgd() walks init_mm's
 * @st: the state, which takes note of each page
 *
 * Context: Process context, may sleep.
 */
void ktrepl_ptdump(struct ptdump_state *st);

#else

static inline void ktrepl_ptdump(struct ptdump_state *st) { }

#endif

#ifdef CONFIG_KTREPL_MODULES

/**
 * ktrepl_execmem_alloc - executable memory has been allocated
 * @type: what it is for
 * @ptr:  its address, or NULL: nothing happens
 * @size: its size in bytes
 *
 * Context: Process context, may sleep; text_mutex may be held.
 */
void ktrepl_execmem_alloc(enum execmem_type type, void *ptr, size_t size);

/**
 * ktrepl_execmem_detach - executable memory is about to be unmapped
 * @ptr: its address, or NULL
 *
 * Its replicas stay mapped as long as itself.
 *
 * Context: Process context, may sleep; text_mutex may be held.
 * Return: for ktrepl_execmem_free().
 */
struct ktrepl_region *ktrepl_execmem_detach(void *ptr);

/**
 * ktrepl_execmem_free - executable memory has been unmapped, TLBs flushed
 * @region: from ktrepl_execmem_detach()
 *
 * Its replicas are freed soon.
 *
 * Context: Any but NMI.
 */
void ktrepl_execmem_free(struct ktrepl_region *region);

#else

static inline void ktrepl_execmem_alloc(enum execmem_type type, void *ptr,
					size_t size) { }
static inline struct ktrepl_region *ktrepl_execmem_detach(void *ptr)
{
	return NULL;
}

static inline void ktrepl_execmem_free(struct ktrepl_region *region) { }

#endif /* CONFIG_KTREPL_MODULES */

#ifdef CONFIG_KTREPL_ROOTS

void __ktrepl_mm_free(struct mm_struct *mm);

/* dup_mm() has copied the parent's list. */
#define ktrepl_mm_init(mm)	((void)((mm)->ktrepl_roots = NULL))

/**
 * ktrepl_mm_free - give back the node roots of an mm
 * @mm: an mm that no CPU has loaded any more, not even lazily
 *
 * Context: Atomic context allowed; before the mm's own root is freed.
 */
static __always_inline void ktrepl_mm_free(struct mm_struct *mm)
{
	if (!static_branch_unlikely(&ktrepl_roots_key))
		return;
	/* Pairs with ktrepl_root_remove(): then reclaim is done with the mm. */
	if (smp_load_acquire(&mm->ktrepl_roots))
		__ktrepl_mm_free(mm);
}

#else

#define ktrepl_top_changed(mm, entry)	((void)(mm), (void)(entry))

static inline void ktrepl_mm_init(struct mm_struct *mm) { }
static inline void ktrepl_mm_free(struct mm_struct *mm) { }

#endif /* CONFIG_KTREPL_ROOTS */

#endif /* _LINUX_KTREPL_MM_H */
