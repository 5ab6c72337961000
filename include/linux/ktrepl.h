/* SPDX-License-Identifier: GPL-2.0 */
/*
 * NUMA kernel text replication: for those who ask what a node executes, and for
 * owners of tables that are to be read locally on every node.
 *
 * ktrepl keeps a replica of kernel text and read-only data on every NUMA node,
 * mapped at the same virtual address through per-node page tables, and keeps
 * every replica patched.  See Documentation/core-api/ktrepl.rst.
 *
 * Patchers of text include linux/ktrepl_poke.h, memory management includes
 * linux/ktrepl_mm.h, and an architecture's glue includes linux/ktrepl_arch.h.
 *
 * All functions have an answer in every state: off and refused are like a
 * machine that has no replicas, and so is a kernel without CONFIG_KTREPL.
 */
#ifndef _LINUX_KTREPL_H
#define _LINUX_KTREPL_H

#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/mutex.h>
#include <linux/numa.h>
#include <linux/percpu-defs.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

struct notifier_block;

/* A port without NUMA pretends up to 8 nodes. */
#define KTREPL_MAX_NODES	(MAX_NUMNODES > 8 ? MAX_NUMNODES : 8)

/**
 * enum ktrepl_kind - what a region holds
 * @KTREPL_TEXT:   instructions
 * @KTREPL_RODATA: read-only data
 */
enum ktrepl_kind {
	KTREPL_TEXT,
	KTREPL_RODATA,
};

/**
 * struct ktrepl_place - what is replicated at an address
 * @start:    first address of the region
 * @end:      first address behind it
 * @kind:     what the region holds
 * @execmem:  memory of modules, BPF and probes; false: the kernel image
 * @primary:  node of the primary's page
 * @replicas: nodes with a replica of the page, for for_each_set_bit()
 * @stale:    no node uses its replica, as the primary has been writable
 */
struct ktrepl_place {
	unsigned long start;
	unsigned long end;
	enum ktrepl_kind kind;
	bool execmem;
	int primary;
	DECLARE_BITMAP(replicas, KTREPL_MAX_NODES);
	bool stale;
};

/**
 * struct ktrepl_diff - a replica differs from the primary
 * @addr:  first address that does
 * @nid:   node of the replica
 * @again: also after a poke has written it a second time
 * @len:   number of bytes in the following
 * @want:  what the primary holds
 * @found: what the replica holds
 */
struct ktrepl_diff {
	unsigned long addr;
	int nid;
	bool again;
	unsigned int len;
	u8 want[8];
	u8 found[8];
};

/**
 * enum ktrepl_event - what has happened to replication
 * @KTREPL_SWITCHED_ON:  nodes use replicas from now on
 * @KTREPL_SWITCHED_OFF: all nodes use the primary
 * @KTREPL_NODE_GAINED:  CPUs use the replicas of a node
 * @KTREPL_NODE_LOST:	 no CPU does any more
 * @KTREPL_HEALED:	 a replica that differed is equal again
 * @KTREPL_NOT_HEALED:	 a replica did not keep what was written, and is gone
 */
enum ktrepl_event {
	KTREPL_SWITCHED_ON,
	KTREPL_SWITCHED_OFF,
	KTREPL_NODE_GAINED,
	KTREPL_NODE_LOST,
	KTREPL_HEALED,
	KTREPL_NOT_HEALED,
};

/**
 * struct ktrepl_event_data - where it has happened
 * @nid:  the node, or NUMA_NO_NODE for a switch
 * @addr: the address of the replica, for the last two events; else 0
 */
struct ktrepl_event_data {
	int nid;
	unsigned long addr;
};

/*
 * A pointer to a replicated object is a handle.  sparse warns where it is
 * dereferenced, other than through replicated_deref().
 */
#ifdef __CHECKER__
#define __replicated	__attribute__((noderef, address_space(__replicated)))
#else
#define __replicated
#endif

#ifdef CONFIG_KTREPL

