// SPDX-License-Identifier: GPL-2.0
/*
 * Pokes: all replicas or none.
 */

#include <linux/memory.h>
#include <linux/mm.h>

#include "common.h"

static const struct {
	unsigned int off, len;
} ktrepl_pokes[] = {
	{ 0, 1 }, { 5, 8 }, { PAGE_SIZE - 1, 1 }, { PAGE_SIZE - 3, 5 },
	{ PAGE_SIZE, PAGE_SIZE }, { PAGE_SIZE, 2 * PAGE_SIZE },
	{ 17, 3 * PAGE_SIZE }, { 0, 4 * PAGE_SIZE },
};

static void ktrepl_poke_ranges(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	struct ktrepl_verify_result res;
	u8 *src;
	int i;

	src = kunit_kmalloc(test, 4 * PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, src);
	for (i = 0; i < ARRAY_SIZE(ktrepl_pokes); i++) {
		memset(src, 0xa0 + i, 4 * PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, ktrepl_test_poke(t->mem + ktrepl_pokes[i].off,
						       src, ktrepl_pokes[i].len), 0);
		KUNIT_EXPECT_MEMEQ(test, t->mem + ktrepl_pokes[i].off, src,
				   ktrepl_pokes[i].len);
		res = ktrepl_test_verify(false);
		KUNIT_EXPECT_GE(test, res.compared, KTREPL_TEST_PAGES);
		KUNIT_EXPECT_EQ(test, res.different, 0);
	}
}

