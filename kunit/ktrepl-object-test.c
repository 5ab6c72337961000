// SPDX-License-Identifier: GPL-2.0
/*
 * Replicated objects.
 */

#include <linux/rcupdate.h>

#include "common.h"

static const char ktrepl_init_data[] = "the quick brown fox";

#define SIZE	sizeof(ktrepl_init_data)

static int ktrepl_object_init(struct kunit *test)
{
	struct ktrepl_object *obj;

	ktrepl_test_on(test);
	obj = ktrepl_object_alloc("test", ktrepl_init_data, SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, obj);
	test->priv = obj;
	return 0;
}

static void ktrepl_object_exit(struct kunit *test)
{
	ktrepl_object_free(test->priv);
}

/*
 * What every node reads is @data; returns how many have a replica of their own.
 */
static int ktrepl_expect_object(struct kunit *test, const void *data)
{
	struct ktrepl_object *obj = test->priv;
	const void *primary;
	int nid, own = 0;

	rcu_read_lock();
	primary = ktrepl_object_replica(obj, NUMA_NO_NODE);
	KUNIT_EXPECT_MEMEQ(test, primary, data, SIZE);
	KUNIT_EXPECT_MEMEQ(test, ktrepl_object_read(obj), data, SIZE);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		KUNIT_EXPECT_MEMEQ(test, ktrepl_object_replica(obj, nid), data,
				   SIZE);
		own += ktrepl_object_replica(obj, nid) != primary;
	}
	rcu_read_unlock();
	return own;
}

static void ktrepl_object_contents(struct kunit *test)
{
	char data[SIZE];

	KUNIT_EXPECT_GE(test, ktrepl_expect_object(test, ktrepl_init_data), 2);
	memcpy(data, ktrepl_init_data, SIZE);
	memcpy(data + 4, "QUICK", 5);
	KUNIT_EXPECT_EQ(test, ktrepl_object_write(test->priv, 4, "QUICK", 5), 0);
	KUNIT_EXPECT_GE(test, ktrepl_expect_object(test, data), 2);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

static void ktrepl_object_bounds(struct kunit *test)
{
	struct ktrepl_object *obj = test->priv;

	KUNIT_EXPECT_EQ(test, ktrepl_object_write(obj, 0, "x", SIZE + 1),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, ktrepl_object_write(obj, SIZE, "x", 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, ktrepl_object_write(obj, SIZE_MAX, "x", 2),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, ktrepl_object_write(obj, SIZE, "x", 0), 0);
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_object_alloc("test", NULL, 0),
			    ERR_PTR(-EINVAL));
	ktrepl_object_free(NULL);
	ktrepl_object_free(ERR_PTR(-ENOMEM));
	ktrepl_expect_object(test, ktrepl_init_data);
}

static void ktrepl_object_switch(struct kunit *test)
{
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_expect_object(test, ktrepl_init_data), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_GE(test, ktrepl_expect_object(test, ktrepl_init_data), 2);
}

/* Without memory for new copies all nodes read the new primary. */
static void ktrepl_object_shortage(struct kunit *test)
{
	unsigned long max = ktrepl_param_mem_max;
	char data[SIZE] = "THE";

	memcpy(data + 3, ktrepl_init_data + 3, SIZE - 3);
	WRITE_ONCE(ktrepl_param_mem_max, 1);
	KUNIT_EXPECT_EQ(test, ktrepl_object_write(test->priv, 0, "THE", 3), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_expect_object(test, data), 0);
	WRITE_ONCE(ktrepl_param_mem_max, max);
}

/* Verification can fail: one replica is changed behind its back. */
static void ktrepl_object_corrupt(struct kunit *test)
{
	char *replica = NULL;
	int nid;

	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes && !replica; nid++)
		if (ktrepl_object_replica(test->priv, nid) !=
		    ktrepl_object_replica(test->priv, NUMA_NO_NODE))
			replica = (char *)ktrepl_object_replica(test->priv, nid);
	mutex_unlock(&ktrepl_mutex);
	KUNIT_ASSERT_NOT_NULL(test, replica);
	replica[0] ^= 1;
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 1);
	replica[0] ^= 1;
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

static struct kunit_case ktrepl_object_cases[] = {
	KUNIT_CASE(ktrepl_object_contents),
	KUNIT_CASE(ktrepl_object_bounds),
	KUNIT_CASE(ktrepl_object_switch),
	KUNIT_CASE(ktrepl_object_shortage),
	KUNIT_CASE(ktrepl_object_corrupt),
	{ }
};

static struct kunit_suite ktrepl_object_suite = {
	.name = "ktrepl_object",
	.suite_init = ktrepl_suite_rerun,
	.init = ktrepl_object_init,
	.exit = ktrepl_object_exit,
	.test_cases = ktrepl_object_cases,
};

kunit_test_suite(ktrepl_object_suite);
