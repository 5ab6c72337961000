// SPDX-License-Identifier: GPL-2.0
/*
 * Node roots of user mms, for architectures whose one root maps user and
 * kernel space.
 *
 * mm->pgd stays what it is: the authority for user entries, mapping the master
 * of the kernel.  A node root is a copy of it with the node's kernel entries,
 * made when the mm is first loaded on a CPU of the node.  That happens under
 * the runqueue lock, so it is made from a spare root, prepared outside: the
 * first switch already runs on node-local text, and nothing needs to be
 * reloaded later.  When spares have run out the CPU uses mm->pgd, and notes that
 * on ktrepl_node.missed.  The work item that makes new spares has such CPUs look
 * for their root once more, by their stopper threads: an IPI can come while a
 * CPU runs on tables that are not those of its loaded mm.  The work item takes
 * neither cpus_read_lock nor ktrepl_mutex, because ktrepl_roots_stop() waits for
 * it under both.
 *
 * Concurrency.  The roots of an mm hang on mm->ktrepl_roots, and on a hash by
 * the address of mm->pgd, whose bucket lock protects both.
 *
 * - A writer of an entry of mm->pgd stores first, and then repeats the store in
 *   every node root under the bucket lock (__ktrepl_set_top()).  A root is
 *   filled from mm->pgd and hashed in one critical section.  Whichever comes
 *   first, the root ends up with the new entry.
 *
 * - __ktrepl_mm_pgd() walks mm->ktrepl_roots without the lock.  New roots are
 *   published by a release store.  Roots are unlinked only when they cannot be
 *   loaded any more: at the end of the mm, by switching off (after every CPU
 *   has been moved to the master), and by reclaim.  See ktrepl_root_unlink()
 *   for the latter.
 *
 * - kgdb pokes text while all other CPUs stand still, holding any lock.  Into
 *   the poke and back it uses a root that is there, or mm->pgd, like a CPU that
 *   has found no spare: see ktrepl_root_make().
 *
 * A root that an mm gives back becomes a spare again.  Its user entries are
 * stale then, and overwritten when it is filled the next time.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/cpumask.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/kgdb.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/stop_machine.h>
#include <linux/workqueue.h>

#include <trace/events/ktrepl.h>

#include "internal.h"

/**
 * struct ktrepl_root - a node root
 * @list:   on a bucket of the hash, or on ktrepl_node.ready
 * @next:   next root of the same mm
 * @node:   the node
 * @pgd:    the root group
 * @mm:	    whose root it is; NULL for a spare, and while it is being reclaimed
 * @master: @mm->pgd; stays while it is being reclaimed
 * @used:   when it was last loaded, in jiffies
 */
struct ktrepl_root {
	struct list_head list;
	struct ktrepl_root *next;
	struct ktrepl_node *node;
	pgd_t *pgd;
	struct mm_struct *mm;
	pgd_t *master;
	unsigned long used;
};

/*
 * A bucket is walked with interrupts disabled, at each store to a root entry.
 * How many roots there are goes with memory: have a bucket for each 16 MiB.
 */
#define KTREPL_BUCKET_SHIFT	24
#define KTREPL_BUCKET_BITS_MIN	8
#define KTREPL_BUCKET_BITS_MAX	16

static struct ktrepl_root_bucket {
	raw_spinlock_t lock;
	struct list_head roots;
} *ktrepl_root_hash __read_mostly;

static unsigned int ktrepl_root_bits __read_mostly;

#define ktrepl_for_each_bucket(b)					\
	for ((b) = ktrepl_root_hash;					\
	     (b) < ktrepl_root_hash + (1UL << ktrepl_root_bits); (b)++)

/*
 * True while a node root may exist.  Entries of root tables are mirrored, and
 * CPUs ask for their root, only then.
 */
DEFINE_STATIC_KEY_FALSE(ktrepl_roots_key);