/* [R3]: a bad target is found before the first store */
static void ktrepl_poke_bad(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	u8 old = t->mem[4 * PAGE_SIZE - 1], new[8] = { old + 1 };

	KUNIT_EXPECT_EQ(test, ktrepl_test_poke(t->mem, new, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, ktrepl_test_poke((void *)-4L, new, 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, ktrepl_test_poke(t->mem - 1, new, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, ktrepl_test_poke(t->mem + 4 * PAGE_SIZE - 1, new, 2),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, t->mem[4 * PAGE_SIZE - 1], old);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

/* The iterator names the primary, and then each replica once. */
static void ktrepl_poke_iterator(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	struct ktrepl_poke_iter poke = { };
	struct page *primary = vmalloc_to_page(t->mem), *replica;
	int nid, seen[KTREPL_MAX_NODES] = { }, primaries = 0;
	unsigned int i;

	mutex_lock(&text_mutex);
	poke.pages[0][0] = primary;
	ktrepl_poke_first(&poke, (unsigned long)t->mem, 4);
	KUNIT_EXPECT_PTR_EQ(test, poke.pages[0][0], primary);
	/* Through one window. */
	KUNIT_EXPECT_GT(test, poke.nr, 1);
	do {
		KUNIT_EXPECT_LE(test, poke.nr, CONFIG_KTREPL_POKE_BATCH);
		for (i = 0; i < poke.nr; i++) {
			primaries += poke.pages[i][0] == primary;
			for (nid = 0; nid < ktrepl_nr_nodes; nid++)
				seen[nid] += poke.pages[i][0] ==
					     ktrepl_region_replica(t->region, nid, 0);
		}
		/* Nothing is written: there are no caches to maintain. */
		poke.synced = poke.nr;
	} while (ktrepl_poke_next(&poke));
	mutex_unlock(&text_mutex);

	KUNIT_EXPECT_EQ(test, primaries, 1);
	KUNIT_EXPECT_GE(test, ktrepl_test_replicas(t->region, 0), 1);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		replica = ktrepl_region_replica(t->region, nid, 0);
		KUNIT_EXPECT_EQ(test, seen[nid], replica ? 1 : 0);
	}
}

/* Much to write goes to one target at a time, as interrupts are disabled meanwhile. */
static void ktrepl_poke_long(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	struct ktrepl_poke_iter poke = { };
	int targets = 0;

	mutex_lock(&text_mutex);
	poke.pages[0][0] = vmalloc_to_page(t->mem);
	ktrepl_poke_first(&poke, (unsigned long)t->mem, KTREPL_PIECE + 1);
	do {
		KUNIT_EXPECT_EQ(test, poke.nr, 1);
		targets += poke.nr;
		poke.synced = poke.nr;
	} while (ktrepl_poke_next(&poke));
	mutex_unlock(&text_mutex);
	KUNIT_EXPECT_EQ(test, targets, 1 + ktrepl_test_replicas(t->region, 0));
}

/* Of a range in two pages both replicas of a node are named together. */
static void ktrepl_poke_crosses(struct kunit *test)
{
	static const size_t lens[] = { 4, KTREPL_PIECE + 1 };
	struct ktrepl_test_region *t = test->priv;
	struct page *first, *second;
	unsigned int i, n;

	mutex_lock(&text_mutex);
	for (n = 0; n < ARRAY_SIZE(lens); n++) {
		struct ktrepl_poke_iter poke = { };
		int nid, targets = 0, pairs = 0;

		poke.pages[0][0] = vmalloc_to_page(t->mem);
		poke.pages[0][1] = vmalloc_to_page(t->mem + PAGE_SIZE);
		ktrepl_poke_first(&poke, (unsigned long)t->mem + PAGE_SIZE - 2,
				  lens[n]);
		KUNIT_EXPECT_EQ(test, poke.nr > 1, lens[n] <= KTREPL_PIECE);
		do {
			for (i = 0; i < poke.nr; i++)
				for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
					first = ktrepl_region_replica(t->region, nid, 0);
					second = ktrepl_region_replica(t->region, nid, 1);
					pairs += first && second &&
						 poke.pages[i][0] == first &&
						 poke.pages[i][1] == second;
				}
			targets += poke.nr;
			if (lens[n] > KTREPL_PIECE)
				KUNIT_EXPECT_EQ(test, poke.nr, 1);
			poke.synced = poke.nr;
		} while (ktrepl_poke_next(&poke));
		KUNIT_EXPECT_GE(test, pairs, 1);
		KUNIT_EXPECT_EQ(test, pairs, ktrepl_test_replicas(t->region, 0));
		KUNIT_EXPECT_EQ(test, targets, 1 + pairs);
	}
	mutex_unlock(&text_mutex);
}

/* Short pokes of the image's text, and no others, need no look for the primary. */
static void ktrepl_poke_text(struct kunit *test)
{
	unsigned long addr = (unsigned long)ktrepl_info->marker;
	struct ktrepl_test_region *t = test->priv;
	struct ktrepl_region *image = ktrepl_image[0];
	struct ktrepl_poke_iter poke = { };
	int targets = 0;

	mutex_lock(&text_mutex);
	KUNIT_EXPECT_FALSE(test, ktrepl_poke_image(&poke, (unsigned long)t->mem, 4));
	if (addr) {
		KUNIT_EXPECT_TRUE(test, ktrepl_poke_image(&poke, addr, 4));
		KUNIT_EXPECT_PTR_EQ(test, poke.pages[0][0], ktrepl_primary_page(addr));
		do {
			targets += poke.nr;
			poke.synced = poke.nr;
		} while (ktrepl_poke_next(&poke));
		KUNIT_EXPECT_EQ(test, targets,
				1 + ktrepl_test_replicas(image, ktrepl_region_index(image, addr)));
		KUNIT_EXPECT_FALSE(test, ktrepl_poke_image(&poke, addr, 9));
		KUNIT_EXPECT_FALSE(test, ktrepl_poke_image(&poke, addr | ~PAGE_MASK, 2));
		KUNIT_EXPECT_FALSE(test, ktrepl_poke_image(&poke, image->start - 4, 4));
		KUNIT_EXPECT_FALSE(test, ktrepl_poke_image(&poke, image->end, 4));
	}
	mutex_unlock(&text_mutex);
}

/* What is in no region, or no page, has no replicas, and is written once. */
static void ktrepl_poke_outside(struct kunit *test)
{
	struct ktrepl_poke_iter poke = { };
	u8 *mem = vmalloc(2 * PAGE_SIZE);

	KUNIT_ASSERT_NOT_NULL(test, mem);
	mutex_lock(&text_mutex);
	poke.pages[0][0] = vmalloc_to_page(mem);
	poke.pages[0][1] = vmalloc_to_page(mem + PAGE_SIZE);
	ktrepl_poke_first(&poke, (unsigned long)mem + PAGE_SIZE - 2, 4);
	KUNIT_EXPECT_EQ(test, poke.nr, 1);
	KUNIT_EXPECT_PTR_EQ(test, poke.pages[0][0], vmalloc_to_page(mem));
	poke.synced = poke.nr;
	KUNIT_EXPECT_FALSE(test, ktrepl_poke_next(&poke));
	ktrepl_poke_first(&poke, (unsigned long)mem, 4);
	KUNIT_EXPECT_EQ(test, poke.nr, 1);
	KUNIT_EXPECT_FALSE(test, ktrepl_poke_next(&poke));
	poke.pages[0][0] = NULL;
	ktrepl_poke_first(&poke, (unsigned long)mem, 4);
	KUNIT_EXPECT_EQ(test, poke.nr, 1);
	KUNIT_EXPECT_FALSE(test, ktrepl_poke_next(&poke));
	mutex_unlock(&text_mutex);
	vfree(mem);
}

/* Each replica that a poke writes counts on its node. */
static void ktrepl_poke_counted(struct kunit *test)
{
	long before[KTREPL_MAX_NODES] = { };
	struct ktrepl_test_region *t = test->priv;
	u32 new = 0x600d;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		before[nid] = ktrepl_test_count(nid, KTREPL_STAT_POKE);
	KUNIT_EXPECT_EQ(test, ktrepl_test_poke(t->mem, &new, 4), 0);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		/* Others may poke the image meanwhile. */
		if (ktrepl_region_replica(t->region, nid, 0))
			KUNIT_EXPECT_GT(test,
					ktrepl_test_count(nid, KTREPL_STAT_POKE),
					before[nid]);
}

/*
 * Of two pages, only one has a replica: the other's primary is written again.
 */
static void ktrepl_poke_half(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	struct page *lost = NULL;
	u32 new = 0x12345678;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes && !lost; nid++) {
		lost = ktrepl_region_replica(t->region, nid, 1);
		if (lost)
			ktrepl_region_entries(t->region, 1)[nid] = NULL;
	}
	KUNIT_ASSERT_NOT_NULL(test, lost);
	KUNIT_EXPECT_EQ(test, ktrepl_test_poke(t->mem + PAGE_SIZE - 2, &new, 4), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	KUNIT_EXPECT_MEMEQ(test, t->mem + PAGE_SIZE - 2, &new, 4);
	ktrepl_region_entries(t->region, 1)[nid - 1] = lost;
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(true).different, 1);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

/* A poke that leaves out one replica, on purpose. */
static void ktrepl_poke_broken(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	bool left_out = false;
	struct page *replica;
	u32 new = 0xdead;
	int nid;

	mutex_lock(&text_mutex);
	arch_ktrepl_write(vmalloc_to_page(t->mem), 0, &new, 4);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		replica = ktrepl_region_replica(t->region, nid, 0);
		if (replica && !left_out)
			left_out = true;
		else if (replica)
			arch_ktrepl_write(replica, 0, &new, 4);
	}
	mutex_unlock(&text_mutex);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 1);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(true).different, 1);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

static struct kunit_case ktrepl_poke_cases[] = {
	KUNIT_CASE(ktrepl_poke_ranges),
	KUNIT_CASE(ktrepl_poke_bad),
	KUNIT_CASE(ktrepl_poke_iterator),
	KUNIT_CASE(ktrepl_poke_long),
	KUNIT_CASE(ktrepl_poke_crosses),
	KUNIT_CASE(ktrepl_poke_text),
	KUNIT_CASE(ktrepl_poke_outside),
	KUNIT_CASE(ktrepl_poke_counted),
	KUNIT_CASE(ktrepl_poke_half),
	KUNIT_CASE(ktrepl_poke_broken),
	{ }
};

static struct kunit_suite ktrepl_poke_suite = {
	.name = "ktrepl_poke",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_test_region_init,
	.exit = ktrepl_test_region_exit,
	.test_cases = ktrepl_poke_cases,
};

kunit_test_suite(ktrepl_poke_suite);
