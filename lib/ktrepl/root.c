// SPDX-License-Identifier: GPL-2.0
/*
 * Roots of user mms, for architectures whose one root maps user and kernel
 * space.
 *
 * mm->pgd has the user entries of the mm.  One more entry of it, its top, leads
 * to the kernel's tables: those of the primary at first, and then those of the
 * node where the mm lives.  A CPU of that node loads mm->pgd.  A CPU of another
 * node has the mm move, by a store to that entry, unless a CPU of its present
 * node has the mm loaded.  Only then, when the mm is on two nodes at once, the
 * CPU takes a node root: a replica of mm->pgd whose top leads to its own node.
 *
 * That happens under the runqueue lock, so a node root is made from a spare
 * one, prepared outside: the first switch already runs on node-local text, and
 * nothing needs to be reloaded later.  When spares have run out the CPU uses
 * mm->pgd, and notes that on ktrepl_node.missed.  The work item that makes new
 * spares has such CPUs leave the mm for init_mm, by their stopper threads, so
 * that they look for their root once more: an IPI can come while a CPU runs on
 * tables that are not those of its loaded mm.  The work item takes neither
 * cpus_read_lock nor ktrepl_mutex, because ktrepl_roots_stop() waits for it
 * under both.
 *
 * Concurrency.  All tables lead to equal bytes, by leaves of equal size and
 * protection.  Whichever of them a CPU goes by is right, while they exist.
 *
 * - Where an mm lives changes under its bucket lock, and so do the roots that
 *   it has.  See ktrepl_root_move() for how a CPU can tell without the lock.
 *   Model: tools/ktrepl/models/root-move.pml
 *
 * - A writer of a user entry of mm->pgd stores first.  If he finds roots of the
 *   mm then, he repeats the store in them, under the bucket lock.  A root is added
 *   to the mm first, and filled from mm->pgd then, under the bucket lock.
 *   Whichever comes first, the root ends up with the new entry.
 *
 * - __ktrepl_choose_root() walks mm->ktrepl_roots without the lock.  Nobody
 *   finds a root before it is filled, nor once it is dying, see
 *   ktrepl_roots_reclaim().
 *
 * - Tables of a node are freed after no CPU has it as its preferred node any
 *   more, no mm leads to it, and all TLBs have been flushed: see
 *   ktrepl_roots_leave().
 *
 * - kgdb pokes text while all other CPUs stand still, holding any lock.  Into
 *   the poke and back it uses a root that is there, or mm->pgd, like a CPU that
 *   has found no spare: see ktrepl_root_choose().
 *
 * A root that an mm gives back becomes a spare again.  Its user entries are
 * stale then.  Those that may be set are overwritten when it is filled the next
 * time, with those that the mm has set.
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

/* What a CPU may do with a node root. */
enum ktrepl_root_state {
	KTREPL_ROOT_UNFILLED,	/* nothing: not all entries are there */
	KTREPL_ROOT_LIVE,	/* load it */
	KTREPL_ROOT_DYING,	/* stay on it */
	KTREPL_ROOT_LEFT,	/* leave it, what it has started */
};

/**
 * struct ktrepl_root - a node root
 * @list:  on a bucket of the hash, or on ktrepl_node.ready
 * @next:  next root of the same mm
 * @node:  the node
 * @pgd:   the root group
 * @entries: the architecture's note of the user entries that may be set; bucket
 *	   lock
 * @mm:	   whose root it is; NULL for a spare
 * @state: enum ktrepl_root_state
 * @used:  when it was last loaded, in jiffies
 * @shared: when the mm was last seen to run on the node where it lives as well;
 *	   bucket lock
 */
struct ktrepl_root {
	struct list_head list;
	struct ktrepl_root *next;
	struct ktrepl_node *node;
	pgd_t *pgd;
	unsigned long entries;
	struct mm_struct *mm;
	enum ktrepl_root_state state;
	unsigned long used;
	unsigned long shared;
};

