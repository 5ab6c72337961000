// SPDX-License-Identifier: GPL-2.0
/*
 * Modules, BPF programs, trampolines and all other executable memory.
 *
 * What needs no replica at boot needs one later: run the suite again, see
 * ktrepl-text-test.c.
 */

#include <linux/bpf.h>
#include <linux/cpu.h>
#include <linux/execmem.h>
#include <linux/filter.h>
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kmod.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/ptdump.h>
#include <linux/set_memory.h>
#include <linux/smp.h>
#include <linux/unaligned.h>

#include <kunit/static_stub.h>
#include <kunit/test-bug.h>

#include "common.h"
#include "ktrepl-marker.h"

#define KTREPL_EXECMEM_PAGES	2
#define KTREPL_EXECMEM_BYTES	(KTREPL_EXECMEM_PAGES * PAGE_SIZE)
/* All of the marker function, which works anywhere. */
#define KTREPL_EXECMEM_MARKER	32

static int ktrepl_execmem_init(struct kunit *test)
{
	ktrepl_test_on(test);
	if (!ktrepl_execmem_is_on())
		kunit_skip(test, "ktrepl.modules=0");
	return 0;
}

/* === Areas =============================================================== */

struct ktrepl_execmem_area {
	unsigned long addr;
	unsigned long marker;		/* of the bytes that hold the value */
};

/* Plain stores would do in most areas; a poke does in all. */
static void ktrepl_execmem_write(unsigned long addr, const void *src, size_t len)
{
	mutex_lock(&text_mutex);
	arch_ktrepl_poke((void *)addr, src, len);
	mutex_unlock(&text_mutex);
}

/* Two pages that differ, with the marker function in the first one. */
static void ktrepl_execmem_fill_area(struct ktrepl_execmem_area *area)
{
	void *fn = dereference_function_descriptor(arch_ktrepl_marker);
	u32 *second = kmalloc(64, GFP_KERNEL);
	int i;

	ktrepl_execmem_write(area->addr, fn, KTREPL_EXECMEM_MARKER);
	area->marker = area->addr + (ktrepl_info->marker - fn);
	for (i = 0; second && i < 16; i++)
		second[i] = i;
	if (second)
		ktrepl_execmem_write(area->addr + PAGE_SIZE, second, 64);
	kfree(second);
}

static void ktrepl_execmem_make(struct kunit *test, struct ktrepl_execmem_area *area,
				enum execmem_type type)
{
	void *mem = execmem_alloc(type, KTREPL_EXECMEM_BYTES);

	KUNIT_ASSERT_NOT_NULL(test, mem);
	area->addr = (unsigned long)mem;
	ktrepl_execmem_fill_area(area);
	if (type == EXECMEM_MODULE_DATA)
		set_memory_ro(area->addr, KTREPL_EXECMEM_PAGES);
	else
		set_memory_rox(area->addr, KTREPL_EXECMEM_PAGES);
	ktrepl_execmem_flush();
}

static void ktrepl_execmem_drop_area(struct ktrepl_execmem_area *area)
{
	execmem_free((void *)area->addr);
	ktrepl_execmem_flush();
}

/* Nodes that are to have a replica of a page. */
static int ktrepl_execmem_away(unsigned long addr)
{
	int primary = page_to_nid(vmalloc_to_page((void *)addr)), nid, nr = 0;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		nr += nid != primary && ktrepl_nodes[nid] &&
		      ktrepl_nodes[nid]->root;
	return nr;
}

