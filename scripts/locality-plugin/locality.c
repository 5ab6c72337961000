// SPDX-License-Identifier: GPL-2.0
/*
 * locality - which node's memory serves the CPUs: a plugin for QEMU's TCG.
 *
 * Every fetch of an instruction, and every load from the kernel's read-only data,
 * is attributed to the node that holds the memory: while a phase lasts, that an
 * instruction without effect in a program begins (tools/ktrepl/phase.h), on all
 * CPUs.  A model of caches tells which of them miss: level 1 for instructions and
 * data and level 2 of each CPU, and the last level of each node, or of all.  User
 * space and data of the kernel go through it as well.  The model knows no stores
 * by others that take lines away, no prefetching and no speculation.
 *
 * table=START:END is a table of the kernel's data, or object=START:END the struct
 * ktrepl_object of a replicated one: loads of the table are counted apart, wherever
 * its contents are when a phase begins, and those of the struct with them.
 *
 * The memory of a node is a file, ram/mNODE, mapped by QEMU: a fetch is looked up
 * by its address in QEMU.  A load is by its guest-physical one: all of memory is
 * in one piece, node after node.
 *
 * Only with -icount, when CPUs take turns: the counters are plain ones.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../qemu-plugin.h"

#define MAX_CPUS	64
#define MAX_NODES	16
#define LINE_SHIFT	6
#define UNKNOWN		(-1)

/* Of one CPU in one phase; [1] is of another node. */
struct counts {
	uint64_t fetch[2], l1_miss[2], l2_miss[2], llc_miss[2];
	uint64_t rodata[2], rodata_llc_miss[2];
	uint64_t user_fetch[2], user_load[2];
	uint64_t table[2], table_llc_miss[2];
	uint64_t unknown;
};

static struct counts counts[PHASES][MAX_CPUS];
static int nodes[MAX_CPUS], nr_cpus, phase;
static uint64_t rodata_start, rodata_end, ram_base;
static const char *ram_dir;
static FILE *out;
static bool arm64;

static void *must_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		abort();
	return p;
}

/* === Caches ============================================================== */

/* Least recently used: tags of a set, the last used one first. */
struct cache {
	unsigned int sets, ways;
	uint64_t *tags;
};

static struct cache l1i[MAX_CPUS], l1d[MAX_CPUS], l2[MAX_CPUS], llc[MAX_NODES];
static bool llc_shared;

static void cache_flush(struct cache *c)
{
	memset(c->tags, 0xff, (size_t)c->sets * c->ways * sizeof(*c->tags));
}

static void cache_init(struct cache *c, unsigned int bytes, unsigned int ways)
{
	c->ways = ways;
	c->sets = (bytes >> LINE_SHIFT) / ways;
	c->tags = must_alloc((size_t)c->sets * ways * sizeof(*c->tags));
	cache_flush(c);
}

/* Does a line miss?  It is there afterwards. */
static bool cache_miss(struct cache *c, uint64_t line)
{
	uint64_t *set = &c->tags[line % c->sets * c->ways];
	unsigned int i;
	bool miss;

	for (i = 0; i < c->ways - 1 && set[i] != line; i++)
		;
	miss = set[i] != line;
	memmove(set + 1, set, i * sizeof(*set));
	set[0] = line;
	return miss;
}

/* How many levels miss: 0 to 3. */
static unsigned int caches_miss(unsigned int cpu, struct cache *l1, uint64_t line)
{
	if (!cache_miss(l1, line))
		return 0;
	if (!cache_miss(&l2[cpu], line))
		return 1;
	return 2 + cache_miss(&llc[llc_shared ? 0 : nodes[cpu]], line);
}

/* === Memory ============================================================== */

/* A node's memory: where QEMU has it mapped, and where the guest has it. */
static struct memory {
	uint64_t start, end, base;
} memory[MAX_NODES];

