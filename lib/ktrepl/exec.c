// SPDX-License-Identifier: GPL-2.0
/*
 * Modules and all other executable memory: BPF programs, trampolines, slots of
 * probes.
 *
 * Each area that execmem_alloc() gives out is a set.  Who owns it does not
 * matter: a page is copied, some time after it has changed, if it is read-only,
 * so that nobody writes to it other than by a poke, and shared again before
 * anybody does.  Init sections of modules are not copied, they go away soon, nor
 * are pages of code that hold nothing but filler.
 *
 * Copying is the work of ktrepl_exec_scan(), because those who change the
 * protection of an area hold text_mutex or locks around which it is taken.
 *
 * Concurrency: an area is known from execmem_alloc() on, whether replication is
 * on or not.  execmem_free() marks it gone, so that it is found no more, unmaps
 * it, which reaches the nodes as any change of mappings does, and flushes TLBs;
 * after that the set is freed by the work.  Whoever looks at the pages of an
 * area holds ktrepl_exec_mutex and finds it not gone; the set itself is kept by
 * ktrepl_mutex as well.
 *
 * Those who allocate and free areas may hold text_mutex (slots of probes).  The
 * allocation of an area waits for memory, of the page tables for one, and that
 * of its set does no more than that.  Freeing does not wait for memory.
 * ktrepl_exec_mutex, for which both may wait, is not held while memory is
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

/* From the first change to the copying: a module changes many pages in a row. */
#define KTREPL_EXEC_DELAY	msecs_to_jiffies(20)

/* See internal.h for its place in the lock order. */
DEFINE_MUTEX(ktrepl_exec_mutex);
LIST_HEAD(ktrepl_exec_sets);

static bool ktrepl_param_modules = true;
module_param_named(modules, ktrepl_param_modules, bool, 0644);
MODULE_PARM_DESC(modules, "replicate modules and other executable memory, too");

/* ktrepl.modules= when replication was switched on; false while it is off. */
static bool ktrepl_exec_on;

static const char *const ktrepl_exec_names[EXECMEM_TYPE_MAX] = {
	[EXECMEM_MODULE_TEXT] = "text",
	[EXECMEM_KPROBES]     = "kprobes",
	[EXECMEM_FTRACE]      = "ftrace",
	[EXECMEM_BPF]	      = "bpf",
	[EXECMEM_MODULE_DATA] = "rodata",
};

/**
 * ktrepl_exec_is_on - is executable memory being replicated?
 *
 * Return: true if so, or about to be.
 */
bool ktrepl_exec_is_on(void)
{
	return READ_ONCE(ktrepl_exec_on);
}

NOKPROBE_SYMBOL(ktrepl_exec_is_on);

/* === Asking for a scan =================================================== */

static void ktrepl_exec_work_fn(struct work_struct *work);

static DECLARE_DELAYED_WORK(ktrepl_exec_work, ktrepl_exec_work_fn);

static void ktrepl_exec_queue(void)
{
	queue_delayed_work(system_unbound_wq, &ktrepl_exec_work,
			   KTREPL_EXEC_DELAY);
}

static void ktrepl_exec_irq_fn(struct irq_work *work)
{
	ktrepl_exec_queue();
}

static struct irq_work ktrepl_exec_irq = IRQ_WORK_INIT(ktrepl_exec_irq_fn);

/**
 * ktrepl_exec_kick - have an area looked at some time
 * @set: its set
 *
 * Context: Any, NMI and kgdb included.
 */
void ktrepl_exec_kick(struct ktrepl_set *set)
{
	if (!ktrepl_exec_is_on())
		return;
	/* Pairs with ktrepl_exec_scan(). */
	smp_store_release(&set->dirty, true);
	irq_work_queue(&ktrepl_exec_irq);
}

NOKPROBE_SYMBOL(ktrepl_exec_kick);

/* === Copying ============================================================= */

