// SPDX-License-Identifier: GPL-2.0
/*
 * How the tables of nodes follow the primary's: which locks are taken when,
 * what becomes of clones whose table the primary has freed, and what is
 * flushed.
 *
 * Run the suite again after the boot, see ktrepl-text-test.c.
 */

#include <kunit/static_stub.h>
#include <kunit/test-bug.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/delay.h>
#include <linux/execmem.h>
#include <linux/io.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/set_memory.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>

#include "common.h"

struct ktrepl_sync_test {
	struct page *page;
	struct vm_struct *area;
	unsigned long addr;
	long mem_max;
	int waits;
	bool marked;
};

static int ktrepl_sync_init(struct kunit *test)
{
	struct ktrepl_sync_test *t;

	ktrepl_test_on(test);
	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	t->page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->page);
	t->mem_max = ktrepl_param_mem_max;
	test->priv = t;
	return 0;
}

static void ktrepl_sync_exit(struct kunit *test)
{
	struct ktrepl_sync_test *t = test->priv;

	if (!t)
		return;
	WRITE_ONCE(ktrepl_param_mem_max, t->mem_max);
	if (t->area)
		free_vm_area(t->area);
	__free_page(t->page);
}

/*
 * Addresses that nobody else uses, aligned to their size: where the kernel's
 * root entry for the image is a node's own (x86), or behind the addresses that
 * vmalloc() likes best.  Changes there are told of from now on.
 */
static unsigned long ktrepl_sync_reserve(struct kunit *test, unsigned long size)
{
	unsigned long start = VMALLOC_START + (VMALLOC_END - VMALLOC_START) / 8 * 7;
	unsigned long end = VMALLOC_END;
	struct ktrepl_sync_test *t = test->priv;

	if (IS_ENABLED(CONFIG_KTREPL_ROOTS)) {
		start = MODULES_VADDR;
		end = MODULES_END;
	} else {
		ktrepl_highest = ULONG_MAX;
	}
	if (t->area)
		free_vm_area(t->area);
	t->area = __get_vm_area_caller(size, VM_IOREMAP, ALIGN(start, size), end,
				       __builtin_return_address(0));
	KUNIT_ASSERT_NOT_NULL(test, t->area);
	t->addr = (unsigned long)t->area->addr;
	KUNIT_ASSERT_TRUE(test, IS_ALIGNED(t->addr, min(size, PMD_SIZE)));
	return t->addr;
}

static int ktrepl_sync_map(struct ktrepl_sync_test *t, unsigned long addr)
{
	return vmap_page_range(addr, addr + PAGE_SIZE, page_to_phys(t->page),
			       PAGE_KERNEL_RO);
}

/* === Locks =============================================================== */

struct ktrepl_sync_task {
	struct ktrepl_sync_test *t;
	unsigned long addr;
	void (*fn)(struct ktrepl_sync_task *task);
	bool ready;
	bool go;
	bool done;
};

static int ktrepl_sync_thread(void *data)
{
	struct ktrepl_sync_task *task = data;

	WRITE_ONCE(task->ready, true);
	while (!READ_ONCE(task->go))
		cpu_relax();
	task->fn(task);
	WRITE_ONCE(task->done, true);
	while (!kthread_should_stop())
		schedule_timeout_idle(1);
	return 0;
}

/*
 * A second with interrupts disabled, in which clocks may need the tick.
 * Emulated CPUs take turns, of 100 ms.  One that waits gives its turn away: each
 * microsecond takes 100 ms while another one is busy, so a clock has a say, too.
 */
static bool ktrepl_sync_done(struct ktrepl_sync_task *task)
{
	u64 end = ktime_get_mono_fast_ns() + 10ULL * NSEC_PER_SEC;
	int i;

	for (i = 0; i < 1000000 && !READ_ONCE(task->done) &&
	     ktime_get_mono_fast_ns() < end; i++)
		udelay(1);
	return READ_ONCE(task->done);
}

enum ktrepl_sync_lock { KTREPL_SYNC_PT, KTREPL_SYNC_POKE };

/* Does what another CPU does finish while this one holds a lock? */
static bool ktrepl_sync_passes(struct kunit *test, struct ktrepl_sync_task *task,
			       enum ktrepl_sync_lock lock)
{
	unsigned long flags;
	struct task_struct *k;
	bool done;
	int cpu;

	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, smp_processor_id());
	k = kthread_create(ktrepl_sync_thread, task, "ktrepl-sync");
	if (cpu >= nr_cpu_ids || IS_ERR(k)) {
		migrate_enable();
		KUNIT_FAIL(test, "no other CPU");
		return false;
	}
	kthread_bind(k, cpu);
	wake_up_process(k);
	while (!READ_ONCE(task->ready))
		msleep(20);
	if (lock == KTREPL_SYNC_PT) {
		raw_spin_lock_irqsave(&ktrepl_pt_lock, flags);
		WRITE_ONCE(task->go, true);
		done = ktrepl_sync_done(task);
		raw_spin_unlock_irqrestore(&ktrepl_pt_lock, flags);
	} else {
		flags = arch_ktrepl_lock();
		WRITE_ONCE(task->go, true);
		done = ktrepl_sync_done(task);
		arch_ktrepl_unlock(flags);
	}
	kthread_stop(k);
	migrate_enable();
	KUNIT_EXPECT_TRUE(test, task->done);
	return done;
}

