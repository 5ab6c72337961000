// SPDX-License-Identifier: GPL-2.0
/*
 * ktmon - page faults and CPU time of registered processes, by node
 *
 * Maps the profiler's ring of records and follows it: as a table, as CSV or JSON,
 * and as a plot.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "machine.h"
#include "ring.h"

#define POLL_MS		50
#define PLOT_PROGRAM	"ktmon-plot"

enum format {
	FORMAT_NONE,
	FORMAT_CSV,
	FORMAT_JSON,
};

/* What the table shows: sums since it was shown last, and of all time. */
struct row {
	bool used;
	u64 minor, major, user_ns, system_ns, interval_ns;
	u64 all_minor, all_major;
	unsigned int threads;
};

static const char *device = RING_DEVICE, *output_path, *plot_path;
static enum format format;
static bool all, quiet, limited;
static double limit_s;
static u64 limit_samples, refresh_ms = 1000;

static FILE *output;
static char *temporary;		/* the CSV file of a plot that nobody named */
static char *plot_program;
static struct row *row;
static size_t nr_rows;
static u64 records, samples, last_time;
static bool stopped;

static const char usage[] =
"Usage: ktmon [OPTION]...\n"
"Follow the page faults and the CPU time of the processes that are registered in\n"
PROFILE_STATUS ", by the node that their threads are on.\n"
"\n"
"  -a, --all           begin with the oldest record in the ring, not with the next\n"
"  -d, --duration=S    end after so many seconds; 0: with what there is\n"
"  -n, --samples=N     end after so many samples\n"
"  -c, --csv           write the records as CSV (the default with -o)\n"
"  -j, --json          write the records as JSON\n"
"  -o, --output=FILE   write them to FILE and show the table, too\n"
"  -p, --plot=FILE     at the end, draw faults and utilisation over time: FILE.svg or\n"
"                      .png, by ktmon-plot, which needs Python's matplotlib\n"
"  -i, --interval=MS   how often the table is shown (1000)\n"
"  -q, --quiet         no table\n"
"  -D, --device=FILE   the device, or a file of the same layout\n"
"                      (" RING_DEVICE ")\n"
"  -h, --help          print this help\n"
"  -V, --version       print the version\n"
"\n"
"Without -d and -n it goes on until interrupted. What CPU time there was, divided by\n"
"the time between samples, is the utilisation: 100 % is one CPU.\n"
"\n"
"Exit status: 0 done, 1 failed, 2 usage error, 3 not available (the module\n"
"ktrepl_profile is not loaded, not root, or no matplotlib).\n";

/* === Records ============================================================= */

static double share(u64 ns, u64 interval_ns)
{
	return interval_ns ? (double)ns / interval_ns : 0;
}

#define NR_COLUMNS 9

static const char * const column[NR_COLUMNS] = {
	"number", "time_ns", "interval_ns", "node", "threads", "minor", "major",
	"user_ns", "system_ns",
};

static void write_head(void)
{
	int i;

	if (format == FORMAT_JSON)
		fputs("{\n  \"records\": [", output);
	if (format != FORMAT_CSV)
		return;
	for (i = 0; i < NR_COLUMNS; i++)
		fprintf(output, "%s,", column[i]);
	fputs("utilisation\n", output);
}

static void write_record(const struct ktrepl_profile_record *r)
{
	const u64 value[NR_COLUMNS] = {
		r->number, r->time_ns, r->interval_ns, r->node, r->threads,
		r->minor, r->major, r->user_ns, r->system_ns,
	};
	double utilisation = share(r->user_ns + r->system_ns, r->interval_ns);
	int i;

	if (format == FORMAT_JSON)
		fputs(records ? ",\n    { " : "\n    { ", output);
	for (i = 0; i < NR_COLUMNS; i++) {
		if (format == FORMAT_JSON)
			fprintf(output, "\"%s\": ", column[i]);
		fprintf(output, format == FORMAT_JSON ? "%llu, " : "%llu,", value[i]);
	}
	if (format == FORMAT_JSON)
		fprintf(output, "\"utilisation\": %.4f }", utilisation);
	else
		fprintf(output, "%.4f\n", utilisation);
}

static void write_tail(const struct ring *ring)
{
	if (format == FORMAT_JSON)
		fprintf(output, "\n  ],\n  \"samples\": %llu,\n  \"lost\": %llu\n}\n",
			samples, ring->lost);
}

/* === Table =============================================================== */

