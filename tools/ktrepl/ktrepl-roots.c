// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-roots - which processes have node roots, and whether they are given back
 *
 * Starts many processes that each stay on one node, first asleep and then running,
 * and then some that each have threads running on two nodes at once, and follows the
 * counters of node roots until all are gone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "iface.h"
#include "machine.h"

enum phase {
	PHASE_BEFORE,
	PHASE_IDLE,
	PHASE_RUNNING,
	PHASE_TWO,
	PHASE_PRESSURE,
	PHASE_AFTER,
	NR_PHASES
};

static const char * const phase_name[NR_PHASES] = {
	[PHASE_BEFORE]		= "before",
	[PHASE_IDLE]		= "idle",
	[PHASE_RUNNING]		= "running",
	[PHASE_TWO]		= "two nodes",
	[PHASE_PRESSURE]	= "pressure",
	[PHASE_AFTER]		= "after",
};

struct sample {
	u64 roots[KTR_NR_ROOT_COUNTERS];
	u64 pgtbls_kb, free_kb;
};

static struct sample sample[NR_PHASES];
static struct machine machine;
static unsigned int nr_one = 2000, nr_two = 200;
static unsigned int settle_s = 20;
static unsigned int slack = 8;		/* roots of others that come and go */
static bool json;
static pid_t *child;
static unsigned int nr_children;
static atomic_int *running;		/* shared: may the processes run? */

static const char usage[] =
"Usage: ktrepl-roots [OPTION]...\n"
"Start processes that stay on one node, asleep and running, and processes with\n"
"threads on two nodes; print the counters of node roots at each step, after memory\n"
"pressure and when the processes are gone. Replication is switched on if it is not.\n"
"\n"
"  -p, --processes=N   how many on one node (2000)\n"
"  -2, --two=N         how many on two nodes (200)\n"
"  -t, --settle=SECONDS  how long roots may take to be given back (20)\n"
"  -l, --slack=N       roots that do not count (8)\n"
"  -j, --json          print the samples as JSON\n"
"  -h, --help          print this help\n"
"  -V, --version       print the version\n"
"\n"
"Checks: processes on one node get no roots, those on two nodes one each; pressure\n"
"gives back those that are not in use; none is left when the processes are gone.\n"
"\n"
EXIT_CODES_HELP;

/* === Samples ============================================================= */

static void take_sample(enum phase phase)
{
	struct sample *s = &sample[phase];
	struct ktr_state state;
	struct ktr_stats stats;
	size_t i;

	memset(s, 0, sizeof(*s));
	if (ktr_read_state(&state) || ktr_read_stats(&stats))
		die(EXIT_FAILED, "cannot read the counters");
	if (state.mode != KTR_ON)
		die(EXIT_FAILED, "replication is %s: %s",
		    ktr_mode_name(state.mode), state.reason);
	if (!state.has_roots)
		die(EXIT_UNAVAILABLE,
		    "this kernel has no node roots (CONFIG_KTREPL_ROOTS)");
	memcpy(s->roots, state.roots, sizeof(s->roots));
	for (i = 0; i < stats.nr; i++)
		s->pgtbls_kb += stats.node[i].v[KTR_PGTBLS];
	s->free_kb = meminfo_kb("MemFree");
	ktr_free_state(&state);
	ktr_free_stats(&stats);
}

static u64 live(enum phase phase)
{
	return sample[phase].roots[KTR_ROOTS_LIVE];
}

/* Sample until at most @enough roots are live, or the time is up. */
static void wait_for_live(enum phase phase, u64 enough, unsigned int seconds)
{
	u64 deadline = now_ns() + seconds * 1000000000ULL;

	take_sample(phase);
	while (live(phase) > enough && now_ns() < deadline) {
		sleep_ms(100);
		take_sample(phase);
	}
}

/* === Processes =========================================================== */

/* In the child, which was born on its CPU: stay there, run when told to. */
static void __noreturn one_run(unsigned int i, int ready)
{
	(void)i;
	if (write(ready, "", 1) != 1)
		_exit(EXIT_FAILED);
	close(ready);
	while (!atomic_load(running))
		pause();
	for (;;)
		sched_yield();
}

