// SPDX-License-Identifier: GPL-2.0
/*
 * latency - how many instructions a CPU executes with interrupts disabled, or
 * while text_mutex is held: a plugin for QEMU's TCG.
 *
 * The kernel is not changed for it. What disables and enables interrupts is known
 * by its encoding, entries of exceptions and calls of mutex_lock(&text_mutex) by
 * their addresses, from the file that scripts/latency makes of vmlinux. Each CPU's
 * instructions are counted on their own, so that those of others do not matter.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "../qemu-plugin.h"

#define MAX_CPUS	64
#define NEAR		200	/* instructions from ours to a section of the kernel's */

/* === What is known of the kernel ========================================= */

/* Kinds: t text, k ours, e entry of an exception, i interrupt code of arm64. */
struct function {
	uint64_t addr;
	char kind;
	char name[64];
};

/* L before a call of mutex_lock(&text_mutex), U of mutex_unlock(). */
struct site {
	uint64_t addr;
	char kind;
};

static struct function *functions;
static struct site *sites;
static size_t nr_functions, nr_sites;
static bool arm64;
static const char *out_path;

/* Boot is of no interest: until this, interrupts are off for as long as it takes. */
static int start_function;
static bool started;

static void read_map(const char *path)
{
	FILE *f = fopen(path, "r");
	char kind, name[64];
	uint64_t addr;

	if (!f)
		exit(1);
	while (fscanf(f, "%c %lx %63s\n", &kind, &addr, name) == 3) {
		if (kind == 'L' || kind == 'U') {
			sites = realloc(sites, (nr_sites + 1) * sizeof(*sites));
			sites[nr_sites++] = (struct site){ addr, kind };
			continue;
		}
		functions = realloc(functions, (nr_functions + 1) * sizeof(*functions));
		functions[nr_functions] = (struct function){ .addr = addr, .kind = kind };
		strcpy(functions[nr_functions].name, name);
		if (!strcmp(name, "ktrepl_late_init"))
			start_function = nr_functions;
		nr_functions++;
	}
	fclose(f);
}