/*
 * Written on the CPU itself.  While the key is off it is NULL, because the last
 * choices before, and all before the first CPU has a home, are mm->pgd.
 */
DEFINE_PER_CPU(pgd_t *, ktrepl_cpu_mm_root);

/* May spare roots be made?  ktrepl_mutex; read by the refill work. */
static bool ktrepl_roots_on;

static atomic_long_t ktrepl_roots_live, ktrepl_roots_ready;
static atomic_long_t ktrepl_roots_made, ktrepl_roots_reclaimed;
static atomic_long_t ktrepl_roots_missed;

/* Spare roots: what a node and each of its CPUs may use up in a burst. */
#define KTREPL_READY_NODE	16
#define KTREPL_READY_CPU	4

/* Without memory for spares, try again after so long, and ever more seldom. */
#define KTREPL_BACKOFF_MIN	(HZ / 8)
#define KTREPL_BACKOFF_MAX	(HZ / 2)

/* A root that has not been loaded for so long is given back. */
#define KTREPL_ROOT_IDLE	(5 * HZ)
#define KTREPL_ROOT_IDLE_PRESS	(HZ / 10)

static void ktrepl_reclaim_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(ktrepl_reclaim_work, ktrepl_reclaim_fn);

static struct ktrepl_root_bucket *ktrepl_root_bucket(const void *pgd)
{
	return &ktrepl_root_hash[hash_ptr(pgd, ktrepl_root_bits)];
}

/* === Spare roots ========================================================= */

static struct ktrepl_root *ktrepl_ready_pop(struct ktrepl_node *node)
{
	struct ktrepl_root *root;

	raw_spin_lock(&node->ready_lock);
	root = list_first_entry_or_null(&node->ready, struct ktrepl_root, list);
	if (root) {
		list_del(&root->list);
		node->nr_ready--;
		atomic_long_dec(&ktrepl_roots_ready);
	}
	raw_spin_unlock(&node->ready_lock);
	return root;
}

/* Returns false when there are enough, unless forced. */
static bool ktrepl_ready_push(struct ktrepl_root *root, bool force)
{
	struct ktrepl_node *node = root->node;
	unsigned long flags;
	bool room;

	raw_spin_lock_irqsave(&node->ready_lock, flags);
	room = force || node->nr_ready < node->want_ready;
	if (room) {
		list_add(&root->list, &node->ready);
		node->nr_ready++;
		atomic_long_inc(&ktrepl_roots_ready);
	}
	raw_spin_unlock_irqrestore(&node->ready_lock, flags);
	return room;
}

static void ktrepl_root_destroy(struct ktrepl_root *root)
{
	ktrepl_root_free(root->node, root->pgd);
	kfree(root);
}

static void ktrepl_ready_drain(struct ktrepl_node *node, unsigned int keep)
{
	struct ktrepl_root *root;

	while (READ_ONCE(node->nr_ready) > keep) {
		local_irq_disable();
		root = ktrepl_ready_pop(node);
		local_irq_enable();
		if (root)
			ktrepl_root_destroy(root);
	}
}

static struct ktrepl_root *ktrepl_root_create(struct ktrepl_node *node)
{
	struct ktrepl_root *root;

	root = kzalloc_node(sizeof(*root), GFP_KERNEL | __GFP_NOWARN,
			    node->nid);
	if (!root) {
		atomic_long_inc(&node->stat[KTREPL_STAT_PGTBL_FAIL]);
		return NULL;
	}
	root->node = node;
	root->pgd = ktrepl_root_alloc(node, node->root);
	if (!root->pgd) {
		kfree(root);
		return NULL;
	}
	return root;
}

/* On a CPU that may run on a master root, from its stopper thread. */
static int ktrepl_attach_fn(void *node)
{
	unsigned long flags;

	local_irq_save(flags);
	if (this_cpu_read(ktrepl_cpu_home) == node)
		arch_ktrepl_attach();
	local_irq_restore(flags);
	return 0;
}

