/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Private to lib/ktrepl and its tests.
 *
 * Locks, outermost first:
 *
 *   cpus_read_lock	no CPU comes or goes while replication is switched
 *   ktrepl_mutex	state, the list of regions, nodes being built or torn down
 *   text_mutex		contents of replicas and ktrepl_region.replica[]
 *   ktrepl_execmem_mutex	areas of executable memory come and go
 *   arch_ktrepl_lock()	(raw, or nothing) like text_mutex, for patchers without
 *   ktrepl_pt_lock	(raw) contents of cloned tables
 *
 * and for the roots, below mm->page_table_lock and the runqueue lock:
 *
 *   bucket lock	(raw) mm->ktrepl_roots and the hash of roots
 *   spare_lock		(raw) a node's spare roots
 */
#ifndef _KTREPL_INTERNAL_H
#define _KTREPL_INTERNAL_H

#include <linux/execmem.h>
#include <linux/irq_work.h>
#include <linux/ktrepl.h>
#include <linux/ktrepl_arch.h>
#include <linux/ktrepl_mm.h>
#include <linux/ktrepl_poke.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/numa.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

/*
 * Parts of a node's total, in bytes, followed by counts of events since boot.
 */
enum ktrepl_stat {
	KTREPL_STAT_RESIDENT,
	KTREPL_STAT_MODULE,
	KTREPL_STAT_OBJECT,
	KTREPL_STAT_PGTBL,
	KTREPL_STAT_FREE,
	KTREPL_STAT_RETIRED,
	KTREPL_NR_SIZES,
	KTREPL_STAT_PAGE_FAIL = KTREPL_NR_SIZES,
	KTREPL_STAT_PGTBL_FAIL,
	KTREPL_STAT_POKE,
	KTREPL_STAT_COPY,
	KTREPL_STAT_DROP,
	KTREPL_STAT_FALLBACK,
	KTREPL_STAT_ROOT,
	KTREPL_STAT_ROOT_MISSED,
	KTREPL_NR_STATS,
};

extern const char *const ktrepl_stat_names[KTREPL_NR_STATS];

/**
 * struct ktrepl_node - a node that takes part
 * @nid:	  node id
 * @stat:	  counters, enum ktrepl_stat
 * @wanted:	  some CPU has it as its preferred node; ktrepl_mutex
 * @announced:	  KTREPL_NODE_GAINED has been sent for it; ktrepl_mutex
 * @live:	  its tables are finished, and CPUs may go on them; changes with
 *		  ktrepl_mutex held and CPU hotplug kept out
 * @incomplete:	  pages of the image or objects are without a replica for lack
 *		  of memory; ktrepl_mutex
 * @starved:	  since the present attempt began, a page could not be had;
 *		  ktrepl_mutex
 * @strikes:	  replicas that could not be made equal again; ktrepl_mutex
 * @chunks:	  memory for replicas, see arena.c; ktrepl_mutex
 * @root:	  kernel root with private leaves, or NULL; changes only while
 *		  @live is false, and so no CPU is on it; ktrepl_mutex and
 *		  ktrepl_pt_lock
 * @tables:	  cloned tables, by page->lru; ktrepl_mutex
 * @clones:	  clone of a primary's table, by the latter's page frame number;
 *		  written under ktrepl_mutex
 * @misplaced:	  some of @tables may have lost their place; ktrepl_pt_lock
 * @last:	  where PTEs have been synced last, or NULL: the primary's
 *		  entry, its value then, and the table that the node has in
 *		  place of the one it points to; ktrepl_pt_lock
 * @step:	  its table of PTEs for the step that is being done, or NULL;
 *		  ktrepl_pt_lock
 * @cpus:	  CPUs that are on it; each CPU changes its own bit, see
 *		  ktrepl_set_preferred()
 * @spare_lock:	  protects @spare and @nr_spare
 * @spare:	  spare roots for mms
 * @nr_spare:	  number of spare roots
 * @want_spare:	  how many there should be, 0 while there are to be none
 * @missed:	  CPUs that found no spare root, and may run on another node's
 *		  tables, or that are to leave an mm that they have lazily
 * @backoff:	  after a failure, when to try again, in jiffies
 * @refill_irq:	  asks for @refill from under the runqueue lock
 * @refill:	  allocates spare roots; pending with a delay while it backs off
 */
