// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-stress: address spaces: processes that come, migrate and go; threads
 * on two nodes that share top-level page-table entries; LDTs; the kernel's own
 * mappings next to its text.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"
#include "stress-ldt.h"

/* === forks =============================================================== */

#define CHILDREN	8	/* at once */

enum child_status {
	CHILD_OK,
	CHILD_AFFINITY = 10,
	CHILD_WRONG_CPU,
	CHILD_SYSCALL,
	CHILD_EXEC,
};

/* In the child of a threaded program: system calls only. */
static void __noreturn migrate_and_exit(unsigned int first, bool exec)
{
	const struct idlist *cpus = &stress.machine.cpus;
	size_t i, nr = idlist_count(cpus);
	struct utsname uts;
	int cpu;

	for (i = 0; i < nr; i++) {
		cpu = idlist_nth(cpus, (first + i) % nr);
		if (run_on_cpu(cpu)) {
			if (stress.hotplug)
				continue;
			_exit(CHILD_AFFINITY);
		}
		if (sched_getcpu() != cpu && !stress.hotplug)
			_exit(CHILD_WRONG_CPU);
		if (uname(&uts) || getpid() <= 0)
			_exit(CHILD_SYSCALL);
	}
	if (exec) {
		execl("/proc/self/exe", "ktrepl-stress", EXEC_NOOP,
		      (char *)NULL);
		_exit(CHILD_EXEC);
	}
	_exit(CHILD_OK);
}

static void child_reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno == EINTR)
			continue;
		fail("forks: waitpid: %s", strerror(errno));
		return;
	}
	if (WIFSIGNALED(status))
		fail("forks: a child died of signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		fail("forks: a child failed with status %d",
		     WEXITSTATUS(status));
}

static void forks_run(struct activity *a)
{
	pid_t child[CHILDREN] = { 0 };
	unsigned int i = 0, first;
	bool exec;

	while (stress_going(a)) {
		exec = !rng_below(&a->rng, 3);
		first = rng_below(&a->rng, 1024);
		if (child[i])
			child_reap(child[i]);
		child[i] = fork();
		if (!child[i])
			migrate_and_exit(first, exec);
		if (child[i] < 0) {
			fail("forks: fork: %s", strerror(errno));
			child[i] = 0;
			break;
		}
		stress_count(a, 0);
		if (exec)
			stress_count(a, 1);
		i = (i + 1) % CHILDREN;
	}
	for (i = 0; i < CHILDREN; i++) {
		if (child[i])
			child_reap(child[i]);
	}
}

static struct activity forks = {
	.name = "forks",
	.help = "fork, migrate over all CPUs, some exec, exit",
	.counter = { "forks", "execs" },
	.run = forks_run,
	.harmless = true,
	.by_default = true,
};

/* === slots: fresh entries of the top-level page table ==================== */

/*
 * A mapper and a peer on another node's CPU share the address space. The mapper
 * maps a page where the top-level entry is still empty and writes to it; the
 * peer must read that, and answer in place; the mapper unmaps; the peer must
 * then get SIGSEGV. A peer whose root misses the entry faults for ever: the
 * watchdog tells.
 */
struct pair {
	struct activity *a;
	unsigned int index, nr;		/* pairs use disjoint slots */
	int mapper_cpu, peer_cpu;
	unsigned long *page;
	bool mapped;
	bool done;
	sem_t to_peer, to_mapper;
	struct rng rng;
	pthread_t mapper, peer;
};

static const struct {
	u64 size, last;
} slot_kinds[] = {
	{ 1ULL << 39, 254 },	/* an entry of four-level tables, 47 bits */
	{ 1ULL << 48, 254 },	/* of five-level ones, above 47 bits */
};

static __thread sigjmp_buf segv_jump;
static __thread bool segv_expected;

static void segv_handler(int sig, siginfo_t *info, void *context)
{
	static const char text[] = "ktrepl-stress: unexpected SIGSEGV\n";

	(void)sig;
	(void)info;
	(void)context;
	if (segv_expected)
		siglongjmp(segv_jump, 1);
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_FAILED);
	_exit(EXIT_FAILED);
}

