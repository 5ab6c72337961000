// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-stress: replication switched on and off, looked at, CPUs unplugged.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "iface.h"
#include "stress.h"

/* Held while nobody may toggle. */
static pthread_mutex_t switch_lock = PTHREAD_MUTEX_INITIALIZER;

/* === toggle ============================================================== */

static void toggle_run(struct activity *a)
{
	bool on = false;
	int err;

	while (stress_going(a)) {
		on = !on;
		pthread_mutex_lock(&switch_lock);
		err = ktr_enable_set(on);
		if (err)
			fail("toggle: writing %d to enable: %s", on,
			     strerror(-err));
		else if (ktr_enable_get() != on)
			fail("toggle: enable does not read back as %d", on);
		pthread_mutex_unlock(&switch_lock);
		stress_count(a, 0);
		sleep_ms(1 + rng_below(&a->rng, stress.interval_ms));
	}
}

static struct activity toggle = {
	.name = "toggle",
	.help = "switch replication on and off",
	.counter = { "toggles" },
	.run = toggle_run,
	.by_default = true,
};

/* === shortage: one allocation of switching on fails ====================== */

/* Of switching on, with two nodes or more. */
#define MAX_ALLOCATIONS	200

static void shortage_run(struct activity *a)
{
	int fd = fault_open(), err;
	bool injected;

	if (fd < 0) {
		fail("shortage: fail-nth: %s", strerror(errno));
		return;
	}
	while (stress_going(a)) {
		pthread_mutex_lock(&switch_lock);
		ktr_enable_set(false);
		fault_arm(fd, 1 + rng_below(&a->rng, MAX_ALLOCATIONS));
		err = ktr_enable_set(true);
		injected = fault_disarm(fd);
		if (err && (err != -ENOMEM || !injected))
			fail("shortage: cannot switch on: %s", strerror(-err));
		pthread_mutex_unlock(&switch_lock);
		stress_count(a, 0);
		if (injected)
			stress_count(a, err ? 2 : 1);
		sleep_ms(1 + rng_below(&a->rng, 10 * stress.interval_ms));
	}
	close(fd);
}

static struct activity shortage = {
	.name = "shortage",
	.help = "switch replication on while an allocation fails",
	.counter = {
		"times switched on", "survived failures of allocations",
		"refusals to switch on",
	},
	.obstacle = fault_setup,
	.run = shortage_run,
};

/* === proof =============================================================== */

static bool is_on(bool *copies_due)
{
	struct ktr_state state;
	bool on = !ktr_read_state(&state) && state.mode == KTR_ON;

	*copies_due = ktr_replicas_due(&state);
	if (state.mode == KTR_BROKEN)
		fail("ktrepl is broken: %s", state.reason);
	ktr_free_state(&state);
	return on;
}

static void proof_verify(struct activity *a)
{
	struct ktr_verify verify;
	int err = ktr_read_verify(&verify);
	bool due;

	if (err && err != -EBADMSG)
		fail("verify: cannot be read: %s", strerror(-err));
	else if (verify.different)
		fail("verify: %llu of %llu pages differ, the first in %s node %d at %llx",
		     verify.different, verify.compared, verify.d[0].set,
		     verify.d[0].nid, verify.d[0].va);
	else if (verify.compared || (is_on(&due) && !due))
		stress_count(a, 0);
	else
		stress_count(a, 2);
	ktr_free_verify(&verify);
}

/* A node that goes without replicas of pages uses the primary meanwhile. */
static bool pages_missing(void)
{
	struct ktr_stats stats;
	bool any = ktr_read_stats(&stats);
	size_t i;

	for (i = 0; i < stats.nr; i++)
		any |= stats.node[i].v[KTR_MISSING] > 0;
	ktr_free_stats(&stats);
	return any;
}

/* Where a CPU is expected to execute depends on the switch: it must stay. */
static void proof_where(struct activity *a)
{
	struct ktr_where where;
	bool due, missing;
	size_t i;
	int err;

	pthread_mutex_lock(&switch_lock);
	if (is_on(&due)) {
		missing = pages_missing();
		err = ktr_read_where(&where);
		if (err && err != -EBADMSG)
			fail("where: cannot be read: %s", strerror(-err));
		for (i = 0; i < where.nr && !missing; i++)
			ktr_check_cpu(&where.cpu[i]);
		if (!where.has_healed || !where.healed)
			fail("locality: a poke did not make all replicas equal");
		stress_count(a, missing ? 3 : 1);
		ktr_free_where(&where);
	}
	pthread_mutex_unlock(&switch_lock);
}

/*
 * One thread for both: where makes replicas differ for a moment.  A slow machine
 * gets to few of them, and may find replication off: first are verifications,
 * until one counts, and a proof.
 */
static void proof_run(struct activity *a)
{
	bool proved = false;

	while (stress_going(a)) {
		if (!stress_counted(a, 0) || (proved && rng_below(&a->rng, 3))) {
			proof_verify(a);
		} else {
			proof_where(a);
			proved = true;
		}
		sleep_ms(1 + rng_below(&a->rng, stress.verify_ms));
	}
}

static struct activity proof = {
	.name = "proof",
	.help = "compare replicas, prove where CPUs execute",
	.counter = {
		"verifications", "proofs", "verifications while off",
		"proofs while pages are missing",
	},
	.run = proof_run,
	.by_default = true,
};

/* === hotplug ============================================================= */

static char *online_file(int cpu)
{
	return xasprintf("/sys/devices/system/cpu/cpu%d/online", cpu);
}

static bool hotpluggable(int cpu)
{
	char *path = online_file(cpu);
	bool ok = !access(path, W_OK);

	free(path);
	return ok;
}

static bool set_online(int cpu, bool on)
{
	char *path = online_file(cpu);
	int err, tries = 50;

	/* The kernel says EBUSY while others freeze or change CPUs. */
	while ((err = write_text(path, on ? "1" : "0")) == -EBUSY && --tries)
		sleep_ms(20);
	if (err)
		fail("hotplug: cpu %d %s: %s", cpu, on ? "online" : "offline",
		     strerror(-err));
	free(path);
	return !err;
}

static const char *hotplug_obstacle(void)
{
	size_t i;
	int cpu;

	for (i = 0; (cpu = idlist_nth(&stress.machine.cpus, i)) >= 0; i++) {
		if (hotpluggable(cpu)) {
			stress.hotplug = true;
			return NULL;
		}
	}
	return "no CPU can be taken offline";
}

static void hotplug_run(struct activity *a)
{
	int cpu;

	while (stress_going(a)) {
		cpu = stress_any_cpu(a);
		if (!hotpluggable(cpu))
			continue;
		if (!set_online(cpu, false))
			return;
		sleep_ms(rng_below(&a->rng, 50));
		if (!set_online(cpu, true))
			return;
		stress_count(a, 0);
		sleep_ms(rng_below(&a->rng, 50));
	}
}

static struct activity hotplug = {
	.name = "hotplug",
	.help = "take CPUs offline and online",
	.counter = { "CPUs unplugged" },
	.obstacle = hotplug_obstacle,
	.run = hotplug_run,
};

struct activity *const switch_activities[] = {
	&toggle, &shortage, &proof, &hotplug, NULL
};