struct ktrepl_node {
	int nid;
	atomic_long_t stat[KTREPL_NR_STATS];
	bool wanted;
	bool announced;
	bool live;
	bool incomplete;
	bool starved;
	unsigned int strikes;
	struct list_head chunks;
	pgd_t *root;
	struct list_head tables;
	struct xarray clones;
	bool misplaced;
	struct {
		pmd_t *pmd;
		pmd_t val;
		pte_t *table;
	} last;
	pte_t *step;
	cpumask_t cpus;
#ifdef CONFIG_KTREPL_ROOTS
	raw_spinlock_t spare_lock;
	struct list_head spare;
	unsigned int nr_spare;
	unsigned int want_spare;
	cpumask_t missed;
	unsigned int backoff;
	struct irq_work refill_irq;
	struct delayed_work refill;
#endif
};

/**
 * ktrepl_node_count - an event has happened on a node
 * @node: the node
 * @stat: which event
 *
 * Context: Any, NMI and kgdb included.
 */
static __always_inline void ktrepl_node_count(struct ktrepl_node *node,
					      enum ktrepl_stat stat)
{
	atomic_long_inc(&node->stat[stat]);
}

/**
 * struct ktrepl_region - a replicated range of addresses
 * @list:  on ktrepl_regions; ktrepl_mutex
 * @name:  what reports call it
 * @kind:  text or read-only data
 * @mapped: nodes map their replicas at the region's addresses
 * @start: first address, page aligned
 * @end:   first address behind it, page aligned
 * @execmem:  an area of executable memory, see execmem.c: its pages are looked at
 *	   one by one, and can change between read-only and writable any time
 * @stale:  pages that are mapped from the primary though there may be a
 *	   replica: since the replica was taken, the primary has been made
 *	   writable.  That is until replication is switched on anew, or, with
 *	   @execmem, until the page has been copied once more; ktrepl_pt_lock
 * @type:  @execmem: what the area is for
 * @dirty: @execmem: there may be pages to copy
 * @scan:  @execmem: they are being copied; ktrepl_mutex
 * @incomplete: @execmem: pages are without a replica for lack of memory;
 *	   ktrepl_mutex
 * @dying:  no longer to be found: the area is being freed; ktrepl_execmem_mutex
 * @unmapped: @execmem: no CPU can reach its pages any more
 * @stable: @execmem: pages that nobody can have written to, other than by a
 *	   poke, since the copying of them began; changes under ktrepl_pt_lock
 * @first: of the image: the page of the primary at @start, which the others follow
 * @nodes: how many node ids there can be
 * @replica: so many entries a page, by node id, NULL where the node uses the
 *	   primary; removed under text_mutex
 */
struct ktrepl_region {
	struct list_head list;
	const char *name;
	enum ktrepl_kind kind;
	bool mapped;
	bool execmem;
	unsigned long start;
	unsigned long end;
	unsigned long *stale;
	enum execmem_type type;
	bool dirty;
	bool scan;
	bool incomplete;
	bool dying;
	bool unmapped;
	unsigned long *stable;
	struct page *first;
	unsigned int nodes;
	struct page *replica[];
};

/* How many node ids there can be on this machine, pretended ones included. */
static inline unsigned int ktrepl_max_nodes(void)
{
	return IS_ENABLED(CONFIG_HAVE_ARCH_KTREPL) ? nr_node_ids :
	       max_t(unsigned int, nr_node_ids, 8);
}

static inline enum ktrepl_stat ktrepl_region_stat(const struct ktrepl_region *region)
{
	return region->execmem ? KTREPL_STAT_MODULE : KTREPL_STAT_RESIDENT;
}

static inline unsigned long ktrepl_region_pages(const struct ktrepl_region *region)
{
	return (region->end - region->start) >> PAGE_SHIFT;
}

static inline unsigned long ktrepl_region_addr(const struct ktrepl_region *region,
					       unsigned long index)
{
	return region->start + (index << PAGE_SHIFT);
}

static inline unsigned long ktrepl_region_index(const struct ktrepl_region *region,
						unsigned long addr)
{
	return (addr - region->start) >> PAGE_SHIFT;
}

/* The entries of a page, by node id. */
static __always_inline struct page **
ktrepl_region_entries(const struct ktrepl_region *region, unsigned long index)
{
	return (struct page **)region->replica + index * region->nodes;
}

