// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's debugfs interface of ktrepl: reading, parsing, checking.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "iface.h"

/* === Names =============================================================== */

static const char * const mode_names[] = {
	[KTR_ON]	= "on",
	[KTR_OFF]	= "off",
	[KTR_REFUSED]	= "refused",
	[KTR_BROKEN]	= "broken",
};

static const char * const root_names[KTR_NR_ROOT_COUNTERS] = {
	[KTR_ROOTS_LIVE]	= "roots_live",
	[KTR_ROOTS_SPARE]	= "roots_spare",
	[KTR_ROOTS_MADE]	= "roots_made",
	[KTR_ROOTS_RECLAIMED]	= "roots_reclaimed",
	[KTR_ROOTS_MISSED]	= "roots_missed",
	[KTR_ROOTS_MOVED]	= "roots_moved",
};

static const struct {
	const char *name;
	bool kb, part;		/* in kB; a part of the total */
} stat_info[KTR_NR_STATS] = {
	[KTR_TOTAL]		= { "total_repli_pages", true, false },
	[KTR_RESIDENT]		= { "repli_resident_pages", true, true },
	[KTR_MODULE]		= { "repli_module_pages", true, true },
	[KTR_OBJECT]		= { "repli_object_pages", true, true },
	[KTR_PGTBLS]		= { "repli_pgtbls", true, true },
	[KTR_SPARE]		= { "repli_spare_pages", true, true },
	[KTR_RETIRED]		= { "repli_retired_pages", true, true },
	[KTR_PAGE_FAILURES]	= { "page_alloc_failures", false, false },
	[KTR_PGTBL_FAILURES]	= { "pagetbl_alloc_failures", false, false },
	[KTR_POKES]		= { "pokes", false, false },
	[KTR_COPIED]		= { "copied_pages", false, false },
	[KTR_DROPPED]		= { "dropped_pages", false, false },
	[KTR_FALLBACKS]		= { "fallback_pages", false, false },
	[KTR_NODE_ROOTS_MADE]	= { "roots_made", false, false },
	[KTR_NODE_ROOTS_MISSED]	= { "roots_missed", false, false },
	[KTR_MISSING]		= { "missing_pages", false, false },
	[KTR_STALE]		= { "stale_pages", false, false },
};

static const char * const kind_names[KTR_NR_KINDS] = {
	[KTR_TEXT]	= "text",
	[KTR_RODATA]	= "rodata",
};

/* Areas of these names are no modules; reports end with them. */
static const char * const code_names[] = {
	"bpf", "ftrace", "kprobes",
};

const char *ktr_mode_name(enum ktr_mode mode)
{
	return mode_names[mode];
}

const char *ktr_stat_name(enum ktr_stat stat)
{
	return stat_info[stat].name;
}

bool ktr_stat_is_kb(enum ktr_stat stat)
{
	return stat_info[stat].kb;
}

const char *ktr_kind_name(enum ktr_kind kind)
{
	return kind_names[kind];
}

const char *ktr_root_counter_name(enum ktr_root_counter counter)
{
	return root_names[counter];
}

static int name_index(const char * const *names, size_t nr, const char *s)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (!strcmp(names[i], s))
			return i;
	}
	return -1;
}

/* === Is it there? ======================================================== */

#define DEBUGFS_MOUNT	"/sys/kernel/debug"

const char *ktr_dir(void)
{
	const char *dir = getenv("KTREPL_DEBUGFS");

	return dir && *dir ? dir : DEBUGFS_MOUNT "/ktrepl";
}

static char *iface_path(const char *file)
{
	return xasprintf("%s/%s", ktr_dir(), file);
}

int ktr_wait_replicas(void)
{
	char *path = iface_path("modules");
	int fd = open(path, O_RDONLY), err = fd < 0 ? -errno : 0;

	if (!err)
		close(fd);
	free(path);
	return err;
}

bool ktr_available(void)
{
	char *path = iface_path("state");
	bool ok = !access(path, R_OK);

	free(path);
	return ok;
}

static void __noreturn die_denied(const char *path)
{
	if (geteuid())
		die(EXIT_UNAVAILABLE, "%s: permission denied: run as root",
		    path);
	die(EXIT_UNAVAILABLE,
	    "%s: permission denied although root: is the kernel locked down? (see /sys/kernel/security/lockdown)",
	    path);
}

