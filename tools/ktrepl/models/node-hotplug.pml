/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Building and taking down a node against its CPUs, which come and go.
 *
 * Property: no CPU ever runs on a root that is unfinished or freed; a CPU that
 * has a home has its bit in the node's mask, and is moved before the node
 * changes; when all is done each CPU that is online uses the best node that is
 * live.
 *
 * A node is built while no CPU has it as its home, is live from then on, and
 * each CPU takes the best live node by itself.  Before a node changes or goes
 * it stops being live, and its CPUs leave.
 *
 *   model                code (lib/ktrepl/core.c if no file is named)
 *   -----                ----
 *   cpu()                switch_mm_irqs_off() (arch/x86/mm/tlb.c), exit from
 *                        idle (ktrepl_cpu_pm_notify(), arm64): a CPU loads the
 *                        root of its home, interrupts disabled
 *     load_root()        arch_ktrepl_attach(), ktrepl_cpu_root(),
 *                        __ktrepl_choose_root() (root.c)
 *   set_home()           ktrepl_set_preferred()
 *   best_node()          ktrepl_best_node(), ktrepl_node_now() (nodes.c)
 *   place_cpus()         ktrepl_place_cpus(): ktrepl_place_cpu() in the
 *                        stopper thread of each CPU whose home is not the best
 *   node_build()         ktrepl_node_build()
 *     root, contents     ktrepl_root_register() (pgtable.c), then tables,
 *                        replicas and leaves
 *   detach()             ktrepl_node_detach()
 *   free_node()          ktrepl_node_tear_down()
 *   operator()           ktrepl_enable(), ktrepl_disable()
 *   hotplug()            _cpu_up(), _cpu_down() (kernel/cpu.c) with
 *                        ktrepl_cpu_prepare(), ktrepl_cpu_starting(),
 *                        ktrepl_cpu_dying()
 *   heal()               the work item that fills in what is missing, changes
 *                        leaves of a node, or retires it
 *   cpus_lock            cpus_read_lock(), cpus_write_lock()
 *   mutex                ktrepl_mutex
 *
 * Abstracted, and why that is sound:
 * - Two nodes, one CPU that stays and one that comes and goes on node 0, and
 *   one that stays on node 1.  More CPUs and nodes take the same steps.
 * - Everything that is read without a lock is read by the CPU that wrote it,
 *   or was written before a stopper ran on that CPU, or before the CPU came up:
 *   no store buffers are needed.  node->cpus has a reader that is neither:
 *   root-reclaim.pml has it.
 * - irqs[cpu] is held where the code has interrupts disabled on that CPU, and
 *   while its stopper runs: nothing else happens on the CPU meanwhile.
 * - Two turns of each process: the lock makes each start from a state that any
 *   number of earlier turns would lead to.
 * - Any build may fail, for lack of memory.  In the end there is enough, and the
 *   work item runs once more if it has been asked for.
 *
 * Mutations:
 * Mutation HOME_UNFINISHED: a CPU's home is its node, live or not, and the
 *	root is used as soon as it is there
 * Mutation FREE_EARLY: a node is freed before the stoppers have run
 * Mutation LIVE_LATE: a node is live until its CPUs have been asked to leave
 * Mutation CHANGE_LIVE: leaves are changed without moving CPUs away
 * Mutation HOME_FIRST: the home is set before the bit in node->cpus
 * Mutation NO_DYING: a CPU that dies does not leave its node
 * Mutation NO_CPUS_LOCK: the work item does not take cpus_read_lock()
 * Mutation MUTEX_FIRST: the work item takes ktrepl_mutex before cpus_read_lock()
 * Mutation NO_PLACE: CPUs are not placed again after a node has changed
 */
#define CPUS	3	/* CPU 0: node 0; 1: node 0, comes and goes; 2: node 1 */
#define NODES	2
#define MASTER	NODES	/* as a home: none */
#define TURNS	2

