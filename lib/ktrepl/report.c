// SPDX-License-Identifier: GPL-2.0
/*
 * debugfs: one record a line, fields separated by spaces, the first word says
 * what it is.  See Documentation/ABI/testing/debugfs-ktrepl.
 */

#define pr_fmt(fmt) "ktrepl: " fmt

#include <linux/cpu.h>
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <kunit/visibility.h>

#include "internal.h"

VISIBLE_IF_KUNIT int ktrepl_report_state_show(struct seq_file *m, void *unused)
{
	mutex_lock(&ktrepl_mutex);
	ktrepl_state_show(m);
	mutex_unlock(&ktrepl_mutex);
	ktrepl_roots_show(m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ktrepl_report_state);

static unsigned long ktrepl_stat_read(int nid, int stat)
{
	/* A node that never took part holds nothing. */
	if (!ktrepl_nodes[nid])
		return 0;
	return atomic_long_read(&ktrepl_nodes[nid]->stat[stat]);
}

/* Pages of a node that is to have replicas, but has none for lack of memory. */
static unsigned long ktrepl_missing(int nid)
{
	struct ktrepl_region *region;
	unsigned long nr = 0;

	if (!ktrepl_is_on() || !ktrepl_node_wanted(nid))
		return 0;
	list_for_each_entry(region, &ktrepl_regions, list)
		nr += ktrepl_region_missing(region, nid);
	return nr + ktrepl_execmem_missing(nid);
}

/*
 * Replicas of the image that are not in use since their primary was writable.
 */
VISIBLE_IF_KUNIT unsigned long ktrepl_stale(int nid)
{
	struct ktrepl_region *region;
	unsigned long i, nr = 0;

	list_for_each_entry(region, &ktrepl_regions, list)
		for_each_set_bit(i, region->stale, ktrepl_region_pages(region))
			nr += !!ktrepl_region_replica(region, nid, i);
	return nr;
}

static void ktrepl_stats_node(struct seq_file *m, int nid)
{
	unsigned long kb[KTREPL_NR_SIZES], total = 0;
	int i;

	/* Rounded up one by one, so that the total is the sum of its parts. */
	for (i = 0; i < KTREPL_NR_SIZES; i++) {
		kb[i] = DIV_ROUND_UP(ktrepl_stat_read(nid, i), 1024);
		total += kb[i];
	}
	seq_printf(m, "node %d total_repli_pages %lu\n", nid, total);
	for (i = 0; i < KTREPL_NR_STATS; i++)
		seq_printf(m, "node %d %s %lu\n", nid, ktrepl_stat_names[i],
			   i < KTREPL_NR_SIZES ? kb[i] :
						 ktrepl_stat_read(nid, i));
	seq_printf(m, "node %d missing_pages %lu\n", nid, ktrepl_missing(nid));
	seq_printf(m, "node %d stale_pages %lu\n", nid, ktrepl_stale(nid));
}

VISIBLE_IF_KUNIT int ktrepl_report_stats_show(struct seq_file *m, void *unused)
{
	int nid;

	mutex_lock(&ktrepl_mutex);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid] || node_online(nid))
			ktrepl_stats_node(m, nid);
	mutex_unlock(&ktrepl_mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ktrepl_report_stats);

