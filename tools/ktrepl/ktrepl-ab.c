// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-ab - does replication pay for this load on this machine?
 *
 * A round is off, on, on, off. In each of the four a load runs on a node that does
 * not hold the original, and its time is taken. What was found is restored: at the
 * end, after errors, and after SIGINT, SIGTERM and SIGHUP.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ab.h"
#include "iface.h"
#include "machine.h"

static struct {
	u64 rounds, samples, seed;
	int node, cpu;
	const struct ab_load *load;
	bool command, background, cold, json;
	double threshold, confidence;
	const char *json_file, *record, *replay;
	int expect;
	/* For tests of this program. */
	bool slow_on;
	double slow, noise;
} opt = {
	.rounds = 12,
	.samples = 30,
	.seed = 1,
	.node = KTR_NO_NODE,
	.cpu = -1,
	.threshold = 0.01,
	.confidence = 0.95,
	.expect = -1,
};

static struct ab_run run;
static struct idlist here, elsewhere;	/* CPUs */
static char *no_counters;
static int stop_signal;

/* === Switching, and back ================================================= */

static bool was_on, to_restore;

static void restore(void)
{
	int err;

	ab_background_stop();
	if (!to_restore)
		return;
	to_restore = false;
	err = ktr_enable_set(was_on);
	if (err) {
		say_error("replication was %s and could not be switched back: %s",
			  was_on ? "on" : "off", strerror(-err));
		fflush(stdout);
		_exit(EXIT_FAILED);
	}
}

