// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-faults - let every allocation of an operation fail, one after another
 *
 * For N = 1, 2, 3, ... the N-th allocation of the operation fails, by way of
 * /proc/<pid>/fail-nth, until there is no N-th. Each time the machine has to be
 * sound: an operation that succeeded all the same leaves replicas that compare
 * equal and CPUs where they are expected (or on the primary, if the shortage was
 * counted), one that failed leaves nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "fault.h"
#include "iface.h"
#include "machine.h"

#define ENABLE_FILE	"/sys/module/ktrepl/parameters/enable"
#define KMEMLEAK	"/sys/kernel/debug/kmemleak"

/* What came out of one try. */
struct outcome {
	int err;		/* 0 or -errno */
	int status;		/* of a child, as wait() has it */
	bool consumed;		/* the fault was reached */
	enum ktr_mode mode;
	u64 page_failures, pgtbl_failures;	/* counted meanwhile */
	bool copies_due;
	struct idlist primary;
};

struct operation {
	const char *name, *help;
	bool on_before;		/* replication is on when it starts */
	bool on_after;		/* and when it has succeeded */
	void (*run)(unsigned int nth, struct outcome *o);
};

static struct machine machine;
static int enable_fd;
static char **command;
static const struct operation *operation;
static unsigned int first = 1, step = 1, limit = 10000;
static bool json, quiet, kmemleak;
static u64 leak_max_kb = 8192;
static unsigned int settle_s = 10;
static unsigned int nr_sites, nr_survived, nr_degraded, nr_leaked;

/* === Operations ========================================================== */

static void enable_with_fault(const char *value, unsigned int nth,
			      struct outcome *o)
{
	int fd = fault_open();

	fault_arm(fd, nth);
	o->err = pwrite(enable_fd, value, 1, 0) == 1 ? 0 : -errno;
	o->consumed = fault_disarm(fd);
	close(fd);
}

static void enable_run(unsigned int nth, struct outcome *o)
{
	enable_with_fault("1", nth, o);
}

static void disable_run(unsigned int nth, struct outcome *o)
{
	enable_with_fault("0", nth, o);
}

static void visit_all_nodes(void)
{
	size_t i;

	/* A CPU may be refused for want of memory: that is no failure here. */
	for (i = 0; i < 2 * machine.nr; i++)
		run_on_cpu(machine_cpu(&machine, i, i));
}

static void fork_run(unsigned int nth, struct outcome *o)
{
	int fd = fault_open();
	pid_t pid;

	fault_arm(fd, nth);
	pid = fork();
	if (!pid) {
		visit_all_nodes();
		_exit(EXIT_OK);
	}
	o->err = pid < 0 ? -errno : 0;
	o->consumed = fault_disarm(fd);
	close(fd);
	if (pid > 0 && waitpid(pid, &o->status, 0) < 0)
		fail("waitpid: %s", strerror(errno));
}

static bool zombie_fault_consumed(pid_t pid)
{
	char *path = xasprintf("/proc/%d/fail-nth", pid);
	char *text = read_text(path, NULL);
	bool consumed = text && *text == '0';

	if (!text)
		fail("%s: %s", path, strerror(errno));
	free(text);
	free(path);
	return consumed;
}

/* A child arms the fault for itself and runs @fn. */
static void child_run(unsigned int nth, struct outcome *o, void (*fn)(void))
{
	siginfo_t info;
	pid_t pid = fork();
	int fd;

	if (!pid) {
		fd = fault_open();
		fault_arm(fd, nth);
		fn();
		_exit(EXIT_OK);
	}
	if (pid < 0) {
		o->err = -errno;
		fail("fork: %s", strerror(errno));
		return;
	}
	if (waitid(P_PID, pid, &info, WEXITED | WNOWAIT))
		fail("waitid: %s", strerror(errno));
	o->consumed = zombie_fault_consumed(pid);
	waitpid(pid, &o->status, 0);
}

static void visit_run(unsigned int nth, struct outcome *o)
{
	child_run(nth, o, visit_all_nodes);
}

static void command_exec(void)
{
	execv(command[0], command);
	_exit(127);
}

