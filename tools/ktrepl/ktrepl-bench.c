// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-bench - what system calls cost, one call at a time
 *
 * Under -icount shift=0 a tick of the timer is an instruction. Single calls are
 * measured, many of them. The mean has the timer interrupts in it that came in
 * meanwhile; minimum, median and mode have not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "calls.h"
#include "common.h"
#include "iface.h"
#include "kmod.h"
#include "machine.h"
#include "phase.h"
#include "timer.h"

struct bench {
	const char *name, *help;
	unsigned int divide;	/* of the default number of calls */
	bool changes_kernel;
	bool asked_only;
	bool (*start)(void);	/* false if it cannot run here */
	void (*prepare)(void);	/* before each call, not measured */
	void (*call)(void);
	void (*stop)(void);
	bool wanted, asked;
};

struct result {
	u64 min, mean, median, mode, mode_share;	/* share in per cent */
	unsigned int calls;
};

static unsigned int nr_calls = 2000;
static const char *module_name = "ktrepl_marker";
static bool json, cold;

int bench_cpu;

/* === Calls =============================================================== */

static void empty_call(void)
{
	asm volatile("" : : : "memory");
}

static void getppid_call(void)
{
	syscall(SYS_getppid);
}

static void socket_call(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	must(fd >= 0 && !close(fd), "socket");
}

static void mmap_call(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	__atomic_store_n(p, 1, __ATOMIC_RELAXED);
	munmap(p, 4096);
}

/* One page further at each call; the page tables are there already. */
#define FAULT_PAGES	64

static char *fault_area, *fault_next;
static size_t fault_page, fault_size;

static bool fault_start(void)
{
	fault_page = sysconf(_SC_PAGESIZE);
	fault_size = FAULT_PAGES * fault_page;
	fault_area = mmap(NULL, fault_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(fault_area != MAP_FAILED, "mmap");
	madvise(fault_area, fault_size, MADV_NOHUGEPAGE);
	fault_next = fault_area;
	return true;
}

static void fault_prepare(void)
{
	if (fault_next < fault_area + fault_size)
		return;
	madvise(fault_area, fault_size, MADV_DONTNEED);
	fault_area[0] = 1;
	fault_next = fault_area + fault_page;
}

static void fault_call(void)
{
	__atomic_store_n(fault_next, 1, __ATOMIC_RELAXED);
	fault_next += fault_page;
}

static void fault_stop(void)
{
	munmap(fault_area, fault_size);
}

static void exec_call(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execl("/proc/self/exe", "ktrepl-bench", EXEC_NOOP,
		      (char *)NULL);
		_exit(127);
	}
	wait_for(pid);
}

/* === Switches: another process on the same CPU =========================== */

static pid_t peer;
static int to_peer[2], from_peer[2];

static void peer_stop(void)
{
	kill(peer, SIGKILL);
	waitpid(peer, NULL, 0);
}

static bool peer_start(void (*run)(void))
{
	peer = fork();
	must(peer >= 0, "fork");
	if (!peer) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			run();
	}
	return true;
}

static void pipe_answer(void)
{
	char byte;

	if (read(to_peer[0], &byte, 1) != 1 || write(from_peer[1], &byte, 1) != 1)
		_exit(EXIT_FAILED);
}

static bool pipe_start(void)
{
	must(!pipe(to_peer) && !pipe(from_peer), "pipe");
	return peer_start(pipe_answer);
}

static void pipe_call(void)
{
	char byte = 0;

	must(write(to_peer[1], &byte, 1) == 1 &&
	     read(from_peer[0], &byte, 1) == 1, "pipe");
}

static void pipe_stop(void)
{
	peer_stop();
	close(to_peer[0]);
	close(to_peer[1]);
	close(from_peer[0]);
	close(from_peer[1]);
}

static void yield_call(void)
{
	sched_yield();
}

static bool yield_start(void)
{
	return peer_start(yield_call);
}

/* === Two nodes at once =================================================== */

int bench_away;

bool away_start(void)
{
	struct machine m;
	bool found = false;
	size_t i;

	machine_read(&m);
	for (i = 0; i < m.nr && !found; i++) {
		found = !idlist_has(&m.node[i].cpus, bench_cpu);
		bench_away = machine_cpu(&m, i, 0);
	}
	machine_free(&m);
	return found;
}

static void fork_away_call(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(run_on_cpu(bench_away) ? EXIT_FAILED : 0);
	wait_for(pid);
}

