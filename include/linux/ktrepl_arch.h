/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The contract between lib/ktrepl and an architecture's glue.
 *
 * Facts travel in struct ktrepl_arch_info, returned once by
 * arch_ktrepl_setup().  Actions are the arch_ktrepl_*() functions below; a
 * missing one is a link error.  Only lib/ktrepl calls them.
 *
 * The letter and number in brackets is the clause id that the conformance
 * cases (lib/ktrepl/tests/) and the porting guide refer to.
 * arch-glue/generic is the reference port and the template for a new one.
 */
#ifndef _LINUX_KTREPL_ARCH_H
#define _LINUX_KTREPL_ARCH_H

#include <linux/ktrepl.h>
#include <linux/mm_types.h>
#include <linux/percpu.h>
#include <linux/types.h>

#ifdef CONFIG_HAVE_ARCH_KTREPL
#include <asm/ktrepl.h>
#elif defined(CONFIG_KTREPL)
#include <asm-generic/ktrepl.h>
#endif

/**
 * struct ktrepl_range - a part of the kernel image that is to be replicated
 * @name:  name of the region made from it
 * @kind:  what it holds
 * @start: first address, page aligned
 * @end:   first address behind it, page aligned
 */
struct ktrepl_range {
	const char *name;
	enum ktrepl_kind kind;
	unsigned long start;
	unsigned long end;
};

#define KTREPL_MAX_RANGES 8

/*
 * In asm/ktrepl.h, [F5] where instruction caches do not follow stores: 1. There
 * [P1] and every other user of the iterator maintain them for each replica
 * through the alias just written, and say so in ktrepl_poke_iter.synced.
 */
#ifndef ARCH_KTREPL_SYNC_REPLICAS
#define ARCH_KTREPL_SYNC_REPLICAS 0
#endif

/**
 * struct ktrepl_arch_info - facts about an architecture and this boot
 * @refuse:	  [F1] why replication cannot work on this boot, or NULL
 * @ranges:	  [F2] the ranges of the image that are read-only by now and are
 *		  only written through the patching primitive of [P1]
 * @nr_ranges:	  how many of @ranges are in use
 * @marker:	  [F3] address inside arch_ktrepl_marker() of the bytes that
 *		  hold its return value, or NULL for a port without text
 * @keep_leaves:  [F6] a leaf that the primary maps as one is one on every node:
 *		  CPUs may have the translations of several roots cached, and
 *		  must not meet two sizes of leaves with two physical addresses
 *		  at one address.  Stores that split a leaf of the primary are
 *		  preceded by ktrepl_split_leaf()
 * @lowest:	  [F7] no address below this one is mapped by tables of a node's
 *		  own, and executable memory there is not replicated: changes of
 *		  mappings there cost a comparison.  0 if there is no such bound
 * @highest:	  [F7] so for addresses from this one on.  Both are aligned to
 *		  what a table of PTEs covers.  0 if there is no such bound
 * @text_mutex:	  [F8] every patcher holds text_mutex for as long as it patches, or
 *		  stops all other CPUs and finds that nobody holds it
 * @fake_nodes:	  [F4] number of pretended nodes, for a port without NUMA;
 *		  0 for all others.  The primary counts as being on node 0.
 */
struct ktrepl_arch_info {
	const char *refuse;
	struct ktrepl_range ranges[KTREPL_MAX_RANGES];
	unsigned int nr_ranges;
	void *marker;
	bool keep_leaves;
	unsigned long lowest;
	unsigned long highest;
	bool text_mutex;
	unsigned int fake_nodes;
};

/**
 * arch_ktrepl_setup - [F0] state the facts
 *
 * A port that implements nothing else than this, with @refuse set, builds and
 * boots, and ktrinfo shows the reason.
 *
 * Context: Process context, once, from ktrepl_late_init().
 * Return: the facts; never NULL.  The core keeps the pointer.
 */
const struct ktrepl_arch_info *arch_ktrepl_setup(void);

/**
 * arch_ktrepl_poke - [P1] the architecture's own patching primitive
 * @addr: first address
 * @src:  bytes to write
 * @len:  number of bytes, any
 *
 * Writes the primary and, by ktrepl_poke_first() and ktrepl_poke_next(), every
 * replica.  Each replica is complete, caches included, before this returns.
 *
 * Context: Process context, text_mutex held.
 */
void arch_ktrepl_poke(void *addr, const void *src, size_t len);