/* Those that find no spare this time either note that again. */
static void ktrepl_attach_missed(struct ktrepl_node *node)
{
	unsigned int cpu;

	for_each_cpu(cpu, &node->missed)
		if (cpumask_test_and_clear_cpu(cpu, &node->missed))
			/* -ENOENT: it has gone, and with it the need. */
			stop_one_cpu(cpu, ktrepl_attach_fn, node);
}

static void ktrepl_refill_later(struct ktrepl_node *node)
{
	node->backoff = clamp(2 * node->backoff, KTREPL_BACKOFF_MIN,
			      KTREPL_BACKOFF_MAX);
	queue_delayed_work(system_unbound_wq, &node->refill, node->backoff);
}

static bool ktrepl_refill(struct ktrepl_node *node)
{
	struct ktrepl_root *root;

	/* CPUs come and go. */
	WRITE_ONCE(node->want_ready, KTREPL_READY_NODE + KTREPL_READY_CPU *
				     cpumask_weight(&node->cpus));
	while (READ_ONCE(node->nr_ready) < node->want_ready) {
		root = ktrepl_root_create(node);
		if (!root)
			return false;
		if (!ktrepl_ready_push(root, false))
			ktrepl_root_destroy(root);
	}
	return true;
}

static void ktrepl_refill_fn(struct work_struct *work)
{
	struct ktrepl_node *node = container_of(to_delayed_work(work),
						struct ktrepl_node, refill);

	if (ktrepl_refill(node))
		node->backoff = 0;
	else
		ktrepl_refill_later(node);
	if (READ_ONCE(node->nr_ready))
		ktrepl_attach_missed(node);
}

static void ktrepl_kick_fn(struct irq_work *work)
{
	struct ktrepl_node *node = container_of(work, struct ktrepl_node, kick);

	queue_delayed_work(system_unbound_wq, &node->refill, 0);
}

/*
 * Under the runqueue lock, and under kgdb, work cannot be queued directly.  It
 * is pending already while it backs off.
 */
static void ktrepl_refill_kick(struct ktrepl_node *node)
{
	if (!delayed_work_pending(&node->refill))
		irq_work_queue(&node->kick);
}

/* This CPU uses mm->pgd, until the refill work has it try again. */
static void ktrepl_root_missed(struct ktrepl_node *node)
{
	atomic_long_inc(&ktrepl_roots_missed);
	cpumask_set_cpu(smp_processor_id(), &node->missed);
	/*
	 * Pairs with the barrier between taking work off the queue and running
	 * it: it is either no longer pending, or sees the bit.
	 */
	smp_mb__after_atomic();
	ktrepl_refill_kick(node);
}

/* === Roots of an mm ====================================================== */

static struct ktrepl_root *ktrepl_root_find(const struct mm_struct *mm,
					    const struct ktrepl_node *node)
{
	struct ktrepl_root *root;

	/* Pairs with smp_store_release() in ktrepl_root_make(). */
	for (root = smp_load_acquire(&mm->ktrepl_roots); root;
	     root = READ_ONCE(root->next))
		if (root->node == node)
			return root;
	return NULL;
}

/* Not inline: what it saves would be saved at each switch. */
static noinline pgd_t *ktrepl_root_make(struct mm_struct *mm,
					struct ktrepl_node *node)
{
	struct ktrepl_root_bucket *b;
	struct ktrepl_root *root, *spare;

	/* CPUs that hold the locks below stand still. */
	if (in_dbg_master()) {
		ktrepl_root_missed(node);
		return NULL;
	}

	spare = ktrepl_ready_pop(node);
	if (!spare) {
		ktrepl_root_missed(node);
		return NULL;
	}
	if (READ_ONCE(node->nr_ready) < READ_ONCE(node->want_ready) / 2)
		ktrepl_refill_kick(node);