/**
 * ktrepl_region_replica - the replica of one page on a node
 * @region: the region
 * @nid:   the node
 * @index: page within the region
 *
 * Context: text_mutex, arch_ktrepl_lock() or ktrepl_mutex held, or the only
 * running CPU.
 * Return: the replica, or NULL if the node uses the primary.
 */
static __always_inline struct page *
ktrepl_region_replica(const struct ktrepl_region *region, unsigned long nid,
		      unsigned long index)
{
	return READ_ONCE(ktrepl_region_entries(region, index)[nid]);
}

/* [F7] May nodes have tables of their own, all the way from @start to @end? */
static inline bool ktrepl_in_bounds(unsigned long start, unsigned long end)
{
	return start >= ktrepl_lowest && end <= ktrepl_highest;
}

/* core.c: life cycle */
enum ktrepl_state {
	KTREPL_BOOTING,		/* parameters are only remembered */
	KTREPL_OFF,
	KTREPL_ON,
	KTREPL_REFUSED,		/* for this boot, with a reason */
	KTREPL_BROKEN,		/* an invariant did not hold, with a reason */
};

extern enum ktrepl_state ktrepl_state;

extern struct mutex ktrepl_mutex;
extern const struct ktrepl_arch_info *ktrepl_info;
/* By range of ktrepl_info. */
extern struct ktrepl_region *ktrepl_image[KTREPL_MAX_RANGES];
extern struct list_head ktrepl_regions;

#define KTREPL_NODES_LEN 256
extern char ktrepl_param_nodes[KTREPL_NODES_LEN];
extern unsigned long ktrepl_param_mem_max;	/* bytes, 0: no limit */

DECLARE_PER_CPU(struct ktrepl_node *, ktrepl_cpu_preferred);

bool ktrepl_is_on(void);
const char *ktrepl_state_name(void);
const char *ktrepl_state_reason(void);
int ktrepl_enable(void);
void ktrepl_disable(void);
void ktrepl_settle(void);
struct ktrepl_node *ktrepl_best_node(int cpu);
void ktrepl_place_cpus(void);
void ktrepl_node_populate(struct ktrepl_node *node);
bool ktrepl_node_build(struct ktrepl_node *node);
void ktrepl_node_detach(struct ktrepl_node *node);
void ktrepl_node_tear_down(struct ktrepl_node *node);
void ktrepl_state_show(struct seq_file *m);

#if IS_ENABLED(CONFIG_KUNIT)
int ktrepl_cpu_prepare(unsigned int cpu);
int ktrepl_pm_notify(struct notifier_block *nb, unsigned long event, void *unused);
#endif

/* heal.c: shortage and divergence */

/* Pages that a node takes out of use before it gives up all of its replicas. */
#define KTREPL_STRIKES		8

static inline bool ktrepl_node_given_up(const struct ktrepl_node *node)
{
	return node->strikes >= KTREPL_STRIKES;
}

extern const char *ktrepl_broken_why;

void ktrepl_broken(const char *why);
void ktrepl_heal_queue(void);
void ktrepl_heal_soon(void);
void ktrepl_heal_flush(void);
bool ktrepl_fill(void);
void ktrepl_retire(struct ktrepl_region *region, int nid, unsigned long index);
void ktrepl_heal_show(struct seq_file *m);
void ktrepl_diverged(const struct ktrepl_diff *diff);

/* nodes.c: which nodes take part, and what they hold */
extern struct ktrepl_node *ktrepl_nodes[KTREPL_MAX_NODES];
extern unsigned long ktrepl_primary_nodes[];		/* nodes that hold the primary */
extern unsigned int ktrepl_nr_nodes;	/* highest node id there can be, plus 1 */

int ktrepl_parse_nodes(const char *str, unsigned long *nodes,
		       const unsigned long *possible);
int ktrepl_nodes_init(void);
bool ktrepl_node_allowed(int nid);
int ktrepl_node_preferred(int nid);
int ktrepl_node_now(int nid);
bool ktrepl_node_wanted(int nid);
int ktrepl_cpu_node(int cpu);
int ktrepl_page_node(struct page *page);
int ktrepl_nearest(int nid, const unsigned long *nodes);
int ktrepl_gfp_node(int nid);
bool ktrepl_charge(struct ktrepl_node *node, enum ktrepl_stat stat, long bytes);
void ktrepl_uncharge(struct ktrepl_node *node, enum ktrepl_stat stat,
		     long bytes);
