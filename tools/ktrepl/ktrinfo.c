// SPDX-License-Identifier: GPL-2.0
/*
 * ktrinfo - which memory each node executes the kernel from
 *
 * The layout of translations and statistics is that of the tool of the same
 * name in RedHawk Linux.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "iface.h"
#include "machine.h"
#include "prom.h"

enum section {
	SHOW_TRANSLATIONS	= 1 << 0,
	SHOW_STATISTICS		= 1 << 1,
	SHOW_WHERE		= 1 << 2,
	SHOW_VERIFY		= 1 << 3,
	SHOW_MODULES		= 1 << 4,
};

/* All areas of one name; the arrays go by the nodes of the statistics. */
struct row {
	const char *name;
	u64 bytes;
	u64 *original, *copies;
};

/* Everything one run reads. */
struct report {
	unsigned int show;
	bool limited;			/* -n */
	struct idlist only;
	struct ktr_state state;
	struct ktr_stats stats;
	struct ktr_translations tr;
	struct ktr_where where;
	int where_err;
	struct ktr_verify verify;
	int verify_err;
	struct ktr_modules modules;
	struct row *row;
	size_t nr_rows;
	unsigned int cpus, local, expected;
};

enum format {
	FORMAT_TEXT,
	FORMAT_JSON,
	FORMAT_PROMETHEUS,
};

static enum format format;
static const char *prom_path;		/* NULL: standard output */
static unsigned int watch_s;		/* 0: once */
static bool stopped;

static const char usage[] =
"Usage: ktrinfo [OPTION]...\n"
"Show where each NUMA node's replica of the kernel's text and read-only data lies.\n"
"\n"
"  -t, --translations  virtual to physical translations of each node\n"
"  -s, --statistics    memory used and failed allocations of each node\n"
"                      (-t -s is what ktrinfo shows without -t, -s, -w, -v, -m)\n"
"  -w, --where         prove by execution which node each CPU fetches from;\n"
"                      fails unless all execute the text expected of them\n"
"  -v, --verify        compare every replica with the primary; fails if any page\n"
"                      differs or no replica was compared though there should be\n"
"  -m, --modules       bytes of text and read-only data of each module, and of\n"
"                      bpf, ftrace and kprobes, and of its replicas on each node\n"
"                      (-: the originals are there)\n"
"  -n, --node=NODE     show only this node, or a list like 0-3,8 (repeatable);\n"
"                      -v compares all replicas whatever the node\n"
"  -j, --json          print all of it as JSON\n"
"  -p, --prometheus[=FILE]  print state and statistics as Prometheus reads them, or\n"
"                      have them take the place of FILE\n"
"  -W, --watch[=SECONDS]  again every 2 or so many seconds, until interrupted or\n"
"                      until a check fails\n"
"  -h, --help          print this help\n"
"  -V, --version       print the version\n"
"\n"
"-w and -v fail while replication is off. Totals are checked whenever\n"
"statistics are shown, sizes whenever translations are; -m fails unless its\n"
"replicas add up to repli_module_pages.\n"
"\n"
EXIT_CODES_HELP
"\n"
"KTREPL_DEBUGFS names another directory than /sys/kernel/debug/ktrepl.\n";

/* === Options ============================================================= */

static void add_nodes(struct report *r, const char *arg)
{
	struct idlist list;
	size_t i;

	if (!idlist_parse(arg, &list) || !list.nr)
		die_usage("--node: '%s' is not a node or a list of nodes", arg);
	for (i = 0; i < list.nr; i++) {
		r->only.r = xgrow(r->only.r, r->only.nr, sizeof(*r->only.r));
		r->only.r[r->only.nr++] = list.r[i];
	}
	idlist_free(&list);
	r->limited = true;
}

