// SPDX-License-Identifier: GPL-2.0
/*
 * The running machine, as the ktrepl programs need to know it.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "iface.h"
#include "machine.h"

#define BITS_PER_LONG	(8 * sizeof(unsigned long))
#define MAX_CPUS	16384

/* === CPUs and nodes ====================================================== */

static const char *sysfs_dir(void)
{
	const char *dir = getenv("KTREPL_SYSFS");

	if (dir && *dir)
		return dir;
	return getenv("KTREPL_DEBUGFS") ? NULL : "/sys/devices/system";
}

static bool read_idlist(const char *path, struct idlist *list)
{
	char *text = read_text(path, NULL);
	bool ok = false;

	if (text) {
		text[strcspn(text, "\n")] = '\0';
		ok = idlist_parse(text, list);
	}
	free(text);
	return ok;
}

static bool read_sysfs_idlist(struct idlist *list, const char *file)
{
	const char *dir = sysfs_dir();
	char *path = xasprintf("%s/%s", dir ? dir : "", file);
	bool ok = dir && read_idlist(path, list);

	free(path);
	return ok;
}

bool cpus_online(struct idlist *cpus)
{
	return read_sysfs_idlist(cpus, "cpu/online");
}

static void machine_add_node(struct machine *m, int nid, struct idlist *cpus)
{
	m->node = xgrow(m->node, m->nr, sizeof(*m->node));
	m->node[m->nr].nid = nid;
	m->node[m->nr++].cpus = *cpus;
}

void machine_read(struct machine *m)
{
	struct idlist nodes, cpus;
	char *file;
	size_t i;
	int nid;

	memset(m, 0, sizeof(*m));
	if (!cpus_online(&m->cpus) || !m->cpus.nr)
		die(EXIT_UNAVAILABLE, "no CPUs in /sys: is sysfs mounted there?");
	if (read_sysfs_idlist(&nodes, "node/online")) {
		for (i = 0; (nid = idlist_nth(&nodes, i)) >= 0; i++) {
			file = xasprintf("node/node%d/cpulist", nid);
			if (read_sysfs_idlist(&cpus, file) && cpus.nr)
				machine_add_node(m, nid, &cpus);
			free(file);
		}
		idlist_free(&nodes);
	}
	if (!m->nr)
		machine_add_node(m, 0, &m->cpus);
}

void machine_free(struct machine *m)
{
	size_t i;

	/* Without NUMA the only node shares the machine's list. */
	for (i = 0; i < m->nr; i++) {
		if (m->node[i].cpus.r != m->cpus.r)
			idlist_free(&m->node[i].cpus);
	}
	free(m->node);
	idlist_free(&m->cpus);
}

int machine_cpu(const struct machine *m, size_t i, size_t k)
{
	const struct idlist *cpus = &m->node[i % m->nr].cpus;

	return idlist_nth(cpus, k % idlist_count(cpus));
}

/* No allocation: children of threaded programs come here. */
int run_on_cpu(int cpu)
{
	unsigned long mask[MAX_CPUS / BITS_PER_LONG] = { 0 };

	if (cpu < 0 || cpu >= MAX_CPUS)
		return -EINVAL;
	mask[cpu / BITS_PER_LONG] = 1UL << (cpu % BITS_PER_LONG);
	if (sched_setaffinity(0, sizeof(mask), (cpu_set_t *)mask))
		return -errno;
	return 0;
}

/* === Time and memory ===================================================== */