void ktrepl_stat_move(struct ktrepl_node *node, enum ktrepl_stat from,
		      enum ktrepl_stat to, long bytes);

/* arena.c: memory for replicas */
struct page *ktrepl_alloc(struct ktrepl_node *node, enum ktrepl_stat stat,
			  size_t size);
void ktrepl_free(struct ktrepl_node *node, enum ktrepl_stat stat,
		 struct page *page, size_t size);
void ktrepl_arena_destroy(struct ktrepl_node *node);

/* query.c */
bool ktrepl_bytes_equal(unsigned long addr, const void *want, size_t len,
			struct ktrepl_diff *diff);

/* region.c: registry */
struct ktrepl_region *ktrepl_region_alloc(const char *name, enum ktrepl_kind kind,
					  unsigned long start, unsigned long end);
bool ktrepl_region_remove(const struct ktrepl_region *region);
void ktrepl_region_free(struct ktrepl_region *region);
struct ktrepl_region *ktrepl_region_register(const char *name, enum ktrepl_kind kind,
					     unsigned long start, unsigned long end);
void ktrepl_region_unregister(struct ktrepl_region *region);
struct ktrepl_region *ktrepl_region_find(unsigned long addr);
struct ktrepl_region *ktrepl_region_around(unsigned long addr, unsigned long *start,
					   unsigned long *last);
struct page *ktrepl_primary_page(unsigned long addr);
struct page **ktrepl_region_reserve(struct ktrepl_region *region, int nid);
void ktrepl_region_publish(struct ktrepl_region *region, int nid, struct page **fresh);
unsigned long ktrepl_region_missing(struct ktrepl_region *region, int nid);
void ktrepl_region_retire(struct ktrepl_region *region, int nid, unsigned long index);
void ktrepl_region_unlist(struct ktrepl_region *region, unsigned long index,
			  int first, int last, struct list_head *unlisted);
void ktrepl_region_reclaim(const struct ktrepl_region *region,
			   struct list_head *unlisted, int lost);
void ktrepl_region_depopulate(struct ktrepl_region *region, int nid);

/* verify.c */

#define KTREPL_WINDOW_PAGES	(SZ_2M >> PAGE_SHIFT)

/* What is copied while pokes are kept out, perhaps with interrupts disabled. */
#define KTREPL_PIECE		512U

/**
 * struct ktrepl_window - replicas that are being filled, see window.c
 * @pages: the replicas
 * @regions: the region of each
 * @index: the page of each within its region
 * @nids:  the node of each
 * @nr:	   how many there are
 * @alias: where they are mapped writable, or NULL
 */
struct ktrepl_window {
	struct page *pages[KTREPL_WINDOW_PAGES];
	struct ktrepl_region *regions[KTREPL_WINDOW_PAGES];
	unsigned long index[KTREPL_WINDOW_PAGES];
	int nids[KTREPL_WINDOW_PAGES];
	unsigned int nr;
	void *alias;
};

/* Under ktrepl_mutex; empty while nobody copies. */
extern struct ktrepl_window ktrepl_window;

void ktrepl_window_add(struct ktrepl_window *w, struct page *page,
		       struct ktrepl_region *region, int nid, unsigned long index);
bool ktrepl_window_open(struct ktrepl_window *w);
void ktrepl_window_fill(const struct ktrepl_window *w, unsigned int i,
			struct page *primary);
void ktrepl_window_close(struct ktrepl_window *w);

/**
 * struct ktrepl_verify_result - what a comparison has found
 * @compared:  number of replicas
 * @different: number of replicas that differ from their primary
 * @doubtful:  of these, how many agree with each other against their primary
 */
struct ktrepl_verify_result {
	unsigned long compared;
	unsigned long different;
	unsigned long doubtful;
};

void ktrepl_verify(struct ktrepl_verify_result *res, struct seq_file *m, bool repair);
bool ktrepl_region_repair(struct ktrepl_region *region, unsigned long index,
			  unsigned long *differ);

/* report.c */
#if IS_ENABLED(CONFIG_KUNIT)
unsigned long ktrepl_stale(int nid);
int ktrepl_report_state_show(struct seq_file *m, void *unused);
int ktrepl_report_stats_show(struct seq_file *m, void *unused);
int ktrepl_report_regions_show(struct seq_file *m, void *unused);
int ktrepl_report_verify_show(struct seq_file *m, void *unused);
#endif

