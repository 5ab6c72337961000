// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-stress - all that shakes kernel text replication, at once
 *
 * Starts the activities, watches over them and the kernel's messages, stops,
 * and checks that nothing is left behind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iface.h"
#include "stress.h"

struct stress stress = {
	.interval_ms = 40,
	.verify_ms = 500,
};

static unsigned int duration_s = 30;
static bool duration_asked;
static unsigned int watchdog_s = 120;
static unsigned int settle_s = 10;
static u64 leak_max_kb = 16384;
static bool json, replicate = true, plain;

static bool stopping;		/* atomic */
static u64 end_ns;		/* 0: when all limits are reached */

static const char usage[] =
"Usage: ktrepl-stress [OPTION]...\n"
"Shake a machine with ktrepl: by default all of the activities marked with *\n"
"at once, for 30 seconds. Needs root and changes the running kernel.\n"
"\n"
"  -r, --run=NAME[:COUNT],...  run these activities, each COUNT times at most\n"
"  -a, --all                   run all that can run here, except hang\n"
"  -x, --except=NAME,...       do not run these\n"
"  -d, --duration=SECONDS      stop after that time, or up to five times that\n"
"                              if some have done nothing; 0: when all counts are\n"
"                              reached (default: 30, or 0 if all have counts)\n"
"  -i, --interval=MS           toggle at random intervals of 1..MS (40)\n"
"  -p, --proof-interval=MS     verify at random intervals of 1..MS (500)\n"
"  -o, --off                   without toggle: leave replication off\n"
"  -n, --no-ktrepl             only what leaves the kernel alone (forks, slots,\n"
"                              ldt), on any kernel, and as any user\n"
"  -M, --modules=NAME,...      load these (all, unless there are more than 64)\n"
"  -s, --seed=N                of the random numbers (default: the time)\n"
"  -w, --watchdog=SECONDS      an activity that long without progress hangs\n"
"                              (120)\n"
"  -t, --settle=SECONDS        time for memory to come back (10)\n"
"  -m, --leak-max=KB           memory that may be missing at the end (16384)\n"
"  -j, --json                  print the summary as JSON\n"
"  -h, --help                  print this help\n"
"  -V, --version               print the version\n"
"\n"
"Replication is off at the end.\n"
"\n"
EXIT_CODES_HELP
"\n"
"KTREPL_MODULES names another directory than /lib/modules/RELEASE.\n"
"\n"
"Activities:\n";

/* === The activities ====================================================== */

static struct activity *const *const groups[] = {
	switch_activities, patch_activities, task_activities,
	module_activities, memory_activities,
};

/* The @i-th of all, or NULL. */
static struct activity *nth_activity(size_t i)
{
	struct activity *const *a;
	size_t g;

	for (g = 0; g < ARRAY_SIZE(groups); g++) {
		for (a = groups[g]; *a; a++) {
			if (!i--)
				return *a;
		}
	}
	return NULL;
}

#define for_each_activity(a, i) \
	for (i = 0; (a = nth_activity(i)); i++)

static struct activity *find_activity(const char *name)
{
	struct activity *a;
	size_t i;

	for_each_activity(a, i) {
		if (!strcmp(a->name, name))
			return a;
	}
	die_usage("there is no activity '%s'", name);
}

void stress_stop(void)
{
	__atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
}

bool stress_going(struct activity *a)
{
	if (__atomic_load_n(&stopping, __ATOMIC_ACQUIRE))
		return false;
	return !a->limit || stress_counted(a, 0) < a->limit;
}

bool stress_on_cpu(struct activity *a, int cpu)
{
	int err = run_on_cpu(cpu);

	if (err && !stress.hotplug)
		fail("%s: cannot run on cpu %d: %s", a->name, cpu,
		     strerror(-err));
	return !err;
}

int stress_any_cpu(struct activity *a)
{
	struct idlist *cpus = &stress.machine.cpus;

	return idlist_nth(cpus, rng_below(&a->rng, idlist_count(cpus)));
}

int stress_next_cpu(struct activity *a, size_t *i)
{
	int cpu;

	do {
		cpu = idlist_nth(&stress.machine.cpus, (*i)++);
	} while (cpu >= 0 && !stress_on_cpu(a, cpu));
	return cpu;
}

