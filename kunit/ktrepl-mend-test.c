// SPDX-License-Identifier: GPL-2.0
/*
 * What differs is found, reported and mended, on pages that serve as text.
 */

#include <linux/cpu.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/seq_file.h>

#include <kunit/static_stub.h>

#include "common.h"

/* === What others are told ================================================ */

static struct {
	unsigned int nr;
	enum ktrepl_event event[64];
	struct ktrepl_event_data data[64];
} ktrepl_mend_told;

static int ktrepl_mend_event(struct notifier_block *nb, unsigned long event, void *data)
{
	const unsigned int i = ktrepl_mend_told.nr;

	if (i == ARRAY_SIZE(ktrepl_mend_told.event))
		return NOTIFY_OK;
	ktrepl_mend_told.event[i] = event;
	ktrepl_mend_told.data[i] = *(struct ktrepl_event_data *)data;
	ktrepl_mend_told.nr++;
	return NOTIFY_OK;
}

static struct notifier_block ktrepl_mend_nb = {
	.notifier_call = ktrepl_mend_event,
};

/* How often that has been told of a node and an address since the last call. */
static unsigned int ktrepl_mend_heard(enum ktrepl_event event, int nid, const void *addr)
{
	unsigned int i, nr = 0;

	for (i = 0; i < ktrepl_mend_told.nr; i++)
		nr += ktrepl_mend_told.event[i] == event &&
		      ktrepl_mend_told.data[i].nid == nid &&
		      ktrepl_mend_told.data[i].addr == (unsigned long)addr;
	return nr;
}

static int ktrepl_mend_init(struct kunit *test)
{
	int err = ktrepl_test_region_init(test);

	ktrepl_mend_told.nr = 0;
	return err ?: ktrepl_register_notifier(&ktrepl_mend_nb);
}

static void ktrepl_mend_exit(struct kunit *test)
{
	ktrepl_unregister_notifier(&ktrepl_mend_nb);
	ktrepl_test_region_exit(test);
}

/* === Pokes whose bytes do not arrive ===================================== */

/* The last node with a replica of the test's pages. */
static int ktrepl_mend_node(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	int nid;

	for (nid = ktrepl_nr_nodes - 1; nid >= 0; nid--)
		if (ktrepl_region_replica(t->region, nid, 0))
			return nid;
	KUNIT_FAIL_AND_ABORT(test, "no node has a replica");
	return NUMA_NO_NODE;
}

static void ktrepl_mend_write(struct page **pages, unsigned int off, const u8 *new,
			      unsigned int len)
{
	unsigned int part = min_t(unsigned int, len, PAGE_SIZE - off);

	arch_ktrepl_write(pages[0], off, new, part);
	if (part < len)
		arch_ktrepl_write(pages[1], 0, new + part, len - part);
}

/*
 * A poke after each of whose first @times writes byte @wrong of @nid's replica is
 * another one.  Returns how often targets were named once more.
 */
static int ktrepl_mend_poke(struct ktrepl_test_region *t, unsigned int off, const u8 *new,
			    unsigned int len, int nid, unsigned int wrong, int times)
{
	struct page *replica = ktrepl_region_replica(t->region, nid, off >> PAGE_SHIFT);
	unsigned int i, in_page = offset_in_page(off);
	struct ktrepl_poke_iter poke = { };
	int seen = 0;

	mutex_lock(&text_mutex);
	poke.pages[0][0] = ktrepl_primary_page((unsigned long)t->mem + off);
	if (in_page + len > PAGE_SIZE)
		poke.pages[0][1] = ktrepl_primary_page((unsigned long)t->mem + off + len);
	ktrepl_poke_first(&poke, (unsigned long)t->mem + off, len);
	do {
		for (i = 0; i < poke.nr; i++) {
			ktrepl_mend_write(poke.pages[i], in_page, new, len);
			if (poke.pages[i][0] == replica && seen++ < times)
				ktrepl_test_flip(t->region, nid, wrong);
		}
		poke.synced = poke.nr;
	} while (ktrepl_poke_next(&poke));
	mutex_unlock(&text_mutex);
	return seen - 1;
}