/* Each page has this many replicas less than all, which are in use, or not. */
static void ktrepl_execmem_expect(struct kunit *test, unsigned long addr,
				  bool copied)
{
	unsigned long i, pfn;
	struct ktrepl_region *region;
	struct ktrepl_mapping w;
	struct page *replica;
	int nid;

	mutex_lock(&ktrepl_mutex);
	region = ktrepl_region_find(addr);
	for (nid = 0; region && nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_nodes[nid] || !ktrepl_nodes[nid]->root)
			continue;
		i = ktrepl_region_index(region, addr);
		replica = ktrepl_region_replica(region, nid, i);
		pfn = page_to_pfn(copied && replica ? replica :
				  vmalloc_to_page((void *)addr));
		KUNIT_EXPECT_TRUE(test, ktrepl_walk(ktrepl_nodes[nid]->root,
						    addr, nid, &w));
		KUNIT_EXPECT_EQ_MSG(test, w.pfn, pfn, "node %d", nid);
		if (copied && replica) {
			KUNIT_EXPECT_EQ(test, page_to_nid(replica), nid);
			KUNIT_EXPECT_EQ(test, w.remote, 0);
		}
	}
	KUNIT_EXPECT_NOT_NULL(test, region);
	if (region)
		KUNIT_EXPECT_EQ(test, ktrepl_test_replicas(region, i),
				copied ? ktrepl_execmem_away(addr) : 0);
	mutex_unlock(&ktrepl_mutex);
}

/* === Execution proof ===================================================== */

struct ktrepl_execmem_call {
	u32 (*fn)(void *arg);
	void *arg;
	u32 ret;
};

static void ktrepl_execmem_call_cpu(void *data)
{
	struct ktrepl_execmem_call *call = data;

	call->ret = call->fn(call->arg);
}

/* The page behind an address on a node; below 0: of the primary. */
static struct page *ktrepl_execmem_page(struct ktrepl_region *region, int nid,
					unsigned long addr)
{
	return nid < 0 ? vmalloc_to_page((void *)addr) :
	       ktrepl_region_replica(region, nid,
				     ktrepl_region_index(region, addr));
}

/* Does each CPU fetch from its own node what holds @val in an instruction? */
static void ktrepl_execmem_prove(struct kunit *test, unsigned long addr,
				 struct ktrepl_execmem_call *call)
{
	u32 mask = arch_ktrepl_marker_code(0xffff) ^ arch_ktrepl_marker_code(0);
	u32 old = get_unaligned((u32 *)addr), new;
	unsigned int off = offset_in_page(addr);
	struct ktrepl_region *region;
	struct page *page;
	int nid, cpu;

	KUNIT_ASSERT_LE(test, off, PAGE_SIZE - sizeof(new));
	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	mutex_lock(&text_mutex);
	region = ktrepl_region_find(addr);
	/* What the primary returns says where the primary is. */
	for (nid = -1; region && nid < (int)ktrepl_nr_nodes; nid++) {
		page = ktrepl_execmem_page(region, nid, addr);
		if (!page)
			continue;
		new = (old & ~mask) |
		      (arch_ktrepl_marker_code(page_to_nid(page) + 1) & mask);
		arch_ktrepl_write(page, off, &new, sizeof(new));
	}
	arch_ktrepl_sync();
	for_each_online_cpu(cpu) {
		nid = ktrepl_node_preferred(ktrepl_cpu_node(cpu));
		call->ret = 0;
		smp_call_function_single(cpu, ktrepl_execmem_call_cpu, call, true);
		KUNIT_EXPECT_EQ_MSG(test, call->ret, nid + 1, "CPU %d", cpu);
	}
	arch_ktrepl_poke((void *)addr, &old, sizeof(old));
	arch_ktrepl_sync();
	mutex_unlock(&text_mutex);
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();
	KUNIT_EXPECT_NOT_NULL(test, region);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

/* The one place in some code that holds a value as the marker does. */
static unsigned long ktrepl_execmem_find(struct kunit *test, unsigned long start,
					 size_t len, u32 val)
{
	u32 mask = arch_ktrepl_marker_code(0xffff) ^ arch_ktrepl_marker_code(0);
	unsigned long addr, found = 0;
	int nr = 0;

	for (addr = start; addr + sizeof(u32) <= start + len; addr++)
		if ((get_unaligned((u32 *)addr) & mask) ==
		    (arch_ktrepl_marker_code(val) & mask)) {
			found = addr;
			nr++;
		}
	KUNIT_ASSERT_EQ(test, nr, 1);
	return found;
}

static u32 ktrepl_execmem_call_marker(void *arg)
{
	return ((u32 (*)(void))arg)();
}

/* [F7]: a page of each kind of area is copied, and executed where it is local. */
static void ktrepl_execmem_where(struct kunit *test)
{
	static const enum execmem_type types[] = {
		EXECMEM_MODULE_TEXT, EXECMEM_KPROBES, EXECMEM_FTRACE,
		EXECMEM_BPF,
	};
	struct ktrepl_execmem_area area;
	struct ktrepl_execmem_call call = { .fn = ktrepl_execmem_call_marker };
	int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		ktrepl_execmem_make(test, &area, types[i]);
		ktrepl_execmem_expect(test, area.addr, true);
		ktrepl_execmem_expect(test, area.addr + PAGE_SIZE, true);
		call.arg = (void *)area.addr;
		ktrepl_execmem_prove(test, area.marker, &call);
		ktrepl_execmem_drop_area(&area);
	}
}