/*
 * Locks of mms, with the roots that reclaim looks at, one bucket at a time with
 * interrupts disabled.  How many mms there can be goes with memory: have a
 * bucket for each 16 MiB.
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
 * True while a root may lead to a node.  Entries of mms' roots are repeated,
 * and CPUs look where a root leads to, only then.
 */
DEFINE_STATIC_KEY_FALSE(ktrepl_roots_key);

/*
 * Written on the CPU itself.  While the key is off it is NULL, because the last
 * choices before, and all before the first CPU has a preferred node, are
 * mm->pgd.
 */
DEFINE_PER_CPU(pgd_t *, ktrepl_cpu_mm_root);

/*
 * The top of roots that lead to this CPU's node, and 0, which is no root's,
 * while it has none.  Written on the CPU itself.
 */
DEFINE_PER_CPU(unsigned long, ktrepl_cpu_top);

/* May spare roots be made?  ktrepl_mutex; read by the refill work. */
static bool ktrepl_roots_on;

static atomic_long_t ktrepl_roots_live, ktrepl_roots_spare;
static atomic_long_t ktrepl_roots_reclaimed, ktrepl_roots_moved;

/* Spare roots: what a node and each of its CPUs may use up in a burst. */
#define KTREPL_READY_NODE	8
#define KTREPL_READY_CPU	2

/* Without memory for spares, try again after so long, and ever more seldom. */
#define KTREPL_BACKOFF_MIN	(HZ / 8)
#define KTREPL_BACKOFF_MAX	(HZ / 2)

/* A root that has not been loaded for so long is given back. */
#define KTREPL_ROOT_IDLE	(5 * HZ)
#define KTREPL_ROOT_IDLE_PRESS	(HZ / 10)

/*
 * An mm that has a root for a node moves there when it is not shared for so
 * long.
 */
#define KTREPL_ROOT_SETTLE	(HZ / 4)

static void ktrepl_reclaim_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(ktrepl_reclaim_work, ktrepl_reclaim_fn);

static struct ktrepl_root_bucket *ktrepl_root_bucket(const struct mm_struct *mm)
{
	return &ktrepl_root_hash[hash_ptr(mm, ktrepl_root_bits)];
}

/* === Spare roots ========================================================= */

static struct ktrepl_root *ktrepl_spare_pop(struct ktrepl_node *node)
{
	struct ktrepl_root *root;

	raw_spin_lock(&node->spare_lock);
	root = list_first_entry_or_null(&node->spare, struct ktrepl_root, list);
	if (root) {
		list_del(&root->list);
		/* Read without the lock as well: there, an old number will do. */
		WRITE_ONCE(node->nr_spare, node->nr_spare - 1);
		atomic_long_dec(&ktrepl_roots_spare);
	}
	raw_spin_unlock(&node->spare_lock);
	return root;
}

/* Returns false when there are enough. */
static bool ktrepl_spare_push(struct ktrepl_root *root)
{
	struct ktrepl_node *node = root->node;
	unsigned long flags;
	bool room;

	raw_spin_lock_irqsave(&node->spare_lock, flags);
	/* Pairs with WRITE_ONCE() in ktrepl_refill(), and when roots stop. */
	room = node->nr_spare < READ_ONCE(node->want_spare);
	if (room) {
		list_add(&root->list, &node->spare);
		/* As in ktrepl_spare_pop(). */
		WRITE_ONCE(node->nr_spare, node->nr_spare + 1);
		atomic_long_inc(&ktrepl_roots_spare);
	}
	raw_spin_unlock_irqrestore(&node->spare_lock, flags);
	return room;
}

static void ktrepl_root_destroy(struct ktrepl_root *root)
{
	ktrepl_root_free(root->node, root->pgd);
	kfree(root);
}