static void check_options(struct report *r)
{
	if (format == FORMAT_PROMETHEUS) {
		if (r->show & ~SHOW_STATISTICS)
			die_usage("--prometheus shows statistics only");
		r->show = SHOW_STATISTICS;
	}
	if (format == FORMAT_JSON && watch_s)
		die_usage("--json cannot be watched");
	if (!r->show)
		r->show = SHOW_TRANSLATIONS | SHOW_STATISTICS;
}

static void set_format(enum format f)
{
	if (format && format != f)
		die_usage("--json or --prometheus, not both");
	format = f;
}

static void set_prometheus(const char *path)
{
	set_format(FORMAT_PROMETHEUS);
	prom_path = path;
}

static void parse_options(struct report *r, int argc, char **argv)
{
	static const struct option options[] = {
		{ "translations", no_argument, NULL, 't' },
		{ "statistics", no_argument, NULL, 's' },
		{ "where", no_argument, NULL, 'w' },
		{ "verify", no_argument, NULL, 'v' },
		{ "modules", no_argument, NULL, 'm' },
		{ "node", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "prometheus", optional_argument, NULL, 'p' },
		{ "watch", optional_argument, NULL, 'W' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "tswvmn:jp::W::hV", options, NULL)) >= 0) {
		if (c == 't')
			r->show |= SHOW_TRANSLATIONS;
		else if (c == 's')
			r->show |= SHOW_STATISTICS;
		else if (c == 'w')
			r->show |= SHOW_WHERE;
		else if (c == 'v')
			r->show |= SHOW_VERIFY;
		else if (c == 'm')
			r->show |= SHOW_MODULES;
		else if (c == 'n')
			add_nodes(r, optarg);
		else if (c == 'j')
			set_format(FORMAT_JSON);
		else if (c == 'p')
			set_prometheus(optarg);
		else if (c == 'W')
			watch_s = optarg ? opt_number("--watch", optarg, 1, 86400) : 2;
		else if (c == 'h')
			exit(fputs(usage, stdout) < 0 ? EXIT_FAILED : EXIT_OK);
		else if (c == 'V')
			print_version_and_exit();
		else
			die_usage("bad option");
	}
	if (optind < argc)
		die_usage("'%s': no arguments are expected", argv[optind]);
	check_options(r);
}

static const struct idlist *only(const struct report *r)
{
	return r->limited ? &r->only : NULL;
}

static bool wanted(const struct report *r, int nid)
{
	return !r->limited || idlist_has(&r->only, nid);
}

/* === Reading ============================================================= */

static void check_read(const char *file, int err)
{
	if (!err || err == -EBADMSG)	/* records were complained about */
		return;
	if (err == -EACCES || err == -EPERM)
		die(EXIT_UNAVAILABLE, "%s/%s: permission denied: run as root",
		    ktr_dir(), file);
	fail("%s: cannot be read: %s", file, strerror(-err));
}

static void read_modules(struct report *r)
{
	int err = ktr_read_modules(&r->modules);

	if (err == -ENOENT)
		die(EXIT_UNAVAILABLE,
		    "%s/modules: %s: this kernel does not replicate modules (CONFIG_KTREPL_MODULES)",
		    ktr_dir(), strerror(ENOENT));
	check_read("modules", err);
}

static void read_all(struct report *r)
{
	check_read("state", ktr_read_state(&r->state));
	/* First: what is still to be copied goes into the statistics. */
	if (r->show & SHOW_MODULES)
		read_modules(r);
	/* Known to be needed: the nodes there are. */
	check_read("stats", ktr_read_stats(&r->stats));
	if (r->show & SHOW_TRANSLATIONS)
		check_read("translations", ktr_read_translations(&r->tr));
	if (r->show & SHOW_WHERE)
		r->where_err = ktr_read_where(&r->where);
	if (r->show & SHOW_VERIFY)
		r->verify_err = ktr_read_verify(&r->verify);
}