bool elsewhere(bool (*load)(void))
{
	bool done;

	if (!away_start() || run_on_cpu(bench_away))
		return false;
	done = load();
	must(!run_on_cpu(bench_cpu), "sched_setaffinity");
	ktr_wait_replicas();
	return done;
}

static void *away_thread(void *unused)
{
	(void)unused;
	must(!run_on_cpu(bench_away), "sched_setaffinity");
	return NULL;
}

static void thread_away_call(void)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, away_thread, NULL);
	must(!errno, "pthread_create");
	pthread_join(thread, NULL);
}

static void migrate_call(void)
{
	must(!run_on_cpu(bench_away) && !run_on_cpu(bench_cpu), "sched_setaffinity");
}

/* === Pokes =============================================================== */

#define SCHEDSTATS	"/proc/sys/kernel/sched_schedstats"

static int poke_fd = -1;
static char poke_old, poke_now;

static bool poke_start(void)
{
	poke_fd = open(SCHEDSTATS, O_RDWR);
	if (poke_fd < 0)
		return false;
	must(pread(poke_fd, &poke_old, 1, 0) == 1, SCHEDSTATS);
	poke_now = poke_old;
	return true;
}

/* Every call changes the key: all of its sites are patched, in one batch. */
static void poke_call(void)
{
	poke_now ^= 1;
	must(pwrite(poke_fd, &poke_now, 1, 0) == 1, SCHEDSTATS);
}

static void poke_stop(void)
{
	must(pwrite(poke_fd, &poke_old, 1, 0) == 1, SCHEDSTATS);
	close(poke_fd);
}

/* === Modules ============================================================= */

static struct kmods mods;
static struct kmod *module;

static void module_stop(void)
{
	kmod_unload(module);
	kmods_free(&mods);
}

static bool module_load_quietly(void)
{
	return !kmod_load(&mods, module);
}

/* The module stays, so that a call can be one into it. */
static bool module_value_start(void)
{
	module = kmods_read(&mods) ? NULL : kmods_find(&mods, "ktrepl_marker");
	if (module && elsewhere(module_load_quietly) && value_start())
		return true;
	if (module)
		kmod_unload(module);
	kmods_free(&mods);
	return false;
}

static void module_value_stop(void)
{
	value_stop();
	module_stop();
}

/* Only a module on its own: what it needs would be measured the first time. */
static bool module_start(void)
{
	module = kmods_read(&mods) ? NULL : kmods_find(&mods, module_name);
	if (module && module->paths.nr == 1 && !kmod_load(&mods, module) &&
	    !kmod_unload(module))
		return true;
	kmods_free(&mods);
	return false;
}

static bool module_copy_start(void)
{
	if (!module_start())
		return false;
	if (!ktr_wait_replicas())
		return true;
	module_stop();
	return false;
}

static void module_load(void)
{
	int err = kmod_load(&mods, module);

	if (err)
		die(EXIT_FAILED, "%s cannot be loaded: %s", module_name,
		    strerror(-err));
}

static void module_unload(void)
{
	int err = kmod_unload(module);

	if (err)
		die(EXIT_FAILED, "%s cannot be unloaded: %s", module_name,
		    strerror(-err));
}

static void module_load_prepare(void)
{
	if (module->loaded)
		module_unload();
}

static void module_load_and_wait(void)
{
	module_load();
	ktr_wait_replicas();
}

static void wait_call(void)
{
	ktr_wait_replicas();
}

static bool module_wait_start(void)
{
	if (!module_copy_start())
		return false;
	module_load_and_wait();
	return true;
}

/* === Switching =========================================================== */

static bool was_on;

/* Modules get their copies a little later. */
static void must_switch(bool on)
{
	int err = ktr_enable_set(on);

	if (err)
		die(EXIT_FAILED, "replication cannot be switched: %s",
		    strerror(-err));
	if (on)
		ktr_wait_replicas();
}

static void switch_on(void)
{
	must_switch(true);
}

static void switch_off(void)
{
	must_switch(false);
}

static bool switch_start(void)
{
	if (!ktr_available())
		return false;
	was_on = ktr_enable_get();
	return true;
}

static void switch_stop(void)
{
	must_switch(was_on);
}

static bool load_all;
static unsigned int nr_loaded;

/* As many modules as there are, for switching to copy. */
static void modules_load_all(void)
{
	struct kmods all;
	size_t i;
	int err;

	err = kmods_read(&all);
	if (err)
		die(EXIT_UNAVAILABLE, "%s: %s", all.dir, strerror(-err));
	for (i = 0; i < all.nr; i++)
		nr_loaded += !kmod_load(&all, &all.m[i]);
	kmods_free(&all);
}