static bool debugfs_mounted(void)
{
	struct statfs fs;

	return !statfs(DEBUGFS_MOUNT, &fs) &&
	       (unsigned long)fs.f_type == DEBUGFS_MAGIC;
}

void ktr_require(void)
{
	const char *dir = ktr_dir();
	struct stat st;

	if (ktr_available())
		return;
	if (errno == EACCES || errno == EPERM)
		die_denied(dir);
	if (getenv("KTREPL_DEBUGFS"))
		die(EXIT_UNAVAILABLE, "%s/state: %s (KTREPL_DEBUGFS is set)",
		    dir, strerror(errno));
	if (!debugfs_mounted())
		die(EXIT_UNAVAILABLE,
		    "debugfs is not mounted: mount -t debugfs none "
		    DEBUGFS_MOUNT);
	if (stat(dir, &st))
		die(EXIT_UNAVAILABLE,
		    "this kernel has no ktrepl: no %s (build it with CONFIG_KTREPL=y)",
		    dir);
	die(EXIT_UNAVAILABLE, "%s/state: %s", dir, strerror(errno));
}

/* === Records ============================================================= */

/* One line being parsed: where it stands, for messages, and its words. */
struct record {
	const char *file;
	unsigned int line;
	const char *text;
	struct words words;
	bool bad;
};

typedef void (*record_fn)(struct record *rec, void *result);

static void bad_record(struct record *rec, const char *why)
{
	if (!rec->bad)
		fail("%s line %u: %s: '%s'", rec->file, rec->line, why,
		     rec->text);
	rec->bad = true;
}

static const char *word(struct record *rec, size_t i)
{
	if (i < rec->words.nr)
		return rec->words.w[i];
	bad_record(rec, "truncated record");
	return "";
}

static bool is(struct record *rec, const char *kind)
{
	return !strcmp(rec->words.w[0], kind);
}

static u64 word_u64(struct record *rec, size_t i)
{
	const char *s = word(rec, i);
	u64 v = 0;

	if (!rec->bad && !parse_u64(s, 10, &v))
		bad_record(rec, "not a number where one is due");
	return v;
}

static u64 word_hex(struct record *rec, size_t i)
{
	const char *s = word(rec, i);
	u64 v = 0;

	if (!rec->bad && !parse_u64(s, 16, &v))
		bad_record(rec, "not an address where one is due");
	return v;
}

/* A node or CPU number. */
static int word_id(struct record *rec, size_t i)
{
	const char *s = word(rec, i);
	int v = KTR_NO_NODE;

	if (!rec->bad && !parse_int(s, &v))
		bad_record(rec, "not a node or CPU number where one is due");
	return v;
}

/* A node that may be unknown: "-1". */
static int word_nid(struct record *rec, size_t i)
{
	if (!strcmp(word(rec, i), "-1"))
		return KTR_NO_NODE;
	return word_id(rec, i);
}

static void word_expect(struct record *rec, size_t i, const char *what)
{
	const char *s = word(rec, i);

	if (!rec->bad && strcmp(s, what))
		bad_record(rec, "garbled record");
}

static bool word_choice(struct record *rec, size_t i, const char *yes,
			const char *no)
{
	const char *s = word(rec, i);

	if (!rec->bad && strcmp(s, yes) && strcmp(s, no))
		bad_record(rec, "garbled record");
	return !strcmp(s, yes);
}

static bool parse_line(const char *file, unsigned int nr, char *line,
		       record_fn fn, void *result)
{
	struct record rec = { .file = file, .line = nr };
	char *text = xstrdup(line);

	rec.text = text;
	words_split(line, &rec.words);
	if (rec.words.nr)
		fn(&rec, result);
	words_free(&rec.words);
	free(text);
	return !rec.bad;
}

