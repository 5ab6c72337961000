// SPDX-License-Identifier: GPL-2.0
/*
 * What kernel mappings that are nobody's text cost: vmalloc() and vfree(), and
 * set_memory_ro() and set_memory_rw() of a page of vmalloc space; what a kernel
 * thread pays for the mm of a process; and, on x86, how KVM learns of CR3 each time
 * that it enters a guest.
 *
 * One line for each, printed when the module is loaded: the least and the mean
 * of single calls on each CPU in turn, and the mean of all CPUs at once. Under
 * -icount shift=0 the figures are instructions, of all CPUs together.
 *
 * With sites=N instead: N pokes of four bytes each, one by one and by one call of
 * ktrepl_poke_sites(), which looks at all sites first; 64 bytes apart, so that several
 * share a window, and 520.
 *
 * Not a part of the kernel with ktrepl, so that one without it can be measured.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/ktrepl.h>
#include <linux/ktrepl_poke.h>
#include <linux/module.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/sched/mm.h>
#include <linux/timex.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

static unsigned int loops = 300;
module_param(loops, uint, 0444);
MODULE_PARM_DESC(loops, "calls on each CPU");

static unsigned int sites;
module_param(sites, uint, 0444);
MODULE_PARM_DESC(sites, "only poke so many sites");

static int (*bench_ro)(unsigned long addr, int pages);
static int (*bench_rw)(unsigned long addr, int pages);

static DEFINE_PER_CPU(void *, bench_page);
static DEFINE_PER_CPU(struct work_struct, bench_work);

static int bench_vmalloc(unsigned int pages)
{
	void *p = vmalloc(pages * PAGE_SIZE);

	if (!p)
		return -ENOMEM;
	vfree(p);
	return 0;
}

static int bench_vmalloc_1(void)
{
	return bench_vmalloc(1);
}

static int bench_vmalloc_64(void)
{
	return bench_vmalloc(64);
}

static int bench_set_memory(void)
{
	unsigned long addr = (unsigned long)raw_cpu_read(bench_page);

	return bench_ro(addr, 1) ?: bench_rw(addr, 1);
}

static struct mm_struct *bench_mm;
static u8 bench_from[PAGE_SIZE], bench_to[PAGE_SIZE];

static int bench_use_mm(void)
{
	kthread_use_mm(bench_mm);
	kthread_unuse_mm(bench_mm);
	return 0;
}

static int bench_copy(void)
{
	memcpy(bench_to, bench_from, PAGE_SIZE);
	barrier_data(bench_to);
	return 0;
}

#ifdef CONFIG_X86
static int bench_cr3(void)
{
	int i;

	preempt_disable();
	for (i = 0; i < 100; i++)
		__get_current_cr3_fast();
	preempt_enable();
	return 0;
}
#endif

static int (*bench_poke_sites)(const struct ktrepl_poke_site *sites,
			       unsigned int nr, unsigned int *refused);
static struct ktrepl_poke_site *bench_sites;
static u8 *bench_text;

/* What is there is expected, and written once more. */
static void bench_sites_fill(unsigned int apart)
{
	unsigned int i;

	for (i = 0; i < sites; i++)
		bench_sites[i] = (struct ktrepl_poke_site){
			.addr = bench_text + i * apart, .len = 4,
			.old = "\0\0\0", .new = "\0\0\0",
		};
}

static int bench_each(unsigned int apart)
{
	unsigned int i;
	int err = 0;

	bench_sites_fill(apart);
	for (i = 0; i < sites && !err; i++)
		err = bench_poke_sites(&bench_sites[i], 1, NULL);
	return err;
}

static int bench_batch(unsigned int apart)
{
	bench_sites_fill(apart);
	return bench_poke_sites(bench_sites, sites, NULL);
}

static int bench_near_each(void)
{
	return bench_each(64);
}

static int bench_near_batch(void)
{
	return bench_batch(64);
}

static int bench_far_each(void)
{
	return bench_each(520);
}

static int bench_far_batch(void)
{
	return bench_batch(520);
}

struct bench {
	const char *name;
	int (*call)(void);
	u64 min, sum, start, end;
	atomic_t ready, done;
	int err;
};

static struct bench benches[] = {
	{ "vmalloc-1", bench_vmalloc_1 },
	{ "vmalloc-64", bench_vmalloc_64 },
	{ "set-memory", bench_set_memory },
	{ "use-mm", bench_use_mm },
	{ "copy-page", bench_copy },
#ifdef CONFIG_X86
	{ "cr3-100", bench_cr3 },
#endif
};