static void read_memory(void)
{
	uint64_t start, end, base = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[4096], *path;
	size_t dir = strlen(ram_dir);
	int node;

	if (!maps)
		abort();
	while (fgets(line, sizeof(line), maps)) {
		path = strchr(line, '/');
		if (!path || strncmp(path, ram_dir, dir) ||
		    sscanf(path + dir, "/m%d", &node) != 1 ||
		    node < 0 || node >= MAX_NODES ||
		    sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2)
			continue;
		memory[node].start = start;
		memory[node].end = end;
	}
	fclose(maps);
	for (node = 0; node < MAX_NODES; node++) {
		memory[node].base = base;
		base += memory[node].end - memory[node].start;
	}
}

static int node_of_host(uint64_t host, uint64_t *line)
{
	int node;

	for (node = 0; node < MAX_NODES; node++)
		if (host >= memory[node].start && host < memory[node].end) {
			*line = (memory[node].base + host - memory[node].start) >> LINE_SHIFT;
			return node;
		}
	return UNKNOWN;
}

/*
 * With version 1 of the interface this is not the guest's address, but the sum of
 * the offset of the node's memory in all of QEMU's, of its offset in the guest's,
 * and of that within it: twice the base, and the rest.
 */
static int node_of_guest(uint64_t addr, uint64_t *line)
{
	uint64_t base, size;
	int node;

	if (QEMU_PLUGIN_API >= 3)
		addr -= ram_base;
	for (node = 0; node < MAX_NODES; node++) {
		base = memory[node].base * (QEMU_PLUGIN_API >= 3 ? 1 : 2);
		size = memory[node].end - memory[node].start;
		if (addr >= base && addr - base < size) {
			*line = (memory[node].base + addr - base) >> LINE_SHIFT;
			return node;
		}
	}
	return UNKNOWN;
}

/* === By address ========================================================== */

/* Lines of virtual addresses: fetches, or loads of read-only data or the table. */
struct place {
	struct place *next;
	uint64_t addr, n[2], missed[2];
};

#define BUCKETS	65536

static struct place *fetched[BUCKETS], *loaded[BUCKETS], *of_table[BUCKETS];

static struct place *place_of(struct place **table, uint64_t addr)
{
	struct place **bucket = &table[(addr >> LINE_SHIFT) % BUCKETS], *p;

	for (p = *bucket; p && p->addr != addr; p = p->next)
		;
	if (p)
		return p;
	p = must_alloc(sizeof(*p));
	p->addr = addr;
	p->next = *bucket;
	*bucket = p;
	return p;
}

/* === Fetches ============================================================= */

/* Instructions of a translated block in one line of memory. */
struct part {
	uint64_t line, n;
	int node;
	struct place *place;	/* NULL for user space */
};

struct block {
	unsigned int nr;
	struct part part[];
};

static void on_part(unsigned int cpu, const struct part *p, struct counts *c)
{
	bool away = p->node != nodes[cpu];
	unsigned int miss;

	if (p->node == UNKNOWN) {
		c->unknown += p->n;
		return;
	}
	miss = caches_miss(cpu, &l1i[cpu], p->line);
	if (!p->place) {
		c->user_fetch[away] += p->n;
		return;
	}
	c->fetch[away] += p->n;
	c->l1_miss[away] += miss > 0;
	c->l2_miss[away] += miss > 1;
	c->llc_miss[away] += miss > 2;
	p->place->n[away] += p->n;
	p->place->missed[away] += miss > 2;
}

static void on_block(unsigned int cpu, void *data)
{
	const struct block *b = data;
	unsigned int i;

	for (i = 0; phase && cpu < MAX_CPUS && i < b->nr; i++)
		on_part(cpu, &b->part[i], &counts[phase][cpu]);
}

/* === Loads and stores ==================================================== */

static void on_place(struct place *p, bool away, bool missed)
{
	p->n[away]++;
	p->missed[away] += missed;
}

static void on_rodata(uint64_t vaddr, bool away, bool missed, struct counts *c)
{
	c->rodata[away]++;
	c->rodata_llc_miss[away] += missed;
	on_place(place_of(loaded, vaddr >> LINE_SHIFT << LINE_SHIFT), away, missed);
}

/* Where the table is: first what was given, then contents of the object. */
static struct extent {
	uint64_t start, end;
} extents[2 + MAX_NODES];