#define TWO_TURNS 200

static pthread_barrier_t two_started;

/* A thread that runs for a while on a CPU of its own node. */
static void *two_thread(void *cpu)
{
	unsigned int i;

	if (run_on_cpu(*(int *)cpu))
		_exit(EXIT_FAILED);
	pthread_barrier_wait(&two_started);
	for (i = 0; i < TWO_TURNS; i++)
		sched_yield();
	return NULL;
}

/* In the child: run on two nodes at once, say so, sleep for ever. */
static void __noreturn two_run(unsigned int i, int ready)
{
	int cpu[2] = { machine_cpu(&machine, i, i),
		       machine_cpu(&machine, i + 1, i) };
	pthread_t thread;

	if (pthread_barrier_init(&two_started, NULL, 2) ||
	    pthread_create(&thread, NULL, two_thread, &cpu[1]))
		_exit(EXIT_FAILED);
	two_thread(&cpu[0]);
	if (pthread_join(thread, NULL) || write(ready, "", 1) != 1)
		_exit(EXIT_FAILED);
	close(ready);
	for (;;)
		pause();
}

static void start_processes(unsigned int nr, void (*run)(unsigned int, int))
{
	unsigned int i;
	int ready[2];
	char byte;

	if (pipe(ready))
		die(EXIT_FAILED, "pipe: %s", strerror(errno));
	for (i = 0; i < nr; i++) {
		if (run_on_cpu(machine_cpu(&machine, i, i)))
			die(EXIT_FAILED, "cannot run on CPU %d: %s",
			    machine_cpu(&machine, i, i), strerror(errno));
		child[nr_children] = fork();
		if (!child[nr_children])
			run(i, ready[1]);
		if (child[nr_children] < 0) {
			fail("fork: %s after %u processes", strerror(errno), i);
			break;
		}
		nr_children++;
		/* One at a time: the machine is not to run out of CPU. */
		while (read(ready[0], &byte, 1) < 0 && errno == EINTR)
			;
	}
	close(ready[0]);
	close(ready[1]);
}

/* Wakes all of them up, and lets them run for some seconds. */
static void run_processes(void)
{
	unsigned int i;

	atomic_store(running, 1);
	for (i = 0; i < nr_children; i++)
		kill(child[i], SIGCONT);
	sleep_ms(5000);
}

static void kill_processes(void)
{
	unsigned int i;
	int status;

	for (i = 0; i < nr_children; i++)
		kill(child[i], SIGKILL);
	for (i = 0; i < nr_children; i++) {
		if (waitpid(child[i], &status, 0) < 0)
			fail("waitpid: %s", strerror(errno));
		else if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			fail("process %u died early", i);
	}
	nr_children = 0;
}

/* === Checks ============================================================== */

static u64 more(enum phase phase)
{
	u64 before = live(PHASE_BEFORE);

	return live(phase) > before ? live(phase) - before : 0;
}

static void check(void)
{
	enum phase phase;

	for (phase = PHASE_IDLE; phase <= PHASE_RUNNING; phase++)
		if (more(phase) > slack)
			fail("%s: %u processes on one node have %llu roots",
			     phase_name[phase], nr_one, more(phase));
	if (more(PHASE_TWO) + slack < nr_two || more(PHASE_TWO) > nr_two + slack)
		fail("%u processes on two nodes have %llu roots", nr_two,
		     more(PHASE_TWO));
	for (phase = PHASE_PRESSURE; phase <= PHASE_AFTER; phase++)
		if (more(phase) > slack)
			fail("%s: %llu roots are left", phase_name[phase],
			     more(phase));
}

/* === Output ============================================================== */

