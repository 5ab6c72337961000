// SPDX-License-Identifier: GPL-2.0
/*
 * Replicated read-mostly objects for other subsystems.
 *
 * Concurrency: a reader is an RCU reader of its node's replica, which it finds by
 * a pointer of its CPU.  A writer makes complete new replicas for all nodes first,
 * and only then publishes them one by one, so that an update changes all replicas
 * or none, and a reader sees all of the old or all of the new contents.  The new
 * replicas of different CPUs become visible one after the other: two CPUs may
 * disagree while an update is under way, as they may about anything that RCU
 * protects.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <trace/events/ktrepl.h>

#include "internal.h"

/**
 * struct ktrepl_object_replica - contents of an object that are from the heap
 * @rcu:  frees it
 * @data: contents
 */
struct ktrepl_object_replica {
	struct rcu_head rcu;
	u8 data[] __aligned(8);
};

static LIST_HEAD(ktrepl_objects);

/**
 * ktrepl_object_replica - the contents that a node reads
 * @obj: the object
 * @nid: the node, or NUMA_NO_NODE for the primary
 *
 * Context: rcu_read_lock() or ktrepl_mutex held.
 * Return: contents; never NULL.
 */
const void *ktrepl_object_replica(const struct ktrepl_object *obj, int nid)
{
	/* NUMA_NO_NODE is -1. */
	return rcu_dereference_check(obj->replica[nid + 1],
				     lockdep_is_held(&ktrepl_mutex));
}

/* Has a node, and not only the primary, contents of its own? */
static bool ktrepl_object_has(const struct ktrepl_object *obj, int nid)
{
	return rcu_access_pointer(obj->replica[nid + 1]) !=
	       rcu_access_pointer(obj->replica[0]);
}

static size_t ktrepl_object_bytes(const struct ktrepl_object *obj)
{
	return sizeof(struct ktrepl_object_replica) + obj->size;
}

/* nid NUMA_NO_NODE: the primary, anywhere, not charged to a node. */
static void *ktrepl_object_new(const struct ktrepl_object *obj, int nid)
{
	struct ktrepl_object_replica *replica;
	struct ktrepl_node *node;

	if (nid == NUMA_NO_NODE) {
		replica = kzalloc(ktrepl_object_bytes(obj), GFP_KERNEL);
		return replica ? replica->data : NULL;
	}
	node = ktrepl_nodes[nid];
	if (!ktrepl_charge(node, KTREPL_STAT_OBJECT, ktrepl_object_bytes(obj)))
		goto fail;
	replica = kzalloc_node(ktrepl_object_bytes(obj),
			       GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN,
			       ktrepl_gfp_node(nid));
	if (replica)
		return replica->data;
	ktrepl_uncharge(node, KTREPL_STAT_OBJECT, ktrepl_object_bytes(obj));
fail:
	ktrepl_node_count(node, KTREPL_STAT_PAGE_FAIL);
	trace_ktrepl_alloc_fail(nid, obj->size);
	return NULL;
}

/* No slot has the contents any more. */
static void ktrepl_object_put(const struct ktrepl_object *obj, int nid,
			      const void *data)
{
	struct ktrepl_object_replica *replica;

	if (data == obj->initial)
		return;
	if (nid != NUMA_NO_NODE)
		ktrepl_uncharge(ktrepl_nodes[nid], KTREPL_STAT_OBJECT,
				ktrepl_object_bytes(obj));
	replica = container_of(data, struct ktrepl_object_replica, data[0]);
	kfree_rcu(replica, rcu);
}

/* No CPU finds another replica any more, but readers may be in one. */
static void ktrepl_object_point_to_primary(struct ktrepl_object *obj)
{
	const void *primary = ktrepl_object_replica(obj, NUMA_NO_NODE);
	int cpu;

	for_each_possible_cpu(cpu)
		rcu_assign_pointer(per_cpu_ptr(obj->local, cpu)->contents, primary);
}

/* Updates come before there are nodes, too. */
static void ktrepl_object_point_to_local(struct ktrepl_object *obj)
{
	struct ktrepl_node *node;
	int cpu;

	if (!ktrepl_is_on())
		return;
	for_each_possible_cpu(cpu) {
		node = ktrepl_best_node(cpu);
		rcu_assign_pointer(per_cpu_ptr(obj->local, cpu)->contents,
				   ktrepl_object_replica(obj, node ? node->nid :
							 NUMA_NO_NODE));
	}
}

/*
 * Publishes new contents: by node id the replicas, NULL where a node is to read
 * the primary.
 */