static void free_all(struct report *r)
{
	ktr_free_state(&r->state);
	ktr_free_stats(&r->stats);
	ktr_free_translations(&r->tr);
	ktr_free_where(&r->where);
	ktr_free_verify(&r->verify);
	ktr_free_modules(&r->modules);
	memset(&r->tr, 0, sizeof(r->tr));
	memset(&r->where, 0, sizeof(r->where));
	memset(&r->verify, 0, sizeof(r->verify));
	memset(&r->modules, 0, sizeof(r->modules));
}

/* Somebody may toggle meanwhile: then the files do not belong together. */
static bool still_the_same(const struct report *r)
{
	struct ktr_state now;
	bool same = ktr_read_state(&now) ||
		    (now.toggles == r->state.toggles &&
		     now.mode == r->state.mode);

	ktr_free_state(&now);
	return same;
}

/* Modules come and go, too. */
static bool modules_agree(const struct report *r)
{
	return !(r->show & SHOW_MODULES) ||
	       ktr_modules_agree(&r->modules, &r->stats, only(r));
}

static void collect(struct report *r)
{
	int tries = 5;
	bool same;

	for (;;) {
		read_all(r);
		same = fail_count() || still_the_same(r);
		if (fail_count() || (same && modules_agree(r)) || !--tries)
			break;
		free_all(r);
	}
	if (!same)
		fail("replication is switched on and off too often to look at");
}

static bool node_known(const struct report *r, int nid)
{
	size_t i;

	for (i = 0; i < r->stats.nr; i++) {
		if (r->stats.node[i].nid == nid)
			return true;
	}
	return false;
}

static struct row *add_row(struct report *r, const char *name)
{
	struct row *row;

	r->row = xgrow(r->row, r->nr_rows, sizeof(*r->row));
	row = &r->row[r->nr_rows++];
	row->name = name;
	row->bytes = 0;
	row->original = xcalloc(r->stats.nr, sizeof(*row->original));
	row->copies = xcalloc(r->stats.nr, sizeof(*row->copies));
	return row;
}

static void make_rows(struct report *r)
{
	const struct ktr_area *area;
	struct row *row = NULL;
	size_t i, n;

	for (i = 0; i < r->modules.nr; i++) {
		area = &r->modules.area[i];
		if (!row || strcmp(row->name, area->name))
			row = add_row(r, area->name);
		row->bytes += area->bytes;
		for (n = 0; n < r->stats.nr; n++) {
			row->original[n] += ktr_amount(&area->originals,
						       r->stats.node[n].nid);
			row->copies[n] += ktr_amount(&area->copies,
						     r->stats.node[n].nid);
		}
	}
}

static void free_rows(struct report *r)
{
	size_t i;

	for (i = 0; i < r->nr_rows; i++) {
		free(r->row[i].original);
		free(r->row[i].copies);
	}
	free(r->row);
}

static void check_nodes_exist(const struct report *r)
{
	size_t i;
	int nid;

	for (i = 0; i < r->only.nr; i++) {
		nid = r->only.r[i].first;
		while (nid < r->only.r[i].last && node_known(r, nid))
			nid++;
		if (!node_known(r, nid))
			die_usage("--node: there is no node %d", nid);
	}
}

/* === Checking ============================================================ */

/* Every online CPU must have given its proof. */
static void check_all_cpus(const struct report *r)
{
	struct idlist online;
	size_t i, k;
	int cpu;

	if (!cpus_online(&online))
		return;
	for (i = 0; (cpu = idlist_nth(&online, i)) >= 0; i++) {
		for (k = 0; k < r->where.nr && r->where.cpu[k].cpu != cpu; k++)
			;
		if (k == r->where.nr)
			fail("cpu %d is online but gave no proof", cpu);
	}
	idlist_free(&online);
}

