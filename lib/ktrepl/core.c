// SPDX-License-Identifier: GPL-2.0
/*
 * Life cycle: start, run-time switch, CPU hotplug, power management.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/bitmap.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/crash_dump.h>
#include <linux/init.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/smp.h>
#include <linux/stop_machine.h>
#include <linux/suspend.h>
#include <linux/workqueue.h>

#include <kunit/visibility.h>

#define CREATE_TRACE_POINTS
#include <trace/events/ktrepl.h>

#include "internal.h"

/* === Data ================================================================ */

/* See internal.h for what it protects, and its place in the lock order. */
DEFINE_MUTEX(ktrepl_mutex);

const struct ktrepl_arch_info *ktrepl_info;
struct ktrepl_region *ktrepl_image[KTREPL_MAX_RANGES];
unsigned long ktrepl_lowest __read_mostly, ktrepl_highest __read_mostly;

/*
 * The node whose replicas this CPU uses; NULL: the primary.  Written on the CPU
 * itself, with interrupts disabled.
 */
DEFINE_PER_CPU(struct ktrepl_node *, ktrepl_cpu_preferred);

enum ktrepl_state ktrepl_state;

static const char *const ktrepl_state_names[] = {
	[KTREPL_BOOTING] = "off",
	[KTREPL_OFF]	 = "off",
	[KTREPL_ON]	 = "on",
	[KTREPL_REFUSED] = "refused",
	[KTREPL_BROKEN]	 = "broken",
};

static const char *ktrepl_reason;	/* of KTREPL_REFUSED */
static unsigned long ktrepl_switches;
static bool ktrepl_pm_paused;		/* off for hibernation, was on */

/* === Parameters ========================================================== */

char ktrepl_param_nodes[KTREPL_NODES_LEN] = "all";
module_param_string(nodes, ktrepl_param_nodes, sizeof(ktrepl_param_nodes),
		    0444);
MODULE_PARM_DESC(nodes, "nodes that hold replicas: all, a list like 0-3,8, or every:N");

unsigned long ktrepl_param_mem_max;

static int ktrepl_mem_max_set(const char *val, const struct kernel_param *kp)
{
	char *end;
	unsigned long long size = memparse(val, &end);

	if (end == val || (*end && *end != '\n') || size > ULONG_MAX)
		return -EINVAL;
	WRITE_ONCE(ktrepl_param_mem_max, size);
	if (ktrepl_is_on())
		ktrepl_heal_queue();
	return 0;
}

static const struct kernel_param_ops ktrepl_mem_max_ops = {
	.set = ktrepl_mem_max_set,
	.get = param_get_ulong,
};
module_param_cb(mem_max, &ktrepl_mem_max_ops, &ktrepl_param_mem_max, 0644);
MODULE_PARM_DESC(mem_max, "most memory to use on all nodes together, 0: no limit");

static bool ktrepl_param_enable;

static int ktrepl_enable_set(const char *val, const struct kernel_param *kp)
{
	bool on;
	int err = kstrtobool(val, &on);

	if (err)
		return err;
	if (ktrepl_state == KTREPL_BOOTING) {
		ktrepl_param_enable = on;
		return 0;
	}
	if (on)
		return ktrepl_enable();
	ktrepl_disable();
	return 0;
}

static int ktrepl_enable_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%c\n", ktrepl_is_on() ? 'Y' : 'N');
}

static const struct kernel_param_ops ktrepl_enable_ops = {
	.set = ktrepl_enable_set,
	.get = ktrepl_enable_get,
};
module_param_cb(enable, &ktrepl_enable_ops, NULL, 0644);
MODULE_PARM_DESC(enable, "replicate kernel text and read-only data");

static bool ktrepl_param_kdump;
module_param_named(kdump, ktrepl_param_kdump, bool, 0444);
MODULE_PARM_DESC(kdump, "replicate in a crash kernel, too");

/**
 * ktrepl_is_on - is replication switched on?
 *
 * Return: true if so; stays so while ktrepl_mutex is held.
 */
bool ktrepl_is_on(void)
{
	return READ_ONCE(ktrepl_state) == KTREPL_ON;
}

/**
 * ktrepl_state_name - the state in a word
 *
 * Context: Any.
 * Return: "on", "off", "refused" or "broken".
 */
