// SPDX-License-Identifier: GPL-2.0
/*
 * Replicated read-mostly objects for other subsystems.
 *
 * Concurrency: a reader is an RCU reader of its node's replica.  A writer makes
 * complete new replicas for all nodes first, and only then publishes them one
 * by one, so that a write changes all replicas or none, and a reader sees all
 * of the old or all of the new contents.  The new replicas of different nodes
 * become visible one after the other: two nodes may disagree while a write is
 * under way, as they may about anything that RCU protects.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <trace/events/ktrepl.h>

#include "internal.h"

/**
 * struct ktrepl_object_replica - one replica of an object
 * @rcu:  frees it
 * @data: contents
 */
struct ktrepl_object_replica {
	struct rcu_head rcu;
	u8 data[] __aligned(8);
};

/**
 * struct ktrepl_object - an object and its replicas
 * @list:   on ktrepl_objects
 * @name:   what reports call it
 * @size:   of the contents in bytes
 * @primary: the replica for nodes without one
 * @replica:   by node id; NULL where the node reads the primary
 *
 * All but the contents of replicas is written under ktrepl_mutex.
 */
struct ktrepl_object {
	struct list_head list;
	const char *name;
	size_t size;
	struct ktrepl_object_replica __rcu *primary;
	struct ktrepl_object_replica __rcu *replica[KTREPL_MAX_NODES];
};

static LIST_HEAD(ktrepl_objects);

static struct ktrepl_object_replica __rcu **
ktrepl_object_slot(struct ktrepl_object *obj, int nid)
{
	return nid == NUMA_NO_NODE ? &obj->primary : &obj->replica[nid];
}

static size_t ktrepl_object_bytes(const struct ktrepl_object *obj)
{
	return sizeof(struct ktrepl_object_replica) + obj->size;
}

/* nid NUMA_NO_NODE: the primary, anywhere, not charged to a node. */
static struct ktrepl_object_replica *
ktrepl_object_replica_alloc(const struct ktrepl_object *obj, int nid)
{
	struct ktrepl_node *node;
	struct ktrepl_object_replica *replica;

	if (nid == NUMA_NO_NODE)
		return kzalloc(ktrepl_object_bytes(obj), GFP_KERNEL);

	node = ktrepl_nodes[nid];
	if (!ktrepl_charge(node, KTREPL_STAT_OBJECT, ktrepl_object_bytes(obj)))
		goto fail;
	replica = kzalloc_node(ktrepl_object_bytes(obj),
			       GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN,
			    ktrepl_gfp_node(nid));
	if (replica)
		return replica;
	ktrepl_uncharge(node, KTREPL_STAT_OBJECT, ktrepl_object_bytes(obj));
fail:
	ktrepl_node_count(node, KTREPL_STAT_PAGE_FAIL);
	trace_ktrepl_alloc_fail(nid, obj->size);
	return NULL;
}

/* Publishes a new replica, or NULL, on a node and frees the old one. */
static void ktrepl_object_replace(struct ktrepl_object *obj, int nid,
				  struct ktrepl_object_replica *new)
{
	struct ktrepl_object_replica *old;

	old = rcu_replace_pointer(*ktrepl_object_slot(obj, nid), new,
				  lockdep_is_held(&ktrepl_mutex));
	if (!old)
		return;
	if (nid != NUMA_NO_NODE)
		ktrepl_uncharge(ktrepl_nodes[nid], KTREPL_STAT_OBJECT,
				ktrepl_object_bytes(obj));
	kfree_rcu(old, rcu);
}

static const u8 *ktrepl_object_primary(const struct ktrepl_object *obj)
{
	return rcu_dereference_protected(obj->primary,
					 lockdep_is_held(&ktrepl_mutex))->data;
}

/*
 * A replica of the present contents on each node that is some CPU's preferred
 * node.
 */
static bool ktrepl_object_replicate(struct ktrepl_object *obj)
{
	struct ktrepl_object_replica *replica;
	bool whole = true;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_node_wanted(nid) ||
		    ktrepl_node_given_up(ktrepl_nodes[nid]) ||
		    rcu_access_pointer(obj->replica[nid]))
			continue;
		replica = ktrepl_object_replica_alloc(obj, nid);
		whole &= !!replica;
		if (!replica)
			continue;
		memcpy(replica->data, ktrepl_object_primary(obj), obj->size);
		ktrepl_object_replace(obj, nid, replica);
	}
	return whole;
}