static void check_where(struct report *r)
{
	const struct ktr_cpu *cpu;
	size_t i;

	if (r->state.mode != KTR_ON)
		fail("replication is %s: CPUs execute the primary wherever it is",
		     ktr_mode_name(r->state.mode));
	else
		check_read("locality", r->where_err);
	for (i = 0; i < r->where.nr; i++) {
		cpu = &r->where.cpu[i];
		if (!wanted(r, cpu->nid))
			continue;
		r->cpus++;
		r->local += cpu->text == cpu->nid && cpu->nid != KTR_NO_NODE;
		r->expected += cpu->text == cpu->expect;
		if (r->state.mode == KTR_ON)
			ktr_check_cpu(cpu);
	}
	if (r->state.mode != KTR_ON || r->where_err)
		return;
	if (!r->where.nr)
		fail("where: no CPU gave a proof");
	if (!r->where.has_healed)
		fail("where: truncated: no 'healed' record");
	else if (!r->where.healed)
		fail("locality: a poke did not make all replicas equal again");
	check_all_cpus(r);
}

static void check_verify(const struct report *r)
{
	if (r->state.mode != KTR_ON) {
		fail("replication is %s: there is no replica to compare",
		     ktr_mode_name(r->state.mode));
		return;
	}
	check_read("verify", r->verify_err);
	if (r->verify_err)
		return;
	if (!r->verify.compared && ktr_replicas_due(&r->state))
		fail("verify: no page was compared");
	if (r->verify.different)
		fail("%llu of %llu pages differ from the primary",
		     r->verify.different, r->verify.compared);
}

static void check(struct report *r)
{
	if (r->state.mode == KTR_BROKEN)
		fail("replication is broken: %s", r->state.reason);
	if (r->show & SHOW_STATISTICS)
		ktr_check_totals(&r->stats, only(r));
	if (r->show & SHOW_TRANSLATIONS)
		ktr_check_sizes(&r->tr, only(r));
	if (r->show & SHOW_WHERE)
		check_where(r);
	if (r->show & SHOW_VERIFY)
		check_verify(r);
	if (r->show & SHOW_MODULES)
		ktr_check_modules(&r->modules, &r->stats, only(r));
}

/* === Text ================================================================ */

static bool several(const struct idlist *list)
{
	return idlist_count(list) > 1;
}

static void print_state(const struct ktr_state *s)
{
	printf("ktrepl is %s", ktr_mode_name(s->mode));
	if (s->mode == KTR_ON)
		printf(": node%s %s", several(&s->nodes) ? "s" : "",
		       s->nodes_text);
	else if (strcmp(s->reason, "-"))
		printf(": %s", s->reason);
	if (s->primary.nr)
		printf("%s primary on node%s %s",
		       s->mode != KTR_ON && !strcmp(s->reason, "-") ? ":" : ",",
		       several(&s->primary) ? "s" : "", s->primary_text);
	if (s->diverged)
		printf(", replicas that have differed: %llu", s->diverged);
	putchar('\n');
}

static int digits(u64 v)
{
	int n = 1;

	while (v /= 10)
		n++;
	return n;
}

static void print_translations(const struct report *r, int nid,
			       enum ktr_kind kind)
{
	static const char * const title[] = {
		[KTR_TEXT]	= "Text",
		[KTR_RODATA]	= "Read-only Data",
	};
	const struct ktr_translation *t;
	int width = 4;
	size_t i;

	for (i = 0; i < r->tr.nr; i++) {
		if (digits(r->tr.t[i].kb) > width)
			width = digits(r->tr.t[i].kb);
	}
	printf("Node %d %s Translations\n", nid, title[kind]);
	printf("%-33s  %-33s  size\n", "virtual_address", "physical_address");
	for (i = 0; i < r->tr.nr; i++) {
		t = &r->tr.t[i];
		if (t->nid == nid && t->kind == kind)
			printf("%016llx-%016llx  %016llx-%016llx  %*llu kB\n",
			       t->va_first, t->va_last, t->pa_first, t->pa_last,
			       width, t->kb);
	}
}

