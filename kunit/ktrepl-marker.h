/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What ktrepl_marker_value(), of a module, returns.
 */
#ifndef _KTREPL_TEST_MARKER_H
#define _KTREPL_TEST_MARKER_H

#include <linux/types.h>

#define KTREPL_MARKER_VALUE	0x5a3c

u32 ktrepl_marker_value(void);

#endif /* _KTREPL_TEST_MARKER_H */
