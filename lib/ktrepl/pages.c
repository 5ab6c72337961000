// SPDX-License-Identifier: GPL-2.0
/*
 * Read-only pages of other subsystems.
 *
 * They are an area of executable memory that holds data, like the read-only
 * data of a module, and are replicated as such as soon as they are sealed; see
 * execmem.c.  What is added here is who owns them: only what has been allocated
 * here may be written by modules.
 *
 * Concurrency: an area is in ktrepl_pages from its allocation until its owner
 * frees it.  Look-ups are those of a maple tree, with a reference by RCU.
 */

#include <linux/execmem.h>
#include <linux/export.h>
#include <linux/maple_tree.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/set_memory.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "internal.h"

/**
 * struct ktrepl_pages - pages that somebody has allocated
 * @rcu:   frees it
 * @start: first address
 * @end:   first address behind them
 * @name:  what reports call them
 */
struct ktrepl_pages {
	struct rcu_head rcu;
	unsigned long start;
	unsigned long end;
	char name[];
};

static DEFINE_MTREE(ktrepl_pages);

void *alloc_replicated_pages(const char *name, size_t size)
{
	size_t len = strlen(name) + 1;
	struct ktrepl_pages *p;
	void *mem;

	/* 0 also when it is too much. */
	size = PAGE_ALIGN(size);
	if (!size)
		return NULL;
	p = kmalloc(struct_size(p, name, len), GFP_KERNEL);
	mem = p ? execmem_alloc(EXECMEM_MODULE_DATA, size) : NULL;
	if (!mem)
		goto fail;
	memset(mem, 0, size);
	memcpy(p->name, name, len);
	p->start = (unsigned long)mem;
	p->end = p->start + size;
	if (!mtree_insert_range(&ktrepl_pages, p->start, p->end - 1, p,
				GFP_KERNEL))
		return mem;
	execmem_free(mem);
fail:
	kfree(p);
	return NULL;
}
EXPORT_SYMBOL_GPL(alloc_replicated_pages);

/* That begin at an address, or NULL.  They stay as long as their owner wants. */
static struct ktrepl_pages *ktrepl_pages_at(const void *pages)
{
	struct ktrepl_pages *p = mtree_load(&ktrepl_pages, (unsigned long)pages);

	return p && p->start == (unsigned long)pages ? p : NULL;
}

int seal_replicated_pages(void *pages)
{
	const struct ktrepl_pages *p = ktrepl_pages_at(pages);

	if (!p)
		return -EINVAL;
	/* vfree() has the linear map writable again. */
	set_vm_flush_reset_perms(pages);
	return set_memory_ro(p->start, (p->end - p->start) >> PAGE_SHIFT);
}
EXPORT_SYMBOL_GPL(seal_replicated_pages);

int write_replicated_pages(void *dst, const void *src, size_t len)
{
	const struct ktrepl_pages *p = mtree_load(&ktrepl_pages,
						  (unsigned long)dst);

	if (!p || len > p->end - (unsigned long)dst)
		return -EFAULT;
	if (!len)
		return 0;
	mutex_lock(&text_mutex);
	arch_ktrepl_poke(dst, src, len);
	mutex_unlock(&text_mutex);
	return 0;
}
EXPORT_SYMBOL_GPL(write_replicated_pages);

void free_replicated_pages(void *pages)
{
	struct ktrepl_pages *p = ktrepl_pages_at(pages);

	if (!p)
		return;
	mtree_erase(&ktrepl_pages, p->start);
	execmem_free(pages);
	kfree_rcu(p, rcu);
}
EXPORT_SYMBOL_GPL(free_replicated_pages);

/**
 * ktrepl_pages_name - what the owner of pages calls them
 * @addr: an address
 * @name: where to write the name, if there is one
 * @size: of @name
 *
 * Context: Any but NMI.
 */
void ktrepl_pages_name(unsigned long addr, char *name, size_t size)
{
	const struct ktrepl_pages *p;

	rcu_read_lock();
	p = mtree_load(&ktrepl_pages, addr);
	if (p)
		strscpy(name, p->name, size);
	rcu_read_unlock();
}
