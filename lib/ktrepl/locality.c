// SPDX-License-Identifier: GPL-2.0
/*
 * Where does each CPU fetch its text from?
 *
 * Execution proof: a different constant is written into a marker function, and
 * into a marker in read-only data, in each replica and the primary, behind the
 * back of the poke.  What a CPU returns then names the replica that it has
 * really fetched, whatever its page tables say.  One ordinary poke must make
 * all replicas equal again.
 *
 * Walk proof: on each CPU, from the root that the hardware uses, every leaf of
 * every region is the one that it should be, with the protection of the
 * primary's leaf, and no larger.  Where the architecture can tell, the
 * hardware's own translation is compared as well.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/smp.h>

#include "internal.h"

#define KTREPL_MARK_MASTER	0x7fff
#define KTREPL_MARK_NODE(nid)	((nid) + 1)

static const u32 ktrepl_marker_rodata ____cacheline_aligned;

/* Leaves that a CPU looks at before it lets interrupts in again. */
#define KTREPL_WHERE_STEP	32

/**
 * struct ktrepl_locality_marks - what one CPU has fetched
 * @text:   mark fetched as an instruction
 * @rodata: mark read
 * @root:   node of its root table
 */
struct ktrepl_locality_marks {
	u32 text;
	u32 rodata;
	int root;
};

/**
 * struct ktrepl_locality_walk - how far one CPU has come in one region
 * @region: the region
 * @addr: first address that has not been looked at, or has a wrong leaf
 * @ok:   the latter is not so
 */
struct ktrepl_locality_walk {
	const struct ktrepl_region *region;
	unsigned long addr;
	bool ok;
};

/* Is the leaf at an address the one that it should be? Then on to the next. */
static bool ktrepl_leaf_ok(pgd_t *root, const struct ktrepl_region *region, int nid,
			   unsigned long *addr)
{
	unsigned long index = ktrepl_region_index(region, *addr);
	struct ktrepl_mapping w, m;
	struct page *page;

	if (!ktrepl_walk(root, *addr, nid, &w) ||
	    !ktrepl_walk(ktrepl_primary_root(), *addr, nid, &m))
		return false;
	if (w.size < m.size)
		m.prot = arch_ktrepl_split_prot(m.prot);
	page = nid == NUMA_NO_NODE || test_bit(index, region->stale) ?
		NULL : ktrepl_region_replica(region, nid, index);
	if (w.size > m.size || pgprot_val(w.prot) != pgprot_val(m.prot) ||
	    w.pfn != (page ? page_to_pfn(page) : m.pfn))
		return false;
	if (!arch_ktrepl_translates(*addr, w.pfn))
		return false;
	if (page && (w.remote || page_to_nid(page) != nid))
		return false;
	*addr = ALIGN(*addr + 1, w.size);
	return true;
}

/* The node whose leaves a root has; NUMA_NO_NODE: the primary's. */
static int ktrepl_root_nid(pgd_t *root)
{
	unsigned long text = (unsigned long)ktrepl_info->marker;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid] && ktrepl_nodes[nid]->root &&
		    pgd_val(*pgd_offset_pgd(ktrepl_nodes[nid]->root, text)) ==
		    pgd_val(*pgd_offset_pgd(root, text)))
			return nid;
	return NUMA_NO_NODE;
}

/* Runs on the CPU, from an IPI. */
static void ktrepl_locality_marks_cpu(void *data)
{
	struct ktrepl_locality_marks *marks = data;

	marks->text = arch_ktrepl_marker();
	marks->rodata = READ_ONCE(ktrepl_marker_rodata);
	marks->root = page_to_nid(virt_to_page(arch_ktrepl_cpu_root()));
}

/* Likewise.  A user process may have moved here meanwhile, with its root. */
static void ktrepl_locality_walk_cpu(void *data)
{
	struct ktrepl_locality_walk *walk = data;
	pgd_t *root = arch_ktrepl_cpu_root();
	int nid = ktrepl_root_nid(root), left = KTREPL_WHERE_STEP;

	walk->ok = true;
	while (left-- && walk->ok && walk->addr < walk->region->end)
		walk->ok = ktrepl_leaf_ok(root, walk->region, nid, &walk->addr);
}

/*
 * Protections may be changing: what is wrong then is right a moment later.  An
 * area that is not dying stays mapped while ktrepl_execmem_mutex is held, and
 * replicas stay listed while ktrepl_mutex is.
 */
