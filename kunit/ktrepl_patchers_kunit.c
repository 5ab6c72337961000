// SPDX-License-Identifier: GPL-2.0
/*
 * Patchers of text: what they patch, each CPU of each node executes.
 *
 * Every case arms a patcher, has every CPU call the patched function, and counts
 * on each CPU.  None of the calls is lost, replication on or off; all nodes hold
 * the patched bytes while it is armed, and the bytes of before afterwards.
 */

#include <linux/cpumask.h>
#include <linux/fprobe.h>
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kmod.h>
#include <linux/kprobes.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/static_call.h>

#include "common.h"
#include "ktrepl-marker.h"

#define KTREPL_PATCH_CALLS	5

/* What is compared: what lies before a function belongs to ftrace, if it is mapped. */
#define KTREPL_PATCH_BEFORE	16
#define KTREPL_PATCH_BYTES	64

static void *ktrepl_patch_start(void *fn)
{
	return fn - min_t(unsigned long, KTREPL_PATCH_BEFORE, offset_in_page(fn));
}

static DEFINE_PER_CPU(unsigned int, ktrepl_patch_hits);

static void notrace ktrepl_patch_hit(void)
{
	this_cpu_inc(ktrepl_patch_hits);
}

NOKPROBE_SYMBOL(ktrepl_patch_hit);

/* Room for a jump, in which nobody jumps. */
#define KTREPL_PATCH_ROOM	"nop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop"

/* ftrace has no site in it. */
static noinline notrace void ktrepl_patch_plain(void)
{
	asm volatile(KTREPL_PATCH_ROOM : : : "memory");
}

static noinline void ktrepl_patch_traced(void)
{
	asm volatile(KTREPL_PATCH_ROOM : : : "memory");
}

static void ktrepl_patch_call(void *fn)
{
	void (*patched)(void) = fn;
	int i;

	for (i = 0; i < KTREPL_PATCH_CALLS; i++)
		patched();
}

/* How often a CPU hits that calls a function so many times. */
static unsigned int ktrepl_patch_count(int cpu, void *fn)
{
	per_cpu(ktrepl_patch_hits, cpu) = 0;
	smp_call_function_single(cpu, ktrepl_patch_call, fn, true);
	return per_cpu(ktrepl_patch_hits, cpu);
}

/* Each CPU hits as often as a call does. */
static void ktrepl_patch_expect_hits(struct kunit *test, void *fn, unsigned int hits)
{
	int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu)
		KUNIT_EXPECT_EQ_MSG(test, ktrepl_patch_count(cpu, fn),
				    KTREPL_PATCH_CALLS * hits, "CPU %d", cpu);
	cpus_read_unlock();
}

/* All nodes hold, or do not hold, these bytes, and all the same. */
static void ktrepl_patch_expect_bytes(struct kunit *test, void *fn, const u8 *bytes, bool same)
{
	void *start = ktrepl_patch_start(fn);
	u8 found[KTREPL_PATCH_BYTES];
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		KUNIT_EXPECT_EQ(test, ktrepl_read(nid, found, start, sizeof(found)), 0);
		KUNIT_EXPECT_EQ_MSG(test, !memcmp(found, bytes, sizeof(found)), same,
				    "node %d", nid);
	}
	KUNIT_EXPECT_EQ(test, ktrepl_compare(start, sizeof(found), NULL), 0);
}

