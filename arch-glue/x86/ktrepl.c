// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl glue for x86_64.
 *
 * The image lies in PGD entry 511, which no user mm changes.  In the root group
 * of an mm (8 KiB with page table isolation: kernel half and user half) this
 * entry leads to the tables of a node.  A node root is a replica of a root
 * group in which it leads to those of another one.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/efi.h>
#include <linux/ktrepl_mm.h>
#include <linux/ktrepl_arch.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/set_memory.h>

#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/hypervisor.h>
#include <asm/ibt.h>
#include <asm/nospec-branch.h>
#include <asm/paravirt.h>
#include <asm/pgalloc.h>
#include <asm/pgtable.h>
#include <asm/sections.h>
#include <asm/text-patching.h>
#include <asm/tlbflush.h>

/* === Facts =============================================================== */

/*
 * mov $imm32, %eax; ret, with the operand naturally aligned: one store of it is
 * seen whole or not at all. A plain return, so that replicas of the code work
 * elsewhere, too.
 */
asm(".pushsection .text, \"ax\"\n"
	".balign 64\n"
	".type arch_ktrepl_marker, @function\n"
	".globl arch_ktrepl_marker\n"
	"arch_ktrepl_marker:\n"
	ASM_ENDBR
	"nopl (%rax)\n"
	"mov $0, %eax\n"
	ANNOTATE_RETPOLINE_SAFE
	"ret\n"
	"int3\n"
	".size arch_ktrepl_marker, . - arch_ktrepl_marker\n"
	".popsection\n");

u32 arch_ktrepl_marker_code(u32 val)
{
	return val;
}

static const char *ktrepl_refuse(void)
{
	if (!rodata_enabled)
		return "kernel text is not write-protected (rodata=off)";
	if (cpu_feature_enabled(X86_FEATURE_XENPV))
		return "Xen PV guests have page tables of their own";
	/* They name the address space to flush by the physical mm->pgd. */
	if (hypervisor_is_type(X86_HYPER_MS_HYPERV))
		return "Hyper-V flushes TLBs by the root of the mm";
	return NULL;
}

/*
 * A CPU has translations of several roots cached: global ones, those of other
 * PCIDs, of an mm that had to do without a node root, and of EFI's.  Where they
 * differ in nothing but the page frame, and the pages are equal and read-only,
 * either will do.  With different sizes as well the SDM leaves undefined what
 * happens (volume 3A, "TLBs may contain both ordinary and large-page
 * translations"), and some processors raise a machine check
 * (Documentation/admin-guide/hw-vuln/multihit.rst): leaves keep their size.
 */
static struct ktrepl_arch_info ktrepl_x86_info = {
	.nr_ranges = 2,
	.keep_leaves = true,
	.text_mutex = true,
};

const struct ktrepl_arch_info *arch_ktrepl_setup(void)
{
	struct ktrepl_arch_info *info = &ktrepl_x86_info;
	u8 *marker = (u8 *)arch_ktrepl_marker;

	info->refuse = ktrepl_refuse();
	/*
	 * What a node's own entry of the root covers; vmalloc space is below.
	 */
	info->lowest = __START_KERNEL_map & PGDIR_MASK;
	/* It is data: not to be taken for a jump past the ENDBR. */
	OPTIMIZER_HIDE_VAR(marker);
	info->marker = marker + ENDBR_INSN_SIZE + 4;

	/*
	 * Text ends where a 2 MiB leaf does.  The padding behind read-only data
	 * has been made writable and given back to the page allocator, and its
	 * last leaf split for that.
	 */
	info->ranges[0] = (struct ktrepl_range){
		.name = "image-text", .kind = KTREPL_TEXT,
		.start = (unsigned long)_text,
		.end = PFN_ALIGN(_etext),
	};
	info->ranges[1] = (struct ktrepl_range){
		.name = "image-rodata", .kind = KTREPL_RODATA,
		.start = (unsigned long)__start_rodata,
		.end = PFN_ALIGN(__end_rodata),
	};
	return info;
}

/* === Writing ============================================================= */

void arch_ktrepl_poke(void *addr, const void *src, size_t len)
{
	/* text_poke() looks for all that is not text in the module range. */
	if (core_kernel_text((unsigned long)addr) ||
	    is_vmalloc_or_module_addr(addr))
		text_poke_copy_locked(addr, src, len, true);
	else
		ktrepl_poke_pages(addr, src, len);
}

void arch_ktrepl_write(struct page *page, unsigned int off, const void *src,
		       size_t len)
{
	text_poke_page(page, off, src, len);
}

void arch_ktrepl_sync(void)
{
	text_poke_sync();
}

/* Instruction caches see stores by any alias. */
void arch_ktrepl_sync_alias(unsigned long start, unsigned long end)
{
}

int arch_ktrepl_protect(struct page *page, unsigned int nr, bool ro)
{
	unsigned long addr = (unsigned long)page_address(page);

	return ro ? set_memory_ro(addr, nr) : set_memory_rw(addr, nr);
}

