// SPDX-License-Identifier: GPL-2.0
/*
 * Roots of mms on each node, and what x86_64 makes of leaves and tables.
 *
 *	echo 1 > /sys/kernel/debug/kunit/ktrepl_root/run
 */

#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/efi.h>
#include <linux/irq_work.h>
#include <linux/kgdb.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/set_memory.h>
#include <linux/stop_machine.h>
#include <linux/workqueue.h>

#include <asm/cpufeature.h>
#include <asm/pgalloc.h>
#include <asm/text-patching.h>
#include <asm/tlbflush.h>

#include "common.h"

struct ktrepl_root_test {
	struct mm_struct *mm;		/* that no CPU has loaded yet */
	struct ktrepl_node *node;	/* with a root, and */
	unsigned int cpu;		/* a CPU of its own */
};

static int ktrepl_root_init(struct kunit *test)
{
	struct ktrepl_root_test *t;
	int cpu, err = ktrepl_test_on(test);

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	for_each_online_cpu(cpu) {
		struct ktrepl_node *node = per_cpu(ktrepl_cpu_preferred, cpu);

		if (node && node->root) {
			t->node = node;
			t->cpu = cpu;
		}
	}
	KUNIT_ASSERT_NOT_NULL(test, t->node);
	t->mm = mm_alloc();
	KUNIT_ASSERT_NOT_NULL(test, t->mm);
	test->priv = t;
	return err;
}

static void ktrepl_root_exit(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;

	if (t)
		mmput(t->mm);
}

static void ktrepl_root_refill(struct ktrepl_node *node)
{
	irq_work_queue(&node->refill_irq);
	ktrepl_test_refill(node);
}

/* === Facts =============================================================== */

/* [F6] [F7] [T6]: what other cases take the glue's word for */
static void ktrepl_root_facts(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, ktrepl_info->keep_leaves);
	KUNIT_EXPECT_EQ(test, ktrepl_info->lowest,
			__START_KERNEL_map & PGDIR_MASK);
	KUNIT_EXPECT_EQ(test, KTREPL_ROOT_ORDER, PGD_ALLOCATION_ORDER);
}

/* Does a node's user half map what the primary's does, by leaves alike? */
static void ktrepl_root_expect_user(struct kunit *test, pgd_t *root,
				    unsigned long addr, int nid)
{
	pgd_t *primary = kernel_to_user_pgdp(init_mm.pgd);
	struct ktrepl_mapping n = { }, m = { };
	bool mapped = ktrepl_walk(primary, addr, nid, &m);

	KUNIT_EXPECT_EQ(test, mapped, ktrepl_walk(kernel_to_user_pgdp(root), addr,
						  nid, &n));
	if (!mapped)
		return;
	KUNIT_EXPECT_EQ(test, n.size, m.size);
	KUNIT_EXPECT_EQ(test, pgprot_val(n.prot), pgprot_val(m.prot));
}

/* [T3]: with page table isolation the user half has the node's leaves, too */
static void ktrepl_root_user_half(struct kunit *test)
{
	const struct ktrepl_range *text = &ktrepl_info->ranges[0];
	struct ktrepl_mapping user, kernel;
	unsigned long addr, nr = 0;
	pgd_t *root;
	int nid;

	if (!cpu_feature_enabled(X86_FEATURE_PTI))
		kunit_skip(test, "no page table isolation");
	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		root = ktrepl_nodes[nid] ? ktrepl_nodes[nid]->root : NULL;
		for (addr = text->start; root && addr < text->end;
		     addr = ALIGN(addr + 1, PMD_SIZE)) {
			ktrepl_root_expect_user(test, root, addr, nid);
			/* Entry text only. */
			if (!ktrepl_walk(kernel_to_user_pgdp(root), addr, nid,
					 &user) || user.size != PMD_SIZE)
				continue;
			KUNIT_EXPECT_TRUE(test, ktrepl_walk(root, addr, nid,
							    &kernel));
			KUNIT_EXPECT_EQ(test, user.pfn, kernel.pfn);
			KUNIT_EXPECT_EQ(test, pgprot_val(user.prot),
					pgprot_val(kernel.prot));
			KUNIT_EXPECT_EQ(test, user.remote, 0);
			nr++;
		}
	}
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_GT(test, nr, 0);
}

/* How many nodes map an address in one half of their root by another page? */
static unsigned int ktrepl_root_others(unsigned long addr, unsigned long pfn,
				       bool user)
{
	struct ktrepl_mapping w;
	unsigned int nr = 0;
	pgd_t *root;
	int nid;

	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		root = ktrepl_nodes[nid] ? ktrepl_nodes[nid]->root : NULL;
		if (root && user)
			root = kernel_to_user_pgdp(root);
		nr += root && (!ktrepl_walk(root, addr, nid, &w) || w.pfn != pfn);
	}
	mutex_unlock(&ktrepl_mutex);
	return nr;
}

