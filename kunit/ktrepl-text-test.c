// SPDX-License-Identifier: GPL-2.0
/*
 * Conformance of an architecture's glue, on live kernel text.
 *
 * KUnit's built-in suites run before kernel text is protected, and so before
 * anything can be replicated: at boot these cases skip.  Run them again:
 *
 *	echo 1 > /sys/kernel/debug/kunit/ktrepl_text/run
 */

#include <linux/cpu.h>
#include <linux/jump_label.h>
#include <linux/kprobes.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/seq_file.h>
#include <linux/set_memory.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "common.h"

static void ktrepl_expect_equal(struct kunit *test)
{
	struct ktrepl_verify_result res = ktrepl_test_verify(false);

	KUNIT_EXPECT_GT(test, res.compared, 0);
	KUNIT_EXPECT_EQ(test, res.different, 0);
}

/* [T1]: a node's root is on the node; the other cases mean nothing on one node */
static void ktrepl_text_topology(struct kunit *test)
{
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES) = { };
	unsigned int roots = 0;
	int cpu, nid;

	for_each_online_cpu(cpu)
		__set_bit(ktrepl_cpu_node(cpu), nodes);
	KUNIT_EXPECT_GE(test, bitmap_weight(nodes, KTREPL_MAX_NODES), 2);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_nodes[nid])
			continue;
		if (ktrepl_nodes[nid]->root) {
			roots++;
			KUNIT_EXPECT_EQ(test, page_to_nid(virt_to_page(ktrepl_nodes[nid]->root)),
					nid);
		}
		/* Its CPUs read it at every switch. */
		KUNIT_EXPECT_EQ(test, ktrepl_page_node(virt_to_page(ktrepl_nodes[nid])),
				nid);
	}
	KUNIT_EXPECT_GE(test, roots, 1);
}

/* Is the marker all in one range of text? */
static bool ktrepl_text_has_marker(const struct ktrepl_range *r)
{
	unsigned long addr = (unsigned long)ktrepl_info->marker;

	return r->kind == KTREPL_TEXT && addr >= r->start &&
	       addr + sizeof(u32) <= r->end;
}

/* [F0] [F3] [F4] [F8] [P4] [P5]: the facts are what lib/ktrepl may build on */
static void ktrepl_text_facts(struct kunit *test)
{
	const struct ktrepl_arch_info *info = ktrepl_info;
	const struct ktrepl_range *r = info->ranges;
	unsigned long flags = arch_ktrepl_lock();
	bool locks = raw_irqs_disabled();
	unsigned int i, markers = 0;

	arch_ktrepl_unlock(flags);
	/* A patcher that does not take text_mutex is kept out by that. */
	KUNIT_EXPECT_EQ(test, info->text_mutex, !locks);
	KUNIT_EXPECT_EQ(test, info->fake_nodes, 0);
	KUNIT_ASSERT_LE(test, info->nr_ranges, KTREPL_MAX_RANGES);
	for (i = 0; i < info->nr_ranges; i++, r++) {
		KUNIT_EXPECT_TRUE(test, PAGE_ALIGNED(r->start | r->end));
		KUNIT_EXPECT_LT(test, r->start, r->end);
		markers += ktrepl_text_has_marker(r);
	}
	KUNIT_EXPECT_EQ(test, markers, 1);
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)info->marker, sizeof(u32)));
	KUNIT_EXPECT_EQ(test, *(u32 *)info->marker,
			arch_ktrepl_marker_code(arch_ktrepl_marker()));
}

static unsigned long ktrepl_count_missed(const char *start, const char *end)
{
	unsigned long addr = PAGE_ALIGN((unsigned long)start), nr = 0;

	for (; addr < PAGE_ALIGN_DOWN((unsigned long)end); addr += PAGE_SIZE)
		nr += !ktrepl_region_find(addr);
	return nr;
}

/* By the primary's tables, not by what the glue says. */
static unsigned long ktrepl_count_writable(const struct ktrepl_range *r)
{
	unsigned long addr, nr = 0;
	struct ktrepl_mapping m;

	for (addr = r->start; addr < r->end; addr += PAGE_SIZE)
		nr += !ktrepl_walk(ktrepl_primary_root(), addr, 0, &m) ||
		      pte_write(pfn_pte(m.pfn, m.prot));
	return nr;
}