/**
 * ktrepl_query - what is replicated at an address?
 * @addr:  kernel address
 * @place: on return of true, the answer
 *
 * Context: Any, NMI included.  Takes no lock and does not fault.  The answer
 * may be out of date when it is returned, unless the caller holds text_mutex.
 * Return: true if @addr lies in a region; false if not, while replication is
 * refused, and without CONFIG_KTREPL.  While it is off a region has no
 * replicas.
 */
bool ktrepl_query(const void *addr, struct ktrepl_place *place);

/**
 * ktrepl_read - read the bytes that the CPUs of a node execute, or read
 * @nid: node; one without CPUs or replicas stands for the node that it uses
 * @dst: where to write them
 * @src: kernel address; anything may be there
 * @len: number of bytes
 *
 * Outside all regions, and while replication is off or refused, all nodes have
 * the same bytes.
 *
 * Context: Any: NMI, and kgdb or a crash with other CPUs stopped.  Takes no
 * lock and does not fault.  With other CPUs running, bytes that are being poked
 * may be old or new.
 * Return: 0; -EINVAL when there can be no node @nid or the range wraps; -EFAULT
 * when nothing is mapped at @src, and some of @dst may have been written.
 */
int ktrepl_read(int nid, void *dst, const void *src, size_t len);

/**
 * ktrepl_print - print what nodes execute, or read, where it is not the primary's
 * @addr: kernel address
 * @len:  number of bytes; 16 are printed at most
 *
 * For the error path of those who have found other bytes than they expected.  One
 * line a node, of KERN_WARNING, with its bytes and those of the primary.
 *
 * Context: As ktrepl_read(), where one may print.
 * Return: for how many nodes.
 */
int ktrepl_print(const void *addr, size_t len);

/**
 * ktrepl_compare - do all nodes hold the same bytes?
 * @addr: first address
 * @len:  number of bytes
 * @diff: on return of 1, the first difference; or NULL
 *
 * What lies in no region is equal.
 *
 * Context: Process context.  Takes text_mutex: no poke is seen half done.
 * Return: 0 if so, 1 if not; -EINVAL when the range wraps.
 */
int ktrepl_compare(const void *addr, size_t len, struct ktrepl_diff *diff);

/**
 * ktrepl_repair - write the primary's bytes to replicas that differ
 * @addr: first address
 * @len:  number of bytes; whole pages are repaired
 *
 * Context: Process context, interrupts enabled.  Takes text_mutex and the lock
 * under which replication is switched.
 * Return: how many replicas of pages have been written; -EINVAL when the range
 * wraps; -EILSEQ when all of several replicas of a page agree against the
 * primary, which are left as they are.
 */
int ktrepl_repair(const void *addr, size_t len);

/**
 * ktrepl_register_notifier - be told of enum ktrepl_event
 * @nb: called with the event and a struct ktrepl_event_data
 *
 * Context: Process context.  So are the calls of @nb, in which replication
 * cannot be switched: they may use ktrepl_query(), ktrepl_read() and
 * replicated_deref(), and nothing else of this.
 * Return: 0, or -EEXIST.
 */
int ktrepl_register_notifier(struct notifier_block *nb);

/**
 * ktrepl_unregister_notifier - reverse ktrepl_register_notifier()
 * @nb: is not called any more on return
 *
 * Context: Process context, not in a call of @nb.
 * Return: 0, or -ENOENT.
 */
int ktrepl_unregister_notifier(struct notifier_block *nb);

/**
 * struct ktrepl_object - an object and its replicas
 * @list:    on the list of all objects, if it is registered
 * @name:    what reports call it
 * @size:    of the contents in bytes
 * @initial: contents that are not from the heap, or NULL
 * @local:   what readers find the contents by
 * @replica: first the primary, then by node id; the primary again where a node
 *	     has no replica
 *
 * For the macros below.
 */
struct ktrepl_object {
	struct list_head list;
	const char *name;
	size_t size;
	const void *initial;
	struct ktrepl_local __percpu *local;
	const void __rcu *replica[];
};

/**
 * struct ktrepl_local - a CPU's share of an object, in memory of its node
 * @contents: what the CPU reads
 * @obj:      the object
 *
 * The handle of an object is a pointer to it: so a reader touches nothing that
 * lies on one node for all.
 */
