/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where an mm lives: switch-in against a move, CPUs of two nodes, a node that all
 * CPUs leave (or all nodes, when replication is switched off), a CPU that parks,
 * and the end of the mm.
 *
 * Property: no CPU goes by tables that have been freed, nor has anything cached from
 * there, and a CPU that has found mm->pgd to lead to its node runs on its node until
 * it switches again.
 *
 * A CPU sets its bit in mm_cpumask() and looks at the top of mm->pgd.  A CPU that
 * has the mm move marks the top, and looks for the bits.  Either the first one finds
 * the mark, or the other one its bit.
 *
 *   model             code (lib/ktrepl/root.c if no file is named)
 *   -----             ----
 *   cpu()             a CPU that switches mms
 *     switch_in()     switch_mm_irqs_off() (arch/x86/mm/tlb.c) to the mm
 *     switch_out()    the same, from the mm to another
 *     park()          ktrepl_cpu_dying() (core.c), idle_task_exit()
 *     choose()        ktrepl_mm_pgd(), __ktrepl_choose_root()
 *     move()          ktrepl_root_move()
 *     walk()          the MMU
 *   toggle()          ktrepl_node_detach() or ktrepl_switch_off() (core.c)
 *     place()         ktrepl_place_cpus(), ktrepl_set_preferred() (core.c)
 *     leave()         ktrepl_roots_leave(), ktrepl_mm_leave()
 *     flush()         flush_tlb_all()
 *   TOP               the top of mm->pgd: 0 leads to the primary
 *     MARK            arch_ktrepl_root_mark()
 *   BIT               mm_cpumask(), set with a full barrier: [A3]
 *   AT                node->cpus
 *   cr3               MM: mm->pgd; ROOT: a node root; MASTER: init_mm's
 *   bucket, pgd_lock  the locks of these names
 *   hotplug           cpus_read_lock, which keeps CPUs from parking
 *
 * Abstracted, and why that is sound:
 * - One mm: tops of different mms have nothing to do with each other.
 * - Two nodes, one CPU on each at first: a move looks at bits of one node, any of
 *   them is as good as another.
 * - A CPU that has missed a node root goes by mm->pgd, as a CPU without a home does:
 *   nothing but safety is asked of them.
 * - CPUs know their homes; their notes of what they have loaded are in
 *   root-reclaim.pml.
 * - The MMU sees what is in memory.
 *
 * Variant ALL: all CPUs get no home, and both nodes are freed
 *
 * Mutations:
 * Mutation NO_MARK: a move looks at the bits, and stores the top
 * Mutation NO_MB_MARK: no smp_mb() between the mark and the look at the bits
 * Mutation NO_MB_SWITCH: no full barrier between the bit and the look at the top
 * Mutation BIT_LATE: the bit of mm_cpumask() is set after the look at the top
 * Mutation NO_LEAVE: mms go on leading to the node
 * Mutation LEAVE_EARLY: mms leave the node before CPUs do
 * Mutation LEAVE_UNLOCKED: mms leave without the bucket lock
 * Mutation NO_FLUSH: nothing is flushed after that
 * Mutation FLUSH_EARLY: TLBs are flushed before mms leave the node
 * Mutation PARK_ON_MM: a CPU parks on mm->pgd
 * Mutation TOUCH_DEAD: mms leave without pgd_lock
 */
#define CPUS		3	/* 0, 1: CPUs of nodes 1 and 2; then: */
#define TOGGLE		2
#define TURNS		3

#define TOP		0
#define BIT		1	/* and 2 */
#define AT_OF(n, c)	(1 + 2 * (n) + (c))
#define LOCATIONS	7
#define DRAIN_ALL	DRAIN(0) DRAIN(1) DRAIN(2) DRAIN(3) DRAIN(4) \
			DRAIN(5) DRAIN(6)

#define MARK		4
#define NODE_OF(top)	((top) & 3)

byte done;

#define all_done	(done == 3)