/* The init sections of a module, while it is there. */
static bool ktrepl_exec_init_section(const struct ktrepl_set *set)
{
	struct module *mod;
	bool init;

	preempt_disable();
	mod = __module_address(set->start);
	init = mod && within_module_init(set->start, mod);
	preempt_enable();
	return init;
}

/* Is a page of code nothing but one pattern? A poke makes us look again. */
static bool ktrepl_exec_filler(const struct ktrepl_set *set, const void *page)
{
	return set->kind == KTREPL_TEXT &&
	       !memcmp(page, page + sizeof(u64), PAGE_SIZE - sizeof(u64));
}

/* The master of a page that is to have copies, or NULL. */
static struct page *ktrepl_exec_master(const struct ktrepl_set *set,
				       unsigned long index)
{
	struct page *page;

	lockdep_assert_held(&ktrepl_exec_mutex);

	if (set->gone)
		return NULL;
	page = ktrepl_page_fixed(ktrepl_set_addr(set, index));
	if (!page)
		return NULL;
	/* Through the linear map: read-only data holds KASAN redzones. */
	return ktrepl_exec_filler(set, page_address(page)) ? NULL : page;
}

/*
 * Nodes that lack a copy of a page.  The set cannot go while ktrepl_mutex is
 * held, but its area can.
 */
static bool ktrepl_exec_lacks(struct ktrepl_set *set, unsigned long index,
			      unsigned long *nodes)
{
	struct page *master;
	int nid;

	bitmap_zero(nodes, KTREPL_MAX_NODES);
	ktrepl_exec_lock();
	master = ktrepl_exec_master(set, index);
	for (nid = 0; master && nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid] && ktrepl_nodes[nid]->live &&
		    page_to_nid(master) != nid &&
		    !ktrepl_set_copy(set, nid, index))
			__set_bit(nid, nodes);
	ktrepl_exec_unlock();
	return !bitmap_empty(nodes, KTREPL_MAX_NODES);
}

/* New copies of a page, by node; ktrepl_mutex. */
static struct page *ktrepl_exec_new[KTREPL_MAX_NODES];

/*
 * Memory for the copies of one page, allocated while ktrepl_exec_mutex, which
 * patchers may wait for, is not held.
 */
static void ktrepl_exec_alloc_copies(struct ktrepl_set *set,
				     const unsigned long *nodes)
{
	struct ktrepl_node *node;
	struct page *copy;
	int nid;

	for_each_set_bit(nid, nodes, KTREPL_MAX_NODES) {
		node = ktrepl_nodes[nid];
		copy = NULL;
		if (!node->starved && ktrepl_set_array(set, node)) {
			copy = ktrepl_alloc(node, KTREPL_STAT_MODULE, PAGE_SIZE);
			node->starved = !copy;
		}
		ktrepl_exec_new[nid] = copy;
	}
}

/*
 * Lists memory for copies; pokes write it from now on, and its contents are
 * copied later.  A page that other nodes have copies of already starts again on
 * all of them.
 *
 * Patchers wait for ktrepl_exec_mutex meanwhile.  Tables of a live node come from
 * GFP_NOWAIT, without reclaim; CPUs are flushed only after a new table, which is
 * once for all the pages that it maps.
 *
 * Return: false if nodes go without, whose memory is freed.
 */
static bool ktrepl_exec_list(struct ktrepl_set *set, unsigned long index,
			     const unsigned long *nodes)
{
	unsigned long addr = ktrepl_set_addr(set, index);
	struct page *copy, *master;
	bool done = true;
	int nid;

	ktrepl_exec_lock();
	master = ktrepl_exec_master(set, index);
	for_each_set_bit(nid, nodes, KTREPL_MAX_NODES) {
		copy = ktrepl_exec_new[nid];
		if (!copy || !master ||
		    !ktrepl_node_cover(ktrepl_nodes[nid], addr))
			continue;
		if (!test_bit(index, set->dead))
			ktrepl_page_retire(set, index);
		WRITE_ONCE(set->copy[nid][index], copy);
		ktrepl_exec_new[nid] = NULL;
	}
	ktrepl_exec_unlock();
	for_each_set_bit(nid, nodes, KTREPL_MAX_NODES) {
		if (ktrepl_exec_new[nid])
			ktrepl_free(ktrepl_nodes[nid], KTREPL_STAT_MODULE,
				    ktrepl_exec_new[nid], PAGE_SIZE);
		done = done && ktrepl_set_copy(set, nid, index);
	}
	return done;
}

