// SPDX-License-Identifier: GPL-2.0
/*
 * Replicated read-mostly objects for other subsystems.
 *
 * Concurrency: a reader is an RCU reader of its node's copy.  A writer makes
 * complete new copies for all nodes first, and only then publishes them one by
 * one, so that a write changes all copies or none, and a reader sees all of the
 * old or all of the new contents.  The new copies of different nodes become
 * visible one after the other: two nodes may disagree while a write is under
 * way, as they may about anything that RCU protects.
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
 * struct ktrepl_object_copy - one copy of an object
 * @rcu:  frees it
 * @data: contents
 */
struct ktrepl_object_copy {
	struct rcu_head rcu;
	u8 data[] __aligned(8);
};

/**
 * struct ktrepl_object - an object and its copies
 * @list:   on ktrepl_objects
 * @name:   what reports call it
 * @size:   of the contents in bytes
 * @master: the copy for nodes without one
 * @copy:   by node id; NULL where the node reads the master
 *
 * All but the contents of copies is written under ktrepl_mutex.
 */
struct ktrepl_object {
	struct list_head list;
	const char *name;
	size_t size;
	struct ktrepl_object_copy __rcu *master;
	struct ktrepl_object_copy __rcu *copy[KTREPL_MAX_NODES];
};

static LIST_HEAD(ktrepl_objects);

static struct ktrepl_object_copy __rcu **
ktrepl_object_slot(struct ktrepl_object *obj, int nid)
{
	return nid == NUMA_NO_NODE ? &obj->master : &obj->copy[nid];
}

static size_t ktrepl_object_bytes(const struct ktrepl_object *obj)
{
	return sizeof(struct ktrepl_object_copy) + obj->size;
}

/* nid NUMA_NO_NODE: the master, anywhere, not charged to a node. */
static struct ktrepl_object_copy *
ktrepl_object_copy_alloc(const struct ktrepl_object *obj, int nid)
{
	struct ktrepl_node *node;
	struct ktrepl_object_copy *copy;

	if (nid == NUMA_NO_NODE)
		return kzalloc(ktrepl_object_bytes(obj), GFP_KERNEL);

	node = ktrepl_nodes[nid];
	if (!ktrepl_charge(node, KTREPL_STAT_OBJECT, ktrepl_object_bytes(obj)))
		goto fail;
	copy = kzalloc_node(ktrepl_object_bytes(obj),
			    GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN,
			    ktrepl_gfp_node(nid));
	if (copy)
		return copy;
	ktrepl_uncharge(node, KTREPL_STAT_OBJECT, ktrepl_object_bytes(obj));
fail:
	ktrepl_node_count(node, KTREPL_STAT_PAGE_FAIL);
	trace_ktrepl_alloc_fail(nid, obj->size);
	return NULL;
}

/* Publishes a new copy, or NULL, on a node and frees the old one. */
static void ktrepl_object_replace(struct ktrepl_object *obj, int nid,
				  struct ktrepl_object_copy *new)
{
	struct ktrepl_object_copy *old;

	old = rcu_replace_pointer(*ktrepl_object_slot(obj, nid), new,
				  lockdep_is_held(&ktrepl_mutex));
	if (!old)
		return;
	if (nid != NUMA_NO_NODE)
		ktrepl_uncharge(ktrepl_nodes[nid], KTREPL_STAT_OBJECT,
				ktrepl_object_bytes(obj));
	kfree_rcu(old, rcu);
}

static const u8 *ktrepl_object_master(const struct ktrepl_object *obj)
{
	return rcu_dereference_protected(obj->master,
					 lockdep_is_held(&ktrepl_mutex))->data;
}

/* A copy of the present contents on each node that is some CPU's home. */
static bool ktrepl_object_replicate(struct ktrepl_object *obj)
{
	struct ktrepl_object_copy *copy;
	bool whole = true;
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_node_wanted(nid) ||
		    ktrepl_node_given_up(ktrepl_nodes[nid]) ||
		    rcu_access_pointer(obj->copy[nid]))
			continue;
		copy = ktrepl_object_copy_alloc(obj, nid);
		whole &= !!copy;
		if (!copy)
			continue;
		memcpy(copy->data, ktrepl_object_master(obj), obj->size);
		ktrepl_object_replace(obj, nid, copy);
	}
	return whole;
}

