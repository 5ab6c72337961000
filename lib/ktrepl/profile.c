// SPDX-License-Identifier: GPL-2.0
/*
 * Page-fault profiler: faults and CPU time of registered processes, by node.
 *
 * Processes are registered in /proc/ktrepl/profile/status: it takes commands and
 * lists processes, which is what /proc is for. debugfs is no interface to rely on,
 * and the character device has data, which another user may be allowed to see.
 *
 * While processes are registered, a work item adds up what their threads did since
 * the sample before, and writes one record for each node into a ring, which
 * monitors map from /dev/ktrepl-profile. What a thread did counts for the node that
 * it is on when the sample is taken.
 */

#define pr_fmt(fmt) "ktrepl_profile: " fmt

#include <kunit/visibility.h>
#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/pid.h>
#include <linux/proc_fs.h>
#include <linux/sched/cputime.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/topology.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "profile.h"

/* A jiffy is the shortest delay of a work item. */
#define PROFILE_RATE_MAX	min(1000, HZ)
#define PROFILE_RECORDS_MIN	16
#define PROFILE_RECORDS_MAX	1048576

struct profile_counts {
	u64 minor, major, user_ns, system_ns;
};

/* A thread at the last sample. The reference keeps its counters once it is dead. */
struct profile_thread {
	struct task_struct *task;
	struct profile_counts counts;
};

/* A registered process. */
struct profile_process {
	struct list_head list;
	/* Not its number, which a new process can get while this one is listed. */
	struct pid *pid;
	/* The leader when it was registered: holds signal_struct. */
	struct task_struct *task;
	/* In the order of signal_struct's list. */
	struct profile_thread *thread;
	unsigned int nr_threads;
	/* Of threads that are dead, as signal_struct had it at the last sample. */
	struct profile_counts dead;
	/* Since it was registered. */
	struct profile_counts total;
};

/* What has happened on a node and is not in the ring yet. */
struct profile_node {
	struct profile_counts counts;
	unsigned int threads;
};

static unsigned int profile_rate = 20;
static unsigned int profile_records = 4096;

/* Protects all that follows, and serialises writers of the ring. */
static DEFINE_MUTEX(profile_mutex);
static LIST_HEAD(profile_list);
static struct profile_node *profile_nodes;
static u64 profile_last_ns;
/* When sampling began, and the sample that is due next, counted from there. */
static u64 profile_start, profile_due;
static struct workqueue_struct *profile_wq;
/* For profile_collect(); grows. */
static struct task_struct **profile_tasks;
static unsigned int profile_tasks_size;
static struct ktrepl_profile_header *profile_ring;

/* === The ring ============================================================ */

static size_t profile_ring_size(unsigned int nr)
{
	return PAGE_ALIGN(PAGE_SIZE +
			  nr * sizeof(struct ktrepl_profile_record));
}

VISIBLE_IF_KUNIT struct ktrepl_profile_header *
profile_ring_alloc(unsigned int nr)
{
	struct ktrepl_profile_header *header = vmalloc_user(profile_ring_size(nr));

	if (!header)
		return NULL;
	header->magic = KTREPL_PROFILE_MAGIC;
	header->version = KTREPL_PROFILE_VERSION;
	header->header_size = PAGE_SIZE;
	header->record_size = sizeof(struct ktrepl_profile_record);
	header->nr_records = nr;
	return header;
}
EXPORT_SYMBOL_IF_KUNIT(profile_ring_alloc);

/* One writer at a time. Monitors read without a lock: see the header's rule. */
VISIBLE_IF_KUNIT void
profile_ring_write(struct ktrepl_profile_header *header,
		   const struct ktrepl_profile_record *record)
{
	struct ktrepl_profile_record *ring = (void *)header + header->header_size;
	u64 position = header->position;
	struct ktrepl_profile_record *slot;

	slot = &ring[position & (header->nr_records - 1)];
	if (position >= header->nr_records)
		WRITE_ONCE(header->overruns, header->overruns + 1);
	/*
	 * Who sees anything of the new record sees the position stored last time,
	 * too. Pairs with the monitor's read barrier between copying a record and
	 * reading the position again.
	 */
	smp_wmb();
	*slot = *record;
	slot->number = position;
	/* Pairs with the monitor's acquire, before it copies the record. */
	smp_store_release(&header->position, position + 1);
}
EXPORT_SYMBOL_IF_KUNIT(profile_ring_write);