/* Does reading *@p raise SIGSEGV? */
static bool read_faults(unsigned long *p)
{
	bool faulted = true;

	segv_expected = true;
	if (!sigsetjmp(segv_jump, 1)) {
		__atomic_load_n(p, __ATOMIC_SEQ_CST);
		faulted = false;
	}
	segv_expected = false;
	return faulted;
}

static void sem_wait_all(sem_t *sem)
{
	while (sem_wait(sem) && errno == EINTR)
		;
}

static void *pair_peer(void *arg)
{
	struct pair *p = arg;
	unsigned long v;

	stress_on_cpu(p->a, p->peer_cpu);
	for (;;) {
		sem_wait_all(&p->to_peer);
		if (p->done)
			return NULL;
		if (p->mapped) {
			v = __atomic_load_n(p->page, __ATOMIC_SEQ_CST);
			__atomic_store_n(p->page, ~v, __ATOMIC_SEQ_CST);
		} else if (!read_faults(p->page)) {
			fail("slots: cpu %d reads %p, which cpu %d has unmapped",
			     p->peer_cpu, (void *)p->page, p->mapper_cpu);
		}
		sem_post(&p->to_mapper);
	}
}

static void pair_handshake(struct pair *p, bool mapped)
{
	p->mapped = mapped;
	sem_post(&p->to_peer);
	sem_wait_all(&p->to_mapper);
}

/* True if a page could be mapped there: others may be in the way. */
static bool pair_once(struct pair *p, unsigned long address)
{
	unsigned long value = address ^ 0x5a5a;

	p->page = mmap((void *)address, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p->page == MAP_FAILED)
		return false;
	if ((unsigned long)p->page != address) {
		munmap(p->page, 4096);
		return false;
	}
	__atomic_store_n(p->page, value, __ATOMIC_SEQ_CST);
	pair_handshake(p, true);
	if (__atomic_load_n(p->page, __ATOMIC_SEQ_CST) != ~value)
		fail("slots: cpu %d and cpu %d see different memory at %#lx",
		     p->mapper_cpu, p->peer_cpu, address);
	munmap(p->page, 4096);
	pair_handshake(p, false);
	return true;
}

static void *pair_mapper(void *arg)
{
	struct pair *p = arg;
	unsigned int kind, slot;

	stress_on_cpu(p->a, p->mapper_cpu);
	while (stress_going(p->a)) {
		kind = rng_below(&p->rng, ARRAY_SIZE(slot_kinds));
		slot = 1 + rng_below(&p->rng, slot_kinds[kind].last);
		slot -= slot % p->nr;
		slot += p->index;
		if (slot && pair_once(p, slot * slot_kinds[kind].size))
			stress_count(p->a, kind);
		else
			stress_count(p->a, 2);
	}
	p->done = true;
	sem_post(&p->to_peer);
	return NULL;
}

static void pair_start(struct pair *p, struct activity *a, unsigned int index,
		       unsigned int nr)
{
	struct machine *m = &stress.machine;

	p->a = a;
	p->index = index;
	p->nr = nr;
	p->mapper_cpu = machine_cpu(m, index, 0);
	/* On a single node, another CPU of it. */
	p->peer_cpu = machine_cpu(m, index + 1, 1);
	rng_seed(&p->rng, stress.seed, 1000 + index);
	sem_init(&p->to_peer, 0, 0);
	sem_init(&p->to_mapper, 0, 0);
	if (pthread_create(&p->peer, NULL, pair_peer, p) ||
	    pthread_create(&p->mapper, NULL, pair_mapper, p))
		die(EXIT_FAILED, "slots: cannot start threads");
}

