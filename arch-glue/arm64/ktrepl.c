// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl glue for arm64.
 *
 * The kernel has one root table, in TTBR1.  A node root is a replica of it, in
 * a group that is laid out like that of swapper_pg_dir: entry code, KPTI and
 * software PAN find the tables next to the root by adding to TTBR1.
 *
 * A CPU changes roots by way of the identity map, with an empty root in between
 * and all of its TLB invalidated while that one is live, so what the two roots
 * map for an address may differ in size (blocks, the contiguous hint) as well
 * as in output address: no break-before-make is needed between roots.  Other
 * CPUs' TLBs do not matter: TTBR1 of a node root has CnP clear.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/arm_sdei.h>
#include <linux/cpu_pm.h>
#include <linux/execmem.h>
#include <linux/kprobes.h>
#include <linux/ktrepl_mm.h>
#include <linux/ktrepl_arch.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/set_memory.h>
#include <linux/sizes.h>
#include <linux/smp.h>

#include <asm/cacheflush.h>
#include <asm/fixmap.h>
#include <asm/insn.h>
#include <asm/memory.h>
#include <asm/mmu_context.h>
#include <asm/patching.h>
#include <asm/pgalloc.h>
#include <asm/pgtable.h>
#include <asm/sections.h>
#include <asm/tlbflush.h>
#include <asm/virt.h>

/* === Facts =============================================================== */

/* movz w0, #0; ret: an instruction is seen whole or not at all. */
asm(".pushsection .text, \"ax\"\n"
	".balign 64\n"
	".type arch_ktrepl_marker, @function\n"
	".globl arch_ktrepl_marker\n"
	"arch_ktrepl_marker:\n"
	"hint #34\n"		/* bti c */
	"movz w0, #0\n"
	"ret\n"
	".size arch_ktrepl_marker, . - arch_ktrepl_marker\n"
	".popsection\n");

u32 arch_ktrepl_marker_code(u32 val)
{
	/* Instructions are little-endian on any kernel. */
	return (__force u32)cpu_to_le32(0x52800000 | val << 5);
}

static struct ktrepl_arch_info ktrepl_arm64_info = {
	.marker = (u8 *)arch_ktrepl_marker + AARCH64_INSN_SIZE,
};

static void ktrepl_add_range(const char *name, enum ktrepl_kind kind,
			     unsigned long start, unsigned long end)
{
	struct ktrepl_arch_info *info = &ktrepl_arm64_info;

	if (start < end)
		info->ranges[info->nr_ranges++] = (struct ktrepl_range){
			.name = name, .kind = kind, .start = start, .end = end,
		};
}

/*
 * A range of the image, without what belongs to a protected hypervisor.
 * Inline, because these symbols are there with CONFIG_KVM only.
 */
static __always_inline void ktrepl_add_part(const char *name,
					    enum ktrepl_kind kind,
					    unsigned long start,
					    unsigned long end,
					    const char *hyp_start,
					    const char *hyp_end)
{
	unsigned long hyp = PAGE_ALIGN_DOWN((unsigned long)hyp_start);

	if (IS_ENABLED(CONFIG_KVM) && is_protected_kvm_enabled()) {
		/*
		 * The host's reading a page of EL2 is fatal, copying included.
		 */
		ktrepl_add_range(name, kind, start, hyp);
		start = PAGE_ALIGN((unsigned long)hyp_end);
	}
	ktrepl_add_range(name, kind, start, end);
}

/*
 * At the end of read-only data lie code that is never executed there (the
 * trampoline, which user and kernel tables must map to one and the same page,
 * and the identity map's), and the root tables, which are written through
 * their physical address and read by their virtual one.
 */
static unsigned long ktrepl_rodata_end(void)
{
#ifdef CONFIG_UNMAP_KERNEL_AT_EL0
	return (unsigned long)__entry_tramp_text_start;
#else
	return (unsigned long)idmap_pg_dir;
#endif
}

/*
 * Out of a low-power state a CPU comes on swapper_pg_dir.  Retention states
 * leave it where it was.
 */
static int ktrepl_cpu_pm_notify(struct notifier_block *nb, unsigned long event,
				void *unused)
{
	if (event == CPU_PM_EXIT)
		arch_ktrepl_attach();
	return NOTIFY_OK;
}