static const struct {
	unsigned int off, len;
} ktrepl_mend_pokes[] = {
	{ 0, 1 }, { 8, 4 }, { 16, 8 }, { 3, 9 }, { PAGE_SIZE - 8, 8 }, { PAGE_SIZE - 7, 7 },
	{ PAGE_SIZE - 3, 8 }, { PAGE_SIZE - 8, 16 }, { 100, KTREPL_PIECE + 1 },
	{ PAGE_SIZE - 1, 2 }, { 2 * PAGE_SIZE + 5, 3 },
};

/* The first byte, the last, or one beside them is wrong: written once more, or not. */
static void ktrepl_mend_once(struct kunit *test, unsigned int off, unsigned int len,
			     int nid, u8 *new)
{
	struct ktrepl_test_region *t = test->priv;
	const unsigned int wrong[] = { off, off + len - 1, off + len, off ? off - 1 : off + len };
	unsigned int i;
	bool inside;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		inside = i < 2;
		memset(new, 0x10 * i + len, len);
		ktrepl_mend_told.nr = 0;
		KUNIT_EXPECT_EQ_MSG(test, ktrepl_mend_poke(t, off, new, len, nid, wrong[i], 1),
				    inside, "%u bytes at %u, %u wrong", len, off, wrong[i]);
		ktrepl_heal_flush();
		KUNIT_EXPECT_EQ(test, ktrepl_mend_heard(KTREPL_HEALED, nid, t->mem + wrong[i]),
				inside);
		KUNIT_EXPECT_EQ(test, ktrepl_mend_told.nr, inside);
		KUNIT_EXPECT_MEMEQ(test, t->mem + off, new, len);
		KUNIT_EXPECT_EQ(test, ktrepl_repair(t->mem, 4 * PAGE_SIZE), !inside);
		KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	}
}

static void ktrepl_mend_pokes_once(struct kunit *test)
{
	u8 *new = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	struct ktrepl_test_region *t = test->priv;
	int i, nid;

	KUNIT_ASSERT_NOT_NULL(test, new);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		for (i = 0; i < ARRAY_SIZE(ktrepl_mend_pokes); i++)
			if (ktrepl_region_replica(t->region, nid, 0))
				ktrepl_mend_once(test, ktrepl_mend_pokes[i].off,
						 ktrepl_mend_pokes[i].len, nid, new);
}

/* Wrong twice, the poke goes on, and the work item writes the page. */
static void ktrepl_mend_pokes_twice(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	int i, nid = ktrepl_mend_node(test);
	const u8 new[20] = { [0 ... 19] = 0x77 };

	for (i = 0; i < ARRAY_SIZE(ktrepl_mend_pokes); i++) {
		unsigned int off = ktrepl_mend_pokes[i].off, len = ktrepl_mend_pokes[i].len;

		if (len > sizeof(new))
			continue;
		ktrepl_mend_told.nr = 0;
		KUNIT_EXPECT_EQ(test, ktrepl_mend_poke(t, off, new, len, nid, off + len - 1, 3),
				1);
		ktrepl_heal_flush();
		/* That the poke has written it once more, and that the page is equal. */
		KUNIT_EXPECT_EQ(test, ktrepl_mend_heard(KTREPL_HEALED, nid,
							t->mem + off + len - 1), 2);
		KUNIT_EXPECT_EQ(test, ktrepl_mend_told.nr, 2);
		KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
		KUNIT_EXPECT_EQ(test, ktrepl_nodes[nid]->strikes, 0);
	}
}

static struct ktrepl_diff ktrepl_mend_found_diff;

static void ktrepl_mend_keep(const struct ktrepl_diff *diff)
{
	ktrepl_mend_found_diff = *diff;
}