#include "store-buffer.inc"

#define OTHER		0	/* another mm, of no interest */
#define MM		1
#define ROOT		2
#define MASTER		3

bool bucket, pgd_lock, hotplug;
bool listed = true, dead;	/* the mm */
byte users = 2;
bool freed[3];

bool irqs_off[2], has_mm[2], parked[2], hit[2];
byte home[2], cr3[2], cached[2];

#define is_on(x, n)							\
	((load(x, BIT) && load(x, AT_OF(n, 0))) ||			\
	 (load(x, BIT + 1) && load(x, AT_OF(n, 1))))

inline walk(w)
{
	d_step {
		if
		:: cr3[w] == MM ->
			assert(!freed[NODE_OF(memory[TOP])]);
			assert(!hit[w] || NODE_OF(memory[TOP]) == home[w]);
			cached[w] = cached[w] | NODE_OF(memory[TOP])
		:: cr3[w] == ROOT ->
			assert(!freed[home[w]]);
			cached[w] = cached[w] | home[w]
		:: else
		fi
	}
}

#define take_mm()	d_step { cr3[c] = MM; hit[c] = true }
/* There may be no spare one. */
#define take_root()	hit[c] = false;					\
			if :: cr3[c] = ROOT :: cr3[c] = MM fi

inline move(c)
{
	lock(bucket);
	old = load(c, TOP);
	if
	:: old == home[c] || old == 0 -> store(c, TOP, home[c]); take_mm()
	:: else ->
		if
		:: is_on(c, old) -> take_root()
		:: else ->
#ifndef NO_MARK
			store(c, TOP, old + MARK);
#ifndef NO_MB_MARK
			smp_mb(c);
#endif
			if
			:: is_on(c, old) -> store(c, TOP, old); take_root()
			:: else -> store(c, TOP, home[c]); take_mm()
			fi
#else
			store(c, TOP, home[c]);
			take_mm()
#endif
		fi
	fi;
	unlock(c, bucket);
	old = 0
}

/* On the CPU c, its interrupts disabled. */
inline choose(c)
{
	if
#ifdef ALL
	:: !home[c] -> d_step { cr3[c] = MM; hit[c] = false }
#endif
	:: home[c] && load(c, TOP) == home[c] -> take_mm()
	:: home[c] && load(c, TOP) != home[c] -> move(c)
	fi
}

inline switch_in()
{
	has_mm[me] = true;
#ifndef BIT_LATE
	store(me, BIT + me, true);
#ifndef NO_MB_SWITCH
	smp_mb(me);
#endif
#endif
	choose(me)
#ifdef BIT_LATE
	; store(me, BIT + me, true)
#endif
}

inline switch_out()
{
	store(me, BIT + me, false);
	d_step { has_mm[me] = false; cr3[me] = OTHER; hit[me] = false }
}

/* Its TLB is flushed on the way, and out of reach afterwards. */
inline park()
{
	lock(hotplug);
	irqs_off[me] = true;
#ifdef PARK_ON_MM
	cached[me] = 0;
	walk(me);
#else
	d_step {
		hit[me] = false;
		cr3[me] = MASTER;
		cached[me] = 0
	};
#endif
	store(me, AT_OF(home[me], me), false);
	home[me] = 0;
	store(me, BIT + me, false);
	d_step { has_mm[me] = false; hit[me] = false; cr3[me] = MASTER };
	parked[me] = true;
	unlock(me, hotplug)
}

/* The last user of the mm has gone, and its root is no longer listed. */
inline mm_exit()
{
	lock(pgd_lock);
	listed = false;
	unlock(me, pgd_lock);
	dead = true
}

