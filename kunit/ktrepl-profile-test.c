// SPDX-License-Identifier: GPL-2.0
/*
 * The profiler: commands, the ring, when samples are due. A module, as the profiler
 * is: scripts/guest/suites loads it.
 */

#include <kunit/test.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "../profile.h"

static const struct ktrepl_profile_text {
	const char *text;
	int err;
	pid_t nr;
} ktrepl_profile_texts[] = {
	{ "R 1",		0,	1 },
	{ "U 1",		0,	1 },
	{ "R 1\n",		0,	1 },
	{ "U 4194304\n",	0,	4194304 },
	{ "R 0",		0,	0 },
	{ "",			-EINVAL },
	{ "R",			-EINVAL },
	{ "R ",			-EINVAL },
	{ "R\n",		-EINVAL },
	{ "R1",			-EINVAL },
	{ "r 1",		-EINVAL },
	{ "X 1",		-EINVAL },
	{ " R 1",		-EINVAL },
	{ "R  1",		-EINVAL },
	{ "R -1",		-EINVAL },
	{ "R +1",		-EINVAL },
	{ "R 0x1",		-EINVAL },
	{ "R 1 ",		-EINVAL },
	{ "R 1\n\n",		-EINVAL },
	{ "R 1 2",		-EINVAL },
	{ "R 1\nU 1",		-EINVAL },
	{ "R 2147483648",	-EINVAL },
};

static void ktrepl_profile_desc(const struct ktrepl_profile_text *p, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%*pE", (int)strlen(p->text),
		 p->text);
}

KUNIT_ARRAY_PARAM(ktrepl_profile, ktrepl_profile_texts, ktrepl_profile_desc);

static void ktrepl_profile_parse(struct kunit *test)
{
	const struct ktrepl_profile_text *p = test->param_value;
	char verb = '?';
	pid_t nr = -7;

	KUNIT_EXPECT_EQ(test, profile_parse(p->text, &verb, &nr), p->err);
	/* Unchanged on error. */
	KUNIT_EXPECT_EQ(test, verb, p->err ? '?' : p->text[0]);
	KUNIT_EXPECT_EQ(test, nr, p->err ? -7 : p->nr);
}

static int ktrepl_profile_do(const char *verb, pid_t nr)
{
	char text[32];

	snprintf(text, sizeof(text), "%s %d\n", verb, nr);
	return profile_command(text);
}

static void ktrepl_profile_commands(struct kunit *test)
{
	pid_t self = task_tgid_vnr(current);

	KUNIT_EXPECT_EQ(test, ktrepl_profile_do("X", self), -EINVAL);
	KUNIT_EXPECT_EQ(test, ktrepl_profile_do("R", 0), -ESRCH);
	/* Above any limit of the kernel's. */
	KUNIT_EXPECT_EQ(test, ktrepl_profile_do("R", INT_MAX), -ESRCH);
	KUNIT_EXPECT_EQ(test, ktrepl_profile_do("U", self), -ESRCH);
	KUNIT_EXPECT_EQ(test, ktrepl_profile_do("R", self), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_profile_do("R", self), -EEXIST);
	KUNIT_EXPECT_EQ(test, ktrepl_profile_do("U", self), 0);
	KUNIT_EXPECT_EQ(test, ktrepl_profile_do("U", self), -ESRCH);
}

#define NR	16

static struct ktrepl_profile_record *ktrepl_profile_slot(struct ktrepl_profile_header *header,
							 u64 number)
{
	struct ktrepl_profile_record *ring = (void *)header + header->header_size;

	return &ring[number % header->nr_records];
}

