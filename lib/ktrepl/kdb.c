// SPDX-License-Identifier: GPL-2.0
/*
 * The command "ktrepl" of kdb: what each node executes at an address.
 *
 * Concurrency: it runs on one CPU while all others stand still, with any lock
 * held.  So it takes none, and allocates nothing.
 */

#include <linux/bitmap.h>
#include <linux/init.h>
#include <linux/kdb.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "../../kernel/debug/kdb/kdb_private.h"
#include "internal.h"

/* Bytes in a line.  Lines start at multiples of it: none crosses a page. */
#define KTREPL_KDB_LINE		16U

static void ktrepl_kdb_state(void)
{
	DECLARE_BITMAP(live, KTREPL_MAX_NODES) = { };
	const char *reason = ktrepl_state_reason();
	int nid;

	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid] && READ_ONCE(ktrepl_nodes[nid]->live))
			__set_bit(nid, live);
	if (ktrepl_is_on())
		kdb_printf("ktrepl is on: nodes %*pbl live, primary on node %*pbl\n",
			   KTREPL_MAX_NODES, live,
			   KTREPL_MAX_NODES, ktrepl_primary_nodes);
	else
		kdb_printf("ktrepl is %s%s%s\n", ktrepl_state_name(),
			   reason ? ": " : "", reason ?: "");
}

static void ktrepl_kdb_place(unsigned long addr, const struct ktrepl_place *place)
{
	kdb_printf("%pS: %s %s %lx-%lx\n", (void *)addr,
		   place->execmem ? "execmem" : "image",
		   place->kind == KTREPL_TEXT ? "text" : "rodata",
		   place->start, place->end - 1);
	kdb_printf("primary on node %d, ", place->primary);
	if (bitmap_empty(place->replicas, KTREPL_MAX_NODES))
		kdb_printf("no replicas\n");
	else
		kdb_printf("replicas on nodes %*pbl, %s\n",
			   KTREPL_MAX_NODES, place->replicas,
			   place->stale ? "stale" : "live");
}

/* Outside all regions. */
static int ktrepl_kdb_shared(unsigned long addr, unsigned int len)
{
	u8 bytes[KTREPL_KDB_LINE];

	if (ktrepl_read(0, bytes, (void *)addr, len))
		return KDB_BADADDR;
	kdb_printf("%016lx all      %*ph\n", addr, len, bytes);
	return 0;
}

static int ktrepl_kdb_lines(unsigned long addr, unsigned int len)
{
	const void *page = page_address(ktrepl_primary_page(addr));
	u8 primary[KTREPL_KDB_LINE], bytes[KTREPL_KDB_LINE];
	int nid;

	if (copy_from_kernel_nofault(primary, page + offset_in_page(addr), len))
		return KDB_BADADDR;
	kdb_printf("%016lx primary  %*ph\n", addr, len, primary);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++) {
		if (!ktrepl_nodes[nid] && !node_online(nid))
			continue;
		if (ktrepl_read(nid, bytes, (void *)addr, len))
			return KDB_BADADDR;
		kdb_printf("%016lx node %-3d %*ph%s\n", addr, nid, len, bytes,
			   memcmp(bytes, primary, len) ? "  differs" : "");
	}
	return 0;
}

static int ktrepl_kdb_show(unsigned long addr, unsigned long len)
{
	struct ktrepl_place place;
	unsigned int part;
	int diag = 0;

	if (ktrepl_query((void *)addr, &place))
		ktrepl_kdb_place(addr, &place);
	else
		kdb_printf("%pS: in no region\n", (void *)addr);
	for (; len && !diag && !KDB_FLAG(CMD_INTERRUPT); addr += part, len -= part) {
		part = KTREPL_KDB_LINE - addr % KTREPL_KDB_LINE;
		part = min_t(unsigned long, part, len);
		diag = ktrepl_query((void *)addr, &place) ?
		       ktrepl_kdb_lines(addr, part) :
		       ktrepl_kdb_shared(addr, part);
	}
	return diag;
}

static int ktrepl_kdb(int argc, const char **argv)
{
	unsigned long addr, len = KTREPL_KDB_LINE;
	int next = 1, diag;

	if (!argc) {
		ktrepl_kdb_state();
		return 0;
	}
	diag = kdbgetaddrarg(argc, argv, &next, &addr, NULL, NULL);
	if (!diag && next < argc)
		return KDB_ARGCOUNT;
	if (!diag && next == argc)
		diag = kdbgetularg(argv[next], &len);
	if (diag)
		return diag;
	if (!len || len > PAGE_SIZE)
		return KDB_BADLENGTH;
	return ktrepl_kdb_show(addr, len);
}

static kdbtab_t ktrepl_kdb_command = {
	.name = "ktrepl",
	.func = ktrepl_kdb,
	.usage = "[<vaddr> [<bytes>]]",
	.help = "State of kernel text replication, or what each node executes",
	.flags = KDB_ENABLE_MEM_READ | KDB_ENABLE_ALWAYS_SAFE_NO_ARGS,
};

static int __init ktrepl_kdb_init(void)
{
	return kdb_register(&ktrepl_kdb_command);
}
late_initcall(ktrepl_kdb_init);
