/* SPDX-License-Identifier: GPL-2.0 */
/* Memory allocations of the calling thread that the kernel lets fail. */
#ifndef KTREPL_TOOLS_FAULT_H
#define KTREPL_TOOLS_FAULT_H

#include <stdbool.h>

/* NULL, or why the kernel cannot do that. */
const char *fault_setup(void);
/* The thread's own, for those below. */
int fault_open(void);
/* The @nth allocation from now on fails; 0: none. */
void fault_arm(int fd, unsigned int nth);
/* Was the fault injected? Leaves none armed. */
bool fault_disarm(int fd);

#endif /* KTREPL_TOOLS_FAULT_H */