/* A module, loaded like any other */
static void ktrepl_execmem_module(struct kunit *test)
{
	struct ktrepl_execmem_call call = { .fn = ktrepl_execmem_call_marker };
	unsigned long addr;

	if (request_module("ktrepl-marker"))
		kunit_skip(test, "ktrepl-marker.ko cannot be loaded");
	addr = kallsyms_lookup_name("ktrepl_marker_value");
	KUNIT_ASSERT_NE(test, addr, 0);
	ktrepl_execmem_flush();
	call.arg = (void *)addr;
	ktrepl_execmem_prove(test, ktrepl_execmem_find(test, addr, 32,
						       KTREPL_MARKER_VALUE), &call);
}

#ifdef CONFIG_BPF_JIT
static u32 ktrepl_execmem_call_bpf(void *arg)
{
	struct bpf_prog *prog = arg;

	return prog->bpf_func(NULL, prog->insnsi);
}

/* A BPF program, translated like any other */
static void ktrepl_execmem_bpf(struct kunit *test)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(BPF_REG_0, KTREPL_MARKER_VALUE),
		BPF_EXIT_INSN(),
	};
	struct ktrepl_execmem_call call = { .fn = ktrepl_execmem_call_bpf };
	struct bpf_prog *prog;
	unsigned long addr;
	int err;

	prog = bpf_prog_alloc(bpf_prog_size(ARRAY_SIZE(insns)), 0);
	KUNIT_ASSERT_NOT_NULL(test, prog);
	prog->len = ARRAY_SIZE(insns);
	prog->type = BPF_PROG_TYPE_SOCKET_FILTER;
	memcpy(prog->insnsi, insns, sizeof(insns));
	prog = bpf_prog_select_runtime(prog, &err);
	KUNIT_ASSERT_EQ(test, err, 0);
	KUNIT_EXPECT_TRUE(test, prog->jited);
	KUNIT_EXPECT_EQ(test, prog->bpf_func(NULL, prog->insnsi),
			KTREPL_MARKER_VALUE);
	ktrepl_execmem_flush();
	call.arg = prog;
	if (prog->jited) {
		addr = ktrepl_execmem_find(test, (unsigned long)prog->bpf_func,
					   prog->jited_len, KTREPL_MARKER_VALUE);
		ktrepl_execmem_prove(test, addr, &call);
	}
	bpf_prog_free(prog);
}
#else
static void ktrepl_execmem_bpf(struct kunit *test)
{
	kunit_skip(test, "no translator of BPF programs");
}
#endif

#ifdef CONFIG_DYNAMIC_FTRACE
static struct ftrace_ops *ktrepl_execmem_seen;

static void ktrepl_execmem_callback(unsigned long ip, unsigned long parent_ip,
				    struct ftrace_ops *ops,
				 struct ftrace_regs *fregs)
{
	ktrepl_execmem_seen = ops;
}

/* The one that is registered, and one for each node. */
static struct ftrace_ops ktrepl_execmem_ops = { .func = ktrepl_execmem_callback };
static struct ftrace_ops ktrepl_execmem_fake[8];

noinline void ktrepl_execmem_traced(void);
noinline void ktrepl_execmem_traced(void)
{
	barrier();
}