const char *ktrepl_state_name(void)
{
	return ktrepl_state_names[READ_ONCE(ktrepl_state)];
}

/**
 * ktrepl_state_reason - why replication is refused or broken
 *
 * Context: Any.
 * Return: the reason, or NULL while it is neither.
 */
const char *ktrepl_state_reason(void)
{
	return READ_ONCE(ktrepl_broken_why) ?: READ_ONCE(ktrepl_reason);
}

/* === CPUs ================================================================ */

/*
 * On the CPU, with interrupts disabled.  The CPU sets its bit in the mask of
 * the node before it takes the node as its preferred node, and clears it after
 * it has left: whoever does not find the bit knows that the CPU has not chosen
 * anything of the node.  The node is looked up once, for both: it may change
 * between two calls.
 *
 * Model: tools/ktrepl/models/root-move.pml
 */
static void ktrepl_set_preferred(struct ktrepl_node *node)
{
	struct ktrepl_node *old = this_cpu_read(ktrepl_cpu_preferred);
	int cpu = smp_processor_id();

	lockdep_assert_irqs_disabled();

	if (node) {
		cpumask_set_cpu(cpu, &node->cpus);
		/* Pairs with ktrepl_root_move(). */
		smp_mb__after_atomic();
	}
	this_cpu_write(ktrepl_cpu_preferred, node);
	ktrepl_roots_cpu_start(node);
	arch_ktrepl_attach();
	if (old && old != node)
		cpumask_clear_cpu(cpu, &old->cpus);
}

/**
 * ktrepl_best_node - the node that is best for a CPU at present
 * @cpu: CPU, present or not
 *
 * Context: Any; the answer stays right while ktrepl_mutex is held.
 * Return: the node, or NULL for the primary.
 */
struct ktrepl_node *ktrepl_best_node(int cpu)
{
	int nid = ktrepl_node_now(ktrepl_cpu_node(cpu));
	struct ktrepl_node *node;

	node = nid == NUMA_NO_NODE ? NULL : ktrepl_nodes[nid];
	return node && node->live ? node : NULL;
}

static int ktrepl_place_cpu(void *unused)
{
	unsigned long flags;

	local_irq_save(flags);
	ktrepl_set_preferred(ktrepl_best_node(smp_processor_id()));
	local_irq_restore(flags);
	return 0;
}

/**
 * ktrepl_place_cpus - have each CPU take the node that is best for it now
 *
 * From its stopper thread.  An IPI will not do: it can interrupt code that runs
 * on tables of its own with interrupts enabled, such as the calls of EFI
 * runtime services, which disable preemption only.
 *
 * A CPU that is switching mms gets to its stopper thread afterwards: on return
 * no CPU is on a node that is not live, nor has anything cached from one.
 *
 * Model: tools/ktrepl/models/node-hotplug.pml
 *
 * Context: Process context, cpus_read_lock and ktrepl_mutex held.
 */
void ktrepl_place_cpus(void)
{
	int cpu;

	lockdep_assert_cpus_held();
	lockdep_assert_held(&ktrepl_mutex);

	for_each_online_cpu(cpu)
		if (per_cpu(ktrepl_cpu_preferred, cpu) != ktrepl_best_node(cpu))
			stop_one_cpu(cpu, ktrepl_place_cpu, NULL);
}

#ifdef CONFIG_HAVE_ARCH_KTREPL
pgd_t *ktrepl_cpu_root(void)
{
	struct ktrepl_node *preferred = this_cpu_read(ktrepl_cpu_preferred);

	return preferred && preferred->root ? preferred->root : ktrepl_primary_root();
}
#endif

/**
 * ktrepl_node_detach - have all CPUs leave a node
 * @node: the node
 *
 * Until it is live again and ktrepl_place_cpus() has been called.
 *
 * Context: Process context, cpus_read_lock and ktrepl_mutex held.
 */
void ktrepl_node_detach(struct ktrepl_node *node)
{
	WRITE_ONCE(node->live, false);
	ktrepl_place_cpus();
	ktrepl_roots_leave(node);
}

