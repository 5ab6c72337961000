// SPDX-License-Identifier: GPL-2.0
/*
 * Switching, by whatever may ask for it, and what reports say of the state.
 */

#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/suspend.h>

#include "common.h"

/* === Parameters ========================================================== */

/* As init/main.c finds it. */
static const struct kernel_param *ktrepl_core_param(const char *name)
{
	const struct kernel_param *kp;

	for (kp = __start___param; kp < __stop___param; kp++)
		if (!strcmp(kp->name, name))
			return kp;
	return NULL;
}

static int ktrepl_core_set(struct kunit *test, const char *name, const char *val)
{
	const struct kernel_param *kp = ktrepl_core_param(name);

	KUNIT_ASSERT_NOT_NULL(test, kp);
	return kp->ops->set(val, kp);
}

/* No node knows of a replica that it lacks. */
static void ktrepl_core_expect_whole(struct kunit *test)
{
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		KUNIT_EXPECT_FALSE(test, ktrepl_nodes[nid] && ktrepl_nodes[nid]->incomplete);
}

/* Any size, with a unit or not, and nothing else; 0 lifts the limit. */
static void ktrepl_core_mem_max(struct kunit *test)
{
	static const char *const bad[] = { "", "x", "64Kx", "64K 1" };
	struct ktrepl_test_region *t = test->priv;
	unsigned long max = ktrepl_param_mem_max;
	char most[24];
	int i, replicas = ktrepl_test_replicas(t->region, 0);

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		KUNIT_EXPECT_EQ(test, ktrepl_core_set(test, "ktrepl.mem_max", bad[i]),
				-EINVAL);
		KUNIT_EXPECT_EQ(test, ktrepl_param_mem_max, max);
	}
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_core_set(test, "ktrepl.mem_max", "4k\n"), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_param_mem_max, SZ_4K);
	snprintf(most, sizeof(most), "%lu", ULONG_MAX);
	KUNIT_EXPECT_EQ(test, ktrepl_core_set(test, "ktrepl.mem_max", most), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_param_mem_max, ULONG_MAX);
	KUNIT_EXPECT_EQ(test, ktrepl_core_set(test, "ktrepl.mem_max", "1"), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_test_replicas(t->region, 0), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_core_set(test, "ktrepl.mem_max", "0"), 0);
	ktrepl_heal_flush();
	KUNIT_EXPECT_EQ(test, ktrepl_test_replicas(t->region, 0), replicas);

	/* Switching on leaves to the work item what it could not get. */
	ktrepl_disable();
	WRITE_ONCE(ktrepl_param_mem_max, 1);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_test_replicas(t->region, 0), 0);
	/* So does the work item to the next time. */
	ktrepl_heal_flush();
	KUNIT_EXPECT_EQ(test, ktrepl_test_replicas(t->region, 0), 0);
	WRITE_ONCE(ktrepl_param_mem_max, max);
	ktrepl_heal_flush();
	KUNIT_EXPECT_EQ(test, ktrepl_test_replicas(t->region, 0), replicas);
	ktrepl_core_expect_whole(test);

	/* Off, nothing is missing, and nobody wants any. */
	ktrepl_disable();
	WRITE_ONCE(ktrepl_param_mem_max, 1);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	ktrepl_disable();
	ktrepl_core_expect_whole(test);
	for (i = 0; i < ktrepl_nr_nodes; i++)
		KUNIT_EXPECT_FALSE(test, ktrepl_nodes[i] && ktrepl_nodes[i]->wanted);
	WRITE_ONCE(ktrepl_param_mem_max, max);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

/* The switch in sysfs */
static void ktrepl_core_enable(struct kunit *test)
{
	const struct kernel_param *kp = ktrepl_core_param("ktrepl.enable");
	char *buf = (char *)get_zeroed_page(GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, kp->ops->get(buf, kp), 2);
	KUNIT_EXPECT_STREQ(test, buf, "Y\n");
	KUNIT_EXPECT_EQ(test, ktrepl_core_set(test, "ktrepl.enable", "maybe"), -EINVAL);
	KUNIT_EXPECT_TRUE(test, ktrepl_is_on());
	KUNIT_EXPECT_EQ(test, ktrepl_core_set(test, "ktrepl.enable", "N"), 0);
	KUNIT_EXPECT_FALSE(test, ktrepl_is_on());
	KUNIT_EXPECT_EQ(test, kp->ops->get(buf, kp), 2);
	KUNIT_EXPECT_STREQ(test, buf, "N\n");
	KUNIT_EXPECT_EQ(test, ktrepl_core_set(test, "ktrepl.enable", "1"), 0);
	KUNIT_EXPECT_TRUE(test, ktrepl_is_on());
	free_page((unsigned long)buf);
}