/* The object, as we have it mapped. */
static const uint64_t *object;
static bool has_object;

/* As in linux/ktrepl.h, in words. */
#define OBJECT_SIZE	3
#define OBJECT_REPLICA	6

static bool within(const struct extent *e, uint64_t vaddr)
{
	return vaddr >= e->start && vaddr < e->end;
}

/* The first one to touch the object tells us where it is. */
static bool object_wanted(uint64_t vaddr)
{
	return has_object && !object && within(&extents[0], vaddr);
}

static void object_found(uint64_t vaddr, int node, uint64_t line)
{
	uint64_t at = (line << LINE_SHIFT) + vaddr % (1 << LINE_SHIFT) - memory[node].base;

	object = (const uint64_t *)(uintptr_t)(memory[node].start + at - (vaddr - extents[0].start));
}

static void object_read(void)
{
	size_t i;

	for (i = 1; object && i < sizeof(extents) / sizeof(extents[0]); i++) {
		extents[i].start = object[OBJECT_REPLICA + i - 1];
		extents[i].end = extents[i].start + object[OBJECT_SIZE];
	}
}

static bool in_table(uint64_t vaddr)
{
	size_t i;

	for (i = 0; i < sizeof(extents) / sizeof(extents[0]); i++)
		if (within(&extents[i], vaddr))
			return true;
	return false;
}

static void on_table(uint64_t vaddr, bool away, bool missed, struct counts *c)
{
	c->table[away]++;
	c->table_llc_miss[away] += missed;
	on_place(place_of(of_table, vaddr >> LINE_SHIFT << LINE_SHIFT), away, missed);
}

static void on_access(unsigned int cpu, uint32_t info, uint64_t vaddr, void *data)
{
	struct qemu_plugin_hwaddr *hwaddr;
	struct counts *c;
	bool away, missed;
	uint64_t line;
	int node;

	(void)data;
	if ((!phase && !object_wanted(vaddr)) || cpu >= MAX_CPUS)
		return;
	hwaddr = qemu_plugin_get_hwaddr(info, vaddr);
	if (!hwaddr || qemu_plugin_hwaddr_is_io(hwaddr))
		return;
	node = node_of_guest(qemu_plugin_hwaddr_phys_addr(hwaddr), &line);
	if (node == UNKNOWN)
		return;
	if (object_wanted(vaddr))
		object_found(vaddr, node, line);
	if (!phase)
		return;
	missed = caches_miss(cpu, &l1d[cpu], line) > 2;
	if (qemu_plugin_mem_is_store(info))
		return;
	c = &counts[phase][cpu];
	away = node != nodes[cpu];
	if (in_table(vaddr))
		on_table(vaddr, away, missed, c);
	if (vaddr >= rodata_start && vaddr < rodata_end)
		on_rodata(vaddr, away, missed, c);
	else if (vaddr < KERNEL)
		c->user_load[away]++;
}

/* === Phases ============================================================== */

static void on_phase(unsigned int cpu, void *data)
{
	uintptr_t next = (uintptr_t)data;

	if (next != PHASE_FLUSH) {
		phase = next;
		object_read();
		return;
	}
	if (cpu >= MAX_CPUS)
		return;
	cache_flush(&l1i[cpu]);
	cache_flush(&l1d[cpu]);
	cache_flush(&l2[cpu]);
	cache_flush(&llc[llc_shared ? 0 : nodes[cpu]]);
}

/* === Translation ========================================================= */

static void add_insn(struct block *b, const struct qemu_plugin_insn *insn)
{
	uint64_t vaddr = qemu_plugin_insn_vaddr(insn), line = 0;
	int node = node_of_host((uintptr_t)qemu_plugin_insn_haddr(insn), &line);
	struct part *p = b->nr ? &b->part[b->nr - 1] : NULL;

	if (p && p->node == node && p->line == line) {
		p->n++;
		return;
	}
	p = &b->part[b->nr++];
	p->line = line;
	p->node = node;
	p->n = 1;
	p->place = vaddr >= KERNEL ? place_of(fetched, vaddr >> LINE_SHIFT << LINE_SHIFT) : NULL;
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);
	struct block *b = must_alloc(sizeof(*b) + n * sizeof(*b->part));
	struct qemu_plugin_insn *insn;

	(void)id;
	if (!memory[0].end && !memory[1].end)
		read_memory();
	for (i = 0; i < n; i++) {
		insn = qemu_plugin_tb_get_insn(tb, i);
		add_insn(b, insn);
		qemu_plugin_register_vcpu_mem_cb(insn, on_access, 0, QEMU_PLUGIN_MEM_RW, NULL);
		watch_phase(insn, arm64, on_phase);
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, 0, b);
}

