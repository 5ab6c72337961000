// SPDX-License-Identifier: GPL-2.0
/*
 * ktwork - a process that touches memory, for ktmon to look at
 *
 * Registers itself with the page-fault profiler, touches pages of its memory at
 * random or with locality, and takes itself off the list.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common.h"
#include "machine.h"
#include "ring.h"

/* With locality: pages of a window, and touches until it moves, on average. */
#define WINDOW_PAGES	64
#define WINDOW_TOUCHES	1000

static u64 megabytes = 64, iterations = 10, touches = 10000;
static unsigned int nr_threads = 1, pause_ms, cpu;
static bool local, fresh, pinned, unregistered;
static u64 seed = 1;
static const char *status_path = PROFILE_STATUS;

static char *memory;
static size_t page, pages;
static bool stopped;

static const char usage[] =
"Usage: ktwork [OPTION]...\n"
"Register with the page-fault profiler, touch memory, unregister; print the faults\n"
"and the CPU time that this took.\n"
"\n"
"  -m, --megabytes=N   size of the memory (64)\n"
"  -a, --access=KIND   random: any page of it (the default); local: mostly the 64\n"
"                      pages around, which move every 1000 touches or so\n"
"  -i, --iterations=N  how often (10), until interrupted if 0\n"
"  -t, --touches=N     pages to touch in an iteration (10000); 0: each page once,\n"
"                      in order, whatever --access says\n"
"  -f, --fresh         give the memory back before each iteration: its pages fault\n"
"                      anew\n"
"  -T, --threads=N     threads that do so, each in its share of the memory (1)\n"
"  -p, --pause=MS      sleep after each iteration (0)\n"
"  -c, --cpu=CPU       stay on this CPU\n"
"  -s, --seed=N        of the random numbers (1)\n"
"  -n, --no-register   do not register\n"
"  -S, --status=FILE   what to register in (" PROFILE_STATUS ")\n"
"  -h, --help          print this help\n"
"  -V, --version       print the version\n"
"\n"
"Exit status: 0 done, 1 failed, 2 usage error, 3 not available (the module\n"
"ktrepl_profile is not loaded, or not root).\n";

/* === Registering ========================================================= */

static void registration(char verb)
{
	char *command = xasprintf("%c %d\n", verb, getpid());
	int err = write_text(status_path, command);
	const char *advice = profile_advice(-err);

	free(command);
	if (err)
		die(*advice ? EXIT_UNAVAILABLE : EXIT_FAILED, "%s: %c: %s%s", status_path, verb,
		    strerror(-err), advice);
}

/* === Work ================================================================ */

static void on_signal(int sig)
{
	(void)sig;
	__atomic_store_n(&stopped, true, __ATOMIC_RELAXED);
}

struct worker {
	pthread_t thread;
	struct rng rng;
	size_t first, pages;	/* its share */
	size_t window;		/* where it begins, in the share */
};

static size_t next_page(struct worker *w)
{
	size_t span = w->pages < WINDOW_PAGES ? w->pages : WINDOW_PAGES;

	if (!local)
		return rng_below(&w->rng, w->pages);
	if (!rng_below(&w->rng, WINDOW_TOUCHES))
		w->window = rng_below(&w->rng, w->pages - span + 1);
	return w->window + rng_below(&w->rng, span);
}

/* A store, without a load before it: a page is to fault once. */
static void touch(struct worker *w)
{
	u64 i, n = touches ? touches : w->pages;

	for (i = 0; i < n && !__atomic_load_n(&stopped, __ATOMIC_RELAXED); i++)
		__atomic_store_n(&memory[(w->first + (touches ? next_page(w) : i)) * page],
				 i, __ATOMIC_RELAXED);
}

static void forget(struct worker *w)
{
	if (madvise(memory + w->first * page, w->pages * page,
		    MADV_DONTNEED))
		die(EXIT_FAILED, "madvise: %s", strerror(errno));
}

static void *work(void *arg)
{
	struct worker *w = arg;
	u64 i;

	for (i = 0; !iterations || i < iterations; i++) {
		if (__atomic_load_n(&stopped, __ATOMIC_RELAXED))
			break;
		if (fresh && i)
			forget(w);
		touch(w);
		if (pause_ms)
			sleep_ms(pause_ms);
	}
	return NULL;
}

static void work_all(struct worker *worker)
{
	unsigned int i;
	int err;

	for (i = 1; i < nr_threads; i++) {
		err = pthread_create(&worker[i].thread, NULL, work, &worker[i]);
		if (err)
			die(EXIT_FAILED, "thread %u: %s", i, strerror(err));
	}
	work(&worker[0]);
	for (i = 1; i < nr_threads; i++)
		pthread_join(worker[i].thread, NULL);
}