/* === Roots =============================================================== */

pgd_t *arch_ktrepl_root_alloc(int nid, pgd_t *from)
{
	struct page *page;
	pgd_t *root;

	/*
	 * All of it is overwritten.  Spare roots are no process's: ktrepl
	 * accounts for them, no memory cgroup and no mm_pgtables_bytes() does.
	 */
	page = alloc_pages_node(nid, GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN,
				PGD_ALLOCATION_ORDER);
	if (!page)
		return NULL;
	root = page_address(page);

	/*
	 * On pgd_list the kernel entries are kept up to date from now on, like
	 * those of any other root.  The mm only says whose page_table_lock is
	 * to be taken; the root may go from one mm to the next.
	 */
	spin_lock(&pgd_lock);
	memcpy(root, from, PAGE_SIZE << PGD_ALLOCATION_ORDER);
	virt_to_ptdesc(root)->pt_mm = &init_mm;
	list_add(&virt_to_ptdesc(root)->pt_list, &pgd_list);
	spin_unlock(&pgd_lock);
	return root;
}

void arch_ktrepl_root_free(pgd_t *root)
{
	spin_lock(&pgd_lock);
	list_del(&virt_to_ptdesc(root)->pt_list);
	spin_unlock(&pgd_lock);
	free_pages((unsigned long)root, PGD_ALLOCATION_ORDER);
}

/*
 * Entries of user space come in groups.  Most processes use one or three of
 * 16: a fill reads all entries of the mm, and writes only the groups that the
 * mm uses, or that somebody has used before.
 */
#define KTREPL_USER_ENTRIES	(PTRS_PER_PGD / 2)
#define KTREPL_USER_GROUPS	16
#define KTREPL_GROUP_ENTRIES	(KTREPL_USER_ENTRIES / KTREPL_USER_GROUPS)

/* The groups in which any entry is set. */
static unsigned long ktrepl_used_groups(const pgd_t *pgd)
{
	unsigned long used = 0;
	unsigned int i, k;

	for (i = 0; i < KTREPL_USER_GROUPS; i++) {
		pgdval_t any = 0;

#pragma GCC unroll 16
		for (k = 0; k < KTREPL_GROUP_ENTRIES; k++)
			/*
			 * Plain loads, which the compiler can combine: who
			 * stores to an entry meanwhile repeats that in the root.
			 */
			any |= data_race(pgd_val(*pgd++));
		if (any)
			used |= BIT(i);
	}
	return used;
}

/*
 * Entry by entry: a store to @src that happens meanwhile is repeated in @dst
 * soon, but until then the CPU must not see one half done.
 */
static void ktrepl_copy_entries(pgd_t *dst, const pgd_t *src, unsigned long groups)
{
	unsigned int i, k;

	for_each_set_bit(i, &groups, KTREPL_USER_GROUPS) {
#pragma GCC unroll 16
		for (k = i * KTREPL_GROUP_ENTRIES; k < (i + 1) * KTREPL_GROUP_ENTRIES; k++)
			WRITE_ONCE(dst[k], READ_ONCE(src[k]));
	}
	/* Per mm, too, with page table isolation. */
	i = pgd_index(LDT_BASE_ADDR);
	WRITE_ONCE(dst[i], READ_ONCE(src[i]));
}

void arch_ktrepl_root_fill(pgd_t *root, const pgd_t *from, unsigned long *used)
{
	unsigned long now = ktrepl_used_groups(from), groups = now | *used;

	ktrepl_copy_entries(root, from, groups);
	/*
	 * Entries of the user's half follow those of the kernel's.  Who has
	 * stored the first of the two by now repeats both later.
	 */
	if (cpu_feature_enabled(X86_FEATURE_PTI))
		ktrepl_copy_entries(kernel_to_user_pgdp(root),
				    kernel_to_user_pgdp((pgd_t *)from), groups);
	*used = now;
}

/* Stores through a pointer into either half may have changed both. */
void arch_ktrepl_root_sync(pgd_t *root, const pgd_t *from, const void *entry,
			   unsigned long *used)
{
	unsigned int i = offset_in_page(entry) / sizeof(pgd_t);

	/*
	 * With five levels, p4d_populate() tells of the tables below as well.
	 */
	if (PTR_ALIGN_DOWN(entry, PAGE_SIZE) != from)
		return;
	*used |= BIT(i / KTREPL_GROUP_ENTRIES);
	WRITE_ONCE(root[i], from[i]);
	if (cpu_feature_enabled(X86_FEATURE_PTI))
		WRITE_ONCE(*kernel_to_user_pgdp(root + i),
			   *kernel_to_user_pgdp((pgd_t *)from + i));
}

/* EFI runtime services have tables of their own there. */
bool arch_ktrepl_root_fixed(const struct mm_struct *mm)
{
	return IS_ENABLED(CONFIG_EFI) && mm == &efi_mm;
}