static void command_run(unsigned int nth, struct outcome *o)
{
	child_run(nth, o, command_exec);
}

static const struct operation operations[] = {
	{ "enable", "switch replication on", false, true, enable_run },
	{ "disable", "switch replication off", true, false, disable_run },
	{ "fork", "fork, with replication on", true, true, fork_run },
	{ "visit", "run a new process on every node", true, true, visit_run },
};

static const struct operation command_operation = {
	"command", "execute a command", true, true, command_run
};

/* === Checks ============================================================== */

/* A shortage that was counted: the node may use the primary instead. */
static bool degraded(const struct outcome *o)
{
	return o->page_failures || o->pgtbl_failures;
}

static bool at_master(const struct outcome *o, int expect, int nid)
{
	return nid == expect || idlist_has(&o->primary, nid);
}

static void check_cpu(const struct outcome *o, const struct ktr_cpu *cpu)
{
	if (!degraded(o))
		ktr_check_cpu(cpu);
	else if (!at_master(o, cpu->expect, cpu->text) ||
		 !at_master(o, cpu->expect, cpu->rodata))
		fail("cpu %d uses text of node %d and data of node %d, not %d or the primary",
		     cpu->cpu, cpu->text, cpu->rodata, cpu->expect);
}

static void check_copies(const struct outcome *o)
{
	struct ktr_verify verify;
	struct ktr_where where;
	size_t i;

	if (!ktr_read_verify(&verify)) {
		if (!verify.compared && o->copies_due && !degraded(o))
			fail("verify: no page was compared");
		if (verify.different)
			fail("verify: %llu pages differ", verify.different);
	}
	ktr_free_verify(&verify);
	if (!ktr_read_where(&where)) {
		for (i = 0; i < where.nr; i++)
			check_cpu(o, &where.cpu[i]);
		if (!where.nr || !where.has_healed || !where.healed)
			fail("where: no proof");
	}
	ktr_free_where(&where);
}

static void check_state(struct outcome *o)
{
	struct ktr_state state;

	if (ktr_read_state(&state)) {
		fail("state: cannot be read");
	} else {
		o->mode = state.mode;
		o->copies_due = ktr_replicas_due(&state);
		if (state.mode == KTR_BROKEN)
			fail("replication is broken: %s", state.reason);
		o->primary = state.primary;
		memset(&state.primary, 0, sizeof(state.primary));
	}
	ktr_free_state(&state);
}

/* Since boot, of all nodes. */
static void count_failures(u64 *pages, u64 *pgtbls)
{
	struct ktr_stats stats;
	size_t i;

	*pages = 0;
	*pgtbls = 0;
	if (!ktr_read_stats(&stats)) {
		ktr_check_totals(&stats, NULL);
		for (i = 0; i < stats.nr; i++) {
			*pages += stats.node[i].v[KTR_PAGE_FAILURES];
			*pgtbls += stats.node[i].v[KTR_PGTBL_FAILURES];
		}
	}
	ktr_free_stats(&stats);
}

static bool memory_given_back(void)
{
	u64 deadline = now_ns() + settle_s * 1000000000ULL;
	struct ktr_stats stats;
	bool idle;

	for (;;) {
		idle = !ktr_read_stats(&stats) && ktr_stats_idle(&stats);
		ktr_free_stats(&stats);
		if (idle || now_ns() > deadline)
			return idle;
		sleep_ms(20);
	}
}

static void check_leak(const char *when)
{
	char *report = NULL;

	if (!memory_given_back()) {
		fail("%s: replication is off but its memory is not given back",
		     when);
		nr_leaked++;
	} else if (kmemleak) {
		write_text(KMEMLEAK, "scan");
		report = read_text(KMEMLEAK, NULL);
		if (report && *report) {
			fail("%s: kmemleak: %.*s", when,
			     (int)strcspn(report, "\n"), report);
			nr_leaked++;
			write_text(KMEMLEAK, "clear");
		}
	}
	free(report);
}