	b = ktrepl_root_bucket(mm->pgd);
	raw_spin_lock(&b->lock);
	/* Another CPU of the node, or reclaim that put it back. */
	root = ktrepl_root_find(mm, node);
	if (!root && arch_ktrepl_root_fill(spare->pgd, mm)) {
		root = spare;
		spare = NULL;
		root->mm = mm;
		root->master = mm->pgd;
		root->used = jiffies;
		root->next = mm->ktrepl_roots;
		list_add(&root->list, &b->roots);
		/* Pairs with smp_load_acquire() in ktrepl_root_find(). */
		smp_store_release(&mm->ktrepl_roots, root);
		atomic_long_inc(&ktrepl_roots_live);
		atomic_long_inc(&ktrepl_roots_made);
	}
	raw_spin_unlock(&b->lock);

	if (spare)
		ktrepl_ready_push(spare, true);
	return root ? root->pgd : NULL;
}

static pgd_t *ktrepl_root_choose(struct mm_struct *mm)
{
	struct ktrepl_node *node = this_cpu_read(ktrepl_cpu_home);
	struct ktrepl_root *root;
	unsigned long now;

	if (!node || !node->root)
		return NULL;
	if (mm == &init_mm)
		return node->root;

	root = ktrepl_root_find(mm, node);
	if (!root)
		return ktrepl_root_make(mm, node);
	/* Only once a tick: other CPUs of the node read it as well. */
	now = jiffies;
	if (root->used != now)
		WRITE_ONCE(root->used, now);
	return root->pgd;
}

pgd_t *__ktrepl_mm_pgd(struct mm_struct *mm)
{
	pgd_t *root = ktrepl_root_choose(mm);

	this_cpu_write(ktrepl_cpu_mm_root, root);
	return root ?: mm->pgd;
}

void __ktrepl_set_top(const void *entry)
{
	const void *pgd = PTR_ALIGN_DOWN(entry, PAGE_SIZE << KTREPL_ROOT_ORDER);
	struct ktrepl_root_bucket *b = ktrepl_root_bucket(pgd);
	struct ktrepl_root *root;
	unsigned long flags;

	raw_spin_lock_irqsave(&b->lock, flags);
	list_for_each_entry(root, &b->roots, list)
		if (root->master == pgd)
			arch_ktrepl_root_sync(root->pgd, entry);
	raw_spin_unlock_irqrestore(&b->lock, flags);
}

void __ktrepl_mm_free(struct mm_struct *mm)
{
	struct ktrepl_root_bucket *b = ktrepl_root_bucket(mm->pgd);
	struct ktrepl_root *root, *next;
	unsigned long flags;

	/*
	 * Even if the list is empty: reclaim may have just taken a root off it,
	 * and still be looking at mm_cpumask(), under the lock.
	 */
	raw_spin_lock_irqsave(&b->lock, flags);
	root = mm->ktrepl_roots;
	mm->ktrepl_roots = NULL;
	for (next = root; next; next = next->next) {
		list_del(&next->list);
		next->mm = NULL;
	}
	raw_spin_unlock_irqrestore(&b->lock, flags);

	/* ktrepl_roots_stop() waits for those who have seen ktrepl_roots_on. */
	rcu_read_lock();
	for (; root; root = next) {
		next = root->next;
		atomic_long_dec(&ktrepl_roots_live);
		if (!READ_ONCE(ktrepl_roots_on) ||
		    !ktrepl_ready_push(root, false))
			ktrepl_root_destroy(root);
	}
	rcu_read_unlock();
}

/* === Reclaim ============================================================= */

static struct ktrepl_root **ktrepl_root_link(struct ktrepl_root *root)
{
	struct ktrepl_root **link = &root->mm->ktrepl_roots;

	while (*link != root)
		link = &(*link)->next;
	return link;
}