static void on_signal(int sig)
{
	__atomic_store_n(&stop_signal, sig, __ATOMIC_RELAXED);
	ab_command_kill();
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

static void check_signal(void)
{
	int sig = __atomic_load_n(&stop_signal, __ATOMIC_RELAXED);

	if (!sig)
		return;
	restore();
	say_error("stopped by signal %d: replication is as it was found", sig);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void switch_to(bool on)
{
	int err = ktr_enable_set(on);

	if (err)
		die(EXIT_FAILED, "replication cannot be switched %s: %s", on ? "on" : "off",
		    strerror(-err));
	if (on)
		ktr_wait_replicas();
}

/* === Where to measure ==================================================== */

static const struct machine_node *node_of_cpu(const struct machine *m, int cpu)
{
	size_t i;

	for (i = 0; i < m->nr; i++) {
		if (idlist_has(&m->node[i].cpus, cpu))
			return &m->node[i];
	}
	return NULL;
}

static const struct machine_node *node_by_id(const struct machine *m, int nid)
{
	size_t i;

	for (i = 0; i < m->nr; i++) {
		if (m->node[i].nid == nid)
			return &m->node[i];
	}
	return NULL;
}

/* The node that was asked for, or the first that does not hold the original. */
static const struct machine_node *node_choose(const struct machine *m,
					      const struct ktr_state *state)
{
	const struct machine_node *node = NULL;
	size_t i;

	if (opt.cpu >= 0)
		node = node_of_cpu(m, opt.cpu);
	else if (opt.node >= 0)
		node = node_by_id(m, opt.node);
	for (i = 0; opt.cpu < 0 && opt.node < 0 && i < m->nr && !node; i++) {
		if (!idlist_has(&state->primary, m->node[i].nid))
			node = &m->node[i];
	}
	if (!node && opt.cpu >= 0)
		die_usage("--cpu=%d: there is no such CPU online", opt.cpu);
	if (!node && opt.node >= 0)
		die_usage("--node=%d: there is no such node with CPUs", opt.node);
	if (!node)
		die(EXIT_UNAVAILABLE, "no node but that of the original (%s) has CPUs",
		    state->primary_text);
	if (idlist_has(&state->primary, node->nid))
		die_usage("node %d holds the original: replication changes nothing there",
			  node->nid);
	return node;
}

static void list_add(struct idlist *list, int id)
{
	list->r = xgrow(list->r, list->nr, sizeof(*list->r));
	list->r[list->nr++] = (struct idrange) { id, id };
}

/* A command may use all CPUs of the node, a load of ours is one task. */
static void choose_cpus(const struct ktr_state *state)
{
	const struct machine_node *node;
	struct machine m;
	size_t i;
	int cpu;

	machine_read(&m);
	node = node_choose(&m, state);
	run.nid = node->nid;
	run.cpu = opt.cpu >= 0 ? opt.cpu : idlist_nth(&node->cpus, 0);
	for (i = 0; (cpu = idlist_nth(&m.cpus, i)) >= 0; i++) {
		if (!idlist_has(&node->cpus, cpu))
			list_add(&elsewhere, cpu);
		else if (cpu == run.cpu || (opt.command && opt.cpu < 0))
			list_add(&here, cpu);
	}
	machine_free(&m);
}

static void require_switchable(struct ktr_state *state)
{
	ktr_require_control();
	if (ktr_read_state(state))
		die(EXIT_FAILED, "the state of replication cannot be read");
	if (state->mode == KTR_REFUSED || state->mode == KTR_BROKEN)
		die(EXIT_UNAVAILABLE, "replication is %s: %s", ktr_mode_name(state->mode),
		    state->reason);
	was_on = state->mode == KTR_ON;
}

/* Two modes that are the same would be compared otherwise. */
static void require_local_text(void)
{
	struct ktr_where where;
	int text = KTR_NO_NODE;
	size_t i;

	if (ktr_read_where(&where))
		die(EXIT_FAILED, "what CPUs execute cannot be read");
	for (i = 0; i < where.nr; i++) {
		if (where.cpu[i].cpu == run.cpu)
			text = where.cpu[i].text;
	}
	ktr_free_where(&where);
	if (text != run.nid)
		die(EXIT_UNAVAILABLE,
		    "CPU %d of node %d executes text of node %d while replication is on",
		    run.cpu, run.nid, text);
}

static void pin(void)
{
	cpu_set_t *set = CPU_ALLOC(1 << 14);
	size_t size = CPU_ALLOC_SIZE(1 << 14), i;
	int cpu;

	CPU_ZERO_S(size, set);
	for (i = 0; (cpu = idlist_nth(&here, i)) >= 0; i++)
		CPU_SET_S(cpu, size, set);
	if (sched_setaffinity(0, size, set))
		die(EXIT_UNAVAILABLE, "cannot run on CPU %d: %s", run.cpu, strerror(errno));
	CPU_FREE(set);
}

/* === Measuring =========================================================== */

/* For tests: @disturb more of what the sample took. */
static double sample(double disturb)
{
	double ns = ab_load_sample(opt.load, opt.cold), more = ns * disturb / 100;
	unsigned int calls = opt.cold ? 1 : opt.load->calls;

	check_signal();
	ab_burn(more * calls);
	return ns + more;
}

static void measure_slot(struct ab_slot *slot, double disturb)
{
	double *v = xcalloc(opt.samples, sizeof(*v));
	size_t i;
	u64 start;

	switch_to(slot->on);
	sample(disturb);
	ab_perf_start();
	for (i = 0; i < opt.samples; i++) {
		start = ab_now();
		v[i] = sample(disturb);
		slot->ns += ab_now() - start;
	}
	ab_perf_stop(slot);
	if (ktr_enable_get() != slot->on)
		die(EXIT_FAILED, "replication was switched by somebody else meanwhile");
	slot->samples = opt.samples;
	slot->median = ab_median(v, opt.samples);
	free(v);
}

static void measure(void)
{
	struct rng rng;
	double disturb;
	size_t i;

	rng_seed(&rng, opt.seed, 0);
	run.nr = AB_SLOTS * opt.rounds;
	run.slot = xcalloc(run.nr, sizeof(*run.slot));
	for (i = 0; i < run.nr; i++) {
		run.slot[i].on = ab_slot_is_on(i);
		disturb = opt.noise * rng_below(&rng, 1001) / 1000;
		if (run.slot[i].on == opt.slow_on)
			disturb += opt.slow;
		measure_slot(&run.slot[i], disturb);
	}
}

static void measure_live(void)
{
	struct ktr_state state;

	require_switchable(&state);
	choose_cpus(&state);
	ktr_free_state(&state);
	run.load = xstrdup(opt.load->name);
	catch_signals();
	atexit(restore);
	to_restore = true;
	switch_to(true);
	require_local_text();
	pin();
	if (opt.load->start)
		opt.load->start();
	no_counters = ab_perf_open(&run, &here);
	if (opt.background)
		ab_background_start(&elsewhere);
	measure();
	restore();
}

/* === Report ============================================================== */

static double percent(double part)
{
	return 100 * part;
}

static void print_verdict(const struct ab_result *r)
{
	const struct ab_interval *e = &r->effect;

	if (r->verdict == AB_HELPS)
		printf("verdict: helps: %.2f %% faster with replication\n", -percent(e->median));
	else if (r->verdict == AB_HURTS)
		printf("verdict: hurts: %.2f %% slower with replication\n", percent(e->median));
	else if (r->verdict == AB_NO_EFFECT)
		printf("verdict: no effect: less than %.2f %%\n", percent(opt.threshold));
	else if (r->rounds_needed)
		printf("verdict: too noisy to say: about %llu rounds may be enough\n",
		       r->rounds_needed);
	else
		printf("verdict: too noisy to say: more rounds will hardly do\n");
}

static void print_share(const char *name, const struct ab_share *s)
{
	printf("  %-4s %llu of %llu remote (%.1f %%), %.2f lines/ms", name, s->remote, s->all,
	       s->all ? 100.0 * s->remote / s->all : 0, s->lines_per_ms);
	if (s->latency > 0)
		printf(", median latency %.0f cycles", s->latency);
	putchar('\n');
}

static void print_evidence(const struct ab_evidence *e)
{
	if (e->support == AB_NOTHING) {
		printf("counters: none: %s; the verdict goes by time only\n",
		       no_counters ? no_counters : "the recording has no events");
		return;
	}
	printf("counters: %s%s: %s\n", run.event[AB_ALL], e->from_ibs ? ", IBS fetch samples" : "",
	       ab_support_text(e));
	print_share("off", &e->off);
	print_share("on", &e->on);
}

static void print_text(const struct ab_result *r, const struct ab_evidence *e)
{
	printf("load %s on CPU %d of node %d, %zu rounds of off, on, on, off\n", run.load,
	       run.cpu, run.nid, run.nr / AB_SLOTS);
	printf("median of a call: off %.0f ns, on %.0f ns\n", r->off, r->on);
	printf("effect of replication: %+.2f %%, from %+.2f %% to %+.2f %% at %.1f %% confidence\n",
	       percent(r->effect.median), percent(r->effect.low), percent(r->effect.high),
	       percent(r->effect.confidence));
	if (r->effect.confidence < opt.confidence)
		printf("note: too few rounds for %.1f %% confidence\n", percent(opt.confidence));
	print_evidence(e);
	print_verdict(r);
}

/* JSON has no type for this in the shared code: millionths are integers. */
static void json_millionths(const char *name, double v)
{
	json_int(name, llround(v * 1e6));
}

static void json_share(const char *name, const struct ab_share *s)
{
	json_open(name, '{');
	json_u64("lines", s->all);
	json_u64("remote", s->remote);
	json_u64("latency_cycles", s->latency);
	json_close('}');
}

static void print_json(const struct ab_result *r, const struct ab_evidence *e)
{
	json_open(NULL, '{');
	json_str("load", run.load);
	json_int("cpu", run.cpu);
	json_int("node", run.nid);
	json_u64("rounds", run.nr / AB_SLOTS);
	json_millionths("off_ns_e6", r->off);
	json_millionths("on_ns_e6", r->on);
	json_millionths("effect_ppm", r->effect.median);
	json_millionths("effect_low_ppm", r->effect.low);
	json_millionths("effect_high_ppm", r->effect.high);
	json_millionths("confidence_ppm", r->effect.confidence);
	json_str("verdict", ab_verdict_name(r->verdict));
	json_u64("rounds_needed", r->rounds_needed);
	json_str("vendor", ab_vendor_name(run.vendor));
	json_str("evidence", ab_support_text(e));
	json_share("counters_off", &e->off);
	json_share("counters_on", &e->on);
	json_failures();
	json_close('}');
}

static void write_json(const struct ab_result *r, const struct ab_evidence *e)
{
	struct aside aside;
	int err = aside_open(&aside, opt.json_file);

	if (!err) {
		json_to(aside.out);
		print_json(r, e);
		json_to(NULL);
		err = aside_commit(&aside);
	}
	if (err)
		die(EXIT_FAILED, "%s: %s", opt.json_file, strerror(-err));
}

static void report(void)
{
	struct ab_result r = ab_evaluate(&run, opt.threshold, opt.confidence);
	struct ab_evidence e = ab_evidence(&run, r.verdict);

	if (opt.expect >= 0 && opt.expect != (int)r.verdict)
		fail("the verdict is %s, not %s", ab_verdict_name(r.verdict),
		     ab_verdict_name(opt.expect));
	if (opt.json_file)
		write_json(&r, &e);
	if (opt.json && !opt.json_file)
		print_json(&r, &e);
	else
		print_text(&r, &e);
	if (opt.record)
		ab_stream_write(opt.record, &run);
}

/* === Options ============================================================= */

static const char usage[] =
"Usage: ktrepl-ab [OPTION]... [-- COMMAND [ARGUMENT]...]\n"
"Switch replication off, on, on, off, in rounds, and say whether it helps a load.\n"
"\n"
"  -l, --load=NAME       one of those below (fork)\n"
"  -r, --rounds=N        3 or more (12)\n"
"  -s, --samples=N       of each of the four parts of a round (30)\n"
"  -n, --node=NODE       run there (the first without the original)\n"
"  -c, --cpu=CPU         run there\n"
"  -b, --background      memory traffic on all CPUs of other nodes\n"
"  -C, --cold            empty the caches before each call\n"
"  -t, --threshold=PERCENT   smallest effect that matters (1)\n"
"  -p, --confidence=PERCENT  of the interval (95)\n"
"  -e, --expect=VERDICT  fail unless it is helps, no-effect, hurts or too-noisy\n"
"  -j, --json[=FILE]     print or write the report as JSON\n"
"      --record=FILE     write what was measured\n"
"      --replay=FILE     report on a recording; nothing is run or switched\n"
"      --test-slow=on|off:PERCENT  for tests of this program: be slower in that mode\n"
"      --test-noise=PERCENT  for tests: be slower by up to that, at random\n"
"      --seed=N          of --test-noise (1)\n"
"  -h, --help            print this help\n"
"  -V, --version         print the version\n"
"\n"
"Exit status: 0 any verdict, or that of --expect; 1 failure, or another verdict;\n"
"2 usage error; 3 replication cannot be switched here.\n"
"\n"
"Loads, or a COMMAND, whose whole time is a sample:\n";

static double opt_percent(const char *name, const char *arg, double min, double max)
{
	char *end;
	double v = strtod(arg, &end);

	if (end == arg || *end || !(v >= min && v <= max))
		die_usage("%s=%s: expected a percentage from %g to %g", name, arg, min, max);
	return v;
}

static void opt_expect(const char *arg)
{
	int i;

	for (i = 0; i < AB_NR_VERDICTS; i++) {
		if (!strcmp(arg, ab_verdict_name(i)))
			opt.expect = i;
	}
	if (opt.expect < 0)
		die_usage("--expect=%s: expected helps, no-effect, hurts or too-noisy", arg);
}

static void opt_slow(const char *arg)
{
	opt.slow_on = !strncmp(arg, "on:", 3);
	if (!opt.slow_on && strncmp(arg, "off:", 4))
		die_usage("--test-slow=%s: expected on:PERCENT or off:PERCENT", arg);
	opt.slow = opt_percent("--test-slow", strchr(arg, ':') + 1, 0, 1000);
}

static void opt_load(const char *arg)
{
	opt.load = ab_load_find(arg);
	if (!opt.load)
		die_usage("--load=%s: expected fork, kill, zero or open", arg);
}

enum {
	OPT_RECORD = 256,
	OPT_REPLAY,
	OPT_SLOW,
	OPT_NOISE,
	OPT_SEED,
};

static bool option_of_measuring(int c)
{
	if (c == 'l')
		opt_load(optarg);
	else if (c == 'r')
		opt.rounds = opt_number("--rounds", optarg, 3, 10000);
	else if (c == 's')
		opt.samples = opt_number("--samples", optarg, 1, 1000000);
	else if (c == 'n')
		opt.node = opt_number("--node", optarg, 0, 1 << 20);
	else if (c == 'c')
		opt.cpu = opt_number("--cpu", optarg, 0, 1 << 20);
	else if (c == 'b')
		opt.background = true;
	else if (c == 'C')
		opt.cold = true;
	else if (c == OPT_SLOW)
		opt_slow(optarg);
	else if (c == OPT_NOISE)
		opt.noise = opt_percent("--test-noise", optarg, 0, 1000);
	else if (c == OPT_SEED)
		opt.seed = opt_number("--seed", optarg, 0, ~0ULL);
	else
		return false;
	return true;
}

static void option_of_report(int c)
{
	if (c == 't') {
		opt.threshold = opt_percent("--threshold", optarg, 0.01, 100) / 100;
	} else if (c == 'p') {
		opt.confidence = opt_percent("--confidence", optarg, 50, 99.99) / 100;
	} else if (c == 'e') {
		opt_expect(optarg);
	} else if (c == 'j') {
		opt.json = true;
		opt.json_file = optarg;
	} else if (c == OPT_RECORD) {
		opt.record = optarg;
	} else if (c == OPT_REPLAY) {
		opt.replay = optarg;
	} else if (c == 'h') {
		fputs(usage, stdout);
		ab_load_list();
		exit(EXIT_OK);
	} else if (c == 'V') {
		print_version_and_exit();
	} else {
		die_usage("bad option");
	}
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "load", required_argument, NULL, 'l' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "samples", required_argument, NULL, 's' },
		{ "node", required_argument, NULL, 'n' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "background", no_argument, NULL, 'b' },
		{ "cold", no_argument, NULL, 'C' },
		{ "threshold", required_argument, NULL, 't' },
		{ "confidence", required_argument, NULL, 'p' },
		{ "expect", required_argument, NULL, 'e' },
		{ "json", optional_argument, NULL, 'j' },
		{ "record", required_argument, NULL, OPT_RECORD },
		{ "replay", required_argument, NULL, OPT_REPLAY },
		{ "test-slow", required_argument, NULL, OPT_SLOW },
		{ "test-noise", required_argument, NULL, OPT_NOISE },
		{ "seed", required_argument, NULL, OPT_SEED },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "+l:r:s:n:c:bCt:p:e:j::hV", options, NULL)) >= 0) {
		if (!option_of_measuring(c))
			option_of_report(c);
	}
	if (optind < argc && strcmp(argv[optind - 1], "--"))
		die_usage("'%s': expected -- before a command", argv[optind]);
	if (optind < argc && opt.load)
		die_usage("--load and a command exclude each other");
	if (opt.node >= 0 && opt.cpu >= 0)
		die_usage("--node and --cpu exclude each other");
	opt.command = optind < argc;
	if (opt.command)
		opt.load = ab_load_command(argv + optind);
	else if (!opt.load)
		opt.load = ab_load_find("fork");
}

int main(int argc, char **argv)
{
	progname_set("ktrepl-ab");
	parse_options(argc, argv);
	if (opt.replay)
		ab_stream_read(opt.replay, &run);
	else
		measure_live();
	report();
	ab_run_free(&run);
	idlist_free(&here);
	idlist_free(&elsewhere);
	free(no_counters);
	if (fflush(stdout) || ferror(stdout))
		die(EXIT_FAILED, "cannot write: %s", strerror(errno));
	return fail_count() ? EXIT_FAILED : EXIT_OK;
}