/* === CPUs and power ====================================================== */

/* Each CPU is on the node that is best for it, and noted there and nowhere else. */
static void ktrepl_core_expect_cpus(struct kunit *test)
{
	struct ktrepl_node *node, *best;
	int cpu, nid;

	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	for_each_online_cpu(cpu) {
		nid = ktrepl_node_now(ktrepl_cpu_node(cpu));
		best = nid == NUMA_NO_NODE ? NULL : ktrepl_nodes[nid];
		if (best && !best->live)
			best = NULL;
		KUNIT_EXPECT_PTR_EQ(test, per_cpu(ktrepl_cpu_preferred, cpu), best);
		for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
			node = ktrepl_nodes[nid];
			if (node)
				KUNIT_EXPECT_EQ(test, cpumask_test_cpu(cpu, &node->cpus),
						node == best);
		}
	}
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();
}

static int ktrepl_core_live(void)
{
	int nid, live = 0;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		live += ktrepl_nodes[nid] && ktrepl_nodes[nid]->live;
	return live;
}

/* Off, nothing is left of it: no CPU on a node, no replica, no byte. */
static void ktrepl_core_switch(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	int nid, live = ktrepl_core_live(), replicas = ktrepl_test_replicas(t->region, 0);

	KUNIT_EXPECT_GE(test, live, 1);
	KUNIT_EXPECT_TRUE(test, static_key_enabled(&ktrepl_key));
	ktrepl_core_expect_cpus(test);
	ktrepl_disable();
	KUNIT_EXPECT_FALSE(test, static_key_enabled(&ktrepl_key));
	KUNIT_EXPECT_EQ(test, ktrepl_core_live(), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_test_replicas(t->region, 0), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_test_bytes(), 0);
	ktrepl_core_expect_cpus(test);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		KUNIT_EXPECT_EQ(test, ktrepl_node_now(nid),
				ktrepl_nearest(nid, ktrepl_primary_nodes));
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_core_live(), live);
	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	KUNIT_EXPECT_TRUE(test, ktrepl_fill());
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();
	/* No alias stays through which replicas could be written. */
	KUNIT_EXPECT_NULL(test, ktrepl_window.alias);
	KUNIT_EXPECT_EQ(test, ktrepl_test_replicas(t->region, 0), replicas);
	ktrepl_core_expect_cpus(test);
}

/* What is broken stays so, whoever switches meanwhile. */
static void ktrepl_core_broken(struct kunit *test)
{
	WRITE_ONCE(ktrepl_broken_why, "a test");
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), -EIO);
	KUNIT_EXPECT_EQ(test, ktrepl_state, KTREPL_BROKEN);
	KUNIT_EXPECT_EQ(test, ktrepl_test_bytes(), 0);

	ktrepl_test_unbreak();
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);

	/* While it is on, the work item sees to it. */
	WRITE_ONCE(ktrepl_broken_why, "another test");
	ktrepl_heal_queue();
	ktrepl_heal_flush();
	KUNIT_EXPECT_EQ(test, ktrepl_state, KTREPL_BROKEN);
	ktrepl_test_unbreak();

	/* So does whoever switches on. */
	WRITE_ONCE(ktrepl_broken_why, "one more test");
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), -EIO);
	KUNIT_EXPECT_EQ(test, ktrepl_state, KTREPL_BROKEN);
	ktrepl_test_unbreak();
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

/* CPUs leave a node for the next best one, and come back. */
static void ktrepl_core_detach(struct kunit *test)
{
	struct ktrepl_node *node;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		node = ktrepl_nodes[nid];
		if (!node || !node->live)
			continue;
		cpus_read_lock();
		mutex_lock(&ktrepl_mutex);
		ktrepl_node_detach(node);
		mutex_unlock(&ktrepl_mutex);
		cpus_read_unlock();
		KUNIT_EXPECT_TRUE(test, cpumask_empty(&node->cpus));
		ktrepl_core_expect_cpus(test);
		cpus_read_lock();
		mutex_lock(&ktrepl_mutex);
		KUNIT_EXPECT_EQ(test, ktrepl_node_install(node), 0);
		WRITE_ONCE(node->live, true);
		ktrepl_place_cpus();
		mutex_unlock(&ktrepl_mutex);
		cpus_read_unlock();
		ktrepl_core_expect_cpus(test);
	}
}