/*
 * Takes an idle root away from its mm, unless a CPU of its node has the mm
 * loaded.  A CPU sets itself in mm_cpumask(), with a full barrier, before it
 * looks for its root; here it is the other way round.  So either the bit is
 * seen here, and the root is put back, or the CPU does not find the root any
 * more.  A CPU sets itself in ktrepl_node.cpus before the node is its home, and
 * clears that bit after it has left the node's roots.
 *
 * A CPU that has cleared its bit but still runs on the root, on its way to
 * another mm, has interrupts disabled: the root is kept true, and not freed,
 * until an RCU grace period has passed.  That also covers walkers of the list,
 * for whom @root->next stays.
 */
static bool ktrepl_root_unlink(struct ktrepl_root *root)
{
	struct ktrepl_root **link = ktrepl_root_link(root);

	WRITE_ONCE(*link, root->next);
	/*
	 * Pairs with the barrier of [A3] before __ktrepl_mm_pgd(), and with that
	 * of ktrepl_set_home().  Model: tools/ktrepl/models/root-reclaim.pml
	 */
	smp_mb();
	if (cpumask_intersects(mm_cpumask(root->mm), &root->node->cpus)) {
		WRITE_ONCE(*link, root);
		return false;
	}
	root->mm = NULL;
	return true;
}

/* Frees the unlinked ones, after an RCU grace period.  One caller at a time. */
static void ktrepl_roots_collect(void)
{
	struct ktrepl_root_bucket *b;
	struct ktrepl_root *root, *next;
	LIST_HEAD(victims);

	ktrepl_for_each_bucket(b) {
		raw_spin_lock_irq(&b->lock);
		list_for_each_entry_safe(root, next, &b->roots, list)
			if (!root->mm)
				list_move(&root->list, &victims);
		raw_spin_unlock_irq(&b->lock);
	}
	list_for_each_entry_safe(root, next, &victims, list)
		ktrepl_root_destroy(root);
}

static void ktrepl_roots_reclaim(unsigned long idle)
{
	struct ktrepl_root_bucket *b;
	struct ktrepl_root *root;
	unsigned long nr = 0;

	ktrepl_for_each_bucket(b) {
		raw_spin_lock_irq(&b->lock);
		list_for_each_entry(root, &b->roots, list)
			if (time_after_eq(jiffies,
					  READ_ONCE(root->used) + idle))
				nr += ktrepl_root_unlink(root);
		raw_spin_unlock_irq(&b->lock);
	}
	if (!nr)
		return;
	synchronize_rcu();
	ktrepl_roots_collect();
	atomic_long_sub(nr, &ktrepl_roots_live);
	atomic_long_add(nr, &ktrepl_roots_reclaimed);
	trace_ktrepl_reclaim(nr);
}

/* Left to a node under pressure, for the processes that keep starting. */
static unsigned int ktrepl_ready_floor(const struct ktrepl_node *node)
{
	return READ_ONCE(node->want_ready) / 4;
}

/* The work stays pending for a while, so that nothing refills at once. */
static void ktrepl_ready_shrink(void)
{
	struct ktrepl_node *node;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		node = ktrepl_nodes[nid];
		if (!node || !READ_ONCE(node->want_ready))
			continue;
		queue_delayed_work(system_unbound_wq, &node->refill,
				   KTREPL_BACKOFF_MIN);
		ktrepl_ready_drain(node, ktrepl_ready_floor(node));
	}
}

static bool ktrepl_pressure;

static void ktrepl_reclaim_fn(struct work_struct *work)
{
	bool pressure = xchg(&ktrepl_pressure, false);

	ktrepl_roots_reclaim(pressure ? KTREPL_ROOT_IDLE_PRESS :
					KTREPL_ROOT_IDLE);
	if (pressure)
		ktrepl_ready_shrink();
	queue_delayed_work(system_unbound_wq, &ktrepl_reclaim_work,
			   round_jiffies_relative(KTREPL_ROOT_IDLE));
}