static void print_statistics(const struct report *r,
			     const struct ktr_node_stats *node)
{
	int i, k, width = 6;

	for (i = 0; i < (int)r->stats.nr; i++) {
		for (k = 0; k < KTR_NR_STATS; k++) {
			if (digits(r->stats.node[i].v[k]) >= width)
				width = digits(r->stats.node[i].v[k]) + 1;
		}
	}
	printf("Node %d statistics\n", node->nid);
	for (k = 0; k < KTR_NR_STATS; k++)
		printf("%-22s %*llu%s\n", ktr_stat_name(k), width, node->v[k],
		       ktr_stat_is_kb(k) ? " kB" : "");
}

static void print_nid(int width, int nid)
{
	if (nid == KTR_NO_NODE)
		printf("%*s", width, "-");
	else
		printf("%*d", width, nid);
}

static void print_where(const struct report *r)
{
	const struct ktr_cpu *c;
	size_t i;

	printf(" cpu  node  expected  text  read-only data  root table  walk\n");
	for (i = 0; i < r->where.nr; i++) {
		c = &r->where.cpu[i];
		if (!wanted(r, c->nid))
			continue;
		printf("%4d", c->cpu);
		print_nid(6, c->nid);
		print_nid(10, c->expect);
		print_nid(6, c->text);
		print_nid(16, c->rodata);
		print_nid(12, c->root);
		printf("  %s\n", c->walk_ok ? "ok" : "bad");
	}
	printf("%u of %u CPUs execute node-local text", r->local, r->cpus);
	if (r->expected != r->local && r->state.mode == KTR_ON)
		printf(", %u of %u the text expected of their node",
		       r->expected, r->cpus);
	if (r->state.mode != KTR_ON)
		printf(" (replication is %s)", ktr_mode_name(r->state.mode));
	putchar('\n');
}

static void print_verify(const struct report *r)
{
	const struct ktr_difference *d;
	size_t i;

	printf("%llu pages compared, %llu different", r->verify.compared,
	       r->verify.different);
	if (r->state.mode == KTR_ON && !ktr_replicas_due(&r->state))
		printf(" (only nodes that hold the primary take part)");
	putchar('\n');
	for (i = 0; i < r->verify.nr; i++) {
		d = &r->verify.d[i];
		if (wanted(r, d->nid))
			printf("differs: %s node %d %016llx\n", d->set, d->nid,
			       d->va);
	}
	if (r->verify.nr < r->verify.different)
		printf("(only the first %zu are listed)\n", r->verify.nr);
}

static int max(int a, int b)
{
	return a > b ? a : b;
}

static void print_row(const struct report *r, const struct row *row,
		      int name_width, int width)
{
	size_t n;

	printf("%-*s %*llu", name_width, row->name, width, row->bytes);
	for (n = 0; n < r->stats.nr; n++) {
		if (!wanted(r, r->stats.node[n].nid))
			continue;
		if (row->original[n] == row->bytes && !row->copies[n])
			printf(" %*s", width, "-");
		else
			printf(" %*llu", width, row->copies[n]);
	}
	putchar('\n');
}

/* Where nothing needs a replica, the sum is still a number. */
static void print_total(const struct report *r, int name_width, int width)
{
	u64 bytes = 0, copies;
	size_t i, n;

	for (i = 0; i < r->nr_rows; i++)
		bytes += r->row[i].bytes;
	printf("%-*s %*llu", name_width, "total", width, bytes);
	for (n = 0; n < r->stats.nr; n++) {
		if (!wanted(r, r->stats.node[n].nid))
			continue;
		for (copies = 0, i = 0; i < r->nr_rows; i++)
			copies += r->row[i].copies[n];
		printf(" %*llu", width, copies);
	}
	putchar('\n');
}

