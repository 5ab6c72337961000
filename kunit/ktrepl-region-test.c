// SPDX-License-Identifier: GPL-2.0
/*
 * The registry of regions, and their replicas.
 */

#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/swap.h>
#include <linux/vmalloc.h>

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
	KUNIT_EXPECT_EQ(test, region->kind, KTREPL_RODATA);
	KUNIT_EXPECT_EQ(test, ktrepl_region_pages(region), 4);
	KUNIT_EXPECT_EQ(test, ktrepl_region_index(region, END - 1), 3);
	ktrepl_test_unregister(region);
	KUNIT_EXPECT_NULL(test, ktrepl_region_find(START));
}

/* The bitmaps behind a region's entries are not taken for more of them */
static void ktrepl_region_behind(struct kunit *test)
{
	struct ktrepl_region *region = ktrepl_test_register(START, END);
	long drops = ktrepl_test_count(0, KTREPL_STAT_DROP);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	bitmap_fill(region->stale, 4);
	mutex_lock(&ktrepl_mutex);
	ktrepl_region_depopulate(region, 0);
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_EQ(test, *region->stale, ~0UL);
	ktrepl_test_unregister(region);
	KUNIT_EXPECT_EQ(test, ktrepl_test_count(0, KTREPL_STAT_DROP), drops);
}

/* Behind linear addresses and those of vmalloc space */
static void ktrepl_region_primary(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL);
	void *mem = vmalloc(PAGE_SIZE);

	KUNIT_ASSERT_TRUE(test, page && mem);
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_primary_page((unsigned long)page_address(page) + 9),
			    page);
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_primary_page((unsigned long)mem + 9),
			    vmalloc_to_page(mem));
	vfree(mem);
	__free_page(page);
}

/* A window that is closed is mapped nowhere. */
static void ktrepl_region_window(struct kunit *test)
{
	struct ktrepl_window *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	struct ktrepl_region region = { .kind = KTREPL_TEXT };
	struct page *page = alloc_page(GFP_KERNEL);
	void *alias;

	KUNIT_ASSERT_TRUE(test, page && w);
	mutex_lock(&ktrepl_mutex);
	ktrepl_window_add(w, page, &region, 0, 0);
	if (ktrepl_window_open(w)) {
		alias = w->alias;
		KUNIT_EXPECT_PTR_EQ(test, vmalloc_to_page(alias), page);
		ktrepl_window_close(w);
		KUNIT_EXPECT_NULL(test, find_vm_area(alias));
		KUNIT_EXPECT_NULL(test, w->alias);
	} else {
		KUNIT_FAIL(test, "no memory for a window");
	}
	mutex_unlock(&ktrepl_mutex);
	__free_page(page);
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

/* A region that is dying is not found, and another one may take its place. */
static void ktrepl_region_dying(struct kunit *test)
{
	struct ktrepl_region *region, *next;
	unsigned long start, last;

	region = ktrepl_region_alloc("test", KTREPL_TEXT, START, END);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_region_around(START + 5, &start, &last), region);
	KUNIT_EXPECT_EQ(test, start, START);
	KUNIT_EXPECT_EQ(test, last, END - 1);
	KUNIT_EXPECT_NULL(test, ktrepl_region_around(START - 1, &start, &last));
	KUNIT_EXPECT_LT(test, start, START);
	KUNIT_EXPECT_EQ(test, last, START - 1);
	WRITE_ONCE(region->dying, true);
	KUNIT_EXPECT_NULL(test, ktrepl_region_find(START));
	KUNIT_EXPECT_NULL(test, ktrepl_region_around(START, &start, &last));

	next = ktrepl_test_register(START + PAGE_SIZE, END);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, next);
	KUNIT_EXPECT_TRUE(test, ktrepl_region_remove(region));
	mutex_lock(&ktrepl_mutex);
	ktrepl_region_free(region);
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_NULL(test, ktrepl_region_around(START, &start, &last));
	KUNIT_EXPECT_EQ(test, last, START + PAGE_SIZE - 1);
	if (IS_ERR(next))
		return;
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_region_find(START + PAGE_SIZE), next);
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_region_find(END - 1), next);
	ktrepl_test_unregister(next);
	KUNIT_EXPECT_NULL(test, ktrepl_region_find(END - 1));
}

/*
 * Each node but the primary's gets a replica of its own, equal to the primary.
 */
