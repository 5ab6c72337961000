// SPDX-License-Identifier: GPL-2.0
/*
 * The registry of regions, and their replicas.
 */

#include <linux/mm.h>
#include <linux/sizes.h>

#include "common.h"

#define START	0x10000UL
#define END	(START + 4 * PAGE_SIZE)

static struct ktrepl_region *ktrepl_test_register(unsigned long start,
						  unsigned long end)
{
	struct ktrepl_region *region;

	mutex_lock(&ktrepl_mutex);
	region = ktrepl_region_register("test", KTREPL_RODATA, start, end);
	mutex_unlock(&ktrepl_mutex);
	return region;
}

static void ktrepl_test_unregister(struct ktrepl_region *region)
{
	mutex_lock(&ktrepl_mutex);
	ktrepl_region_unregister(region);
	mutex_unlock(&ktrepl_mutex);
}

static void ktrepl_region_lookup(struct kunit *test)
{
	struct ktrepl_region *region = ktrepl_test_register(START, END);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	KUNIT_EXPECT_NULL(test, ktrepl_region_find(START - 1));
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_region_find(START), region);
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_region_find(END - 1), region);
	KUNIT_EXPECT_NULL(test, ktrepl_region_find(END));
	KUNIT_EXPECT_EQ(test, ktrepl_region_pages(region), 4);
	KUNIT_EXPECT_EQ(test, ktrepl_region_index(region, END - 1), 3);
	ktrepl_test_unregister(region);
	KUNIT_EXPECT_NULL(test, ktrepl_region_find(START));
}

static void ktrepl_region_bad_range(struct kunit *test)
{
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_test_register(START, START),
			    ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_test_register(END, START),
			    ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_test_register(START + 1, END),
			    ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_test_register(START, END - 1),
			    ERR_PTR(-EINVAL));
	KUNIT_EXPECT_NULL(test, ktrepl_region_find(START));
}

static void ktrepl_region_overlap(struct kunit *test)
{
	struct ktrepl_region *region = ktrepl_test_register(START, END), *next;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_test_register(START, END),
			    ERR_PTR(-EEXIST));
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_test_register(START - PAGE_SIZE,
						       START + PAGE_SIZE),
			    ERR_PTR(-EEXIST));
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_test_register(END - PAGE_SIZE,
						       END + PAGE_SIZE),
			    ERR_PTR(-EEXIST));
	next = ktrepl_test_register(END, END + PAGE_SIZE);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, next);
	if (!IS_ERR(next))
		ktrepl_test_unregister(next);
	ktrepl_test_unregister(region);
}

/*
 * Each node but the primary's gets a replica of its own, equal to the primary.
 */
static void ktrepl_region_replicas(struct kunit *test)
{
	struct ktrepl_test_region t = { };
	int nid, i, replicas = 0;
	long before, copied, dropped;
	struct page *replica;

	ktrepl_test_on(test);
	/* Root tables come and go with processes. */
	before = ktrepl_test_bytes() - ktrepl_test_stat(KTREPL_STAT_PGTBL);
	copied = ktrepl_test_stat(KTREPL_STAT_COPY);
	dropped = ktrepl_test_stat(KTREPL_STAT_DROP);
	ktrepl_test_region_make(test, &t);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		for (i = 0; i < KTREPL_TEST_PAGES; i++) {
			replica = ktrepl_region_replica(t.region, nid, i);
			if (!replica)
				continue;
			replicas++;
			KUNIT_EXPECT_MEMEQ(test, page_address(replica),
					   t.mem + i * PAGE_SIZE, PAGE_SIZE);
			if (!ktrepl_info->fake_nodes)
				KUNIT_EXPECT_EQ(test, page_to_nid(replica), nid);
		}
	}
	KUNIT_EXPECT_GE(test, replicas, KTREPL_TEST_PAGES);
	KUNIT_EXPECT_EQ(test, replicas % KTREPL_TEST_PAGES, 0);
	nid = ktrepl_page_node(vmalloc_to_page(t.mem));
	KUNIT_EXPECT_NULL(test, ktrepl_region_replica(t.region, nid, 0));
	/* Of modules others may be copied meanwhile. */
	KUNIT_EXPECT_GE(test, ktrepl_test_stat(KTREPL_STAT_COPY),
			copied + replicas);
	ktrepl_test_region_drop(&t);
	KUNIT_EXPECT_GE(test, ktrepl_test_stat(KTREPL_STAT_DROP),
			dropped + replicas);
	/* Back in the arena at least. */
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_test_bytes(), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_LE(test, ktrepl_test_bytes() -
			ktrepl_test_stat(KTREPL_STAT_PGTBL), before);
}

