/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ktrepl glue for arm64: what the page table headers and patching.c need.
 */
#ifndef _ASM_ARM64_KTREPL_H
#define _ASM_ARM64_KTREPL_H

#include <linux/jump_label.h>
#include <linux/types.h>

#include <asm/pgtable-hwdef.h>
#include <asm/pgtable-types.h>

#if defined(CONFIG_HAVE_ARCH_KTREPL) && defined(CONFIG_KTREPL)

/*
 * A root group: [unused][trampoline][reserved][root].  Entry code gets from one
 * to the next by adding to TTBR1, see TRAMP_SWAPPER_OFFSET.
 */
#define KTREPL_ROOT_ORDER	2

/* An entry like @old that points to the table at @pa, all flags kept. */
#define arch_ktrepl_table_entry(old, pa)				\
	(((old) & ~__phys_to_pte_val(~0ULL & PHYS_MASK & PAGE_MASK)) |	\
	 __phys_to_pte_val(pa))

/* A page descriptor, where the larger leaf may be a block or contiguous. */
#define arch_ktrepl_split_prot(prot)					\
	__pgprot((pgprot_val(prot) & ~PTE_CONT) | PTE_TYPE_PAGE)

/*
 * Of an entry that points to a table of PTEs: there the hardware ignores bits 51 to
 * 58.  One of PTE_SWBITS_MASK: may change in a live entry, without
 * break-before-make.
 */
#define ARCH_KTREPL_MARK	(_AT(pmdval_t, 1) << 58)

struct execmem_range;

void ktrepl_execmem_near(struct execmem_range *range, unsigned long start);
void arch_ktrepl_store(pgd_t *root, void *entry, u64 val);
unsigned long arch_ktrepl_lock(void);
void arch_ktrepl_unlock(unsigned long flags);
void arch_ktrepl_flush_pages(unsigned long start, unsigned long end);
bool arch_ktrepl_translates(unsigned long addr, unsigned long pfn);

DECLARE_STATIC_KEY_FALSE(ktrepl_key);

void __ktrepl_sync_entry(const void *entry);

/*
 * What an entry is before it is cleared, with 0 as @val, or 0 if that is not known.
 * The kernel's locks keep others from storing to it until then.
 */
static __always_inline u64 ktrepl_entry_before(const void *entry, u64 val)
{
	if (__builtin_constant_p(val) && !val && static_branch_unlikely(&ktrepl_key))
		return READ_ONCE(*(const u64 *)entry);
	return 0;
}

/*
 * Can an entry whose value is, or has been, @val be one of the kernel's tables?
 * Table descriptors have UXN set in the kernel's tables, and only PXN in those
 * of a user; blocks that a user cannot access are the kernel's, or rarely
 * PROT_NONE. An entry that is not known to have been anything does not tell.
 */
static __always_inline bool ktrepl_kernel_entry(u64 val)
{
	if (!val)
		return true;
	if (val & PMD_TABLE_BIT)
		return val & PMD_TABLE_UXN;
	return (val & (PMD_SECT_UXN | PMD_SECT_USER)) == PMD_SECT_UXN;
}

/*
 * [M2] After the store: whoever finds replication off has stored his entry when
 * it is switched on, which waits for all CPUs to see the branch, and only then
 * are tables read.
 */
static __always_inline void ktrepl_sync_entry(const void *entry, u64 val, u64 before)
{
	if (static_branch_unlikely(&ktrepl_key) && ktrepl_kernel_entry(val ?: before))
		__ktrepl_sync_entry(entry);
}

#define ARCH_KTREPL_SYNC_REPLICAS	1

void arch_ktrepl_sync_targets(unsigned long alias, unsigned int nr, size_t len);

/*
 * Does ktrepl_poke_sync() maintain the caches of a poke, so that they need not be
 * maintained at the address that runs?
 */
#define ktrepl_poke_synced(poke)	((poke)->span != 0)

/*
 * The caches of all targets, which have just been written through @alias and the
 * pages below.  Not asking the static key: its own branches are patched one
 * after the other.
 */
#define ktrepl_poke_sync(poke, alias, len)				\
do {									\
	if (ktrepl_poke_synced(poke)) {					\
		arch_ktrepl_sync_targets((unsigned long)(alias),	\
					 (poke)->nr, len);		\
		(poke)->synced = (poke)->nr;				\
	}								\
} while (0)

#else

static __always_inline u64 ktrepl_entry_before(const void *entry, u64 val)
{
	return 0;
}

static __always_inline void ktrepl_sync_entry(const void *entry, u64 val, u64 before) { }

struct execmem_range;
struct ktrepl_poke_iter;

static inline void ktrepl_execmem_near(struct execmem_range *range, unsigned long start) { }

static __always_inline bool ktrepl_poke_synced(const struct ktrepl_poke_iter *poke)
{
	return false;
}

static __always_inline void ktrepl_poke_sync(struct ktrepl_poke_iter *poke,
					     const void *alias, size_t len) { }

#endif

#endif /* _ASM_ARM64_KTREPL_H */
