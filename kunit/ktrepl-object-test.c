// SPDX-License-Identifier: GPL-2.0
/*
 * Replicated objects.
 */

#include <linux/cpumask.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/workqueue.h>

#include "common.h"

struct ktrepl_text {
	char bytes[20];
};

static const struct ktrepl_text ktrepl_init_data = { "the quick brown fox" };

#define SIZE	sizeof(ktrepl_init_data)

/* What one replica takes: contents from the heap are freed by RCU. */
#define KTREPL_OBJECT_BYTES	((long)(SIZE + sizeof(struct rcu_head)))

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
	struct ktrepl_text __replicated *obj;

	ktrepl_disable();
	KUNIT_EXPECT_EQ(test, ktrepl_expect_object(test, &ktrepl_init_data), 0);
	ktrepl_expect_local(test);
	/* One that is made meanwhile is read, too. */
	obj = alloc_replicated(struct ktrepl_text, "test", &ktrepl_init_data);
	KUNIT_ASSERT_FALSE(test, IS_ERR((void __force *)obj));
	rcu_read_lock();
	KUNIT_EXPECT_MEMEQ(test, replicated_deref(obj)->bytes, ktrepl_init_data.bytes, SIZE);
	rcu_read_unlock();
	free_replicated(obj);
	KUNIT_EXPECT_EQ(test, ktrepl_enable(), 0);
	KUNIT_EXPECT_GE(test, ktrepl_expect_object(test, &ktrepl_init_data), 2);
	ktrepl_expect_local(test);
}

/* Without memory for new copies all nodes read the new primary. */
static void ktrepl_object_shortage(struct kunit *test)
{
	const long bytes = ktrepl_expect_object(test, &ktrepl_init_data) * KTREPL_OBJECT_BYTES;
	long before = ktrepl_test_stat(KTREPL_STAT_OBJECT);
	unsigned long max = ktrepl_param_mem_max;
	struct ktrepl_text data = ktrepl_init_data;

	memcpy(data.bytes, "THE", 3);
	WRITE_ONCE(ktrepl_param_mem_max, 1);
	KUNIT_EXPECT_EQ(test, replicated_update(ktrepl_handle_of(test),
						ktrepl_object_shout, "THE"), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_expect_object(test, &data), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_test_stat(KTREPL_STAT_OBJECT), before - bytes);
	WRITE_ONCE(ktrepl_param_mem_max, max);
	/* The work item has been asked for. */
	ktrepl_heal_flush();
	KUNIT_EXPECT_GE(test, ktrepl_expect_object(test, &data), 2);
}

/* Memory for replicas is charged to their nodes, and given back. */
static void ktrepl_object_charged(struct kunit *test)
{
	long bytes = ktrepl_expect_object(test, &ktrepl_init_data) * KTREPL_OBJECT_BYTES;
	long before = ktrepl_test_stat(KTREPL_STAT_OBJECT) - bytes, failures;
	unsigned long max = ktrepl_param_mem_max;
	struct ktrepl_object *obj;
	int i;

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, replicated_update(ktrepl_handle_of(test),
							ktrepl_object_shout, "x"), 0);
		KUNIT_EXPECT_EQ(test, ktrepl_test_stat(KTREPL_STAT_OBJECT), before + bytes);
	}
	failures = ktrepl_test_stat(KTREPL_STAT_PAGE_FAIL);
	WRITE_ONCE(ktrepl_param_mem_max, 1);
	obj = ktrepl_object_alloc("test", NULL, SIZE);
	WRITE_ONCE(ktrepl_param_mem_max, max);
	KUNIT_ASSERT_FALSE(test, IS_ERR(obj));
	KUNIT_EXPECT_GE(test, ktrepl_test_stat(KTREPL_STAT_PAGE_FAIL),
			failures + bytes / KTREPL_OBJECT_BYTES);
	KUNIT_EXPECT_EQ(test, ktrepl_test_stat(KTREPL_STAT_OBJECT), before + bytes);
	ktrepl_heal_flush();
	KUNIT_EXPECT_EQ(test, ktrepl_test_stat(KTREPL_STAT_OBJECT), before + 2 * bytes);
	rcu_read_lock();
	KUNIT_EXPECT_NULL(test, memchr_inv(ktrepl_object_replica(obj, 0), 0, SIZE));
	rcu_read_unlock();
	ktrepl_object_free(obj);
	KUNIT_EXPECT_EQ(test, ktrepl_test_stat(KTREPL_STAT_OBJECT), before + bytes);
}