/* Tables and memory for what is missing. */
static void ktrepl_exec_prepare(struct ktrepl_set *set)
{
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES);
	unsigned long i, nr = ktrepl_set_pages(set);

	set->incomplete = false;
	for (i = 0; i < nr; i++) {
		if (ktrepl_exec_lacks(set, i, nodes)) {
			ktrepl_exec_alloc_copies(set, nodes);
			set->incomplete |= !ktrepl_exec_list(set, i, nodes);
		}
		cond_resched();
	}
}

static bool ktrepl_exec_listed(const struct ktrepl_set *set,
			       unsigned long index)
{
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_set_copy(set, nid, index))
			return true;
	return false;
}

/*
 * Nodes go back to the master of a page, and lose their copies.  The memory of
 * the copy on node @lost, if any, is not used again.
 */
static void ktrepl_exec_drop(struct ktrepl_set *set, unsigned long index,
			     int lost)
{
	unsigned long addr = ktrepl_set_addr(set, index), flags;
	struct page *copy;
	int nid;

	lockdep_assert_held(&text_mutex);

	ktrepl_page_retire(set, index);
	flush_tlb_kernel_range(addr, addr + PAGE_SIZE);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		copy = ktrepl_set_copy(set, nid, index);
		if (!copy)
			continue;
		flags = arch_ktrepl_lock();
		WRITE_ONCE(set->copy[nid][index], NULL);
		arch_ktrepl_unlock(flags);
		ktrepl_pt_barrier();
		if (nid == lost)
			ktrepl_stat_move(ktrepl_nodes[nid], KTREPL_STAT_MODULE,
					 KTREPL_STAT_RETIRED, PAGE_SIZE);
		else
			ktrepl_free(ktrepl_nodes[nid], KTREPL_STAT_MODULE, copy,
				    PAGE_SIZE);
		ktrepl_dropped(set, nid, index);
	}
}

/*
 * A page is taken, if its copies are to be filled, or goes back to the master.
 * It is dead and clean then, until it has been filled, or has changed.
 */
static void ktrepl_exec_take(struct ktrepl_set *set, unsigned long index)
{
	struct page *master;

	mutex_lock(&text_mutex);
	ktrepl_exec_lock();
	master = ktrepl_exec_master(set, index);
	if (master && test_bit(index, set->dead))
		ktrepl_page_take(set, index);
	else if (!master && !set->gone)
		ktrepl_exec_drop(set, index, NUMA_NO_NODE);
	ktrepl_exec_unlock();
	mutex_unlock(&text_mutex);
}

/* Only the work item, which is us, takes pages.  They may be spoilt any time. */
static bool ktrepl_exec_taken(const struct ktrepl_set *set, unsigned long index)
{
	return test_bit(index, set->dead) && test_bit(index, set->clean);
}

static bool ktrepl_exec_fill(void)
{
	struct ktrepl_window *w = &ktrepl_window;
	bool open = ktrepl_window_open(w);
	struct page *master;
	unsigned int i;

	for (i = 0; open && i < w->nr; i++) {
		mutex_lock(&text_mutex);
		ktrepl_exec_lock();
		master = ktrepl_exec_master(w->sets[i], w->index[i]);
		if (master)
			ktrepl_window_fill(w, i, master);
		ktrepl_exec_unlock();
		mutex_unlock(&text_mutex);
		cond_resched();
	}
	if (open)
		ktrepl_window_close(w);
	w->nr = 0;
	return open;
}

/*
 * Puts copies of what has been taken into the window, and fills them whenever it
 * is full.
 *
 * Return: false if there is no memory for that.
 */