/* === Counting ============================================================ */

static void profile_add(struct profile_counts *sum,
			const struct profile_counts *counts)
{
	sum->minor += counts->minor;
	sum->major += counts->major;
	sum->user_ns += counts->user_ns;
	sum->system_ns += counts->system_ns;
}

static struct profile_counts profile_since(const struct profile_counts *now,
					   const struct profile_counts *then)
{
	return (struct profile_counts) {
		.minor = now->minor - then->minor,
		.major = now->major - then->major,
		.user_ns = now->user_ns - then->user_ns,
		.system_ns = now->system_ns - then->system_ns,
	};
}

/* They only ever grow, and keep their values when the thread is dead. */
static struct profile_counts profile_counts_of(struct task_struct *task)
{
	struct profile_counts counts = {
		.minor = READ_ONCE(task->min_flt),
		.major = READ_ONCE(task->maj_flt),
	};

	task_cputime_adjusted(task, &counts.user_ns, &counts.system_ns);
	return counts;
}

/* As signal_struct adds up the dead: all CPU time in @user_ns, by the scheduler. */
static struct profile_counts profile_raw_of(struct task_struct *task)
{
	return (struct profile_counts) {
		.minor = task->min_flt,
		.major = task->maj_flt,
		.user_ns = task->se.sum_exec_runtime,
		.system_ns = task->stime,
	};
}

static struct profile_counts profile_raw_of_dead(struct signal_struct *sig)
{
	return (struct profile_counts) {
		.minor = sig->min_flt,
		.major = sig->maj_flt,
		.user_ns = sig->sum_sched_runtime,
		.system_ns = sig->stime,
	};
}

/* A thread that releases itself runs on for a moment after it was added up. */
static u64 profile_less(u64 sum, u64 part)
{
	return sum > part ? sum - part : 0;
}

static struct profile_counts profile_without(const struct profile_counts *sum,
					     const struct profile_counts *part)
{
	return (struct profile_counts) {
		.minor = profile_less(sum->minor, part->minor),
		.major = profile_less(sum->major, part->major),
		.user_ns = profile_less(sum->user_ns, part->user_ns),
		.system_ns = profile_less(sum->system_ns, part->system_ns),
	};
}

static void profile_count(struct profile_process *p, int nid,
			  const struct profile_counts *counts)
{
	profile_add(&profile_nodes[nid].counts, counts);
	profile_add(&p->total, counts);
}

static int profile_node_of(struct task_struct *task)
{
	int nid = cpu_to_node(task_cpu(task));

	return nid == NUMA_NO_NODE ? first_online_node : nid;
}

/* === Threads of a process ================================================ */

/*
 * The process's threads, as far as there is room for them in profile_tasks[], and
 * what its dead ones did.  Returns how many threads there are.
 */
static unsigned int profile_walk_threads(struct signal_struct *sig,
					 struct profile_counts *dead)
{
	struct task_struct *task;
	unsigned int n = 0;

	*dead = profile_raw_of_dead(sig);
	list_for_each_entry_rcu(task, &sig->thread_head, thread_node) {
		if (n < profile_tasks_size)
			profile_tasks[n] = task;
		n++;
	}
	return n;
}

/*
 * The same at one moment: a thread is listed or dead, not both.  Without the lock at
 * first, then with it, as thread_group_cputime().  The caller is in an RCU read-side
 * critical section.
 */
static unsigned int profile_list_threads(struct signal_struct *sig,
					 struct profile_counts *dead)
{
	unsigned int seq = read_seqbegin(&sig->stats_lock);
	unsigned int n = profile_walk_threads(sig, dead);
	unsigned long flags;

	if (!read_seqretry(&sig->stats_lock, seq))
		return n;
	read_seqlock_excl_irqsave(&sig->stats_lock, flags);
	n = profile_walk_threads(sig, dead);
	read_sequnlock_excl_irqrestore(&sig->stats_lock, flags);
	return n;
}