static int parse_file(const char *file, record_fn fn, void *result)
{
	unsigned int nr = 0;
	char *path = iface_path(file);
	size_t len = 0;
	char *buf = read_text(path, &len);
	char *rest = buf, *line;
	int ret = buf ? 0 : -errno;

	free(path);
	if (!buf)
		return ret;
	if (strlen(buf) != len) {
		fail("%s: not text", file);
		ret = -EBADMSG;
	}
	if (len && buf[len - 1] != '\n') {
		fail("%s: truncated: the last line does not end", file);
		ret = -EBADMSG;
	}
	while ((line = strsep(&rest, "\n"))) {
		if (!parse_line(file, ++nr, line, fn, result))
			ret = -EBADMSG;
	}
	free(buf);
	return ret;
}

static int missing(const char *file, const char *what)
{
	fail("%s: no '%s' record", file, what);
	return -EBADMSG;
}

/* === state =============================================================== */

struct state_parse {
	struct ktr_state *state;
	bool seen;
};

static void state_list(struct record *rec, struct idlist *list, char **text)
{
	const char *s = rec->words.nr > 1 ? word(rec, 1) : "-";

	if (*text)
		bad_record(rec, "said twice");
	else if (!idlist_parse(s, list))
		bad_record(rec, "not a list of nodes");
	else
		*text = xstrdup(s);
}

static void state_record(struct record *rec, void *result)
{
	struct state_parse *p = result;
	struct ktr_state *state = p->state;
	const char *arg;
	int i;

	if (is(rec, "state")) {
		i = name_index(mode_names, ARRAY_SIZE(mode_names),
			       word(rec, 1));
		if (i < 0)
			bad_record(rec, "unknown state");
		else
			state->mode = i;
		p->seen = i >= 0;
	} else if (is(rec, "reason")) {
		arg = rec->text + strlen("reason");
		free(state->reason);
		state->reason = xstrdup(arg + strspn(arg, " \t"));
	} else if (is(rec, "nodes")) {
		state_list(rec, &state->nodes, &state->nodes_text);
	} else if (is(rec, "primary")) {
		state_list(rec, &state->primary, &state->primary_text);
	} else if (is(rec, "mem_max_kb")) {
		state->mem_max_kb = word_u64(rec, 1);
	} else if (is(rec, "toggles")) {
		state->toggles = word_u64(rec, 1);
	} else if (is(rec, "diverged")) {
		state->diverged = word_u64(rec, 1);
	} else {
		i = name_index(root_names, KTR_NR_ROOT_COUNTERS,
			       rec->words.w[0]);
		if (i < 0)
			return;
		state->roots[i] = word_u64(rec, 1);
		state->has_roots = true;
	}
}

static void default_text(char **text)
{
	if (*text && **text)
		return;
	free(*text);
	*text = xstrdup("-");
}

int ktr_read_state(struct ktr_state *state)
{
	struct state_parse p = { .state = state };
	int ret;

	memset(state, 0, sizeof(*state));
	ret = parse_file("state", state_record, &p);
	if (!ret && !p.seen)
		ret = missing("state", "state");
	if (!ret && !state->nodes_text)
		ret = missing("state", "nodes");
	if (!ret && !state->primary_text)
		ret = missing("state", "primary");
	default_text(&state->reason);
	default_text(&state->nodes_text);
	default_text(&state->primary_text);
	return ret;
}

void ktr_free_state(struct ktr_state *state)
{
	free(state->reason);
	free(state->nodes_text);
	free(state->primary_text);
	idlist_free(&state->nodes);
	idlist_free(&state->primary);
}

bool ktr_replicas_due(const struct ktr_state *state)
{
	size_t i;
	int nid;

	for (i = 0; (nid = idlist_nth(&state->nodes, i)) >= 0; i++) {
		if (!idlist_has(&state->primary, nid))
			return state->mode == KTR_ON;
	}
	return false;
}

void ktr_json_state(const struct ktr_state *state)
{
	int i;

	json_open("state", '{');
	json_str("state", ktr_mode_name(state->mode));
	json_str("reason", state->reason);
	json_str("nodes", state->nodes_text);
	json_str("primary", state->primary_text);
	json_u64("mem_max_kb", state->mem_max_kb);
	json_u64("toggles", state->toggles);
	json_u64("diverged", state->diverged);
	for (i = 0; state->has_roots && i < KTR_NR_ROOT_COUNTERS; i++)
		json_u64(root_names[i], state->roots[i]);
	json_close('}');
}

/* === stats =============================================================== */

static struct ktr_node_stats *stats_node(struct ktr_stats *stats, int nid)
{
	size_t i;