/* [T10]: the user half follows when a leaf goes back to the primary */
static void ktrepl_root_leaf_sync(struct kunit *test)
{
	unsigned long addr = (unsigned long)__entry_text_start;
	struct ktrepl_mapping m;

	if (!cpu_feature_enabled(X86_FEATURE_PTI))
		kunit_skip(test, "no page table isolation");
	KUNIT_ASSERT_TRUE(test, ktrepl_walk(init_mm.pgd, addr, 0, &m));
	KUNIT_EXPECT_GT(test, ktrepl_root_others(addr, m.pfn, true), 0);
	ktrepl_split_leaf(addr);
	KUNIT_EXPECT_EQ(test, ktrepl_root_others(addr, m.pfn, false), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_root_others(addr, m.pfn, true), 0);
	/* It is still large, and can have replicas again. */
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

/* The flags of a node's entry that leads to a table are the primary's. */
static void ktrepl_root_expect_table(struct kunit *test, u64 n, u64 m)
{
	KUNIT_EXPECT_NE(test, n, m);
	KUNIT_EXPECT_EQ(test, n & ~PTE_PFN_MASK, m & ~PTE_PFN_MASK);
}

/* [T7]: on the path to replicated text, tables are a node's own */
static void ktrepl_root_tables(struct kunit *test)
{
	unsigned long addr = (unsigned long)ktrepl_info->marker;
	struct ktrepl_root_test *t = test->priv;
	pgd_t *n = pgd_offset_pgd(t->node->root, addr);
	pgd_t *m = pgd_offset_pgd(init_mm.pgd, addr);
	p4d_t *n_p4d = p4d_offset(n, addr), *m_p4d = p4d_offset(m, addr);

	if (pgtable_l5_enabled())
		ktrepl_root_expect_table(test, pgd_val(*n), pgd_val(*m));
	ktrepl_root_expect_table(test, p4d_val(*n_p4d), p4d_val(*m_p4d));
	ktrepl_root_expect_table(test, pud_val(*pud_offset(n_p4d, addr)),
				 pud_val(*pud_offset(m_p4d, addr)));
}

/* === kgdb ================================================================ */

#ifdef CONFIG_KGDB

static void ktrepl_kgdb_primary(int cpu)
{
	atomic_set(&kgdb_active, cpu);
}

#else

static void ktrepl_kgdb_primary(int cpu) { }

#endif

struct ktrepl_root_kgdb {
	struct mm_struct *mm;
	u8 *addr;
	pgd_t *pgd;
	bool missed;
	bool done;
};

/* As kgdb, from a CPU's stopper thread: the choice of a root, and a poke. */
static int ktrepl_root_kgdb_fn(void *data)
{
	struct ktrepl_root_kgdb *k = data;
	unsigned long flags;
	u8 byte = *k->addr;
	pgd_t *loaded;

	local_irq_save(flags);
	ktrepl_kgdb_primary(smp_processor_id());
	/* Chosen, but not loaded. */
	loaded = this_cpu_read(ktrepl_cpu_mm_root);
	__ktrepl_choose_root(k->mm);
	k->pgd = ktrepl_loaded_pgd(k->mm);
	this_cpu_write(ktrepl_cpu_mm_root, loaded);
	k->missed = cpumask_test_cpu(smp_processor_id(),
				     &this_cpu_read(ktrepl_cpu_preferred)->missed);
	text_poke_kgdb(k->addr, &byte, 1);
	ktrepl_kgdb_primary(-1);
	local_irq_restore(flags);
	/* Pairs with smp_load_acquire() in ktrepl_root_kgdb_wait(). */
	smp_store_release(&k->done, true);
	return 0;
}

static bool ktrepl_root_kgdb_wait(struct ktrepl_root_kgdb *k,
				  unsigned int ms)
{
	/* Pairs with smp_store_release() in ktrepl_root_kgdb_fn(). */
	for (; ms && !smp_load_acquire(&k->done); ms--)
		mdelay(1);
	return ms;
}

/* [R6] [A3]: a poke of kgdb takes no lock that a stopped CPU may hold */
static void ktrepl_root_kgdb(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	struct ktrepl_root_kgdb k = {
		.mm = t->mm, .addr = ktrepl_info->marker,
	};
	struct cpu_stop_work work;
	unsigned long flags;
	unsigned int i;
	bool done;

	if (!IS_ENABLED(CONFIG_KGDB))
		kunit_skip(test, "requires CONFIG_KGDB");

	KUNIT_ASSERT_NE(test, t->cpu, 0);
	KUNIT_ASSERT_EQ(test, set_cpus_allowed_ptr(current, cpumask_of(0)), 0);
	/* Nobody else pokes meanwhile. */
	mutex_lock(&text_mutex);
	raw_spin_lock_irqsave(ktrepl_roots_lock(t->mm), flags);
	raw_spin_lock(&t->node->spare_lock);
	stop_one_cpu_nowait(t->cpu, ktrepl_root_kgdb_fn, &k, &work);
	done = ktrepl_root_kgdb_wait(&k, 2000);
	raw_spin_unlock(&t->node->spare_lock);
	raw_spin_unlock_irqrestore(ktrepl_roots_lock(t->mm), flags);
	KUNIT_EXPECT_TRUE(test, ktrepl_root_kgdb_wait(&k, 10000));
	mutex_unlock(&text_mutex);

	KUNIT_EXPECT_TRUE(test, done);
	KUNIT_EXPECT_PTR_EQ(test, k.pgd, t->mm->pgd);
	KUNIT_EXPECT_TRUE(test, k.missed);
	/* It has been asked to look again, and may miss a spare root once more. */
	for (i = 0; i < 20 && !cpumask_empty(&t->node->missed); i++) {
		ktrepl_root_refill(t->node);
		msleep(50);
	}
	KUNIT_EXPECT_TRUE(test, cpumask_empty(&t->node->missed));
}

/* === Where an mm lives =================================================== */

/* A kthread that has an mm loaded on a CPU, or has come to use it there. */
struct ktrepl_root_user {
	struct mm_struct *mm;
	struct task_struct *task;
	unsigned int cpu;
	struct completion ready;
	pgd_t *cr3, *loaded;
	bool local;		/* it executes text of its own node */
	bool odd;		/* CR3 was another one than it was taken for */
	int nid;
};

static int ktrepl_root_use_fn(void *data)
{
	struct ktrepl_root_user *u = data;
	unsigned long text = (unsigned long)ktrepl_info->marker;
	struct ktrepl_mapping w;

	kthread_use_mm(u->mm);
	local_irq_disable();
	u->cr3 = arch_ktrepl_cpu_root();
	u->loaded = ktrepl_loaded_pgd(u->mm);
	u->nid = this_cpu_read(ktrepl_cpu_preferred)->nid;
	u->local = ktrepl_walk(u->cr3, text, u->nid, &w) && !w.remote &&
		page_to_nid(pfn_to_page(w.pfn)) == u->nid;
	local_irq_enable();
	complete(&u->ready);
	/* Neither lazy nor idle, so that the mm stays loaded. */
	while (!kthread_should_stop()) {
		local_irq_disable();
		u->odd |= arch_ktrepl_cpu_root() !=
			(pgd_t *)__va(__pa(ktrepl_loaded_pgd(u->mm)));
		local_irq_enable();
		cond_resched();
	}
	kthread_unuse_mm(u->mm);
	return 0;
}

/* On return the mm is loaded on the CPU, and is until ktrepl_root_unuse(). */
static void ktrepl_root_use(struct kunit *test, struct ktrepl_root_user *u,
			    struct mm_struct *mm, unsigned int cpu)
{
	struct task_struct *task;

	u->mm = mm;
	u->cpu = cpu;
	u->odd = false;
	init_completion(&u->ready);
	task = kthread_create_on_cpu(ktrepl_root_use_fn, u, cpu, "ktrepl/%u");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	u->task = get_task_struct(task);
	wake_up_process(task);
	wait_for_completion(&u->ready);
	KUNIT_EXPECT_PTR_EQ(test, u->cr3, (pgd_t *)__va(__pa(u->loaded)));
	KUNIT_EXPECT_TRUE(test, u->local);
}

/* On return the CPU has the mm not even lazily. */
static void ktrepl_root_unuse(struct kunit *test, struct ktrepl_root_user *u)
{
	struct mm_struct *other = mm_alloc();
	struct ktrepl_root_user o;

	KUNIT_ASSERT_NOT_NULL(test, other);
	kthread_stop(u->task);
	put_task_struct(u->task);
	KUNIT_EXPECT_FALSE(test, u->odd);
	ktrepl_root_use(test, &o, other, u->cpu);
	kthread_stop(o.task);
	put_task_struct(o.task);
	mmput(other);
}

static bool ktrepl_root_leads(const struct mm_struct *mm, pgd_t *root)
{
	pgd_t *user = kernel_to_user_pgdp(mm->pgd);

	return arch_ktrepl_root_top(mm->pgd) == arch_ktrepl_root_top(root) &&
	       (!cpu_feature_enabled(X86_FEATURE_PTI) ||
		arch_ktrepl_root_top(user) ==
		arch_ktrepl_root_top(kernel_to_user_pgdp(root)));
}

/* Has a root an entry of the mm's own, in both halves? */
static void ktrepl_root_expect(struct kunit *test, pgd_t *root, pgd_t *entry)
{
	unsigned int i = offset_in_page(entry) / sizeof(*entry);

	KUNIT_EXPECT_EQ(test, pgd_val(root[i]), pgd_val(*entry));
	if (cpu_feature_enabled(X86_FEATURE_PTI))
		KUNIT_EXPECT_EQ(test, pgd_val(*kernel_to_user_pgdp(root + i)),
				pgd_val(*kernel_to_user_pgdp(entry)));
}

/* Another CPU, with another node as its preferred node. */
static unsigned int ktrepl_root_other(struct kunit *test,
				      struct ktrepl_node **node)
{
	struct ktrepl_root_test *t = test->priv;
	int cpu;

	for_each_online_cpu(cpu) {
		*node = per_cpu(ktrepl_cpu_preferred, cpu);
		if (*node && *node != t->node)
			return cpu;
	}
	kunit_skip(test, "one node only has CPUs");
}

/* [T12] [T13] [A2] [A3]: an mm lives where it is used, without a root more, and moves once */
static void ktrepl_root_preferred(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	struct ktrepl_root_user u;
	struct ktrepl_node *node;
	unsigned int cpu = ktrepl_root_other(test, &node);

	KUNIT_EXPECT_TRUE(test, ktrepl_root_leads(t->mm, ktrepl_primary_root()));
	ktrepl_root_use(test, &u, t->mm, t->cpu);
	KUNIT_EXPECT_PTR_EQ(test, u.loaded, t->mm->pgd);
	KUNIT_EXPECT_TRUE(test, ktrepl_root_leads(t->mm, t->node->root));
	ktrepl_root_unuse(test, &u);

	ktrepl_root_use(test, &u, t->mm, cpu);
	KUNIT_EXPECT_PTR_EQ(test, u.loaded, t->mm->pgd);
	KUNIT_EXPECT_TRUE(test, ktrepl_root_leads(t->mm, node->root));
	ktrepl_root_unuse(test, &u);
	KUNIT_EXPECT_EQ(test, ktrepl_roots_of(t->mm), 0);
}

/* Never walked: nobody uses addresses of the mm. */
static void ktrepl_root_populate(struct mm_struct *mm, pgd_t *pgd, void *page)
{
	if (pgtable_l5_enabled())
		pgd_populate(mm, pgd, page);
	else
		p4d_populate(mm, (p4d_t *)pgd, page);
}

/* Like free_pgd_range(), which has the same line behind it. */
static void ktrepl_root_clear(struct mm_struct *mm, pgd_t *pgd)
{
	if (pgtable_l5_enabled())
		set_pgd(pgd, __pgd(0));
	else
		set_p4d((p4d_t *)pgd, __p4d(0));
	ktrepl_top_changed(mm, pgd);
}

/*
 * [R1] [T4] [T5] [A3] [A5] [M3]: an mm that is on two nodes at once has one root more, with
 * the user entries that it had before, and with those that it gets and loses
 */
static void ktrepl_root_two(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	void *page = (void *)get_zeroed_page(GFP_KERNEL);
	pgd_t *early = t->mm->pgd + 1, *late = t->mm->pgd + 2;
	struct ktrepl_root_user a, b;
	struct ktrepl_node *node;
	unsigned int cpu = ktrepl_root_other(test, &node), i;

	KUNIT_ASSERT_NOT_NULL(test, page);
	ktrepl_root_use(test, &a, t->mm, t->cpu);
	ktrepl_root_populate(t->mm, early, page);
	ktrepl_root_use(test, &b, t->mm, cpu);
	KUNIT_EXPECT_PTR_EQ(test, a.loaded, t->mm->pgd);
	KUNIT_EXPECT_PTR_NE(test, b.loaded, t->mm->pgd);
	KUNIT_EXPECT_TRUE(test, ktrepl_root_leads(t->mm, t->node->root));
	KUNIT_EXPECT_EQ(test, ktrepl_roots_of(t->mm), 1);

	KUNIT_EXPECT_NE(test, pgd_val(*early), 0);
	ktrepl_root_expect(test, b.loaded, early);
	ktrepl_root_populate(t->mm, late, page);
	KUNIT_EXPECT_NE(test, pgd_val(*late), 0);
	ktrepl_root_expect(test, b.loaded, late);
	ktrepl_root_clear(t->mm, early);
	ktrepl_root_clear(t->mm, late);
	KUNIT_EXPECT_EQ(test, pgd_val(*late), 0);
	ktrepl_root_expect(test, b.loaded, early);
	ktrepl_root_expect(test, b.loaded, late);
	free_page((unsigned long)page);

	/* The first node has left: some time later the mm moves. */
	ktrepl_root_unuse(test, &a);
	ktrepl_root_unuse(test, &b);
	msleep(1100);
	ktrepl_root_use(test, &b, t->mm, cpu);
	KUNIT_EXPECT_PTR_EQ(test, b.loaded, t->mm->pgd);
	KUNIT_EXPECT_TRUE(test, ktrepl_root_leads(t->mm, node->root));
	/* Nobody is on the root, although the mm is in use there. */
	for (i = 0; i < 100 && ktrepl_roots_of(t->mm); i++) {
		ktrepl_roots_pressure();
		msleep(50);
	}
	KUNIT_EXPECT_EQ(test, ktrepl_roots_of(t->mm), 0);
	ktrepl_root_unuse(test, &b);
}

/* [T4]: a root that another mm has had leads to nothing that was the other's */
static void ktrepl_root_stale(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	void *page = (void *)get_zeroed_page(GFP_KERNEL);
	struct mm_struct *mm = mm_alloc();
	struct ktrepl_root_user a, b;
	struct ktrepl_node *node;
	unsigned int cpu = ktrepl_root_other(test, &node), i;
	pgd_t *root;

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, mm);
	ktrepl_root_use(test, &a, mm, t->cpu);
	ktrepl_root_populate(mm, mm->pgd + 1, page);
	ktrepl_root_use(test, &b, mm, cpu);
	root = b.loaded;
	ktrepl_root_populate(mm, mm->pgd + PTRS_PER_PGD / 2 - 1, page);
	ktrepl_root_unuse(test, &a);
	ktrepl_root_unuse(test, &b);
	/* The entries are still set, and so they are in the root, a spare one now. */
	mmput(mm);

	ktrepl_root_use(test, &a, t->mm, t->cpu);
	ktrepl_root_populate(t->mm, t->mm->pgd + PTRS_PER_PGD / 4, page);
	ktrepl_root_use(test, &b, t->mm, cpu);
	KUNIT_EXPECT_PTR_EQ(test, b.loaded, root);
	for (i = 0; i < PTRS_PER_PGD / 2; i++)
		ktrepl_root_expect(test, b.loaded, t->mm->pgd + i);
	ktrepl_root_clear(t->mm, t->mm->pgd + PTRS_PER_PGD / 4);
	ktrepl_root_unuse(test, &a);
	ktrepl_root_unuse(test, &b);
	free_page((unsigned long)page);
}

