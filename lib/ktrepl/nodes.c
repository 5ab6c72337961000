// SPDX-License-Identifier: GPL-2.0
/*
 * Nodes: which take part, what they hold, and memory for replicas on them.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/topology.h>

#include <trace/events/ktrepl.h>

#include "internal.h"

/* === Data ================================================================ */

const char *const ktrepl_stat_names[] = {
	[KTREPL_STAT_RESIDENT]	 = "repli_resident_pages",
	[KTREPL_STAT_MODULE]	 = "repli_module_pages",
	[KTREPL_STAT_OBJECT]	 = "repli_object_pages",
	[KTREPL_STAT_PGTBL]	 = "repli_pgtbls",
	[KTREPL_STAT_FREE]	 = "repli_spare_pages",
	[KTREPL_STAT_RETIRED]	 = "repli_retired_pages",
	[KTREPL_STAT_PAGE_FAIL]	 = "page_alloc_failures",
	[KTREPL_STAT_PGTBL_FAIL] = "pagetbl_alloc_failures",
	[KTREPL_STAT_POKE]	 = "pokes",
	[KTREPL_STAT_COPY]	 = "copied_pages",
	[KTREPL_STAT_DROP]	 = "dropped_pages",
	[KTREPL_STAT_FALLBACK]	 = "fallback_pages",
	[KTREPL_STAT_ROOT]	 = "roots_made",
	[KTREPL_STAT_ROOT_MISSED] = "roots_missed",
};

static_assert(ARRAY_SIZE(ktrepl_stat_names) == KTREPL_NR_STATS);

/* Made when a node first takes part, kept for ever; ktrepl_mutex. */
struct ktrepl_node *ktrepl_nodes[KTREPL_MAX_NODES];

unsigned int ktrepl_nr_nodes;

/* Bytes charged on all nodes, against ktrepl.mem_max. */
static atomic_long_t ktrepl_charged;

/* Nodes chosen by ktrepl.nodes= */
static DECLARE_BITMAP(ktrepl_chosen, KTREPL_MAX_NODES);

/* Nodes that hold pages of the primary of the image. */
DECLARE_BITMAP(ktrepl_primary_nodes, KTREPL_MAX_NODES);

/* === Facts about nodes, real or pretended ================================ */

static bool ktrepl_node_has_memory(int nid)
{
	if (ktrepl_info->fake_nodes)
		return nid < ktrepl_info->fake_nodes;
	return nid < MAX_NUMNODES && node_state(nid, N_MEMORY);
}

/**
 * ktrepl_cpu_node - the node of a CPU
 * @cpu: the CPU
 *
 * Return: node id; CPUs are dealt out in turn when nodes are pretended.
 */
int ktrepl_cpu_node(int cpu)
{
	if (ktrepl_info->fake_nodes)
		return cpu % ktrepl_info->fake_nodes;
	return cpu_to_node(cpu);
}

/**
 * ktrepl_page_node - the node of a primary page
 * @page: the page
 *
 * Return: node id; the primary is on node 0 when nodes are pretended.
 */
int ktrepl_page_node(struct page *page)
{
	return ktrepl_info->fake_nodes ? 0 : page_to_nid(page);
}

/**
 * ktrepl_gfp_node - the node argument for the page allocator
 * @nid: node, real or pretended
 *
 * Return: @nid, or the only node there is when nodes are pretended.
 */
int ktrepl_gfp_node(int nid)
{
	return ktrepl_info->fake_nodes ? first_online_node : nid;
}

static int ktrepl_distance(int a, int b)
{
	if (ktrepl_info->fake_nodes)
		return LOCAL_DISTANCE + 10 * abs(a - b);
	return node_distance(a, b);
}

/**
 * ktrepl_nearest - the node out of a region that is nearest to another
 * @nid:   the node, or NUMA_NO_NODE
 * @nodes: bitmap to choose from
 *
 * Return: @nid itself if it is in @nodes, else the nearest one (the lowest
 * numbered of several), else NUMA_NO_NODE.
 */
