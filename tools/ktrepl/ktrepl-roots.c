// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-roots - what node roots cost, and whether they are given back
 *
 * Starts many processes that each run on a CPU of two nodes and then sleep, and
 * follows the counters of the roots: at the peak, when idle ones should have
 * been reclaimed, after memory pressure, and when the processes are gone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "iface.h"
#include "machine.h"

enum phase {
	PHASE_BEFORE,
	PHASE_PEAK,
	PHASE_IDLE,
	PHASE_PRESSURE,
	PHASE_AFTER,
	NR_PHASES
};

static const char * const phase_name[NR_PHASES] = {
	[PHASE_BEFORE]		= "before",
	[PHASE_PEAK]		= "peak",
	[PHASE_IDLE]		= "idle",
	[PHASE_PRESSURE]	= "pressure",
	[PHASE_AFTER]		= "after",
};

struct sample {
	u64 roots[KTR_NR_ROOT_COUNTERS];
	u64 pgtbls_kb, free_kb;
};

static struct sample sample[NR_PHASES];
static struct machine machine;
static unsigned int nr_processes = 2000;
static unsigned int idle_s = 15, settle_s = 10;
static unsigned int slack = 32;		/* roots of others that come and go */
static bool json, keep_all;
static pid_t *child;
static unsigned int nr_children;

static const char usage[] =
"Usage: ktrepl-roots [OPTION]...\n"
"Start processes that each run on two nodes and then sleep; print the counters\n"
"of node roots before, at the peak, when idle, after memory pressure and when\n"
"the processes are gone. Replication is switched on if it is not.\n"
"\n"
"  -p, --processes=N   how many (2000)\n"
"  -i, --idle=SECONDS  how long idle roots may take to be reclaimed (15)\n"
"  -t, --settle=SECONDS  the same after pressure and at the end (10)\n"
"  -l, --slack=N       roots more than before that do not count (32)\n"
"  -k, --keep          roots need not be reclaimed while processes live\n"
"  -j, --json          print the samples as JSON\n"
"  -h, --help          print this help\n"
"  -V, --version       print the version\n"
"\n"
"Checks: every process gets roots, unless they are counted as missed; idleness\n"
"and pressure together give at least half of them back; none is left when the\n"
"processes are gone.\n"
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

static void visit(int cpu)
{
	struct utsname uts;

	if (run_on_cpu(cpu) || uname(&uts) || getppid() < 0)
		_exit(EXIT_FAILED);
}

/* In the child: see two nodes, say so, sleep for ever. */
static void __noreturn child_run(unsigned int i, int ready)
{
	visit(machine_cpu(&machine, i, i));
	visit(machine_cpu(&machine, i + 1, i));
	if (write(ready, "", 1) != 1)
		_exit(EXIT_FAILED);
	close(ready);
	for (;;)
		pause();
}

static void start_processes(void)
{
	int ready[2];
	char byte;

	child = xcalloc(nr_processes, sizeof(*child));
	if (pipe(ready))
		die(EXIT_FAILED, "pipe: %s", strerror(errno));
	for (nr_children = 0; nr_children < nr_processes; nr_children++) {
		child[nr_children] = fork();
		if (!child[nr_children])
			child_run(nr_children, ready[1]);
		if (child[nr_children] < 0) {
			fail("fork: %s after %u processes", strerror(errno),
			     nr_children);
			break;
		}
		/* One at a time: the machine is not to run out of CPU. */
		while (read(ready[0], &byte, 1) < 0 && errno == EINTR)
			;
	}
	close(ready[0]);
	close(ready[1]);
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
}

/* === Checks ============================================================== */

static void check(void)
{
	u64 before = live(PHASE_BEFORE), peak = live(PHASE_PEAK);
	u64 *b = sample[PHASE_BEFORE].roots, *p = sample[PHASE_PEAK].roots;
	u64 made = p[KTR_ROOTS_MADE] - b[KTR_ROOTS_MADE];
	u64 missed = p[KTR_ROOTS_MISSED] - b[KTR_ROOTS_MISSED];

	if (made + missed < nr_children)
		fail("%u processes on two nodes made only %llu roots and missed %llu",
		     nr_children, made, missed);
	if (!keep_all && peak > before + slack &&
	    live(PHASE_PRESSURE) > before + (peak - before) / 2)
		fail("of %llu roots, %llu are still live after idleness and pressure",
		     peak, live(PHASE_PRESSURE));
	if (live(PHASE_AFTER) > before + slack)
		fail("%llu roots are left, %llu were there before",
		     live(PHASE_AFTER), before);
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
	printf("%u processes on %zu nodes; %s: %u failures\n", nr_children,
	       machine.nr < 2 ? machine.nr : 2,
	       fail_count() ? "FAILED" : "passed", fail_count());
}

static void print_json(void)
{
	int i, c;

	json_open(NULL, '{');
	json_u64("processes", nr_children);
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
		{ "idle", required_argument, NULL, 'i' },
		{ "settle", required_argument, NULL, 't' },
		{ "slack", required_argument, NULL, 'l' },
		{ "keep", no_argument, NULL, 'k' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "p:i:t:l:kjhV", options, NULL)) >= 0) {
		if (c == 'p')
			nr_processes = opt_number("--processes", optarg, 1,
						  1000000);
		else if (c == 'i')
			idle_s = opt_number("--idle", optarg, 0, 1 << 30);
		else if (c == 't')
			settle_s = opt_number("--settle", optarg, 0, 1 << 30);
		else if (c == 'l')
			slack = opt_number("--slack", optarg, 0, 1 << 30);
		else if (c == 'k')
			keep_all = true;
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

	take_sample(PHASE_BEFORE);
	start_processes();
	take_sample(PHASE_PEAK);
	wait_for_live(PHASE_IDLE, live(PHASE_BEFORE) + slack, idle_s);
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