/* Arms and disarms a patcher of a function, with replication on, off, and on again. */
static void ktrepl_patch_prove(struct kunit *test, void *fn, unsigned int hits,
			       int (*arm)(void *fn), void (*disarm)(void))
{
	u8 before[KTREPL_PATCH_BYTES];

	KUNIT_ASSERT_EQ(test, ktrepl_read(0, before, ktrepl_patch_start(fn), sizeof(before)), 0);
	ktrepl_patch_expect_hits(test, fn, 0);
	KUNIT_ASSERT_EQ(test, arm(fn), 0);
	ktrepl_execmem_flush();
	ktrepl_patch_expect_hits(test, fn, hits);
	ktrepl_patch_expect_bytes(test, fn, before, false);
	ktrepl_disable();
	ktrepl_patch_expect_hits(test, fn, hits);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	ktrepl_patch_expect_bytes(test, fn, before, false);
	ktrepl_patch_expect_hits(test, fn, hits);
	disarm();
	ktrepl_patch_expect_bytes(test, fn, before, true);
	ktrepl_patch_expect_hits(test, fn, 0);
}

/* === Probes ============================================================== */

static int ktrepl_patch_pre(struct kprobe *p, struct pt_regs *regs)
{
	ktrepl_patch_hit();
	return 0;
}

NOKPROBE_SYMBOL(ktrepl_patch_pre);

static void ktrepl_patch_post(struct kprobe *p, struct pt_regs *regs, unsigned long flags)
{
	ktrepl_patch_hit();
}

NOKPROBE_SYMBOL(ktrepl_patch_post);

static struct kprobe ktrepl_patch_kprobe;

static int ktrepl_patch_arm_kprobe(void *fn)
{
	/* With a post handler it stays a breakpoint. */
	ktrepl_patch_kprobe = (struct kprobe){
		.addr = fn,
		.pre_handler = ktrepl_patch_pre,
		.post_handler = ktrepl_patch_post,
	};
	return register_kprobe(&ktrepl_patch_kprobe);
}

static void ktrepl_patch_disarm_kprobe(void)
{
	unregister_kprobe(&ktrepl_patch_kprobe);
}

static void ktrepl_patchers_kprobe(struct kunit *test)
{
	ktrepl_patch_prove(test, ktrepl_patch_plain, 2, ktrepl_patch_arm_kprobe,
			   ktrepl_patch_disarm_kprobe);
}

/* The bytes of before, on one node that has a replica; returns the node. */
static int ktrepl_patch_lose(const void *start, const void *before)
{
	unsigned long addr = (unsigned long)start;
	struct page *replica = NULL;
	struct ktrepl_region *region;
	int nid;

	mutex_lock(&ktrepl_mutex);
	region = ktrepl_region_find(addr);
	for (nid = ktrepl_nr_nodes - 1; region && nid >= 0; nid--) {
		replica = ktrepl_region_replica(region, nid, ktrepl_region_index(region, addr));
		if (replica)
			break;
	}
	if (replica) {
		mutex_lock(&text_mutex);
		arch_ktrepl_write(replica, offset_in_page(addr), before,
				  min_t(size_t, KTREPL_PATCH_BYTES,
					PAGE_SIZE - offset_in_page(addr)));
		arch_ktrepl_sync();
		mutex_unlock(&text_mutex);
	}
	mutex_unlock(&ktrepl_mutex);
	return replica ? nid : NUMA_NO_NODE;
}

/* Where the patch is lost on one node, the CPUs that execute its text miss all. */
static void ktrepl_patchers_lost(struct kunit *test)
{
	void *fn = ktrepl_patch_plain, *start = ktrepl_patch_start(fn);
	u8 before[KTREPL_PATCH_BYTES];
	int cpu, nid, missed = 0;

	KUNIT_ASSERT_EQ(test, ktrepl_read(0, before, start, sizeof(before)), 0);
	KUNIT_ASSERT_EQ(test, ktrepl_patch_arm_kprobe(fn), 0);
	nid = ktrepl_patch_lose(start, before);
	KUNIT_EXPECT_NE(test, nid, NUMA_NO_NODE);
	cpus_read_lock();
	for_each_online_cpu(cpu) {
		bool lost = ktrepl_node_now(ktrepl_cpu_node(cpu)) == nid;

		KUNIT_EXPECT_EQ(test, ktrepl_patch_count(cpu, fn),
				lost ? 0 : KTREPL_PATCH_CALLS * 2);
		missed += lost;
	}
	cpus_read_unlock();
	KUNIT_EXPECT_GE(test, missed, 1);
	KUNIT_EXPECT_EQ(test, ktrepl_repair(start, 1), 1);
	ktrepl_patch_expect_hits(test, fn, 2);
	ktrepl_patch_disarm_kprobe();
}

