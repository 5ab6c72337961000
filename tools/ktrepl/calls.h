/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls that RedHawk has measured, for ktrepl-bench and ktrepl-ab.
 */
#ifndef KTREPL_TOOLS_CALLS_H
#define KTREPL_TOOLS_CALLS_H

#include <sys/types.h>

#include "common.h"

void must(bool ok, const char *what);

/* Ends the program unless the child exits with 0. */
void wait_for(pid_t pid);

void open_call(void);
bool kill_start(void);
void kill_call(void);
void zero_call(void);
void fork_call(void);

#endif /* KTREPL_TOOLS_CALLS_H */
