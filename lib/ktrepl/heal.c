// SPDX-License-Identifier: GPL-2.0
/*
 * Healing: what is missing for lack of memory, and replicas that differ.
 *
 * Shortage.  A node that could get no tables uses another one, and a page that
 * could get no replica uses the primary.  While anything is missing the work
 * item tries again twice a second, and at once when ktrepl.mem_max is raised.
 *
 * Divergence.  A poke compares every replica that it writes with the primary.
 * If they differ,
 *
 *	the poke writes the same bytes to the replica once more, and compares,
 *	the work item writes all of the page to the replica, and compares,
 *	the work item takes the page of memory out of use, and makes a new replica,
 *	after KTREPL_STRIKES such pages the node gives up its replicas,
 *	when no node with replicas is left, replication is switched off.
 *
 * Each step is reported, and each later divergence again.
 *
 * A poke may run under kgdb or, on some architectures, under a raw spinlock:
 * what it has found is left in a few slots, and reported by the work item.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/workqueue.h>

#include <kunit/static_stub.h>
#include <trace/events/ktrepl.h>

#include "internal.h"

#define KTREPL_HEAL_PERIOD	(HZ / 2)

/* === The work item ======================================================= */

static void ktrepl_heal_fn(struct work_struct *work);

static DECLARE_DELAYED_WORK(ktrepl_heal_work, ktrepl_heal_fn);

static void ktrepl_heal_irq_fn(struct irq_work *work)
{
	mod_delayed_work(system_unbound_wq, &ktrepl_heal_work, 0);
}

static struct irq_work ktrepl_heal_irq = IRQ_WORK_INIT_HARD(ktrepl_heal_irq_fn);

/**
 * ktrepl_heal_queue - look for something to heal now
 *
 * Context: Any, NMI and kgdb included.
 */
void ktrepl_heal_queue(void)
{
	irq_work_queue(&ktrepl_heal_irq);
}

NOKPROBE_SYMBOL(ktrepl_heal_queue);

/**
 * ktrepl_heal_soon - something is missing: try again some time
 *
 * Context: Any but NMI.
 */
void ktrepl_heal_soon(void)
{
	queue_delayed_work(system_unbound_wq, &ktrepl_heal_work,
			   KTREPL_HEAL_PERIOD);
}

/**
 * ktrepl_heal_flush - wait for the work that has been asked for
 *
 * Context: Process context, ktrepl_mutex not held.
 */
void ktrepl_heal_flush(void)
{
	irq_work_sync(&ktrepl_heal_irq);
	flush_delayed_work(&ktrepl_heal_work);
}

/* === A broken invariant ================================================== */

/* Why replication is switched off for this boot, or NULL; set once. */
const char *ktrepl_broken_why;

/**
 * ktrepl_broken - an invariant does not hold: switch off, for this boot
 * @why: what; not copied
 *
 * One report; the machine goes on from the primary.  Whatever changes the state
 * next looks at ktrepl_broken_why first: a concurrent switch cannot hide it.
 *
 * Context: Any, NMI and kgdb included.
 */
void ktrepl_broken(const char *why)
{
	KUNIT_STATIC_STUB_REDIRECT(ktrepl_broken, why);
	if (cmpxchg(&ktrepl_broken_why, NULL, why))
		return;
	WARN(1, pr_fmt("broken: %s; switching off\n"), why);
	ktrepl_heal_queue();
}

NOKPROBE_SYMBOL(ktrepl_broken);

/* === Shortage ============================================================ */

/* After ktrepl_node_detach(): tables are there, this changes leaves only. */
static void ktrepl_node_reattach(struct ktrepl_node *node)
{
	ktrepl_node_install(node);
	WRITE_ONCE(node->live, true);
}

/* Replicas of the image that a live node could not get before. */
static bool ktrepl_node_complete(struct ktrepl_node *node)
{
	if (!node->incomplete)
		return true;
	ktrepl_node_populate(node);
	if (!node->live)
		ktrepl_node_reattach(node);
	return !node->incomplete;
}

static bool ktrepl_fill_node(struct ktrepl_node *node)
{
	if (ktrepl_node_given_up(node))
		return true;
	ktrepl_roots_node_retry(node);
	return node->live ? ktrepl_node_complete(node) :
			    ktrepl_node_build(node);
}

/**
 * ktrepl_fill - make what there is no table or no replica of yet
 *
 * Context: Process context, cpus_read_lock and ktrepl_mutex held; replication
 * is on.
 * Return: true if nothing is missing.
 */
bool ktrepl_fill(void)
{
	bool whole = true;
	int nid;

	lockdep_assert_held(&ktrepl_mutex);

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_node_wanted(nid))
			whole &= ktrepl_fill_node(ktrepl_nodes[nid]);
	whole &= ktrepl_objects_fill();
	ktrepl_place_cpus();
	whole &= ktrepl_execmem_scan(true);
	return whole;
}

/* === Divergence ========================================================== */

static atomic_long_t ktrepl_nr_diverged;

/**
 * ktrepl_heal_show - for debugfs
 * @m: where to write
 *
 * Context: Any.
 */
void ktrepl_heal_show(struct seq_file *m)
{
	seq_printf(m, "diverged %ld\n", atomic_long_read(&ktrepl_nr_diverged));
}

/* What pokes have found, until the work item has dealt with it. */
enum { KTREPL_SLOT_FREE, KTREPL_SLOT_BUSY, KTREPL_SLOT_FULL };

static struct ktrepl_slot {
	atomic_t state;
	struct ktrepl_diff diff;
} ktrepl_slots[16];

static atomic_t ktrepl_slots_lost;