struct ktrepl_object *ktrepl_object_alloc(const char *name, const void *init,
					  size_t size)
{
	struct ktrepl_object_replica *replica;
	struct ktrepl_object *obj;

	if (!size)
		return ERR_PTR(-EINVAL);
	obj = kzalloc(sizeof(*obj), GFP_KERNEL);
	if (!obj)
		return ERR_PTR(-ENOMEM);
	obj->name = name;
	obj->size = size;
	replica = ktrepl_object_replica_alloc(obj, NUMA_NO_NODE);
	if (!replica) {
		kfree(obj);
		return ERR_PTR(-ENOMEM);
	}
	if (init)
		memcpy(replica->data, init, size);

	mutex_lock(&ktrepl_mutex);
	ktrepl_object_replace(obj, NUMA_NO_NODE, replica);
	list_add_tail(&obj->list, &ktrepl_objects);
	if (ktrepl_is_on() && !ktrepl_object_replicate(obj))
		ktrepl_heal_soon();
	mutex_unlock(&ktrepl_mutex);
	return obj;
}
EXPORT_SYMBOL_GPL(ktrepl_object_alloc);

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
	struct ktrepl_object_replica *replica = NULL;

	if (nid != NUMA_NO_NODE)
		replica = rcu_dereference_check(obj->replica[nid],
						lockdep_is_held(&ktrepl_mutex));
	if (!replica)
		replica = rcu_dereference_check(obj->primary,
						lockdep_is_held(&ktrepl_mutex));
	return replica->data;
}

const void *ktrepl_object_read(const struct ktrepl_object *obj)
{
	/*
	 * A task that moves on meanwhile reads a remote replica, once.  Two
	 * lines may come from another node on a miss, those of the object and
	 * of the node; both are read-mostly, and an object per node to lead to
	 * them would cost each caller as much.
	 */
	const struct ktrepl_node *preferred = raw_cpu_read(ktrepl_cpu_preferred);

	return ktrepl_object_replica(obj, preferred ? preferred->nid : NUMA_NO_NODE);
}
EXPORT_SYMBOL_GPL(ktrepl_object_read);

int ktrepl_object_write(struct ktrepl_object *obj, size_t off, const void *src,
			size_t len)
{
	struct ktrepl_object_replica *primary, **replica;
	int nid;

	if (off > obj->size || len > obj->size - off)
		return -EINVAL;
	replica = kcalloc(ktrepl_nr_nodes, sizeof(*replica), GFP_KERNEL);
	if (!replica)
		return -ENOMEM;
	primary = ktrepl_object_replica_alloc(obj, NUMA_NO_NODE);
	if (!primary) {
		kfree(replica);
		return -ENOMEM;
	}

	mutex_lock(&ktrepl_mutex);
	memcpy(primary->data, ktrepl_object_primary(obj), obj->size);
	memcpy(primary->data + off, src, len);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!rcu_access_pointer(obj->replica[nid]))
			continue;
		/*
		 * On failure the node goes on with the new primary for a time.
		 */
		replica[nid] = ktrepl_object_replica_alloc(obj, nid);
		if (replica[nid])
			memcpy(replica[nid]->data, primary->data, obj->size);
		else
			ktrepl_heal_soon();
	}
	ktrepl_object_replace(obj, NUMA_NO_NODE, primary);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (rcu_access_pointer(obj->replica[nid]))
			ktrepl_object_replace(obj, nid, replica[nid]);
	mutex_unlock(&ktrepl_mutex);
	kfree(replica);
	return 0;
}
EXPORT_SYMBOL_GPL(ktrepl_object_write);

static void ktrepl_object_drop_replicas(struct ktrepl_object *obj)
{
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		ktrepl_object_replace(obj, nid, NULL);
}

void ktrepl_object_free(struct ktrepl_object *obj)
{
	if (IS_ERR_OR_NULL(obj))
		return;

	mutex_lock(&ktrepl_mutex);
	list_del(&obj->list);
	/* Readers that found the object before the caller unpublished it. */
	synchronize_rcu();
	ktrepl_object_drop_replicas(obj);
	ktrepl_object_replace(obj, NUMA_NO_NODE, NULL);
	mutex_unlock(&ktrepl_mutex);
	kfree(obj);
}
EXPORT_SYMBOL_GPL(ktrepl_object_free);

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
			if (!rcu_access_pointer(obj->replica[nid]))
				continue;
			res->compared++;
			if (!memcmp(ktrepl_object_replica(obj, nid),
				    ktrepl_object_primary(obj), obj->size))
				continue;
			res->different++;
			if (m)
				seq_printf(m, "different %s %d 0\n", obj->name,
					   nid);
		}
	}
}
