/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The copying of a page of executable memory against pokes, and against plain
 * stores while the page is writable.
 *
 * Property: what a CPU of the node reads at the page equals the primary unless a
 * poke is under way; no store goes to a replica that has been freed; verification
 * reports nothing; and in the end the node maps its replica.
 *
 * A page is copied while it is read-only, under the lock that pokes hold.  A
 * poke before the copying is in the primary by then; one after it writes both.
 * To change the protection of a page spoils the copying that is under way.  The
 * window that is written through is closed before the replica is mapped: pokes and
 * stores come between the copying and the mapping.  A page that has become filler
 * by a poke is neither copied nor mapped.
 *
 *   model              code (lib/ktrepl/execmem.c if no file is named)
 *   -----              ----
 *   owner()            set_memory_rw(), plain stores, set_memory_ro()
 *     PTE              the primary's leaf: writable or not
 *     sync_range()     __ktrepl_sync_range(): ktrepl_invalidate(), then
 *                      ktrepl_sync_small() (pgtable.c)
 *   poker()            __text_poke() (x86); aarch64_insn_write() and the like
 *                      (arm64): ktrepl_poke_first(), ktrepl_poke_next()
 *   scan()             ktrepl_execmem_scan(), once for each ktrepl_execmem_queue()
 *     prepare()        ktrepl_execmem_list()
 *     update()         ktrepl_execmem_copy_begin_all(), for a page with copies only
 *     take()           ktrepl_execmem_copy_begin(): ktrepl_page_copy_begin() (pgtable.c)
 *     copy_page()      ktrepl_execmem_fill_page(): ktrepl_window_fill() (window.c), a
 *                      piece of the page at a time
 *     wanted           ktrepl_execmem_primary()
 *     revive()         ktrepl_execmem_map(): ktrepl_pages_map_replica() (pgtable.c)
 *     retire()         ktrepl_page_map_primary() (pgtable.c)
 *     drop()           ktrepl_execmem_drop()
 *   verify()           ktrepl_verify_page() (verify.c)
 *   reader()           a CPU of the node: reads by its TLB, or by the leaf
 *   text_mutex         text_mutex, with ktrepl_execmem_mutex inside
 *   arch_lock          arch_ktrepl_lock(); patch_lock on arm64
 *   pt_lock            ktrepl_pt_lock
 *   DEAD, clean        the page's bits in ktrepl_region.stale and .stable
 *   listed             an entry in ktrepl_region.replica[]
 *   leaf, tlb          what the node's table has, and what one of its CPUs uses
 *
 * Abstracted, and why that is sound:
 * - A page of two cells.  Cell 0 is for plain stores, cell 1 for pokes: both to
 *   the same bytes at a time would be a race without replication as well.  Each
 *   is one piece for ktrepl_window_fill(), which holds the lock for a piece.
 * - One node.  Another one that comes late makes the scan retire the page and
 *   copy it to all nodes once more: late.
 * - Cell 1, the replica, clean, listed and the leaf are written and read under
 *   locks only, but for the reader, which may look at any time: they are no
 *   locations of store-buffer.inc.
 * - A flush of the TLB contains a full barrier on the CPU that asks for it.
 * - Plain stores are seen before the page becomes read-only: on x86 as stores
 *   are not reordered, on arm64 by the locks in vm_unmap_aliases().  This is
 *   not ours: see the mutation RO_UNORDERED.
 * - No argument rests on a load after unlock(): see store-buffer.inc.  The owner
 *   flushes before it stores, the others hold text_mutex, or are done.
 *
 * Variants:
 * Variant TEXT_MUTEX: as on x86: pokes hold text_mutex, arch_ktrepl_lock() is
 *	nothing, nor is arch_ktrepl_flush_page()
 * Variant FILLER: the first poke makes the page filler, another one code again
 *
 * Mutations:
 * Mutation REVIVE_BLIND: the replicas are mapped without a look at clean
 * Mutation TAKE_LATE: the page is noted as clean after it has been copied
 * Mutation RETAKE: a page is taken once more before its last piece is copied
 * Mutation COPY_UNLOCKED: copied without the lock that pokes hold
 * Mutation LIST_LATE: the replica is listed after the copying
 * Mutation STORE_FIRST: plain stores come before ktrepl_sync_range()
 * Mutation NO_MB_SPOIL: no smp_mb() between the leaf and the look at the page
 * Mutation NO_RMB, TEXT_MUTEX: verification looks at dead before it compares
 * Mutation UNLIST_UNLOCKED: a replica is taken off the list without the lock
 * Mutation NO_DROP_FLUSH, TEXT_MUTEX: a replica is freed without a flush of the TLB
 * Mutation NO_KICK: a change of the leaf does not ask for a scan
 * Mutation FILLER_MAPPED, FILLER: what is filler when it is to be copied stays clean
 * Mutation RO_UNORDERED: a page becomes read-only before stores to it are seen
 */
