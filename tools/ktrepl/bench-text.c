// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-bench: calls that execute more than the kernel's image: BPF, a probe, a
 * module; and a page of user space whose node is known.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "bpf.h"
#include "machine.h"

/* === BPF ================================================================= */

static int bpf_fd = -1;

/* Adds the numbers from 100 to 1. */
static const struct bpf_insn bpf_program[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 100 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_1 },
	{ .code = BPF_ALU64 | BPF_SUB | BPF_K, .dst_reg = BPF_REG_1, .imm = 1 },
	{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_1, .off = -3, .imm = 0 },
	{ .code = BPF_JMP | BPF_EXIT },
};

static bool bpf_load(void)
{
	bpf_fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, bpf_program, ARRAY_SIZE(bpf_program));
	return bpf_fd >= 0;
}

bool bpf_start(void)
{
	return elsewhere(bpf_load);
}

void bpf_call(void)
{
	unsigned int sum = 0;

	must(!bpf_prog_run(bpf_fd, 1, &sum) && sum == 5050, "a BPF program");
}

void bpf_stop(void)
{
	close(bpf_fd);
}

/* === A probe ============================================================= */

#define TRACEFS		"/sys/kernel/tracing/"

static bool probe_set(void)
{
	return (!write_text(TRACEFS "kprobe_events", "p:ktrepl_bench __x64_sys_getppid") ||
		!write_text(TRACEFS "kprobe_events", "p:ktrepl_bench __arm64_sys_getppid")) &&
	       !write_text(TRACEFS "events/kprobes/ktrepl_bench/enable", "1");
}

bool probed_start(void)
{
	return elsewhere(probe_set);
}

void probed_stop(void)
{
	write_text(TRACEFS "events/kprobes/ktrepl_bench/enable", "0");
	write_text(TRACEFS "kprobe_events", "-:ktrepl_bench");
}

/* === A module: a parameter of it calls a function of it ================== */

static int value_fd = -1;

bool value_start(void)
{
	value_fd = open("/sys/module/ktrepl_marker/parameters/value", O_RDONLY);
	return value_fd >= 0;
}

void value_call(void)
{
	char text[16];

	must(pread(value_fd, text, sizeof(text), 0) > 0, "a module's parameter");
}

void value_stop(void)
{
	close(value_fd);
}

/* === A page of user space ================================================ */

static void *code;
static size_t code_size;

/* A loop of 10,000 turns that loads a word behind it. */
#if defined(__x86_64__)
/* mov $10000, %ecx; 1: mov 64(%rip), %rax; dec %ecx; jnz 1b; ret */
static const char code_loop[] = "\xb9\x10\x27\x00\x00\x48\x8b\x05\x40\x00\x00\x00"
				"\xff\xc9\x75\xf5\xc3";
#elif defined(__aarch64__)
/* mov w1, #10000; 1: ldr x0, .+64; subs w1, w1, #1; b.ne 1b; ret */
static const unsigned int code_loop[] = {
	0x5284e201, 0x58000200, 0x71000421, 0x54ffffc1, 0xd65f03c0
};
#else
static const char code_loop[1];
#endif

/* Memory of one node only. */
static bool code_start(int on)
{
	unsigned long node = 0;
	struct machine m;
	size_t i;

	code_size = sysconf(_SC_PAGESIZE);
	machine_read(&m);
	for (i = 0; i < m.nr; i++)
		if (idlist_has(&m.node[i].cpus, on))
			node = 1UL << m.node[i].nid;
	machine_free(&m);
	code = mmap(NULL, code_size, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(code != MAP_FAILED, "mmap");
	if (syscall(SYS_mbind, code, code_size, MPOL_BIND, &node, 8 * sizeof(node), 0) ||
	    madvise(code, code_size, MADV_NOHUGEPAGE)) {
		munmap(code, code_size);
		return false;
	}
	memcpy(code, code_loop, sizeof(code_loop));
	__builtin___clear_cache(code, (char *)code + code_size);
	return true;
}

bool code_here_start(void)
{
	return code_start(bench_cpu);
}

bool code_away_start(void)
{
	return away_start() && code_start(bench_away);
}

void code_call(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
	((void (*)(void))code)();
#endif
}

void code_stop(void)
{
	munmap(code, code_size);
}