static struct notifier_block ktrepl_cpu_pm_nb = {
	.notifier_call = ktrepl_cpu_pm_notify,
};

/**
 * ktrepl_execmem_near - have executable memory where nodes have tables of their own
 * @range: where it may be
 * @start: first of the 2 GiB of addresses around the image that modules may have,
 *	   or 0
 *
 * What finds no room there is at the addresses of @range, and is not replicated.
 */
void __init ktrepl_execmem_near(struct execmem_range *range, unsigned long start)
{
	if (!start)
		return;
	range->fallback_start = range->start;
	range->fallback_end = range->end;
	range->start = start;
	range->end = start + SZ_2G;
}

const struct ktrepl_arch_info *arch_ktrepl_setup(void)
{
	struct ktrepl_arch_info *info = &ktrepl_arm64_info;

	if (!rodata_enabled) {
		info->refuse = "kernel text is not write-protected (rodata=off)";
		return info;
	}
	if (!can_set_direct_map()) {
		info->refuse = "replicas cannot be write-protected (rodata=on)";
		return info;
	}
	ktrepl_add_part("image-text", KTREPL_TEXT, (unsigned long)_stext,
			(unsigned long)_etext, __hyp_idmap_text_start,
			__hyp_text_end);
	ktrepl_add_part("image-rodata", KTREPL_RODATA,
			(unsigned long)__start_rodata, ktrepl_rodata_end(),
			__hyp_rodata_start, __hyp_rodata_end);
	/*
	 * The 2 GiB that module_init_limits() chooses, and ktrepl_execmem_near() is
	 * told of, are around the image, or end with it: then nothing behind its
	 * read-only data is replicated, and the areas of vmalloc() follow the image.
	 */
	info->lowest = ALIGN_DOWN((unsigned long)_end - SZ_2G, PMD_SIZE);
	info->highest = ALIGN(kaslr_enabled() ? (unsigned long)_text + SZ_2G :
						ktrepl_rodata_end(), PMD_SIZE);
	cpu_pm_register_notifier(&ktrepl_cpu_pm_nb);
	return info;
}

/* === Writing ============================================================= */

unsigned long arch_ktrepl_lock(void)
	__acquires(&patch_lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&patch_lock, flags);
	return flags;
}

void arch_ktrepl_unlock(unsigned long flags)
	__releases(&patch_lock)
{
	raw_spin_unlock_irqrestore(&patch_lock, flags);
}

void arch_ktrepl_poke(void *addr, const void *src, size_t len)
{
	if (core_kernel_text((unsigned long)addr) &&
	    IS_ALIGNED((unsigned long)addr, AARCH64_INSN_SIZE))
		aarch64_insn_copy(addr, (void *)src, len);
	else
		ktrepl_poke_pages(addr, src, len);
}

static void ktrepl_write_piece(phys_addr_t pa, const void *src, size_t len)
{
	unsigned long flags = arch_ktrepl_lock();
	void *alias = (void *)set_fixmap_offset(FIX_TEXT_POKE0, pa);

	/* Not instrumented: redzones in read-only data are copied as well. */
	__memcpy(alias, src, len);
	sync_icache_aliases((unsigned long)alias, (unsigned long)alias + len);
	clear_fixmap(FIX_TEXT_POKE0);
	arch_ktrepl_unlock(flags);
}

/* Cache maintenance is an instruction a line. */
void arch_ktrepl_write(struct page *page, unsigned int off, const void *src,
		       size_t len)
{
	phys_addr_t pa = page_to_phys(page) + off;
	size_t part;

	for (; len; pa += part, src += part, len -= part) {
		part = min_t(size_t, len, SZ_512 - (pa & (SZ_512 - 1)));
		ktrepl_write_piece(pa, src, part);
	}
}

/* Instruction caches are up to date; pipelines are behind an exception. */
void arch_ktrepl_sync(void)
{
	kick_all_cpus_sync();
	isb();
}

void arch_ktrepl_sync_alias(unsigned long start, unsigned long end)
{
	sync_icache_aliases(start, end);
}