/**
 * ktrepl_diverged - a replica differs, or differed, from the primary
 * @diff: what was found; copied
 *
 * Context: Any, NMI and kgdb included.
 */
void ktrepl_diverged(const struct ktrepl_diff *diff)
{
	int i;

	KUNIT_STATIC_STUB_REDIRECT(ktrepl_diverged, diff);
	atomic_long_inc(&ktrepl_nr_diverged);
	for (i = 0; i < ARRAY_SIZE(ktrepl_slots); i++) {
		struct ktrepl_slot *slot = &ktrepl_slots[i];

		if (atomic_cmpxchg(&slot->state, KTREPL_SLOT_FREE,
				   KTREPL_SLOT_BUSY) != KTREPL_SLOT_FREE)
			continue;
		slot->diff = *diff;
		/* Pairs with ktrepl_heal_slots(). */
		atomic_set_release(&slot->state, KTREPL_SLOT_FULL);
		ktrepl_heal_queue();
		return;
	}
	atomic_inc(&ktrepl_slots_lost);
	ktrepl_heal_queue();
}

NOKPROBE_SYMBOL(ktrepl_diverged);

/* Do replicas remain anywhere? */
static bool ktrepl_any_node_left(void)
{
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_node_wanted(nid) && ktrepl_nodes[nid]->live &&
		    !test_bit(nid, ktrepl_primary_nodes))
			return true;
	return false;
}

/**
 * ktrepl_retire - a replica does not keep what is written to it
 * @region: the region
 * @nid:   node of the replica
 * @index: page within the region
 *
 * Its memory is used no more, and the next attempt to heal takes other memory.
 *
 * Context: Process context, cpus_read_lock and ktrepl_mutex held.
 */
void ktrepl_retire(struct ktrepl_region *region, int nid, unsigned long index)
{
	struct ktrepl_node *node = ktrepl_nodes[nid];
	bool detach = node->live && node->root && !region->execmem;

	pr_err("node %d: the replica of %lx does not keep what is written: its memory is taken out of use\n",
	       nid, ktrepl_region_addr(region, index));
	trace_ktrepl_heal(nid, ktrepl_region_addr(region, index), KTREPL_HEAL_RETIRE);
	ktrepl_notify(KTREPL_NOT_HEALED, nid, ktrepl_region_addr(region, index));
	if (detach)
		ktrepl_node_detach(node);
	ktrepl_region_retire(region, nid, index);
	if (detach)
		ktrepl_node_reattach(node);
	if (!region->execmem)
		node->incomplete = true;
	if (++node->strikes < KTREPL_STRIKES)
		return;
	pr_err("node %d: %u such pages: it uses no replicas any more\n", nid,
	       node->strikes);
	trace_ktrepl_heal(nid, ktrepl_region_addr(region, index),
			  KTREPL_HEAL_GIVE_UP);
	ktrepl_node_detach(node);
	if (!ktrepl_any_node_left())
		ktrepl_broken("no node keeps its replicas");
}

/* Replicas that still differ after they have been written as a whole. */
static void ktrepl_heal_page(const struct ktrepl_diff *diff)
{
	struct ktrepl_region *region = ktrepl_region_find(diff->addr);
	DECLARE_BITMAP(differ, KTREPL_MAX_NODES);
	unsigned long index;
	bool known;
	int nid;

	if (!region)
		return;
	index = ktrepl_region_index(region, diff->addr);
	known = ktrepl_region_repair(region, index, differ);
	if (known && !test_bit(diff->nid, differ))
		ktrepl_notify(KTREPL_HEALED, diff->nid, diff->addr);
	for_each_set_bit(nid, differ, KTREPL_MAX_NODES)
		ktrepl_retire(region, nid, index);
}

static void ktrepl_diff_report(const struct ktrepl_diff *diff)
{
	pr_err("node %d: the replica of %lx (%pS) has %*ph instead of %*ph%s\n",
	       diff->nid, diff->addr, (void *)diff->addr, diff->len,
	       diff->found, diff->len, diff->want,
	       diff->again ? ", also when written again" : "; written again");
}

static void ktrepl_heal_poked(const struct ktrepl_diff *diff)
{
	trace_ktrepl_heal(diff->nid, diff->addr, KTREPL_HEAL_POKE);
	ktrepl_notify(KTREPL_HEALED, diff->nid, diff->addr);
}

static void ktrepl_heal_slots(void)
{
	struct ktrepl_verify_result res = { };
	struct ktrepl_diff diff;
	int i;

	for (i = 0; i < ARRAY_SIZE(ktrepl_slots); i++) {
		struct ktrepl_slot *slot = &ktrepl_slots[i];

		/* Pairs with ktrepl_diverged(). */
		if (atomic_read_acquire(&slot->state) != KTREPL_SLOT_FULL)
			continue;
		diff = slot->diff;
		atomic_set_release(&slot->state, KTREPL_SLOT_FREE);
		ktrepl_diff_report(&diff);
		if (diff.again)
			ktrepl_heal_page(&diff);
		else
			ktrepl_heal_poked(&diff);
	}
	if (!atomic_xchg(&ktrepl_slots_lost, 0))
		return;
	ktrepl_verify(&res, NULL, true);
	pr_err("more replicas differed than could be noted: %lu pages made equal\n",
	       res.different - res.doubtful);
}

static void ktrepl_heal_fn(struct work_struct *work)
{
	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	if (ktrepl_is_on())
		ktrepl_heal_slots();
	ktrepl_settle();
	if (ktrepl_is_on() && !ktrepl_fill())
		ktrepl_heal_soon();
	ktrepl_announce();
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();
}
