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
 * on or not.  execmem_free() has it forgotten, unmaps it, which reaches the
 * nodes as any change of mappings does, and flushes TLBs; after that the set is
 * freed by the work.  Whoever looks at the pages of an area holds
 * ktrepl_exec_mutex and finds it not gone; the set itself is kept by
 * ktrepl_mutex as well.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bitmap.h>
#include <linux/irq_work.h>
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

/* From the last change to the copying: a module changes many pages in a row. */
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

/* === Asking for a scan =================================================== */

static void ktrepl_exec_work_fn(struct work_struct *work);

static DECLARE_DELAYED_WORK(ktrepl_exec_work, ktrepl_exec_work_fn);

static void ktrepl_exec_irq_fn(struct irq_work *work)
{
	queue_delayed_work(system_unbound_wq, &ktrepl_exec_work,
			   KTREPL_EXEC_DELAY);
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
	unsigned long addr = set->start + (index << PAGE_SHIFT);
	struct page *page;

	lockdep_assert_held(&ktrepl_exec_mutex);

	if (set->gone || !ktrepl_page_fixed(addr))
		return NULL;
	page = ktrepl_master_page(addr);
	/* Through the linear map: read-only data holds KASAN redzones. */
	return ktrepl_exec_filler(set, page_address(page)) ? NULL : page;
}

/* Where a node is to have its copies listed. */
static bool ktrepl_exec_array(struct ktrepl_set *set, struct ktrepl_node *node)
{
	struct page **pages = set->copy[node->nid];

	if (pages)
		return true;
	pages = kvcalloc(ktrepl_set_pages(set), sizeof(*pages),
			 GFP_KERNEL | __GFP_NOWARN);
	if (!pages) {
		atomic_long_inc(&node->stat[KTREPL_STAT_PAGE_FAIL]);
		return false;
	}
	/* Pairs with READ_ONCE() in ktrepl_set_copy(). */
	smp_store_release(&set->copy[node->nid], pages);
	return true;
}

/*
 * Memory for one page's copy on one node. From when it is listed pokes write
 * it, too; contents follow.
 */
static void ktrepl_exec_alloc_copy(struct ktrepl_set *set, unsigned long index,
				   struct ktrepl_node *node)
{
	struct page *copy;

	if (ktrepl_set_copy(set, node->nid, index) ||
	    !ktrepl_node_cover(node, set->start + (index << PAGE_SHIFT)) ||
	    !ktrepl_exec_array(set, node))
		return;
	copy = ktrepl_alloc(node, KTREPL_STAT_MODULE, PAGE_SIZE);
	if (!copy)
		return;
	/* A node that has come late gets its copy along with all others. */
	if (!test_bit(index, set->dead))
		ktrepl_page_retire(set, index);
	WRITE_ONCE(set->copy[node->nid][index], copy);
}

/* Tables and memory for what is missing. */
static void ktrepl_exec_prepare(struct ktrepl_set *set)
{
	unsigned long i, nr = ktrepl_set_pages(set);
	struct page *master;
	int nid;

	for (i = 0; i < nr; i++) {
		ktrepl_exec_lock();
		master = ktrepl_exec_master(set, i);
		for (nid = 0; master && nid < ktrepl_nr_nodes; nid++)
			if (ktrepl_nodes[nid] && ktrepl_nodes[nid]->root &&
			    page_to_nid(master) != nid)
				ktrepl_exec_alloc_copy(set, i,
						       ktrepl_nodes[nid]);
		ktrepl_exec_unlock();
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

/* Frees the copies of a page that is to have none any more. */
static void ktrepl_exec_drop(struct ktrepl_set *set, unsigned long index)
{
	unsigned long addr = set->start + (index << PAGE_SHIFT), flags;
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
		ktrepl_free(ktrepl_nodes[nid], KTREPL_STAT_MODULE, copy,
			    PAGE_SIZE);
	}
}

/* Copies a page to where there is memory for it, and has the copies mapped. */
static void ktrepl_exec_copy(struct ktrepl_set *set, unsigned long index,
			     struct page *master)
{
	struct page *copy;
	int nid;

	lockdep_assert_held(&text_mutex);

	if (!ktrepl_page_take(set, index))
		return;
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		copy = ktrepl_set_copy(set, nid, index);
		if (copy)
			arch_ktrepl_write(copy, 0, page_address(master),
					  PAGE_SIZE);
	}
	ktrepl_page_revive(set, index);
}

static void ktrepl_exec_update(struct ktrepl_set *set, unsigned long index)
{
	struct page *master;

	mutex_lock(&text_mutex);
	ktrepl_exec_lock();
	master = ktrepl_exec_master(set, index);
	if (master && test_bit(index, set->dead))
		ktrepl_exec_copy(set, index, master);
	else if (!master && !set->gone)
		ktrepl_exec_drop(set, index);
	ktrepl_exec_unlock();
	mutex_unlock(&text_mutex);
}

static void ktrepl_exec_scan_set(struct ktrepl_set *set)
{
	unsigned long i, nr = ktrepl_set_pages(set);
	bool any = false;

	if (ktrepl_exec_init_section(set))
		return;
	ktrepl_exec_prepare(set);
	for (i = 0; i < nr; i++) {
		if (!ktrepl_exec_listed(set, i))
			continue;
		ktrepl_exec_update(set, i);
		any = true;
		cond_resched();
	}
	/* So that the copies are used from now on; the master would do. */
	if (any)
		flush_tlb_kernel_range(set->start, set->end);
}

/**
 * ktrepl_exec_scan - give every page that is to have copies its copies
 *
 * Context: Process context, ktrepl_mutex held, takes text_mutex.
 */
void ktrepl_exec_scan(void)
{
	struct ktrepl_set *set;

	lockdep_assert_held(&ktrepl_mutex);

	if (!ktrepl_exec_is_on())
		return;
	/* Pairs with ktrepl_exec_kick(). */
	ktrepl_for_each_exec(set)
		if (xchg(&set->dirty, false))
			ktrepl_exec_scan_set(set);
}

/* Frees the sets of areas that are no more. */
static void ktrepl_exec_reap(void)
{
	struct ktrepl_set *set, *next;

	list_for_each_entry_safe(set, next, &ktrepl_exec_sets, list) {
		/* Pairs with ktrepl_exec_free(). */
		if (!smp_load_acquire(&set->freed))
			continue;
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
	ktrepl_exec_scan();
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
	set->gone = true;
	ktrepl_set_forget(set);
	ktrepl_exec_unlock();
	return set;
}

void ktrepl_exec_free(struct ktrepl_set *set)
{
	if (!set)
		return;
	/* Pairs with ktrepl_exec_reap(). */
	smp_store_release(&set->freed, true);
	queue_delayed_work(system_unbound_wq, &ktrepl_exec_work,
			   KTREPL_EXEC_DELAY);
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