static void ktrepl_execmem_call_traced(void *unused)
{
	ktrepl_execmem_traced();
}

/* Where a trampoline keeps the pointer that it hands on. */
static unsigned long ktrepl_execmem_operand(const struct ftrace_ops *ops)
{
	unsigned long addr = ops->trampoline, found = 0;

	for (; addr + sizeof(addr) <= ops->trampoline + ops->trampoline_size;
	     addr++)
		if (get_unaligned((unsigned long *)addr) == (unsigned long)ops)
			found = addr;
	return found;
}

/* The trampoline of a tracer: that of each node says another ops. */
static void ktrepl_execmem_prove_ftrace(struct kunit *test, unsigned long addr)
{
	unsigned long old = (unsigned long)&ktrepl_execmem_ops, new;
	struct ktrepl_region *region;
	struct page *page;
	int nid, cpu;

	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	mutex_lock(&text_mutex);
	region = ktrepl_region_find(addr);
	for (nid = -1; region && nid < (int)ktrepl_nr_nodes; nid++) {
		page = ktrepl_execmem_page(region, nid, addr);
		if (!page)
			continue;
		new = (unsigned long)&ktrepl_execmem_fake[page_to_nid(page)];
		arch_ktrepl_write(page, offset_in_page(addr), &new,
				  sizeof(new));
	}
	arch_ktrepl_sync();
	for_each_online_cpu(cpu) {
		nid = ktrepl_node_preferred(ktrepl_cpu_node(cpu));
		ktrepl_execmem_seen = NULL;
		smp_call_function_single(cpu, ktrepl_execmem_call_traced, NULL,
					 true);
		KUNIT_EXPECT_PTR_EQ_MSG(test, ktrepl_execmem_seen,
					&ktrepl_execmem_fake[nid], "CPU %d", cpu);
	}
	arch_ktrepl_poke((void *)addr, &old, sizeof(old));
	mutex_unlock(&text_mutex);
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();
	KUNIT_EXPECT_NOT_NULL(test, region);
}

static void ktrepl_execmem_ftrace(struct kunit *test)
{
	struct ftrace_ops *ops = &ktrepl_execmem_ops;
	unsigned long addr;
	int i;

	if (ktrepl_nr_nodes > ARRAY_SIZE(ktrepl_execmem_fake))
		kunit_skip(test, "more nodes than the test knows");
	for (i = 0; i < ARRAY_SIZE(ktrepl_execmem_fake); i++)
		ktrepl_execmem_fake[i].func = ktrepl_execmem_callback;
	KUNIT_ASSERT_EQ(test, ftrace_set_filter(ops, "ktrepl_execmem_traced",
						strlen("ktrepl_execmem_traced"),
						1), 0);
	KUNIT_ASSERT_EQ(test, register_ftrace_function(ops), 0);
	addr = ops->trampoline ? ktrepl_execmem_operand(ops) : 0;
	if (addr) {
		ktrepl_execmem_flush();
		ktrepl_execmem_prove_ftrace(test, addr);
	}
	KUNIT_EXPECT_EQ(test, unregister_ftrace_function(ops), 0);
	/* After ftrace_free_filter() it could not be used again. */
	ftrace_set_filter(ops, NULL, 0, 1);
	KUNIT_EXPECT_EQ(test, !addr, !ops->trampoline_size);
	if (!addr)
		kunit_skip(test, "tracers share the image's trampoline");
}
#else
static void ktrepl_execmem_ftrace(struct kunit *test)
{
	kunit_skip(test, "no dynamic ftrace");
}
#endif

/* === Life of a page ====================================================== */

