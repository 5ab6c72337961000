/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What our plugins use of QEMU's interface for plugins of TCG. Debian has no package
 * with qemu-plugin.h. QEMU_PLUGIN_API is its version, see build_plugin() in lib.sh.
 */
#ifndef QEMU_PLUGIN_H
#define QEMU_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int qemu_plugin_version = QEMU_PLUGIN_API;

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;

enum qemu_plugin_mem_rw {
	QEMU_PLUGIN_MEM_R = 1,
	QEMU_PLUGIN_MEM_W,
	QEMU_PLUGIN_MEM_RW,
};

/* The first member of what qemu_plugin_install() is given. */
typedef struct {
	const char *target_name;
} qemu_info_t;

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t idx);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
					   void (*cb)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
					  void (*cb)(unsigned int cpu, void *data),
					  int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*cb)(unsigned int cpu, void *data),
					    int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
				      void (*cb)(unsigned int cpu, uint32_t info, uint64_t vaddr,
						 void *data),
				      int flags, enum qemu_plugin_mem_rw rw, void *data);
bool qemu_plugin_mem_is_store(uint32_t info);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t vaddr);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *haddr);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *haddr);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*cb)(uint64_t id, void *data), void *data);

#define INSN_MAX	16

#if QEMU_PLUGIN_API >= 3
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t size);

static inline void insn_read(const struct qemu_plugin_insn *insn, uint8_t to[INSN_MAX])
{
	qemu_plugin_insn_data(insn, to, INSN_MAX);
}
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);

static inline void insn_read(const struct qemu_plugin_insn *insn, uint8_t to[INSN_MAX])
{
	memcpy(to, qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn));
}
#endif

#define KERNEL		(UINT64_C(1) << 63)
#define PHASES		64
#define PHASE_FLUSH	63	/* not a phase: the caches of this CPU are empty */

/* The phase that an instruction begins, or -1; see tools/ktrepl/phase.h. */
static inline int phase_of(const struct qemu_plugin_insn *insn, bool arm64)
{
	uint8_t b[INSN_MAX] = { };
	size_t size = qemu_plugin_insn_size(insn);
	uint32_t word;

	if (size != (arm64 ? 4 : 7))
		return -1;
	insn_read(insn, b);
	if (!arm64) {
		/* nopl 0x6b7400NN(%rax) */
		return b[0] == 0x0f && b[1] == 0x1f && b[2] == 0x80 && b[4] == 0 &&
		       b[5] == 0x74 && b[6] == 0x6b && b[3] < PHASES ? b[3] : -1;
	}
	/* movz xzr, #0x6bNN, lsl #48 */
	word = b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
	if ((word & 0xffe0001f) != 0xd2e0001f || (word >> 13 & 0xff) != 0x6b)
		return -1;
	word = word >> 5 & 0xff;
	return word < PHASES ? (int)word : -1;
}

/* Have a function called with the phase that an instruction of a program begins, if any. */
static inline void watch_phase(struct qemu_plugin_insn *insn, bool arm64,
			       void (*cb)(unsigned int cpu, void *data))
{
	int phase = qemu_plugin_insn_vaddr(insn) < KERNEL ? phase_of(insn, arm64) : -1;

	if (phase >= 0)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, cb, 0, (void *)(uintptr_t)phase);
}

#endif