/* The function of an address, by index; 0 is what is none of the kernel's. */
static int function_at(uint64_t addr)
{
	size_t low = 0, high = nr_functions;

	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if (functions[mid].addr <= addr)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static char site_at(uint64_t addr)
{
	for (size_t i = 0; i < nr_sites; i++)
		if (sites[i].addr == addr)
			return sites[i].kind;
	return 0;
}

/* === Results ============================================================= */

struct result {
	char what;		/* I interrupts off, M text_mutex held */
	int from, before, first;
	int until;		/* of the longest */
	uint64_t count, sum, max, ours, all;
};

static struct result results[8192];

static struct result *result_of(char what, int from, int before, int first)
{
	unsigned int i = (from * 31 + before * 1009 + first * 7919 + what) % 8192;

	for (;; i = (i + 1) % 8192) {
		struct result *r = &results[i];

		if (!r->count) {
			*r = (struct result){ .what = what, .from = from,
					      .before = before, .first = first };
			return r;
		}
		if (r->what == what && r->from == from && r->before == before &&
		    r->first == first)
			return r;
	}
}

static void result_add(struct result *r, int until, uint64_t len, uint64_t ours, uint64_t all)
{
	r->count++;
	r->sum += len;
	if (len <= r->max)
		return;
	r->max = len;
	r->ours = ours;
	r->all = all;
	r->until = until;
}

static int result_compare(const void *a, const void *b)
{
	const struct result *x = a, *y = b;

	return (x->max < y->max) - (x->max > y->max);
}

static void print_results(uint64_t id, void *data)
{
	FILE *f = fopen(out_path, "w");

	(void)id;
	(void)data;
	qsort(results, 8192, sizeof(*results), result_compare);
	fprintf(f, "what max mean ours all count from before first until\n");
	for (struct result *r = results; r < results + 8192 && r->count; r++)
		fprintf(f, "%c %lu %lu %lu %lu %lu %s %s %s %s\n", r->what, r->max,
			r->sum / r->count, r->ours, r->all, r->count, functions[r->from].name,
			functions[r->before].name, functions[r->first].name,
			functions[r->until].name);
	fclose(f);
}

/* === Counting ============================================================ */

struct cpu {
	uint64_t count;
	int last;		/* function of ours that ran last, and when */
	uint64_t last_count;

	bool off;
	uint64_t start, start_all, ours;
	int from, before, first;
	unsigned int nested;	/* exceptions while interrupts are off */
	uint64_t flags_read;	/* arm64: when DAIF was read last */
	uint64_t saved;		/* arm64: stack of saved states, a bit each */
	unsigned int depth;

	uint64_t held, held_all, held_ours;
	int holder;		/* function that took text_mutex */
	unsigned int away;	/* interrupts that have come in since, and who preempted */
	uint64_t away_start;
};

static struct cpu cpus[MAX_CPUS];
static uint64_t all;		/* instructions of all CPUs */

struct block {
	unsigned int n;
	int function;
	bool ours;
};

struct mark {
	char what;		/* + - interrupts on, off; others below */
	unsigned int left;	/* instructions of the block from here on */
	int function;
};

static void turn_off(struct cpu *c, uint64_t now, int function)
{
	if (c->off || !started)
		return;
	c->off = true;
	c->start = now;
	c->start_all = all;
	c->ours = 0;
	c->from = function;
	c->before = now - c->last_count < NEAR ? c->last : 0;
	c->first = functions[function].kind == 'k' ? function : 0;
}

static void turn_on(struct cpu *c, uint64_t now, int function)
{
	c->nested = 0;
	c->depth = 0;
	if (!c->off)
		return;
	c->off = false;
	result_add(result_of('I', c->from, c->before, c->first), function,
		   now - c->start, c->ours, all - c->start_all);
}

static void on_block(unsigned int cpu, void *data)
{
	struct cpu *c = &cpus[cpu];
	struct block *b = data;

	c->count += b->n;
	all += b->n;
	if (!b->ours)
		return;
	started |= b->function == start_function;
	c->last = b->function;
	c->last_count = c->count;
	c->ours += b->n;
	c->held_ours += b->n;
	if (c->off && !c->first)
		c->first = b->function;
}

static void on_mark(unsigned int cpu, void *data)
{
	struct cpu *c = &cpus[cpu];
	struct mark *m = data;
	uint64_t now = c->count - m->left;

	switch (m->what) {
	case '-':		/* cli, msr daifset */
		if (arm64 && c->flags_read && now - c->flags_read <= 4 && c->depth < 64) {
			c->saved = c->saved << 1 | c->off;
			c->depth++;
		}
		c->flags_read = 0;
		turn_off(c, now, m->function);
		break;
	case '+':		/* sti, msr daifclr */
		turn_on(c, now, m->function);
		break;
	case 'r':		/* mrs daif */
		c->flags_read = now;
		break;
	case 'w':		/* msr daif */
		if (c->nested)
			break;
		if (c->depth) {
			bool off = c->saved & 1;

			c->saved >>= 1;
			c->depth--;
			if (!off)
				turn_on(c, now, m->function);
		} else if (functions[m->function].kind != 'i') {
			turn_on(c, now, m->function);
		}
		break;
	case 'e':		/* the first instruction of an exception's code */
		if (c->holder && !c->away++)
			c->away_start = now;
		if (c->off)
			c->nested++;
		turn_off(c, now, m->function);
		break;
	case 'x':		/* iret, eret, sysret */
		if (c->away && !--c->away)
			c->held += now - c->away_start;
		if (c->nested)
			c->nested--;
		else
			turn_on(c, now, m->function);
		break;
	case 'L':
		c->held = now;
		c->held_all = all;
		c->held_ours = 0;
		c->holder = m->function;
		c->away = 0;
		break;
	case 'U':
		if (c->holder)
			result_add(result_of('M', c->holder, 0, 0), m->function,
				   now - c->held, c->held_ours, all - c->held_all);
		c->holder = 0;
		c->away = 0;
		break;
	}
}

/* === Translation ========================================================= */

static char mark_x86(const uint8_t *p, size_t size)
{
	if (size == 1 && p[0] == 0xfa)
		return '-';
	if (size == 1 && p[0] == 0xfb)
		return '+';
	if (size == 2 && p[0] == 0x48 && p[1] == 0xcf)
		return 'x';
	if (size == 3 && p[0] == 0x48 && p[1] == 0x0f && p[2] == 0x07)
		return 'x';
	return 0;
}

static char mark_arm64(const uint8_t *p)
{
	uint32_t insn;

	memcpy(&insn, p, sizeof(insn));
	if ((insn & 0xfffff2ff) == 0xd50342df)
		return '-';
	if ((insn & 0xfffff2ff) == 0xd50342ff)
		return '+';
	if ((insn & 0xffffffe0) == 0xd53b4220)
		return 'r';
	if ((insn & 0xffffffe0) == 0xd51b4220)
		return 'w';
	if (insn == 0xd69f03e0 || insn == 0xd69f0bff)
		return 'x';
	return 0;
}

static void on_translate(uint64_t id, struct qemu_plugin_tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);
	struct block *b = malloc(sizeof(*b));
	uint64_t addr = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));

	(void)id;
	b->n = n;
	b->function = function_at(addr);
	b->ours = functions[b->function].kind == 'k';
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, 0, b);
	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint8_t bytes[INSN_MAX];
		int function;
		struct mark *m;
		char what;

		addr = qemu_plugin_insn_vaddr(insn);
		function = function_at(addr);
		if (!function)
			continue;
		insn_read(insn, bytes);
		what = arm64 ? mark_arm64(bytes) :
			       mark_x86(bytes, qemu_plugin_insn_size(insn));
		if (functions[function].kind == 'e' && functions[function].addr == addr)
			what = 'e';
		if (!what)
			what = site_at(addr);
		if (!what)
			continue;
		m = malloc(sizeof(*m));
		*m = (struct mark){ what, n - i, function };
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, 0, m);
	}
}

/* The start of qemu_info_t. */
struct qemu_info {
	const char *target_name;
};

EXPORTED
int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv)
{
	arm64 = !strcmp(info->target_name, "aarch64");
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "map=", 4))
			read_map(argv[i] + 4);
		else if (!strncmp(argv[i], "out=", 4))
			out_path = strdup(argv[i] + 4);
	}
	if (!start_function || !out_path)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, print_results, NULL);
	return 0;
}