static void ktrepl_region_replicas(struct kunit *test)
{
	struct ktrepl_test_region t = { };
	int nid, i, replicas = 0;
	long before, copied, dropped, copies[KTREPL_MAX_NODES];
	struct page *replica;

	ktrepl_test_on(test);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		copies[nid] = ktrepl_test_count(nid, KTREPL_STAT_COPY);
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
			copies[nid]++;
			KUNIT_EXPECT_MEMEQ(test, page_address(replica),
					   t.mem + i * PAGE_SIZE, PAGE_SIZE);
			if (!ktrepl_info->fake_nodes)
				KUNIT_EXPECT_EQ(test, page_to_nid(replica), nid);
		}
		KUNIT_EXPECT_GE(test, ktrepl_test_count(nid, KTREPL_STAT_COPY), copies[nid]);
	}
	KUNIT_EXPECT_GE(test, replicas, KTREPL_TEST_PAGES);
	KUNIT_EXPECT_EQ(test, replicas % KTREPL_TEST_PAGES, 0);
	nid = ktrepl_page_node(vmalloc_to_page(t.mem));
	KUNIT_EXPECT_NULL(test, ktrepl_region_replica(t.region, nid, 0));
	/* Of modules others may be copied meanwhile. */
	KUNIT_EXPECT_GE(test, ktrepl_test_stat(KTREPL_STAT_COPY),
			copied + replicas);
	/* Pretended nodes have nothing else that may be copied. */
	if (ktrepl_info->fake_nodes) {
		KUNIT_EXPECT_EQ(test, ktrepl_test_stat(KTREPL_STAT_COPY), copied + replicas);
		KUNIT_EXPECT_EQ(test, ktrepl_test_stat(KTREPL_STAT_RESIDENT),
				replicas * PAGE_SIZE);
	}
	ktrepl_test_region_drop(&t);
	KUNIT_EXPECT_GE(test, ktrepl_test_stat(KTREPL_STAT_DROP),
			dropped + replicas);
	if (ktrepl_info->fake_nodes)
		KUNIT_EXPECT_EQ(test, ktrepl_test_stat(KTREPL_STAT_RESIDENT), 0);
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
	unsigned long free;
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
	KUNIT_EXPECT_TRUE(test, list_empty(&node->chunks));
	/* And what goes back to the system can be had there again. */
	free = nr_free_pages();
	for (i = 0; i < 32; i++) {
		page[0] = ktrepl_alloc(node, stat, SZ_2M);
		if (page[0])
			ktrepl_free(node, stat, page[0], SZ_2M);
		ktrepl_arena_destroy(node);
	}
	KUNIT_EXPECT_GT(test, nr_free_pages() + (SZ_32M >> PAGE_SHIFT), free);
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	if (nr < ARRAY_SIZE(page))
		kunit_skip(test, "no memory in pieces of 2 MiB");
}

