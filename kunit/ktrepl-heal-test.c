// SPDX-License-Identifier: GPL-2.0
/*
 * Shortage and divergence heal by themselves, and are reported meanwhile.
 *
 * On live kernel text: run the suite again after the boot, see
 * ktrepl-text-test.c.
 */

#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/smp.h>
#include <linux/vmalloc.h>

#include <kunit/static_stub.h>

#include "common.h"

static int ktrepl_heal_init(struct kunit *test)
{
	ktrepl_test_on(test);
	test->priv = (void *)ktrepl_param_mem_max;
	return 0;
}

static void ktrepl_heal_exit(struct kunit *test)
{
	if (!ktrepl_info || ktrepl_info->refuse)
		return;
	ktrepl_disable();
	WRITE_ONCE(ktrepl_param_mem_max, (unsigned long)test->priv);
	ktrepl_enable();
}

/* === Shortage ============================================================ */

/* From an IPI: does the CPU's own root lead to memory of its preferred node? */
static void ktrepl_heal_ask(void *local)
{
	unsigned long addr = (unsigned long)ktrepl_info->marker;
	int nid = ktrepl_node_preferred(ktrepl_cpu_node(smp_processor_id()));
	struct ktrepl_mapping w;

	*(int *)local += ktrepl_walk(arch_ktrepl_cpu_root(), addr, nid, &w) &&
			 page_to_nid(pfn_to_page(w.pfn)) == nid;
}

static int ktrepl_heal_local_cpus(void)
{
	int cpu, local = 0;

	cpus_read_lock();
	for_each_online_cpu(cpu)
		smp_call_function_single(cpu, ktrepl_heal_ask, &local, true);
	cpus_read_unlock();
	return local;
}

/*
 * A process may have to wait for its root a little longer than for the pages.
 */
static bool ktrepl_heal_all_local(void)
{
	int tries = 20;

	while (ktrepl_heal_local_cpus() < num_online_cpus() && --tries)
		msleep(50);
	return tries;
}

static unsigned long ktrepl_heal_missing(void)
{
	struct ktrepl_region *region;
	unsigned long nr = 0;
	int nid;

	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_node_wanted(nid))
			continue;
		list_for_each_entry(region, &ktrepl_regions, list)
			nr += ktrepl_region_missing(region, nid);
		nr += ktrepl_execmem_missing(nid);
	}
	mutex_unlock(&ktrepl_mutex);
	return nr;
}

static void ktrepl_heal_expect_whole(struct kunit *test)
{
	struct ktrepl_verify_result res = ktrepl_test_verify(false);

	KUNIT_EXPECT_EQ(test, ktrepl_heal_missing(), 0);
	KUNIT_EXPECT_TRUE(test, ktrepl_heal_all_local());
	KUNIT_EXPECT_GT(test, res.compared, 0);
	KUNIT_EXPECT_EQ(test, res.different, 0);
}

/* Switches on with no more memory than @cap. */
static void ktrepl_heal_starve(struct kunit *test, unsigned long cap)
{
	ktrepl_disable();
	WRITE_ONCE(ktrepl_param_mem_max, cap);
	KUNIT_ASSERT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_GT(test, ktrepl_heal_missing(), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

/* Within the second that it may take. */
static void ktrepl_heal_wait(void)
{
	msleep(600);
	ktrepl_heal_flush();
}

static const unsigned long ktrepl_heal_caps[] = {
	1, PAGE_SIZE, 8 * PAGE_SIZE, 64 * PAGE_SIZE, SZ_1M + SZ_64K,
};

/* [R5]: memory is there again: no one switches, no CPU comes or goes */
static void ktrepl_heal_shortage(struct kunit *test)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(ktrepl_heal_caps); i++) {
		ktrepl_heal_starve(test, ktrepl_heal_caps[i]);
		WRITE_ONCE(ktrepl_param_mem_max, 0);
		ktrepl_heal_wait();
		ktrepl_heal_expect_whole(test);
	}
}

/* Not what is missing: more of that is known when another node goes live. */
static unsigned long ktrepl_heal_there(void)
{
	return ktrepl_test_stat(KTREPL_STAT_RESIDENT) + ktrepl_test_stat(KTREPL_STAT_MODULE);
}