struct ktrepl_local {
	const void __rcu *contents;
	struct ktrepl_object *obj;
};

#define __DEFINE_REPLICATED_OBJECT(_object, _name, _initial)		\
	static struct ktrepl_object _object;				\
	static DEFINE_PER_CPU(struct ktrepl_local, _object##_local) = {	\
		.contents = (const void __rcu __force *)&(_initial),	\
		.obj = &_object,					\
	};								\
	static struct ktrepl_object _object = {				\
		.list = LIST_HEAD_INIT(_object.list),			\
		.name = _name,						\
		.size = sizeof(_initial),				\
		.initial = &(_initial),					\
		.local = &_object##_local,				\
		.replica = { [0 ... KTREPL_MAX_NODES] =			\
			     (const void __rcu __force *)&(_initial) },	\
	}

#define __replicated_handle(_object)	((void __force *)&_object##_local)

static inline void *ktrepl_object_handle(struct ktrepl_object *obj)
{
	return IS_ERR(obj) ? obj : (void __force *)obj->local;
}

static inline struct ktrepl_object *ktrepl_object_of(const void *handle)
{
	if (IS_ERR_OR_NULL(handle))
		return ERR_CAST(handle);
	return raw_cpu_ptr((struct ktrepl_local __percpu __force *)handle)->obj;
}

static __always_inline const void *ktrepl_object_read(const void *handle)
{
	const struct ktrepl_local __percpu *local =
		(const struct ktrepl_local __percpu __force *)handle;

	/* A task that moves on meanwhile reads a remote replica, once. */
	return rcu_dereference(raw_cpu_ptr(local)->contents);
}

struct ktrepl_object *ktrepl_object_alloc(const char *name, const void *init,
					  size_t size);
void ktrepl_object_free(struct ktrepl_object *obj);
void ktrepl_object_register(struct ktrepl_object *obj);
void ktrepl_object_unregister(struct ktrepl_object *obj);
int ktrepl_object_update(struct ktrepl_object *obj,
			 int (*fn)(void *new, void *arg), void *arg);

#else /* !CONFIG_KTREPL */

#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

static inline bool ktrepl_query(const void *addr, struct ktrepl_place *place)
{
	return false;
}

static inline int ktrepl_read(int nid, void *dst, const void *src, size_t len)
{
	return copy_from_kernel_nofault(dst, src, len);
}

static inline int ktrepl_print(const void *addr, size_t len)
{
	return 0;
}

static inline int ktrepl_compare(const void *addr, size_t len,
				 struct ktrepl_diff *diff)
{
	return 0;
}

static inline int ktrepl_repair(const void *addr, size_t len)
{
	return 0;
}

static inline int ktrepl_register_notifier(struct notifier_block *nb)
{
	return 0;
}

static inline int ktrepl_unregister_notifier(struct notifier_block *nb)
{
	return 0;
}

/* One set of contents, which readers find by RCU. */
struct ktrepl_object {
	struct mutex lock;	/* updates exclude each other */
	const char *name;
	size_t size;
	const void *initial;
	const void __rcu *contents;
};

#define __DEFINE_REPLICATED_OBJECT(_object, _name, _initial)		\
	static struct ktrepl_object _object = {				\
		.lock = __MUTEX_INITIALIZER(_object.lock),		\
		.name = _name,						\
		.size = sizeof(_initial),				\
		.initial = &(_initial),					\
		.contents = (const void __rcu __force *)&(_initial),	\
	}

#define __replicated_handle(_object)	((void *)&_object)

static inline void *ktrepl_object_handle(struct ktrepl_object *obj)
{
	return obj;
}

static inline struct ktrepl_object *ktrepl_object_of(const void *handle)
{
	return (struct ktrepl_object *)handle;
}

static inline const void *ktrepl_object_read(const void *handle)
{
	return rcu_dereference(ktrepl_object_of(handle)->contents);
}