static bool ktrepl_exec_copy(struct ktrepl_set *set)
{
	unsigned long i, nr = ktrepl_set_pages(set);
	struct page *copy;
	bool done = true;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		for (i = 0; set->copy[nid] && i < nr; i++) {
			copy = ktrepl_set_copy(set, nid, i);
			if (!copy || !ktrepl_exec_taken(set, i))
				continue;
			ktrepl_window_add(&ktrepl_window, copy, set, nid, i);
			if (ktrepl_window.nr == KTREPL_WINDOW_PAGES)
				done &= ktrepl_exec_fill();
		}
	}
	return done;
}

/* Has nodes map what has been filled, from a page on.  Return: how many. */
static unsigned long ktrepl_exec_map(struct ktrepl_set *set,
				     unsigned long index)
{
	unsigned long end = index, nr;

	while (end < ktrepl_set_pages(set) && ktrepl_exec_taken(set, end))
		end++;
	nr = end - index;
	if (!nr)
		return 0;
	mutex_lock(&text_mutex);
	ktrepl_exec_lock();
	if (!set->gone)
		nr = ktrepl_pages_revive(set, index, nr);
	ktrepl_exec_unlock();
	mutex_unlock(&text_mutex);
	return nr;
}

/* Is an area to be looked at?  It is clean then, until it is changed again. */
static bool ktrepl_exec_due(struct ktrepl_set *set, bool retry)
{
	/* Pairs with ktrepl_exec_kick(). */
	return (xchg(&set->dirty, false) || (retry && set->incomplete)) &&
	       /* Nobody would tell of changes. */
	       set->start >= ktrepl_lowest && !ktrepl_exec_init_section(set);
}

static void ktrepl_exec_take_all(struct ktrepl_set *set)
{
	unsigned long i;

	ktrepl_exec_prepare(set);
	for (i = 0; i < ktrepl_set_pages(set); i++) {
		if (ktrepl_exec_listed(set, i))
			ktrepl_exec_take(set, i);
		cond_resched();
	}
}

/* Has nodes map what has been filled.  Return: whether there is any. */
static bool ktrepl_exec_map_all(struct ktrepl_set *set)
{
	unsigned long i, nr;
	bool any = false;

	for (i = 0; i < ktrepl_set_pages(set); i += nr ?: 1) {
		nr = ktrepl_exec_map(set, i);
		any |= nr;
		cond_resched();
	}
	return any;
}

/**
 * ktrepl_exec_retire - take the memory behind a copy out of use
 * @set:   the set
 * @nid:   node of the copy
 * @index: page within the set
 *
 * All nodes start again with copies of the page.
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 */
void ktrepl_exec_retire(struct ktrepl_set *set, int nid, unsigned long index)
{
	lockdep_assert_held(&ktrepl_mutex);

	mutex_lock(&text_mutex);
	ktrepl_exec_lock();
	if (!set->gone)
		ktrepl_exec_drop(set, index, nid);
	ktrepl_exec_unlock();
	mutex_unlock(&text_mutex);
	ktrepl_exec_kick(set);
}

/**
 * ktrepl_exec_scan - give every page that is to have copies its copies
 * @retry: also where there was no memory before
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 * Return: true if nothing is missing.
 */
bool ktrepl_exec_scan(bool retry)
{
	unsigned long start = ULONG_MAX, end = 0;
	bool whole = true, filled = true;
	struct ktrepl_set *set;
	int nid;

	lockdep_assert_held(&ktrepl_mutex);

	if (!ktrepl_exec_is_on())
		return true;
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			ktrepl_nodes[nid]->starved = false;
	ktrepl_for_each_exec(set) {
		set->scan = ktrepl_exec_due(set, retry);
		if (!set->scan)
			continue;
		ktrepl_exec_take_all(set);
		filled &= ktrepl_exec_copy(set);
	}
	if (ktrepl_window.nr)
		filled &= ktrepl_exec_fill();
	/* All windows are closed. */
	ktrepl_for_each_exec(set) {
		if (set->scan && !filled)
			set->incomplete = true;
		whole &= !set->incomplete;
		if (!set->scan || !filled || !ktrepl_exec_map_all(set))
			continue;
		start = min(start, set->start);
		end = max(end, set->end);
	}
	/* So that the copies are used from now on; the master would do. */
	if (end)
		flush_tlb_kernel_range(start, end);
	return whole;
}