/* Step by step, under CPUs that run on what there is already. */
static void ktrepl_heal_steps(struct kunit *test)
{
	unsigned long cap, before, there;

	ktrepl_heal_starve(test, 64 * PAGE_SIZE);
	before = ktrepl_heal_there();
	for (cap = 128 * PAGE_SIZE; cap < SZ_32M; cap *= 2) {
		WRITE_ONCE(ktrepl_param_mem_max, cap);
		ktrepl_heal_queue();
		ktrepl_heal_flush();
		there = ktrepl_heal_there();
		KUNIT_EXPECT_GE(test, there, before);
		KUNIT_EXPECT_LE(test, ktrepl_test_bytes(), cap);
		KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
		before = there;
	}
	WRITE_ONCE(ktrepl_param_mem_max, 0);
	ktrepl_heal_wait();
	ktrepl_heal_expect_whole(test);
}

/* How many windows are opened before one is not, for lack of memory. */
static int ktrepl_heal_windows;

static bool ktrepl_heal_open(struct ktrepl_window *w)
{
	if (!ktrepl_heal_windows--)
		return false;
	w->alias = vmap(w->pages, w->nr, VM_MAP, PAGE_KERNEL);
	return w->alias;
}

/*
 * Pages of one window go without replicas: one that ends amid a large leaf leaves
 * it with replicas of some of its pages.
 */
static void ktrepl_heal_window(struct kunit *test)
{
	int i;

	kunit_activate_static_stub(test, ktrepl_window_open, ktrepl_heal_open);
	for (i = 0; i < 8; i++) {
		ktrepl_disable();
		ktrepl_heal_windows = i;
		KUNIT_ASSERT_EQ(test, ktrepl_enable(), 0);
		KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
		if (ktrepl_heal_windows >= 0)
			break;
		ktrepl_heal_wait();
		ktrepl_heal_expect_whole(test);
	}
	KUNIT_EXPECT_GT(test, i, 0);
}

/* A CPU comes to a node that could get no tables, but now can. */
static void ktrepl_heal_cpu(struct kunit *test)
{
	struct device *cpu = get_cpu_device(num_online_cpus() - 1);

	if (!cpu || cpu->offline_disabled)
		kunit_skip(test, "requires a CPU that can go");
	ktrepl_heal_starve(test, PAGE_SIZE);
	WRITE_ONCE(ktrepl_param_mem_max, 0);
	KUNIT_ASSERT_EQ(test, device_offline(cpu), 0);
	KUNIT_ASSERT_EQ(test, device_online(cpu), 0);
	ktrepl_heal_wait();
	ktrepl_heal_expect_whole(test);
}

/* === Divergence ========================================================== */

/* A page of text with its replicas, and bytes in it that mean nothing. */
static struct ktrepl_region *ktrepl_heal_region(unsigned long *index)
{
	unsigned long addr = (unsigned long)ktrepl_info->marker;
	struct ktrepl_region *region = ktrepl_region_find(addr);

	*index = ktrepl_region_index(region, addr);
	return region;
}

static void ktrepl_heal_write(struct page *page, u32 val)
{
	mutex_lock(&text_mutex);
	arch_ktrepl_write(page, offset_in_page(ktrepl_info->marker), &val,
			  sizeof(val));
	mutex_unlock(&text_mutex);
}

static int ktrepl_heal_first_replica(struct ktrepl_region *region, unsigned long index)
{
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_region_replica(region, nid, index))
			return nid;
	return NUMA_NO_NODE;
}

/* A poke whose stores do not reach the first replica, @times times. */
static void ktrepl_heal_lossy_poke(struct kunit *test, int times)
{
	u32 *marker = ktrepl_info->marker, new = arch_ktrepl_marker_code(79);
	unsigned int off = offset_in_page(marker);
	struct ktrepl_poke_iter poke = { };
	struct page *lossy = NULL;
	unsigned int i;

	mutex_lock(&text_mutex);
	poke.pages[0][0] = ktrepl_primary_page((unsigned long)marker);
	ktrepl_poke_first(&poke, (unsigned long)marker, sizeof(new));
	do {
		for (i = 0; i < poke.nr; i++) {
			if (i && !lossy)
				lossy = poke.pages[i][0];
			if (poke.pages[i][0] != lossy || times-- <= 0)
				arch_ktrepl_write(poke.pages[i][0], off, &new,
						  sizeof(new));
		}
		poke.synced = poke.nr;
	} while (ktrepl_poke_next(&poke));
	mutex_unlock(&text_mutex);
	KUNIT_EXPECT_NOT_NULL(test, lossy);
}

