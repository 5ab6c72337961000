// SPDX-License-Identifier: GPL-2.0
/*
 * Unit tests of what the ktrepl programs share. Prints "ok" and "not ok" lines;
 * exits 1 if any failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../ab.h"
#include "../common.h"
#include "../iface.h"
#include "../kmod.h"
#include "../machine.h"
#include "../ring.h"

static unsigned int failed;

#define check(condition)	report(condition, #condition)

static void report(bool ok, const char *what)
{
	printf("%s - unit: %s\n", ok ? "ok" : "not ok", what);
	failed += !ok;
}

static bool u64_is(const char *s, int base, u64 want)
{
	u64 v;

	return parse_u64(s, base, &v) && v == want;
}

static bool u64_bad(const char *s, int base)
{
	u64 v;

	return !parse_u64(s, base, &v);
}

static void test_numbers(void)
{
	int v;

	check(u64_is("0", 10, 0));
	check(u64_is("18446744073709551615", 10, ~0ULL));
	check(u64_is("ffffffff81000000", 16, 0xffffffff81000000ULL));
	check(u64_bad("18446744073709551616", 10));
	check(u64_bad("", 10));
	check(u64_bad("-1", 10));
	check(u64_bad("+1", 10));
	check(u64_bad(" 1", 10));
	check(u64_bad("1 ", 10));
	check(u64_bad("1k", 10));
	check(u64_bad("a", 10));
	check(u64_bad("0x10", 16));
	check(parse_int("2147483647", &v) && v == 2147483647);
	check(!parse_int("2147483648", &v));
}

static bool list_is(const char *s, const char *want)
{
	struct idlist list;
	char text[256] = "";
	size_t i, len = 0;
	int id;

	if (!idlist_parse(s, &list))
		return !strcmp(want, "bad");
	for (i = 0; (id = idlist_nth(&list, i)) >= 0; i++)
		len += snprintf(text + len, sizeof(text) - len, "%s%d",
				i ? " " : "", id);
	if (idlist_count(&list) != i)
		want = "the same count";
	idlist_free(&list);
	return !strcmp(text, want);
}

static void test_lists(void)
{
	struct idlist list;

	check(list_is("", ""));
	check(list_is("-", ""));
	check(list_is("0", "0"));
	check(list_is("0-3,8", "0 1 2 3 8"));
	check(list_is("5,2-2", "5 2"));
	check(list_is("0-", "bad"));
	check(list_is("-1", "bad"));
	check(list_is("3-1", "bad"));
	check(list_is("0,,1", "bad"));
	check(list_is("0,", "bad"));
	check(list_is("a", "bad"));
	check(idlist_parse("0-3,8", &list) && idlist_has(&list, 8) &&
	      idlist_has(&list, 2) && !idlist_has(&list, 4) &&
	      !idlist_has(&list, -1));
	idlist_free(&list);
	check(idlist_parse("0-2147483646", &list) &&
	      idlist_count(&list) == 2147483647);
	idlist_free(&list);
}

static bool amounts_bad(const char *s)
{
	struct ktr_amounts list;

	return !ktr_parse_amounts(s, &list) && !list.nr;
}

static void test_amounts(void)
{
	struct ktr_amounts list;

	check(ktr_parse_amounts("-", &list) && !list.nr);
	ktr_free_amounts(&list);
	check(ktr_parse_amounts("0:16384,12:4096", &list) && list.nr == 2 &&
	      ktr_amount(&list, 0) == 16384 && ktr_amount(&list, 12) == 4096 &&
	      !ktr_amount(&list, 1));
	ktr_free_amounts(&list);
	check(amounts_bad(""));
	check(amounts_bad("0"));
	check(amounts_bad("0:"));
	check(amounts_bad(":0"));
	check(amounts_bad("0:1,"));
	check(amounts_bad("0:1,0:2"));
	check(amounts_bad("-1:1"));
	check(amounts_bad("0:-1"));
	check(amounts_bad("0:18446744073709551616"));
	check(amounts_bad("0:1:2"));
}

static void test_words(void)
{
	char line[] = "  one\ttwo   three ";
	char empty[] = " \t ";
	struct words w;

	words_split(line, &w);
	check(w.nr == 3 && !strcmp(w.w[0], "one") && !strcmp(w.w[2], "three"));
	words_free(&w);
	words_split(empty, &w);
	check(!w.nr);
	words_free(&w);
}

static void test_kmsg(void)
{
	check(kmsg_is_bad("WARNING: CPU: 0 PID: 1 at mm/x.c:1"));
	check(kmsg_is_bad("BUG: unable to handle page fault"));
	check(kmsg_is_bad("kernel BUG at mm/slub.c:1!"));
	check(kmsg_is_bad("Oops: int3: 0000 [#1]"));
	check(kmsg_is_bad("BUG: KASAN: use-after-free in x"));
	check(!kmsg_is_bad("BUG: KCSAN: data-race in x / y"));
	check(kmsg_is_bad("WARNING: possible recursive locking detected"));
	check(kmsg_is_bad("INFO: lockdep is turned off."));
	check(kmsg_is_bad("ktrepl: broken: copy differs"));
	check(kmsg_is_bad("INFO: task a:1 blocked for more than 120 seconds."));
	check(!kmsg_is_bad("ktrepl: on: nodes 0-1, 9204 kB on 1 node(s)"));
	check(!kmsg_is_bad("DEBUG: nothing"));
	check(!kmsg_is_bad(""));
}

static void test_random(void)
{
	struct rng a, b, c;
	unsigned int i, hits[4] = { 0 };
	bool same = true, differ = false;

	rng_seed(&a, 7, 1);
	rng_seed(&b, 7, 1);
	rng_seed(&c, 7, 2);
	for (i = 0; i < 100; i++) {
		unsigned int x = rng_below(&a, 1000);

		same &= x == rng_below(&b, 1000);
		differ |= x != rng_below(&c, 1000);
		hits[rng_below(&a, 4)]++;
		rng_below(&b, 4);
		rng_below(&c, 4);
	}
	check(same);
	check(differ);
	check(hits[0] > 10 && hits[1] > 10 && hits[2] > 10 && hits[3] > 10);
	check(rng_below(&a, 0) == 0 && rng_below(&a, 1) == 0);
}

/* $KTREPL_SYSFS: CPUs 0-3 and 6; node 0 has 0-1, node 3 has 2-3,6, node 5 none. */
static void test_machine(void)
{
	struct machine m;

	machine_read(&m);
	check(idlist_count(&m.cpus) == 5);
	check(m.nr == 2 && m.node[0].nid == 0 && m.node[1].nid == 3);
	check(machine_cpu(&m, 0, 0) == 0 && machine_cpu(&m, 0, 3) == 1);
	check(machine_cpu(&m, 1, 2) == 6 && machine_cpu(&m, 3, 0) == 2);
	check(meminfo_kb("MemTotal") > 0 && !meminfo_kb("MemTot"));
	check(run_on_cpu(-1) && run_on_cpu(1 << 20));
	machine_free(&m);
}

