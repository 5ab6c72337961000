/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loading the node root of an mm against reclaim of roots, stores to the mm's own
 * root, and the end of the mm.
 *
 * Property: no CPU loads a root that has been freed or not been filled, none is
 * freed while a CPU runs on it or walks the list by it, a store to the mm's own root
 * reaches every root that a CPU runs on, and reclaim does not touch an mm that has
 * ended.
 *
 * A CPU finds a root, notes it and loads it with interrupts disabled.  Reclaim
 * first keeps CPUs from finding the root, and lets a grace period pass.  Then it
 * looks for notes, and lets a grace period pass for CPUs that have noted the next
 * root but not loaded it.  Then it takes the root off the list, and lets a grace
 * period pass for those that walk it.
 *
 *   model             code (lib/ktrepl/root.c if no file is named)
 *   -----             ----
 *   cpu()             a CPU that switches mms
 *     switch_in()     switch_mm_irqs_off() (arch/x86/mm/tlb.c) to the mm
 *     switch_out()    the same, from the mm to another
 *     find_root()     ktrepl_root_find()
 *     get_root()      ktrepl_root_get(), ktrepl_root_add()
 *     NOTE            ktrepl_cpu_mm_root
 *     cr3             the root loaded; to load one is a full barrier
 *   LINK, next        mm->ktrepl_roots, ktrepl_root.next
 *   STATE             ktrepl_root.state
 *   reclaim()         ktrepl_roots_reclaim()
 *     advance()       ktrepl_roots_advance()
 *     collect()       ktrepl_roots_collect(), ktrepl_root_remove()
 *     grace_period()  synchronize_rcu()
 *   writer()          set_p4d() and the like, ktrepl_top_changed()
 *     TOP             a user entry of mm->pgd
 *   mm_free()         ktrepl_mm_free()
 *   bucket            ktrepl_root_bucket.lock
 *   roots[]           root 0 is mm->pgd, or a root of some other mm
 *
 * Abstracted, and why that is sound:
 * - One mm and one node: reclaim looks at one root after the other, under the
 *   same lock, and a CPU looks for the root of one mm and one node.  Where the mm
 *   lives, and CPUs that change their home, are in root-move.pml.
 * - Roots are not used again after they have been freed: what would be wrong
 *   then is found when they are freed.  There are two of them, so that another
 *   is made while one is dying.
 * - Reclaim takes any root at any time, whether idle or not.
 * - A CPU that has interrupts disabled delays a grace period, which also makes
 *   all of the CPU's earlier stores seen.
 * - Either a second CPU or the writer takes part, not both: they have nothing to
 *   do with each other but through the first CPU and reclaim.
 * - Contents of roots are written under the bucket lock.
 * - No argument rests on a load after unlock(): see store-buffer.inc.  A CPU that
 *   has made a root loads it in the same section with interrupts disabled; reclaim
 *   waits for a grace period; the others are done.
 *
 * Mutations:
 * Mutation NO_GRACE_FOUND: no grace period before reclaim looks for notes
 * Mutation NO_GRACE_LEFT: none before a root is taken off the list
 * Mutation NO_GRACE_LIST: none before it is freed
 * Mutation NO_NOTES: reclaim does not look for notes
 * Mutation NOTE_LATE: a CPU notes a root after it has enabled interrupts
 * Mutation LIVE_EARLY: a root is to be found before it is filled
 * Mutation FILL_FIRST: a root is filled before it is on the list
 * Mutation NO_MB_FILL: no smp_mb() between adding a root and filling it
 * Mutation NO_MB_WRITER: no smp_mb() between a store and the look for roots
 * Mutation REPEAT_FIRST: a store is repeated in the roots before it is done
 * Mutation TOUCH_LATE: reclaim touches the mm after a root has left its list
 */
#define CPUS		4	/* 0, 1: CPUs of the node; then: */
#define RECLAIM		2
#define WRITER		3
#define TURNS(cpu)	(3 - cpu)

#define ROOTS		2	/* made in the course of time */

#define LINK		0
#define TOP		1
#define NOTE		2	/* and 3 */
#define STATE		3	/* + root: 4 and 5 */
#define LOCATIONS	6
#define DRAIN_ALL	DRAIN(0) DRAIN(1) DRAIN(2) DRAIN(3) DRAIN(4) DRAIN(5)

#define UNFILLED	0
#define LIVE		1
#define DYING		2
#define LEFT		3

byte done;

#define all_done	(done == 3)

#include "store-buffer.inc"

typedef root {
	bool filled;
	bool freed;
	byte next;
	byte top
};

root roots[ROOTS + 1];
byte made;
bool bucket, mm_freed;

byte users = 2;			/* of the mm: CPU 0, and CPU 1 or the writer */

bool irqs_off[2], has_mm[2];
byte cr3[2], walking[2];

#define in_use(r)	(cr3[0] == r || cr3[1] == r || walking[0] == r || \
			 walking[1] == r)

inline free_root(r)
{
	d_step {
		assert(!in_use(r));
		roots[r].freed = true
	}
}

#define is_live(r)	(load(me, STATE + r) == LIVE)

/* The list has two roots at most. */
inline find_root()
{
	walking[me] = load(me, LINK);
	if
	:: walking[me] && !is_live(walking[me]) ->
		assert(!roots[walking[me]].freed);
		walking[me] = roots[walking[me]].next
	:: else
	fi;
	if
	:: walking[me] && is_live(walking[me]) ->
		d_step {
			assert(!roots[walking[me]].freed);
			new = walking[me]
		}
	:: else
	fi;
	walking[me] = 0
}

