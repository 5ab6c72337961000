// SPDX-License-Identifier: GPL-2.0
/*
 * What else the tables on the path to replicated text map, while it changes.
 *
 * Valid with replication on, off, and while it is switched, so that a stress
 * test can run the suite time and again:
 *
 *	echo 1 > /sys/kernel/debug/kunit/ktrepl_map/run
 */

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "common.h"

#define KTREPL_MAP_MAGIC	0x6b747265706c6d61UL

struct ktrepl_map {
	struct page *page;
	struct vm_struct *area;
	unsigned long addr;
};

static int ktrepl_map_init(struct kunit *test)
{
	struct ktrepl_map *map;

	ktrepl_test_start();
	if (!ktrepl_info)
		kunit_skip(test, "kernel text is not protected yet");
	map = kunit_kzalloc(test, sizeof(*map), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, map);
	map->page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, map->page);
	*(unsigned long *)page_address(map->page) = KTREPL_MAP_MAGIC;
	test->priv = map;
	return 0;
}

static void ktrepl_map_exit(struct kunit *test)
{
	struct ktrepl_map *map = test->priv;

	if (!map)
		return;
	if (map->area)
		free_vm_area(map->area);
	__free_page(map->page);
}

/* Reserves addresses between two, aligned to their size. */
static bool ktrepl_map_reserve(struct ktrepl_map *map, unsigned long size,
			       unsigned long first, unsigned long last)
{
	/* What else is free is not known to be. */
	const struct { unsigned long start, end; } zones[] = {
		{ VMALLOC_START, VMALLOC_END }, { MODULES_VADDR, MODULES_END },
	};
	unsigned long start, end;
	int i;

	for (i = 0; i < ARRAY_SIZE(zones) && !map->area; i++) {
		start = max(first, zones[i].start);
		end = min(last, zones[i].end - 1) + 1;
		if (start >= end || end - start < size)
			continue;
		map->area = __get_vm_area_caller(size, VM_IOREMAP, start, end,
						 __builtin_return_address(0));
	}
	if (map->area)
		map->addr = (unsigned long)map->area->addr;
	return map->area;
}

struct ktrepl_map_read {
	unsigned long addr;
	unsigned long val;
	int err;
};

static void ktrepl_map_read(void *data)
{
	struct ktrepl_map_read *r = data;

	r->err = copy_from_kernel_nofault(&r->val, (void *)r->addr,
					  sizeof(r->val));
}

/* Every CPU and every node's tables must see what the primary maps. */
static void ktrepl_map_expect(struct kunit *test, unsigned long addr,
			      unsigned long pfn, unsigned long size)
{
	struct ktrepl_map_read r = { .addr = addr };
	struct ktrepl_mapping w;
	int cpu, nid;

	for_each_online_cpu(cpu) {
		r.val = 0;
		if (smp_call_function_single(cpu, ktrepl_map_read, &r, true))
			continue;
		KUNIT_EXPECT_EQ_MSG(test, !r.err, !!pfn, "CPU %d", cpu);
		/* A read that fails may leave anything in r.val. */
		if (pfn)
			KUNIT_EXPECT_EQ_MSG(test, r.val, KTREPL_MAP_MAGIC,
					    "CPU %d", cpu);
	}
	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_nodes[nid] || !ktrepl_nodes[nid]->root)
			continue;
		if (!ktrepl_walk(ktrepl_nodes[nid]->root, addr, nid, &w))
			w.pfn = 0;
		KUNIT_EXPECT_EQ_MSG(test, w.pfn, pfn, "node %d", nid);
		if (pfn)
			KUNIT_EXPECT_GE_MSG(test, w.size, size, "node %d", nid);
	}
	mutex_unlock(&ktrepl_mutex);
}

static void ktrepl_map_small(struct kunit *test)
{
	struct ktrepl_map *map = test->priv;
	unsigned long addr = map->addr, pfn = page_to_pfn(map->page);

	KUNIT_ASSERT_EQ(test, vmap_page_range(addr, addr + PAGE_SIZE,
					      PFN_PHYS(pfn), PAGE_KERNEL), 0);
	ktrepl_map_expect(test, addr, pfn, PAGE_SIZE);
	vunmap_range(addr, addr + PAGE_SIZE);
	ktrepl_map_expect(test, addr, 0, 0);
}

/*
 * Reserves addresses that share tables with a range of the image, as far as
 * @mask tells, but no longer as far as @inner does.  Which of them there are
 * differs with the layout.
 */
static bool ktrepl_map_beside(struct ktrepl_map *map, unsigned long size,
			      unsigned long inner, unsigned long mask)
{
	unsigned int i;

	for (i = 0; i < ktrepl_info->nr_ranges; i++) {
		const struct ktrepl_range *r = &ktrepl_info->ranges[i];
		unsigned long last = r->end - 1;

		if ((last | ~inner) < (last | ~mask) &&
		    ktrepl_map_reserve(map, size, (last | ~inner) + 1,
				       last | ~mask))
			return true;
		if ((r->start & inner) > (r->start & mask) &&
		    ktrepl_map_reserve(map, size, r->start & mask,
				       (r->start & inner) - 1))
			return true;
	}
	return false;
}