/* Both halves; CPUs look at the kernel's for where the root leads to. */
void arch_ktrepl_root_lead(pgd_t *root, const pgd_t *from)
{
	const unsigned int i = KTREPL_PGD_INDEX;

	if (cpu_feature_enabled(X86_FEATURE_PTI))
		WRITE_ONCE(*kernel_to_user_pgdp(root + i),
			   *kernel_to_user_pgdp((pgd_t *)from + i));
	WRITE_ONCE(root[i], from[i]);
}

/* The MMU ignores the bit, and the entry is equal to that of no node. */
void arch_ktrepl_root_mark(pgd_t *root)
{
	WRITE_ONCE(root[KTREPL_PGD_INDEX],
		   __pgd(arch_ktrepl_root_top(root) | _PAGE_SOFTW1));
}

void arch_ktrepl_each_mm(void (*fn)(struct mm_struct *mm, void *data),
			 void *data)
{
	struct ptdesc *pt;

	/* An mm stays while its root is listed. */
	spin_lock(&pgd_lock);
	list_for_each_entry(pt, &pgd_list, pt_list)
		if (pt->pt_mm != &init_mm)
			fn(pt->pt_mm, data);
	spin_unlock(&pgd_lock);
}

pgd_t *arch_ktrepl_cpu_root(void)
{
	return __va(read_cr3_pa());
}

/* === The user half ======================================================= */

static pmd_t *ktrepl_pmd_page(pgd_t *pgd, unsigned long addr)
{
	p4d_t *p4d = p4d_offset(pgd, addr);
	pud_t *pud;

	if (p4d_none(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	return pud_none(*pud) ? NULL : pud_pgtable(*pud);
}

/* Gives the user half of a node's root tables of its own, down to PMDs. */
static int ktrepl_user_clone(int nid, pgd_t *pgd, unsigned long addr)
{
	p4d_t *p4d;
	pud_t *pud;
	void *new;

	if (pgtable_l5_enabled()) {
		new = ktrepl_table_clone(nid, (void *)pgd_page_vaddr(*pgd));
		if (!new)
			return -ENOMEM;
		WRITE_ONCE(*pgd, __pgd(arch_ktrepl_table_entry(pgd_val(*pgd),
							       __pa(new))));
	}
	p4d = p4d_offset(pgd, addr);
	new = ktrepl_table_clone(nid, p4d_pgtable(*p4d));
	if (!new)
		return -ENOMEM;
	WRITE_ONCE(*p4d, __p4d(arch_ktrepl_table_entry(p4d_val(*p4d),
						       __pa(new))));
	pud = pud_offset(p4d, addr);
	new = ktrepl_table_clone(nid, pud_pgtable(*pud));
	if (!new)
		return -ENOMEM;
	set_pud(pud, __pud(arch_ktrepl_table_entry(pud_val(*pud), __pa(new))));
	return 0;
}

/*
 * With page table isolation the user half maps entry text, from tables of its
 * own, with the same PMD entries as the kernel half and marked global in both:
 * each node needs these to be its own, or there were two different global
 * translations for an address.
 *
 * Roots of mms have the entry that leads there: a node that has tables keeps
 * them when its leaves are installed anew.
 */
int arch_ktrepl_node_finish(int nid, pgd_t *root)
{
	pgd_t *m_pgd = kernel_to_user_pgdp(init_mm.pgd + KTREPL_PGD_INDEX);
	pgd_t *n_pgd = kernel_to_user_pgdp(root + KTREPL_PGD_INDEX);
	unsigned long addr = (unsigned long)_text & PUD_MASK;
	pmd_t *kernel, *primary, *user;
	int i, err;

	if (!cpu_feature_enabled(X86_FEATURE_PTI) || pgd_none(*m_pgd))
		return 0;
	primary = ktrepl_pmd_page(m_pgd, addr);
	if (!primary)
		return 0;
	if (pgd_val(*n_pgd) == pgd_val(*m_pgd)) {
		err = ktrepl_user_clone(nid, n_pgd, addr);
		if (err)
			return err;
	}

	kernel = ktrepl_pmd_page(root + KTREPL_PGD_INDEX, addr);
	user = ktrepl_pmd_page(n_pgd, addr);
	for (i = 0; i < PTRS_PER_PMD; i++)
		if (pmd_leaf(primary[i]))
			set_pmd(&user[i], kernel[i]);
	return 0;
}

/* The user half has the leaf by value, from arch_ktrepl_node_finish(). */
void arch_ktrepl_leaf_sync(pgd_t *root, unsigned long addr)
{
	pgd_t *pgd = kernel_to_user_pgdp(root + KTREPL_PGD_INDEX);
	pmd_t *kernel, *user;

	if (!cpu_feature_enabled(X86_FEATURE_PTI) || pgd_none(*pgd))
		return;
	kernel = ktrepl_pmd_page(root + KTREPL_PGD_INDEX, addr);
	user = ktrepl_pmd_page(pgd, addr);
	if (user && pmd_leaf(user[pmd_index(addr)]))
		set_pmd(&user[pmd_index(addr)], kernel[pmd_index(addr)]);
}