/**
 * ktrepl_roots_pressure - memory is short
 *
 * All roots that are not in use right now are given back soon, and most of the
 * spare ones.  Freeing takes pgd_lock and an RCU grace period, neither of which
 * suits every context that memory is reclaimed from: it is left to a work item.
 *
 * Context: Any but NMI.
 */
void ktrepl_roots_pressure(void)
{
	if (!xchg(&ktrepl_pressure, true))
		mod_delayed_work(system_unbound_wq, &ktrepl_reclaim_work, 0);
}

static unsigned long ktrepl_shrink_count(struct shrinker *s,
					 struct shrink_control *sc)
{
	unsigned long nr = atomic_long_read(&ktrepl_roots_live);
	unsigned int ready, floor;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_nodes[nid])
			continue;
		ready = READ_ONCE(ktrepl_nodes[nid]->nr_ready);
		floor = ktrepl_ready_floor(ktrepl_nodes[nid]);
		nr += ready > floor ? ready - floor : 0;
	}
	return nr;
}

static unsigned long ktrepl_shrink_scan(struct shrinker *s,
					struct shrink_control *sc)
{
	ktrepl_roots_pressure();
	return SHRINK_STOP;
}

/* === Switching =========================================================== */

void ktrepl_roots_node_init(struct ktrepl_node *node)
{
	raw_spin_lock_init(&node->ready_lock);
	INIT_LIST_HEAD(&node->ready);
	node->kick = IRQ_WORK_INIT_HARD(ktrepl_kick_fn);
	INIT_DELAYED_WORK(&node->refill, ktrepl_refill_fn);
	disable_delayed_work(&node->refill);
}

/**
 * ktrepl_roots_init - set up once
 *
 * Without a shrinker, roots are still given back when idle.
 *
 * Context: Process context.
 * Return: 0 or -ENOMEM.
 */
int ktrepl_roots_init(void)
{
	struct ktrepl_root_bucket *b;
	struct shrinker *shrinker;

	ktrepl_root_bits = clamp(order_base_2(totalram_pages() >>
					      (KTREPL_BUCKET_SHIFT - PAGE_SHIFT)),
				 KTREPL_BUCKET_BITS_MIN, KTREPL_BUCKET_BITS_MAX);
	ktrepl_root_hash = kvcalloc(1UL << ktrepl_root_bits, sizeof(*b),
				    GFP_KERNEL);
	if (!ktrepl_root_hash)
		return -ENOMEM;
	ktrepl_for_each_bucket(b) {
		raw_spin_lock_init(&b->lock);
		INIT_LIST_HEAD(&b->roots);
	}

	disable_delayed_work(&ktrepl_reclaim_work);
	shrinker = shrinker_alloc(0, "ktrepl-roots");
	if (!shrinker)
		return 0;
	shrinker->count_objects = ktrepl_shrink_count;
	shrinker->scan_objects = ktrepl_shrink_scan;
	shrinker_register(shrinker);
	return 0;
}

/**
 * ktrepl_roots_node_start - prepare the spare roots of a node
 * @node: the node; it has a kernel root
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_roots_node_start(struct ktrepl_node *node)
{
	lockdep_assert_held(&ktrepl_mutex);

	if (!node->want_ready)
		enable_delayed_work(&node->refill);
	mod_delayed_work(system_unbound_wq, &node->refill, 0);
	flush_delayed_work(&node->refill);
}

/**
 * ktrepl_roots_cpu_start - a node has become the home of one more CPU
 * @node: the node
 *
 * It is to have more spare roots.
 *
 * Context: Interrupts disabled, on the CPU concerned.
 */
void ktrepl_roots_cpu_start(struct ktrepl_node *node)
{
	irq_work_queue(&node->kick);
}

