// SPDX-License-Identifier: GPL-2.0
/*
 * Modules and all other executable memory: BPF programs, trampolines, slots of
 * probes.
 *
 * Each area that execmem_alloc() gives out is a region.  Who owns it does not
 * matter: a page is copied, some time after it has changed, if it is read-only,
 * so that nobody writes to it other than by a poke, and shared again before
 * anybody does.  Init sections of modules are not copied, they go away soon,
 * nor are pages of code that hold nothing but filler.
 *
 * Copying is the work of ktrepl_execmem_scan(), because those who change the
 * protection of an area hold text_mutex or locks around which it is taken.
 *
 * Concurrency: an area is known from execmem_alloc() on, whether replication is
 * on or not.  execmem_free() marks it dying, so that it is found no more, unmaps
 * it, which reaches the nodes as any change of mappings does, and flushes TLBs;
 * after that the region is freed by the work.  Whoever looks at the pages of an
 * area holds ktrepl_execmem_mutex and finds it not dying; the region itself is
 * kept by ktrepl_mutex as well.
 *
 * Those who allocate and free areas may hold text_mutex (slots of probes).  The
 * allocation of an area waits for memory, of the page tables for one, and that
 * of its region does no more than that.  Freeing does not wait for memory.
 * ktrepl_execmem_mutex, for which both may wait, is not held while memory is
 * allocated.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bitmap.h>
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include <asm/tlbflush.h>

#include "internal.h"

/*
 * From the first change to the copying: a module changes many pages in a row.
 */
#define KTREPL_EXECMEM_DELAY	msecs_to_jiffies(20)

/* See internal.h for its place in the lock order. */
DEFINE_MUTEX(ktrepl_execmem_mutex);
LIST_HEAD(ktrepl_execmem_regions);

static bool ktrepl_param_modules = true;
module_param_named(modules, ktrepl_param_modules, bool, 0644);
MODULE_PARM_DESC(modules, "replicate modules and other executable memory, too");

/* ktrepl.modules= when replication was switched on; false while it is off. */
static bool ktrepl_execmem_on;

static const char *const ktrepl_execmem_names[EXECMEM_TYPE_MAX] = {
	[EXECMEM_MODULE_TEXT] = "text",
	[EXECMEM_KPROBES]     = "kprobes",
	[EXECMEM_FTRACE]      = "ftrace",
	[EXECMEM_BPF]	      = "bpf",
	[EXECMEM_MODULE_DATA] = "rodata",
};

/**
 * ktrepl_execmem_is_on - is executable memory being replicated?
 *
 * Return: true if so, or about to be.
 */
bool ktrepl_execmem_is_on(void)
{
	return READ_ONCE(ktrepl_execmem_on);
}

NOKPROBE_SYMBOL(ktrepl_execmem_is_on);

/* === Asking for a scan =================================================== */

static void ktrepl_execmem_work_fn(struct work_struct *work);

static DECLARE_DELAYED_WORK(ktrepl_execmem_work, ktrepl_execmem_work_fn);

static void ktrepl_execmem_queue_work(void)
{
	queue_delayed_work(system_unbound_wq, &ktrepl_execmem_work,
			   KTREPL_EXECMEM_DELAY);
}

static void ktrepl_execmem_irq_fn(struct irq_work *work)
{
	ktrepl_execmem_queue_work();
}

static struct irq_work ktrepl_execmem_irq = IRQ_WORK_INIT(ktrepl_execmem_irq_fn);

/**
 * ktrepl_execmem_queue - have an area looked at some time
 * @region: its region
 *
 * Context: Any, NMI and kgdb included.
 */
void ktrepl_execmem_queue(struct ktrepl_region *region)
{
	if (!ktrepl_execmem_is_on())
		return;
	/* Pairs with ktrepl_execmem_due(). */
	smp_store_release(&region->dirty, true);
	/*
	 * A module asks tens of times while it loads.  Work that is still pending
	 * finds the area dirty: the workqueue has a full barrier between the two,
	 * in set_work_pool_and_clear_pending().
	 */
	smp_mb();
	if (!delayed_work_pending(&ktrepl_execmem_work))
		irq_work_queue(&ktrepl_execmem_irq);
}

NOKPROBE_SYMBOL(ktrepl_execmem_queue);

/* === Copying ============================================================= */