struct ktrepl_object *ktrepl_object_alloc(const char *name, const void *init,
					  size_t size)
{
	struct ktrepl_object_copy *copy;
	struct ktrepl_object *obj;

	if (!size)
		return ERR_PTR(-EINVAL);
	obj = kzalloc(sizeof(*obj), GFP_KERNEL);
	if (!obj)
		return ERR_PTR(-ENOMEM);
	obj->name = name;
	obj->size = size;
	copy = ktrepl_object_copy_alloc(obj, NUMA_NO_NODE);
	if (!copy) {
		kfree(obj);
		return ERR_PTR(-ENOMEM);
	}
	if (init)
		memcpy(copy->data, init, size);

	mutex_lock(&ktrepl_mutex);
	ktrepl_object_replace(obj, NUMA_NO_NODE, copy);
	list_add_tail(&obj->list, &ktrepl_objects);
	if (ktrepl_is_on() && !ktrepl_object_replicate(obj))
		ktrepl_heal_soon();
	mutex_unlock(&ktrepl_mutex);
	return obj;
}
EXPORT_SYMBOL_GPL(ktrepl_object_alloc);

/**
 * ktrepl_object_copy - the contents that a node reads
 * @obj: the object
 * @nid: the node, or NUMA_NO_NODE for the master
 *
 * Context: rcu_read_lock() or ktrepl_mutex held.
 * Return: contents; never NULL.
 */
const void *ktrepl_object_copy(const struct ktrepl_object *obj, int nid)
{
	struct ktrepl_object_copy *copy = NULL;

	if (nid != NUMA_NO_NODE)
		copy = rcu_dereference_check(obj->copy[nid],
					     lockdep_is_held(&ktrepl_mutex));
	if (!copy)
		copy = rcu_dereference_check(obj->master,
					     lockdep_is_held(&ktrepl_mutex));
	return copy->data;
}

const void *ktrepl_object_read(const struct ktrepl_object *obj)
{
	/*
	 * A task that moves on meanwhile reads a remote copy, once.  Two lines may
	 * come from another node on a miss, those of the object and of the node;
	 * both are read-mostly, and an object per node to lead to them would cost
	 * each caller as much.
	 */
	const struct ktrepl_node *home = raw_cpu_read(ktrepl_cpu_home);

	return ktrepl_object_copy(obj, home ? home->nid : NUMA_NO_NODE);
}
EXPORT_SYMBOL_GPL(ktrepl_object_read);

int ktrepl_object_write(struct ktrepl_object *obj, size_t off, const void *src,
			size_t len)
{
	struct ktrepl_object_copy *master, **copy;
	int nid;

	if (off > obj->size || len > obj->size - off)
		return -EINVAL;
	copy = kcalloc(ktrepl_nr_nodes, sizeof(*copy), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	master = ktrepl_object_copy_alloc(obj, NUMA_NO_NODE);
	if (!master) {
		kfree(copy);
		return -ENOMEM;
	}

	mutex_lock(&ktrepl_mutex);
	memcpy(master->data, ktrepl_object_master(obj), obj->size);
	memcpy(master->data + off, src, len);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!rcu_access_pointer(obj->copy[nid]))
			continue;
		/* On failure the node goes on with the new master for a time. */
		copy[nid] = ktrepl_object_copy_alloc(obj, nid);
		if (copy[nid])
			memcpy(copy[nid]->data, master->data, obj->size);
		else
			ktrepl_heal_soon();
	}
	ktrepl_object_replace(obj, NUMA_NO_NODE, master);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (rcu_access_pointer(obj->copy[nid]))
			ktrepl_object_replace(obj, nid, copy[nid]);
	mutex_unlock(&ktrepl_mutex);
	kfree(copy);
	return 0;
}
EXPORT_SYMBOL_GPL(ktrepl_object_write);

static void ktrepl_object_drop_copies(struct ktrepl_object *obj)
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
	ktrepl_object_drop_copies(obj);
	ktrepl_object_replace(obj, NUMA_NO_NODE, NULL);
	mutex_unlock(&ktrepl_mutex);
	kfree(obj);
}
EXPORT_SYMBOL_GPL(ktrepl_object_free);

/**
 * ktrepl_objects_fill - make the copies that objects lack
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
 * ktrepl_objects_drop - drop the copies of all objects
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_objects_drop(void)
{
	struct ktrepl_object *obj;

	lockdep_assert_held(&ktrepl_mutex);

	list_for_each_entry(obj, &ktrepl_objects, list)
		ktrepl_object_drop_copies(obj);
}

/**
 * ktrepl_objects_verify - compare the copies of all objects with the master
 * @res: counts, added to; an object's copy counts as one page
 * @m:	 where to name copies that differ, or NULL
 *
 * Context: ktrepl_mutex held.
 */
void ktrepl_objects_verify(struct ktrepl_verify *res, struct seq_file *m)
{
	struct ktrepl_object *obj;
	int nid;

	lockdep_assert_held(&ktrepl_mutex);

	list_for_each_entry(obj, &ktrepl_objects, list) {
		for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
			if (!rcu_access_pointer(obj->copy[nid]))
				continue;
			res->compared++;
			if (!memcmp(ktrepl_object_copy(obj, nid),
				    ktrepl_object_master(obj), obj->size))
				continue;
			res->different++;
			if (m)
				seq_printf(m, "different %s %d 0\n", obj->name,
					   nid);
		}
	}
}