/* [T17]: an mm moves although a CPU of its old node has it, but only lazily */
static void ktrepl_root_lazy(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	struct ktrepl_root_user u;
	struct ktrepl_node *node;
	unsigned int cpu = ktrepl_root_other(test, &node), i;

	ktrepl_root_use(test, &u, t->mm, t->cpu);
	kthread_stop(u.task);
	put_task_struct(u.task);
	for (i = 0; i < 50; i++) {
		ktrepl_root_use(test, &u, t->mm, cpu);
		ktrepl_root_unuse(test, &u);
		if (u.loaded == t->mm->pgd)
			break;
		msleep(20);
	}
	KUNIT_EXPECT_PTR_EQ(test, u.loaded, t->mm->pgd);
	KUNIT_EXPECT_TRUE(test, ktrepl_root_leads(t->mm, node->root));
}

/* A root is not given back while a CPU is on it, however long that is. */
static void ktrepl_root_busy(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	struct ktrepl_root_user a, b;
	struct ktrepl_node *node;
	unsigned int cpu = ktrepl_root_other(test, &node), i;

	ktrepl_root_use(test, &a, t->mm, t->cpu);
	ktrepl_root_use(test, &b, t->mm, cpu);
	for (i = 0; i < 20; i++) {
		ktrepl_roots_pressure();
		msleep(20);
	}
	KUNIT_EXPECT_EQ(test, ktrepl_roots_of(t->mm), 1);
	ktrepl_root_unuse(test, &a);
	ktrepl_root_unuse(test, &b);
}

