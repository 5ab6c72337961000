/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites share.
 */
#ifndef _KTREPL_TEST_COMMON_H
#define _KTREPL_TEST_COMMON_H

#include <kunit/test.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "../internal.h"

/*
 * For suite_init: KUnit takes a case that skipped once for one that a filter
 * has excluded, and never runs it again, not even through debugfs.
 */
static inline int ktrepl_suite_rerun(struct kunit_suite *suite)
{
	struct kunit_case *test_case;

	kunit_suite_for_each_test_case(suite, test_case)
		if (test_case->status == KUNIT_SKIPPED)
			test_case->status = KUNIT_SUCCESS;
	return 0;
}

#ifdef CONFIG_KTREPL_ROOTS

/* Has the refill work of a node run, which may have been kicked. */
static inline void ktrepl_test_refill(struct ktrepl_node *node)
{
	irq_work_sync(&node->refill_irq);
	flush_delayed_work(&node->refill);
}

#else

static inline void ktrepl_test_refill(struct ktrepl_node *node) { }

#endif

void ktrepl_test_start(void);

/* Leaves replication on. */
static inline int ktrepl_test_on(struct kunit *test)
{
	int nid;

	ktrepl_test_start();
	if (!ktrepl_info)
		kunit_skip(test, "kernel text is not protected yet");
	if (ktrepl_info->refuse)
		kunit_skip(test, "refused: %s", ktrepl_info->refuse);
	KUNIT_ASSERT_EQ(test, ktrepl_enable(), 0);
	/* Nobody is about to make more replicas, or spare roots. */
	ktrepl_execmem_flush();
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			ktrepl_test_refill(ktrepl_nodes[nid]);
	return 0;
}

/* As after another boot.  Replication that is on, by mistake, stays on. */
static inline void ktrepl_test_unbreak(void)
{
	mutex_lock(&ktrepl_mutex);
	WRITE_ONCE(ktrepl_broken_why, NULL);
	if (ktrepl_state == KTREPL_BROKEN)
		WRITE_ONCE(ktrepl_state, KTREPL_OFF);
	mutex_unlock(&ktrepl_mutex);
}

/* Bytes of one kind that all nodes hold, or events that they have seen. */
static inline long ktrepl_test_stat(enum ktrepl_stat stat)
{
	long bytes = 0;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			bytes += atomic_long_read(&ktrepl_nodes[nid]->stat[stat]);
	return bytes;
}

/* Events that a node has seen. */
static inline long ktrepl_test_count(int nid, enum ktrepl_stat stat)
{
	return ktrepl_nodes[nid] ?
	       atomic_long_read(&ktrepl_nodes[nid]->stat[stat]) : 0;
}

/* Bytes that all nodes hold. */
static inline long ktrepl_test_bytes(void)
{
	long bytes = 0;
	int i;

	for (i = 0; i < KTREPL_NR_SIZES; i++)
		bytes += ktrepl_test_stat(i);
	return bytes;
}

static inline struct ktrepl_verify_result ktrepl_test_verify(bool repair)
{
	struct ktrepl_verify_result res = { };

	mutex_lock(&ktrepl_mutex);
	ktrepl_verify(&res, NULL, repair);
	mutex_unlock(&ktrepl_mutex);
	return res;
}

/*
 * Pages that serve as text of a region, with a replica on each node but theirs.
 */
#define KTREPL_TEST_PAGES 4

struct ktrepl_test_region {
	struct ktrepl_region *region;
	u8 *mem;
};

static inline void ktrepl_test_populate(struct ktrepl_region *region)
{
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			ktrepl_region_publish(region, nid,
					      ktrepl_region_reserve(region, nid));
}

static inline void ktrepl_test_region_make(struct kunit *test,
					   struct ktrepl_test_region *t)
{
	unsigned long i, bytes = KTREPL_TEST_PAGES * PAGE_SIZE;

	/*
	 * Not from the linear map, whose leaves may be larger than the region.
	 */
	t->mem = vmalloc(bytes);
	KUNIT_ASSERT_NOT_NULL(test, t->mem);
	for (i = 0; i < bytes; i++)
		t->mem[i] = i * 7 + (i >> PAGE_SHIFT);
	mutex_lock(&ktrepl_mutex);
	t->region = ktrepl_region_register("test", KTREPL_TEXT, (unsigned long)t->mem,
					   (unsigned long)t->mem + bytes);
	if (!IS_ERR(t->region))
		ktrepl_test_populate(t->region);
	mutex_unlock(&ktrepl_mutex);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->region);
}

static inline void ktrepl_test_region_drop(struct ktrepl_test_region *t)
{
	if (!IS_ERR_OR_NULL(t->region)) {
		mutex_lock(&ktrepl_mutex);
		ktrepl_region_unregister(t->region);
		mutex_unlock(&ktrepl_mutex);
	}
	vfree(t->mem);
}

/* Init and exit of suites whose cases work on such pages, in test->priv. */
static inline int ktrepl_test_region_init(struct kunit *test)
{
	struct ktrepl_test_region *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	ktrepl_test_on(test);
	test->priv = t;
	ktrepl_test_region_make(test, t);
	return 0;
}

static inline void ktrepl_test_region_exit(struct kunit *test)
{
	if (test->priv)
		ktrepl_test_region_drop(test->priv);
}

/* Changes a byte of a node's replica behind its back; text_mutex is held. */
static inline void ktrepl_test_flip(struct ktrepl_region *region, int nid,
				    unsigned int off)
{
	struct page *page = ktrepl_region_replica(region, nid, off >> PAGE_SHIFT);
	u8 byte;

	off = offset_in_page(off);
	byte = ((u8 *)page_address(page))[off] ^ 0x55;
	arch_ktrepl_write(page, off, &byte, 1);
}

static inline void ktrepl_test_corrupt(struct ktrepl_region *region, int nid,
				       unsigned int off)
{
	mutex_lock(&text_mutex);
	ktrepl_test_flip(region, nid, off);
	mutex_unlock(&text_mutex);
}

/* Writes one site, on all nodes or nowhere. */
static inline int ktrepl_test_poke(void *addr, const void *new, size_t len)
{
	struct ktrepl_poke_site site = { .addr = addr, .new = new, .len = len };

	return ktrepl_poke_sites(&site, 1, NULL);
}

/* How many replicas there are of a page. */
static inline int ktrepl_test_replicas(struct ktrepl_region *region, unsigned long i)
{
	int nid, nr = 0;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		nr += !!ktrepl_region_replica(region, nid, i);
	return nr;
}

#endif /* _KTREPL_TEST_COMMON_H */