static bool profile_make_room(unsigned int nr)
{
	unsigned int size = roundup_pow_of_two(nr);
	struct task_struct **tasks;

	tasks = kvmalloc_array(size, sizeof(*tasks), GFP_KERNEL | __GFP_NOWARN);
	if (!tasks)
		return false;
	kvfree(profile_tasks);
	profile_tasks = tasks;
	profile_tasks_size = size;
	return true;
}

/* profile_list_threads() with references, or -ENOMEM. */
static int profile_collect(struct signal_struct *sig,
			   struct profile_counts *dead)
{
	unsigned int i, n;

	for (;;) {
		scoped_guard(rcu) {
			n = profile_list_threads(sig, dead);
			for (i = 0; n <= profile_tasks_size && i < n; i++)
				get_task_struct(profile_tasks[i]);
		}
		if (n <= profile_tasks_size)
			return n;
		if (!profile_make_room(n))
			return -ENOMEM;
	}
}

static void profile_drop_tasks(unsigned int n)
{
	while (n--)
		put_task_struct(profile_tasks[n]);
}

/*
 * Count what threads of the last sample did since, and take what those did that are
 * no longer listed, all their life, out of @dead. New threads are last in the list.
 * Returns how many of the old ones are still in profile_tasks[].
 */
static unsigned int profile_count_old(struct profile_process *p,
				      unsigned int nr_now,
				      struct profile_counts *dead)
{
	struct profile_counts counts, delta, raw;
	struct profile_thread *t;
	unsigned int i, now = 0;

	for (i = 0; i < p->nr_threads; i++) {
		t = &p->thread[i];
		counts = profile_counts_of(t->task);
		delta = profile_since(&counts, &t->counts);
		profile_count(p, profile_node_of(t->task), &delta);
		t->counts = counts;
		if (now < nr_now && profile_tasks[now] == t->task) {
			p->thread[now] = *t;
			put_task_struct(profile_tasks[now++]);
			continue;
		}
		raw = profile_raw_of(t->task);
		*dead = profile_without(dead, &raw);
		put_task_struct(t->task);
	}
	return now;
}

/* Room in @p for @nr threads; what it has stays. */
static int profile_resize(struct profile_process *p, unsigned int nr)
{
	struct profile_thread *thread;

	if (nr <= p->nr_threads)
		return 0;
	thread = kvmalloc_array(nr, sizeof(*thread), GFP_KERNEL | __GFP_NOWARN);
	if (!thread)
		return -ENOMEM;
	if (p->nr_threads)
		memcpy(thread, p->thread, p->nr_threads * sizeof(*thread));
	kvfree(p->thread);
	p->thread = thread;
	return 0;
}

static void profile_count_new(struct profile_process *p, unsigned int nr_now)
{
	struct profile_thread *t;
	unsigned int i;

	for (i = p->nr_threads; i < nr_now; i++) {
		t = &p->thread[i];
		t->task = profile_tasks[i];
		t->counts = profile_counts_of(t->task);
		profile_count(p, profile_node_of(t->task), &t->counts);
	}
	p->nr_threads = nr_now;
}

/*
 * Count what the process did since the last sample. Without memory it is left for
 * the next one, with nothing lost. What threads did that lived too short to be seen
 * at any sample counts for the node of the thread that was the leader.
 */
static void profile_count_process(struct profile_process *p)
{
	struct profile_counts dead, unseen;
	unsigned int i;
	int n = profile_collect(p->task->signal, &dead);

	if (n < 0)
		return;
	if (profile_resize(p, n)) {
		profile_drop_tasks(n);
		return;
	}
	unseen = profile_since(&dead, &p->dead);
	p->dead = dead;
	p->nr_threads = profile_count_old(p, n, &unseen);
	unseen.system_ns = min(unseen.system_ns, unseen.user_ns);
	unseen.user_ns -= unseen.system_ns;
	profile_count(p, profile_node_of(p->task), &unseen);
	profile_count_new(p, n);
	for (i = 0; i < p->nr_threads; i++)
		profile_nodes[profile_node_of(p->thread[i].task)].threads++;
}

/* === Sampling ============================================================ */