/* Filler has no replicas until something is written into it. */
static void ktrepl_execmem_fill(struct kunit *test)
{
	void *mem = execmem_alloc(EXECMEM_BPF, KTREPL_EXECMEM_BYTES);
	unsigned long addr = (unsigned long)mem;
	u32 word = 1;

	KUNIT_ASSERT_NOT_NULL(test, mem);
	memset(mem, 0xcc, KTREPL_EXECMEM_BYTES);
	set_memory_rox(addr, KTREPL_EXECMEM_PAGES);
	ktrepl_execmem_flush();
	ktrepl_execmem_expect(test, addr, false);
	ktrepl_execmem_expect(test, addr + PAGE_SIZE, false);
	ktrepl_execmem_write(addr + PAGE_SIZE, &word, sizeof(word));
	ktrepl_execmem_flush();
	ktrepl_execmem_expect(test, addr, false);
	ktrepl_execmem_expect(test, addr + PAGE_SIZE, true);
	/* Filler once more, and found to be at the next look. */
	word = 0xcccccccc;
	ktrepl_execmem_write(addr + PAGE_SIZE, &word, sizeof(word));
	word = 1;
	ktrepl_execmem_write(addr, &word, sizeof(word));
	ktrepl_execmem_flush();
	ktrepl_execmem_expect(test, addr, true);
	ktrepl_execmem_expect(test, addr + PAGE_SIZE, false);
	execmem_free(mem);
	ktrepl_execmem_flush();
}

/* A page of filler is looked at between the beginning of a poke to it and the store. */
static void ktrepl_execmem_late(struct kunit *test)
{
	void *mem = execmem_alloc(EXECMEM_BPF, KTREPL_EXECMEM_BYTES);
	unsigned long addr = (unsigned long)mem;
	struct ktrepl_poke_iter poke = { };
	u32 words[4] = { 1, 2, 3, 4 };
	unsigned int t;
	size_t len;

	KUNIT_ASSERT_NOT_NULL(test, mem);
	memset(mem, 0xcc, KTREPL_EXECMEM_BYTES);
	set_memory_rox(addr, KTREPL_EXECMEM_PAGES);
	ktrepl_execmem_flush();
	/* A short poke to the first page, and a long one to the second. */
	for (len = sizeof(*words); len <= sizeof(words); len *= 4) {
		ktrepl_execmem_expect(test, addr, false);
		poke.pages[0][0] = vmalloc_to_page((void *)addr);
		ktrepl_poke_first(&poke, addr, len);
		ktrepl_execmem_flush();
		do {
			for (t = 0; t < poke.nr; t++)
				arch_ktrepl_write(poke.pages[t][0], 0, words, len);
			poke.synced = poke.nr;
		} while (ktrepl_poke_next(&poke));
		ktrepl_execmem_flush();
		ktrepl_execmem_expect(test, addr, true);
		addr += PAGE_SIZE;
	}
	execmem_free(mem);
	ktrepl_execmem_flush();
}

/* What becomes filler when its copying has begun. */
static unsigned long ktrepl_execmem_freed;

/* No memory that is given out once more holds it. */
#define KTREPL_EXECMEM_FILLER	0x5b5a5958

static bool ktrepl_execmem_open(struct ktrepl_window *w)
{
	u32 word = KTREPL_EXECMEM_FILLER;

	ktrepl_execmem_write(ktrepl_execmem_freed, &word, sizeof(word));
	kunit_deactivate_static_stub(kunit_get_current_test(), ktrepl_window_open);
	return ktrepl_window_open(w);
}

/* A program goes while its page is being copied: replicas are as the primary. */
static void ktrepl_execmem_freed_early(struct kunit *test)
{
	void *mem = execmem_alloc(EXECMEM_BPF, KTREPL_EXECMEM_BYTES);
	u32 word = 1;
	int nid;

	KUNIT_ASSERT_NOT_NULL(test, mem);
	memset32(mem, KTREPL_EXECMEM_FILLER, KTREPL_EXECMEM_BYTES / sizeof(word));
	set_memory_rox((unsigned long)mem, KTREPL_EXECMEM_PAGES);
	ktrepl_execmem_flush();
	ktrepl_execmem_freed = (unsigned long)mem;
	/* The work, whose stub this would not be, waits. */
	mutex_lock(&ktrepl_mutex);
	ktrepl_execmem_write(ktrepl_execmem_freed, &word, sizeof(word));
	kunit_activate_static_stub(test, ktrepl_window_open, ktrepl_execmem_open);
	ktrepl_execmem_scan(false);
	for_each_online_node(nid) {
		word = 0;
		KUNIT_EXPECT_EQ(test, ktrepl_read(nid, &word, mem + 64, sizeof(word)), 0);
		KUNIT_EXPECT_EQ_MSG(test, word, KTREPL_EXECMEM_FILLER, "node %d", nid);
	}
	mutex_unlock(&ktrepl_mutex);
	execmem_free(mem);
	ktrepl_execmem_flush();
}