static void add_to_table(const struct ktrepl_profile_record *r)
{
	struct row *row_of;

	if (r->node >= INT_MAX / sizeof(*row) || (r->node >= nr_rows && r->node > 65535))
		die(EXIT_FAILED, "%s: record %llu is of node %u", device,
		    (u64)r->number, r->node);
	while (nr_rows <= r->node) {
		row = xgrow(row, nr_rows, sizeof(*row));
		row[nr_rows++] = (struct row) { 0 };
	}
	row_of = &row[r->node];
	row_of->used = true;
	row_of->minor += r->minor;
	row_of->major += r->major;
	row_of->user_ns += r->user_ns;
	row_of->system_ns += r->system_ns;
	row_of->interval_ns += r->interval_ns;
	row_of->all_minor += r->minor;
	row_of->all_major += r->major;
	row_of->threads = r->threads;
}

static void show_row(const struct row *r)
{
	double seconds = r->interval_ns / 1e9;

	printf("%8u %12.0f %12.0f %7.1f %7.1f %7.1f %14llu %14llu\n", r->threads,
	       seconds ? r->minor / seconds : 0, seconds ? r->major / seconds : 0,
	       100 * share(r->user_ns, r->interval_ns),
	       100 * share(r->system_ns, r->interval_ns),
	       100 * share(r->user_ns + r->system_ns, r->interval_ns),
	       r->all_minor, r->all_major);
}

/* Rows of one sample have the same interval. */
static void add_row(struct row *sum, const struct row *r)
{
	sum->minor += r->minor;
	sum->major += r->major;
	sum->user_ns += r->user_ns;
	sum->system_ns += r->system_ns;
	sum->all_minor += r->all_minor;
	sum->all_major += r->all_major;
	sum->threads += r->threads;
	if (sum->interval_ns < r->interval_ns)
		sum->interval_ns = r->interval_ns;
}

static void show_table(const struct ring *ring)
{
	const struct ktrepl_profile_header *h = ring->header;
	struct row sum = { 0 };
	size_t i;

	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	printf("%u processes, %u samples a second; ", h->tasks, h->rate);
	printf("%llu samples seen, %llu records lost, %llu samples missed\n",
	       samples, ring->lost, (u64)h->missed);
	printf("%-5s %8s %12s %12s %7s %7s %7s %14s %14s\n", "node", "threads",
	       "minor/s", "major/s", "user %", "sys %", "util %", "minor", "major");
	for (i = 0; i < nr_rows; i++) {
		if (!row[i].used)
			continue;
		printf("%-5zu ", i);
		show_row(&row[i]);
		add_row(&sum, &row[i]);
		row[i] = (struct row) {
			.used = true,
			.all_minor = row[i].all_minor,
			.all_major = row[i].all_major,
		};
	}
	printf("%-5s ", "all");
	show_row(&sum);
	if (fflush(stdout))
		die(EXIT_FAILED, "cannot write: %s", strerror(errno));
}

/* === Following =========================================================== */

static void on_signal(int sig)
{
	(void)sig;
	__atomic_store_n(&stopped, true, __ATOMIC_RELAXED);
}

/* Read what there is; true when there are as many samples as are asked for. */
static bool read_all(struct ring *ring)
{
	struct ktrepl_profile_record record;
	bool any = false;

	while (ring_read(ring, &record)) {
		any = true;
		if (record.time_ns != last_time) {
			if (limit_samples && samples == limit_samples)
				return true;
			samples++;
			last_time = record.time_ns;
		}
		if (format)
			write_record(&record);
		add_to_table(&record);
		records++;
	}
	/* One more look: there may be more records of the last sample. */
	return limit_samples && samples == limit_samples && !any;
}

static void follow(struct ring *ring)
{
	u64 now = now_ns(), start = now, shown = now;
	bool done = false;

	while (!done && !__atomic_load_n(&stopped, __ATOMIC_RELAXED)) {
		done = read_all(ring);
		now = now_ns();
		done |= limited && now - start >= limit_s * 1e9;
		if (!quiet && (done || now - shown >= refresh_ms * 1000000)) {
			show_table(ring);
			shown = now;
		}
		if (!done)
			sleep_ms(POLL_MS);
	}
}

/* === Plot ================================================================ */

/* Beside this program, or in $PATH. */
static void find_plot_program(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	plot_program = xstrdup(PLOT_PROGRAM);
	if (n < 0)
		return;
	self[n] = '\0';
	free(plot_program);
	plot_program = xasprintf("%s/%s", dirname(self), PLOT_PROGRAM);
	if (!access(plot_program, X_OK))
		return;
	free(plot_program);
	plot_program = xstrdup(PLOT_PROGRAM);
}