inline fill_root()
{
	value = load(me, TOP);
	d_step { roots[made].top = value; roots[made].filled = true; value = 0 }
}

inline get_root()
{
	lock(bucket);
	find_root();
	if
	:: !new && made < ROOTS ->
		d_step { made++; new = made };
#ifdef LIVE_EARLY
		store(me, STATE + new, LIVE);
		smp_mb(me);
#endif
#ifdef FILL_FIRST
		fill_root();
#endif
		roots[new].next = load(me, LINK);
		store(me, LINK, new);
#ifndef FILL_FIRST
#ifndef NO_MB_FILL
		smp_mb(me);
#endif
		fill_root();
#endif
#ifndef LIVE_EARLY
		/* A release. */
		smp_mb(me);
		store(me, STATE + new, LIVE);
#endif
	:: else
	fi;
	unlock(me, bucket)
}

inline load_root()
{
#ifndef NOTE_LATE
	store(me, NOTE + me, new);
#endif
	smp_mb(me);
	d_step {
		assert(!roots[new].freed);
		assert(!new || roots[new].filled);
		cr3[me] = new
	};
	irqs_off[me] = false;
#ifdef NOTE_LATE
	store(me, NOTE + me, new);
#endif
	new = 0
}

inline switch_in()
{
	has_mm[me] = true;
	find_root();
	if
	:: !new -> get_root()
	:: else
	fi;
	load_root()
}

inline switch_out()
{
	has_mm[me] = false;
	load_root()
}

/* The last user of the mm has gone. */
inline mm_free()
{
	new = load(me, LINK);
	if
	:: new ->
		lock(bucket);
		new = load(me, LINK);
		if
		:: new ->
			if
			:: roots[new].next -> free_root(roots[new].next);
				d_step {
					memory[STATE + roots[new].next] = UNFILLED;
					roots[new].next = 0
				}
			:: else
			fi;
			free_root(new);
			memory[STATE + new] = UNFILLED
		:: else
		fi;
		store(me, LINK, 0);
		unlock(me, bucket)
	:: else
	fi;
	mm_freed = true;
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
		fi
	:: break
	od;

	/* Until the mm ends; to drop the last reference is a full barrier. */
	if
	:: has_mm[me] ->
		irqs_off[me] = true;
		switch_out()
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

#ifdef NO_NOTES
#define noted(r)	false
#else
#define noted(r)	(load(RECLAIM, NOTE) == r || load(RECLAIM, NOTE + 1) == r)
#endif

#define state_of(r)	load(RECLAIM, STATE + r)

inline advance_root(r, from, to)
{
	if
	:: state_of(r) == from && !noted(r) -> store(RECLAIM, STATE + r, to)
	:: else
	fi
}

inline advance(from, to)
{
	lock(bucket);
	advance_root(1, from, to);
	advance_root(2, from, to);
	unlock(RECLAIM, bucket)
}

inline collect_root(r)
{
	if
	:: state_of(r) == LEFT ->
		assert(!mm_freed);
		head = load(RECLAIM, LINK);
		link = (head == r -> roots[r].next : head);
		roots[head].next = (head == r -> roots[head].next : roots[r].next);
		store(RECLAIM, LINK, link);
#ifdef TOUCH_LATE
		smp_mb(RECLAIM);
		assert(!mm_freed);
#endif
		store(RECLAIM, STATE + r, UNFILLED);
		victim[r] = true;
		head = 0;
		link = 0
	:: else
	fi
}

inline collect()
{
	lock(bucket);
	collect_root(1);
	collect_root(2);
	unlock(RECLAIM, bucket)
}

inline free_victim(r)
{
	if
	:: victim[r] -> free_root(r); victim[r] = false
	:: else
	fi
}

proctype reclaim()
{
	bool victim[ROOTS + 1];
	byte head, link, turn;

	do
	:: turn < ROOTS ->
		turn++;
		advance(LIVE, DYING);
#ifndef NO_GRACE_FOUND
		grace_period();
#endif
		advance(DYING, LEFT);
#ifndef NO_GRACE_LEFT
		grace_period();
#endif
		collect();
#ifndef NO_GRACE_LIST
		grace_period();
#endif
		free_victim(1);
		free_victim(2)
	:: break
	od;
	done++
}

inline repeat(r)
{
	if
	:: r && !roots[r].freed -> roots[r].top = load(WRITER, TOP)
	:: else
	fi
}

/* In all roots of the list. */
inline repeat_all()
{
	if
	:: load(WRITER, LINK) ->
		lock(bucket);
		first = load(WRITER, LINK);
		repeat(first);
		if
		:: first -> repeat(roots[first].next)
		:: else
		fi;
		unlock(WRITER, bucket);
		first = 0
	:: else
	fi
}

proctype writer()
{
	byte first;

#ifdef REPEAT_FIRST
	repeat_all();
#endif
	store(WRITER, TOP, 1);
#ifndef REPEAT_FIRST
#ifndef NO_MB_WRITER
	smp_mb(WRITER);
#endif
	repeat_all();
#endif
	assert(cr3[0] == 0 || roots[cr3[0]].top == 1);
	users--;
	done++
}

init
{
	atomic {
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
