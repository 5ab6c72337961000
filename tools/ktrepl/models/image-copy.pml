/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The copying of a page of the image, for a node that is being built, against
 * plain stores to the page by code that makes it writable for a while.
 *
 * Property: the node maps the replica of a page only if the replica equals the primary,
 * and goes back to the primary before a plain store changes that.
 *
 * Pages of the image are read-only, but may be writable when the node is built.
 * Whoever makes a page writable after the node's tables are there marks it
 * stale.  A page that is writable already has to be marked by the copying.
 *
 *   model              code (lib/ktrepl/pgtable.c if no file is named)
 *   -----              ----
 *   owner()            set_memory_rw(), plain stores, set_memory_ro()
 *     PTE              the primary's leaf: writable or not
 *     sync_range()     __ktrepl_sync_range() with a root and no executable
 *                      memory: ktrepl_sync_nodes()
 *   builder()          ktrepl_node_build() (core.c)
 *     HULL             ktrepl_node_map(): from here on the owner finds the node
 *     look()           the look at the leaf before the copying
 *     copy             ktrepl_region_publish() (region.c)
 *     install          ktrepl_node_install()
 *   sync_leaf()        ktrepl_sync_step(): ktrepl_mark_stale(), the leaf
 *   reader()           a CPU of the node, once the node is live
 *
 * Abstracted, and why that is sound:
 * - Pokes are left out: page-copy.pml has them, and they are written to replicas
 *   of the image in the same way.
 * - One cell, as plain stores are one after the other.
 * - dead, the replica and the leaf are written and read under ktrepl_pt_lock, or
 *   by one process: they are no locations of store-buffer.inc.
 * - Plain stores are seen before the page becomes read-only, as in
 *   page-copy.pml.
 * - No argument rests on a load after unlock(): see store-buffer.inc.
 *
 * Mutations:
 * Mutation NO_LOOK: a page is copied whether it is writable or not
 * Mutation LOOK_LATE: the look at the leaf comes after the copying
 * Mutation NO_MB_OWNER: no smp_mb() between the leaf and the look for the node
 * Mutation NO_MB_BUILDER: no smp_mb() between HULL and the look at the leaf
 * Mutation STORE_FIRST: plain stores come before ktrepl_sync_range()
 */
#define CPUS		2
#define OWNER		0
#define BUILDER		1

#define PTE		0	/* true: writable */
#define CELL		1	/* the primary */
#define HULL		2
#define LOCATIONS	3
#define DRAIN_ALL	DRAIN(PTE) DRAIN(CELL) DRAIN(HULL)

#define ROUNDS		2

byte done;

#define all_done	(done == CPUS)

#include "store-buffer.inc"

mtype = { MASTER, COPY };

bool pt_lock, dead, copied, live;
byte copy;
mtype leaf = MASTER, tlb = MASTER;

#define writable_leaf(me)	load(me, PTE)

/* Under pt_lock. */
inline sync_leaf(me)
{
	dead = dead || writable_leaf(me);
	leaf = (copied && !dead -> COPY : MASTER)
}

inline sync_range()
{
#ifndef NO_MB_OWNER
	smp_mb(OWNER);
#endif
	if
	:: load(OWNER, HULL) ->
		lock(pt_lock);
		sync_leaf(OWNER);
		unlock(OWNER, pt_lock)
	:: else
	fi
}

inline set_memory()
{
	store(OWNER, PTE, writable);
#ifdef STORE_FIRST
	store(OWNER, CELL, round + writable);
#endif
	sync_range();
	d_step { drained(OWNER) -> tlb = leaf }
}

proctype owner()
{
	byte round;
	bool writable = memory[PTE];

	do
	:: writable || round < ROUNDS ->
		if
		:: writable ->
			round++;
			store(OWNER, CELL, round);
			smp_mb(OWNER)
		:: else
		fi;
		writable = !writable;
		set_memory()
	:: !writable -> break
	od;
	drained(OWNER);
	done++
}

inline look()
{
	lock(pt_lock);
	dead = dead || writable_leaf(BUILDER);
	unlock(BUILDER, pt_lock)
}

proctype builder()
{
	store(BUILDER, HULL, true);
#ifndef NO_MB_BUILDER
	smp_mb(BUILDER);
#endif
#ifndef NO_LOOK
#ifndef LOOK_LATE
	look();
#endif
#endif
	copy = load(BUILDER, CELL);
	copied = true;
#ifdef LOOK_LATE
	look();
#endif
	lock(pt_lock);
	sync_leaf(BUILDER);
	unlock(BUILDER, pt_lock);
	d_step { live = true; tlb = leaf };
	done++
}

/* Once is enough: reading changes nothing. */
proctype reader()
{
	live;
	do
	:: d_step { tlb != leaf -> tlb = leaf }
	:: break
	od;
	assert(tlb == MASTER || copy == memory[CELL])
}

init
{
	atomic {
		if
		:: memory[PTE] = true
		:: skip
		fi;
		run drain(OWNER);
		run drain(BUILDER);
		run owner();
		run builder();
		run reader()
	}
}