/*
 * [R8]: once: mended by the poke. Twice: by the work item. And again after that
 */
static void ktrepl_heal_poke(struct kunit *test)
{
	u32 old = *(u32 *)ktrepl_info->marker;
	int times;

	for (times = 1; times <= 3; times++) {
		ktrepl_heal_lossy_poke(test, times);
		/* What the poke cannot mend, the work item may have by now. */
		if (times > 1)
			ktrepl_heal_flush();
		KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
		KUNIT_EXPECT_TRUE(test, ktrepl_is_on());
		KUNIT_EXPECT_EQ(test, ktrepl_test_poke(ktrepl_info->marker, &old,
						       sizeof(old)), 0);
	}
	ktrepl_heal_expect_whole(test);
}

/* All replicas but one differ: they are mended. */
static void ktrepl_heal_replicas(struct kunit *test)
{
	int nid, first, bad = 0;
	struct ktrepl_verify_result res;
	struct ktrepl_region *region;
	unsigned long index;

	region = ktrepl_heal_region(&index);
	first = ktrepl_heal_first_replica(region, index);
	for (nid = first + 1; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_region_replica(region, nid, index)) {
			ktrepl_heal_write(ktrepl_region_replica(region, nid, index),
					  arch_ktrepl_marker_code(80));
			bad++;
		}
	if (!bad)
		ktrepl_heal_write(ktrepl_region_replica(region, first, index),
				  arch_ktrepl_marker_code(80));
	res = ktrepl_test_verify(true);
	KUNIT_EXPECT_EQ(test, res.different, bad ?: 1);
	KUNIT_EXPECT_EQ(test, res.doubtful, 0);
	ktrepl_heal_expect_whole(test);
}

/* The primary differs from replicas that agree: nothing is written. */
static void ktrepl_heal_primary(struct kunit *test)
{
	u32 old = *(u32 *)ktrepl_info->marker;
	struct ktrepl_verify_result res;
	struct ktrepl_region *region;
	unsigned long index;
	struct page *primary;
	int replicas;

	region = ktrepl_heal_region(&index);
	replicas = ktrepl_test_replicas(region, index);
	primary = ktrepl_primary_page((unsigned long)ktrepl_info->marker);
	ktrepl_heal_write(primary, arch_ktrepl_marker_code(81));
	res = ktrepl_test_verify(true);
	KUNIT_EXPECT_EQ(test, res.different, replicas);
	KUNIT_EXPECT_EQ(test, res.doubtful, replicas > 1 ? replicas : 0);
	res = ktrepl_test_verify(false);
	KUNIT_EXPECT_EQ(test, res.different, replicas > 1 ? replicas : 0);
	KUNIT_EXPECT_TRUE(test, ktrepl_is_on());
	KUNIT_EXPECT_EQ(test, ktrepl_test_poke(ktrepl_info->marker, &old,
					       sizeof(old)), 0);
	ktrepl_heal_expect_whole(test);
}

static long ktrepl_heal_retired(int nid)
{
	return atomic_long_read(&ktrepl_nodes[nid]->stat[KTREPL_STAT_RETIRED]);
}

static void ktrepl_heal_retire_marker(int nid)
{
	struct ktrepl_region *region;
	unsigned long index;

	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	region = ktrepl_heal_region(&index);
	ktrepl_retire(region, nid, index);
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();
	ktrepl_heal_queue();
	ktrepl_heal_flush();
}

/* Like ktrepl_broken(), without a warning. */
static void ktrepl_heal_quiet(const char *why)
{
	WRITE_ONCE(ktrepl_broken_why, why);
}

