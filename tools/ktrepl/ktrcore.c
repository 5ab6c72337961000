// SPDX-License-Identifier: GPL-2.0
/*
 * ktrcore - what each node executes, or executed, by an image of memory
 *
 * Reads ELF images that have a note VMCOREINFO: /proc/kcore of a running kernel,
 * /proc/vmcore in a crash kernel, and what makedumpfile -E has made of that. It
 * needs neither the kernel's debug information nor its version: all that it knows
 * of the kernel's data is in VMCOREINFO.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/elf.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

/* Bytes in a line. Lines start at multiples of it: none crosses a page. */
#define LINE		16
#define MAX_BYTES	4096
#define MAX_PAGE	65536
#define NOWHERE		(~0ULL)

static const char usage[] =
"Usage: ktrcore FILE [ADDRESS [BYTES]]\n"
"Show what each NUMA node executes of a kernel, by an image of its memory.\n"
"\n"
"FILE is /proc/kcore, /proc/vmcore, or what makedumpfile -E has made of the latter.\n"
"Without ADDRESS, compare all replicas with the primary. With it, show 16, or so\n"
"many, bytes of the primary and of what each node executes, and where in physical\n"
"memory these are; of /proc/kcore also what this CPU has there. ADDRESS is\n"
"hexadecimal.\n"
"\n"
"Fails if anything differs from the primary.\n"
"\n"
"Exit status: 0 all is equal, 1 something differs, 2 usage error, 3 not available\n"
"(no such image, kernel without ktrepl).\n";

static const char *path;
static int fd;
static struct elf64_hdr ehdr;
static struct elf64_phdr *phdr;
static char *info;			/* VMCOREINFO, with a line feed before it */
static bool live;			/* /proc/kcore */

/* What VMCOREINFO says. */
static u64 page_size, vmemmap, page_struct;
static u64 image;			/* an address in it */
static u64 root;			/* physical */
static struct {
	u64 list, start, end, stale, dying, nodes, replica;
} region_at;
static u64 node_live_at;
static u64 nodes_at;
static unsigned int nr_nodes;

static struct region {
	u64 start, end, stale, nodes, replica;
	bool execmem;
} *regions;
static size_t nr_regions;

/* === The image =========================================================== */

static void read_file(void *to, size_t len, u64 offset)
{
	ssize_t got = pread(fd, to, len, offset);

	if (got < 0)
		die(EXIT_UNAVAILABLE, "%s: %s", path, strerror(errno));
	if ((size_t)got != len)
		die(EXIT_UNAVAILABLE, "%s: ends early", path);
}

/* What makedumpfile has left out reads as zeroes. */
static void read_segment(const struct elf64_phdr *p, u64 offset, void *to, size_t len)
{
	size_t stored = offset >= p->p_filesz ? 0 : p->p_filesz - offset;

	if (stored > len)
		stored = len;
	read_file(to, stored, p->p_offset + offset);
	memset((char *)to + stored, 0, len - stored);
}

static bool inside(u64 addr, size_t len, u64 start, u64 size)
{
	return addr >= start && addr - start < size && size - (addr - start) >= len;
}

/*
 * Physical memory is read by the linear map: the segment of the image in /proc/kcore
 * has the physical addresses of the primary, and the contents of this CPU's replica.
 */
static const struct elf64_phdr *segment(u64 addr, size_t len, bool physical)
{
	unsigned int i;

	for (i = 0; i < ehdr.e_phnum; i++) {
		const struct elf64_phdr *p = &phdr[i];

		if (p->p_type != PT_LOAD || p->p_paddr == NOWHERE ||
		    (physical && inside(image, 1, p->p_vaddr, p->p_memsz)))
			continue;
		if (inside(addr, len, physical ? p->p_paddr : p->p_vaddr, p->p_memsz))
			return p;
	}
	return NULL;
}

/* None of what is read crosses a page. */
static void read_phys(u64 addr, void *to, size_t len)
{
	const struct elf64_phdr *p = segment(addr, len, true);

	if (!p)
		die(EXIT_UNAVAILABLE, "%s: has no physical address 0x%llx", path, addr);
	read_segment(p, addr - p->p_paddr, to, len);
}

/* === VMCOREINFO ========================================================== */

