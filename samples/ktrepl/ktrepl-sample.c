// SPDX-License-Identifier: GPL-2.0
/*
 * A module whose read-mostly data every node reads from its own memory.
 *
 * /sys/kernel/ktrepl_sample/ shows and changes it:
 *
 *	hard	  a field of a replicated object
 *	motto	  the contents of another one, which is allocated
 *	entry	  "INDEX VALUE" writes to a table of replicated pages; reading
 *		  gives the entry that has been written last
 *	where	  where the replicas of that table are
 *	switches  how often replication has been switched
 *
 * The module works alike while replication is off or refused, and on a kernel
 * without CONFIG_KTREPL.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/kobject.h>
#include <linux/ktrepl.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

/* === An object that is defined =========================================== */

/* [object] */
struct limits {
	u32 soft, hard;
};

DEFINE_REPLICATED(struct limits, limits) = { .soft = 10, .hard = 20 };

static u32 limits_hard(void)
{
	u32 hard;

	rcu_read_lock();
	hard = replicated_deref(limits)->hard;
	rcu_read_unlock();
	return hard;
}

/* Changes the new contents; an error leaves the old ones. */
static int limits_raise(void *new, void *arg)
{
	struct limits *l = new;
	u32 hard = *(u32 *)arg;

	if (hard < l->soft)
		return -ERANGE;
	l->hard = hard;
	return 0;
}

static int limits_set_hard(u32 hard)
{
	return replicated_update(limits, limits_raise, &hard);
}

/* [/object] */

static ssize_t hard_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *val, size_t count)
{
	u32 hard;
	int err = kstrtou32(val, 0, &hard);

	err = err ?: limits_set_hard(hard);
	return err ?: count;
}

static ssize_t hard_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%u\n", limits_hard());
}

static struct kobj_attribute hard_attr = __ATTR_RW(hard);

/* === An object that is allocated ========================================= */

struct motto {
	char text[32];
};

static const struct motto motto_first = { "fetch locally" };
static struct motto __replicated *motto;

static int motto_change(void *new, void *arg)
{
	struct motto *m = new;

	return strscpy(m->text, strim(arg)) < 0 ? -E2BIG : 0;
}

static ssize_t motto_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *val, size_t count)
{
	char *text = kstrdup(val, GFP_KERNEL);
	int err = text ? replicated_update(motto, motto_change, text) : -ENOMEM;

	kfree(text);
	return err ?: count;
}

static ssize_t motto_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	int len;

	rcu_read_lock();
	len = sysfs_emit(buf, "%s\n", replicated_deref(motto)->text);
	rcu_read_unlock();
	return len;
}

static struct kobj_attribute motto_attr = __ATTR_RW(motto);

/* === Pages =============================================================== */

/* [pages] */
#define SQUARES	1024

static u64 *squares;		/* read by plain loads */

static int squares_init(void)
{
	int i;

	squares = alloc_replicated_pages("squares", SQUARES * sizeof(*squares));
	if (!squares)
		return -ENOMEM;
	for (i = 0; i < SQUARES; i++)
		squares[i] = (u64)i * i;
	return seal_replicated_pages(squares);
}

static int squares_change(unsigned int i, u64 value)
{
	if (i >= SQUARES)
		return -ERANGE;
	return write_replicated_pages(&squares[i], &value, sizeof(value));
}

/* [/pages] */

static unsigned int entry = 7;

static ssize_t entry_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *val, size_t count)
{
	unsigned int i;
	u64 value;
	int err;

	if (sscanf(val, "%u %llu", &i, &value) != 2)
		return -EINVAL;
	err = squares_change(i, value);
	if (err)
		return err;
	entry = i;
	return count;
}

static ssize_t entry_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	return sysfs_emit(buf, "%u %llu\n", entry, READ_ONCE(squares[entry]));
}

static struct kobj_attribute entry_attr = __ATTR_RW(entry);

static ssize_t where_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	struct ktrepl_place place;

	if (!ktrepl_query(squares, &place))
		return sysfs_emit(buf, "not replicated\n");
	if (bitmap_empty(place.replicas, KTREPL_MAX_NODES))
		return sysfs_emit(buf, "node %d, no replicas\n", place.primary);
	return sysfs_emit(buf, "node %d, replicas on %*pbl%s\n", place.primary,
			  KTREPL_MAX_NODES, place.replicas,
			  place.stale ? ", stale" : "");
}

static struct kobj_attribute where_attr = __ATTR_RO(where);

/* === Events ============================================================== */

/* [event] */
static atomic_t switches = ATOMIC_INIT(0);

static int sample_event(struct notifier_block *nb, unsigned long event,
			void *data)
{
	const struct ktrepl_event_data *where = data;

	switch (event) {
	case KTREPL_SWITCHED_ON:
	case KTREPL_SWITCHED_OFF:
		atomic_inc(&switches);
		break;
	case KTREPL_NOT_HEALED:
		pr_warn("node %d does not keep what is written to %ps\n",
			where->nid, (void *)where->addr);
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block sample_nb = {
	.notifier_call = sample_event,
};

/* [/event] */

static ssize_t switches_show(struct kobject *kobj, struct kobj_attribute *attr,
			     char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&switches));
}

static struct kobj_attribute switches_attr = __ATTR_RO(switches);

/* === Module ============================================================== */

static struct attribute *sample_attrs[] = {
	&hard_attr.attr,
	&motto_attr.attr,
	&entry_attr.attr,
	&where_attr.attr,
	&switches_attr.attr,
	NULL,
};
ATTRIBUTE_GROUPS(sample);

static struct kobject *sample_kobj;

static int __init sample_data_init(void)
{
	int err;

	motto = alloc_replicated(struct motto, "motto", &motto_first);
	if (IS_ERR(motto))
		return PTR_ERR(motto);
	err = squares_init();
	if (err)
		goto fail;
	err = ktrepl_register_notifier(&sample_nb);
	if (err)
		goto fail;
	replicated_register(limits);
	return 0;

fail:
	free_replicated_pages(squares);
	free_replicated(motto);
	return err;
}

static void sample_data_exit(void)
{
	replicated_unregister(limits);
	ktrepl_unregister_notifier(&sample_nb);
	free_replicated_pages(squares);
	free_replicated(motto);
}

static int __init sample_init(void)
{
	int err = sample_data_init();

	if (err)
		return err;
	sample_kobj = kobject_create_and_add("ktrepl_sample", kernel_kobj);
	err = sample_kobj ? sysfs_create_groups(sample_kobj, sample_groups) : -ENOMEM;
	if (!err)
		return 0;
	kobject_put(sample_kobj);
	sample_data_exit();
	return err;
}
module_init(sample_init);

static void __exit sample_exit(void)
{
	kobject_put(sample_kobj);
	sample_data_exit();
}
module_exit(sample_exit);

MODULE_DESCRIPTION("Read-mostly data with a replica on every NUMA node");
MODULE_LICENSE("GPL");