/*
 * A CPU that comes finds its node built.  Only pretended nodes are torn down for
 * that while others run: of real ones, ktrepl_heal_cpu() sees to it.
 */
static void ktrepl_core_expect_built(struct kunit *test, struct ktrepl_node *node, int cpu)
{
	struct ktrepl_test_region *t = test->priv;
	int replicas = ktrepl_test_replicas(t->region, 0);

	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	ktrepl_node_detach(node);
	ktrepl_node_tear_down(node);
	node->wanted = false;
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_EQ(test, ktrepl_cpu_prepare(cpu), 0);
	KUNIT_EXPECT_TRUE(test, node->live);
	KUNIT_EXPECT_TRUE(test, node->wanted);
	cpus_read_unlock();
	KUNIT_EXPECT_EQ(test, ktrepl_test_replicas(t->region, 0), replicas);
	/* The work item has CPUs come over that had to use another one. */
	ktrepl_heal_flush();
	ktrepl_core_expect_cpus(test);
}

/* Nothing is built for a CPU that comes while replication is off. */
static void ktrepl_core_cpu(struct kunit *test)
{
	int cpu = cpumask_last(cpu_online_mask);
	struct ktrepl_node *node = ktrepl_nodes[ktrepl_node_preferred(ktrepl_cpu_node(cpu))];

	KUNIT_ASSERT_NOT_NULL(test, node);
	if (ktrepl_info->fake_nodes)
		ktrepl_core_expect_built(test, node, cpu);
	ktrepl_disable();
	cpus_read_lock();
	KUNIT_EXPECT_EQ(test, ktrepl_cpu_prepare(cpu), 0);
	cpus_read_unlock();
	KUNIT_EXPECT_FALSE(test, node->live);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

/* Off for hibernation; afterwards as before. */
static void ktrepl_core_power(struct kunit *test)
{
	static const unsigned long events[][2] = {
		{ PM_HIBERNATION_PREPARE, PM_POST_HIBERNATION },
		{ PM_RESTORE_PREPARE, PM_POST_RESTORE },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		KUNIT_EXPECT_EQ(test, ktrepl_pm_notify(NULL, events[i][0], NULL), NOTIFY_OK);
		KUNIT_EXPECT_FALSE(test, ktrepl_is_on());
		KUNIT_EXPECT_EQ(test, ktrepl_pm_notify(NULL, events[i][1], NULL), NOTIFY_OK);
		KUNIT_EXPECT_TRUE(test, ktrepl_is_on());
		ktrepl_disable();
		/* Nobody has gone to sleep, or it was off before. */
		ktrepl_pm_notify(NULL, events[i][1], NULL);
		KUNIT_EXPECT_FALSE(test, ktrepl_is_on());
		ktrepl_pm_notify(NULL, events[i][0], NULL);
		ktrepl_pm_notify(NULL, events[i][1], NULL);
		KUNIT_EXPECT_FALSE(test, ktrepl_is_on());
		KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	}
	ktrepl_pm_notify(NULL, PM_SUSPEND_PREPARE, NULL);
	KUNIT_EXPECT_TRUE(test, ktrepl_is_on());
}

/* === Reports ============================================================= */

#define KTREPL_REPORT_SIZE	SZ_32K

/* What a file in debugfs says. */
static char *ktrepl_core_text(struct kunit *test,
			      int (*show)(struct seq_file *m, void *unused))
{
	struct seq_file m = { .size = KTREPL_REPORT_SIZE };

	m.buf = kunit_kzalloc(test, m.size + 1, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m.buf);
	KUNIT_EXPECT_EQ(test, show(&m, NULL), 0);
	KUNIT_ASSERT_LT(test, m.count, m.size);
	return m.buf;
}

/* Expects a line in a report. */
static __printf(3, 4) void ktrepl_core_expect(struct kunit *test, const char *text,
					      const char *fmt, ...)
{
	char line[160] = "\n";
	va_list args;

	va_start(args, fmt);
	vsnprintf(line + 1, sizeof(line) - 1, fmt, args);
	va_end(args);
	/* The first line has none before it. */
	KUNIT_EXPECT_TRUE_MSG(test, strstr(text, line) ||
			      !strncmp(text, line + 1, strlen(line + 1)),
			      "no \"%s\" in:\n%s", line + 1, text);
}

static unsigned long ktrepl_core_number(const char *text, const char *what)
{
	const char *found = strstr(text, what);
	unsigned long nr = 0;

	if (!found || sscanf(found + strlen(what), "%lu", &nr) != 1)
		return -1;
	return nr;
}

static void ktrepl_core_state(struct kunit *test)
{
	unsigned long max = ktrepl_param_mem_max, toggles;
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES) = { };
	char *text = ktrepl_core_text(test, ktrepl_report_state_show);
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			__set_bit(nid, nodes);
	ktrepl_core_expect(test, text, "state on\n");
	ktrepl_core_expect(test, text, "reason -\n");
	ktrepl_core_expect(test, text, "nodes %*pbl\n", KTREPL_MAX_NODES, nodes);
	ktrepl_core_expect(test, text, "primary %*pbl\n", KTREPL_MAX_NODES,
			   ktrepl_primary_nodes);
	KUNIT_EXPECT_NE(test, ktrepl_core_number(text, "\ndiverged "), -1);
	toggles = ktrepl_core_number(text, "\ntoggles ");

	ktrepl_disable();
	ktrepl_disable();
	WRITE_ONCE(ktrepl_param_mem_max, 1025);
	text = ktrepl_core_text(test, ktrepl_report_state_show);
	WRITE_ONCE(ktrepl_param_mem_max, max);
	ktrepl_core_expect(test, text, "state off\n");
	ktrepl_core_expect(test, text, "mem_max_kb 2\n");
	KUNIT_EXPECT_EQ(test, ktrepl_core_number(text, "\ntoggles "), toggles + 1);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	text = ktrepl_core_text(test, ktrepl_report_state_show);
	KUNIT_EXPECT_EQ(test, ktrepl_core_number(text, "\ntoggles "), toggles + 2);
}