struct ktrepl_execmem_read {
	u32 *addr;
	u32 val;
};

static void ktrepl_execmem_read_cpu(void *data)
{
	struct ktrepl_execmem_read *r = data;

	r->val = READ_ONCE(*r->addr);
}

static void ktrepl_execmem_all_read(struct kunit *test, unsigned long addr,
				    u32 val)
{
	struct ktrepl_execmem_read r = { .addr = (u32 *)addr };
	int cpu;

	for_each_online_cpu(cpu) {
		smp_call_function_single(cpu, ktrepl_execmem_read_cpu, &r, true);
		KUNIT_EXPECT_EQ_MSG(test, r.val, val, "CPU %d", cpu);
	}
}

/* [M1]: read-only, writable and back, with and without time to copy in between */
static void ktrepl_execmem_writable(struct kunit *test)
{
	struct ktrepl_execmem_area area;
	long fallbacks;
	u32 i;

	ktrepl_execmem_make(test, &area, EXECMEM_MODULE_DATA);
	ktrepl_execmem_expect(test, area.addr, true);
	fallbacks = ktrepl_test_stat(KTREPL_STAT_FALLBACK);
	for (i = 1; i <= 100; i++) {
		set_memory_rw(area.addr, 1);
		WRITE_ONCE(*(u32 *)(area.addr + 64), i);
		ktrepl_execmem_all_read(test, area.addr + 64, i);
		if (i % 10 == 1) {
			ktrepl_execmem_flush();
			ktrepl_execmem_expect(test, area.addr, false);
			ktrepl_execmem_expect(test, area.addr + PAGE_SIZE, true);
		}
		set_memory_ro(area.addr, 1);
		if (i % 10 == 2) {
			ktrepl_execmem_flush();
			ktrepl_execmem_expect(test, area.addr, true);
		}
		ktrepl_execmem_all_read(test, area.addr + 64, i);
		KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	}
	/* Once for each time that there was a replica to fall back from. */
	KUNIT_EXPECT_GE(test, ktrepl_test_stat(KTREPL_STAT_FALLBACK),
			fallbacks + 10);
	ktrepl_execmem_drop_area(&area);
}

/* Freed: no node maps it, and its replicas are back. */
static void ktrepl_execmem_dying(struct kunit *test)
{
	struct ktrepl_execmem_area area;
	struct ktrepl_mapping w;
	long before[KTREPL_MAX_NODES];
	int nid;

	ktrepl_execmem_flush();
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			before[nid] = atomic_long_read(&ktrepl_nodes[nid]->stat
						       [KTREPL_STAT_MODULE]);
	ktrepl_execmem_make(test, &area, EXECMEM_MODULE_TEXT);
	ktrepl_execmem_expect(test, area.addr, true);
	ktrepl_execmem_drop_area(&area);
	mutex_lock(&ktrepl_mutex);
	KUNIT_EXPECT_NULL(test, ktrepl_region_find(area.addr));
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_nodes[nid] || !ktrepl_nodes[nid]->root)
			continue;
		KUNIT_EXPECT_FALSE(test, ktrepl_walk(ktrepl_nodes[nid]->root,
						     area.addr, nid, &w));
		KUNIT_EXPECT_EQ(test, before[nid],
				atomic_long_read(&ktrepl_nodes[nid]->stat
						 [KTREPL_STAT_MODULE]));
	}
	mutex_unlock(&ktrepl_mutex);
}