static struct bench benches[] = {
	{ .name = "empty", .help = "nothing: the cost of measuring",
	  .divide = 1, .call = empty_call },
	{ .name = "getppid", .help = "getppid()",
	  .divide = 1, .call = getppid_call },
	{ .name = "open", .help = "open() and close() of /dev/null",
	  .divide = 1, .call = open_call },
	{ .name = "kill", .help = "signal to self, with its handler",
	  .divide = 1, .start = kill_start, .call = kill_call },
	{ .name = "switch", .help = "round trip through two pipes: two context switches",
	  .divide = 1, .start = pipe_start, .call = pipe_call,
	  .stop = pipe_stop },
	{ .name = "yield", .help = "sched_yield() to a process that yields, until it is back",
	  .divide = 1, .start = yield_start, .call = yield_call,
	  .stop = peer_stop },
	{ .name = "fault", .help = "minor page fault",
	  .divide = 1, .start = fault_start, .prepare = fault_prepare,
	  .call = fault_call, .stop = fault_stop },
	{ .name = "mmap", .help = "mmap(), touch and munmap() a page",
	  .divide = 1, .call = mmap_call },
	{ .name = "zero", .help = "mmap() of 1,024 pages of /dev/zero, touch and munmap()",
	  .divide = 100, .asked_only = true, .call = zero_call },
	{ .name = "fork", .help = "fork(), exit and wait",
	  .divide = 10, .call = fork_call },
	{ .name = "exec", .help = "vfork(), exec of this program, exit and wait",
	  .divide = 20, .call = exec_call },
	{ .name = "fork-away", .help = "fork(), exit on another node, and wait",
	  .divide = 10, .start = away_start, .call = fork_away_call },
	{ .name = "thread-away", .help = "a thread that goes to another node and ends",
	  .divide = 10, .start = away_start, .call = thread_away_call },
	{ .name = "migrate", .help = "to another node, and back",
	  .divide = 10, .start = away_start, .call = migrate_call },
	{ .name = "poke", .help = "flip the static key of sched_schedstats: all its sites",
	  .divide = 20, .changes_kernel = true, .start = poke_start,
	  .call = poke_call, .stop = poke_stop },
	{ .name = "module-load", .help = "open() and finit_module() of a module",
	  .divide = 20, .changes_kernel = true, .start = module_start,
	  .prepare = module_load_prepare, .call = module_load,
	  .stop = module_stop },
	{ .name = "module-load+copy", .help = "the same, until its replicas are made",
	  .divide = 20, .changes_kernel = true, .start = module_copy_start,
	  .prepare = module_load_prepare, .call = module_load_and_wait,
	  .stop = module_stop },
	{ .name = "module-wait", .help = "what of that is the waiting, for nothing",
	  .divide = 20, .changes_kernel = true, .start = module_wait_start,
	  .call = wait_call, .stop = module_stop },
	{ .name = "module-unload", .help = "delete_module() of it and its replicas",
	  .divide = 20, .changes_kernel = true, .start = module_start,
	  .prepare = module_load_and_wait, .call = module_unload,
	  .stop = module_stop },
	{ .name = "bpf", .help = "a BPF program",
	  .divide = 1, .asked_only = true, .start = bpf_start,
	  .call = bpf_call, .stop = bpf_stop },
	{ .name = "probed", .help = "getppid(), with a kprobe in it",
	  .divide = 1, .asked_only = true, .start = probed_start,
	  .call = getppid_call, .stop = probed_stop },
	{ .name = "module", .help = "reading a parameter, which a module's code prints",
	  .divide = 1, .asked_only = true, .start = module_value_start,
	  .call = value_call, .stop = module_value_stop },
	{ .name = "code-here", .help = "a loop in a page of user space on this node",
	  .divide = 20, .asked_only = true, .start = code_here_start,
	  .call = code_call, .stop = code_stop },
	{ .name = "code-away", .help = "the same in a page on another node",
	  .divide = 20, .asked_only = true, .start = code_away_start,
	  .call = code_call, .stop = code_stop },
	{ .name = "switch-off", .help = "replication switched off",
	  .divide = 100, .changes_kernel = true, .start = switch_start,
	  .prepare = switch_on, .call = switch_off, .stop = switch_stop },
	{ .name = "switch-on", .help = "replication switched on",
	  .divide = 100, .changes_kernel = true, .start = switch_start,
	  .prepare = switch_off, .call = switch_on, .stop = switch_stop },
	{ .name = "socket", .help = "socket() and close() of a Unix socket",
	  .divide = 1, .asked_only = true, .call = socket_call },
};

