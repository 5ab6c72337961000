// SPDX-License-Identifier: GPL-2.0
/*
 * Built-in suites run before kernel text is protected, and so before anything of
 * it can be replicated.
 *
 * kunit.py restarts the machine after them: with ktrepl.test_protect=1 text is
 * protected, and ktrepl started, before the first case.  Where the boot goes on
 * that would be done twice; there the suites are run again through debugfs.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/init.h>
#include <linux/module.h>
#include <linux/string.h>

#include "common.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "ktrepl."

static bool ktrepl_test_protect;
module_param_named(test_protect, ktrepl_test_protect, bool, 0);
MODULE_PARM_DESC(test_protect, "protect text before KUnit tests, when the machine restarts after them");

/* Starts ktrepl where nobody has done so, if that can be done. */
void ktrepl_test_start(void)
{
	if (ktrepl_info)
		return;
	if (IS_ENABLED(CONFIG_HAVE_ARCH_KTREPL)) {
		if (!ktrepl_test_protect)
			return;
		if (!strstr(saved_command_line, "kunit_shutdown=")) {
			pr_warn_once("test_protect=1 without kunit_shutdown= is ignored\n");
			return;
		}
		mark_rodata_ro();
	}
	ktrepl_late_init();
}
