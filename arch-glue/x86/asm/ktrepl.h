/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ktrepl glue for x86_64: what the page table and TLB headers need.
 */
#ifndef _ASM_X86_KTREPL_H
#define _ASM_X86_KTREPL_H

#include <linux/jump_label.h>
#include <linux/types.h>

struct mm_struct;

/* Order of the allocation that holds a root table. */
#ifdef CONFIG_MITIGATION_PAGE_TABLE_ISOLATION
#define KTREPL_ROOT_ORDER	1
#else
#define KTREPL_ROOT_ORDER	0
#endif

/* All patchers take text_mutex. */
static inline unsigned long arch_ktrepl_lock(void)
{
	return 0;
}

static inline void arch_ktrepl_unlock(unsigned long flags) { }

/* There is no instruction that tells. */
static inline bool arch_ktrepl_translates(unsigned long addr,
					  unsigned long pfn)
{
	return true;
}

/* CPUs may use either of two read-only translations to the same contents. */
static inline void arch_ktrepl_flush_page(unsigned long addr) { }

/* The bit that makes a PMD entry a leaf is PAT in a PTE. */
#define arch_ktrepl_split_prot(prot)	pgprot_large_2_4k(prot)

/* An entry like @old that points to the table at @pa, all flags kept. */
#define arch_ktrepl_table_entry(old, pa)	(((old) & ~PTE_PFN_MASK) | (pa))

/* Not by set_pud() and the like, which tell of stores to tables. */
static inline void arch_ktrepl_store(void *root, void *entry, unsigned long val)
{
	WRITE_ONCE(*(unsigned long *)entry, val);
}

/*
 * Code that runs before the kernel is mapped at its link address includes the
 * page table headers too, and cannot use static keys.
 */
#if defined(CONFIG_KTREPL_ROOTS) && !defined(USE_EARLY_PGTABLE_L5)

DECLARE_STATIC_KEY_FALSE(ktrepl_roots_key);

pgd_t *__ktrepl_mm_pgd(struct mm_struct *mm);
pgd_t *__ktrepl_loaded_pgd(struct mm_struct *mm);
void __ktrepl_set_top(const void *entry);

static __always_inline void ktrepl_set_top(const void *entry)
{
	if (static_branch_unlikely(&ktrepl_roots_key))
		__ktrepl_set_top(entry);
}

/* Does a root entry lead to tables of the node's own, in node roots? */
#define ktrepl_private_top(addr)				\
	(static_branch_unlikely(&ktrepl_roots_key) &&		\
	 pgd_index(addr) == pgd_index(__START_KERNEL_map))

/* The root that this CPU is about to load for @mm. */
#define ktrepl_mm_pgd(mm)						\
({									\
	struct mm_struct *__mm = (mm);					\
									\
	static_branch_unlikely(&ktrepl_roots_key) ?			\
		__ktrepl_mm_pgd(__mm) : __mm->pgd;			\
})

/*
 * The root that this CPU has loaded for @mm, its loaded mm.  Says the same as
 * CR3, unless an NMI asks between the choice of a root and its loading: then
 * cpu_tlbstate.loaded_mm is LOADED_MM_SWITCHING.
 */
#define ktrepl_loaded_pgd(mm)						\
({									\
	struct mm_struct *__mm = (mm);					\
									\
	static_branch_unlikely(&ktrepl_roots_key) ?			\
		__ktrepl_loaded_pgd(__mm) : __mm->pgd;			\
})

#else

static __always_inline void ktrepl_set_top(const void *entry) { }
static __always_inline bool ktrepl_private_top(unsigned long addr)
{
	return false;
}

#define ktrepl_mm_pgd(mm)	((mm)->pgd)
#define ktrepl_loaded_pgd(mm)	((mm)->pgd)

#endif

#endif /* _ASM_X86_KTREPL_H */