/* object.c */
void ktrepl_objects_verify(struct ktrepl_verify_result *res, struct seq_file *m);
bool ktrepl_objects_fill(void);
void ktrepl_objects_drop(void);
const void *ktrepl_object_replica(const struct ktrepl_object *obj, int nid);

/* notify.c */
void ktrepl_notify(enum ktrepl_event event, int nid, unsigned long addr);
void ktrepl_announce(void);

#ifdef CONFIG_HAVE_ARCH_KTREPL

/* locality.c: execution proof */
void ktrepl_locality_show(struct seq_file *m);

/* pgtable.c */
#define ktrepl_primary_root()	((pgd_t *)lm_alias(init_mm.pgd))

unsigned long ktrepl_leaf_size(unsigned long addr);
bool ktrepl_leaf_private(const struct ktrepl_node *node, unsigned long addr);
bool ktrepl_leaf_is_split(const struct ktrepl_node *node, unsigned long addr);
bool ktrepl_leaf_split(struct ktrepl_node *node, unsigned long addr);
int ktrepl_node_map(struct ktrepl_node *node);
int ktrepl_node_install(struct ktrepl_node *node);
void ktrepl_node_unmap(struct ktrepl_node *node);
bool ktrepl_node_cover(struct ktrepl_node *node, unsigned long addr);
void ktrepl_cloned_mark(unsigned long start, unsigned long end);
void ktrepl_spans_clear(void);
void ktrepl_pt_barrier(void);
pgd_t *ktrepl_root_alloc(struct ktrepl_node *node, pgd_t *from);
void ktrepl_root_free(struct ktrepl_node *node, pgd_t *root);
void ktrepl_translations_show(struct seq_file *m);

/**
 * struct ktrepl_mapping - what a root maps at an address
 * @pfn:    of the page that backs the address
 * @prot:   flags of the leaf
 * @size:   size of the leaf
 * @remote: number of tables on the way that are not on the node asked for, the
 *	    root not counted where it is a process's
 */
struct ktrepl_mapping {
	unsigned long pfn;
	pgprot_t prot;
	unsigned long size;
	unsigned int remote;
};

bool ktrepl_walk(pgd_t *root, unsigned long addr, int nid,
		 struct ktrepl_mapping *w);

#if IS_ENABLED(CONFIG_KUNIT)
extern raw_spinlock_t ktrepl_pt_lock;
void ktrepl_flush_tables(void);
void ktrepl_see_stores(void);
bool ktrepl_cloned_meets(unsigned long start, unsigned long end);
#endif

/* What becomes of a page of executable memory. */
struct page *ktrepl_page_is_ro(unsigned long addr);
void ktrepl_page_copy_begin(struct ktrepl_region *region, unsigned long index);
unsigned long ktrepl_pages_map_replica(struct ktrepl_region *region, unsigned long index,
				       unsigned long nr);
void ktrepl_page_map_primary(struct ktrepl_region *region, unsigned long index);
void ktrepl_pages_reset(struct ktrepl_region *region);

#else

static inline unsigned long ktrepl_leaf_size(unsigned long addr)
{
	return PAGE_SIZE;
}

static inline bool ktrepl_leaf_private(const struct ktrepl_node *node,
				       unsigned long addr)
{
	return true;
}

static inline bool ktrepl_node_cover(struct ktrepl_node *node,
				     unsigned long addr)
{
	return true;
}

static inline bool ktrepl_leaf_is_split(const struct ktrepl_node *node,
					unsigned long addr)
{
	return true;
}

static inline bool ktrepl_leaf_split(struct ktrepl_node *node,
				     unsigned long addr)
{
	return true;
}

static inline int ktrepl_node_map(struct ktrepl_node *node)
{
	return 0;
}

static inline int ktrepl_node_install(struct ktrepl_node *node)
{
	return 0;
}

static inline void ktrepl_node_unmap(struct ktrepl_node *node) { }
static inline void ktrepl_pages_reset(struct ktrepl_region *region) { }
static inline void ktrepl_cloned_mark(unsigned long start, unsigned long end) { }
static inline void ktrepl_spans_clear(void) { }
static inline void ktrepl_pt_barrier(void) { }
static inline void ktrepl_locality_show(struct seq_file *m) { }
static inline void ktrepl_translations_show(struct seq_file *m) { }
static inline void arch_ktrepl_attach(void) { }

