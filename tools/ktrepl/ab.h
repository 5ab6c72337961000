/* SPDX-License-Identifier: GPL-2.0 */
/* Private to ktrepl-ab: what was measured, and what to make of it. */
#ifndef KTREPL_TOOLS_AB_H
#define KTREPL_TOOLS_AB_H

#include "common.h"

/* === Measurements ======================================================== */

/* Where fetches that left the CPU's caches were served. */
enum ab_count {
	AB_ALL,			/* lines from beyond the last cache */
	AB_LOCAL,		/* of these, from this node's memory */
	AB_REMOTE,		/* of these, from another node */
	AB_NR_COUNTS
};

/* The registers of an IBS fetch sample, as the kernel hands them out. */
struct ab_ibs {
	u64 ctl, linear, physical;
};

/* A stretch of samples with replication off, or on. */
struct ab_slot {
	bool on;
	u64 samples, ns;	/* all of the load's time */
	double median;		/* ns of a call */
	bool counted[AB_NR_COUNTS];
	u64 count[AB_NR_COUNTS];
	struct ab_ibs *ibs;
	size_t nr_ibs;
};

#define AB_SLOTS	4	/* of a round: off, on, on, off */

static inline bool ab_slot_is_on(size_t i)
{
	return i % AB_SLOTS == 1 || i % AB_SLOTS == 2;
}

/* Physical memory of a node. */
struct ab_memory {
	int nid;
	u64 first, last;
};

enum ab_vendor {
	AB_NONE,
	AB_INTEL,
	AB_AMD,
	AB_ARM64,
	AB_NR_VENDORS
};

struct ab_run {
	enum ab_vendor vendor;
	char *cpu_model, *load;
	int cpu, nid;
	char *event[AB_NR_COUNTS];	/* NULL where there is none */
	struct ab_memory *memory;
	size_t nr_memory;
	struct ab_slot *slot;		/* AB_SLOTS for each round */
	size_t nr;
};

const char *ab_vendor_name(enum ab_vendor vendor);
const char *ab_count_name(enum ab_count count);
void ab_run_free(struct ab_run *run);

/* === ab-stats.c ========================================================== */

enum ab_verdict {
	AB_HELPS,
	AB_NO_EFFECT,
	AB_HURTS,
	AB_NOISY,
	AB_NR_VERDICTS
};

struct ab_interval {
	double low, median, high;
	double confidence;		/* really reached */
};

struct ab_result {
	double off, on;			/* medians, ns */
	struct ab_interval effect;	/* (on - off) / off */
	enum ab_verdict verdict;
	u64 rounds_needed;		/* for AB_NOISY; 0: more than is worth it */
};

/* Sorts @v. */
double ab_median(double *v, size_t n);
/* Of the median of @n values between the @k-th from below and from above. */
double ab_order_confidence(size_t n, size_t k);
/* Sorts @v. */
struct ab_interval ab_interval(double *v, size_t n, double confidence);
enum ab_verdict ab_judge(const struct ab_interval *effect, double threshold);
u64 ab_rounds_needed(const struct ab_interval *effect, size_t n,
		     double threshold, double confidence);
struct ab_result ab_evaluate(const struct ab_run *run, double threshold,
			     double confidence);
const char *ab_verdict_name(enum ab_verdict verdict);

/* === ab-perf.c =========================================================== */

enum ab_support {
	AB_NOTHING,			/* no counters */
	AB_TOO_FEW,
	AB_UNDECIDED,
	AB_SUPPORTS,
	AB_DOES_NOT_EXPLAIN,
};

/* What the counters say of one mode. */
struct ab_share {
	u64 all, remote;		/* lines, or samples */
	double lines_per_ms;
	double latency;			/* IBS: median of cycles, 0: unknown */
};

struct ab_evidence {
	bool from_ibs;
	struct ab_share off, on;
	enum ab_support support;
};

/* The events of @cpu_model, or a reason why there are none. */
enum ab_vendor ab_cpu_identify(char **cpu_model);
bool ab_events_known(enum ab_vendor vendor, const char *cpu_model);
/* Sets the run's vendor, model, events and memory; a line if there is nothing. */
char *ab_perf_open(struct ab_run *run, const struct idlist *cpus);
void ab_perf_start(void);
void ab_perf_stop(struct ab_slot *slot);

bool ab_ibs_is_fill(const struct ab_ibs *ibs);
unsigned int ab_ibs_latency(const struct ab_ibs *ibs);
/* A record of the ring buffer: false if it is no complete IBS sample. */
bool ab_ibs_parse(const void *record, size_t size, struct ab_ibs *ibs);
int ab_node_of(const struct ab_run *run, u64 physical);
struct ab_evidence ab_evidence(const struct ab_run *run, enum ab_verdict verdict);
const char *ab_support_text(const struct ab_evidence *evidence);

/* === ab-stream.c ========================================================= */

/* Writes a recording in one step: another file takes the place of @path. */
void ab_stream_write(const char *path, const struct ab_run *run);
/* A bad line ends the program. */
void ab_stream_read(const char *path, struct ab_run *run);

/* === ab-load.c =========================================================== */

struct ab_load {
	const char *name, *help;
	unsigned int calls;		/* of a sample; one with cold caches */
	bool (*start)(void);
	void (*call)(void);
};

const struct ab_load *ab_load_find(const char *name);
const struct ab_load *ab_load_command(char **argv);
void ab_load_list(void);
/* Ends a command that runs; safe in signal handlers. */
void ab_command_kill(void);

/* ns of a call. @cold: caches are emptied before. */
double ab_load_sample(const struct ab_load *load, bool cold);

/* Memory traffic by a process on each of these CPUs. */
void ab_background_start(const struct idlist *cpus);
void ab_background_stop(void);

u64 ab_now(void);
void ab_burn(u64 ns);

#endif /* KTREPL_TOOLS_AB_H */