static void *activity_thread(void *arg)
{
	struct activity *a = arg;

	a->run(a);
	__atomic_store_n(&a->running, false, __ATOMIC_RELEASE);
	return NULL;
}

static bool activity_running(struct activity *a)
{
	return __atomic_load_n(&a->running, __ATOMIC_ACQUIRE);
}

static void find_obstacles(void)
{
	struct activity *a;
	size_t i;

	for_each_activity(a, i) {
		if (!a->wanted || !a->obstacle)
			continue;
		a->skipped = a->obstacle();
		if (!a->skipped)
			continue;
		if (a->asked)
			die(EXIT_UNAVAILABLE, "%s cannot run: %s", a->name,
			    a->skipped);
		a->wanted = false;
	}
}

static void start_all(void)
{
	struct activity *a;
	size_t i;

	end_ns = duration_s ? now_ns() + duration_s * 1000000000ULL : 0;
	for_each_activity(a, i) {
		if (!a->wanted)
			continue;
		rng_seed(&a->rng, stress.seed, i);
		a->seen_at = now_ns();
		a->running = true;
		if (pthread_create(&a->thread, NULL, activity_thread, a))
			die(EXIT_FAILED, "cannot start %s", a->name);
	}
}

/* === Watching ============================================================ */

static u64 total_count(struct activity *a)
{
	u64 sum = 0;
	int c;

	for (c = 0; c < MAX_COUNTERS; c++)
		sum += stress_counted(a, c);
	return sum;
}

/* A hung activity cannot be waited for: say so and leave. */
static void check_progress(void)
{
	struct activity *a;
	u64 now = now_ns(), count;
	bool hung = false;
	size_t i;

	for_each_activity(a, i) {
		if (!a->wanted || !activity_running(a))
			continue;
		count = total_count(a);
		if (count != a->seen) {
			a->seen = count;
			a->seen_at = now;
		} else if (now - a->seen_at > watchdog_s * 1000000000ULL) {
			fail("%s hangs: no progress for %u s after %llu %s",
			     a->name, watchdog_s, stress_counted(a, 0),
			     a->counter[0]);
			hung = true;
		}
	}
	if (!hung)
		return;
	if (!plain) {
		write_text("/proc/sysrq-trigger", "l");
		write_text("/proc/sysrq-trigger", "w");
	}
	kmsg_check();
	fflush(stdout);
	_exit(EXIT_FAILED);
}

static bool any_running(void)
{
	struct activity *a;
	size_t i;

	for_each_activity(a, i) {
		if (a->wanted && activity_running(a))
			return true;
	}
	return false;
}

/*
 * A slow machine gets more time, up to five times as much, until everybody has
 * done something.
 */
static bool time_is_up(void)
{
	u64 now = now_ns();
	struct activity *a;
	size_t i;

	if (!end_ns || now < end_ns)
		return false;
	for_each_activity(a, i) {
		if (a->wanted && activity_running(a) && !stress_counted(a, 0))
			return now - end_ns >= 4 * duration_s * 1000000000ULL;
	}
	return true;
}

static void watch(void)
{
	bool told = false;

	while (any_running()) {
		sleep_ms(100);
		kmsg_check();
		check_progress();
		if (time_is_up())
			stress_stop();
		if (fail_count() && !told)
			say_error("stopping at the first failure");
		if (fail_count())
			stress_stop();
		told = fail_count();
	}
}

static void join_all(void)
{
	struct activity *a;
	bool failed;
	size_t i;

	for_each_activity(a, i)
		if (a->wanted)
			pthread_join(a->thread, NULL);
	/* Whoever stops early, at a failure, has an excuse. */
	failed = fail_count();
	for_each_activity(a, i)
		if (!failed && a->wanted && !stress_counted(a, 0))
			fail("%s: no %s in all the time", a->name, a->counter[0]);
}

static void on_signal(int sig)
{
	(void)sig;
	stress_stop();
}

/* === Before and after ==================================================== */

/* Replication off, and all its memory given back. */
static void switch_off(void)
{
	struct ktr_stats stats;
	u64 deadline = now_ns() + settle_s * 1000000000ULL;
	bool idle = false;
	int err;

	if (plain)
		return;
	err = ktr_enable_set(false);
	if (err)
		fail("cannot switch off: %s", strerror(-err));
	for (;;) {
		err = ktr_read_stats(&stats);
		idle = !err && ktr_stats_idle(&stats);
		ktr_free_stats(&stats);
		if (idle || err || now_ns() > deadline)
			break;
		sleep_ms(50);
	}
	if (!idle)
		fail("replication is off but its memory is not given back");
}

