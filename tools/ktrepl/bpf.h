/* SPDX-License-Identifier: GPL-2.0 */
/* BPF programs, loaded and run by system calls of the calling thread. */
#ifndef KTREPL_TOOLS_BPF_H
#define KTREPL_TOOLS_BPF_H

#include <linux/bpf.h>
#include <stddef.h>

/* A file descriptor or -errno. */
int bpf_prog_load(enum bpf_prog_type type, const struct bpf_insn *insns, size_t nr);
/* Runs it on a packet of zeroes. 0 or -errno; *value: what it returns. */
int bpf_prog_run(int fd, unsigned int times, unsigned int *value);

#endif /* KTREPL_TOOLS_BPF_H */