u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void sleep_us(unsigned int us)
{
	struct timespec ts = {
		.tv_sec = us / 1000000,
		.tv_nsec = us % 1000000 * 1000L,
	};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

static bool meminfo_line(char *line, const char *name, u64 *kb)
{
	struct words words;
	bool ok;

	words_split(line, &words);
	ok = words.nr > 1 && !strncmp(words.w[0], name, strlen(name)) &&
	     !strcmp(words.w[0] + strlen(name), ":") &&
	     parse_u64(words.w[1], 10, kb);
	words_free(&words);
	return ok;
}

u64 meminfo_kb(const char *name)
{
	char *text = read_text("/proc/meminfo", NULL);
	char *rest = text, *line;
	u64 kb = 0;

	while (text && (line = strsep(&rest, "\n"))) {
		if (meminfo_line(line, name, &kb))
			break;
	}
	free(text);
	return kb;
}

/* Free pages on the lists of the CPUs, which can be tens of MB each. */
static u64 pcp_kb(void)
{
	char *text = read_text("/proc/zoneinfo", NULL), *at = text;
	u64 pages = 0;

	while (at && (at = strstr(at, " count:"))) {
		at += strlen(" count:");
		pages += strtoull(at, NULL, 10);
	}
	free(text);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

u64 settled_free_kb(void)
{
	static bool quiet;

	/* 4: do not tell the log each time. */
	if (!quiet)
		write_text("/proc/sys/vm/drop_caches", "4");
	quiet = true;
	write_text("/proc/sys/vm/drop_caches", "3");
	return meminfo_kb("MemFree") + meminfo_kb("Buffers") +
	       meminfo_kb("Cached") + meminfo_kb("SReclaimable") + pcp_kb();
}

/* === The switch ========================================================== */

#define ENABLE_FILE	"/sys/module/ktrepl/parameters/enable"

int ktr_enable_get(void)
{
	char *text = read_text(ENABLE_FILE, NULL);
	int ret;

	if (!text)
		return -errno;
	ret = *text == 'Y' || *text == '1';
	free(text);
	return ret;
}

int ktr_enable_set(bool on)
{
	return write_text(ENABLE_FILE, on ? "1" : "0");
}

void ktr_require_control(void)
{
	if (getenv("KTREPL_DEBUGFS"))
		die(EXIT_UNAVAILABLE, "KTREPL_DEBUGFS is set, but only the running kernel will do");
	ktr_require();
	if (access(ENABLE_FILE, R_OK | W_OK))
		die(EXIT_UNAVAILABLE, ENABLE_FILE ": %s%s", strerror(errno),
		    geteuid() ? ": run as root" : "");
}

/* === Kernel messages ===================================================== */

static int kmsg_fd = -1;
static u64 tainted_at_start;

/* Bad page, died, warning, soft lockup. */
#define TAINT_DEFECTS	(0x20 | 0x80 | 0x200 | 0x4000)

static u64 taint_now(void)
{
	char *text = read_text("/proc/sys/kernel/tainted", NULL);
	u64 v = 0;

	if (text) {
		text[strcspn(text, "\n")] = '\0';
		parse_u64(text, 10, &v);
	}
	free(text);
	return v & TAINT_DEFECTS;
}

void kmsg_start(void)
{
	kmsg_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg_fd < 0)
		die(EXIT_UNAVAILABLE, "/dev/kmsg: %s", strerror(errno));
	lseek(kmsg_fd, 0, SEEK_END);
	tainted_at_start = taint_now();
}

bool kmsg_is_bad(const char *text)
{
	static const char * const bad[] = {
		"WARNING:", "BUG:", "kernel BUG at", "Oops", "KASAN:", "KFENCE:",
		"UBSAN:", "possible recursive", "possible circular", "possible irq lock",
		"inconsistent lock state", "suspicious RCU usage", "lockdep",
		"rcu: INFO:", "blocked for more than", "soft lockup",
		"hard LOCKUP", "refcount_t:", "general protection fault",
		"Kernel panic", "Bad page", "ktrepl: broken",
	};
	const char *hit;
	size_t i;

	/* A data race, maybe anybody's: scripts/races says whose. */
	if (strstr(text, "BUG: KCSAN:"))
		return false;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		hit = strstr(text, bad[i]);
		/* Not the tail of another word, like DEBUG: */
		if (hit && (hit == text || !isalnum((unsigned char)hit[-1])))
			return true;
	}
	return false;
}

unsigned int kmsg_check(void)
{
	unsigned int bad = 0;
	char buf[8192], *text;
	ssize_t n;
	u64 now;

	if (kmsg_fd < 0)
		return 0;
	for (;;) {
		n = read(kmsg_fd, buf, sizeof(buf) - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EPIPE) {
			fail("kernel messages were lost: use a larger log_buf_len=");
			bad++;
			continue;
		}
		if (n <= 0)
			break;
		buf[n] = '\0';
		text = strchr(buf, ';');
		text = text ? text + 1 : buf;
		text[strcspn(text, "\n")] = '\0';
		if (!kmsg_is_bad(text))
			continue;
		fail("kernel: %s", text);
		bad++;
	}
	now = taint_now();
	if (now & ~tainted_at_start) {
		fail("the kernel became tainted: %llu", now);
		tainted_at_start |= now;
		bad++;
	}
	return bad;
}

/* === Random numbers ====================================================== */

void rng_seed(struct rng *rng, u64 seed, unsigned int stream)
{
	/* splitmix64, so that neighbouring seeds and streams differ. */
	u64 z = seed + (stream + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	rng->state = (z ^ (z >> 31)) | 1;
}

/* A number in 0 .. n-1; 0 for n == 0. */
unsigned int rng_below(struct rng *rng, unsigned int n)
{
	rng->state ^= rng->state >> 12;
	rng->state ^= rng->state << 25;
	rng->state ^= rng->state >> 27;
	return n ? (rng->state * 0x2545f4914f6cdd1dULL >> 32) % n : 0;
}