/*
 * [R7] [T16]: switched off, no mm leads to a node; a CPU that parks is not on an
 * mm's root
 */
static void ktrepl_root_leave(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	struct ktrepl_root_user u;

	KUNIT_ASSERT_NE(test, t->cpu, 0);
	ktrepl_root_use(test, &u, t->mm, t->cpu);
	ktrepl_root_unuse(test, &u);
	KUNIT_EXPECT_TRUE(test, ktrepl_root_leads(t->mm, t->node->root));
	KUNIT_ASSERT_EQ(test, remove_cpu(t->cpu), 0);
	/* Nobody would tell it to leave a root, or to flush. */
	KUNIT_EXPECT_PTR_EQ(test, per_cpu(cpu_tlbstate.loaded_mm, t->cpu),
			    &init_mm);
	KUNIT_EXPECT_NULL(test, per_cpu(ktrepl_cpu_mm_root, t->cpu));
	ktrepl_disable();
	KUNIT_EXPECT_TRUE(test, ktrepl_root_leads(t->mm, ktrepl_primary_root()));
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_EQ(test, add_cpu(t->cpu), 0);
}

/* [T15]: the mm of EFI runtime services, if there are any, stays as it is */
static void ktrepl_root_fixed(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;

	KUNIT_EXPECT_FALSE(test, arch_ktrepl_root_fixed(t->mm));
	KUNIT_EXPECT_FALSE(test, arch_ktrepl_root_fixed(current->active_mm));
	if (IS_ENABLED(CONFIG_EFI))
		KUNIT_EXPECT_TRUE(test, arch_ktrepl_root_fixed(&efi_mm));
}