/* What is reported is what a poke has found, and what it has written. */
static void ktrepl_mend_found(struct kunit *test)
{
	const struct ktrepl_diff *diff = &ktrepl_mend_found_diff;
	struct ktrepl_test_region *t = test->priv;
	const u8 new[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	int nid = ktrepl_mend_node(test);

	kunit_activate_static_stub(test, ktrepl_diverged, ktrepl_mend_keep);
	ktrepl_mend_poke(t, 40, new, sizeof(new), nid, 42, 1);
	kunit_deactivate_static_stub(test, ktrepl_diverged);
	KUNIT_EXPECT_EQ(test, diff->nid, nid);
	KUNIT_EXPECT_FALSE(test, diff->again);
	KUNIT_EXPECT_EQ(test, diff->addr, (unsigned long)t->mem + 42);
	KUNIT_EXPECT_EQ(test, diff->len, 8);
	KUNIT_EXPECT_MEMEQ(test, diff->want, new + 2, 8);
	KUNIT_EXPECT_EQ(test, diff->found[0], new[2] ^ 0x55);
	KUNIT_EXPECT_MEMEQ(test, diff->found + 1, new + 3, 7);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

#define KTREPL_MEND_SLOTS 16

/* More than can be noted: everything is looked at. */
static void ktrepl_mend_slots(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	int i, nr, nid = ktrepl_mend_node(test);
	struct ktrepl_diff diff = {
		.addr = (unsigned long)t->mem + 5, .nid = nid, .len = 1,
	};

	for (nr = KTREPL_MEND_SLOTS; nr <= KTREPL_MEND_SLOTS + 1; nr++) {
		ktrepl_mend_told.nr = 0;
		ktrepl_test_corrupt(t->region, nid, 3 * PAGE_SIZE);
		/* The work item cannot look on. */
		mutex_lock(&ktrepl_mutex);
		for (i = 0; i < nr; i++)
			ktrepl_diverged(&diff);
		mutex_unlock(&ktrepl_mutex);
		ktrepl_heal_flush();
		KUNIT_EXPECT_EQ(test, ktrepl_mend_heard(KTREPL_HEALED, nid, t->mem + 5),
				KTREPL_MEND_SLOTS);
		KUNIT_EXPECT_EQ(test, ktrepl_test_verify(true).different,
				nr == KTREPL_MEND_SLOTS);
	}
}

/* What reports say of it. */
static long ktrepl_mend_diverged(void)
{
	char buf[40] = "";
	struct seq_file m = { .buf = buf, .size = sizeof(buf) };
	long nr = -1;

	ktrepl_heal_show(&m);
	return sscanf(buf, "diverged %ld\n", &nr) == 1 ? nr : -1;
}

/* What nobody has a region for is reported, and no more. */
static void ktrepl_mend_nowhere(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	struct ktrepl_diff diff = {
		.addr = (unsigned long)t->mem - 1, .nid = ktrepl_mend_node(test), .len = 1,
		.again = true,
	};
	long diverged = ktrepl_mend_diverged();

	ktrepl_diverged(&diff);
	ktrepl_heal_flush();
	KUNIT_EXPECT_EQ(test, ktrepl_mend_diverged(), diverged + 1);
	KUNIT_EXPECT_EQ(test, ktrepl_mend_told.nr, 0);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

/* === The primary in doubt ================================================ */

/* All of several replicas agree against the primary: nothing is written. */
static void ktrepl_mend_doubt(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	int nid = ktrepl_mend_node(test), replicas = ktrepl_test_replicas(t->region, 1);
	struct ktrepl_diff diff = {
		.addr = (unsigned long)t->mem + PAGE_SIZE, .nid = nid, .len = 1, .again = true,
	};
	struct ktrepl_verify_result res;
	u8 *byte = t->mem + PAGE_SIZE;
	struct page *lost;

	/* Of one, ktrepl_heal_primary() sees that it is mended. */
	if (replicas < 2)
		return;
	(*byte)++;
	res = ktrepl_test_verify(true);
	KUNIT_EXPECT_EQ(test, res.different, replicas);
	KUNIT_EXPECT_EQ(test, res.doubtful, replicas);
	KUNIT_EXPECT_EQ(test, ktrepl_repair(byte, 1), -EILSEQ);
	ktrepl_diverged(&diff);
	ktrepl_heal_flush();
	KUNIT_EXPECT_EQ(test, ktrepl_mend_told.nr, 0);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, replicas);
	/* They do not agree any more: the primary is right. */
	ktrepl_test_corrupt(t->region, nid, PAGE_SIZE + 1);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).doubtful, 0);
	KUNIT_EXPECT_EQ(test, ktrepl_repair(byte, 1), replicas);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	if (replicas != 3)
		return;
	/* Two are several. */
	lost = ktrepl_region_replica(t->region, nid, 1);
	ktrepl_region_entries(t->region, 1)[nid] = NULL;
	(*byte)++;
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(true).doubtful, 2);
	(*byte)--;
	ktrepl_region_entries(t->region, 1)[nid] = lost;
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