	for (i = 0; i < stats->nr; i++) {
		if (stats->node[i].nid == nid)
			return &stats->node[i];
	}
	stats->node = xgrow(stats->node, stats->nr, sizeof(*stats->node));
	memset(&stats->node[i], 0, sizeof(stats->node[i]));
	stats->node[i].nid = nid;
	stats->nr++;
	return &stats->node[i];
}

/* Where replication is refused there are no nodes. */
static int missing_node(const char *file)
{
	struct ktr_state state;
	bool refused = !ktr_read_state(&state) && state.mode == KTR_REFUSED;

	ktr_free_state(&state);
	return refused ? 0 : missing(file, "node");
}

static void stats_record(struct record *rec, void *result)
{
	struct ktr_node_stats *node;
	const char *name;
	int i, nid;
	u64 v;

	if (!is(rec, "node"))
		return;
	nid = word_id(rec, 1);
	name = word(rec, 2);
	for (i = 0; i < KTR_NR_STATS && strcmp(stat_info[i].name, name); i++)
		;
	if (rec->bad || i == KTR_NR_STATS)
		return;
	v = word_u64(rec, 3);
	if (rec->bad)
		return;
	node = stats_node(result, nid);
	if (node->seen & (1u << i))
		bad_record(rec, "said twice");
	node->seen |= 1u << i;
	node->v[i] = v;
}

static int stats_compare(const void *a, const void *b)
{
	const struct ktr_node_stats *x = a, *y = b;

	return (x->nid > y->nid) - (x->nid < y->nid);
}

int ktr_read_stats(struct ktr_stats *stats)
{
	size_t n;
	int i, ret;

	memset(stats, 0, sizeof(*stats));
	ret = parse_file("stats", stats_record, stats);
	if (ret)
		return ret;
	if (!stats->nr)
		return missing_node("stats");
	qsort(stats->node, stats->nr, sizeof(*stats->node), stats_compare);
	for (n = 0; n < stats->nr; n++) {
		for (i = 0; i < KTR_NR_STATS; i++) {
			if (stats->node[n].seen & (1u << i))
				continue;
			fail("stats: node %d: no %s", stats->node[n].nid,
			     stat_info[i].name);
			ret = -EBADMSG;
		}
	}
	return ret;
}

void ktr_free_stats(struct ktr_stats *stats)
{
	free(stats->node);
}

void ktr_check_totals(const struct ktr_stats *stats, const struct idlist *only)
{
	const struct ktr_node_stats *node;
	size_t n;
	u64 sum;
	int i;

	for (n = 0; n < stats->nr; n++) {
		node = &stats->node[n];
		if (only && !idlist_has(only, node->nid))
			continue;
		for (sum = 0, i = 0; i < KTR_NR_STATS; i++)
			sum += stat_info[i].part ? node->v[i] : 0;
		if (sum != node->v[KTR_TOTAL])
			fail("node %d: total_repli_pages is %llu kB, the sum of its parts %llu kB",
			     node->nid, node->v[KTR_TOTAL], sum);
	}
}

/* Does no node hold any memory for replication? */
bool ktr_stats_idle(const struct ktr_stats *stats)
{
	size_t n;
	int i;

	for (n = 0; n < stats->nr; n++) {
		for (i = 0; i < KTR_NR_STATS; i++) {
			if (stat_info[i].kb && stats->node[n].v[i])
				return false;
		}
	}
	return true;
}

/* === translations ======================================================== */

static void translation_check(struct record *rec, struct ktr_translation *t)
{
	if (rec->bad)
		return;
	if (t->va_last < t->va_first || t->pa_last < t->pa_first)
		bad_record(rec, "range ends before it starts");
	else if (t->va_last - t->va_first != t->pa_last - t->pa_first)
		bad_record(rec, "virtual and physical range differ in size");
	else if ((t->va_last - t->va_first) / 1024 + 1 != t->kb)
		bad_record(rec, "size is not that of the range");
}