/**
 * ktrepl_roots_node_retry - there may be memory for spare roots again
 * @node: the node
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_roots_node_retry(struct ktrepl_node *node)
{
	lockdep_assert_held(&ktrepl_mutex);

	/* Work that backs off need not wait for its time. */
	if (delayed_work_pending(&node->refill))
		mod_delayed_work(system_unbound_wq, &node->refill, 0);
}

/**
 * ktrepl_roots_start - let CPUs ask for their roots
 *
 * Context: Process context, cpus_read_lock and ktrepl_mutex held; no CPU has a
 * home yet.
 */
void ktrepl_roots_start(void)
{
	lockdep_assert_held(&ktrepl_mutex);

	static_branch_enable_cpuslocked(&ktrepl_roots_key);
	WRITE_ONCE(ktrepl_roots_on, true);
	WRITE_ONCE(ktrepl_pressure, false);
	enable_delayed_work(&ktrepl_reclaim_work);
	queue_delayed_work(system_unbound_wq, &ktrepl_reclaim_work,
			   round_jiffies_relative(KTREPL_ROOT_IDLE));
}

static void ktrepl_bucket_drain(struct ktrepl_root_bucket *b)
{
	struct ktrepl_root *root;

	do {
		raw_spin_lock_irq(&b->lock);
		root = list_first_entry_or_null(&b->roots, struct ktrepl_root,
						list);
		if (root) {
			list_del(&root->list);
			WRITE_ONCE(*ktrepl_root_link(root), root->next);
		}
		raw_spin_unlock_irq(&b->lock);
		if (root) {
			ktrepl_root_destroy(root);
			atomic_long_dec(&ktrepl_roots_live);
		}
	} while (root);
}

/**
 * ktrepl_roots_stop - free all roots of mms, and all spare ones
 *
 * Context: Process context, cpus_read_lock and ktrepl_mutex held; every CPU
 * has been moved to the master, and has nothing cached from a node root.
 */
void ktrepl_roots_stop(void)
{
	struct ktrepl_root_bucket *b;
	int nid;

	lockdep_assert_held(&ktrepl_mutex);

	WRITE_ONCE(ktrepl_roots_on, false);
	disable_delayed_work_sync(&ktrepl_reclaim_work);
	ktrepl_for_each_bucket(b)
		ktrepl_bucket_drain(b);

	/* For those in __ktrepl_mm_free() that may still make spares. */
	synchronize_rcu();
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		struct ktrepl_node *node = ktrepl_nodes[nid];

		if (!node || !node->want_ready)
			continue;
		disable_delayed_work_sync(&node->refill);
		ktrepl_ready_drain(node, 0);
		cpumask_clear(&node->missed);
		node->want_ready = 0;
		node->backoff = 0;
	}
}

/**
 * ktrepl_roots_finish - CPUs need no longer ask for their roots
 *
 * The kernel roots of nodes are gone, too: code that goes over all roots may
 * take them for ordinary ones from now on, see ktrepl_private_top() on x86.
 *
 * Context: Process context, cpus_read_lock and ktrepl_mutex held; after
 * ktrepl_roots_stop(), no node has a root.
 */
void ktrepl_roots_finish(void)
{
	lockdep_assert_held(&ktrepl_mutex);

	static_branch_disable_cpuslocked(&ktrepl_roots_key);
}

void ktrepl_roots_show(struct seq_file *m)
{
	seq_printf(m, "roots_live %ld\n", atomic_long_read(&ktrepl_roots_live));
	seq_printf(m, "roots_ready %ld\n",
		   atomic_long_read(&ktrepl_roots_ready));
	seq_printf(m, "roots_made %ld\n", atomic_long_read(&ktrepl_roots_made));
	seq_printf(m, "roots_reclaimed %ld\n",
		   atomic_long_read(&ktrepl_roots_reclaimed));
	seq_printf(m, "roots_missed %ld\n",
		   atomic_long_read(&ktrepl_roots_missed));
}