static void ktrepl_spare_drain(struct ktrepl_node *node, unsigned int keep)
{
	struct ktrepl_root *root;

	while (READ_ONCE(node->nr_spare) > keep) {
		local_irq_disable();
		root = ktrepl_spare_pop(node);
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
	root->entries = ~0UL;
	root->pgd = ktrepl_root_alloc(node, node->root);
	if (!root->pgd) {
		kfree(root);
		return NULL;
	}
	return root;
}

/*
 * On a CPU that has missed its root, or has an mm lazily, from its stopper
 * thread.
 */
static int ktrepl_attach_fn(void *node)
{
	unsigned long flags;

	local_irq_save(flags);
	if (this_cpu_read(ktrepl_cpu_preferred) == node)
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
	WRITE_ONCE(node->want_spare, KTREPL_READY_NODE + KTREPL_READY_CPU *
				     cpumask_weight(&node->cpus));
	while (READ_ONCE(node->nr_spare) < node->want_spare) {
		root = ktrepl_root_create(node);
		if (!root)
			return false;
		if (!ktrepl_spare_push(root))
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
	if (READ_ONCE(node->nr_spare))
		ktrepl_attach_missed(node);
}

static void ktrepl_refill_irq_fn(struct irq_work *work)
{
	struct ktrepl_node *node = container_of(work, struct ktrepl_node, refill_irq);

	queue_delayed_work(system_unbound_wq, &node->refill, 0);
}

/*
 * Under the runqueue lock, and under kgdb, work cannot be queued directly.  It
 * is pending already while it backs off.
 */
static void ktrepl_refill_queue(struct ktrepl_node *node)
{
	if (!delayed_work_pending(&node->refill))
		irq_work_queue(&node->refill_irq);
}

/* This CPU uses mm->pgd, until the refill work has it try again. */
static void ktrepl_root_missed(struct ktrepl_node *node)
{
	ktrepl_node_count(node, KTREPL_STAT_ROOT_MISSED);
	cpumask_set_cpu(smp_processor_id(), &node->missed);
	/*
	 * Pairs with the barrier between taking work off the queue and running
	 * it: it is either no longer pending, or sees the bit.
	 */
	smp_mb__after_atomic();
	ktrepl_refill_queue(node);
}

/* === Where an mm lives =================================================== */

/* The node that an mm's own root leads to, or NULL for the primary. */
static struct ktrepl_node *ktrepl_mm_node(const struct mm_struct *mm)
{
	unsigned long top = arch_ktrepl_root_top(mm->pgd);
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		pgd_t *root = ktrepl_nodes[nid] ?
			READ_ONCE(ktrepl_nodes[nid]->root) : NULL;

		if (root && arch_ktrepl_root_top(root) == top)
			return ktrepl_nodes[nid];
	}
	return NULL;
}

static bool ktrepl_mm_is_on(struct mm_struct *mm,
			    const struct ktrepl_node *node)
{
	return cpumask_intersects(mm_cpumask(mm), &node->cpus);
}

/*
 * Has an mm move to the node of this CPU, unless a CPU of its present node has
 * it loaded.  Bucket lock held; this CPU is set in mm_cpumask().
 *
 * A CPU of the present node notes itself in mm_cpumask(), with a full
 * barrier, and looks at the top without the lock.  Here it is the other way
 * round: either it finds the mark, and waits for the lock, or we find its bit.
 * Without the mark it could go on with mm->pgd just before that leads
 * elsewhere: to the same bytes, but to remote ones.  For the same reason CPUs
 * that have the mm loaded lazily count. Those of other nodes do not, because
 * they are on roots of their own, or have missed them.
 *
 * Model: tools/ktrepl/models/root-move.pml
 */
static bool ktrepl_root_move(struct mm_struct *mm, struct ktrepl_node *node)
{
	struct ktrepl_node *old = ktrepl_mm_node(mm);

	if (old == node)
		return true;
	if (old) {
		if (ktrepl_mm_is_on(mm, old))
			return false;
		arch_ktrepl_root_mark(mm->pgd);
		/* Pairs with the barrier of [A3] before ktrepl_mm_pgd(). */
		smp_mb();
		if (ktrepl_mm_is_on(mm, old)) {
			arch_ktrepl_root_lead(mm->pgd, old->root);
			return false;
		}
	}
	arch_ktrepl_root_lead(mm->pgd, node->root);
	atomic_long_inc(&ktrepl_roots_moved);
	return true;
}

static void ktrepl_mm_leave(struct mm_struct *mm, void *node)
{
	struct ktrepl_root_bucket *b = ktrepl_root_bucket(mm);
	struct ktrepl_node *old;
	unsigned long flags;

	raw_spin_lock_irqsave(&b->lock, flags);
	old = ktrepl_mm_node(mm);
	if (old && (!node || old == node))
		arch_ktrepl_root_lead(mm->pgd, ktrepl_primary_root());
	raw_spin_unlock_irqrestore(&b->lock, flags);
}

/**
 * ktrepl_roots_leave - have all mms leave a node, for the primary
 * @node: the node, or NULL for all nodes
 *
 * None moves there meanwhile, because only a CPU of the node has it move.  A
 * CPU that goes by mm->pgd may have come to the node's tables, wherever the CPU
 * is. After this none does, nor has anything cached from there.
 *
 * Context: Process context, cpus_read_lock and ktrepl_mutex held; no CPU has
 * the node as its preferred node.
 */
void ktrepl_roots_leave(struct ktrepl_node *node)
{
	lockdep_assert_held(&ktrepl_mutex);

	arch_ktrepl_each_mm(ktrepl_mm_leave, node);
	flush_tlb_all();
}

/* === Roots of an mm ====================================================== */

static struct ktrepl_root *ktrepl_root_find(const struct mm_struct *mm,
					    const struct ktrepl_node *node)
{
	struct ktrepl_root *root;

	/* Pairs with smp_store_release() in ktrepl_root_add(). */
	for (root = smp_load_acquire(&mm->ktrepl_roots); root;
	     root = READ_ONCE(root->next)) {
		if (root->node != node)
			continue;
		/* Likewise. */
		if (smp_load_acquire(&root->state) == KTREPL_ROOT_LIVE)
			return root;
	}
	return NULL;
}

/* Gives an mm a root, with the bucket lock held. */
static void ktrepl_root_add(struct ktrepl_root_bucket *b,
			    struct ktrepl_root *root, struct mm_struct *mm)
{
	root->mm = mm;
	root->used = jiffies;
	root->shared = jiffies;
	root->state = KTREPL_ROOT_UNFILLED;
	root->next = mm->ktrepl_roots;
	list_add(&root->list, &b->roots);
	/* Pairs with smp_load_acquire() in ktrepl_root_find(). */
	smp_store_release(&mm->ktrepl_roots, root);
	/*
	 * The entries are read after this.  Pairs with ktrepl_top_changed().
	 * Model: tools/ktrepl/models/root-reclaim.pml
	 */
	smp_mb();
	arch_ktrepl_root_fill(root->pgd, mm->pgd, &root->entries);
	/* Pairs with smp_load_acquire() in ktrepl_root_find(). */
	smp_store_release(&root->state, KTREPL_ROOT_LIVE);
	atomic_long_inc(&ktrepl_roots_live);
	ktrepl_node_count(root->node, KTREPL_STAT_ROOT);
}

/*
 * Is a root no longer needed?  An mm that is on two nodes by turns does not go
 * to and fro, and take one root after the other.  CPUs where it lives, and does
 * not run any more, may have it lazily for long: they are asked to leave it.
 */
static bool ktrepl_root_settled(struct ktrepl_root *root)
{
	struct ktrepl_node *node = ktrepl_mm_node(root->mm);
	bool settled = true;
	int cpu;

	if (!node || node == root->node)
		return true;
	for_each_cpu_and(cpu, mm_cpumask(root->mm), &node->cpus) {
		if (!arch_ktrepl_cpu_is_lazy(cpu))
			root->shared = jiffies;
		settled = false;
	}
	if (!time_after(jiffies, root->shared + KTREPL_ROOT_SETTLE))
		return false;
	if (settled)
		return true;
	for_each_cpu_and(cpu, mm_cpumask(root->mm), &node->cpus)
		cpumask_set_cpu(cpu, &node->missed);
	ktrepl_refill_queue(node);
	return false;
}

/*
 * The root of an mm for the node of this CPU, where a look without the lock is
 * not enough: the mm may be there by now, or move there, or else gets a root.
 * NULL: mm->pgd is it, or has to do.
 */
static struct ktrepl_root *ktrepl_root_get(struct mm_struct *mm,
					   struct ktrepl_node *node)
{
	struct ktrepl_root_bucket *b = ktrepl_root_bucket(mm);
	struct ktrepl_root *root;
	bool missed = false;

	raw_spin_lock(&b->lock);
	root = ktrepl_root_find(mm, node);
	if (!root || ktrepl_root_settled(root)) {
		if (ktrepl_root_move(mm, node)) {
			root = NULL;
		} else if (!root) {
			root = ktrepl_spare_pop(node);
			if (root)
				ktrepl_root_add(b, root, mm);
			missed = !root;
		}
	}
	raw_spin_unlock(&b->lock);

	if (missed)
		ktrepl_root_missed(node);
	else if (READ_ONCE(node->nr_spare) < READ_ONCE(node->want_spare) / 2)
		ktrepl_refill_queue(node);
	return root;
}

static pgd_t *ktrepl_root_choose(struct mm_struct *mm)
{
	struct ktrepl_node *node = this_cpu_read(ktrepl_cpu_preferred);
	struct ktrepl_root *root;
	unsigned long now = jiffies;

	if (!node)
		return NULL;
	if (mm == &init_mm)
		return node->root;
	if (arch_ktrepl_root_fixed(mm))
		return NULL;

	root = ktrepl_root_find(mm, node);
	if (root && READ_ONCE(root->used) == now)
		return root->pgd;
	if (in_dbg_master()) {
		/* CPUs that hold the locks stand still. */
		if (!root)
			ktrepl_root_missed(node);
	} else {
		/* Once a tick, the mm may find that it can move. */
		root = ktrepl_root_get(mm, node);
	}
	if (!root)
		return NULL;
	WRITE_ONCE(root->used, now);
	return root->pgd;
}

__visible void __ktrepl_choose_root(struct mm_struct *mm)
{
	this_cpu_write(ktrepl_cpu_mm_root, ktrepl_root_choose(mm));
}

void __ktrepl_top_changed(struct mm_struct *mm, const void *entry)
{
	struct ktrepl_root_bucket *b = ktrepl_root_bucket(mm);
	struct ktrepl_root *root;
	unsigned long flags;

	raw_spin_lock_irqsave(&b->lock, flags);
	for (root = mm->ktrepl_roots; root; root = root->next)
		arch_ktrepl_root_sync(root->pgd, mm->pgd, entry, &root->entries);
	raw_spin_unlock_irqrestore(&b->lock, flags);
}

void __ktrepl_mm_free(struct mm_struct *mm)
{
	struct ktrepl_root_bucket *b = ktrepl_root_bucket(mm);
	struct ktrepl_root *root, *next;
	unsigned long flags;

	raw_spin_lock_irqsave(&b->lock, flags);
	root = mm->ktrepl_roots;
	mm->ktrepl_roots = NULL;
	for (next = root; next; next = next->next)
		list_del(&next->list);
	raw_spin_unlock_irqrestore(&b->lock, flags);

	/* ktrepl_roots_stop() waits for those who have seen ktrepl_roots_on. */
	rcu_read_lock();
	for (; root; root = next) {
		next = root->next;
		root->mm = NULL;
		atomic_long_dec(&ktrepl_roots_live);
		if (!READ_ONCE(ktrepl_roots_on) ||
		    !ktrepl_spare_push(root))
			ktrepl_root_destroy(root);
	}
	rcu_read_unlock();
}

/* === Reclaim ============================================================= */

/* With the bucket lock held. */
static void ktrepl_root_remove(struct ktrepl_root *root)
{
	struct ktrepl_root **link = &root->mm->ktrepl_roots;

	while (*link != root)
		link = &(*link)->next;
	list_del(&root->list);
	/*
	 * The last we do with the mm: who finds no root in it does not take the
	 * lock.  Pairs with ktrepl_mm_free().
	 */
	smp_store_release(link, root->next);
}

/* Has a CPU of the node chosen the root, and no other since? */
static bool ktrepl_root_loaded(const struct ktrepl_root *root)
{
	int cpu;

	for_each_cpu(cpu, &root->node->cpus)
		if (READ_ONCE(per_cpu(ktrepl_cpu_mm_root, cpu)) == root->pgd)
			return true;
	return false;
}

static bool ktrepl_root_is_idle(const struct ktrepl_root *root,
				unsigned long idle)
{
	return root->state == KTREPL_ROOT_LIVE &&
		time_after_eq(jiffies, READ_ONCE(root->used) + idle) &&
		!ktrepl_root_loaded(root);
}

/* Moves roots on to a state, and says how many are in it. */
static unsigned long ktrepl_roots_advance(enum ktrepl_root_state state,
					  unsigned long idle)
{
	struct ktrepl_root_bucket *b;
	struct ktrepl_root *root;
	unsigned long nr = 0;

	ktrepl_for_each_bucket(b) {
		raw_spin_lock_irq(&b->lock);
		list_for_each_entry(root, &b->roots, list) {
			if (state == KTREPL_ROOT_DYING ?
			    ktrepl_root_is_idle(root, idle) :
			    root->state == KTREPL_ROOT_DYING &&
			    !ktrepl_root_loaded(root))
				WRITE_ONCE(root->state, state);
			nr += root->state == state;
		}
		raw_spin_unlock_irq(&b->lock);
	}
	return nr;
}

/* Takes the roots that CPUs have left away from their mms. */
static unsigned long ktrepl_roots_collect(struct list_head *victims)
{
	struct ktrepl_root_bucket *b;
	struct ktrepl_root *root, *next;
	unsigned long nr = 0;

	ktrepl_for_each_bucket(b) {
		raw_spin_lock_irq(&b->lock);
		list_for_each_entry_safe(root, next, &b->roots, list) {
			if (root->state != KTREPL_ROOT_LEFT)
				continue;
			ktrepl_root_remove(root);
			list_add(&root->list, victims);
			nr++;
		}
		raw_spin_unlock_irq(&b->lock);
	}
	return nr;
}

/*
 * Frees roots that have not been loaded for a while.  One caller at a time.
 *
 * A CPU looks for a root, notes it in ktrepl_cpu_mm_root and loads it with
 * interrupts disabled, which a grace period waits for.  The note of its next
 * choice comes before it has left the root.  So a root is first made dying:
 * after a grace period no CPU is about to load it.  Which ones are on it is
 * known then; those that are not may still be leaving it.  After a grace period
 * more they have, and nobody repeats stores in it any more once it is off the
 * mm's list. After the last one nobody walks that list by it.
 *
 * Model: tools/ktrepl/models/root-reclaim.pml
 */
static void ktrepl_roots_reclaim(unsigned long idle)
{
	struct ktrepl_root *root, *next;
	LIST_HEAD(victims);
	unsigned long nr;

	if (!ktrepl_roots_advance(KTREPL_ROOT_DYING, idle))
		return;
	synchronize_rcu();
	if (!ktrepl_roots_advance(KTREPL_ROOT_LEFT, 0))
		return;
	synchronize_rcu();
	nr = ktrepl_roots_collect(&victims);
	if (!nr)
		return;
	synchronize_rcu();
	list_for_each_entry_safe(root, next, &victims, list)
		ktrepl_root_destroy(root);
	atomic_long_sub(nr, &ktrepl_roots_live);
	atomic_long_add(nr, &ktrepl_roots_reclaimed);
	trace_ktrepl_reclaim(nr);
}

/* Left to a node under pressure, for the processes that keep starting. */
static unsigned int ktrepl_spare_floor(const struct ktrepl_node *node)
{
	return READ_ONCE(node->want_spare) / 4;
}

/* The work stays pending for a while, so that nothing refills at once. */
static void ktrepl_spare_shrink(void)
{
	struct ktrepl_node *node;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		node = ktrepl_nodes[nid];
		if (!node || !READ_ONCE(node->want_spare))
			continue;
		queue_delayed_work(system_unbound_wq, &node->refill,
				   KTREPL_BACKOFF_MIN);
		ktrepl_spare_drain(node, ktrepl_spare_floor(node));
	}
}

