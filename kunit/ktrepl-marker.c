// SPDX-License-Identifier: GPL-2.0
/*
 * A module for tests: one whose text the execution proof finds, see
 * ktrepl_execmem_module(), or one that fails, or waits to be killed.
 */

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/sched/signal.h>

#include <asm/alternative.h>

#include "ktrepl-marker.h"

static bool fail;
module_param(fail, bool, 0444);
MODULE_PARM_DESC(fail, "let the init function fail");

static unsigned int wait_ms;
module_param(wait_ms, uint, 0444);
MODULE_PARM_DESC(wait_ms, "how long the init function waits for a signal");

/* One instruction holds the value. */
noinline u32 ktrepl_marker_value(void)
{
	return KTREPL_MARKER_VALUE;
}

#ifdef CONFIG_X86
#define MARKER_ALTERNATIVE	ALTERNATIVE("movl $1, %0", "movl $2, %0", X86_FEATURE_ALWAYS)
#else
#define MARKER_ALTERNATIVE	ALTERNATIVE("mov %w0, #1", "mov %w0, #2", ARM64_ALWAYS_SYSTEM)
#endif

/* Loading the module patches it: without that it returns 1. */
noinline u32 ktrepl_marker_alternative(void)
{
	u32 value;

	asm volatile(MARKER_ALTERNATIVE : "=r" (value));
	return value;
}

static int ktrepl_marker_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%u\n", ktrepl_marker_value());
}

static const struct kernel_param_ops ktrepl_marker_ops = {
	.get = ktrepl_marker_get,
};

module_param_cb(value, &ktrepl_marker_ops, NULL, 0444);
MODULE_PARM_DESC(value, "what a function of the module returns");

static int __init ktrepl_marker_init(void)
{
	if (wait_ms)
		msleep_interruptible(wait_ms);
	if (signal_pending(current))
		return -EINTR;
	return fail ? -EIO : 0;
}
module_init(ktrepl_marker_init);

static void __exit ktrepl_marker_exit(void)
{
}
module_exit(ktrepl_marker_exit);

MODULE_DESCRIPTION("Test module of NUMA kernel text replication");
MODULE_LICENSE("GPL");