static bool ktrepl_locality_region(int cpu, const struct ktrepl_region *region)
{
	struct ktrepl_locality_walk walk = { .region = region, .addr = region->start };
	int tries = 5, err;

	while (walk.addr < region->end) {
		walk.ok = true;
		ktrepl_execmem_lock();
		err = region->dying ? -ENOENT :
			smp_call_function_single(cpu, ktrepl_locality_walk_cpu,
						 &walk, true);
		ktrepl_execmem_unlock();
		if (err)
			break;
		if (walk.ok)
			continue;
		if (!--tries)
			return false;
		msleep(20);
	}
	return true;
}

static bool ktrepl_locality_walk(int cpu)
{
	struct ktrepl_region *region, *execmem;
	bool ok = true;

	list_for_each_entry(region, &ktrepl_regions, list)
		if (region->mapped)
			ok &= ktrepl_locality_region(cpu, region);
	ktrepl_for_each_execmem(execmem)
		ok &= ktrepl_locality_region(cpu, execmem);
	return ok;
}

/* Writes a different mark into the primary and each replica, one by one. */
static void ktrepl_mark(unsigned long addr, u32 (*code)(u32 val))
{
	struct ktrepl_region *region = ktrepl_region_find(addr);
	struct page *replica;
	u32 mark;
	int nid;

	mark = code(KTREPL_MARK_MASTER);
	arch_ktrepl_write(ktrepl_primary_page(addr), offset_in_page(addr),
			  &mark, sizeof(mark));
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		replica = ktrepl_region_replica(region, nid, ktrepl_region_index(region, addr));
		if (!replica)
			continue;
		mark = code(KTREPL_MARK_NODE(nid));
		arch_ktrepl_write(replica, offset_in_page(addr), &mark,
				  sizeof(mark));
	}
}

static u32 ktrepl_mark_plain(u32 val)
{
	return val;
}

/* One ordinary poke; then all replicas hold what the primary holds? */
static bool ktrepl_heal(unsigned long addr, u32 val)
{
	struct ktrepl_region *region = ktrepl_region_find(addr);
	unsigned int off = offset_in_page(addr);
	struct page *replica;
	bool same = true;
	int nid;

	arch_ktrepl_poke((void *)addr, &val, sizeof(val));
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		replica = ktrepl_region_replica(region, nid, ktrepl_region_index(region, addr));
		if (replica)
			same &= !memcmp(page_address(replica) + off, &val,
					sizeof(val));
	}
	return same;
}

static int ktrepl_mark_nid(u32 mark, unsigned long addr)
{
	if (mark == KTREPL_MARK_MASTER)
		return page_to_nid(ktrepl_primary_page(addr));
	return mark - KTREPL_MARK_NODE(0);
}

/* Replicas differ for the time of one IPI only: then others may patch text. */
static int ktrepl_locality_marks(int cpu, struct ktrepl_locality_marks *marks,
				 bool *healed)
{
	unsigned long text = (unsigned long)ktrepl_info->marker;
	unsigned long rodata = (unsigned long)&ktrepl_marker_rodata;
	u32 code;
	int err;

	mutex_lock(&text_mutex);
	code = *(u32 *)text;
	ktrepl_mark(text, arch_ktrepl_marker_code);
	ktrepl_mark(rodata, ktrepl_mark_plain);
	arch_ktrepl_sync();
	err = smp_call_function_single(cpu, ktrepl_locality_marks_cpu, marks,
				       true);
	*healed &= ktrepl_heal(text, code);
	*healed &= ktrepl_heal(rodata, 0);
	arch_ktrepl_sync();
	mutex_unlock(&text_mutex);
	return err;
}

/**
 * ktrepl_locality_show - prove for each CPU which node it executes from
 * @m: where to write
 *
 * Context: Process context, cpus_read_lock and ktrepl_mutex held; takes
 * text_mutex for one CPU after the other.
 */
void ktrepl_locality_show(struct seq_file *m)
{
	unsigned long text = (unsigned long)ktrepl_info->marker;
	unsigned long rodata = (unsigned long)&ktrepl_marker_rodata;
	struct ktrepl_locality_marks marks;
	bool healed = true;
	int cpu;

	lockdep_assert_held(&ktrepl_mutex);

	if (!text || !ktrepl_region_find(text) || !ktrepl_region_find(rodata))
		return;

	for_each_online_cpu(cpu) {
		if (ktrepl_locality_marks(cpu, &marks, &healed))
			continue;
		seq_printf(m, "cpu %d node %d expect %d text %d rodata %d root %d walk %s\n",
			   cpu, ktrepl_cpu_node(cpu),
			   ktrepl_node_now(ktrepl_cpu_node(cpu)),
			   ktrepl_mark_nid(marks.text, text),
			   ktrepl_mark_nid(marks.rodata, rodata), marks.root,
			   ktrepl_locality_walk(cpu) ? "ok" : "bad");
	}
	seq_printf(m, "healed %s\n", healed ? "yes" : "no");
}