static bool info_find(const char *key, int base, u64 *value)
{
	char *line = xasprintf("\n%s=", key);
	const char *found = strstr(info, line);

	if (found)
		*value = strtoull(found + strlen(line), NULL, base);
	free(line);
	return found;
}

static u64 info_get(const char *key, int base)
{
	u64 value;

	if (!info_find(key, base, &value))
		die(EXIT_UNAVAILABLE, "%s: VMCOREINFO has no %s", path, key);
	return value;
}

static void find_info(const struct elf64_phdr *p)
{
	char *notes = xcalloc(1, p->p_filesz + 1);
	u64 at = 0, name, desc;

	read_file(notes, p->p_filesz, p->p_offset);
	while (at + sizeof(struct elf64_note) <= p->p_filesz) {
		const struct elf64_note *n = (const void *)(notes + at);

		name = at + sizeof(*n);
		desc = name + ((n->n_namesz + 3ULL) & ~3ULL);
		at = desc + ((n->n_descsz + 3ULL) & ~3ULL);
		if (at > p->p_filesz)
			break;
		if (n->n_namesz == sizeof("VMCOREINFO") && !strcmp(notes + name, "VMCOREINFO"))
			info = xasprintf("\n%.*s", (int)n->n_descsz, notes + desc);
	}
	free(notes);
}

static void open_image(void)
{
	unsigned int i;

	fd = open(path, O_RDONLY);
	if (fd < 0)
		die(EXIT_UNAVAILABLE, "%s: %s", path, strerror(errno));
	read_file(&ehdr, sizeof(ehdr), 0);
	if (!memcmp(&ehdr, "KDUMP   ", 8))
		die(EXIT_UNAVAILABLE, "%s: not ELF; have makedumpfile -E write the dump", path);
	if (memcmp(ehdr.e_ident, ELFMAG, SELFMAG) || ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr.e_type != ET_CORE || ehdr.e_phentsize != sizeof(*phdr))
		die(EXIT_UNAVAILABLE, "%s: not a 64-bit ELF image of memory", path);
	phdr = xcalloc(ehdr.e_phnum, sizeof(*phdr));
	read_file(phdr, ehdr.e_phnum * sizeof(*phdr), ehdr.e_phoff);
	for (i = 0; i < ehdr.e_phnum; i++) {
		if (phdr[i].p_type == PT_NOTE)
			find_info(&phdr[i]);
		else if (phdr[i].p_type == PT_LOAD && phdr[i].p_paddr == NOWHERE)
			live = true;
	}
	if (!info)
		die(EXIT_UNAVAILABLE, "%s: has no VMCOREINFO", path);
}

/* === Addresses =========================================================== */

/* By the primary's page tables. */
static u64 walk(u64 addr)
{
	bool x86 = ehdr.e_machine == EM_X86_64;
	u64 page_shift = __builtin_ctzll(page_size), per_table = page_shift - 3;
	u64 bits = x86 ? 48 + 9 * info_get("NUMBER(pgtable_l5_enabled)", 0)
		       : 64 - info_get("NUMBER(TCR_EL1_T1SZ)", 0);
	u64 table = root, shift = page_shift, entry;

	while (shift + per_table < bits)
		shift += per_table;
	for (;; shift -= per_table) {
		/* The top table may be a small one, or have a part that is not used. */
		u64 top = shift + per_table > bits ? bits - shift : per_table;

		read_phys(table + (addr >> shift & ((1ULL << top) - 1)) * 8, &entry, 8);
		if (!(entry & 1))
			die(EXIT_UNAVAILABLE, "%s: nothing is mapped at 0x%llx", path, addr);
		table = entry & ((1ULL << 50) - page_size);
		if (shift == page_shift || (x86 ? entry & 0x80 : !(entry & 2)))
			break;
	}
	/* Low bits of the address of a large page are flags. */
	return (table & ~((1ULL << shift) - 1)) | (addr & ((1ULL << shift) - 1));
}

static u64 physical(u64 addr)
{
	const struct elf64_phdr *p = segment(addr, 1, false);

	return p ? p->p_paddr + (addr - p->p_vaddr) : walk(addr);
}

static u64 read_word(u64 addr, size_t len)
{
	u64 value = 0;

	read_phys(physical(addr), &value, len);
	return value;
}

/* === ktrepl ============================================================== */