/*
 * [F2]: by the linker's symbols, no page of text or read-only data is left out;
 * none of those that are replicated is writable, or was when ktrepl started
 */
static void ktrepl_text_ranges(struct kunit *test)
{
	unsigned int i;

	KUNIT_EXPECT_EQ(test, ktrepl_count_missed(_stext, _etext), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_count_missed(__start_rodata, __end_rodata),
			0);
	for (i = 0; i < ktrepl_info->nr_ranges; i++)
		KUNIT_EXPECT_EQ_MSG(test, ktrepl_count_writable(&ktrepl_info->ranges[i]),
				    0, "%s", ktrepl_info->ranges[i].name);
}

static int ktrepl_count(const char *text, const char *what)
{
	int nr = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		nr++;
	return nr;
}

/* [F3] [P2] [P4] [P5] [A1]: execution and walk proof on every CPU */
static void ktrepl_text_where(struct kunit *test)
{
	struct seq_file m = { .size = SZ_16K };
	int cpu, nid, wrong = 0;
	char *line, *next;

	m.buf = kunit_kzalloc(test, m.size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m.buf);
	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	ktrepl_locality_show(&m);
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();

	KUNIT_EXPECT_EQ(test, ktrepl_count(m.buf, "walk ok"),
			num_online_cpus());
	KUNIT_EXPECT_EQ(test, ktrepl_count(m.buf, "healed yes"), 1);
	for (next = m.buf; (line = strsep(&next, "\n")) && *line;) {
		int node, expect, text, rodata;

		if (sscanf(line, "cpu %d node %d expect %d text %d rodata %d",
			   &cpu, &node, &expect, &text, &rodata) != 5)
			continue;
		nid = ktrepl_node_preferred(ktrepl_cpu_node(cpu));
		wrong += expect != nid || text != nid || rodata != nid;
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	ktrepl_expect_equal(test);
}

#ifdef CONFIG_X86
#define KTREPL_SIZE_BITS	(_PAGE_PSE | _PAGE_PAT_LARGE)
#else
#define KTREPL_SIZE_BITS	(PTE_CONT | PTE_TYPE_MASK)
#endif

/* Calls @fn for each page of each region that a node maps privately. */
static void ktrepl_each_leaf(struct kunit *test,
			     void (*fn)(struct kunit *test, int nid,
					struct ktrepl_region *region, unsigned long i))
{
	struct ktrepl_region *region;
	unsigned long i;
	int nid;

	mutex_lock(&ktrepl_mutex);
	list_for_each_entry(region, &ktrepl_regions, list)
		for (nid = 0; nid < ktrepl_nr_nodes; nid++)
			for (i = 0; region->mapped &&
			     ktrepl_nodes[nid] && ktrepl_nodes[nid]->root &&
			     i < ktrepl_region_pages(region); i++)
				fn(test, nid, region, i);
	mutex_unlock(&ktrepl_mutex);
}

static void ktrepl_check_leaf(struct kunit *test, int nid,
			      struct ktrepl_region *region, unsigned long i)
{
	unsigned long addr = region->start + (i << PAGE_SHIFT);
	struct page *replica = ktrepl_region_replica(region, nid, i);
	struct ktrepl_mapping n, m;

	/* No assertion: it would leave with the mutex. */
	if (!ktrepl_walk(ktrepl_nodes[nid]->root, addr, nid, &n) ||
	    !ktrepl_walk(ktrepl_primary_root(), addr, nid, &m)) {
		KUNIT_FAIL(test, "node %d does not map %lx", nid, addr);
		return;
	}
	KUNIT_EXPECT_LE(test, n.size, m.size);
	if (ktrepl_info->keep_leaves)
		KUNIT_EXPECT_EQ(test, n.size, m.size);
	/* Nothing but what says how large it is. */
	if (n.size < m.size) {
		KUNIT_EXPECT_EQ(test, (pgprot_val(n.prot) ^ pgprot_val(m.prot)) &
				~KTREPL_SIZE_BITS, 0);
		KUNIT_EXPECT_EQ(test, pgprot_val(n.prot) & KTREPL_SIZE_BITS,
				pgprot_val(PAGE_KERNEL) & KTREPL_SIZE_BITS);
	} else {
		KUNIT_EXPECT_EQ(test, pgprot_val(n.prot), pgprot_val(m.prot));
	}
	KUNIT_EXPECT_EQ(test, n.pfn, replica ? page_to_pfn(replica) : m.pfn);
	if (replica) {
		KUNIT_EXPECT_EQ(test, page_to_nid(replica), nid);
		KUNIT_EXPECT_EQ(test, n.remote, 0);
	}
}

/*
 * [R9] [F7]: a node maps no address that the primary does not, nor is one below
 * the bound mapped by other tables
 */
static void ktrepl_text_layout(struct kunit *test)
{
	pgd_t *m = ktrepl_primary_root(), *n;
	unsigned long i;
	int nid;

	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		n = ktrepl_nodes[nid] ? ktrepl_nodes[nid]->root : NULL;
		for (i = 0; n && i < PTRS_PER_PGD; i++) {
			KUNIT_EXPECT_EQ_MSG(test, !pgd_val(n[i]), !pgd_val(m[i]),
					    "node %d, entry %lu", nid, i);
			if (pgd_val(n[i]) != pgd_val(m[i]))
				KUNIT_EXPECT_GE(test, i, pgd_index(ktrepl_info->lowest));
		}
	}
	mutex_unlock(&ktrepl_mutex);
}