/**
 * arch_ktrepl_write - [P2] write bytes to one page through a temporary alias
 * @page: primary or replica
 * @off:  offset in @page
 * @src:  bytes to write; may be image text, read-only data or linear map
 * @len:  number of bytes, not beyond the end of @page
 *
 * Used for repair, and by the execution proof.  Writes piece by piece: no poke
 * comes between the reading of a piece and the end of its write.  A poke
 * between two pieces writes both pages, as the core has listed the replica
 * before. Interrupts are disabled for a piece of 512 bytes at most.  Caches
 * included, like [P1].  Must not go through an instrumented memcpy(): read-only
 * data holds KASAN redzones.
 *
 * Context: Process context, text_mutex held.
 */
void arch_ktrepl_write(struct page *page, unsigned int off, const void *src,
		       size_t len);

/**
 * arch_ktrepl_sync - [P3] make earlier writes visible to instruction fetch
 *
 * Context: Process context, interrupts enabled.
 */
void arch_ktrepl_sync(void);

/**
 * arch_ktrepl_marker - [P4] a function that returns what @marker holds
 *
 * Lies within one of the ranges, one naturally aligned 4-byte unit at
 * &ktrepl_arch_info.marker decides about its return value.
 *
 * Context: Any.
 * Return: the value last encoded by arch_ktrepl_marker_code().
 */
u32 arch_ktrepl_marker(void);

/**
 * arch_ktrepl_marker_code - [P5] the 4 bytes that make the marker return a
 * value
 * @val: value, below 65536
 *
 * Context: Any.
 * Return: bytes for &ktrepl_arch_info.marker, in memory order.
 */
u32 arch_ktrepl_marker_code(u32 val);

/**
 * arch_ktrepl_protect - [P6] protect the linear alias of replicas
 * @page: first page
 * @nr:	  number of pages
 * @ro:	  read-only if true, back to writable if false
 *
 * Does nothing where the architecture cannot change the linear map.
 *
 * Context: Process context, may sleep.
 * Return: 0 or a negative error.  After an error with @ro false the pages must
 * not be freed.
 */
int arch_ktrepl_protect(struct page *page, unsigned int nr, bool ro);

/*
 * arch_ktrepl_lock(), arch_ktrepl_unlock() - [P7] keep pokes out
 *
 * In asm/ktrepl.h: unsigned long arch_ktrepl_lock(void) and void
 * arch_ktrepl_unlock(unsigned long flags), inside text_mutex.  They exclude
 * those patchers of the architecture that do not take text_mutex; nothing where
 * all of them do.  May be a raw spinlock, which the core holds while it changes
 * a few entries of tables as well.
 */

/**
 * arch_ktrepl_sync_alias - [P8] instruction caches follow stores by an alias
 * @start: first address
 * @end:   first address behind them
 *
 * The core has filled replicas, which no CPU has run yet, by this mapping of
 * them. Instruction caches are up to date for all mappings of the pages on
 * return.
 *
 * Context: Process context, may sleep.
 */
void arch_ktrepl_sync_alias(unsigned long start, unsigned long end);

/*
 * For the glue, from lib/ktrepl: [P1] by means of [P2], page by page.
 */
void ktrepl_poke_pages(void *addr, const void *src, size_t len);

#ifdef CONFIG_HAVE_ARCH_KTREPL

/**
 * arch_ktrepl_root_alloc - [T1] allocate a node root group
 * @nid:  node to allocate on, strictly
 * @from: root to copy: init_mm.pgd for a node's own kernel root, that kernel
 *	  root for the root of an mm
 *
 * With CONFIG_KTREPL_ROOTS the architecture keeps the kernel entries of the new
 * root, from now on, like those of every other root, except for entries that
 * [T4] calls private.  Without, it tells of stores to the kernel's only root,
 * and to all tables above the PTE level, by ktrepl_sync_entry().
 *
 * Context: Process context, may sleep.
 * Return: the root, or NULL.
 */
pgd_t *arch_ktrepl_root_alloc(int nid, pgd_t *from);

/**
 * arch_ktrepl_root_free - [T2] free a node root group
 * @root: from arch_ktrepl_root_alloc(); no CPU has it loaded
 *
 * Context: Atomic context allowed, interrupts enabled.
 */
void arch_ktrepl_root_free(pgd_t *root);

/**
 * arch_ktrepl_node_finish - [T3] last edits of a node's kernel root
 * @nid:  node
 * @root: the node's kernel root, with all its leaves installed
 *
 * For parts that the generic walk does not see (x86: the user half under page
 * table isolation).  Clones tables by ktrepl_table_clone(), the first time.
 * May be called again, after more leaves have been installed.
 *
 * Context: Process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int arch_ktrepl_node_finish(int nid, pgd_t *root);

/**
 * arch_ktrepl_leaf_sync - [T10] a large leaf of a node has changed
 * @root: the node's kernel root
 * @addr: an address that the leaf covers
 *
 * Repeats that where [T3] has repeated the leaf.
 *
 * Context: Interrupts disabled.
 */