static void ktrepl_patchers_kprobe_ftrace(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_KPROBES_ON_FTRACE))
		kunit_skip(test, "all probes are breakpoints");
	ktrepl_patch_prove(test, ktrepl_patch_traced, 2, ktrepl_patch_arm_kprobe,
			   ktrepl_patch_disarm_kprobe);
	KUNIT_EXPECT_TRUE(test, kprobe_ftrace(&ktrepl_patch_kprobe));
}

static struct kretprobe ktrepl_patch_kretprobe;

static int ktrepl_patch_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	ktrepl_patch_hit();
	return 0;
}

NOKPROBE_SYMBOL(ktrepl_patch_return);

static int ktrepl_patch_arm_kretprobe(void *fn)
{
	ktrepl_patch_kretprobe = (struct kretprobe){
		.kp.addr = fn,
		.entry_handler = ktrepl_patch_return,
		.handler = ktrepl_patch_return,
		.maxactive = 2 * num_possible_cpus(),
	};
	return register_kretprobe(&ktrepl_patch_kretprobe);
}

static void ktrepl_patch_disarm_kretprobe(void)
{
	unregister_kretprobe(&ktrepl_patch_kretprobe);
	wait_for_kprobe_optimizer();
}

static void ktrepl_patchers_kretprobe(struct kunit *test)
{
	ktrepl_patch_prove(test, ktrepl_patch_plain, 2, ktrepl_patch_arm_kretprobe,
			   ktrepl_patch_disarm_kretprobe);
	ktrepl_patch_prove(test, ktrepl_patch_traced, 2, ktrepl_patch_arm_kretprobe,
			   ktrepl_patch_disarm_kretprobe);
	KUNIT_EXPECT_EQ(test, ktrepl_patch_kretprobe.nmissed, 0);
}

#if defined(CONFIG_OPTPROBES) && defined(CONFIG_X86)

#include <asm/text-patching.h>

static struct kprobe ktrepl_patch_optprobe;

static int ktrepl_patch_arm_optprobe(void *fn)
{
	int err;

	ktrepl_patch_optprobe = (struct kprobe){
		.addr = fn, .pre_handler = ktrepl_patch_pre,
	};
	err = register_kprobe(&ktrepl_patch_optprobe);
	wait_for_kprobe_optimizer();
	return err;
}

static void ktrepl_patch_disarm_optprobe(void)
{
	unregister_kprobe(&ktrepl_patch_optprobe);
	wait_for_kprobe_optimizer();
}

/* What all nodes execute at the probe. */
static void ktrepl_patch_expect_opcode(struct kunit *test, u8 opcode)
{
	u8 found;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		KUNIT_EXPECT_EQ(test, ktrepl_read(nid, &found, ktrepl_patch_optprobe.addr, 1), 0);
		KUNIT_EXPECT_EQ_MSG(test, found, opcode, "node %d", nid);
	}
}

/* A jump, not a breakpoint, as long as there is no post handler. */
static void ktrepl_patchers_optprobe(struct kunit *test)
{
	void *fn = ktrepl_patch_plain;

	ktrepl_patch_prove(test, fn, 1, ktrepl_patch_arm_optprobe,
			   ktrepl_patch_disarm_optprobe);
	KUNIT_ASSERT_EQ(test, ktrepl_patch_arm_optprobe(fn), 0);
	ktrepl_patch_expect_opcode(test, JMP32_INSN_OPCODE);
	ktrepl_patch_expect_hits(test, fn, 1);
	KUNIT_EXPECT_EQ(test, ktrepl_patch_arm_kprobe(fn), 0);
	ktrepl_patch_expect_opcode(test, INT3_INSN_OPCODE);
	ktrepl_patch_expect_hits(test, fn, 3);
	ktrepl_patch_disarm_kprobe();
	wait_for_kprobe_optimizer();
	ktrepl_patch_expect_opcode(test, JMP32_INSN_OPCODE);
	ktrepl_patch_expect_hits(test, fn, 1);
	ktrepl_patch_disarm_optprobe();
	ktrepl_patch_expect_hits(test, fn, 0);
}