/* === Result ============================================================== */

static void print_places(const char *kind, struct place **table)
{
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		for (struct place *p = table[i]; p; p = p->next)
			if (p->n[0] || p->n[1])
				fprintf(out, "%s %" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64
					" %" PRIu64 "\n", kind, p->addr, p->n[0], p->n[1],
					p->missed[0], p->missed[1]);
}

static void at_exit(uint64_t id, void *data)
{
	static const struct counts none;
	const uint64_t *v;
	size_t i;
	int p, c;

	(void)id, (void)data;
	/* Members of struct counts, in their order. */
	for (p = 1; p < PHASES; p++)
		for (c = 0; c < nr_cpus; c++) {
			v = (const uint64_t *)&counts[p][c];
			if (!memcmp(v, &none, sizeof(none)))
				continue;
			fprintf(out, "cpu %d %d %d", p, c, nodes[c]);
			for (i = 0; i < sizeof(struct counts) / sizeof(*v); i++)
				fprintf(out, " %" PRIu64, v[i]);
			fputc('\n', out);
		}
	print_places("fetch", fetched);
	print_places("load", loaded);
	print_places("table", of_table);
	fclose(out);
}

static bool option(const char *arg)
{
	char *s;

	if (!strncmp(arg, "ram=", 4))
		ram_dir = strdup(arg + 4);
	else if (!strncmp(arg, "out=", 4))
		return (out = fopen(arg + 4, "w"));
	else if (!strncmp(arg, "base=", 5))
		ram_base = strtoull(arg + 5, NULL, 16);
	else if (!strncmp(arg, "rodata=", 7))
		return sscanf(arg + 7, "%" SCNx64 ":%" SCNx64, &rodata_start, &rodata_end) == 2;
	else if (!strncmp(arg, "table=", 6) || !strncmp(arg, "object=", 7)) {
		has_object = arg[0] == 'o';
		return sscanf(strchr(arg, '=') + 1, "%" SCNx64 ":%" SCNx64, &extents[0].start,
			      &extents[0].end) == 2;
	}
	else if (!strcmp(arg, "llc=shared") || !strcmp(arg, "llc=node"))
		llc_shared = arg[4] == 's';
	else if (!strncmp(arg, "cpus=", 5))
		for (s = strdup(arg + 5); (s = strtok(s, ":")) && nr_cpus < MAX_CPUS; s = NULL)
			nodes[nr_cpus++] = atoi(s);
	else
		return false;
	return true;
}

EXPORTED
int qemu_plugin_install(uint64_t id, const qemu_info_t *info, int argc, char **argv)
{
	int i;

	arm64 = !strcmp(info->target_name, "aarch64");
	for (i = 0; i < argc; i++)
		if (!option(argv[i])) {
			fprintf(stderr, "locality: bad argument '%s'\n", argv[i]);
			return 1;
		}
	if (!out || !ram_dir || !nr_cpus || !rodata_end) {
		fprintf(stderr, "locality: expected ram=DIR,cpus=NODE:NODE...,rodata=START:END,out=FILE\n");
		return 1;
	}
	for (i = 0; i < nr_cpus; i++) {
		cache_init(&l1i[i], 32 << 10, 8);
		cache_init(&l1d[i], 32 << 10, 8);
		cache_init(&l2[i], 1 << 20, 16);
	}
	for (i = 0; i < MAX_NODES; i++)
		cache_init(&llc[i], 32 << 20, 16);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, at_exit, NULL);
	return 0;
}