static void ktrepl_core_expect_stats(struct kunit *test, const char *text, int nid)
{
	unsigned long total = 0, val;
	int i;

	for (i = 0; i < KTREPL_NR_STATS; i++) {
		val = ktrepl_test_count(nid, i);
		if (i < KTREPL_NR_SIZES) {
			val = DIV_ROUND_UP(val, 1024);
			total += val;
		}
		ktrepl_core_expect(test, text, "node %d %s %lu\n", nid,
				   ktrepl_stat_names[i], val);
	}
	ktrepl_core_expect(test, text, "node %d total_repli_pages %lu\n", nid, total);
}

/* A node without memory for the pages of the test's region misses them. */
static void ktrepl_core_stats(struct kunit *test)
{
	unsigned long max = ktrepl_param_mem_max;
	struct ktrepl_test_region *t = test->priv;
	int primary = ktrepl_page_node(vmalloc_to_page(t->mem)), nid;
	char *text, what[40];

	ktrepl_disable();
	WRITE_ONCE(ktrepl_param_mem_max, 1);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	text = ktrepl_core_text(test, ktrepl_report_stats_show);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		snprintf(what, sizeof(what), "node %d missing_pages ", nid);
		if (!ktrepl_nodes[nid])
			continue;
		if (nid != primary && ktrepl_nodes[nid]->wanted)
			KUNIT_EXPECT_GE(test, ktrepl_core_number(text, what),
					KTREPL_TEST_PAGES);
		if (ktrepl_info->fake_nodes)
			KUNIT_EXPECT_EQ(test, ktrepl_core_number(text, what),
					nid == primary ? 0 : KTREPL_TEST_PAGES);
	}
	ktrepl_disable();
	text = ktrepl_core_text(test, ktrepl_report_stats_show);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			ktrepl_core_expect(test, text, "node %d missing_pages 0\n", nid);
	WRITE_ONCE(ktrepl_param_mem_max, max);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

/* Replicas that are not in use.  Of pretended nodes nobody else has anything counted. */
static void ktrepl_core_stale(struct kunit *test)
{
	unsigned long stale[KTREPL_MAX_NODES] = { };
	struct ktrepl_test_region *t = test->priv;
	char *text;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		stale[nid] = ktrepl_stale(nid);
	set_bit(2, t->region->stale);
	text = ktrepl_core_text(test, ktrepl_report_stats_show);
	clear_bit(2, t->region->stale);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_nodes[nid])
			continue;
		if (ktrepl_info->fake_nodes) {
			ktrepl_core_expect_stats(test, text, nid);
			ktrepl_core_expect(test, text, "node %d missing_pages 0\n", nid);
		}
		ktrepl_core_expect(test, text, "node %d stale_pages %lu\n", nid, stale[nid] +
				   !!ktrepl_region_replica(t->region, nid, 2));
	}
}