/**
 * ktrepl_node_tear_down - free all that a node has
 * @node: the node, not live
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_node_tear_down(struct ktrepl_node *node)
{
	struct ktrepl_region *region, *execmem;

	WARN_ON_ONCE(node->live || !cpumask_empty(&node->cpus));

	ktrepl_node_unmap(node);
	list_for_each_entry(region, &ktrepl_regions, list)
		ktrepl_region_depopulate(region, node->nid);
	ktrepl_for_each_execmem(execmem)
		ktrepl_region_depopulate(execmem, node->nid);
	ktrepl_arena_destroy(node);
}

/**
 * ktrepl_node_populate - make the replicas of the image that a node lacks
 * @node: the node; its CPUs leave it when there is memory for any
 *
 * Context: Process context, ktrepl_mutex held; no CPU comes or goes.
 */
void ktrepl_node_populate(struct ktrepl_node *node)
{
	struct ktrepl_region *region;
	struct page **fresh;

	lockdep_assert_held(&ktrepl_mutex);

	node->incomplete = false;
	list_for_each_entry(region, &ktrepl_regions, list) {
		fresh = ktrepl_region_reserve(region, node->nid);
		/* Nobody looks on while replicas are filled and mapped. */
		if (fresh && node->root && node->live)
			ktrepl_node_detach(node);
		ktrepl_region_publish(region, node->nid, fresh);
		node->incomplete |= ktrepl_region_missing(region, node->nid);
	}
}

/**
 * ktrepl_node_build - make the tables and replicas of a node
 * @node: the node, not live
 *
 * Where memory is short some replicas are missing, or the node stays without
 * tables and its CPUs use another one: the work item of heal.c tries again.
 *
 * Context: Process context, ktrepl_mutex held; no CPU comes or goes.
 * Return: true if nothing is missing.
 */
bool ktrepl_node_build(struct ktrepl_node *node)
{
	lockdep_assert_held(&ktrepl_mutex);

	if (ktrepl_node_map(node))
		goto fail;
	/*
	 * Pages that are writable are marked before any is copied: plain stores
	 * may change these.  Model: tools/ktrepl/models/image-copy.pml
	 */
	if (node->root && ktrepl_node_install(node))
		goto fail;
	ktrepl_node_populate(node);
	if (node->root) {
		if (ktrepl_node_install(node))
			goto fail;
		ktrepl_roots_node_start(node);
		ktrepl_execmem_node_start();
	}
	/* CPU hotplug is kept out: CPUs that come up later see all of it. */
	WRITE_ONCE(node->live, true);
	return !node->incomplete;

fail:
	ktrepl_node_tear_down(node);
	return false;
}

/* Has a CPU's preferred node taken note that it is one. */
static struct ktrepl_node *ktrepl_want(int cpu)
{
	int nid = ktrepl_node_preferred(ktrepl_cpu_node(cpu));

	if (nid == NUMA_NO_NODE || !ktrepl_node_allowed(nid))
		return NULL;
	ktrepl_nodes[nid]->wanted = true;
	return ktrepl_nodes[nid];
}

/*
 * A CPU is about to come: its node may be new, and is built before the CPU runs
 * anything.  CPUs that had to use another node come over by the work item.
 */
VISIBLE_IF_KUNIT int ktrepl_cpu_prepare(unsigned int cpu)
{
	struct ktrepl_node *node;

	mutex_lock(&ktrepl_mutex);
	node = ktrepl_is_on() ? ktrepl_want(cpu) : NULL;
	if (node) {
		if (!node->live && !ktrepl_node_given_up(node))
			ktrepl_node_build(node);
		ktrepl_heal_queue();
	}
	ktrepl_announce();
	mutex_unlock(&ktrepl_mutex);
	return 0;
}

/* On the new CPU, interrupts disabled; it has come up on the primary. */
static int ktrepl_cpu_starting(unsigned int cpu)
{
	struct ktrepl_node *node = ktrepl_best_node(cpu);

	if (node)
		ktrepl_set_preferred(node);
	return 0;
}

/*
 * On the dying CPU, interrupts disabled.  It is going to park in kernel text,
 * out of reach of any IPI, on the root that it has then: that must be the
 * primary's.  idle_task_exit() switches to init_mm later, with no preferred
 * node.
 */
static int ktrepl_cpu_dying(unsigned int cpu)
{
	ktrepl_set_preferred(NULL);
	return 0;
}