static noinline void ktrepl_sync_each(unsigned long alias, unsigned long end, size_t len)
{
	for (; alias != end; alias -= PAGE_SIZE)
		sync_icache_aliases(alias, alias + len);
}

NOKPROBE_SYMBOL(ktrepl_sync_each);

/**
 * arch_ktrepl_sync_targets - make instruction caches follow what a poke has written
 * @alias: where the first target has been written
 * @nr:    number of targets, one or more; the alias of each is a page below the
 *	   one before
 * @len:   number of bytes
 *
 * As sync_icache_aliases() for each of them.  An instruction lies in one line of
 * any cache: all lines are cleaned, then invalidated, with one barrier each.
 *
 * Context: As for ktrepl_poke_first().
 */
void notrace arch_ktrepl_sync_targets(unsigned long alias, unsigned int nr, size_t len)
{
	unsigned long end = alias - nr * PAGE_SIZE, line;

	if (unlikely(len > AARCH64_INSN_SIZE || icache_is_aliasing())) {
		ktrepl_sync_each(alias, end, len);
		return;
	}
	if (!alternative_has_cap_unlikely(ARM64_HAS_CACHE_IDC)) {
		line = alias;
		do {
			asm volatile(ALTERNATIVE("dc cvau, %0", "dc civac, %0",
						 ARM64_WORKAROUND_CLEAN_CACHE)
				     : : "r" (line) : "memory");
		} while ((line -= PAGE_SIZE) != end);
	}
	dsb(ish);
	if (!alternative_has_cap_unlikely(ARM64_HAS_CACHE_DIC)) {
		line = alias;
		do {
			asm volatile("ic ivau, %0" : : "r" (line) : "memory");
		} while ((line -= PAGE_SIZE) != end);
		dsb(ish);
	}
	isb();
}

NOKPROBE_SYMBOL(arch_ktrepl_sync_targets);

static int ktrepl_protect_pte(pte_t *ptep, unsigned long addr, void *ro)
{
	pte_t pte = __ptep_get(ptep);

	pte = ro ? clear_pte_bit(set_pte_bit(pte, __pgprot(PTE_RDONLY)),
				 __pgprot(PTE_WRITE)) :
		   clear_pte_bit(set_pte_bit(pte, __pgprot(PTE_WRITE)),
				 __pgprot(PTE_RDONLY));
	__set_pte(ptep, pte);
	return 0;
}

/* By page: see arch_ktrepl_setup(), as a live block cannot be split. */
int arch_ktrepl_protect(struct page *page, unsigned int nr, bool ro)
{
	unsigned long addr = (unsigned long)page_address(page);
	unsigned long size = (unsigned long)nr << PAGE_SHIFT;
	int err;

	err = apply_to_page_range(&init_mm, addr, size, ktrepl_protect_pte,
				  ro ? &init_mm : NULL);
	flush_tlb_kernel_range(addr, addr + size);
	return err;
}

/* === Roots =============================================================== */

static_assert(TRAMP_SWAPPER_OFFSET == 2 * PAGE_SIZE);
static_assert(RESERVED_SWAPPER_OFFSET == PAGE_SIZE);

pgd_t *arch_ktrepl_root_alloc(int nid, pgd_t *from)
{
	struct page *page;
	void *group;

	/* Naturally aligned: phys_to_ttbr() of no page in it carries over. */
	page = alloc_pages_node(nid, GFP_PGTABLE_KERNEL | __GFP_THISNODE |
				__GFP_NOWARN, KTREPL_ROOT_ORDER);
	if (!page)
		return NULL;
	group = page_address(page);
#ifdef CONFIG_UNMAP_KERNEL_AT_EL0
	/* The tables below it, and the trampoline's pages, stay shared. */
	copy_page(group + PAGE_SIZE, lm_alias(tramp_pg_dir));
#endif
	/* The reserved table is empty, and the core copies the root. */
	return group + 3 * PAGE_SIZE;
}

static struct page *ktrepl_root_group(pgd_t *root)
{
	return virt_to_page((void *)root - 3 * PAGE_SIZE);
}