/* [R2] [F6] [T8]: a node's leaf has the primary's size and protection */
static void ktrepl_text_leaves(struct kunit *test)
{
	ktrepl_each_leaf(test, ktrepl_check_leaf);
}

static void ktrepl_check_alias(struct kunit *test, int nid,
			       struct ktrepl_region *region, unsigned long i)
{
	struct page *replica = ktrepl_region_replica(region, nid, i);
	struct ktrepl_mapping w;

	if (!replica)
		return;
	/* A leaf above a PMD is larger than what is protected. */
	if (!ktrepl_walk(ktrepl_primary_root(),
			 (unsigned long)page_address(replica), nid, &w)) {
		KUNIT_EXPECT_FALSE(test, can_set_direct_map());
		return;
	}
	if (can_set_direct_map())
		KUNIT_EXPECT_FALSE(test, pte_write(pfn_pte(w.pfn, w.prot)));
	KUNIT_EXPECT_EQ(test, pgprot_val(w.prot),
			pgprot_val(pgprot_nx(w.prot)));
}

/* [R4] [P6]: nobody can write to a replica, or execute it, by its linear alias */
static void ktrepl_text_alias(struct kunit *test)
{
	ktrepl_each_leaf(test, ktrepl_check_alias);
}

/* [R3] [P1]: the patching primitive reaches all replicas */
static void ktrepl_text_poke(struct kunit *test)
{
	u32 *marker = ktrepl_info->marker, old = *marker;
	u32 new = arch_ktrepl_marker_code(77);

	KUNIT_EXPECT_EQ(test, ktrepl_test_poke(marker, &new, sizeof(new)), 0);
	ktrepl_expect_equal(test);
	KUNIT_EXPECT_EQ(test, ktrepl_test_poke(marker, &old, sizeof(old)), 0);
	ktrepl_expect_equal(test);
}

/* [P2]: a poke that leaves out a replica is found, and mended */
static void ktrepl_text_divergence(struct kunit *test)
{
	unsigned long addr = (unsigned long)ktrepl_info->marker;
	u32 new = arch_ktrepl_marker_code(78);
	struct ktrepl_verify_result res = { };
	struct page *replica = NULL;
	struct ktrepl_region *region;
	int nid;

	mutex_lock(&ktrepl_mutex);
	region = ktrepl_region_find(addr);
	for (nid = 0; nid < ktrepl_nr_nodes && !replica; nid++)
		replica = ktrepl_region_replica(region, nid, ktrepl_region_index(region, addr));
	if (replica) {
		mutex_lock(&text_mutex);
		arch_ktrepl_write(replica, offset_in_page(addr), &new,
				  sizeof(new));
		mutex_unlock(&text_mutex);
		ktrepl_verify(&res, NULL, true);
	}
	mutex_unlock(&ktrepl_mutex);
	KUNIT_ASSERT_NOT_NULL(test, replica);
	KUNIT_EXPECT_EQ(test, res.different, 1);
	ktrepl_expect_equal(test);
}

static DEFINE_STATIC_KEY_FALSE(ktrepl_test_key);

static noinline int ktrepl_test_branch(void)
{
	return static_branch_unlikely(&ktrepl_test_key) ? 1 : 0;
}

