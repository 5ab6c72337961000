// SPDX-License-Identifier: GPL-2.0
/* An instruction for each phase, as what it is called is a constant in it. */
#include "phase.h"

#if defined(__x86_64__)
#define PHASE_INSN	"nopl 0x6b740000 + phase(%rax)"
#elif defined(__aarch64__)
#define PHASE_INSN	"movz xzr, #(0x6b00 + phase), lsl #48"
#else
#define PHASE_INSN	""
#endif

#define PHASE_SIZE	16

asm(".pushsection .text\n"
	".balign 16\n"
	"phase_insns:\n"
	".set phase, 0\n"
	".rept 64\n"
	PHASE_INSN "\n"
	"ret\n"
	".balign 16\n"
	".set phase, phase + 1\n"
	".endr\n"
	".popsection\n");

extern const char phase_insns[];

void phase_begin(unsigned int phase)
{
	((void (*)(void))(phase_insns + phase * PHASE_SIZE))();
}