void arch_ktrepl_root_free(pgd_t *root)
{
	struct page *group = ktrepl_root_group(root);

	/* A page that stayed read-only would kill its next owner. */
	if (!WARN_ON_ONCE(arch_ktrepl_protect(group, 1 << KTREPL_ROOT_ORDER,
					      false)))
		__free_pages(group, KTREPL_ROOT_ORDER);
}

/*
 * Nothing but TTBR1's tables maps the image.  A root is read-only from here on,
 * like swapper_pg_dir; tables below are not, in the primary neither.
 */
int arch_ktrepl_node_finish(int nid, pgd_t *root)
{
	return arch_ktrepl_protect(ktrepl_root_group(root),
				   1 << KTREPL_ROOT_ORDER, true);
}

/* Each leaf is in one place. */
void arch_ktrepl_leaf_sync(pgd_t *root, unsigned long addr)
{
}

/*
 * Not by set_pmd() and the like, which tell of stores to tables: a clone may be
 * in a page that has been a table of the primary, and our caller holds the
 * locks. A root is written like swapper_pg_dir, through the slot that
 * patch_lock keeps.
 */
void arch_ktrepl_store(pgd_t *root, void *entry, u64 val)
{
	phys_addr_t pa = virt_to_phys(entry);
	bool is_root = !((pa ^ virt_to_phys(root)) & PAGE_MASK);

	lockdep_assert_held(&patch_lock);

	if (is_root)
		entry = (void *)set_fixmap_offset(FIX_TEXT_POKE0, pa);
	WRITE_ONCE(*(u64 *)entry, val);
	/* Walkers see it before the next access, as after set_pmd(). */
	dsb(ishst);
	isb();
	if (is_root)
		clear_fixmap(FIX_TEXT_POKE0);
}

static pgd_t *ktrepl_ttbr_root(u64 ttbr)
{
	phys_addr_t pa = ttbr & GENMASK_ULL(47, PAGE_SHIFT);

	if (IS_ENABLED(CONFIG_ARM64_PA_BITS_52))
		pa |= (ttbr & GENMASK_ULL(5, 2)) << 46;
	return __va(pa);
}

pgd_t *arch_ktrepl_cpu_root(void)
{
	return ktrepl_ttbr_root(read_sysreg(ttbr1_el1));
}

void arch_ktrepl_attach(void)
{
	/*
	 * The driver of SDEI has events masked on a CPU that is not online: it
	 * masks them before a CPU's dying callbacks and opens them after the
	 * starting ones (CPUHP_AP_ONLINE_DYN).  On all others they are open.
	 */
	bool sdei = cpu_online(smp_processor_id());
	pgd_t *root = ktrepl_cpu_root();
	bool primary = root == lm_alias(swapper_pg_dir);

	/* By physical address: KASAN may have tagged the linear one. */
	if (virt_to_phys(arch_ktrepl_cpu_root()) == virt_to_phys(root))
		return;
	/* An SDEI event would come in while nothing is mapped. */
	if (sdei)
		sdei_mask_local_cpu();
	/* A TLB that other CPUs fill is of use for the primary only. */
	__cpu_replace_ttbr1(root, primary && system_supports_cnp());
	post_ttbr_update_workaround();
	if (sdei)
		sdei_unmask_local_cpu();
}

/*
 * A new output address needs no break-before-make while both pages are equal
 * and read-only. They stay equal until the next poke, before which this comes.
 */
void arch_ktrepl_flush_pages(unsigned long start, unsigned long end)
{
	flush_tlb_kernel_range(start, end);
}

bool arch_ktrepl_translates(unsigned long addr, unsigned long pfn)
{
	u64 ttbr = read_sysreg(ttbr1_el1), par;
	unsigned long flags;

	/* CPUs that share TLB entries by CnP promise to have one root. */
	if (ttbr & TTBR_CNP_BIT &&
	    ktrepl_ttbr_root(ttbr) != lm_alias(swapper_pg_dir))
		return false;
	local_irq_save(flags);
	asm volatile("at s1e1r, %0" : : "r" (addr));
	isb();
	par = read_sysreg_par();
	local_irq_restore(flags);
	return !(par & SYS_PAR_EL1_F) &&
	       (par & GENMASK_ULL(51, 12)) >> PAGE_SHIFT == pfn;
}
