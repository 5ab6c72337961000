// SPDX-License-Identifier: GPL-2.0
/*
 * Questions in any context: what is replicated, and what a node executes.
 *
 * Concurrency: RCU keeps a region that has been found, and its lists of
 * replicas.  A replica is freed after it has been taken off its list: whoever
 * has read from one looks at the list again, and takes what has come in its
 * place.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bitmap.h>
#include <linux/export.h>
#include <linux/kprobes.h>
#include <linux/memory.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

bool ktrepl_query(const void *addr, struct ktrepl_place *place)
{
	const struct ktrepl_region *region;
	struct page *primary;
	unsigned long index;
	int nid;

	rcu_read_lock();
	region = ktrepl_region_find((unsigned long)addr);
	primary = region ? ktrepl_primary_page((unsigned long)addr) : NULL;
	if (!primary) {
		rcu_read_unlock();
		return false;
	}
	index = ktrepl_region_index(region, (unsigned long)addr);
	place->start = region->start;
	place->end = region->end;
	place->kind = region->kind;
	place->execmem = region->execmem;
	place->primary = ktrepl_page_node(primary);
	place->stale = test_bit(index, region->stale);
	bitmap_zero(place->replicas, KTREPL_MAX_NODES);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_region_replica(region, nid, index))
			__set_bit(nid, place->replicas);
	rcu_read_unlock();
	return true;
}
EXPORT_SYMBOL_GPL(ktrepl_query);

NOKPROBE_SYMBOL(ktrepl_query);

/*
 * The page behind an address for the CPUs of a node: its replica, or NULL where
 * they use the primary.
 */
static struct page *ktrepl_page_of(const struct ktrepl_region *region, int nid,
				   unsigned long addr)
{
	unsigned long index = ktrepl_region_index(region, addr);
	const struct ktrepl_node *node;

	nid = ktrepl_node_now(nid);
	node = nid == NUMA_NO_NODE ? NULL : ktrepl_nodes[nid];
	if (!node || !READ_ONCE(node->live) || test_bit(index, region->stale))
		return NULL;
	return ktrepl_region_replica(region, nid, index);
}

/* Up to the end of a page. */
static int ktrepl_read_page(int nid, void *dst, unsigned long addr, size_t len)
{
	const struct ktrepl_region *region = ktrepl_region_find(addr);
	struct page *primary, *page;
	int err;

	primary = region ? ktrepl_primary_page(addr) : NULL;
	/* All nodes map the same. */
	if (!primary)
		return copy_from_kernel_nofault(dst, (void *)addr, len);
	do {
		page = ktrepl_page_of(region, nid, addr);
		err = copy_from_kernel_nofault(dst,
					       page_address(page ?: primary) +
					       offset_in_page(addr), len);
		/* Pairs with the locks of those who take replicas off lists. */
		smp_rmb();
	} while (page != ktrepl_page_of(region, nid, addr));
	return err;
}

int ktrepl_read(int nid, void *dst, const void *src, size_t len)
{
	unsigned long addr = (unsigned long)src;
	size_t part;
	int err = 0;

	if (nid < 0 || nid >= ktrepl_max_nodes() || addr + len < addr)
		return -EINVAL;
	rcu_read_lock();
	for (; len && !err; dst += part, addr += part, len -= part) {
		part = min_t(size_t, len, PAGE_SIZE - offset_in_page(addr));
		err = ktrepl_read_page(nid, dst, addr, part);
	}
	rcu_read_unlock();
	return err;
}

NOKPROBE_SYMBOL(ktrepl_read);

int ktrepl_print(const void *addr, size_t len)
{
	struct ktrepl_place place;
	u8 primary[16], bytes[16];
	int nid, nr = 0;

	len = min(len, sizeof(bytes));
	/* The node of the primary has no replica. */
	if (!ktrepl_query(addr, &place) ||
	    ktrepl_read(place.primary, primary, addr, len))
		return 0;
	for_each_set_bit(nid, place.replicas, KTREPL_MAX_NODES) {
		if (ktrepl_read(nid, bytes, addr, len) || !memcmp(bytes, primary, len))
			continue;
		pr_warn("%pS: %*ph on node %d, the primary has %*ph\n", addr,
			(int)len, bytes, nid, (int)len, primary);
		nr++;
	}
	return nr;
}

static void ktrepl_diff_fill(struct ktrepl_diff *diff, unsigned long addr,
			     int nid, const u8 *want, const u8 *found,
			     size_t len)
{
	size_t n;

	for (n = 0; want[n] == found[n]; n++)
		;
	diff->addr = addr + n;
	diff->nid = nid;
	diff->again = false;
	diff->len = min(len - n, sizeof(diff->want));
	memcpy(diff->want, want + n, diff->len);
	memcpy(diff->found, found + n, diff->len);
}

/* Up to the end of a page; @want NULL: what the primary holds. */
static bool ktrepl_bytes_equal_page(unsigned long addr, const void *want,
				    size_t len, struct ktrepl_diff *diff)
{
	const struct ktrepl_region *region = ktrepl_region_find(addr);
	const unsigned int off = offset_in_page(addr);
	const void *found, *primary;
	unsigned long index;
	struct page *page;
	int nid;

	if (!region && !want)
		return true;
	/* Through the linear map: read-only data holds KASAN redzones. */
	page = ktrepl_primary_page(addr);
	if (!page)
		return false;
	primary = page_address(page) + off;
	if (want && memcmp(primary, want, len))
		return false;
	if (!region)
		return true;
	index = ktrepl_region_index(region, addr);
	if (test_bit(index, region->stale))
		return true;
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_region_replica(region, nid, index))
			continue;
		found = page_address(ktrepl_region_replica(region, nid, index)) + off;
		if (!memcmp(found, primary, len))
			continue;
		if (diff)
			ktrepl_diff_fill(diff, addr, nid, primary, found, len);
		return false;
	}
	return true;
}

/**
 * ktrepl_bytes_equal - do all nodes hold the same bytes?
 * @addr: first address; something is mapped there
 * @want: the bytes, or NULL: those of the primary
 * @len:  how many
 * @diff: where to name a replica that differs from the primary, or NULL
 *
 * Context: text_mutex held.
 * Return: true if all replicas in use, and the primary, do.
 */
bool ktrepl_bytes_equal(unsigned long addr, const void *want, size_t len,
			struct ktrepl_diff *diff)
{
	unsigned long flags;
	bool equal = true;
	size_t part;

	lockdep_assert_held(&text_mutex);

	/* Executable memory stays mapped. */
	ktrepl_execmem_lock();
	/* In pieces, as pokes may be kept out with interrupts disabled. */
	for (; len && equal; addr += part, len -= part) {
		part = min_t(size_t, len, PAGE_SIZE - offset_in_page(addr));
		part = min_t(size_t, part, KTREPL_PIECE);
		flags = arch_ktrepl_lock();
		equal = ktrepl_bytes_equal_page(addr, want, part, diff);
		arch_ktrepl_unlock(flags);
		if (want)
			want += part;
	}
	ktrepl_execmem_unlock();
	return equal;
}

int ktrepl_compare(const void *addr, size_t len, struct ktrepl_diff *diff)
{
	unsigned long start = (unsigned long)addr;
	bool equal;

	if (start + len < start)
		return -EINVAL;
	mutex_lock(&text_mutex);
	equal = ktrepl_bytes_equal(start, NULL, len, diff);
	mutex_unlock(&text_mutex);
	return !equal;
}
