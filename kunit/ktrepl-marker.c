// SPDX-License-Identifier: GPL-2.0
/*
 * A module whose text the execution proof finds: ktrepl_exec_module().
 */

#include <linux/module.h>

#include "ktrepl-marker.h"

/* One instruction holds the value. */
noinline u32 ktrepl_marker_value(void)
{
	return KTREPL_MARKER_VALUE;
}

static int __init ktrepl_marker_init(void)
{
	return 0;
}
module_init(ktrepl_marker_init);

static void __exit ktrepl_marker_exit(void)
{
}
module_exit(ktrepl_marker_exit);

MODULE_DESCRIPTION("Execution proof of NUMA kernel text replication");
MODULE_LICENSE("GPL");
