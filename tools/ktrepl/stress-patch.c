// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-stress: everything user space can do that makes the kernel patch its
 * own text. Each activity leaves things as it found them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf.h"
#include "stress.h"

/* === keys: a sysctl with a static key behind it ========================== */

#define SCHEDSTATS	"/proc/sys/kernel/sched_schedstats"

static const char *keys_obstacle(void)
{
	return access(SCHEDSTATS, W_OK) ? "no " SCHEDSTATS : NULL;
}

static void keys_run(struct activity *a)
{
	char *old = read_text(SCHEDSTATS, NULL);
	char *now;
	bool on = false;
	int err;

	while (stress_going(a)) {
		on = !on;
		err = write_text(SCHEDSTATS, on ? "1" : "0");
		now = read_text(SCHEDSTATS, NULL);
		if (err || !now || *now != '0' + on)
			fail("keys: " SCHEDSTATS " cannot be set to %d", on);
		free(now);
		stress_count(a, 0);
		sleep_us(rng_below(&a->rng, 5000));
	}
	if (old)
		write_text(SCHEDSTATS, old);
	free(old);
}

static struct activity keys = {
	.name = "keys",
	.help = "flip the static key of sched_schedstats",
	.counter = { "static keys flipped" },
	.obstacle = keys_obstacle,
	.run = keys_run,
	.by_default = true,
};

/* === preempt: static calls of the preemption model ======================= */

#define PREEMPT		"/sys/kernel/debug/sched/preempt"

static const char *preempt_obstacle(void)
{
	return access(PREEMPT, W_OK) ?
		"no " PREEMPT " (CONFIG_PREEMPT_DYNAMIC)" : NULL;
}

/* The file reads "none voluntary (full)". */
static void preempt_run(struct activity *a)
{
	char *text = read_text(PREEMPT, NULL);
	struct words modes = { 0 };
	const char *old = NULL;
	size_t i, len;
	int err;

	if (text) {
		text[strcspn(text, "\n")] = '\0';
		words_split(text, &modes);
	}
	for (i = 0; i < modes.nr; i++) {
		len = strlen(modes.w[i]);
		if (*modes.w[i] != '(' || len < 2)
			continue;
		modes.w[i][len - 1] = '\0';
		old = ++modes.w[i];
	}
	while (modes.nr && stress_going(a)) {
		i = rng_below(&a->rng, modes.nr);
		err = write_text(PREEMPT, modes.w[i]);
		if (err)
			fail("preempt: %s: %s", modes.w[i], strerror(-err));
		stress_count(a, 0);
		sleep_us(rng_below(&a->rng, 20000));
	}
	if (old)
		write_text(PREEMPT, old);
	words_free(&modes);
	free(text);
}

static struct activity preempt = {
	.name = "preempt",
	.help = "change the preemption model (static calls)",
	.counter = { "preemption models set" },
	.obstacle = preempt_obstacle,
	.run = preempt_run,
	.by_default = true,
};

/* === tracefs ============================================================= */

static const char *tracefs(void)
{
	static const char * const places[] = {
		"/sys/kernel/tracing", "/sys/kernel/debug/tracing",
	};
	size_t i;
	char *path;
	bool ok;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		path = xasprintf("%s/trace", places[i]);
		ok = !access(path, W_OK);
		free(path);
		if (ok)
			return places[i];
	}
	return NULL;
}

static char *trace_read(const char *file)
{
	char *path = xasprintf("%s/%s", tracefs(), file);
	char *text = read_text(path, NULL);

	free(path);
	return text;
}

static int trace_write(const char *file, const char *text)
{
	char *path = xasprintf("%s/%s", tracefs(), file);
	int err = write_text(path, text);

	free(path);
	return err;
}

/* Files that are lists are emptied by opening them so. */
static void trace_truncate(const char *file)
{
	char *path = xasprintf("%s/%s", tracefs(), file);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	free(path);
}

const char *trace_obstacle(const char *file, const char *why)
{
	char *text;

	if (!tracefs())
		mount("none", "/sys/kernel/tracing", "tracefs", 0, NULL);
	if (!tracefs())
		return "no tracefs";
	text = trace_read(file);
	free(text);
	return text ? NULL : why;
}

/* === events: tracepoints are static calls behind static keys ============= */

static const char * const events[] = {
	"events/sched/sched_switch/enable",
	"events/sched/sched_wakeup/enable",
	"events/sched/sched_process_fork/enable",
	"events/kmem/kmalloc/enable",
	"events/kmem/kmem_cache_alloc/enable",
	"events/irq/softirq_entry/enable",
	"events/timer/hrtimer_start/enable",
	"events/raw_syscalls/sys_enter/enable",
	"events/exceptions/page_fault_user/enable",
};