static void print_text(void)
{
	int i, c;

	printf("%-9s", "");
	for (c = 0; c < KTR_NR_ROOT_COUNTERS; c++)
		printf(" %15s", ktr_root_counter_name(c));
	printf(" %12s %12s\n", "pgtbls kB", "MemFree kB");
	for (i = 0; i < NR_PHASES; i++) {
		printf("%-9s", phase_name[i]);
		for (c = 0; c < KTR_NR_ROOT_COUNTERS; c++)
			printf(" %15llu", sample[i].roots[c]);
		printf(" %12llu %12llu\n", sample[i].pgtbls_kb,
		       sample[i].free_kb);
	}
	printf("%u processes on one node, %u on two; %s: %u failures\n", nr_one,
	       nr_two, fail_count() ? "FAILED" : "passed", fail_count());
}

static void print_json(void)
{
	int i, c;

	json_open(NULL, '{');
	json_u64("processes", nr_one);
	json_u64("two_nodes", nr_two);
	json_u64("nodes_with_cpus", machine.nr);
	for (i = 0; i < NR_PHASES; i++) {
		json_open(phase_name[i], '{');
		for (c = 0; c < KTR_NR_ROOT_COUNTERS; c++)
			json_u64(ktr_root_counter_name(c), sample[i].roots[c]);
		json_u64("pgtbls_kb", sample[i].pgtbls_kb);
		json_u64("mem_free_kb", sample[i].free_kb);
		json_close('}');
	}
	json_failures();
	json_close('}');
}

/* === Main ================================================================ */

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "processes", required_argument, NULL, 'p' },
		{ "two", required_argument, NULL, '2' },
		{ "settle", required_argument, NULL, 't' },
		{ "slack", required_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "p:2:t:l:jhV", options, NULL)) >= 0) {
		if (c == 'p')
			nr_one = opt_number("--processes", optarg, 1, 1000000);
		else if (c == '2')
			nr_two = opt_number("--two", optarg, 1, 1000000);
		else if (c == 't')
			settle_s = opt_number("--settle", optarg, 0, 1 << 30);
		else if (c == 'l')
			slack = opt_number("--slack", optarg, 0, 1 << 30);
		else if (c == 'j')
			json = true;
		else if (c == 'h')
			exit(fputs(usage, stdout) < 0 ? EXIT_FAILED : EXIT_OK);
		else if (c == 'V')
			print_version_and_exit();
		else
			die_usage("bad option");
	}
	if (optind < argc)
		die_usage("'%s': no arguments are expected", argv[optind]);
}

/* SIGCONT is to end pause(). */
static void nothing(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	bool was_on;
	int err;

	progname_set("ktrepl-roots");
	parse_options(argc, argv);
	ktr_require_control();
	machine_read(&machine);
	if (machine.nr < 2)
		die(EXIT_UNAVAILABLE, "only one node has CPUs");
	was_on = ktr_enable_get() == 1;
	err = was_on ? 0 : ktr_enable_set(true);
	if (err)
		die(EXIT_FAILED, "cannot switch replication on: %s",
		    strerror(-err));
	kmsg_start();

	child = xcalloc(nr_one + nr_two, sizeof(*child));
	running = mmap(NULL, sizeof(*running), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (running == MAP_FAILED)
		die(EXIT_FAILED, "mmap: %s", strerror(errno));
	signal(SIGCONT, nothing);

	take_sample(PHASE_BEFORE);
	start_processes(nr_one, one_run);
	take_sample(PHASE_IDLE);
	run_processes();
	take_sample(PHASE_RUNNING);
	kill_processes();
	start_processes(nr_two, two_run);
	take_sample(PHASE_TWO);
	err = write_text("/proc/sys/vm/drop_caches", "2");
	if (err)
		fail("drop_caches: %s", strerror(-err));
	wait_for_live(PHASE_PRESSURE, live(PHASE_BEFORE) + slack, settle_s);
	kill_processes();
	wait_for_live(PHASE_AFTER, live(PHASE_BEFORE) + slack, settle_s);
	check();
	kmsg_check();
	if (!was_on)
		ktr_enable_set(false);

	if (json)
		print_json();
	else
		print_text();
	if (fflush(stdout) || ferror(stdout))
		die(EXIT_FAILED, "cannot write: %s", strerror(errno));
	return fail_count() ? EXIT_FAILED : EXIT_OK;
}