#endif /* CONFIG_HAVE_ARCH_KTREPL */

#ifdef CONFIG_KTREPL_MODULES

/* execmem.c, pages.c: modules and all other executable memory */
extern struct mutex ktrepl_execmem_mutex;
extern struct list_head ktrepl_execmem_regions;

/* Regions are added any time, but freed under ktrepl_mutex only. */
#define ktrepl_for_each_execmem(region)					\
	list_for_each_entry_rcu(region, &ktrepl_execmem_regions, list, true)

bool ktrepl_execmem_is_on(void);
void ktrepl_execmem_start(void);
void ktrepl_execmem_node_start(void);
void ktrepl_execmem_stop(void);
bool ktrepl_execmem_scan(bool retry);
unsigned long ktrepl_execmem_missing(int nid);
void ktrepl_execmem_queue(struct ktrepl_region *region);
void ktrepl_execmem_flush(void);
void ktrepl_execmem_retire(struct ktrepl_region *region, int nid, unsigned long index);
int ktrepl_execmem_show(struct seq_file *m);
void ktrepl_pages_name(unsigned long addr, char *name, size_t size);

static inline void ktrepl_execmem_lock(void)
{
	mutex_lock(&ktrepl_execmem_mutex);
}

static inline void ktrepl_execmem_unlock(void)
{
	mutex_unlock(&ktrepl_execmem_mutex);
}

static inline void ktrepl_execmem_assert_unlocked(void)
{
	lockdep_assert_not_held(&ktrepl_execmem_mutex);
}

#else

/* There are no such regions. */
#define ktrepl_for_each_execmem(region) for ((region) = NULL; (region); )

static inline bool ktrepl_execmem_is_on(void)
{
	return false;
}

static inline void ktrepl_execmem_start(void) { }
static inline void ktrepl_execmem_node_start(void) { }
static inline void ktrepl_execmem_stop(void) { }
static inline bool ktrepl_execmem_scan(bool retry) { return true; }
static inline unsigned long ktrepl_execmem_missing(int nid) { return 0; }
static inline void ktrepl_execmem_queue(struct ktrepl_region *region) { }
static inline void ktrepl_execmem_flush(void) { }
static inline void ktrepl_execmem_retire(struct ktrepl_region *region, int nid,
					 unsigned long index) { }
static inline void ktrepl_execmem_lock(void) { }
static inline void ktrepl_execmem_unlock(void) { }
static inline void ktrepl_execmem_assert_unlocked(void) { }

#endif /* CONFIG_KTREPL_MODULES */

#ifdef CONFIG_KTREPL_ROOTS

/* root.c */
void ktrepl_roots_node_init(struct ktrepl_node *node);
int ktrepl_roots_init(void);
void ktrepl_roots_start(void);
void ktrepl_roots_node_start(struct ktrepl_node *node);
void ktrepl_roots_cpu_start(struct ktrepl_node *node);
void ktrepl_roots_node_retry(struct ktrepl_node *node);
void ktrepl_roots_leave(struct ktrepl_node *node);
void ktrepl_roots_stop(void);
void ktrepl_roots_finish(void);
void ktrepl_roots_pressure(void);
void ktrepl_roots_show(struct seq_file *m);

#if IS_ENABLED(CONFIG_KUNIT)
raw_spinlock_t *ktrepl_roots_lock(const struct mm_struct *mm);
unsigned int ktrepl_roots_of(const struct mm_struct *mm);
#endif

#else

static inline void ktrepl_roots_node_init(struct ktrepl_node *node) { }
static inline int ktrepl_roots_init(void)
{
	return 0;
}

static inline void ktrepl_roots_start(void) { }
static inline void ktrepl_roots_node_start(struct ktrepl_node *node) { }
static inline void ktrepl_roots_cpu_start(struct ktrepl_node *node) { }
static inline void ktrepl_roots_node_retry(struct ktrepl_node *node) { }
static inline void ktrepl_roots_leave(struct ktrepl_node *node) { }
static inline void ktrepl_roots_stop(void) { }
static inline void ktrepl_roots_finish(void) { }
static inline void ktrepl_roots_show(struct seq_file *m) { }

#endif /* CONFIG_KTREPL_ROOTS */

#endif /* _KTREPL_INTERNAL_H */