static int translations_show(struct seq_file *m, void *unused)
{
	mutex_lock(&ktrepl_mutex);
	ktrepl_translations_show(m);
	mutex_unlock(&ktrepl_mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(translations);

static unsigned long ktrepl_region_copied(const struct ktrepl_region *region, int nid)
{
	unsigned long i, nr = 0;

	for (i = 0; i < ktrepl_region_pages(region); i++)
		nr += !!ktrepl_region_replica(region, nid, i);
	return nr;
}

VISIBLE_IF_KUNIT int ktrepl_report_regions_show(struct seq_file *m, void *unused)
{
	struct ktrepl_region *region;
	unsigned long nr;
	const char *sep;
	int nid;

	mutex_lock(&ktrepl_mutex);
	list_for_each_entry(region, &ktrepl_regions, list) {
		seq_printf(m, "region %s %s %lx %lx %lu ", region->name,
			   region->kind == KTREPL_TEXT ? "text" : "rodata",
			   region->start, region->end - 1,
			   (region->end - region->start) >> 10);
		sep = "";
		for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
			nr = ktrepl_region_copied(region, nid);
			if (!nr)
				continue;
			seq_printf(m, "%s%d:%lu", sep, nid,
				   nr << (PAGE_SHIFT - 10));
			sep = ",";
		}
		seq_puts(m, *sep ? "\n" : "-\n");
	}
	mutex_unlock(&ktrepl_mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ktrepl_report_regions);

#ifdef CONFIG_KTREPL_MODULES
static int modules_show(struct seq_file *m, void *unused)
{
	int err;

	mutex_lock(&ktrepl_mutex);
	err = ktrepl_execmem_show(m);
	mutex_unlock(&ktrepl_mutex);
	return err;
}

/* Who only waits need not read. */
static int modules_open(struct inode *inode, struct file *file)
{
	ktrepl_execmem_flush();
	return single_open(file, modules_show, NULL);
}

static const struct file_operations modules_fops = {
	.owner	 = THIS_MODULE,
	.open	 = modules_open,
	.read	 = seq_read,
	.llseek	 = seq_lseek,
	.release = single_release,
};
#endif

static int locality_show(struct seq_file *m, void *unused)
{
	cpus_read_lock();
	mutex_lock(&ktrepl_mutex);
	ktrepl_locality_show(m);
	mutex_unlock(&ktrepl_mutex);
	cpus_read_unlock();
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(locality);

VISIBLE_IF_KUNIT int ktrepl_report_verify_show(struct seq_file *m, void *unused)
{
	struct ktrepl_verify_result res = { };

	mutex_lock(&ktrepl_mutex);
	ktrepl_verify(&res, m, false);
	mutex_unlock(&ktrepl_mutex);
	seq_printf(m, "verify %lu %lu\n", res.compared, res.different);
	return 0;
}

static int verify_open(struct inode *inode, struct file *file)
{
	return single_open(file, ktrepl_report_verify_show, NULL);
}

static ssize_t verify_write(struct file *file, const char __user *buf,
			    size_t len, loff_t *ppos)
{
	struct ktrepl_verify_result res = { };
	char word[16] = "";

	if (len >= sizeof(word))
		return -EINVAL;
	if (copy_from_user(word, buf, len))
		return -EFAULT;
	if (!sysfs_streq(word, "repair"))
		return -EINVAL;
	mutex_lock(&ktrepl_mutex);
	ktrepl_verify(&res, NULL, true);
	mutex_unlock(&ktrepl_mutex);
	if (res.different > res.doubtful)
		pr_warn("%lu pages repaired\n", res.different - res.doubtful);
	if (res.doubtful)
		pr_warn("%lu replicas agree against their original: left as they are\n",
			res.doubtful);
	return len;
}

static const struct file_operations verify_fops = {
	.owner	 = THIS_MODULE,
	.open	 = verify_open,
	.read	 = seq_read,
	.write	 = verify_write,
	.llseek	 = seq_lseek,
	.release = single_release,
};

static int __init ktrepl_debugfs_init(void)
{
	struct dentry *dir = debugfs_create_dir("ktrepl", NULL);

	debugfs_create_file("state", 0400, dir, NULL,
			    &ktrepl_report_state_fops);
	debugfs_create_file("stats", 0400, dir, NULL,
			    &ktrepl_report_stats_fops);
	debugfs_create_file("translations", 0400, dir, NULL,
			    &translations_fops);
	debugfs_create_file("regions", 0400, dir, NULL,
			    &ktrepl_report_regions_fops);
#ifdef CONFIG_KTREPL_MODULES
	debugfs_create_file("modules", 0400, dir, NULL, &modules_fops);
#endif
	debugfs_create_file("locality", 0400, dir, NULL, &locality_fops);
	debugfs_create_file("verify", 0600, dir, NULL, &verify_fops);
	return 0;
}
late_initcall(ktrepl_debugfs_init);