#define CPUS		4
#define OWNER		0
#define POKER		1
#define SCAN		2
#define VERIFY		3

#define PTE		0	/* true: writable */
#define CELL		1	/* cell 0 of the primary */
#define DEAD		2
#define LOCATIONS	3
#define DRAIN_ALL	DRAIN(PTE) DRAIN(CELL) DRAIN(DEAD)

#define ROUNDS		2	/* of the owner */
#ifdef FILLER
#define POKES		2
#define filler		(poked == 1)
#else
#define POKES		1
#define filler		false
#endif

#define JUNK		9	/* in a replica that has not been filled */

byte done;

#define all_done	(done == CPUS)

#include "store-buffer.inc"

mtype = { MASTER, COPY };

bool text_mutex, arch_lock, pt_lock;
bool dirty = true, clean, listed, late = true, poking;
byte poked, copy[2] = JUNK;	/* poked: cell 1 of the primary */
mtype leaf = MASTER, tlb = MASTER;

#ifdef TEXT_MUTEX
#define arch_ktrepl_lock()	skip
#define arch_ktrepl_unlock(me)	skip
#define flush_page(me)		skip
#define poke_lock()		lock(text_mutex)
#define poke_unlock()		unlock(POKER, text_mutex)
#else
#define arch_ktrepl_lock()	lock(arch_lock)
#define arch_ktrepl_unlock(me)	unlock(me, arch_lock)
#define flush_page(me)		flush(me)
#define poke_lock()		arch_ktrepl_lock()
#define poke_unlock()		arch_ktrepl_unlock(POKER)
#endif

#define fixed(me)	(!load(me, PTE))
#define wanted(me)	(fixed(me) && !filler)
#define equal(me)	(copy[0] == load(me, CELL) && copy[1] == poked)

#define flush(me)	d_step { drained(me) -> tlb = leaf }

/* Under pt_lock. */
inline sync_leaf(me)
{
	if
	:: !fixed(me) -> store(me, DEAD, true)
	:: else
	fi;
	leaf = (listed && !load(me, DEAD) -> COPY : MASTER)
}

inline set_memory()
{
	store(OWNER, PTE, writable);
#ifdef STORE_FIRST
	store(OWNER, CELL, round + writable);
#endif
	sync_range();
	flush(OWNER)
}

inline sync_range()
{
#ifndef NO_MB_SPOIL
	smp_mb(OWNER);
#endif
	lock(pt_lock);
	if
	:: !fixed(OWNER) -> clean = false; store(OWNER, DEAD, true)
	:: else
	fi;
#ifndef NO_KICK
	dirty = true;
#endif
	unlock(OWNER, pt_lock);

	arch_ktrepl_lock();
	lock(pt_lock);
	sync_leaf(OWNER);
	unlock(OWNER, pt_lock);
	arch_ktrepl_unlock(OWNER)
}

/* A new area is writable; it becomes read-only, and perhaps writable again. */
proctype owner()
{
	byte round;
	bool writable = true;

	do
	:: writable || round < ROUNDS ->
		if
		:: writable ->
			round++;
			store(OWNER, CELL, round);
#ifndef RO_UNORDERED
			smp_mb(OWNER);
#endif
		:: else
		fi;
		writable = !writable;
		set_memory()
	:: !writable -> break
	od;
	drained(OWNER);
	done++
}

/* All targets are known before the first store. */
proctype poker()
{
	bool both;

	do
	:: poked < POKES ->
		poke_lock();
		both = listed;
		d_step { poking = true; poked++ };
		if
		:: both -> assert(listed); copy[1] = poked
		:: else
		fi;
		poking = false;
#ifdef FILLER
		dirty = true;
#endif
		poke_unlock()
	:: break
	od;
	both = false;
	done++
}

