/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ktrepl glue for x86_64: what the page table and TLB headers need.
 */
#ifndef _ASM_X86_KTREPL_H
#define _ASM_X86_KTREPL_H

#include <asm/asm.h>
#include <linux/jump_label.h>
#include <linux/percpu-defs.h>
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
static inline void arch_ktrepl_flush_pages(unsigned long start, unsigned long end) { }

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
DECLARE_PER_CPU(pgd_t *, ktrepl_cpu_mm_root);
DECLARE_PER_CPU(unsigned long, ktrepl_cpu_top);

void __ktrepl_top_changed(struct mm_struct *mm, const void *entry);

/*
 * The entry of a root that leads to the tables of a node, or to the primary's:
 * that of __START_KERNEL_map, with four levels and with five.
 */
#define KTREPL_PGD_INDEX	(PTRS_PER_PGD - 1)

#define arch_ktrepl_root_top(root)					\
	pgd_val(READ_ONCE((root)[KTREPL_PGD_INDEX]))

/*
 * ktrepl_top_changed - an entry of the root of @mm has been written
 *
 * After the store, and before the table that the old entry led to is freed.
 */
#define ktrepl_top_changed(mm, entry)					\
do {									\
	struct mm_struct *__mm = (mm);					\
									\
	if (static_branch_unlikely(&ktrepl_roots_key)) {		\
		/* Pairs with the barrier of ktrepl_root_add(). */	\
		smp_mb();						\
		if (READ_ONCE(__mm->ktrepl_roots))			\
			__ktrepl_top_changed(__mm, entry);		\
	}								\
} while (0)

/* Does a CPU have its mm for no other reason than that nothing else came? */
#define arch_ktrepl_cpu_is_lazy(cpu)					\
	READ_ONCE(per_cpu(cpu_tlbstate_shared.is_lazy, cpu))

/* Does a root entry lead to tables of a node, in some roots? */
#define ktrepl_private_top(addr)				\
	(static_branch_unlikely(&ktrepl_roots_key) &&		\
	 pgd_index(addr) == KTREPL_PGD_INDEX)

/*
 * The root that this CPU is about to load for @mm.  Nearly always the mm's own,
 * which leads to the tables of the CPU's node.  __ktrepl_choose_root() is
 * called by a thunk that keeps all registers: a plain call costs
 * switch_mm_irqs_off() pushes and spills, even while replication is off.
 */
#define ktrepl_mm_pgd(mm)						\
({									\
	struct mm_struct *__mm = (mm);					\
	pgd_t *__pgd = __mm->pgd;					\
									\
	if (static_branch_unlikely(&ktrepl_roots_key)) {		\
		if (likely(arch_ktrepl_root_top(__pgd) ==		\
			   this_cpu_read(ktrepl_cpu_top))) {		\
			this_cpu_write(ktrepl_cpu_mm_root, NULL);	\
		} else {						\
			asm volatile("call ktrepl_choose_root_thunk"	\
				     : ASM_CALL_CONSTRAINT		\
				     : "D" (__mm) : "memory");		\
			__pgd = this_cpu_read(ktrepl_cpu_mm_root) ?: __pgd; \
		}							\
	}								\
	__pgd;								\
})

/*
 * The root that this CPU has loaded for @mm, its loaded mm.  Says the same as
 * CR3, unless an NMI asks between the choice of a root and its loading: then
 * cpu_tlbstate.loaded_mm is LOADED_MM_SWITCHING.
 */
#define ktrepl_loaded_pgd(mm)						\
({									\
	struct mm_struct *__mm = (mm);					\
	pgd_t *__pgd = NULL;						\
									\
	if (static_branch_unlikely(&ktrepl_roots_key))			\
		__pgd = this_cpu_read(ktrepl_cpu_mm_root);		\
	__pgd ?: __mm->pgd;						\
})

#else

#define ktrepl_top_changed(mm, entry)	((void)(mm), (void)(entry))

static __always_inline bool ktrepl_private_top(unsigned long addr)
{
	return false;
}

#define ktrepl_mm_pgd(mm)	((mm)->pgd)
#define ktrepl_loaded_pgd(mm)	((mm)->pgd)

#endif

#endif /* _ASM_X86_KTREPL_H */
