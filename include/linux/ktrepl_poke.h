/* SPDX-License-Identifier: GPL-2.0 */
/*
 * NUMA kernel text replication: for code that patches text.
 *
 * An architecture's patching primitive goes over all replicas by
 * ktrepl_poke_first() and ktrepl_poke_next(); whatever patches by means of it
 * needs nothing from here.  ktrepl_poke_sites() writes many sites on all nodes,
 * or none, for callers that are not tied to an architecture.
 */
#ifndef _LINUX_KTREPL_POKE_H
#define _LINUX_KTREPL_POKE_H

#include <linux/errno.h>
#include <linux/jump_label.h>
#include <linux/types.h>

struct ktrepl_region;
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
	unsigned int offset, len, span, synced;
	int nid;
	bool again, brief;
#endif
};

/**
 * struct ktrepl_poke_site - bytes to write at one address
 * @addr: first address; kernel text or read-only data
 * @new:  bytes to write
 * @old:  bytes that the primary and every replica in use must hold before the
 *	  first store of the batch, or NULL: any
 * @len:  number of bytes
 */
struct ktrepl_poke_site {
	void *addr;
	const void *new;
	const void *old;
	size_t len;
};

#ifdef CONFIG_KTREPL

DECLARE_STATIC_KEY_FALSE(ktrepl_key);

unsigned int __ktrepl_poke_image(struct ktrepl_poke_iter *poke, unsigned long addr,
				 size_t len);
void __ktrepl_poke_first(struct ktrepl_poke_iter *poke, unsigned long addr,
			 size_t len);
bool __ktrepl_poke_next(struct ktrepl_poke_iter *poke);

/**
 * ktrepl_poke_image - resolve every target of a short poke to the image's text
 * @poke: iterator; if all is resolved @poke->pages holds the targets on return,
 *	  the primary's page first
 * @addr: virtual address of the first byte that is about to be written
 * @len:  number of bytes
 *
 * Most pokes are up to eight bytes in one page of the image.  A patching
 * primitive that asks this first need not look for the primary's page.
 *
 * Context: As for ktrepl_poke_first().
 * Return: true when the targets are resolved; false when the primary's pages
 * are to be found, and ktrepl_poke_first() to be called.
 */
static __always_inline bool
ktrepl_poke_image(struct ktrepl_poke_iter *poke, unsigned long addr, size_t len)
{
	return static_branch_unlikely(&ktrepl_key) &&
	       __ktrepl_poke_image(poke, addr, len) > 0;
}

/**
 * ktrepl_poke_first - resolve every target of a poke
 * @poke:  iterator; the first of @poke->pages holds the primary's page(s) on
 *	   entry, and is the first target on return
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
	poke->span = 0;
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
	if (!poke->span)
		return false;
	return __ktrepl_poke_next(poke);
}

/**
 * ktrepl_poke_sites - write bytes at many sites, on all nodes, or nowhere
 * @sites:   what to write; written in this order
 * @nr:	     number of sites
 * @refused: which site was refused, if one was; or NULL
 *
 * All sites are checked, on the primary and on every replica that a node uses,
 * before the first store.  Sites that follow each other upwards within 512
 * bytes of a page are written through one window, where all patchers of the
 * architecture hold text_mutex.  One cross-CPU sync follows the last store:
 * writing over instructions that a CPU may run meanwhile needs the
 * architecture's own protocol (text_poke_bp(), aarch64_insn_patch_text()),
 * which reaches every replica as well.
 *
 * While replication is off, or refused, the primary is written in the same way.
 *
 * Context: Process context, interrupts enabled.  Takes text_mutex.
 * Return: 0; -EINVAL when a length is 0 or a range wraps; -EFAULT when a range
 * is neither kernel text nor replicated; -EILSEQ when a node holds other bytes
 * than @old; -EOPNOTSUPP without CONFIG_KTREPL.  Nothing is written on error.
 */
int ktrepl_poke_sites(const struct ktrepl_poke_site *sites, unsigned int nr,
		      unsigned int *refused);

#else /* !CONFIG_KTREPL */

static inline bool ktrepl_poke_image(struct ktrepl_poke_iter *poke,
				     unsigned long addr, size_t len)
{
	return false;
}

static inline void ktrepl_poke_first(struct ktrepl_poke_iter *poke,
				     unsigned long addr, size_t len)
{
	poke->nr = 1;
}

static inline bool ktrepl_poke_next(struct ktrepl_poke_iter *poke)
{
	return false;
}

static inline int ktrepl_poke_sites(const struct ktrepl_poke_site *sites,
				    unsigned int nr, unsigned int *refused)
{
	return -EOPNOTSUPP;
}

#endif /* CONFIG_KTREPL */

#endif /* _LINUX_KTREPL_POKE_H */