/* Switched off and on while the area is there */
static void ktrepl_execmem_switch(struct kunit *test)
{
	struct ktrepl_execmem_area area;
	int i;

	ktrepl_execmem_make(test, &area, EXECMEM_MODULE_TEXT);
	for (i = 0; i < 5; i++) {
		ktrepl_execmem_expect(test, area.addr, true);
		ktrepl_disable();
		ktrepl_execmem_expect(test, area.addr, false);
		KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	}
	ktrepl_execmem_expect(test, area.addr, true);
	ktrepl_execmem_drop_area(&area);
}

/*
 * Without memory, pages stay shared, and get their replicas when asked again.
 */
static void ktrepl_execmem_shortage(struct kunit *test)
{
	unsigned long max = ktrepl_param_mem_max, i;
	struct ktrepl_execmem_area area;
	struct ktrepl_verify_result res;

	/* Enough for tables, and for some of the pages. */
	for (i = 0; i < 64; i++) {
		ktrepl_disable();
		WRITE_ONCE(ktrepl_param_mem_max, (i + 1) * 16 * PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
		ktrepl_execmem_make(test, &area, EXECMEM_BPF);
		KUNIT_EXPECT_LE(test, ktrepl_test_bytes(),
				ktrepl_param_mem_max);
		res = ktrepl_test_verify(false);
		KUNIT_EXPECT_EQ(test, res.different, 0);
		ktrepl_execmem_all_read(test, area.addr + PAGE_SIZE + 4, 1);
		ktrepl_execmem_drop_area(&area);
	}
	ktrepl_disable();
	WRITE_ONCE(ktrepl_param_mem_max, max);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

/* [R8]: a replica that keeps nothing that is written to it gives way to another one. */
static void ktrepl_execmem_retired(struct kunit *test)
{
	struct page *lost = NULL, *other = NULL;
	struct ktrepl_execmem_area area;
	struct ktrepl_region *region;
	unsigned long index;
	long retired;
	int nid;

	ktrepl_execmem_make(test, &area, EXECMEM_MODULE_TEXT);
	retired = ktrepl_test_stat(KTREPL_STAT_RETIRED);
	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	region = ktrepl_region_find(area.addr);
	index = ktrepl_region_index(region, area.addr);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		lost = ktrepl_region_replica(region, nid, index);
		if (lost)
			break;
	}
	if (lost) {
		ktrepl_retire(region, nid, index);
		KUNIT_EXPECT_EQ(test, ktrepl_test_replicas(region, index), 0);
	}
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();
	KUNIT_EXPECT_NOT_NULL(test, lost);
	ktrepl_execmem_flush();
	ktrepl_execmem_expect(test, area.addr, true);
	mutex_lock(&ktrepl_mutex);
	if (lost)
		other = ktrepl_region_replica(region, nid, index);
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_PTR_NE(test, other, lost);
	KUNIT_EXPECT_EQ(test, ktrepl_test_stat(KTREPL_STAT_RETIRED), retired + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	ktrepl_execmem_drop_area(&area);
	/* Gives the memory back, and forgets the strike. */
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
}

/* Pages of another subsystem. */
static void ktrepl_execmem_pages(struct kunit *test)
{
	const char *text = "the quick brown fox";
	struct ktrepl_place place;
	u8 *pages, read[20];
	int nid;

	KUNIT_EXPECT_NULL(test, alloc_replicated_pages("none", 0));
	KUNIT_EXPECT_NULL(test, alloc_replicated_pages("much", SIZE_MAX));
	KUNIT_EXPECT_EQ(test, seal_replicated_pages(test), -EINVAL);
	free_replicated_pages(NULL);

	pages = alloc_replicated_pages("test", PAGE_SIZE + 1);
	KUNIT_ASSERT_NOT_NULL(test, pages);
	KUNIT_EXPECT_NULL(test, memchr_inv(pages, 0, 2 * PAGE_SIZE));
	ktrepl_execmem_flush();
	ktrepl_execmem_expect(test, (unsigned long)pages, false);

	memset(pages, 0x17, 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, seal_replicated_pages(pages + PAGE_SIZE), -EINVAL);
	KUNIT_EXPECT_EQ(test, seal_replicated_pages(pages), 0);
	ktrepl_execmem_flush();
	ktrepl_execmem_expect(test, (unsigned long)pages, true);
	ktrepl_execmem_expect(test, (unsigned long)pages + PAGE_SIZE, true);
	KUNIT_ASSERT_TRUE(test, ktrepl_query(pages, &place));
	KUNIT_EXPECT_EQ(test, place.kind, KTREPL_RODATA);
	KUNIT_EXPECT_TRUE(test, place.execmem);
	KUNIT_EXPECT_FALSE(test, place.stale);

	/* Across the boundary, on every node, and nowhere else. */
	KUNIT_EXPECT_EQ(test, write_replicated_pages(pages + PAGE_SIZE - 9, text,
						     sizeof(read)), 0);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		KUNIT_EXPECT_EQ(test, ktrepl_read(nid, read,
						  pages + PAGE_SIZE - 9,
						  sizeof(read)), 0);
		KUNIT_EXPECT_STREQ(test, (char *)read, text);
	}
	KUNIT_EXPECT_NULL(test, memchr_inv(pages, 0x17, PAGE_SIZE - 9));
	KUNIT_EXPECT_EQ(test, ktrepl_compare(pages, 2 * PAGE_SIZE, NULL), 0);

	KUNIT_EXPECT_EQ(test, write_replicated_pages(pages + 2 * PAGE_SIZE - 1,
						     text, 2), -EFAULT);
	KUNIT_EXPECT_EQ(test, pages[2 * PAGE_SIZE - 1], 0x17);
	KUNIT_EXPECT_EQ(test, write_replicated_pages(pages - 1, text, 2), -EFAULT);
	KUNIT_EXPECT_EQ(test, write_replicated_pages(&place, text, 2), -EFAULT);
	KUNIT_EXPECT_EQ(test, write_replicated_pages(pages, text, SIZE_MAX),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, write_replicated_pages(pages, text, 0), 0);

	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, write_replicated_pages(pages, text, 1), 0);
	KUNIT_EXPECT_EQ(test, pages[0], text[0]);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	ktrepl_execmem_flush();
	ktrepl_execmem_expect(test, (unsigned long)pages, true);

	free_replicated_pages(pages);
	ktrepl_execmem_flush();
	KUNIT_EXPECT_FALSE(test, ktrepl_query(pages, &place));
	KUNIT_EXPECT_EQ(test, write_replicated_pages(pages, text, 1), -EFAULT);
}