static const char *events_obstacle(void)
{
	return trace_obstacle(events[0], "no trace events");
}

static void events_run(struct activity *a)
{
	size_t i;
	int err;

	while (stress_going(a)) {
		i = rng_below(&a->rng, ARRAY_SIZE(events));
		err = trace_write(events[i], rng_below(&a->rng, 2) ? "1" : "0");
		if (err && err != -ENOENT)
			fail("events: %s: %s", events[i], strerror(-err));
		if (!err)
			stress_count(a, 0);
		sleep_us(rng_below(&a->rng, 5000));
	}
	for (i = 0; i < ARRAY_SIZE(events); i++)
		trace_write(events[i], "0");
	trace_truncate("trace");
}

static struct activity trace_events = {
	.name = "events",
	.help = "enable and disable trace events",
	.counter = { "trace events switched" },
	.obstacle = events_obstacle,
	.run = events_run,
	.by_default = true,
};

/* === kprobes ============================================================= */

/*
 * Nothing else here calls getppid(): a hit is that of the CPU asked. A probe at
 * the entry sits on the ftrace site, one further on writes a breakpoint (or a jump,
 * where probes are optimised, which happens a little later), one at the return
 * changes the address that is returned to.
 */
static const char * const getppid_names[] = {
	"__x64_sys_getppid", "__arm64_sys_getppid", "__do_sys_getppid",
	"sys_getppid",
};

#define PROBE_GROUP	"ktrepl_stress"

static const char *probe_symbol;
static unsigned int probe_offset;	/* past the entry; 0 if none is found */

int probe_add(char type, const char *name, const char *symbol, unsigned int offset)
{
	char *text = xasprintf("%c:" PROBE_GROUP "/%s %s+%u\n", type, name,
			       symbol, offset);
	int err = trace_write("kprobe_events", text);

	free(text);
	return err;
}

int probe_remove(const char *name)
{
	char *text = xasprintf("-:" PROBE_GROUP "/%s\n", name);
	int err = trace_write("kprobe_events", text);

	free(text);
	return err;
}

int probe_enable(const char *name, bool on)
{
	char *file = xasprintf("events/" PROBE_GROUP "/%s/enable", name);
	int err = trace_write(file, on ? "1" : "0");

	free(file);
	return err;
}

static const char *kprobes_obstacle(void)
{
	const char *why = trace_obstacle("kprobe_events",
					 "no kprobe_events (CONFIG_KPROBE_EVENTS)");
	size_t i;

	if (why)
		return why;
	for (i = 0; i < ARRAY_SIZE(getppid_names) && !probe_symbol; i++) {
		if (probe_add('p', "p", getppid_names[i], 0))
			continue;
		probe_remove("p");
		probe_symbol = getppid_names[i];
	}
	if (!probe_symbol)
		return "no probe can be set on getppid";
	/* The kernel refuses what is not the start of an instruction. */
	for (i = 5; i < 24 && !probe_offset; i++) {
		if (probe_add('p', "p", probe_symbol, i))
			continue;
		probe_remove("p");
		probe_offset = i;
	}
	return NULL;
}

/* Lines of kprobe_profile: name, hits, misses. */
static u64 probe_hits(void)
{
	char *text = trace_read("kprobe_profile");
	char *rest = text, *line;
	struct words words;
	u64 hits = 0;

	while (text && (line = strsep(&rest, "\n"))) {
		words_split(line, &words);
		if (words.nr >= 2 && !strcmp(words.w[0], "p"))
			parse_u64(words.w[1], 10, &hits);
		words_free(&words);
	}
	free(text);
	return hits;
}

/* Every CPU must run into the probe, whichever copy it executes. */
static void probe_all_cpus(struct activity *a)
{
	u64 before, hits;
	size_t i = 0;
	int cpu;

	while ((cpu = stress_next_cpu(a, &i)) >= 0) {
		before = probe_hits();
		syscall(SYS_getppid);
		hits = probe_hits();
		if (hits != before + 1)
			fail("kprobes: cpu %d hit the enabled probe %llu times",
			     cpu, hits - before);
		stress_count(a, 1);
	}
}