/* $KTREPL_MODULES: a list without the files, so that nothing can be loaded. */
static void test_modules(void)
{
	struct kmods list;
	struct kmod *m;

	check(!kmods_read(&list) && list.nr == 6);
	m = kmods_find(&list, "test_one");
	check(m && m->paths.nr == 1 && m == kmods_find(&list, "test-one"));
	m = kmods_find(&list, "three");
	check(m && m->paths.nr == 3 && !strcmp(m->paths.w[0], "/elsewhere/three.ko"));
	check(m && kmod_load(&list, m) == -ENOENT && !m->loaded && !m->foreign);
	check(m && kmod_unload(m) == -ENOENT);
	m = kmods_find(&list, "a");
	check(m && kmod_load(&list, m) == -ELOOP);
	m = kmods_find(&list, "c");
	check(m && kmod_load(&list, m) == -ENOENT);
	check(!kmods_find(&list, "missing") && !kmods_find(&list, ""));
	kmods_free(&list);

	setenv("KTREPL_MODULES", "/nowhere", 1);
	check(kmods_read(&list) == -ENOENT && !list.nr &&
	      !strcmp(list.dir, "/nowhere"));
	kmods_free(&list);
}

static bool near(double a, double b)
{
	return fabs(a - b) * 1000000 < 1;
}

/* From the table of binomial probabilities with p = 1/2. */
static void test_ab_interval(void)
{
	double v[] = { 9, 1, 8, 2, 7, 3, 6, 4, 5 };
	double three[] = { 3, 1, 2 };
	struct ab_interval i;

	check(near(ab_order_confidence(6, 1), 0.96875));
	check(near(ab_order_confidence(9, 2), 0.9609375));
	check(near(ab_order_confidence(12, 3), 0.9614258));
	check(near(ab_order_confidence(20, 6), 0.9586105));
	check(near(ab_order_confidence(1, 1), 0));
	i = ab_interval(v, 9, 0.95);
	check(near(i.low, 2) && near(i.median, 5) && near(i.high, 8) &&
	      near(i.confidence, 0.9609375));
	i = ab_interval(three, 3, 0.95);
	check(near(i.low, 1) && near(i.high, 3) && near(i.confidence, 0.75));
}

static enum ab_verdict judge(double low, double median, double high)
{
	struct ab_interval effect = { low, median, high, 0.95 };

