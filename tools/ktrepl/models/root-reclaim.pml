/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loading the node root of an mm against reclaim of roots, stores to the mm's
 * own root, and CPUs that come to the node and leave it.
 *
 * Property: no CPU loads a root that has been freed, none is freed while a CPU
 * runs on it, a store to the mm's own root reaches every root that a CPU runs
 * on, and a CPU always knows which root it has loaded.
 *
 * A CPU sets its bits, in mm_cpumask() and in the mask of the node, and then
 * looks for the root.  Reclaim unlinks the root, and then looks for the bits.
 * Either the CPU does not find the root, or reclaim finds the bits and puts the
 * root back.
 *
 *   model             code (lib/ktrepl/root.c if no file is named)
 *   -----             ----
 *   cpu()             a CPU that switches mms and is moved between nodes
 *     switch_in()     switch_mm_irqs_off() (arch/x86/mm/tlb.c) to the mm
 *     switch_out()    the same, from the mm to another
 *     arrive()        ktrepl_set_home() (core.c) to the node
 *     leave()         the same, to the master
 *     BIT             mm_cpumask(), set with a full barrier: [A3]
 *     AT              node->cpus
 *     attach()        load_new_mm_cr3(), arch_ktrepl_attach()
 *     find_root()     __ktrepl_mm_pgd(), ktrepl_root_find()
 *     make_root()     ktrepl_root_make()
 *     loaded          the CPU's note of what it has in CR3, by which
 *                     ktrepl_loaded_pgd() goes
 *   LINK              mm->ktrepl_roots
 *   reclaim()         ktrepl_roots_reclaim(), ktrepl_root_unlink()
 *     grace_period()  synchronize_rcu()
 *   writer()          native_set_p4d(), native_set_pgd(), __ktrepl_set_top()
 *     TOP             an entry of mm->pgd
 *   mm_free()         __ktrepl_mm_free()
 *   bucket            ktrepl_root_bucket.lock
 *   roots[]           root 0 is mm->pgd, or a root of some other mm
 *
 * Abstracted, and why that is sound:
 * - One mm and one node: reclaim looks at one root after the other, under the
 *   same lock, and a CPU looks for the root of one mm and one node.
 * - Roots are not used again after they have been freed: what would be wrong
 *   then is found when they are freed.  There are two of them, so that another
 *   is made after one has been reclaimed.
 * - Reclaim takes any root at any time, whether idle or not.
 * - A CPU that has interrupts disabled delays a grace period, which also makes
 *   all of the CPU's earlier stores seen.
 * - Either a second CPU or the writer takes part, not both: they have nothing to
 *   do with each other but through the first CPU and reclaim.
 * - CR3, the home and the note belong to one CPU, which reads its own stores;
 *   contents of roots are written under the bucket lock.  They are no locations
 *   of store-buffer.inc.
 * - No argument rests on a load after unlock(): see store-buffer.inc.  A CPU that
 *   has made a root loads it, while its bits are set; reclaim waits for a grace
 *   period; the others are done.
 *
 * Mutations:
 * Mutation NO_MB_UNLINK: no smp_mb() between unlinking and looking at the bits
 * Mutation NO_MB_SWITCH: no full barrier between the bit of mm_cpumask() and
 *	the look-up
 * Mutation NO_MB_HOME: no full barrier between the bit of the node and the home
 * Mutation BIT_LATE: the bit of mm_cpumask() is set after the look-up
 * Mutation AT_LATE: the bit of the node is set after the root has been loaded
 * Mutation NO_PUT_BACK: reclaim does not look for the bits
 * Mutation NO_GRACE: a root is freed without a grace period
 * Mutation UNHASH_EARLY: a root is not kept true until the grace period is over
 * Mutation FILL_UNLOCKED: a root is filled before the bucket lock is taken
 * Mutation REPEAT_FIRST: a store is repeated in the roots before it is done
 * Mutation SEARCH_LOADED: a CPU searches the mm for the root that it has loaded
 */
#define CPUS		4	/* 0, 1: CPUs of the node; then: */
#define RECLAIM		2
#define WRITER		3
#define TURNS(cpu)	(3 - cpu)

#define LINK		0
#define TOP		1
#define BIT		2	/* and 3 */
#define AT		4	/* and 5 */
#define LOCATIONS	6
#define DRAIN_ALL	DRAIN(LINK) DRAIN(TOP) DRAIN(BIT) DRAIN(BIT + 1) \
			DRAIN(AT)

#define ROOTS		2	/* made in the course of time */

byte done;

#define all_done	(done == 3)

#include "store-buffer.inc"

typedef root {
	bool hashed;		/* stores are repeated in it */
	bool freed;
	byte top
};

root roots[ROOTS + 1];
byte made;
bool bucket, mm_freed;

byte users = 2;			/* of the mm: CPU 0, and CPU 1 or the writer */

bool irqs_off[2], home[2], has_mm[2];
byte cr3[2], loaded[2];

#define in_use(r)	(cr3[0] == r || cr3[1] == r)

inline free_root(r)
{
	d_step {
		assert(!in_use(r));
		roots[r].freed = true
	}
}

#ifdef FILL_UNLOCKED
#define fill_before_lock()	value = load(me, TOP)
#define fill_locked()		skip
#else
#define fill_before_lock()	skip
#define fill_locked()		value = load(me, TOP)
#endif