static void slots_run(struct activity *a)
{
	struct sigaction sa = {
		.sa_sigaction = segv_handler,
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};
	unsigned int i, nr = stress.machine.nr < 16 ? stress.machine.nr : 16;
	struct pair *pair = xcalloc(nr, sizeof(*pair));

	sigaction(SIGSEGV, &sa, NULL);
	for (i = 0; i < nr; i++)
		pair_start(&pair[i], a, i, nr);
	for (i = 0; i < nr; i++) {
		pthread_join(pair[i].mapper, NULL);
		pthread_join(pair[i].peer, NULL);
	}
	free(pair);
}

static const char *slots_obstacle(void)
{
	void *slot = (void *)(unsigned long)slot_kinds[0].size, *page;

	page = mmap(slot, 4096, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (page == MAP_FAILED)
		return errno == EEXIST ? NULL : "addresses end below 512 GiB";
	munmap(page, 4096);
	return NULL;
}

static struct activity slots = {
	.name = "slots",
	.help = "map, share between nodes and unmap top-level slots",
	.counter = { "slots of 512 GiB", "slots of 256 TiB", "slots in use" },
	.obstacle = slots_obstacle,
	.run = slots_run,
	.harmless = true,
	.by_default = true,
};

/* === ldt ================================================================= */

static const char *ldt_obstacle(void)
{
	return ldt_works() ? NULL : LDT_OBSTACLE;
}

/* A child, for a new LDT each time: it changes and loads it on every CPU. */
static void __noreturn ldt_child(unsigned int first)
{
	const struct idlist *cpus = &stress.machine.cpus;
	size_t i, nr = idlist_count(cpus);

	for (i = 0; i < 2 * nr; i++) {
		if (run_on_cpu(idlist_nth(cpus, (first + i) % nr)) &&
		    !stress.hotplug)
			_exit(CHILD_AFFINITY);
		if (!ldt_try((first + i) % 64))
			_exit(CHILD_SYSCALL);
	}
	_exit(CHILD_OK);
}

static void ldt_run(struct activity *a)
{
	unsigned int first;
	pid_t pid;

	while (stress_going(a)) {
		first = rng_below(&a->rng, 4096);
		pid = fork();
		if (!pid)
			ldt_child(first);
		if (pid < 0) {
			fail("ldt: fork: %s", strerror(errno));
			return;
		}
		child_reap(pid);
		stress_count(a, 0);
	}
}

static struct activity ldt = {
	.name = "ldt",
	.help = "make, change and load local descriptor tables (x86)",
	.counter = { "LDTs" },
	.obstacle = ldt_obstacle,
	.run = ldt_run,
	.harmless = true,
};

/* === maps: the KUnit suite that changes mappings beside the image ======== */

#define MAPS		"/sys/kernel/debug/kunit/ktrepl_map/"

static const char *maps_obstacle(void)
{
	return access(MAPS "run", W_OK) ?
		"no " MAPS "run (CONFIG_KTREPL_KUNIT_TEST)" : NULL;
}

static void maps_run(struct activity *a)
{
	char *results;
	int err;

	while (stress_going(a)) {
		err = write_text(MAPS "run", "1");
		results = read_text(MAPS "results", NULL);
		if (err || !results)
			fail("maps: the suite cannot be run: %s",
			     strerror(err ? -err : errno));
		else if (strstr(results, "not ok ") || !strstr(results, "ok "))
			fail("maps: the suite failed:\n%s", results);
		free(results);
		stress_count(a, 0);
		sleep_us(rng_below(&a->rng, 20000));
	}
}

static struct activity maps = {
	.name = "maps",
	.help = "change mappings beside kernel text (needs KUnit)",
	.counter = { "rounds of mappings" },
	.obstacle = maps_obstacle,
	.run = maps_run,
	.by_default = true,
};

/* === hang ================================================================ */

static void hang_run(struct activity *a)
{
	stress_count(a, 0);
	for (;;)
		sleep_ms(1000);
}

static struct activity hang = {
	.name = "hang",
	.help = "hang, to see that the watchdog notices",
	.counter = { "hangs" },
	.run = hang_run,
	.by_name_only = true,
	.harmless = true,
};

struct activity *const task_activities[] = {
	&forks, &slots, &ldt, &maps, &hang, NULL
};