/* What is equal is not written, and nothing of it differs afterwards. */
static void ktrepl_mend_equal(struct kunit *test)
{
	DECLARE_BITMAP(differ, KTREPL_MAX_NODES);
	struct ktrepl_test_region *t = test->priv;

	bitmap_fill(differ, KTREPL_MAX_NODES);
	mutex_lock(&ktrepl_mutex);
	KUNIT_EXPECT_TRUE(test, ktrepl_region_repair(t->region, 0, differ));
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_TRUE(test, bitmap_empty(differ, KTREPL_MAX_NODES));
}

/* What nobody uses is not compared, not read, and not repaired. */
static void ktrepl_mend_stale(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	int nid = ktrepl_mend_node(test);
	struct ktrepl_place place;
	unsigned long compared = ktrepl_test_verify(false).compared;
	u8 byte;

	ktrepl_test_corrupt(t->region, nid, 2 * PAGE_SIZE);
	set_bit(2, t->region->stale);
	KUNIT_EXPECT_TRUE(test, ktrepl_query(t->mem + 2 * PAGE_SIZE, &place) && place.stale);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(true).different, 0);
	if (ktrepl_info->fake_nodes)
		KUNIT_EXPECT_EQ(test, ktrepl_test_verify(true).compared,
				compared - ktrepl_test_replicas(t->region, 2));
	KUNIT_EXPECT_EQ(test, ktrepl_compare(t->mem, 4 * PAGE_SIZE, NULL), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_read(nid, &byte, t->mem + 2 * PAGE_SIZE, 1), 0);
	KUNIT_EXPECT_EQ(test, byte, t->mem[2 * PAGE_SIZE]);
	clear_bit(2, t->region->stale);
	KUNIT_EXPECT_EQ(test, ktrepl_read(nid, &byte, t->mem + 2 * PAGE_SIZE, 1), 0);
	KUNIT_EXPECT_NE(test, byte, t->mem[2 * PAGE_SIZE]);
	KUNIT_EXPECT_EQ(test, ktrepl_compare(t->mem, 4 * PAGE_SIZE, NULL), 1);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(true).different, 1);
}

/* === Memory that keeps nothing =========================================== */

static void ktrepl_mend_strike(struct ktrepl_test_region *t, int nid)
{
	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	ktrepl_retire(t->region, nid, 1);
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();
}

/* Other memory takes the place of what keeps nothing, which is not used again. */
static void ktrepl_mend_retire(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	int nid = ktrepl_mend_node(test);
	struct page *replica = ktrepl_region_replica(t->region, nid, 1);
	long dropped = ktrepl_test_count(nid, KTREPL_STAT_DROP);
	long resident = ktrepl_test_count(nid, KTREPL_STAT_RESIDENT);

	ktrepl_mend_strike(t, nid);
	KUNIT_EXPECT_NULL(test, ktrepl_region_replica(t->region, nid, 1));
	KUNIT_EXPECT_NOT_NULL(test, ktrepl_region_replica(t->region, nid, 0));
	KUNIT_EXPECT_NOT_NULL(test, ktrepl_region_replica(t->region, nid, 2));
	KUNIT_EXPECT_EQ(test, ktrepl_mend_heard(KTREPL_NOT_HEALED, nid, t->mem + PAGE_SIZE), 1);
	KUNIT_EXPECT_TRUE(test, ktrepl_nodes[nid]->live);
	KUNIT_EXPECT_EQ(test, ktrepl_nodes[nid]->strikes, 1);
	KUNIT_EXPECT_EQ(test, ktrepl_test_count(nid, KTREPL_STAT_RETIRED), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ktrepl_test_count(nid, KTREPL_STAT_RESIDENT),
			resident - PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ktrepl_test_count(nid, KTREPL_STAT_DROP), dropped + 1);
	ktrepl_heal_queue();
	ktrepl_heal_flush();
	KUNIT_EXPECT_NOT_NULL(test, ktrepl_region_replica(t->region, nid, 1));
	KUNIT_EXPECT_PTR_NE(test, ktrepl_region_replica(t->region, nid, 1), replica);
	KUNIT_EXPECT_EQ(test, ktrepl_test_count(nid, KTREPL_STAT_RESIDENT), resident);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_test_bytes(), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_nodes[nid]->strikes, 0);
}