/* [M1]: an entry in the table that holds leaves of the image */
static void ktrepl_map_pte_table(struct kunit *test)
{
	if (!ktrepl_map_beside(test->priv, PAGE_SIZE, PAGE_MASK, PMD_MASK))
		kunit_skip(test, "no room in this layout");
	ktrepl_map_small(test);
}

/* [M1] [M2]: a new table, and a freed one, in the image's PMD table */
static void ktrepl_map_pmd_table(struct kunit *test)
{
	struct ktrepl_map *map = test->priv;

	if (!ktrepl_map_beside(map, PMD_SIZE, PMD_MASK, PUD_MASK))
		kunit_skip(test, "no room in this layout");
	ktrepl_map_small(test);
}

/* [M2]: a large leaf takes the place of a table, which is freed */
static void ktrepl_map_huge(struct kunit *test)
{
	struct ktrepl_map *map = test->priv;
	unsigned long pfn = page_to_pfn(map->page);
	unsigned long first = ALIGN_DOWN(pfn, PTRS_PER_PTE);
	unsigned long size = PAGE_SIZE;

	if (!pfn_valid(first) || !pfn_valid(first + PTRS_PER_PTE - 1))
		kunit_skip(test, "no memory of that alignment");
	if (!ktrepl_map_beside(map, PMD_SIZE, PMD_MASK, PUD_MASK))
		kunit_skip(test, "no room in this layout");
	if (arch_vmap_pmd_supported(PAGE_KERNEL_RO))
		size = PMD_SIZE;
	ktrepl_map_small(test);
	KUNIT_ASSERT_EQ(test, vmap_page_range(map->addr, map->addr + PMD_SIZE,
					      PFN_PHYS(first), PAGE_KERNEL_RO),
			0);
	ktrepl_map_expect(test, map->addr + PFN_PHYS(pfn - first), pfn, size);
	vunmap_range(map->addr, map->addr + PMD_SIZE);
	ktrepl_map_expect(test, map->addr + PFN_PHYS(pfn - first), 0, 0);
	ktrepl_map_small(test);
}

/* [M2]: a new table in the image's PUD table */
static void ktrepl_map_pud_table(struct kunit *test)
{
	if (!ktrepl_map_beside(test->priv, PAGE_SIZE, PUD_MASK, P4D_MASK))
		kunit_skip(test, "no room in this layout");
	ktrepl_map_small(test);
}

/*
 * The primary's entry in the root table: of the top level that is not folded.
 */
static bool ktrepl_map_root_none(unsigned long addr, unsigned long *size)
{
	pgd_t *pgd = pgd_offset_pgd(ktrepl_primary_root(), addr);
	p4d_t *p4d;
	pud_t *pud;

	*size = PGDIR_SIZE;
	if (!mm_p4d_folded(&init_mm))
		return pgd_none(*pgd);
	*size = P4D_SIZE;
	p4d = p4d_offset(pgd, addr);
	if (!mm_pud_folded(&init_mm))
		return p4d_none(*p4d);
	*size = PUD_SIZE;
	pud = pud_offset(p4d, addr);
	if (!mm_pmd_folded(&init_mm))
		return pud_none(*pud);
	*size = PMD_SIZE;
	return pmd_none(*pmd_offset(pud, addr));
}

/* [T11] [M2]: an entry of the root that was not there when roots were made */
static void ktrepl_map_root_entry(struct kunit *test)
{
	/* It stays.  A few will do, however often the suite is run. */
	static unsigned long last;
	static int left = 8;
	struct ktrepl_map *map = test->priv;
	unsigned long addr = last ?: VMALLOC_START, size;

	/* Behind the last entry of all comes 0. */
	while (left && addr && addr < VMALLOC_END && !map->area) {
		if (ktrepl_map_root_none(addr, &size) &&
		    ktrepl_map_reserve(map, PAGE_SIZE, ALIGN_DOWN(addr, size),
				       ALIGN(addr + 1, size) - 1))
			left--;
		addr = ALIGN(addr + 1, size);
	}
	if (map->area)
		last = map->addr;
	else if (!last || !ktrepl_map_reserve(map, PAGE_SIZE, last,
					      VMALLOC_END - 1))
		kunit_skip(test, "the root table has no free entry");
	ktrepl_map_small(test);
}

static struct kunit_case ktrepl_map_cases[] = {
	KUNIT_CASE(ktrepl_map_pte_table),
	KUNIT_CASE(ktrepl_map_pmd_table),
	KUNIT_CASE(ktrepl_map_huge),
	KUNIT_CASE(ktrepl_map_pud_table),
	KUNIT_CASE(ktrepl_map_root_entry),
	{ }
};

static struct kunit_suite ktrepl_map_suite = {
	.name = "ktrepl_map",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_map_init,
	.exit = ktrepl_map_exit,
	.test_cases = ktrepl_map_cases,
};

kunit_test_suite(ktrepl_map_suite);
