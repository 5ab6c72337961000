/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What functions of a module return.
 */
#ifndef _KTREPL_TEST_MARKER_H
#define _KTREPL_TEST_MARKER_H

#include <linux/types.h>

#define KTREPL_MARKER_VALUE		0x5a3c
#define KTREPL_MARKER_ALTERNATIVE	2

u32 ktrepl_marker_value(void);
u32 ktrepl_marker_alternative(void);

#endif /* _KTREPL_TEST_MARKER_H */