static inline int ktrepl_object_update(struct ktrepl_object *obj,
				       int (*fn)(void *new, void *arg),
				       void *arg)
{
	void *new = kmalloc(obj->size, GFP_KERNEL);
	const void *old;
	int err;

	if (!new)
		return -ENOMEM;
	mutex_lock(&obj->lock);
	old = rcu_dereference_protected(obj->contents,
					lockdep_is_held(&obj->lock));
	memcpy(new, old, obj->size);
	err = fn(new, arg);
	if (!err)
		rcu_assign_pointer(obj->contents, new);
	mutex_unlock(&obj->lock);
	if (err)
		old = new;
	else
		synchronize_rcu();
	if (old != obj->initial)
		kfree(old);
	return err;
}

static inline void ktrepl_object_register(struct ktrepl_object *obj)
{
}

static inline void ktrepl_object_unregister(struct ktrepl_object *obj)
{
	const void *last = rcu_replace_pointer(obj->contents, obj->initial, true);

	synchronize_rcu();
	if (last != obj->initial)
		kfree(last);
}

static inline struct ktrepl_object *
ktrepl_object_alloc(const char *name, const void *init, size_t size)
{
	struct ktrepl_object *obj;
	void *contents;

	if (!size)
		return ERR_PTR(-EINVAL);
	obj = kzalloc(sizeof(*obj), GFP_KERNEL);
	contents = kzalloc(size, GFP_KERNEL);
	if (!obj || !contents) {
		kfree(contents);
		kfree(obj);
		return ERR_PTR(-ENOMEM);
	}
	mutex_init(&obj->lock);
	obj->name = name;
	obj->size = size;
	if (init)
		memcpy(contents, init, size);
	RCU_INIT_POINTER(obj->contents, contents);
	return obj;
}

static inline void ktrepl_object_free(struct ktrepl_object *obj)
{
	if (IS_ERR_OR_NULL(obj))
		return;
	ktrepl_object_unregister(obj);
	kfree(obj);
}

#endif /* CONFIG_KTREPL */

#ifdef CONFIG_KTREPL_MODULES

/**
 * alloc_replicated_pages - allocate pages that are to be read-only
 * @name: what reports call them
 * @size: in bytes; whole pages are allocated
 *
 * For a table that is too large for an object, or read by plain loads: the
 * owner fills the pages, then has them sealed.  From then on every node has a
 * replica, and write_replicated_pages() changes all of them.
 *
 * A module frees its pages before it goes.
 *
 * Context: Process context, may sleep.
 * Return: zeroed pages, which are writable and shared by all nodes; NULL when
 * there is no memory, or @size is 0.
 */
void *alloc_replicated_pages(const char *name, size_t size);

/**
 * seal_replicated_pages - make pages read-only, and have them replicated
 * @pages: from alloc_replicated_pages()
 *
 * The replicas come some time later, and after that when replication is
 * switched on.  Until then, while it is off, refused, or without
 * ktrepl.modules=, and where memory is short, nodes read the primary.
 *
 * Context: Process context, may sleep.
 * Return: 0; -EINVAL when @pages is not from alloc_replicated_pages(); or what
 * set_memory_ro() returned.
 */
int seal_replicated_pages(void *pages);

/**
 * write_replicated_pages - write to pages and all their replicas
 * @dst: first address, in pages of alloc_replicated_pages()
 * @src: bytes to write
 * @len: number of bytes
 *
 * Readers may see some bytes of the old and some of the new contents, and nodes
 * may disagree until this returns: what readers must find whole is an object.
 *
 * Context: Process context, may sleep.  Takes text_mutex.
 * Return: 0; -EFAULT, with nothing written, when the range is not within one
 * allocation.
 */
int write_replicated_pages(void *dst, const void *src, size_t len);

/**
 * free_replicated_pages - free pages and their replicas
 * @pages: from alloc_replicated_pages(), which nobody reads or writes any more;
 *	   nothing happens for anything else
 *
 * Context: Process context, may sleep.
 */
void free_replicated_pages(void *pages);

#else /* !CONFIG_KTREPL_MODULES */

#include <linux/string.h>
#include <linux/vmalloc.h>

static inline void *alloc_replicated_pages(const char *name, size_t size)
{
	return size ? vzalloc(size) : NULL;
}

/* They stay writable. */
static inline int seal_replicated_pages(void *pages)
{
	return 0;
}

