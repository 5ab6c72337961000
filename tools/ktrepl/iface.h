/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's debugfs interface of ktrepl, parsed.
 *
 * Each file is plain text, one record a line, the first words say its kind.
 * Records of an unknown kind are skipped: a newer kernel may have more of them.
 * Records of a known kind must be complete and make sense: what does not is
 * reported with file and line through fail(), and left out.
 *
 * The directory is /sys/kernel/debug/ktrepl or $KTREPL_DEBUGFS.
 */
#ifndef KTREPL_TOOLS_IFACE_H
#define KTREPL_TOOLS_IFACE_H

#include "common.h"

#define KTR_NO_NODE	(-1)

enum ktr_mode {
	KTR_ON,
	KTR_OFF,
	KTR_REFUSED,
	KTR_BROKEN,
};

enum ktr_root_counter {
	KTR_ROOTS_LIVE,
	KTR_ROOTS_SPARE,
	KTR_ROOTS_MADE,
	KTR_ROOTS_RECLAIMED,
	KTR_ROOTS_MISSED,
	KTR_ROOTS_MOVED,
	KTR_NR_ROOT_COUNTERS
};

struct ktr_state {
	enum ktr_mode mode;
	char *reason;			/* "-" when there is none */
	struct idlist nodes;		/* that take part */
	struct idlist primary;
	char *nodes_text, *primary_text;
	u64 mem_max_kb;
	u64 toggles;
	u64 diverged;			/* replicas that a poke has found to differ */
	bool has_roots;			/* built with CONFIG_KTREPL_ROOTS */
	u64 roots[KTR_NR_ROOT_COUNTERS];
};

enum ktr_stat {
	KTR_TOTAL,
	KTR_RESIDENT,
	KTR_MODULE,
	KTR_OBJECT,
	KTR_PGTBLS,
	KTR_SPARE,
	KTR_RETIRED,
	KTR_PAGE_FAILURES,
	KTR_PGTBL_FAILURES,
	KTR_POKES,
	KTR_COPIED,
	KTR_DROPPED,
	KTR_FALLBACKS,
	KTR_NODE_ROOTS_MADE,
	KTR_NODE_ROOTS_MISSED,
	KTR_MISSING,
	KTR_STALE,
	KTR_NR_STATS
};

struct ktr_node_stats {
	int nid;
	unsigned int seen;		/* bit per enum ktr_stat */
	u64 v[KTR_NR_STATS];
};

struct ktr_stats {
	struct ktr_node_stats *node;	/* ascending nid */
	size_t nr;
};

enum ktr_kind {
	KTR_TEXT,
	KTR_RODATA,
	KTR_NR_KINDS
};

struct ktr_translation {
	int nid;			/* whose page tables */
	enum ktr_kind kind;
	u64 va_first, va_last, pa_first, pa_last, kb;
	int mem_nid;			/* where the memory is */
};

struct ktr_translations {
	struct ktr_translation *t;	/* in the kernel's order */
	size_t nr;
};

struct ktr_cpu {
	int cpu, nid, expect, text, rodata, root;
	bool walk_ok;
};

struct ktr_where {
	struct ktr_cpu *cpu;
	size_t nr;
	bool has_healed, healed;
};

struct ktr_difference {
	char *set;
	int nid;
	u64 va;
};

struct ktr_verify {
	bool seen;
	u64 compared, different;
	struct ktr_difference *d;	/* the first few */
	size_t nr;
};

/* Bytes on each node: "0:16384,1:4096", or "-" for none. */
struct ktr_amounts {
	struct ktr_amount {
		int nid;
		u64 bytes;
	} *a;
	size_t nr;
};

/* A range of memory that modules, or others who make code, have got. */
struct ktr_area {
	char *name;			/* the module's, or bpf, ftrace, ... */
	char *kind;
	u64 first, last;
	u64 bytes;			/* read-only or executable */
	struct ktr_amounts originals, copies;
};

struct ktr_modules {
	bool seen, on;			/* the policy, ktrepl.modules= */
	struct ktr_area *area;		/* by name; what is no module is last */
	size_t nr;
};

/* Ends the program with EXIT_UNAVAILABLE and advice if there is no interface. */
void ktr_require(void);
bool ktr_available(void);
const char *ktr_dir(void);

/* Waits until modules have the replicas that they are to have. 0 or -errno. */
int ktr_wait_replicas(void);

/*
 * Each reads one file anew. They return 0, -EBADMSG after complaining about
 * records, or another negative errno if the file cannot be read.
 */
int ktr_read_state(struct ktr_state *state);
int ktr_read_stats(struct ktr_stats *stats);
int ktr_read_translations(struct ktr_translations *tr);
int ktr_read_where(struct ktr_where *where);
int ktr_read_verify(struct ktr_verify *verify);
/* The kernel finishes all pending copying first. */
int ktr_read_modules(struct ktr_modules *modules);

void ktr_free_state(struct ktr_state *state);
void ktr_free_stats(struct ktr_stats *stats);
void ktr_free_translations(struct ktr_translations *tr);
void ktr_free_where(struct ktr_where *where);
void ktr_free_verify(struct ktr_verify *verify);
void ktr_free_modules(struct ktr_modules *modules);

bool ktr_parse_amounts(const char *s, struct ktr_amounts *list);
void ktr_free_amounts(struct ktr_amounts *list);
/* What is on that node; 0 if it is not listed. */
u64 ktr_amount(const struct ktr_amounts *list, int nid);

/* Checks that go through fail(); @only, if not NULL, limits them to its nodes. */
void ktr_check_totals(const struct ktr_stats *stats, const struct idlist *only);
void ktr_check_sizes(const struct ktr_translations *tr,
		     const struct idlist *only);
void ktr_check_cpu(const struct ktr_cpu *cpu);
void ktr_check_modules(const struct ktr_modules *modules,
		       const struct ktr_stats *stats,
		       const struct idlist *only);
/* Do the areas hold what the statistics say? Both may change between reads. */
bool ktr_modules_agree(const struct ktr_modules *modules,
		       const struct ktr_stats *stats,
		       const struct idlist *only);
bool ktr_stats_idle(const struct ktr_stats *stats);
/* On, and some node that takes part does not hold the primary itself. */
bool ktr_replicas_due(const struct ktr_state *state);

const char *ktr_mode_name(enum ktr_mode mode);
const char *ktr_stat_name(enum ktr_stat stat);
bool ktr_stat_is_kb(enum ktr_stat stat);
const char *ktr_kind_name(enum ktr_kind kind);
const char *ktr_root_counter_name(enum ktr_root_counter counter);

void ktr_json_state(const struct ktr_state *state);

#endif /* KTREPL_TOOLS_IFACE_H */