/* [T14]: a root that is marked leads where it did, by the entry of no other */
static void ktrepl_root_mark(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	pgd_t *top = t->mm->pgd + PTRS_PER_PGD - 1;
	struct ktrepl_mapping w;
	unsigned long page;
	pgd_t before;

	arch_ktrepl_root_lead(t->mm->pgd, t->node->root);
	before = *top;
	page = pgd_page_vaddr(before);
	arch_ktrepl_root_mark(t->mm->pgd);
	KUNIT_EXPECT_NE(test, pgd_val(*top), pgd_val(before));
	KUNIT_EXPECT_EQ(test, pgd_page_vaddr(*top), page);
	KUNIT_EXPECT_FALSE(test, ktrepl_root_leads(t->mm, t->node->root));
	KUNIT_EXPECT_FALSE(test, ktrepl_root_leads(t->mm, ktrepl_primary_root()));
	KUNIT_EXPECT_TRUE(test, ktrepl_walk(t->mm->pgd, (unsigned long)ktrepl_info->marker,
					    t->node->nid, &w));
	arch_ktrepl_root_lead(t->mm->pgd, t->node->root);
	KUNIT_EXPECT_TRUE(test, ktrepl_root_leads(t->mm, t->node->root));
	arch_ktrepl_root_lead(t->mm->pgd, ktrepl_primary_root());
}

/* === Spare roots ========================================================= */

static cpumask_t ktrepl_root_attached;
static unsigned int ktrepl_root_by_others;

static int ktrepl_root_attach_pre(struct kprobe *p, struct pt_regs *regs)
{
	cpumask_set_cpu(smp_processor_id(), &ktrepl_root_attached);
	/* Its stopper thread, which no IPI would be. */
	ktrepl_root_by_others += !!strncmp(current->comm, "migration/", 10);
	return 0;
}

/* Only the CPU that has missed its root is disturbed. */
static void ktrepl_root_missed(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	struct kprobe probe = {
		.symbol_name = "arch_ktrepl_attach",
		.pre_handler = ktrepl_root_attach_pre,
	};

	/* What has been missed until now is not this case's. */
	ktrepl_root_refill(t->node);
	cpumask_clear(&ktrepl_root_attached);
	ktrepl_root_by_others = 0;
	KUNIT_ASSERT_EQ(test, register_kprobe(&probe), 0);
	cpumask_set_cpu(t->cpu, &t->node->missed);
	ktrepl_root_refill(t->node);
	unregister_kprobe(&probe);
	KUNIT_EXPECT_TRUE(test, cpumask_equal(&ktrepl_root_attached,
					      cpumask_of(t->cpu)));
	KUNIT_EXPECT_EQ(test, ktrepl_root_by_others, 0);
	KUNIT_EXPECT_FALSE(test, cpumask_test_cpu(t->cpu, &t->node->missed));
}