static inline int write_replicated_pages(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	return 0;
}

static inline void free_replicated_pages(void *pages)
{
	vfree(pages);
}

#endif /* CONFIG_KTREPL_MODULES */

#define __replicated_object(_handle)					\
	ktrepl_object_of((const void __force *)(_handle))

/**
 * DEFINE_REPLICATED - define a read-mostly object with a replica on each node
 * @_type: type of the contents
 * @_name: name of the handle, a static @_type __replicated pointer
 *
 * An initializer of @_type follows.  The owner calls replicated_register() once for
 * the object to have replicas.  In the kernel image it can be read and updated from
 * the start, in a module after that: the loader does not relocate per-CPU pointers.
 * An object costs a pointer for each node that the kernel is built for, and two for each
 * CPU.
 */
#define DEFINE_REPLICATED(_type, _name)					\
	static _type __##_name##_initial;				\
	__DEFINE_REPLICATED_OBJECT(__##_name##_object, #_name,		\
				   __##_name##_initial);		\
	static _type __replicated *const _name =			\
		(_type __replicated __force *)__replicated_handle(__##_name##_object); \
	static _type __##_name##_initial

/**
 * replicated_register - have a defined object replicated
 * @_name: of DEFINE_REPLICATED()
 *
 * A node without memory for its replica reads the primary.
 *
 * Context: Process context, may sleep.
 */
#define replicated_register(_name)					\
	ktrepl_object_register(&__##_name##_object)

/**
 * replicated_unregister - reverse replicated_register()
 * @_name: of DEFINE_REPLICATED(); the object has its first contents again
 *
 * Context: Process context, waits for an RCU grace period.
 */
#define replicated_unregister(_name)					\
	ktrepl_object_unregister(&__##_name##_object)

/**
 * alloc_replicated - allocate a replicated object
 * @_type: type of the contents
 * @_name: what reports call it; not copied
 * @_init: pointer to the first contents, or NULL for zeroes
 *
 * Context: Process context, may sleep.
 * Return: a @_type __replicated pointer, or ERR_PTR(-ENOMEM).
 */
#define alloc_replicated(_type, _name, _init)				\
({									\
	const _type *__first = (_init);					\
									\
	(_type __replicated __force *)ktrepl_object_handle(		\
		ktrepl_object_alloc(_name, __first, sizeof(_type)));	\
})

/**
 * free_replicated - free an object and all its replicas
 * @_handle: from alloc_replicated(); nothing happens for an error or NULL
 *
 * No reader can find the handle any more.
 *
 * Context: Process context, waits for an RCU grace period.
 */
#define free_replicated(_handle)					\
	ktrepl_object_free(__replicated_object(_handle))

/**
 * replicated_deref - the replica of an object that is local to this CPU
 * @_handle: from DEFINE_REPLICATED() or alloc_replicated()
 *
 * One load more than an RCU-protected pointer costs, of a per-CPU variable.
 *
 * Context: Any; inside rcu_read_lock(), which also bounds the use of the
 * pointer.
 * Return: the contents as of some completed update; never NULL.
 */
#define replicated_deref(_handle)					\
({									\
	const void *__contents =					\
		ktrepl_object_read((const void __force *)(_handle));	\
									\
	(const typeof(*_handle) __kernel __force *)__contents;		\
})

/**
 * replicated_update - change an object on all nodes at once
 * @_handle: from DEFINE_REPLICATED() or alloc_replicated()
 * @_fn:     changes the new contents, which it gets first, by its second
 *	     argument @_arg; may sleep, and must not use ktrepl
 * @_arg:    for it
 *
 * A reader sees all of the old or all of the new contents.  Two nodes may
 * disagree while an update is under way, as they may about anything that RCU
 * protects.
 *
 * Context: Process context, may sleep.  Updates exclude each other.
 * Return: 0; -ENOMEM, or what @_fn has returned, with nothing changed.
 */
#define replicated_update(_handle, _fn, _arg)				\
	ktrepl_object_update(__replicated_object(_handle), _fn, _arg)

#endif /* _LINUX_KTREPL_H */