static void read_facts(void)
{
	u64 value;

	page_size = info_get("PAGESIZE", 10);
	if (page_size < 4096 || page_size > MAX_PAGE)
		die(EXIT_UNAVAILABLE, "%s: bad PAGESIZE", path);
	page_struct = info_get("SIZE(page)", 10);
	vmemmap = info_get("SYMBOL(vmemmap)", 16);
	image = info_get("SYMBOL(swapper_pg_dir)", 16);
	if (info_find("NUMBER(phys_base)", 10, &value))
		root = image - 0xffffffff80000000 + value;
	else
		root = image - info_get("NUMBER(kimage_voffset)", 16);

	nr_nodes = read_word(info_get("SYMBOL(ktrepl_nr_nodes)", 16), 4);
	nodes_at = info_get("SYMBOL(ktrepl_nodes)", 16);
	node_live_at = info_get("OFFSET(ktrepl_node.live)", 10);
	region_at.list = info_get("OFFSET(ktrepl_region.list)", 10);
	region_at.start = info_get("OFFSET(ktrepl_region.start)", 10);
	region_at.end = info_get("OFFSET(ktrepl_region.end)", 10);
	region_at.stale = info_get("OFFSET(ktrepl_region.stale)", 10);
	region_at.dying = info_get("OFFSET(ktrepl_region.dying)", 10);
	region_at.nodes = info_get("OFFSET(ktrepl_region.nodes)", 10);
	region_at.replica = info_get("OFFSET(ktrepl_region.replica)", 10);
}

static void add_regions(u64 head, bool execmem)
{
	u64 next = info_get("OFFSET(list_head.next)", 10);
	u64 at = head;

	while ((at = read_word(at + next, 8)) != head) {
		u64 region = at - region_at.list;

		if (read_word(region + region_at.dying, 1))
			continue;
		regions = xgrow(regions, nr_regions, sizeof(*regions));
		regions[nr_regions++] = (struct region) {
			.start	 = read_word(region + region_at.start, 8),
			.end	 = read_word(region + region_at.end, 8),
			.stale	 = read_word(region + region_at.stale, 8),
			.nodes	 = read_word(region + region_at.nodes, 4),
			.replica = region + region_at.replica,
			.execmem = execmem,
		};
	}
}

static const struct region *find_region(u64 addr)
{
	size_t i;

	for (i = 0; i < nr_regions; i++)
		if (addr >= regions[i].start && addr < regions[i].end)
			return &regions[i];
	return NULL;
}

/* Does a node take part, and do CPUs use what it has? */
static bool node_known(unsigned int nid, bool *is_live)
{
	u64 node = read_word(nodes_at + 8 * nid, 8);

	*is_live = node && read_word(node + node_live_at, 1);
	return node;
}

/* Where the page of an address lies that a node executes; NOWHERE: the primary. */
static u64 replica_page(const struct region *r, unsigned int nid, u64 addr)
{
	u64 index = (addr - r->start) / page_size, page;
	bool is_live;

	if (!node_known(nid, &is_live) || !is_live)
		return NOWHERE;
	if (read_word(r->stale + index / 64 * 8, 8) >> index % 64 & 1)
		return NOWHERE;
	page = read_word(r->replica + 8 * (index * r->nodes + nid), 8);
	return page ? (page - vmemmap) / page_struct * page_size : NOWHERE;
}

/* === Output ============================================================== */

static void show_state(void)
{
	const char *comma = "";
	unsigned int nid;
	bool is_live;

	if (read_word(info_get("SYMBOL(ktrepl_state)", 16), 4) !=
	    info_get("NUMBER(KTREPL_ON)", 10)) {
		printf("ktrepl is not on\n");
		return;
	}
	printf("ktrepl is on: nodes ");
	for (nid = 0; nid < nr_nodes; nid++) {
		node_known(nid, &is_live);
		if (is_live) {
			printf("%s%u", comma, nid);
			comma = ",";
		}
	}
	printf(" live\n");
}