inline switch_page(dead)
{
	arch_ktrepl_lock();
	lock(pt_lock);
	clean = clean && !dead;
	if
#ifdef REVIVE_BLIND
	:: true ->
#else
	:: dead || clean ->
#endif
		store(SCAN, DEAD, dead);
		sync_leaf(SCAN);
		flush_page(SCAN)
#ifndef REVIVE_BLIND
	:: else
#endif
	fi;
	unlock(SCAN, pt_lock);
	arch_ktrepl_unlock(SCAN)
}

inline retire()
{
	switch_page(true)
}

inline revive()
{
	switch_page(false)
}

inline list()
{
	d_step { listed = true; copy[0] = JUNK; copy[1] = JUNK }
}

inline prepare()
{
	if
	:: wanted(SCAN) && !listed ->
#ifdef LIST_LATE
		skip
#else
		list()
#endif
	:: wanted(SCAN) && listed && late && !load(SCAN, DEAD) ->
		late = false;
		retire()
	:: else
	fi
}

inline take()
{
	lock(pt_lock);
	if
	:: fixed(SCAN) -> clean = true
	:: else
	fi;
	unlock(SCAN, pt_lock)
}

#ifdef COPY_UNLOCKED
#define copy_lock()	skip
#define copy_unlock()	skip
#else
#define copy_lock()	arch_ktrepl_lock()
#define copy_unlock()	arch_ktrepl_unlock(SCAN)
#endif

inline copy_page()
{
	copy_lock();
	value = load(SCAN, CELL);
	copy[0] = value;
	copy_unlock();
#ifdef RETAKE
	take();
#endif
	copy_lock();
	value = poked;
	copy[1] = value;
	copy_unlock();
	value = 0
}

inline drop()
{
	retire();
#ifndef NO_DROP_FLUSH
	flush(SCAN);
#endif
#ifndef UNLIST_UNLOCKED
	arch_ktrepl_lock();
#endif
	listed = false;
#ifndef UNLIST_UNLOCKED
	arch_ktrepl_unlock(SCAN)
#endif
}

inline update()
{
	lock(text_mutex);
	if
	:: wanted(SCAN) && load(SCAN, DEAD) ->
#ifdef TAKE_LATE
		clean = true
#else
		take()
#endif
	:: !wanted(SCAN) && listed -> drop()
	:: else
	fi;
	unlock(SCAN, text_mutex);
	taken = load(SCAN, DEAD) && clean;
	if
	:: taken ->
		lock(text_mutex);
		if
		:: wanted(SCAN) -> copy_page()
#ifdef FILLER_MAPPED
		:: else
#else
		:: else -> retire()
#endif
		fi;
#ifdef LIST_LATE
		listed = true;
#endif
		unlock(SCAN, text_mutex);
		lock(text_mutex);
#ifdef TAKE_LATE
		take();
#endif
		revive();
		unlock(SCAN, text_mutex)
	:: else
	fi;
	taken = false
}

/* Ends when all others are done, and nothing has been asked for. */
proctype scan()
{
	bool taken;
	byte value;

	do
	:: atomic { dirty -> dirty = false };
		prepare();
		if
#ifdef LIST_LATE
		:: true ->
#else
		:: listed ->
#endif
			update();
			flush(SCAN)
#ifndef LIST_LATE
		:: else
#endif
		fi
	:: done == CPUS - 1 && !dirty -> break
	od;
	assert(filler -> leaf == MASTER : (leaf == COPY && listed && equal(SCAN)));
	done++
}

proctype verify()
{
	bool dead, same;

	lock(text_mutex);
	dead = load(VERIFY, DEAD);
	if
	:: listed && !dead ->
		arch_ktrepl_lock();
#ifdef NO_RMB
		dead = load(VERIFY, DEAD);
#endif
		same = equal(VERIFY);
		arch_ktrepl_unlock(VERIFY);
#ifndef NO_RMB
		dead = load(VERIFY, DEAD);
#endif
		assert(same || dead)
	:: else
	fi;
	unlock(VERIFY, text_mutex);
	dead = false;
	same = false;
	done++
}

/* Once is enough: reading changes nothing. */
proctype reader()
{
	do
	:: d_step { tlb != leaf -> tlb = leaf }
	:: break
	od;
	assert(tlb == MASTER || poking ||
	       (listed && copy[0] == memory[CELL] && copy[1] == poked))
}

init
{
	atomic {
		memory[PTE] = true;
		memory[DEAD] = true;
		run drain(OWNER);
		run drain(SCAN);
		run owner();
		run poker();
		run scan();
		run verify();
		run reader()
	}
}