#define node_of(cpu)	(cpu / 2)

mtype = { NONE, UNFINISHED, READY };

bool cpus_lock, mutex;
bool enough;			/* no allocation fails any more */
bool on;			/* ktrepl_is_on() */
bool wanted;			/* the work item has been asked for */

bool root[NODES];		/* node->root is not NULL */
mtype contents[NODES] = NONE;
bool live[NODES];

bool online[CPUS];
byte home[CPUS] = MASTER;
byte mask[CPUS];		/* bit n: the CPU is in node n's mask */
byte runs_on[CPUS] = MASTER;	/* the root that is loaded */
bool irqs[CPUS];

byte done;

#define all_done	(done == 3)

#define lock(l)		atomic { !l -> l = true }
#define unlock(l)	l = false

#define best_node(cpu)							\
	(live[node_of(cpu)] -> node_of(cpu) :				\
	 (live[1 - node_of(cpu)] -> 1 - node_of(cpu) : MASTER))

/* What has to hold at any time; evaluated whenever a part of it changes. */
#define runs_well(cpu)							\
	(runs_on[cpu] == MASTER || contents[runs_on[cpu]] == READY)
#define has_bit(cpu)							\
	(home[cpu] == MASTER || mask[cpu] & (1 << home[cpu]))

inline check()
{
	assert(runs_well(0) && runs_well(1) && runs_well(2));
	assert(has_bit(0) && has_bit(1) && has_bit(2))
}

/* What has to hold when ktrepl_mutex is not held. */
#ifdef HOME_UNFINISHED
#define settled(cpu)	true
#else
#define settled(cpu)							\
	(online[cpu] -> (home[cpu] == MASTER || live[home[cpu]]) :	\
			(home[cpu] == MASTER && mask[cpu] == 0))
#endif

inline check_settled()
{
	assert(settled(0) && settled(1) && settled(2))
}

/* On the CPU, interrupts disabled. */
inline load_root(cpu, new)
{
	new = (home[cpu] != MASTER && root[home[cpu] % NODES] ->
		home[cpu] : MASTER);
	atomic { runs_on[cpu] = new; check() };
	new = 0
}

inline set_home(cpu, node, new)
{
#ifdef HOME_FIRST
	atomic { home[cpu] = node; check() };
#endif
	mask[cpu] = (node == MASTER -> mask[cpu] : mask[cpu] | (1 << node));
	atomic { home[cpu] = node; check() };
	load_root(cpu, new);
	/* And out of the mask of the node that it leaves. */
	mask[cpu] = (node == MASTER -> 0 : mask[cpu] & (1 << node))
}

#ifdef HOME_UNFINISHED
#define home_of(cpu)	(on -> node_of(cpu) : MASTER)
#else
#define home_of(cpu)	best_node(cpu)
#endif

/* Stoppers: one CPU after the other. */
inline place_cpus()
{
	do
	:: cpu < CPUS ->
		if
		:: online[cpu] && home[cpu] != home_of(cpu) ->
			atomic { !irqs[cpu] -> irqs[cpu] = true };
			node = home_of(cpu);
			set_home(cpu, node, new);
			node = 0;
			irqs[cpu] = false
		:: else
		fi;
		cpu++
	:: else -> break
	od;
	cpu = 0
}

/* Leaves a node without a root if memory is short. */
inline node_build(n)
{
	root[n] = true;
	atomic { contents[n] = UNFINISHED; check() };
	if
	:: atomic { contents[n] = READY; check() };
		live[n] = true
	:: !enough ->
		wanted = true;
		free_node(n)
	fi
}

inline free_node(n)
{
	atomic {
		root[n] = false;
		live[n] = false;
		contents[n] = NONE;
		check()
	}
}

inline detach(n)
{
#ifndef LIVE_LATE
	live[n] = false;
#endif
#ifndef FREE_EARLY
	place_cpus();
#endif
	live[n] = false
}