static void translation_record(struct record *rec, void *result)
{
	struct ktr_translations *tr = result;
	struct ktr_translation t = { 0 };
	int kind;

	if (!is(rec, "node"))
		return;
	t.nid = word_id(rec, 1);
	kind = name_index(kind_names, KTR_NR_KINDS, word(rec, 2));
	if (rec->bad || kind < 0)
		return;
	t.kind = kind;
	t.va_first = word_hex(rec, 3);
	t.va_last = word_hex(rec, 4);
	t.pa_first = word_hex(rec, 5);
	t.pa_last = word_hex(rec, 6);
	t.kb = word_u64(rec, 7);
	t.mem_nid = word_nid(rec, 8);
	translation_check(rec, &t);
	if (rec->bad)
		return;
	tr->t = xgrow(tr->t, tr->nr, sizeof(*tr->t));
	tr->t[tr->nr++] = t;
}

int ktr_read_translations(struct ktr_translations *tr)
{
	int ret;

	memset(tr, 0, sizeof(*tr));
	ret = parse_file("translations", translation_record, tr);
	if (!ret && !tr->nr)
		return missing_node("translations");
	return ret;
}

void ktr_free_translations(struct ktr_translations *tr)
{
	free(tr->t);
}

static u64 translated_kb(const struct ktr_translations *tr, int nid,
			 enum ktr_kind kind)
{
	u64 sum = 0;
	size_t i;

	for (i = 0; i < tr->nr; i++) {
		if (tr->t[i].nid == nid && tr->t[i].kind == kind)
			sum += tr->t[i].kb;
	}
	return sum;
}

/* Every node maps the same text and the same read-only data. */
void ktr_check_sizes(const struct ktr_translations *tr,
		     const struct idlist *only)
{
	const struct ktr_translation *t;
	int kind, last = KTR_NO_NODE;
	u64 first, here;
	size_t i;

	for (i = 0; i < tr->nr; i++) {
		t = &tr->t[i];
		if (t->nid == last || (only && !idlist_has(only, t->nid)))
			continue;
		last = t->nid;
		for (kind = 0; kind < KTR_NR_KINDS; kind++) {
			first = translated_kb(tr, tr->t[0].nid, kind);
			here = translated_kb(tr, t->nid, kind);
			if (here != first)
				fail("node %d maps %llu kB of %s, node %d %llu kB",
				     t->nid, here, kind_names[kind],
				     tr->t[0].nid, first);
		}
	}
}

/* === where =============================================================== */

static void where_record(struct record *rec, void *result)
{
	struct ktr_where *where = result;
	struct ktr_cpu cpu;
	size_t i;

	if (is(rec, "healed")) {
		where->healed = word_choice(rec, 1, "yes", "no");
		where->has_healed = true;
	}
	if (!is(rec, "cpu"))
		return;
	cpu.cpu = word_id(rec, 1);
	word_expect(rec, 2, "node");
	cpu.nid = word_nid(rec, 3);
	word_expect(rec, 4, "expect");
	cpu.expect = word_nid(rec, 5);
	word_expect(rec, 6, "text");
	cpu.text = word_nid(rec, 7);
	word_expect(rec, 8, "rodata");
	cpu.rodata = word_nid(rec, 9);
	word_expect(rec, 10, "root");
	cpu.root = word_nid(rec, 11);
	word_expect(rec, 12, "walk");
	cpu.walk_ok = word_choice(rec, 13, "ok", "bad");
	for (i = 0; i < where->nr; i++) {
		if (where->cpu[i].cpu == cpu.cpu)
			bad_record(rec, "said twice");
	}
	if (rec->bad)
		return;
	where->cpu = xgrow(where->cpu, where->nr, sizeof(*where->cpu));
	where->cpu[where->nr++] = cpu;
}

int ktr_read_where(struct ktr_where *where)
{
	memset(where, 0, sizeof(*where));
	return parse_file("locality", where_record, where);
}

void ktr_free_where(struct ktr_where *where)
{
	free(where->cpu);
}

void ktr_check_cpu(const struct ktr_cpu *cpu)
{
	if (cpu->text != cpu->expect || cpu->text == KTR_NO_NODE)
		fail("cpu %d executes text of node %d, expected node %d",
		     cpu->cpu, cpu->text, cpu->expect);
	if (cpu->rodata != cpu->expect || cpu->rodata == KTR_NO_NODE)
		fail("cpu %d reads read-only data of node %d, expected node %d",
		     cpu->cpu, cpu->rodata, cpu->expect);
	if (!cpu->walk_ok)
		fail("cpu %d: the page tables do not lead where they should",
		     cpu->cpu);
}