	return ab_judge(&effect, 0.01);
}

static void test_ab_verdict(void)
{
	struct ab_interval noisy = { -0.06, -0.02, 0.02, 0.96 };

	check(judge(-0.05, -0.04, -0.03) == AB_HELPS);
	check(judge(0.03, 0.04, 0.05) == AB_HURTS);
	check(judge(-0.01, 0, 0.01) == AB_NO_EFFECT);
	check(judge(-0.009, -0.008, -0.007) == AB_NO_EFFECT);
	check(judge(-0.05, -0.02, 0.01) == AB_NOISY);
	check(judge(-0.05, -0.005, -0.001) == AB_NOISY);
	check(judge(-0.02, 0, 0.02) == AB_NOISY);
	/* Twice the distance to zero: four times the rounds. */
	check(ab_rounds_needed(&noisy, 12, 0.01, 0.95) == 48);
	noisy.median = -0.01;
	check(!ab_rounds_needed(&noisy, 12, 0.01, 0.95));
}

/* A steady drift, and one of 10 % on top where replication is on. */
static void test_ab_drift(void)
{
	struct ab_slot slot[24] = { 0 };
	struct ab_run ab = { .slot = slot, .nr = 24 };
	size_t i;

	for (i = 0; i < 24; i++) {
		slot[i].on = ab_slot_is_on(i);
		slot[i].median = 1000 + 10 * i;
	}
	check(ab_evaluate(&ab, 0.01, 0.95).verdict == AB_NO_EFFECT);
	check(near(ab_evaluate(&ab, 0.01, 0.95).effect.median, 0));
	for (i = 0; i < 24; i++)
		slot[i].median *= slot[i].on ? 1.1 : 1;
	check(near(ab_evaluate(&ab, 0.01, 0.95).effect.median, 0.1));
	check(ab_evaluate(&ab, 0.01, 0.95).verdict == AB_HURTS);
	ab.nr = 12;
	check(ab_evaluate(&ab, 0.01, 0.75).verdict == AB_HURTS);
	check(ab_evaluate(&ab, 0.01, 0.95).verdict == AB_NOISY);
	check(ab_evaluate(&ab, 0.01, 0.95).rounds_needed == 6);
}

static void test_ab_ibs(void)
{
	struct {
		struct perf_event_header header;
		unsigned int size, caps;
		struct ab_ibs ibs;
		u64 more;
	} sample = {
		.header = { .type = PERF_RECORD_SAMPLE, .size = sizeof(sample) },
		.size = 4 + 3 * 8,
		.ibs = { 0x041e012c00000000ULL, 0xffffffff81000000ULL, 0x1234 },
	};
	struct ab_ibs ibs;

	check(ab_ibs_parse(&sample, sizeof(sample), &ibs) && ibs.physical == 0x1234);
	check(ab_ibs_is_fill(&ibs) && ab_ibs_latency(&ibs) == 300);
	check(!ab_ibs_parse(&sample, 39, &ibs));
	sample.size = 20;
	check(!ab_ibs_parse(&sample, sizeof(sample), &ibs));
	sample.header.type = PERF_RECORD_LOST;
	check(!ab_ibs_parse(&sample, sizeof(sample), &ibs));
	ibs.linear = 0x401000;
	check(!ab_ibs_is_fill(&ibs));
}

static void test_ab_events(void)
{
	check(ab_events_known(AB_INTEL, "GenuineIntel-6-8f-8"));
	check(ab_events_known(AB_INTEL, "GenuineIntel-6-55-7"));
	check(!ab_events_known(AB_INTEL, "GenuineIntel-6-55-4"));
	check(ab_events_known(AB_AMD, "AuthenticAMD-1a-2-1"));
	check(!ab_events_known(AB_AMD, "AuthenticAMD-f-6b-1"));
	check(!ab_events_known(AB_ARM64, "arm64"));
}

static void test_profile_advice(void)
{
	check(strstr(profile_advice(ENOENT), "modprobe ktrepl_profile"));
	check(strstr(profile_advice(EACCES), "run as root"));
	check(!*profile_advice(ESRCH));
	check(!*profile_advice(0));
}

int main(void)
{
	progname_set("unit");
	test_numbers();
	test_lists();
	test_amounts();
	test_words();
	test_kmsg();
	test_random();
	test_ab_interval();
	test_ab_verdict();
	test_ab_drift();
	test_ab_ibs();
	test_ab_events();
	test_profile_advice();
	if (getenv("KTREPL_SYSFS"))
		test_machine();
	if (getenv("KTREPL_MODULES"))
		test_modules();
	return failed ? EXIT_FAILED : EXIT_OK;
}