/* Leaves of a node that is live are to be others. */
inline change(n)
{
#ifndef CHANGE_LIVE
	detach(n);
#endif
	atomic { contents[n] = UNFINISHED; check() };
	contents[n] = READY;
	live[n] = true
}

inline fill()
{
	wanted = false;
	if
	:: !live[0] -> node_build(0)
	:: else
	fi;
	if
	:: !live[1] -> node_build(1)
	:: else
	fi;
#ifndef NO_PLACE
	place_cpus()
#endif
}

inline switch_on()
{
	on = true;
	fill()
}

inline switch_off()
{
	on = false;
	live[0] = false;
	live[1] = false;
#ifndef FREE_EARLY
	place_cpus();
#endif
	free_node(0);
	free_node(1);
#ifdef FREE_EARLY
	place_cpus()
#endif
}

/*
 * A CPU that runs: loads the root of its home, at any time.  Once is enough: if
 * nothing is wrong it is the one that it had.
 */
proctype running(byte me)
{
	byte new;

	if
	:: atomic { online[me] && !irqs[me] -> irqs[me] = true };
		load_root(me, new);
		irqs[me] = false
	:: all_done
	fi
}

proctype operator()
{
	byte cpu, node, new, turn;

	do
	:: turn < TURNS ->
		lock(cpus_lock);
		lock(mutex);
		if
		:: on -> switch_off()
		:: !on -> switch_on()
		fi;
		atomic { check_settled(); unlock(mutex) };
		unlock(cpus_lock);
		turn++
	:: break
	od;
	done++
}

/* CPU 1: a bring-up may fail after PREPARE. */
proctype hotplug()
{
	byte node, new, turn;

	do
	:: turn < TURNS + 1 ->
		lock(cpus_lock);
		if
		:: online[1] ->
			atomic { !irqs[1] -> irqs[1] = true };
#ifndef NO_DYING
			set_home(1, MASTER, new);
#endif
			atomic { online[1] = false; irqs[1] = false }
		:: else ->
			lock(mutex);
			if
			:: on && !live[0] ->
				node_build(0);
				wanted = true
			:: else
			fi;
			unlock(mutex);
			if
			:: irqs[1] = true;
				node = home_of(1);
				set_home(1, node, new);
				node = 0;
				online[1] = true;
				irqs[1] = false
			:: skip
			fi
		fi;
		atomic { check_settled(); unlock(cpus_lock) };
		turn++
	:: break
	od;
	done++
}

inline heal_lock()
{
#ifdef MUTEX_FIRST
	lock(mutex);
#endif
#ifndef NO_CPUS_LOCK
	lock(cpus_lock);
#endif
#ifndef MUTEX_FIRST
	lock(mutex)
#endif
}

inline heal_unlock()
{
	atomic { check_settled(); unlock(mutex) };
#ifndef NO_CPUS_LOCK
	unlock(cpus_lock)
#endif
}

proctype heal()
{
	byte cpu, node, new, turn;

	do
	:: turn <= TURNS ->
		if
		:: turn == TURNS -> done == 2; enough = true
		:: else
		fi;
		heal_lock();
		if
		:: on && live[0] && !enough -> change(0)
		:: on && live[0] && !enough ->
			detach(0);
			free_node(0);
			wanted = true
		:: else
		fi;
		if
		:: on && (wanted || !enough) -> fill()
		:: else
		fi;
		heal_unlock();
		turn++
	:: else -> break
	od;
	assert(!online[1] || home[1] == best_node(1));
	assert(home[0] == best_node(0) && home[2] == best_node(2));
	assert(!on || (live[0] && live[1]));
	done++
}

init
{
	atomic {
		online[0] = true;
		online[2] = true;
		run running(0);
		run running(1);
		run running(2);
		run operator();
		run hotplug();
		run heal()
	}
}
