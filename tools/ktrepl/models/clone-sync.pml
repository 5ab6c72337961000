/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The cloning of a page table against stores to the primary's table.
 *
 * Property: when the cloner and all mappers are done, each entry of the clone
 * equals the primary's, and no mapper writes to a clone that has been freed.
 *
 * A mapper stores to the primary, looks for clones, and brings them up to date.
 * A cloner makes a clone known, and copies the table.  Either the mapper finds
 * the clone, or the cloner reads the new entry.
 *
 *   model              code (lib/ktrepl/pgtable.c if no file is named)
 *   -----              ----
 *   mapper()           a CPU that changes kernel mappings
 *     M + me           entry of the primary's table; one mapper an entry: the
 *                      kernel's own locks serialise stores to the same entry
 *     read_key()       static_branch_unlikely(&ktrepl_key) in
 *                      ktrepl_sync_range() (linux/ktrepl_mm.h) and in set_pmd(),
 *                      set_pud(), set_p4d(), set_swapper_pgd() (arm64)
 *     look_for(0)      HULL: __ktrepl_sync_range(), by address
 *     look_for(1)      SPAN: __ktrepl_sync_entry(), by entry
 *     MARK             of the entry that leads to the table: ktrepl_sync_table()
 *                      looks at it, then at the key, then for the HULL
 *     sync_node()      ktrepl_sync_nodes()
 *     sync_addr()      ktrepl_sync_step()
 *   cloner()           ktrepl_switch_on(), ktrepl_switch_off() (core.c)
 *     switch_key()     static_branch_enable_cpuslocked() and the other way
 *     ROOT             ktrepl_root_register(), ktrepl_node_unmap()
 *     HULL             ktrepl_cloned_mark() in ktrepl_clone_path(); bits stay set
 *     SPAN             xa_store() to ktrepl_spans in ktrepl_clone_register(),
 *                      ktrepl_spans_clear(); its bit in ktrepl_spanned, set
 *                      before that, stays
 *     mark_table()     ktrepl_table_mark(): set_pmd(), and an interrupt on each
 *                      CPU that is waited for, as after the patching of the key
 *     copy, linked     ktrepl_clone_entry()
 *   pt_lock            ktrepl_pt_lock
 *
 * Abstracted, and why that is sound:
 * - One node, one table with an entry for each mapper.  Tables of other levels
 *   and nodes go through the same steps; a mapper visits them one by one.  The
 *   root is cloned in the same order: registered, then copied under the lock.
 * - The entry that leads to the table does not change but for the mark: what is
 *   cloned is mapped and stays so while it is being cloned.
 * - The key is code.  While it is patched a CPU sees either value.  Patching
 *   ends with an interrupt on each CPU that is waited for: the CPU's earlier
 *   stores are seen by then, and it sees the new code afterwards.
 * - HULL and SPAN may be there from the start, because of another node; HULL
 *   because of a set, or of another region that shares the bit, too.  The mark
 *   is there from the start only if the HULL is, and stays.
 * - The full barrier after the hull and that after the span are one here, which
 *   is less than what the code has.
 * - The clone and the link are written under pt_lock and read under pt_lock by
 *   all but the page table walkers of CPUs, which this model is not about: they
 *   are written to memory directly.
 * - A mapper loads nothing after it has dropped pt_lock.  The cloner does, but
 *   only what no mapper stores without a barrier: see store-buffer.inc.
 *
 * Variants:
 * Variant MARK: the mapper by address has found the mark before it looks for
 *               more, and has no smp_mb() between the store and the mark
 *
 * Mutations:
 * Mutation NO_MARK_WAIT, MARK: no interrupts between the mark and the copying
 * Mutation MARK_LATE, MARK: the table is marked after the copying
 * Mutation MARK_FIRST, MARK: the mark is looked at before the store
 * Mutation NO_MB_MAPPER: no smp_mb() between the store and the look-up
 * Mutation NO_MB_CLONER: no smp_mb() between the registration and the copying
 * Mutation KEY_FIRST: the key is sampled before the store
 * Mutation REGISTER_LATE: the clone is registered after the copying
 * Mutation HULL_LATE: the hull is stored after the copying
 * Mutation COPY_UNLOCKED: copied and linked without ktrepl_pt_lock
 * Mutation ROOT_UNLOCKED: node->root is not looked at under ktrepl_pt_lock
 */
#define CPUS		3	/* 0, 1: the mappers; 2: the cloner */
#define CLONER		2

#define HULL		0
#define SPAN		1
#define ROOT		2
#define M		3	/* and 4 */
#ifdef MARK
#define MARKED		5
#define LOCATIONS	6
#define DRAIN_ALL	DRAIN(HULL) DRAIN(SPAN) DRAIN(ROOT)	\
			DRAIN(M) DRAIN(M + 1) DRAIN(MARKED)
#define look_at_mark(found)	found = me != 0 || load(me, MARKED)
#else
#define LOCATIONS	5
#define DRAIN_ALL	DRAIN(HULL) DRAIN(SPAN) DRAIN(ROOT)	\
			DRAIN(M) DRAIN(M + 1)