static unsigned int ktrepl_root_spare(struct ktrepl_node *node)
{
	return READ_ONCE(node->nr_spare);
}

/* Memory pressure leaves a floor, and the rest comes back by itself. */
static void ktrepl_root_pressure(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	unsigned int want, least, i;

	ktrepl_root_refill(t->node);
	want = t->node->want_spare;
	KUNIT_ASSERT_GE(test, want, 8);
	least = want;
	ktrepl_roots_pressure();
	for (i = 0; i < 800; i++) {
		least = min(least, ktrepl_root_spare(t->node));
		usleep_range(1000, 2000);
	}
	KUNIT_EXPECT_LT(test, least, want / 2);
	KUNIT_EXPECT_GE(test, least, want / 8);
	for (i = 0; i < 100 && ktrepl_root_spare(t->node) < want / 2; i++)
		msleep(50);
	KUNIT_EXPECT_GE(test, ktrepl_root_spare(t->node), want / 2);
}

struct ktrepl_root_choice {
	struct mm_struct *mm;
	struct list_head spare;		/* taken from the CPU's node meanwhile */
	pgd_t *pgd;
};

/* On a CPU, with interrupts disabled: the choice of a root, not loaded. */
static void ktrepl_root_choose_fn(void *data)
{
	struct ktrepl_node *node = this_cpu_read(ktrepl_cpu_preferred);
	pgd_t *loaded = this_cpu_read(ktrepl_cpu_mm_root);
	struct ktrepl_root_choice *c = data;

	raw_spin_lock(&node->spare_lock);
	list_splice_init(&node->spare, &c->spare);
	raw_spin_unlock(&node->spare_lock);
	__ktrepl_choose_root(c->mm);
	c->pgd = this_cpu_read(ktrepl_cpu_mm_root);
	this_cpu_write(ktrepl_cpu_mm_root, loaded);
	raw_spin_lock(&node->spare_lock);
	list_splice_init(&c->spare, &node->spare);
	raw_spin_unlock(&node->spare_lock);
}

static unsigned int ktrepl_root_atomic;

static int ktrepl_root_alloc_pre(struct kprobe *p, struct pt_regs *regs)
{
	ktrepl_root_atomic += !(regs->flags & X86_EFLAGS_IF);
	return 0;
}

/* [R6]: where no spare root is left, a switch does not make one */
static void ktrepl_root_no_spare(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	struct ktrepl_root_choice c = {
		.mm = t->mm, .spare = LIST_HEAD_INIT(c.spare),
	};
	struct kprobe probe = {
		.symbol_name = "arch_ktrepl_root_alloc",
		.pre_handler = ktrepl_root_alloc_pre,
	};
	struct ktrepl_root_user u;
	struct ktrepl_node *node;
	unsigned int cpu = ktrepl_root_other(test, &node);
	long missed = ktrepl_test_count(node->nid, KTREPL_STAT_ROOT_MISSED);

	ktrepl_root_use(test, &u, t->mm, t->cpu);
	ktrepl_root_atomic = 0;
	KUNIT_ASSERT_EQ(test, register_kprobe(&probe), 0);
	KUNIT_EXPECT_EQ(test, smp_call_function_single(cpu, ktrepl_root_choose_fn,
						       &c, true), 0);
	unregister_kprobe(&probe);
	KUNIT_EXPECT_NULL(test, c.pgd);
	KUNIT_EXPECT_EQ(test, ktrepl_root_atomic, 0);
	KUNIT_EXPECT_GT(test, ktrepl_test_count(node->nid, KTREPL_STAT_ROOT_MISSED),
			missed);
	ktrepl_root_unuse(test, &u);
	ktrepl_root_refill(node);
}

static long ktrepl_root_failures(const struct ktrepl_node *node)
{
	return atomic_long_read(&node->stat[KTREPL_STAT_PGTBL_FAIL]);
}

/* Without memory, spare roots are tried for ever more seldom, and then come. */
static void ktrepl_root_backoff(struct kunit *test)
{
	unsigned long max = ktrepl_param_mem_max;
	struct ktrepl_root_test *t = test->priv;
	unsigned int want, i;
	long before;

	ktrepl_root_refill(t->node);
	want = t->node->want_spare;
	WRITE_ONCE(ktrepl_param_mem_max, 1);
	ktrepl_roots_pressure();
	for (i = 0; i < 100 && ktrepl_root_spare(t->node) > want / 2; i++)
		msleep(20);
	KUNIT_EXPECT_LE(test, ktrepl_root_spare(t->node), want / 2);
	before = ktrepl_root_failures(t->node);
	ktrepl_root_refill(t->node);
	msleep(2000);
	/*
	 * At first after 125 ms, then every half second; the first one was
	 * ours.
	 */
	KUNIT_EXPECT_GT(test, ktrepl_root_failures(t->node), before);
	KUNIT_EXPECT_LE(test, ktrepl_root_failures(t->node), before + 8);
	WRITE_ONCE(ktrepl_param_mem_max, max);
	for (i = 0; i < 20 && ktrepl_root_spare(t->node) < want; i++)
		msleep(50);
	KUNIT_EXPECT_EQ(test, ktrepl_root_spare(t->node), want);
}