/* Frees the sets of areas that are no more. */
static void ktrepl_exec_reap(void)
{
	struct ktrepl_set *set, *next;

	list_for_each_entry_safe(set, next, &ktrepl_exec_sets, list) {
		/* Pairs with ktrepl_exec_free(). */
		if (!smp_load_acquire(&set->freed))
			continue;
		if (!ktrepl_set_forget(set)) {
			ktrepl_exec_queue();
			continue;
		}
		ktrepl_exec_lock();
		list_del(&set->list);
		ktrepl_exec_unlock();
		ktrepl_set_free(set);
	}
}

static void ktrepl_exec_work_fn(struct work_struct *work)
{
	mutex_lock(&ktrepl_mutex);
	ktrepl_exec_reap();
	if (!ktrepl_exec_scan(false))
		ktrepl_heal_soon();
	mutex_unlock(&ktrepl_mutex);
}

/**
 * ktrepl_exec_flush - wait for the work that has been asked for
 *
 * Context: Process context, ktrepl_mutex not held.
 */
void ktrepl_exec_flush(void)
{
	irq_work_sync(&ktrepl_exec_irq);
	flush_delayed_work(&ktrepl_exec_work);
}

/**
 * ktrepl_exec_missing - how many pages go without a copy for lack of memory
 * @nid: the node
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: number of pages whose master is elsewhere.
 */
unsigned long ktrepl_exec_missing(int nid)
{
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES);
	struct ktrepl_set *set;
	unsigned long i, nr = 0;

	lockdep_assert_held(&ktrepl_mutex);

	ktrepl_for_each_exec(set)
		for (i = 0; set->incomplete && i < ktrepl_set_pages(set); i++)
			nr += ktrepl_exec_lacks(set, i, nodes) &&
			      test_bit(nid, nodes);
	return nr;
}

/* === Switching =========================================================== */

/**
 * ktrepl_exec_start - replication is being switched on
 *
 * Context: Process context, ktrepl_mutex held; ktrepl_key is on already, no
 * node has been built.
 */
void ktrepl_exec_start(void)
{
	lockdep_assert_held(&ktrepl_mutex);

	/* With all memory on one node there is nothing to copy, ever. */
	if (ktrepl_param_modules && num_node_state(N_MEMORY) > 1)
		WRITE_ONCE(ktrepl_exec_on, true);
	/* Who missed that has stored his entries; as in __ktrepl_sync_range(). */
	smp_mb();
}

/**
 * ktrepl_exec_node_start - a node has got its tables
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_exec_node_start(void)
{
	struct ktrepl_set *set;

	lockdep_assert_held(&ktrepl_mutex);

	ktrepl_for_each_exec(set)
		ktrepl_exec_kick(set);
}

/**
 * ktrepl_exec_stop - replication has been switched off
 *
 * Context: Process context, ktrepl_mutex held; no node has a root.
 */
void ktrepl_exec_stop(void)
{
	struct ktrepl_set *set;

	lockdep_assert_held(&ktrepl_mutex);

	WRITE_ONCE(ktrepl_exec_on, false);
	ktrepl_for_each_exec(set)
		ktrepl_pages_reset(set);
}

/* === Hooks of mm/execmem.c =============================================== */

