/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Phases, for who watches the machine from outside, see scripts/locality-plugin:
 * each begins with an instruction that has no effect.
 */
#ifndef KTREPL_TOOLS_PHASE_H
#define KTREPL_TOOLS_PHASE_H

#define PHASE_NONE	0
#define PHASE_FLUSH	63	/* not a phase: this CPU's caches are empty */

void phase_begin(unsigned int phase);

#endif /* KTREPL_TOOLS_PHASE_H */