/* From a spare root, if there is one. */
inline make_root()
{
	fill_before_lock();
	lock(bucket);
	new = load(me, LINK);
	if
	:: new == 0 && made < ROOTS ->
		fill_locked();
		d_step {
			made++;
			new = made;
			roots[new].top = value;
			roots[new].hashed = true
		};
		store(me, LINK, new)
	:: else
	fi;
	unlock(me, bucket);
	value = 0
}

/* Without the lock; a CPU that stopped inside may not take it. */
inline find_root()
{
	new = load(me, LINK);
	if
	:: new != 0 -> assert(!roots[new].freed)
	:: new == 0 -> make_root()
	:: new == 0
	fi
}

/* Loads the root of the mm, or some other that is not of this model. */
inline attach()
{
	if
	:: has_mm[me] && home[me] -> find_root()
	:: else
	fi;
	d_step {
		assert(!roots[new].freed);
		cr3[me] = new;
		loaded[me] = new
	};
	new = 0
}

inline switch_in()
{
	has_mm[me] = true;
#ifndef BIT_LATE
	store(me, BIT + me, true);
#ifndef NO_MB_SWITCH
	smp_mb(me)
#endif
#endif
}

inline switch_out()
{
	store(me, BIT + me, false);
	has_mm[me] = false
}

inline arrive()
{
#ifndef AT_LATE
	store(me, AT + me, true);
#ifndef NO_MB_HOME
	smp_mb(me);
#endif
#endif
	home[me] = true
}

inline leave()
{
	home[me] = false
}

/* The bits that are not what they should be yet. */
inline attached()
{
#ifdef BIT_LATE
	store(me, BIT + me, has_mm[me]);
#endif
	if
	:: load(me, AT + me) != home[me] -> store(me, AT + me, home[me])
	:: else
	fi
}

/* As KVM asks for it, with interrupts enabled. */
#ifdef SEARCH_LOADED
#define loaded_root()	(load(me, LINK) == cr3[me] -> cr3[me] : 0)
#else
#define loaded_root()	loaded[me]
#endif

/* The last user of the mm has gone. */
inline mm_free()
{
	lock(bucket);
	new = load(me, LINK);
	store(me, LINK, 0);
	d_step {
		roots[new].hashed = false;
		mm_freed = true
	};
	unlock(me, bucket);
	if
	:: new != 0 -> free_root(new)
	:: else
	fi;
	new = 0
}

proctype cpu(byte me)
{
	byte turn, new, value;

	do
	:: turn < TURNS(me) ->
		turn++;
		irqs_off[me] = true;
		if
		:: !has_mm[me] -> switch_in()
		:: has_mm[me] -> switch_out()
		:: me == 0 && !home[me] -> arrive()
		:: me == 0 && home[me] -> leave()
		fi;
		attach();
		attached();
		irqs_off[me] = false;
		assert(loaded_root() == cr3[me])
	:: break
	od;

	/* Until the mm ends; to drop the last reference is a full barrier. */
	if
	:: has_mm[me] ->
		irqs_off[me] = true;
		switch_out();
		cr3[me] = 0;
		irqs_off[me] = false
	:: else
	fi;
	smp_mb(me);
	users--;
	if
	:: me == 0 -> users == 0; mm_free()
	:: else
	fi;
	done++
}

inline grace_period()
{
	!irqs_off[0] && drained(0);
	!irqs_off[1] && drained(1);
	drained(RECLAIM)
}

inline see_bits(n)
{
	see = load(RECLAIM, BIT + n);
	see = see && load(RECLAIM, AT + n)
}

inline unlink()
{
	victim = load(RECLAIM, LINK);
	if
	:: victim != 0 ->
		assert(!mm_freed);
		store(RECLAIM, LINK, 0);
#ifndef NO_MB_UNLINK
		smp_mb(RECLAIM);
#endif
#ifndef NO_PUT_BACK
		see_bits(0);
		if
		:: !see -> see_bits(1)
		:: else
		fi;
#endif
		if
		:: see ->
			store(RECLAIM, LINK, victim);
			victim = 0;
			see = false
		:: else
#ifdef UNHASH_EARLY
			-> roots[victim].hashed = false
#endif
		fi
	:: else
	fi
}

proctype reclaim()
{
	byte victim, turn;
	bool see;

	do
	:: turn < ROOTS ->
		turn++;
		lock(bucket);
		unlink();
		unlock(RECLAIM, bucket);
		if
		:: victim != 0 ->
#ifndef NO_GRACE
			grace_period();
#endif
			lock(bucket);
			roots[victim].hashed = false;
			unlock(RECLAIM, bucket);
			free_root(victim);
			victim = 0
		:: else
		fi
	:: break
	od;
	done++
}

inline repeat(r)
{
	if
	:: roots[r].hashed -> roots[r].top = load(WRITER, TOP)
	:: else
	fi
}

inline repeat_all()
{
	lock(bucket);
	repeat(1);
	repeat(2);
	unlock(WRITER, bucket)
}

proctype writer()
{
#ifdef REPEAT_FIRST
	repeat_all();
#endif
	store(WRITER, TOP, 1);
#ifndef REPEAT_FIRST
	repeat_all();
#endif
	assert(cr3[0] == 0 || roots[cr3[0]].top == 1);
	assert(cr3[1] == 0 || roots[cr3[1]].top == 1);
	users--;
	done++
}

init
{
	atomic {
		memory[AT + 1] = true;
		home[1] = true;
		if
		:: memory[AT] = true; home[0] = true
		:: skip
		fi;
		run drain(0);
		run drain(1);
		run drain(RECLAIM);
		run drain(WRITER);
		run reclaim();
		run cpu(0);
		if
		:: run cpu(1)
		:: run writer()
		fi
	}
}