static bool ktrepl_pressure;

static void ktrepl_reclaim_fn(struct work_struct *work)
{
	bool pressure = xchg(&ktrepl_pressure, false);

	ktrepl_roots_reclaim(pressure ? KTREPL_ROOT_IDLE_PRESS :
					KTREPL_ROOT_IDLE);
	if (pressure)
		ktrepl_spare_shrink();
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
	unsigned int spare, floor;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_nodes[nid])
			continue;
		spare = READ_ONCE(ktrepl_nodes[nid]->nr_spare);
		floor = ktrepl_spare_floor(ktrepl_nodes[nid]);
		nr += spare > floor ? spare - floor : 0;
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
	raw_spin_lock_init(&node->spare_lock);
	INIT_LIST_HEAD(&node->spare);
	node->refill_irq = IRQ_WORK_INIT_HARD(ktrepl_refill_irq_fn);
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

	if (!READ_ONCE(node->want_spare))
		enable_delayed_work(&node->refill);
	mod_delayed_work(system_unbound_wq, &node->refill, 0);
	flush_delayed_work(&node->refill);
}

/**
 * ktrepl_roots_cpu_start - this CPU has taken another preferred node
 * @node: the node, or NULL for the primary
 *
 * It is to have more spare roots.
 *
 * Context: Interrupts disabled, on the CPU concerned, which has not loaded
 * anything by its new preferred node yet.
 */