static int ktrepl_sync_touch(pte_t *pte, unsigned long addr, void *data)
{
	return 0;
}

/* No flush of TLBs: the other CPU would not answer. */
static void ktrepl_sync_elsewhere(struct ktrepl_sync_task *task)
{
	ktrepl_sync_map(task->t, task->addr);
	apply_to_page_range(&init_mm, task->addr, PAGE_SIZE, ktrepl_sync_touch,
			    NULL);
	ktrepl_sync_range(task->addr, task->addr + PAGE_SIZE);
}

static void ktrepl_sync_code(struct ktrepl_sync_task *task)
{
	arch_ktrepl_sync();
}

static void ktrepl_sync_there(struct ktrepl_sync_task *task)
{
	ktrepl_sync_range(task->addr, task->addr + PAGE_SIZE);
}

/* Where nothing is replicated, changes of mappings wait for no lock */
static void ktrepl_sync_lockless(struct kunit *test)
{
	struct ktrepl_sync_task task = { .t = test->priv,
					 .fn = ktrepl_sync_elsewhere };
	unsigned long end;

	/* Not where x86 has its modules. */
	task.t->area = get_vm_area(PMD_SIZE, VM_IOREMAP);
	KUNIT_ASSERT_NOT_NULL(test, task.t->area);
	task.addr = (unsigned long)task.t->area->addr;
	if (!IS_ENABLED(CONFIG_KTREPL_ROOTS)) {
		task.addr = ktrepl_sync_reserve(test, 16 * PMD_SIZE);
		end = task.addr + 16 * PMD_SIZE;
		/* Addresses of something replicated may share a bit of the index. */
		while (task.addr < end && ktrepl_cloned_meets(task.addr, task.addr + 1))
			task.addr += PMD_SIZE;
		KUNIT_ASSERT_LT(test, task.addr, end);
	}
	/* Have the tables made. */
	KUNIT_ASSERT_EQ(test, ktrepl_sync_map(task.t, task.addr), 0);
	vunmap_range(task.addr, task.addr + PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, ktrepl_sync_passes(test, &task, KTREPL_SYNC_PT));
	vunmap_range(task.addr, task.addr + PAGE_SIZE);
}

/* Where something is, they do, and the test above can fail */
static void ktrepl_sync_locked(struct kunit *test)
{
	struct ktrepl_sync_task task = { .fn = ktrepl_sync_there };

	task.addr = (unsigned long)execmem_alloc(EXECMEM_KPROBES, PAGE_SIZE);
	KUNIT_ASSERT_NE(test, task.addr, 0);
	KUNIT_EXPECT_FALSE(test, ktrepl_sync_passes(test, &task,
						    KTREPL_SYNC_PT));
	execmem_free((void *)task.addr);
}

