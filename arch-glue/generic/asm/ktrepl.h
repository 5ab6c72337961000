/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ktrepl glue for a port without page tables: replicas are plain memory.
 *
 * A new port starts from here: select HAVE_ARCH_KTREPL and supply an
 * asm/ktrepl.h of your own.  See Documentation/core-api/ktrepl-porting.rst.
 */
#ifndef _ASM_GENERIC_KTREPL_H
#define _ASM_GENERIC_KTREPL_H

static inline unsigned long arch_ktrepl_lock(void)
{
	return 0;
}

static inline void arch_ktrepl_unlock(unsigned long flags) { }

#endif /* _ASM_GENERIC_KTREPL_H */
