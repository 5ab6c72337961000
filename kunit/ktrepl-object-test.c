// SPDX-License-Identifier: GPL-2.0
/*
 * Replicated objects.
 */

#include <linux/rcupdate.h>

#include "common.h"

struct ktrepl_text {
	char bytes[20];
};

static const struct ktrepl_text ktrepl_init_data = { "the quick brown fox" };

#define SIZE	sizeof(ktrepl_init_data)

static int ktrepl_object_init(struct kunit *test)
{
	struct ktrepl_text __replicated *obj;

	ktrepl_test_on(test);
	obj = alloc_replicated(struct ktrepl_text, "test", &ktrepl_init_data);
	KUNIT_ASSERT_FALSE(test, IS_ERR((void __force *)obj));
	test->priv = (void __force *)obj;
	return 0;
}

static struct ktrepl_text __replicated *ktrepl_handle_of(struct kunit *test)
{
	return (struct ktrepl_text __replicated __force *)test->priv;
}

static void ktrepl_object_exit(struct kunit *test)
{
	free_replicated(ktrepl_handle_of(test));
}

/*
 * What every node reads is @data; returns how many have a replica of their own.
 */
static int ktrepl_expect_object(struct kunit *test, const void *data)
{
	const struct ktrepl_object *obj = ktrepl_object_of(test->priv);
	const void *primary;
	int nid, own = 0;

	rcu_read_lock();
	primary = ktrepl_object_replica(obj, NUMA_NO_NODE);
	KUNIT_EXPECT_MEMEQ(test, primary, data, SIZE);
	KUNIT_EXPECT_MEMEQ(test, replicated_deref(ktrepl_handle_of(test))->bytes,
			   (const char *)data, SIZE);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		KUNIT_EXPECT_MEMEQ(test, ktrepl_object_replica(obj, nid), data,
				   SIZE);
		own += ktrepl_object_replica(obj, nid) != primary;
	}
	rcu_read_unlock();
	return own;
}

static int ktrepl_object_shout(void *new, void *arg)
{
	struct ktrepl_text *text = new;

	memcpy(text->bytes, arg, strlen(arg));
	return text->bytes[0] == '!' ? -ERANGE : 0;
}

/* What a CPU reads is the replica of its node, by a pointer there. */
static void ktrepl_expect_local(struct kunit *test)
{
	const struct ktrepl_object *obj = ktrepl_object_of(test->priv);
	const struct ktrepl_node *node;
	int cpu;

	mutex_lock(&ktrepl_mutex);
	for_each_online_cpu(cpu) {
		node = ktrepl_best_node(cpu);
		KUNIT_EXPECT_PTR_EQ(test,
				    rcu_access_pointer(per_cpu_ptr(obj->local, cpu)->contents),
				    ktrepl_object_replica(obj, node ? node->nid : NUMA_NO_NODE));
	}
	mutex_unlock(&ktrepl_mutex);
}

static void ktrepl_object_contents(struct kunit *test)
{
	struct ktrepl_text data = ktrepl_init_data;

	ktrepl_expect_local(test);
	KUNIT_EXPECT_GE(test, ktrepl_expect_object(test, &ktrepl_init_data), 2);
	memcpy(data.bytes, "THE QUICK", 9);
	KUNIT_EXPECT_EQ(test, replicated_update(ktrepl_handle_of(test),
						ktrepl_object_shout,
						"THE QUICK"), 0);
	KUNIT_EXPECT_GE(test, ktrepl_expect_object(test, &data), 2);
	ktrepl_expect_local(test);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

/* An update that fails changes nothing. */
static void ktrepl_object_refused(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, replicated_update(ktrepl_handle_of(test),
						ktrepl_object_shout, "!"),
			-ERANGE);
	KUNIT_EXPECT_GE(test, ktrepl_expect_object(test, &ktrepl_init_data), 2);
	KUNIT_EXPECT_PTR_EQ(test, ktrepl_object_alloc("test", NULL, 0),
			    ERR_PTR(-EINVAL));
	ktrepl_object_free(NULL);
	ktrepl_object_free(ERR_PTR(-ENOMEM));
}

DEFINE_REPLICATED(struct ktrepl_text, ktrepl_defined) = { "jumps over" };

/* One that is defined reads before it is registered, and after. */
static void ktrepl_object_defined(struct kunit *test)
{
	const struct ktrepl_object *obj = __replicated_object(ktrepl_defined);
	long bytes = ktrepl_test_stat(KTREPL_STAT_OBJECT);
	int nid, own = 0;

	rcu_read_lock();
	KUNIT_EXPECT_STREQ(test, replicated_deref(ktrepl_defined)->bytes,
			   "jumps over");
	rcu_read_unlock();
	replicated_register(ktrepl_defined);
	KUNIT_EXPECT_GT(test, ktrepl_test_stat(KTREPL_STAT_OBJECT), bytes);
	KUNIT_EXPECT_EQ(test, replicated_update(ktrepl_defined,
						ktrepl_object_shout, "JUMPS"), 0);
	rcu_read_lock();
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		KUNIT_EXPECT_STREQ(test, (const char *)ktrepl_object_replica(obj, nid),
				   "JUMPS over");
		own += ktrepl_object_replica(obj, nid) !=
		       ktrepl_object_replica(obj, NUMA_NO_NODE);
	}
	rcu_read_unlock();
	KUNIT_EXPECT_GE(test, own, 2);
	replicated_unregister(ktrepl_defined);
	KUNIT_EXPECT_EQ(test, ktrepl_test_stat(KTREPL_STAT_OBJECT), bytes);
	rcu_read_lock();
	KUNIT_EXPECT_STREQ(test, replicated_deref(ktrepl_defined)->bytes,
			   "jumps over");
	rcu_read_unlock();
}

static void ktrepl_object_switch(struct kunit *test)
{
	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_expect_object(test, &ktrepl_init_data), 0);
	ktrepl_expect_local(test);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_GE(test, ktrepl_expect_object(test, &ktrepl_init_data), 2);
	ktrepl_expect_local(test);
}

/* Without memory for new copies all nodes read the new primary. */
static void ktrepl_object_shortage(struct kunit *test)
{
	unsigned long max = ktrepl_param_mem_max;
	struct ktrepl_text data = ktrepl_init_data;

	memcpy(data.bytes, "THE", 3);
	WRITE_ONCE(ktrepl_param_mem_max, 1);
	KUNIT_EXPECT_EQ(test, replicated_update(ktrepl_handle_of(test),
						ktrepl_object_shout, "THE"), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_expect_object(test, &data), 0);
	WRITE_ONCE(ktrepl_param_mem_max, max);
}

/* Verification can fail: one replica is changed behind its back. */
static void ktrepl_object_corrupt(struct kunit *test)
{
	const struct ktrepl_object *obj = ktrepl_object_of(test->priv);
	char *replica = NULL;
	int nid;

	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes && !replica; nid++)
		if (ktrepl_object_replica(obj, nid) !=
		    ktrepl_object_replica(obj, NUMA_NO_NODE))
			replica = (char *)ktrepl_object_replica(obj, nid);
	mutex_unlock(&ktrepl_mutex);
	KUNIT_ASSERT_NOT_NULL(test, replica);
	replica[0] ^= 1;
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 1);
	replica[0] ^= 1;
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

static struct kunit_case ktrepl_object_cases[] = {
	KUNIT_CASE(ktrepl_object_contents),
	KUNIT_CASE(ktrepl_object_refused),
	KUNIT_CASE(ktrepl_object_defined),
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
