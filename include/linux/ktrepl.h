/* SPDX-License-Identifier: GPL-2.0 */
/*
 * NUMA kernel text replication: the interface for the rest of the kernel.
 *
 * ktrepl keeps a replica of kernel text and read-only data on every NUMA node,
 * mapped at the same virtual address through per-node page tables, and keeps
 * every replica patched.  See Documentation/core-api/ktrepl.rst.
 *
 * Code that patches text through the architecture's own primitives
 * (text_poke() and friends) needs nothing from here: the primitive itself
 * walks the replicas.  Everything is a no-op with CONFIG_KTREPL=n, and a
 * patched-out branch while replication is off.
 */
#ifndef _LINUX_KTREPL_H
#define _LINUX_KTREPL_H

#include <linux/execmem.h>
#include <linux/jump_label.h>
#include <linux/kconfig.h>
#include <linux/types.h>

#ifdef CONFIG_KTREPL_ROOTS
#include <linux/mm_types.h>
#include <asm/ktrepl.h>
#endif

struct ktrepl_object;
struct ktrepl_region;
struct mm_struct;
struct page;

/**
 * struct ktrepl_poke_iter - iterates the replicas that one poke has to write
 * @pages: the targets to write now, several at a time; of each the second page
 *	   is used when the range crosses a page boundary
 * @nr:	   how many targets there are
 *
 * Filled by ktrepl_poke_first(), advanced by ktrepl_poke_next().  The rest is
 * private to lib/ktrepl.
 */
struct ktrepl_poke_iter {
	struct page *pages[CONFIG_KTREPL_POKE_BATCH][2];
	unsigned int nr;
#ifdef CONFIG_KTREPL
	/* private: */
	struct page *primary[2];
	struct ktrepl_region *region[2];
	unsigned long index[2];
	unsigned int offset, len, span;
	short nids[CONFIG_KTREPL_POKE_BATCH];
	int nid;
	unsigned int synced;
	bool again;
#endif
};

#ifdef CONFIG_KTREPL

DECLARE_STATIC_KEY_FALSE(ktrepl_key);

/* Set before replication is on for the first time. */
extern unsigned long ktrepl_lowest;

void __ktrepl_poke_first(struct ktrepl_poke_iter *poke, unsigned long addr,
			 size_t len);
bool __ktrepl_poke_next(struct ktrepl_poke_iter *poke);
void __ktrepl_sync_range(unsigned long start, unsigned long end);
void __ktrepl_split_leaf(unsigned long addr);

/**
 * ktrepl_poke_first - resolve every target of a poke
 * @poke:  iterator; @poke->pages[0] holds the primary's page(s) on entry, and
 *	   is the first target on return
 * @addr:  virtual address of the first byte that is about to be written
 * @len:   number of bytes, at most up to the end of the second page
 *
 * Called by an architecture's patching primitive before its first store.  It
 * cannot fail: a page without a replica on some node is mapped there from the
 * primary, and writing the primary covers it.
 *
 * Context: Any, NMI and kgdb with all other CPUs stopped included.  The caller
 * holds text_mutex or arch_ktrepl_lock(), or is the only running CPU.
 */
static __always_inline void
ktrepl_poke_first(struct ktrepl_poke_iter *poke, unsigned long addr, size_t len)
{
	poke->nr = 1;
	poke->region[0] = NULL;
	poke->region[1] = NULL;
	if (static_branch_unlikely(&ktrepl_key))
		__ktrepl_poke_first(poke, addr, len);
}

/**
 * ktrepl_poke_next - step to the next replicas that a poke has to write
 * @poke: iterator; the caller has just written the @poke->nr targets
 *
 * Compares what was just written with the primary.  Replicas that differ are
 * reported, and named once more, for the caller to write them again.
 *
 * Context: As for ktrepl_poke_first().
 * Return: true when there are targets to be written next, false when all
 * replicas have been written.
 */
static __always_inline bool ktrepl_poke_next(struct ktrepl_poke_iter *poke)
{
	if (!poke->region[0] && !poke->region[1])
		return false;
	return __ktrepl_poke_next(poke);
}

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
	    static_branch_unlikely(&ktrepl_key) && end > ktrepl_lowest)
		__ktrepl_sync_range(start, end);
}

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

/**
 * ktrepl_poke - write bytes to the primary and to every replica
 * @addr: first address; kernel text or read-only data, or a registered region
 * @src:  bytes to write
 * @len:  number of bytes
 *
 * For callers that are not tied to an architecture.  Writing over live
 * instructions needs the architecture's own protocol (text_poke_bp(),
 * aarch64_insn_patch_text()), which reaches every replica as well.
 *
 * Context: Process context, takes text_mutex.
 * Return: 0, -EINVAL when @len is 0 or the range wraps, -EFAULT when @addr is
 * not in a registered region.  Nothing is written on error.
 */
int ktrepl_poke(void *addr, const void *src, size_t len);

/**
 * ktrepl_object_alloc - allocate a replicated read-mostly object
 * @name: what ktrinfo and debugfs call it; not copied
 * @init: initial contents, or NULL for zeroes
 * @size: size in bytes
 *
 * Each node that takes part gets its own replica; a node whose allocation fails
 * reads the primary and the failure is counted.
 *
 * Context: Process context, may sleep.
 * Return: the object, or ERR_PTR(-EINVAL) for size 0, ERR_PTR(-ENOMEM).
 */
struct ktrepl_object *ktrepl_object_alloc(const char *name, const void *init,
					  size_t size);

/**
 * ktrepl_object_read - the replica of an object that is local to this CPU
 * @obj: the object
 *
 * Context: Any; inside rcu_read_lock(), which also bounds the use of the
 * returned pointer.
 * Return: the contents as of some completed write; never NULL.
 */
const void *ktrepl_object_read(const struct ktrepl_object *obj);

/**
 * ktrepl_object_write - change an object on all nodes at once
 * @obj: the object
 * @off: first byte to change
 * @src: new bytes
 * @len: how many
 *
 * A reader sees all of the old or all of the new contents.  All replicas are
 * changed, or none.
 *
 * Context: Process context, may sleep.  Writers exclude each other.
 * Return: 0, -EINVAL when [@off, @off + @len) is not inside the object,
 * -ENOMEM, with nothing changed.
 */
int ktrepl_object_write(struct ktrepl_object *obj, size_t off, const void *src,
			size_t len);

/**
 * ktrepl_object_free - free an object and all its replicas
 * @obj: the object, ERR_PTR or NULL (nothing happens for the latter two)
 *
 * Context: Process context, waits for an RCU grace period.  No reader can find
 * the object any more.
 */
void ktrepl_object_free(struct ktrepl_object *obj);

#else /* !CONFIG_KTREPL */

static inline void ktrepl_poke_first(struct ktrepl_poke_iter *poke,
				     unsigned long addr, size_t len)
{
	poke->nr = 1;
}

static inline bool ktrepl_poke_next(struct ktrepl_poke_iter *poke) { return false; }
static inline void ktrepl_sync_range(unsigned long start, unsigned long end) { }
static inline void ktrepl_split_leaf(unsigned long addr) { }
static inline void ktrepl_late_init(void) { }

#endif /* CONFIG_KTREPL */

struct ptdump_state;

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

#endif /* _LINUX_KTREPL_H */