#define look_at_mark(found)	found = true
#endif

byte done;

#define all_done	(done == CPUS)

#include "store-buffer.inc"

#define STORES		2	/* by each mapper */

mtype = { OFF, PATCHING, ON };
mtype key[CPUS] = OFF;
bool pt_lock;

/* Of the node: under pt_lock. */
bool linked, freed;
byte clone[2];

inline read_key(on)
{
	if
	:: key[me] != OFF -> on = true
	:: key[me] != ON -> on = false
	fi
}

/* With the lock held: walks from the node's root. */
inline sync_addr()
{
	if
	:: linked ->
		assert(!freed);
		clone[me] = load(me, M + me)
	:: else
	fi
}

#define look_for(me)	load(me, (me == 0 -> HULL : SPAN))

inline sync_node()
{
	lock(pt_lock);
	if
#ifdef ROOT_UNLOCKED
	:: true ->
#else
	:: load(me, ROOT) ->
#endif
		sync_addr()
#ifndef ROOT_UNLOCKED
	:: else
#endif
	fi;
	unlock(me, pt_lock)
}

/* The one by address, after a range; the other by entry, after each store. */
proctype mapper(byte me)
{
	byte value;
	bool found, on;

	do
	:: value < STORES ->
		value++;
#ifdef MARK_FIRST
		look_at_mark(found);
#endif
#ifdef KEY_FIRST
		read_key(on);
#endif
		store(me, M + me, value);
#ifndef MARK_FIRST
		look_at_mark(found);
#endif
#ifndef KEY_FIRST
		read_key(on);
#endif
		if
		:: found && on ->
#ifndef NO_MB_MAPPER
			smp_mb(me);
#endif
			if
			:: look_for(me) && load(me, ROOT) -> sync_node()
			:: else
			fi
		:: else
		fi;
		found = false;
		on = false
	:: else -> break
	od;
	done++
}

inline switch_key(value)
{
	key[0] = PATCHING;
	key[1] = PATCHING;
	atomic { drained(0) -> key[0] = value };
	atomic { drained(1) -> key[1] = value }
}

inline register_clone()
{
	store(CLONER, SPAN, true)
}

inline store_hull()
{
	store(CLONER, HULL, true)
}

#ifdef MARK
/* An interrupt: a CPU's stores are seen, and it sees those before this. */
inline wait_for_cpus()
{
	smp_mb(CLONER);
	atomic { drained(0) -> skip };
	atomic { drained(1) -> skip }
}

/* Once: it stays, for other nodes, and while replication is off. */
inline mark_table()
{
	if
	:: !load(CLONER, MARKED) ->
		store(CLONER, MARKED, true);
#ifndef NO_MARK_WAIT
		wait_for_cpus()
#endif
	:: else
	fi
}
#endif

inline clone_table()
{
#ifndef HULL_LATE
	store_hull();
#endif
#if defined(MARK) && !defined(MARK_LATE)
	mark_table();
#endif
#ifndef REGISTER_LATE
	register_clone();
#endif
#ifndef NO_MB_CLONER
	smp_mb(CLONER);
#endif
#ifndef COPY_UNLOCKED
	lock(pt_lock);
#endif
	freed = false;
	copy[0] = load(CLONER, M);
	copy[1] = load(CLONER, M + 1);
	clone[0] = copy[0];
	clone[1] = copy[1];
	linked = true;
	copy[0] = 0;
	copy[1] = 0;
#ifndef COPY_UNLOCKED
	unlock(CLONER, pt_lock);
#endif
#ifdef HULL_LATE
	store_hull();
#endif
#ifdef REGISTER_LATE
	register_clone();
#endif
#ifdef MARK_LATE
	mark_table();
#endif
}

/* A new root leads to the primary's table. */
inline set_root(value)
{
	lock(pt_lock);
	linked = linked && !value;
	store(CLONER, ROOT, value);
	unlock(CLONER, pt_lock)
}

/* Switches on, perhaps off and on once more. */
proctype cloner()
{
	byte copy[2];
	bool again = true;

	do
	:: true ->
		switch_key(ON);
		set_root(true);
		clone_table();
		if
		:: again -> again = false
		:: break
		fi;

		set_root(false);
		store(CLONER, SPAN, false);
		d_step { freed = true; clone[0] = 0; clone[1] = 0 };
		switch_key(OFF)
	od;
	done++
}

init
{
	atomic {
		if
		:: memory[HULL] = true; memory[SPAN] = true
#ifdef MARK
		:: memory[HULL] = true; memory[SPAN] = true; memory[MARKED] = true
#endif
		:: skip
		fi;
		run drain(0);
		run drain(1);
		run drain(CLONER);
		run mapper(0);
		run mapper(1);
		run cloner()
	};
	_nr_pr == 1;
	assert(clone[0] == memory[M] && clone[1] == memory[M + 1])
}