static void ktrepl_core_regions(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	const unsigned long start = (unsigned long)t->mem;
	const unsigned long kb = KTREPL_TEST_PAGES << (PAGE_SHIFT - 10);
	char expected[160], *text, *sep = "";
	int nid, len;

	len = snprintf(expected, sizeof(expected), "region test text %lx %lx %lu ", start,
		       start + KTREPL_TEST_PAGES * PAGE_SIZE - 1, kb);
	text = ktrepl_core_text(test, ktrepl_report_regions_show);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_region_replica(t->region, nid, 0))
			continue;
		len += scnprintf(expected + len, sizeof(expected) - len, "%s%d:%lu", sep,
				 nid, kb);
		sep = ",";
	}
	ktrepl_core_expect(test, text, "%s\n", expected);

	ktrepl_disable();
	text = ktrepl_core_text(test, ktrepl_report_regions_show);
	ktrepl_core_expect(test, text, "region test text %lx %lx %lu -\n", start,
			   start + KTREPL_TEST_PAGES * PAGE_SIZE - 1, kb);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

static void ktrepl_core_write(struct page *page, unsigned int off, u8 byte)
{
	mutex_lock(&text_mutex);
	arch_ktrepl_write(page, off, &byte, 1);
	mutex_unlock(&text_mutex);
}

/* What differs is named, and what is in doubt. */
static void ktrepl_core_verify(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	const unsigned long start = (unsigned long)t->mem;
	int nid, last = NUMA_NO_NODE, replicas = ktrepl_test_replicas(t->region, 1);
	u8 *first = t->mem, *second = t->mem + PAGE_SIZE;
	char *text;

	text = ktrepl_core_text(test, ktrepl_report_verify_show);
	KUNIT_EXPECT_NULL(test, strstr(text, "different"));
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_region_replica(t->region, nid, 0))
			last = nid;
	KUNIT_ASSERT_NE(test, last, NUMA_NO_NODE);
	ktrepl_core_write(ktrepl_region_replica(t->region, last, 0), PAGE_SIZE - 1,
			  ~first[PAGE_SIZE - 1]);
	second[0]++;
	text = ktrepl_core_text(test, ktrepl_report_verify_show);
	second[0]--;
	ktrepl_core_expect(test, text, "different test %d %lx\n", last, start);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_region_replica(t->region, nid, 1))
			ktrepl_core_expect(test, text, "different test %d %lx\n", nid,
					   start + PAGE_SIZE);
	if (replicas > 1)
		ktrepl_core_expect(test, text, "doubtful test %lx\n", start + PAGE_SIZE);
	else
		KUNIT_EXPECT_NULL(test, strstr(text, "doubtful"));
	/* Of real nodes others may be made meanwhile. */
	if (ktrepl_info->fake_nodes)
		ktrepl_core_expect(test, text, "verify %d %d\n", 4 * replicas, replicas + 1);
	KUNIT_EXPECT_EQ(test, ktrepl_repair(t->mem, 1), 1);
}

static struct kunit_case ktrepl_core_cases[] = {
	KUNIT_CASE(ktrepl_core_mem_max),
	KUNIT_CASE(ktrepl_core_enable),
	KUNIT_CASE(ktrepl_core_switch),
	KUNIT_CASE(ktrepl_core_broken),
	KUNIT_CASE(ktrepl_core_detach),
	KUNIT_CASE(ktrepl_core_cpu),
	KUNIT_CASE(ktrepl_core_power),
	KUNIT_CASE(ktrepl_core_state),
	KUNIT_CASE(ktrepl_core_stats),
	KUNIT_CASE(ktrepl_core_stale),
	KUNIT_CASE(ktrepl_core_regions),
	KUNIT_CASE(ktrepl_core_verify),
	{ }
};

static struct kunit_suite ktrepl_core_suite = {
	.name = "ktrepl_core",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_test_region_init,
	.exit = ktrepl_test_region_exit,
	.test_cases = ktrepl_core_cases,
};

kunit_test_suite(ktrepl_core_suite);