/* === verify ============================================================== */

static void verify_record(struct record *rec, void *result)
{
	struct ktr_verify *verify = result;
	struct ktr_difference d;

	if (is(rec, "verify")) {
		verify->compared = word_u64(rec, 1);
		verify->different = word_u64(rec, 2);
		if (verify->seen)
			bad_record(rec, "said twice");
		if (!rec->bad && verify->different > verify->compared)
			bad_record(rec, "more pages differ than were compared");
		verify->seen = true;
	}
	if (!is(rec, "different"))
		return;
	word(rec, 1);
	d.nid = word_nid(rec, 2);
	d.va = word_hex(rec, 3);
	if (rec->bad)
		return;
	d.set = xstrdup(word(rec, 1));
	verify->d = xgrow(verify->d, verify->nr, sizeof(*verify->d));
	verify->d[verify->nr++] = d;
}

int ktr_read_verify(struct ktr_verify *verify)
{
	int ret;

	memset(verify, 0, sizeof(*verify));
	ret = parse_file("verify", verify_record, verify);
	if (!ret && !verify->seen)
		return missing("verify", "verify");
	if (!ret && !!verify->nr != !!verify->different) {
		fail("verify: %llu pages differ but %zu are listed",
		     verify->different, verify->nr);
		return -EBADMSG;
	}
	return ret;
}

void ktr_free_verify(struct ktr_verify *verify)
{
	size_t i;

	for (i = 0; i < verify->nr; i++)
		free(verify->d[i].set);
	free(verify->d);
}

/* === modules ============================================================= */

u64 ktr_amount(const struct ktr_amounts *list, int nid)
{
	size_t i;

	for (i = 0; i < list->nr; i++) {
		if (list->a[i].nid == nid)
			return list->a[i].bytes;
	}
	return 0;
}

void ktr_free_amounts(struct ktr_amounts *list)
{
	free(list->a);
	list->a = NULL;
	list->nr = 0;
}

static bool amount_parse(char *s, struct ktr_amounts *list)
{
	struct ktr_amount amount;
	char *bytes = strchr(s, ':');
	size_t i;

	if (!bytes)
		return false;
	*bytes++ = '\0';
	if (!parse_int(s, &amount.nid) || !parse_u64(bytes, 10, &amount.bytes))
		return false;
	for (i = 0; i < list->nr; i++) {
		if (list->a[i].nid == amount.nid)
			return false;
	}
	list->a = xgrow(list->a, list->nr, sizeof(*list->a));
	list->a[list->nr++] = amount;
	return true;
}

bool ktr_parse_amounts(const char *s, struct ktr_amounts *list)
{
	char *copy = xstrdup(s);
	char *rest = copy, *item;
	bool ok = true;

	list->a = NULL;
	list->nr = 0;
	if (!strcmp(s, "-"))
		rest = NULL;
	while (ok && (item = strsep(&rest, ",")))
		ok = amount_parse(item, list);
	free(copy);
	if (!ok)
		ktr_free_amounts(list);
	return ok;
}

static struct ktr_amounts word_amounts(struct record *rec, size_t i)
{
	struct ktr_amounts list = { 0 };
	const char *s = word(rec, i);

	if (!rec->bad && !ktr_parse_amounts(s, &list))
		bad_record(rec, "not a list of nodes with bytes");
	return list;
}

static void area_check(struct record *rec, const struct ktr_area *area)
{
	const struct ktr_amount *copy;
	u64 sum = 0;
	size_t i;

	if (rec->bad)
		return;
	for (i = 0; i < area->originals.nr; i++)
		sum += area->originals.a[i].bytes;
	if (area->last < area->first)
		bad_record(rec, "range ends before it starts");
	else if (area->bytes && area->bytes - 1 > area->last - area->first)
		bad_record(rec, "more bytes than the range has");
	else if (sum != area->bytes)
		bad_record(rec, "originals do not add up to the bytes");
	for (i = 0; i < area->copies.nr; i++) {
		copy = &area->copies.a[i];
		if (copy->bytes > area->bytes -
				  ktr_amount(&area->originals, copy->nid))
			bad_record(rec, "more replicas than originals elsewhere");
	}
}

