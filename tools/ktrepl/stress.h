/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ktrepl-stress: the activities and what they share.
 *
 * Each activity is one thread (that may start others) and runs until
 * stress_going() says no. It counts what it did; a count that stands still is
 * a hang, a count of nothing at the end is a failure.
 */
#ifndef KTREPL_TOOLS_STRESS_H
#define KTREPL_TOOLS_STRESS_H

#include <pthread.h>

#include "common.h"
#include "machine.h"

#define MAX_COUNTERS	4

struct activity {
	const char *name;
	const char *help;
	/* What is counted; the first is the one that limits and must move. */
	const char *counter[MAX_COUNTERS];
	/* Why it cannot run here, or NULL. Called once, before all starts. */
	const char *(*obstacle)(void);
	void (*run)(struct activity *a);
	bool by_default;
	bool by_name_only;		/* not with --all */
	bool harmless;			/* changes nothing of the kernel */

	/* Run time. */
	bool wanted, asked, running;
	const char *skipped;
	u64 limit;			/* 0: none */
	u64 count[MAX_COUNTERS];	/* atomic */
	u64 seen, seen_at;		/* by the watchdog */
	struct rng rng;
	pthread_t thread;
};

struct stress {
	struct machine machine;
	u64 seed;
	unsigned int interval_ms;	/* longest pause between toggles */
	unsigned int verify_ms;		/* between verifications */
	bool hotplug;			/* CPUs come and go */
	const char *modules;		/* names, or NULL for all */
};

extern struct stress stress;

bool stress_going(struct activity *a);
void stress_stop(void);

static inline void stress_count(struct activity *a, int what)
{
	__atomic_fetch_add(&a->count[what], 1, __ATOMIC_RELAXED);
}

static inline u64 stress_counted(struct activity *a, int what)
{
	return __atomic_load_n(&a->count[what], __ATOMIC_RELAXED);
}

/* Being refused a CPU matters only while all of them stay. */
bool stress_on_cpu(struct activity *a, int cpu);
int stress_any_cpu(struct activity *a);
/* Runs on the @i-th CPU, or the next one that there is, and sets @i behind it; -1 at the end. */
int stress_next_cpu(struct activity *a, size_t *i);

/* @why, unless tracefs has that file. */
const char *trace_obstacle(const char *file, const char *why);

/* Probes of that name, of trace events, at an address (p) or a return (r); 0 or -errno. */
int probe_add(char type, const char *name, const char *symbol, unsigned int offset);
int probe_remove(const char *name);
int probe_enable(const char *name, bool on);

extern struct activity *const switch_activities[];
extern struct activity *const patch_activities[];
extern struct activity *const task_activities[];
extern struct activity *const module_activities[];
extern struct activity *const memory_activities[];

#endif /* KTREPL_TOOLS_STRESS_H */