static struct bench site_benches[] = {
	{ "near-each", bench_near_each },
	{ "near-batch", bench_near_batch },
	{ "far-each", bench_far_each },
	{ "far-batch", bench_far_batch },
};

static struct bench *bench_now;

static long bench_alone(void *data)
{
	struct bench *b = data;
	unsigned int i, warm = loops / 10 + 1;
	u64 t;

	for (i = 0; i < warm + loops && !b->err; i++) {
		t = get_cycles();
		b->err = b->call();
		t = get_cycles() - t;
		if (i < warm)
			continue;
		b->min = min(b->min, t);
		b->sum += t;
	}
	return b->err;
}

/* From when the last CPU is ready to when the last has finished. */
static void bench_with_others(struct work_struct *unused)
{
	struct bench *b = bench_now;
	unsigned int i;

	if (atomic_inc_return(&b->ready) == num_online_cpus())
		b->start = get_cycles();
	while (atomic_read(&b->ready) < num_online_cpus())
		cpu_relax();
	for (i = 0; i < loops && !b->err; i++)
		b->err = b->call();
	if (atomic_inc_return(&b->done) == num_online_cpus())
		b->end = get_cycles();
}

static int bench_run(struct bench *b)
{
	unsigned int cpus = 0;
	int cpu, err = 0;

	b->min = U64_MAX;
	for_each_online_cpu(cpu) {
		err = err ?: work_on_cpu(cpu, bench_alone, b);
		cpus++;
	}
	if (err)
		return err;
	bench_now = b;
	for_each_online_cpu(cpu) {
		INIT_WORK(per_cpu_ptr(&bench_work, cpu), bench_with_others);
		queue_work_on(cpu, system_highpri_wq, per_cpu_ptr(&bench_work, cpu));
	}
	for_each_online_cpu(cpu)
		flush_work(per_cpu_ptr(&bench_work, cpu));
	if (b->err)
		return b->err;
	pr_info("call %s min %llu mean %llu together %llu\n", b->name, b->min,
		b->sum / loops / cpus, (b->end - b->start) / loops / cpus);
	return 0;
}

/* They are not exported; a probe that is never armed knows where they are. */
static void *bench_find(const char *name)
{
	struct kprobe probe = { .symbol_name = name, .flags = KPROBE_FLAG_DISABLED };
	void *found;

	if (register_kprobe(&probe))
		return NULL;
	found = probe.addr;
	unregister_kprobe(&probe);
	return found;
}

static int __init bench_init_sites(void)
{
	int i, err = -ENOMEM;

	bench_poke_sites = bench_find("ktrepl_poke_sites");
	if (!bench_poke_sites)
		return -ENOENT;
	bench_sites = kvcalloc(sites, sizeof(*bench_sites), GFP_KERNEL);
	bench_text = alloc_replicated_pages("bench", (size_t)sites * 520 + 4);
	if (bench_sites && bench_text)
		err = seal_replicated_pages(bench_text);
	/* Replicas come soon. */
	msleep(1000);
	for (i = 0; i < ARRAY_SIZE(site_benches) && !err; i++)
		err = bench_run(&site_benches[i]);
	free_replicated_pages(bench_text);
	kvfree(bench_sites);
	return err;
}

static int __init bench_init(void)
{
	void **page;
	int i, cpu, err = 0;

	if (sites)
		return bench_init_sites();
	bench_ro = bench_find("set_memory_ro");
	bench_rw = bench_find("set_memory_rw");
	if (!bench_ro || !bench_rw)
		return -ENOENT;

	cpus_read_lock();
	for_each_online_cpu(cpu) {
		page = per_cpu_ptr(&bench_page, cpu);
		*page = vmalloc(PAGE_SIZE);
		if (!*page)
			err = -ENOMEM;
	}
	cpus_read_unlock();
	/* That of the process that loads this module. */
	bench_mm = get_task_mm(current);
	for (i = 0; i < ARRAY_SIZE(benches) && !err; i++)
		err = bench_run(&benches[i]);
	mmput(bench_mm);
	for_each_possible_cpu(cpu)
		vfree(*per_cpu_ptr(&bench_page, cpu));
	return err;
}
module_init(bench_init);

static void __exit bench_exit(void)
{
}
module_exit(bench_exit);

MODULE_DESCRIPTION("Costs of vmalloc(), set_memory_ro() and the like");
MODULE_LICENSE("GPL");
