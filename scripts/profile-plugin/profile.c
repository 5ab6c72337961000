// SPDX-License-Identifier: GPL-2.0
/*
 * profile - how many instructions all CPUs execute in each translated block, by the
 * block's address: a plugin for QEMU's TCG.  It counts while a phase lasts, see
 * tools/ktrepl/phase.h: ktrepl-bench's calls, but not those that warm up.
 *
 * Only with -icount, when CPUs take turns: the counters are plain ones.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../qemu-plugin.h"

/* By address and length: blocks that are translated again go on counting. */
struct block {
	struct block *next;
	uint64_t addr, n, runs;
};

#define BUCKETS	65536

static struct block *buckets[BUCKETS];
static FILE *out;
static bool arm64, counting;

static void on_block(unsigned int cpu, void *data)
{
	struct block *b = data;

	(void)cpu;
	b->runs += counting;
}

static void on_phase(unsigned int cpu, void *data)
{
	uintptr_t phase = (uintptr_t)data;

	(void)cpu;
	if (phase != PHASE_FLUSH)
		counting = phase;
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	uint64_t addr = qemu_plugin_tb_vaddr(tb), n = qemu_plugin_tb_n_insns(tb);
	struct block **bucket = &buckets[(addr >> 2) % BUCKETS], *b;
	size_t i;

	(void)id;
	for (b = *bucket; b && (b->addr != addr || b->n != n); b = b->next)
		;
	if (!b) {
		b = calloc(1, sizeof(*b));
		if (!b)
			abort();
		b->addr = addr;
		b->n = n;
		b->next = *bucket;
		*bucket = b;
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, 0, b);
	for (i = 0; i < n; i++)
		watch_phase(qemu_plugin_tb_get_insn(tb, i), arm64, on_phase);
}

static void at_exit(uint64_t id, void *data)
{
	size_t i;

	(void)id, (void)data;
	for (i = 0; i < BUCKETS; i++)
		for (struct block *b = buckets[i]; b; b = b->next)
			if (b->runs)
				fprintf(out, "%" PRIx64 " %" PRIu64 "\n", b->addr, b->runs * b->n);
	fclose(out);
}

EXPORTED
int qemu_plugin_install(uint64_t id, const qemu_info_t *info, int argc, char **argv)
{
	arm64 = !strcmp(info->target_name, "aarch64");
	if (argc != 1 || strncmp(argv[0], "out=", 4) || !(out = fopen(argv[0] + 4, "w"))) {
		fprintf(stderr, "profile: expected out=FILE\n");
		return 1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, at_exit, NULL);
	return 0;
}