/* The init sections of a module, while it is there. */
static bool ktrepl_execmem_init_section(const struct ktrepl_region *region)
{
	struct module *mod;
	bool init;

	preempt_disable();
	mod = __module_address(region->start);
	init = mod && within_module_init(region->start, mod);
	preempt_enable();
	return init;
}

/* Is a page of code nothing but one pattern? A poke makes us look again. */
static bool ktrepl_execmem_filler(const struct ktrepl_region *region, const void *page)
{
	return region->kind == KTREPL_TEXT &&
	       !memcmp(page, page + sizeof(u64), PAGE_SIZE - sizeof(u64));
}

/* The primary of a page that is to have replicas, or NULL. */
static struct page *ktrepl_execmem_primary(const struct ktrepl_region *region,
					   unsigned long index)
{
	struct page *page;

	lockdep_assert_held(&ktrepl_execmem_mutex);

	if (region->dying)
		return NULL;
	page = ktrepl_page_is_ro(ktrepl_region_addr(region, index));
	if (!page)
		return NULL;
	/* Through the linear map: read-only data holds KASAN redzones. */
	return ktrepl_execmem_filler(region, page_address(page)) ? NULL : page;
}

/*
 * Nodes that lack a replica of a page.  The region cannot go while ktrepl_mutex
 * is held, but its area can.
 */
static bool ktrepl_execmem_lacks(struct ktrepl_region *region, unsigned long index,
				 unsigned long *nodes)
{
	struct page *primary;
	int nid, home;

	bitmap_zero(nodes, KTREPL_MAX_NODES);
	ktrepl_execmem_lock();
	primary = ktrepl_execmem_primary(region, index);
	home = primary ? page_to_nid(primary) : NUMA_NO_NODE;
	for (nid = 0; primary && nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid] && ktrepl_nodes[nid]->live && nid != home &&
		    !ktrepl_region_replica(region, nid, index))
			__set_bit(nid, nodes);
	ktrepl_execmem_unlock();
	return !bitmap_empty(nodes, KTREPL_MAX_NODES);
}

/* New replicas of a page, by node; ktrepl_mutex. */
static struct page *ktrepl_execmem_new[KTREPL_MAX_NODES];

/*
 * Memory for the replicas of one page, allocated while ktrepl_execmem_mutex,
 * which patchers may wait for, is not held.
 */
static void ktrepl_execmem_alloc_replicas(struct ktrepl_region *region,
					  const unsigned long *nodes)
{
	struct ktrepl_node *node;
	struct page *replica;
	int nid;

	for_each_set_bit(nid, nodes, KTREPL_MAX_NODES) {
		node = ktrepl_nodes[nid];
		replica = NULL;
		if (!node->starved) {
			replica = ktrepl_alloc(node, KTREPL_STAT_MODULE, PAGE_SIZE);
			node->starved = !replica;
		}
		ktrepl_execmem_new[nid] = replica;
	}
}

/* Nodes with tables of their own for one entry above the PTE level; ktrepl_mutex. */
static struct {
	unsigned long pmd;
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES);
} ktrepl_execmem_covered;

/* Has a node a table of its own there?  A module's areas share it, mostly. */
static bool ktrepl_execmem_cover(int nid, unsigned long addr)
{
	unsigned long pmd = addr & PMD_MASK;

	if (ktrepl_execmem_covered.pmd != pmd) {
		ktrepl_execmem_covered.pmd = pmd;
		bitmap_zero(ktrepl_execmem_covered.nodes, KTREPL_MAX_NODES);
	}
	if (test_bit(nid, ktrepl_execmem_covered.nodes))
		return true;
	if (!ktrepl_node_cover(ktrepl_nodes[nid], addr))
		return false;
	__set_bit(nid, ktrepl_execmem_covered.nodes);
	return true;
}

/*
 * Lists memory for replicas; pokes write it from now on, and its contents are
 * copied later.  A page that other nodes have replicas of already starts again
 * on all of them.  If it has become writable, or filler, it is dropped when its
 * copying begins.
 *
 * Patchers wait for ktrepl_execmem_mutex meanwhile.  Tables of a live node come
 * from GFP_NOWAIT, without reclaim; CPUs are flushed only after a new table,
 * which is once for all the pages that it maps.
 *
 * Return: false if nodes go without, whose memory is freed.
 */