int ktrepl_nearest(int nid, const unsigned long *nodes)
{
	int best = NUMA_NO_NODE, n;

	if (nid == NUMA_NO_NODE || test_bit(nid, nodes))
		return nid;
	for_each_set_bit(n, nodes, KTREPL_MAX_NODES)
		if (best == NUMA_NO_NODE ||
		    ktrepl_distance(nid, n) < ktrepl_distance(nid, best))
			best = n;
	return best;
}

/* === Which nodes take part =============================================== */

/**
 * ktrepl_parse_nodes - understand ktrepl.nodes=
 * @str:      "all", a list of nodes like "0-3,8", or "every:N"
 * @nodes:    result, unchanged on error
 * @possible: the nodes there are
 *
 * Return: 0; -EINVAL when @str is none of these; -ENODEV when it names a node
 * that is not there, or none at all.
 */
int ktrepl_parse_nodes(const char *str, unsigned long *nodes,
		       const unsigned long *possible)
{
	DECLARE_BITMAP(res, KTREPL_MAX_NODES);
	unsigned int step, n = 0;
	int nid;

	if (!strcmp(str, "all")) {
		bitmap_copy(res, possible, KTREPL_MAX_NODES);
	} else if (str_has_prefix(str, "every:")) {
		if (kstrtouint(str + strlen("every:"), 10, &step) || !step)
			return -EINVAL;
		bitmap_zero(res, KTREPL_MAX_NODES);
		for_each_set_bit(nid, possible, KTREPL_MAX_NODES)
			if (n++ % step == 0)
				__set_bit(nid, res);
	} else {
		int err = bitmap_parselist(str, res, KTREPL_MAX_NODES);

		if (err)
			return err == -ERANGE ? -ENODEV : -EINVAL;
		if (!bitmap_subset(res, possible, KTREPL_MAX_NODES))
			return -ENODEV;
	}
	if (bitmap_empty(res, KTREPL_MAX_NODES))
		return -ENODEV;
	bitmap_copy(nodes, res, KTREPL_MAX_NODES);
	return 0;
}

/**
 * ktrepl_nodes_init - decide which nodes take part
 *
 * A bad ktrepl.nodes= is reported, and all nodes take part.
 *
 * Context: ktrepl_mutex held.
 * Return: 0 or -ENOMEM.
 */
int ktrepl_nodes_init(void)
{
	DECLARE_BITMAP(possible, KTREPL_MAX_NODES);
	unsigned long addr;
	unsigned int i;
	int nid, err;

	lockdep_assert_held(&ktrepl_mutex);

	ktrepl_nr_nodes = ktrepl_info->fake_nodes ?: nr_node_ids;
	for (i = 0; i < ktrepl_info->nr_ranges; i++) {
		const struct ktrepl_range *r = &ktrepl_info->ranges[i];

		for (addr = r->start; addr < r->end; addr += PAGE_SIZE)
			__set_bit(ktrepl_page_node(ktrepl_primary_page(addr)),
				  ktrepl_primary_nodes);
	}

	bitmap_zero(possible, KTREPL_MAX_NODES);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_node_has_memory(nid))
			__set_bit(nid, possible);

	err = ktrepl_parse_nodes(ktrepl_param_nodes, ktrepl_chosen, possible);
	if (err) {
		pr_warn("nodes=%s: %s; nodes with memory are %*pbl; using all\n",
			ktrepl_param_nodes,
			err == -ENODEV ? "no such node" :
			"not \"all\", a list like 0-3,8 or every:N",
			KTREPL_MAX_NODES, possible);
		strscpy(ktrepl_param_nodes, "all");
		bitmap_copy(ktrepl_chosen, possible, KTREPL_MAX_NODES);
	}

	for_each_set_bit(nid, possible, KTREPL_MAX_NODES) {
		struct ktrepl_node *node = ktrepl_nodes[nid];

		if (node)
			continue;
		/* On the node: its CPUs read it at every context switch. */
		node = kzalloc_node(sizeof(*node), GFP_KERNEL,
				    ktrepl_gfp_node(nid));
		if (!node)
			return -ENOMEM;
		node->nid = nid;
		INIT_LIST_HEAD(&node->chunks);
		INIT_LIST_HEAD(&node->tables);
		xa_init(&node->clones);
		ktrepl_roots_node_init(node);
		ktrepl_nodes[nid] = node;
	}
	return 0;
}

