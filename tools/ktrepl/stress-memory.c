// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-stress: memory that comes and goes, and that is short.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

/* === memory: blocks taken offline and online ============================= */

#define BLOCKS		"/sys/devices/system/memory"
/*
 * The kernel goes on trying to empty a block until a signal comes.  With KASAN,
 * and with function tracers, it takes more than a minute.
 */
#define PATIENCE_S	180

static struct idlist blocks;

static bool movable(int block)
{
	char *path = xasprintf(BLOCKS "/memory%d/valid_zones", block);
	char *zones = read_text(path, NULL);
	bool is = zones && !strncmp(zones, "Movable", strlen("Movable"));

	free(zones);
	free(path);
	return is;
}

/* What the kernel cannot move is not in these. */
static const char *memory_obstacle(void)
{
	DIR *dir = opendir(BLOCKS);
	struct dirent *entry;
	int block;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "memory", strlen("memory")) ||
		    !parse_int(entry->d_name + strlen("memory"), &block) || !movable(block))
			continue;
		blocks.r = xgrow(blocks.r, blocks.nr, sizeof(*blocks.r));
		blocks.r[blocks.nr++] = (struct idrange){ block, block };
	}
	if (dir)
		closedir(dir);
	return blocks.nr ? NULL : "no block of memory is movable (movablecore=)";
}

/* 0 or -errno; 0 seconds: it takes as long as it takes. */
static int block_set(int block, const char *state, unsigned int patience_s)
{
	char *path = xasprintf(BLOCKS "/memory%d/state", block);
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		alarm(patience_s);
		_exit(-write_text(path, state));
	}
	free(path);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static void memory_run(struct activity *a)
{
	int block, err;

	while (stress_going(a)) {
		block = idlist_nth(&blocks, rng_below(&a->rng, idlist_count(&blocks)));
		err = block_set(block, "offline", PATIENCE_S);
		if (err) {
			stress_count(a, 1);
			sleep_ms(rng_below(&a->rng, 500));
			continue;
		}
		stress_count(a, 0);
		sleep_ms(rng_below(&a->rng, 500));
		err = block_set(block, "online_movable", 0);
		if (err) {
			fail("memory: block %d cannot be online again: %s", block, strerror(-err));
			return;
		}
		sleep_ms(rng_below(&a->rng, 500));
	}
}

static struct activity memory = {
	.name = "memory",
	.help = "take blocks of movable memory offline and online",
	.counter = { "blocks offline", "refusals" },
	.obstacle = memory_obstacle,
	.run = memory_run,
};

/* === pressure: a node's memory is used up ================================ */

static u64 node_free_kb(int nid)
{
	char *path = xasprintf("/sys/devices/system/node/node%d/meminfo", nid);
	char *text = read_text(path, NULL);
	char *at = text ? strstr(text, "MemFree:") : NULL;
	u64 kb = at ? strtoull(at + strlen("MemFree:"), NULL, 10) : 0;

	free(text);
	free(path);
	return kb;
}

/* The rest of the machine must not run out of it: half of what there is. */
static void fill_node(int nid)
{
	unsigned long mask = 1UL << nid;
	u64 kb = node_free_kb(nid), most = meminfo_kb("MemAvailable") / 2;
	size_t size = (kb < most ? kb : most) << 10;
	void *p;

	syscall(SYS_set_mempolicy, MPOL_PREFERRED, &mask, 8 * sizeof(mask));
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
	if (p != MAP_FAILED)
		munmap(p, size);
}

static const char *pressure_obstacle(void)
{
	return node_free_kb(stress.machine.node[0].nid) ? NULL : "no meminfo of nodes";
}

static void pressure_run(struct activity *a)
{
	const struct machine *m = &stress.machine;

	while (stress_going(a)) {
		fill_node(m->node[rng_below(&a->rng, m->nr)].nid);
		stress_count(a, 0);
		if (!rng_below(&a->rng, 4)) {
			write_text("/proc/sys/vm/drop_caches", "3");
			stress_count(a, 1);
		}
		sleep_ms(rng_below(&a->rng, 1000));
	}
}

static struct activity pressure = {
	.name = "pressure",
	.help = "use up a node's free memory, drop caches",
	.counter = { "nodes filled", "caches dropped" },
	.obstacle = pressure_obstacle,
	.run = pressure_run,
};

struct activity *const memory_activities[] = {
	&memory, &pressure, NULL
};
