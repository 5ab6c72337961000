// SPDX-License-Identifier: GPL-2.0
/*
 * What other subsystems call: query, read, compare, repair, many sites, events.
 */

#include <linux/bitmap.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/notifier.h>

#include "common.h"

/* A node with a replica of the first page of the test's region. */
static int ktrepl_api_node(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_region_replica(t->region, nid, 0))
			return nid;
	KUNIT_FAIL_AND_ABORT(test, "no node has a replica");
	return NUMA_NO_NODE;
}

/* Changes a byte of one node's replica behind its back; returns the node. */
static int ktrepl_api_corrupt(struct kunit *test, unsigned int off)
{
	struct ktrepl_test_region *t = test->priv;
	int nid = ktrepl_api_node(test);

	ktrepl_test_corrupt(t->region, nid, off);
	return nid;
}

static void ktrepl_api_query(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	struct ktrepl_place place;
	int nid;

	memset(&place, 0xff, sizeof(place));
	KUNIT_ASSERT_TRUE(test, ktrepl_query(t->mem + 5, &place));
	KUNIT_EXPECT_EQ(test, place.start, (unsigned long)t->mem);
	KUNIT_EXPECT_EQ(test, place.end - place.start,
			KTREPL_TEST_PAGES * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, place.kind, KTREPL_TEXT);
	KUNIT_EXPECT_FALSE(test, place.execmem);
	KUNIT_EXPECT_FALSE(test, place.stale);
	KUNIT_EXPECT_EQ(test, place.primary,
			ktrepl_page_node(vmalloc_to_page(t->mem)));
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		KUNIT_EXPECT_EQ(test, test_bit(nid, place.replicas),
				!!ktrepl_region_replica(t->region, nid, 0));
	KUNIT_EXPECT_FALSE(test, bitmap_empty(place.replicas, KTREPL_MAX_NODES));
	KUNIT_EXPECT_FALSE(test, ktrepl_query(t->mem - 1, &place));
	KUNIT_EXPECT_FALSE(test, ktrepl_query(NULL, &place));

	ktrepl_disable();
	KUNIT_EXPECT_TRUE(test, ktrepl_query(t->mem, &place));
	KUNIT_EXPECT_TRUE(test, bitmap_empty(place.replicas, KTREPL_MAX_NODES));
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

/* Each node reads what it executes, and nobody else's bytes. */
static void ktrepl_api_read(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	unsigned int off = PAGE_SIZE - 4;
	int nid, changed;
	u8 bytes[8];

	changed = ktrepl_api_corrupt(test, off);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		KUNIT_EXPECT_EQ(test, ktrepl_read(nid, bytes, t->mem + off, 8), 0);
		if (ktrepl_node_now(nid) == changed)
			bytes[0] ^= 0x55;
		KUNIT_EXPECT_MEMEQ(test, bytes, t->mem + off, 8);
	}
	KUNIT_EXPECT_EQ(test, ktrepl_read(-1, bytes, t->mem, 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, ktrepl_read(ktrepl_max_nodes(), bytes, t->mem, 8),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, ktrepl_read(0, bytes, (void *)-4L, 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, ktrepl_read(0, bytes, NULL, 0), 0);
	/* User-mode Linux dies of any fault of a kernel thread. */
	if (!IS_ENABLED(CONFIG_UML))
		KUNIT_EXPECT_NE(test, ktrepl_read(0, bytes, (void *)16, 8), 0);
	/* Outside all regions every node has the same. */
	KUNIT_EXPECT_EQ(test, ktrepl_read(changed, bytes, &off, sizeof(off)), 0);
	KUNIT_EXPECT_MEMEQ(test, bytes, (u8 *)&off, sizeof(off));

	/* Off, all nodes read the primary. */
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_read(changed, bytes, t->mem + off, 8), 0);
	KUNIT_EXPECT_MEMEQ(test, bytes, t->mem + off, 8);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

static void ktrepl_api_compare(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	struct ktrepl_diff diff = { };
	int nid;

	KUNIT_EXPECT_EQ(test, ktrepl_compare(t->mem, 2 * PAGE_SIZE, &diff), 0);
	nid = ktrepl_api_corrupt(test, 77);
	KUNIT_EXPECT_EQ(test, ktrepl_compare(t->mem, PAGE_SIZE, &diff), 1);
	KUNIT_EXPECT_EQ(test, diff.addr, (unsigned long)t->mem + 77);
	KUNIT_EXPECT_EQ(test, diff.nid, nid);
	KUNIT_EXPECT_EQ(test, diff.want[0], t->mem[77]);
	KUNIT_EXPECT_EQ(test, diff.found[0], t->mem[77] ^ 0x55);
	KUNIT_EXPECT_EQ(test, diff.len, 8);
	KUNIT_EXPECT_EQ(test, ktrepl_compare(t->mem + 77, 1, NULL), 1);
	KUNIT_EXPECT_EQ(test, ktrepl_compare(t->mem, 77, &diff), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_compare(t->mem + 78, 8, &diff), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_compare((void *)-4L, 8, &diff), -EINVAL);
	KUNIT_EXPECT_EQ(test, ktrepl_compare(&nid, sizeof(nid), &diff), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_compare(t->mem + 77, 0, &diff), 0);

	/* As many nodes as are printed. */
	KUNIT_EXPECT_EQ(test, ktrepl_print(t->mem + 70, 8), 1);
	KUNIT_EXPECT_EQ(test, ktrepl_print(t->mem + 62, PAGE_SIZE), 1);
	KUNIT_EXPECT_EQ(test, ktrepl_print(t->mem + 61, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_print(t->mem + 78, 8), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_print(t->mem + 77, 0), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_print((void *)-4L, 8), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_print(&nid, sizeof(nid)), 0);

	KUNIT_EXPECT_EQ(test, ktrepl_repair((void *)-4L, 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, ktrepl_repair(t->mem, 0), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_repair(t->mem + PAGE_SIZE, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_repair(t->mem + 5, 1), 1);
	KUNIT_EXPECT_EQ(test, ktrepl_compare(t->mem, PAGE_SIZE, &diff), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_repair(t->mem, PAGE_SIZE), 0);
}

#define KTREPL_SITES	40

static void ktrepl_api_sites_make(struct ktrepl_test_region *t,
				  struct ktrepl_poke_site *sites, u8 *new, u8 *old)
{
	unsigned int i;

	/* Close together, far apart, across a boundary, and backwards. */
	for (i = 0; i < KTREPL_SITES; i++) {
		unsigned int off = i < 20 ? 3 * i : PAGE_SIZE * 2 - 2 - 301 * (i - 20);

		new[i * 4] = i;
		memset(new + i * 4 + 1, 0xf0, 3);
		memcpy(old + i * 4, t->mem + off, 3);
		sites[i] = (struct ktrepl_poke_site){
			.addr = t->mem + off, .len = 3,
			.new = new + i * 4, .old = old + i * 4,
		};
	}
}

/* [R3] [F8]: all sites are looked at before one is written */
static void ktrepl_api_sites(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	struct ktrepl_poke_site *sites;
	u8 *new, *old, *before;
	unsigned int i, refused = 0;

	sites = kunit_kcalloc(test, KTREPL_SITES, sizeof(*sites), GFP_KERNEL);
	new = kunit_kzalloc(test, KTREPL_SITES * 4, GFP_KERNEL);
	old = kunit_kzalloc(test, KTREPL_SITES * 4, GFP_KERNEL);
	before = kunit_kzalloc(test, 4 * PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, sites && new && old && before);
	ktrepl_api_sites_make(t, sites, new, old);
	memcpy(before, t->mem, 4 * PAGE_SIZE);

	/* One node has other bytes at one site: nothing is written. */
	ktrepl_api_corrupt(test, 3 * 13 + 2);
	KUNIT_EXPECT_EQ(test, ktrepl_poke_sites(sites, KTREPL_SITES, &refused),
			-EILSEQ);
	KUNIT_EXPECT_EQ(test, refused, 13);
	KUNIT_EXPECT_MEMEQ(test, t->mem, before, 4 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ktrepl_repair(t->mem, 1), 1);

	/* One site is nowhere. */
	sites[39].addr = t->mem + 4 * PAGE_SIZE - 1;
	KUNIT_EXPECT_EQ(test, ktrepl_poke_sites(sites, KTREPL_SITES, &refused),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, refused, 39);
	KUNIT_EXPECT_MEMEQ(test, t->mem, before, 4 * PAGE_SIZE);

	ktrepl_api_sites_make(t, sites, new, old);
	KUNIT_EXPECT_EQ(test, ktrepl_poke_sites(sites, KTREPL_SITES, NULL), 0);
	for (i = 0; i < KTREPL_SITES; i++)
		memcpy(before + (sites[i].addr - (void *)t->mem), new + i * 4, 3);
	KUNIT_EXPECT_MEMEQ(test, t->mem, before, 4 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	KUNIT_EXPECT_EQ(test, ktrepl_poke_sites(sites, 0, NULL), 0);
}

/* Sites that are near to each other are one poke, and what lies between stays. */
static void ktrepl_api_sites_near(struct kunit *test)
{
	static const unsigned int offs[] = { 100, 104, 120, 160, PAGE_SIZE - 8, PAGE_SIZE + 8 };
	const u32 new[ARRAY_SIZE(offs)] = { 1, 2, 3, 4, 5, 6 };
	struct ktrepl_poke_site sites[ARRAY_SIZE(offs)];
	struct ktrepl_test_region *t = test->priv;
	int i, nid = ktrepl_api_node(test);
	long pokes = ktrepl_test_count(nid, KTREPL_STAT_POKE);
	u8 *want = kunit_kmalloc(test, 2 * PAGE_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, want);
	memcpy(want, t->mem, 2 * PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(offs); i++) {
		sites[i] = (struct ktrepl_poke_site){
			.addr = t->mem + offs[i], .new = &new[i], .len = 4,
		};
		memcpy(want + offs[i], &new[i], 4);
	}
	KUNIT_EXPECT_EQ(test, ktrepl_poke_sites(sites, ARRAY_SIZE(sites), NULL), 0);
	KUNIT_EXPECT_MEMEQ(test, t->mem, want, 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	/* Others may poke the image meanwhile, where nodes are not pretended. */
	if (ktrepl_info->text_mutex && ktrepl_info->fake_nodes)
		KUNIT_EXPECT_EQ(test, ktrepl_test_count(nid, KTREPL_STAT_POKE), pokes + 3);
}

/* === Examples of Documentation/core-api/ktrepl.rst ======================= */

/* [sites] */
static int ktrepl_api_two_sites(void *a, void *b, const u32 *old, const u32 *new)
{
	struct ktrepl_poke_site sites[] = {
		{ .addr = a, .new = &new[0], .old = &old[0], .len = 4 },
		{ .addr = b, .new = &new[1], .old = &old[1], .len = 4 },
	};
	unsigned int refused;
	int err;

	err = ktrepl_poke_sites(sites, ARRAY_SIZE(sites), &refused);
	if (err == -EILSEQ)
		pr_warn("%pS has other bytes\n", sites[refused].addr);
	return err;
}

/* [/sites] */

/* [read] */
static unsigned int ktrepl_api_show(const void *addr)
{
	struct ktrepl_place place;
	unsigned int nr = 0;
	u8 bytes[16];
	int nid;

	if (!ktrepl_query(addr, &place) || place.stale)
		return 0;
	for_each_set_bit(nid, place.replicas, KTREPL_MAX_NODES) {
		if (ktrepl_read(nid, bytes, addr, sizeof(bytes)))
			continue;
		pr_info("node %d: %*ph\n", nid, (int)sizeof(bytes), bytes);
		nr++;
	}
	return nr;
}

/* [/read] */

static void ktrepl_api_examples(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	u32 old[2], new[2] = { 1, 2 }, now[2];
	u8 *b = t->mem + PAGE_SIZE - 2;
	struct ktrepl_place place;

	memcpy(&old[0], t->mem, 4);
	memcpy(&old[1], b, 4);
	KUNIT_EXPECT_EQ(test, ktrepl_api_two_sites(t->mem, b, old, new), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_api_two_sites(t->mem, b, old, new), -EILSEQ);
	memcpy(&now[0], t->mem, 4);
	memcpy(&now[1], b, 4);
	KUNIT_EXPECT_MEMEQ(test, now, new, sizeof(now));
	KUNIT_ASSERT_TRUE(test, ktrepl_query(t->mem, &place));
	KUNIT_EXPECT_EQ(test, ktrepl_api_show(t->mem),
			bitmap_weight(place.replicas, KTREPL_MAX_NODES));
}

/* === Events ============================================================== */

static unsigned int ktrepl_api_events[KTREPL_NOT_HEALED + 1];

static int ktrepl_api_event(struct notifier_block *nb, unsigned long event,
			    void *data)
{
	ktrepl_api_events[event]++;
	return NOTIFY_OK;
}

static struct notifier_block ktrepl_api_nb = {
	.notifier_call = ktrepl_api_event,
};

static void ktrepl_api_notify(struct kunit *test)
{
	unsigned int *seen = ktrepl_api_events;
	struct ktrepl_diff diff = { .nid = ktrepl_api_node(test), .len = 1 };
	struct ktrepl_test_region *t = test->priv;

	memset(seen, 0, sizeof(ktrepl_api_events));
	KUNIT_EXPECT_EQ(test, ktrepl_register_notifier(&ktrepl_api_nb), 0);
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, seen[KTREPL_SWITCHED_OFF], 1);
	KUNIT_EXPECT_GE(test, seen[KTREPL_NODE_LOST], 1);
	KUNIT_EXPECT_EQ(test, seen[KTREPL_NODE_GAINED], 0);
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, seen[KTREPL_SWITCHED_OFF], 1);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_EQ(test, seen[KTREPL_SWITCHED_ON], 1);
	KUNIT_EXPECT_EQ(test, seen[KTREPL_NODE_GAINED], seen[KTREPL_NODE_LOST]);

	/* As a poke would leave it, which has written once more. */
	diff.addr = (unsigned long)t->mem;
	ktrepl_diverged(&diff);
	ktrepl_heal_flush();
	KUNIT_EXPECT_EQ(test, seen[KTREPL_HEALED], 1);
	KUNIT_EXPECT_EQ(test, seen[KTREPL_NOT_HEALED], 0);

	KUNIT_EXPECT_EQ(test, ktrepl_unregister_notifier(&ktrepl_api_nb), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_unregister_notifier(&ktrepl_api_nb), -ENOENT);
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, seen[KTREPL_SWITCHED_OFF], 1);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

static struct kunit_case ktrepl_api_cases[] = {
	KUNIT_CASE(ktrepl_api_query),
	KUNIT_CASE(ktrepl_api_read),
	KUNIT_CASE(ktrepl_api_compare),
	KUNIT_CASE(ktrepl_api_sites),
	KUNIT_CASE(ktrepl_api_sites_near),
	KUNIT_CASE(ktrepl_api_examples),
	KUNIT_CASE(ktrepl_api_notify),
	{ }
};

static struct kunit_suite ktrepl_api_suite = {
	.name = "ktrepl_api",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_test_region_init,
	.exit = ktrepl_test_region_exit,
	.test_cases = ktrepl_api_cases,
};

kunit_test_suite(ktrepl_api_suite);