static struct worker *make_workers(void)
{
	struct worker *worker = xcalloc(nr_threads, sizeof(*worker));
	unsigned int i;

	for (i = 0; i < nr_threads; i++) {
		rng_seed(&worker[i].rng, seed, i);
		worker[i].pages = pages / nr_threads;
		worker[i].first = i * worker[i].pages;
	}
	return worker;
}

/* Small pages only: each is to fault by itself. */
static void map_memory(void)
{
	void *p;

	page = sysconf(_SC_PAGESIZE);
	pages = (megabytes << 20) / page;
	p = mmap(NULL, pages * page, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		die(EXIT_FAILED, "%llu MB: %s", megabytes, strerror(errno));
	if (madvise(p, pages * page, MADV_NOHUGEPAGE) && errno != EINVAL)
		die(EXIT_FAILED, "madvise: %s", strerror(errno));
	memory = p;
}

static void report(const struct rusage *before, u64 start)
{
	u64 elapsed = now_ns() - start;
	struct rusage after;

	getrusage(RUSAGE_SELF, &after);
	printf("pid %d minor %ld major %ld user_ms %lld system_ms %lld elapsed_ns %llu\n", getpid(),
	       after.ru_minflt - before->ru_minflt,
	       after.ru_majflt - before->ru_majflt,
	       (after.ru_utime.tv_sec - before->ru_utime.tv_sec) * 1000LL +
	       (after.ru_utime.tv_usec - before->ru_utime.tv_usec) / 1000,
	       (after.ru_stime.tv_sec - before->ru_stime.tv_sec) * 1000LL +
	       (after.ru_stime.tv_usec - before->ru_stime.tv_usec) / 1000, elapsed);
}

/* === Main ================================================================ */

static void set_access(const char *arg)
{
	if (strcmp(arg, "random") && strcmp(arg, "local"))
		die_usage("--access=%s: expected random or local", arg);
	local = !strcmp(arg, "local");
}

static void set_option(int c, const char *arg)
{
	switch (c) {
	case 'm':
		megabytes = opt_number("--megabytes", arg, 1, 1 << 20);
		break;
	case 'a':
		set_access(arg);
		break;
	case 'i':
		iterations = opt_number("--iterations", arg, 0, ~0ULL);
		break;
	case 't':
		touches = opt_number("--touches", arg, 0, ~0ULL);
		break;
	case 'f':
		fresh = true;
		break;
	case 'T':
		nr_threads = opt_number("--threads", arg, 1, 1024);
		break;
	case 'p':
		pause_ms = opt_number("--pause", arg, 0, 1 << 30);
		break;
	case 'c':
		cpu = opt_number("--cpu", arg, 0, 16383);
		pinned = true;
		break;
	case 's':
		seed = opt_number("--seed", arg, 0, ~0ULL);
		break;
	case 'n':
		unregistered = true;
		break;
	case 'S':
		status_path = arg;
		break;
	case 'h':
		exit(fputs(usage, stdout) < 0 ? EXIT_FAILED : EXIT_OK);
	case 'V':
		print_version_and_exit();
	default:
		die_usage("bad option");
	}
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "megabytes", required_argument, NULL, 'm' },
		{ "access", required_argument, NULL, 'a' },
		{ "iterations", required_argument, NULL, 'i' },
		{ "touches", required_argument, NULL, 't' },
		{ "fresh", no_argument, NULL, 'f' },
		{ "threads", required_argument, NULL, 'T' },
		{ "pause", required_argument, NULL, 'p' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' },
		{ "no-register", no_argument, NULL, 'n' },
		{ "status", required_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "m:a:i:t:fT:p:c:s:nS:hV", options,
				NULL)) >= 0)
		set_option(c, optarg);
	if (optind < argc)
		die_usage("'%s': no arguments are expected", argv[optind]);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct worker *worker;
	struct rusage before;
	u64 start;
	int err;

	progname_set("ktwork");
	parse_options(argc, argv);
	map_memory();
	worker = make_workers();
	err = pinned ? run_on_cpu(cpu) : 0;
	if (err)
		die(EXIT_FAILED, "cannot run on CPU %u: %s", cpu, strerror(-err));
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (!unregistered)
		registration('R');
	getrusage(RUSAGE_SELF, &before);
	start = now_ns();
	work_all(worker);
	if (!unregistered)
		registration('U');
	report(&before, start);
	free(worker);
	return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}