/* Under a limit chunks are as small as need be; pieces are aligned, and no one's else. */
static void ktrepl_region_pieces(struct kunit *test)
{
	const enum ktrepl_stat stat = KTREPL_STAT_RESIDENT;
	unsigned long max = ktrepl_param_mem_max;
	struct page *one, *four, *again, *left[2];
	struct ktrepl_node *node;
	long failures;

	ktrepl_test_on(test);
	ktrepl_disable();
	mutex_lock(&ktrepl_mutex);
	node = ktrepl_region_any_node();
	failures = ktrepl_test_count(node->nid, KTREPL_STAT_PAGE_FAIL);
	WRITE_ONCE(ktrepl_param_mem_max, 9 * PAGE_SIZE);
	one = ktrepl_alloc(node, stat, PAGE_SIZE);
	four = ktrepl_alloc(node, stat, 4 * PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, one && four);
	if (one && four) {
		KUNIT_EXPECT_EQ(test, page_to_pfn(four) % 4, 0);
		KUNIT_EXPECT_TRUE(test, one < four || one >= four + 4);
		/* A chunk of eight pages, three of which are free. */
		KUNIT_EXPECT_EQ(test, ktrepl_test_stat(stat), 5 * PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, ktrepl_test_stat(KTREPL_STAT_FREE), 3 * PAGE_SIZE);
		KUNIT_EXPECT_NULL(test, ktrepl_alloc(node, stat, 4 * PAGE_SIZE));
		KUNIT_EXPECT_EQ(test, ktrepl_test_count(node->nid, KTREPL_STAT_PAGE_FAIL),
				failures + 1);
		ktrepl_free(node, stat, four + 1, PAGE_SIZE);
		again = ktrepl_alloc(node, stat, 2 * PAGE_SIZE);
		KUNIT_EXPECT_NOT_NULL(test, again);
		KUNIT_EXPECT_TRUE(test, !again || again + 2 <= four || again >= four + 4);
		/* A page is left beside the first one, and that of the four. */
		left[0] = ktrepl_alloc(node, stat, PAGE_SIZE);
		left[1] = ktrepl_alloc(node, stat, PAGE_SIZE);
		KUNIT_EXPECT_PTR_EQ(test, max(left[0], left[1]), max(one + 1, four + 1));
		KUNIT_EXPECT_PTR_EQ(test, min(left[0], left[1]), min(one + 1, four + 1));
		if (left[0])
			ktrepl_free(node, stat, left[0], PAGE_SIZE);
		if (left[1])
			ktrepl_free(node, stat, left[1], PAGE_SIZE);
		if (again)
			ktrepl_free(node, stat, again, 2 * PAGE_SIZE);
		ktrepl_free(node, stat, four, PAGE_SIZE);
		ktrepl_free(node, stat, four + 2, 2 * PAGE_SIZE);
		ktrepl_free(node, stat, one, PAGE_SIZE);
		/* Whole again. */
		again = ktrepl_alloc(node, stat, 8 * PAGE_SIZE);
		KUNIT_EXPECT_NOT_NULL(test, again);
		if (again)
			ktrepl_free(node, stat, again, 8 * PAGE_SIZE);
	}
	KUNIT_EXPECT_EQ(test, ktrepl_test_stat(stat), 0);
	ktrepl_arena_destroy(node);
	KUNIT_EXPECT_EQ(test, ktrepl_test_bytes(), 0);
	WRITE_ONCE(ktrepl_param_mem_max, max);
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

#define KTREPL_MANY_PAGES	(2 * KTREPL_WINDOW_PAGES + 1)

/* More pages than are filled through one window, and than there is memory for at first. */
static void ktrepl_region_many(struct kunit *test)
{
	unsigned long i, max = ktrepl_param_mem_max, missing = 0, replicas = 0;
	struct ktrepl_region *region;
	int nid, remote = 0;
	u8 *mem;

	ktrepl_test_on(test);
	mem = vmalloc(KTREPL_MANY_PAGES * PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, mem);
	for (i = 0; i < KTREPL_MANY_PAGES; i++)
		memset(mem + i * PAGE_SIZE, i, PAGE_SIZE);
	ktrepl_disable();
	region = ktrepl_test_register((unsigned long)mem,
				      (unsigned long)mem + KTREPL_MANY_PAGES * PAGE_SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	WRITE_ONCE(ktrepl_param_mem_max, 100 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_LE(test, ktrepl_test_bytes(), 100 * PAGE_SIZE);
	WRITE_ONCE(ktrepl_param_mem_max, max);
	ktrepl_heal_flush();
	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_node_wanted(nid))
			continue;
		missing += ktrepl_region_missing(region, nid);
		for (i = 0; i < KTREPL_MANY_PAGES; i++)
			replicas += !!ktrepl_region_replica(region, nid, i);
		remote++;
	}
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_EQ(test, missing, 0);
	if (ktrepl_info->fake_nodes)
		KUNIT_EXPECT_EQ(test, replicas, (remote - 1) * KTREPL_MANY_PAGES);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	ktrepl_test_unregister(region);
	vfree(mem);
}

static struct kunit_case ktrepl_region_cases[] = {
	KUNIT_CASE(ktrepl_region_lookup),
	KUNIT_CASE(ktrepl_region_behind),
	KUNIT_CASE(ktrepl_region_primary),
	KUNIT_CASE(ktrepl_region_window),
	KUNIT_CASE(ktrepl_region_bad_range),
	KUNIT_CASE(ktrepl_region_overlap),
	KUNIT_CASE(ktrepl_region_dying),
	KUNIT_CASE(ktrepl_region_replicas),
	KUNIT_CASE(ktrepl_region_shortage),
	KUNIT_CASE(ktrepl_region_charge),
	KUNIT_CASE(ktrepl_region_chunks),
	KUNIT_CASE(ktrepl_region_pieces),
	KUNIT_CASE(ktrepl_region_many),
	{ }
};

static struct kunit_suite ktrepl_region_suite = {
	.name = "ktrepl_region",
	.suite_init = ktrepl_suite_rerun,
	.test_cases = ktrepl_region_cases,
};

kunit_test_suite(ktrepl_region_suite);