static bool ktrepl_execmem_list(struct ktrepl_region *region, unsigned long index,
				const unsigned long *nodes)
{
	unsigned long addr = ktrepl_region_addr(region, index);
	struct page *replica;
	bool done = true;
	int nid;

	ktrepl_execmem_lock();
	for_each_set_bit(nid, nodes, KTREPL_MAX_NODES) {
		replica = ktrepl_execmem_new[nid];
		if (!replica || region->dying ||
		    !ktrepl_execmem_cover(nid, addr)) {
			done = false;
			continue;
		}
		if (!test_bit(index, region->stale))
			ktrepl_page_map_primary(region, index);
		WRITE_ONCE(ktrepl_region_entries(region, index)[nid], replica);
		ktrepl_execmem_new[nid] = NULL;
	}
	ktrepl_execmem_unlock();
	if (done)
		return true;
	for_each_set_bit(nid, nodes, KTREPL_MAX_NODES)
		if (ktrepl_execmem_new[nid])
			ktrepl_free(ktrepl_nodes[nid], KTREPL_STAT_MODULE,
				    ktrepl_execmem_new[nid], PAGE_SIZE);
	return false;
}

/* Tables and memory for what is missing. */
static void ktrepl_execmem_prepare(struct ktrepl_region *region)
{
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES);
	unsigned long i, nr = ktrepl_region_pages(region);

	region->incomplete = false;
	for (i = 0; i < nr; i++) {
		if (ktrepl_execmem_lacks(region, i, nodes)) {
			ktrepl_execmem_alloc_replicas(region, nodes);
			region->incomplete |= !ktrepl_execmem_list(region, i, nodes);
		}
		cond_resched();
	}
}

static bool ktrepl_execmem_listed(const struct ktrepl_region *region,
				  unsigned long index)
{
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_region_replica(region, nid, index))
			return true;
	return false;
}

/*
 * Nodes go back to the primary of a page, and lose their replicas.  The memory
 * of the replica on node @lost, if any, is not used again.
 */
static void ktrepl_execmem_drop(struct ktrepl_region *region, unsigned long index,
				int lost)
{
	unsigned long addr = ktrepl_region_addr(region, index);
	LIST_HEAD(unlisted);

	ktrepl_page_map_primary(region, index);
	flush_tlb_kernel_range(addr, addr + PAGE_SIZE);
	ktrepl_region_unlist(region, index, 0, ktrepl_nr_nodes - 1, &unlisted);
	ktrepl_region_reclaim(region, &unlisted, lost);
}

/*
 * The copying of a page begins, or the page goes back to the primary.  It is
 * stale and stable then, until it has been filled, or has changed.
 */
static void ktrepl_execmem_copy_begin(struct ktrepl_region *region, unsigned long index)
{
	struct page *primary;

	mutex_lock(&text_mutex);
	ktrepl_execmem_lock();
	primary = ktrepl_execmem_primary(region, index);
	if (primary && test_bit(index, region->stale))
		ktrepl_page_copy_begin(region, index);
	else if (!primary && !region->dying)
		ktrepl_execmem_drop(region, index, NUMA_NO_NODE);
	ktrepl_execmem_unlock();
	mutex_unlock(&text_mutex);
}

/* Only the work item copies pages.  They may be invalidated any time. */
static bool ktrepl_execmem_copying(const struct ktrepl_region *region, unsigned long index)
{
	return test_bit(index, region->stale) && test_bit(index, region->stable);
}

/* Fills the replicas of a page, which adjoin.  Return: the first of the next page. */
static unsigned int ktrepl_execmem_fill_page(const struct ktrepl_window *w, unsigned int i)
{
	struct ktrepl_region *region = w->regions[i];
	unsigned long index = w->index[i];
	struct page *primary;

	mutex_lock(&text_mutex);
	ktrepl_execmem_lock();
	primary = ktrepl_execmem_primary(region, index);
	if (!primary && !region->dying)
		/* Writable, or filler, since the copying began: not to be mapped. */
		ktrepl_page_map_primary(region, index);
	for (; i < w->nr && w->regions[i] == region && w->index[i] == index; i++)
		if (primary)
			ktrepl_window_fill(w, i, primary);
	ktrepl_execmem_unlock();
	mutex_unlock(&text_mutex);
	return i;
}