static void ktrepl_object_publish(struct ktrepl_object *obj, const void *primary,
				  void **replica)
{
	const void *old = ktrepl_object_replica(obj, NUMA_NO_NODE), *last;
	int nid;

	rcu_assign_pointer(obj->replica[0], primary);
	ktrepl_object_point_to_primary(obj);
	for (nid = 0; nid < ktrepl_max_nodes(); nid++) {
		last = ktrepl_object_replica(obj, nid);
		rcu_assign_pointer(obj->replica[nid + 1],
				   replica[nid] ?: primary);
		if (last != old)
			ktrepl_object_put(obj, nid, last);
	}
	ktrepl_object_put(obj, NUMA_NO_NODE, old);
	ktrepl_object_point_to_local(obj);
}

/* A replica of the present contents on each node that is to have one. */
static bool ktrepl_object_replicate(struct ktrepl_object *obj)
{
	const void *primary = ktrepl_object_replica(obj, NUMA_NO_NODE);
	bool whole = true;
	void *replica;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_node_wanted(nid) ||
		    ktrepl_node_given_up(ktrepl_nodes[nid]) ||
		    ktrepl_object_has(obj, nid))
			continue;
		replica = ktrepl_object_new(obj, nid);
		whole &= !!replica;
		if (!replica)
			continue;
		memcpy(replica, primary, obj->size);
		rcu_assign_pointer(obj->replica[nid + 1], replica);
	}
	ktrepl_object_point_to_local(obj);
	return whole;
}

/**
 * ktrepl_object_register - have an object replicated
 * @obj: the object, of which nobody has replicas yet
 *
 * Context: Process context, may sleep.
 */
void ktrepl_object_register(struct ktrepl_object *obj)
{
	int cpu;

	mutex_lock(&ktrepl_mutex);
	for_each_possible_cpu(cpu)
		per_cpu_ptr(obj->local, cpu)->obj = obj;
	ktrepl_object_point_to_primary(obj);
	list_add_tail(&obj->list, &ktrepl_objects);
	if (ktrepl_is_on() && !ktrepl_object_replicate(obj))
		ktrepl_heal_soon();
	mutex_unlock(&ktrepl_mutex);
}
EXPORT_SYMBOL_GPL(ktrepl_object_register);

static void ktrepl_object_drop_replicas(struct ktrepl_object *obj)
{
	const void *primary = ktrepl_object_replica(obj, NUMA_NO_NODE), *last;
	int nid;

	ktrepl_object_point_to_primary(obj);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		last = ktrepl_object_replica(obj, nid);
		if (last == primary)
			continue;
		rcu_assign_pointer(obj->replica[nid + 1], primary);
		ktrepl_object_put(obj, nid, last);
	}
}

/**
 * ktrepl_object_unregister - reverse ktrepl_object_register()
 * @obj: the object; one that is defined has its first contents again
 *
 * Context: Process context, waits for an RCU grace period.
 */
void ktrepl_object_unregister(struct ktrepl_object *obj)
{
	const void *last;
	int nid;

	mutex_lock(&ktrepl_mutex);
	list_del_init(&obj->list);
	mutex_unlock(&ktrepl_mutex);
	/* Readers that found the object before the caller unpublished it. */
	synchronize_rcu();
	mutex_lock(&ktrepl_mutex);
	ktrepl_object_drop_replicas(obj);
	last = ktrepl_object_replica(obj, NUMA_NO_NODE);
	for (nid = NUMA_NO_NODE; nid < (int)ktrepl_max_nodes(); nid++)
		rcu_assign_pointer(obj->replica[nid + 1], obj->initial);
	ktrepl_object_point_to_primary(obj);
	ktrepl_object_put(obj, NUMA_NO_NODE, last);
	mutex_unlock(&ktrepl_mutex);
}
EXPORT_SYMBOL_GPL(ktrepl_object_unregister);

/**
 * ktrepl_object_alloc - for alloc_replicated()
 * @name: what reports call it; not copied
 * @init: first contents, or NULL for zeroes
 * @size: size in bytes
 *
 * Context: Process context, may sleep.
 * Return: the object, or ERR_PTR(-EINVAL) for size 0, ERR_PTR(-ENOMEM).
 */
