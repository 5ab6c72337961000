// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl glue for a port without page tables: replicas are plain memory.
 *
 * Runs the registry, pokes, objects and verification, with pretended nodes, on
 * any architecture (UML in particular), and is the template for a new port.
 * Nothing of the image is replicated: without page tables of its own, no CPU
 * could fetch from a replica.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "internal.h"

/* The tests need some. */
static unsigned int fake_nodes = IS_ENABLED(CONFIG_KTREPL_KUNIT_TEST) ? 4 : 0;

static int fake_nodes_set(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 0, 8);
}

static const struct kernel_param_ops fake_nodes_ops = {
	.set = fake_nodes_set,
	.get = param_get_uint,
};
module_param_cb(fake_nodes, &fake_nodes_ops, &fake_nodes, 0444);
MODULE_PARM_DESC(fake_nodes, "number of pretended nodes, up to 8 (default: 4 for KUnit, else none)");

static struct ktrepl_arch_info ktrepl_generic_info = {
	.text_mutex = true,
};

const struct ktrepl_arch_info *arch_ktrepl_setup(void)
{
	ktrepl_generic_info.fake_nodes = fake_nodes;
	if (!fake_nodes)
		ktrepl_generic_info.refuse =
			"no glue for this architecture (see ktrepl.fake_nodes=)";
	return &ktrepl_generic_info;
}

void arch_ktrepl_poke(void *addr, const void *src, size_t len)
{
	ktrepl_poke_pages(addr, src, len);
}

void arch_ktrepl_write(struct page *page, unsigned int off, const void *src,
		       size_t len)
{
	memcpy(page_address(page) + off, src, len);
}

void arch_ktrepl_sync(void)
{
}

void arch_ktrepl_sync_alias(unsigned long start, unsigned long end)
{
}

u32 arch_ktrepl_marker(void)
{
	return 0;
}

u32 arch_ktrepl_marker_code(u32 val)
{
	return val;
}

int arch_ktrepl_protect(struct page *page, unsigned int nr, bool ro)
{
	return 0;
}
