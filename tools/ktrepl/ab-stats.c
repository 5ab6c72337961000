// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-ab: medians, confidence intervals, verdicts.
 *
 * Each round gives one number: by how much the load is slower with replication on.
 * The order off, on, on, off takes a steady drift out of it: both modes are at the
 * same time on average.
 *
 * The interval of the median of these numbers lies between two of them (Conover,
 * Practical Nonparametric Statistics, 3rd ed., section 3.2). It assumes nothing of
 * how times are distributed, is exact where no two are equal and on the safe side
 * otherwise, and needs no random numbers, as a bootstrap does, which is too narrow
 * with few rounds.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ab.h"

#define MAX_ROUNDS_NEEDED	10000
#define EPSILON			0.000000001

const char *ab_verdict_name(enum ab_verdict verdict)
{
	static const char * const names[] = {
		[AB_HELPS] = "helps",
		[AB_NO_EFFECT] = "no-effect",
		[AB_HURTS] = "hurts",
		[AB_NOISY] = "too-noisy",
	};

	return names[verdict];
}

static int double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double sorted_median(const double *v, size_t n)
{
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double ab_median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), double_compare);
	return sorted_median(v, n);
}

/* 1 - 2 P(B < k) where B counts heads of @n coins; in logarithms, as 2^n overflows. */
double ab_order_confidence(size_t n, size_t k)
{
	double below = 0;
	size_t i;

	for (i = 0; i < k; i++)
		below += exp(lgamma(n + 1.0) - lgamma(i + 1.0) - lgamma(n - i + 1.0) - n * M_LN2);
	return below < 0.5 ? 1 - 2 * below : 0;
}

/* Rounding of lgamma() must not cost a round. */
static bool reaches(size_t n, size_t k, double confidence)
{
	return ab_order_confidence(n, k) >= confidence - EPSILON;
}

struct ab_interval ab_interval(double *v, size_t n, double confidence)
{
	struct ab_interval interval = { .median = ab_median(v, n) };
	size_t k = 1;

	while (2 * (k + 1) <= n && reaches(n, k + 1, confidence))
		k++;
	interval.low = v[k - 1];
	interval.high = v[n - k];
	interval.confidence = ab_order_confidence(n, k);
	return interval;
}

/*
 * A direction needs all of the interval on one side of zero, and a median that
 * matters. That nothing changes needs all of it where nothing matters.
 */
enum ab_verdict ab_judge(const struct ab_interval *effect, double threshold)
{
	if (effect->low >= -threshold && effect->high <= threshold)
		return AB_NO_EFFECT;
	if (effect->high < 0 && effect->median < -threshold)
		return AB_HELPS;
	if (effect->low > 0 && effect->median > threshold)
		return AB_HURTS;
	return AB_NOISY;
}

/* The interval gets narrower by the root of the number of rounds. */
u64 ab_rounds_needed(const struct ab_interval *effect, size_t n, double threshold,
		     double confidence)
{
	double m = fabs(effect->median);
	double width = fmax(effect->high - effect->median, effect->median - effect->low);
	double room = m > threshold ? m : threshold - m;
	double needed = room > 0 ? ceil(n * pow(width / room, 2)) : INFINITY;
	size_t least = n + 1;

	while (least < MAX_ROUNDS_NEEDED && !reaches(least, 1, confidence))
		least++;
	if (needed > MAX_ROUNDS_NEEDED)
		return 0;
	return fmax(needed, least);
}

static double slots_median(const struct ab_run *run, bool on)
{
	double *v = xcalloc(run->nr, sizeof(*v)), median;
	size_t i, n = 0;

	for (i = 0; i < run->nr; i++) {
		if (run->slot[i].on == on)
			v[n++] = run->slot[i].median;
	}
	median = ab_median(v, n);
	free(v);
	return median;
}

static double round_effect(const struct ab_slot *slot)
{
	double sum[2] = { 0 };
	size_t i;

	for (i = 0; i < AB_SLOTS; i++)
		sum[slot[i].on] += slot[i].median;
	return (sum[true] - sum[false]) / sum[false];
}

struct ab_result ab_evaluate(const struct ab_run *run, double threshold, double confidence)
{
	size_t i, rounds = run->nr / AB_SLOTS;
	double *v = xcalloc(rounds, sizeof(*v));
	struct ab_result r = {
		.off = slots_median(run, false),
		.on = slots_median(run, true),
	};

	for (i = 0; i < rounds; i++)
		v[i] = round_effect(run->slot + i * AB_SLOTS);
	r.effect = ab_interval(v, rounds, confidence);
	/* A few rounds that agree by chance are no verdict. */
	r.verdict = reaches(rounds, 1, confidence) ? ab_judge(&r.effect, threshold) : AB_NOISY;
	if (r.verdict == AB_NOISY)
		r.rounds_needed = ab_rounds_needed(&r.effect, rounds, threshold, confidence);
	free(v);
	return r;
}