/* Returns its exit status. */
static int run_plot_program(const char *first, const char *second)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execlp(plot_program, plot_program, first, second, NULL);
		say_error("%s: %s", plot_program, strerror(errno));
		_exit(EXIT_UNAVAILABLE);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die(EXIT_FAILED, "%s: %s", plot_program, strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

/* Before hours of recording: can it be drawn? */
static void prepare_plot(void)
{
	find_plot_program();
	if (run_plot_program("--check", plot_path))
		die(EXIT_UNAVAILABLE, "--plot=%s: %s cannot draw", plot_path,
		    plot_program);
	if (output_path)
		return;
	temporary = xasprintf("%s.XXXXXX", plot_path);
	output = fdopen(mkstemp(temporary), "w");
	if (!output)
		die(EXIT_FAILED, "%s: %s", temporary, strerror(errno));
}

static void draw_plot(void)
{
	const char *csv = temporary ? temporary : output_path;

	if (run_plot_program(csv, plot_path))
		die(EXIT_FAILED, "--plot=%s: %s failed; the records are in %s",
		    plot_path, plot_program, csv);
	if (temporary)
		unlink(temporary);
}

/* === Main ================================================================ */

static double opt_seconds(const char *arg)
{
	char *end;
	double v = strtod(arg, &end);

	if (end == arg || *end || !(v >= 0 && v <= 1e9))
		die_usage("--duration=%s: expected seconds", arg);
	return v;
}

static void set_format(enum format f)
{
	if (format && format != f)
		die_usage("--csv or --json, not both");
	format = f;
}

static void set_option(int c, const char *arg)
{
	switch (c) {
	case 'a':
		all = true;
		break;
	case 'd':
		limit_s = opt_seconds(arg);
		limited = true;
		break;
	case 'n':
		limit_samples = opt_number("--samples", arg, 1, ~0ULL);
		break;
	case 'c':
		set_format(FORMAT_CSV);
		break;
	case 'j':
		set_format(FORMAT_JSON);
		break;
	case 'o':
		output_path = arg;
		break;
	case 'p':
		plot_path = arg;
		break;
	case 'i':
		refresh_ms = opt_number("--interval", arg, 1, 1 << 30);
		break;
	case 'q':
		quiet = true;
		break;
	case 'D':
		device = arg;
		break;
	case 'h':
		exit(fputs(usage, stdout) < 0 ? EXIT_FAILED : EXIT_OK);
	case 'V':
		print_version_and_exit();
	default:
		die_usage("bad option");
	}
}

static void check_options(void)
{
	const char *suffix = plot_path ? strrchr(plot_path, '.') : NULL;

	if (plot_path) {
		if (!suffix || (strcmp(suffix, ".svg") && strcmp(suffix, ".png")))
			die_usage("--plot=%s: expected a name with .svg or .png",
				  plot_path);
		if (format == FORMAT_JSON)
			die_usage("--plot: draws CSV, not --json");
		if (format && !output_path)
			die_usage("--plot with --csv: expected --output=FILE");
	}
	/* Records on standard output have it for themselves. */
	quiet |= format && !output_path;
	if (!format && (output_path || plot_path))
		format = FORMAT_CSV;
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "duration", required_argument, NULL, 'd' },
		{ "samples", required_argument, NULL, 'n' },
		{ "csv", no_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "output", required_argument, NULL, 'o' },
		{ "plot", required_argument, NULL, 'p' },
		{ "interval", required_argument, NULL, 'i' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "device", required_argument, NULL, 'D' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "ad:n:cjo:p:i:qD:hV", options,
				NULL)) >= 0)
		set_option(c, optarg);
	if (optind < argc)
		die_usage("'%s': no arguments are expected", argv[optind]);
	check_options();
}

static void open_output(void)
{
	output = stdout;
	if (plot_path)
		prepare_plot();
	if (!output_path)
		return;
	output = fopen(output_path, "w");
	if (!output)
		die(EXIT_FAILED, "%s: %s", output_path, strerror(errno));
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct ring ring;

	progname_set("ktmon");
	parse_options(argc, argv);
	ring_open(&ring, device);
	if (all)
		ring_rewind(&ring);
	open_output();
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	write_head();
	follow(&ring);
	write_tail(&ring);
	if (ring.lost)
		say_error("%llu records were overwritten before they were read",
			  ring.lost);
	ring_close(&ring);
	if (fflush(output) || ferror(output))
		die(EXIT_FAILED, "%s: cannot write: %s",
		    output_path ? output_path : "standard output", strerror(errno));
	if (plot_path)
		draw_plot();
	return EXIT_OK;
}
