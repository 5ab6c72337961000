// SPDX-License-Identifier: GPL-2.0
#include "prom.h"

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_state(FILE *out, const struct ktr_state *state)
{
	enum ktr_mode mode;

	head(out, "ktrepl_state", "gauge", "Whether replication is in this state.");
	for (mode = KTR_ON; mode <= KTR_BROKEN; mode++)
		fprintf(out, "ktrepl_state{state=\"%s\"} %d\n", ktr_mode_name(mode),
			state->mode == mode);
	head(out, "ktrepl_toggles_total", "counter",
	     "How often replication was switched on or off.");
	fprintf(out, "ktrepl_toggles_total %llu\n", state->toggles);
	head(out, "ktrepl_diverged_total", "counter",
	     "How often a poke has found a replica that differs.");
	fprintf(out, "ktrepl_diverged_total %llu\n", state->diverged);
	head(out, "ktrepl_memory_limit_bytes", "gauge",
	     "What replication may use on a node, 0 for no limit.");
	fprintf(out, "ktrepl_memory_limit_bytes %llu\n", state->mem_max_kb << 10);
}

static void print_roots(FILE *out, const struct ktr_state *state)
{
	static const struct {
		enum ktr_root_counter counter;
		const char *name, *type, *help;
	} metrics[] = {
		{ KTR_ROOTS_LIVE, "ktrepl_roots_live", "gauge",
		  "Root tables that processes on two nodes have for one of them." },
		{ KTR_ROOTS_SPARE, "ktrepl_roots_spare", "gauge",
		  "Root tables that are kept for such processes." },
		{ KTR_ROOTS_RECLAIMED, "ktrepl_roots_reclaimed_total", "counter",
		  "Root tables that processes have given back." },
		{ KTR_ROOTS_MOVED, "ktrepl_roots_moved_total", "counter",
		  "Root tables that were led to another node, as the process had moved." },
	};
	size_t i;

	for (i = 0; state->has_roots && i < ARRAY_SIZE(metrics); i++) {
		head(out, metrics[i].name, metrics[i].type, metrics[i].help);
		fprintf(out, "%s %llu\n", metrics[i].name, state->roots[metrics[i].counter]);
	}
}

/* One metric of all nodes: some statistics, told apart by a label, or one. */
struct node_metric {
	const char *name, *type, *help, *label;
	struct node_value {
		enum ktr_stat stat;
		const char *value;
	} of[KTR_NR_STATS];
	size_t nr;
};

static const struct node_metric node_metrics[] = {
	{ "ktrepl_memory_bytes", "gauge", "Memory of a node that replication uses.", "kind", {
		{ KTR_RESIDENT, "image" },
		{ KTR_MODULE, "modules" },
		{ KTR_OBJECT, "objects" },
		{ KTR_PGTBLS, "page_tables" },
		{ KTR_SPARE, "spare" },
		{ KTR_RETIRED, "retired" },
	}, 6 },
	{ "ktrepl_allocation_failures_total", "counter",
	  "Memory of a node that replication could not get.", "kind", {
		{ KTR_PAGE_FAILURES, "page" },
		{ KTR_PGTBL_FAILURES, "page_table" },
	}, 2 },
	{ "ktrepl_pokes_total", "counter",
	  "Writes to kernel text that have reached a node's replicas.", NULL, {
		{ KTR_POKES, NULL },
	}, 1 },
	{ "ktrepl_copied_pages_total", "counter", "Pages that have been copied to a node.", NULL, {
		{ KTR_COPIED, NULL },
	}, 1 },
	{ "ktrepl_dropped_pages_total", "counter", "Replicas that a node has lost.", NULL, {
		{ KTR_DROPPED, NULL },
	}, 1 },
	{ "ktrepl_fallback_pages_total", "counter",
	  "Pages that a node has gone back to the original of.", NULL, {
		{ KTR_FALLBACKS, NULL },
	}, 1 },
	{ "ktrepl_roots_made_total", "counter",
	  "Root tables that processes have got for a node.", NULL, {
		{ KTR_NODE_ROOTS_MADE, NULL },
	}, 1 },
	{ "ktrepl_roots_missed_total", "counter",
	  "Switches to a process on a node that found no spare root table.", NULL, {
		{ KTR_NODE_ROOTS_MISSED, NULL },
	}, 1 },
	{ "ktrepl_missing_pages", "gauge",
	  "Pages that a node goes without a replica of, for lack of memory.", NULL, {
		{ KTR_MISSING, NULL },
	}, 1 },
	{ "ktrepl_stale_pages", "gauge",
	  "Pages that a node does not use its replica of, as the original has been writable.",
	  NULL, {
		{ KTR_STALE, NULL },
	}, 1 },
};

static void print_value(FILE *out, const struct node_metric *m, const struct node_value *of,
			const struct ktr_node_stats *node)
{
	fprintf(out, "%s{node=\"%d\"", m->name, node->nid);
	if (m->label)
		fprintf(out, ",%s=\"%s\"", m->label, of->value);
	fprintf(out, "} %llu\n", node->v[of->stat] << (ktr_stat_is_kb(of->stat) ? 10 : 0));
}

static bool wanted(const struct idlist *only, int nid)
{
	return !only || idlist_has(only, nid);
}

static void print_membership(FILE *out, const char *name, const char *help,
			     const struct idlist *list, const struct ktr_stats *stats,
			     const struct idlist *only)
{
	size_t i;

	head(out, name, "gauge", help);
	for (i = 0; i < stats->nr; i++)
		if (wanted(only, stats->node[i].nid))
			fprintf(out, "%s{node=\"%d\"} %d\n", name, stats->node[i].nid,
				idlist_has(list, stats->node[i].nid));
}

void prom_print(FILE *out, const struct ktr_state *state, const struct ktr_stats *stats,
		const struct idlist *only)
{
	const struct node_metric *m;
	size_t i, k, n;

	print_state(out, state);
	print_roots(out, state);
	print_membership(out, "ktrepl_node_takes_part", "Whether a node takes part in replication.",
			 &state->nodes, stats, only);
	print_membership(out, "ktrepl_node_has_original",
			 "Whether a node's memory holds the original, or parts of it.",
			 &state->primary, stats, only);
	for (i = 0; i < ARRAY_SIZE(node_metrics); i++) {
		m = &node_metrics[i];
		head(out, m->name, m->type, m->help);
		for (n = 0; n < stats->nr; n++)
			for (k = 0; k < m->nr && wanted(only, stats->node[n].nid); k++)
				print_value(out, m, &m->of[k], &stats->node[n]);
	}
}

int prom_write(const char *path, const struct ktr_state *state, const struct ktr_stats *stats,
	       const struct idlist *only)
{
	struct aside aside;
	int err = aside_open(&aside, path);

	if (err)
		return err;
	prom_print(aside.out, state, stats, only);
	return aside_commit(&aside);
}