static int ktrepl_mend_broken;

static void ktrepl_mend_count_broken(const char *why)
{
	ktrepl_mend_broken++;
}

static bool ktrepl_mend_any_left(void)
{
	bool left = false;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		left |= ktrepl_nodes[nid] && ktrepl_nodes[nid]->live &&
			ktrepl_nodes[nid]->wanted && !test_bit(nid, ktrepl_primary_nodes);
	return left;
}

/* A node gives up after so many pages; the last one ends it all. */
static void ktrepl_mend_strikes(struct kunit *test)
{
	struct ktrepl_test_region *t = test->priv;
	struct ktrepl_node *node;
	int nid, i;

	kunit_activate_static_stub(test, ktrepl_broken, ktrepl_mend_count_broken);
	for (nid = ktrepl_nr_nodes - 1; nid >= 0; nid--) {
		node = ktrepl_nodes[nid];
		if (!node || !node->live || test_bit(nid, ktrepl_primary_nodes))
			continue;
		ktrepl_mend_broken = 0;
		for (i = 1; i < KTREPL_STRIKES; i++)
			ktrepl_mend_strike(t, nid);
		KUNIT_EXPECT_TRUE(test, node->live);
		KUNIT_EXPECT_FALSE(test, ktrepl_node_given_up(node));
		ktrepl_mend_strike(t, nid);
		KUNIT_EXPECT_FALSE(test, node->live);
		KUNIT_EXPECT_TRUE(test, ktrepl_node_given_up(node));
		KUNIT_EXPECT_EQ(test, ktrepl_mend_broken, ktrepl_info->fake_nodes ? !nid :
				!ktrepl_mend_any_left());
		/* It is not built again, and others are told. */
		ktrepl_mend_told.nr = 0;
		ktrepl_heal_queue();
		ktrepl_heal_flush();
		KUNIT_EXPECT_FALSE(test, node->live);
		KUNIT_EXPECT_EQ(test, ktrepl_mend_heard(KTREPL_NODE_LOST, nid, NULL), 1);
	}
	kunit_deactivate_static_stub(test, ktrepl_broken);
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_TRUE(test, ktrepl_mend_any_left());
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

static struct kunit_case ktrepl_mend_cases[] = {
	KUNIT_CASE(ktrepl_mend_pokes_once),
	KUNIT_CASE(ktrepl_mend_pokes_twice),
	KUNIT_CASE(ktrepl_mend_found),
	KUNIT_CASE(ktrepl_mend_slots),
	KUNIT_CASE(ktrepl_mend_nowhere),
	KUNIT_CASE(ktrepl_mend_doubt),
	KUNIT_CASE(ktrepl_mend_equal),
	KUNIT_CASE(ktrepl_mend_stale),
	KUNIT_CASE(ktrepl_mend_retire),
	KUNIT_CASE(ktrepl_mend_strikes),
	{ }
};

static struct kunit_suite ktrepl_mend_suite = {
	.name = "ktrepl_mend",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_mend_init,
	.exit = ktrepl_mend_exit,
	.test_cases = ktrepl_mend_cases,
};

kunit_test_suite(ktrepl_mend_suite);