static void free_area(struct ktr_area *area)
{
	free(area->name);
	free(area->kind);
	ktr_free_amounts(&area->originals);
	ktr_free_amounts(&area->copies);
}

static void modules_record(struct record *rec, void *result)
{
	struct ktr_modules *modules = result;
	struct ktr_area area = { 0 };

	if (is(rec, "modules")) {
		if (modules->seen)
			bad_record(rec, "said twice");
		modules->on = word_choice(rec, 1, "on", "off");
		modules->seen = true;
	}
	if (!is(rec, "area"))
		return;
	area.name = xstrdup(word(rec, 1));
	area.kind = xstrdup(word(rec, 2));
	area.first = word_hex(rec, 3);
	area.last = word_hex(rec, 4);
	area.bytes = word_u64(rec, 5);
	area.originals = word_amounts(rec, 6);
	area.copies = word_amounts(rec, 7);
	area_check(rec, &area);
	if (rec->bad) {
		free_area(&area);
		return;
	}
	modules->area = xgrow(modules->area, modules->nr,
			      sizeof(*modules->area));
	modules->area[modules->nr++] = area;
}

static int area_compare(const void *a, const void *b)
{
	const struct ktr_area *x = a, *y = b;
	int i = name_index(code_names, ARRAY_SIZE(code_names), x->name);
	int k = name_index(code_names, ARRAY_SIZE(code_names), y->name);

	if (i != k)
		return i - k;
	return strcmp(x->name, y->name);
}

int ktr_read_modules(struct ktr_modules *modules)
{
	int ret;

	memset(modules, 0, sizeof(*modules));
	ret = parse_file("modules", modules_record, modules);
	if (!ret && !modules->seen)
		ret = missing("modules", "modules");
	if (modules->nr)
		qsort(modules->area, modules->nr, sizeof(*modules->area),
		      area_compare);
	return ret;
}

void ktr_free_modules(struct ktr_modules *modules)
{
	size_t i;

	for (i = 0; i < modules->nr; i++)
		free_area(&modules->area[i]);
	free(modules->area);
}

static u64 copied_kb(const struct ktr_modules *modules, int nid)
{
	u64 sum = 0;
	size_t i;

	for (i = 0; i < modules->nr; i++)
		sum += ktr_amount(&modules->area[i].copies, nid);
	return sum / 1024;
}

static bool node_agrees(const struct ktr_modules *modules,
			const struct ktr_node_stats *node,
			const struct idlist *only)
{
	return (only && !idlist_has(only, node->nid)) ||
	       copied_kb(modules, node->nid) == node->v[KTR_MODULE];
}

static void check_amounts(const char *name, const struct ktr_amounts *list,
			  const struct ktr_stats *stats)
{
	size_t i, n;

	for (i = 0; i < list->nr; i++) {
		for (n = 0; n < stats->nr; n++) {
			if (stats->node[n].nid == list->a[i].nid)
				break;
		}
		if (n == stats->nr)
			fail("modules: %s: node %d has no statistics", name,
			     list->a[i].nid);
	}
}

void ktr_check_modules(const struct ktr_modules *modules,
		       const struct ktr_stats *stats,
		       const struct idlist *only)
{
	const struct ktr_node_stats *node;
	size_t i;

	for (i = 0; i < modules->nr; i++) {
		check_amounts(modules->area[i].name,
			      &modules->area[i].originals, stats);
		check_amounts(modules->area[i].name, &modules->area[i].copies,
			      stats);
	}
	for (i = 0; i < stats->nr; i++) {
		node = &stats->node[i];
		if (!node_agrees(modules, node, only))
			fail("node %d: repli_module_pages is %llu kB, the listed replicas %llu kB",
			     node->nid, node->v[KTR_MODULE],
			     copied_kb(modules, node->nid));
	}
}

bool ktr_modules_agree(const struct ktr_modules *modules,
		       const struct ktr_stats *stats,
		       const struct idlist *only)
{
	size_t i;

	for (i = 0; i < stats->nr; i++) {
		if (!node_agrees(modules, &stats->node[i], only))
			return false;
	}
	return true;
}