static unsigned int ktrepl_root_want(const struct ktrepl_node *node)
{
	return 8 + 2 * cpumask_weight(&node->cpus);
}

/* A CPU that joins a node brings its share of the spare roots. */
static void ktrepl_root_join(struct kunit *test)
{
	struct ktrepl_root_test *t = test->priv;
	unsigned int before;

	KUNIT_ASSERT_NE(test, t->cpu, 0);
	KUNIT_ASSERT_EQ(test, remove_cpu(t->cpu), 0);
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	ktrepl_root_refill(t->node);
	before = t->node->want_spare;
	KUNIT_EXPECT_EQ(test, add_cpu(t->cpu), 0);
	/* Kicked by the CPU itself, which is online since then. */
	ktrepl_test_refill(t->node);
	KUNIT_EXPECT_EQ(test, before + 2, t->node->want_spare);
	KUNIT_EXPECT_EQ(test, ktrepl_root_want(t->node), t->node->want_spare);
}

/* === The key ============================================================= */

static unsigned int ktrepl_root_freed, ktrepl_root_freed_late;
static struct task_struct *ktrepl_root_task;

static int ktrepl_root_free_pre(struct kprobe *p, struct pt_regs *regs)
{
	if (current != ktrepl_root_task)
		return 0;
	ktrepl_root_freed++;
	ktrepl_root_freed_late += !static_key_enabled(&ktrepl_roots_key);
	return 0;
}

/* Roots of ours that the kernel keeps up to date. */
static unsigned int ktrepl_root_listed(void)
{
	struct ptdesc *pt;
	unsigned int nr = 0;

	spin_lock(&pgd_lock);
	list_for_each_entry(pt, &pgd_list, pt_list)
		nr += pt->pt_mm == &init_mm;
	spin_unlock(&pgd_lock);
	return nr;
}

/*
 * [T2]: while there is any node root, code that goes over all roots can tell;
 * switched off, none is left
 */
static void ktrepl_root_key(struct kunit *test)
{
	struct kprobe probe = {
		.symbol_name = "arch_ktrepl_root_free",
		.pre_handler = ktrepl_root_free_pre,
	};

	ktrepl_root_task = current;
	ktrepl_root_freed = 0;
	ktrepl_root_freed_late = 0;
	KUNIT_EXPECT_GT(test, ktrepl_root_listed(), 0);
	KUNIT_ASSERT_EQ(test, register_kprobe(&probe), 0);
	ktrepl_disable();
	unregister_kprobe(&probe);
	KUNIT_EXPECT_EQ(test, ktrepl_root_listed(), 0);
	KUNIT_EXPECT_FALSE(test, static_key_enabled(&ktrepl_roots_key));
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_GT(test, ktrepl_root_freed, 0);
	KUNIT_EXPECT_EQ(test, ktrepl_root_freed_late, 0);
}

/* === Leaves ============================================================== */

static struct ktrepl_root_split {
	pgd_t *root;
	int nid;
	unsigned long addr;
	struct ktrepl_mapping first;	/* at the first flush of all TLBs */
	bool flushed;
} ktrepl_root_split_state;

static int ktrepl_root_flush_pre(struct kprobe *p, struct pt_regs *regs)
{
	struct ktrepl_root_split *s = &ktrepl_root_split_state;

	if (current == ktrepl_root_task && !s->flushed)
		s->flushed = ktrepl_walk(s->root, s->addr, 0, &s->first);
	return 0;
}

/* Does a node map the primary's large leaf by a replica? */
static bool ktrepl_root_large(const struct ktrepl_node *node,
			      unsigned long addr, unsigned long *pfn)
{
	struct ktrepl_mapping n, m;

	if (!ktrepl_walk(node->root, addr, node->nid, &n) ||
	    !ktrepl_walk(ktrepl_primary_root(), addr, node->nid, &m))
		return false;
	*pfn = m.pfn;
	return n.size == PMD_SIZE && m.size == PMD_SIZE && n.pfn != m.pfn;
}

/* The last such leaf of all, and the page frame of the primary. */
static unsigned long ktrepl_root_find_large(struct ktrepl_root_split *s)
{
	unsigned long addr, pfn, found = 0;
	struct ktrepl_region *region;
	int nid;

	mutex_lock(&ktrepl_mutex);
	list_for_each_entry(region, &ktrepl_regions, list) {
		for (addr = region->start; region->mapped && addr < region->end;
		     addr = ALIGN(addr + 1, PMD_SIZE)) {
			for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
				struct ktrepl_node *node = ktrepl_nodes[nid];

				if (!node || !node->root ||
				    !ktrepl_root_large(node, addr, &pfn))
					continue;
				s->root = node->root;
				s->nid = nid;
				s->addr = addr;
				found = pfn;
			}
		}
	}
	mutex_unlock(&ktrepl_mutex);
	return found;
}

/*
 * [F6] [M1] [T8]: before the primary's leaf is split all nodes map it, and TLBs
 * are flushed.  The split stays, so one a boot will do.
 */