static void print_modules(const struct report *r)
{
	int name_width = strlen("Module"), width = strlen("Text_RO_sz");
	u64 bytes = 0;
	size_t i;

	for (i = 0; i < r->nr_rows; i++) {
		name_width = max(name_width, strlen(r->row[i].name));
		bytes += r->row[i].bytes;
	}
	width = max(width, digits(bytes));
	if (!r->modules.on)
		printf("modules are not replicated (ktrepl.modules=off)\n");
	printf("%-*s %*s", name_width, "Module", width, "Text_RO_sz");
	for (i = 0; i < r->stats.nr; i++) {
		if (wanted(r, r->stats.node[i].nid))
			printf(" %*s%d", width - digits(r->stats.node[i].nid),
			       "Node", r->stats.node[i].nid);
	}
	putchar('\n');
	for (i = 0; i < r->nr_rows; i++)
		print_row(r, &r->row[i], name_width, width);
	print_total(r, name_width, width);
}

static void print_text(const struct report *r)
{
	const struct ktr_node_stats *node;
	size_t i;

	print_state(&r->state);
	for (i = 0; i < r->stats.nr; i++) {
		node = &r->stats.node[i];
		if (!wanted(r, node->nid))
			continue;
		if (r->show & SHOW_TRANSLATIONS) {
			print_translations(r, node->nid, KTR_TEXT);
			print_translations(r, node->nid, KTR_RODATA);
		}
		if (r->show & SHOW_STATISTICS)
			print_statistics(r, node);
	}
	if (r->show & SHOW_WHERE)
		print_where(r);
	if (r->show & SHOW_VERIFY)
		print_verify(r);
	if (r->show & SHOW_MODULES)
		print_modules(r);
}

/* === JSON ================================================================ */

static void json_translations(const struct report *r, int nid,
			      enum ktr_kind kind)
{
	const struct ktr_translation *t;
	size_t i;

	json_open(ktr_kind_name(kind), '[');
	for (i = 0; i < r->tr.nr; i++) {
		t = &r->tr.t[i];
		if (t->nid != nid || t->kind != kind)
			continue;
		json_open(NULL, '{');
		json_hex("va_first", t->va_first);
		json_hex("va_last", t->va_last);
		json_hex("pa_first", t->pa_first);
		json_hex("pa_last", t->pa_last);
		json_u64("size_kb", t->kb);
		json_int("memory_node", t->mem_nid);
		json_close('}');
	}
	json_close(']');
}

static void json_nodes(const struct report *r)
{
	const struct ktr_node_stats *node;
	size_t i;
	int k;

	json_open("nodes", '[');
	for (i = 0; i < r->stats.nr; i++) {
		node = &r->stats.node[i];
		if (!wanted(r, node->nid))
			continue;
		json_open(NULL, '{');
		json_int("node", node->nid);
		if (r->show & SHOW_TRANSLATIONS) {
			json_translations(r, node->nid, KTR_TEXT);
			json_translations(r, node->nid, KTR_RODATA);
		}
		if (r->show & SHOW_STATISTICS) {
			json_open("statistics", '{');
			for (k = 0; k < KTR_NR_STATS; k++)
				json_u64(ktr_stat_name(k), node->v[k]);
			json_close('}');
		}
		json_close('}');
	}
	json_close(']');
}

static void json_where(const struct report *r)
{
	const struct ktr_cpu *c;
	size_t i;

	json_open("locality", '{');
	json_open("cpus", '[');
	for (i = 0; i < r->where.nr; i++) {
		c = &r->where.cpu[i];
		if (!wanted(r, c->nid))
			continue;
		json_open(NULL, '{');
		json_int("cpu", c->cpu);
		json_int("node", c->nid);
		json_int("expected", c->expect);
		json_int("text", c->text);
		json_int("rodata", c->rodata);
		json_int("root_table", c->root);
		json_bool("walk_ok", c->walk_ok);
		json_close('}');
	}
	json_close(']');
	json_u64("total", r->cpus);
	json_u64("local", r->local);
	json_u64("as_expected", r->expected);
	json_bool("healed", r->where.healed);
	json_close('}');
}