/* Three times around: the last NR records are there, and the others are counted. */
static void ktrepl_profile_ring(struct kunit *test)
{
	struct ktrepl_profile_header *header = profile_ring_alloc(NR);
	struct ktrepl_profile_record record = { .number = 99 };
	u64 i, k;

	KUNIT_ASSERT_NOT_NULL(test, header);
	KUNIT_EXPECT_EQ(test, header->magic, KTREPL_PROFILE_MAGIC);
	KUNIT_EXPECT_EQ(test, header->version, KTREPL_PROFILE_VERSION);
	KUNIT_EXPECT_EQ(test, header->record_size, sizeof(record));
	KUNIT_EXPECT_EQ(test, header->nr_records, NR);
	for (i = 0; i < 3 * NR; i++) {
		KUNIT_EXPECT_EQ(test, header->position, i);
		KUNIT_EXPECT_EQ(test, header->overruns, i > NR ? i - NR : 0);
		record.minor = 1000 + i;
		record.node = i & 1;
		profile_ring_write(header, &record);
		for (k = i < NR ? 0 : i - NR + 1; k <= i; k++) {
			KUNIT_EXPECT_EQ(test, ktrepl_profile_slot(header, k)->number, k);
			KUNIT_EXPECT_EQ(test, ktrepl_profile_slot(header, k)->minor, 1000 + k);
			KUNIT_EXPECT_EQ(test, ktrepl_profile_slot(header, k)->node, k & 1);
		}
	}
	vfree(header);
}

/* The slot of the record that is being written next is not to be trusted. */
static void ktrepl_profile_reader(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, ktrepl_profile_intact(0, 0, NR));
	KUNIT_EXPECT_TRUE(test, ktrepl_profile_intact(0, 1, NR));
	KUNIT_EXPECT_TRUE(test, ktrepl_profile_intact(0, NR - 1, NR));
	KUNIT_EXPECT_FALSE(test, ktrepl_profile_intact(0, NR, NR));
	KUNIT_EXPECT_TRUE(test, ktrepl_profile_intact(1, NR, NR));
	KUNIT_EXPECT_FALSE(test, ktrepl_profile_intact(NR, NR, NR));
	KUNIT_EXPECT_FALSE(test, ktrepl_profile_intact(0, U64_MAX, NR));
	KUNIT_EXPECT_TRUE(test, ktrepl_profile_intact(U64_MAX - 1, U64_MAX, NR));
}

/* In ten seconds there are ten times as many as in one, whatever HZ is. */
static void ktrepl_profile_due(struct kunit *test)
{
	static const unsigned int hz[] = { 100, 250, 300, 1000 };
	static const unsigned int rate[] = { 1, 7, 20, 99, 100 };
	u64 elapsed, due, n;
	int i, k;

	for (i = 0; i < ARRAY_SIZE(hz); i++) {
		for (k = 0; k < ARRAY_SIZE(rate); k++) {
			due = profile_next_sample(0, hz[i], rate[k]);
			KUNIT_EXPECT_EQ(test, due, 1);
			n = 0;
			for (elapsed = 0; elapsed <= 10 * hz[i]; elapsed++) {
				if (elapsed < DIV_ROUND_UP_ULL(due * hz[i], rate[k]))
					continue;
				n++;
				due = profile_next_sample(elapsed, hz[i], rate[k]);
				KUNIT_EXPECT_EQ(test, due, n + 1);
			}
			KUNIT_EXPECT_EQ(test, n, 10 * rate[k]);
		}
	}
	/* A late one: those that are due by then are left out. */
	KUNIT_EXPECT_EQ(test, profile_next_sample(1000, 100, 20), 201);
}

static struct kunit_case ktrepl_profile_cases[] = {
	KUNIT_CASE_PARAM(ktrepl_profile_parse, ktrepl_profile_gen_params),
	KUNIT_CASE(ktrepl_profile_commands),
	KUNIT_CASE(ktrepl_profile_ring),
	KUNIT_CASE(ktrepl_profile_reader),
	KUNIT_CASE(ktrepl_profile_due),
	{ }
};

static struct kunit_suite ktrepl_profile_suite = {
	.name = "ktrepl_profile",
	.test_cases = ktrepl_profile_cases,
};

kunit_test_suite(ktrepl_profile_suite);

MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_DESCRIPTION("KUnit tests of the page-fault profiler");
MODULE_LICENSE("GPL");