static void kprobes_run(struct activity *a)
{
	unsigned int offset;
	char type;
	int err;

	while (stress_going(a)) {
		type = rng_below(&a->rng, 3) ? 'p' : 'r';
		offset = type == 'p' && rng_below(&a->rng, 2) ? probe_offset : 0;
		err = probe_add(type, "p", probe_symbol, offset);
		if (!err)
			err = probe_enable("p", true);
		if (err) {
			fail("kprobes: %c:%s+%u: %s", type, probe_symbol,
			     offset, strerror(-err));
			probe_remove("p");
			return;
		}
		sleep_us(rng_below(&a->rng, 50000));
		probe_all_cpus(a);
		err = probe_enable("p", false);
		if (!err)
			err = probe_remove("p");
		if (err) {
			fail("kprobes: the probe stays: %s", strerror(-err));
			return;
		}
		stress_count(a, 0);
		sleep_us(rng_below(&a->rng, 5000));
	}
}

static struct activity kprobes = {
	.name = "kprobes",
	.help = "set probes, hit them on every CPU, remove them",
	.counter = { "probes set", "probe hits" },
	.obstacle = kprobes_obstacle,
	.run = kprobes_run,
	.by_default = true,
};

/* === ftrace ============================================================== */

static bool can_graph;

static const char *ftrace_obstacle(void)
{
	char *tracers;
	const char *why;

	why = trace_obstacle("set_ftrace_filter",
			     "no set_ftrace_filter (CONFIG_DYNAMIC_FTRACE)");
	if (why)
		return why;
	tracers = trace_read("available_tracers");
	if (!tracers || !strstr(tracers, "function"))
		why = "no function tracer (CONFIG_FUNCTION_TRACER)";
	can_graph = tracers && strstr(tracers, "function_graph");
	free(tracers);
	return why;
}

static void ftrace_run(struct activity *a)
{
	static const char * const filters[] = {
		"vfs_*\n", "*_sched_setaffinity\n", "kmem_cache_*\n",
		"do_sys_open*\n", "*fault*\n",
	};
	unsigned int i;
	bool graph;
	int err;

	while (stress_going(a)) {
		graph = can_graph && rng_below(&a->rng, 2);
		trace_truncate("set_ftrace_filter");
		i = rng_below(&a->rng, ARRAY_SIZE(filters));
		err = trace_write("set_ftrace_filter", filters[i]);
		/* A pattern may match nothing here. */
		if (err && err != -EINVAL)
			fail("ftrace: filter: %s", strerror(-err));
		if (!err)
			err = trace_write("current_tracer",
					  graph ? "function_graph" : "function");
		if (err == -EINVAL)
			continue;
		sleep_us(rng_below(&a->rng, 5000));
		if (!err)
			err = trace_write("current_tracer", "nop");
		if (err)
			fail("ftrace: tracer: %s", strerror(-err));
		stress_count(a, 0);
		if (graph)
			stress_count(a, 1);
		sleep_us(rng_below(&a->rng, 5000));
	}
	trace_write("current_tracer", "nop");
	trace_truncate("set_ftrace_filter");
	trace_truncate("trace");
}

static struct activity ftrace = {
	.name = "ftrace",
	.help = "run the function and graph tracers on sets of functions",
	.counter = { "function traces", "of them graphs" },
	.obstacle = ftrace_obstacle,
	.run = ftrace_run,
	.by_default = true,
};

/* === bpf: programs that are compiled and run on every CPU ================ */

#define BPF_JIT		"/proc/sys/net/core/bpf_jit_enable"

/* A program that returns a number; a file descriptor or -errno. */
static int bpf_load_number(const struct bpf_target *target, unsigned int number)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = number },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load_for(target, insns, ARRAY_SIZE(insns));
}

static const struct bpf_target bpf_targets[] = {
	{ .type = BPF_PROG_TYPE_XDP }, { .type = BPF_PROG_TYPE_SOCKET_FILTER },
};

static const char *bpf_obstacle(void)
{
	char *jit = read_text(BPF_JIT, NULL);
	bool off = !jit || *jit == '0';
	int fd;

	free(jit);
	if (off)
		return "no " BPF_JIT ", or 0 (CONFIG_BPF_JIT)";
	fd = bpf_load_number(&bpf_targets[0], 0);
	if (fd < 0)
		return xasprintf("no BPF program can be loaded: %s", strerror(-fd));
	close(fd);
	return NULL;
}

/* Every CPU gets the number that a program returns, and no other has; @what: counts runs. */
static void bpf_all_cpus(struct activity *a, const struct bpf_target *target,
			 unsigned int number, int (*run)(int fd, unsigned int *value), int what)
{
	int fd = bpf_load_number(target, number), cpu, err;
	unsigned int value;
	size_t i = 0;

	if (fd < 0) {
		fail("%s: cannot be loaded: %s", a->name, strerror(-fd));
		return;
	}
	stress_count(a, 0);
	while ((cpu = stress_next_cpu(a, &i)) >= 0) {
		err = run(fd, &value);
		if (err)
			fail("%s: cpu %d: %s", a->name, cpu, strerror(-err));
		else if (value != number)
			fail("%s: cpu %d returns %u, not %u", a->name, cpu, value, number);
		stress_count(a, what);
	}
	close(fd);
}