static bool ktrepl_execmem_fill(void)
{
	struct ktrepl_window *w = &ktrepl_window;
	bool open = ktrepl_window_open(w);
	unsigned int i;

	for (i = 0; open && i < w->nr;) {
		i = ktrepl_execmem_fill_page(w, i);
		cond_resched();
	}
	if (open)
		ktrepl_window_close(w);
	w->nr = 0;
	return open;
}

/*
 * Puts replicas of pages that are being copied into the window, and fills them whenever
 * it is full.
 *
 * Return: false if there is no memory for that.
 */
static bool ktrepl_execmem_copy(struct ktrepl_region *region)
{
	unsigned long i, nr = ktrepl_region_pages(region);
	struct page *replica;
	bool done = true;
	int nid;

	for (i = 0; i < nr; i++) {
		if (!ktrepl_execmem_copying(region, i))
			continue;
		for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
			replica = ktrepl_region_replica(region, nid, i);
			if (!replica)
				continue;
			ktrepl_window_add(&ktrepl_window, replica, region, nid, i);
			if (ktrepl_window.nr == KTREPL_WINDOW_PAGES)
				done &= ktrepl_execmem_fill();
		}
	}
	return done;
}

/* Has nodes map what has been filled, from a page on.  Return: how many. */
static unsigned long ktrepl_execmem_map(struct ktrepl_region *region,
					unsigned long index)
{
	unsigned long end = index, nr;

	while (end < ktrepl_region_pages(region) && ktrepl_execmem_copying(region, end))
		end++;
	nr = end - index;
	if (!nr)
		return 0;
	mutex_lock(&text_mutex);
	ktrepl_execmem_lock();
	if (!region->dying)
		nr = ktrepl_pages_map_replica(region, index, nr);
	ktrepl_execmem_unlock();
	mutex_unlock(&text_mutex);
	return nr;
}

/* Is an area to be looked at?  It is not dirty then, until it is changed again. */
static bool ktrepl_execmem_due(struct ktrepl_region *region, bool retry)
{
	/* Pairs with ktrepl_execmem_queue(). */
	return (xchg(&region->dirty, false) || (retry && region->incomplete)) &&
	       /* Nobody would tell of changes. */
	       ktrepl_in_bounds(region->start, region->end) &&
	       !ktrepl_execmem_init_section(region);
}

static void ktrepl_execmem_copy_begin_all(struct ktrepl_region *region)
{
	unsigned long i;

	ktrepl_execmem_prepare(region);
	for (i = 0; i < ktrepl_region_pages(region); i++) {
		if (ktrepl_execmem_listed(region, i))
			ktrepl_execmem_copy_begin(region, i);
		cond_resched();
	}
}

/* Has nodes map what has been filled.  Return: whether there is any. */
static bool ktrepl_execmem_map_all(struct ktrepl_region *region)
{
	unsigned long i, nr;
	bool any = false;

	for (i = 0; i < ktrepl_region_pages(region); i += nr ?: 1) {
		nr = ktrepl_execmem_map(region, i);
		any |= nr;
		cond_resched();
	}
	return any;
}

/**
 * ktrepl_execmem_retire - take the memory behind a replica out of use
 * @region: the region
 * @nid:   node of the replica
 * @index: page within the region
 *
 * All nodes start again with replicas of the page.
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 */
void ktrepl_execmem_retire(struct ktrepl_region *region, int nid, unsigned long index)
{
	lockdep_assert_held(&ktrepl_mutex);

	mutex_lock(&text_mutex);
	ktrepl_execmem_lock();
	if (!region->dying)
		ktrepl_execmem_drop(region, index, nid);
	ktrepl_execmem_unlock();
	mutex_unlock(&text_mutex);
	ktrepl_execmem_queue(region);
}

/**
 * ktrepl_execmem_scan - give every page that is to have replicas its replicas
 * @retry: also where there was no memory before
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 * Return: true if nothing is missing.
 */