static void compare_region(const struct region *r)
{
	static unsigned char primary[MAX_PAGE], replica[MAX_PAGE];
	unsigned long compared, different;
	unsigned int nid;
	char *row, *old;
	bool is_live;
	u64 addr, at;

	row = xasprintf("%016llx-%016llx %-7s", r->start, r->end - 1,
			r->execmem ? "execmem" : "image");
	for (nid = 0; nid < nr_nodes; nid++) {
		if (!node_known(nid, &is_live))
			continue;
		compared = 0;
		different = 0;
		for (addr = r->start; addr < r->end; addr += page_size) {
			at = replica_page(r, nid, addr);
			if (at == NOWHERE)
				continue;
			read_phys(physical(addr), primary, page_size);
			read_phys(at, replica, page_size);
			compared++;
			if (memcmp(primary, replica, page_size)) {
				different++;
				fail("node %u differs in the page of 0x%llx", nid, addr);
			}
		}
		old = row;
		row = xasprintf("%s  node %u: %lu replicas, %lu different", old, nid, compared,
				different);
		free(old);
	}
	puts(row);
	free(row);
}

static void show_bytes(u64 addr, const char *whose, u64 at, const unsigned char *bytes,
		       size_t len, const unsigned char *primary)
{
	bool differs = memcmp(bytes, primary, len);
	size_t i;

	printf("%016llx %-8s ", addr, whose);
	if (at == NOWHERE)
		printf("%16s ", "");
	else
		printf("%016llx ", at);
	for (i = 0; i < len; i++)
		printf(" %02x", bytes[i]);
	printf("%s\n", differs ? "  differs" : "");
	if (differs)
		fail("%s differs at 0x%llx", whose, addr);
}

static void show_line(u64 addr, size_t len)
{
	const struct region *r = find_region(addr);
	unsigned char primary[LINE], bytes[LINE];
	u64 offset = addr & (page_size - 1);
	u64 primary_at = physical(addr);
	unsigned int i;
	bool is_live;
	char *whose;
	u64 at;

	read_phys(primary_at, primary, len);
	show_bytes(addr, r ? "primary" : "all", primary_at, primary, len, primary);
	for (i = 0; r && i < nr_nodes; i++) {
		if (!node_known(i, &is_live))
			continue;
		at = replica_page(r, i, addr);
		if (at == NOWHERE)
			at = primary_at;
		else
			at += offset;
		read_phys(at, bytes, len);
		whose = xasprintf("node %u", i);
		show_bytes(addr, whose, at, bytes, len, primary);
		free(whose);
	}
	for (i = 0; live && i < ehdr.e_phnum; i++) {
		const struct elf64_phdr *p = &phdr[i];

		if (p->p_type != PT_LOAD || !inside(addr, len, p->p_vaddr, p->p_memsz))
			continue;
		read_segment(p, addr - p->p_vaddr, bytes, len);
		whose = xasprintf("CPU %d", sched_getcpu());
		show_bytes(addr, whose, NOWHERE, bytes, len, primary);
		free(whose);
		break;
	}
}

static void show(u64 addr, u64 len)
{
	const struct region *r = find_region(addr);
	u64 part;

	if (r)
		printf("%llx: %s %llx-%llx\n", addr, r->execmem ? "execmem" : "image",
		       r->start, r->end - 1);
	else
		printf("%llx: in no region\n", addr);
	for (; len; addr += part, len -= part) {
		part = LINE - addr % LINE;
		if (part > len)
			part = len;
		show_line(addr, part);
	}
}

int main(int argc, char **argv)
{
	u64 addr = 0, len = LINE, head;
	size_t i;

	progname_set(argv[0]);
	if (argc == 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	if (argc == 2 && (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")))
		print_version_and_exit();
	if (argc < 2 || argc > 4)
		die_usage("expected FILE [ADDRESS [BYTES]]");
	path = argv[1];
	if (argc > 2 && !parse_u64(strncmp(argv[2], "0x", 2) ? argv[2] : argv[2] + 2, 16, &addr))
		die_usage("'%s' is not a hexadecimal address", argv[2]);
	if (argc > 3)
		len = opt_number("BYTES", argv[3], 1, MAX_BYTES);

	open_image();
	read_facts();
	add_regions(info_get("SYMBOL(ktrepl_regions)", 16), false);
	if (info_find("SYMBOL(ktrepl_execmem_regions)", 16, &head))
		add_regions(head, true);
	if (argc > 2) {
		show(addr, len);
	} else {
		show_state();
		for (i = 0; i < nr_regions; i++)
			compare_region(&regions[i]);
	}
	return fail_count() ? EXIT_FAILED : EXIT_OK;
}