#else

static void ktrepl_patchers_optprobe(struct kunit *test)
{
	kunit_skip(test, "probes are not optimised");
}

#endif

/* === ftrace ============================================================== */

#ifdef CONFIG_DYNAMIC_FTRACE

static void notrace ktrepl_patch_trace(unsigned long ip, unsigned long parent_ip,
				       struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	ktrepl_patch_hit();
}

static struct ftrace_ops ktrepl_patch_ops[2] = {
	{ .func = ktrepl_patch_trace }, { .func = ktrepl_patch_trace },
};

/* The filter goes: after ftrace_free_filter() the tracer could not be used again. */
static void ktrepl_patch_disarm_ops(struct ftrace_ops *ops)
{
	unregister_ftrace_function(ops);
	ftrace_set_filter(ops, NULL, 0, 1);
}

static int ktrepl_patch_arm_ops(struct ftrace_ops *ops, void *fn)
{
	int err = ftrace_set_filter_ip(ops, ftrace_location((unsigned long)fn), 0, 1);

	return err ?: register_ftrace_function(ops);
}

static int ktrepl_patch_arm_trace(void *fn)
{
	return ktrepl_patch_arm_ops(&ktrepl_patch_ops[0], fn);
}

static void ktrepl_patch_disarm_trace(void)
{
	ktrepl_patch_disarm_ops(&ktrepl_patch_ops[0]);
}

static int ktrepl_patch_arm_traces(void *fn)
{
	int err = ktrepl_patch_arm_ops(&ktrepl_patch_ops[0], fn);

	return err ?: ktrepl_patch_arm_ops(&ktrepl_patch_ops[1], fn);
}

static void ktrepl_patch_disarm_traces(void)
{
	ktrepl_patch_disarm_ops(&ktrepl_patch_ops[1]);
	ktrepl_patch_disarm_ops(&ktrepl_patch_ops[0]);
}

/* One tracer has a trampoline, or a literal, of its own; two share. */
static void ktrepl_patchers_ftrace(struct kunit *test)
{
	void *fn = ktrepl_patch_traced;

	ktrepl_patch_prove(test, fn, 1, ktrepl_patch_arm_trace, ktrepl_patch_disarm_trace);
	ktrepl_patch_prove(test, fn, 2, ktrepl_patch_arm_traces, ktrepl_patch_disarm_traces);
}

static void notrace ktrepl_patch_ignore(unsigned long ip, unsigned long parent_ip,
					struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
}

static struct ftrace_ops ktrepl_patch_many = { .func = ktrepl_patch_ignore };

static long ktrepl_patch_pokes(void)
{
	long pokes = 0;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		pokes = max(pokes, ktrepl_test_count(nid, KTREPL_STAT_POKE));
	return pokes;
}