/* Where a thread is counted is a matter of the sample; when, of the record. */
static void profile_write_records(void)
{
	struct ktrepl_profile_record record = { .time_ns = ktime_get_ns() };
	struct profile_node *node;
	int nid;

	record.interval_ns = record.time_ns - profile_last_ns;
	profile_last_ns = record.time_ns;
	for_each_online_node(nid) {
		node = &profile_nodes[nid];
		record.minor = node->counts.minor;
		record.major = node->counts.major;
		record.user_ns = node->counts.user_ns;
		record.system_ns = node->counts.system_ns;
		record.node = nid;
		record.threads = node->threads;
		profile_ring_write(profile_ring, &record);
		*node = (struct profile_node) { };
	}
}

static void profile_free(struct profile_process *p)
{
	while (p->nr_threads--)
		put_task_struct(p->thread[p->nr_threads].task);
	kvfree(p->thread);
	put_task_struct(p->task);
	put_pid(p->pid);
	kfree(p);
}

static void profile_remove(struct profile_process *p)
{
	list_del(&p->list);
	WRITE_ONCE(profile_ring->tasks, profile_ring->tasks - 1);
	profile_free(p);
}

/* Nothing that it does counts any more: it has no threads that can fault or run. */
static bool profile_is_gone(struct pid *pid)
{
	struct task_struct *leader;

	guard(rcu)();
	leader = pid_task(pid, PIDTYPE_TGID);
	return !leader ||
	       (READ_ONCE(leader->exit_state) && thread_group_empty(leader));
}

static void profile_sample(void)
{
	struct profile_process *p, *next;
	bool gone;

	list_for_each_entry_safe(p, next, &profile_list, list) {
		/* First: what is counted then is all. */
		gone = profile_is_gone(p->pid);
		profile_count_process(p);
		if (gone)
			profile_remove(p);
	}
	profile_write_records();
}

/*
 * Samples are due each @hz / @rate jiffies, on average, from jiffy 0 on. Returns the
 * number of the next one after jiffy @elapsed.
 */
VISIBLE_IF_KUNIT u64 profile_next_sample(u64 elapsed, unsigned int hz,
					 unsigned int rate)
{
	return div_u64(elapsed * rate, hz) + 1;
}
EXPORT_SYMBOL_IF_KUNIT(profile_next_sample);

static void profile_work_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(profile_work, profile_work_fn);

static void profile_queue(void)
{
	u64 elapsed = get_jiffies_64() - profile_start;
	u64 at;

	profile_due = profile_next_sample(elapsed, HZ, profile_rate);
	at = DIV_ROUND_UP_ULL(profile_due * HZ, profile_rate);
	mod_delayed_work(profile_wq, &profile_work, at - elapsed);
}

static void profile_work_fn(struct work_struct *work)
{
	u64 due;

	guard(mutex)(&profile_mutex);
	if (list_empty(&profile_list))
		return;
	due = profile_due;
	profile_sample();
	if (list_empty(&profile_list))
		return;
	profile_queue();
	if (profile_due > due + 1)
		WRITE_ONCE(profile_ring->missed,
			   profile_ring->missed + profile_due - due - 1);
}

/* With another rate samples have other numbers: begin anew. */
static void profile_start_sampling(void)
{
	profile_start = get_jiffies_64();
	profile_queue();
}

/* === Registering ========================================================= */

static struct profile_process *profile_find(const struct pid *pid)
{
	struct profile_process *p;

	list_for_each_entry(p, &profile_list, list)
		if (p->pid == pid)
			return p;
	return NULL;
}

/* Takes over the reference to @pid. */
static struct profile_process *profile_alloc(struct pid *pid)
{
	struct profile_process *p = kzalloc(sizeof(*p), GFP_KERNEL);

	if (!p) {
		put_pid(pid);
		return ERR_PTR(-ENOMEM);
	}
	p->pid = pid;
	p->task = get_pid_task(pid, PIDTYPE_TGID);
	if (!p->task || profile_is_gone(pid)) {
		if (p->task)
			put_task_struct(p->task);
		put_pid(pid);
		kfree(p);
		return ERR_PTR(-ESRCH);
	}
	return p;
}

