/* SPDX-License-Identifier: GPL-2.0 */
/*
 * State and statistics as Prometheus reads them, see its "Exposition formats" and
 * "Metric and label naming".
 */
#ifndef KTREPL_TOOLS_PROM_H
#define KTREPL_TOOLS_PROM_H

#include "iface.h"

/* Only these nodes, or all with NULL. */
void prom_print(FILE *out, const struct ktr_state *state, const struct ktr_stats *stats,
		const struct idlist *only);

/*
 * To a file that takes the place of the old one at once, as a collector may be
 * reading, which takes files that end in .prom. 0 or -errno, with the old one as it was.
 */
int prom_write(const char *path, const struct ktr_state *state, const struct ktr_stats *stats,
	       const struct idlist *only);

#endif /* KTREPL_TOOLS_PROM_H */