/* More than 1,000 sites at once, armed and disarmed. */
static void ktrepl_patchers_many(struct kunit *test)
{
	/* ftrace writes to what it is given. */
	char some[][8] = { "*get*", "*set*", "*put*", "*init*" };
	long pokes = ktrepl_patch_pokes();
	int i;

	for (i = 0; i < ARRAY_SIZE(some); i++)
		KUNIT_ASSERT_EQ(test, ftrace_set_filter(&ktrepl_patch_many, some[i],
							strlen(some[i]), !i), 0);
	KUNIT_ASSERT_EQ(test, register_ftrace_function(&ktrepl_patch_many), 0);
	KUNIT_EXPECT_GT(test, ktrepl_patch_pokes(), pokes + 1000);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
	pokes = ktrepl_patch_pokes();
	ktrepl_patch_disarm_ops(&ktrepl_patch_many);
	KUNIT_EXPECT_GT(test, ktrepl_patch_pokes(), pokes + 1000);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

#else

static void ktrepl_patchers_ftrace(struct kunit *test)
{
	kunit_skip(test, "no dynamic ftrace");
}

static void ktrepl_patchers_many(struct kunit *test)
{
	kunit_skip(test, "no dynamic ftrace");
}

#endif /* CONFIG_DYNAMIC_FTRACE */

#ifdef CONFIG_FUNCTION_GRAPH_TRACER

static int notrace ktrepl_patch_enter(struct ftrace_graph_ent *trace, struct fgraph_ops *gops)
{
	ktrepl_patch_hit();
	return 1;
}

static void notrace ktrepl_patch_leave(struct ftrace_graph_ret *trace, struct fgraph_ops *gops)
{
	ktrepl_patch_hit();
}

static struct fgraph_ops ktrepl_patch_graph = {
	.entryfunc = ktrepl_patch_enter,
	.retfunc = ktrepl_patch_leave,
};

static int ktrepl_patch_arm_graph(void *fn)
{
	int err = ftrace_set_filter_ip(&ktrepl_patch_graph.ops,
				       ftrace_location((unsigned long)fn), 0, 1);

	return err ?: register_ftrace_graph(&ktrepl_patch_graph);
}

static void ktrepl_patch_disarm_graph(void)
{
	unregister_ftrace_graph(&ktrepl_patch_graph);
	ftrace_set_filter(&ktrepl_patch_graph.ops, NULL, 0, 1);
}

static void ktrepl_patchers_graph(struct kunit *test)
{
	ktrepl_patch_prove(test, ktrepl_patch_traced, 2, ktrepl_patch_arm_graph,
			   ktrepl_patch_disarm_graph);
}

#else

static void ktrepl_patchers_graph(struct kunit *test)
{
	kunit_skip(test, "no graph tracer");
}

#endif

#ifdef CONFIG_FPROBE

static int ktrepl_patch_fprobe_enter(struct fprobe *fp, unsigned long entry_ip,
				     unsigned long ret_ip, struct pt_regs *regs, void *data)
{
	ktrepl_patch_hit();
	return 0;
}

NOKPROBE_SYMBOL(ktrepl_patch_fprobe_enter);

static void ktrepl_patch_fprobe_leave(struct fprobe *fp, unsigned long entry_ip,
				      unsigned long ret_ip, struct pt_regs *regs, void *data)
{
	ktrepl_patch_hit();
}

NOKPROBE_SYMBOL(ktrepl_patch_fprobe_leave);

static struct fprobe ktrepl_patch_fprobe;

static int ktrepl_patch_arm_fprobe(void *fn)
{
	unsigned long addr = ftrace_location((unsigned long)fn);

	ktrepl_patch_fprobe = (struct fprobe){
		.entry_handler = ktrepl_patch_fprobe_enter,
		.exit_handler = ktrepl_patch_fprobe_leave,
	};
	return register_fprobe_ips(&ktrepl_patch_fprobe, &addr, 1);
}

static void ktrepl_patch_disarm_fprobe(void)
{
	unregister_fprobe(&ktrepl_patch_fprobe);
}

/* By a rethook */
static void ktrepl_patchers_fprobe(struct kunit *test)
{
	ktrepl_patch_prove(test, ktrepl_patch_traced, 2, ktrepl_patch_arm_fprobe,
			   ktrepl_patch_disarm_fprobe);
	KUNIT_EXPECT_EQ(test, ktrepl_patch_fprobe.nmissed, 0);
}

#else

static void ktrepl_patchers_fprobe(struct kunit *test)
{
	kunit_skip(test, "no fprobe");
}

#endif

/* === Modules ============================================================= */

static int ktrepl_patch_value(void *fn)
{
	return ((u32 (*)(void))fn)();
}

/*
 * A function that has been loaded, and that both kinds of patchers patch; and one
 * with an alternative, which has been patched before there were replicas.
 */
static void ktrepl_patchers_module(struct kunit *test)
{
	void *fn, *alternative;
	int cpu;

	if (request_module("ktrepl-marker"))
		kunit_skip(test, "ktrepl-marker.ko cannot be loaded");
	fn = (void *)kallsyms_lookup_name("ktrepl_marker_value");
	KUNIT_ASSERT_NOT_NULL(test, fn);
	ktrepl_execmem_flush();
	alternative = (void *)kallsyms_lookup_name("ktrepl_marker_alternative");
	KUNIT_ASSERT_NOT_NULL(test, alternative);
	for_each_online_cpu(cpu)
		KUNIT_EXPECT_EQ(test, smp_call_on_cpu(cpu, ktrepl_patch_value, alternative, false),
				KTREPL_MARKER_ALTERNATIVE);
	ktrepl_patch_prove(test, fn, 2, ktrepl_patch_arm_kprobe, ktrepl_patch_disarm_kprobe);
	ktrepl_patch_prove(test, fn, 2, ktrepl_patch_arm_kretprobe,
			   ktrepl_patch_disarm_kretprobe);
#ifdef CONFIG_DYNAMIC_FTRACE
	ktrepl_patch_prove(test, fn, 1, ktrepl_patch_arm_trace, ktrepl_patch_disarm_trace);
	ktrepl_patch_prove(test, fn, 2, ktrepl_patch_arm_traces, ktrepl_patch_disarm_traces);
#endif
}

/* === Static calls ======================================================== */

static noinline void ktrepl_patch_nothing(void)
{
	barrier();
}

DEFINE_STATIC_CALL(ktrepl_patch_sc, ktrepl_patch_nothing);

static noinline void ktrepl_patch_static(void)
{
	static_call(ktrepl_patch_sc)();
}

static int ktrepl_patch_arm_static(void *fn)
{
	static_call_update(ktrepl_patch_sc, ktrepl_patch_hit);
	return 0;
}

static void ktrepl_patch_disarm_static(void)
{
	static_call_update(ktrepl_patch_sc, ktrepl_patch_nothing);
}

static void ktrepl_patchers_static_call(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_HAVE_STATIC_CALL))
		kunit_skip(test, "static calls are pointers");
	ktrepl_patch_prove(test, ktrepl_patch_static, 1, ktrepl_patch_arm_static,
			   ktrepl_patch_disarm_static);
}

static struct kunit_case ktrepl_patchers_cases[] = {
	KUNIT_CASE(ktrepl_patchers_kprobe),
	KUNIT_CASE(ktrepl_patchers_lost),
	KUNIT_CASE(ktrepl_patchers_kprobe_ftrace),
	KUNIT_CASE(ktrepl_patchers_kretprobe),
	KUNIT_CASE_SLOW(ktrepl_patchers_optprobe),
	KUNIT_CASE(ktrepl_patchers_ftrace),
	KUNIT_CASE_SLOW(ktrepl_patchers_many),
	KUNIT_CASE(ktrepl_patchers_graph),
	KUNIT_CASE(ktrepl_patchers_fprobe),
	KUNIT_CASE(ktrepl_patchers_module),
	KUNIT_CASE(ktrepl_patchers_static_call),
	{ }
};

static struct kunit_suite ktrepl_patchers_suite = {
	.name = "ktrepl_patchers",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_test_on,
	.test_cases = ktrepl_patchers_cases,
};

kunit_test_suite(ktrepl_patchers_suite);