static void set_enable(bool on, const char *when)
{
	int err = ktr_enable_set(on);

	if (err || ktr_enable_get() != on)
		fail("%s: enable cannot be set to %d: %s", when, on,
		     err ? strerror(-err) : "it reads back otherwise");
}

/* === Sites =============================================================== */

static void print_site(unsigned int nth, const struct outcome *o, bool ok)
{
	if (json || quiet)
		return;
	printf("site %u: %s: %s", nth, operation->name,
	       o->err ? strerror(-o->err) : "success");
	if (WIFSIGNALED(o->status))
		printf(", signal %d", WTERMSIG(o->status));
	else if (o->status)
		printf(", exit %d", WEXITSTATUS(o->status));
	printf(", state %s, %llu page and %llu table failures: %s\n",
	       ktr_mode_name(o->mode), o->page_failures, o->pgtbl_failures,
	       ok ? "survived" : "FAILED");
	fflush(stdout);
}

/* False when there is no such site any more. */
static bool try_site(unsigned int nth)
{
	struct outcome o = { 0 };
	unsigned int failed = fail_count();
	char *when = xasprintf("site %u", nth);
	u64 pages, pgtbls;
	enum ktr_mode expected;

	if (operation->on_before)
		set_enable(true, when);
	count_failures(&pages, &pgtbls);
	operation->run(nth, &o);
	count_failures(&o.page_failures, &o.pgtbl_failures);
	o.page_failures -= pages;
	o.pgtbl_failures -= pgtbls;
	check_state(&o);
	expected = (o.err ? operation->on_before : operation->on_after) ?
		KTR_ON : KTR_OFF;
	if (o.mode != expected)
		fail("%s: replication is %s after %s returned %d", when,
		     ktr_mode_name(o.mode), operation->name, o.err);
	if (o.mode == KTR_ON)
		check_copies(&o);
	set_enable(false, when);
	check_leak(when);
	kmsg_check();
	if (fail_count() != failed)
		say_error("%s failed", when);
	if (o.consumed) {
		nr_sites++;
		nr_survived += fail_count() == failed;
		nr_degraded += degraded(&o);
		print_site(nth, &o, fail_count() == failed);
	}
	free(when);
	idlist_free(&o.primary);
	return o.consumed;
}

static void try_all(void)
{
	struct outcome sound = { 0 };
	unsigned int nth;

	for (nth = first; nth <= limit; nth += step) {
		if (!try_site(nth))
			break;
	}
	if (nth > limit)
		fail("there are more than %u sites", limit);
	if (!nr_sites)
		fail("%s: no fault was injected at all", operation->name);
	/* And without faults all is as it was. */
	set_enable(true, "afterwards");
	check_state(&sound);
	check_copies(&sound);
	idlist_free(&sound.primary);
	set_enable(false, "afterwards");
	check_leak("afterwards");
}

static void check_memory(u64 before)
{
	u64 deadline = now_ns() + settle_s * 1000000000ULL;
	u64 after;

	while ((after = settled_free_kb()) + leak_max_kb < before &&
	       now_ns() < deadline)
		sleep_ms(200);
	if (after + leak_max_kb < before) {
		fail("%llu kB of memory are missing", before - after);
		nr_leaked++;
	}
}

static void print_summary(void)
{
	if (json) {
		json_open(NULL, '{');
		json_str("operation", operation->name);
		json_u64("sites", nr_sites);
		json_u64("survived", nr_survived);
		json_u64("degraded", nr_degraded);
		json_u64("leaked", nr_leaked);
		json_failures();
		json_close('}');
	} else {
		printf("%s: sites %u, survived %u, leaked %u (degraded %u)\n",
		       operation->name, nr_sites, nr_survived, nr_leaked,
		       nr_degraded);
	}
}

/* === Main ================================================================ */