/* The most there is free within the settle time. */
static u64 free_memory(u64 enough, unsigned int seconds)
{
	u64 deadline = now_ns() + seconds * 1000000000ULL;
	u64 now, best = 0;

	if (plain)
		return 0;
	do {
		now = settled_free_kb();
		if (now > best)
			best = now;
		sleep_ms(200);
	} while (best < enough && now_ns() < deadline);
	return best;
}

static void check_memory(u64 before, u64 after)
{
	if (after + leak_max_kb < before)
		fail("%llu kB of memory are missing", before - after);
}

static void prepare(void)
{
	int err;
	struct activity *a;
	size_t i;
	bool toggling = false;

	for_each_activity(a, i) {
		if (a->wanted && !strcmp(a->name, "toggle"))
			toggling = true;
		/* Nothing to prove while it is off. */
		if (!strcmp(a->name, "proof") && !replicate && !a->asked)
			a->wanted = false;
	}
	if (toggling || !replicate || plain)
		return;
	err = ktr_enable_set(true);
	if (err || ktr_enable_get() != 1)
		die(EXIT_FAILED, "cannot switch replication on: %s",
		    err ? strerror(-err) : "it stays off");
}

static void print_summary(u64 before, u64 after, u64 ms)
{
	struct activity *a;
	size_t i;
	int c;

	printf("ran %llu.%03llu s, seed %llu\n", ms / 1000, ms % 1000,
	       stress.seed);
	for_each_activity(a, i) {
		if (a->skipped)
			printf("%-10s skipped: %s\n", a->name, a->skipped);
		for (c = 0; a->wanted && c < MAX_COUNTERS; c++) {
			if (a->counter[c])
				printf("%-10s %8llu %s\n", a->name, a->count[c],
				       a->counter[c]);
		}
	}
	if (!plain)
		printf("free memory %llu kB before, %llu kB after\n", before,
		       after);
	printf("%s: %u failures\n", fail_count() ? "FAILED" : "passed",
	       fail_count());
}

static void json_summary(u64 before, u64 after, u64 ms)
{
	struct activity *a;
	size_t i;
	int c;

	json_open(NULL, '{');
	json_u64("seed", stress.seed);
	json_u64("ran_ms", ms);
	json_open("activities", '{');
	for_each_activity(a, i) {
		if (!a->wanted && !a->skipped)
			continue;
		json_open(a->name, '{');
		if (a->skipped)
			json_str("skipped", a->skipped);
		for (c = 0; a->wanted && c < MAX_COUNTERS; c++) {
			if (a->counter[c])
				json_u64(a->counter[c], a->count[c]);
		}
		json_close('}');
	}
	json_close('}');
	json_u64("free_kb_before", before);
	json_u64("free_kb_after", after);
	json_failures();
	json_close('}');
}

/* === Options ============================================================= */

static void print_usage(void)
{
	struct activity *a;
	size_t i;

	fputs(usage, stdout);
	for_each_activity(a, i)
		printf("  %c %-8s  %s\n", a->by_default ? '*' : ' ', a->name,
		       a->help);
}

static void opt_run(char *list)
{
	struct activity *a;
	char *item, *count;

	while ((item = strsep(&list, ","))) {
		count = strchr(item, ':');
		if (count)
			*count++ = '\0';
		a = find_activity(item);
		a->wanted = true;
		a->asked = true;
		if (count)
			a->limit = opt_number(item, count, 1, ~0ULL);
	}
}

static void opt_except(char *list)
{
	char *item;

	while ((item = strsep(&list, ",")))
		find_activity(item)->wanted = false;
}

static void choose(bool all)
{
	struct activity *a;
	size_t i;

	for_each_activity(a, i)
		a->wanted = all ? !a->by_name_only : a->by_default;
}

/* Without ktrepl, nothing that changes the kernel may run. */
static void check_harmless(void)
{
	struct activity *a;
	size_t i;

	for_each_activity(a, i) {
		if (a->asked && !a->harmless)
			die_usage("--no-ktrepl: %s needs ktrepl", a->name);
		a->wanted &= a->harmless;
	}
}