/* === Switching =========================================================== */

static unsigned long ktrepl_pages(void)
{
	unsigned long bytes = 0;
	int nid, i;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		for (i = 0; ktrepl_nodes[nid] && i < KTREPL_NR_SIZES; i++)
			bytes += atomic_long_read(&ktrepl_nodes[nid]->stat[i]);
	return bytes >> PAGE_SHIFT;
}

static void ktrepl_switch_on(void)
{
	struct ktrepl_region *region;
	int cpu;

	list_for_each_entry(region, &ktrepl_regions, list)
		ktrepl_pages_reset(region);
	for_each_online_cpu(cpu)
		ktrepl_want(cpu);

	/*
	 * Pokes and changes of leaves look for replicas before there are any.
	 */
	static_branch_enable_cpuslocked(&ktrepl_key);
	ktrepl_execmem_start();
	ktrepl_roots_start();
	WRITE_ONCE(ktrepl_state, KTREPL_ON);
	if (!ktrepl_fill())
		ktrepl_heal_soon();
}

static void ktrepl_switch_off(enum ktrepl_state state)
{
	int nid;

	WRITE_ONCE(ktrepl_state, state);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			WRITE_ONCE(ktrepl_nodes[nid]->live, false);
	ktrepl_place_cpus();
	ktrepl_roots_leave(NULL);
	ktrepl_roots_stop();
	ktrepl_objects_drop();
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		struct ktrepl_node *node = ktrepl_nodes[nid];

		if (!node)
			continue;
		ktrepl_node_tear_down(node);
		node->wanted = false;
		node->incomplete = false;
		node->strikes = 0;
	}
	ktrepl_roots_finish();
	ktrepl_spans_clear();
	ktrepl_execmem_stop();
	static_branch_disable_cpuslocked(&ktrepl_key);
}

/**
 * ktrepl_settle - let a broken invariant that was reported take effect
 *
 * Comes before any other change of the state, so that none of them hides it.
 *
 * Context: Process context, cpus_read_lock and ktrepl_mutex held.
 */
void ktrepl_settle(void)
{
	lockdep_assert_held(&ktrepl_mutex);

	if (!READ_ONCE(ktrepl_broken_why))
		return;
	if (ktrepl_state == KTREPL_ON)
		ktrepl_switch_off(KTREPL_BROKEN);
	else if (ktrepl_state == KTREPL_OFF)
		WRITE_ONCE(ktrepl_state, KTREPL_BROKEN);
}

/**
 * ktrepl_enable - switch replication on
 *
 * Context: Process context, takes cpus_read_lock and ktrepl_mutex.
 * Return: 0, also when it is on already or not all of it could be had;
 * -EOPNOTSUPP when this boot cannot, -EIO after an invariant did not hold.
 */
int ktrepl_enable(void)
{
	int err = 0;

	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	ktrepl_settle();
	switch (ktrepl_state) {
	case KTREPL_ON:
		break;
	case KTREPL_OFF:
		ktrepl_switch_on();
		ktrepl_switches++;
		trace_ktrepl_switch(true, ktrepl_pages());
		break;
	case KTREPL_BROKEN:
		pr_err("broken: %s\n", ktrepl_broken_why);
		err = -EIO;
		break;
	default:
		pr_err("refused: %s\n", ktrepl_reason);
		err = -EOPNOTSUPP;
	}
	ktrepl_announce();
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();
	return err;
}

/**
 * ktrepl_disable - switch replication off and free everything
 *
 * Context: Process context, takes cpus_read_lock and ktrepl_mutex.
 */
void ktrepl_disable(void)
{
	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	ktrepl_settle();
	if (ktrepl_is_on()) {
		ktrepl_switch_off(KTREPL_OFF);
		ktrepl_switches++;
		trace_ktrepl_switch(false, 0);
	}
	ktrepl_announce();
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();
}