/* The nearest node that still has replicas, or holds the primary. */
static int ktrepl_heal_best(int own)
{
	int nid, best = NUMA_NO_NODE;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!test_bit(nid, ktrepl_primary_nodes) &&
		    !(ktrepl_nodes[nid] && ktrepl_nodes[nid]->live))
			continue;
		if (best == NUMA_NO_NODE ||
		    node_distance(own, nid) < node_distance(own, best))
			best = nid;
	}
	return best;
}

static void ktrepl_heal_expect_preferred(struct kunit *test)
{
	struct ktrepl_node *preferred;
	int cpu, best;

	if (ktrepl_info->fake_nodes)
		return;
	for_each_online_cpu(cpu) {
		preferred = per_cpu(ktrepl_cpu_preferred, cpu);
		best = ktrepl_heal_best(ktrepl_cpu_node(cpu));
		/* Without a preferred node it is on the primary. */
		KUNIT_EXPECT_EQ(test, preferred ? preferred->nid : best, best);
	}
}

/* The strike that is too many. */
static void ktrepl_heal_give_up(struct kunit *test, int nid, bool last)
{
	kunit_activate_static_stub(test, ktrepl_broken, ktrepl_heal_quiet);
	ktrepl_heal_retire_marker(nid);
	kunit_deactivate_static_stub(test, ktrepl_broken);
	if (last) {
		KUNIT_EXPECT_EQ(test, ktrepl_state, KTREPL_BROKEN);
		KUNIT_EXPECT_EQ(test, ktrepl_test_bytes(), 0);
		ktrepl_test_unbreak();
		return;
	}
	KUNIT_EXPECT_TRUE(test, ktrepl_is_on());
	KUNIT_EXPECT_FALSE(test, ktrepl_nodes[nid]->live);
	KUNIT_EXPECT_TRUE(test, cpumask_empty(&ktrepl_nodes[nid]->cpus));
	ktrepl_heal_expect_preferred(test);
	KUNIT_EXPECT_LT(test, ktrepl_heal_local_cpus(), num_online_cpus());
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

/*
 * [R8]: memory that keeps nothing is replaced; when it is too much, the node gives
 * up, and with the last node that has replicas replication is switched off.
 */
static void ktrepl_heal_retire(struct kunit *test)
{
	struct ktrepl_region *region;
	unsigned long index;
	struct page *replica;
	int nid, i;

	region = ktrepl_heal_region(&index);
	nid = ktrepl_heal_first_replica(region, index);
	KUNIT_ASSERT_NE(test, nid, NUMA_NO_NODE);
	replica = ktrepl_region_replica(region, nid, index);
	ktrepl_heal_retire_marker(nid);
	KUNIT_EXPECT_PTR_NE(test, ktrepl_region_replica(region, nid, index), replica);
	KUNIT_EXPECT_GT(test, ktrepl_heal_retired(nid), 0);
	ktrepl_heal_expect_whole(test);

	for (i = 1; i < KTREPL_STRIKES - 1; i++)
		ktrepl_heal_retire_marker(nid);
	KUNIT_EXPECT_TRUE(test, ktrepl_nodes[nid]->live);
	ktrepl_heal_give_up(test, nid, ktrepl_test_replicas(region, index) == 1);
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_test_bytes(), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	ktrepl_heal_expect_whole(test);
}

static struct kunit_case ktrepl_heal_cases[] = {
	KUNIT_CASE_SLOW(ktrepl_heal_shortage),
	KUNIT_CASE_SLOW(ktrepl_heal_steps),
	KUNIT_CASE_SLOW(ktrepl_heal_window),
	KUNIT_CASE_SLOW(ktrepl_heal_cpu),
	KUNIT_CASE(ktrepl_heal_poke),
	KUNIT_CASE(ktrepl_heal_replicas),
	KUNIT_CASE(ktrepl_heal_primary),
	KUNIT_CASE_SLOW(ktrepl_heal_retire),
	{ }
};

static struct kunit_suite ktrepl_heal_suite = {
	.name = "ktrepl_heal",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_heal_init,
	.exit = ktrepl_heal_exit,
	.test_cases = ktrepl_heal_cases,
};

kunit_test_suite(ktrepl_heal_suite);