bool ktrepl_execmem_scan(bool retry)
{
	unsigned long start = ULONG_MAX, end = 0;
	bool whole = true, filled = true;
	struct ktrepl_region *region;
	int nid;

	lockdep_assert_held(&ktrepl_mutex);

	if (!ktrepl_execmem_is_on())
		return true;
	ktrepl_execmem_covered.pmd = 0;
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			ktrepl_nodes[nid]->starved = false;
	ktrepl_for_each_execmem(region) {
		region->scan = ktrepl_execmem_due(region, retry);
		if (!region->scan)
			continue;
		ktrepl_execmem_copy_begin_all(region);
		filled &= ktrepl_execmem_copy(region);
	}
	if (ktrepl_window.nr)
		filled &= ktrepl_execmem_fill();
	/* All windows are closed. */
	ktrepl_for_each_execmem(region) {
		if (region->scan && !filled)
			region->incomplete = true;
		whole &= !region->incomplete;
		if (!region->scan || !filled || !ktrepl_execmem_map_all(region))
			continue;
		start = min(start, region->start);
		end = max(end, region->end);
	}
	/* So that the replicas are used from now on; the primary would do. */
	if (end)
		flush_tlb_kernel_range(start, end);
	return whole;
}

/* Frees the regions of areas that are no more. */
static void ktrepl_execmem_reap(void)
{
	struct ktrepl_region *region, *next;

	list_for_each_entry_safe(region, next, &ktrepl_execmem_regions, list) {
		/* Pairs with ktrepl_execmem_free(). */
		if (!smp_load_acquire(&region->unmapped))
			continue;
		if (!ktrepl_region_remove(region)) {
			ktrepl_execmem_queue_work();
			continue;
		}
		ktrepl_execmem_lock();
		list_del(&region->list);
		ktrepl_execmem_unlock();
		ktrepl_region_free(region);
	}
}

static void ktrepl_execmem_work_fn(struct work_struct *work)
{
	mutex_lock(&ktrepl_mutex);
	ktrepl_execmem_reap();
	if (!ktrepl_execmem_scan(false))
		ktrepl_heal_soon();
	mutex_unlock(&ktrepl_mutex);
}

/**
 * ktrepl_execmem_flush - wait for the work that has been asked for
 *
 * Context: Process context, ktrepl_mutex not held.
 */
void ktrepl_execmem_flush(void)
{
	irq_work_sync(&ktrepl_execmem_irq);
	flush_delayed_work(&ktrepl_execmem_work);
}

/**
 * ktrepl_execmem_missing - how many pages go without a replica for lack of
 * memory
 * @nid: the node
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: number of pages whose primary is elsewhere.
 */
unsigned long ktrepl_execmem_missing(int nid)
{
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES);
	struct ktrepl_region *region;
	unsigned long i, nr = 0;

	lockdep_assert_held(&ktrepl_mutex);

	ktrepl_for_each_execmem(region)
		for (i = 0; region->incomplete && i < ktrepl_region_pages(region); i++)
			nr += ktrepl_execmem_lacks(region, i, nodes) &&
			      test_bit(nid, nodes);
	return nr;
}

/* === Switching =========================================================== */

/**
 * ktrepl_execmem_start - replication is being switched on
 *
 * Context: Process context, ktrepl_mutex held; ktrepl_key is on already, no
 * node has been built.
 */
void ktrepl_execmem_start(void)
{
	lockdep_assert_held(&ktrepl_mutex);

	/* With all memory on one node there is nothing to copy, ever. */
	if (ktrepl_param_modules && num_node_state(N_MEMORY) > 1)
		WRITE_ONCE(ktrepl_execmem_on, true);
	/*
	 * Who missed that has stored his entries; as in __ktrepl_sync_range().
	 */
	smp_mb();
}

/**
 * ktrepl_execmem_node_start - a node has got its tables
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_execmem_node_start(void)
{
	struct ktrepl_region *region;

	lockdep_assert_held(&ktrepl_mutex);

	ktrepl_for_each_execmem(region)
		ktrepl_execmem_queue(region);
}

/**
 * ktrepl_execmem_stop - replication has been switched off
 *
 * Context: Process context, ktrepl_mutex held; no node has a root.
 */
void ktrepl_execmem_stop(void)
{
	struct ktrepl_region *region;

	lockdep_assert_held(&ktrepl_mutex);

	WRITE_ONCE(ktrepl_execmem_on, false);
	ktrepl_for_each_execmem(region)
		ktrepl_pages_reset(region);
}

/* === Hooks of mm/execmem.c =============================================== */

