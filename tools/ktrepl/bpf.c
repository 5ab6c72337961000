// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf.h"
#include "common.h"

#define BTF	"/sys/kernel/btf/vmlinux"

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	int fd = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return fd < 0 ? -errno : fd;
}

int bpf_prog_load_for(const struct bpf_target *target, const struct bpf_insn *insns,
		      size_t nr)
{
	union bpf_attr attr = {
		.prog_type = target->type,
		.expected_attach_type = target->attach,
		.attach_btf_id = target->btf_id,
		.insns = (uintptr_t)insns,
		.insn_cnt = nr,
		.license = (uintptr_t)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

int bpf_prog_load(enum bpf_prog_type type, const struct bpf_insn *insns, size_t nr)
{
	const struct bpf_target target = { .type = type };

	return bpf_prog_load_for(&target, insns, nr);
}

int bpf_prog_attach(int fd)
{
	union bpf_attr attr = { .raw_tracepoint.prog_fd = fd };

	return bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
}

static int bpf_run(union bpf_attr *attr, unsigned int *value)
{
	int err = bpf(BPF_PROG_TEST_RUN, attr);

	*value = attr->test.retval;
	return err;
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

	return bpf_run(&attr, value);
}

int bpf_prog_run_for(int fd, unsigned int *value)
{
	static const uint64_t argument;
	union bpf_attr attr = { .test = {
		.prog_fd = fd,
		.ctx_in = (uintptr_t)&argument,
		.ctx_size_in = sizeof(argument),
	} };

	return bpf_run(&attr, value);
}

int bpf_number_create(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = sizeof(uint32_t),
		.value_size = sizeof(uint64_t),
		.max_entries = 1,
	};

	return bpf(BPF_MAP_CREATE, &attr);
}

int bpf_number_read(int fd, uint64_t *number)
{
	static const uint32_t first;
	union bpf_attr attr = {
		.map_fd = fd,
		.key = (uintptr_t)&first,
		.value = (uintptr_t)number,
	};

	return bpf(BPF_MAP_LOOKUP_ELEM, &attr);
}

/* How many bytes follow a type. */
static size_t btf_more(const struct btf_type *type)
{
	static const unsigned char each[NR_BTF_KINDS] = {
		[BTF_KIND_STRUCT] = sizeof(struct btf_member),
		[BTF_KIND_UNION] = sizeof(struct btf_member),
		[BTF_KIND_ENUM] = sizeof(struct btf_enum),
		[BTF_KIND_ENUM64] = sizeof(struct btf_enum64),
		[BTF_KIND_FUNC_PROTO] = sizeof(struct btf_param),
		[BTF_KIND_DATASEC] = sizeof(struct btf_var_secinfo),
	};

	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_VAR:
		return sizeof(struct btf_var);
	case BTF_KIND_DECL_TAG:
		return sizeof(struct btf_decl_tag);
	default:
		return BTF_INFO_VLEN(type->info) * each[BTF_INFO_KIND(type->info) % NR_BTF_KINDS];
	}
}

uint32_t bpf_btf_find(const char *name, unsigned int kind)
{
	const struct btf_header *head;
	const struct btf_type *type;
	const char *types, *strings, *end;
	uint32_t id = 0;
	bool found = false;
	size_t len;
	char *btf = read_text(BTF, &len);

	if (!btf)
		return 0;
	head = (const void *)btf;
	types = btf + head->hdr_len + head->type_off;
	strings = btf + head->hdr_len + head->str_off;
	/* The kernel has made it: what it says of lengths is right. */
	end = types + head->type_len;
	while (!found && types < end) {
		type = (const void *)types;
		types += sizeof(*type) + btf_more(type);
		id++;
		found = BTF_INFO_KIND(type->info) == kind &&
			!strcmp(strings + type->name_off, name);
	}
	free(btf);
	return found ? id : 0;
}