proctype cpu(byte me)
{
	byte turn, old;

	do
	:: turn < TURNS && !parked[me] ->
		turn++;
		if
		:: me == 0 && has_mm[me] -> park()
		:: skip ->
			atomic { !irqs_off[me] -> irqs_off[me] = true };
			if
			:: !has_mm[me] -> switch_in()
			:: has_mm[me] -> switch_out()
			fi;
			walk(me);
			irqs_off[me] = false
		fi
	:: atomic { !irqs_off[me] -> walk(me) }; break
	:: parked[me] -> break
	od;

	/* Until the mm ends; to drop the last reference is a full barrier. */
	if
	:: !parked[me] ->
		atomic { !irqs_off[me] -> irqs_off[me] = true };
		if
		:: has_mm[me] -> switch_out()
		:: else
		fi;
		irqs_off[me] = false
	:: else
	fi;
	smp_mb(me);
	atomic {
		users--;
		if
		:: users > 0 -> old = 1
		:: else
		fi
	};
	if
	:: old == 0 -> mm_exit()
	:: else
	fi;
	done++
}

/* By the CPU's stopper thread. */
inline place(c, n)
{
	if
	:: !parked[c] && home[c] && home[c] != n ->
		atomic { !irqs_off[c] -> irqs_off[c] = true };
		was = home[c];
#ifndef ALL
		store(c, AT_OF(n, c), true);
#endif
		smp_mb(c);
		home[c] = n;
		/* It leaves the mm. */
		store(c, BIT + c, false);
		d_step { has_mm[c] = false; hit[c] = false; cr3[c] = OTHER };
		cached[c] = 0;
		walk(c);
		store(c, AT_OF(was, c), false);
		irqs_off[c] = false
	:: else
	fi
}

inline place_all()
{
#ifdef ALL
	place(0, 0);
	place(1, 0)
#else
	place(0, 2)
#endif
}

#ifdef TOUCH_DEAD
#define list_lock()	skip
#define list_unlock()	skip
#define is_listed	here
#else
#define list_lock()	lock(pgd_lock)
#define list_unlock()	unlock(TOGGLE, pgd_lock)
#define is_listed	listed
#endif

#ifdef LEAVE_UNLOCKED
#define leave_lock()	skip
#define leave_unlock()	skip
#else
#define leave_lock()	lock(bucket)
#define leave_unlock()	unlock(TOGGLE, bucket)
#endif

inline leave()
{
	here = listed;
	list_lock();
	if
	:: is_listed ->
		leave_lock();
		assert(!dead);
		old = load(TOGGLE, TOP);
#ifdef ALL
		if
		:: NODE_OF(old) -> store(TOGGLE, TOP, 0)
		:: else
		fi;
#else
		if
		:: old == 1 -> store(TOGGLE, TOP, 0)
		:: else
		fi;
#endif
		leave_unlock();
		old = 0
	:: else
	fi;
	list_unlock();
	smp_mb(TOGGLE)
}

inline flush(c)
{
	if
	:: parked[c]
	:: atomic { !parked[c] && !irqs_off[c] -> cached[c] = 0; walk(c) }
	fi
}

inline flush_all()
{
	flush(0);
	flush(1)
}

proctype toggle()
{
	byte old, was;
	bool here;

	lock(hotplug);
#ifdef LEAVE_EARLY
	leave();
	place_all();
#else
	place_all();
#ifdef FLUSH_EARLY
	flush_all();
#endif
#ifndef NO_LEAVE
	leave();
#endif
#endif
#if !defined(NO_FLUSH) && !defined(FLUSH_EARLY)
	flush_all();
#endif
	d_step {
		assert(!(cached[0] & 1) && !(cached[1] & 1));
		freed[1] = true;
#ifdef ALL
		assert(!cached[0] && !cached[1]);
		freed[2] = true
#endif
	};
	unlock(TOGGLE, hotplug);
	done++
}

init
{
	atomic {
		memory[AT_OF(1, 0)] = true;
		memory[AT_OF(2, 1)] = true;
		home[0] = 1;
		home[1] = 2;
		run drain(0);
		run drain(1);
		run drain(TOGGLE);
		run cpu(0);
		run cpu(1);
		run toggle()
	}
}