void ktrepl_execmem_alloc(enum execmem_type type, void *ptr, size_t size)
{
	unsigned long start = (unsigned long)ptr;
	struct ktrepl_region *region;

	if (!ptr || num_possible_nodes() < 2)
		return;
	region = ktrepl_region_alloc(ktrepl_execmem_names[type],
				     type == EXECMEM_MODULE_DATA ? KTREPL_RODATA :
							     KTREPL_TEXT,
			       start, start + PAGE_ALIGN(size));
	/* The area stays shared. */
	if (IS_ERR(region))
		return;
	region->type = type;
	region->execmem = true;
	region->mapped = true;
	bitmap_fill(region->stale, ktrepl_region_pages(region));
	ktrepl_execmem_lock();
	list_add_tail_rcu(&region->list, &ktrepl_execmem_regions);
	ktrepl_execmem_unlock();
	/* Executable from birth, perhaps. */
	ktrepl_execmem_queue(region);
}

struct ktrepl_region *ktrepl_execmem_detach(void *ptr)
{
	struct ktrepl_region *region = ktrepl_region_find((unsigned long)ptr);

	if (!region)
		return NULL;
	ktrepl_execmem_lock();
	WRITE_ONCE(region->dying, true);
	ktrepl_execmem_unlock();
	return region;
}

void ktrepl_execmem_free(struct ktrepl_region *region)
{
	if (!region)
		return;
	/* Pairs with ktrepl_execmem_reap(). */
	smp_store_release(&region->unmapped, true);
	ktrepl_execmem_queue_work();
}

/* === Reporting =========================================================== */

static void ktrepl_execmem_show_bytes(struct seq_file *m, const unsigned long *nr)
{
	const char *sep = " ";
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!nr[nid])
			continue;
		seq_printf(m, "%s%d:%lu", sep, nid, nr[nid] << PAGE_SHIFT);
		sep = ",";
	}
	if (*sep == ' ')
		seq_puts(m, " -");
}

/* What an area is called: as its module or owner, or as what it is for. */
static void ktrepl_execmem_name(const struct ktrepl_region *region, char *name,
				size_t size)
{
	const char *other = region->name;
	struct module *mod;

	/* Thunks of the image. */
	if (region->type == EXECMEM_MODULE_TEXT ||
	    region->type == EXECMEM_MODULE_DATA)
		other = "other";
	preempt_disable();
	mod = __module_address(region->start);
	strscpy(name, mod ? mod->name : other, size);
	preempt_enable();
	if (!mod)
		ktrepl_pages_name(region->start, name, size);
}

static void ktrepl_execmem_show_region(struct seq_file *m, struct ktrepl_region *region,
				       unsigned long *on, unsigned long *replicas)
{
	unsigned long i, nr = 0, listed = 0;
	char name[MODULE_NAME_LEN];
	struct page *primary;
	int nid;

	memset(on, 0, ktrepl_nr_nodes * sizeof(*on));
	memset(replicas, 0, ktrepl_nr_nodes * sizeof(*replicas));
	for (i = 0; i < ktrepl_region_pages(region); i++) {
		primary = ktrepl_execmem_primary(region, i);
		if (primary) {
			on[page_to_nid(primary)]++;
			nr++;
		}
		for (nid = 0; nid < ktrepl_nr_nodes; nid++)
			if (ktrepl_region_replica(region, nid, i)) {
				replicas[nid]++;
				listed++;
			}
	}
	if (!nr && !listed)
		return;
	ktrepl_execmem_name(region, name, sizeof(name));
	seq_printf(m, "area %s %s %lx %lx %lu", name, region->name, region->start,
		   region->end - 1, nr << PAGE_SHIFT);
	ktrepl_execmem_show_bytes(m, on);
	ktrepl_execmem_show_bytes(m, replicas);
	seq_putc(m, '\n');
}

/**
 * ktrepl_execmem_show - areas and their replicas, for debugfs
 * @m: where to write
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: 0 or -ENOMEM.
 */
int ktrepl_execmem_show(struct seq_file *m)
{
	unsigned long *nr = kcalloc(2 * ktrepl_nr_nodes, sizeof(*nr),
				    GFP_KERNEL);
	struct ktrepl_region *region;

	lockdep_assert_held(&ktrepl_mutex);

	if (!nr)
		return -ENOMEM;
	seq_printf(m, "modules %s\n", ktrepl_param_modules ? "on" : "off");
	ktrepl_for_each_execmem(region) {
		ktrepl_execmem_lock();
		if (!region->dying && !ktrepl_execmem_init_section(region))
			ktrepl_execmem_show_region(m, region, nr, nr + ktrepl_nr_nodes);
		ktrepl_execmem_unlock();
	}
	kfree(nr);
	return 0;
}
