/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The running machine: its CPUs and nodes, time, memory, kernel messages, and
 * the switch of ktrepl.
 */
#ifndef KTREPL_TOOLS_MACHINE_H
#define KTREPL_TOOLS_MACHINE_H

#include "common.h"

/* Nodes that have online CPUs. Without NUMA: node 0 with all of them. */
struct machine {
	struct idlist cpus;
	struct machine_node {
		int nid;
		struct idlist cpus;
	} *node;
	size_t nr;
};

/*
 * False if it is not to be known: $KTREPL_DEBUGFS shows another machine's
 * files and $KTREPL_SYSFS (for /sys/devices/system) is not set.
 */
bool cpus_online(struct idlist *cpus);
void machine_read(struct machine *m);
void machine_free(struct machine *m);
/* The @k-th CPU of the @i-th node, both modulo what there is. */
int machine_cpu(const struct machine *m, size_t i, size_t k);

/* Bind the calling thread; returns 0 or -errno. */
int run_on_cpu(int cpu);

u64 now_ns(void);
void sleep_ms(unsigned int ms);
void sleep_us(unsigned int us);

/* A number in kB of /proc/meminfo. */
u64 meminfo_kb(const char *name);
/* MemFree + Buffers + Cached + SReclaimable, after caches are dropped. */
u64 settled_free_kb(void);

/* /sys/module/ktrepl/parameters/enable: 0/1 or -errno; 0 or -errno. */
int ktr_enable_get(void);
int ktr_enable_set(bool on);
/* For programs that change the machine: root and the real debugfs needed. */
void ktr_require_control(void);

/*
 * Kernel messages from kmsg_start() on. kmsg_check() reports each that tells
 * of a defect through fail() and returns their number; so does a new taint.
 * Without kmsg_start() it does nothing.
 */
void kmsg_start(void);
unsigned int kmsg_check(void);
bool kmsg_is_bad(const char *text);

/* Small reproducible random numbers (xorshift64*); one state a thread. */
struct rng {
	u64 state;
};

void rng_seed(struct rng *rng, u64 seed, unsigned int stream);
unsigned int rng_below(struct rng *rng, unsigned int n);

#endif /* KTREPL_TOOLS_MACHINE_H */