/* XDP's, if run more than once, are called by way of a dispatcher, which is patched. */
static int bpf_run_twice(int fd, unsigned int *value)
{
	return bpf_prog_run(fd, 2, value);
}

static void bpf_run(struct activity *a)
{
	const struct bpf_target *target;
	unsigned int number;

	while (stress_going(a)) {
		number = rng_below(&a->rng, 1 << 30);
		target = &bpf_targets[rng_below(&a->rng, ARRAY_SIZE(bpf_targets))];
		bpf_all_cpus(a, target, number, bpf_run_twice, 1);
		sleep_ms(rng_below(&a->rng, 400));
	}
}

static struct activity bpf = {
	.name = "bpf",
	.help = "load BPF programs and run them on every CPU",
	.counter = { "BPF programs", "runs of them" },
	.obstacle = bpf_obstacle,
	.run = bpf_run,
	.by_default = true,
};

/* === btf: programs that follow functions, or are the kernel's operations = */

/* What the kernel has for tests of its own: nobody else runs it. */
enum { BTF_ENTRY, BTF_EXIT, BTF_OPERATION, BTF_TARGETS };

static struct bpf_target btf_targets[BTF_TARGETS] = {
	[BTF_ENTRY] = { .type = BPF_PROG_TYPE_TRACING, .attach = BPF_TRACE_FENTRY },
	[BTF_EXIT] = { .type = BPF_PROG_TYPE_TRACING, .attach = BPF_TRACE_FEXIT },
	[BTF_OPERATION] = { .type = BPF_PROG_TYPE_STRUCT_OPS },
};

/* What counts its runs. */
static int btf_load_counting(const struct bpf_target *target, int number)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = number },
		{ },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 1 },
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = BPF_REG_1,
		  .src_reg = BPF_REG_2, .imm = BPF_ADD },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load_for(target, insns, ARRAY_SIZE(insns));
}

static const char *btf_obstacle(void)
{
	const char *why = bpf_obstacle();
	uint32_t function, operations;

	if (why)
		return why;
	function = bpf_btf_find("bpf_fentry_test1", BTF_KIND_FUNC);
	operations = bpf_btf_find("bpf_dummy_ops", BTF_KIND_STRUCT);
	if (!function || !operations)
		return "no types of the kernel (CONFIG_DEBUG_INFO_BTF)";
	btf_targets[BTF_ENTRY].btf_id = function;
	btf_targets[BTF_EXIT].btf_id = function;
	btf_targets[BTF_OPERATION].btf_id = operations;
	return NULL;
}

/* Every run of the function, one on each CPU, is followed once. */
static void btf_follow(struct activity *a, const struct bpf_target *target)
{
	int number = bpf_number_create(), fd = btf_load_counting(target, number);
	int link = bpf_prog_attach(fd), cpu, err;
	uint64_t runs = 0, seen;
	unsigned int value;
	size_t i = 0;

	if (link < 0)
		fail("btf: cannot be attached: %s", strerror(-link));
	else
		stress_count(a, 0);
	while (link >= 0 && (cpu = stress_next_cpu(a, &i)) >= 0) {
		err = bpf_prog_run_for(fd, &value) ?: bpf_number_read(number, &seen);
		runs++;
		if (err)
			fail("btf: cpu %d: %s", cpu, strerror(-err));
		else if (seen != runs)
			fail("btf: cpu %d: %llu runs of %llu followed", cpu,
			     (unsigned long long)seen, (unsigned long long)runs);
		stress_count(a, 1);
	}
	close(link);
	close(fd);
	close(number);
}

static void btf_run(struct activity *a)
{
	unsigned int what;

	while (stress_going(a)) {
		what = rng_below(&a->rng, BTF_TARGETS);
		if (what == BTF_OPERATION)
			bpf_all_cpus(a, &btf_targets[what], rng_below(&a->rng, 1 << 30),
				     bpf_prog_run_for, 2);
		else
			btf_follow(a, &btf_targets[what]);
		sleep_ms(rng_below(&a->rng, 400));
	}
}

static struct activity btf = {
	.name = "btf",
	.help = "follow a function by BPF programs, and have operations of them",
	.counter = { "BPF programs", "functions followed", "operations" },
	.obstacle = btf_obstacle,
	.run = btf_run,
	.by_default = true,
};

struct activity *const patch_activities[] = {
	&keys, &preempt, &trace_events, &kprobes, &ftrace, &bpf, &btf, NULL
};