/* It is known whether replicas are missing. */
static void ktrepl_object_fill(struct kunit *test)
{
	unsigned long max = ktrepl_param_mem_max;

	mutex_lock(&ktrepl_mutex);
	KUNIT_EXPECT_TRUE(test, ktrepl_objects_fill());
	ktrepl_objects_drop();
	WRITE_ONCE(ktrepl_param_mem_max, 1);
	KUNIT_EXPECT_FALSE(test, ktrepl_objects_fill());
	WRITE_ONCE(ktrepl_param_mem_max, max);
	KUNIT_EXPECT_TRUE(test, ktrepl_objects_fill());
	mutex_unlock(&ktrepl_mutex);
	KUNIT_EXPECT_GE(test, ktrepl_expect_object(test, &ktrepl_init_data), 2);
}

/*
 * A reader on another CPU, with interrupts enabled: somebody who holds
 * ktrepl_mutex may wait for that CPU.  Where there is one CPU, only a context
 * switch ends readers, and the test needs none.
 */
static struct {
	bool reading, done;
} ktrepl_reader;

static void ktrepl_reader_fn(struct work_struct *unused)
{
	rcu_read_lock();
	WRITE_ONCE(ktrepl_reader.reading, true);
	while (!READ_ONCE(ktrepl_reader.done))
		cpu_relax();
	rcu_read_unlock();
}

static DECLARE_WORK(ktrepl_reader_work, ktrepl_reader_fn);

static void ktrepl_reader_start(void)
{
	int cpu;

	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, smp_processor_id());
	ktrepl_reader.reading = false;
	ktrepl_reader.done = false;
	if (cpu >= nr_cpu_ids)
		return;
	schedule_work_on(cpu, &ktrepl_reader_work);
	while (!READ_ONCE(ktrepl_reader.reading))
		cond_resched();
}

static void ktrepl_reader_stop(void)
{
	WRITE_ONCE(ktrepl_reader.done, true);
	migrate_enable();
	flush_work(&ktrepl_reader_work);
}

/* Whoever reads old contents may go on doing so: their memory is not used again. */
static void ktrepl_object_readers(struct kunit *test)
{
	const struct ktrepl_object *obj = ktrepl_object_of(test->priv);
	const void *old[KTREPL_MAX_NODES + 1];
	const size_t bytes = KTREPL_OBJECT_BYTES;
	void *other[32];
	int nid, i;

	for (nid = NUMA_NO_NODE; nid < (int)ktrepl_nr_nodes; nid++)
		old[nid + 1] = rcu_dereference_raw(obj->replica[nid + 1]);
	ktrepl_reader_start();
	KUNIT_EXPECT_EQ(test, replicated_update(ktrepl_handle_of(test),
						ktrepl_object_shout, "THE"), 0);
	/* What has been freed would come back now. */
	for (i = 0; i < ARRAY_SIZE(other); i++) {
		other[i] = kmalloc(bytes, GFP_ATOMIC);
		if (other[i])
			memset(other[i], 0xff, bytes);
	}
	for (nid = NUMA_NO_NODE; nid < (int)ktrepl_nr_nodes; nid++)
		KUNIT_EXPECT_MEMEQ(test, old[nid + 1], &ktrepl_init_data, SIZE);
	ktrepl_reader_stop();
	for (i = 0; i < ARRAY_SIZE(other); i++)
		kfree(other[i]);
}

/* Verification can fail, and names the object: a replica is changed behind its back. */
static void ktrepl_object_corrupt(struct kunit *test)
{
	const struct ktrepl_object *obj = ktrepl_object_of(test->priv);
	char *replica = NULL, text[64] = "", line[32] = "";
	struct seq_file m = { .buf = text, .size = sizeof(text) - 1 };
	struct ktrepl_verify_result res = { };
	int nid;

	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes && !replica; nid++)
		if (ktrepl_object_replica(obj, nid) !=
		    ktrepl_object_replica(obj, NUMA_NO_NODE)) {
			replica = (char *)ktrepl_object_replica(obj, nid);
			snprintf(line, sizeof(line), "different test %d 0\n", nid);
		}
	mutex_unlock(&ktrepl_mutex);
	KUNIT_ASSERT_NOT_NULL(test, replica);
	KUNIT_EXPECT_GE(test, ktrepl_test_verify(false).compared,
			ktrepl_expect_object(test, &ktrepl_init_data));
	replica[0] ^= 1;
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 1);
	mutex_lock(&ktrepl_mutex);
	ktrepl_objects_verify(&res, &m);
	mutex_unlock(&ktrepl_mutex);
	replica[0] ^= 1;
	KUNIT_EXPECT_STREQ(test, text, line);
	KUNIT_EXPECT_EQ(test, ktrepl_test_verify(false).different, 0);
}

static struct kunit_case ktrepl_object_cases[] = {
	KUNIT_CASE(ktrepl_object_contents),
	KUNIT_CASE(ktrepl_object_refused),
	KUNIT_CASE(ktrepl_object_defined),
	KUNIT_CASE(ktrepl_object_switch),
	KUNIT_CASE(ktrepl_object_shortage),
	KUNIT_CASE(ktrepl_object_charged),
	KUNIT_CASE(ktrepl_object_fill),
	KUNIT_CASE(ktrepl_object_readers),
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