/**
 * ktrepl_state_show - the state, for debugfs
 * @m: where to write
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_state_show(struct seq_file *m)
{
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES) = { };
	int nid;

	lockdep_assert_held(&ktrepl_mutex);

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid] && ktrepl_node_allowed(nid))
			__set_bit(nid, nodes);
	seq_printf(m, "state %s\n", ktrepl_state_name());
	seq_printf(m, "reason %s\n", ktrepl_state_reason() ?: "-");
	seq_printf(m, "nodes %*pbl\n", KTREPL_MAX_NODES, nodes);
	seq_printf(m, "primary %*pbl\n", KTREPL_MAX_NODES, ktrepl_primary_nodes);
	seq_printf(m, "mem_max_kb %lu\n",
		   DIV_ROUND_UP(READ_ONCE(ktrepl_param_mem_max), 1024));
	seq_printf(m, "toggles %lu\n", ktrepl_switches);
	ktrepl_heal_show(m);
}

/* === Power management ==================================================== */

/*
 * A hibernation image is smaller without replicas, and the resumed kernel
 * starts on the primary anyway.
 */
VISIBLE_IF_KUNIT int ktrepl_pm_notify(struct notifier_block *nb, unsigned long event,
				      void *unused)
{
	switch (event) {
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		ktrepl_pm_paused = ktrepl_is_on();
		ktrepl_disable();
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		if (ktrepl_pm_paused)
			ktrepl_enable();
		ktrepl_pm_paused = false;
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block ktrepl_pm_nb = {
	.notifier_call = ktrepl_pm_notify,
};

/* === Start =============================================================== */

static int ktrepl_start(void)
{
	unsigned int i;
	int err;

	ktrepl_info = arch_ktrepl_setup();
	ktrepl_reason = ktrepl_info->refuse;
	/* Its command line, often the crashed kernel's, tells it to, too. */
	if (!ktrepl_reason && is_kdump_kernel() && !ktrepl_param_kdump)
		ktrepl_reason = "this is a crash kernel (see ktrepl.kdump=)";
	if (!ktrepl_reason && !ktrepl_info->fake_nodes &&
	    num_online_nodes() < 2)
		ktrepl_reason = "this machine has only one node";
	if (ktrepl_reason)
		return -EOPNOTSUPP;

	err = ktrepl_nodes_init();
	if (err)
		return err;
	ktrepl_lowest = ktrepl_info->lowest;
	ktrepl_highest = ktrepl_info->highest ?: ULONG_MAX;
	for (i = 0; i < ktrepl_info->nr_ranges; i++) {
		const struct ktrepl_range *r = &ktrepl_info->ranges[i];
		struct ktrepl_region *region;

		if (!ktrepl_in_bounds(r->start, r->end))
			return -EINVAL;
		region = ktrepl_region_register(r->name, r->kind, r->start, r->end);
		if (IS_ERR(region))
			return PTR_ERR(region);
		region->mapped = true;
		region->first = ktrepl_primary_page(r->start);
		ktrepl_image[i] = region;
	}
	return 0;
}

static int ktrepl_notifiers_init(void)
{
	int err;

	err = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "ktrepl:prepare",
					ktrepl_cpu_prepare, NULL);
	if (err < 0)
		return err;
	err = cpuhp_setup_state_nocalls(CPUHP_AP_KTREPL_STARTING,
					"ktrepl:starting", ktrepl_cpu_starting,
					ktrepl_cpu_dying);
	if (err)
		return err;
	return register_pm_notifier(&ktrepl_pm_nb);
}

/* Not __init: init memory has been freed when kernel_init() gets here. */
void ktrepl_late_init(void)
{
	int err;

	/* KUnit may have started a port that does not depend on the boot. */
	if (ktrepl_state != KTREPL_BOOTING)
		return;
	mutex_lock(&ktrepl_mutex);
	err = ktrepl_start();
	mutex_unlock(&ktrepl_mutex);
	if (!err)
		err = ktrepl_roots_init() ?: ktrepl_notifiers_init();
	if (err && !ktrepl_reason)
		ktrepl_reason = err == -ENOMEM ? "out of memory at boot" :
				err == -ENOSPC ? "no CPU hotplug state is free" :
				"the architecture's ranges are not valid";
	WRITE_ONCE(ktrepl_state, err ? KTREPL_REFUSED : KTREPL_OFF);

	if (!ktrepl_param_enable)
		return;
	if (!ktrepl_enable())
		pr_info("on: %lu kB of replicas and tables\n",
			ktrepl_pages() << (PAGE_SHIFT - 10));
}