void arch_ktrepl_leaf_sync(pgd_t *root, unsigned long addr);

/**
 * arch_ktrepl_attach - [A1] load the kernel's root for this CPU
 *
 * Loads the root that ktrepl_mm_pgd() gives for init_mm, having left the mm
 * that the CPU had before, with CONFIG_KTREPL_ROOTS, and the one of
 * ktrepl_cpu_root() without. Drops every cached translation, global ones and
 * all address space ids included.
 *
 * Context: Interrupts disabled, on the CPU concerned, by a thread that has no
 * mm.
 */
void arch_ktrepl_attach(void);

/**
 * arch_ktrepl_cpu_root - [A2] the root that this CPU runs on
 *
 * Context: Preemption disabled.
 * Return: the root as the hardware has it.
 */
pgd_t *arch_ktrepl_cpu_root(void);

/*
 * More of asm/ktrepl.h, for tables and leaves:
 *
 * KTREPL_ROOT_ORDER - [T6] order of the allocation behind a root
 *
 * arch_ktrepl_store(root, entry, val) - [T11] store an entry above the PTE
 * level
 *	of @root, a node's kernel root, or of a clone below it; all CPUs' walkers
 *	see it when this returns.  Other than set_pmd() and the like it does not
 *	tell of the store, as those do by [M2]: called with arch_ktrepl_lock() and
 *	the core's own lock held
 *
 * arch_ktrepl_table_entry(old, pa) - [T7] value of a table entry like @old that
 *	points to the table at @pa
 *
 * pgprot_t arch_ktrepl_split_prot(pgprot_t prot) - [T8] flags of the smallest
 *	leaf that maps a part of a larger one with flags @prot
 *
 * ARCH_KTREPL_MARK - [M4] bit of an entry above the PTE level that is free where
 *	the entry points to a table: the core sets it, by set_pmd(), in entries of
 *	the primary that nodes have cloned tables for, and vmap() and vunmap() look
 *	at it.  Not defined where there is none, or entries are not told of by [M2]
 *
 * void arch_ktrepl_flush_pages(unsigned long start, unsigned long end) - [T9]
 * the
 *	pages that a node's live leaves lead to have been replaced by ones with
 *	the same contents, both read-only: drop the old translations on all CPUs
 *	before anything else happens, where the architecture does not allow two of
 *	them in use; called with interrupts disabled.  Elsewhere nothing: the core
 *	flushes later.
 *
 * bool arch_ktrepl_translates(unsigned long addr, unsigned long pfn) - [A4]
 *	false if this CPU, asked for its translation of @addr, gives another
 *	page frame than @pfn, or may take it from a TLB that it shares with CPUs
 *	on other roots; true where it cannot be asked
 */

/*
 * For the glue, from lib/ktrepl.
 */
void *ktrepl_table_clone(int nid, const void *table);

/**
 * ktrepl_cpu_root - the kernel root that this CPU is to run on
 *
 * Context: Preemption disabled.
 * Return: linear address of the root of this CPU's node, or of init_mm's.
 */
pgd_t *ktrepl_cpu_root(void);

#endif /* CONFIG_HAVE_ARCH_KTREPL */

#if defined(CONFIG_HAVE_ARCH_KTREPL) && !defined(CONFIG_KTREPL_ROOTS)

/**
 * __ktrepl_sync_entry - [M2] a kernel table entry above the PTE level was
 * written
 * @entry: the entry, by its linear address or any other
 *
 * Called after the store, behind a look at ktrepl_key that comes after the
 * store as well, and before the TLB flush that makes it effective.  A table is
 * freed after the entry that led to it has been cleared so.
 *
 * Context: Any but NMI.  Takes a raw spinlock with interrupts disabled.
 */
void __ktrepl_sync_entry(const void *entry);

#endif

#ifdef CONFIG_KTREPL_ROOTS

/*
 * More of asm/ktrepl.h, for roots of mms:
 *
 * unsigned long arch_ktrepl_root_top(pgd_t *root) - [T12] the entry of a root
 * that
 *	leads to the kernel's tables of a node, or to the primary's; never 0
 *
 * ktrepl_mm_pgd(mm) - [A3] the root that this CPU is to load for an mm: behind
 *	ktrepl_roots_key, mm->pgd if its top is ktrepl_cpu_top, and then
 *	ktrepl_cpu_mm_root becomes NULL; otherwise what __ktrepl_choose_root() has
 *	written there, or mm->pgd for NULL; mm->pgd while the key is off.  The
 *	architecture has set this CPU in mm_cpumask(@mm) before, with a full
 *	barrier.  Interrupts stay disabled until the root is loaded
 *
 * bool arch_ktrepl_cpu_is_lazy(int cpu) - [T17] does a CPU have an mm loaded
 * though
 *	nothing on it uses the mm?  A hint
 *
 * ktrepl_loaded_pgd(mm) - [A5] the root that this CPU has loaded for its
 * present
 *	mm: ktrepl_cpu_mm_root, or mm->pgd where that is NULL or the key is off
 */