/* No page of any node's tables is writable and executable. */
static void ktrepl_execmem_wx(struct kunit *test)
{
#ifdef CONFIG_KTREPL_PTDUMP
	KUNIT_EXPECT_TRUE(test, ptdump_check_wx());
#else
	kunit_skip(test, "no walk of kernel page tables");
#endif
}

static struct kunit_case ktrepl_execmem_cases[] = {
	KUNIT_CASE(ktrepl_execmem_where),
	KUNIT_CASE(ktrepl_execmem_module),
	KUNIT_CASE(ktrepl_execmem_bpf),
	KUNIT_CASE(ktrepl_execmem_ftrace),
	KUNIT_CASE(ktrepl_execmem_fill),
	KUNIT_CASE(ktrepl_execmem_late),
	KUNIT_CASE(ktrepl_execmem_freed_early),
	KUNIT_CASE_SLOW(ktrepl_execmem_writable),
	KUNIT_CASE(ktrepl_execmem_dying),
	KUNIT_CASE_SLOW(ktrepl_execmem_switch),
	KUNIT_CASE_SLOW(ktrepl_execmem_shortage),
	KUNIT_CASE_SLOW(ktrepl_execmem_retired),
	KUNIT_CASE(ktrepl_execmem_pages),
	KUNIT_CASE(ktrepl_execmem_wx),
	{ }
};

static struct kunit_suite ktrepl_execmem_suite = {
	.name = "ktrepl_execmem",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_execmem_init,
	.test_cases = ktrepl_execmem_cases,
};

kunit_test_suite(ktrepl_execmem_suite);
