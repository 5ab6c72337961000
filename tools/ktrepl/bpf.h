/* SPDX-License-Identifier: GPL-2.0 */
/* BPF programs, loaded and run by system calls of the calling thread. */
#ifndef KTREPL_TOOLS_BPF_H
#define KTREPL_TOOLS_BPF_H

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

/* What a program is attached to: a function or a structure of the kernel. */
struct bpf_target {
	enum bpf_prog_type type;
	enum bpf_attach_type attach;	/* of a structure: which of its functions */
	uint32_t btf_id;
};

/* These return a file descriptor or -errno. */
int bpf_prog_load(enum bpf_prog_type type, const struct bpf_insn *insns, size_t nr);
int bpf_prog_load_for(const struct bpf_target *target, const struct bpf_insn *insns,
		      size_t nr);
int bpf_prog_attach(int fd);
/* An array of one 64-bit number, which is 0. */
int bpf_number_create(void);

/* 0 or -errno. */
int bpf_number_read(int fd, uint64_t *number);
/* Runs it on a packet of zeroes. *value: what it returns. */
int bpf_prog_run(int fd, unsigned int times, unsigned int *value);
/* Runs one that has a target, on an argument of 0 if it takes any. */
int bpf_prog_run_for(int fd, unsigned int *value);

/* The type of the kernel's that has a name, of a BTF_KIND_; 0 if there is none. */
uint32_t bpf_btf_find(const char *name, unsigned int kind);

#endif /* KTREPL_TOOLS_BPF_H */