static void json_verify(const struct report *r)
{
	size_t i;

	json_open("verify", '{');
	json_u64("compared", r->verify.compared);
	json_u64("different", r->verify.different);
	json_open("pages", '[');
	for (i = 0; i < r->verify.nr; i++) {
		if (!wanted(r, r->verify.d[i].nid))
			continue;
		json_open(NULL, '{');
		json_str("set", r->verify.d[i].set);
		json_int("node", r->verify.d[i].nid);
		json_hex("va", r->verify.d[i].va);
		json_close('}');
	}
	json_close(']');
	json_close('}');
}

static void json_modules(const struct report *r)
{
	const struct row *row;
	size_t i, n;

	json_bool("modules_on", r->modules.on);
	json_open("modules", '[');
	for (i = 0; i < r->nr_rows; i++) {
		row = &r->row[i];
		json_open(NULL, '{');
		json_str("name", row->name);
		json_u64("bytes", row->bytes);
		json_open("nodes", '[');
		for (n = 0; n < r->stats.nr; n++) {
			if (!wanted(r, r->stats.node[n].nid))
				continue;
			json_open(NULL, '{');
			json_int("node", r->stats.node[n].nid);
			json_u64("original", row->original[n]);
			json_u64("replicas", row->copies[n]);
			json_close('}');
		}
		json_close(']');
		json_close('}');
	}
	json_close(']');
}

static void print_json(const struct report *r)
{
	json_open(NULL, '{');
	json_str("version", KTREPL_TOOLS_VERSION);
	ktr_json_state(&r->state);
	if (r->show & (SHOW_TRANSLATIONS | SHOW_STATISTICS))
		json_nodes(r);
	if (r->show & SHOW_WHERE)
		json_where(r);
	if (r->show & SHOW_VERIFY)
		json_verify(r);
	if (r->show & SHOW_MODULES)
		json_modules(r);
	json_failures();
	json_close('}');
}

/* === All together ======================================================== */

static void print_prometheus(const struct report *r)
{
	int err = 0;

	if (prom_path)
		err = prom_write(prom_path, &r->state, &r->stats, only(r));
	else
		prom_print(stdout, &r->state, &r->stats, only(r));
	if (err)
		die(EXIT_FAILED, "%s: %s", prom_path, strerror(-err));
}

static void report_once(struct report *r)
{
	bool whole;

	collect(r);
	whole = !fail_count();
	if (whole)
		check_nodes_exist(r);
	check(r);
	make_rows(r);
	if (format == FORMAT_JSON)
		print_json(r);
	else if (format == FORMAT_TEXT)
		print_text(r);
	else if (whole)		/* Half of it would look like a change. */
		print_prometheus(r);
	if (fflush(stdout) || ferror(stdout))
		die(EXIT_FAILED, "cannot write: %s", strerror(errno));
	free_rows(r);
	r->row = NULL;
	r->nr_rows = 0;
	r->cpus = 0;
	r->local = 0;
	r->expected = 0;
	free_all(r);
}

static void on_signal(int sig)
{
	(void)sig;
	__atomic_store_n(&stopped, true, __ATOMIC_RELAXED);
}

/* A terminal shows the last report only. */
static void watch(struct report *r)
{
	struct sigaction action = { .sa_handler = on_signal };
	bool clear = isatty(STDOUT_FILENO) && format == FORMAT_TEXT;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	while (!__atomic_load_n(&stopped, __ATOMIC_RELAXED)) {
		if (clear)
			fputs("\033[H\033[2J", stdout);
		report_once(r);
		if (fail_count())
			return;
		sleep(watch_s);
	}
}

int main(int argc, char **argv)
{
	struct report r = { 0 };

	progname_set("ktrinfo");
	parse_options(&r, argc, argv);
	ktr_require();
	if (watch_s)
		watch(&r);
	else
		report_once(&r);
	idlist_free(&r.only);
	return fail_count() ? EXIT_FAILED : EXIT_OK;
}