static void check_choice(void)
{
	bool any = false, endless = false;
	struct activity *a;
	size_t i;

	for_each_activity(a, i) {
		any |= a->wanted;
		endless |= a->wanted && !a->limit;
	}
	if (!any)
		die_usage("nothing to run");
	if (!endless && !duration_asked)
		duration_s = 0;
	if (endless && !duration_s)
		die_usage("--duration=0 needs a count for every activity");
}

static void parse_options(int argc, char **argv)
{
	static const char shorts[] = "r:ax:d:i:p:onM:s:w:t:m:jhV";
	static const struct option options[] = {
		{ "run", required_argument, NULL, 'r' },
		{ "all", no_argument, NULL, 'a' },
		{ "except", required_argument, NULL, 'x' },
		{ "duration", required_argument, NULL, 'd' },
		{ "interval", required_argument, NULL, 'i' },
		{ "proof-interval", required_argument, NULL, 'p' },
		{ "off", no_argument, NULL, 'o' },
		{ "no-ktrepl", no_argument, NULL, 'n' },
		{ "modules", required_argument, NULL, 'M' },
		{ "seed", required_argument, NULL, 's' },
		{ "watchdog", required_argument, NULL, 'w' },
		{ "settle", required_argument, NULL, 't' },
		{ "leak-max", required_argument, NULL, 'm' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	bool chosen = false, all = false;
	int c;

	/* Which ones first: --except takes away from what --run says. */
	while ((c = getopt_long(argc, argv, shorts, options, NULL)) >= 0) {
		chosen |= c == 'r';
		all |= c == 'a';
	}
	if (all || !chosen)
		choose(all);
	optind = 1;
	opterr = 0;
	stress.seed = now_ns() ^ getpid();
	while ((c = getopt_long(argc, argv, shorts, options, NULL)) >= 0) {
		switch (c) {
		case 'r':
			opt_run(optarg);
			break;
		case 'a':
			break;
		case 'x':
			opt_except(optarg);
			break;
		case 'd':
			duration_s = opt_number("--duration", optarg, 0, 1 << 30);
			duration_asked = true;
			break;
		case 'i':
			stress.interval_ms = opt_number("--interval", optarg, 1,
							3600000);
			break;
		case 'p':
			stress.verify_ms = opt_number("--proof-interval", optarg,
						      1, 3600000);
			break;
		case 'o':
			replicate = false;
			break;
		case 'n':
			plain = true;
			break;
		case 'M':
			stress.modules = optarg;
			break;
		case 's':
			stress.seed = opt_number("--seed", optarg, 0, ~0ULL);
			break;
		case 'w':
			watchdog_s = opt_number("--watchdog", optarg, 1, 1 << 30);
			break;
		case 't':
			settle_s = opt_number("--settle", optarg, 0, 1 << 30);
			break;
		case 'm':
			leak_max_kb = opt_number("--leak-max", optarg, 0,
						 1ULL << 40);
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			print_usage();
			exit(EXIT_OK);
		case 'V':
			print_version_and_exit();
		default:
			die_usage("bad option");
		}
	}
	if (optind < argc)
		die_usage("'%s': no arguments are expected", argv[optind]);
	if (plain)
		check_harmless();
	check_choice();
}

int main(int argc, char **argv)
{
	u64 before, after, started, ms;

	exec_noop_check(argc, argv);
	progname_set("ktrepl-stress");
	parse_options(argc, argv);
	if (!plain)
		ktr_require_control();
	machine_read(&stress.machine);
	if (!plain)
		kmsg_start();
	find_obstacles();
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	fprintf(stderr, "ktrepl-stress: seed %llu\n", stress.seed);

	switch_off();
	before = free_memory(~0ULL, settle_s < 2 ? settle_s : 2);
	prepare();
	started = now_ns();
	start_all();
	watch();
	join_all();
	ms = (now_ns() - started) / 1000000;
	switch_off();
	after = free_memory(before, settle_s);
	check_memory(before, after);
	kmsg_check();

	if (json)
		json_summary(before, after, ms);
	else
		print_summary(before, after, ms);
	if (fflush(stdout) || ferror(stdout))
		die(EXIT_FAILED, "cannot write: %s", strerror(errno));
	return fail_count() ? EXIT_FAILED : EXIT_OK;
}