/**
 * arch_ktrepl_root_fill - [T4] make a root of an mm from a spare one
 * @root: from arch_ktrepl_root_alloc(); its user entries may be stale
 * @from: the mm's own root
 * @used: the architecture's note of the entries of @root that may be set, so
 *	  that it need not write all others; all ones for a new root
 *
 * Every entry that is not the same for all mms is as in @from afterwards, but
 * not the top.
 *
 * Context: Interrupts disabled, runqueue lock held, and a raw spinlock, as for
 * arch_ktrepl_root_sync().
 */
void arch_ktrepl_root_fill(pgd_t *root, const pgd_t *from, unsigned long *used);

/**
 * arch_ktrepl_root_sync - [T5] repeat the store of one root entry
 * @root:  a node root of the mm
 * @from:  the mm's own root
 * @entry: an entry that has been written; ignored if it is not in @from
 * @used:  as for arch_ktrepl_root_fill()
 *
 * Context: Interrupts disabled, raw spinlock held.
 */
void arch_ktrepl_root_sync(pgd_t *root, const pgd_t *from, const void *entry,
			   unsigned long *used);

/**
 * arch_ktrepl_root_lead - [T13] have a root lead to the tables of another one
 * @root: the root of an mm; CPUs may have it loaded
 * @from: a node's kernel root, or init_mm's
 *
 * Copies the top, to all halves of the root.
 *
 * Context: Interrupts disabled, raw spinlock held.
 */
void arch_ktrepl_root_lead(pgd_t *root, const pgd_t *from);

/**
 * arch_ktrepl_root_mark - [T14] mark a root that may be about to lead elsewhere
 * @root: the root of an mm; CPUs may have it loaded
 *
 * Makes its top another value than that of any root, which leads where it did.
 * arch_ktrepl_root_lead() undoes that.
 *
 * Context: Interrupts disabled, raw spinlock held.
 */
void arch_ktrepl_root_mark(pgd_t *root);

/**
 * arch_ktrepl_root_fixed - [T15] must a CPU load the root of an mm as it is?
 * @mm: the mm
 *
 * Context: Any.
 * Return: true for an mm that does not map the kernel image like init_mm does.
 */
bool arch_ktrepl_root_fixed(const struct mm_struct *mm);

/**
 * arch_ktrepl_each_mm - [T16] call a function for each mm that has a root
 * @fn:	  the function; takes raw spinlocks
 * @data: for it
 *
 * All but init_mm and those that are fixed.  An mm whose root is being made is
 * among them, or its top leads to the primary.
 *
 * Context: Process context.
 */
void arch_ktrepl_each_mm(void (*fn)(struct mm_struct *mm, void *data),
			 void *data);

/**
 * __ktrepl_choose_root - choose the root that this CPU is to load for an mm
 * @mm: the mm that is being switched to
 *
 * For ktrepl_mm_pgd().  Leaves its choice in ktrepl_cpu_mm_root: the node root
 * of
 * @mm for this CPU, or NULL for @mm->pgd.
 *
 * Context: Interrupts disabled; may hold the runqueue lock.  Never allocates.
 * Takes no lock under kgdb.
 */
void __ktrepl_choose_root(struct mm_struct *mm);

/*
 * The node root that this CPU has chosen last; NULL: it was the mm's own, or
 * none has been chosen since CPUs began to ask.
 */
DECLARE_PER_CPU(pgd_t *, ktrepl_cpu_mm_root);

/* The top of roots that lead to this CPU's node; 0 while it has none. */
DECLARE_PER_CPU(unsigned long, ktrepl_cpu_top);

/**
 * __ktrepl_top_changed - [M3] an entry of a table of an mm has been written
 * @mm:	   the mm
 * @entry: the entry
 *
 * For ktrepl_top_changed() in asm/ktrepl.h, which calls it if, after the store
 * and a full barrier, the mm has node roots.  To be called after each store to
 * an entry of the root of a user mm, before what the old entry led to is freed.
 *
 * Context: Any but NMI.  Takes a raw spinlock.
 */
void __ktrepl_top_changed(struct mm_struct *mm, const void *entry);

#endif /* CONFIG_KTREPL_ROOTS */

#endif /* _LINUX_KTREPL_ARCH_H */