static void ktrepl_root_split(struct kunit *test)
{
	struct ktrepl_root_split *s = &ktrepl_root_split_state;
	struct kprobe probe = {
		.symbol_name = "flush_tlb_all",
		.pre_handler = ktrepl_root_flush_pre,
	};
	struct ktrepl_mapping n, large, small;
	unsigned long pfn;

	if (s->addr)
		kunit_skip(test, "once a boot");
	pfn = ktrepl_root_find_large(s);
	KUNIT_ASSERT_NE(test, pfn, 0);
	KUNIT_ASSERT_TRUE(test, ktrepl_walk(init_mm.pgd, s->addr, 0, &large));
	ktrepl_root_task = current;
	KUNIT_ASSERT_EQ(test, register_kprobe(&probe), 0);
	KUNIT_EXPECT_EQ(test, set_memory_4k(s->addr, 1), 0);
	unregister_kprobe(&probe);
	KUNIT_ASSERT_TRUE(test, ktrepl_walk(init_mm.pgd, s->addr, 0, &small));
	KUNIT_EXPECT_EQ(test, pgprot_val(arch_ktrepl_split_prot(large.prot)),
			pgprot_val(small.prot));

	KUNIT_ASSERT_TRUE(test, s->flushed);
	KUNIT_EXPECT_EQ(test, s->first.size, PMD_SIZE);
	KUNIT_EXPECT_EQ(test, s->first.pfn, pfn);
	KUNIT_ASSERT_TRUE(test, ktrepl_walk(s->root, s->addr, 0, &n));
	KUNIT_EXPECT_EQ(test, n.size, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, n.pfn, pfn);
	mutex_lock(&ktrepl_mutex);
	KUNIT_EXPECT_EQ(test, ktrepl_stale(s->nid), PTRS_PER_PTE);
	mutex_unlock(&ktrepl_mutex);
	/* With small leaves it can have replicas again. */
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	mutex_lock(&ktrepl_mutex);
	KUNIT_EXPECT_EQ(test, ktrepl_stale(s->nid), 0);
	mutex_unlock(&ktrepl_mutex);
}

/* === Tables ============================================================== */

static p4d_t *ktrepl_root_p4d(pgd_t *root, unsigned long addr)
{
	return p4d_offset(pgd_offset_pgd(root, addr), addr);
}

/* Declared where memory can be removed. */
static void ktrepl_root_unmap(unsigned long start, unsigned long end)
{
#ifdef CONFIG_MEMORY_HOTPLUG
	vmemmap_free(start, end, NULL);
#endif
}

/* [F7] [M1]: memory is removed, and with it a table beside those of the image */
static void ktrepl_root_table(struct kunit *test)
{
	unsigned long addr = __START_KERNEL_map & PGDIR_MASK, page;
	struct ktrepl_root_test *t = test->priv;
	p4d_t *primary, *p4d;

	if (!IS_ENABLED(CONFIG_MEMORY_HOTPLUG))
		kunit_skip(test, "memory cannot be removed");
	if (!pgtable_l5_enabled())
		kunit_skip(test, "tables of five levels only");
	while (addr && !p4d_none(*ktrepl_root_p4d(init_mm.pgd, addr)))
		addr += P4D_SIZE;
	KUNIT_ASSERT_NE(test, addr, 0);
	page = get_zeroed_page(GFP_KERNEL);
	KUNIT_ASSERT_NE(test, page, 0);

	primary = ktrepl_root_p4d(init_mm.pgd, addr);
	p4d = ktrepl_root_p4d(t->node->root, addr);
	p4d_populate(&init_mm, primary, (pud_t *)page);
	ktrepl_sync_range(addr, addr + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, p4d_val(*p4d), p4d_val(*primary));
	ktrepl_root_unmap(addr, addr + PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, p4d_none(*primary));
	KUNIT_EXPECT_TRUE(test, p4d_none(*p4d));
	/* Whatever came out: nothing may lead to a page that has been freed. */
	ktrepl_sync_range(addr, addr + PAGE_SIZE);
}

static struct kunit_case ktrepl_root_cases[] = {
	KUNIT_CASE(ktrepl_root_facts),
	KUNIT_CASE(ktrepl_root_user_half),
	KUNIT_CASE(ktrepl_root_leaf_sync),
	KUNIT_CASE(ktrepl_root_tables),
	KUNIT_CASE(ktrepl_root_kgdb),
	KUNIT_CASE(ktrepl_root_preferred),
	KUNIT_CASE_SLOW(ktrepl_root_two),
	KUNIT_CASE(ktrepl_root_stale),
	KUNIT_CASE_SLOW(ktrepl_root_lazy),
	KUNIT_CASE_SLOW(ktrepl_root_busy),
	KUNIT_CASE_SLOW(ktrepl_root_leave),
	KUNIT_CASE(ktrepl_root_fixed),
	KUNIT_CASE(ktrepl_root_mark),
	KUNIT_CASE(ktrepl_root_missed),
	KUNIT_CASE(ktrepl_root_no_spare),
	KUNIT_CASE_SLOW(ktrepl_root_pressure),
	KUNIT_CASE_SLOW(ktrepl_root_backoff),
	KUNIT_CASE_SLOW(ktrepl_root_join),
	KUNIT_CASE(ktrepl_root_key),
	KUNIT_CASE(ktrepl_root_split),
	KUNIT_CASE(ktrepl_root_table),
	{ }
};

static struct kunit_suite ktrepl_root_suite = {
	.name = "ktrepl_root",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_root_init,
	.exit = ktrepl_root_exit,
	.test_cases = ktrepl_root_cases,
};

kunit_test_suite(ktrepl_root_suite);
