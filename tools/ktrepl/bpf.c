// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf.h"

int bpf_prog_load(enum bpf_prog_type type, const struct bpf_insn *insns, size_t nr)
{
	union bpf_attr attr = {
		.prog_type = type,
		.insns = (uintptr_t)insns,
		.insn_cnt = nr,
		.license = (uintptr_t)"GPL",
	};
	int fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

int bpf_prog_run(int fd, unsigned int times, unsigned int *value)
{
	static const char packet[64];
	union bpf_attr attr = { .test = {
		.prog_fd = fd,
		.data_in = (uintptr_t)packet,
		.data_size_in = sizeof(packet),
		.repeat = times,
	} };

	if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)))
		return -errno;
	*value = attr.test.retval;
	return 0;
}