/* Take note of what it has done so far, which does not count. */
static int profile_begin(struct profile_process *p)
{
	int i, n = profile_collect(p->task->signal, &p->dead);

	if (n < 0)
		return n;
	if (profile_resize(p, n)) {
		profile_drop_tasks(n);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		p->thread[i].task = profile_tasks[i];
		p->thread[i].counts = profile_counts_of(profile_tasks[i]);
	}
	p->nr_threads = n;
	return 0;
}

static int profile_register(struct pid *pid)
{
	bool first = list_empty(&profile_list);
	struct profile_process *p;
	int err;

	if (profile_find(pid)) {
		put_pid(pid);
		return -EEXIST;
	}
	p = profile_alloc(pid);
	if (IS_ERR(p))
		return PTR_ERR(p);
	err = profile_begin(p);
	if (err) {
		profile_free(p);
		return err;
	}
	list_add_tail(&p->list, &profile_list);
	WRITE_ONCE(profile_ring->tasks, profile_ring->tasks + 1);
	if (first) {
		profile_last_ns = ktime_get_ns();
		profile_start_sampling();
	}
	return 0;
}

/* What it did since the last sample counts at the next one, or now, at the last. */
static int profile_unregister(struct pid *pid)
{
	struct profile_process *p = profile_find(pid);

	put_pid(pid);
	if (!p)
		return -ESRCH;
	profile_count_process(p);
	profile_remove(p);
	if (list_empty(&profile_list)) {
		profile_write_records();
		cancel_delayed_work(&profile_work);
	}
	return 0;
}

/* "R <pid>" or "U <pid>", and at most a newline. @verb and @nr only if it is. */
VISIBLE_IF_KUNIT int profile_parse(const char *text, char *verb, pid_t *nr)
{
	int value;

	if ((text[0] != 'R' && text[0] != 'U') || text[1] != ' ' ||
	    !isdigit(text[2]) || kstrtoint(text + 2, 10, &value))
		return -EINVAL;
	*verb = text[0];
	*nr = value;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(profile_parse);

VISIBLE_IF_KUNIT int profile_command(const char *text)
{
	struct pid *pid;
	char verb;
	pid_t nr;
	int err = profile_parse(text, &verb, &nr);

	if (err)
		return err;
	pid = find_get_pid(nr);
	if (!pid)
		return -ESRCH;
	guard(mutex)(&profile_mutex);
	return verb == 'R' ? profile_register(pid) : profile_unregister(pid);
}
EXPORT_SYMBOL_IF_KUNIT(profile_command);

/* === /proc/ktrepl/profile/status ========================================= */

static int profile_show(struct seq_file *m, void *v)
{
	struct profile_process *p;

	guard(mutex)(&profile_mutex);
	list_for_each_entry(p, &profile_list, list)
		seq_printf(m,
			   "task %d threads %u minor %llu major %llu user_ns %llu system_ns %llu\n",
			   pid_vnr(p->pid), p->nr_threads, p->total.minor,
			   p->total.major, p->total.user_ns, p->total.system_ns);
	return 0;
}

static int profile_proc_open(struct inode *inode, struct file *file)
{
	return single_open(file, profile_show, NULL);
}

/* A write is a command, and all of it, wherever in the file. */
static ssize_t profile_proc_write(struct file *file, const char __user *buf,
				  size_t size, loff_t *pos)
{
	char text[32];
	int err;

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, size))
		return -EFAULT;
	text[size] = '\0';
	if (strlen(text) != size)
		return -EINVAL;
	err = profile_command(text);
	return err ?: size;
}

static const struct proc_ops profile_proc_ops = {
	.proc_open	= profile_proc_open,
	.proc_read	= seq_read,
	.proc_write	= profile_proc_write,
	.proc_lseek	= seq_lseek,
	.proc_release	= single_release,
};

static struct proc_dir_entry *profile_proc;

/* Faults of others are information: root's, as in /proc/PID of others. */
static int __init profile_proc_create(void)
{
	struct proc_dir_entry *dir;

	profile_proc = proc_mkdir("ktrepl", NULL);
	if (!profile_proc)
		return -ENOMEM;
	dir = proc_mkdir("profile", profile_proc);
	if (dir && proc_create("status", 0600, dir, &profile_proc_ops))
		return 0;
	proc_remove(profile_proc);
	return -ENOMEM;
}