struct ktrepl_object *ktrepl_object_alloc(const char *name, const void *init,
					  size_t size)
{
	unsigned int i, nr = ktrepl_max_nodes() + 1;
	struct ktrepl_object *obj;
	void *primary;

	if (!size)
		return ERR_PTR(-EINVAL);
	obj = kzalloc(struct_size(obj, replica, nr), GFP_KERNEL);
	if (!obj)
		return ERR_PTR(-ENOMEM);
	obj->name = name;
	obj->size = size;
	obj->local = alloc_percpu(struct ktrepl_local);
	primary = ktrepl_object_new(obj, NUMA_NO_NODE);
	if (!obj->local || !primary)
		goto fail;
	if (init)
		memcpy(primary, init, size);
	for (i = 0; i < nr; i++)
		RCU_INIT_POINTER(obj->replica[i], primary);
	ktrepl_object_register(obj);
	return obj;

fail:
	if (primary)
		ktrepl_object_put(obj, NUMA_NO_NODE, primary);
	free_percpu(obj->local);
	kfree(obj);
	return ERR_PTR(-ENOMEM);
}
EXPORT_SYMBOL_GPL(ktrepl_object_alloc);

/**
 * ktrepl_object_free - for free_replicated()
 * @obj: the object, ERR_PTR or NULL (nothing happens for the latter two)
 *
 * Context: Process context, waits for an RCU grace period.
 */
void ktrepl_object_free(struct ktrepl_object *obj)
{
	if (IS_ERR_OR_NULL(obj))
		return;
	ktrepl_object_unregister(obj);
	free_percpu(obj->local);
	kfree(obj);
}
EXPORT_SYMBOL_GPL(ktrepl_object_free);

/* New replicas with the contents of a new primary, where there are any now. */
static void ktrepl_object_renew(const struct ktrepl_object *obj,
				const void *primary, void **replica)
{
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_object_has(obj, nid))
			continue;
		replica[nid] = ktrepl_object_new(obj, nid);
		if (replica[nid])
			memcpy(replica[nid], primary, obj->size);
		else
			/* The node reads the new primary for a time. */
			ktrepl_heal_soon();
	}
}

/**
 * ktrepl_object_update - for replicated_update()
 * @obj: the object
 * @fn:  changes the new contents
 * @arg: for it
 *
 * Context: Process context, may sleep.
 * Return: 0; -ENOMEM, or what @fn has returned, with nothing changed.
 */
int ktrepl_object_update(struct ktrepl_object *obj,
			 int (*fn)(void *new, void *arg), void *arg)
{
	void *primary = ktrepl_object_new(obj, NUMA_NO_NODE);
	void **replica = kcalloc(ktrepl_max_nodes(), sizeof(*replica),
				 GFP_KERNEL);
	int err = -ENOMEM;

	if (!primary || !replica)
		goto out;
	mutex_lock(&ktrepl_mutex);
	memcpy(primary, ktrepl_object_replica(obj, NUMA_NO_NODE), obj->size);
	err = fn(primary, arg);
	if (!err) {
		ktrepl_object_renew(obj, primary, replica);
		ktrepl_object_publish(obj, primary, replica);
	}
	mutex_unlock(&ktrepl_mutex);
out:
	if (err && primary)
		kfree(container_of(primary, struct ktrepl_object_replica,
				   data[0]));
	kfree(replica);
	return err;
}
EXPORT_SYMBOL_GPL(ktrepl_object_update);

/**
 * ktrepl_objects_fill - make the replicas that objects lack
 *
 * Context: Process context, ktrepl_mutex held.
 * Return: true if nothing is missing.
 */
bool ktrepl_objects_fill(void)
{
	struct ktrepl_object *obj;
	bool whole = true;

	lockdep_assert_held(&ktrepl_mutex);

	list_for_each_entry(obj, &ktrepl_objects, list)
		whole &= ktrepl_object_replicate(obj);
	return whole;
}

/**
 * ktrepl_objects_drop - drop the replicas of all objects
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_objects_drop(void)
{
	struct ktrepl_object *obj;

	lockdep_assert_held(&ktrepl_mutex);

	list_for_each_entry(obj, &ktrepl_objects, list)
		ktrepl_object_drop_replicas(obj);
}

/**
 * ktrepl_objects_verify - compare the replicas of all objects with the primary
 * @res: counts, added to; an object's replica counts as one page
 * @m:	 where to name replicas that differ, or NULL
 *
 * Context: ktrepl_mutex held.
 */
void ktrepl_objects_verify(struct ktrepl_verify_result *res, struct seq_file *m)
{
	struct ktrepl_object *obj;
	int nid;

	lockdep_assert_held(&ktrepl_mutex);

	list_for_each_entry(obj, &ktrepl_objects, list) {
		for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
			if (!ktrepl_object_has(obj, nid))
				continue;
			res->compared++;
			if (!memcmp(ktrepl_object_replica(obj, nid),
				    ktrepl_object_replica(obj, NUMA_NO_NODE),
				    obj->size))
				continue;
			res->different++;
			if (m)
				seq_printf(m, "different %s %d 0\n", obj->name,
					   nid);
		}
	}
}
