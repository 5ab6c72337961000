// SPDX-License-Identifier: GPL-2.0
/*
 * Multi-copy poke.
 *
 * The architecture's patching primitive resolves the master's page(s) as it
 * always did, then writes them and each set of pages that the iterator names.
 * All targets are known before the first store, so a poke cannot stop half
 * way.  Each phase of a patching protocol is one poke, hence complete on every
 * copy before the cross-CPU sync that follows it.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bug.h>
#include <linux/kprobes.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "internal.h"

DEFINE_STATIC_KEY_FALSE(ktrepl_key);

/*
 * May run under kgdb with all other CPUs stopped: no locks, no allocation.  A
 * probe or breakpoint in what a poke runs through would be hit while it is being
 * set; neither is taken there.
 */
void __ktrepl_poke_first(struct ktrepl_poke *poke, unsigned long addr,
			 size_t len)
{
	int i;

	poke->offset = offset_in_page(addr);
	poke->len = len;
	for (i = 0; i < 2; i++) {
		unsigned long page = (addr & PAGE_MASK) + i * PAGE_SIZE;

		poke->master[i] = poke->pages[i];
		if (poke->pages[i])
			poke->set[i] = ktrepl_set_find(page);
		if (!poke->set[i])
			continue;
		poke->index[i] = ktrepl_set_index(poke->set[i], page);
		/* What was filler may be worth a copy from now on. */
		if (poke->set[i]->exec && test_bit(poke->index[i],
						   poke->set[i]->dead))
			ktrepl_exec_kick(poke->set[i]);
	}
}

NOKPROBE_SYMBOL(__ktrepl_poke_first);

/* The part of a poke that lies in one of its two pages. */
static unsigned int ktrepl_poke_part(const struct ktrepl_poke *poke, int i,
				     unsigned int *off)
{
	unsigned int first = min_t(unsigned int, poke->len,
				   PAGE_SIZE - poke->offset);

	*off = i ? 0 : poke->offset;
	return i ? poke->len - first : first;
}

NOKPROBE_SYMBOL(ktrepl_poke_part);

/* Is the copy that has just been written the same as the master? */
static bool ktrepl_poke_equal(const struct ktrepl_poke *poke)
{
	unsigned int off, len;
	int i;

	for (i = 0; i < 2; i++) {
		len = ktrepl_poke_part(poke, i, &off);
		if (len && poke->pages[i] != poke->master[i] &&
		    memcmp(page_address(poke->pages[i]) + off,
			   page_address(poke->master[i]) + off, len))
			return false;
	}
	return true;
}

NOKPROBE_SYMBOL(ktrepl_poke_equal);

static void ktrepl_poke_report(const struct ktrepl_poke *poke)
{
	struct ktrepl_diff diff = { .nid = poke->nid, .again = poke->again };
	unsigned int off, len, i, n;
	const u8 *want, *found;

	for (i = 0; i < 2; i++) {
		len = ktrepl_poke_part(poke, i, &off);
		if (!len || poke->pages[i] == poke->master[i])
			continue;
		want = page_address(poke->master[i]) + off;
		found = page_address(poke->pages[i]) + off;
		for (n = 0; n < len && want[n] == found[n]; n++)
			;
		if (n == len)
			continue;
		diff.addr = poke->set[i]->start +
			    (poke->index[i] << PAGE_SHIFT) + off + n;
		diff.len = min_t(unsigned int, len - n, sizeof(diff.want));
		memcpy(diff.want, want + n, diff.len);
		memcpy(diff.found, found + n, diff.len);
		ktrepl_diverged(&diff);
	}
}

NOKPROBE_SYMBOL(ktrepl_poke_report);

/*
 * The copy that has just been written differs from the master.  The first time
 * the caller writes it once more.  Later it is left to heal.c, which may sleep:
 * the poke goes on with the next copy.
 */
static bool ktrepl_poke_again(struct ktrepl_poke *poke)
{
	ktrepl_poke_report(poke);
	poke->again = !poke->again;
	poke->synced = false;
	return poke->again;
}

NOKPROBE_SYMBOL(ktrepl_poke_again);

bool __ktrepl_poke_next(struct ktrepl_poke *poke)
{
	int i;

	if (unlikely(ktrepl_info->sync_copies && !poke->synced))
		ktrepl_broken("caches were not maintained for a copy");
	if (unlikely(!ktrepl_poke_equal(poke)) && ktrepl_poke_again(poke))
		return true;
	poke->again = false;
	poke->synced = false;

	while (++poke->nid < ktrepl_nr_nodes) {
		bool found = false;

		for (i = 0; i < 2; i++) {
			struct page *copy = NULL;

			if (poke->set[i])
				copy = ktrepl_set_copy(poke->set[i], poke->nid,
						       poke->index[i]);
			found |= !!copy;
			/*
			 * Only one page of the two may have a copy here; the
			 * same bytes go to the other's master once more.
			 */
			poke->pages[i] = copy ?: poke->master[i];
		}
		if (found)
			return true;
	}
	return false;
}

NOKPROBE_SYMBOL(__ktrepl_poke_next);

/**
 * ktrepl_poke_pages - write the master and all copies page by page
 * @addr: first address
 * @src:  bytes to write
 * @len:  number of bytes
 *
 * Context: Process context, text_mutex held.
 */
void ktrepl_poke_pages(void *addr, const void *src, size_t len)
{
	struct ktrepl_poke poke = { };
	unsigned int off;
	size_t part;

	lockdep_assert_held(&text_mutex);

	for (; len; addr += part, src += part, len -= part) {
		off = offset_in_page(addr);
		part = min_t(size_t, len, PAGE_SIZE - off);
		poke.pages[0] = ktrepl_master_page((unsigned long)addr);
		ktrepl_poke_first(&poke, (unsigned long)addr, part);
		do {
			arch_ktrepl_write(poke.pages[0], off, src, part);
			poke.synced = true;
		} while (ktrepl_poke_next(&poke));
	}
}

int ktrepl_poke(void *addr, const void *src, size_t len)
{
	unsigned long start = (unsigned long)addr, p;
	int err = 0;

	if (!len || start + len < start)
		return -EINVAL;

	mutex_lock(&text_mutex);
	for (p = start & PAGE_MASK; p < start + len; p += PAGE_SIZE)
		if (!ktrepl_set_find(p))
			err = -EFAULT;
	if (!err)
		arch_ktrepl_poke(addr, src, len);
	mutex_unlock(&text_mutex);
	return err;
}