/* Shortage: counted, and the primary is used. */
static void ktrepl_region_shortage(struct kunit *test)
{
	unsigned long max = ktrepl_param_mem_max;
	struct ktrepl_test_region t = { };
	unsigned long missing = 0;
	long failures = 0;
	int nid;

	ktrepl_test_on(test);
	ktrepl_disable();
	WRITE_ONCE(ktrepl_param_mem_max, 1);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			failures -= atomic_long_read(&ktrepl_nodes[nid]->stat
						     [KTREPL_STAT_PAGE_FAIL]);
	ktrepl_test_region_make(test, &t);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			failures += atomic_long_read(&ktrepl_nodes[nid]->stat
						     [KTREPL_STAT_PAGE_FAIL]);
	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			missing = max(missing, ktrepl_region_missing(t.region, nid));
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_EQ(test, ktrepl_test_replicas(t.region, 0), 0);
	KUNIT_EXPECT_GE(test, failures, 1);
	KUNIT_EXPECT_EQ(test, missing, KTREPL_TEST_PAGES);
	KUNIT_EXPECT_EQ(test, ktrepl_test_bytes(), 0);
	ktrepl_test_region_drop(&t);
	WRITE_ONCE(ktrepl_param_mem_max, max);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

static struct ktrepl_node *ktrepl_region_any_node(void)
{
	int nid = 0;

	while (!ktrepl_nodes[nid])
		nid++;
	return ktrepl_nodes[nid];
}

/* What is refused is not charged, and what is given back can be had again. */
static void ktrepl_region_charge(struct kunit *test)
{
	unsigned long max = ktrepl_param_mem_max;
	const enum ktrepl_stat stat = KTREPL_STAT_FREE;
	struct ktrepl_node *node;
	bool more, one;
	int i;

	ktrepl_test_on(test);
	ktrepl_disable();
	node = ktrepl_region_any_node();
	WRITE_ONCE(ktrepl_param_mem_max, PAGE_SIZE);
	for (i = 0; i < 3; i++) {
		more = ktrepl_charge(node, stat, 2 * PAGE_SIZE);
		KUNIT_EXPECT_FALSE(test, more);
		one = ktrepl_charge(node, stat, PAGE_SIZE);
		KUNIT_EXPECT_TRUE(test, one);
		ktrepl_uncharge(node, stat, more * 2 * PAGE_SIZE +
					    one * PAGE_SIZE);
	}
	WRITE_ONCE(ktrepl_param_mem_max, max);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

/* Of what replicas have given back, a node keeps one chunk. */
static void ktrepl_region_chunks(struct kunit *test)
{
	const enum ktrepl_stat stat = KTREPL_STAT_RESIDENT;
	struct ktrepl_node *node;
	struct page *page[3];
	int i, nr = 0;

	ktrepl_test_on(test);
	ktrepl_disable();
	mutex_lock(&ktrepl_mutex);
	node = ktrepl_region_any_node();
	for (i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = ktrepl_alloc(node, stat, SZ_2M);
		nr += !!page[i];
	}
	for (i = 0; i < ARRAY_SIZE(page); i++)
		if (page[i])
			ktrepl_free(node, stat, page[i], SZ_2M);
	KUNIT_EXPECT_EQ(test, ktrepl_test_bytes(), nr ? SZ_2M : 0);
	ktrepl_arena_destroy(node);
	KUNIT_EXPECT_EQ(test, ktrepl_test_bytes(), 0);
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	if (nr < ARRAY_SIZE(page))
		kunit_skip(test, "no memory in pieces of 2 MiB");
}

static struct kunit_case ktrepl_region_cases[] = {
	KUNIT_CASE(ktrepl_region_lookup),
	KUNIT_CASE(ktrepl_region_bad_range),
	KUNIT_CASE(ktrepl_region_overlap),
	KUNIT_CASE(ktrepl_region_replicas),
	KUNIT_CASE(ktrepl_region_shortage),
	KUNIT_CASE(ktrepl_region_charge),
	KUNIT_CASE(ktrepl_region_chunks),
	{ }
};

static struct kunit_suite ktrepl_region_suite = {
	.name = "ktrepl_region",
	.suite_init = ktrepl_suite_rerun,
	.test_cases = ktrepl_region_cases,
};

kunit_test_suite(ktrepl_region_suite);