void ktrepl_exec_alloc(enum execmem_type type, void *ptr, size_t size)
{
	unsigned long start = (unsigned long)ptr;
	struct ktrepl_set *set;

	if (!ptr || num_possible_nodes() < 2)
		return;
	set = ktrepl_set_alloc(ktrepl_exec_names[type],
			       type == EXECMEM_MODULE_DATA ? KTREPL_RODATA :
							     KTREPL_TEXT,
			       start, start + PAGE_ALIGN(size));
	/* The area stays shared. */
	if (IS_ERR(set))
		return;
	set->type = type;
	set->exec = true;
	set->mapped = true;
	bitmap_fill(set->dead, ktrepl_set_pages(set));
	ktrepl_exec_lock();
	list_add_tail_rcu(&set->list, &ktrepl_exec_sets);
	ktrepl_exec_unlock();
	/* Executable from birth, perhaps. */
	ktrepl_exec_kick(set);
}

struct ktrepl_set *ktrepl_exec_detach(void *ptr)
{
	struct ktrepl_set *set = ktrepl_set_find((unsigned long)ptr);

	if (!set)
		return NULL;
	ktrepl_exec_lock();
	WRITE_ONCE(set->gone, true);
	ktrepl_exec_unlock();
	return set;
}

void ktrepl_exec_free(struct ktrepl_set *set)
{
	if (!set)
		return;
	/* Pairs with ktrepl_exec_reap(). */
	smp_store_release(&set->freed, true);
	ktrepl_exec_queue();
}

/* === Reporting =========================================================== */

static void ktrepl_exec_show_bytes(struct seq_file *m, const unsigned long *nr)
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

/* What an area is called: as its module, or as what it is for. */
static void ktrepl_exec_name(const struct ktrepl_set *set, char *name,
			     size_t size)
{
	const char *other = set->name;
	struct module *mod;

	/* Thunks of the image. */
	if (set->type == EXECMEM_MODULE_TEXT ||
	    set->type == EXECMEM_MODULE_DATA)
		other = "other";
	preempt_disable();
	mod = __module_address(set->start);
	strscpy(name, mod ? mod->name : other, size);
	preempt_enable();
}

static void ktrepl_exec_show_set(struct seq_file *m, struct ktrepl_set *set,
				 unsigned long *on, unsigned long *copies)
{
	unsigned long i, nr = 0, listed = 0;
	char name[MODULE_NAME_LEN];
	struct page *master;
	int nid;

	memset(on, 0, ktrepl_nr_nodes * sizeof(*on));
	memset(copies, 0, ktrepl_nr_nodes * sizeof(*copies));
	for (i = 0; i < ktrepl_set_pages(set); i++) {
		master = ktrepl_exec_master(set, i);
		if (master) {
			on[page_to_nid(master)]++;
			nr++;
		}
		for (nid = 0; nid < ktrepl_nr_nodes; nid++)
			if (ktrepl_set_copy(set, nid, i)) {
				copies[nid]++;
				listed++;
			}
	}
	if (!nr && !listed)
		return;
	ktrepl_exec_name(set, name, sizeof(name));
	seq_printf(m, "area %s %s %lx %lx %lu", name, set->name, set->start,
		   set->end - 1, nr << PAGE_SHIFT);
	ktrepl_exec_show_bytes(m, on);
	ktrepl_exec_show_bytes(m, copies);
	seq_putc(m, '\n');
}

/**
 * ktrepl_exec_show - areas and their copies, for debugfs
 * @m: where to write
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: 0 or -ENOMEM.
 */
int ktrepl_exec_show(struct seq_file *m)
{
	unsigned long *nr = kcalloc(2 * ktrepl_nr_nodes, sizeof(*nr),
				    GFP_KERNEL);
	struct ktrepl_set *set;

	lockdep_assert_held(&ktrepl_mutex);

	if (!nr)
		return -ENOMEM;
	seq_printf(m, "modules %s\n", ktrepl_param_modules ? "on" : "off");
	ktrepl_for_each_exec(set) {
		ktrepl_exec_lock();
		if (!set->gone && !ktrepl_exec_init_section(set))
			ktrepl_exec_show_set(m, set, nr, nr + ktrepl_nr_nodes);
		ktrepl_exec_unlock();
	}
	kfree(nr);
	return 0;
}