void ktrepl_roots_cpu_start(struct ktrepl_node *node)
{
	this_cpu_write(ktrepl_cpu_top,
		       node ? arch_ktrepl_root_top(node->root) : 0);
	if (node)
		irq_work_queue(&node->refill_irq);
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
 * preferred node yet.
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
		if (root)
			ktrepl_root_remove(root);
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
 * has been moved to the primary, and has nothing cached from a node root.
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

		if (!node || !READ_ONCE(node->want_spare))
			continue;
		disable_delayed_work_sync(&node->refill);
		ktrepl_spare_drain(node, 0);
		cpumask_clear(&node->missed);
		/* Switches of mm and reclaim may still look. */
		WRITE_ONCE(node->want_spare, 0);
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

/* How often something has happened, on all nodes. */
static long ktrepl_roots_events(enum ktrepl_stat stat)
{
	long nr = 0;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			nr += atomic_long_read(&ktrepl_nodes[nid]->stat[stat]);
	return nr;
}

void ktrepl_roots_show(struct seq_file *m)
{
	seq_printf(m, "roots_live %ld\n", atomic_long_read(&ktrepl_roots_live));
	seq_printf(m, "roots_spare %ld\n",
		   atomic_long_read(&ktrepl_roots_spare));
	seq_printf(m, "roots_made %ld\n",
		   ktrepl_roots_events(KTREPL_STAT_ROOT));
	seq_printf(m, "roots_reclaimed %ld\n",
		   atomic_long_read(&ktrepl_roots_reclaimed));
	seq_printf(m, "roots_missed %ld\n",
		   ktrepl_roots_events(KTREPL_STAT_ROOT_MISSED));
	seq_printf(m, "roots_moved %ld\n",
		   atomic_long_read(&ktrepl_roots_moved));
}

#if IS_ENABLED(CONFIG_KUNIT)
raw_spinlock_t *ktrepl_roots_lock(const struct mm_struct *mm)
{
	return &ktrepl_root_bucket(mm)->lock;
}

/* How many roots an mm has; it is not going away. */
unsigned int ktrepl_roots_of(const struct mm_struct *mm)
{
	const struct ktrepl_root *root;
	unsigned int nr = 0;

	rcu_read_lock();
	/* Pairs with smp_store_release() in ktrepl_root_add(). */
	for (root = smp_load_acquire(&mm->ktrepl_roots); root;
	     root = READ_ONCE(root->next))
		nr++;
	rcu_read_unlock();
	return nr;
}
#endif
