// SPDX-License-Identifier: GPL-2.0
/*
 * Parameters: which nodes take part.
 */

#include <linux/bitmap.h>

#include "common.h"

static const struct ktrepl_nodes_param {
	const char *str;
	int err;
	unsigned long nodes;
} ktrepl_nodes_params[] = {
	/* There are nodes 0, 1, 2 and 5. */
	{ "all",	0,	0x27 },
	{ "0",		0,	0x01 },
	{ "0-2,5",	0,	0x27 },
	{ "1,5",	0,	0x22 },
	{ "every:1",	0,	0x27 },
	{ "every:2",	0,	0x05 },
	{ "every:9",	0,	0x01 },
	{ "every:0",	-EINVAL },
	{ "every:",	-EINVAL },
	{ "every:-1",	-EINVAL },
	{ "every:x",	-EINVAL },
	{ "foo",	-EINVAL },
	{ "0-",		-EINVAL },
	{ "2-0",	-EINVAL },
	{ "3",		-ENODEV },
	{ "0-5",	-ENODEV },
	{ "100000",	-ENODEV },
	{ "",		-ENODEV },
};

static void ktrepl_param_desc(const struct ktrepl_nodes_param *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "nodes=%s", p->str);
}

KUNIT_ARRAY_PARAM(ktrepl_nodes, ktrepl_nodes_params, ktrepl_param_desc);

static void ktrepl_param_nodes_case(struct kunit *test)
{
	const struct ktrepl_nodes_param *p = test->param_value;
	DECLARE_BITMAP(possible, KTREPL_MAX_NODES) = { 0x27 };
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES) = { 0x55 };

	KUNIT_EXPECT_EQ(test, ktrepl_parse_nodes(p->str, nodes, possible),
			p->err);
	/* Unchanged on error. */
	KUNIT_EXPECT_EQ(test, nodes[0], p->err ? 0x55 : p->nodes);
}

static void ktrepl_param_nearest(struct kunit *test)
{
	DECLARE_BITMAP(nodes, KTREPL_MAX_NODES) = { };

	ktrepl_test_on(test);
	KUNIT_EXPECT_EQ(test, ktrepl_nearest(0, nodes), NUMA_NO_NODE);
	__set_bit(1, nodes);
	KUNIT_EXPECT_EQ(test, ktrepl_nearest(0, nodes), 1);
	/* A CPU that belongs to no node. */
	KUNIT_EXPECT_EQ(test, ktrepl_nearest(NUMA_NO_NODE, nodes), NUMA_NO_NODE);
	__set_bit(0, nodes);
	KUNIT_EXPECT_EQ(test, ktrepl_nearest(0, nodes), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_nearest(1, nodes), 1);
	if (!ktrepl_info->fake_nodes)
		return;
	/* Distances of pretended nodes are as their numbers; of two, the lower one. */
	KUNIT_EXPECT_EQ(test, ktrepl_nearest(3, nodes), 1);
	__set_bit(3, nodes);
	KUNIT_EXPECT_EQ(test, ktrepl_nearest(2, nodes), 1);
	__clear_bit(1, nodes);
	KUNIT_EXPECT_EQ(test, ktrepl_nearest(2, nodes), 3);
	KUNIT_EXPECT_EQ(test, ktrepl_nearest(1, nodes), 0);
}

static struct kunit_case ktrepl_param_cases[] = {
	KUNIT_CASE_PARAM(ktrepl_param_nodes_case, ktrepl_nodes_gen_params),
	KUNIT_CASE(ktrepl_param_nearest),
	{ }
};

static struct kunit_suite ktrepl_param_suite = {
	.name = "ktrepl_param",
	.suite_init = ktrepl_suite_rerun,
	.test_cases = ktrepl_param_cases,
};

kunit_test_suite(ktrepl_param_suite);