/* === /dev/ktrepl-profile ================================================= */

static int profile_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	/* Nor later, by mprotect(). */
	vm_flags_clear(vma, VM_MAYWRITE);
	return remap_vmalloc_range(vma, profile_ring, vma->vm_pgoff);
}

/* An open file, and so a mapping, keeps the module. */
static const struct file_operations profile_fops = {
	.owner	= THIS_MODULE,
	.mmap	= profile_mmap,
	.llseek	= noop_llseek,
};

static struct miscdevice profile_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "ktrepl-profile",
	.fops	= &profile_fops,
	.mode	= 0400,
};

/* === Parameters and start ================================================ */

static int profile_rate_set(const char *val, const struct kernel_param *kp)
{
	unsigned int rate;
	int err = kstrtouint(val, 0, &rate);

	if (err)
		return err;
	if (rate < 1 || rate > PROFILE_RATE_MAX)
		return -EINVAL;
	guard(mutex)(&profile_mutex);
	profile_rate = rate;
	if (profile_ring)
		WRITE_ONCE(profile_ring->rate, rate);
	if (!list_empty(&profile_list))
		profile_start_sampling();
	return 0;
}

static const struct kernel_param_ops profile_rate_ops = {
	.set = profile_rate_set,
	.get = param_get_uint,
};
module_param_cb(rate, &profile_rate_ops, &profile_rate, 0644);
MODULE_PARM_DESC(rate, "samples a second, 1 to 1000 and at most one a jiffy (20)");

static int profile_records_set(const char *val, const struct kernel_param *kp)
{
	unsigned int nr;
	int err = kstrtouint(val, 0, &nr);

	if (err)
		return err;
	if (nr < PROFILE_RECORDS_MIN || nr > PROFILE_RECORDS_MAX ||
	    !is_power_of_2(nr))
		return -EINVAL;
	profile_records = nr;
	return 0;
}

static const struct kernel_param_ops profile_records_ops = {
	.set = profile_records_set,
	.get = param_get_uint,
};
module_param_cb(records, &profile_records_ops, &profile_records, 0444);
MODULE_PARM_DESC(records, "records of the ring, a power of two from 16 to 1048576 (4096)");

static int __init profile_alloc_memory(void)
{
	guard(mutex)(&profile_mutex);
	profile_nodes = kcalloc(nr_node_ids, sizeof(*profile_nodes), GFP_KERNEL);
	profile_wq = alloc_workqueue("ktrepl_profile", WQ_UNBOUND | WQ_FREEZABLE |
				     WQ_HIGHPRI, 1);
	if (!profile_nodes || !profile_wq || !profile_make_room(16))
		return -ENOMEM;
	profile_ring = profile_ring_alloc(profile_records);
	if (!profile_ring)
		return -ENOMEM;
	profile_ring->rate = profile_rate;
	return 0;
}

static void profile_free_memory(void)
{
	if (profile_wq)
		destroy_workqueue(profile_wq);
	kvfree(profile_tasks);
	kfree(profile_nodes);
	/* Parameters can be written until the module is gone. */
	guard(mutex)(&profile_mutex);
	vfree(profile_ring);
	profile_ring = NULL;
}

static int __init profile_init(void)
{
	int err = profile_alloc_memory();

	if (err)
		goto memory;
	err = misc_register(&profile_device);
	if (err)
		goto memory;
	err = profile_proc_create();
	if (err)
		goto device;
	return 0;

device:
	misc_deregister(&profile_device);
memory:
	profile_free_memory();
	return err;
}

/* Nobody has the device or the file open, or can open them. */
static void __exit profile_exit(void)
{
	struct profile_process *p, *next;

	proc_remove(profile_proc);
	misc_deregister(&profile_device);
	scoped_guard(mutex, &profile_mutex) {
		list_for_each_entry_safe(p, next, &profile_list, list)
			profile_remove(p);
	}
	cancel_delayed_work_sync(&profile_work);
	profile_free_memory();
}

module_init(profile_init);
module_exit(profile_exit);
MODULE_DESCRIPTION("Page-fault profiler by NUMA node");
MODULE_LICENSE("GPL");