static const char usage[] =
"Usage: ktrepl-faults [OPTION]... [-- COMMAND [ARGUMENT]...]\n"
"Let the 1st, 2nd, 3rd ... memory allocation of an operation fail, and check\n"
"each time that the machine is sound and no memory is lost. With a COMMAND,\n"
"that is the operation: it is executed with replication on.\n"
"\n"
"  -o, --operation=NAME  enable (default), disable, fork, or visit (a new\n"
"                        process runs on every node)\n"
"  -f, --first=N         start with the N-th allocation (1)\n"
"  -e, --every=N         only every N-th (1)\n"
"  -l, --limit=N         give up after the N-th (10000)\n"
"  -k, --kmemleak        have kmemleak scan each time (slow)\n"
"  -t, --settle=SECONDS  time for memory to come back (10)\n"
"  -m, --leak-max=KB     memory that may be missing at the end (8192)\n"
"  -q, --quiet           print the summary only\n"
"  -j, --json            print the summary as JSON\n"
"  -h, --help            print this help\n"
"  -V, --version         print the version\n"
"\n"
"Only allocations of the task itself can fail. Needs CONFIG_FAULT_INJECTION,\n"
"FAILSLAB, FAIL_PAGE_ALLOC and FAULT_INJECTION_DEBUG_FS. Replication is off at\n"
"the end.\n"
"\n"
EXIT_CODES_HELP;

static const struct operation *find_operation(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	}
	die_usage("there is no operation '%s'", name);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "operation", required_argument, NULL, 'o' },
		{ "first", required_argument, NULL, 'f' },
		{ "every", required_argument, NULL, 'e' },
		{ "limit", required_argument, NULL, 'l' },
		{ "kmemleak", no_argument, NULL, 'k' },
		{ "settle", required_argument, NULL, 't' },
		{ "leak-max", required_argument, NULL, 'm' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "+o:f:e:l:kt:m:qjhV", options,
				NULL)) >= 0) {
		if (c == 'o')
			operation = find_operation(optarg);
		else if (c == 'f')
			first = opt_number("--first", optarg, 1, 1 << 30);
		else if (c == 'e')
			step = opt_number("--every", optarg, 1, 1 << 30);
		else if (c == 'l')
			limit = opt_number("--limit", optarg, 1, 1 << 30);
		else if (c == 'k')
			kmemleak = true;
		else if (c == 't')
			settle_s = opt_number("--settle", optarg, 0, 1 << 30);
		else if (c == 'm')
			leak_max_kb = opt_number("--leak-max", optarg, 0,
						 1ULL << 40);
		else if (c == 'q')
			quiet = true;
		else if (c == 'j')
			json = true;
		else if (c == 'h')
			exit(fputs(usage, stdout) < 0 ? EXIT_FAILED : EXIT_OK);
		else if (c == 'V')
			print_version_and_exit();
		else
			die_usage("bad option");
	}
	if (optind < argc) {
		if (strcmp(argv[optind - 1], "--"))
			die_usage("'%s': put -- before a command",
				  argv[optind]);
		if (operation)
			die_usage("--operation and a command exclude each other");
		command = argv + optind;
		operation = &command_operation;
	}
	if (!operation)
		operation = &operations[0];
}

int main(int argc, char **argv)
{
	const char *why;
	u64 before;

	progname_set("ktrepl-faults");
	parse_options(argc, argv);
	ktr_require_control();
	machine_read(&machine);
	why = fault_setup();
	if (why)
		die(EXIT_UNAVAILABLE, "%s", why);
	if (kmemleak && access(KMEMLEAK, R_OK | W_OK))
		die(EXIT_UNAVAILABLE, KMEMLEAK ": %s", strerror(errno));
	enable_fd = open(ENABLE_FILE, O_WRONLY | O_CLOEXEC);
	if (enable_fd < 0)
		die(EXIT_UNAVAILABLE, ENABLE_FILE ": %s", strerror(errno));
	kmsg_start();
	if (kmemleak)
		write_text(KMEMLEAK, "clear");

	/* Once without faults: what is allocated once and for all. */
	set_enable(true, "before");
	set_enable(false, "before");
	check_leak("before");
	before = settled_free_kb();
	if (!fail_count())
		try_all();
	check_memory(before);
	kmsg_check();
	print_summary();
	if (fflush(stdout) || ferror(stdout))
		die(EXIT_FAILED, "cannot write: %s", strerror(errno));
	return fail_count() ? EXIT_FAILED : EXIT_OK;
}