static void ktrepl_call_branch(void *sum)
{
	*(int *)sum += ktrepl_test_branch();
}

static int ktrepl_sum_branches(void)
{
	int cpu, sum = 0;

	for_each_online_cpu(cpu)
		smp_call_function_single(cpu, ktrepl_call_branch, &sum, true);
	return sum;
}

/* [P1]: and by it what is built on it */
static void ktrepl_text_static_key(struct kunit *test)
{
	int i;

	for (i = 0; i < 10; i++) {
		static_branch_enable(&ktrepl_test_key);
		KUNIT_EXPECT_EQ(test, ktrepl_sum_branches(), num_online_cpus());
		static_branch_disable(&ktrepl_test_key);
		KUNIT_EXPECT_EQ(test, ktrepl_sum_branches(), 0);
	}
	ktrepl_expect_equal(test);
}

static atomic_t ktrepl_probe_hits;

static int ktrepl_probe_pre(struct kprobe *p, struct pt_regs *regs)
{
	atomic_inc(&ktrepl_probe_hits);
	return 0;
}

/* [P1]: likewise */
static void ktrepl_text_kprobe(struct kunit *test)
{
	struct kprobe probe = {
		.symbol_name = "ktrepl_test_branch",
		.pre_handler = ktrepl_probe_pre,
	};

	atomic_set(&ktrepl_probe_hits, 0);
	KUNIT_ASSERT_EQ(test, register_kprobe(&probe), 0);
	ktrepl_sum_branches();
	KUNIT_EXPECT_EQ(test, atomic_read(&ktrepl_probe_hits),
			num_online_cpus());
	ktrepl_expect_equal(test);
	unregister_kprobe(&probe);
	ktrepl_sum_branches();
	KUNIT_EXPECT_EQ(test, atomic_read(&ktrepl_probe_hits),
			num_online_cpus());
	ktrepl_expect_equal(test);
}

/* [A1]: switching off gives everything back, time and again */
static void ktrepl_text_switch(struct kunit *test)
{
	int i;

	for (i = 0; i < 10; i++) {
		ktrepl_disable();
		KUNIT_EXPECT_EQ(test, ktrepl_test_bytes(), 0);
		KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).compared, 0);
		KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
		KUNIT_EXPECT_GT(test, ktrepl_test_bytes(), 0);
	}
	ktrepl_expect_equal(test);
}

/*
 * [R2] [R5] [F6] [T8]: what is missing is the primary's, size and protection
 * included
 */
static void ktrepl_text_shortage(struct kunit *test)
{
	static const unsigned long caps[] = {
		PAGE_SIZE, 8 * PAGE_SIZE, 64 * PAGE_SIZE, SZ_4M,
	};
	unsigned long max = ktrepl_param_mem_max;
	int i;

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		ktrepl_disable();
		WRITE_ONCE(ktrepl_param_mem_max, caps[i]);
		KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
		KUNIT_EXPECT_LE(test, ktrepl_test_bytes(), caps[i]);
		ktrepl_each_leaf(test, ktrepl_check_leaf);
		KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	}
	ktrepl_disable();
	WRITE_ONCE(ktrepl_param_mem_max, max);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	ktrepl_expect_equal(test);
}

static struct kunit_case ktrepl_text_cases[] = {
	KUNIT_CASE(ktrepl_text_topology),
	KUNIT_CASE(ktrepl_text_facts),
	KUNIT_CASE(ktrepl_text_ranges),
	KUNIT_CASE(ktrepl_text_where),
	KUNIT_CASE(ktrepl_text_layout),
	KUNIT_CASE(ktrepl_text_leaves),
	KUNIT_CASE(ktrepl_text_alias),
	KUNIT_CASE(ktrepl_text_poke),
	KUNIT_CASE(ktrepl_text_divergence),
	KUNIT_CASE(ktrepl_text_static_key),
	KUNIT_CASE(ktrepl_text_kprobe),
	KUNIT_CASE_SLOW(ktrepl_text_switch),
	KUNIT_CASE_SLOW(ktrepl_text_shortage),
	{ }
};

static struct kunit_suite ktrepl_text_suite = {
	.name = "ktrepl_text",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_test_on,
	.test_cases = ktrepl_text_cases,
};

kunit_test_suite(ktrepl_text_suite);
