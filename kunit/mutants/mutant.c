// SPDX-License-Identifier: GPL-2.0
/*
 * The switch of kunit/mutants: with ktrepl.mutant=NAME on the kernel command
 * line the fault of NAME.patch is active.  scripts/tree puts all of them into a
 * kernel of its own.
 *
 * A new mutant changes one of our files where ktrepl_mutant("NAME") says so,
 * and becomes a patch by "git diff -U2 > kunit/mutants/NAME.patch".  Above the
 * patch go a line that says what is wrong, and
 *
 *   # architectures: x86_64 arm64
 *   # must fail: suites		or another of scripts/guest
 *   # case: ktrepl_root_two		the KUnit case, if it is suites
 *
 * and, where they are needed,
 *
 *   # rule: T4 R1			ids of the clauses that are broken
 *   # config: kdump			the kernel's configuration, if it is not run
 *   # topology: 4n8c			the machine, if it is not 2n4c
 *   # append: no5lvl pti=on		more words for the kernel
 *
 * "make mutants" finds it.  Those that may come into force after the boot can be
 * tried several a boot:
 *
 *   BREAK=none APPEND=ktrepl_mutants=store:ktrepl_map_root_entry,... \
 *	scripts/run mutants
 *
 * A mutant that changes a file of the kernel itself is a patch of the overlaid
 * tree, build/linux.
 */

#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/panic.h>
#include <linux/string.h>

#include "internal.h"

/* Writable: most can be switched on and off again without another boot. */
static char ktrepl_mutant_name[32] = "none";
module_param_string(mutant, ktrepl_mutant_name, sizeof(ktrepl_mutant_name),
		    0644);
MODULE_PARM_DESC(mutant, "the fault of kunit/mutants to have");

static const char *const ktrepl_mutants[] __initconst = {
	"none",
#include "mutants.h"
};

/* Called wherever text is patched: not traced. */
notrace bool ktrepl_mutant(const char *name)
{
	return !strcmp(ktrepl_mutant_name, name);
}
EXPORT_SYMBOL_GPL(ktrepl_mutant);

static int __init ktrepl_mutant_check(void)
{
	if (match_string(ktrepl_mutants, ARRAY_SIZE(ktrepl_mutants),
			 ktrepl_mutant_name) < 0)
		panic("ktrepl: this kernel has no mutant %s\n",
		      ktrepl_mutant_name);
	return 0;
}
late_initcall(ktrepl_mutant_check);