/* === Measuring =========================================================== */

static int u64_compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

static void evaluate(u64 *v, unsigned int n, struct result *r)
{
	unsigned int i, run = 0, best = 0;
	u64 sum = 0;

	qsort(v, n, sizeof(*v), u64_compare);
	r->calls = n;
	r->min = v[0];
	r->median = v[n / 2];
	r->mode = v[0];
	for (i = 0; i < n; i++) {
		sum += v[i];
		run = i && v[i] == v[i - 1] ? run + 1 : 1;
		if (run > best) {
			best = run;
			r->mode = v[i];
		}
	}
	r->mean = sum / n;
	r->mode_share = 100ULL * best / n;
}

/* What is called is also a phase of its own. */
static unsigned int phase_of(const struct bench *b)
{
	return b - benches + 1;
}

static bool measure(const struct bench *b, struct result *r)
{
	unsigned int i, n = nr_calls / b->divide + 1, warm = n / 10 + 3;
	u64 *v, start;

	if (b->start && !b->start())
		return false;
	v = xcalloc(n, sizeof(*v));
	for (i = 0; i < warm + n; i++) {
		if (b->prepare)
			b->prepare();
		if (cold)
			phase_begin(PHASE_FLUSH);
		if (i >= warm)
			phase_begin(phase_of(b));
		start = timer_read();
		b->call();
		start = timer_read() - start;
		phase_begin(PHASE_NONE);
		if (i >= warm)
			v[i - warm] = start;
	}
	if (b->stop)
		b->stop();
	evaluate(v, n, r);
	free(v);
	return true;
}

/* === Output ============================================================== */

/* The state of replication, so that results can be told apart. */
static const char *replication(void)
{
	static const char *text;
	struct ktr_state state;

	if (!ktr_available())
		return "no ktrepl";
	text = ktr_read_state(&state) ? "?" : ktr_mode_name(state.mode);
	ktr_free_state(&state);
	return text;
}

static void print_result(const struct bench *b, const struct result *r)
{
	if (!json) {
		printf("%-16s %10llu %10llu %10llu %10llu %5llu%% %8u  %s\n",
		       b->name, r->min, r->mean, r->median, r->mode,
		       r->mode_share, r->calls, b->help);
		return;
	}
	json_open(b->name, '{');
	json_u64("min", r->min);
	json_u64("mean", r->mean);
	json_u64("median", r->median);
	json_u64("mode", r->mode);
	json_u64("mode_percent", r->mode_share);
	json_u64("calls", r->calls);
	json_u64("phase", phase_of(b));
	json_close('}');
}

static void print_start(void)
{
	if (!json) {
		printf("cpu %d, timer %s, replication: %s\n", bench_cpu, TIMER_NAME,
		       replication());
		printf("%-16s %10s %10s %10s %10s %6s %8s\n", "call", "min",
		       "mean", "median", "mode", "share", "calls");
		return;
	}
	json_open(NULL, '{');
	json_int("cpu", bench_cpu);
	json_str("timer", TIMER_NAME);
	json_str("replication", replication());
	json_open("calls", '{');
}

/* What switching on has to copy. */
static u64 copies_kb(void)
{
	struct ktr_stats stats;
	u64 kb = 0;
	size_t i;

	if (!ktr_available() || ktr_read_stats(&stats))
		return 0;
	for (i = 0; i < stats.nr; i++)
		kb += stats.node[i].v[KTR_RESIDENT] + stats.node[i].v[KTR_MODULE];
	ktr_free_stats(&stats);
	return kb;
}

static void print_end(void)
{
	if (!json)
		return;
	json_close('}');
	json_u64("modules_loaded", nr_loaded);
	json_u64("copies_kb", copies_kb());
	json_failures();
	json_close('}');
}

static void run_benches(void)
{
	struct result r;
	size_t i;

	print_start();
	for (i = 0; i < ARRAY_SIZE(benches); i++) {
		if (!benches[i].wanted)
			continue;
		if (measure(&benches[i], &r))
			print_result(&benches[i], &r);
		else if (benches[i].asked)
			fail("%s cannot run here", benches[i].name);
		fflush(stdout);
	}
	print_end();
}

/* === Options ============================================================= */

