/* SPDX-License-Identifier: GPL-2.0 */
/* Private to ktrepl-bench. */
#ifndef KTREPL_TOOLS_BENCH_H
#define KTREPL_TOOLS_BENCH_H

#include "calls.h"
#include "common.h"

extern int bench_cpu;		/* the one that calls are made on */
extern int bench_away;		/* after away_start(): one of another node */

bool away_start(void);

/* Have what needs memory for code get it on another node, and wait for replicas. */
bool elsewhere(bool (*load)(void));

/* bench-text.c: code that is not the kernel's image. */
bool bpf_start(void);
void bpf_call(void);
void bpf_stop(void);
bool probed_start(void);
void probed_stop(void);
bool value_start(void);
void value_call(void);
void value_stop(void);
bool code_here_start(void);
bool code_away_start(void);
void code_call(void);
void code_stop(void);

#endif /* KTREPL_TOOLS_BENCH_H */
