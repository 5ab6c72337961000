// SPDX-License-Identifier: GPL-2.0
/*
 * What a reader of a memory image needs to find the replicas: entries in
 * VMCOREINFO, which /proc/kcore, /proc/vmcore and dumps made from it have.
 * Documentation/admin-guide/ktrepl.rst explains them.
 */

#include <linux/init.h>
#include <linux/vmcore_info.h>

#include "internal.h"

/* Comes after crash_save_vmcoreinfo_init(), which allocates them. */
static int __init ktrepl_vmcore_init(void)
{
	if (!vmcoreinfo_data)
		return -ENOMEM;

	VMCOREINFO_SYMBOL(ktrepl_state);
	VMCOREINFO_NUMBER(KTREPL_ON);
	VMCOREINFO_SYMBOL(ktrepl_nr_nodes);
	VMCOREINFO_SYMBOL_ARRAY(ktrepl_nodes);
	VMCOREINFO_OFFSET(ktrepl_node, live);
	VMCOREINFO_SYMBOL(ktrepl_regions);
#ifdef CONFIG_KTREPL_MODULES
	VMCOREINFO_SYMBOL(ktrepl_execmem_regions);
#endif
	VMCOREINFO_OFFSET(ktrepl_region, list);
	VMCOREINFO_OFFSET(ktrepl_region, start);
	VMCOREINFO_OFFSET(ktrepl_region, end);
	VMCOREINFO_OFFSET(ktrepl_region, stale);
	VMCOREINFO_OFFSET(ktrepl_region, dying);
	VMCOREINFO_OFFSET(ktrepl_region, nodes);
	VMCOREINFO_OFFSET(ktrepl_region, replica);
	return 0;
}
subsys_initcall_sync(ktrepl_vmcore_init);
