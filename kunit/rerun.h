/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTREPL_RERUN_H
#define _KTREPL_RERUN_H

#include <kunit/test.h>

/*
 * For suite_init: KUnit takes a case that skipped once for one that a filter
 * has excluded, and never runs it again, not even through debugfs.
 */
static inline int ktrepl_suite_rerun(struct kunit_suite *suite)
{
	struct kunit_case *test_case;

	kunit_suite_for_each_test_case(suite, test_case)
		if (test_case->status == KUNIT_SKIPPED)
			test_case->status = KUNIT_SUCCESS;
	return 0;
}

#endif /* _KTREPL_RERUN_H */