/* Changes of mappings in a region are of interest from its birth on */
static void ktrepl_sync_marked(struct kunit *test)
{
	unsigned long addr = VMALLOC_START;
	struct ktrepl_region *region;

	/* Somewhere that shares no bit of the index with anything replicated. */
	while (addr < VMALLOC_END && ktrepl_cloned_meets(addr, addr + PAGE_SIZE))
		addr += PGDIR_SIZE;
	KUNIT_ASSERT_LT(test, addr, VMALLOC_END);
	region = ktrepl_region_alloc("test", KTREPL_RODATA, addr, addr + PAGE_SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	KUNIT_EXPECT_TRUE(test, ktrepl_cloned_meets(addr, addr + PAGE_SIZE));
	mutex_lock(&ktrepl_mutex);
	KUNIT_EXPECT_TRUE(test, ktrepl_region_remove(region));
	ktrepl_region_free(region);
	mutex_unlock(&ktrepl_mutex);
}

/* [P3]: a CPU that has not looked at its instructions anew is waited for */
static void ktrepl_sync_waits(struct kunit *test)
{
	struct ktrepl_sync_task task = { .fn = ktrepl_sync_code };

	/* With interrupts disabled; the lock as such is of no interest. */
	KUNIT_EXPECT_FALSE(test, ktrepl_sync_passes(test, &task,
						    KTREPL_SYNC_PT));
}

/* [P7]: no poke comes in while a node's leaf changes from one page to another */
static void ktrepl_sync_poke_waits(struct kunit *test)
{
	struct ktrepl_sync_task task = { .fn = ktrepl_sync_there,
					 .addr = ktrepl_info->ranges[0].start };
	unsigned long flags = arch_ktrepl_lock();
	bool locks = raw_irqs_disabled();

	arch_ktrepl_unlock(flags);
	if (!locks)
		kunit_skip(test, "all patchers take text_mutex");
	/* Some leaf of a table that nodes have clones of. */
	while (ktrepl_leaf_size(task.addr) >= PMD_SIZE &&
	       task.addr < ktrepl_info->ranges[0].end)
		task.addr += PMD_SIZE;
	if (task.addr >= ktrepl_info->ranges[0].end)
		kunit_skip(test, "the image has large leaves only");
	KUNIT_EXPECT_FALSE(test, ktrepl_sync_passes(test, &task,
						    KTREPL_SYNC_POKE));
}

/* === Clones of freed tables ============================================== */

static struct ktrepl_node *ktrepl_sync_node_get(int *nid)
{
	for (; *nid < ktrepl_nr_nodes; ++*nid)
		if (ktrepl_nodes[*nid] && ktrepl_nodes[*nid]->root)
			return ktrepl_nodes[*nid];
	return NULL;
}

#define ktrepl_sync_for_each_node(node, nid)				\
	for ((nid) = 0; ((node) = ktrepl_sync_node_get(&(nid))); (nid)++)

/* Maps a small page and has each node map it by a table of its own. */
static void ktrepl_sync_cover(struct kunit *test, unsigned long addr)
{
	struct ktrepl_node *node;
	int nid;

	KUNIT_ASSERT_EQ(test, ktrepl_sync_map(test->priv, addr), 0);
	mutex_lock(&ktrepl_mutex);
	ktrepl_sync_for_each_node(node, nid)
		KUNIT_EXPECT_TRUE_MSG(test, ktrepl_node_cover(node, addr),
				      "node %d", nid);
	mutex_unlock(&ktrepl_mutex);
}

/* Has nodes free clones that they do not need any more. */
static void ktrepl_sync_reap(void)
{
	struct ktrepl_node *node;
	int nid;

	mutex_lock(&ktrepl_mutex);
	ktrepl_sync_for_each_node(node, nid)
		ktrepl_node_map(node);
	mutex_unlock(&ktrepl_mutex);
}

/* What each node maps there. */
static void ktrepl_sync_expect(struct kunit *test, unsigned long addr,
			       unsigned long pfn, unsigned long size)
{
	struct ktrepl_node *node;
	struct ktrepl_mapping w;
	int nid;

	mutex_lock(&ktrepl_mutex);
	ktrepl_sync_for_each_node(node, nid) {
		if (!ktrepl_walk(node->root, addr, nid, &w))
			w = (struct ktrepl_mapping){ };
		KUNIT_EXPECT_EQ_MSG(test, w.pfn, pfn, "node %d", nid);
		if (pfn)
			KUNIT_EXPECT_EQ_MSG(test, w.size, size, "node %d", nid);
	}
	mutex_unlock(&ktrepl_mutex);
}

/* The primary's table that holds the leaf of an address. */
static struct page *ktrepl_sync_table_of(unsigned long addr)
{
	return pmd_page(*pmd_off_k(addr));
}

/*
 * Has the primary free the PTE table of an address, which nodes have clones of:
 * a large leaf takes its place.
 */
static void ktrepl_sync_huge(struct kunit *test, unsigned long addr)
{
	struct ktrepl_sync_test *t = test->priv;
	unsigned long pfn = page_to_pfn(t->page);
	unsigned long first = ALIGN_DOWN(pfn, PTRS_PER_PTE);

	vunmap_range(addr, addr + PAGE_SIZE);
	ktrepl_sync_expect(test, addr, 0, 0);
	KUNIT_ASSERT_EQ(test, vmap_page_range(addr, addr + PMD_SIZE,
					      PFN_PHYS(first), PAGE_KERNEL),
			0);
	ktrepl_sync_expect(test, addr, first, PMD_SIZE);
	vunmap_range(addr, addr + PMD_SIZE);
	ktrepl_sync_expect(test, addr, 0, 0);
}

static void ktrepl_sync_need_huge(struct kunit *test)
{
	struct ktrepl_sync_test *t = test->priv;
	unsigned long first = ALIGN_DOWN(page_to_pfn(t->page), PTRS_PER_PTE);

	if (!arch_vmap_pmd_supported(PAGE_KERNEL))
		kunit_skip(test, "vmap() has no large leaves");
	if (!pfn_valid(first) || !pfn_valid(first + PTRS_PER_PTE - 1))
		kunit_skip(test, "no memory of that alignment");
}

/*
 * The page of a freed table comes back as another table of the primary: nodes
 * get a clone of that, too.  Clones of the freed one are freed.
 */
static void ktrepl_sync_reuse_primary(struct kunit *test)
{
	unsigned long addr;
	struct page *table;
	int i, back = 0;
	long bytes = 0;

	ktrepl_sync_need_huge(test);
	addr = ktrepl_sync_reserve(test, 2 * PMD_SIZE);
	for (i = 0; i < 16; i++) {
		ktrepl_sync_cover(test, addr);
		table = ktrepl_sync_table_of(addr);
		migrate_disable();
		ktrepl_sync_huge(test, addr);
		ktrepl_sync_cover(test, addr + PMD_SIZE);
		migrate_enable();
		back += ktrepl_sync_table_of(addr + PMD_SIZE) == table;
		ktrepl_sync_expect(test, addr + PMD_SIZE,
				   page_to_pfn(((struct ktrepl_sync_test *)
						test->priv)->page), PAGE_SIZE);
		ktrepl_sync_huge(test, addr + PMD_SIZE);
		if (!i)
			bytes = ktrepl_test_bytes();
	}
	kunit_info(test, "%d times the same page", back);
	KUNIT_EXPECT_LE(test, ktrepl_test_bytes(), bytes);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

/*
 * The page of a freed table comes back where it was: nodes do not go by what
 * they had in its place.
 */
static void ktrepl_sync_reuse_same(struct kunit *test)
{
	struct ktrepl_sync_test *t = test->priv;
	struct page *table;
	unsigned long addr;
	int i, back = 0;

	ktrepl_sync_need_huge(test);
	addr = ktrepl_sync_reserve(test, PMD_SIZE);
	for (i = 0; i < 16; i++) {
		ktrepl_sync_cover(test, addr);
		table = ktrepl_sync_table_of(addr);
		migrate_disable();
		ktrepl_sync_huge(test, addr);
		KUNIT_ASSERT_EQ(test, ktrepl_sync_map(t, addr), 0);
		migrate_enable();
		back += ktrepl_sync_table_of(addr) == table;
		ktrepl_sync_expect(test, addr, page_to_pfn(t->page), PAGE_SIZE);
		vunmap_range(addr, addr + PAGE_SIZE);
	}
	kunit_info(test, "%d times the same page", back);
}

/*
 * [T11]: the page of a freed table comes back as a clone of a table, into which
 * the core stores entries: it must not take them for the primary's
 */
static void ktrepl_sync_reuse_clone(struct kunit *test)
{
	unsigned long addr, step = PUD_SIZE, i, j;
	struct page *taken[4];

	if (mm_pmd_folded(&init_mm) || IS_ENABLED(CONFIG_KTREPL_ROOTS))
		kunit_skip(test, "no stores are told of one by one");
	ktrepl_sync_need_huge(test);
	if ((VMALLOC_END - VMALLOC_START) / 8 < 3 * step)
		kunit_skip(test, "no room for that many tables");
	for (i = 0; i < 4; i++) {
		addr = ktrepl_sync_reserve(test, 2 * step);
		ktrepl_sync_cover(test, addr);
		/* The primary gets its tables for that before. */
		KUNIT_ASSERT_EQ(test, ktrepl_sync_map(test->priv, addr + step),
				0);
		vunmap_range(addr + step, addr + step + PAGE_SIZE);
		migrate_disable();
		ktrepl_sync_huge(test, addr);
		/*
		 * Pages come back last in, first out: freed clones before it.
		 */
		ktrepl_sync_reap();
		for (j = 0; j < i; j++)
			taken[j] = alloc_page(GFP_KERNEL | __GFP_NOFAIL);
		ktrepl_sync_cover(test, addr + step);
		migrate_enable();
		while (j)
			__free_page(taken[--j]);
		vunmap_range(addr + step, addr + step + PAGE_SIZE);
		ktrepl_sync_expect(test, addr + step, 0, 0);
	}
}

/* Has the primary free a table of PTEs that are none, and nodes their clones. */
static void ktrepl_sync_free_table(struct kunit *test, unsigned long addr)
{
	struct ktrepl_node *node;
	int nid;

	KUNIT_ASSERT_EQ(test, pmd_free_pte_page(pmd_off_k(addr), addr), 1);
	mutex_lock(&ktrepl_mutex);
	ktrepl_sync_for_each_node(node, nid)
		KUNIT_EXPECT_FALSE_MSG(test, ktrepl_leaf_private(node, addr),
				       "node %d", nid);
	mutex_unlock(&ktrepl_mutex);
	ktrepl_sync_reap();
}

/* [M1] [M2] [M4]: pages that are mapped one by one beside what nodes have clones for */
static void ktrepl_sync_pages(struct kunit *test)
{
	unsigned long addr = ktrepl_sync_reserve(test, PMD_SIZE);
	struct ktrepl_sync_test *t = test->priv;
	unsigned long start = addr + PAGE_SIZE;

	t->area->flags |= VM_SPARSE;
	ktrepl_sync_cover(test, addr);
	KUNIT_ASSERT_EQ(test, vm_area_map_pages(t->area, start, start + PAGE_SIZE,
						&t->page), 0);
	ktrepl_sync_expect(test, start, page_to_pfn(t->page), PAGE_SIZE);
	vm_area_unmap_pages(t->area, start, start + PAGE_SIZE);
	ktrepl_sync_expect(test, start, 0, 0);
	vunmap_range(addr, addr + PAGE_SIZE);
	ktrepl_sync_expect(test, addr, 0, 0);
	/* The next case may get the same addresses, and wants no clones there. */
	ktrepl_sync_free_table(test, addr);
}

/* === Flushes ============================================================= */

static int ktrepl_sync_flushes;

static void ktrepl_sync_count_flush(void)
{
	ktrepl_sync_flushes++;
}

/* A node that gets no new table needs no flush of all TLBs */
static void ktrepl_sync_flush(struct kunit *test)
{
	unsigned long addr = ktrepl_sync_reserve(test, PMD_SIZE);
	struct ktrepl_node *node;
	int nid, nr = 0;

	KUNIT_ASSERT_EQ(test, ktrepl_sync_map(test->priv, addr), 0);
	kunit_activate_static_stub(test, ktrepl_flush_tables,
				   ktrepl_sync_count_flush);
	/* What earlier cases have left, first. */
	mutex_lock(&ktrepl_mutex);
	WRITE_ONCE(ktrepl_param_mem_max, 1);
	ktrepl_sync_for_each_node(node, nid)
		ktrepl_node_cover(node, addr);
	ktrepl_sync_flushes = 0;
	ktrepl_sync_for_each_node(node, nid)
		KUNIT_EXPECT_FALSE(test, ktrepl_node_cover(node, addr));
	KUNIT_EXPECT_EQ(test, ktrepl_sync_flushes, 0);
	WRITE_ONCE(ktrepl_param_mem_max,
		   ((struct ktrepl_sync_test *)test->priv)->mem_max);
	/* One each for what has become private, and none after that. */
	ktrepl_sync_for_each_node(node, nid) {
		KUNIT_EXPECT_TRUE(test, ktrepl_node_cover(node, addr));
		KUNIT_EXPECT_TRUE(test, ktrepl_node_cover(node, addr));
		nr++;
	}
	KUNIT_EXPECT_EQ(test, ktrepl_sync_flushes, nr);
	mutex_unlock(&ktrepl_mutex);
	kunit_deactivate_static_stub(test, ktrepl_flush_tables);
	flush_tlb_all();
	vunmap_range(addr, addr + PAGE_SIZE);
}

/* A node that is mapped again gets what is missing, which is nothing */
static void ktrepl_sync_map_again(struct kunit *test)
{
	long bytes = ktrepl_test_bytes();
	struct ktrepl_node *node;
	pgd_t *root;
	int nid;

	mutex_lock(&ktrepl_mutex);
	ktrepl_sync_for_each_node(node, nid) {
		root = node->root;
		KUNIT_EXPECT_EQ(test, ktrepl_node_map(node), 0);
		KUNIT_EXPECT_PTR_EQ(test, node->root, root);
	}
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_LE(test, ktrepl_test_bytes(), bytes);
}

/* === Leaves that are marked as one ======================================= */

#ifdef CONFIG_ARM64

static int ktrepl_sync_set_cont(pte_t *pte, unsigned long addr, void *data)
{
	unsigned long pfn = page_to_pfn((struct page *)data) +
			    ((addr & ~CONT_PTE_MASK) >> PAGE_SHIFT);

	__set_pte(pte, pfn_pte(pfn, __pgprot(pgprot_val(PAGE_KERNEL_RO) |
					     PTE_CONT)));
	return 0;
}

/* One of several leaves that are marked as one is not copied by itself */
static void ktrepl_sync_cont(struct kunit *test)
{
	unsigned long addr = ktrepl_sync_reserve(test, PMD_SIZE);
	struct page *pages = alloc_pages(GFP_KERNEL, CONT_PTE_SHIFT - PAGE_SHIFT);

	KUNIT_ASSERT_NOT_NULL(test, pages);
	KUNIT_EXPECT_EQ(test, apply_to_page_range(&init_mm, addr, CONT_PTE_SIZE,
						  ktrepl_sync_set_cont, pages),
			0);
	KUNIT_EXPECT_EQ(test, ktrepl_leaf_size(addr), CONT_PTE_SIZE);
	KUNIT_EXPECT_NULL(test, ktrepl_page_is_ro(addr + PAGE_SIZE));
	vunmap_range(addr, addr + CONT_PTE_SIZE);
	__free_pages(pages, CONT_PTE_SHIFT - PAGE_SHIFT);
	KUNIT_EXPECT_EQ(test, ktrepl_sync_map(test->priv, addr), 0);
	KUNIT_EXPECT_NOT_NULL(test, ktrepl_page_is_ro(addr));
	vunmap_range(addr, addr + PAGE_SIZE);
}

/*
 * [T3]: the linear alias of a node's root is read-only, like that of swapper_pg_dir
 */
static void ktrepl_sync_root_ro(struct kunit *test)
{
	struct ktrepl_node *node;
	struct ktrepl_mapping w;
	int nid;

	mutex_lock(&ktrepl_mutex);
	ktrepl_sync_for_each_node(node, nid) {
		KUNIT_EXPECT_TRUE(test, ktrepl_walk(ktrepl_primary_root(),
						    (unsigned long)node->root,
						    nid, &w));
		KUNIT_EXPECT_EQ(test, pgprot_val(w.prot) &
				(PTE_WRITE | PTE_RDONLY), PTE_RDONLY);
	}
	mutex_unlock(&ktrepl_mutex);
}

/* Cases before may have left nodes tables of their own. */
static void ktrepl_sync_set_pte(pgd_t *root, unsigned long addr, pte_t pte)
{
	p4d_t *p4d = p4d_offset(pgd_offset_pgd(root, addr), addr);
	pmd_t *pmd = pmd_offset(pud_offset(p4d, addr), addr);

	__set_pte(pte_offset_kernel(pmd, addr), pte);
}

/* Reads a word on each CPU, so that its TLB has the translation. */
static void ktrepl_sync_read(void *addr)
{
	READ_ONCE(*(u32 *)addr);
}

static void ktrepl_sync_count_old(void *data)
{
	struct ktrepl_sync_test *t = data;

	if (READ_ONCE(*(u32 *)t->addr) != 2)
		ktrepl_sync_flushes++;
}

/* === Marks of tables ===================================================== */

static bool ktrepl_sync_is_marked(unsigned long addr)
{
	return pmd_val(*pmd_off_k(addr)) & ARCH_KTREPL_MARK;
}

/*
 * In place of the wait for all CPUs: one of them has not seen the mark, and has
 * just stored the next PTE.
 */
static void ktrepl_sync_store_unseen(void)
{
	struct ktrepl_sync_test *t = kunit_get_current_test()->priv;

	ktrepl_sync_set_pte(ktrepl_primary_root(), t->addr + PAGE_SIZE,
			    mk_pte(t->page, PAGE_KERNEL_RO));
	t->waits++;
	t->marked = ktrepl_sync_is_marked(t->addr);
}

/* [M4]: a table is marked, and all have seen that, before a node copies it */
static void ktrepl_sync_table_marked(struct kunit *test)
{
	unsigned long addr = ktrepl_sync_reserve(test, PMD_SIZE);
	struct ktrepl_sync_test *t = test->priv;
	unsigned long pfn = page_to_pfn(t->page);

	/* A table that no node knows. */
	KUNIT_ASSERT_EQ(test, ktrepl_sync_map(t, addr), 0);
	vunmap_range(addr, addr + PAGE_SIZE);
	ktrepl_sync_free_table(test, addr);
	KUNIT_ASSERT_EQ(test, ktrepl_sync_map(t, addr), 0);
	vunmap_range(addr, addr + PAGE_SIZE);
	KUNIT_EXPECT_FALSE(test, ktrepl_sync_is_marked(addr));
	kunit_activate_static_stub(test, ktrepl_see_stores, ktrepl_sync_store_unseen);
	ktrepl_sync_cover(test, addr);
	kunit_deactivate_static_stub(test, ktrepl_see_stores);
	/* For the first clone, of whichever node. */
	KUNIT_EXPECT_EQ(test, t->waits, 1);
	KUNIT_EXPECT_TRUE(test, t->marked);
	ktrepl_sync_expect(test, addr, pfn, PAGE_SIZE);
	ktrepl_sync_expect(test, addr + PAGE_SIZE, pfn, PAGE_SIZE);
	vunmap_range(addr, addr + 2 * PAGE_SIZE);
	ktrepl_sync_expect(test, addr, 0, 0);
	ktrepl_sync_expect(test, addr + PAGE_SIZE, 0, 0);
}

/* [T9]: no CPU goes on with the translation of a page that has been replaced */
static void ktrepl_sync_replaced(struct kunit *test)
{
	unsigned long addr = ktrepl_sync_reserve(test, PMD_SIZE);
	struct page *page = alloc_page(GFP_KERNEL);
	struct ktrepl_sync_test *t = test->priv;
	struct ktrepl_node *node;
	int nid;

	KUNIT_ASSERT_NOT_NULL(test, page);
	*(u32 *)page_address(t->page) = 1;
	*(u32 *)page_address(page) = 2;
	KUNIT_ASSERT_EQ(test, ktrepl_sync_map(t, addr), 0);
	on_each_cpu(ktrepl_sync_read, (void *)addr, true);
	mutex_lock(&ktrepl_mutex);
	migrate_disable();
	ktrepl_sync_flushes = 0;
	local_irq_disable();
	ktrepl_sync_set_pte(ktrepl_primary_root(), addr,
			    mk_pte(page, PAGE_KERNEL_RO));
	ktrepl_sync_for_each_node(node, nid)
		ktrepl_sync_set_pte(node->root, addr, mk_pte(page, PAGE_KERNEL_RO));
	arch_ktrepl_flush_pages(addr, addr + PAGE_SIZE);
	ktrepl_sync_count_old(t);
	local_irq_enable();
	smp_call_function(ktrepl_sync_count_old, t, true);
	migrate_enable();
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_EQ(test, ktrepl_sync_flushes, 0);
	vunmap_range(addr, addr + PAGE_SIZE);
	__free_page(page);
}

static struct task_struct *ktrepl_sync_writer;
static unsigned long ktrepl_sync_cached;

static int ktrepl_sync_cached_pre(struct kprobe *p, struct pt_regs *regs)
{
	if (current == ktrepl_sync_writer)
		ktrepl_sync_cached += regs->regs[1] - regs->regs[0];
	return 0;
}

/* Bytes whose caches have been maintained since the last call. */
static unsigned long ktrepl_sync_take_cached(void)
{
	return xchg(&ktrepl_sync_cached, 0);
}

/* [F5] [P1] [P2] [P8]: caches are maintained for all that is written */
static void ktrepl_sync_caches(struct kunit *test)
{
	struct kprobe probe = {
		.symbol_name = "sync_icache_aliases",
		.pre_handler = ktrepl_sync_cached_pre,
	};
	unsigned long marker = (unsigned long)ktrepl_info->marker;
	struct ktrepl_region *region = ktrepl_region_find(marker);
	struct ktrepl_region rodata = { .kind = KTREPL_RODATA };
	struct ktrepl_window *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	struct ktrepl_sync_test *t = test->priv;
	unsigned long page = (unsigned long)page_address(t->page);
	u32 old[2], bytes[16] = { };
	int replicas = ktrepl_test_replicas(region, ktrepl_region_index(region, marker)), i;

	KUNIT_ASSERT_NOT_NULL(test, w);
	/* What is longer than an instruction goes through a function. */
	memcpy(old, (void *)marker, sizeof(old));
	KUNIT_ASSERT_EQ(test, register_kprobe(&probe), 0);
	ktrepl_sync_writer = current;
	mutex_lock(&text_mutex);
	ktrepl_sync_take_cached();
	arch_ktrepl_write(t->page, 500, bytes, sizeof(bytes));
	KUNIT_EXPECT_EQ(test, ktrepl_sync_take_cached(), sizeof(bytes));
	arch_ktrepl_sync_alias(page, page + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ktrepl_sync_take_cached(), PAGE_SIZE);
	arch_ktrepl_poke((void *)marker, old, sizeof(old));
	KUNIT_EXPECT_EQ(test, ktrepl_sync_take_cached(), (1 + replicas) * sizeof(old));
	mutex_unlock(&text_mutex);
	/* And for those pages of a window that are text. */
	mutex_lock(&ktrepl_mutex);
	for (i = 0; i < 7; i++)
		ktrepl_window_add(w, t->page, i % 3 ? region : &rodata, 0, 0);
	if (ktrepl_window_open(w)) {
		ktrepl_window_close(w);
		KUNIT_EXPECT_EQ(test, ktrepl_sync_take_cached(), 4 * PAGE_SIZE);
	}
	mutex_unlock(&ktrepl_mutex);
	ktrepl_sync_writer = NULL;
	unregister_kprobe(&probe);
}

#else

static void ktrepl_sync_table_marked(struct kunit *test)
{
	kunit_skip(test, "tables are not marked");
}

static void ktrepl_sync_replaced(struct kunit *test)
{
	kunit_skip(test, "either of two equal pages will do");
}

static void ktrepl_sync_caches(struct kunit *test)
{
	kunit_skip(test, "instruction caches follow stores");
}

static void ktrepl_sync_cont(struct kunit *test)
{
	kunit_skip(test, "leaves cannot be marked as one");
}

static void ktrepl_sync_root_ro(struct kunit *test)
{
	kunit_skip(test, "like that of the primary's root, it is writable");
}

#endif /* CONFIG_ARM64 */

/* === Events of the firmware ============================================== */

#if defined(CONFIG_ARM_SDE_INTERFACE) && defined(CONFIG_KALLSYMS_ALL)

#include <linux/arm_sdei.h>
#include <linux/arm-smccc.h>
#include <uapi/linux/arm_sdei.h>

static bool ktrepl_sdei_masked[NR_CPUS];
static int ktrepl_sdei_calls, ktrepl_sdei_early;

static void ktrepl_sdei_call(unsigned long function_id, unsigned long arg0,
			     unsigned long arg1, unsigned long arg2,
			     unsigned long arg3, unsigned long arg4,
			     struct arm_smccc_res *res)
{
	int cpu = raw_smp_processor_id();

	res->a0 = 0;
	if (function_id == SDEI_1_0_FN_SDEI_PE_MASK)
		ktrepl_sdei_masked[cpu] = true;
	if (function_id != SDEI_1_0_FN_SDEI_PE_UNMASK)
		return;
	ktrepl_sdei_masked[cpu] = false;
	ktrepl_sdei_calls++;
	if (!cpu_online(cpu))
		ktrepl_sdei_early++;
}

/* As the driver of SDEI does. */
static int ktrepl_sdei_up(unsigned int cpu)
{
	return sdei_unmask_local_cpu();
}

static int ktrepl_sdei_down(unsigned int cpu)
{
	return sdei_mask_local_cpu();
}

/* Events that are masked on a CPU that comes or goes stay masked */
static void ktrepl_sync_sdei(struct kunit *test)
{
	typeof(ktrepl_sdei_call) **call, *old;
	int cpu = cpumask_last(cpu_online_mask), state;

	call = (void *)kallsyms_lookup_name("sdei_firmware_call");
	KUNIT_ASSERT_NOT_NULL(test, call);
	old = *call;
	if (old)
		kunit_skip(test, "there is a firmware that has SDEI");
	state = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "ktrepl:test",
					  ktrepl_sdei_up, ktrepl_sdei_down);
	KUNIT_ASSERT_GT(test, state, 0);
	ktrepl_sdei_calls = 0;
	ktrepl_sdei_early = 0;
	*call = ktrepl_sdei_call;
	KUNIT_EXPECT_EQ(test, remove_cpu(cpu), 0);
	KUNIT_EXPECT_TRUE(test, ktrepl_sdei_masked[cpu]);
	KUNIT_EXPECT_EQ(test, add_cpu(cpu), 0);
	KUNIT_EXPECT_FALSE(test, ktrepl_sdei_masked[cpu]);
	KUNIT_EXPECT_EQ(test, ktrepl_sdei_early, 0);
	/* A CPU that stays opens them again. */
	ktrepl_sdei_calls = 0;
	ktrepl_disable();
	KUNIT_EXPECT_GT(test, ktrepl_sdei_calls, 0);
	KUNIT_EXPECT_FALSE(test, ktrepl_sdei_masked[cpu]);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	*call = old;
	cpuhp_remove_state_nocalls(state);
}

#else

static void ktrepl_sync_sdei(struct kunit *test)
{
	kunit_skip(test, "requires CONFIG_ARM_SDE_INTERFACE and CONFIG_KALLSYMS_ALL");
}

#endif

/* === Probes ============================================================== */

/* What a poke runs through takes no probe: setting it is a poke */
static void ktrepl_sync_noprobe(struct kunit *test)
{
#ifdef CONFIG_KPROBES
	static const char *const names[] = {
		"__ktrepl_poke_image", "__ktrepl_poke_first", "__ktrepl_poke_next",
		"ktrepl_poke_fill", "ktrepl_poke_any", "ktrepl_poke_more",
		"ktrepl_poke_differs", "ktrepl_poke_report", "ktrepl_poke_check",
		"ktrepl_region_find", "ktrepl_execmem_is_on", "ktrepl_execmem_queue",
		"ktrepl_heal_queue", "ktrepl_diverged", "ktrepl_broken",
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		struct kprobe kp = { .symbol_name = names[i] };
		int err = register_kprobe(&kp);

		KUNIT_EXPECT_EQ_MSG(test, err, -EINVAL, "%s", names[i]);
		if (!err)
			unregister_kprobe(&kp);
	}
#else
	kunit_skip(test, "requires CONFIG_KPROBES");
#endif
}

static struct kunit_case ktrepl_sync_cases[] = {
	KUNIT_CASE(ktrepl_sync_lockless),
	KUNIT_CASE(ktrepl_sync_locked),
	KUNIT_CASE(ktrepl_sync_marked),
	KUNIT_CASE(ktrepl_sync_waits),
	KUNIT_CASE(ktrepl_sync_poke_waits),
	KUNIT_CASE(ktrepl_sync_reuse_primary),
	KUNIT_CASE(ktrepl_sync_reuse_same),
	KUNIT_CASE(ktrepl_sync_reuse_clone),
	KUNIT_CASE(ktrepl_sync_pages),
	KUNIT_CASE(ktrepl_sync_flush),
	KUNIT_CASE(ktrepl_sync_map_again),
	KUNIT_CASE(ktrepl_sync_cont),
	KUNIT_CASE(ktrepl_sync_table_marked),
	KUNIT_CASE(ktrepl_sync_root_ro),
	KUNIT_CASE(ktrepl_sync_replaced),
	KUNIT_CASE(ktrepl_sync_caches),
	KUNIT_CASE_SLOW(ktrepl_sync_sdei),
	KUNIT_CASE(ktrepl_sync_noprobe),
	{ }
};

static struct kunit_suite ktrepl_sync_suite = {
	.name = "ktrepl_sync",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_sync_init,
	.exit = ktrepl_sync_exit,
	.test_cases = ktrepl_sync_cases,
};

kunit_test_suite(ktrepl_sync_suite);