/**
 * ktrepl_node_allowed - has a node been chosen to hold replicas?
 * @nid: the node
 *
 * Return: true if ktrepl.nodes= names it and it has memory.
 */
bool ktrepl_node_allowed(int nid)
{
	return test_bit(nid, ktrepl_chosen);
}

/**
 * ktrepl_node_preferred - the node whose memory a node's CPUs are to fetch from
 * @nid: the node, or NUMA_NO_NODE
 *
 * Return: @nid itself if it takes part, else the nearest node that takes part
 * or holds the primary; NUMA_NO_NODE for a CPU that belongs to no node.
 */
int ktrepl_node_preferred(int nid)
{
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES);

	bitmap_or(nodes, ktrepl_chosen, ktrepl_primary_nodes, KTREPL_MAX_NODES);
	return ktrepl_nearest(nid, nodes);
}

/**
 * ktrepl_node_now - the node whose memory a node's CPUs fetch from at present
 * @nid: the node, or NUMA_NO_NODE
 *
 * Differs from ktrepl_node_preferred() while that node has no tables yet.
 *
 * Context: Any.  For the answer to stay true, ktrepl_node.live must not change:
 * cpus_read_lock or cpus_write_lock held, or a callback of CPU hotplug.
 * Return: the nearest node that is live or holds the primary.
 */
int ktrepl_node_now(int nid)
{
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES);
	int n;

	bitmap_copy(nodes, ktrepl_primary_nodes, KTREPL_MAX_NODES);
	for (n = 0; n < ktrepl_nr_nodes; n++)
		if (ktrepl_nodes[n] && READ_ONCE(ktrepl_nodes[n]->live))
			__set_bit(n, nodes);
	return ktrepl_nearest(nid, nodes);
}

/**
 * ktrepl_node_wanted - is a node to have replicas?
 * @nid: the node
 *
 * Context: ktrepl_mutex held.
 * Return: true if it is the preferred node of a CPU; of pretended nodes, each
 * counts as having CPUs.
 */
bool ktrepl_node_wanted(int nid)
{
	lockdep_assert_held(&ktrepl_mutex);

	return ktrepl_nodes[nid] &&
	       (ktrepl_info->fake_nodes || ktrepl_nodes[nid]->wanted);
}

/* === Accounting ========================================================== */

/**
 * ktrepl_charge - account memory to a node
 * @node:  the node
 * @stat:  what it is for
 * @bytes: how much
 *
 * Context: Any.
 * Return: false, with nothing charged, if ktrepl.mem_max would be exceeded.
 */
bool ktrepl_charge(struct ktrepl_node *node, enum ktrepl_stat stat, long bytes)
{
	unsigned long max = READ_ONCE(ktrepl_param_mem_max);

	if (atomic_long_add_return(bytes, &ktrepl_charged) > max && max) {
		atomic_long_sub(bytes, &ktrepl_charged);
		return false;
	}
	atomic_long_add(bytes, &node->stat[stat]);
	return true;
}

/**
 * ktrepl_uncharge - reverse ktrepl_charge()
 * @node:  the node
 * @stat:  what it was for
 * @bytes: how much
 *
 * Context: Any.
 */
void ktrepl_uncharge(struct ktrepl_node *node, enum ktrepl_stat stat,
		     long bytes)
{
	atomic_long_sub(bytes, &node->stat[stat]);
	atomic_long_sub(bytes, &ktrepl_charged);
}

/**
 * ktrepl_stat_move - account memory of a node to another purpose
 * @node:  the node
 * @from:  what it was for
 * @to:    what it is for
 * @bytes: how much
 *
 * The total stays the same.
 *
 * Context: Any.
 */
void ktrepl_stat_move(struct ktrepl_node *node, enum ktrepl_stat from,
		      enum ktrepl_stat to, long bytes)
{
	atomic_long_sub(bytes, &node->stat[from]);
	atomic_long_add(bytes, &node->stat[to]);
}