static const char usage[] =
"Usage: ktrepl-bench [OPTION]...\n"
"Measure single system calls on one CPU. Under QEMU with -icount shift=0, the\n"
"figures are instructions.\n"
"\n"
"  -c, --cpu=CPU     run on this CPU (0)\n"
"  -r, --run=NAME,...  measure these only\n"
"  -i, --iterations=N  calls of the short ones (2000); longer ones get a tenth\n"
"                    or a twentieth\n"
"  -m, --module=NAME load and unload this module, which needs no other\n"
"                    (ktrepl_marker)\n"
"  -l, --load-all    load all modules that can be loaded before\n"
"  -C, --cold        tell who watches from outside (scripts/locality) that caches\n"
"                    are empty before each call\n"
"  -j, --json        print the results as JSON\n"
"  -h, --help        print this help\n"
"  -V, --version     print the version\n"
"\n"
EXIT_CODES_HELP
"\n"
"KTREPL_MODULES names another directory than /lib/modules/RELEASE.\n"
"\n"
"poke makes the kernel patch itself, modules are loaded, replication is switched:\n"
"they run if there is ktrepl, or if asked for.\n"
"\n"
"Calls:\n";

static void print_usage(void)
{
	size_t i;

	fputs(usage, stdout);
	for (i = 0; i < ARRAY_SIZE(benches); i++)
		printf("  %-16s %s\n", benches[i].name, benches[i].help);
}

static void opt_run(char *list)
{
	char *item;
	size_t i;

	while ((item = strsep(&list, ","))) {
		for (i = 0; i < ARRAY_SIZE(benches); i++) {
			if (!strcmp(benches[i].name, item))
				break;
		}
		if (i == ARRAY_SIZE(benches))
			die_usage("there is no call '%s'", item);
		benches[i].wanted = true;
		benches[i].asked = true;
	}
}

static void choose_default(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(benches); i++)
		benches[i].wanted = !benches[i].asked_only &&
				    (!benches[i].changes_kernel ||
				     ktr_available());
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "cpu", required_argument, NULL, 'c' },
		{ "run", required_argument, NULL, 'r' },
		{ "iterations", required_argument, NULL, 'i' },
		{ "module", required_argument, NULL, 'm' },
		{ "load-all", no_argument, NULL, 'l' },
		{ "cold", no_argument, NULL, 'C' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	bool chosen = false;
	int c;

	while ((c = getopt_long(argc, argv, "c:r:i:m:lCjhV", options, NULL)) >= 0) {
		if (c == 'c') {
			bench_cpu = opt_number("--cpu", optarg, 0, 1 << 20);
		} else if (c == 'r') {
			opt_run(optarg);
			chosen = true;
		} else if (c == 'i') {
			nr_calls = opt_number("--iterations", optarg, 1,
					      100000000);
		} else if (c == 'm') {
			module_name = optarg;
		} else if (c == 'l') {
			load_all = true;
		} else if (c == 'C') {
			cold = true;
		} else if (c == 'j') {
			json = true;
		} else if (c == 'h') {
			print_usage();
			exit(EXIT_OK);
		} else if (c == 'V') {
			print_version_and_exit();
		} else {
			die_usage("bad option");
		}
	}
	if (optind < argc)
		die_usage("'%s': no arguments are expected", argv[optind]);
	if (!chosen)
		choose_default();
}

/*
 * The CPU that we come from may idle with our address space loaded.  Replication
 * has it leave when we have been switched to here for a while: of ticks, of which
 * an emulator may lose most, so that no other clock will do.
 */
static void settle(void)
{
	clock_t end = times(NULL) + sysconf(_SC_CLK_TCK) * 2 / 5;
	pid_t other = fork();

	if (other < 0)
		die(EXIT_FAILED, "fork: %s", strerror(errno));
	/* Not busily: profiles of a boot would have it in them. */
	while (!other || times(NULL) < end)
		usleep(1000);
	if (kill(other, SIGKILL) || waitpid(other, NULL, 0) != other)
		die(EXIT_FAILED, "cannot end a process: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	int err;

	exec_noop_check(argc, argv);
	progname_set("ktrepl-bench");
	parse_options(argc, argv);
	err = run_on_cpu(bench_cpu);
	if (err == -EINVAL)
		die_usage("--cpu: there is no CPU %d online", bench_cpu);
	if (err)
		die(EXIT_UNAVAILABLE, "cannot run on cpu %d: %s", bench_cpu,
		    strerror(-err));
	if (load_all)
		modules_load_all();
	settle();
	run_benches();
	if (fflush(stdout) || ferror(stdout))
		die(EXIT_FAILED, "cannot write: %s", strerror(errno));
	return fail_count() ? EXIT_FAILED : EXIT_OK;
}
